# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layouts that nobody prepared for: distributions' packages, other tools, a swarm. Each works or is refused clearly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration import by_hand
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Ansible, Host, Lab, Run, wait_for
from ansible_collections.dockerfleet.remote_api.tests.integration.test_role_past import failure, secure
from ansible_collections.dockerfleet.remote_api.tests.integration.test_role_ways import (
    PASSPHRASE,
    SECURE,
    info_over_tls,
)
from ansible_collections.dockerfleet.remote_api.tests.lab.lablib.variants import SOCKET, UNIT, VARIANTS

MODULE = "dockerfleet.remote_api.remote_api"
JSON = "/etc/docker/daemon.json"
ACTIVE = "systemctl is-active docker.service"


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> dict[str, Host]:
    """Give two hosts that live through all layouts, with copies of the units as Debian packages them."""
    hosts = lab.hosts({"one": ("bookworm", "docker-io"), "two": ("bookworm", "docker-io")})
    for host in hosts.values():
        host.sh(
            f"mkdir /root/units && cp /{UNIT} /{SOCKET} /root/units/ && cp -a /etc/default/docker /root/units/default"
        )
        host.make_image()
        host.sh("docker create --name kept lab/busybox:1")
    return hosts


def install(host: Host, name: str) -> None:
    """Replace the host's packaging of Docker by a variant's, as if nobody had ever configured it. The data stay."""
    variant = VARIANTS[name]
    host.sh(
        "systemctl stop docker.socket docker.service; systemctl reset-failed docker.socket docker.service\n"
        "rm -rf /etc/docker /etc/default/docker* /etc/sysconfig /etc/systemd/system/docker.service.d\n"
        "mkdir -p /etc/docker; cp /root/units/docker.* /lib/systemd/system/\n"
        "cp -a /root/units/default /etc/default/docker",
        check=False,
    )
    for path in variant.remove:
        host.sh(f"rm -f /{path}")
    for path, text in variant.files.items():
        host.write(f"/{path}", text)
    for path, target in variant.links.items():
        host.sh(f"mkdir -p $(dirname /{path}); [ -e /{path} ] || ln -s {target} /{path}")
    socket = "" if SOCKET in variant.remove else "docker.socket"
    host.sh(f"systemctl daemon-reload; systemctl enable -q docker.service {socket}")
    host.sh(f"systemctl start {socket} docker.service; docker info >/dev/null")


def works(ansible: Ansible, host: Host, **variables: Any) -> dict[str, Any]:
    """Run the role and again, let other programs judge, and return the first run's result."""
    done = secure(ansible, host, **variables)
    assert done.rc == 0, done.output
    assert info_over_tls(ansible, host) == host.name
    assert host.sh("docker ps --all --format '{{.Names}}'").split() == ["kept"]
    again = secure(ansible, host, **variables)
    assert (again.rc, again.changed(host)) == (0, 0), again.output
    return done.result(host, MODULE)


PACKAGES = [
    ("ubuntu", "/etc/default/docker", "DOCKER_OPTS", ["-H", "fd://"]),
    ("rhel", "/etc/sysconfig/docker", "OPTIONS", ["--selinux-enabled", "--log-driver=journald", "overlay2"]),
    ("amazon", "/etc/sysconfig/docker", "OPTIONS", ["--default-ulimit", "nofile=32768:65536"]),
    ("opensuse", "/etc/sysconfig/docker", "DOCKER_OPTS", ["--add-runtime", "oci=/usr/sbin/runc"]),
]


@pytest.mark.parametrize(("variant", "path", "variable", "kept"), PACKAGES, ids=[row[0] for row in PACKAGES])
def test_packages(
    hosts: dict[str, Host], ansible: Ansible, variant: str, path: str, variable: str, kept: list[str]
) -> None:
    host = hosts["one"]
    install(host, variant)
    unit, options = host.read(f"/{UNIT}"), host.read(path)
    result = works(ansible, host, daemon_options={"dns": ["8.8.8.8"]})
    assert (result["options_file"], result["variable"]) == (path, variable)
    assert [word for word in kept if word not in host.argv()] == []
    assert host.argv().count("--dns=8.8.8.8") == 1
    assert host.read(f"/{UNIT}") == unit
    lines = [line for line in options.splitlines() if not line.startswith(f"{variable}=")]
    assert [line for line in host.read(path).splitlines() if not line.startswith(f"{variable}=")] == lines


