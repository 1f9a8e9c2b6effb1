# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What others make of a secured engine and its clients: the docker client of a user on another machine, and more."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.support import CHECKOUT, Ansible, Host, Lab, Run, run

CLIENT, ROTATE = "dockerfleet.remote_api.client", "dockerfleet.remote_api.rotate_authority"
SECURE = "dockerfleet.remote_api.secure"
ROLE = "dockerfleet.remote_api.docker_remote_api"
PASSPHRASE = {"docker_remote_api_ca_passphrase": "a passphrase for tests"}
VOLUME = "/srv/exporter/certificates"
INFO = "info --format '{{.Name}}'"


@dataclass(frozen=True)
class Story:
    """An engine, a client's machine, and the runs that made sure of both: one in check mode, one, and one more."""

    engine: Host
    machine: Host
    ansible: Ansible
    planned: Run
    before: str
    made: Run
    again: Run

    @property
    def files(self) -> Path:
        """The folder of the CA and of the clients on the controller."""
        return self.ansible.directory / ".docker_remote_api"

    def as_ci(self, command: str) -> str:
        """Return what a command says that the ordinary user runs on the client's machine."""
        return self.machine.exec("su", "-", "ci", "-c", command).stdout.strip()


def variables(machine: str) -> dict[str, Any]:
    """Return the variables of a fleet with one client on the controller and two on the machine."""
    volume = {"name": "exporter", "host": machine, "directory": VOLUME, "owner": "65534", "group": "65534"}
    clients = [
        {"name": "admin"},
        {"name": "ci", "host": machine, "owner": "ci", "group": "builders", "context": "production"},
        {**volume, "key_type": "rsa_2048", "hours": 12},
    ]
    return {**PASSPHRASE, "docker_remote_api_live_restore": True, "docker_remote_api_clients": clients}


@pytest.fixture(scope="module")
def story(lab: Lab, module_ansible: Ansible) -> Story:
    hosts = lab.hosts({"judged": ("forky", "docker-ce"), "machine": ("bullseye", "no-cryptography")})
    engine, machine = hosts.values()
    machine.sh("groupadd builders && useradd --create-home --groups builders --shell /bin/sh ci")
    given = variables(machine.name)

    def secure(*arguments: str) -> Run:
        return module_ansible.playbook(
            SECURE, hosts.values(), "-e", f"target={engine.name}", *arguments, variables=given
        )

    planned = secure("--check", "--diff")
    before = machine.sh(f"ls -A /home/ci /srv | grep -e docker -e exporter; test -e {VOLUME} && echo there || true")
    return Story(engine, machine, module_ansible, planned, before, secure("-vvv", "--diff"), secure("--diff"))


def test_check_mode_tells_and_leaves_the_machine_alone(story: Story) -> None:
    assert story.planned.rc == 0, story.planned.output
    (result,) = [one for one in story.planned.of(story.engine) if one["action"].endswith(".certificate")]
    assert [one["issued"] for one in result["result"]["results"]] == [True, True]
    assert story.before == ""


def test_an_ordinary_user_works_with_the_context(story: Story) -> None:
    assert story.made.rc == 0, story.made.output
    assert story.as_ci(f"docker --context production {INFO}") == story.engine.name
    assert story.as_ci(f"docker context use production && docker {INFO}").splitlines()[-1] == story.engine.name
    assert story.as_ci(f"docker --host tcp://{story.engine.address}:2376 --tlsverify {INFO}") == story.engine.name
    assert story.as_ci("docker context use default") == "default"


def test_owners_and_modes(story: Story) -> None:
    def stat(folder: str) -> dict[str, str]:
        said = story.machine.sh(f"find {folder} -maxdepth 1 -printf '%f %U:%G %m\\n'")
        return dict(line.split(" ", 1) for line in said.splitlines())

    pem = {"ca.pem": "444", "cert.pem": "444", "key.pem": "400"}
    assert stat(VOLUME) == {name: f"65534:65534 {mode}" for name, mode in {"certificates": "700", **pem}.items()}
    ci = story.machine.sh("id -u ci; getent group builders | cut -d : -f 3").replace("\n", ":")
    found = stat("/home/ci/.docker")
    assert {name: found[name] for name in (".docker", *pem)} == {
        name: f"{ci} {mode}" for name, mode in {".docker": "700", **pem}.items()
    }
    assert set(story.machine.sh("find /home/ci/.docker -printf '%u\\n'").split()) == {"ci"}
    shown = story.machine.sh(f"openssl x509 -noout -text -in {VOLUME}/cert.pem")
    assert "Public-Key: (2048 bit)" in shown
    assert "CN=exporter" in shown.replace(" = ", "=")


