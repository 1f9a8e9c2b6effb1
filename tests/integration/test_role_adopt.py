# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts with TLS made by hand, with openssl and DOCKER_OPTS: refused, taken over, replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration import by_hand
from ansible_collections.dockerfleet.remote_api.tests.integration.by_hand import Caller, curl, docker, served
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Ansible, Host, Lab, Run

SECURE, REMOVE = "dockerfleet.remote_api.secure", "dockerfleet.remote_api.remove"
PASSPHRASE = {"docker_remote_api_ca_passphrase": "a passphrase for tests"}
TRUST = ("-e", "docker_remote_api_on_foreign_authority=trust")
REPLACE = ("-e", "docker_remote_api_on_foreign_authority=replace")
FILES = (
    "cd /etc && find docker default/docker systemd/system/docker.service.d -type f"
    " -exec md5sum {} + -printf '%p %u %g %m %T@\\n' 2>/dev/null | sort"
)


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> dict[str, Host]:
    """Give hosts of their own to the tests, booted together."""
    return lab.hosts({"hand": ("bookworm", "docker-io"), "other": ("trixie", "docker-ce")})


def names_of(host: Host) -> str:
    """Return what a certificate made by hand says of the host."""
    return f"DNS:{host.name},IP:{host.address}"


def state(host: Host) -> tuple[str, str]:
    """Return the host's files, with times, and which daemon runs."""
    return host.sh(FILES), host.starts()


def tree(path: Path) -> dict[str, bytes]:
    """Return the files below the path with their bytes."""
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def unchanged(run: Run, host: Host) -> bool:
    """Return whether the run did well and changed nothing."""
    return (run.rc, run.changed(host)) == (0, 0)


def test_from_hand_made_tls_to_ours_without_cutting_off_a_client(
    hosts: dict[str, Host], ansible: Ansible, tmp_path: Path
) -> None:
    host, pki = hosts["hand"], ansible.directory / ".docker_remote_api"
    hand = by_hand.make_certificates(tmp_path / "hand", host.name, names_of(host))
    by_hand.install(host, hand)
    theirs = by_hand.fingerprint((hand / "server-cert.pem").read_text())
    authority = by_hand.fingerprint((hand / "ca.pem").read_text())
    assert docker(host, hand, "info", "--format", "{{.Name}}").stdout.strip() == host.name
    before = state(host)

    refused = ansible.playbook(SECURE, [host], variables=PASSPHRASE)
    said = " ".join(refused.messages(host))
    assert refused.rc == 2
    assert all(word in said for word in ("/etc/docker/ca.pem", "CN=CA made by hand", authority, str(pki))), said
    assert all(word in said for word in ("trust", "replace")), said
    assert state(host) == before
    assert not pki.exists()

    with Caller(host, hand) as caller:
        looked = ansible.playbook(SECURE, [host], "--check", "--diff", *TRUST, variables=PASSPHRASE)
        assert (looked.rc, looked.changed(host), state(host)) == (0, 1, before), looked.output
        assert not pki.exists()
        taken = ansible.playbook(SECURE, [host], "--diff", *TRUST, variables=PASSPHRASE)
        assert taken.rc == 0, taken.output
        later = [ansible.playbook(SECURE, [host], *words, variables=PASSPHRASE) for words in ((), TRUST, ("--check",))]
        assert all(unchanged(run, host) for run in later), later[0].output
    assert caller.turned_away == []
    times = [when for when, _why in caller.refusals]
    assert not times or times[-1] - times[0] < 20, caller.refusals  # the one restart
    assert caller.answers > 20
    assert authority in taken.output
    assert "stays root" in " ".join(taken.output.split())
    assert served(host) == theirs
    own = pki / "clients/admin"
    for client in (hand, own):
        assert docker(host, client, "info", "--format", "{{.Name}}").stdout.strip() == host.name
        assert json.loads(curl(host, client, "info").stdout)["Name"] == host.name
    checks = taken.result(host, "dockerfleet.remote_api.remote_api")["checks"]
    assert checks
    assert all(check["ok"] for check in checks), checks
    bundles = [host.read("/etc/docker/ca.pem"), (own / "ca.pem").read_text()]
    assert [text.count("BEGIN CERTIFICATE") for text in bundles] == [2, 2]
    assert bundles[0].startswith((pki / "ca.pem").read_text())
    assert host.sh("stat -c %a /etc/docker/server-key.pem") == "600"
    taken_over = state(host)

    checked = ansible.playbook(SECURE, [host], "--check", "--diff", *REPLACE, variables=PASSPHRASE)
    assert (checked.rc, checked.changed(host), state(host)) == (0, 1, taken_over), checked.output
    assert "-CN=CA made by hand, valid until" in checked.stdout, checked.stdout
    replaced = ansible.playbook(SECURE, [host], *REPLACE, variables=PASSPHRASE)
    assert replaced.rc == 0, replaced.output
    assert "clients are refused" in " ".join(replaced.output.split())
    assert served(host) != theirs
    assert docker(host, own, "info", "--format", "{{.Name}}").stdout.strip() == host.name
    assert docker(host, hand, "info").returncode != 0
    # Nor does one get in that trusts whatever the host serves.
    assert "certificate" in curl(host, hand, ca=own / "ca.pem").stderr
    assert (own / "ca.pem").read_text() == host.read("/etc/docker/ca.pem") == (pki / "ca.pem").read_text()
    assert not list((pki / "foreign").iterdir())
    for words in (REPLACE, (), TRUST):
        again = ansible.playbook(SECURE, [host], *words, variables=PASSPHRASE)
        assert unchanged(again, host), again.output


