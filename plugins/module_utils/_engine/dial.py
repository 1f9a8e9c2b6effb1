# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""From a connection's description to a connected socket, with TLS where it is wanted."""

from __future__ import annotations

import ssl
import time
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import EngineError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.options import TlsOptions
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.sockets import (
    PlainSocket,
    TlsSocket,
    Watch,
    connect,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.tls import (
    NO_CHECK_TIME,
    PARTIAL_CHAIN,
    Certificate,
    explain_verification,
    make_context,
)


def dial(watch: Watch) -> PlainSocket | TlsSocket:
    """Return a socket connected to the watch's engine, with TLS where its connection says so. Raises EngineError."""
    phase, tls = watch.phase, watch.connection.tls
    sock = connect(watch) if tls is None else _dial_tls(watch, tls)
    watch.phase = phase
    return sock


def _dial_tls(watch: Watch, tls: TlsOptions) -> TlsSocket:
    """Return a socket with TLS. Raises EngineError, which says what is wrong with the engine's certificate."""
    context = make_context(tls)
    try:
        return _secure(watch, context, tls.hostname)
    except ssl.SSLCertVerificationError as exc:
        authorities = [Certificate.from_ssl(ca) for ca in context.get_ca_certs()] if tls.ca_path else []
        served = _served_certificate(watch, tls)
        raise explain_verification(exc, watch.connection.address, tls, served, authorities, time.time()) from exc


def _secure(watch: Watch, context: ssl.SSLContext, hostname: str) -> TlsSocket:
    """Return a new connection after the handshake. Raises EngineError, and SSLCertVerificationError."""
    context.sslsocket_class = TlsSocket
    plain = connect(watch)
    # wrap_socket takes the socket over: its own object is empty afterwards, and only the new one is to be closed.
    secured = t.cast(TlsSocket, context.wrap_socket(plain, server_hostname=hostname, do_handshake_on_connect=False))
    secured.watch = watch
    watch.phase = "agreeing on TLS"
    try:
        with watch.over(secured):
            secured.do_handshake()
    except (EngineError, ssl.SSLCertVerificationError):
        secured.close()
        raise
    return secured


def _served_certificate(watch: Watch, tls: TlsOptions) -> Certificate | None:
    """Return what the certificate says that was not accepted, None when it cannot be found out.

    The ssl module decodes only certificates that it has verified. So the certificate is fetched unverified, and then
    verified against itself, without a look at the clock. Nothing is sent over either connection.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if tls.client_cert and tls.client_key:
        context.load_cert_chain(tls.client_cert, tls.client_key)
    try:
        with _secure(watch, context, tls.hostname) as sock:
            encoded = sock.getpeercert(binary_form=True)
        context.load_verify_locations(cadata=encoded)
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VerifyFlags(PARTIAL_CHAIN | NO_CHECK_TIME)
        with _secure(watch, context, tls.hostname) as sock:
            content = sock.getpeercert()
    except (EngineError, OSError, ValueError):
        return None
    return Certificate.from_ssl(content) if content else None


__all__ = ("dial",)
