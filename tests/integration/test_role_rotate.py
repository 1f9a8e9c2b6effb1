# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A new CA for hosts in use, while clients call them: planned, with a host that is away, and for a stolen key."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.by_hand import Caller, curl, docker
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Ansible, Host, Lab, Run, run

SECURE = "dockerfleet.remote_api.secure"
ROTATE = "dockerfleet.remote_api.rotate_authority"
RETIRE = ("-e", "phase=retire")
VARIABLES = {"docker_remote_api_ca_passphrase": "a passphrase for tests"}
CLIENTS = {"docker_remote_api_clients": [{"name": "admin"}, {"name": "forgotten"}]}
# Nothing answers there, and no connection that is still open is used.
AWAY = {"ansible_host": "127.0.0.9", "ansible_port": 9, "ansible_control_path": "none"}


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> list[Host]:
    """Give two hosts of their own to the tests, booted together."""
    return list(lab.hosts({"here": ("bullseye", "docker-io"), "asleep": ("forky", "docker-ce")}).values())


def starts(host: Host) -> int:
    """Return how often the engine was started since the host booted, by the journal."""
    return int(host.sh("journalctl --no-pager --output=cat --unit=docker.service | grep --count '^Started '"))


def said(done: Run) -> str:
    """Return what the run printed before its recap, on one line."""
    return " ".join(done.stdout.partition("PLAY RECAP")[0].split())


def foreseen(ansible: Ansible, hosts: list[Host], *words: str) -> str:
    """Return what check mode says of a phase, after a look at that it changes nothing."""

    def everything() -> list[object]:
        pki = ansible.directory / ".docker_remote_api"
        files = {path: path.read_bytes() for path in sorted(pki.rglob("*")) if path.is_file()}
        return [files, *((host.sh("md5sum /etc/docker/* /etc/default/docker"), starts(host)) for host in hosts)]

    before = everything()
    done = ansible.playbook(ROTATE, hosts, "--check", *words, variables=VARIABLES)
    assert done.rc == 0, done.output
    assert everything() == before
    return said(done)


def let_in(host: Host, client: Path) -> bool:
    """Return whether both curl and the docker client get an answer; fail if they differ."""
    by_curl = curl(host, client).stdout == "OK"
    by_docker = docker(host, client, "info", "--format", "{{.Name}}")
    assert (by_docker.returncode == 0) == by_curl, by_docker.stderr
    return by_curl


def issued_by(certificate: str, authority: Path) -> bool:
    """Return whether openssl accepts the certificate by the one CA in the file."""
    words = ("openssl", "verify", "-x509_strict", "-partial_chain", "-CAfile", str(authority))
    return run(*words, stdin=certificate, check=False).returncode == 0


@contextlib.contextmanager
def calling(hosts: list[Host], *clients: Path) -> Iterator[list[Caller]]:
    """Have each client call each host all the time."""
    callers = [Caller(host, client) for host in hosts for client in clients]
    with contextlib.ExitStack() as stack:
        for caller in callers:
            stack.enter_context(caller)
        yield callers


def test_a_planned_replacement_locks_nobody_out_and_restarts_each_host_twice(
    hosts: list[Host], module_ansible: Ansible, tmp_path: Path
) -> None:
    here, asleep = hosts
    pki = module_ansible.directory / ".docker_remote_api"
    # Nobody lists the client forgotten after the first run.
    admin, forgotten, old = pki / "clients/admin", pki / "clients/forgotten", tmp_path / "old"
    first = module_ansible.playbook(SECURE, hosts, variables={**VARIABLES, **CLIENTS})
    assert first.rc == 0, first.output
    before = [starts(host) for host in hosts]
    old_ca = Path(shutil.copy(pki / "ca.pem", tmp_path / "old-ca.pem"))

    def restarts() -> list[int]:
        return [starts(host) - number for host, number in zip(hosts, before, strict=True)]

    def rotate(*words: str, away: bool = False) -> Run:
        less = {asleep.name: AWAY} if away else {}
        return module_ansible.playbook(ROTATE, hosts, *words, variables=VARIABLES, host_variables=less)

    def foresee(*words: str) -> str:
        return foreseen(module_ansible, hosts, *words)

    end = f"restarted once, in batches: {here.name}, {asleep.name}."
    assert f"from the state none to hosts. Then each of these hosts would be {end}" in foresee()
    assert "from the state none to hosts. No host would be changed yet." in foresee("-e", "phase=start")
    assert rotate("-e", "phase=start").rc == 0
    # A client on another machine, to whom ca.pem is handed out by now.
    shutil.copytree(admin, old)
    with calling(hosts, admin, forgotten, old) as callers:
        assert "stays in the state hosts." in foresee()
        begun = rotate(away=True)
        assert begun.recap[asleep.name]["unreachable"] == 1, begun.output
        assert f"Not moved yet: {asleep.name}." in said(begun)
        assert restarts() == [1, 0]
        assert [issued_by(host.read("/etc/docker/server-cert.pem"), old_ca) for host in hosts] == [False, True]
        refused = rotate(*RETIRE, away=True)
        assert refused.rc == 2
        assert f": server {asleep.name} (until " in " ".join(refused.messages(here))
        assert (pki / "ca-key.next.pem").exists()

        caught_up = rotate()
        assert caught_up.rc == 0, caught_up.output
        assert "run this again with -e phase=retire" in said(caught_up)
        assert restarts() == [1, 1]
        assert not issued_by(asleep.read("/etc/docker/server-cert.pem"), old_ca)
        assert not issued_by((admin / "cert.pem").read_text(), old_ca)
        assert issued_by((old / "cert.pem").read_text(), old_ca)
        assert [let_in(host, client) for host in hosts for client in (admin, forgotten, old)] == [True] * 6
        plain = module_ansible.playbook(SECURE, hosts, variables=VARIABLES)
        assert (plain.rc, *(plain.changed(host) for host in hosts)) == (0, 0, 0), plain.output
        refused = rotate(*RETIRE)
        assert refused.rc == 2
        (message,) = {text for text in refused.messages(here) if "client forgotten (until " in text}
        assert "server" not in message.partition("have no certificate of the new CA yet")[2].partition("Run")[0]
        assert restarts() == [1, 1]
    for caller in callers:
        assert caller.turned_away == []
        assert caller.answers > len(caller.refusals)

    (file,) = {word.strip(",).;") for word in message.split() if "/issued/" in word}
    Path(file).unlink()
    assert f"from the state clients to retired. Then each of these hosts would be {end}" in foresee(*RETIRE)
    with calling(hosts, admin) as callers:
        retired = rotate(*RETIRE)
        assert retired.rc == 0, retired.output
        assert "No host trusts the old CA any more" in said(retired)
    assert [caller.turned_away for caller in callers] == [[], []]
    assert restarts() == [2, 2]
    for host in hosts:
        checks = {one["name"]: one["ok"] for one in retired.result(host, "dockerfleet.remote_api.remote_api")["checks"]}
        assert checks["retired_certificate_refused"] is True
        assert [let_in(host, client) for client in (admin, old)] == [True, False]
        assert host.read("/etc/docker/ca.pem") == (pki / "ca.pem").read_text()
    assert sorted(one.name for one in pki.glob("*.pem")) == ["ca-key.pem", "ca.pem"]