def test_files_elsewhere_names_and_an_ended_certificate(
    hosts: dict[str, Host], ansible: Ansible, tmp_path: Path
) -> None:
    host, pki = hosts["other"], ansible.directory / ".docker_remote_api"
    hand = by_hand.make_certificates(tmp_path / "hand", host.name, names_of(host))
    by_hand.install(host, hand, "/srv/tls")
    # A CA that lies where ours would be is none that the daemon trusts, and not ours to throw away.
    unused = by_hand.make_certificates(tmp_path / "unused", host.name, names_of(host)) / "ca.pem"
    host.write("/etc/docker/ca.pem", unused.read_text())
    before = state(host)
    kept = ansible.playbook(SECURE, [host], *TRUST, variables=PASSPHRASE)
    said = " ".join(kept.messages(host))
    assert kept.rc == 2
    words = ("/etc/docker/ca.pem", by_hand.fingerprint(unused.read_text()), "does not use")
    assert all(word in said for word in words), said
    assert state(host) == before
    host.sh("mv /etc/docker/ca.pem /root/")
    before = state(host)
    named = {**PASSPHRASE, "docker_remote_api_server_names": ["docker.example.com"]}
    lacking = ansible.playbook(SECURE, [host], *TRUST, variables=named)
    assert lacking.rc == 2
    assert "/srv/tls/server-cert.pem" in " ".join(lacking.messages(host))
    assert "lacks the names docker.example.com" in " ".join(lacking.messages(host))
    assert state(host) == before
    taken = ansible.playbook(SECURE, [host], *TRUST, variables=PASSPHRASE)
    assert taken.rc == 0, taken.output
    assert {"--tlscacert=/etc/docker/ca.pem", "--tlscert=/srv/tls/server-cert.pem"} <= set(host.argv())
    assert docker(host, hand, "info").returncode == 0
    assert docker(host, pki / "clients/admin", "info").returncode == 0
    again = ansible.playbook(SECURE, [host], variables=PASSPHRASE)
    assert unchanged(again, host), again.output
    # Its CA may renew it: the daemon is restarted for that, and is asked with the new one.
    renewed = by_hand.issue_server(hand, host.name, names_of(host), "-days", "20")
    host.write("/srv/tls/server-cert.pem", renewed)
    restarted = ansible.playbook(SECURE, [host], variables=PASSPHRASE)
    assert restarted.rc == 0, restarted.output
    assert served(host) == by_hand.fingerprint(renewed)
    assert "only its own CA can renew it" in " ".join(restarted.output.split())
    # One that has ended is of use to nobody. Ours takes its place, and clients made by hand are still let in.
    host.write("/srv/tls/server-cert.pem", by_hand.issue_server(hand, host.name, names_of(host), "-days", "-1"))
    ours = ansible.playbook(SECURE, [host], variables=PASSPHRASE)
    assert ours.rc == 0, ours.output
    assert "--tlscert=/etc/docker/server-cert.pem" in host.argv()
    assert curl(host, hand, ca=pki / "clients/admin/ca.pem").stdout == "OK"
    assert docker(host, pki / "clients/admin", "info").returncode == 0
    last = ansible.playbook(SECURE, [host], variables=PASSPHRASE)
    assert unchanged(last, host), last.output


