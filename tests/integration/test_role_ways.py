# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways in which the role is used: without TLS, included, with become, in two steps, from the built collection."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.support import CHECKOUT, Ansible, Host, Lab, run

SECURE = "dockerfleet.remote_api.secure"
ROLE = "dockerfleet.remote_api.docker_remote_api"
PASSPHRASE = {"docker_remote_api_ca_passphrase": "a passphrase for tests"}


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> dict[str, Host]:
    """Give hosts of their own to the tests, booted together."""
    return lab.hosts(
        {
            "plain": ("bookworm", "docker-ce"),
            "included": ("trixie", "docker-io"),
            "user": ("bookworm", "docker-io"),
            "steps": ("bookworm", "docker-ce"),
            "edit": ("trixie", "docker-ce"),
            "built": ("bookworm", "docker-io"),
            "adopted": ("forky", "docker-io"),
            "from-host": ("trixie", "docker-ce"),
            "insecure": ("bookworm", "docker-io"),
            "examples": ("trixie", "docker-ce"),
        }
    )


def play(**settings: Any) -> list[dict[str, Any]]:
    """Return a playbook of one play on the hosts, without facts."""
    return [{"hosts": "docker_hosts", "gather_facts": False, **settings}]


def info_over_tls(ansible: Ansible, host: Host, client: str = "admin") -> str:
    """Return the host's name as its engine says it to curl with a client's certificate."""
    files = ansible.directory / ".docker_remote_api/clients" / client
    words = ("--cacert", files / "ca.pem", "--cert", files / "cert.pem", "--key", files / "key.pem")
    said = run("curl", "-sS", "-m", "10", "--noproxy", "*", *words, f"https://{host.address}:2376/info").stdout
    return str(json.loads(said)["Name"])


def test_without_tls(hosts: dict[str, Host], ansible: Ansible) -> None:
    host = hosts["plain"]
    variables = {"docker_remote_api_tls": False, "docker_remote_api_daemon_options": {"dns": ["8.8.8.8", "8.8.4.4"]}}
    first = ansible.playbook(SECURE, [host], variables=variables)
    assert first.rc == 0, first.output
    options = "--host=tcp://127.0.0.1:2375 --tls=false --dns=8.8.8.8 --dns=8.8.4.4"
    assert host.read("/etc/default/docker") == f'DOCKER_OPTS="{options}"\n'
    # What an engine since 20.10 says before it waits for 15 s, unless it is told that no TLS is wanted.
    assert host.sh("journalctl --unit docker.service | grep -c 'explicitly specifying' || true") == "0"
    assert host.sh("curl -sS http://127.0.0.1:2375/_ping") == "OK"
    assert host.sh("docker info --format '{{.Name}}'") == host.name
    assert run("curl", "-sS", f"http://{host.address}:2375/_ping", check=False).returncode == 7
    starts = host.starts()
    second = ansible.playbook(SECURE, [host], variables=variables)
    assert (second.rc, second.changed(host), host.starts()) == (0, 0, starts), second.output
    assert not (ansible.directory / ".docker_remote_api").exists()
    secured = ansible.playbook(SECURE, [host], variables=PASSPHRASE)
    assert secured.rc == 0, secured.output
    assert host.sh("curl -sS http://127.0.0.1:2375/_ping || true") == ""
    back = ansible.playbook(SECURE, [host], variables=variables)
    assert back.rc == 0, back.output
    assert set(host.read("/etc/default/docker").split('"')[1].split()) == set(options.split())
    assert host.sh("curl -sS http://127.0.0.1:2375/_ping") == "OK"