def test_the_key_is_on_its_machine_alone(story: Story) -> None:
    for folder in ("/home/ci/.docker", VOLUME):
        line = story.machine.read(f"{folder}/key.pem").splitlines()[1]
        assert line not in story.made.output
        found = run("grep", "-rlF", "-e", line, story.ansible.directory, check=False)
        assert (found.returncode, found.stdout) == (1, "")
    assert [folder.name for folder in (story.files / "clients").iterdir()] == ["admin"]
    assert "PRIVATE KEY" not in story.made.output


def test_a_second_run_changes_nothing(story: Story) -> None:
    assert story.again.rc == 0, story.again.output
    assert {name: story.again.changed(name) for name in story.again.recap} == {story.engine.name: 0}
    trips = [one["action"].rpartition(".")[2] for one in story.again.of(story.engine)]
    assert trips.count("remote_api") == 1
    assert trips.count("certificate") == 1


def test_the_role_does_the_same_in_a_play_of_ones_own(story: Story) -> None:
    play = [{"hosts": story.engine.name, "gather_facts": False, "become": True, "roles": [{"role": ROLE}]}]
    done = story.ansible.playbook(play, [story.engine, story.machine], variables=variables(story.machine.name))
    assert (done.rc, done.changed(story.engine)) == (0, 0), done.output
    assert [one["action"].endswith(".certificate") for one in done.of(story.engine)].count(True) == 1


def test_a_machine_that_is_not_reached_is_reported_and_nobody_waits_for_it(story: Story) -> None:
    given = variables(story.machine.name)
    given["docker_remote_api_clients"].insert(1, {"name": "lost", "host": "away", "context": "production"})
    given["docker_remote_api_clients"][2]["key_type"] = "rsa_2048"
    away = {"away": {"ansible_host": "127.0.0.9", "ansible_port": 9}}
    arguments = ("-e", f"target={story.engine.name}")
    hosts = [story.engine, story.machine]
    done = story.ansible.playbook(SECURE, hosts, *arguments, variables=given, host_variables=away)
    assert done.rc == 2, done.output
    assert done.messages(story.engine)[-1].startswith("lost on away: ")
    (issued,) = [one for one in done.of(story.engine) if one["action"].endswith(".certificate")]
    assert [one.get("issued") for one in issued["result"]["results"]] == [None, True, False]
    play = [
        {
            "hosts": story.engine.name,
            "gather_facts": False,
            "roles": [{"role": ROLE}],
            "post_tasks": [{"ansible.builtin.command": "true", "changed_when": False}],
        }
    ]
    role = story.ansible.playbook(play, hosts, variables=given, host_variables=away)
    assert role.rc == 0, role.output
    assert role.of(story.engine)[-1]["action"] == "ansible.builtin.command"
    assert "lost on away: " in role.output


def test_what_cannot_be_done_is_refused_before_anything_is_changed(story: Story) -> None:
    starts = story.engine.starts()
    for client, says in (
        ({"name": "x", "owner": "ci"}, "clients: 'x', owner: "),
        ({"name": "x", "host": "nosuch"}, "clients: 'x', host: 'nosuch'"),
    ):
        given = {
            **PASSPHRASE,
            "docker_remote_api_clients": [client],
            "docker_remote_api_server_names": ["new.example.com"],
        }
        done = story.ansible.playbook(SECURE, [story.engine], variables=given)
        assert done.rc == 2
        assert done.messages(story.engine)[0].startswith(says)
    # With several hosts in the play, the context does not say which engine is meant.
    two = story.ansible.playbook(SECURE, [story.engine, story.machine], variables=variables(story.machine.name))
    assert [two.messages(host)[0][:22] for host in (story.engine, story.machine)] == ["clients: 'ci', context"] * 2
    assert story.engine.starts() == starts
    assert "2376" not in story.machine.sh("cat /proc/$(pidof dockerd)/cmdline")


