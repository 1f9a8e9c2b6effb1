# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""How a request gets to an engine, and its answer back.

There are two ways. Over a unix socket, on the engine's own host, :mod:`local_http` does it: such a task then needs
nothing on the host, and takes half the time, most of which would be the import of requests. Over the network, with TLS
and all, it is done by requests, in :mod:`adapter`. Both are what is described here, which only a type checker reads.
"""

from __future__ import annotations

import typing as t


class Response(t.Protocol):
    """An answer that is being read."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> t.Mapping[str, str]:
        """The headers, their names in lower case."""

    def pieces(self) -> t.Iterator[bytes]:
        """Yield the body in pieces of at most 64 KiB as it comes."""

    def close(self) -> None:
        """Give the connection back when all was read, else close it."""


class Transport(t.Protocol):
    """A way to one engine, which keeps its connection. ``errors`` is what it raises besides EngineError."""

    errors: tuple[type[Exception], ...]

    def send(self, method: str, target: str, body: bytes | None, headers: t.Mapping[str, str]) -> Response:
        """Send a request; ``target`` is the path with its query. Return the answer once its headers are there."""

    def close(self) -> None:
        """Close the connection."""


__all__ = ("Response", "Transport")
