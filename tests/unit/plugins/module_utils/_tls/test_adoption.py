# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host with TLS that somebody made by hand with openssl: what is refused, what is kept, what is replaced."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import (
    adoption,
    certificates,
    deployment,
    errors,
    store,
)
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._tls.tools import (
    NAMES,
    NOW,
    PASSPHRASE,
    Machine,
    make_authority_by_hand,
    openssl,
)

FOREIGN = "CN=By hand,O=Example,C=XX"


@pytest.fixture
def present(tmp_path: Path) -> store.CertificatePaths:
    """Give the TLS files of a daemon that was set up by hand, elsewhere than where ours would be."""
    make_authority_by_hand(tmp_path / "hand")
    folder = tmp_path / "hand"
    openssl("genrsa", "-out", folder / "server-key.pem", "2048")
    openssl("req", "-new", "-key", folder / "server-key.pem", "-subj", "/CN=by hand", "-out", folder / "csr")
    (folder / "ext").write_text("subjectAltName=DNS:web1.example.com,IP:192.0.2.1\nextendedKeyUsage=serverAuth\n")
    authority = ("-CA", folder / "ca.pem", "-CAkey", folder / "ca-key.pem", "-passin", f"pass:{PASSPHRASE}")
    more = ("-CAcreateserial", "-days", "90", "-extfile", folder / "ext", "-out", folder / "server-cert.pem")
    openssl("x509", "-req", "-in", folder / "csr", *authority, *more)
    return store.CertificatePaths(*(str(folder / name) for name in ("server-key.pem", "server-cert.pem", "ca.pem")))


def adopt(
    machine: Machine, present: store.CertificatePaths, policy: str, after: timedelta = timedelta(), **terms: Any
) -> adoption.Adoption:
    """Return what becomes of the files, by the terms."""
    given = adoption.Terms(**{"policy": policy, "names": NAMES[:2], **terms})
    return adoption.adopt(machine.spec, present, given, NOW + after)


def test_a_foreign_authority_is_refused_with_both_fingerprints(
    machine: Machine, present: store.CertificatePaths, tmp_path: Path
) -> None:
    with pytest.raises(errors.ForeignAuthorityError, match="trust.*replace") as refused:
        adopt(machine, present, "fail")
    for path in (tmp_path / "hand/ca.pem", tmp_path / "pki/ca.pem"):
        shown = openssl("x509", "-in", path, "-noout", "-fingerprint", "-sha256").strip().partition("=")[2]
        assert shown in str(refused.value)
    assert FOREIGN in str(refused.value)


def test_trusting_it_keeps_its_certificate_and_puts_ours_first(
    machine: Machine, present: store.CertificatePaths, tmp_path: Path
) -> None:
    done = adopt(machine, present, "trust")
    assert FOREIGN in done.warnings[0]
    assert dataclasses.replace(done.spec.paths, ca_certificate=present.ca_certificate) == present
    before = Path(present.key).stat(), Path(present.certificate).read_bytes()
    plan = deployment.ensure(done.spec, NOW, check_mode=False)
    assert (plan.reasons, plan.issued, [change.path for change in plan.changes]) == (
        [], False, [str(tmp_path / "docker/ca.pem")],
    )  # fmt: skip
    assert (Path(present.key).stat(), Path(present.certificate).read_bytes()) == before
    bundle = (tmp_path / "docker/ca.pem").read_text()
    assert bundle == (tmp_path / "pki/ca.pem").read_text() + done.trusted_pem
    # The next run finds both, and need not be told any more: what the controller remembers is enough.
    later = dataclasses.replace(present, ca_certificate=str(tmp_path / "docker/ca.pem"))
    again = adopt(machine, later, "fail", known=done.trusted_pem)
    assert (again.warnings, again.trusted_pem, again.spec.managed) == ([], done.trusted_pem, False)
    assert not deployment.plan(again.spec, NOW).changed
    # Without that, what somebody adds to the file is refused.
    with pytest.raises(errors.ForeignAuthorityError):
        adopt(machine, later, "fail")


def test_what_is_remembered_is_not_added_to_a_host_that_has_it_no_more(
    machine: Machine, present: store.CertificatePaths, tmp_path: Path
) -> None:
    text = Path(present.ca_certificate).read_text()
    machine.issue()
    own = machine.spec.paths
    done = adopt(machine, own, "fail", known=text)
    assert (done.trusted_pem, done.spec) == ("", machine.spec)


def test_replacing_it_leaves_ours_alone(machine: Machine, present: store.CertificatePaths) -> None:
    done = adopt(machine, present, "replace")
    assert done.spec == machine.spec
    assert FOREIGN in done.warnings[0]
    assert "refused" in done.warnings[0]
    assert adopt(machine, machine.spec.paths, "replace").warnings == []


