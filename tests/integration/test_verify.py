# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action verify against real engines: locked ones pass, and each way of being open is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.engine_support import (
    PLAIN_OPTIONS,
    SUITES,
    TLS_OPTIONS,
    Pki,
    boot,
    listen,
    play,
    secure,
)
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Ansible, Host, Lab, run

VERIFY = "dockerfleet.remote_api.verify"
AUDIT = "dockerfleet.remote_api.audit"
NAMES = [
    "server_certificate",
    "info",
    "engine_warnings",
    "anonymous_refused",
    "foreign_certificate_refused",
    "plain_http_refused",
    "insecure_port_closed",
]
# Nobody can log in there: what still works runs on the controller alone.
NO_WAY_IN = {"ansible_port": 1, "ansible_user": "nobody"}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.make(tmp_path_factory.mktemp("verify") / "pki")


@pytest.fixture(scope="module")
def engines(lab: Lab, pki: Pki) -> dict[str, Host]:
    hosts = boot(lab, "verify-")
    for host in hosts.values():
        secure(host, pki)
    return hosts


def verified(
    ansible: Ansible, hosts: list[Host], *words: str, env: dict[str, str | None] | None = None, **options: Any
) -> list[dict[str, Any]]:
    """Return the result of the action on each host, without a way to log in there unless it is to run there."""
    variables = NO_WAY_IN if options.get("run_on") != "host" else {}
    done = ansible.playbook(play([{VERIFY: options}]), hosts, *words, variables=variables, env=env)
    assert "Traceback" not in done.output
    return [done.result(host, VERIFY) for host in hosts]


def failed(result: dict[str, Any]) -> list[str]:
    return [check["name"] for check in result["checks"] if not check["ok"]]


