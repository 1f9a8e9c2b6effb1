# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""What a certificate for a server or a client has to carry. The signer writes it, and the host compares with it."""

from __future__ import annotations

import ipaddress
import re
import typing as t
from dataclasses import dataclass
from datetime import timedelta

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import errors, keys
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.library import (
    ExtendedKeyUsageOID,
    NameOID,
    rsa,
    x509,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.names import (
    choose_common_name,
    is_address,
    normal_names,
)

if t.TYPE_CHECKING:
    Extensions = list[tuple[x509.ExtensionType, bool]]

USAGES = ("server", "client")
# The attributes that a subject may have besides the common name, and what the library calls them.
_ATTRIBUTES = {
    "C": "COUNTRY_NAME",
    "ST": "STATE_OR_PROVINCE_NAME",
    "L": "LOCALITY_NAME",
    "O": "ORGANIZATION_NAME",
    "OU": "ORGANIZATIONAL_UNIT_NAME",
}
_COUNTRY = re.compile(r"[A-Za-z]{2}\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")  # what Python makes of bytes that are no UTF-8
MOST_DAYS = 36500
DEFAULT_DAYS = 365


@dataclass(frozen=True)
class Profile:
    """What is asked for: the usage (one of USAGES), common name, names in their normal spelling, and type of key.

    ``attributes`` stand before the common name in the subject, such as ``("O", "Example")``.
    """

    usage: str
    common_name: str
    names: tuple[str, ...]
    key_type: str
    attributes: tuple[tuple[str, str], ...] = ()


def profile(
    usage: str,
    common_name: str | None,
    names: t.Iterable[str],
    key_type: str,
    attributes: t.Mapping[str, t.Any] | None = None,
) -> Profile:
    """Return the profile for the arguments as the user gave them. Raises TlsError for a name that cannot be used."""
    normal = normal_names(names)
    if usage == "server" and not normal:
        raise errors.no_names()
    return Profile(
        usage, choose_common_name(common_name, normal), normal, key_type, tuple(_check_attributes(attributes or {}))
    )


def _check_attributes(attributes: t.Mapping[str, t.Any]) -> t.Iterator[tuple[str, str]]:
    """Yield the attributes of a subject, one for each value, in the order of X.500. Raises TlsError.

    The limits are those of RFC 5280, appendix A.1; a country is one of ISO 3166 (X.520, section 6.3.1).
    """
    unknown = [str(name) for name in attributes if name not in _ATTRIBUTES]
    if unknown:
        raise errors.bad_subject(cause=f"{', '.join(unknown)} is none of {', '.join(_ATTRIBUTES)}")
    for name in _ATTRIBUTES:
        given = attributes.get(name, [])
        for value in given if isinstance(given, list) else [given]:
            if name == "C" and not (isinstance(value, str) and _COUNTRY.match(value)):
                raise errors.bad_subject(cause=f"C is {value!r}, and not a country's two letters")
            if not isinstance(value, str) or not 1 <= len(value) <= 64 or _SURROGATE.search(value):
                raise errors.bad_subject(cause=f"{name} is {value!r}, and not a text of 1 to 64 characters")
            yield name, value


@dataclass(frozen=True)
class Validity:
    """How long a certificate is valid, and how long before its end it is due again."""

    lifetime: timedelta
    renew_before: timedelta


def renew_before(hours: int | None, renew_before_days: int) -> timedelta:
    """Return how long before its end a certificate is due again.

    One of hours is due in the last third of its time, whatever ``renew_before_days`` says.
    """
    return timedelta(days=renew_before_days) if hours is None else timedelta(hours=hours) / 3


def validity(days: int | None, hours: int | None, renew_before_days: int) -> Validity:
    """Return the validity for the options of a task, of which ``hours`` counts before ``days`` (default: 365).

    Raises TlsError for one that is out of range, or with which every run would issue a certificate.
    """
    if hours is not None:
        if not 1 <= hours <= MOST_DAYS * 24:
            raise errors.bad_validity(option="hours", value=hours, cause=f"it must be from 1 to {MOST_DAYS * 24}")
        return Validity(timedelta(hours=hours), renew_before(hours, renew_before_days))
    days = DEFAULT_DAYS if days is None else days
    if not 1 <= days <= MOST_DAYS:
        raise errors.bad_validity(option="days", value=days, cause=f"it must be from 1 to {MOST_DAYS}")
    if not 0 <= renew_before_days < days:
        raise errors.bad_validity(
            option="renew_before_days", value=renew_before_days, cause=f"it must be from 0 to less than days ({days})"
        )
    return Validity(timedelta(days=days), renew_before(None, renew_before_days))


def subject(wanted: Profile) -> x509.Name:
    """Return the subject of a certificate or of a request for one."""
    named = [(getattr(NameOID, _ATTRIBUTES[name]), value) for name, value in wanted.attributes]
    pairs = [*named, (NameOID.COMMON_NAME, wanted.common_name)]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in pairs])


