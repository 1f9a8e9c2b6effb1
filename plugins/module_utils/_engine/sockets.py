# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Sockets that keep to a time limit and that fail in plain words.

The time limit of a socket counts for each single read, so a peer that sends a byte now and then is never late. Here one
limit holds for a whole exchange, from connecting to the last byte of the answer.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.error_kinds import (
    EngineError,
    TimedOutError,
    UnreachableError,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.options import Connection

CONNECTING = "connecting"


class Watch:
    """What goes on with one connection, and how long it still may.

    ``phase`` says what is being done, for messages. ``reached`` is true once the other side has answered.
    """

    def __init__(self, connection: Connection, clock: t.Callable[[], float] = time.monotonic) -> None:
        self.connection = connection
        self.phase = CONNECTING
        self.reached = False
        self._clock = clock
        self._seconds = connection.timeout
        self._silence = False
        self._end = clock() + self._seconds

    def start(self, seconds: float | None = None, *, silence: bool = False) -> None:
        """Start the time of an exchange.

        :param seconds: how long it may take, by default the connection's timeout.
        :param silence: the limit is not for the whole but for the time in which nothing comes, for answers of
            unknown length.
        """
        self._seconds = self.connection.timeout if seconds is None else seconds
        self._silence = silence
        self._end = self._clock() + self._seconds

    def remaining(self) -> float:
        """Return the seconds that are left, always more than 0. Raises TimedOutError."""
        left = self._end - self._clock()
        if left <= 0:
            raise self.late()
        return left

    def progressed(self) -> None:
        """Note that something came."""
        if self._silence:
            self._end = self._clock() + self._seconds

    def late(self) -> TimedOutError:
        """Return the error for time that is over."""
        from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import timed_out

        return timed_out(self.connection.address, self.phase, self._seconds, reached=self.reached)

    @contextlib.contextmanager
    def over(self, sock: socket.socket) -> t.Iterator[None]:
        """Limit what is done with the socket inside, and turn its errors into an EngineError. Those of TLS are left."""
        sock.settimeout(self.remaining())
        try:
            yield
        except socket.timeout as exc:
            raise self.late() from exc
        except ConnectionError as exc:
            from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import cut_off

            raise cut_off(self.connection.address, self.phase, str(exc.strerror), reached=self.reached) from exc


class PlainSocket(socket.socket):
    """A socket under a watch."""

    watch: Watch

    def recv_into(self, *args: t.Any) -> int:
        """Read into a buffer, as socket.recv_into. Raises EngineError."""
        with self.watch.over(self):
            count = super().recv_into(*args)
        self.watch.progressed()
        return count

    def sendall(self, *args: t.Any) -> None:
        """Send everything, as socket.sendall. Raises EngineError.

        When the other side does not listen any more it often has said why, so the error is left to the next read.
        """
        with self.watch.over(self), contextlib.suppress(BrokenPipeError, ConnectionResetError):
            super().sendall(*args)


def dial(watch: Watch) -> socket.socket:
    """Return a socket connected to the watch's engine, with TLS where its connection says so. Raises EngineError."""
    phase, tls = watch.phase, watch.connection.tls
    if tls is None:
        sock: socket.socket = connect(watch)
    else:
        from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.tls import dial_tls

        sock = dial_tls(watch, tls)
    watch.phase = phase
    return sock


def connect(watch: Watch) -> PlainSocket:
    """Return a socket that is connected to the watch's engine, without TLS. Raises EngineError."""
    watch.phase = CONNECTING
    if watch.connection.socket_path is not None:
        return _connect_unix(watch, watch.connection.socket_path)
    return _connect_tcp(watch)


def _connect_unix(watch: Watch, path: str) -> PlainSocket:
    """Return a socket connected to a unix socket. Raises EngineError."""
    sock = PlainSocket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _connect(watch, sock, path)
    except OSError as exc:
        raise _explain_unix(exc, path) from exc
    return sock


def _explain_unix(exc: OSError, path: str) -> UnreachableError:
    """Return what it means that a unix socket cannot be connected to."""
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import (
        dead_socket,
        no_socket,
        socket_forbidden,
        unreachable,
    )

    if isinstance(exc, FileNotFoundError):
        return no_socket(path)
    if isinstance(exc, PermissionError):
        return socket_forbidden(path, str(os.geteuid()))
    if isinstance(exc, ConnectionRefusedError):
        return dead_socket(path)
    return unreachable(f"unix://{path}", exc.strerror or str(exc))


def _connect_tcp(watch: Watch) -> PlainSocket:
    """Return a socket connected to the first address of the host that can be. Raises EngineError."""
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import (
        refused,
        unknown_host,
        unreachable,
    )

    connection = watch.connection
    try:
        found = socket.getaddrinfo(connection.host, connection.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        detail = getattr(exc, "strerror", None) or str(exc)
        raise unknown_host(connection.address, connection.host, detail) from exc
    problem: OSError | None = None
    for family, kind, protocol, _canonical, address in found:
        sock = PlainSocket(family, kind, protocol)
        try:
            _connect(watch, sock, address)
        except OSError as exc:
            problem = exc
            continue
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    if isinstance(problem, ConnectionRefusedError):
        raise refused(connection.address) from problem
    raise unreachable(connection.address, str(problem and problem.strerror)) from problem


def _connect(watch: Watch, sock: PlainSocket, address: t.Any) -> None:
    """Connect a socket, or close it. Raises OSError, and TimedOutError."""
    sock.watch = watch
    try:
        sock.settimeout(watch.remaining())
        sock.connect(address)
    except socket.timeout as exc:
        sock.close()
        raise watch.late() from exc
    except (OSError, EngineError):
        sock.close()
        raise


__all__ = ("CONNECTING", "PlainSocket", "Watch", "connect", "dial")
