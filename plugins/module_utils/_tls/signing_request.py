# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Signing requests (PKCS#10, RFC 2986): what a host sends instead of its key."""

from __future__ import annotations

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import errors, keys, profiles
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.library import (
    exceptions,
    serialization,
    x509,
)


def build(key: keys.PrivateKey, wanted: profiles.Profile) -> str:
    """Return a request (PEM) for the public half of the key.

    The names and usages in it are for authorities elsewhere; this collection's own looks at the key alone.
    """
    builder = x509.CertificateSigningRequestBuilder(subject_name=profiles.subject(wanted))
    for value, critical in profiles.requested_extensions(wanted, key.public_key()):
        builder = builder.add_extension(value, critical)
    request = builder.sign(key, keys.signing_hash(key))
    return request.public_bytes(serialization.Encoding.PEM).decode("ascii")


def public_key(request: str, key_type: str, host: str) -> keys.PublicKey:
    """Return the public key of the request (PEM) and nothing else of it.

    Raises TlsError when its sender does not have the private half, or it is not of the type that was asked for.
    ``host`` names the sender in errors.
    """
    try:
        loaded = x509.load_pem_x509_csr(request.encode("ascii", "replace"))
        key = loaded.public_key()
        signed = loaded.is_signature_valid
    except (ValueError, exceptions.UnsupportedAlgorithm) as exc:
        raise errors.bad_request(host=host, cause="it cannot be read") from exc
    if not signed:
        raise errors.bad_request(host=host, cause="its signature is not by the key in it")
    found = keys.type_of(key)
    if found != key_type:
        raise errors.bad_request(host=host, cause=f"its key is of type {found}, and not {key_type}")
    return key


__all__ = ("build", "public_key")
