# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that boots in the middle of a change boots with what was there before it."""

from __future__ import annotations

import json

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Host, Lab
from ansible_collections.dockerfleet.remote_api.tests.integration.test_daemon_faults import ON_HOST, prepare

HOSTS = [("bullseye", "docker-ce"), ("bookworm", "docker-io"), ("forky", "docker-ce")]


@pytest.mark.parametrize(("suite", "variant"), HOSTS)
def test_power_lost_while_a_bad_configuration_is_tried(lab: Lab, suite: str, variant: str) -> None:
    host = lab.host("power", suite, variant)
    prepare(host, dict.fromkeys(("ca.pem", "server.pem", "key.pem"), ""))
    # With docker-ce nobody has read this option so far. With the unit of the change it would keep the daemon down.
    host.write("/etc/default/docker", 'DOCKER_OPTS="--dns 8.8.8.8"\n' if variant == "docker-ce" else "")
    host.write("/etc/docker/daemon.json", '{"dns": ["1.1.1.1"]}\n')
    before = files(host)
    request = {
        "options": {"bridge": "nosuch0", "dns": ["8.8.4.4"]},
        "on_conflict": "move",
        "path": "/etc/default/docker",
    }
    core = {"request": {**request, "on_unread_options": "adopt"}, "signal_at": "restart begun", "power_loss": True}
    killed = host.exec("python3", ON_HOST, "core", stdin=json.dumps(core), check=False)
    assert killed.returncode != 0, killed.stdout
    assert "nosuch0" in host.read("/etc/default/docker")
    host.reboot()
    assert host.sh("docker info --format '{{.ID}}'")
    assert files(host) == before
    assert "--bridge=nosuch0" not in host.argv()
    assert host.sh("systemctl show --property NeedDaemonReload --value docker.service") == "no"
    good = {"request": {"options": {"label": ["a=b"]}, "path": "/etc/default/docker", "remove": ["dns"]}}
    done = json.loads(host.exec("python3", ON_HOST, "core", stdin=json.dumps(good)).stdout)
    assert done["ok"], done
    assert "--label=a=b" in host.argv()
    host.reboot()
    assert "--label=a=b" in host.argv()
    lab.down(host)


def files(host: Host) -> str:
    """Return what there is of the files that a change touches, and of the units for the next boot."""
    paths = "default/docker docker/daemon.json* systemd/system/docker* systemd/system/multi-user.target.d"
    return host.sh(f"cd /etc; grep -rs '' {paths} || true")
