# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The way to an engine over the network, plain or with TLS, by requests.

requests and urllib3 do HTTP and keep the connection; the socket comes from :mod:`dial`. So neither the environment
(proxies, C(REQUESTS_CA_BUNDLE), C(~/.netrc)) nor the version of requests has a say in where a request goes and which
authority is trusted: there is one place that decides, and it is ours.
"""

from __future__ import annotations

import platform
import sys
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import missing_library
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.sockets import Watch, dial

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
        # Only names to derive from, so that this file can be read without requests; RemoteTransport refuses to work.
        HTTPAdapter = HTTPConnection = HTTPConnectionPool = object
else:
    _MISSING = None


class _EngineConnection(HTTPConnection):
    """An HTTP connection over a socket that is dialled under a watch."""

    watch: Watch

    def connect(self) -> None:
        """Dial. Raises EngineError."""
        self.sock = dial(self.watch)


class _EnginePool(HTTPConnectionPool):
    """A pool that keeps one connection to one engine."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch.connection.host, watch.connection.port, maxsize=1)
        self._watch = watch

    def _new_conn(self) -> _EngineConnection:
        """Return a connection that is not dialled yet."""
        connection = _EngineConnection(self._watch.connection.host, self._watch.connection.port)
        connection.watch = self._watch
        return connection


class EngineAdapter(HTTPAdapter):
    """Sends each request of a session to the watch's engine, whatever host its URL names."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._pool = _EnginePool(watch)

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


class RemoteResponse:
    """An answer over the network."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers = {name.lower(): value for name, value in response.headers.items()}

    def pieces(self) -> t.Iterator[bytes]:
        """Yield the body in pieces of at most 64 KiB as it comes. Raises urllib3's HTTPError."""
        while piece := self._response.raw.read(_PIECE):
            yield piece

    def close(self) -> None:
        """Give the connection back when all was read, else close it."""
        self._response.close()


class RemoteTransport:
    """The way to an engine over TCP, with TLS where the connection says so."""

    errors: tuple[type[Exception], ...] = ()

    def __init__(self, watch: Watch) -> None:
        """Connects nowhere yet. Raises MissingLibraryError."""
        if _MISSING is not None:
            raise missing_library(sys.executable, platform.node(), _MISSING)
        self.errors = (requests.RequestException, HTTPError)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.clear()
        self._session.mount("http://", EngineAdapter(watch))

    def send(self, method: str, target: str, body: bytes | None, headers: t.Mapping[str, str]) -> RemoteResponse:
        """Send a request and return its answer. Raises EngineError and the errors of requests and urllib3."""
        response = self._session.request(
            method, f"http://engine{target}", data=body, headers=dict(headers), stream=True, allow_redirects=False
        )
        return RemoteResponse(response)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()


__all__ = ("EngineAdapter", "RemoteTransport")
