# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Explain exceptions of sockets, TLS and HTTP libraries as errors of an engine, by one table."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import ssl
import typing as t
from dataclasses import replace

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.sockets import (
    CONNECTING,
    Progress,
    open_socket,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.tls import (
    PARTIAL_CHAIN,
    PeerCertificate,
    explain_alert,
    explain_verification,
    make_context,
    openssl_reason,
)

# OpenSSL's X509_V_FLAG_NO_CHECK_TIME (x509_vfy.h), which ssl does not name.
_NO_CHECK_TIME = 0x200000


@contextlib.contextmanager
def explained(progress: Progress, *kinds: type[Exception]) -> t.Iterator[None]:
    """Return a context in which exceptions of these kinds are raised as EngineError."""
    try:
        yield
    except kinds as exc:
        raise explain(exc, progress) from exc


def explain(exc: BaseException, progress: Progress) -> errors.EngineError:
    """Return the error that an exception means, by the first exception in its chain that the table knows."""
    causes = list(_causes(exc))
    for cause in causes:
        for kind, meaning in _TABLE:
            if isinstance(cause, kind):
                return meaning(cause, progress)
    reason = one_line(getattr(causes[-1], "strerror", None) or str(causes[-1]))
    connection = progress.connection
    if progress.phase == CONNECTING:
        return errors.unreachable(address=connection.address, peer=connection.peer, reason=reason)
    return _cut_off(progress, reason)


def _causes(exc: BaseException) -> t.Iterator[BaseException]:
    """Yield an exception and all that it wraps, outermost first."""
    found = [exc]
    for current in found:
        yield current
        inner = [*current.args, getattr(current, "reason", None), current.__cause__, current.__context__]
        found.extend(one for one in inner if isinstance(one, BaseException) and one not in found)


def _cut_off(progress: Progress, reason: str) -> errors.EngineError:
    """Return the error for a connection that has ended too early.

    An engine that refuses a client's certificate may close before its alert is read (TLS 1.3), or just end.
    """
    connection, tls = progress.connection, progress.connection.tls
    if tls and tls.client_name and not progress.received and progress.phase.startswith("waiting"):
        reason += f"; perhaps because the {connection.peer.name} refuses the client certificate {tls.client_name}"
    return errors.cut_off(address=connection.address, peer=connection.peer, phase=progress.phase, reason=reason)


def _not_the_peer(progress: Progress, cause: str) -> errors.EngineError:
    """Return the error for an answer that the peer does not give."""
    connection = progress.connection
    return errors.not_the_peer(
        endpoint=progress.endpoint, address=connection.address, peer=connection.peer, cause=cause
    )


def _unverified(exc: t.Any, progress: Progress) -> errors.EngineError:
    """Return why the engine's certificate is not accepted."""
    connection = progress.connection
    if connection.tls is None:
        return errors.tls_failed(address=connection.address, reason=openssl_reason(exc))
    return explain_verification(exc, connection, connection.tls, _served_certificate(progress))


def _served_certificate(progress: Progress) -> PeerCertificate | None:
    """Return the certificate that was not accepted, None if it cannot be read.

    The ssl module decodes only certificates that it has verified. So the certificate is fetched unverified, and then
    verified against itself, without a look at the clock. Nothing is sent over either connection.
    """
    tls = progress.connection.tls
    if tls is None:
        return None
    try:
        context = make_context(replace(tls, verify=False))
        with t.cast(ssl.SSLSocket, open_socket(progress, context)) as sock:
            encoded = sock.getpeercert(binary_form=True)
        context.load_verify_locations(cadata=encoded)
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VerifyFlags(PARTIAL_CHAIN | _NO_CHECK_TIME)
        with t.cast(ssl.SSLSocket, open_socket(progress, context)) as sock:
            content = sock.getpeercert()
    except (OSError, ValueError, errors.OptionError):
        return None
    return PeerCertificate.from_ssl(content) if content else None


def _alert(exc: t.Any, progress: Progress) -> errors.EngineError:
    """Return what an error of TLS means that is not about the engine's certificate."""
    connection = progress.connection
    if connection.tls is None or isinstance(exc, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return _cut_off(progress, "without a word of TLS")
    return explain_alert(exc, connection, connection.tls)


def _bad_status_line(exc: t.Any, progress: Progress) -> errors.EngineError:
    """Return what it means that an answer does not begin as HTTP does."""
    connection, line = progress.connection, str(exc)
    if line.startswith("\x15\x03"):  # a TLS alert (RFC 8446, section 5.1)
        return errors.tls_wanted(address=connection.address, peer=connection.peer)
    cause = f"the answer is not HTTP{sample(line)}"
    return _not_the_peer(progress, cause)


def _http_exception(exc: t.Any, progress: Progress) -> errors.EngineError:
    """Return what an error of http.client means: headers that do not end, or an answer that ends too early."""
    if not isinstance(exc, http.client.LineTooLong) and "more than 100 headers" not in str(exc):
        return _cut_off(progress, one_line(str(exc)))
    cause = "the headers of the answer are too large"
    return _not_the_peer(progress, cause)


def _timed_out(_exc: t.Any, progress: Progress) -> errors.EngineError:
    """Return the error for a time limit that has passed."""
    connection, phase = progress.connection, progress.phase
    return errors.timed_out(address=connection.address, peer=connection.peer, phase=phase, seconds=progress.seconds)


def _unknown_host(exc: t.Any, progress: Progress) -> errors.EngineError:
    """Return the error for a host name without an address."""
    connection, reason = progress.connection, exc.strerror or str(exc)
    return errors.unknown_host(address=connection.address, host=connection.host, reason=reason)


def _refused(_exc: t.Any, progress: Progress) -> errors.EngineError:
    """Return the error for an address where nothing listens."""
    connection = progress.connection
    if connection.socket_path is None:
        return errors.refused(address=connection.address, peer=connection.peer)
    return errors.dead_socket(address=connection.address)


def _closed(exc: t.Any, progress: Progress) -> errors.EngineError:
    """Return the error for a connection that the engine has reset.

    With TLS 1.3 a client learns by its first read that its certificate is missing (RFC 8446, section 4.4.2.4). A reset
    instead of an alert means the same at that point: the engine closes before it has read the request.
    """
    connection, tls = progress.connection, progress.connection.tls
    if tls and not tls.client_name and not progress.received and progress.phase.startswith("waiting"):
        return errors.client_wanted(address=connection.address, peer=connection.peer)
    return _cut_off(progress, exc.strerror or str(exc))


# What an exception means; the first row counts. Those of requests and urllib3 wrap one of these, or none.
_TABLE: tuple[tuple[type[BaseException], t.Callable[[t.Any, Progress], errors.EngineError]], ...] = (
    (ssl.SSLCertVerificationError, _unverified),
    (ssl.SSLError, _alert),
    (http.client.RemoteDisconnected, lambda exc, progress: _cut_off(progress, "without any answer")),
    (http.client.BadStatusLine, _bad_status_line),
    (http.client.UnknownProtocol, _bad_status_line),
    (http.client.HTTPException, _http_exception),
    (socket.timeout, _timed_out),
    (socket.gaierror, _unknown_host),
    (FileNotFoundError, lambda exc, progress: errors.no_socket(address=progress.connection.address)),
    (
        PermissionError,
        lambda exc, progress: errors.forbidden_socket(address=progress.connection.address, user=os.geteuid()),
    ),
    (ConnectionRefusedError, _refused),
    (ConnectionError, _closed),
)


def one_line(text: str) -> str:
    """Return the first 200 characters of a text on one line, without HTML tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", text[:2000]).split())[:200]


def sample(text: str) -> str:
    """Return how an answer begins, to be put after a phrase; empty if there is nothing."""
    words = one_line(text)
    return f", beginning with {words[:80]!r}" if words else ""


__all__ = ("explain", "explained", "one_line", "sample")
