# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Comparing a certificate that is there with what should be there. Each difference is a reason, in plain words."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import datetime, timedelta

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import certificates, errors, profiles
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.library import ExtendedKeyUsageOID, x509
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.names import covers

_USAGE_WORDS = {"1.3.6.1.5.5.7.3.1": "server", "1.3.6.1.5.5.7.3.2": "client", "2.5.29.37.0": "anything"}


@dataclass(frozen=True)
class Criteria:
    """The requirements that a certificate is checked against.

    ``exact``: it was made by this collection's authority, the first of ``anchors``, and has what the profile says, no
    more and no less. Otherwise it may have more (names, usages, another subject), and comes from any of ``anchors``
    or by way of intermediate authorities. With empty ``anchors``, who issued it is not looked at.
    """

    profile: profiles.Profile
    anchors: tuple[x509.Certificate, ...]
    exact: bool
    renew_before: timedelta


def _names_differ(have: t.Sequence[str], criteria: Criteria) -> list[str]:
    """Return the reasons why the names of a certificate are not those that should be there."""
    lacking = [name for name in criteria.profile.names if not covers(have, name)]
    surplus: list[str] = []
    if criteria.exact:
        lacking = [name for name in criteria.profile.names if name not in have]
        surplus = [name for name in have if name not in criteria.profile.names]
    reasons = []
    if lacking:
        reasons.append(f"it lacks the names {', '.join(lacking)}")
    if surplus:
        reasons.append(f"it has names that are not asked for: {', '.join(surplus)}")
    return reasons


def _usage_differs(found: x509.ExtendedKeyUsage | None, criteria: Criteria) -> list[str]:
    """Return the reason why the extended key usage of a certificate is not the right one."""
    have = [] if found is None else list(found)
    wanted = list(profiles.usage_of(criteria.profile.usage))
    if criteria.exact:
        fits = sorted(one.dotted_string for one in have) == [one.dotted_string for one in wanted]
    else:
        # RFC 5280, section 4.2.1.12: without the extension, and with anyExtendedKeyUsage, every usage is allowed.
        fits = not have or wanted[0] in have or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in have
    words = (
        ", ".join(_USAGE_WORDS.get(one.dotted_string, one.dotted_string) for one in have) or "no usage in particular"
    )
    return [] if fits else [f"it is for use as {words}, and not as {criteria.profile.usage} alone"]


def _profile_differs(certificate: x509.Certificate, criteria: Criteria) -> list[str]:
    """Return the reasons why an exact certificate's subject and remaining extensions are not those of the profile."""
    reasons = []
    name = certificates.common_name(certificate)
    if name != criteria.profile.common_name:
        reasons.append(f"its common name is {name!r}, and not {criteria.profile.common_name!r}")
    elif certificate.subject != profiles.subject(criteria.profile):
        wanted = profiles.subject(criteria.profile).rfc4514_string()
        reasons.append(f"its subject is {certificates.subject_of(certificate)}, and not {wanted}")
    if criteria.anchors:
        have = certificates.extensions(certificate)
        key = certificates.public_key(certificate)
        for value, critical in profiles.extensions(criteria.profile, key, criteria.anchors[0]):
            if isinstance(value, (x509.SubjectAlternativeName, x509.ExtendedKeyUsage)):
                continue
            one = have.get(value.oid)
            if one is None or one.critical != critical or one.value != value:
                reasons.append(f"its extension {type(value).__name__} is not as it should be")
    return reasons


def _issuer_differs(chain: t.Sequence[x509.Certificate], criteria: Criteria) -> list[str]:
    """Return the reason why the certificate does not come from where it should."""
    if not criteria.anchors:
        return []
    if criteria.exact:
        fits = certificates.is_issued_by(chain[0], criteria.anchors[0])
    else:
        fits = certificates.find_anchor(chain, criteria.anchors) is not None
    return [] if fits else [f"it was issued by another authority ({certificates.issuer(chain[0])})"]


def _ends_with_authority(certificate: x509.Certificate, criteria: Criteria) -> bool:
    """Return whether a new certificate would end no later, since the CA ends on the same day."""
    end = certificates.not_after(certificate)
    return criteria.exact and bool(criteria.anchors) and end >= certificates.not_after(criteria.anchors[0])


def is_past_half_life(certificate: x509.Certificate, criteria: Criteria, now: datetime) -> bool:
    """Return whether half of the certificate's validity period is over, and a new one would end later."""
    start, end = certificates.not_before(certificate), certificates.not_after(certificate)
    return now > start + (end - start) / 2 and not _ends_with_authority(certificate, criteria)


def _dates(certificate: x509.Certificate, criteria: Criteria, now: datetime) -> list[str]:
    """Return why the certificate must be replaced because of its dates, if so.

    One that ends with its authority is not renewed before its time, since a new one would end on the same day.
    """
    start, end = certificates.not_before(certificate), certificates.not_after(certificate)
    if now > end:
        return [f"it is expired since {certificates.iso(end)}"]
    if now < start:
        return [f"it is not valid before {certificates.iso(start)}"]
    if end - now < criteria.renew_before and not _ends_with_authority(certificate, criteria):
        hours = criteria.renew_before // timedelta(hours=1)
        left = f"{hours // 24} days" if hours % 24 == 0 and hours > 24 else f"{hours} hours"
        return [f"it has less than {left} left (it ends on {certificates.iso(end)})"]
    return []


def reasons(chain: t.Sequence[x509.Certificate], criteria: Criteria, now: datetime) -> list[str]:
    """Return why the certificate (the first of ``chain``, before intermediate ones) has to be replaced, if so."""
    certificate = chain[0]
    try:
        found = _issuer_differs(chain, criteria)
        found += _names_differ(certificates.names(certificate), criteria)
        found += _usage_differs(certificates.extension(certificate, x509.ExtendedKeyUsage), criteria)
        if criteria.exact:
            found += _profile_differs(certificate, criteria)
        elif certificates.is_authority(certificate):
            found.append("it is an authority's")
        return found + _dates(certificate, criteria, now)
    except certificates.UnreadableError as exc:
        return [f"a part of it cannot be read: {exc}"]


def check_anchors(anchors: t.Sequence[x509.Certificate], subject: str, now: datetime) -> None:
    """Raise TlsError when an anchor is no authority's certificate, or this machine's clock is not within its dates.

    ``subject`` names where the anchors come from. A clock that stands at 1970, say, would have a certificate issued
    again and again. The first anchor counts for the clock: others are there because they are being replaced.
    """
    for anchor in anchors:
        try:
            usable = certificates.is_authority(anchor)
        except certificates.UnreadableError as exc:
            raise errors.unreadable_certificate(subject=subject, cause=str(exc)) from exc
        if not usable:
            raise errors.unusable_authority(
                subject=subject, cause=f"{certificates.subject_of(anchor)} has no basicConstraints with CA:TRUE"
            )
    if not anchors:
        return
    start, end = certificates.not_before(anchors[0]), certificates.not_after(anchors[0])
    if now < start:
        raise errors.wrong_clock(now=certificates.iso(now), bound=f"from {certificates.iso(start)}")
    if now > end:
        raise errors.wrong_clock(now=certificates.iso(now), bound=f"until {certificates.iso(end)}")


__all__ = ("Criteria", "check_anchors", "is_past_half_life", "reasons")
