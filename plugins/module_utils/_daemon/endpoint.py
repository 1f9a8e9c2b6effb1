# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Asking the engine on its TCP addresses whether it answers, and which certificate it presents."""

from __future__ import annotations

import socket
import ssl

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import ListenAddress

# How OpenSSL names the alerts of a server before TLS 1.3 that wants a client's certificate: handshake_failure
# (RFC 5246, section 7.4.6), or bad_certificate, as Go sends.
_CERTIFICATE_DEMANDED = ("ALERT_HANDSHAKE_FAILURE", "ALERT_BAD_CERTIFICATE")


def why_tcp_silent(address: ListenAddress, *, tls: bool, certificate: bytes | None, timeout: float) -> str | None:
    """Return why the engine does not answer on a TCP address; None if it does.

    With ``tls`` it has to do so in a TLS handshake and to present ``certificate`` (DER), if that is known.
    """
    try:
        if tls:
            presented = presented_certificate(address, timeout)
            other = presented is not None and certificate not in (None, presented)
            return "it presents another certificate than the one in its file" if other else None
        with socket.create_connection(_target(address), timeout=timeout) as plain:
            plain.sendall(b"GET /_ping HTTP/1.0\r\nHost: localhost\r\n\r\n")
            first = plain.recv(64)
        return None if first.startswith(b"HTTP/1.") and b" 200 " in first else f"it answers {first!r}"
    except OSError as exc:
        return str(exc.strerror or exc)


def _target(address: ListenAddress) -> tuple[str, int]:
    """Return host and port at which this host reaches the address."""
    host = ("::1" if ":" in address.host else "127.0.0.1") if address.is_wildcard else address.host
    return host, address.port


def presented_certificate(address: ListenAddress, timeout: float) -> bytes | None:
    """Return the certificate (DER) that the engine presents on a TCP address. Raises OSError without a TLS server.

    No client certificate is needed for that: the server presents its own first (RFC 8446, section 2). None means that
    it cannot be seen: before TLS 1.3 a server may demand the client's certificate within the handshake.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the caller compares it with a file, byte for byte
    with socket.create_connection(_target(address), timeout=timeout) as plain:
        try:
            with context.wrap_socket(plain) as secured:
                return secured.getpeercert(binary_form=True)
        except ssl.SSLError as exc:
            if (exc.reason or "").endswith(_CERTIFICATE_DEMANDED):
                return None
            raise


__all__ = ("presented_certificate", "why_tcp_silent")
