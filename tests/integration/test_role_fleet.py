# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job on every engine and unit: one playbook run, judged by openssl, curl and the docker client."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Ansible, Host, Lab, Run, run

SECURE = "dockerfleet.remote_api.secure"
AUDIT = "dockerfleet.remote_api.audit"
PASSPHRASE = "a passphrase that must not be seen 4711"
VARIABLES = {"docker_remote_api_ca_passphrase": PASSPHRASE}
FLEET = {
    f"{suite}-{kind}": (suite, f"docker-{kind}")
    for suite in ("bullseye", "bookworm", "trixie", "forky")
    for kind in ("io", "ce")
}
# Every file below /etc and in root's home, with its owner, mode, time and content.
FILES = (
    "cd / && for list in \"-printf '%p %u %g %m %T@\\n'\" '-exec md5sum {} +'; do "
    'eval find etc root $(ls -d var/lib/docker-remote-api 2>/dev/null) -xdev -type f "$list"; done | sort'
)
MODULES = "journalctl --no-pager --output=cat | grep --count 'ansible-.*Invoked with\\|^Invoked with'"


def modules_run(host: Host) -> int:
    """Return how many modules ran on the host since it booted, by its own journal."""
    return int(host.sh(f"{MODULES} || true") or 0)


@dataclass(frozen=True)
class Fleet:
    """The hosts, what they were like before, and the runs that were made on all of them, in order."""

    hosts: dict[str, Host]
    directory: Path
    files_before: dict[str, str]
    files_after_check: dict[str, str]
    starts: dict[str, list[str]]
    modules_of_second: dict[str, int]
    checked: Run
    first: Run
    second: Run

    @property
    def pki(self) -> Path:
        """The CA's directory on the controller."""
        return self.directory / ".docker_remote_api"


@pytest.fixture(scope="module")
def fleet(lab: Lab, module_ansible: Ansible) -> Fleet:
    """Secure eight hosts: check mode, a run, a second run."""
    hosts = lab.hosts(FLEET)

    def each(what: str) -> dict[str, str]:
        return {name: host.sh(what) for name, host in hosts.items()}

    def play(*arguments: str) -> Run:
        return module_ansible.playbook(SECURE, hosts.values(), *arguments, variables=VARIABLES)

    before, starts = each(FILES), {name: [host.starts()] for name, host in hosts.items()}
    checked = play("--check", "--diff")
    after_check = each(FILES)
    for name, host in hosts.items():
        starts[name].append(host.starts())
    assert not (module_ansible.directory / ".docker_remote_api").exists()
    first = play("--diff", "-vvvv")
    counts = {name: modules_run(host) for name, host in hosts.items()}
    for name, host in hosts.items():
        starts[name].append(host.starts())
    second = play()
    for name, host in hosts.items():
        starts[name].append(host.starts())
        counts[name] = modules_run(host) - counts[name]
    return Fleet(
        hosts, module_ansible.directory, before, after_check, starts, counts, checked, first, second
    )  # fmt: skip


@pytest.fixture(params=sorted(FLEET))
def host(request: pytest.FixtureRequest, fleet: Fleet) -> Host:
    """Give each host of the fleet in turn."""
    return fleet.hosts[request.param]


