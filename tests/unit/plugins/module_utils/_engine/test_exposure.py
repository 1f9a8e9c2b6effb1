# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who gets in at a port: each way of being open or closed, played by real servers on this machine."""

from __future__ import annotations

import pathlib
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.exposure import (
    Exposure,
    Visitor,
    examine,
    open_addresses,
)

VERSION = {"Version": "26.1.5", "ApiVersion": "1.45", "MinAPIVersion": "1.24"}
INFO = {"Name": "docker1", "ServerVersion": "26.1.5"}
GO_REFUSES_PLAIN_HTTP = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"


def pem(folder: pathlib.Path) -> Visitor:
    return Visitor(pem=(folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes())


def served(folder: pathlib.Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert((folder / "cert.pem").read_text())


@pytest.fixture
def engine(fake_engine: Any) -> Any:
    return fake_engine({"GET /version": VERSION, "GET /info": INFO})


@pytest.fixture
def look(serve: Any, authority: Any, other_authority: Any) -> Callable[..., Exposure]:
    """Return a function that examines what a handler serves, as a client of the CA, of another CA, or of none."""
    client = authority.issue("client", server=False)
    stranger = other_authority.issue("stranger", server=False)

    def examine_it(handler: Any, context: ssl.SSLContext | None = None, *, known: Visitor | None = None) -> Exposure:
        port = int(serve(handler, context=context).address.rpartition(":")[2])
        return examine("127.0.0.1", port, pem(stranger), pem(client) if known is None else known, 5)

    return examine_it


@pytest.fixture
def folder(authority: Any) -> pathlib.Path:
    found: pathlib.Path = authority.issue("docker1")
    return found


def test_open_without_tls(look: Any, engine: Any) -> None:
    found = look(engine)
    assert (found.access, found.certificate, found.version, found.info) == ("plain", None, VERSION, INFO)
    assert found.admitted is None


def test_open_with_tls(look: Any, engine: Any, server_context: Any, folder: pathlib.Path) -> None:
    found = look(engine, server_context(folder))
    assert (found.access, found.certificate, found.version) == ("tls", served(folder), VERSION)


def test_open_to_any_certificate(
    look: Any, engine: Any, server_context: Any, folder: pathlib.Path, other_authority: Any
) -> None:
    """A server that asks for a certificate and trusts, besides its own, the CA that nobody should."""
    context = server_context(folder, mutual=True)
    context.load_verify_locations(other_authority.path)
    found = look(engine, context)
    assert (found.access, found.version) == ("any_certificate", VERSION)


@pytest.mark.parametrize("newest", [True, False], ids=["TLS 1.3", "TLS 1.2"])
def test_trusted_clients_only(look: Any, engine: Any, server_context: Any, folder: pathlib.Path, newest: bool) -> None:
    found = look(engine, server_context(folder, mutual=True, newest=newest))
    assert (found.access, found.certificate, found.admitted) == ("mutual_tls", served(folder), True)
    assert (found.version, found.info) == (VERSION, INFO)


@pytest.mark.parametrize("newest", [True, False], ids=["TLS 1.3", "TLS 1.2"])
def test_from_outside_alone(
    serve: Any, engine: Any, server_context: Any, folder: pathlib.Path, other_authority: Any, newest: bool
) -> None:
    """With TLS 1.3 the certificate is seen by everybody; Python cannot tell it after a failed handshake of TLS 1.2."""
    server = serve(engine, context=server_context(folder, mutual=True, newest=newest))
    stranger = pem(other_authority.issue("stranger", server=False))
    found = examine("127.0.0.1", int(server.address.rpartition(":")[2]), stranger, None, 5)
    assert (found.access, found.admitted, found.version) == ("mutual_tls", None, {})
    assert found.certificate == (served(folder) if newest else None)
    assert engine.requests == []


def test_known_client_is_refused(
    look: Any, engine: Any, server_context: Any, folder: pathlib.Path, make_authority: Any
) -> None:
    other = make_authority("third", "Third CA").issue("client", server=False)
    found = look(engine, server_context(folder, mutual=True), known=pem(other))
    assert (found.access, found.admitted) == ("mutual_tls", False)
    assert "refuses the client certificate" in found.detail


def test_files_that_cannot_be_used(look: Any, engine: Any, server_context: Any, folder: pathlib.Path) -> None:
    with pytest.raises(errors.OptionError, match="/no/such"):
        look(engine, server_context(folder, mutual=True), known=Visitor("/no/such/cert.pem", "/no/such/key.pem"))


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert examine("127.0.0.1", port, Visitor(), None, 5).access == "closed"
    found = examine("nowhere.invalid", 2376, Visitor(), None, 5)
    assert found.access == "no_answer"
    assert "nowhere.invalid" in found.detail


def answer(content: bytes) -> Callable[[socket.socket], None]:
    def handler(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(content)
        time.sleep(0.2)

    return handler


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"220 mail.example.com ESMTP\r\n", ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "status 200, without TLS"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull", "status 200, without TLS"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "status 403, without TLS"),
        (GO_REFUSES_PLAIN_HTTP, "status 400, without TLS"),
        (b"", ""),
    ],
)
def test_something_else_answers(look: Any, content: bytes, detail: str) -> None:
    found = look(answer(content))
    assert found.access == "other"
    assert detail in found.detail


def test_something_else_answers_over_tls(look: Any, server_context: Any, folder: pathlib.Path) -> None:
    found = look(answer(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), server_context(folder))
    assert (found.access, found.certificate) == ("other", served(folder))


def test_proxy_refuses_by_status(look: Any, server_context: Any, folder: pathlib.Path) -> None:
    found = look(answer(b"HTTP/1.1 400 No certificate\r\nContent-Length: 0\r\n\r\n"), server_context(folder))
    assert (found.access, found.admitted) == ("mutual_tls", False)


def test_answer_without_end_is_not_read_to_its_end(look: Any) -> None:
    def handler(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        piece = b"x" * 2**20
        for _number in range(200):
            sock.sendall(piece)

    start = time.monotonic()
    assert look(handler).access == "other"
    assert time.monotonic() - start < 60


@pytest.mark.parametrize(
    ("version", "info"),
    [
        (b"[" * 200_000, b""),
        (b'{"ApiVersion": 5}', b'{"Warnings": "API"}'),
        (b'{"ApiVersion": []}', b'{"Warnings": [1]}'),
    ],
)
def test_engine_that_means_no_good(look: Any, fake_engine: Any, version: bytes, info: bytes) -> None:
    found = look(fake_engine({"GET /version": version, "GET /info": info}))
    assert found.access in ("plain", "other")
    assert open_addresses(found.info) == []


def test_addresses_that_the_engine_warns_of() -> None:
    warning = "[DEPRECATION NOTICE]: API is accessible on http://0.0.0.0:2375 without encryption.\n"
    assert open_addresses({"Warnings": ["no swap limit", warning]}) == ["http://0.0.0.0:2375"]
    assert open_addresses({"Warnings": None}) == open_addresses({}) == []
