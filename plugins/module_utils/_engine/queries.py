# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""What is asked about images and containers, without changing anything."""

from __future__ import annotations

import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import Engine, path_of
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.error_kinds import AnswerError

# What makes most of a list of containers.
DETAILS = frozenset({"HostConfig", "ImageID", "Mounts", "NetworkSettings"})


def get_or_none(engine: Engine, path: str) -> dict[str, t.Any] | None:
    """Return the JSON object that C(GET path) answers, None when there is no such thing.

    An engine answers 404 also for a path that it does not know; that is an error. Raises EngineError.
    """
    try:
        content: dict[str, t.Any] = engine.get_json(path)
    except AnswerError as exc:
        if exc.status == 404 and "page not found" not in exc.message:
            return None
        raise
    return content


def find_image(engine: Engine, name: str) -> dict[str, t.Any] | None:
    """Return what the engine says of an image by name, digest or ID, None when it has none. Raises EngineError."""
    return get_or_none(engine, f"/images/{path_of(name)}/json")


def image_info(
    engine: Engine, *, names: t.Sequence[str] | None, everything: bool, filters: t.Mapping[str, t.Any] | None
) -> dict[str, t.Any]:
    """Return C(images): all that match the filters, or those with the names; and C(missing), the names without image.

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
    except AnswerError as exc:
        if exc.status >= 500:
            from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import hub_not_reached

            raise hub_not_reached(engine.connection.address, term, exc.message, exc.status) from exc
        raise
    return found


def find_container(engine: Engine, name: str) -> dict[str, t.Any] | None:
    """Return what the engine says of a container by name or ID, None when there is none. Raises EngineError."""
    return get_or_none(engine, f"/containers/{path_of(name)}/json")


def container_info(
    engine: Engine,
    *,
    names: t.Sequence[str] | None,
    everything: bool,
    filters: t.Mapping[str, t.Any] | None,
    details: bool,
) -> dict[str, t.Any]:
    """Return C(containers): a list of those that match the filters, or all details of those with the names or IDs; and
    C(missing), the names without container.

    :param everything: list containers that do not run as well.
    :param details: keep in a list what makes most of its size. Raises EngineError.
    """
    if names is None:
        listed = engine.get_json("/containers/json", {"all": everything, "filters": as_filters(filters)})
        if not details:
            listed = [{name: one[name] for name in one if name not in DETAILS} for one in listed]
        return {"containers": listed, "missing": []}
    found = {name: find_container(engine, name) for name in names}
    return {
        "containers": [container for container in found.values() if container is not None],
        "missing": [name for name, container in found.items() if container is None],
    }


def as_filters(filters: t.Mapping[str, t.Any] | None) -> dict[str, list[str]] | None:
    """Return filters as the engine reads them: each value a list of texts. None stays None.

    C({"status": "running", "label": ["a=b"], "dangling": True}) becomes
    C({"status": ["running"], "label": ["a=b"], "dangling": ["true"]}).
    """
    if not filters:
        return None
    return {
        name: [_text(value) for value in (values if isinstance(values, (list, tuple)) else [values])]
        for name, values in filters.items()
    }


def _text(value: object) -> str:
    """Return one value as text; booleans in lower case, as in Go."""
    return str(value).lower() if isinstance(value, bool) else str(value)


__all__ = ("as_filters", "container_info", "find_container", "find_image", "image_info", "image_search")
