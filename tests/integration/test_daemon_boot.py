# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that boots in the middle of a change boots with what was there before it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.journal import Journal
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import FileState
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Host, Lab
from ansible_collections.dockerfleet.remote_api.tests.integration.test_daemon_faults import ON_HOST, prepare

SUITES = ("bullseye", "bookworm", "trixie", "forky")
CONTENTS = {
    "/srv/judge/all-bytes": bytes(range(256)) * 400,
    "/srv/judge/empty": b"",
    "/srv/judge/%h-in the name": b"DOCKER_OPTS='-H fd://'\n",
}


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> Iterator[dict[str, Host]]:
    hosts = lab.hosts({f"b-{suite}": (suite, "no-docker") for suite in SUITES})
    yield {host.suite: host for host in hosts.values()}
    lab.down(*hosts.values())


@pytest.mark.parametrize("suite", SUITES)
def test_systemd_puts_back_what_the_journal_holds(hosts: dict[str, Host], tmp_path: Path, suite: str) -> None:
    host = hosts[suite]
    journal = Journal("docker.service", str(tmp_path), str(tmp_path))
    journal.begin(
        [(path, FileState(content, 0o604, 1, 2, 0), b"new") for path, content in CONTENTS.items()]
        + [("/srv/judge/new directory/new", None, b"new")]
    )
    for file in tmp_path.iterdir():
        host.exec("sh", "-c", 'mkdir -p "$1"; base64 -d >"$1/$2"', "sh", str(tmp_path), file.name,
                  stdin=base64.b64encode(file.read_bytes()).decode())  # fmt: skip
    host.sh("mkdir -p '/srv/judge/new directory'; cd /srv/judge; touch 'new directory/new'; echo kept >kept")
    for path in CONTENTS:
        host.write(path, "new and longer than what was there")
    host.exec("systemd-tmpfiles", "--create", "--remove", "--boot", journal.boot_path)
    for path, content in CONTENTS.items():
        assert host.sh(f"od -An -v -tx1 '{path}' | tr -d ' \\n'") == content.hex(), path
        assert host.exec("stat", "-c", "%a %u %g", path).stdout == "604 1 2\n"
    assert host.sh("cd /srv/judge; find . -name new; cat kept") == "kept"
    assert host.exec("test", "-e", journal.boot_path, check=False).returncode == 1


@pytest.mark.parametrize(("suite", "variant"), [("bookworm", "docker-ce"), ("trixie", "docker-io")])
def test_power_lost_while_a_bad_configuration_is_tried(lab: Lab, suite: str, variant: str) -> None:
    host = lab.host("power", suite, variant)
    prepare(host, dict.fromkeys(("ca.pem", "server.pem", "key.pem"), ""))
    before = host.sh("cat /etc/default/docker 2>/dev/null || true")
    request = {"options": {"bridge": "nosuch0"}, "path": "/etc/default/docker"}
    steps = 3 if variant == "docker-io" else 5  # journal, options file, with docker-ce unit and reload, restart
    killed = host.exec(
        "python3", ON_HOST, "core", stdin=json.dumps({"request": request, "signal_at": steps, "power_loss": True}),
        check=False,
    )  # fmt: skip
    assert killed.returncode != 0, killed.stderr
    assert "nosuch0" in host.read("/etc/default/docker")
    host.reboot()
    assert host.sh("docker info --format '{{.ID}}'")
    assert host.sh("cat /etc/default/docker 2>/dev/null || true") == before
    assert "--bridge=nosuch0" not in host.argv()
    good = {"request": {**request, "options": {"label": ["a=b"]}}}
    done = json.loads(host.exec("python3", ON_HOST, "core", stdin=json.dumps(good)).stdout)
    assert done["ok"], done
    assert "--label=a=b" in host.argv()
    lab.down(host)