def usage_of(usage: str) -> x509.ExtendedKeyUsage:
    """Return the extension that allows this usage and no other: a stolen server's key must not open other servers."""
    return x509.ExtendedKeyUsage(
        [ExtendedKeyUsageOID.SERVER_AUTH if usage == "server" else ExtendedKeyUsageOID.CLIENT_AUTH]
    )


def key_usage(*, signatures: bool = False, encipherment: bool = False, authority: bool = False) -> x509.KeyUsage:
    """Return the extension keyUsage (RFC 5280, section 4.2.1.3) with these bits set and all others not."""
    return x509.KeyUsage(
        digital_signature=signatures,
        content_commitment=False,
        key_encipherment=encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def requested_extensions(wanted: Profile, key: keys.PublicKey) -> Extensions:
    """Return the extensions, each with whether it is critical, that do not depend on who signs.

    RSA keys may also encipher (RFC 5246, section 7.4.2): some old clients choose a key exchange that does.
    """
    found: Extensions = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (key_usage(signatures=True, encipherment=isinstance(key, rsa.RSAPublicKey)), True),
        (usage_of(wanted.usage), False),
    ]
    if wanted.names:
        general = [
            x509.IPAddress(ipaddress.ip_address(name)) if is_address(name) else x509.DNSName(name)
            for name in wanted.names
        ]
        found.append((x509.SubjectAlternativeName(general), False))
    return found


def key_identifier_of(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Return the extension by which clients find the authority among several (RFC 5280, section 4.2.1.1)."""
    try:
        digest = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        digest = x509.SubjectKeyIdentifier.from_public_key(authority.public_key()).digest
    return x509.AuthorityKeyIdentifier(
        key_identifier=digest, authority_cert_issuer=None, authority_cert_serial_number=None
    )


def extensions(wanted: Profile, key: keys.PublicKey, authority: x509.Certificate) -> Extensions:
    """Return all extensions, each with whether it is critical, of a certificate that the authority issues.

    They pass the strict checks of OpenSSL, which Python uses by default since 3.13 (X509_V_FLAG_X509_STRICT).
    """
    return [
        *requested_extensions(wanted, key),
        (x509.SubjectKeyIdentifier.from_public_key(key), False),
        (key_identifier_of(authority), False),
    ]


def is_strict(authority: x509.Certificate) -> bool:
    """Return whether an authority's certificate passes those strict checks too, for any program.

    One made with ``openssl req -new -x509`` alone does not, as it has no keyUsage: Python 3.13 and later refuses it
    unless ssl.VERIFY_X509_STRICT is switched off.
    """
    found = {one.oid: one for one in authority.extensions}
    constraints, usage = found.get(x509.BasicConstraints.oid), found.get(x509.KeyUsage.oid)
    return (
        constraints is not None
        and constraints.critical
        and usage is not None
        and x509.SubjectKeyIdentifier.oid in found
        and len(list(authority.subject)) > 0
    )


__all__ = (
    "DEFAULT_DAYS",
    "MOST_DAYS",
    "USAGES",
    "Profile",
    "Validity",
    "extensions",
    "is_strict",
    "key_identifier_of",
    "key_usage",
    "profile",
    "renew_before",
    "requested_extensions",
    "subject",
    "usage_of",
    "validity",
)
