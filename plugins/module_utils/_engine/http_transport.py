# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""HTTP with an engine by the standard library alone, over any socket of sockets.py.

Tasks use it for the unix socket, so that they need no further library on the engine's host and half the time, most of
which would be the import of requests. The checks of verify use it over TCP as well.
"""

from __future__ import annotations

import http.client
import ssl
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.failures import explained
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.sockets import Progress, open_socket

_PIECE = 2**16
# What peek() reads of an answer, in bytes. No engine's description of itself comes near it.
_PEEK_LIMIT = 4 * 2**20


class _Connection(http.client.HTTPConnection):
    """A connection that is opened under a time limit."""

    def __init__(self, progress: Progress) -> None:
        super().__init__("localhost")
        self._progress = progress
        self.served: bytes | None = None

    def connect(self) -> None:
        """Open the connection, and note the certificate (DER) that the engine serves. Raises EngineError."""
        with explained(self._progress, OSError):
            self.sock = open_socket(self._progress)
        if isinstance(self.sock, ssl.SSLSocket):
            self.served = self.sock.getpeercert(binary_form=True)


class HttpResponse:
    """An answer whose body is still to be read. The names of ``headers`` are in lower case."""

    def __init__(self, response: http.client.HTTPResponse, connection: _Connection, progress: Progress) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self._response = response
        self._connection = connection
        self._progress = progress

    def pieces(self) -> t.Iterator[bytes]:
        """Yield the body in pieces of at most 64 KiB, as it comes if its length is unknown. Raises EngineError."""
        read = self._response.read1 if self._response.length is None else self._response.read
        with explained(self._progress, OSError, http.client.HTTPException):
            while piece := read(_PIECE):
                yield piece

    def peek(self) -> bytes:
        """Return the body, cut off after some 4 MiB: whoever answers need not be an engine. Raises EngineError."""
        body = bytearray()
        for piece in self.pieces():
            body += piece
            if len(body) > _PEEK_LIMIT:
                break
        self.close()
        return bytes(body)

    def close(self) -> None:
        """Close the connection if some of the answer was not read: the next request needs a fresh one."""
        if not self._response.isclosed():
            self._connection.close()


class HttpTransport:
    """One connection to an engine, kept for several requests."""

    def __init__(self, progress: Progress) -> None:
        """Connect to nothing yet."""
        self._progress = progress
        self._connection = _Connection(progress)

    def send(
        self, method: str, target: str, body: bytes | t.BinaryIO | None, headers: t.Mapping[str, str]
    ) -> HttpResponse:
        """Send a request and return its answer. ``target`` is the quoted path with its query. Raises EngineError.

        A file as the body is sent piece by piece; the headers have its length.
        """
        sent = False
        try:
            with explained(self._progress, OSError, http.client.HTTPException):
                self._connection.request(method, target, body, dict(headers))
                response = self._connection.getresponse()
            sent = True
        finally:
            if not sent:
                self._connection.close()
        return HttpResponse(response, self._connection, self._progress)

    def certificate(self) -> dict[str, t.Any] | None:
        """Return the engine's certificate as SSLSocket.getpeercert() does, None without an open TLS connection."""
        sock = self._connection.sock
        content: dict[str, t.Any] | None = sock.getpeercert() if isinstance(sock, ssl.SSLSocket) else None
        return content

    @property
    def served(self) -> bytes | None:
        """The engine's certificate (DER), verified or not, once TLS was agreed on; it stays after the connection."""
        return self._connection.served

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


__all__ = ("HttpResponse", "HttpTransport")