def test_a_certificate_that_somebody_else_keeps_up_to_date(
    hosts: dict[str, Host], ansible: Ansible, tmp_path: Path
) -> None:
    host, pki = hosts["other"], ansible.directory / ".docker_remote_api"
    own = pki / "clients/admin"
    host.sh("rm -f /etc/docker/*.pem; systemctl stop docker.service docker.socket; rm -f /etc/default/docker")
    host.sh("rm -f /etc/systemd/system/docker.service.d/*; systemctl daemon-reload; systemctl start docker.service")
    company = by_hand.make_certificates(tmp_path / "company", host.name, names_of(host))
    for name, path in {"server-cert.pem": "tls.crt", "server-key.pem": "tls.key"}.items():
        host.write(f"/srv/acme/{path}", (company / name).read_text())
    host.sh("chmod 0640 /srv/acme/tls.key; chown 1:1 /srv/acme/tls.key")
    files = "stat -c '%n %a %u %g %Y' /srv/acme/*; md5sum /srv/acme/*; ls /srv/acme"
    before = host.sh(files)
    # A relative path begins where the playbook lies.
    (ansible.directory / "company-ca.pem").write_text((company / "ca.pem").read_text())
    alone = [{"hosts": "all", "gather_facts": False, "roles": ["dockerfleet.remote_api.docker_remote_api"]}]
    paths = {"certificate": "/srv/acme/tls.crt", "key": "/srv/acme/tls.key", "ca": "company-ca.pem"}
    split = {**PASSPHRASE, "docker_remote_api_server_certificate": paths}

    for wrong, says in (
        ({"ca": "none.pem"}, f"{ansible.directory}/none.pem: there is no such file on the controller"),
        ({"certificate": "/srv/acme/none.crt"}, "/srv/acme/none.crt"),
        ({"ca": ".docker_remote_api/ca.pem"}, "server_certificate, ca refuses it"),
    ):
        unfit = {**PASSPHRASE, "docker_remote_api_server_certificate": {**paths, **wrong}}
        refused = ansible.playbook(alone, [host], variables=unfit)
        assert (refused.rc, says in " ".join(refused.messages(host))) == (2, True), refused.messages(host)
    checked = ansible.playbook(alone, [host], "--check", "--diff", variables=split)
    assert (checked.rc, checked.changed(host)) == (0, 1), checked.output
    assert host.sh("ls /etc/docker/*.pem 2>/dev/null || true") == ""

    done = ansible.playbook(alone, [host], variables=split)
    assert done.rc == 0, done.output
    assert host.sh("ls /etc/docker/*.pem") == "/etc/docker/ca.pem"
    assert host.read("/etc/docker/ca.pem") == (pki / "ca.pem").read_text()
    assert host.sh(files) == before
    assert served(host) == by_hand.fingerprint((company / "server-cert.pem").read_text())
    assert docker(host, own, "info", "--format", "{{.Name}}").stdout.strip() == host.name
    assert (own / "ca.pem").read_text() == (pki / "ca.pem").read_text() + (company / "ca.pem").read_text()
    # Each side has a CA of its own: a client of the company's CA is refused, and so is this server by our CA alone.
    assert "alert" in curl(host, company).stderr
    assert "verify" in curl(host, own, ca=pki / "ca.pem").stderr + curl(host, own, ca=pki / "ca.pem").stdout
    for words in ((), ("--check",)):
        again = ansible.playbook(alone, [host], *words, variables=split)
        assert unchanged(again, host), again.output
    from_host = ansible.playbook(alone, [host], variables={**split, "docker_remote_api_verify_from": "host"})
    assert unchanged(from_host, host), from_host.output

    renewed = by_hand.issue_server(company, host.name, names_of(host), "-days", "60")
    host.write("/srv/acme/tls.crt", renewed)
    starts = host.starts()
    restarted = ansible.playbook(alone, [host], variables=split)
    assert restarted.rc == 0, restarted.output
    assert (served(host), host.starts() != starts) == (by_hand.fingerprint(renewed), True)
    assert unchanged(ansible.playbook(alone, [host], variables=split), host)

    back = ansible.playbook(alone, [host], variables=PASSPHRASE)
    assert back.rc == 0, back.output
    assert served(host) == by_hand.fingerprint(host.read("/etc/docker/server-cert.pem"))
    assert docker(host, own, "info").returncode == 0
    assert (own / "ca.pem").read_text() == (pki / "ca.pem").read_text()
    assert unchanged(ansible.playbook(alone, [host], variables=PASSPHRASE), host)


