# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparing what is there with what should be: each difference, and only that, is a reason."""

from __future__ import annotations

import base64
import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import (
    certificates,
    errors,
    inspection,
    keys,
    profiles,
)
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._tls.tools import (
    NOW,
    PROFILE,
    make_authority,
    openssl,
)
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DAYS = timedelta(days=1)


def issue(authority: _authority.Authority, wanted: profiles.Profile = PROFILE, days: int = 365) -> x509.Certificate:
    """Return a certificate of the authority for a new key."""
    return _authority.issue(authority, keys.generate(wanted.key_type).public_key(), wanted, timedelta(days=days), NOW)


def reasons(
    certificate: x509.Certificate,
    authority: _authority.Authority,
    after: timedelta = timedelta(),
    *,
    exact: bool = True,
) -> list[str]:
    """Return why the certificate is not what PROFILE says, that much later."""
    criteria = inspection.Criteria(PROFILE, (authority.certificate,), exact, 30 * DAYS)
    return inspection.reasons([certificate], criteria, NOW + after)


@pytest.mark.parametrize("key_type", keys.KEY_TYPES)
@pytest.mark.parametrize("usage", profiles.USAGES)
def test_what_the_authority_issues_is_what_the_host_expects(
    authority: _authority.Authority, usage: str, key_type: str
) -> None:
    wanted = dataclasses.replace(PROFILE, usage=usage, key_type=key_type)
    criteria = inspection.Criteria(wanted, (authority.certificate,), True, 30 * DAYS)
    assert inspection.reasons([issue(authority, wanted)], criteria, NOW) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"names": PROFILE.names[:2]}, "it lacks the names 2001:db8::1"),
        ({"names": (*PROFILE.names, "old.example.com")}, "it has names that are not asked for: old.example.com"),
        ({"names": ("*.example.com", *PROFILE.names[1:])}, "it lacks the names web1.example.com"),
        ({"usage": "client"}, "it is for use as client, and not as server alone"),
        ({"common_name": "web2"}, "its common name is 'web2', and not 'web1.example.com'"),
    ],
)
def test_each_difference_is_a_reason(authority: _authority.Authority, change: dict[str, Any], reason: str) -> None:
    other = dataclasses.replace(PROFILE, **change)
    assert reason in reasons(issue(authority, other), authority)


def test_the_order_of_names_does_not_matter(authority: _authority.Authority) -> None:
    assert reasons(issue(authority, dataclasses.replace(PROFILE, names=PROFILE.names[::-1])), authority) == []


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (timedelta(), None),
        (335 * DAYS - timedelta(seconds=1), None),
        (335 * DAYS + timedelta(seconds=1), "it has less than 30 days left"),
        (366 * DAYS, "it is expired since"),
        (-timedelta(minutes=4), None),
        (-timedelta(minutes=6), "it is not valid before"),
    ],
)
def test_dates(authority: _authority.Authority, after: timedelta, reason: str | None) -> None:
    found = reasons(issue(authority), authority, after)
    assert len(found) == (0 if reason is None else 1)
    assert all(one.startswith(str(reason)) for one in found)


def test_one_that_ends_with_its_authority_is_not_renewed_in_vain(authority: _authority.Authority) -> None:
    last = issue(authority, days=36500)
    assert certificates.not_after(last) == certificates.not_after(authority.certificate)
    assert reasons(last, authority, 3649 * DAYS) == []
    assert reasons(last, authority, 3651 * DAYS)[0].startswith("it is expired")


def test_another_authority_is_a_reason(tmp_path: Path, authority: _authority.Authority) -> None:
    other = make_authority(tmp_path / "other")
    found = reasons(issue(other), authority)
    assert found[0].startswith("it was issued by another authority (")
    assert reasons(issue(other), authority, exact=False) == found[:1]


def by_openssl(path: Path, authority: _authority.Authority, extensions: str) -> x509.Certificate:
    """Return a certificate that openssl signs with the authority's key, with these extensions and subject CN=other."""
    (path / "ext.cnf").write_text(extensions, encoding="utf-8")
    (path / "ca.key").write_bytes(keys.to_pem(authority.key))
    (path / "ca.pem").write_text(certificates.to_pem(authority.bundle), encoding="ascii")
    openssl(
        "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other", "-keyout", path / "k.pem", "-out", path / "r.pem"
    )
    openssl(
        "x509", "-req", "-in", path / "r.pem", "-CA", path / "ca.pem", "-CAkey", path / "ca.key",
        "-CAcreateserial", "-days", "90", "-extfile", path / "ext.cnf", "-out", path / "c.pem",
    )  # fmt: skip
    return certificates.load_bundle((path / "c.pem").read_bytes(), "c.pem")[0]


