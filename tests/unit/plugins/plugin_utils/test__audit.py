# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is concluded from what was found: one row for each finding there is, and none for what is in order."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.exposure import Exposure
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _audit, _auditing
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.plugin_utils.audit_samples import (
    KEY,
    NOW,
    der,
    make,
    make_ca,
)
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
TRUST = _audit.Trust("/pki/ca.pem", (make_ca(),))
GUIDE = Path(__file__).resolve().parents[4] / "docs/docsite/rst/guide_audit.rst"
LOCAL_WARNING = {"Warnings": ["API is accessible on http://127.0.0.1:2375 without encryption."]}
OPEN_WARNING = {"Warnings": ["API is accessible on https://0.0.0.0:4243 without TLS client verification."]}


def at(access: str, certificate: x509.Certificate | None = None, port: int = 2376, **more: Any) -> Exposure:
    return Exposure("web1", port, access, more.pop("detail", ""), der(certificate) if certificate else None, **more)


def judge(*found: Exposure, trust: _audit.Trust | None = TRUST, **host: Any) -> list[_audit.Finding]:
    the_host = _audit.Host("web1", "web1", trust, inventory="inventory.yml", **host)
    return list(_audit.judge_host(the_host, found, 30, NOW).findings)


def locked(certificate: x509.Certificate, **more: Any) -> Exposure:
    return at("mutual_tls", certificate, **more)


FOUND = {
    "plain": ("critical", [at("plain", port=2375)]),
    "no_client_certificate": ("critical", [at("tls", make())]),
    "any_client_certificate": ("critical", [at("any_certificate", make())]),
    "expired": ("critical", [locked(make(end=-1))]),
    "not_yet_valid": ("critical", [locked(make(start=1))]),
    "not_for_servers": ("critical", [locked(make(usages=("client",)))]),
    "engine_warns": ("critical", [locked(make(), info=OPEN_WARNING)]),
    "expires_soon": ("warning", [locked(make(end=29))]),
    "name_missing": ("warning", [locked(make(names=("web2", "192.0.2.1")))]),
    "no_names": ("warning", [locked(make(names=()))]),
    "usable_as_client": ("warning", [locked(make(usages=("server", "client")))]),
    "weak_key": ("warning", [locked(make(key=rsa.generate_private_key(65537, 1024)))]),
    "wrong_issuer": ("warning", [locked(make(issuer="Other CA", signer=OTHER_KEY))]),
    "ca_ends_first": ("warning", [locked(make(end=3001))]),
    "client_refused": ("warning", [locked(make(), admitted=False)]),
    "not_an_engine": ("warning", [at("other", detail="status 404")]),
    "unreadable": ("warning", [Exposure("web1", 2376, "mutual_tls", "", b"0\x03\x02\x01")]),
    "certificate_not_seen": ("unknown", [at("mutual_tls")]),
    "not_reached": ("unknown", [at("closed", port=2375), at("no_answer", detail="timed out")]),
    "ok": ("ok", [locked(make(), admitted=True), at("closed", port=2375)]),
}


@pytest.mark.parametrize("check", FOUND)
def test_finding(check: str) -> None:
    grade, exposures = FOUND[check]
    findings = judge(*exposures)
    assert check in [one.check for one in findings]
    (finding,) = [one for one in findings if one.check == check]
    assert (finding.host, finding.grade) == ("web1", grade)
    # Those that are made to be wrong in two ways: clients only, and clients besides.
    assert {one.check for one in findings} - {"usable_as_client"} - {check} == set()
    assert bool(finding.remedy) == (check != "ok")
    assert shlex.split(finding.remedy)[:1] in ([], ["ansible-playbook"], ["ansible"])


@pytest.mark.parametrize(("utf8", "t61"), [(b"\x0c\x02CA", b"\x14\x02C\xc4"), (b"\x0c\x04web1", b"\x14\x04web\xfc")])
def test_name_that_the_library_cannot_read(utf8: bytes, t61: bytes) -> None:
    """Of the issuer or the subject, in Latin-1, as old versions of OpenSSL wrote it. Today's still take it."""
    served = der(make()).replace(utf8, t61)
    subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-text"], input=served, check=True)
    (finding,) = judge(Exposure("web1", 2376, "mutual_tls", "", served))
    assert (finding.grade, finding.check) == ("warning", "unreadable")