def test_included_with_facts_not_injected_and_two_clients(hosts: dict[str, Host], ansible: Ansible) -> None:
    host = hosts["included"]
    variables = {
        **PASSPHRASE,
        "docker_remote_api_clients": [{"name": "ada"}, {"name": "ci"}],
        "docker_remote_api_server_names": ["docker.example.com", "192.0.2.7"],
        "docker_remote_api_key_type": "rsa_2048",
    }
    playbook = play(tasks=[{"include_role": {"name": ROLE}}])
    done = ansible.playbook(playbook, [host], variables=variables, env={"ANSIBLE_INJECT_FACT_VARS": "false"})
    assert done.rc == 0, done.output
    assert {info_over_tls(ansible, host, client) for client in ("ada", "ci")} == {host.name}
    names = host.sh("openssl x509 -noout -ext subjectAltName -in /etc/docker/server-cert.pem")
    for name in (f"DNS:{host.name}", "DNS:docker.example.com", "IP Address:192.0.2.7", f"IP Address:{host.address}"):
        assert name in names
    again = ansible.playbook(playbook, [host], variables=variables)
    assert (again.rc, again.changed(host)) == (0, 0), again.output


def test_an_authority_made_by_hand(hosts: dict[str, Host], ansible: Ansible) -> None:
    host = hosts["adopted"]
    pki = ansible.directory / ".docker_remote_api"
    pki.mkdir(mode=0o700)
    word = ("-passout", "pass:by hand")
    run("openssl", "genrsa", "-des3", "-traditional", *word, "-out", pki / "ca-key.pem", "2048")
    subject = ("-subj", "/CN=Made by hand", "-days", "365", "-config", ansible.directory / "openssl.cnf")
    (ansible.directory / "openssl.cnf").write_text(
        "[req]\ndistinguished_name = dn\nx509_extensions = ca\n[dn]\n[ca]\nsubjectKeyIdentifier = hash\n"
        "authorityKeyIdentifier = keyid\nbasicConstraints = critical, CA:true\n",
        encoding="ascii",
    )
    new = ("openssl", "req", "-new", "-x509", "-key", pki / "ca-key.pem", "-passin", "pass:by hand")
    run(*new, *subject, "-out", pki / "ca.pem")
    key, certificate = (pki / "ca-key.pem").read_bytes(), (pki / "ca.pem").read_bytes()
    assert b"Proc-Type: 4,ENCRYPTED" in key
    variables = {"docker_remote_api_ca_passphrase": "by hand"}
    done = ansible.playbook(SECURE, [host], variables=variables)
    assert done.rc == 0, done.output
    assert ((pki / "ca-key.pem").read_bytes(), (pki / "ca.pem").read_bytes()) == (key, certificate)
    assert info_over_tls(ansible, host) == host.name
    assert "Made by hand" in host.sh("openssl x509 -noout -issuer -in /etc/docker/server-cert.pem")
    again = ansible.playbook(SECURE, [host], variables=variables)
    assert (again.rc, again.changed(host)) == (0, 0), again.output


def test_with_become_as_another_user(hosts: dict[str, Host], ansible: Ansible) -> None:
    host = hosts["user"]
    host.sh("useradd --create-home deploy && install -d -o deploy -m 700 /home/deploy/.ssh")
    host.sh("install -o deploy -m 600 /root/.ssh/authorized_keys /home/deploy/.ssh/ && echo root:word | chpasswd")
    variables = {
        **PASSPHRASE,
        "ansible_user": "deploy",
        "ansible_become_method": "su",
        "ansible_become_password": "word",
    }
    refused = ansible.playbook(play(roles=[{"role": ROLE}]), [host], variables=variables)
    assert refused.rc == 2
    assert "become" in " ".join(refused.messages(host)), refused.messages(host)
    done = ansible.playbook(play(roles=[{"role": ROLE}], become=True), [host], variables=variables)
    assert done.rc == 0, done.output
    assert info_over_tls(ansible, host) == host.name
    assert host.sh("stat -c %U:%G:%a /etc/docker/server-key.pem") == "root:root:400"


