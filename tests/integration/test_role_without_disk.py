# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller without a disk of its own: the CA comes from a credential, as text, and no file ever has its key."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.by_hand import curl, docker
from ansible_collections.dockerfleet.remote_api.tests.integration.support import CHECKOUT, Ansible, Host, Lab, Run, run

SECURE = "dockerfleet.remote_api.secure"
CREDENTIAL = {
    "docker_remote_api_ca_certificate": "{{ lookup('ansible.builtin.env', 'FLEET_CA_CERTIFICATE') }}",
    "docker_remote_api_ca_key": "{{ lookup('ansible.builtin.env', 'FLEET_CA_KEY') }}",
}
CERTIFICATE = "/etc/docker/server-cert.pem"


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> dict[str, Host]:
    """Give four hosts, for as many controllers."""
    return lab.hosts(
        {
            "slice-1": ("bullseye", "docker-io"),
            "slice-2": ("forky", "docker-ce"),
            "slice-3": ("bookworm", "docker-io"),
            "slice-4": ("trixie", "docker-io"),
        }
    )


# What a container of an execution environment starts with. /run is in memory, everything else on its disk.
RUN_JOB = """
import json, os, subprocess, sys
job = json.load(sys.stdin)
command = ["ansible-runner", "run", "/runner", "--playbook", "secure.yml", "--artifact-dir", "/run/artifacts"]
environment = {**os.environ, "ANSIBLE_NOCOLOR": "true", **job["environment"]}
sys.exit(subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT).returncode)
"""
CHECK_REQUIREMENTS = """
import importlib.metadata, sys
from packaging.requirements import Requirement
for line in sys.stdin:
    if line.strip() and not line.startswith("#"):
        wanted = Requirement(line)
        assert wanted.specifier.contains(importlib.metadata.version(wanted.name)), line
        print(wanted.name)
"""