def test_one_client_for_a_working_day(story: Story) -> None:
    extra = {"name": "ada", "host": story.machine.name, "owner": "ci", "directory": "/home/ci/ada", "hours": "8"}
    words = [word for name, value in {**extra, "context": "day"}.items() for word in ("-e", f"{name}={value}")]

    def issue() -> Run:
        hosts = [story.engine, story.machine]
        return story.ansible.playbook(CLIENT, hosts, "-e", f"target={story.engine.name}", *words, variables=PASSPHRASE)

    made = issue()
    assert made.rc == 0, made.output
    assert story.as_ci(f"docker --context day {INFO}") == story.engine.name
    assert issue().changed(story.engine) == 0
    subject = story.machine.sh("openssl x509 -noout -subject -checkend 28000 -in /home/ci/ada/cert.pem")
    assert "CN=ada" in subject.replace(" = ", "=")
    assert not (story.files / "clients/ada").exists()


def modes(host: Host, *paths: str) -> dict[str, tuple[str, int]]:
    """Return the owner with the group, and the mode, of each path that is there."""
    said = host.exec("stat", "--dereference", "--format=%n %U:%G %a", *paths, check=False).stdout
    return {path: (owner, int(mode, 8)) for path, owner, mode in map(str.split, said.splitlines())}


def test_files_are_as_the_cis_benchmark_asks(story: Story) -> None:
    host = story.engine
    options = dict(word.removeprefix("--").partition("=")[::2] for word in host.argv())
    units = host.sh(
        "systemctl show --property FragmentPath --property DropInPaths --value docker.service docker.socket"
    )
    # The most that may be allowed: sections 3.1 to 3.6, 3.9 to 3.14, and 3.17 to 3.20 of the benchmark.
    limits = {options[name]: 0o444 for name in ("tlscacert", "tlscert")} | {options["tlskey"]: 0o400}
    limits |= dict.fromkeys((*units.split(), "/etc/default/docker", "/etc/docker/daemon.json"), 0o644)
    limits |= {"/etc/docker": 0o755, "/var/lib/docker-remote-api": 0o700}
    limits |= dict.fromkeys(host.sh("find /var/lib/docker-remote-api -type f").split(), 0o600)
    found = modes(host, *limits)
    assert found.keys() == limits.keys()
    assert {path: one for path, one in found.items() if one[0] != "root:root" or one[1] & ~limits[path]} == {}
    assert found[options["tlskey"]][1] == 0o400
    # 3.15 and 3.16: a group of its own may use the local socket.
    assert modes(host, "/run/docker.sock") == {"/run/docker.sock": ("root:docker", 0o660)}
    # 2.15: containers outlive the daemon.
    assert host.sh("docker info --format '{{.LiveRestoreEnabled}}'") == "true"


def test_every_tcp_address_of_the_engine_refuses_a_client_without_a_certificate(story: Story) -> None:
    host = story.engine
    words = host.argv()
    assert "--tlsverify" in words
    sockets = [line.split() for line in host.sh("ss -Hltnp").splitlines() if '"dockerd"' in line]
    ports = {local.rpartition(":")[2] for _state, _receive, _send, local, *_rest in sockets}
    assert ports == {"2376"}
    curl = ("curl", "-sS", "-m", "10", "--noproxy", "*", "--cacert", story.files / "ca.pem")
    admin = story.files / "clients/admin"
    own = ("--cert", admin / "cert.pem", "--key", admin / "key.pem")
    address = f"{host.address}:2376"
    assert run(*curl, *own, f"https://{address}/_ping").stdout == "OK"
    assert run(*curl, f"https://{address}/_ping", check=False).returncode in (35, 56)
    assert "HTTPS server" in run(*curl, f"http://{address}/_ping", check=False).stdout


def offered(address: str, port: int) -> dict[str, dict[str, str]]:
    """Return what nmap finds that a server offers: the ciphers of each protocol, with nmap's grades of them."""
    said = run("nmap", "-Pn", "-n", "-p", str(port), "--script", "+ssl-enum-ciphers", "-oX", "-", address).stdout
    found = {}
    for protocol in ElementTree.fromstring(said).findall(".//script[@id='ssl-enum-ciphers']/table"):
        elements = [
            {str(one.get("key")): str(one.text) for one in cipher.findall("elem")}
            for cipher in protocol.findall("table[@key='ciphers']/table")
        ]
        found[str(protocol.get("key"))] = {one["name"]: one["strength"] for one in elements}
    return found


def test_no_old_protocol_and_no_weak_cipher_is_offered(story: Story) -> None:
    found = offered(story.engine.address, 2376)
    assert found
    assert found.keys() <= {"TLSv1.2", "TLSv1.3"}
    assert {grade for ciphers in found.values() for grade in ciphers.values()} == {"A"}


