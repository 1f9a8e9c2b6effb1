# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Find, list, search and pull images."""

from __future__ import annotations

import base64
import json
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import (
    Engine,
    as_filters,
    is_id,
    path_of,
)

_HUB = "https://index.docker.io/v1/"


@dataclass(frozen=True)
class Credentials:
    """What a registry lets in. The password is kept out of what Python shows of it."""

    username: str
    password: str

    def __repr__(self) -> str:
        """Return the user's name alone."""
        return f"Credentials({self.username!r})"


@dataclass(frozen=True)
class ImageName:
    """The parts of an image's name: the repository, often with its registry, and a tag or a digest."""

    repository: str
    version: str

    @property
    def domain(self) -> str:
        """The registry that the name begins with; empty if it begins with none, which means Docker Hub."""
        first, slash, _rest = self.repository.partition("/")
        return first if slash and ("." in first or ":" in first or first == "localhost") else ""

    @property
    def registry(self) -> str:
        """The registry's address as the engine wants it."""
        return self.domain or _HUB


def parse_image_name(name: str) -> ImageName:
    """Return the parts of a name such as ``registry.example.com:5000/app/web:1.2``, with the tag ``latest`` by default.

    Without a tag the engine would fetch all tags of the repository (API reference, ``POST /images/create``).
    """
    repository, at, digest = name.partition("@")
    head, colon, tag = repository.rpartition(":")
    if not colon or "/" in tag:
        head, tag = repository, "latest"
    return ImageName(head, digest if at else tag)


def is_image_id(name: str) -> bool:
    """Return whether an image's name is its ID, or long enough a beginning of it."""
    return is_id(name[7:] if name.startswith("sha256:") else name)


def find_image(engine: Engine, name: str) -> dict[str, t.Any] | None:
    """Return what the engine tells of an image, None if it has none. Raises EngineError.

    :param name: a name, a digest, the full ID, or at least 12 hexadecimal digits at its beginning. An engine would take
        any beginning of an ID for a name that does not exist, so ``cafe`` could be a stranger's image.
    """
    image = engine.get_or_none(f"/images/{path_of(name)}/json")
    if image is None or is_image_id(name) or not re.fullmatch("(sha256:)?[0-9a-f]+", name):
        return image
    parsed = parse_image_name(name)
    return image if f"{parsed.repository}:{parsed.version}" in (image.get("RepoTags") or []) else None


def image_info(
    engine: Engine, *, names: t.Sequence[str] | None, everything: bool, filters: t.Mapping[str, t.Any] | None
) -> dict[str, t.Any]:
    """Return ``images``: all that match the filters, or those with the names; and ``missing``: names without an image.

    :param everything: list intermediate images as well. Raises EngineError.
    """
    if names is None:
        images = engine.get_json("/images/json", {"all": everything, "filters": as_filters(filters)})
        return {"images": images, "missing": []}
    found = {name: find_image(engine, name) for name in names}
    return {
        "images": [image for image in found.values() if image is not None],
        "missing": [name for name, image in found.items() if image is None],
    }


def image_search(
    engine: Engine, *, term: str, limit: int | None, filters: t.Mapping[str, t.Any] | None
) -> list[dict[str, t.Any]]:
    """Return what Docker Hub finds; it is the engine that asks it. Raises EngineError."""
    query = {"term": term, "limit": limit, "filters": as_filters(filters)}
    try:
        found: list[dict[str, t.Any]] = engine.get_json("/images/search", query)
    except errors.AnswerError as exc:
        if exc.status < 500:
            raise
        error = errors.hub_not_reached(term=term, address=engine.connection.address, message=exc.message)
        raise error.with_answer(exc.status, exc.endpoint, exc.message) from exc
    return found


def pull_image(engine: Engine, name: str, credentials: Credentials | None) -> None:
    """Have the engine fetch an image from its registry.

    The engine tells its progress in a stream of JSON values, and a failure too, long after it has answered with 200.
    The connection's time limit is for each silence of that stream. Raises EngineError.

    :param name: any name but an ID, which no registry knows.
    """
    image = parse_image_name(name)
    headers = {"X-Registry-Auth": registry_auth(image.registry, credentials)} if credentials else {}
    query = {"fromImage": image.repository, "tag": image.version}
    with engine.exchange("POST", "/images/create", query, headers=headers, idle=True) as exchange:
        if exchange.status != 200:
            raise _pull_failed(engine, name, exchange.status, exchange.read().message)
        for value in json_values(exchange.chunks()):
            if "error" in value:
                raise _pull_failed(engine, name, exchange.status, str(value["error"]))


def _pull_failed(engine: Engine, name: str, status: int, message: str) -> errors.AnswerError:
    """Return the error for an image that cannot be pulled. The status is 200 if the engine had begun to."""
    error = errors.pull_failed(image=name, address=engine.connection.address, message=message)
    return error.with_answer(status, "POST /images/create", message)


def json_values(chunks: t.Iterable[bytes]) -> t.Iterator[dict[str, t.Any]]:
    """Yield the objects of a stream with one JSON object a line. Lines that are none are left out."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from _objects(lines)
    yield from _objects([rest])


def _objects(lines: t.Iterable[bytes]) -> t.Iterator[dict[str, t.Any]]:
    """Yield the JSON objects among lines."""
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def registry_auth(registry: str, credentials: Credentials) -> str:
    """Return the value of the header X-Registry-Auth (API reference, section Authentication)."""
    content = {"username": credentials.username, "password": credentials.password, "serveraddress": registry}
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


__all__ = (
    "Credentials",
    "ImageName",
    "find_image",
    "image_info",
    "image_search",
    "is_image_id",
    "json_values",
    "parse_image_name",
    "pull_image",
    "registry_auth",
)
