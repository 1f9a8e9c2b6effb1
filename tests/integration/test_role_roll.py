# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet in one run: a canary first, hosts that fail or are away, hooks around restarts, several CAs, odd names."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Ansible, Host, Lab, run

SECURE = "dockerfleet.remote_api.secure"
PASSPHRASE = {"docker_remote_api_ca_passphrase": "a passphrase for tests"}
DEAD = {"0-dead": {"ansible_host": "127.0.0.9", "ansible_port": 9}}
FILES = (
    "cd /etc && find docker default/docker systemd/system/docker.service.d -type f -exec md5sum {} + 2>/dev/null | sort"
)
HOOK = "echo {word} $(systemctl show --property MainPID --value docker.service) >> /run/hooks"


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> dict[str, Host]:
    """Give hosts of their own to the tests, booted together."""
    return lab.hosts(
        {
            "canary": ("bookworm", "docker-io"),
            "second": ("trixie", "docker-ce"),
            "third": ("bookworm", "docker-ce"),
            "hooked": ("bookworm", "docker-io"),
            "group-1": ("bookworm", "docker-io"),
            "group-2": ("bookworm", "docker-ce"),
            "mixed": ("bookworm", "docker-io"),
        }
    )


def refuse_options(host: Host, pattern: str, how: str = "false") -> None:
    """Make the engine of the host fail to start with options that match the pattern, or do something else first."""
    unit = f"[Service]\nExecStartPre=/bin/sh -c '! grep -q -e {pattern} /etc/default/docker || {how}'\n"
    host.write("/etc/systemd/system/docker.service.d/00-refuse.conf", unit)
    host.sh("systemctl daemon-reload")


def accept_options(host: Host) -> None:
    """Take back what refuse_options did."""
    host.sh("rm /etc/systemd/system/docker.service.d/00-refuse.conf && systemctl daemon-reload")


def info(host: Host, client: Path) -> str:
    """Return the engine's name as it tells curl over TLS with the certificate of a client."""
    words = ("--cacert", client / "ca.pem", "--cert", client / "cert.pem", "--key", client / "key.pem")
    said = run("curl", "-sS", "-m", "10", "--noproxy", "*", *words, f"https://{host.address}:2376/info").stdout
    names: list[str] = re.findall(r'"Name":"([^"]*)"', said)
    return names[-1]


def test_a_failing_canary_stops_the_roll_and_the_others_are_named(hosts: dict[str, Host], ansible: Ansible) -> None:
    canary, others = hosts["canary"], [hosts["second"], hosts["third"]]
    refuse_options(canary, "tlsverify")
    before = {host.name: (host.sh(FILES), host.starts()) for host in others}
    stopped = ansible.playbook(SECURE, [canary, *others], variables=PASSPHRASE)
    assert stopped.rc == 2, stopped.output
    assert f"Not changed yet: {others[0].name}, {others[1].name}." in " ".join(stopped.messages(canary))
    assert {host.name: (host.sh(FILES), host.starts()) for host in others} == before
    assert canary.sh("systemctl is-active docker") == "active"
    assert not any("--tlsverify" in host.argv() for host in (canary, *others))
    accept_options(canary)


def test_a_host_that_is_away_or_fails_keeps_nobody_from_going_on(hosts: dict[str, Host], ansible: Ansible) -> None:
    canary, second, third = hosts["canary"], hosts["second"], hosts["third"]
    canary.write("/etc/docker/daemon.json", "{\n")
    all_three = [canary, second, third]
    done = ansible.playbook(SECURE, all_three, variables=PASSPHRASE, host_variables=DEAD)
    assert done.rc != 0
    assert done.recap["0-dead"]["unreachable"] == 1
    assert done.recap[canary.name]["failures"] == 1
    left_out = re.search(r"Failed or not reached: ([^.]*)\.", done.stdout)
    assert left_out, done.stdout
    assert set(left_out[1].split(", ")) == {"0-dead", canary.name}, done.stdout
    client = ansible.directory / ".docker_remote_api/clients/admin"
    assert {info(host, client) for host in (second, third)} == {second.name, third.name}
    assert "--tlsverify" not in canary.argv()
    canary.sh("rm /etc/docker/daemon.json")
    starts = second.starts(), third.starts()
    rest = ansible.playbook(SECURE, all_three, variables=PASSPHRASE)
    assert rest.rc == 0, rest.output
    assert info(canary, client) == canary.name
    assert (rest.changed(second), rest.changed(third), second.starts(), third.starts()) == (0, 0, *starts)


