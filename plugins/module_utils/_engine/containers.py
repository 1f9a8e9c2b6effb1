# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Find and list containers."""

from __future__ import annotations

import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import (
    Engine,
    as_filters,
    is_id,
    path_of,
)

# What makes most of a list of containers.
DETAILS = frozenset({"HostConfig", "ImageID", "Mounts", "NetworkSettings"})


def find_container(engine: Engine, name: str) -> dict[str, t.Any] | None:
    """Return what the engine tells of a container, None if there is none. Raises EngineError.

    :param name: the exact name, with the slash that it has in the engine's answers or without, the full ID, or at least
        12 hexadecimal digits at its beginning. An engine would take any beginning of an ID for a name that does not
        exist, so ``db`` could be a stranger's container.
    """
    name = name.lstrip("/")
    container = engine.get_or_none(f"/containers/{path_of(name)}/json")
    if container is None or container["Name"].lstrip("/") == name:
        return container
    return container if is_id(name) and container["Id"].startswith(name) else None


def container_info(
    engine: Engine,
    *,
    names: t.Sequence[str] | None,
    everything: bool,
    filters: t.Mapping[str, t.Any] | None,
    details: bool,
) -> dict[str, t.Any]:
    """Return ``containers``: a list of those that match the filters, or all details of those with the names or IDs;
    and ``missing``: the names without a container.

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


__all__ = ("container_info", "find_container")
