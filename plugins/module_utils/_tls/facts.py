# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""What a result says of a certificate. Public facts only: nothing here ever sees a private key's bytes."""

from __future__ import annotations

import hashlib
import typing as t
from datetime import datetime

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import certificates, keys, profiles
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.library import x509

Facts = dict[str, t.Any]


def of_certificate(chain: t.Sequence[x509.Certificate]) -> Facts:
    """Return the facts of the first certificate; all None, and no names, when there is none."""
    if not chain:
        return {"not_after": None, "serial": None, "names": [], "fingerprint_sha256": None}
    return {
        "not_after": certificates.iso(certificates.not_after(chain[0])),
        "serial": certificates.serial(chain[0]),
        "names": _names(chain[0]),
        "fingerprint_sha256": certificates.fingerprint(chain[0]),
    }


def _names(certificate: x509.Certificate) -> list[str]:
    """Return the certificate's names; none when they cannot be read."""
    try:
        return list(certificates.names(certificate))
    except certificates.UnreadableError:
        return []


def of_files(
    chain: t.Sequence[x509.Certificate],
    key: keys.PrivateKey | None,
    authority: t.Sequence[x509.Certificate],
    modes: t.Mapping[str, str],
) -> Facts:
    """Return the facts of all three files for a diff. ``modes`` has the access to each, by its path."""
    return {
        **of_certificate(chain),
        "common_name": certificates.common_name(chain[0]) if chain else None,
        "issuer": certificates.issuer(chain[0]) if chain else None,
        "key_type": None if key is None else keys.type_of(key.public_key()),
        "authorities": [certificates.fingerprint(one) for one in authority],
        "access": dict(modes),
    }


def describe_key(key: keys.PrivateKey | None) -> str:
    """Return a line about the key for a diff, with the SHA-256 of its public half; empty when there is none."""
    if key is None:
        return ""
    digest = hashlib.sha256(keys.public_bytes(key.public_key())).hexdigest()
    return f"private key, {keys.type_of(key.public_key())}, SHA-256 of its public key {digest}\n"


def describe_chain(chain: t.Sequence[x509.Certificate]) -> str:
    """Return a line about each certificate for a diff."""
    return "".join(
        f"{certificates.subject_of(one)}, valid until {certificates.iso(certificates.not_after(one))}, "
        f"SHA-256 {certificates.fingerprint(one)}\n"
        for one in chain
    )


def predicted(wanted: profiles.Profile, end: datetime) -> Facts:
    """Return the facts, as far as they are known, of a certificate that would be issued now and end at ``end``."""
    return {
        "not_after": certificates.iso(end),
        "serial": None,
        "names": list(wanted.names),
        "fingerprint_sha256": None,
    }


__all__ = ("Facts", "describe_chain", "describe_key", "of_certificate", "of_files", "predicted")