@pytest.fixture(scope="module")
def job(lab: Lab, hosts: dict[str, Host], tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Give a controller of Debian's ansible-core and ansible-runner, with the built collection and a project."""
    made = lab.host("job", "trixie", "no-docker")
    needed = made.exec("python3", "-c", CHECK_REQUIREMENTS, stdin=(CHECKOUT / "meta/ee-requirements.txt").read_text())
    assert needed.stdout.split() == ["cryptography", "requests"]
    folder = tmp_path_factory.mktemp("built")
    run("ansible-galaxy", "collection", "build", CHECKOUT, "--output-path", folder)
    (tarball,) = folder.iterdir()
    made.exec("sh", "-c", "base64 -d >/root/built.tar.gz", stdin=base64.b64encode(tarball.read_bytes()).decode())
    made.sh("ansible-galaxy collection install --offline -p /usr/share/ansible/collections /root/built.tar.gz")
    group = lab.inventory([hosts["slice-1"].name])["docker_hosts"]
    made.write("/root/key", Path(group["vars"]["ansible_ssh_private_key_file"]).read_text())
    made.sh("chmod 0600 /root/key")
    for machine in group["hosts"].values():
        del machine["ansible_control_path"]
    group["vars"] |= {
        "ansible_ssh_private_key_file": "/root/key",
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=accept-new",
        **CREDENTIAL,
    }
    made.write("/runner/inventory/hosts.json", json.dumps({"docker_hosts": group}))
    made.write("/runner/project/secure.yml", json.dumps([{"import_playbook": SECURE}]))
    return made


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give the environment variables with a CA that openssl made; no file of it is left."""
    folder = tmp_path_factory.mktemp("authority")
    run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "100",
        "-subj", "/CN=Fleet CA", "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        "-keyout", folder / "key.pem", "-out", folder / "ca.pem",
    )  # fmt: skip
    found = {"FLEET_CA_CERTIFICATE": (folder / "ca.pem").read_text(), "FLEET_CA_KEY": (folder / "key.pem").read_text()}
    for file in folder.iterdir():
        file.unlink()
    return found


SHARED = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))


@contextmanager
def watched(folders: list[Path], secret: str) -> Iterator[set[str]]:
    """Give the paths of all files that had the secret at any look, while the block runs and at its end.

    The looks are at what is in these folders, and at what has come into those of the machine since the beginning, but
    for pytest's, which hold all other tests' files.
    """
    found: set[str] = set()
    end = threading.Event()
    needle = secret.splitlines()[1].encode()
    there = {path for folder in SHARED for path in folder.iterdir()}

    def look() -> None:
        new = {path for folder in SHARED for path in folder.iterdir() if not path.name.startswith("pytest-of-")} - there
        for path in new:
            with suppress(OSError):
                if path.is_file() and needle in path.read_bytes():
                    found.add(str(path))
        for folder in (*folders, *new):
            for directory, _below, names in os.walk(folder):
                for path in (Path(directory, name) for name in names):
                    try:
                        if path.is_file() and needle in path.read_bytes():
                            found.add(str(path))
                    except OSError:
                        continue

    def keep_looking() -> None:
        while not end.wait(0.05):
            look()

    thread = threading.Thread(target=keep_looking)
    thread.start()
    try:
        yield found
    finally:
        end.set()
        thread.join()
        look()


def served_serial(host: Host, authority: dict[str, str], folder: Path) -> str:
    """Return the serial number of the certificate that the host serves, after openssl has verified it."""
    bundle = folder / "served-by.pem"
    bundle.write_text(authority["FLEET_CA_CERTIFICATE"])
    shown = run(
        "openssl", "s_client", "-connect", f"{host.address}:2376", "-CAfile", bundle, "-verify_return_error",
        "-verify_ip", host.address, stdin="", check=False,
    ).stdout  # fmt: skip
    assert "Verify return code: 0 (ok)" in shown
    return run("openssl", "x509", "-noout", "-serial", stdin=shown).stdout.strip()


def controller(path: Path, number: int, like: Ansible) -> Ansible:
    """Return a runner in a directory of its own, with its own home."""
    directory = path / f"controller-{number}"
    (directory / "home").mkdir(parents=True)
    return Ansible(directory, like.collections_path)


def secure(one: Ansible, host: Host, authority: dict[str, str], *arguments: str, **variables: Any) -> Run:
    """Run the playbook on one host with the CA from the environment."""
    env = {"HOME": str(one.directory / "home"), **authority}
    return one.playbook(SECURE, [host], *arguments, variables={**CREDENTIAL, **variables}, env=env)


def test_four_controllers_share_a_ca_that_is_on_no_disk(
    hosts: dict[str, Host], authority: dict[str, str], ansible: Ansible, tmp_path: Path
) -> None:
    pairs = [(controller(tmp_path, number, ansible), host) for number, host in enumerate(hosts.values(), 1)]
    watch = [one.directory for one, _host in pairs]
    with watched(watch, authority["FLEET_CA_KEY"]) as found:
        with ThreadPoolExecutor(len(pairs)) as pool:
            runs = [pool.submit(secure, one, host, authority, "--diff", "-vvv") for one, host in pairs]
            first = [running.result() for running in runs]
        again = secure(pairs[0][0], pairs[0][1], authority)
    assert found == set()
    assert [done.rc for done in first] == [0] * len(hosts), [done.output for done in first]
    assert again.changed(pairs[0][1]) == 0
    for done in first:
        assert authority["FLEET_CA_KEY"].splitlines()[1] not in done.output
        assert "it may have CAs below it" not in done.output
    serials = [served_serial(host, authority, tmp_path) for host in hosts.values()]
    assert len(set(serials)) == len(hosts)
    for one, host in pairs:
        assert not (one.directory / ".docker_remote_api").exists()
        assert authority["FLEET_CA_KEY"].splitlines()[1] not in host.exec("sh", "-c", "cat /etc/docker/*").stdout


def test_a_ledger_is_kept_where_it_is_asked_for(
    hosts: dict[str, Host], authority: dict[str, str], ansible: Ansible
) -> None:
    host = hosts["slice-1"]
    ledger = ansible.directory / "ledger"
    # A client with a key of its own needs no disk here, either.
    client = {"name": "self", "host": host.name, "directory": "/root/self", "context": "self"}
    more: dict[str, Any] = {
        "docker_remote_api_server_names": ["db.example.com"],
        "docker_remote_api_clients": [client],
    }
    more["docker_remote_api_ledger_dir"] = str(ledger)
    before = host.sh("md5sum /etc/docker/* /etc/default/docker")
    foreseen = secure(ansible, host, authority, "--check", **more)
    assert foreseen.rc == 0, foreseen.output
    assert foreseen.changed(host) > 0
    assert (host.sh("md5sum /etc/docker/* /etc/default/docker"), ledger.exists()) == (before, False)
    assert host.sh("ls /root/self 2>/dev/null || echo none") == "none"
    done = secure(ansible, host, authority, **more)
    assert done.rc == 0, done.output
    issued = {host.read(CERTIFICATE), host.read("/root/self/cert.pem")}
    assert {copy.read_text() for copy in ledger.iterdir()} == issued
    assert host.sh("docker --context self info --format '{{.Name}}'") == host.name


def test_a_job_in_an_execution_environment(
    job: Host, hosts: dict[str, Host], authority: dict[str, str], tmp_path: Path
) -> None:
    host, key = hosts["slice-1"], authority["FLEET_CA_KEY"].splitlines()[1]
    # A CA of its own, or nothing might be due.
    host.sh("rm -f /etc/docker/*.pem")
    first, again = (
        job.exec("python3", "-c", RUN_JOB, stdin=json.dumps({"environment": authority})).stdout for _run in range(2)
    )
    assert "changed=1" in first
    assert "failed=0" in first
    assert "changed=0" in again
    assert served_serial(host, authority, tmp_path)
    # ansible-runner keeps the environment of a job among its artifacts, hence the guide's folder in memory.
    search = f"find / /tmp /dev/shm /run/artifacts -xdev -type f -exec grep -lsF -e '{key}' {{}} +"
    found = [Path(path) for path in job.sh(f"{search} || true").splitlines()]
    assert {(path.parent.parent, path.name) for path in found} == {(Path("/run/artifacts"), "command")}


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"docker_remote_api_ca_key": "no key"}, "ca_key: "),
        ({"docker_remote_api_ca_certificate": ""}, "ca_certificate"),
        ({"docker_remote_api_clients": [{"name": "admin"}]}, "clients: there is no directory for them"),
    ],
)
def test_bad_input_is_refused_before_anything_is_changed(
    hosts: dict[str, Host], authority: dict[str, str], ansible: Ansible, variables: dict[str, Any], says: str
) -> None:
    host = hosts["slice-2"]
    before = host.read(CERTIFICATE)
    done = secure(ansible, host, authority, **variables)
    assert done.rc != 0
    assert any(says in message for message in done.messages(host)), done.output
    assert "Traceback" not in done.output
    assert host.read(CERTIFICATE) == before


def test_an_intermediate_of_a_company_is_a_ca_without_the_one_above_it(
    hosts: dict[str, Host], ansible: Ansible, tmp_path: Path
) -> None:
    """The docker client and the engine, which are in Go, take it as it is, and so does curl. OpenSSL has to be told."""
    host, admin = hosts["slice-1"], tmp_path / "admin"
    clients = [{"name": "admin", "directory": str(admin)}]
    replace = {"docker_remote_api_on_foreign_authority": "replace"}
    done = secure(ansible, host, intermediate(tmp_path), docker_remote_api_clients=clients, **replace)
    assert done.rc == 0, done.output
    checks = done.result(host, "dockerfleet.remote_api.remote_api")["checks"]
    assert [check["name"] for check in checks if not check["ok"]] == []
    assert "another CA issued it" in " ".join(done.output.split())
    info = docker(host, admin, "info", "--format", "{{.Name}}")
    assert info.stdout.strip() == host.name, info.stderr
    assert curl(host, admin).stdout == "OK"
    shown = ("openssl", "s_client", "-connect", f"{host.address}:2376", "-CAfile", admin / "ca.pem")
    assert "unable to get issuer certificate" in run(*shown, stdin="", check=False).stdout
    assert "Verify return code: 0 (ok)" in run(*shown, "-partial_chain", stdin="", check=False).stdout


def intermediate(folder: Path) -> dict[str, str]:
    """Return the environment variables with a CA that another one issued, which is not among them."""
    extensions = folder / "extensions"
    extensions.write_text("basicConstraints = critical, CA:true\nkeyUsage = critical, keyCertSign, cRLSign\n")
    new = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")
    root, key = folder / "root.pem", folder / "own-key.pem"
    run(*new, "-x509", "-subj", "/CN=Company", "-keyout", folder / "root-key.pem", "-out", root)
    run(*new, "-subj", "/CN=Docker of the company", "-keyout", key, "-out", folder / "own.csr")
    authority = ("-CA", root, "-CAkey", folder / "root-key.pem", "-CAcreateserial", "-extfile", extensions)
    own = run("openssl", "x509", "-req", "-in", folder / "own.csr", "-days", "99", *authority).stdout
    return {"FLEET_CA_CERTIFICATE": own, "FLEET_CA_KEY": key.read_text()}
