# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP by the standard library: what is sent, how long an answer is, and whether its connection is kept.

What goes wrong on the way is in test_bad_engines, over each transport.
"""

from __future__ import annotations

import http.server
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import Engine
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import BrokenAnswerError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.http_transport import HttpTransport
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.sockets import Progress

Handler = Callable[[socket.socket], None]

CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


def one_by_one(*answers: bytes, close: bool = False) -> Handler:
    """Return a handler that gives these answers, one for each request, and then waits or closes."""

    def handler(sock: socket.socket) -> None:
        for answer in answers:
            request = b""
            while b"\r\n\r\n" not in request:
                request += sock.recv(65536)
            sock.sendall(answer)
        if not close:
            sock.recv(65536)

    return handler


@pytest.fixture
def transport_to(connection_to: Any) -> Iterator[Callable[[str], HttpTransport]]:
    """Return a function that makes a transport to an address; all are closed with the test."""
    made: list[HttpTransport] = []

    def make(address: str) -> HttpTransport:
        made.append(HttpTransport(Progress(connection_to(address, timeout=2))))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


def ask(transport: HttpTransport, method: str = "GET") -> tuple[int, bytes]:
    """Return the status and the whole body of an answer."""
    response = transport.send(method, "/x", None, {})
    body = b"".join(response.pieces())
    response.close()
    return response.status, body


@pytest.mark.parametrize(
    ("method", "answer", "expected"),
    [
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", (200, b"ab")),
        ("GET", b"HTTP/1.1 200\r\ncontent-length:2\r\n\r\nab", (200, b"ab")),
        ("GET", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nab", (200, b"ab")),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", (200, b"")),
        ("GET", b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", (200, b"abc")),
        ("GET", b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"A;x=y\r\n0123456789\r\n00\r\n\r\n", (200, b"0123456789")),
        ("GET", b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"1\r\na\r\n0\r\nX-Sum: 1\r\nX-B: 2\r\n\r\n", (200, b"a")),
        ("GET", b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"0\r\n\r\n", (200, b"")),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", (304, b"")),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", (200, b"")),
        ("HEAD", b"HTTP/1.1 200 OK\r\n" + CHUNKED, (200, b"")),
        ("POST", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 OK\r\nContent-Length: 1\r\n\r\na", (201, b"a")),
    ],
)
def test_answers_on_one_connection(
    serve: Any, transport_to: Any, method: str, answer: bytes, expected: tuple[int, bytes]
) -> None:
    server = serve(one_by_one(answer, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"), unix=True)
    transport = transport_to(server.address)
    assert ask(transport, method) == expected
    assert ask(transport) == (200, b"next")
    assert server.connections == 1


def test_large_chunk_comes_in_pieces(serve: Any, transport_to: Any) -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"30000\r\n" + b"x" * 0x30000 + b"\r\n0\r\n\r\n"
    response = transport_to(serve(one_by_one(answer), unix=True).address).send("GET", "/x", None, {})
    sizes = [len(piece) for piece in response.pieces()]
    assert sum(sizes) == 0x30000
    assert max(sizes) <= 2**16


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab", b"ab"),
        (b"HTTP/1.0 200 OK\r\n\r\nall up to the end", b"all up to the end"),
    ],
)
def test_connection_that_ends_is_opened_anew(serve: Any, transport_to: Any, answer: bytes, body: bytes) -> None:
    server = serve(one_by_one(answer, close=True), unix=True)
    transport = transport_to(server.address)
    assert ask(transport) == (200, body)
    assert ask(transport) == (200, body)
    assert server.connections == 2


def test_answer_that_was_not_read_does_not_answer_the_next_request(serve: Any, transport_to: Any) -> None:
    server = serve(one_by_one(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"), unix=True)
    transport = transport_to(server.address)
    transport.send("GET", "/x", None, {}).close()
    assert ask(transport) == (200, b"ab")
    assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"x\r\n", "the connection was closed while reading the answer"),
        (b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"2\r\na", "the connection was closed while reading the answer"),
        (b"HTTP/2 200\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "the answer is not HTTP"),
    ],
)
def test_answer_that_breaks_the_rules(serve: Any, engine_at: Any, answer: bytes, message: str) -> None:
    engine: Engine = engine_at(serve(one_by_one(answer, close=True), unix=True).address, api_version="1.41")
    with pytest.raises(BrokenAnswerError, match=message):
        engine.get_json("/info")


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The standard library's server on a unix socket, as a judge of requests."""

    daemon_threads = True

    def get_request(self) -> tuple[socket.socket, Any]:
        """Return the connection, with an address as the library expects it."""
        return self.socket.accept()[0], ("local", 0)


@pytest.fixture
def judge(tmp_path: Path) -> Iterator[tuple[str, list[tuple[str, str, dict[str, str], bytes]]]]:
    """Return the address of a server, and what it has understood of requests: method, target, headers, and body."""
    understood: list[tuple[str, str, dict[str, str], bytes]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def note(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            understood.append((self.command, self.path, dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    for method in ("GET", "POST", "PUT"):
        setattr(Handler, f"do_{method}", Handler.note)
    with _Server(str(tmp_path / "judge.sock"), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"unix://{tmp_path}/judge.sock", understood
        server.shutdown()


def test_requests(judge: Any, transport_to: Any) -> None:
    address, understood = judge
    transport = transport_to(address)
    for method, target, body in [
        ("GET", "/v1.41/a?b=%7B%22c%22%3A+1%7D", None),
        ("POST", "/start", None),
        ("PUT", "/x%20y?a=%E2%82%AC", b"\xff" * 100000),
    ]:
        response = transport.send(method, target, body, {"X-A": "b", "X-C": "\u00e9"})
        assert list(response.pieces()) == []
        response.close()
    assert [(method, target, body) for method, target, headers, body in understood] == [
        ("GET", "/v1.41/a?b=%7B%22c%22%3A+1%7D", b""),
        ("POST", "/start", b""),
        ("PUT", "/x%20y?a=%E2%82%AC", b"\xff" * 100000),
    ]
    for method, _target, headers, body in understood:
        assert (headers["Host"], headers["X-A"], headers["X-C"]) == ("localhost", "b", "\u00e9")
        assert headers.get("Content-Length") == (None if method == "GET" else str(len(body)))


ASK = """
import sys
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import *
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import Engine
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.containers import container_info
params = {name: argument.get("default") for name, argument in ENGINE_ARGUMENTS.items()}
with Engine(resolve({**params, "docker_host": sys.argv[1]}, ClientEnvironment.empty())) as engine:
    container_info(engine, names=None, everything=True, filters=None, details=False)
print(*sys.modules)
"""


def test_local_engine_is_asked_without_requests(serve: Any, fake_engine: Any) -> None:
    """Each task loads its libraries again, and hosts need not have this one."""
    server = serve(fake_engine({"GET /containers/json": []}), unix=True)
    done = subprocess.run([sys.executable, "-c", ASK, server.address], capture_output=True, text=True, check=True)
    assert "requests" not in done.stdout.split()
    assert "container_state" not in done.stdout