def test_signature_with_sha1(tmp_path: Path) -> None:
    """No current library makes one, so that openssl has to."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=tmp_path, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *new_key, "-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=CA")
    openssl("req", *new_key, "-keyout", "key.pem", "-out", "csr.pem", "-subj", "/CN=web1")
    (tmp_path / "extensions").write_text("extendedKeyUsage = serverAuth\nsubjectAltName = DNS:web1\n")
    openssl(
        *("x509", "-req", "-sha1", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial"),
        *("-days", "9999", "-extfile", "extensions", "-outform", "DER", "-out", "cert.der"),
    )
    certificate = x509.load_der_x509_certificate((tmp_path / "cert.der").read_bytes())
    host = _audit.Host("web1", "web1")
    findings = _audit.judge_host(host, [locked(certificate)], 30, datetime.now(UTC) + timedelta(hours=1)).findings
    assert [one.check for one in findings] == ["weak_signature"]


def test_certificate_without_usages_serves_both() -> None:
    assert [one.check for one in judge(locked(make(usages=())))] == ["usable_as_client"]


def test_loopback_is_no_ones_but_its_own_users() -> None:
    for host in ("127.0.0.1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"):
        (finding,) = judge(Exposure(host, 2375, "plain"))
        assert (finding.grade, finding.check) == ("warning", "plain")
    (finding,) = judge(locked(make(), info=LOCAL_WARNING))
    assert (finding.grade, finding.check) == ("warning", "engine_warns")


def test_open_port_is_told_once() -> None:
    """Although the engine itself warns of it, too."""
    warned = {"Warnings": ["API is accessible on http://0.0.0.0:2375 without encryption."]}
    findings = judge(at("plain", port=2375, info=warned), locked(make(), info=warned))
    assert [one.check for one in findings] == ["plain"]


def test_certificate_at_two_ports_is_judged_once() -> None:
    certificate = make(end=3)
    assert [one.check for one in judge(locked(certificate), locked(certificate, port=2375))] == ["expires_soon"]


@pytest.mark.parametrize(
    ("lifetime", "left", "found"), [(365, 31, False), (365, 29, True), (3, 2, False), (3, 0.9, True)]
)
def test_short_certificates_are_measured_by_their_lives(lifetime: float, left: float, found: bool) -> None:
    findings = judge(locked(make(start=left - lifetime, end=left)))
    assert ("expires_soon" in [one.check for one in findings]) == found


def test_served_certificate_is_older_than_the_file() -> None:
    (finding,) = judge(locked(make()), on_disk=make(start=-5))
    assert (finding.grade, finding.check) == ("warning", "older_than_file")
    certificate = make()
    (finding,) = judge(locked(certificate), on_disk=certificate)
    assert finding.check == "ok"


def test_served_certificate_is_older_than_one_in_the_ledger() -> None:
    old, new = make(), make(start=-5)
    client = make(usages=("client",), names=(), start=-1)
    (finding,) = judge(locked(old), trust=_audit.Trust("/pki/ca.pem", TRUST.bundle, (new, client, old)))
    assert (finding.grade, finding.check) == ("warning", "older_than_issued")
    for issued in ((old, new, client), (new,), (old, client)):
        served = new if new in issued else old
        (finding,) = judge(locked(served), trust=_audit.Trust("/pki/ca.pem", TRUST.bundle, issued))
        assert finding.check == "ok"


@pytest.mark.parametrize(
    ("address", "name", "check"),
    [
        ("web1.example.com.", "web1.example.com", "ok"),
        ("fe80::1%eth0", "fe80::1", "ok"),
        ("web2.example.com.", "web1.example.com", "name_missing"),
        ("fe80::2%eth0", "fe80::1", "name_missing"),
    ],
)
def test_address_is_compared_as_certificates_have_it(address: str, name: str, check: str) -> None:
    host = _audit.Host("web1", address, TRUST)
    (finding,) = _audit.judge_host(host, [locked(make(names=(name,)))], 30, NOW).findings
    assert finding.check == check


def test_engine_of_somebody_else() -> None:
    """Nothing is known of its CA, so that its certificate is not measured by one."""
    (finding,) = judge(locked(make(issuer="Other CA", signer=OTHER_KEY)), trust=None)
    assert finding.check == "ok"


def test_ledger_without_its_ca() -> None:
    """What issued the certificate is not known then, so that nothing is said of it."""
    (finding,) = judge(locked(make()), trust=_audit.Trust("", (), (make(),)))
    assert finding.check == "ok"


def test_ca_that_was_replaced_is_not_a_strangers() -> None:
    retired = _audit.Trust("/pki/ca.pem", TRUST.bundle, retired=(make_ca("Old CA", signer=OTHER_KEY),))
    (finding,) = judge(locked(make(issuer="Old CA", signer=OTHER_KEY)), trust=retired)
    assert (finding.grade, finding.check) == ("warning", "retired_issuer")
    assert finding.remedy == "ansible-playbook -i inventory.yml dockerfleet.remote_api.secure -e target=web1"
    (finding,) = judge(locked(make()), trust=retired)
    assert finding.check == "ok"
    shut_out = make("alice", names=(), usages=("client",), issuer="Old CA", signer=OTHER_KEY)
    judged = _audit.judge_clients(_audit.Trust("", (), (shut_out,)), "inventory.yml", 30, NOW)
    assert len(judged.certificates) == 1
    judged = _audit.judge_clients(_audit.Trust("", (), (shut_out,), None, retired.retired), "inventory.yml", 30, NOW)
    assert judged.certificates == ()


def test_remedy_for_a_foreign_ca_says_what_to_do_about_it() -> None:
    findings = judge(at("tls", make(issuer="Other CA", signer=OTHER_KEY)))
    (remedy,) = {one.remedy for one in findings}
    assert remedy.endswith("secure -e target=web1 -e docker_remote_api_on_foreign_authority=trust")


@pytest.mark.parametrize(
    ("ca", "grade", "check"),
    [
        (make_ca(), "ok", "ok"),
        (make_ca(end=170), "warning", "ca_expires_soon"),
        (make_ca(end=-1), "critical", "ca_expired"),
        (make("CA", names=(), usages=(), end=3000, issuer="CA", key=KEY, signer=KEY), "warning", "ca_not_strict"),
    ],
)
def test_authority(ca: x509.Certificate, grade: str, check: str) -> None:
    (finding,) = _audit.judge_authority(_audit.Trust("/pki/ca.pem", (ca,)), "inventory.yml", NOW).findings
    assert (finding.host, finding.grade, finding.check) == ("CA /pki/ca.pem", grade, check)
    assert (
        grade == "ok" or finding.remedy == "ansible-playbook -i inventory.yml dockerfleet.remote_api.rotate_authority"
    )


def client(name: str = "alice", start: float = -100, end: float = 265) -> x509.Certificate:
    return make(name, names=(), usages=("client",), start=start, end=end)


def clients(*issued: x509.Certificate, wanted: frozenset[str] | None = None) -> _audit.Judgement:
    trust = _audit.Trust("/pki/ca.pem", (), issued)
    return _audit.judge_clients(trust if wanted is None else trust.with_list(wanted), "inventory.yml", 30, NOW)


@pytest.mark.parametrize(
    ("end", "grade", "check"), [(200, "ok", "ok"), (20, "warning", "expires_soon"), (-1, "warning", "expired")]
)
def test_client(end: float, grade: str, check: str) -> None:
    (finding,) = clients(client(end=end), make()).findings
    assert (finding.host, finding.grade, finding.check) == ("client alice", grade, check)


def test_older_certificate_of_a_client_still_opens_the_engines() -> None:
    judged = clients(client(end=30), client(start=-1, end=364), client(end=-3))
    (finding,) = judged.findings
    assert finding.grade == "ok"
    assert "1 older one gets in until 2027-03-31T12:00:00Z" in finding.reason
    assert [(one.current, one.grade) for one in judged.certificates] == [(True, "ok"), (False, "ok")]


def test_client_that_no_host_lists() -> None:
    """It is told of as long as it gets in, and its end is no reason to tell a scheduler."""
    issued = (client("alice", end=20), client("bob", end=-1), client("carol", end=-1))
    judged = clients(*issued, wanted=frozenset({"carol"}))
    assert judged.findings[0].reason == (
        "no host of this audit lists it in docker_remote_api_clients, and it gets in until 2027-03-21T12:00:00Z"
    )
    assert "alice" not in _auditing.alarm(audited(judged), 30)
    assert [(one.host, one.grade, one.check) for one in judged.findings] == [
        ("client alice", "ok", "not_listed"),
        ("client carol", "warning", "expired"),
    ]
    assert [one.current for one in judged.certificates] == [False, True]


def audited(*judged: _audit.Judgement) -> _auditing.Audit:
    return _auditing.gather(judged, (), NOW)


def test_alarm_for_a_scheduler() -> None:
    host = _audit.Host("web1", "web1", None)

    def found(*exposures: Exposure) -> _audit.Judgement:
        return _audit.judge_host(host, exposures, 30, NOW)

    assert _auditing.alarm(audited(found(locked(make(end=20)))), 14) == ""
    told = _auditing.alarm(audited(found(locked(make(end=13)))), 14)
    assert told == "A certificate with fewer than 14 days left: web1."
    assert _auditing.alarm(audited(found(at("plain", port=2375))), 0) == "Critical: web1."
    assert _auditing.alarm(audited(found(locked(make(end=-1)))), 0).startswith("Critical: web1. A certificate")
    assert _auditing.alarm(audited(found(at("closed"))), 30) == ""
    assert "client alice" in _auditing.alarm(audited(clients(client(end=3))), 14)
    superseded = clients(client(end=3), client(start=-1, end=364))
    assert _auditing.alarm(audited(superseded), 14) == ""
    assert _auditing.alarm(audited(found(at("plain", port=2375), locked(make(end=13)))), None) == ""
    broken = _audit.judge_host(replace(host, fault="no list"), [at("closed")], 30, NOW)
    for fail_below in (None, 14):
        told = _auditing.alarm(audited(broken), fail_below)
        assert told.startswith("Judged without settings: web1. The first: ")
        assert told.endswith(": no list")


def test_the_worst_comes_first() -> None:
    audit = audited(clients(client(end=20)), clients(client("bob")), _audit.Judgement(tuple(judge(at("plain")))))
    assert [one.grade for one in audit.findings] == ["critical", "warning", "ok"]


def test_guide_lists_each_finding() -> None:
    source = Path(_audit.__file__).read_text(encoding="utf-8")
    checks = set(re.findall(r'\((?:WARNING|CRITICAL|UNKNOWN)(?: if local else CRITICAL)?, "([a-z_]+)"', source))
    checks |= {"older_than_file", "older_than_issued", "not_reached", "not_listed", "ca_expired", "ca_expires_soon"}
    assert len(checks) > 20
    told = set(re.findall(r"^   \* - ``([a-z_]+)``", GUIDE.read_text(encoding="utf-8"), re.MULTILINE))
    assert checks - {"not_strict"} <= told
    assert "ca_not_strict" in told


@pytest.mark.parametrize(
    ("address", "endpoints"),
    [
        ("web1", (("web1", 2375), ("web1", 2376))),
        ("web1:4243", (("web1", 4243),)),
        ("tcp://[2001:db8::1]:2376", (("2001:db8::1", 2376),)),
    ],
)
def test_addresses(address: str, endpoints: tuple[tuple[str, int], ...]) -> None:
    assert _auditing.endpoints_of(address) == endpoints


def test_addresses_of_a_host() -> None:
    listen = [
        "tcp://[::ffff:0.0.0.0]:4243",
        "tcp://127.0.0.1:4244",
        "tcp://[::ffff:127.0.0.1]:1",
        "tcp://192.0.2.7:2376",
    ]
    assert _auditing.endpoints_of_host("web1", listen) == (
        ("web1", 2375),
        ("web1", 2376),
        ("web1", 4243),
        ("192.0.2.7", 2376),
    )
