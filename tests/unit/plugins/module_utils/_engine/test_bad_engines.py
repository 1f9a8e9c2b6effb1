# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An engine, or what stands in its place, misbehaves: one clear sentence within the time limit, and no traceback."""

from __future__ import annotations

import re
import socket
import ssl
import time
import typing as t
from collections.abc import Callable

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import client
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import Engine
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import EngineError

if t.TYPE_CHECKING:
    from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._engine.conftest import (
        Authority,
        Server,
    )

Handler = Callable[[socket.socket], None]

OK_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nApi-Version: 1.41\r\n"


def send(*pieces: bytes, pause: float = 0) -> Callable[[socket.socket], None]:
    """Return a handler that sends pieces, with a pause after each, and closes."""

    def handler(sock: socket.socket) -> None:
        for piece in pieces:
            sock.sendall(piece)
            time.sleep(pause)

    return handler


def send_forever(head: bytes, piece: bytes, pause: float = 0) -> Callable[[socket.socket], None]:
    """Return a handler that never ends."""

    def handler(sock: socket.socket) -> None:
        sock.sendall(head)
        while True:
            sock.sendall(piece)
            time.sleep(pause)

    return handler


BAD = {
    "truncated JSON": (
        send(OK_HEAD + b'Content-Length: 12\r\n\r\n{"Name": "a"'),
        r"GET /info at \S+: the answer is broken JSON .* beginning with '\{\"Name\": \"a\"'\. ",
    ),
    "wrong content type": (
        send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 14\r\n\r\n<h1>Hello</h1>"),
        r"the answer is text/html instead of JSON, beginning with 'Hello'",
    ),
    "no content type": (
        send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
        r"the answer is nothing that names its type instead of JSON",
    ),
    "500 with HTML": (
        send(
            b"HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 48\r\n\r\n"
            b"<html>\n<body><h1>It is broken</h1></body></html>"
        ),
        r"the engine answered with status 500: It is broken\. ",
    ),
    "500 with the engine's words": (
        send(
            b'HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\nContent-Length: 22\r\n\r\n{"message":"no space"}\n'
        ),
        r"the engine answered with status 500: no space\. ",
    ),
    "endless body": (
        send_forever(OK_HEAD + b"\r\n", b" " * 1000, 0.01),
        r"timed out after 1 seconds while reading the answer to GET /info",
    ),
    "endless chunked body": (
        send_forever(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"4\r\nabcd\r\n", 0.01),
        r"timed out after 1 seconds while reading the answer to GET /info",
    ),
    "a slow trickle of a body": (
        send_forever(OK_HEAD + b"Content-Length: 100000\r\n\r\n", b" ", 0.2),
        r"timed out after 1 seconds while reading the answer to GET /info",
    ),
    "a slow trickle of a header": (
        send_forever(b"HTTP/1.1 200 OK\r\nServer: ", b"x", 0.2),
        r"timed out after 1 seconds while waiting for the answer to GET /info",
    ),
    "no answer": (
        lambda sock: time.sleep(3),
        r"timed out after 1 seconds while waiting for the answer to GET /info",
    ),
    "redirect": (
        send(b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/login\r\nContent-Length: 0\r\n\r\n"),
        r"the answer is a redirect to http://127\.0\.0\.1:1/login, which no engine gives here",
    ),
    "a header of 1 MB": (
        send(b"HTTP/1.1 200 OK\r\nServer: " + b"x" * 1000000 + b"\r\n\r\n"),
        r"the headers of the answer are too large",
    ),
    "headers of 1 MB": (
        send(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 100) for n in range(10000)) + b"\r\n"),
        r"the headers of the answer are too large",
    ),
    "closed without a word": (
        send(b""),
        r"the connection was closed while waiting for the answer to GET /info \(without any answer\)",
    ),
    "closed within the headers": (
        send(b"HTTP/1.1 200 OK\r\nContent-"),
        r"the answer is nothing that names its type instead of JSON|the connection was closed while",
    ),
    "closed within the body": (
        send(OK_HEAD + b"Content-Length: 1000\r\n\r\n{"),
        r"the connection was closed while reading the answer to GET /info \(.*1.*(999|1000)",
    ),
    "closed within a chunk": (
        send(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{"),
        r"the connection was closed while reading the answer to GET /info",
    ),
    "another protocol": (
        send(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
        r"the answer is not HTTP, beginning with 'SSH-2\.0",
    ),
    "400 with the engine's words": (
        send(
            b'HTTP/1.1 400 No\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n{"message":"bad filter"}'
        ),
        r"the engine answered with status 400: bad filter\. Correct the request",
    ),
}


def limit_in(message: str) -> int | None:
    """Return the time limit that the message is about; for another message, the usual one has to do."""
    found = re.search("timed out after ([0-9]+) seconds", message)
    return int(found[1]) if found else None


@pytest.mark.parametrize("transport", ["tcp", "unix", "tls"])
@pytest.mark.parametrize(("then", "message"), BAD.values(), ids=BAD)
def test_bad_answer(
    serve: Callable[..., Server],
    talking: Callable[..., Handler],
    engine_at: Callable[..., Engine],
    server_context: Callable[..., ssl.SSLContext],
    authority: Authority,
    then: Handler,
    message: str,
    transport: str,
) -> None:
    tls = transport == "tls"
    context = server_context(authority.issue("engine"), mutual=True) if tls else None
    server = serve(talking(then), unix=transport == "unix", context=context)
    trust = {"cert_path": str(authority.issue("admin", server=False))} if tls else {}
    engine: Engine = engine_at(server.address, **trust)
    assert engine.api_version == "1.41"

    started = time.monotonic()
    with pytest.raises(EngineError) as caught:
        engine.request("GET", "/info", seconds=limit_in(message)).json()
    assert time.monotonic() - started < 10  # what never ends would take 20 seconds
    assert re.search(message, str(caught.value))
    assert server.address in str(caught.value)
    assert "\n" not in str(caught.value)
    assert engine.answered  # /_ping was


@pytest.mark.parametrize(
    ("then", "message", "answered"),
    [
        (lambda sock: time.sleep(3), "timed out after 1 seconds while waiting for the answer to GET /_ping", False),
        (send(b""), "closed while waiting for the answer to GET /_ping", False),
        (send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"), "has no header Api-Version", True),
        (send(b"HTTP/1.1 200 OK\r\nApi-Version: new\r\nContent-Length: 2\r\n\r\nOK"), "no header Api-Version", True),
        (send(b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nForbidden"), "status 403: Forbidden", True),
    ],
)
def test_first_answer_is_bad(
    serve: Callable[..., Server], engine_at: Callable[..., Engine], then: Handler, message: str, answered: bool
) -> None:
    def handler(sock: socket.socket) -> None:
        sock.recv(65536)
        then(sock)

    engine: Engine = engine_at(serve(handler).address, timeout=limit_in(message) or 20)
    with pytest.raises(EngineError, match=message):
        engine.get_json("/info")
    assert engine.answered is answered


def test_nothing_takes_the_connection(engine_at: Callable[..., Engine]) -> None:
    """Linux drops what would connect to a listener whose queue is full, as a firewall drops it."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for sock in (first, second):
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        engine: Engine = engine_at(f"tcp://127.0.0.1:{listener.getsockname()[1]}", timeout=1)
        with pytest.raises(EngineError, match="timed out after 1 seconds while connecting"):
            engine.get_json("/info")
        assert not engine.answered


def test_answer_larger_than_the_memory_set_aside(
    serve: Callable[..., Server],
    talking: Callable[..., Handler],
    engine_at: Callable[..., Engine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "MEMORY_LIMIT", 2**20)
    server = serve(talking(send(OK_HEAD + b"Content-Length: 2000000\r\n\r\n" + b" " * 2000000)))
    with pytest.raises(EngineError, match=r"the answer is larger than 1 MiB\. .*engine_api with dest"):
        engine_at(server.address).get_json("/info")
