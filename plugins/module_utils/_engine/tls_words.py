# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""What it means, in plain words, when the two sides do not agree on TLS. Only loaded when they do not."""

from __future__ import annotations

import ssl
import time
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.error_kinds import TlsError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import (
    certificate_refused,
    client_certificate_refused,
    plain_http,
    tls_failed,
    wants_client_certificate,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.network import TlsOptions
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.tls import openssl_words


class Certificate(t.NamedTuple):
    """What a certificate says. The times are seconds since the epoch, the names as in subjectAltName."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: float
    not_after: float

    @classmethod
    def from_ssl(cls, content: t.Mapping[str, t.Any]) -> Certificate:
        """Return the summary of a certificate as C(SSLSocket.getpeercert) decodes it."""
        return cls(
            subject=_plain_name(content.get("subject", ())),
            issuer=_plain_name(content.get("issuer", ())),
            names=tuple(value for kind, value in content.get("subjectAltName", ())),
            not_before=ssl.cert_time_to_seconds(content["notBefore"]),
            not_after=ssl.cert_time_to_seconds(content["notAfter"]),
        )


def _plain_name(name: t.Iterable[t.Iterable[tuple[str, str]]]) -> str:
    """Return a distinguished name as people read it: its common name, else all its parts."""
    parts = [pair for group in name for pair in group]
    common = [value for key, value in parts if key == "commonName"]
    return common[-1] if common else ", ".join(value for key, value in parts) or "(no name)"


# --- the engine's certificate ------------------------------------------------------------------------------------


def explain_verification(
    exc: ssl.SSLCertVerificationError,
    address: str,
    tls: TlsOptions,
    served: Certificate | None,
    authorities: t.Sequence[Certificate],
    now: float,
) -> TlsError:
    """Return in plain words why the engine's certificate was not accepted.

    ``served`` is that certificate as far as it could be read, ``authorities`` are those trusted, ``now`` is in seconds
    since the epoch. The codes are OpenSSL's X509_V_ERR_* (x509_vfy.h).
    """
    who = f"the engine's certificate ({served.subject})" if served else "the engine's certificate"
    code = exc.verify_code
    if code in (9, 10):
        return _explain_date(address, tls, who, served, authorities, now)
    if code in (62, 64):
        return _explain_name(address, tls, who, served)
    if code in (7, 18, 19, 20, 21):
        return _explain_issuer(address, tls, who, served, authorities)
    if code == 26:
        return certificate_refused(
            address,
            f"{who} is not made for servers: its extendedKeyUsage lacks serverAuth",
            "Issue a server certificate for the engine.",
        )
    return certificate_refused(
        address,
        f"{who} is not valid: {exc.verify_message}",
        "Look at it with: openssl s_client -showcerts -connect HOST:PORT.",
    )


def _explain_date(
    address: str,
    tls: TlsOptions,
    who: str,
    served: Certificate | None,
    authorities: t.Sequence[Certificate],
    now: float,
) -> TlsError:
    """Return which certificate of the chain is out of date, and since when."""
    candidates = [(who, served)] if served else []
    candidates += [(f"the authority's certificate ({ca.subject}) in {tls.ca_path}", ca) for ca in authorities]
    for name, certificate in candidates:
        if now > certificate.not_after:
            return certificate_refused(address, f"{name} expired on {_date(certificate.not_after)}", "Renew it.")
        if now < certificate.not_before:
            return certificate_refused(
                address,
                f"{name} is not valid before {_date(certificate.not_before)}",
                "Set the clocks of both machines (it is now " + _date(now) + " here).",
            )
    return certificate_refused(address, f"{who}, or its authority's, is out of date", "Renew it; check the clocks.")


def _explain_name(address: str, tls: TlsOptions, who: str, served: Certificate | None) -> TlsError:
    """Return for which names the certificate is, and for which it was needed."""
    carried = "other names" if served is None else ", ".join(served.names) or "no name at all (no subjectAltName)"
    return certificate_refused(
        address,
        f"{who} does not carry the name {tls.hostname}; it carries {carried}",
        "Use one of its names in docker_host, or set tls_hostname to one, or issue a certificate with this name.",
    )


def _explain_issuer(
    address: str, tls: TlsOptions, who: str, served: Certificate | None, authorities: t.Sequence[Certificate]
) -> TlsError:
    """Return who signed the certificate, and who was trusted to."""
    trusted = ", ".join(ca.subject for ca in authorities) or "none"
    where = f"the authority in {tls.ca_path} ({trusted})" if tls.ca_path else "one of the system's authorities"
    if served is None:
        signed = "was not signed by"
    elif served.issuer == served.subject:
        signed = "is self-signed and not signed by"
    elif served.issuer in [ca.subject for ca in authorities]:
        signed = f"was signed by another authority with the same name ({served.issuer}), not by"
    else:
        signed = f"was signed by {served.issuer}, not by"
    return certificate_refused(
        address, f"{who} {signed} {where}", "Set ca_path (or cert_path) to the authority that signed it."
    )


def _date(seconds: float) -> str:
    """Return a time as people and logs write it, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


# --- the client's certificate ------------------------------------------------------------------------------------

# What the engine's alert (RFC 8446, 6.2) means for the certificate that it was shown. Go sends bad_certificate or
# unknown_ca for an authority that it does not know, depending on its version.
_ALERTS = (
    ("ALERT_CERTIFICATE_EXPIRED", "it has expired"),
    ("ALERT_UNKNOWN_CA", "the engine does not know the authority that signed it"),
    ("ALERT_BAD_CERTIFICATE", "another authority signed it, or it is not made for clients (clientAuth)"),
    ("ALERT_UNSUPPORTED_CERTIFICATE", "it is not made for clients (clientAuth)"),
    ("ALERT_CERTIFICATE_UNKNOWN", "the engine did not say why"),
    ("ALERT_CERTIFICATE_REQUIRED", "the engine did not get it"),
    ("ALERT_ACCESS_DENIED", "the engine denies access"),
)

# What OpenSSL makes of bytes that are no TLS, in its various versions.
_NO_TLS = ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")


def explain_alert(exc: ssl.SSLError, address: str, tls: TlsOptions) -> TlsError:
    """Return in plain words what an error of TLS means that is not about the engine's own certificate."""
    reason = exc.reason or ""
    if "ALERT_HANDSHAKE_FAILURE" in reason and tls.client_cert is None:
        return wants_client_certificate(address)  # how servers with OpenSSL say it up to TLS 1.2
    for alert, meaning in _ALERTS:
        if alert in reason:
            if tls.client_cert is None:
                return wants_client_certificate(address)
            return client_certificate_refused(address, tls.client_cert, meaning)
    if any(word in reason for word in _NO_TLS):
        return plain_http(address)
    return tls_failed(address, openssl_words(exc))


__all__ = ("Certificate", "explain_alert", "explain_verification")