def write_hooks(directory: Path, *, fail: bool = False) -> None:
    """Write the task files before.yml and after.yml, which note on the host that they ran and with which engine."""
    stop = "- ansible.builtin.fail: {msg: not drained}\n" if fail else ""
    for word, more in (("before", stop), ("after", "")):
        task = f"- ansible.builtin.shell: '{HOOK.format(word=word)}'\n"
        (directory / f"{word}.yml").write_text(task + more, encoding="ascii")


def test_hooks_run_around_a_restart_that_is_due(hosts: dict[str, Host], ansible: Ansible) -> None:
    host = hosts["hooked"]
    hooks = {"docker_remote_api_before_restart": "before.yml", "docker_remote_api_after_restart": "after.yml"}
    variables: dict[str, Any] = {**PASSPHRASE, **hooks}

    def hooks_run() -> list[str]:
        words = host.sh("cat /run/hooks 2>/dev/null; rm -f /run/hooks").split()
        return words[::2] if words[1::2] and words[1] != words[-1] else [f"{word} same engine" for word in words[::2]]

    files, starts = host.sh(FILES), host.starts()
    write_hooks(ansible.directory, fail=True)
    refused = ansible.playbook(SECURE, [host], variables=variables)
    assert (refused.rc, host.sh(FILES), host.starts()) == (2, files, starts), refused.output
    assert "not drained" in " ".join(refused.messages(host))
    assert hooks_run() == ["before same engine", "after same engine"]
    write_hooks(ansible.directory)
    done = ansible.playbook(SECURE, [host], variables=variables)
    assert (done.rc, hooks_run()) == (0, ["before", "after"]), done.output
    again = ansible.playbook(SECURE, [host], variables=variables)
    assert (again.rc, again.changed(host), hooks_run()) == (0, 0, []), again.output
    alone = [{"hosts": "all", "gather_facts": False, "roles": ["dockerfleet.remote_api.docker_remote_api"]}]
    by_role = ansible.playbook(alone, [host], variables=variables)
    assert (by_role.rc, by_role.changed(host), hooks_run()) == (0, 0, []), by_role.output
    refuse_options(host, "debug", "sleep 60")
    due = {"docker_remote_api_daemon_options": {"debug": True}, "docker_remote_api_timeout": 2}
    undone = ansible.playbook(alone, [host], variables={**variables, **due})
    assert (undone.rc, hooks_run()) == (2, ["before", "after"]), undone.output
    assert "did not report that it was ready within 2 seconds" in " ".join(undone.messages(host))
    assert "debug" not in host.read("/etc/default/docker")
    accept_options(host)


def test_a_ca_for_each_group_and_names_that_are_no_dns_names(hosts: dict[str, Host], ansible: Ansible) -> None:
    machines = {"web/1": hosts["group-1"], "My Server": hosts["group-2"]}
    lab = Lab.inventory([host.name for host in machines.values()])["docker_hosts"]
    listed = {}
    for number, (name, host) in enumerate(machines.items()):
        listed[name] = {
            **lab["hosts"][host.name],
            "docker_remote_api_pki_dir": str(ansible.directory / f".ca-{number}"),
            "docker_remote_api_ca_passphrase": f"passphrase {number}",
            "docker_remote_api_listen": [f"tcp://{host.address}:2376"],
            "docker_remote_api_clients": [{"name": f"client-{number}"}],
        }
    # ansible_become in an inventory outranks "become: false", and the controller has no other user to become.
    path = ansible.directory / "bin"
    path.mkdir()
    (path / "su").write_text(f"#!/bin/sh\ntouch {path}/called\nexit 1\n", encoding="ascii")
    (path / "su").chmod(0o755)
    variables = {**lab["vars"], "ansible_become": True, "ansible_become_method": "su"}
    python = Path(ansible.environment()["PATH"].split(os.pathsep)[0])
    environment = {"PATH": f"{path}{os.pathsep}{python}{os.pathsep}{os.environ['PATH']}"}
    done = ansible.playbook(SECURE, [], variables=variables, host_variables=listed, env=environment)
    assert done.rc == 0, done.output
    assert not (path / "called").exists()
    for number, (name, host) in enumerate(machines.items()):
        ca = ansible.directory / f".ca-{number}"
        assert [entry.name for entry in (ca / "clients").iterdir()] == [f"client-{number}"]
        assert info(host, ca / f"clients/client-{number}") == host.name
        assert host.read("/etc/docker/ca.pem") == (ca / "ca.pem").read_text(encoding="ascii")
        names = host.sh("openssl x509 -noout -ext subjectAltName -in /etc/docker/server-cert.pem")
        assert f"IP Address:{host.address}" in names
        assert name not in names
        assert " ".join(done.output.split()).count(f"{name}: this name is no DNS name") == 1
        assert {file.stat().st_uid for file in ca.rglob("*")} == {os.getuid()}
    again = ansible.playbook(SECURE, [], variables=variables, host_variables=listed, env=environment)
    assert (again.rc, {again.changed(name) for name in machines}) == (0, {0}), again.output