def test_prepared_now_and_restarted_later(hosts: dict[str, Host], ansible: Ansible) -> None:
    host = hosts["steps"]
    starts = host.starts()
    prepared = ansible.playbook(SECURE, [host], variables={**PASSPHRASE, "docker_remote_api_restart": False})
    assert prepared.rc == 0, prepared.output
    result = prepared.result(host, "dockerfleet.remote_api.remote_api")
    assert (result["restarted"], result["restart_due"], host.starts()) == (False, True, starts)
    assert "has to be restarted" in " ".join(prepared.output.split())
    still = ansible.playbook(SECURE, [host], variables={**PASSPHRASE, "docker_remote_api_restart": False})
    assert (still.rc, still.changed(host)) == (0, 0), still.output
    assert still.result(host, "dockerfleet.remote_api.remote_api")["restart_due"] is True
    done = ansible.playbook(SECURE, [host], variables=PASSPHRASE)
    assert done.rc == 0, done.output
    assert host.starts() != starts
    assert info_over_tls(ansible, host) == host.name
    host.reboot()
    assert info_over_tls(ansible, host) == host.name
    again = ansible.playbook(SECURE, [host], variables=PASSPHRASE)
    assert (again.rc, again.changed(host)) == (0, 0), again.output


def test_the_packaged_unit_edited_as_by_hand(hosts: dict[str, Host], ansible: Ansible) -> None:
    host = hosts["edit"]
    variables = {**PASSPHRASE, "docker_remote_api_unit_wiring": "edit"}
    done = ansible.playbook(SECURE, [host], variables=variables)
    assert done.rc == 0, done.output
    path = host.sh("systemctl show --property FragmentPath --value docker.service")
    unit = host.read(path)
    assert "\nEnvironmentFile=-/etc/default/docker\n" in unit
    assert re.search(r"\nExecStart=/usr/bin/dockerd -H fd:// .*\$DOCKER_OPTS\n", unit)
    assert host.sh("ls /etc/systemd/system/docker.service.d 2>/dev/null || true") == ""
    assert info_over_tls(ansible, host) == host.name
    again = ansible.playbook(SECURE, [host], variables=variables)
    assert (again.rc, again.changed(host)) == (0, 0), again.output


def test_the_unit_not_to_be_touched(ansible: Ansible, lab: Lab) -> None:
    host = lab.host("none", "bookworm", "docker-ce")
    starts = host.starts()
    done = ansible.playbook(SECURE, [host], variables={**PASSPHRASE, "docker_remote_api_unit_wiring": "none"})
    assert done.rc == 2
    assert re.search(r"docker\.service.*DOCKER_OPTS.*EnvironmentFile", " ".join(done.messages(host)))
    assert host.starts() == starts


def test_the_built_collection_in_an_empty_folder(hosts: dict[str, Host], tmp_path: Path) -> None:
    host = hosts["built"]
    run("ansible-galaxy", "collection", "build", CHECKOUT, "--output-path", tmp_path)
    tarball = next(tmp_path.glob("dockerfleet-remote_api-*.tar.gz"))
    empty = tmp_path / "empty"
    run("ansible-galaxy", "collection", "install", tarball, "--offline", "-p", empty)
    directory = tmp_path / "work"
    directory.mkdir()
    installed = Ansible(directory, str(empty))
    done = installed.playbook(SECURE, [host], variables=PASSPHRASE)
    assert done.rc == 0, done.output
    assert info_over_tls(installed, host) == host.name
    again = installed.playbook(SECURE, [host], variables=PASSPHRASE)
    assert (again.rc, again.changed(host)) == (0, 0), again.output


def test_the_library_is_installed_where_it_is_missing(ansible: Ansible, lab: Lab) -> None:
    host = lab.host("library", "trixie", "no-cryptography")
    checked = ansible.playbook(SECURE, [host], "--check", variables=PASSPHRASE)
    assert (checked.rc, checked.changed(host) >= 1) == (0, True), checked.output
    assert host.exec("python3", "-c", "import cryptography", check=False).returncode != 0
    done = ansible.playbook(SECURE, [host], variables=PASSPHRASE)
    assert done.rc == 0, done.output
    host.exec("python3", "-c", "import cryptography")
    assert info_over_tls(ansible, host) == host.name
    again = ansible.playbook(SECURE, [host], variables=PASSPHRASE)
    assert (again.rc, again.changed(host), again.recap[host.name]["rescued"]) == (0, 0, 0), again.output