def test_a_certificate_that_lacks_names_is_refused_and_an_expired_one_is_replaced(
    machine: Machine, present: store.CertificatePaths
) -> None:
    with pytest.raises(errors.TlsError, match=f"^{present.certificate}: .*lacks the names other.example.com"):
        adopt(machine, present, "trust", names=("web1.example.com", "other.example.com"))
    assert "only its own CA can renew it" in adopt(machine, present, "trust", timedelta(days=70)).warnings[-1]
    late = adopt(machine, present, "trust", timedelta(days=91))
    assert late.spec.managed
    assert late.spec.paths == machine.spec.paths
    assert late.trusted_pem


def test_a_certificate_that_somebody_else_keeps_up_to_date_needs_the_names_and_is_left_alone(
    machine: Machine, present: store.CertificatePaths, tmp_path: Path
) -> None:
    own = machine.spec.paths
    machine.change(managed=False, paths=dataclasses.replace(present, ca_certificate=own.ca_certificate))
    for policy in adoption.POLICIES:
        with pytest.raises(errors.TlsError, match="lacks the names other.example.com"):
            adopt(machine, own, policy, names=("other.example.com",))
    done = adopt(machine, own, "fail")
    assert (done.spec, done.trusted) == (machine.spec, ())
    plan = deployment.ensure(done.spec, NOW, check_mode=False)
    assert [change.path for change in plan.changes] == [own.ca_certificate]
    assert (tmp_path / "docker/ca.pem").read_text() == (tmp_path / "pki/ca.pem").read_text()
    assert adopt(machine, own, "fail", names=NAMES[:2]).spec == machine.spec


def test_our_own_authority_is_known_by_its_key(
    machine: Machine, authority: _authority.Authority, present: store.CertificatePaths, tmp_path: Path
) -> None:
    """A certificate that was issued anew for the same key, say for more days, is no other CA."""
    again = _authority.AuthoritySpec("Docker Remote API CA", 99, "ecdsa_p256")
    renewed = _authority.new_certificate(authority.key, again, NOW)
    Path(present.ca_certificate).write_text(certificates.to_pem([renewed]))
    done = adopt(machine, present, "fail")
    assert (done.spec, done.trusted) == (machine.spec, ())


def test_a_ca_that_lies_unused_where_ours_would_be_is_never_replaced_silently(
    machine: Machine, present: store.CertificatePaths, tmp_path: Path
) -> None:
    place = tmp_path / "docker/ca.pem"
    place.parent.mkdir(exist_ok=True)
    make_authority_by_hand(tmp_path / "other")
    place.write_text((tmp_path / "other/ca.pem").read_text())
    shown = openssl("x509", "-in", place, "-noout", "-fingerprint", "-sha256").strip().partition("=")[2]
    ours = store.CertificatePaths(present.key, present.certificate, str(tmp_path / "pki/ca.pem"))
    for used, policy in ((ours, "fail"), (ours, "trust"), (present, "trust")):
        with pytest.raises(errors.ForeignAuthorityError, match=f"^{place}: .*{shown}.*does not use"):
            adopt(machine, used, policy)
    used_too, unused = adopt(machine, present, "replace").warnings
    assert present.ca_certificate in used_too
    assert f"{shown}) in {place}, which the daemon does not use, makes way" in unused
    # A copy of the one in use is no news, and neither is one of ours.
    for known in (present.ca_certificate, ours.ca_certificate):
        place.write_text(Path(known).read_text())
        assert adopt(machine, present, "trust").trusted_pem


def test_files_that_are_not_there_or_broken_trust_nobody(machine: Machine, present: store.CertificatePaths) -> None:
    assert adopt(machine, machine.spec.paths, "fail").spec == machine.spec
    half = Path(present.ca_certificate).read_text()
    Path(present.ca_certificate).write_text(half[:200] + "\n" + half)
    with pytest.raises(errors.ForeignAuthorityError):  # dockerd trusts what is whole of it
        adopt(machine, present, "fail")
    Path(present.ca_certificate).write_text(half[:200])
    assert adopt(machine, present, "fail").trusted == ()


def test_a_host_that_slept_while_our_ca_was_replaced_is_no_stranger(
    machine: Machine, present: store.CertificatePaths
) -> None:
    """Whatever is to become of CAs that are not ours, the CA that was ours goes."""
    retired = Path(present.ca_certificate).read_text()
    for policy in adoption.POLICIES:
        done = adopt(machine, present, policy, retired=retired)
        assert (done.spec, done.trusted, done.warnings) == (machine.spec, (), [])
