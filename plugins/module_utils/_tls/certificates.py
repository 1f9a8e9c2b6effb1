# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Reading certificates, and the public facts of one, the same with every version of the library."""

from __future__ import annotations

import base64
import contextlib
import typing as t
from datetime import datetime, timezone

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._pem import (
    PemBlock,
    find_blocks,
    find_certificates,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import errors, keys
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.library import (
    NameOID,
    ec,
    ed25519,
    exceptions,
    hashes,
    padding,
    rsa,
    serialization,
    x509,
)


class UnreadableError(Exception):
    """A certificate parses as a whole, but a part of it does not follow X.509. The text says which."""


def _decode(block: PemBlock, subject: str) -> x509.Certificate:
    """Return the certificate in the block. ``subject`` names the PEM text in errors. Raises TlsError."""
    try:
        return load_der(base64.b64decode(b"".join(block.body.split()), validate=True))
    except (ValueError, UnreadableError) as exc:
        raise errors.bad_bundle(
            subject=subject, line=block.line, cause="a certificate begins here that cannot be read"
        ) from exc


def load_der(content: bytes) -> x509.Certificate:
    """Return the certificate, such as TLS brings it (DER).

    Its names, dates and serial number can be read. OpenSSL takes some certificates of which the library cannot read
    them, such as old ones with a T61String in Latin-1. Raises UnreadableError.
    """
    try:
        certificate = x509.load_der_x509_certificate(content)
        # The library reads these parts, in some of its versions more of them, only when they are asked for.
        for part in (subject_of, issuer, common_name, serial, not_before, not_after):
            part(certificate)
    except (TypeError, ValueError, x509.InvalidVersion) as exc:
        raise UnreadableError(f"the certificate ({exc})") from exc
    return certificate


def load_bundle(content: bytes, subject: str) -> tuple[x509.Certificate, ...]:
    """Return the certificates of PEM text in their order, at least one. ``subject`` names the text in errors.

    dockerd skips a broken block as long as another one is fine (Go: CertPool.AppendCertsFromPEM), and then trusts less
    than its reader thinks. So each block must parse here, and nothing but certificates may be in it; free text
    between the blocks is allowed (RFC 7468, section 5.2). Raises TlsError with the line.
    """
    blocks = find_blocks(content)
    inside = {number for one in blocks for number in range(one.line, one.line + one.text.count(b"\n"))}
    for number, line in enumerate(content.split(b"\n"), 1):
        edge = line.strip()
        if b"-----" in edge and not (number in inside and edge.startswith(b"-----") and edge.endswith(b"-----")):
            raise errors.bad_bundle(
                subject=subject, line=number, cause="a PEM block begins or ends here, and its other end is missing"
            )
    for block in blocks:
        if block.label != "CERTIFICATE":
            raise errors.bad_bundle(subject=subject, line=block.line, cause=f"a {block.label} is no CERTIFICATE")
    if not blocks:
        raise errors.no_certificate(subject=subject)
    return tuple(_decode(block, subject) for block in blocks)


def load_usable(content: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM file that can be read, which are those that dockerd trusts in it."""
    found = []
    begin = b"-----BEGIN CERTIFICATE-----"
    # Go goes on with the next block after one that is cut off (encoding/pem).
    for block in (one for part in content.split(begin)[1:] for one in find_certificates(begin + part)):
        with contextlib.suppress(errors.TlsError):
            found.append(_decode(block, ""))
    return tuple(found)


def to_pem(bundle: t.Iterable[x509.Certificate]) -> str:
    """Return the certificates as PEM text, one after the other, without any other text."""
    return "".join(one.public_bytes(serialization.Encoding.PEM).decode("ascii") for one in bundle)


def not_before(certificate: x509.Certificate) -> datetime:
    """Return the first moment (UTC, aware) at which the certificate is valid."""
    # The library's aware property exists since 42, and the naive one will be gone some day.
    aware = getattr(certificate, "not_valid_before_utc", None)
    return aware or certificate.not_valid_before.replace(tzinfo=timezone.utc)


def not_after(certificate: x509.Certificate) -> datetime:
    """Return the last moment (UTC, aware) at which the certificate is valid."""
    aware = getattr(certificate, "not_valid_after_utc", None)
    return aware or certificate.not_valid_after.replace(tzinfo=timezone.utc)


def iso(moment: datetime) -> str:
    """Return the moment in ISO 8601, UTC, to the second, such as ``2027-11-24T00:00:00Z``."""
    # strftime() does not fill up years before 1000, so that nothing could read them.
    return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def serial(certificate: x509.Certificate) -> str:
    """Return the serial number in hexadecimal, as ``openssl x509 -serial`` prints it."""
    digits = f"{certificate.serial_number:X}"
    return digits if len(digits) % 2 == 0 else f"0{digits}"


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 fingerprint, as ``openssl x509 -fingerprint -sha256`` prints it: hexadecimal, with colons."""
    return ":".join(f"{byte:02X}" for byte in certificate.fingerprint(hashes.SHA256()))


def subject_of(certificate: x509.Certificate) -> str:
    """Return the certificate's subject on one line, such as ``CN=web1.example.com``."""
    return certificate.subject.rfc4514_string()


def describe(bundle: t.Iterable[x509.Certificate]) -> str:
    """Return the certificates' subjects and fingerprints for a message."""
    return ", ".join(f"{subject_of(one)} (SHA-256 {fingerprint(one)})" for one in bundle)


def issuer(certificate: x509.Certificate) -> str:
    """Return the subject of the certificate's issuer on one line."""
    return certificate.issuer.rfc4514_string()


def common_name(certificate: x509.Certificate) -> str:
    """Return the common name in the subject, or an empty string when there is none."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def public_key(certificate: x509.Certificate) -> t.Any:
    """Return the certificate's public key. Raises UnreadableError when it is of no known type, or broken."""
    try:
        return certificate.public_key()
    except (ValueError, exceptions.UnsupportedAlgorithm) as exc:
        raise UnreadableError(f"its public key ({exc})") from exc


def matches_key(certificate: x509.Certificate, key: keys.PrivateKey) -> bool:
    """Return whether the certificate was issued for the key."""
    try:
        return keys.public_bytes(public_key(certificate)) == keys.public_bytes(key.public_key())
    except UnreadableError:
        return False


def without(bundle: t.Iterable[x509.Certificate], known: t.Iterable[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """Return the certificates of the bundle whose public key is in none of the known ones, each key once."""
    seen = {identity(one) for one in known}
    found: dict[bytes, x509.Certificate] = {}
    for one in bundle:
        if identity(one) not in seen:
            found.setdefault(identity(one), one)
    return tuple(found.values())


def identity(certificate: x509.Certificate) -> bytes:
    """Return what identifies the certificate's key: its public half, or the fingerprint if its type is unknown."""
    try:
        return keys.public_bytes(public_key(certificate))
    except UnreadableError:
        return certificate.fingerprint(hashes.SHA256())


def extensions(certificate: x509.Certificate) -> dict[x509.ObjectIdentifier, x509.Extension[t.Any]]:
    """Return the certificate's extensions by their identifiers. Raises UnreadableError."""
    try:
        return {one.oid: one for one in certificate.extensions}
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as exc:
        raise UnreadableError(f"its extensions ({exc})") from exc


def extension(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> t.Any:
    """Return the value of the extension of this class, or None when there is none. Raises UnreadableError."""
    found = extensions(certificate).get(kind.oid)
    return None if found is None else found.value


def names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the names in their normal spelling: host names, IP addresses, ``kind:value`` for others.

    Raises UnreadableError.
    """
    found = []
    for name in extension(certificate, x509.SubjectAlternativeName) or ():
        if isinstance(name, x509.DNSName):
            found.append(name.value.lower())
        elif isinstance(name, x509.IPAddress):
            found.append(str(name.value))
        else:
            found.append(f"{type(name).__name__}:{name.value}")
    return tuple(found)


def is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Return whether the authority's key signed the certificate, and its name is the issuer's.

    Raises UnreadableError when the authority's key is of no known type.
    """
    if certificate.issuer != authority.subject:
        return False
    key = public_key(authority)
    data, signature = certificate.tbs_certificate_bytes, certificate.signature
    try:
        digest = certificate.signature_hash_algorithm
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        elif digest is None:
            return False
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ec.ECDSA(digest))
        elif isinstance(key, rsa.RSAPublicKey):
            # Since 41 the library tells the padding, which is PSS with some authorities.
            scheme = getattr(certificate, "signature_algorithm_parameters", None)
            key.verify(signature, data, scheme or padding.PKCS1v15(), digest)
        else:
            return False
    except (exceptions.InvalidSignature, exceptions.UnsupportedAlgorithm, TypeError, ValueError):
        return False
    return True


def is_authority(certificate: x509.Certificate) -> bool:
    """Return whether the certificate is an authority's (RFC 5280, section 4.2.1.9). Raises UnreadableError."""
    constraints = extension(certificate, x509.BasicConstraints)
    return constraints is not None and bool(constraints.ca)


def find_anchor(chain: t.Sequence[x509.Certificate], anchors: t.Sequence[x509.Certificate]) -> x509.Certificate | None:
    """Return the one of the trusted ``anchors`` to which the chain leads, or None.

    ``chain`` is a certificate and those of intermediate authorities, in any order. Raises UnreadableError.
    """
    current, rest = chain[0], list(chain[1:])
    while True:
        for anchor in anchors:
            if is_issued_by(current, anchor):
                return anchor
        following = [one for one in rest if is_authority(one) and is_issued_by(current, one)]
        if not following:
            return None
        current = following[0]
        rest.remove(current)


__all__ = (
    "UnreadableError",
    "common_name",
    "describe",
    "extension",
    "extensions",
    "find_anchor",
    "fingerprint",
    "identity",
    "is_authority",
    "is_issued_by",
    "iso",
    "issuer",
    "load_bundle",
    "load_der",
    "load_usable",
    "matches_key",
    "names",
    "not_after",
    "not_before",
    "public_key",
    "serial",
    "subject_of",
    "to_pem",
    "without",
)
