# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Sockets with one time limit for a whole exchange.

The timeout of a socket counts for each single read, so a peer that sends a byte now and then is never late. Here one
limit holds from connecting to the last byte of the answer. What fails here raises OSError; failures.py explains it.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import time
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import Connection
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.tls import make_context

CONNECTING = "connecting"
# How the system says, when something is sent, that the peer has closed; the last one is how macOS may.
_BROKEN = (errno.EPIPE, errno.ESHUTDOWN, errno.ECONNRESET, errno.EPROTOTYPE)


class Progress:
    """How far the exchange with an engine has come, and how long it may still take.

    ``endpoint`` is method and path of the request. ``phase`` is what is being done, for messages. ``answered`` tells
    whether anything answered over HTTP so far, ``received`` whether the present connection has brought any byte.
    """

    def __init__(self, connection: Connection, clock: t.Callable[[], float] = time.monotonic) -> None:
        self.connection = connection
        self.endpoint = ""
        self.phase = CONNECTING
        self.answered = False
        self.received = False
        self.seconds = connection.timeout
        self._clock = clock
        self._idle = False
        self._end = clock() + self.seconds

    def begin(self, endpoint: str, seconds: float | None = None, *, idle: bool = False) -> None:
        """Start the time of an exchange.

        :param seconds: how long it may take, by default the connection's timeout.
        :param idle: limit each pause of the engine, not the whole, for answers of unknown length.
        """
        self.endpoint = endpoint
        self.seconds = self.connection.timeout if seconds is None else seconds
        self._idle = idle
        self._end = self._clock() + self.seconds
        self.wait()

    def wait(self) -> None:
        """Note that the answer is waited for."""
        self.phase = f"waiting for the answer to {self.endpoint}"

    def read(self) -> None:
        """Note that the head of the answer is there and its body is being read."""
        self.phase = f"reading the answer to {self.endpoint}"
        self.answered = True

    def remaining(self) -> float:
        """Return the seconds that are left, always more than 0. Raises socket.timeout."""
        left = self._end - self._clock()
        if left <= 0:
            raise socket.timeout("the time limit has passed")
        return left

    def note_data(self, *, received: bool) -> None:
        """Note that data came, or went."""
        self.received = self.received or received
        if self._idle:
            self._end = self._clock() + self.seconds


class TimedSocket(socket.socket):
    """A socket that keeps to the time limit of its progress."""

    progress: Progress

    def recv_into(self, *args: t.Any) -> int:
        """Read into a buffer, as socket.recv_into(). Raises OSError."""
        self.settimeout(self.progress.remaining())
        count = super().recv_into(*args)
        self.progress.note_data(received=True)
        return count

    def sendall(self, *args: t.Any) -> None:
        """Send everything, as socket.sendall(). Raises OSError.

        A peer that stops listening has often said why, so a broken connection is left to the next read.
        """
        self.settimeout(self.progress.remaining())
        try:
            super().sendall(*args)
        except OSError as exc:
            if exc.errno not in _BROKEN:
                raise
        self.progress.note_data(received=False)


class TimedTlsSocket(TimedSocket, ssl.SSLSocket):
    """The same with TLS."""


def open_socket(progress: Progress, context: ssl.SSLContext | None = None) -> TimedSocket:
    """Return a socket connected to the progress's engine, after the handshake if the connection speaks TLS.

    :param context: what to speak TLS with, by default what the connection's TLS options say.
    Raises OSError, and OptionError if a file for TLS cannot be used.
    """
    connection = progress.connection
    if connection.tls and context is None:
        context = make_context(connection.tls)
    progress.phase = CONNECTING
    progress.received = False
    if connection.socket_path is not None:
        sock = _connect(progress, socket.AF_UNIX, connection.socket_path, progress.remaining())
    else:
        sock = _connect_tcp(progress)
    if connection.tls and context:
        sock = _handshake(progress, sock, context, connection.tls.hostname)
    progress.wait()
    return sock


def _connect_tcp(progress: Progress) -> TimedSocket:
    """Return a socket connected to the first address of the host that answers. Raises OSError.

    Packets to one address may be dropped while another answers, so each has its share of the time that is left.
    """
    host, port = progress.connection.host, progress.connection.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as exc:
        raise socket.gaierror(str(exc)) from exc
    failed: OSError = socket.gaierror("it has no address")
    for tried, (family, _kind, _protocol, _canonical, address) in enumerate(found):
        try:
            sock = _connect(progress, family, address, progress.remaining() / (len(found) - tried))
        except OSError as exc:
            failed = exc
            continue
        with contextlib.suppress(OSError):  # macOS refuses it once the peer has closed, which the next read tells
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    raise failed


def _connect(progress: Progress, family: int, address: t.Any, seconds: float) -> TimedSocket:
    """Return a socket connected to an address of this family within so many seconds. Raises OSError."""
    sock = TimedSocket(family, socket.SOCK_STREAM)
    sock.progress = progress
    try:
        sock.settimeout(seconds)
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


def _handshake(progress: Progress, plain: TimedSocket, context: ssl.SSLContext, hostname: str) -> TimedTlsSocket:
    """Return the socket with TLS, which takes the plain one over. Raises OSError."""
    progress.phase = "agreeing on TLS"
    context.sslsocket_class = TimedTlsSocket
    sock = t.cast(TimedTlsSocket, context.wrap_socket(plain, server_hostname=hostname, do_handshake_on_connect=False))
    sock.progress = progress
    try:
        sock.settimeout(progress.remaining())
        sock.do_handshake()
    except OSError:
        sock.close()
        raise
    return sock


__all__ = ("CONNECTING", "Progress", "TimedSocket", "TimedTlsSocket", "open_socket")