def test_tls_by_hand_where_the_environment_leads_the_daemon(
    hosts: dict[str, Host], ansible: Ansible, tmp_path: Path
) -> None:
    """No option names a file: RHEL's /etc/sysconfig/docker sets DOCKER_CERT_PATH to the directory that we use, too."""
    host, theirs = hosts["one"], tmp_path / "theirs"
    install(host, "rhel")
    by_hand.make_certificates(theirs, host.name, f"DNS:{host.name},IP:{host.address}")
    for name, source in {"ca": "ca", "cert": "server-cert", "key": "server-key"}.items():
        host.write(f"/etc/docker/{name}.pem", (theirs / f"{source}.pem").read_text(encoding="ascii"))
    words = "-H unix:///var/run/docker.sock -H tcp://0.0.0.0:2376 --tlsverify"
    host.sh("chmod 0600 /etc/docker/key.pem")
    host.sh(f'sed -i "s|^OPTIONS=\'|&{words} |" /etc/sysconfig/docker; systemctl restart docker.service')
    assert by_hand.docker(host, theirs, "info", "--format", "{{.Name}}").stdout.strip() == host.name
    before = host.sh("md5sum /etc/docker/* /etc/sysconfig/docker"), host.starts()

    refused = failure(secure(ansible, host), host)
    assert "/etc/docker/ca.pem: this host already trusts CN=CA made by hand" in refused
    assert (host.sh("md5sum /etc/docker/* /etc/sysconfig/docker"), host.starts()) == before
    works(ansible, host, on_foreign_authority="trust")
    assert {"--tlscacert=/etc/docker/ca.pem", "--tlscert=/etc/docker/cert.pem"} <= set(host.argv())
    assert by_hand.docker(host, theirs, "info", "--format", "{{.Name}}").stdout.strip() == host.name
    assert by_hand.served(host) == by_hand.fingerprint((theirs / "server-cert.pem").read_text(encoding="ascii"))


def test_another_tool_keeps_daemon_json(hosts: dict[str, Host], ansible: Ansible) -> None:
    host = hosts["two"]
    install(host, "docker-ce")
    theirs = {"debug": True, "log-driver": "json-file", "log-opts": {"max-size": "10m"}}
    text = json.dumps(theirs, indent=4, sort_keys=True)
    for turn in range(3):
        host.write(JSON, text)
        host.sh("systemctl restart docker.service")
        done = secure(ansible, host)
        assert (done.rc, done.changed(host) == 0) == (0, turn > 0), done.output
        assert info_over_tls(ansible, host) == host.name
        assert host.read(JSON) == text
        # What the role keeps there, the other tool takes out again.
        kept = secure(ansible, host, live_restore=True)
        assert (kept.rc, kept.result(host, MODULE)["restarted"]) == (0, False), kept.output
        assert json.loads(host.read(JSON)) == {**theirs, "live-restore": True}
        assert host.sh("docker info --format '{{.LiveRestoreEnabled}}'") == "true"


def test_another_role_s_settings_before_and_after_ours(hosts: dict[str, Host], ansible: Ansible) -> None:
    """What users of geerlingguy.docker write for TCP: docker_daemon_options with hosts, and a unit without -H."""
    host = hosts["two"]
    install(host, "docker-ce")
    theirs = {"hosts": ["unix:///var/run/docker.sock", "tcp://0.0.0.0:2375"], "log-opts": {"max-file": "3"}}
    tasks = [
        {"lineinfile": {"path": f"/{UNIT}", "regexp": "^ExecStart=", "line": "ExecStart=/usr/bin/dockerd"}},
        {"copy": {"content": "{{ docker_daemon_options | to_nice_json }}", "dest": JSON, "mode": "0644"}},
        {"systemd_service": {"name": "docker", "state": "restarted", "daemon_reload": True, "enabled": True}},
    ]

    def other_role() -> Run:
        return ansible.playbook(
            [{"hosts": "all", "gather_facts": False, "tasks": tasks}], [host],
            variables={"docker_daemon_options": theirs},
        )  # fmt: skip

    before = other_role()
    assert before.rc == 0, before.output
    host.sh("docker -H tcp://127.0.0.1:2375 version")
    refused = failure(secure(ansible, host), host)
    assert f"{JSON}: set both here and on dockerd's command line" in refused
    assert "hosts (on the command line: " in refused
    host.sh("docker -H tcp://127.0.0.1:2375 version")
    works(ansible, host, on_conflict="move")
    assert json.loads(host.read(JSON)) == {"log-opts": {"max-file": "3"}}
    # Their next run sets hosts in both places, and the daemon does not start: ours says why, and mends that.
    after = other_role()
    assert (after.rc, host.sh(f"{ACTIVE} || true") == "active") == (2, False), after.output
    assert f"{JSON}: set both here and on dockerd's command line" in failure(secure(ansible, host), host)
    works(ansible, host, on_conflict="move")
    assert host.sh(f"ls {JSON}.*") == f"{JSON}.before-remote-api.1"


