# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks of verify: each passes with an engine that is locked, and fails for what it is there to find."""

from __future__ import annotations

import errno
import os
import pathlib
import socket
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import verification
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.verification import (
    VERIFY_ARGUMENTS,
    Identities,
    verify,
)
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins import other_unix

DEFAULTS = {name: argument.get("default") for name, argument in VERIFY_ARGUMENTS.items()}
OPEN = (
    "[DEPRECATION NOTICE]: API is accessible on http://0.0.0.0:2375 without encryption.\n"
    "         Access to the remote API is equivalent to root access on the host."
)
GO_REFUSES_PLAIN_HTTP = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
NAMES = [
    "server_certificate",
    "info",
    "engine_warnings",
    "anonymous_refused",
    "foreign_certificate_refused",
    "plain_http_refused",
    "insecure_port_closed",
]


@pytest.fixture
def host(worker_id: str) -> str:
    """An address of this machine on which nothing listens, another one for each process that runs tests."""
    number = int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 99
    return f"127.7.7.{number + 1}"


def information(**more: Any) -> dict[str, Any]:
    return {"ID": "one", "Name": "docker1", "ServerVersion": "26.1.5", "Warnings": None, **more}


@pytest.fixture
def engine(serve: Any, fake_engine: Any, server_context: Any, authority: Any, host: Any) -> Callable[..., str]:
    """Return a function that starts an engine and returns its address."""

    def start(
        info: dict[str, Any] | None = None,
        *,
        mutual: bool = True,
        tls: bool = True,
        name: str = "docker1",
        **certificate: Any,
    ) -> str:
        played = fake_engine({"GET /info": info or information()})
        folder = authority.issue(name, **{"addresses": (host,), **certificate}) if tls else None
        context = server_context(folder, mutual=mutual) if tls else None
        address: str = serve(played, context=context, host=host).address
        return address

    return start


