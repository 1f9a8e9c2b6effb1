# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading certificates: bundles in which nothing may be broken, and facts that agree with openssl."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import certificates, keys
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.errors import TlsError
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._tls.tools import (
    NOW,
    PROFILE,
    SETTINGS,
    make_authority,
    openssl,
)


def test_a_bundle_keeps_its_order_and_may_have_text_between_its_parts(
    tmp_path: Path, authority: _authority.Authority
) -> None:
    other = make_authority(tmp_path / "other")
    text = f"The old one:\n{certificates.to_pem([other.certificate])}\nand the new one\r\n"
    text += certificates.to_pem([authority.certificate]).replace("\n", "\r\n")
    assert certificates.load_bundle(text.encode(), "x") == (other.certificate, authority.certificate)


@pytest.mark.parametrize(
    ("damage", "line", "cause"),
    [
        (lambda pem: pem + "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", 1, "cannot be read"),
        (lambda pem: pem + pem[:200], 1, "its other end is missing"),
        (lambda pem: pem + "-----BEGIN CERTIFICATE-----\n" + pem, 1, "cannot be read"),
        (lambda pem: pem + "-----END CERTIFICATE-----\n", 1, "its other end is missing"),
        (lambda pem: pem + "-----BEGIN CERTIFICATE----\n", 1, "its other end is missing"),
        (lambda pem: pem + pem.replace("CERTIFICATE", "EC PRIVATE KEY"), 1, "a EC PRIVATE KEY is no CERTIFICATE"),
        (lambda pem: pem + f"x{pem}", 1, "its other end is missing"),
        (lambda pem: pem + pem.replace("M", "*", 1), 1, "cannot be read"),
        (lambda pem: pem + pem[:100] + pem[101:], 1, "cannot be read"),
        (lambda pem: pem + pem[:100] + "*" + pem[100:], 1, "cannot be read"),
    ],
)
def test_a_broken_part_is_an_error_with_its_line(
    authority: _authority.Authority, damage: object, line: int, cause: str
) -> None:
    assert callable(damage)
    pem = certificates.to_pem([authority.certificate])
    with pytest.raises(TlsError) as refused:
        certificates.load_bundle(damage(pem).encode(), "/etc/docker/ca.pem")
    assert f"/etc/docker/ca.pem, line {len(pem.splitlines()) + line}: " in str(refused.value)
    assert cause in str(refused.value)


def test_an_end_line_must_stand_alone_as_the_engine_looks_for_it_there(authority: _authority.Authority) -> None:
    pem = certificates.to_pem([authority.certificate])
    with pytest.raises(TlsError, match=f"ca.pem, line {len(pem.splitlines()) - 1}: "):
        certificates.load_bundle(pem.replace("\n-----END", "-----END").encode(), "ca.pem")


@pytest.mark.parametrize("content", [b"", b"\n", b"hello", b"\xff\xfe\x00"])
def test_text_without_a_certificate_is_an_error(content: bytes) -> None:
    with pytest.raises(TlsError, match="it holds no certificate"):
        certificates.load_bundle(content, "ca.pem")


def test_facts_are_what_openssl_says(tmp_path: Path, authority: _authority.Authority) -> None:
    certificate = _authority.issue(
        authority, keys.generate("ecdsa_p256").public_key(), PROFILE, datetime.timedelta(days=90), NOW
    )
    file = tmp_path / "one.pem"
    file.write_text(certificates.to_pem([certificate]), encoding="ascii")
    said = openssl(
        "x509", "-in", file, "-noout", "-serial", "-fingerprint", "-sha256", "-enddate", "-dateopt", "iso_8601"
    )
    assert f"serial={certificates.serial(certificate)}\n" in said
    assert f"Fingerprint={certificates.fingerprint(certificate)}\n" in said
    end = certificates.iso(certificates.not_after(certificate)).replace("T", " ")
    assert f"notAfter={end}\n" in said


def test_moments_are_aware_and_in_utc() -> None:
    summer = datetime.timezone(datetime.timedelta(hours=2))
    assert certificates.iso(datetime.datetime(2026, 11, 24, 1, 0, tzinfo=summer)) == "2026-11-23T23:00:00Z"
    old = datetime.datetime(1, 1, 1, microsecond=9, tzinfo=datetime.UTC)
    assert certificates.iso(old) == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize("key_type", keys.KEY_TYPES)
def test_who_issued_a_certificate_is_told_by_the_signature(tmp_path: Path, key_type: str) -> None:
    settings = _authority.AuthoritySpec(SETTINGS.common_name, 30, key_type)
    ours, theirs = (make_authority(tmp_path / name, settings) for name in ("ours", "theirs"))
    certificate = _authority.issue(
        ours, keys.generate("ecdsa_p256").public_key(), PROFILE, datetime.timedelta(days=1), NOW
    )
    assert certificates.is_issued_by(certificate, ours.certificate)
    assert certificates.is_issued_by(ours.certificate, ours.certificate)
    assert not certificates.is_issued_by(certificate, theirs.certificate)


def test_the_same_name_alone_does_not_make_an_issuer(tmp_path: Path) -> None:
    for name in ("one", "two"):
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=Same",
            "-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.pem",
        )  # fmt: skip
    one, two = (certificates.load_bundle((tmp_path / f"{name}.pem").read_bytes(), name)[0] for name in ("one", "two"))
    assert one.subject == two.subject
    assert not certificates.is_issued_by(one, two)
