# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""TLS: with what it is spoken, and the socket that speaks it. Only loaded when it is spoken.

The context trusts the given authority and nothing else, whatever the environment says. It demands no more of
certificates than Go does, in all versions of Python: C(ssl.create_default_context) of Python 3.13 and later would also
demand a keyUsage of the authority, which the one that C(openssl req -new -x509) makes does not have. The name is looked
for in subjectAltName alone (RFC 9525), and an intermediate authority in the file is trusted as it is, both as in Go.
"""

from __future__ import annotations

import contextlib
import platform
import ssl
import time
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.error_kinds import EngineError, OptionError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import (
    bad_tls_file,
    cut_off,
    wants_client_certificate,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.network import TlsOptions
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.sockets import Watch, connect

if t.TYPE_CHECKING:
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.tls_words import Certificate

# OpenSSL's X509_V_FLAG_PARTIAL_CHAIN and X509_V_FLAG_NO_CHECK_TIME (x509_vfy.h); ssl names the first from 3.10 on only.
PARTIAL_CHAIN = 0x80000
NO_CHECK_TIME = 0x200000


@contextlib.contextmanager
def _over_tls(watch: Watch, sock: ssl.SSLSocket) -> t.Iterator[None]:
    """Do what :meth:`Watch.over` does, and turn errors of TLS into an EngineError as well.

    A certificate that is not accepted is left to the caller, who can find out more.
    """
    try:
        with watch.over(sock):
            yield
    except ssl.SSLCertVerificationError:
        raise
    except ssl.SSLError as exc:
        raise _explain_tls(exc, watch) from exc


def _explain_tls(exc: ssl.SSLError, watch: Watch) -> EngineError:
    """Return what an error of TLS means."""
    connection = watch.connection
    if connection.tls is None or isinstance(exc, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return cut_off(connection.address, watch.phase, "without a word of TLS", reached=watch.reached)
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.tls_words import explain_alert

    return explain_alert(exc, connection.address, connection.tls)


class TlsSocket(ssl.SSLSocket):
    """A socket with TLS under a watch."""

    watch: Watch
    fresh = True

    def recv_into(self, *args: t.Any) -> int:
        """Read into a buffer, as SSLSocket.recv_into. Raises EngineError.

        With TLS 1.3 a client learns by its first read that its certificate is refused or missing (RFC 8446, 4.4.2.4).
        A reset instead of an alert at that point means the same: the engine closes before it has read the request.
        """
        tls = self.watch.connection.tls
        with _over_tls(self.watch, self):
            try:
                count = super().recv_into(*args)
            except ConnectionResetError as exc:
                if self.fresh and tls is not None and tls.client_cert is None:
                    raise wants_client_certificate(self.watch.connection.address) from exc
                raise
        self.fresh = False
        self.watch.progressed()
        return count

    def sendall(self, *args: t.Any) -> None:
        """Send everything, as SSLSocket.sendall. Raises EngineError. A broken pipe is left to the next read."""
        with _over_tls(self.watch, self), contextlib.suppress(BrokenPipeError, ConnectionResetError):
            super().sendall(*args)


def dial_tls(watch: Watch, tls: TlsOptions) -> TlsSocket:
    """Return a socket with TLS. Raises EngineError, which says what is wrong with the engine's certificate."""
    context = make_context(tls)
    try:
        return _secure(watch, context, tls.hostname)
    except ssl.SSLCertVerificationError as exc:
        from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.tls_words import (
            Certificate,
            explain_verification,
        )

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
        with _over_tls(watch, secured):
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
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.tls_words import Certificate

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


def make_context(tls: TlsOptions) -> ssl.SSLContext:
    """Return the context for these options. Raises OptionError naming the file that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    if tls.verify:
        context.verify_flags |= ssl.VerifyFlags(PARTIAL_CHAIN)
        _load_authority(context, tls.ca_path)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.client_cert and tls.client_key:
        _load_client(context, tls.client_cert, tls.client_key)
    return context


def _load_authority(context: ssl.SSLContext, path: str | None) -> None:
    """Trust the authority in the file, or the system's authorities when there is none. Raises OptionError."""
    if path is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return
    _read_pem(path)
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as exc:
        raise _bad_file(
            path, f"it holds no readable certificate ({openssl_words(exc)})", "Put the authority's there."
        ) from exc


def _load_client(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Present the client certificate when the engine asks for one. Raises OptionError."""
    _read_pem(certificate)
    if b"ENCRYPTED" in _read_pem(key):
        raise _bad_file(key, "the key is encrypted", "Remove its passphrase with: openssl pkey -in KEY -out NEW_KEY.")
    try:
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as exc:
        if "MISMATCH" in (exc.reason or ""):
            raise _bad_file(key, f"the key does not belong to {certificate}", "Use the pair that belongs.") from exc
        cause = f"it cannot be read as a client's key with the certificate {certificate} ({openssl_words(exc)})"
        raise _bad_file(key, cause, "Use a PEM certificate and its PEM key.") from exc


def _read_pem(path: str) -> bytes:
    """Return the content of a PEM file. Raises OptionError, because ssl does not say which file it misses."""
    try:
        with open(path, "rb") as stream:
            content = stream.read()
    except OSError as exc:
        raise _bad_file(path, f"it cannot be read ({exc.strerror})", "Check the path and its permissions.") from exc
    if b"-----BEGIN " not in content:
        raise _bad_file(path, "it is no PEM file", "It must contain a line that begins with -----BEGIN.")
    return content


def _bad_file(path: str, cause: str, remedy: str) -> OptionError:
    """Return the error for a file on this machine."""
    return bad_tls_file(path, cause, remedy, platform.node())


def openssl_words(exc: ssl.SSLError) -> str:
    """Return OpenSSL's reason in lower case words."""
    return (exc.reason or exc.strerror or str(exc)).replace("_", " ").lower()


__all__ = ("TlsSocket", "dial_tls", "openssl_words")