def test_proved_from_the_host_on_every_address(hosts: dict[str, Host], ansible: Ansible) -> None:
    host = hosts["from-host"]
    variables = {
        **PASSPHRASE,
        "docker_remote_api_verify_from": "host",
        "docker_remote_api_listen": ["tcp://127.0.0.1:2377", f"tcp://{host.address}:2376", "tcp://[::1]:2376"],
    }
    done = ansible.playbook(SECURE, [host], variables=variables)
    assert done.rc == 0, done.output
    assert info_over_tls(ansible, host) == host.name
    for address in ("127.0.0.1:2377", "[::1]:2376"):
        said = host.exec("curl", "-sS", "--cacert", "/etc/docker/ca.pem", f"https://{address}/info", check=False)
        assert "certificate required" in said.stderr, said
    keys = host.sh("ls /etc/docker/*key*").splitlines()
    assert keys == ["/etc/docker/server-key.pem"]
    again = ansible.playbook(SECURE, [host], variables=variables)
    assert (again.rc, again.changed(host)) == (0, 0), again.output
    checked = ansible.playbook(SECURE, [host], "--check", variables=variables)
    assert (checked.rc, checked.changed(host)) == (0, 0), checked.output


def test_plain_tcp_for_everybody_when_that_is_asked_for(hosts: dict[str, Host], ansible: Ansible) -> None:
    host = hosts["insecure"]
    variables = {
        "docker_remote_api_tls": False,
        "docker_remote_api_allow_insecure": True,
        "docker_remote_api_listen": ["tcp://0.0.0.0:2375"],
        "docker_remote_api_verify_from": "none",
    }
    done = ansible.playbook(SECURE, [host], variables=variables)
    assert done.rc == 0, done.output
    assert run("curl", "-sS", "--noproxy", "*", f"http://{host.address}:2375/_ping").stdout == "OK"
    proved = ansible.playbook(SECURE, [host], variables={**variables, "docker_remote_api_verify_from": "controller"})
    assert (proved.rc, proved.changed(host)) == (0, 0), proved.output


def test_the_example_playbooks(hosts: dict[str, Host], ansible: Ansible) -> None:
    host = hosts["examples"]
    examples = sorted((CHECKOUT / "examples").glob("*.yml"))
    assert {path.name for path in examples} == {"secure.yml", "swarm.yml", "use.yml"}
    variables = {"vault_docker_ca_passphrase": "a passphrase for tests", "swarm_manager": host.name}
    for path in examples:
        checked = ansible.playbook(str(path), [host], "--syntax-check", variables=variables)
        assert checked.rc == 0, checked.output
    secured = ansible.playbook(str(CHECKOUT / "examples/secure.yml"), [host], variables=variables)
    assert secured.rc == 0, secured.output
    assert {info_over_tls(ansible, host, client) for client in ("admin", "ci")} == {host.name}
    assert host.argv().count("--log-opt=max-size=10m") == 1
    used = ansible.playbook(str(CHECKOUT / "examples/use.yml"), [host], variables=variables)
    assert used.rc == 0, used.output
    assert f"Docker {host.sh('docker version --format {{.Server.Version}}')}, 0 containers" in used.stdout
    host.sh("docker swarm init --advertise-addr 127.0.0.1")
    rolled = {**variables, "docker_remote_api_renew_before_days": 366, "docker_remote_api_certificate_days": 400}
    drained = ansible.playbook(str(CHECKOUT / "examples/swarm.yml"), [host], variables=rolled)
    assert drained.rc == 0, drained.output
    node = "docker node inspect self --format {{.Spec.Availability}}"
    assert ("Drain the node" in drained.stdout, host.sh(node)) == (True, "active"), drained.output
