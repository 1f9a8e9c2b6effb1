# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates on real hosts, from the oldest Python and library to the newest: what they cost, and what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Ansible, Host, Lab, Run, run

PASSPHRASE = "a passphrase that no host may see 0815"
CERTIFICATE = "dockerfleet.remote_api.certificate"
SUITES = ("bullseye", "bookworm", "trixie", "forky")
MODE_OF = {"ca.pem": "444 root:root", "server-cert.pem": "444 root:root", "server-key.pem": "400 root:root"}

# Judges that are no part of the project: the host's own openssl, and its own Python as a strict client and server.
STRICT_TALK = """
import socket, ssl, threading
flags = ssl.VERIFY_X509_STRICT
server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
server.load_cert_chain("/etc/docker/server-cert.pem", "/etc/docker/server-key.pem")
client = ssl.create_default_context(cafile="/etc/docker/ca.pem")
client.verify_flags |= flags
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    with server.wrap_socket(listener.accept()[0], server_side=True) as secure:
        secure.sendall(secure.recv(10))
threading.Thread(target=serve, daemon=True).start()
with client.wrap_socket(socket.create_connection(listener.getsockname()), server_hostname="localhost") as secure:
    secure.sendall(b"ping")
    print(secure.recv(10).decode())
"""


@dataclass(frozen=True)
class Fleet:
    """Hosts of each suite, and Ansible with its inventory and authority on the controller."""

    hosts: dict[str, Host]
    ansible: Ansible

    @property
    def pki(self) -> Path:
        """The authority's directory on the controller."""
        return self.ansible.directory / "pki"

    def play(self, *arguments: str, only: str | None = None, **options: Any) -> Run:
        """Make sure of the authority and of the hosts' certificates, with more options of the latter."""
        task = {
            "usage": "server",
            "names": ["{{ inventory_hostname }}", "{{ ansible_host }}", "localhost", "127.0.0.1"],
            "directory": "/etc/docker",
            "ca_path": str(self.pki),
            "ca_passphrase": PASSPHRASE,
            "service": "docker",
            **options,
        }
        authority = {"path": str(self.pki), "passphrase": PASSPHRASE}
        tasks = [
            {"dockerfleet.remote_api.certificate_authority": authority, "run_once": True},
            {CERTIFICATE: task},
        ]
        hosts = [self.hosts[only]] if only else list(self.hosts.values())
        return self.ansible.playbook(
            [{"hosts": "docker_hosts", "gather_facts": False, "tasks": tasks}], hosts, *arguments
        )

    def modules(self) -> dict[str, int]:
        """Return how many modules each host has run since it booted, by its own journal."""
        command = "journalctl --no-pager --output=cat | grep --count 'ansible-.*Invoked with\\|^Invoked with' || true"
        return {suite: int(host.sh(command) or 0) for suite, host in self.hosts.items()}


@pytest.fixture(scope="module")
def fleet(lab: Lab, module_ansible: Ansible) -> Fleet:
    """Give hosts of all suites, on which nothing was done yet."""
    found = Fleet(lab.hosts({f"c-{suite}": (suite, "docker-io") for suite in SUITES}), module_ansible)
    return Fleet({host.suite: host for host in found.hosts.values()}, module_ansible)


@pytest.fixture(scope="module")
def secured(fleet: Fleet) -> Fleet:
    """Give the hosts with certificates."""
    made = fleet.play()
    assert made.rc == 0, made.output
    return fleet


def content(host: Host) -> str:
    """Return names, modes, owners and hashes of all files of the host that are in question."""
    return host.sh(
        "cd /etc/docker 2>/dev/null && for f in *.pem*; do stat -c '%n %a %U:%G' $f; sha256sum $f; done; true"
    )


def test_check_run_run_again(fleet: Fleet) -> None:
    start = fleet.modules()
    foreseen = fleet.play("--check", "--diff", "-vvvv")
    assert foreseen.rc == 0, foreseen.output
    assert {host.suite: content(host) for host in fleet.hosts.values()} == dict.fromkeys(SUITES, "")
    assert not fleet.pki.exists()
    checked = fleet.modules()
    made = fleet.play("--diff", "-vvvv")
    assert made.rc == 0, made.output
    issued = fleet.modules()
    before = {suite: content(host) for suite, host in fleet.hosts.items()}
    again = fleet.play("--diff", "-vvvv")
    assert again.rc == 0, again.output
    for suite, host in fleet.hosts.items():
        assert foreseen.result(host, CERTIFICATE)["issued"]
        assert made.result(host, CERTIFICATE)["issued"]
        assert again.changed(host) == 0
        assert content(host) == before[suite]
        assert {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in before[suite].splitlines()[::2]} == MODE_OF
    # One round trip to look, one more for a certificate.
    assert {suite: count - start[suite] for suite, count in checked.items()} == dict.fromkeys(SUITES, 1)
    assert {suite: count - checked[suite] for suite, count in issued.items()} == dict.fromkeys(SUITES, 2)
    assert {suite: count - issued[suite] for suite, count in fleet.modules().items()} == dict.fromkeys(SUITES, 1)
    for played in (foreseen, made, again):
        assert PASSPHRASE not in played.output
        assert "PRIVATE KEY" not in played.output


