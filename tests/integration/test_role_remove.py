# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking the Remote API away again: files as they were, nothing that listens, and what others added stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Ansible, Host, Lab, Run, run

SECURE = "dockerfleet.remote_api.secure"
REMOVE = "dockerfleet.remote_api.remove"
MODULE = "dockerfleet.remote_api.remote_api"
OPTIONS = "/etc/default/docker"
JSON = "/etc/docker/daemon.json"
TLS_FILES = ("ca.pem", "server-cert.pem", "server-key.pem")
VARIABLES = {"docker_remote_api_ca_passphrase": "a passphrase for tests", "docker_remote_api_serial": "100%"}
# Everything below the folders that a change could touch: mode, owner, path, and a digest of the bytes.
LIST = """
cd / && find etc/docker etc/default etc/systemd/system lib/systemd/system/docker.* -ls 2>/dev/null |
    awk '{print $3, $5, $6, $11, $12, $13}'
find etc/docker etc/default etc/systemd/system lib/systemd/system/docker.* -type f -exec sha256sum {} +
"""


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> dict[str, Host]:
    """Give one host of each kind, with files of its own in the way."""
    made = lab.hosts(
        {
            "packaged": ("bookworm", "docker-io"),
            "configured": ("trixie", "docker-ce"),
            "edited": ("forky", "docker-ce"),
            "oldest": ("bullseye", "docker-io"),
        }
    )
    made["configured"].exec("sh", "-euc", f"""
        printf '{{"dns": ["1.1.1.1"],  "log-level": "info"}}' >{JSON}
        chmod 0640 {JSON}
        systemctl restart docker
    """)  # fmt: skip
    return made


@pytest.fixture(scope="module")
def controller(module_ansible: Ansible) -> Ansible:
    """Give the controller that all tests share, with its CA."""
    return module_ansible


def variables_of(hosts: dict[str, Host]) -> dict[str, dict[str, Any]]:
    """Return what is asked for on single hosts."""
    moved = {"docker_remote_api_daemon_options": {"dns": ["8.8.8.8"]}, "docker_remote_api_on_conflict": "move"}
    return {
        hosts["configured"].name: {**moved, "docker_remote_api_live_restore": True},
        hosts["edited"].name: {"docker_remote_api_unit_wiring": "edit"},
    }


def play(controller: Ansible, hosts: dict[str, Host], playbook: str, *arguments: str, **more: Any) -> Run:
    """Run a playbook on all hosts; it has to succeed."""
    done = controller.playbook(
        playbook, hosts.values(), *arguments, variables={**VARIABLES, **more}, host_variables=variables_of(hosts)
    )
    assert done.rc == 0, done.output
    return done


def states(hosts: dict[str, Host]) -> dict[str, list[str]]:
    """Return what find and sha256sum say of all files that a change could touch."""
    return {name: sorted(host.exec("sh", "-c", LIST).stdout.splitlines()) for name, host in hosts.items()}


def started(host: Host) -> str:
    """Return when systemd started the daemon, and how often it did so by itself."""
    return host.exec("systemctl", "show", "docker", "--property=ActiveEnterTimestampMonotonic,NRestarts").stdout


def curl(host: Host) -> int:
    """Return curl's exit code for the address of the Remote API; 7 is a connection that is refused."""
    return run("curl", "-sk", "-m", "5", "--noproxy", "*", f"https://{host.address}:2376/_ping", check=False).returncode


def test_everything_is_as_it_was_before(hosts: dict[str, Host], controller: Ansible) -> None:
    before = states(hosts)
    play(controller, hosts, SECURE)
    secured, running = states(hosts), {name: started(host) for name, host in hosts.items()}
    assert all(curl(host) != 7 for host in hosts.values())

    look = play(controller, hosts, REMOVE, "--check", "--diff")
    assert states(hosts) == secured
    assert {name: started(host) for name, host in hosts.items()} == running
    for host in hosts.values():
        assert look.result(host, MODULE)["changed"]
        assert look.result(host, MODULE)["restarted"]
    assert "PRIVATE KEY" not in look.output

    done = play(controller, hosts, REMOVE)
    assert states(hosts) == before
    for host in hosts.values():
        checks = {check["name"]: check["ok"] for check in done.result(host, MODULE)["checks"]}
        assert checks == {"port_closed": True}
        assert curl(host) == 7
        assert host.exec("docker", "version", "--format", "{{.Server.Version}}").stdout.strip()
        assert host.exec("systemctl", "show", "docker", "--property=NeedDaemonReload").stdout == "NeedDaemonReload=no\n"
        assert not host.exec("sh", "-c", "ls -A /var/lib/docker-remote-api").stdout
    assert '"log-level": "info"' in hosts["configured"].read(JSON)

    again = play(controller, hosts, REMOVE)
    assert [again.changed(host) for host in hosts.values()] == [0, 0, 0, 0]


def test_what_others_added_stays_and_it_can_be_set_up_again(hosts: dict[str, Host], controller: Ansible) -> None:
    play(controller, hosts, SECURE)
    for name, host in hosts.items():
        host.exec("sed", "-i", 's/^DOCKER_OPTS="/&--label=added=here /', OPTIONS)
        if name == "configured":
            text = json.loads(host.read(JSON))
            host.exec("sh", "-c", f"cat >{JSON}", stdin=json.dumps({**text, "debug": True}))
    play(controller, hosts, REMOVE, docker_remote_api_keep_certificates=True)
    for host in hosts.values():
        assert curl(host) == 7
        process = host.exec("sh", "-c", "tr '\\0' ' ' </proc/$(pidof dockerd)/cmdline").stdout
        assert "tcp://" not in process
        assert "--label=added=here" in host.read(OPTIONS)
        assert "--label=added=here" in process
        assert all(name in host.exec("ls", "/etc/docker").stdout for name in TLS_FILES)
    left = json.loads(hosts["configured"].read(JSON))
    assert (left["dns"], left["debug"], left["log-level"]) == (["1.1.1.1"], True, "info")
    play(controller, hosts, SECURE)
    assert all(curl(host) != 7 for host in hosts.values())


def test_a_daemon_that_does_not_come_up_without_it_keeps_it(hosts: dict[str, Host], controller: Ansible) -> None:
    host = hosts["packaged"]
    before = states({"packaged": host})
    host.exec("sh", "-euc", """
        mv /usr/sbin/dockerd /usr/sbin/dockerd.real
        printf '#!/bin/sh\\ncase " $* " in *tlsverify*|*--help*|*/dev/null/*) ;; *) exit 1;; esac\\nexec %s "$@"\\n' \
            /usr/sbin/dockerd.real >/usr/sbin/dockerd
        chmod 755 /usr/sbin/dockerd
    """)  # fmt: skip
    try:
        done = controller.playbook(REMOVE, [host], variables=VARIABLES)
    finally:
        host.exec("mv", "/usr/sbin/dockerd.real", "/usr/sbin/dockerd")
    assert done.rc != 0
    assert "Put back" in done.output
    assert states({"packaged": host}) == before
    assert curl(host) != 7
