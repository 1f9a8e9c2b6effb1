# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""A host with TLS of somebody else: the CAs that it trusts, and the server certificate that its clients know.

dockerd sends one server certificate. Clients that were made by hand trust the CA of that one and no other. So a host
that is to lose none of them goes on sending it, and our own clients trust its CA too.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace
from datetime import datetime

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import read_file
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import certificates, errors, store
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.certificates import describe
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.deployment import CertificateSpec
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.library import x509
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.names import covers

POLICIES = ("fail", "trust", "replace")


@dataclass(frozen=True)
class Terms:
    """What may happen to CAs that are not ours. ``policy`` is one of POLICIES.

    ``known`` (PEM) are CAs that an earlier run was told to trust on this host. ``names`` are those that a server
    certificate of somebody else must have. ``retired`` (PEM) are CAs of ours that were replaced.
    """

    policy: str = "fail"
    known: str = ""
    names: tuple[str, ...] = ()
    retired: str = ""


@dataclass(frozen=True)
class Adoption:
    """The spec as the host's past allows it, the CAs that the host is to trust besides ours, and warnings."""

    spec: CertificateSpec
    trusted: tuple[x509.Certificate, ...]
    warnings: list[str]

    @property
    def trusted_pem(self) -> str:
        """The CAs besides ours as PEM text."""
        return certificates.to_pem(self.trusted)


def adopt(spec: CertificateSpec, present: store.CertificatePaths, terms: Terms, now: datetime) -> Adoption:
    """Return what becomes of the TLS files that the daemon uses at present. Reads files and changes none.

    A CA is ours if its key is, or was. Raises ForeignAuthorityError for another one that must not be there by the
    terms, or that lies unused where ours would be written. Raises TlsError for a certificate that would stay and lacks
    names, or of which a part cannot be read.
    """
    try:
        return _adopt(spec, present, terms, now)
    except certificates.UnreadableError as exc:
        raise errors.unreadable_certificate(subject=present.certificate, cause=str(exc)) from exc


def _adopt(spec: CertificateSpec, present: store.CertificatePaths, terms: Terms, now: datetime) -> Adoption:
    """Do what adopt() says. Raises UnreadableError, too."""
    given = {
        "ca_certificate": spec.ca_certificate,
        "foreign_certificates": terms.known,
        "retired_certificates": terms.retired,
    }
    ours, known, retired = (
        certificates.load_bundle(text.encode(), name) if text else () for name, text in given.items()
    )
    there = certificates.load_usable(read_file(present.ca_certificate) or b"")
    foreign = certificates.without(there, (*ours, *retired))
    unknown = certificates.without(foreign, known)
    if unknown and terms.policy == "fail":
        made = describe(ours) or "still to be made"
        raise errors.foreign_authority(path=present.ca_certificate, theirs=describe(unknown), ours=made)
    place = spec.paths.ca_certificate
    unused = certificates.without(certificates.load_usable(read_file(place) or b""), (*ours, *retired, *known, *there))
    if unused and terms.policy != "replace":
        raise errors.unused_authority(path=place, theirs=describe(unused))
    if not spec.managed:
        _check_names(spec.paths.certificate, terms.names)
    if terms.policy == "replace":
        said = {
            f"{describe(foreign)} in {present.ca_certificate} makes way for ours: its clients are refused.": foreign,
            f"{describe(unused)} in {place}, which the daemon does not use, makes way for ours.": unused,
        }
        return Adoption(spec, (), [text for text, bundle in said.items() if bundle])
    warnings = []
    if unknown:
        warnings.append(f"Whoever has a client certificate of {describe(unknown)} stays root on this host.")
    if ours:
        spec = replace(spec, ca_certificate=certificates.to_pem((*ours, *foreign)))
    chain = certificates.load_usable(read_file(present.certificate) or b"") if spec.managed and foreign else ()
    # An expired one is of no use to any client.
    if chain and certificates.find_anchor(chain, foreign) and now <= certificates.not_after(chain[0]):
        end = certificates.not_after(chain[0])
        if end - now < spec.renew_before:
            text = f"{present.certificate} ends on {certificates.iso(end)}, and only its own CA can renew it."
            warnings.append(f"{text} After that, the host gets a certificate of ours.")
        kept = store.CertificatePaths(present.key, present.certificate, spec.paths.ca_certificate)
        spec = replace(spec, paths=kept, managed=False)
        _check_names(present.certificate, terms.names)
    return Adoption(spec, foreign, warnings)


def _check_names(path: str, names: t.Sequence[str]) -> None:
    """Raise TlsError if the certificate in the file, which somebody else looks after, lacks one of the names.

    Raises UnreadableError, too.
    """
    chain = certificates.load_usable(read_file(path) or b"")
    have = certificates.names(chain[0]) if chain else names
    lacking = [name for name in names if not covers(have, name)]
    if lacking:
        raise errors.lacking_names(path=path, names=", ".join(lacking))


__all__ = ("POLICIES", "Adoption", "Terms", "adopt")