def pem(folder: pathlib.Path) -> bytes:
    """Return the text of a certificate and its key."""
    return (folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes()


@pytest.fixture
def check(authority: Any, other_authority: Any) -> Callable[..., dict[str, Any]]:
    """Return a function that verifies as the controller does, and returns the result."""
    admin = authority.issue("admin", server=False)
    foreign = other_authority.issue("foreign", server=False)

    def run(address: str | None, host: str = "unused.invalid", **params: Any) -> dict[str, Any]:
        merged = {**DEFAULTS, "timeout": 5, "cert_path": str(admin), "docker_host": address, **params}
        return verify(merged, host, local=False, identities=Identities(None, pem(foreign)))

    return run


def failed(result: dict[str, Any]) -> list[str]:
    return [one["name"] for one in result["checks"] if not one["ok"]]


def test_locked_engine(engine: Any, check: Any) -> None:
    result = check(engine())
    assert [one["name"] for one in result["checks"]] == NAMES
    assert failed(result) == []
    assert "failed" not in result
    assert result["info"]["Name"] == "docker1"
    assert result["changed"] is False


def test_without_negative_checks(engine: Any, check: Any) -> None:
    assert [one["name"] for one in check(engine(), negative_checks=False)["checks"]] == NAMES[:3]


def test_engine_that_takes_everybody(engine: Any, check: Any) -> None:
    """TLS without client certificates: what --tls alone meant for engines up to 19.03."""
    result = check(engine(mutual=False))
    assert failed(result) == ["anonymous_refused", "foreign_certificate_refused"]
    assert result["failed"]
    assert "2 of 7 checks failed: anonymous_refused (a client without a certificate gets an answer" in result["msg"]
    assert result["msg"].count("Start the engine with --tlsverify") == 1
    assert "info" not in result


def test_engine_without_tls(serve: Any, fake_engine: Any, check: Any, host: Any) -> None:
    played = fake_engine({"GET /info": information()})

    def handler(sock: socket.socket) -> None:
        if sock.recv(1, socket.MSG_PEEK) == b"\x16":  # a TLS handshake
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        else:
            played(sock)

    result = check(serve(handler, host=host).address)
    assert failed(result) == [
        "server_certificate",
        "info",
        "anonymous_refused",
        "foreign_certificate_refused",
        "plain_http_refused",
    ]
    assert "this port speaks plain HTTP, not TLS" in result["msg"]


def test_certificate_with_the_name_of_a_directory(engine: Any, check: Any, host: str) -> None:
    result = check(engine(directory="Rack 7"))
    assert failed(result) == []
    (detail,) = [one["detail"] for one in result["checks"] if one["name"] == "server_certificate"]
    assert f"docker1 (localhost, {host}, Rack 7), signed by Our CA" in detail


def test_authority_as_text_in_any_language(engine: Any, check: Any, authority: Any) -> None:
    """As in a file, what stands around the certificate does not count."""
    text = f"# Für die Küche 例\n{authority.path.read_text()}# café\n"
    result = check(engine(), ca_certificate=text)
    assert failed(result) == []
    assert "failed" not in result


@pytest.mark.parametrize("local", [False, True], ids=["controller", "host"])
def test_directory_of_an_authority(engine: Any, authority: Any, local: bool) -> None:
    """As it is documented, wherever the checks run."""
    params = {**DEFAULTS, "timeout": 5, "negative_checks": False, "ca_path": str(authority.path.parent)}
    checks = verify({**params, "docker_host": engine(mutual=False)}, "unused.invalid", local=local)["checks"]
    assert [one["ok"] for one in checks if one["name"] == "server_certificate"] == [True], checks


def test_certificate_without_the_name(engine: Any, check: Any, host: Any) -> None:
    result = check(engine(addresses=("192.0.2.1",)))
    assert failed(result) == ["server_certificate", "info"]
    assert f"does not carry the name {host}; it carries localhost, 192.0.2.1" in result["msg"]


def test_nothing_is_verified(engine: Any, check: Any) -> None:
    assert failed(check(engine(), validate_certs=False)) == ["server_certificate"]


def test_client_whose_certificate_is_refused(engine: Any, check: Any, other_authority: Any, authority: Any) -> None:
    folder = other_authority.issue("admin", server=False)
    result = check(engine(), cert_path=str(folder), ca_path=str(authority.path))
    assert failed(result) == ["info"]


def test_engine_that_warns(engine: Any, check: Any) -> None:
    result = check(engine(information(Warnings=["WARNING: No swap limit support", OPEN])))
    assert failed(result) == ["engine_warnings"]
    assert "the engine warns that everybody can use http://0.0.0.0:2375" in result["msg"]


def test_no_engine_at_all(check: Any, host: Any) -> None:
    with socket.socket() as silent:  # bound and not listening, so that nothing else takes the port meanwhile
        silent.bind((host, 0))
        result = check(f"tcp://{host}:{silent.getsockname()[1]}", tls=True)
    assert set(failed(result)) == set(NAMES) - {"engine_warnings", "insecure_port_closed"}
    assert "the connection was refused, so nothing listens there" in result["msg"]
    assert "could not be tried" in result["msg"]


def test_something_else_answers(
    serve: Any,
    fake_engine: Any,
    server_context: Any,
    authority: Any,
    check: Any,
    host: Any,
) -> None:
    context = server_context(authority.issue("web", addresses=(host,)), mutual=True)
    server = serve(fake_engine({"GET /info": {"hello": "world"}}), context=context, host=host)
    result = check(server.address)
    assert failed(result) == ["info"]
    assert "is not an engine's answer" in result["msg"]


def test_answer_without_end_is_not_read_to_its_end(
    serve: Any, server_context: Any, authority: Any, check: Any, host: Any
) -> None:
    """Whoever answers is no engine that is trusted yet, and must not fill the memory of the controller."""
    sent = []

    def handler(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        piece = b"x" * 2**20
        for _number in range(64):
            sock.sendall(piece)
            sent.append(piece)

    context = server_context(authority.issue("web", addresses=(host,)))
    result = check(serve(handler, context=context, host=host).address, negative_checks=False)
    assert failed(result) == ["info"]
    assert "is not an engine's answer" in result["msg"]
    assert len(sent) < 32


def test_deeply_nested_answer_is_no_engine_s(
    serve: Any, fake_engine: Any, server_context: Any, authority: Any, check: Any, host: Any
) -> None:
    context = server_context(authority.issue("web", addresses=(host,)))
    engine = fake_engine({"GET /info": b"[" * 200_000})
    assert failed(check(serve(engine, context=context, host=host).address, negative_checks=False)) == ["info"]


@pytest.mark.parametrize("kind", ["engine", "silent", "other", "locked"])
def test_insecure_port_is_open(
    engine: Any,
    check: Any,
    serve: Any,
    fake_engine: Any,
    host: Any,
    kind: str,
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(verification, "CLOSED_PORT_WAIT", 0.5)
    handlers: dict[str, Callable[[socket.socket], object]] = {
        "engine": fake_engine({}),
        "silent": lambda sock: sock.recv(1000) and sock.recv(1),
        "other": lambda sock: sock.recv(1000) and sock.send(b"hello\r\n"),
        "locked": lambda sock: sock.recv(1000) and sock.send(GO_REFUSES_PLAIN_HTTP),
    }
    serve(handlers[kind], host=host, port=2375)
    result = check(engine())
    assert failed(result) == ["insecure_port_closed"]
    expected = {
        "engine": "port 2375 answers without TLS (status 200)",
        "locked": "port 2375 is open, and speaks TLS",
    }
    assert expected.get(kind, "port 2375 is open (") in result["msg"]


def test_a_port_that_could_not_be_tried_does_not_count_as_closed(check: Any, host: Any) -> None:
    """The name may be known to ssh alone, and whatever was to be taken away still listens."""
    removed = {"state": "absent", "tls": False, "listen": ["tcp://0.0.0.0:1"]}
    assert failed(check(None, host=host, **removed)) == []
    result = check(None, host="no-such-host.invalid", **removed)
    assert failed(result) == ["port_closed"]
    assert "port 1 could not be tried: the name 'no-such-host.invalid' cannot be resolved" in result["msg"]


def test_a_port_is_closed_at_all_addresses_of_a_name_or_open(
    check: Any, host: Any, serve: Any, fake_engine: Any, black_hole: Any, monkeypatch: Any
) -> None:
    """A firewall drops packets to the name's IPv6 address, say, and the engine listens on the other one."""
    address = serve(fake_engine({}), host=host).address
    port = int(address.rsplit(":", 1)[1])
    black_hole("docker1.invalid", host, monkeypatch)
    monkeypatch.setattr(verification, "CLOSED_PORT_WAIT", 1)
    result = check(None, host="docker1.invalid", state="absent", tls=False, listen=[f"tcp://0.0.0.0:{port}"])
    assert failed(result) == ["port_closed"]
    assert f"port {port} answers without TLS" in result["msg"]


def test_port_2375_that_is_meant_to_speak_tls(check: Any, host: Any) -> None:
    listened = ["tcp://0.0.0.0:1", "tcp://0.0.0.0:2375"]
    result = check(None, host=host, listen=listened, tls=True)
    assert "insecure_port_closed" not in [one["name"] for one in result["checks"]]


def test_server_that_refuses_by_status(serve: Any, server_context: Any, authority: Any, check: Any, host: Any) -> None:
    """A proxy before the engine lets everybody connect, and then asks for a certificate with status 400 or 403."""
    context = server_context(authority.issue("proxy", addresses=(host,)))

    def handler(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    result = check(serve(handler, context=context, host=host).address)
    assert not {"anonymous_refused", "foreign_certificate_refused"} & set(failed(result))


@pytest.fixture
def local(serve: Any, fake_engine: Any, monkeypatch: Any) -> Callable[..., None]:
    """Return a function that starts the engine of the local socket."""

    def start(info: dict[str, Any] | None = None) -> None:
        server = serve(fake_engine({"GET /info": info or information()}), unix=True)
        monkeypatch.setattr(verification, "DEFAULT_ADDRESS", server.address)

    return start


def check_on_host(host: str, **params: Any) -> dict[str, Any]:
    return verify({**DEFAULTS, "timeout": 5, **params}, host, local=True)


def test_host_checks_itself_without_a_client_certificate(engine: Any, local: Any, authority: Any, host: Any) -> None:
    local()
    port = int(engine().rsplit(":", 1)[1])
    result = check_on_host(host, ca_path=str(authority.path), port=port)
    assert [one["name"] for one in result["checks"]] == [
        "local_socket",
        "server_certificate",
        "engine_warnings",
        "anonymous_refused",
        "plain_http_refused",
        "insecure_port_closed",
    ]
    assert failed(result) == []


def test_host_checks_itself_with_a_client_certificate(engine: Any, local: Any, authority: Any, host: Any) -> None:
    local(information(ID="another"))
    admin = authority.issue("admin", server=False)
    result = check_on_host(host, cert_path=str(admin), docker_host=engine())
    assert failed(result) == ["same_engine"]


def test_plain_variant(engine: Any, local: Any, host: Any) -> None:
    address = engine(information(), tls=False)
    port = address.rsplit(":", 1)[1]
    local(information(Warnings=[f"WARNING: API is accessible on http://127.0.0.1:{port} without encryption."]))
    result = check_on_host(host, docker_host=address, tls=False)
    assert [one["name"] for one in result["checks"]] == ["local_socket", "info", "same_engine", "engine_warnings"]
    assert failed(result) == []


@pytest.mark.parametrize("warned", ["0.0.0.0:{port}", "127.0.0.1:4243", "[::]:{port}"])
def test_plain_variant_that_is_open_to_others(engine: Any, local: Any, host: Any, warned: str) -> None:
    address = engine(tls=False)
    where = warned.format(port=address.rsplit(":", 1)[1])
    local(information(Warnings=[f"WARNING: API is accessible on http://{where} without encryption."]))
    result = check_on_host(host, docker_host=address, tls=False)
    assert failed(result) == ["engine_warnings"]
    assert f"everybody can use http://{where}" in result["msg"]


def test_socket_does_not_answer(engine: Any, authority: Any, host: Any, monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.setattr(verification, "DEFAULT_ADDRESS", f"unix://{tmp_path}/no.sock")
    result = check_on_host(host, ca_path=str(authority.path), docker_host=engine())
    assert failed(result) == ["local_socket"]


def test_options_that_cannot_be_used(check: Any) -> None:
    assert check("unix:///var/run/docker.sock")["msg"].startswith(
        "option docker_host: unix:///var/run/docker.sock is a"
    )
    assert check("tcp://h:1", cert_path="/no/such")["msg"].startswith("option cert_path: /no/such is not a directory")


@pytest.mark.parametrize(
    ("host", "params", "addresses"),
    [
        ("nowhere.invalid", {}, ["tcp://nowhere.invalid:2376"]),
        ("nowhere.invalid", {"tls": False}, ["tcp://nowhere.invalid:2375"]),
        ("nowhere.invalid", {"port": 4243}, ["tcp://nowhere.invalid:4243"]),
        ("64:ff9b::1", {}, ["tcp://[64:ff9b::1]:2376"]),
        ("unused", {"docker_host": "tcp://nowhere.invalid:1", "port": 2}, ["tcp://nowhere.invalid:1"]),
        (
            "nowhere.invalid",
            {"listen": ["tcp://0.0.0.0:2376", "tcp://[::]:2376", "tcp://other.invalid:4243", "tcp://127.0.0.1:1"]},
            ["tcp://127.0.0.1:1", "tcp://nowhere.invalid:2376", "tcp://other.invalid:4243"],
        ),
        ("64:ff9b::1", {"listen": ["tcp://[::]:2376"], "docker_host": "tcp://other:1"}, ["tcp://[64:ff9b::1]:2376"]),
        *(
            ("nowhere.invalid", {"listen": [f"tcp://{one}:2376"]}, ["tcp://nowhere.invalid:2376"])
            for one in ("[::0]", "[0:0:0:0:0:0:0:0]", "[::ffff:0.0.0.0]", "0")
        ),
    ],
)
def test_addresses_that_are_checked(
    host: str, params: dict[str, Any], addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://variable:1")
    merged = {**DEFAULTS, "timeout": 1, "negative_checks": False, **params}
    result = verify(merged, host, local=False)
    assert list(dict.fromkeys(one["address"] for one in result["checks"])) == addresses
    assert ["skipped"] * ("tcp://127.0.0.1:1" in addresses) == [one["name"] for one in result["checks"] if one["ok"]]


@pytest.mark.parametrize(
    "host",
    ["127.9", "localhost", "LOCALHOST", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"],
)
def test_addresses_that_are_the_hosts_own_are_not_looked_for_on_the_controller(host: str) -> None:
    """Whoever connects to them from elsewhere reaches the controller itself."""
    merged = {**DEFAULTS, "timeout": 1, "negative_checks": False, "listen": [f"tcp://{host}:1"]}
    result = verify(merged, "nowhere.invalid", local=False)
    assert [(one["name"], one["ok"]) for one in result["checks"]] == [("skipped", True)]


def test_client_of_a_ca_that_was_replaced_has_to_be_refused(
    engine: Any, authority: Any, other_authority: Any, host: Any
) -> None:
    client, other = (pem(one.issue("ephemeral", server=False)) for one in (authority, other_authority))
    params = {**DEFAULTS, "timeout": 5, "ca_certificate": authority.path.read_text(), "docker_host": engine()}
    result = verify(params, host, local=False, identities=Identities(client, None, other))
    assert failed(result) == []
    assert "retired_certificate_refused" in [one["name"] for one in result["checks"]]
    still_trusted = verify(params, host, local=False, identities=Identities(client, None, client))
    assert failed(still_trusted) == ["retired_certificate_refused"]


def test_several_addresses_of_a_host(engine: Any, check: Any, host: Any) -> None:
    locked, opened = engine(), engine(mutual=False, name="docker2")
    result = check(None, host=host, listen=[one.replace(host, "[::]") for one in (locked, opened)])
    assert [one["name"] for one in result["checks"]] == [*NAMES[:-1], *NAMES]
    assert [(one["address"], one["name"]) for one in result["checks"] if not one["ok"]] == [
        (opened, "anonymous_refused"),
        (opened, "foreign_certificate_refused"),
    ]
    assert result["msg"].startswith(f"{opened}: 2 of 13 checks failed: anonymous_refused at {opened} (")


def test_client_and_authority_in_memory(engine: Any, authority: Any, host: Any) -> None:
    """As the action plugin has them: the engine's certificate is verified and its client let in, without any file."""
    texts = {"ca_certificate": authority.path.read_text(), "docker_host": engine()}
    client = pem(authority.issue("ephemeral", server=False))
    params = {**DEFAULTS, "timeout": 5, "negative_checks": False, **texts}
    assert failed(verify(params, host, local=False, identities=Identities(client))) == []
    assert failed(verify(params, host, local=False)) == ["info"]


@pytest.mark.parametrize("memory", [True, False], ids=["FreeBSD", "macOS"])
def test_what_only_linux_has_is_not_needed(
    engine: Any, authority: Any, other_authority: Any, monkeypatch: pytest.MonkeyPatch, memory: bool
) -> None:
    """FreeBSD has files in memory, too, and no path to them."""
    clients = [one.issue("client", server=False) for one in (authority, other_authority)]
    address = engine()
    other_unix.become(monkeypatch)
    if not memory:
        monkeypatch.delattr(os, "memfd_create")
    identities = Identities(*map(pem, clients))
    params = {**DEFAULTS, "timeout": 5, "ca_path": str(authority.path), "docker_host": address}
    result = verify(params, "unused.invalid", local=False, identities=identities)
    assert [one["name"] for one in result["checks"]] == NAMES
    assert failed(result) == []


def test_a_peer_that_closes_is_heard_out_on_macos_too(
    serve: Any, host: Any, check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sending may fail with EPROTOTYPE there while the peer closes; what it has said before tells why."""
    address = serve(lambda sock: sock.send(b"HTTP/1.0 403 Forbidden\r\n\r\n"), host=host).address

    def sendall(_sock: socket.socket, *_words: object) -> None:
        raise OSError(errno.EPROTOTYPE, os.strerror(errno.EPROTOTYPE))

    monkeypatch.setattr(socket.socket, "sendall", sendall)
    (info, *_others) = check(address, tls=False, cert_path=None)["checks"]
    assert "status 403" in info["detail"]
