# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Asking the engine on this host whether it answers, with the standard library alone.

The module that changes the daemon's options must work on a host that has nothing but Python.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import ListenAddress

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, never bound


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of to a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def get(socket_path: str, path: str, timeout: float) -> tuple[int, bytes]:
    """Return status and body of ``GET path`` on the engine's local socket. Raises OSError when it does not answer."""
    connection = _UnixConnection(socket_path, timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as problem:
        raise ConnectionError(f"no HTTP answer: {type(problem).__name__}") from problem
    finally:
        connection.close()


def get_json(socket_path: str, path: str, timeout: float = 10.0) -> t.Any:
    """Return the engine's JSON answer to ``GET path``, or None when it gives none."""
    try:
        status, body = get(socket_path, path, timeout)
        return json.loads(body) if status == 200 else None
    except (OSError, ValueError):
        return None


def why_local_silent(socket_path: str, timeout: float) -> str | None:
    """Return why the engine does not answer ``/_ping`` on its local socket; None when it does."""
    try:
        status, body = get(socket_path, "/_ping", timeout)
    except OSError as problem:
        return str(problem.strerror or problem)
    return None if status == 200 else f"status {status}: {body[:200]!r}"


def why_tcp_silent(address: ListenAddress, *, tls: bool, certificate: str | None, timeout: float) -> str | None:
    """Return why the engine does not answer on a TCP address; None when it does.

    With ``tls`` it has to do so in a TLS handshake, and to present the first certificate of the file ``certificate``,
    where that is known. No client certificate is needed for that: the server presents its own first (RFC 8446,
    section 2).
    """
    target = (_WILDCARDS.get(address.host, address.host), address.port)
    try:
        with socket.create_connection(target, timeout=timeout) as plain:
            return _why_other_certificate(plain, certificate) if tls else _why_no_ping(plain)
    except (OSError, ValueError) as problem:
        return str(problem.strerror or problem) if isinstance(problem, OSError) else str(problem)


def _why_no_ping(plain: socket.socket) -> str | None:
    """Return why there is no HTTP answer on the connection; None when there is one."""
    plain.sendall(b"GET /_ping HTTP/1.0\r\nHost: localhost\r\n\r\n")
    first = plain.recv(64)
    return None if first.startswith(b"HTTP/1.") and b" 200 " in first else f"it answers {first!r}"


def _why_other_certificate(plain: socket.socket, certificate: str | None) -> str | None:
    """Return why the certificate in the file, if any, is not the one that is presented; None when it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # compared with the file below, byte for byte
    try:
        with context.wrap_socket(plain) as secured:
            presented = secured.getpeercert(binary_form=True)
    except ssl.SSLError as problem:
        if "ALERT_BAD_CERTIFICATE" in (problem.reason or ""):
            return None  # before TLS 1.3 it demands the client's certificate within the handshake: it is there
        raise
    if certificate is None:
        return None
    with open(certificate, encoding="ascii", errors="replace") as stream:
        expected = ssl.PEM_cert_to_DER_cert(first_certificate(stream.read()))
    return None if presented == expected else f"it presents another certificate than the one in {certificate}"


def first_certificate(pem: str) -> str:
    """Return the first certificate of a PEM text. Raises ValueError where there is none."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    start, stop = pem.find(begin), pem.find(end)
    if start < 0 or stop < start:
        raise ValueError("there is no certificate in it")
    return pem[start : stop + len(end)]


__all__ = ("first_certificate", "get", "get_json", "why_local_silent", "why_tcp_silent")