def test_a_first_host_without_tls_keeps_no_other_from_its_certificate(hosts: dict[str, Host], ansible: Ansible) -> None:
    plain, other = hosts["mixed"], hosts["third"]
    other.sh("rm -f /etc/docker/*.pem")
    without = {plain.name: {"docker_remote_api_tls": False}}
    done = ansible.playbook(SECURE, [plain, other], variables=PASSPHRASE, host_variables=without)
    assert done.rc == 0, done.output
    assert plain.sh("curl -sS http://127.0.0.1:2375/_ping") == "OK"
    assert info(other, ansible.directory / ".docker_remote_api/clients/admin") == other.name
    files = plain.sh(FILES)
    checked = ansible.playbook(SECURE, [plain], "--check", "--diff", variables=PASSPHRASE)
    assert (checked.rc, checked.changed(plain)) == (0, 1), checked.output
    assert plain.sh(FILES) == files


def test_text_stands_for_lists_and_mappings(hosts: dict[str, Host], ansible: Ansible) -> None:
    host = hosts["mixed"]
    words = (
        'docker_remote_api_daemon_options={"dns":["8.8.8.8"]}',
        'docker_remote_api_clients=[{"name":"ada"}]',
        'docker_remote_api_server_names=["text.example.com"]',
        'docker_remote_api_listen=["tcp://0.0.0.0:2376"]',
        "docker_remote_api_serial=[1,'50%']",
    )
    arguments = [part for word in words for part in ("-e", word)]
    done = ansible.playbook(SECURE, [host], *arguments, variables=PASSPHRASE)
    assert done.rc == 0, done.output
    assert "--dns=8.8.8.8" in host.argv()
    assert "DNS:text.example.com" in host.sh("openssl x509 -noout -ext subjectAltName -in /etc/docker/server-cert.pem")
    assert info(host, ansible.directory / ".docker_remote_api/clients/ada") == host.name
    alone = [{"hosts": "all", "gather_facts": False, "roles": ["dockerfleet.remote_api.docker_remote_api"]}]
    again = ansible.playbook(alone, [host], *arguments, variables=PASSPHRASE)
    assert (again.rc, again.changed(host)) == (0, 0), again.output


def test_the_ca_is_found_however_the_hosts_are_named(hosts: dict[str, Host], ansible: Ansible) -> None:
    """Hosts of -i NAME, and of add_host lie in no directory; Ansible parses each file in a directory of inventories."""
    host, pki = hosts["mixed"], ansible.directory / ".docker_remote_api"
    lab = Lab.inventory([host.name])["docker_hosts"]
    known = {**lab["vars"], **lab["hosts"][host.name], **PASSPHRASE}
    replace = {"target": "all", "docker_remote_api_on_foreign_authority": "replace"}
    named = ansible.playbook(SECURE, (), "-e", json.dumps({**known, **replace}), inventory=f"{host.name},")
    assert named.rc == 0, named.output
    assert info(host, pki / "clients/admin") == host.name
    add = {"ansible.builtin.add_host": {"name": host.name, "groups": "docker_hosts", **known}}
    first: dict[str, Any] = {"hosts": "localhost", "gather_facts": False, "tasks": [add]}
    added = ansible.playbook([first, {"import_playbook": SECURE}])
    assert (added.rc, added.changed(host)) == (0, 0), added.output
    listed = ansible.directory / "inventories"
    listed.mkdir()
    pki.rename(listed / pki.name)
    (listed / "hosts.json").write_text(json.dumps({"docker_hosts": {"hosts": {host.name: known}}}), encoding="utf-8")
    strictly = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true", "ANSIBLE_INVENTORY_UNPARSED_WARNING": None}
    parsed = ansible.playbook(SECURE, inventory=str(listed), env=strictly)
    assert (parsed.rc, parsed.changed(host)) == (0, 0), parsed.output
    assert "WARNING" not in parsed.output
    assert not pki.exists()
