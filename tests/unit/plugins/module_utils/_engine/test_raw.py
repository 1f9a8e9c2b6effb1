# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Any request: answers in memory, and answers in files."""

from __future__ import annotations

import pathlib
import socket
import subprocess
import sys
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import (
    AnswerError,
    EngineError,
    OptionError,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.raw import Request, download, send


def request(path: str, method: str = "GET", **params: Any) -> Request:
    return Request(method, path, **params)


def answering(content: bytes, kind: str = "application/octet-stream") -> Any:
    """Return a handler that answers with these bytes."""

    def handler(sock: socket.socket) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
        sock.sendall(head.encode() + content)

    return handler


def test_json(serve: Any, fake_engine: Any, engine_at: Any) -> None:
    played = fake_engine({"GET /info": {"Name": "a"}})
    result = send(engine_at(serve(played).address), request("/info", query={"a": True}, headers={"X-A": "b"}))
    assert result["json"] == {"Name": "a"}
    assert (result["changed"], result["status"]) == (False, 200)
    assert result["headers"]["api-version"] == "1.41"
    assert "text" not in result
    assert played.requests[-1][0] == "GET /v1.41/info?a=true"


def test_query_in_the_path_and_beside_it(serve: Any, fake_engine: Any, engine_at: Any) -> None:
    played = fake_engine({"GET /containers/json": []})
    send(engine_at(serve(played).address), request("/containers/json?all=1", query={"limit": 2}))
    assert played.requests[-1][0] == "GET /v1.41/containers/json?all=1&limit=2"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_all_that_a_request_says_is_sent(serve: Any, engine_at: Any, method: str, unix: bool) -> None:
    received = bytearray()

    def handler(sock: socket.socket) -> None:
        while not received.endswith(b"}") and (piece := sock.recv(65536)):
            received.extend(piece)
        # What HEAD answers has the length of what GET would, and no body.
        sock.sendall(b"HTTP/1.1 200 OK\r\nX-Length: 9\r\nContent-Length: %d\r\n\r\n" % (9 if method == "HEAD" else 0))

    asked = request("/v1.41/x", method, query={"a": "b"}, body={"Name": "c"}, headers={"X-Registry-Auth": "d"})
    result = send(engine_at(serve(handler, unix=unix).address), asked)
    assert (result["status"], result["text"], result["headers"]["x-length"]) == (200, "", "9")
    assert result["changed"] is (method not in ("GET", "HEAD"))
    head, body = received.split(b"\r\n\r\n")
    first, *headers = head.decode().split("\r\n")
    assert first == f"{method} /v1.41/x?a=b HTTP/1.1"
    assert "x-registry-auth: d" in [line.lower() for line in headers]
    assert "content-type: application/json" in [line.lower() for line in headers]
    assert body == b'{"Name": "c"}'


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
@pytest.mark.parametrize("name", ["Content-Type", "content-type"])
@pytest.mark.parametrize("file", [False, True], ids=["JSON", "file"])
def test_type_of_the_body_is_sent_once(
    serve: Any, engine_at: Any, tmp_path: pathlib.Path, unix: bool, name: str, file: bool
) -> None:
    """Names of headers are the same in any case (RFC 9110, section 5.1)."""
    received = bytearray()

    def handler(sock: socket.socket) -> None:
        while not received.endswith(b"}"):
            received.extend(sock.recv(65536))
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    (tmp_path / "body").write_text("{}")
    body: dict[str, Any] = {"src": str(tmp_path / "body")} if file else {"body": {}}
    asked = request("/v1.41/x", "POST", headers={name: "text/plain"}, **body)
    send(engine_at(serve(handler, unix=unix).address), asked)
    lines = received.decode().lower().split("\r\n")
    kind = "text/plain" if file else "application/json"
    assert [line for line in lines if line.startswith("content-type:")] == [f"content-type: {kind}"]


def test_text(serve: Any, fake_engine: Any, engine_at: Any) -> None:
    result = send(engine_at(serve(fake_engine({})).address), request("/_ping"))
    assert result["text"] == "OK"
    assert "json" not in result


def test_bytes_that_are_no_text(serve: Any, talking: Any, engine_at: Any) -> None:
    server = serve(talking(answering(b"a\xff\xfe")))
    assert send(engine_at(server.address), request("/x"))["text"] == "a\ufffd\ufffd"


def test_progress(serve: Any, talking: Any, engine_at: Any) -> None:
    server = serve(talking(answering(b'{"status":"a"}\r\n{"status":"b"}\r\n', "application/json")))
    result = send(engine_at(server.address), request("/images/create", "POST"))
    assert result["json"] == [{"status": "a"}, {"status": "b"}]
    assert result["changed"]


def test_error_within_the_progress(serve: Any, talking: Any, engine_at: Any) -> None:
    content = b'{"status":"a"}\r\n{"errorDetail":{"message":"no"},"error":"no"}\r\n'
    server = serve(talking(answering(content, "application/json")))
    with pytest.raises(AnswerError, match="the engine told of an error while it worked: no"):
        send(engine_at(server.address), request("/images/create", "POST"))


def test_broken_json(serve: Any, talking: Any, engine_at: Any) -> None:
    server = serve(talking(answering(b'{"status":', "application/json")))
    with pytest.raises(EngineError, match="broken JSON"):
        send(engine_at(server.address), request("/x"))


def test_path_with_its_version(serve: Any, fake_engine: Any, engine_at: Any) -> None:
    played = fake_engine({"GET /info": {}})
    send(engine_at(serve(played).address), request("/v1.30/info"))
    assert [line for line, _body in played.requests] == ["GET /v1.30/info"]


def test_path_without_a_slash(engine_at: Any) -> None:
    with pytest.raises(OptionError, match="^option path: info does not begin with a slash"):
        send(engine_at("tcp://127.0.0.1:1"), request("info"))


@pytest.mark.parametrize("headers", [{"X-A": "b\r\nX-C: d"}, {"X A": "b"}, {"": "b"}, {"X-A": "\u20ac"}])
def test_header_that_cannot_be_sent(engine_at: Any, headers: dict[str, str]) -> None:
    with pytest.raises(OptionError, match="^option headers: .* cannot be sent as a header"):
        send(engine_at("tcp://127.0.0.1:1"), request("/info", headers=headers))


def test_statuses(serve: Any, fake_engine: Any, engine_at: Any) -> None:
    engine = engine_at(serve(fake_engine({"POST /networks/create": ("409 Conflict", {"message": "exists"})})).address)
    with pytest.raises(AnswerError, match="status 409: exists"):
        send(engine, request("/networks/create", "POST"))
    assert send(engine, request("/networks/create", "POST", accept=[201, 409]))["status"] == 409
    with pytest.raises(AnswerError, match="status 200"):
        send(engine, request("/_ping", accept=[204]))


def test_file(serve: Any, talking: Any, engine_at: Any, tmp_path: pathlib.Path) -> None:
    content = bytes(range(256)) * 1000
    address, path = serve(talking(answering(content))).address, tmp_path / "export.tar"

    result = download(engine_at(address), request("/x"), str(path), write=True)
    assert path.read_bytes() == content
    assert (result["changed"], result["dest"], result["status"]) == (True, str(path), 200)
    assert path.stat().st_mode & 0o777 == 0o600
    inode = path.stat().st_ino

    assert not download(engine_at(address), request("/x"), str(path), write=True)["changed"]
    assert path.stat().st_ino == inode
    path.write_bytes(b"other")
    assert download(engine_at(address), request("/x"), str(path), write=False)["changed"]
    assert path.read_bytes() == b"other"
    assert download(engine_at(address), request("/x"), str(path), write=True)["changed"]
    assert path.read_bytes() == content
    assert [one.name for one in tmp_path.iterdir()] == ["export.tar"]


def test_file_stays_when_an_answer_ends_early(serve: Any, talking: Any, engine_at: Any, tmp_path: pathlib.Path) -> None:
    def handler(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 70000)

    path = tmp_path / "log"
    path.write_bytes(b"old")
    with pytest.raises(EngineError, match="the connection was closed while reading the answer to GET /x"):
        download(engine_at(serve(talking(handler)).address), request("/x"), str(path), write=True)
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["log"]


def test_no_file_for_an_error(serve: Any, fake_engine: Any, engine_at: Any, tmp_path: pathlib.Path) -> None:
    engine = engine_at(serve(fake_engine({"GET /x": ("404 Not Found", {"message": "No such container: x"})})).address)
    with pytest.raises(AnswerError, match="No such container: x"):
        download(engine, request("/x"), str(tmp_path / "log"), write=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["", "no/such/file"])
def test_file_that_cannot_be(engine_at: Any, tmp_path: pathlib.Path, path: str) -> None:
    with pytest.raises(OptionError, match="^option dest: .* is not the path of a file in a folder that exists"):
        download(engine_at("tcp://127.0.0.1:1"), request("/x"), str(tmp_path / path), write=True)


def test_disk_is_full(serve: Any, talking: Any, engine_at: Any) -> None:
    server = serve(talking(answering(b"x" * 10)))
    with pytest.raises(OptionError, match="^/proc/x: it cannot be written"):
        download(engine_at(server.address), request("/x"), "/proc/x", write=True)


def frame(stream: int, content: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(content).to_bytes(4, "big") + content


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
@pytest.mark.parametrize(
    ("content", "text"),
    [
        (frame(1, b"out\n") + frame(2, b"") + frame(2, b"err\n") + frame(1, b"more"), "out\nerr\nmore"),
        (frame(1, b"x" * 300), "x" * 300),
        (b"", ""),
        (b"short", "short"),
        (b"a terminal's line\r\n", "a terminal's line\r\n"),
    ],
)
def test_frames_of_logs_are_taken_away(
    serve: Any, talking: Any, engine_at: Any, content: bytes, text: str, unix: bool
) -> None:
    """In pieces that end anywhere."""

    def handler(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in content:
            sock.sendall(b"1\r\n%c\r\n" % byte)
        sock.sendall(b"0\r\n\r\n")

    engine = engine_at(serve(talking(handler), unix=unix).address)
    assert send(engine, request("/containers/web/logs", query={"stdout": True}))["text"] == text


@pytest.mark.parametrize("path", ["/containers/web/logs?stdout=1", "/v1.41/exec/1/start?x=/", "/containers/a/attach?"])
def test_frames_are_taken_away_whatever_is_asked_for_in_the_path(
    serve: Any, talking: Any, engine_at: Any, path: str
) -> None:
    server = serve(talking(answering(frame(1, b"a") + frame(2, b"b"))))
    assert send(engine_at(server.address), request(path))["text"] == "ab"


def test_frames_are_left_where_no_logs_are(serve: Any, talking: Any, engine_at: Any) -> None:
    server = serve(talking(answering(frame(1, b"a"))))
    assert send(engine_at(server.address), request("/containers/web/archive"))["text"] == frame(1, b"a").decode()


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/events", {}, {"json": [{"a": 1}]}),
        ("/containers/web/stats", {}, {"json": [{"a": 1}]}),
        ("/containers/web/logs", {"follow": True}, {"json": [{"a": 1}]}),
        ("/events", {"until": 1}, None),
        ("/containers/web/stats", {"stream": False}, None),
        ("/containers/json", {}, None),
        ("/events?since=1", {}, {"json": [{"a": 1}]}),
        ("/containers/web/logs?stdout=1&follow=1", {}, {"json": [{"a": 1}]}),
        ("/containers/web/logs?stdout=1", {"follow": "yes"}, {"json": [{"a": 1}]}),
        ("/events?until=1", {}, None),
        ("/containers/web/stats?stream=0", {}, None),
        ("/containers/web/stats?one-shot=1", {"stream": "false"}, None),
        ("/containers/web/stats?stream=1&stream=0", {"stream": False}, {"json": [{"a": 1}]}),
        ("/containers/web/logs", {"follow": "false"}, None),
        ("/containers/web/logs", {"follow": ["0"]}, None),
    ],
)
def test_endless_answer_ends_at_the_time_limit(
    serve: Any,
    talking: Any,
    engine_at: Any,
    unix: bool,
    path: str,
    query: dict[str, Any],
    expected: dict[str, Any] | None,
) -> None:
    def handler(sock: socket.socket) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        sock.sendall(head + b'9\r\n{"a": 1}\n\r\n3\r\n{"a\r\n')
        sock.recv(1)

    engine = engine_at(serve(talking(handler), unix=unix).address, timeout=1)
    if expected is None:
        with pytest.raises(EngineError, match="timed out after 1 seconds"):
            send(engine, request(path, query=query))
    else:
        result = send(engine, request(path, query=query))
        assert result["timed_out"]
        assert {"json": result["json"]} == expected


def test_endless_answer_in_a_file(serve: Any, talking: Any, engine_at: Any, tmp_path: pathlib.Path) -> None:
    def handler(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"a\r\n" + frame(1, b"x\n") + b"\r\n")
        sock.recv(1)

    engine = engine_at(serve(talking(handler)).address, timeout=1)
    path = tmp_path / "log"
    result = download(engine, request("/containers/web/logs", query={"follow": 1}), str(path), write=True)
    assert result["timed_out"]
    assert path.read_bytes() == b"x\n"


def test_src_that_cannot_be_read(engine_at: Any, tmp_path: pathlib.Path) -> None:
    with pytest.raises(OptionError, match=f"^{tmp_path}/no: it cannot be read"):
        send(engine_at("tcp://127.0.0.1:1"), request("/build", "POST", src=str(tmp_path / "no")))


UPLOAD = """
import resource
import sys
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import Engine
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import *
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.raw import Request, send
params = {name: argument.get("default") for name, argument in ENGINE_ARGUMENTS.items()}
with Engine(resolve({**params, "docker_host": sys.argv[1]}, ClientEnvironment.empty())) as engine:
    engine.api_version
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    send(engine, Request("POST", "/build", src=sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_large_body_takes_no_more_memory(serve: Any, talking: Any, tmp_path: pathlib.Path, unix: bool) -> None:
    size, received = 100 * 2**20, []
    path = tmp_path / "context.tar"
    with path.open("wb") as stream:
        stream.truncate(size)

    def handler(sock: socket.socket) -> None:
        line, _body = read_head(sock)
        if "/_ping" in line:
            sock.sendall(b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 0\r\n\r\n")
            line, _body = read_head(sock)
        left = size - len(_body)
        while left and (piece := sock.recv(2**20)):
            left -= len(piece)
        received.append((line, left))
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    done = subprocess.run(
        [sys.executable, "-c", UPLOAD, serve(handler, unix=unix).address, path],
        capture_output=True,
        text=True,
        check=True,
    )
    ((head, left),) = received
    assert left == 0
    assert head.startswith("POST /v1.41/build HTTP/1.1\r\n")
    assert f"content-length: {size}" in head.lower()
    assert "content-type: application/x-tar" in head.lower()
    assert int(done.stdout) < 4096  # KiB


def read_head(sock: socket.socket) -> tuple[str, bytes]:
    """Return the head of a request, and as much of its body as came with it."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += sock.recv(4096)
    head, body = received.split(b"\r\n\r\n", 1)
    return head.decode() + "\r\n", body


DOWNLOAD = """
import resource
import sys
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import Engine
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import *
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.raw import Request, download
params = {name: argument.get("default") for name, argument in ENGINE_ARGUMENTS.items()}
connection = resolve({**params, "docker_host": sys.argv[1]}, ClientEnvironment.empty())
with Engine(connection) as engine:
    engine.api_version
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    download(engine, Request("GET", "/x"), sys.argv[2], write=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_large_answers_take_no_more_memory(serve: Any, talking: Any, tmp_path: pathlib.Path) -> None:
    size, piece = 100 * 2**20, b"log line\n" * 7000

    def handler(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        left = size
        while left:
            left -= sock.send(piece[:left])

    path = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-c", DOWNLOAD, serve(talking(handler)).address, path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert path.stat().st_size == size
    assert int(done.stdout) < 4096  # KiB
