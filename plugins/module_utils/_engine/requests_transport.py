# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""HTTP with an engine over TCP, with or without TLS, by requests.

requests and urllib3 do HTTP and keep the connection; the socket comes from sockets.py. So neither the environment
(proxies, REQUESTS_CA_BUNDLE, ~/.netrc) nor the version of requests decides where a request goes and which CA is
trusted.
"""

from __future__ import annotations

import platform
import sys
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.failures import explained
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.sockets import Progress, open_socket

_PIECE = 2**16

try:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection
    from urllib3.connectionpool import HTTPConnectionPool
    from urllib3.exceptions import HTTPError
except ImportError as exc:
    _MISSING: str | None = str(exc)
    if not t.TYPE_CHECKING:
        # Only names to derive from, so that this file can be imported; RequestsTransport raises MissingLibraryError.
        HTTPAdapter = HTTPConnection = HTTPConnectionPool = object
else:
    _MISSING = None


class _Connection(HTTPConnection):
    """A connection that is opened under a time limit."""

    progress: Progress

    def connect(self) -> None:
        """Open the connection. Raises EngineError."""
        with explained(self.progress, OSError):
            self.sock = open_socket(self.progress)


class _Pool(HTTPConnectionPool):
    """A pool that keeps one connection to one engine."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(progress.connection.host, progress.connection.port, maxsize=1)
        self._progress = progress

    def _new_conn(self) -> _Connection:
        """Return a connection that is not open yet."""
        connection = _Connection(self._progress.connection.host, self._progress.connection.port)
        connection.progress = self._progress
        return connection


class _Adapter(HTTPAdapter):
    """Sends each request of a session to one engine, whatever host its URL names."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._pool = _Pool(progress)

    def get_connection_with_tls_context(self, *_args: t.Any, **_kwargs: t.Any) -> HTTPConnectionPool:
        """Return the pool. requests 2.32.2 and later ask here."""
        return self._pool

    def get_connection(self, *_args: t.Any, **_kwargs: t.Any) -> HTTPConnectionPool:
        """Return the pool. requests before 2.32 asks here."""
        return self._pool

    def close(self) -> None:
        """Close the connection."""
        super().close()
        self._pool.close()


class RequestsResponse:
    """An answer whose body is still to be read. The names of ``headers`` are in lower case."""

    def __init__(self, response: requests.Response, progress: Progress) -> None:
        self.status = response.status_code
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        self._response = response
        self._progress = progress

    def pieces(self) -> t.Iterator[bytes]:
        """Yield the body in pieces of at most 64 KiB as it comes. Raises EngineError."""
        with explained(self._progress, OSError, HTTPError):
            yield from self._response.raw.stream(_PIECE, decode_content=False)

    def close(self) -> None:
        """Give the connection back if all was read, else close it."""
        self._response.close()


class RequestsTransport:
    """One connection to an engine, kept for several requests."""

    def __init__(self, progress: Progress) -> None:
        """Connect to nothing yet. Raises MissingLibraryError."""
        if _MISSING is not None:
            raise errors.missing_library(python=sys.executable, machine=platform.node(), reason=_MISSING)
        self._progress = progress
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.clear()
        self._session.mount("http://", _Adapter(progress))

    def send(
        self, method: str, target: str, body: bytes | t.BinaryIO | None, headers: t.Mapping[str, str]
    ) -> RequestsResponse:
        """Send a request and return its answer. ``target`` is the quoted path with its query. Raises EngineError.

        A file as the body is sent piece by piece; the headers have its length.
        """
        with explained(self._progress, OSError, HTTPError):
            response = self._session.request(
                method, f"http://engine{target}", data=body, headers=dict(headers), stream=True, allow_redirects=False
            )
        return RequestsResponse(response, self._progress)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()


__all__ = ("RequestsResponse", "RequestsTransport")