def test_a_stolen_key_opens_no_host_but_those_that_are_named_at_the_end(
    hosts: list[Host], module_ansible: Ansible, tmp_path: Path
) -> None:
    broken, fine = hosts
    pki = module_ansible.directory / ".docker_remote_api"
    admin, thief = pki / "clients/admin", tmp_path / "thief"
    shutil.copytree(admin, thief)
    gone = {
        "usage": "server", "names": ["gone.example.com"], "directory": str(tmp_path / "gone"), "run_on": "controller",
        "ca_path": str(pki), "ca_passphrase": VARIABLES["docker_remote_api_ca_passphrase"],
    }  # fmt: skip
    task = {"dockerfleet.remote_api.certificate": gone}
    assert module_ansible.playbook([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]).rc == 0
    before = [starts(host) for host in hosts]
    assert "from the state none to retired. Then each of these" in foreseen(module_ansible, hosts, "-e", "phase=now")
    # The first host of all, whose failure would stop a roll of another kind.
    digest = broken.sh("md5sum < /etc/docker/ca.pem")
    refusing = "/etc/systemd/system/docker.service.d/00-refuse.conf"
    check = f"md5sum < /etc/docker/ca.pem | grep -q {digest.split()[0]}"
    broken.write(refusing, f"[Service]\nExecStartPre=/bin/sh -c '{check}'\n")
    broken.sh("systemctl daemon-reload")

    dropped = module_ansible.playbook(
        ROTATE, hosts, "-e", "phase=now", variables=VARIABLES, host_variables={"away": AWAY}
    )
    assert dropped.rc != 0
    end = f"so that they still trust the stolen key: away, {broken.name}. Take them off the network"
    assert end in said(dropped)[-600:]
    assert curl(broken, thief).stdout == "OK"
    # What the thief trusts is not what shuts it out.
    shutil.copy(admin / "ca.pem", thief / "ca.pem")
    assert [let_in(fine, client) for client in (admin, thief)] == [True, False]

    # The other host is ours although it trusts another CA: the next run of any kind moves it.
    broken.sh(f"rm {refusing} && systemctl daemon-reload")
    mended = module_ansible.playbook(SECURE, hosts, variables=VARIABLES)
    assert (mended.rc, mended.changed(fine)) == (0, 0), mended.output
    assert [let_in(broken, client) for client in (admin, thief)] == [True, False]
    assert (pki / "ca-key.previous.pem").exists()
    waiting = module_ansible.playbook(ROTATE, hosts, "-e", "phase=now", variables=VARIABLES)
    assert waiting.rc == 2, waiting.output
    (message,) = waiting.messages(broken)
    assert ": server gone.example.com (until " in message
    (file,) = {word.strip(",).;") for word in message.split() if "/issued/" in word}
    Path(file).unlink()
    done = module_ansible.playbook(ROTATE, hosts, "-e", "phase=now", variables=VARIABLES)
    assert done.rc == 0, done.output
    assert "It has been replaced." in said(done)
    assert sorted(one.name for one in pki.glob("*.pem")) == ["ca-key.pem", "ca.pem"]
    # The one that failed was started again with its old files, and then with the new ones.
    assert [starts(host) - number for host, number in zip(hosts, before, strict=True)] == [2, 1]
