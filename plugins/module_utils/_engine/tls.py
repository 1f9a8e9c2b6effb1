# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""TLS contexts, and what they and the engine's certificate say if they do not fit together.

A context trusts the given CA and nothing else, whatever the environment says. It demands no more of certificates than
Go does, in all versions of Python: ssl.create_default_context() of Python 3.13 and later would also demand a keyUsage
of the CA, which the one that ``openssl req -new -x509`` makes does not have. The name is looked for in subjectAltName
alone (RFC 9525), and an intermediate CA in the file is trusted as it is, both as in Go.
"""

from __future__ import annotations

import os
import platform
import ssl
import tempfile
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import Connection, TlsOptions

# OpenSSL's X509_V_FLAG_PARTIAL_CHAIN (x509_vfy.h); ssl names it from Python 3.10 on only.
PARTIAL_CHAIN = 0x80000
_OPEN_FILES = "/proc/self/fd"


def make_context(tls: TlsOptions) -> ssl.SSLContext:
    """Return the context for these options. Raises OptionError naming the file that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    if tls.verify:
        context.verify_flags |= ssl.VerifyFlags(PARTIAL_CHAIN)
        _load_ca(context, tls)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.client_pem:
        _load_pem_client(context, tls.client_pem)
    elif tls.client_cert and tls.client_key:
        _load_client(context, tls.client_cert, tls.client_key)
    return context


def _load_ca(context: ssl.SSLContext, tls: TlsOptions) -> None:
    """Trust the options' CA, or the system's CAs if there is none. Raises OptionError."""
    if tls.ca_name is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return
    if tls.ca_path and not tls.ca_pem:
        _read_pem(tls.ca_path)
    # What stands around the certificates may be in any language; ssl takes ASCII alone.
    text = tls.ca_pem.encode("ascii", "replace").decode() if tls.ca_pem else None
    try:
        context.load_verify_locations(cafile=None if text else tls.ca_path, cadata=text)
    except ssl.SSLError as exc:
        raise errors.no_certificate(path=tls.ca_name, reason=openssl_reason(exc), machine=platform.node()) from exc


def _load_pem_client(context: ssl.SSLContext, pem: bytes) -> None:
    """Present a client certificate that is in memory together with its key.

    OpenSSL reads files only. So it gets one in memory, or else one with mode 0600 that is gone afterwards: a file in
    memory has a path on Linux alone (FreeBSD has memfd_create(2) as well, and no /proc).
    """
    anonymous = hasattr(os, "memfd_create") and os.path.isdir(_OPEN_FILES)
    with open(os.memfd_create("client"), "wb") if anonymous else tempfile.NamedTemporaryFile() as stream:
        stream.write(pem)
        stream.flush()
        context.load_cert_chain(f"{_OPEN_FILES}/{stream.fileno()}" if anonymous else stream.name)


