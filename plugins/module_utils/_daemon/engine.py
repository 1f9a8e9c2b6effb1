# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Asking the engine on its local socket whether it answers and what it keeps, with the standard library alone.

The module that changes the daemon's options must work on a host that has nothing but Python.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import typing as t
from dataclasses import dataclass


@dataclass(frozen=True)
class Inventory:
    """What an engine keeps: the directory of its data, without links, and the IDs of its containers."""

    root: str
    containers: frozenset[str]


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of to a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _get(socket_path: str, path: str, timeout: float) -> tuple[int, bytes]:
    """Return status and body of ``GET path`` on the engine's local socket. Raises OSError when it does not answer."""
    connection = _UnixConnection(socket_path, timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as exc:
        raise ConnectionError(f"no HTTP answer: {type(exc).__name__}") from exc
    finally:
        connection.close()


def get_json(socket_path: str, path: str, timeout: float = 10.0) -> t.Any:
    """Return the engine's JSON answer to ``GET path``, or None when it gives none."""
    try:
        status, body = _get(socket_path, path, timeout)
        return json.loads(body) if status == 200 else None
    except (OSError, ValueError):
        return None


def inventory(socket_path: str, timeout: float) -> Inventory | None:
    """Return what the engine keeps, running or not; None if it does not say."""
    root = (get_json(socket_path, "/info", timeout) or {}).get("DockerRootDir")
    if root is None:
        return None
    listed = get_json(socket_path, "/containers/json?all=1", timeout)
    if listed is None:
        return None
    return Inventory(os.path.realpath(root), frozenset(item["Id"] for item in listed))


def why_local_silent(socket_path: str, timeout: float) -> str | None:
    """Return why the engine does not answer ``/_ping`` on its local socket; None when it does."""
    try:
        status, body = _get(socket_path, "/_ping", timeout)
    except OSError as exc:
        return str(exc.strerror or exc)
    return None if status == 200 else f"status {status}: {body[:200]!r}"


__all__ = ("Inventory", "get_json", "inventory", "why_local_silent")