def test_the_hosts_own_programs_accept_the_certificates(secured: Fleet) -> None:
    for suite, host in secured.hosts.items():
        verified = host.sh(
            "cd /etc/docker && openssl verify -x509_strict -purpose sslserver -CAfile ca.pem server-cert.pem"
        )
        assert verified == "server-cert.pem: OK", suite
        assert host.exec("python3", "-c", STRICT_TALK).stdout == "ping\n", suite


def test_no_secret_crosses_over(secured: Fleet) -> None:
    secrets = [
        line for line in (secured.pki / "ca-key.pem").read_text(encoding="ascii").splitlines() if "-----" not in line
    ]
    for host in secured.hosts.values():
        for secret in (PASSPHRASE, secrets[1]):
            found = host.exec(
                "grep", "-rlsF", "--", secret, "/etc", "/root", "/tmp", "/var/tmp", "/var/log", "/run", check=False
            )
            assert found.stdout == ""
        journal = host.exec("journalctl", "--no-pager", "--output=cat").stdout
        assert PASSPHRASE not in journal
        assert "PRIVATE KEY" not in journal
        key = host.sh("sed -n 2p /etc/docker/server-key.pem")
        assert run("grep", "-rlF", "--", key, secured.ansible.directory, check=False).stdout == ""


@pytest.mark.parametrize("suite", ["bullseye", "forky"])
def test_renewal_keeps_the_key_and_rekey_does_not(secured: Fleet, suite: str) -> None:
    host = secured.hosts[suite]
    key = host.read("/etc/docker/server-key.pem")
    renewed = secured.play(only=suite, days=400, renew_before_days=370)
    assert renewed.result(host, CERTIFICATE)["reasons"][0].startswith("it has less than 370 days left")
    assert host.read("/etc/docker/server-key.pem") == key
    rekeyed = secured.play(only=suite, rekey=True, key_type="ed25519")
    assert rekeyed.result(host, CERTIFICATE)["issued"]
    assert host.read("/etc/docker/server-key.pem") != key
    assert host.sh("cd /etc/docker && ls *.pem*") == "ca.pem\nserver-cert.pem\nserver-key.pem"
    assert secured.play(only=suite, key_type="ed25519").changed(host) == 0
    host.sh("cd /etc/docker && openssl x509 -in server-cert.pem -noout -pubkey > /tmp/a")
    host.sh("openssl pkey -in /etc/docker/server-key.pem -pubout | cmp - /tmp/a")


FAULTS = {
    # What is mounted somewhere cannot be renamed, nor replaced.
    "mount on the certificate": (
        "mount --bind /etc/docker/server-cert.pem /etc/docker/server-cert.pem",
        "umount /etc/docker/server-cert.pem",
    ),
    "mount on the key": (
        "mount --bind /etc/docker/server-key.pem /etc/docker/server-key.pem",
        "umount /etc/docker/server-key.pem",
    ),
    "read-only directory": (
        "mount --bind /etc/docker /etc/docker && mount -o remount,bind,ro /etc/docker",
        "umount /etc/docker",
    ),
    "full disk": (
        """cp -a /etc/docker /root/kept
        mount -t tmpfs -o size=24k none /etc/docker
        cp -a /root/kept/. /etc/docker/
        cat /dev/zero > /etc/docker/fill || true""",
        "rm /etc/docker/fill && umount /etc/docker && rm -r /root/kept",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_leaves_the_old_pair_and_the_next_run_converges(secured: Fleet, fault: str) -> None:
    host = secured.hosts["trixie"]
    before = content(host)
    start, end = FAULTS[fault]
    host.sh(start)
    try:
        failed = secured.play(only="trixie", rekey=True)
        assert failed.rc == 2, failed.output
        assert "/etc/docker" in failed.messages(host)[0]
        kept = [line for line in content(host).splitlines() if ".new" not in line]
        assert kept == before.splitlines()
    finally:
        host.sh(end)
    good = secured.play(only="trixie", rekey=True)
    assert good.rc == 0, good.output
    assert host.sh("cd /etc/docker && ls *.pem*") == "ca.pem\nserver-cert.pem\nserver-key.pem"
    assert secured.play(only="trixie").changed(host) == 0


def test_a_host_without_docker_is_left_alone(secured: Fleet) -> None:
    host = secured.hosts["bookworm"]
    before = content(host)
    failed = secured.play(only="bookworm", service="no-such-docker", rekey=True)
    assert failed.messages(host)[0].startswith("no-such-docker")
    assert content(host) == before


def test_an_authority_made_by_hand_serves_old_and_new_hosts(secured: Fleet, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(PASSPHRASE, encoding="utf-8")
    path = tmp_path / "by-hand"
    path.mkdir()
    run("openssl", "genrsa", "-des3", "-traditional", "-passout", f"file:{secret}", "-out", path / "ca-key.pem", "2048")
    run(
        "openssl", "req", "-new", "-x509", "-days", "365", "-key", path / "ca-key.pem", "-passin", f"file:{secret}",
        "-subj", "/CN=By hand", "-out", path / "ca.pem",
    )  # fmt: skip
    moved = secured.play(ca_path=str(path))
    assert moved.rc == 0, moved.output
    for suite, host in secured.hosts.items():
        assert any("another authority" in reason for reason in moved.result(host, CERTIFICATE)["reasons"]), suite
        assert host.sh("cd /etc/docker && openssl verify -CAfile ca.pem server-cert.pem") == "server-cert.pem: OK"
    again = secured.play(ca_path=str(path))
    assert [again.changed(host) for host in secured.hosts.values()] == [0] * len(SUITES)
