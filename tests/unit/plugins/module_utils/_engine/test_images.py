# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images: names, pulling with its stream of progress, credentials, queries."""

from __future__ import annotations

import base64
import json
import socket
import time
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import as_filters
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.containers import container_info
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import (
    AnswerError,
    TimedOutError,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.images import (
    Credentials,
    ImageName,
    image_info,
    image_search,
    json_values,
    parse_image_name,
    pull_image,
    registry_auth,
)

HUB = "https://index.docker.io/v1/"
DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("name", "repository", "version", "registry"),
    [
        ("busybox", "busybox", "latest", HUB),
        ("busybox:1.36", "busybox", "1.36", HUB),
        ("library/busybox", "library/busybox", "latest", HUB),
        ("user/app:2", "user/app", "2", HUB),
        ("localhost/app", "localhost/app", "latest", "localhost"),
        ("registry.example.com/app", "registry.example.com/app", "latest", "registry.example.com"),
        ("registry:5000/app", "registry:5000/app", "latest", "registry:5000"),
        ("registry:5000/a/b:1", "registry:5000/a/b", "1", "registry:5000"),
        (f"busybox@{DIGEST}", "busybox", DIGEST, HUB),
        (f"r.example.com/app:1@{DIGEST}", "r.example.com/app", DIGEST, "r.example.com"),
    ],
)
def test_image_names(name: str, repository: str, version: str, registry: str) -> None:
    parsed = parse_image_name(name)
    assert parsed == ImageName(repository, version)
    assert parsed.registry == registry


def test_credentials_are_sent_as_the_engine_reads_them() -> None:
    """RFC 4648's alphabet for URLs: with another, engines ignore the header without a word."""
    credentials = Credentials("a", "\u00ff\u00fe?>~~~")
    header = registry_auth("r.example.com", credentials)
    assert not set(header) & set("+/")
    assert json.loads(base64.urlsafe_b64decode(header)) == {
        "username": "a",
        "password": "\u00ff\u00fe?>~~~",
        "serveraddress": "r.example.com",
    }
    assert "~~~" not in repr(credentials)