def test_a_mistyped_directory_of_the_ca_changes_nothing_anywhere(
    hosts: dict[str, Host], ansible: Ansible, tmp_path: Path
) -> None:
    host = hosts["hand"]
    reset = ansible.playbook(SECURE, [host], *REPLACE, variables=PASSPHRASE)
    assert reset.rc == 0, reset.output
    before, files = state(host), tree(ansible.directory / ".docker_remote_api")
    wrong = {**PASSPHRASE, "docker_remote_api_pki_dir": str(tmp_path / "mistyped")}
    done = ansible.playbook(SECURE, [host], variables=wrong)
    assert done.rc == 2
    assert str(tmp_path / "mistyped") in " ".join(done.messages(host))
    assert not (tmp_path / "mistyped").exists()
    alone = [{"hosts": "all", "gather_facts": False, "roles": ["dockerfleet.remote_api.docker_remote_api"]}]
    by_role = ansible.playbook(alone, [host], variables=wrong)
    assert by_role.rc == 2
    assert str(tmp_path / "mistyped") in " ".join(by_role.messages(host))
    assert (state(host), tree(ansible.directory / ".docker_remote_api")) == (before, files)
    assert docker(host, ansible.directory / ".docker_remote_api/clients/admin", "info").returncode == 0


def test_taken_away_it_opens_nothing_that_was_open_before(hosts: dict[str, Host], ansible: Ansible) -> None:
    """The host is as the tests before have left it: with an address opened by hand at first, and ours in its place."""
    host, unit = hosts["hand"], "/etc/systemd/system/docker.service.d/own.conf"
    command = "/usr/sbin/dockerd -H fd:// -H tcp://0.0.0.0:2375 --tlscacert=/srv/old.pem $DOCKER_OPTS"
    host.write(unit, f"[Service]\nExecStart=\nExecStart={command}\n")
    host.sh("systemctl daemon-reload")
    before = state(host)
    refused = ansible.playbook(REMOVE, [host], "--check", variables=PASSPHRASE)
    said = " ".join(refused.messages(host))
    assert refused.rc == 2
    assert "would listen on tcp://0.0.0.0:2375 and let everybody in" in said
    assert unit in said
    assert state(host) == before

    host.sh(f"sed -i 's, -H tcp://0.0.0.0:2375,,' {unit}; systemctl daemon-reload")
    done = ansible.playbook(REMOVE, [host], variables=PASSPHRASE)
    assert done.rc == 0, done.output
    assert "still gets --tlscacert=/srv/old.pem, of which nothing is needed" in " ".join(done.output.split())
    assert host.sh("ss -Hltn sport = :2375 or sport = :2376") == ""
    assert host.sh("docker version --format '{{.Server.Version}}'").startswith("20.10")
    assert "tcp://" not in host.read("/etc/default/docker")
    assert "tls" not in host.read("/etc/default/docker")
    assert unchanged(ansible.playbook(REMOVE, [host], variables=PASSPHRASE), host)
