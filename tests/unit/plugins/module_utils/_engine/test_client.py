# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client: versions, one connection for all, the engine's own words, and nothing but the engine."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import (
    NEWEST_VERSION,
    path_of,
    query_string,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import (
    AnswerError,
    UnreachableError,
)


@pytest.mark.parametrize(
    ("highest", "spoken"),
    [("1.24", "1.24"), ("1.9", "1.9"), ("1.41", "1.41"), (NEWEST_VERSION, NEWEST_VERSION), ("1.99", NEWEST_VERSION)],
)
def test_newest_version_that_both_know(serve: Any, fake_engine: Any, engine_at: Any, highest: str, spoken: str) -> None:
    played = fake_engine({"GET /info": {}}, headers=f"Api-Version: {highest}\r\n")
    engine = engine_at(serve(played).address)
    engine.get_json("/info")
    assert engine.api_version == spoken
    assert [line for line, _body in played.requests] == ["GET /_ping", f"GET /v{spoken}/info"]


def test_pinned_version_asks_nothing(serve: Any, fake_engine: Any, engine_at: Any) -> None:
    played = fake_engine({"GET /info": {}})
    engine_at(serve(played).address, api_version="1.30").get_json("/info")
    assert [line for line, _body in played.requests] == ["GET /v1.30/info"]


@pytest.mark.parametrize("word", ["old", "new"])
def test_version_out_of_range(serve: Any, fake_engine: Any, engine_at: Any, word: str) -> None:
    message = f"client version 1.30 is too {word}. Minimum supported API version is 1.44."
    played = fake_engine(
        {
            "GET /info": ("400 Bad Request", {"message": message}),
            "GET /version": {"ApiVersion": "1.52", "MinAPIVersion": "1.44"},
        }
    )
    with pytest.raises(AnswerError) as caught:
        engine_at(serve(played).address, api_version="1.30").get_json("/info")
    assert f"client version 1.30 is too {word}" in str(caught.value)
    assert "(this engine speaks API versions 1.44 to 1.52). Leave api_version out" in str(caught.value)


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_one_connection_for_all(serve: Any, fake_engine: Any, engine_at: Any, unix: bool) -> None:
    names = [f"c{number}" for number in range(50)]
    server = serve(fake_engine({f"GET /containers/{name}/json": {"Name": name} for name in names}), unix=unix)
    engine = engine_at(server.address)
    assert [engine.get_json(f"/containers/{name}/json")["Name"] for name in names] == names
    with pytest.raises(AnswerError):
        engine.get_json("/containers/none/json")
    engine.get_json("/containers/c1/json")
    assert server.connections == 1


def test_engine_answers_with_an_error(serve: Any, fake_engine: Any, engine_at: Any) -> None:
    server = serve(fake_engine({"GET /x": ("409 Conflict", {"message": "Conflict. The name is in use."})}))
    with pytest.raises(AnswerError) as caught:
        engine_at(server.address).get_json("/x")
    error = caught.value
    assert (error.status, error.endpoint, error.message) == (409, "GET /x", "Conflict. The name is in use")
    expected = f"GET /x at {server.address}: the engine answered with status 409: Conflict. The name is in use. Resolve"
    assert str(error).startswith(expected)


def test_nothing_listens(engine_at: Any, tmp_path: Any) -> None:
    def message(address: str) -> str:
        engine = engine_at(address)
        with pytest.raises(UnreachableError) as caught:
            engine.get_json("/info")
        assert not engine.answered
        return str(caught.value)

    assert message("tcp://127.0.0.1:1").startswith("tcp://127.0.0.1:1: the connection was refused, so nothing listens")
    assert "the name 'no.such.host.invalid' cannot be resolved" in message("tcp://no.such.host.invalid:1")
    assert message(f"unix://{tmp_path}/no.sock").startswith(f"unix://{tmp_path}/no.sock: there is no such file")
    (tmp_path / "file").write_text("")
    assert "the connection was refused" in message(f"unix://{tmp_path}/file")
    assert "cannot be connected to (" in message("unix:///" + "x" * 200)


def test_each_address_of_a_name_is_tried_although_one_never_answers(
    serve: Any, fake_engine: Any, engine_at: Any, black_hole: Any, monkeypatch: Any
) -> None:
    address = serve(fake_engine({"GET /info": {"ID": "one"}})).address
    port = address.rsplit(":", 1)[1]
    black_hole("docker1.invalid", "127.0.0.1", monkeypatch)
    engine = engine_at(f"tcp://docker1.invalid:{port}", timeout=4)
    assert engine.get_json("/info") == {"ID": "one"}


def test_time_limit_is_for_each_request(serve: Any, fake_engine: Any, engine_at: Any) -> None:
    engine = engine_at(serve(fake_engine({"GET /info": {}})).address, timeout=2)
    engine.get_json("/info")
    time.sleep(2.1)
    engine.get_json("/info")


def test_body_and_headers(serve: Any, fake_engine: Any, engine_at: Any) -> None:
    played = fake_engine({"POST /containers/create": ("201 Created", {"Id": "1"})})
    engine = engine_at(serve(played).address)
    engine.request("POST", "/containers/create", query={"name": "a b", "x": None}, body={"Image": "ä"})
    assert played.requests[-1] == ("POST /v1.41/containers/create?name=a+b", b'{"Image": "\\u00e4"}')


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (None, ""),
        ({}, ""),
        ({"a": None}, ""),
        ({"all": True, "size": False}, "?all=true&size=false"),
        ({"names": ["a", "b c"], "t": 3}, "?names=a&names=b+c&t=3"),
        ({"filters": {"label": ["a=b"]}}, "?filters=%7B%22label%22%3A+%5B%22a%3Db%22%5D%7D"),
    ],
)
def test_query(query: Any, text: str) -> None:
    assert query_string(query) == text


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_path_is_quoted_where_it_must_be(serve: Any, fake_engine: Any, engine_at: Any, unix: bool) -> None:
    played = fake_engine({"GET /x%20y/%C3%BC": {}})
    engine_at(serve(played, unix=unix).address, api_version="1.41").get_json("/x y/\u00fc", {"a": "\u20ac"})
    assert [line for line, _body in played.requests] == ["GET /v1.41/x%20y/%C3%BC?a=%E2%82%AC"]


def test_names_in_paths() -> None:
    assert path_of("registry.example.com:5000/a/b:1@sha256:c") == "registry.example.com:5000/a/b:1@sha256:c"
    assert path_of("a b?c#d%2f") == "a%20b%3Fc%23d%252f"


WITHOUT_REQUESTS = """
import sys
sys.modules["requests"] = None
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import Engine
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import *
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import MissingLibraryError
params = {name: argument.get("default") for name, argument in ENGINE_ARGUMENTS.items()}
Engine(resolve(params, ClientEnvironment.empty()))  # the local socket needs no library
try:
    Engine(resolve({**params, "docker_host": "tcp://docker1"}, ClientEnvironment.empty()))
except MissingLibraryError as exc:
    print(exc)
"""


def test_requests_is_missing() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_REQUESTS], capture_output=True, text=True, check=True)
    assert "the Python library requests (2.25 or later) cannot be imported" in done.stdout
    assert sys.executable in done.stdout
    assert "python3-requests" in done.stdout
