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
import os
import socket
import ssl
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import ListenAddress

# How OpenSSL names the alerts of a server before TLS 1.3 that wants a client's certificate: handshake_failure
# (RFC 5246, section 7.4.6), or bad_certificate, as Go sends.
_CERTIFICATE_DEMANDED = ("ALERT_HANDSHAKE_FAILURE", "ALERT_BAD_CERTIFICATE")


@dataclass(frozen=True)
class Inventory:
    """What an engine keeps: the directory of its data, without links, and the IDs of its containers."""

    root: str
    containers: frozenset[str]


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


def _get(socket_path: str, path: str, timeout: float) -> tuple[int, bytes]:
    """Return status and body of ``GET path`` on the engine's local socket. Raises OSError when it does not answer."""
    connection = _UnixConnection(socket_path, timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as exc:
        raise ConnectionError(f"no HTTP answer: {type(exc).__name__}") from exc
    finally:
        connection.close()


def get_json(socket_path: str, path: str, timeout: float = 10.0) -> t.Any:
    """Return the engine's JSON answer to ``GET path``, or None when it gives none."""
    try:
        status, body = _get(socket_path, path, timeout)
        return json.loads(body) if status == 200 else None
    except (OSError, ValueError):
        return None


def inventory(socket_path: str, timeout: float) -> Inventory | None:
    """Return what the engine keeps, running or not; None if it does not say."""
    root = (get_json(socket_path, "/info", timeout) or {}).get("DockerRootDir")
    if root is None:
        return None
    listed = get_json(socket_path, "/containers/json?all=1", timeout)
    if listed is None:
        return None
    return Inventory(os.path.realpath(root), frozenset(item["Id"] for item in listed))


def why_local_silent(socket_path: str, timeout: float) -> str | None:
    """Return why the engine does not answer ``/_ping`` on its local socket; None when it does."""
    try:
        status, body = _get(socket_path, "/_ping", timeout)
    except OSError as exc:
        return str(exc.strerror or exc)
    return None if status == 200 else f"status {status}: {body[:200]!r}"


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


__all__ = ("Inventory", "get_json", "inventory", "presented_certificate", "why_local_silent", "why_tcp_silent")
