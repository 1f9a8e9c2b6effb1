# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller without a disk of its own: the CA comes from a credential, as text, and no file ever has its key."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Ansible, Host, Lab, Run, run

SECURE = "dockerfleet.remote_api.secure"
CREDENTIAL = {
    "docker_remote_api_ca_certificate": "{{ lookup('ansible.builtin.env', 'FLEET_CA_CERTIFICATE') }}",
    "docker_remote_api_ca_key": "{{ lookup('ansible.builtin.env', 'FLEET_CA_KEY') }}",
}
CERTIFICATE = "/etc/docker/server-cert.pem"


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> dict[str, Host]:
    """Give two hosts, for two controllers."""
    return lab.hosts({"slice-1": ("bookworm", "docker-io"), "slice-2": ("trixie", "docker-ce")})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give the environment variables with a CA that openssl made; no file of it is left."""
    folder = tmp_path_factory.mktemp("authority")
    run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "100",
        "-subj", "/CN=Fleet CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        "-keyout", folder / "key.pem", "-out", folder / "ca.pem",
    )  # fmt: skip
    found = {"FLEET_CA_CERTIFICATE": (folder / "ca.pem").read_text(), "FLEET_CA_KEY": (folder / "key.pem").read_text()}
    for file in folder.iterdir():
        file.unlink()
    return found


@contextmanager
def watched(folders: list[Path], secret: str) -> Iterator[set[str]]:
    """Give the paths of all files that had the secret at any look, while the block runs and at its end."""
    found: set[str] = set()
    end = threading.Event()
    needle = secret.splitlines()[1].encode()

    def look() -> None:
        for folder in folders:
            for directory, _below, names in folder.walk():
                for path in (directory / name for name in names):
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


def test_two_controllers_share_a_ca_that_is_on_no_disk(
    hosts: dict[str, Host], authority: dict[str, str], ansible: Ansible, tmp_path: Path
) -> None:
    pair = [(controller(tmp_path, number, ansible), host) for number, host in enumerate(hosts.values(), 1)]
    watch = [one.directory for one, _host in pair]
    with watched([*watch, Path("/tmp"), Path("/var/tmp"), Path("/dev/shm")], authority["FLEET_CA_KEY"]) as found:
        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(secure, one, host, authority, "--diff", "-vvv") for one, host in pair]
            first = [running.result() for running in both]
        again = secure(pair[0][0], pair[0][1], authority)
    assert found == set()
    assert [done.rc for done in first] == [0, 0], [done.output for done in first]
    assert again.changed(pair[0][1]) == 0
    for done in first:
        assert authority["FLEET_CA_KEY"].splitlines()[1] not in done.output
    serials = [served_serial(host, authority, tmp_path) for host in hosts.values()]
    assert len(set(serials)) == 2
    for one, host in pair:
        assert not (one.directory / ".docker_remote_api").exists()
        assert authority["FLEET_CA_KEY"].splitlines()[1] not in host.exec("sh", "-c", "cat /etc/docker/*").stdout


def test_a_ledger_is_kept_where_it_is_asked_for(
    hosts: dict[str, Host], authority: dict[str, str], ansible: Ansible
) -> None:
    host = hosts["slice-1"]
    ledger = ansible.directory / "ledger"
    more = {"docker_remote_api_ledger_dir": str(ledger), "docker_remote_api_server_names": ["db.example.com"]}
    done = secure(ansible, host, authority, **more)
    assert done.rc == 0, done.output
    (copy,) = ledger.iterdir()
    assert copy.read_text() == host.read(CERTIFICATE)


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