SAN = "subjectAltName = DNS:web1.example.com, IP:192.0.2.1, IP:2001:db8::1"


@pytest.mark.parametrize(
    ("extensions", "reason"),
    [
        (f"{SAN}\nextendedKeyUsage = serverAuth, clientAuth", None),
        (SAN, None),
        (f"{SAN}\nextendedKeyUsage = anyExtendedKeyUsage", None),
        (f"{SAN}, DNS:more.example.com, email:a@example.com, URI:https://example.com", None),
        ("subjectAltName = DNS:*.example.com, IP:192.0.2.1, IP:2001:db8::1", None),
        (f"{SAN}\nextendedKeyUsage = clientAuth", "it is for use as client, and not as server alone"),
        (f"{SAN}\nextendedKeyUsage = codeSigning", "it is for use as 1.3.6.1.5.5.7.3.3, and not as server alone"),
        ("subjectAltName = DNS:web1.example.com, IP:192.0.2.1", "it lacks the names 2001:db8::1"),
        ("extendedKeyUsage = serverAuth", "it lacks the names web1.example.com, 192.0.2.1, 2001:db8::1"),
        (f"{SAN}\nbasicConstraints = CA:TRUE", "it is an authority's"),
    ],
)
def test_an_authority_elsewhere_may_add_but_not_leave_out(
    tmp_path: Path, authority: _authority.Authority, extensions: str, reason: str | None
) -> None:
    found = reasons(by_openssl(tmp_path, authority, extensions), authority, exact=False)
    assert found == ([] if reason is None else [reason])


def test_of_our_own_authority_every_extension_is_compared(tmp_path: Path, authority: _authority.Authority) -> None:
    certificate = by_openssl(tmp_path, authority, f"{SAN}\nextendedKeyUsage = serverAuth")
    found = reasons(certificate, authority)
    assert "its extension KeyUsage is not as it should be" in found
    assert "its extension BasicConstraints is not as it should be" in found
    assert not [one for one in found if "SubjectAlternativeName" in one or "ExtendedKeyUsage" in one]


def test_a_certificate_by_way_of_an_intermediate_authority(tmp_path: Path, authority: _authority.Authority) -> None:
    between = by_openssl(tmp_path, authority, "basicConstraints = critical, CA:TRUE\nkeyUsage = keyCertSign")
    key = keys.load((tmp_path / "k.pem").read_bytes())
    lower = _authority.Authority(between, key, (between,), None)
    leaf = issue(lower)
    criteria = inspection.Criteria(PROFILE, (authority.certificate,), False, 30 * DAYS)
    assert inspection.reasons([leaf, between], criteria, NOW) == []
    assert inspection.reasons([leaf, authority.certificate, between], criteria, NOW) == []
    assert inspection.reasons([leaf], criteria, NOW)[0].startswith("it was issued by another authority")
    assert inspection.reasons([leaf, leaf], criteria, NOW)[0].startswith("it was issued by another authority")


@pytest.mark.parametrize(("days", "text"), [(-7300, "valid from"), (4000, "valid until")])
def test_a_clock_outside_the_authoritys_dates_is_an_error(
    authority: _authority.Authority, days: int, text: str
) -> None:
    with pytest.raises(errors.TlsError, match=f"clock: this machine's clock says .* {text}"):
        inspection.check_anchors([authority.certificate], "ca.pem", NOW + days * DAYS)


def test_a_certificate_that_is_no_authoritys_is_no_anchor(authority: _authority.Authority) -> None:
    with pytest.raises(errors.TlsError, match="no basicConstraints with CA:TRUE"):
        inspection.check_anchors([issue(authority)], "ca.pem", NOW)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=3), own=st.booleans()
)
def test_bytes_that_were_altered_give_a_reason_or_an_error(
    authority: _authority.Authority, changes: list[tuple[int, int]], own: bool
) -> None:
    """Whatever stands in a file, nobody sees a traceback, and what was altered is never taken for good."""
    good = issue(authority)
    content = bytearray((authority.certificate if own else good).public_bytes(serialization.Encoding.DER))
    for place, value in changes:
        content[place % len(content)] = value
    body = base64.encodebytes(bytes(content)).decode()
    try:
        altered = certificates.load_bundle(
            f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n".encode(), "altered.pem"
        )
        inspection.check_anchors(altered if own else [authority.certificate], "altered.pem", NOW)
    except errors.TlsError as refused:
        assert refused.remedy
        return
    if own:
        profiles.is_strict(altered[0])
    elif altered[0] != good:
        assert reasons(altered[0], authority)
        assert reasons(altered[0], authority, exact=False)