def _load_client(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Present the client certificate if the engine asks for one. Raises OptionError."""
    _read_pem(certificate)
    if b"ENCRYPTED" in _read_pem(key):
        raise errors.encrypted_key(path=key, machine=platform.node())
    try:
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as exc:
        machine = platform.node()
        if "MISMATCH" in (exc.reason or ""):
            raise errors.foreign_key(path=key, certificate=certificate, machine=machine) from exc
        reason = openssl_reason(exc)
        raise errors.bad_client_pair(path=key, certificate=certificate, reason=reason, machine=machine) from exc


def _read_pem(path: str) -> bytes:
    """Return the content of a PEM file. Raises OptionError, because ssl does not say which file it misses."""
    try:
        with open(path, "rb") as stream:
            content = stream.read()
    except OSError as exc:
        raise errors.unreadable_file(path=path, reason=exc.strerror, machine=platform.node()) from exc
    if b"-----BEGIN " not in content:
        raise errors.not_pem(path=path, machine=platform.node())
    return content


def openssl_reason(exc: ssl.SSLError) -> str:
    """Return OpenSSL's reason in lower case words."""
    return (exc.reason or exc.strerror or str(exc)).replace("_", " ").lower()


# --- the engine's certificate ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PeerCertificate:
    """What a certificate says. The times are seconds since the epoch, the names are those in subjectAltName."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: float
    not_after: float

    @classmethod
    def from_ssl(cls, content: t.Mapping[str, t.Any]) -> PeerCertificate:
        """Return the certificate that SSLSocket.getpeercert() has decoded."""
        return cls(
            subject=_common_name(content.get("subject", ())),
            issuer=_common_name(content.get("issuer", ())),
            names=tuple(
                value if isinstance(value, str) else _common_name(value)  # a directoryName is a whole name
                for _kind, value in content.get("subjectAltName", ())
            ),
            not_before=ssl.cert_time_to_seconds(content["notBefore"]),
            not_after=ssl.cert_time_to_seconds(content["notAfter"]),
        )


def _common_name(name: t.Iterable[t.Iterable[tuple[str, str]]]) -> str:
    """Return the common name in a distinguished name, or else all its parts."""
    parts = [pair for group in name for pair in group]
    common = [value for key, value in parts if key == "commonName"]
    return common[-1] if common else ", ".join(value for key, value in parts) or "(no name)"


def explain_verification(
    exc: ssl.SSLCertVerificationError, connection: Connection, tls: TlsOptions, served: PeerCertificate | None
) -> errors.TlsError:
    """Return why the engine's certificate was not accepted.

    ``served`` is that certificate as far as it could be read. The codes are OpenSSL's X509_V_ERR_* (x509_vfy.h).
    """
    subject = f" ({served.subject})" if served else ""
    address, peer = connection.address, connection.peer
    if exc.verify_code in (9, 10):
        return _explain_dates(connection, tls, served)
    if exc.verify_code in (62, 64):
        carried = "other names" if served is None else ", ".join(served.names) or "no name at all (no subjectAltName)"
        return errors.wrong_name(address=address, peer=peer, subject=subject, name=tls.hostname, carried=carried)
    if exc.verify_code in (7, 18, 19, 20, 21):
        return _explain_issuer(connection, tls, subject, served)
    if exc.verify_code == 26:
        return errors.not_for_servers(address=address, peer=peer, subject=subject)
    return errors.bad_certificate(address=address, peer=peer, subject=subject, reason=exc.verify_message)


def _trusted(tls: TlsOptions) -> list[PeerCertificate]:
    """Return the CAs in the options' file, none if there is no file."""
    if tls.ca_name is None:
        return []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load_ca(context, tls)
    return [PeerCertificate.from_ssl(ca) for ca in context.get_ca_certs()]


def _explain_dates(connection: Connection, tls: TlsOptions, served: PeerCertificate | None) -> errors.TlsError:
    """Return which certificate of the chain is out of date, and since when."""
    now, address, peer = time.time(), connection.address, connection.peer
    chain = [(f"the {peer.name}'s certificate ({served.subject})", served)] if served else []
    chain += [(f"the CA's certificate ({ca.subject}) in {tls.ca_name}", ca) for ca in _trusted(tls)]
    for name, certificate in chain:
        if now > certificate.not_after:
            return errors.expired(address=address, certificate=name, end=_utc(certificate.not_after), now=_utc(now))
        if now < certificate.not_before:
            start = _utc(certificate.not_before)
            return errors.not_yet_valid(address=address, certificate=name, start=start, now=_utc(now))
    return errors.bad_certificate(address=address, peer=peer, subject="", reason="it, or its CA's, is out of date")


def _explain_issuer(
    connection: Connection, tls: TlsOptions, subject: str, served: PeerCertificate | None
) -> errors.TlsError:
    """Return who signed the certificate, and who was trusted to."""
    cas = [ca.subject for ca in _trusted(tls)]
    trusted = f"the CA in {tls.ca_name} ({', '.join(cas) or 'none'})" if tls.ca_name else "one of the system's CAs"
    if served is None:
        signed = "was not signed by"
    elif served.issuer == served.subject:
        signed = "is self-signed and not signed by"
    elif served.issuer in cas:
        signed = f"was signed by another CA with the same name ({served.issuer}), not by"
    else:
        signed = f"was signed by {served.issuer}, not by"
    return errors.wrong_issuer(
        address=connection.address, peer=connection.peer, subject=subject, signed=signed, trusted=trusted
    )


def _utc(seconds: float) -> str:
    """Return a time as people and logs write it, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


# --- alerts ------------------------------------------------------------------------------------------------------

# What the peer's alert (RFC 8446, section 6.2) means for the certificate that it was shown. Go sends bad_certificate
# or unknown_ca for a CA that it does not know, depending on its version.
_ALERTS = (
    ("ALERT_CERTIFICATE_EXPIRED", "it has expired"),
    ("ALERT_UNKNOWN_CA", "the {peer.name} does not know the CA that signed it"),
    ("ALERT_BAD_CERTIFICATE", "another CA signed it, or it is not made for clients (clientAuth)"),
    ("ALERT_UNSUPPORTED_CERTIFICATE", "it is not made for clients (clientAuth)"),
    ("ALERT_CERTIFICATE_UNKNOWN", "the {peer.name} did not say why"),
    ("ALERT_CERTIFICATE_REQUIRED", "the {peer.name} did not get it"),
    ("ALERT_ACCESS_DENIED", "the {peer.name} denies access"),
)

# What OpenSSL makes of bytes that are no TLS, in its various versions.
_NO_TLS = ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")


def explain_alert(exc: ssl.SSLError, connection: Connection, tls: TlsOptions) -> errors.TlsError:
    """Return what an error of TLS means that is not about the engine's own certificate."""
    reason, address, peer = exc.reason or "", connection.address, connection.peer
    if "ALERT_HANDSHAKE_FAILURE" in reason and tls.client_name is None:
        return errors.client_wanted(address=address, peer=peer)  # how servers with OpenSSL say it up to TLS 1.2
    for alert, meaning in _ALERTS:
        if alert in reason:
            if tls.client_name is None:
                return errors.client_wanted(address=address, peer=peer)
            reason = meaning.format(peer=peer)
            return errors.client_refused(address=address, peer=peer, certificate=tls.client_name, reason=reason)
    if any(word in reason for word in _NO_TLS):
        return errors.plain_http(address=address, peer=peer)
    return errors.tls_failed(address=address, reason=openssl_reason(exc))


__all__ = (
    "PARTIAL_CHAIN",
    "PeerCertificate",
    "explain_alert",
    "explain_verification",
    "make_context",
    "openssl_reason",
)
