# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reports of an audit: what a terminal, a program and Prometheus get. The page is tested in a browser."""

from __future__ import annotations

import html.parser
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import certificates
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _audit, _audit_report
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._audit_timeline import draw
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._auditing import Audit, gather
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.plugin_utils.audit_samples import NOW, fleet, make

EVIL = '<script>alert(1)</script>"\\\n'


@pytest.fixture(scope="module")
def audit() -> Audit:
    return fleet(45)


def test_table_fits_a_terminal(audit: Audit) -> None:
    long = "a-name-that-is-far-too-long-for-a-table-of-hosts." * 3 + "example.com"
    audit = replace(
        audit,
        findings=(replace(audit.findings[0], host=long, reason=f"{long} " * 3), *audit.findings),
        certificates=tuple(replace(one, owner=long) for one in audit.certificates),
        engines=tuple(replace(one, host=long) for one in audit.engines),
    )
    lines = _audit_report.to_lines(audit)
    # Only what cannot be broken, such as a name in a command, may be longer.
    assert [line for line in lines if len(line) > 100 and len(line.split()) > 1] == []
    assert any(line.startswith("a-name-that") and "..." in line for line in lines)


def test_table_has_the_columns_of_kubeadm(audit: Audit) -> None:
    """As of ``kubeadm certs check-expiration``."""
    lines = _audit_report.to_lines(audit)
    (head,) = [line for line in lines if line.startswith("CERTIFICATE  ")]
    assert re.split(" {2,}", head)[:4] == ["CERTIFICATE", "EXPIRES", "RESIDUAL TIME", "CERTIFICATE AUTHORITY"]
    (row,) = [line for line in lines if line.startswith("docker10.example.com") and "UTC" in line]
    assert re.split(" {2,}", row) == ["docker10.example.com", "Mar 13, 2027 12:00 UTC", "12d", "CA", "warning"]
    assert lines[-1] == "3 critical, 2 warning, 2 unknown, 40 ok"


def test_table_of_a_fleet_shows_what_is_not_in_order() -> None:
    lines = _audit_report.to_lines(fleet(200))
    assert len(lines) < 250
    told = "\n".join(lines)
    for number in range(0, 200, 20):
        assert f"docker{number}.example.com" in told
    assert "more that are ok" in told


def test_json(audit: Audit) -> None:
    found = json.loads(_audit_report.to_json(audit))
    assert found["time"] == "2027-03-01T12:00:00Z"
    assert found["summary"] == {"critical": 3, "warning": 2, "unknown": 2, "ok": 40}
    assert set(found["findings"][0]) == {"host", "grade", "check", "reason", "remedy", "address"}
    first = found["certificates"][0]
    assert (first["host"], first["kind"], first["days_left"], first["usages"]) == (
        "docker10.example.com",
        "server",
        12,
        ["server"],
    )
    assert found["engines"][1]["min_api_version"] == "1.24"


def test_prometheus(audit: Audit) -> None:
    text = _audit_report.to_prometheus(audit)
    ends = dict(re.findall(r'not_after_timestamp_seconds\{kind="server",host="([^"]*)".*\} (\d+)', text))
    assert int(ends["docker10.example.com"]) == int(NOW.timestamp()) + 12 * 86400
    assert 'docker_remote_api_findings{grade="critical"} 3\n' in text
    samples = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(samples) == len(set(samples))
    assert text.endswith("\n")


def evil() -> Audit:
    """Return an audit whose names and reasons come from an engine that means no good."""
    judged = _audit.Judgement(
        (_audit.Finding(EVIL, "critical", "plain", EVIL, f"ansible {EVIL}", EVIL),),
        (_audit.Certificate("server", EVIL, EVIL, make(EVIL.strip()[:60], issuer=EVIL.strip()[:60])),),
    )
    return gather([judged], (), NOW)


def test_names_cannot_move_the_cursor() -> None:
    findings = (_audit.Finding("web1\x1b[2J", "critical", "plain", "\x1b]0;title\x07 \u202e reason"),)
    lines = _audit_report.to_lines(gather([_audit.Judgement(findings)], (), NOW))
    assert "CRITICAL  web1?[2J" in lines
    assert all(line.isprintable() for line in lines)


def test_names_cannot_break_out_of_a_label() -> None:
    for line in _audit_report.to_prometheus(evil()).splitlines():
        assert re.fullmatch(r'#.*|[a-z_]+(\{([a-z_]+="([^"\\]|\\.)*",?)*\})? \d+', line), line


def test_names_cannot_break_out_of_the_page() -> None:
    page = _audit_report.to_html(evil())
    scripts: list[str] = []

    class Parser(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
            scripts.extend([tag] if tag == "script" else [])
            assert not {name for name, _value in attrs if name.startswith("on")}

    Parser().feed(page)
    assert scripts == ["script"]
    assert "alert(1)" in page


def test_page_needs_nothing_from_elsewhere(audit: Audit) -> None:
    page = _audit_report.to_html(audit)
    assert not re.search(r"(src|href|url|import)\s*[=(]", page.replace("default-src 'none'", ""))
    assert "default-src 'none'" in page


@pytest.mark.parametrize(("size", "days"), [(1, 7), (45, 30)])
def test_timeline(size: int, days: int) -> None:
    found = fleet(size)
    timeline = draw(found)
    assert timeline.days == days
    shown = sum(one.count for one in timeline.bars)
    assert shown == len(found.certificates) - 1  # the CA ends years later
    assert timeline.later == ("CA /pki/ca.pem, 2035-05-18",)
    for one in timeline.bars:
        assert sum(part.count for part in one.parts) == one.count
        assert sum(part.height for part in one.parts) <= 100.01


def test_certificate_without_a_known_end() -> None:
    """As RFC 5280 has it, section 4.1.2.5: each report can be made."""
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    content = make(end=(last - NOW) / timedelta(days=1))
    assert certificates.not_after(content) == last
    judged = _audit.Judgement((), (_audit.Certificate("server", "web1", "", content),))
    found = gather([judged], (), NOW)
    assert draw(found).bars[-1].end == "9999-12-31"
    for report in _audit_report.FORMATS.values():
        assert "web1" in report(found)
    assert any(line.startswith("web1") and "9999" in line for line in _audit_report.to_lines(found))


def test_nothing_to_tell() -> None:
    empty = gather([], (), NOW)
    assert _audit_report.to_lines(empty)[-1] == "nothing to audit"
    assert "<main>" in _audit_report.to_html(empty)
    assert _audit_report.to_prometheus(empty)