def test_a_daemon_json_behind_a_link(hosts: dict[str, Host], ansible: Ansible) -> None:
    host = hosts["two"]
    install(host, "docker-ce")
    host.write("/srv/config/docker.json", '{"dns": ["1.1.1.1"], "debug": true}\n')
    host.sh(f"ln -s /srv/config/docker.json {JSON}; systemctl restart docker.service")
    works(ansible, host, on_conflict="move", live_restore=True, daemon_options={"dns": ["8.8.8.8"]})
    assert host.sh(f"readlink {JSON}") == "/srv/config/docker.json"
    assert json.loads(host.read("/srv/config/docker.json")) == {"debug": True, "live-restore": True}
    assert host.sh("docker info --format '{{.LiveRestoreEnabled}}'") == "true"


def test_a_swarm(hosts: dict[str, Host], ansible: Ansible) -> None:
    manager, worker = hosts["two"], hosts["one"]
    for host in (manager, worker):
        install(host, "docker-ce")
    manager.sh(f"docker swarm init --advertise-addr {manager.address}")
    token = manager.sh("docker swarm join-token -q worker")
    worker.sh(f"docker swarm join --token {token} {manager.address}:2377")
    manager.sh(
        "docker service create -d --name web --mode global --stop-signal KILL --no-resolve-image lab/busybox:1 sleep 99"
    )

    def is_whole() -> bool:
        nodes = manager.sh("docker node ls --format '{{.Status}}'", check=False).split()
        running = "docker ps --filter name=web --format '{{.Names}}' | wc -l"
        return nodes == ["Ready", "Ready"] and [host.sh(running) for host in (manager, worker)] == ["1", "1"]

    wait_for(is_whole, "the swarm to run its service on both nodes")
    refused = secure(ansible, manager, live_restore=True)
    assert "live-restore is on and the engine is in a swarm" in failure(refused, manager)
    done = ansible.playbook(SECURE, [manager, worker], variables=PASSPHRASE)
    assert done.rc == 0, done.output
    wait_for(is_whole, "the swarm to be whole again", 120)
    assert [info_over_tls(ansible, host) for host in (manager, worker)] == [manager.name, worker.name]
    again = ansible.playbook(SECURE, [manager, worker], variables=PASSPHRASE)
    assert (again.rc, again.changed(manager), again.changed(worker)) == (0, 0, 0), again.output
    manager.sh("docker service rm web")
    for host in (worker, manager):
        host.sh("docker swarm leave --force; docker ps -aq --filter name=web | xargs -r docker rm -f")


OTHERS = {
    "Docker as a snap": "touch /etc/systemd/system/snap.docker.dockerd.service",
    "a rootless Docker of a user's": "d=/home/ada/.config/systemd/user; mkdir -p $d; touch $d/docker.service",
    "Podman": "touch /usr/bin/podman; printf '#!/bin/sh\\nexec podman \"$@\"\\n' >/usr/bin/docker",
}
AWAY = "rm -rf /etc/systemd/system/snap.docker.dockerd.service /home/ada /usr/bin/podman"


def test_something_else_instead_of_the_engine(hosts: dict[str, Host], ansible: Ansible) -> None:
    """The last layout of this host: it has no engine any more."""
    host = hosts["one"]
    host.sh("systemctl disable -q --now docker.socket docker.service", check=False)
    host.sh(f"rm -rf /{UNIT} /{SOCKET} /usr/bin/docker /etc/docker /etc/systemd/system/docker.service.d", check=False)
    host.sh("systemctl daemon-reload")
    # Debian's and Ubuntu's packages leave their script for SysVinit behind, and systemd makes a unit of it.
    assert "ExecStart= runs /etc/init.d/docker, not dockerd" in failure(secure(ansible, host), host)
    for number, (what, script) in enumerate(OTHERS.items()):
        host.sh(f"{AWAY}; {script}")
        refused = secure(ansible, host)
        assert f"docker.service: this host has {what} instead, and no daemon" in failure(refused, host)
        if number == 0:
            host.sh("rm /etc/init.d/docker; systemctl daemon-reload")
        assert len(set(refused.messages(host))) == 1, refused.messages(host)
    host.sh(AWAY)
    assert "docker.service: systemd knows no such unit on this host. Install" in failure(secure(ansible, host), host)
    assert host.sh("ls /etc/docker /etc/systemd/system/docker.service.d 2>/dev/null || true") == ""