def streaming(*pieces: bytes, status: str = "200 OK", pause: float = 0) -> Any:
    """Return a handler that answers a pull with a stream."""

    def handler(sock: socket.socket) -> None:
        sock.sendall(
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        for piece in pieces:
            sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            time.sleep(pause)
        sock.sendall(b"0\r\n\r\n")

    return handler


def test_pull_goes_well(serve: Any, talking: Any, engine_at: Any) -> None:
    server = serve(talking(streaming(b'{"status":"Pulling"}\r\n{"status"', b':"Done"}\r\n')))
    pull_image(engine_at(server.address), "busybox", None)


def test_pull_may_take_longer_than_the_time_limit(serve: Any, talking: Any, engine_at: Any) -> None:
    server = serve(talking(streaming(*[b'{"status":"."}\n'] * 7, pause=0.5)))
    pull_image(engine_at(server.address, timeout=3), "busybox", None)


def test_pull_may_not_be_silent_for_longer(serve: Any, talking: Any, engine_at: Any) -> None:
    server = serve(talking(streaming(b'{"status":"."}\n', b'{"status":"."}\n', pause=3)))
    with pytest.raises(TimedOutError, match="timed out after 1 seconds while reading the answer to POST /images/creat"):
        pull_image(engine_at(server.address, timeout=1), "busybox", None)


def test_pull_fails_after_it_began_well(serve: Any, talking: Any, engine_at: Any) -> None:
    line = b'{"errorDetail":{"message":"manifest unknown"},"error":"manifest unknown"}\n'
    server = serve(talking(streaming(b'{"status":"Pulling"}\n', line)))
    with pytest.raises(AnswerError, match="^image busybox:no at .* it could not be pulled: manifest unknown") as caught:
        pull_image(engine_at(server.address), "busybox:no", None)
    assert caught.value.status == 200


def test_pull_is_refused_at_once(serve: Any, talking: Any, engine_at: Any) -> None:
    server = serve(talking(streaming(b'{"message":"pull access denied"}', status="404 Not Found")))
    with pytest.raises(AnswerError, match="^image nono at .* it could not be pulled: pull access denied") as caught:
        pull_image(engine_at(server.address), "nono", None)
    assert caught.value.status == 404


def test_pull_asks_for_one_tag(serve: Any, fake_engine: Any, engine_at: Any) -> None:
    """Without a tag the engine would fetch every tag that there is."""
    played = fake_engine({"POST /images/create": {}})
    pull_image(engine_at(serve(played).address), "registry:5000/app", None)
    assert played.requests[-1][0] == "POST /v1.41/images/create?fromImage=registry%3A5000%2Fapp&tag=latest"


def test_stream_is_cut_anywhere() -> None:
    content = b'{"a": 1}\r\n\r\nno json\n{"b": "\xc3\xa4"}\n[]\n{"c": 3}'
    for size in range(1, len(content) + 1):
        pieces = [content[start : start + size] for start in range(0, len(content), size)]
        assert list(json_values(pieces)) == [{"a": 1}, {"b": "ä"}, {"c": 3}]


@pytest.mark.parametrize(
    ("filters", "sent"),
    [
        (None, None),
        ({}, None),
        ({"status": "running"}, {"status": ["running"]}),
        (
            {"label": ["a=b", "c"], "dangling": True, "stars": 3},
            {"label": ["a=b", "c"], "dangling": ["true"], "stars": ["3"]},
        ),
    ],
)
def test_filters(filters: Any, sent: Any) -> None:
    assert as_filters(filters) == sent


def test_images_by_name(serve: Any, fake_engine: Any, engine_at: Any) -> None:
    played = fake_engine(
        {
            "GET /images/a:1/json": {"Id": "1"},
            "GET /images/b/c/json": ("404 Not Found", {"message": "No such image: b/c"}),
        }
    )
    server = serve(played)
    found = image_info(engine_at(server.address), names=["a:1", "b/c", "a:1"], everything=False, filters=None)
    assert found == {"images": [{"Id": "1"}], "missing": ["b/c"]}
    assert server.connections == 1


ID = "cafe" + "0" * 60


@pytest.mark.parametrize(
    ("name", "tags", "found"),
    [
        ("cafe", [], False),
        ("cafe", ["other:latest", "cafe:1"], False),
        ("cafe", ["cafe:latest"], True),
        ("sha256:cafe", [], False),
        ("sha256:cafe", ["sha256:cafe"], True),
        (ID[:11], [], False),
        (ID[:12], [], True),
        (f"sha256:{ID[:12]}", [], True),
        (f"sha256:{ID}", [], True),
        ("web:cafe", [], True),  # cannot be an ID
    ],
)
def test_image_whose_id_begins_like_a_name(
    serve: Any, fake_engine: Any, engine_at: Any, name: str, tags: list[str], found: bool
) -> None:
    """Engines take any beginning of an ID."""
    played = fake_engine({f"GET /images/{name}/json": {"Id": f"sha256:{ID}", "RepoTags": tags}})
    result = image_info(engine_at(serve(played).address), names=[name], everything=False, filters=None)
    assert result["missing"] == ([] if found else [name])


@pytest.mark.parametrize(
    ("name", "found"),
    [("e3", False), (ID[:11], False), (ID[:12], True), (ID, True), ("prod-40", True), ("/prod-40", True)],
)
def test_container_whose_id_begins_like_a_name(
    serve: Any, fake_engine: Any, engine_at: Any, name: str, found: bool
) -> None:
    played = fake_engine({f"GET /containers/{name.lstrip('/')}/json": {"Id": ID, "Name": "/prod-40"}})
    engine = engine_at(serve(played).address)
    result = container_info(engine, names=[name], everything=False, filters=None, details=False)
    assert result["missing"] == ([] if found else [name])


def test_path_that_the_engine_does_not_know_is_no_missing_image(serve: Any, fake_engine: Any, engine_at: Any) -> None:
    with pytest.raises(AnswerError, match="page not found"):
        image_info(engine_at(serve(fake_engine({})).address), names=["a"], everything=False, filters=None)


def test_lists(serve: Any, fake_engine: Any, engine_at: Any) -> None:
    one = {"Id": "1", "Names": ["/a"], "State": "running", "NetworkSettings": {}, "Mounts": [], "HostConfig": {}}
    played = fake_engine({"GET /images/json": [{"Id": "2"}], "GET /containers/json": [one]})
    engine = engine_at(serve(played).address)
    assert image_info(engine, names=None, everything=True, filters={"dangling": False}) == {
        "images": [{"Id": "2"}],
        "missing": [],
    }
    assert played.requests[-1][0].endswith("/images/json?all=true&filters=%7B%22dangling%22%3A+%5B%22false%22%5D%7D")
    assert container_info(engine, names=None, everything=False, filters=None, details=False) == {
        "containers": [{"Id": "1", "Names": ["/a"], "State": "running"}],
        "missing": [],
    }
    assert container_info(engine, names=None, everything=False, filters=None, details=True)["containers"] == [one]
    assert played.requests[-1][0].endswith("/containers/json?all=false")


def test_search(serve: Any, fake_engine: Any, engine_at: Any) -> None:
    played = fake_engine({"GET /images/search": [{"name": "busybox"}]})
    engine = engine_at(serve(played).address)
    assert image_search(engine, term="busy box", limit=3, filters=None) == [{"name": "busybox"}]
    assert played.requests[-1][0].endswith("/images/search?term=busy+box&limit=3")


def test_search_without_a_way_to_the_hub(serve: Any, fake_engine: Any, engine_at: Any) -> None:
    played = fake_engine({"GET /images/search": ("500 Oops", {"message": "dial tcp: no such host"})})
    with pytest.raises(AnswerError, match="the engine could not ask Docker Hub: dial tcp: no such host. The search is"):
        image_search(engine_at(serve(played).address), term="a", limit=None, filters=None)