def docker(host: Host, pki: Path, *words: str, check: bool = True) -> tuple[int, str]:
    """Run the docker client as the client admin against the host; return its exit code and all it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    environment = {**kept, "DOCKER_CERT_PATH": str(pki / "clients/admin"), "NO_PROXY": host.address}
    done = run("docker", "-H", f"tcp://{host.address}:2376", "--tlsverify", *words, check=check, env=environment)
    return done.returncode, done.stdout + done.stderr


def curl(host: Host, *words: str, scheme: str = "https", port: int = 2376) -> tuple[int, str]:
    """Ask the host for /info with curl; return curl's exit code and all it printed."""
    done = run(
        "curl", "-sS", "--noproxy", "*", "-m", "10", *words, f"{scheme}://{host.address}:{port}/info", check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_check_mode_says_what_would_change_and_changes_nothing(fleet: Fleet) -> None:
    assert fleet.checked.rc == 0, fleet.checked.output
    assert fleet.files_after_check == fleet.files_before
    for name, host in fleet.hosts.items():
        assert fleet.checked.changed(host) >= 1
        assert fleet.starts[name][0] == fleet.starts[name][1]
    assert '+DOCKER_OPTS="--host=tcp://0.0.0.0:2376 --tlsverify' in fleet.checked.stdout


def test_one_run_secures_every_host(fleet: Fleet) -> None:
    assert fleet.first.rc == 0, fleet.first.output[-3000:]
    for name, host in fleet.hosts.items():
        assert fleet.first.changed(host) >= 1
        assert fleet.starts[name][1] != fleet.starts[name][2]


def test_a_second_run_changes_and_restarts_nothing(fleet: Fleet) -> None:
    assert fleet.second.rc == 0, fleet.second.output
    for name, host in fleet.hosts.items():
        assert fleet.second.changed(host) == 0, fleet.second.stdout
        assert fleet.starts[name][2] == fleet.starts[name][3]


def test_a_run_without_changes_costs_each_host_one_module(fleet: Fleet) -> None:
    assert set(fleet.modules_of_second.values()) == {1}, fleet.modules_of_second


def test_the_docker_client_is_let_in(fleet: Fleet, host: Host) -> None:
    code, said = docker(host, fleet.pki, "info", "--format", "{{.Name}}")
    assert said.splitlines()[-1].strip() == host.name


def test_every_certificate_is_valid_to_openssl(fleet: Fleet, host: Host, tmp_path: Path) -> None:
    authority = fleet.pki / "ca.pem"
    server = tmp_path / "server.pem"
    server.write_text(host.read("/etc/docker/server-cert.pem"), encoding="ascii")
    checks = (("sslserver", server), ("sslclient", fleet.pki / "clients/admin/cert.pem"))
    for purpose, certificate in checks:
        done = run("openssl", "verify", "-x509_strict", "-CAfile", authority, "-purpose", purpose, certificate)
        assert done.stdout.strip() == f"{certificate}: OK"
    for name in (host.name, "localhost"):
        run("openssl", "verify", "-x509_strict", "-CAfile", authority, "-verify_hostname", name, server)
    for address in (host.address, "127.0.0.1"):
        run("openssl", "verify", "-x509_strict", "-CAfile", authority, "-verify_ip", address, server)
    wrong = run("openssl", "verify", "-CAfile", authority, "-purpose", "sslclient", server, check=False)
    assert wrong.returncode != 0
    assert host.read("/etc/docker/ca.pem") == authority.read_text(encoding="ascii")


def test_others_are_refused(fleet: Fleet, host: Host, tmp_path: Path) -> None:
    authority = ("--cacert", str(fleet.pki / "ca.pem"))
    admin = fleet.pki / "clients/admin"
    code, said = curl(host, *authority, "--cert", str(admin / "cert.pem"), "--key", str(admin / "key.pem"))
    assert (code, '"ServerVersion"' in said) == (0, True)
    code, said = curl(host, *authority)
    assert (code != 0, "ServerVersion" in said) == (True, False), said
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    new = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=admin", "-days", "1")
    run(*new, "-addext", "extendedKeyUsage=clientAuth", "-keyout", key, "-out", certificate)
    code, said = curl(host, *authority, "--cert", str(certificate), "--key", str(key))
    assert (code != 0, "ServerVersion" in said) == (True, False), said
    for port in (2376, 2375):
        code, said = curl(host, scheme="http", port=port)
        assert "ServerVersion" not in said
        assert code == 7 or "Client sent an HTTP request to an HTTPS server" in said
    # The key of the host's own certificate never leaves it, so this attempt is made there.
    files = "--cacert /etc/docker/ca.pem --cert /etc/docker/server-cert.pem --key /etc/docker/server-key.pem"
    own = host.exec("sh", "-c", f"curl -sS -m 10 {files} https://127.0.0.1:2376/info", check=False)
    assert own.returncode != 0
    assert "ServerVersion" not in own.stdout


def test_the_local_socket_still_works(host: Host) -> None:
    assert host.sh("docker info --format '{{.Name}}'") == host.name
    assert host.sh("stat -c '%F' /run/docker.sock") == "socket"


def test_modes_and_owners(fleet: Fleet, host: Host) -> None:
    modes = host.sh("cd /etc/docker && stat -c '%n %a %U:%G' ca.pem server-cert.pem server-key.pem").splitlines()
    assert modes == [
        "ca.pem 444 root:root",
        "server-cert.pem 444 root:root",
        "server-key.pem 400 root:root",
    ] or modes == [
        "ca.pem 644 root:root",
        "server-cert.pem 644 root:root",
        "server-key.pem 400 root:root",
    ]
    assert host.sh("stat -c '%a %U:%G' /etc/default/docker") == "644 root:root"
    assert {oct(path.stat().st_mode & 0o777) for path in fleet.pki.rglob("*key.pem")} <= {"0o400", "0o600"}
    assert fleet.pki.stat().st_mode & 0o077 == 0


def test_the_engine_is_told_by_flags_that_audits_look_for(host: Host) -> None:
    argv = host.argv()
    assert "--tlsverify" in argv
    assert argv.count("--host=tcp://0.0.0.0:2376") == 1
    assert argv[1:4] == ["-H", "fd://", "--containerd=/run/containerd/containerd.sock"]


def test_no_secret_is_seen_or_where_it_does_not_belong(fleet: Fleet) -> None:
    authority_key = (fleet.pki / "ca-key.pem").read_text(encoding="ascii")
    assert authority_key.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    secrets = [
        authority_key.splitlines()[1],
        (fleet.pki / "clients/admin/key.pem").read_text(encoding="ascii").splitlines()[1],
    ]
    on_controller = b"".join(path.read_bytes() for path in fleet.directory.rglob("*") if path.is_file())
    for host in fleet.hosts.values():
        own = host.read("/etc/docker/server-key.pem").splitlines()[1]
        assert own.encode() not in on_controller
        secrets.append(own)
        for secret in (secrets[0], secrets[1], PASSPHRASE):
            places = "/etc /root /tmp /var/tmp /var/log /var/lib/docker-remote-api /home /run"
            found = host.exec("grep", "-rlF", "--exclude-dir=udev", "--", secret, *places.split(), check=False).stdout
            assert found == ""
        assert PASSPHRASE not in host.sh("journalctl --no-pager")
        assert host.sh("grep -rl 'ENCRYPTED PRIVATE KEY' /etc /root /tmp /var/tmp || true") == ""
    for output in (fleet.checked.output, fleet.first.output, fleet.second.output):
        assert PASSPHRASE not in output
        assert "PRIVATE KEY" not in output
        for secret in secrets:
            assert secret not in output


def test_the_environment_of_the_controller_does_not_matter(
    fleet: Fleet, module_ansible: Ansible, tmp_path: Path
) -> None:
    bundle = tmp_path / "other.pem"
    new = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other", "-days", "1")
    run(*new, "-keyout", tmp_path / "other-key.pem", "-out", bundle)
    proxy = "http://127.0.0.1:9"
    environment = {
        "REQUESTS_CA_BUNDLE": str(bundle),
        "CURL_CA_BUNDLE": str(bundle),
        "SSL_CERT_FILE": str(bundle),
        "HTTPS_PROXY": proxy,
        "HTTP_PROXY": proxy,
        "ALL_PROXY": proxy,
        "NO_PROXY": "example.com",
        "DOCKER_HOST": "tcp://127.0.0.1:9",
        "DOCKER_CERT_PATH": str(tmp_path),
        "DOCKER_TLS_VERIFY": "1",
    }
    again = module_ansible.playbook(SECURE, fleet.hosts.values(), variables=VARIABLES, env=environment)
    assert again.rc == 0, again.output
    assert {again.changed(host) for host in fleet.hosts.values()} == {0}


def test_the_audit_finds_nothing_to_mend(fleet: Fleet, module_ansible: Ansible) -> None:
    found = module_ansible.directory / "audit.json"
    done = module_ansible.playbook(
        AUDIT, fleet.hosts.values(), "--check", variables=VARIABLES | {"docker_remote_api_audit_json": "audit.json"}
    )
    assert (done.rc, found.exists()) == (0, False), done.output
    done = module_ansible.playbook(
        AUDIT, fleet.hosts.values(), variables=VARIABLES | {"docker_remote_api_audit_json": "audit.json"}
    )
    assert done.rc == 0, done.output
    report = json.loads(found.read_text())
    assert {one["host"]: (one["access"], one["version"]) for one in report["engines"]} == {
        host.name: ("mutual_tls", host.sh("docker version --format '{{.Server.Version}}'"))
        for host in fleet.hosts.values()
    }
    assert {one["grade"] for one in report["findings"]} == {"ok"}


def test_renewal_replaces_the_certificate_keeps_the_key_and_restarts(fleet: Fleet, module_ansible: Ansible) -> None:
    host = fleet.hosts["trixie-ce"]
    key, certificate = host.sh("md5sum /etc/docker/server-key.pem"), host.read("/etc/docker/server-cert.pem")
    starts = host.starts()
    due = {**VARIABLES, "docker_remote_api_renew_before_days": 366, "docker_remote_api_certificate_days": 400}
    done = module_ansible.playbook(SECURE, [host], variables=due)
    assert done.rc == 0, done.output
    assert host.read("/etc/docker/server-cert.pem") != certificate
    assert host.sh("md5sum /etc/docker/server-key.pem") == key
    assert host.starts() != starts
    docker(host, fleet.pki, "info")


def test_a_client_on_each_suite_has_its_own_key_and_a_docker_context(fleet: Fleet, module_ansible: Ansible) -> None:
    machines = {host.suite: host for name, host in fleet.hosts.items() if name.endswith("-io")}
    clients: list[dict[str, object]] = [{"name": "admin"}]
    for suite, host in machines.items():
        context = {"name": "fleet", "docker_host": f"tcp://{host.address}:2376"}
        clients.append(
            {"name": f"on-{suite}", "host": host.name, "directory": "/srv/client", "hours": 9, "context": context}
        )
    variables = {**VARIABLES, "docker_remote_api_clients": clients}
    foreseen = module_ansible.playbook(SECURE, fleet.hosts.values(), "--check", variables=variables)
    assert foreseen.rc == 0, foreseen.output
    assert {host.sh("ls /srv/client /root/.docker 2>/dev/null || true") for host in machines.values()} == {""}
    done = module_ansible.playbook(SECURE, fleet.hosts.values(), variables=variables)
    assert done.rc == 0, done.output
    for suite, host in machines.items():
        assert host.sh("docker --context fleet info --format '{{.Name}}'") == host.name
        assert host.sh("stat --format %a /srv/client/key.pem") == "400"
        assert not list(fleet.pki.rglob(f"on-{suite}*/key.pem"))
    again = module_ansible.playbook(SECURE, fleet.hosts.values(), variables=variables)
    assert {again.changed(host) for host in fleet.hosts.values()} == {0}, again.output


def test_the_plain_variant_starts_at_once_and_stays_on_loopback(fleet: Fleet, module_ansible: Ansible) -> None:
    """It comes last, for no host has TLS afterwards."""
    plain = {"docker_remote_api_tls": False, "docker_remote_api_serial": ["100%"]}
    done = module_ansible.playbook(SECURE, fleet.hosts.values(), variables=plain)
    assert done.rc == 0, done.output
    for host in fleet.hosts.values():
        assert host.sh("curl -sS http://127.0.0.1:2375/_ping") == "OK"
        assert curl(host, scheme="http", port=2375)[0] == 7
        assert curl(host)[0] == 7
    again = module_ansible.playbook(SECURE, fleet.hosts.values(), variables=plain)
    assert {again.changed(host) for host in fleet.hosts.values()} == {0}, again.output
    # On other addresses, engines since 20.10 announce that they will refuse this, and wait for 15 s, unless told to.
    for_all = {"docker_remote_api_listen": ["tcp://0.0.0.0:2375"], "docker_remote_api_allow_insecure": True}
    done = module_ansible.playbook(SECURE, fleet.hosts.values(), variables={**plain, **for_all})
    assert done.rc == 0, done.output
    for host in fleet.hosts.values():
        assert curl(host, scheme="http", port=2375)[0] == 0
        invocation = host.sh("systemctl show --value --property InvocationID docker")
        said = host.sh(f"journalctl --no-pager --output=cat _SYSTEMD_INVOCATION_ID={invocation}")
        assert "0.0.0.0:2375" in said
        assert not re.search("explicitly specifying|intentionally|is deprecated|will be removed", said), said
