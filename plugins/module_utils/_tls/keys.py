# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Private keys: making them, reading them, and saying of which type they are."""

from __future__ import annotations

import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._client_spec import KEY_TYPES
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.library import (
    ec,
    ed25519,
    exceptions,
    hashes,
    rsa,
    serialization,
)

if t.TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    PublicKey = CertificatePublicKeyTypes
    PrivateKey = t.Union[rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey]


class UnusableKeyError(Exception):
    """The bytes are not a private key that a daemon or client can use. The message says why, in a few words."""


def generate(key_type: str) -> PrivateKey:
    """Return a new private key of one of KEY_TYPES."""
    if key_type == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    family, parameter = key_type.split("_")
    if family == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=int(parameter))
    return ec.generate_private_key(ec.SECP256R1() if parameter == "p256" else ec.SECP384R1())


def type_of(key: PublicKey) -> str:
    """Return the type of the public key: one of KEY_TYPES, or a word for one that is not among them."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa_{key.key_size}"
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519"
    if isinstance(key, ec.EllipticCurvePublicKey):
        curve = key.curve.name
        return f"ecdsa_p{key.key_size}" if curve.startswith("secp") and curve.endswith("r1") else f"ecdsa_{curve}"
    return type(key).__name__.strip("_")


def public_bytes(key: PublicKey) -> bytes:
    """Return the public key as DER SubjectPublicKeyInfo: equal bytes, equal keys."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def to_pem(key: PrivateKey) -> bytes:
    """Return the private key as PEM, PKCS#8, not encrypted: dockerd and its clients cannot ask for a passphrase."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load(content: bytes) -> PrivateKey:
    """Return the private key in the PEM text. Raises UnusableKeyError if it is not a private key, or is encrypted."""
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except TypeError as exc:
        raise UnusableKeyError("is encrypted, and nobody could enter a passphrase") from exc
    except (ValueError, exceptions.UnsupportedAlgorithm, exceptions.InternalError) as exc:
        raise UnusableKeyError("cannot be read as a private key") from exc
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)):
        raise UnusableKeyError("is of a type that TLS does not use")
    return key


def signing_hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
    """Return the hash with which the key signs: as strong as the key; none for Ed25519, which has its own."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size > 256:
        return hashes.SHA384() if key.key_size <= 384 else hashes.SHA512()
    return hashes.SHA256()


__all__ = (
    "KEY_TYPES",
    "UnusableKeyError",
    "generate",
    "load",
    "public_bytes",
    "signing_hash",
    "to_pem",
    "type_of",
)