def test_locked_engines(engines: dict[str, Host], pki: Pki, ansible: Ansible) -> None:
    env: dict[str, str | None] = dict.fromkeys(("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), "/no/such/file")
    env |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:1")
    env |= {"NO_PROXY": "", "DOCKER_HOST": "tcp://127.0.0.1:1", "DOCKER_TLS_VERIFY": ""}
    for words in ((), ("--check",)):
        for host, result in zip(
            engines.values(),
            verified(ansible, list(engines.values()), *words, env=env, cert_path=str(pki.admin)),
            strict=True,
        ):
            assert [check["name"] for check in result["checks"]] == NAMES
            assert failed(result) == [], result
            assert result["info"]["Name"] == host.name
            assert result["info"]["ServerVersion"].startswith(SUITES[host.suite])
            assert not result.get("changed")


@pytest.mark.parametrize("text", [False, True], ids=["directory", "PEM text"])
def test_authority_issues_the_client(
    engines: dict[str, Host], pki: Pki, ansible: Ansible, tmp_path: Path, text: bool
) -> None:
    """No client's files are needed, the engines let it in, and nothing of it stays on the controller's disk."""
    passphrase = "correct horse battery staple"
    ca = tmp_path / "ca"
    ca.mkdir()
    certificate, key = (pki.folder / "ca.pem").read_text(), (pki.folder / "ca-key.pem").read_text()
    (ca / "ca.pem").write_text(certificate)
    (ca / "ca-key.pem").write_text(pki.encrypted_key(passphrase))
    options: dict[str, Any] = {"ca_path": str(ca), "ca_passphrase": passphrase}
    if text:
        options = {"ca_certificate": certificate, "ca_key": key}
    before = sorted(ca.rglob("*"))
    options["listen"] = ["tcp://0.0.0.0:2376", "tcp://127.0.0.1:2376"]
    for host, result in zip(engines.values(), verified(ansible, list(engines.values()), **options), strict=True):
        assert [check["name"] for check in result["checks"]] == ["skipped", *NAMES]
        assert failed(result) == [], result
        assert {check["address"] for check in result["checks"][1:7]} == {f"tcp://{host.address}:2376"}
        assert "PRIVATE KEY" not in json.dumps(result)
    assert sorted(ca.rglob("*")) == before


@pytest.mark.parametrize("ca_path", ["/etc/docker/ca.pem", "/etc/docker"])
def test_host_verifies_itself(engines: dict[str, Host], ansible: Ansible, ca_path: str) -> None:
    for result in verified(ansible, list(engines.values()), run_on="host", ca_path=ca_path):
        assert failed(result) == [], result
        assert [check["name"] for check in result["checks"]] == [
            "local_socket",
            "server_certificate",
            "engine_warnings",
            "anonymous_refused",
            "plain_http_refused",
            "insecure_port_closed",
        ]


def test_client_of_another_authority(engines: dict[str, Host], pki: Pki, ansible: Ansible, tmp_path: Path) -> None:
    other = Pki.make(tmp_path / "other", "Other CA")
    files: dict[str, Any] = {"client_cert": str(other.admin / "cert.pem"), "client_key": str(other.admin / "key.pem")}
    for result in verified(ansible, list(engines.values()), ca_path=str(pki.folder / "ca.pem"), **files):
        assert failed(result) == ["info"]
        assert f"the engine refuses the client certificate {other.admin}/cert.pem" in result["msg"]


def test_engine_of_another_authority(engines: dict[str, Host], ansible: Ansible, tmp_path: Path) -> None:
    other = Pki.make(tmp_path / "other", "Other CA")
    (result,) = verified(ansible, [engines["trixie"]], cert_path=str(other.admin))
    assert failed(result) == ["server_certificate", "info"]
    assert f"was signed by Test CA, not by the CA in {other.admin}/ca.pem (Other CA)" in result["msg"]


def test_name_that_the_certificate_lacks(engines: dict[str, Host], pki: Pki, ansible: Ansible) -> None:
    (result,) = verified(ansible, [engines["trixie"]], cert_path=str(pki.admin), tls_hostname="docker.example.com")
    assert failed(result) == ["server_certificate", "info"]
    assert "does not carry the name docker.example.com; it carries " in result["msg"]


def test_nobody_answers(engines: dict[str, Host], pki: Pki, ansible: Ansible) -> None:
    (result,) = verified(ansible, [engines["trixie"]], cert_path=str(pki.admin), port=4243)
    assert {"server_certificate", "info", "anonymous_refused"} <= set(failed(result))
    assert f"tcp://{engines['trixie'].address}:4243" in result["msg"]


@pytest.mark.parametrize("suite", ["bookworm", "forky"])
def test_engine_that_takes_everybody(engines: dict[str, Host], pki: Pki, ansible: Ansible, suite: str) -> None:
    """TLS alone: curl, too, gets in without a certificate."""
    host = engines[suite]
    listen(host, TLS_OPTIONS.replace("--tlsverify", "--tlsverify=false"))
    try:
        ping = f"https://{host.address}:2376/_ping"
        assert run("curl", "-sS", "--noproxy", "*", "--cacert", pki.folder / "ca.pem", ping).stdout == "OK"
        (result,) = verified(ansible, [host], cert_path=str(pki.admin))
        assert failed(result) == ["engine_warnings", "anonymous_refused", "foreign_certificate_refused"]
        assert "3 of 7 checks failed" in result["msg"]
        assert "Start the engine with --tlsverify" in result["msg"]
        (result,) = verified(ansible, [host], run_on="host", ca_path="/etc/docker/ca.pem")
        assert failed(result) == ["engine_warnings", "anonymous_refused"]
    finally:
        listen(host, TLS_OPTIONS)


@pytest.mark.parametrize("suite", ["bookworm", "forky"])
def test_port_for_plain_http_is_open(engines: dict[str, Host], pki: Pki, ansible: Ansible, suite: str) -> None:
    host = engines[suite]
    relay = "import socket; s = socket.create_server(('', 2375)); [s.accept() for _ in iter(int, 1)]"
    host.sh(f'systemd-run --unit relay python3 -c "{relay}"')
    try:
        host.sh("for try in $(seq 50); do ss -ltn | grep -q :2375 && break; sleep 0.1; done")
        (result,) = verified(ansible, [host], cert_path=str(pki.admin))
        assert failed(result) == ["insecure_port_closed"]
        (result,) = verified(ansible, [host], run_on="host", ca_path="/etc/docker/ca.pem")
        assert failed(result) == ["insecure_port_closed"]
    finally:
        host.sh("systemctl stop relay.service")


def test_port_2375_with_tls(engines: dict[str, Host], pki: Pki, ansible: Ansible) -> None:
    """--tlsverify locks all addresses of an engine, whatever their ports: this one is no open one, if it is meant."""
    host = engines["bookworm"]
    listen(host, f"{TLS_OPTIONS} -H tcp://0.0.0.0:2375")
    files = ("--cacert", pki.folder / "ca.pem", "--cert", pki.admin / "cert.pem", "--key", pki.admin / "key.pem")
    curl = ("curl", "-sS", "-m", "10", "--noproxy", "*")
    assert run(*curl, *files, f"https://{host.address}:2375/_ping").stdout == "OK"
    assert "HTTP request to an HTTPS server" in run(*curl, f"http://{host.address}:2375/_ping").stdout

    (result,) = verified(ansible, [host], cert_path=str(pki.admin))
    assert failed(result) == ["insecure_port_closed"]
    assert "port 2375 is open, and speaks TLS" in result["msg"]
    meant = ["tcp://0.0.0.0:2376", "tcp://0.0.0.0:2375"]
    ways: tuple[dict[str, Any], ...] = (
        {"cert_path": str(pki.admin)},
        {"ca_path": "/etc/docker/ca.pem", "run_on": "host"},
    )
    for where in ways:
        (result,) = verified(ansible, [host], listen=meant, tls=True, **where)
        assert failed(result) == [], result
        assert [one["name"] for one in result["checks"]].count("plain_http_refused") == 2

    options = {"addresses": [f"tcp://{host.address}"], "cert_path": str(pki.admin), "warn_below_days": 0}
    done = ansible.playbook(play([{AUDIT: options, "run_once": True}]), [host], variables=NO_WAY_IN)
    found = done.result(host, AUDIT)
    assert [(one["address"], one["access"]) for one in found["engines"]] == [
        (f"tcp://{host.address}:{port}", "mutual_tls") for port in (2375, 2376)
    ]
    assert [one["grade"] for one in found["findings"] if one["host"] == host.address] == ["ok"]


def test_plain_variant(engines: dict[str, Host], ansible: Ansible) -> None:
    host = engines["bullseye"]
    listen(host, PLAIN_OPTIONS)
    (result,) = verified(ansible, [host], run_on="host", tls=False)
    assert failed(result) == []
    assert [check["name"] for check in result["checks"]] == ["local_socket", "info", "same_engine", "engine_warnings"]
    listen(host, "-H tcp://0.0.0.0:2375 --tls=false")
    (result,) = verified(ansible, [host], run_on="host", tls=False)
    assert failed(result) == ["engine_warnings"]
    assert "everybody can use http://0.0.0.0:2375" in result["msg"]
    (result,) = verified(ansible, [host], tls=False)
    assert failed(result) == []


def test_engine_is_stopped(engines: dict[str, Host], ansible: Ansible) -> None:
    host = engines["trixie"]
    host.sh("systemctl stop docker.service docker.socket")
    (result,) = verified(ansible, [host], run_on="host", ca_path="/etc/docker/ca.pem")
    assert {"local_socket", "server_certificate"} <= set(failed(result))
    assert (
        "unix:///var/run/docker.sock: the connection was refused, so no engine listens on this socket" in result["msg"]
    )
