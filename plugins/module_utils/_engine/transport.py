# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""How a request gets to an engine, and its answer back.

There are two ways. Over a unix socket, on the engine's own host, the standard library does it: such a task then needs
nothing on the host, and takes half the time, most of which would be the import of requests. Over the network, with TLS
and all, it is done by requests, in :mod:`adapter`.
"""

from __future__ import annotations

import http.client
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.sockets import Watch, dial


class Response(t.Protocol):
    """An answer that is being read."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> t.Mapping[str, str]:
        """The headers, their names in lower case."""

    def read(self, size: int) -> bytes:
        """Return up to this many bytes of the body, none at its end."""

    def close(self) -> None:
        """Give the connection back when all was read, else close it."""


class Transport(t.Protocol):
    """A way to one engine, which keeps its connection. ``errors`` is what it raises besides EngineError."""

    errors: tuple[type[Exception], ...]

    def send(self, method: str, target: str, body: bytes | None, headers: t.Mapping[str, str]) -> Response:
        """Send a request; ``target`` is the path with its query. Return the answer once its headers are there."""

    def close(self) -> None:
        """Close the connection."""


class _WatchedConnection(http.client.HTTPConnection):
    """An HTTP connection over a socket that is dialled under a watch."""

    def __init__(self, watch: Watch) -> None:
        super().__init__("localhost")
        self._watch = watch

    def connect(self) -> None:
        """Dial. Raises EngineError."""
        self.sock = dial(self._watch)


class LocalResponse:
    """An answer over a unix socket."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._response = response
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    def read(self, size: int) -> bytes:
        """Return up to this many bytes of the body, none at its end."""
        return self._response.read(size)

    def close(self) -> None:
        """Close the connection, too, when there is something left to be read: the next request needs a fresh one."""
        if not self._response.isclosed():
            self._connection.close()


class LocalTransport:
    """The way to an engine over a unix socket."""

    errors: tuple[type[Exception], ...] = (http.client.HTTPException,)

    def __init__(self, watch: Watch) -> None:
        self._connection = _WatchedConnection(watch)

    def send(self, method: str, target: str, body: bytes | None, headers: t.Mapping[str, str]) -> LocalResponse:
        """Send a request and return its answer. Raises EngineError and HTTPException."""
        self._connection.request(method, target, body=body, headers=dict(headers))
        return LocalResponse(self._connection, self._connection.getresponse())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def open_transport(watch: Watch) -> Transport:
    """Return the way to the watch's engine. Raises MissingLibraryError."""
    if watch.connection.socket_path is not None:
        return LocalTransport(watch)
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.adapter import RemoteTransport

    return RemoteTransport(watch)


__all__ = ("LocalTransport", "Response", "Transport", "open_transport")