DOCKER_PY = """
import os, docker
folder = os.environ["DOCKER_CERT_PATH"]
pair = (os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem"))
tls = docker.tls.TLSConfig(client_cert=pair, ca_cert=os.path.join(folder, "ca.pem"), verify=True)
explicit = docker.DockerClient(base_url=os.environ["DOCKER_HOST"], tls=tls)
print(docker.from_env().info()["Name"], explicit.info()["Name"])
"""


def test_others_work_with_the_folder_of_a_client_as_it_is(story: Story) -> None:
    folder, address = story.files / "clients/admin", f"tcp://{story.engine.address}:2376"
    # With a bundle in the environment, requests ignores the CA that it is given.
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_CA_BUNDLE")}
    env = {**kept, "DOCKER_HOST": address, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)}
    assert run("docker", "info", "--format", "{{.Name}}", env=env).stdout.strip() == story.engine.name

    peers = (CHECKOUT / "tests/tools/with", "peers")
    name = story.engine.name
    assert run(*peers, "python", "-c", DOCKER_PY, env=env, timeout=900).stdout.split() == [name, name]

    files = {"ca_path": folder / "ca.pem", "client_cert": folder / "cert.pem", "client_key": folder / "key.pem"}
    given = {"docker_host": address, "tls": True, "validate_certs": True} | {
        one: str(path) for one, path in files.items()
    }
    tasks = [
        {"community.docker.docker_host_info": {}, "register": "by_environment"},
        {"community.docker.docker_volume": {**given, "name": "judged"}, "environment": {"DOCKER_CERT_PATH": ""}},
        {"ansible.builtin.assert": {"that": f"by_environment.host_info.Name == '{name}'"}},
    ]
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    play["vars"] = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    playbook = story.ansible.directory / "peers.yml"
    playbook.write_text(json.dumps([play]), encoding="utf-8")
    run(*peers, "ansible-playbook", "-i", "localhost,", playbook, env=env)
    assert story.engine.sh("docker volume ls --quiet") == "judged"


def test_groups_with_a_ca_each_have_clients_on_one_machine(story: Story) -> None:
    machine, hosts = story.machine, [story.engine, story.machine]

    def group(number: int) -> dict[str, Any]:
        client = {"name": f"twin-{number}", "host": machine.name, "directory": f"/srv/twin-{number}", "owner": "ci"}
        pki = story.files if number == 1 else story.ansible.directory / "other"
        return {"docker_remote_api_pki_dir": str(pki), "docker_remote_api_clients": [client]}

    groups = {host.name: group(number) for number, host in enumerate(hosts, 1)}
    common = {**PASSPHRASE, "docker_remote_api_live_restore": True}
    done = story.ansible.playbook(SECURE, hosts, variables=common, host_variables=groups)
    assert done.rc == 0, done.output
    for number, host in enumerate(hosts, 1):
        options = f"--tlsverify --tlscacert /srv/twin-{number}/ca.pem --tlscert /srv/twin-{number}/cert.pem"
        client = f"docker --host tcp://{host.address}:2376 {options} --tlskey /srv/twin-{number}/key.pem"
        assert story.as_ci(f"{client} {INFO}") == host.name


def test_a_new_ca_locks_no_client_on_another_machine_out(story: Story) -> None:
    hosts, target = [story.engine, story.machine], ("-e", f"target={story.engine.name}")

    def rotate(*, code: int = 0) -> Run:
        done = story.ansible.playbook(ROTATE, hosts, *target, variables=variables(story.machine.name))
        assert done.rc == code, done.output
        assert story.as_ci(f"docker --context production {INFO}") == story.engine.name
        return done

    def changed(done: Run) -> list[str]:
        return [one["action"].rpartition(".")[2] for one in done.of(story.engine) if one["changed"]]

    # Two clients of tests before this one are in no list, with files on another machine.
    stopped = rotate(code=2)
    (message,) = stopped.messages(story.engine)
    assert message.startswith("No host has been changed. Hand ca.pem out to client ada (until ")
    assert "; client twin-1 (until " in message
    assert "client ci" not in message
    assert "remote_api" not in changed(stopped)
    # The client trusts the new CA before the host, after the look, gets a certificate of it.
    moved = changed(rotate())
    assert moved.index("docker_context") < moved.index("remote_api")
    serial = story.machine.sh("openssl x509 -noout -serial -in /home/ci/.docker/cert.pem")
    assert changed(rotate()) == ["certificate", "docker_context"]
    assert story.machine.sh("openssl x509 -noout -serial -in /home/ci/.docker/cert.pem") != serial
