# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""What an audit found, as a table for a terminal, as JSON, as metrics for Prometheus, and as one HTML file."""

from __future__ import annotations

import json
import os
import textwrap
import typing as t
from collections import Counter
from dataclasses import asdict
from datetime import datetime

import jinja2
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import certificates, facts, keys
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _audit
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._audit_timeline import draw
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._auditing import Audit

_WIDTH = 100
# A table of a large fleet shows what is not in order, and this many of the rows that are.
_MOST_ROWS = 40

# Of hosts with the same findings, this many are told in full.
_MOST_ALIKE = 3

_PAGE = "_audit_page.html.j2"

_ACCESS = {
    "closed": "nothing listens",
    "no_answer": "no answer",
    "plain": "EVERYBODY, no TLS",
    "tls": "EVERYBODY, TLS",
    "any_certificate": "ANY certificate",
    "mutual_tls": "mutual TLS",
    "other": "no engine",
}

Row = tuple[str, ...]


def to_dict(audit: Audit) -> dict[str, t.Any]:
    """Return the audit in types that JSON has."""
    return {
        "time": certificates.iso(audit.time),
        "summary": {grade: sum(one.grade == grade for one in audit.findings) for grade in _audit.GRADES},
        "findings": [asdict(one) for one in audit.findings],
        "certificates": [_certificate(one, audit.time) for one in audit.certificates],
        "engines": [
            {
                "host": one.host,
                "address": one.found.address,
                "access": one.found.access,
                "detail": one.found.detail,
                "version": _text(one.found.version, "Version"),
                "api_version": _text(one.found.version, "ApiVersion"),
                "min_api_version": _text(one.found.version, "MinAPIVersion"),
            }
            for one in audit.engines
        ],
    }


def _text(content: t.Mapping[str, t.Any], key: str) -> str | None:
    """Return the text that an engine gives for a key, None if it gives none."""
    value = content.get(key)
    return value[:80] if isinstance(value, str) else None


def _certificate(one: _audit.Certificate, now: datetime) -> dict[str, t.Any]:
    """Return what is told of a certificate."""
    try:
        usages, key_type = list(_audit.usages(one.content)), keys.type_of(certificates.public_key(one.content))
    except certificates.UnreadableError:
        usages, key_type = [], ""
    return {
        "kind": one.kind,
        "host": one.owner,
        "address": one.address,
        "grade": one.grade,
        "current": one.current,
        "days_left": _audit.days_left(one.content, now),
        "not_before": certificates.iso(certificates.not_before(one.content)),
        "subject": certificates.subject_of(one.content),
        "issuer": certificates.issuer(one.content),
        "usages": usages,
        "key_type": key_type,
        **facts.of_certificate([one.content]),
    }


def to_json(audit: Audit) -> str:
    """Return the audit as a JSON document."""
    return json.dumps(to_dict(audit), indent=2) + "\n"


# --- the terminal ------------------------------------------------------------------------------------------------


def to_lines(audit: Audit) -> list[str]:
    """Return the audit as lines of at most 100 characters for a terminal."""
    found = to_dict(audit)
    servers = [one for one in found["certificates"] if one["kind"] != "ca"]
    authorities = [one for one in found["certificates"] if one["kind"] == "ca"]
    lines = _table(("HOST", "ADDRESS", "WHO GETS IN", "ENGINE", "API", "GRADE"), _engine_rows(found["engines"], audit))
    if servers:
        columns = ("CERTIFICATE", "EXPIRES", "RESIDUAL TIME", "CERTIFICATE AUTHORITY", "GRADE")
        lines += ["", *_table(columns, [_expiry_row(one, audit.time) for one in servers])]
    if authorities:
        rows = [_expiry_row(one, audit.time) for one in authorities]
        short: list[Row] = [(row[0].removeprefix("CA "), *row[1:3], row[4]) for row in rows]
        lines += ["", *_table(("CERTIFICATE AUTHORITY", "EXPIRES", "RESIDUAL TIME", "GRADE"), short)]
    lines += _finding_lines(audit)
    counts = ", ".join(f"{count} {grade}" for grade, count in found["summary"].items() if count)
    lines += ["", counts or "nothing to audit"]
    # Names in certificates are for their makers to choose: one must not move the cursor.
    return ["".join(one if one.isprintable() else "?" for one in line) for line in lines]


def _engine_rows(engines: t.Sequence[t.Mapping[str, t.Any]], audit: Audit) -> list[Row]:
    """Return the rows of the table of engines, with the grade of what was found at each address."""
    grades: dict[tuple[str, str], list[str]] = {}
    for finding in audit.findings:
        grades.setdefault((finding.host, finding.address), []).append(finding.grade)
    rows: list[Row] = []
    for one in engines:
        api = f"{one['min_api_version'] or '?'}-{one['api_version']}" if one["api_version"] else ""
        grade = _audit.worst([*grades.get((one["host"], one["address"]), []), *grades.get((one["host"], ""), [])])
        address = one["address"].removeprefix("tcp://")
        rows.append((one["host"], address, _ACCESS[one["access"]], one["version"] or "", api, grade))
    return rows


def _expiry_row(one: t.Mapping[str, t.Any], now: datetime) -> Row:
    """Return the row of a certificate: name, end, time left, issuer, grade."""
    end = datetime.fromisoformat(one["not_after"])
    left = end - now
    residual = f"{left.days}d" if left.days >= 1 else f"{left.seconds // 3600}h" if left.days == 0 else "<expired>"
    issuer = one["issuer"].partition("CN=")[2].partition(",")[0] or one["issuer"]
    return (one["host"], f"{end:%b %d, %Y %H:%M} UTC", residual, issuer, one["grade"])


def _table(head: Row, rows: t.Sequence[Row]) -> list[str]:
    """Return the lines of a table that fits the terminal: the widest columns are made narrower."""
    shown = list(rows)
    if len(rows) > _MOST_ROWS:
        shown = [row for row in rows if row[-1] != _audit.OK]
        shown += [row for row in rows if row[-1] == _audit.OK][: max(_MOST_ROWS - len(shown), 0)]
    widths = [max(len(cell) for cell in column) for column in zip(head, *shown, strict=True)]
    while sum(widths) + 2 * (len(widths) - 1) > _WIDTH:
        widths[widths.index(max(widths))] -= 1
    lines = [
        "  ".join(_shorten(cell, width).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *shown)
    ]
    left_out = len(rows) - len(shown)
    return [*lines, f"... and {left_out} more that are ok"] if left_out else lines


def _shorten(cell: str, width: int) -> str:
    """Return the text in at most ``width`` characters: of a long one the middle is left out."""
    if len(cell) <= width:
        return cell
    kept = max(width - 3, 2)
    return f"{cell[: kept - kept // 2]}...{cell[len(cell) - kept // 2 :]}"


def _finding_lines(audit: Audit) -> list[str]:
    """Return the lines about what is not ok, the worst first: what is wrong at a host, and the command that mends it.

    Of hosts that have the same wrong with them, the first few are told in full.
    """
    groups: dict[tuple[str, str], list[_audit.Finding]] = {}
    for one in audit.findings:
        if one.grade != _audit.OK:
            groups.setdefault((one.host, one.remedy), []).append(one)
    alike: dict[tuple[str, ...], list[list[_audit.Finding]]] = {}
    for group in groups.values():
        alike.setdefault(tuple(one.check for one in group), []).append(group)
    lines: list[str] = []
    for hosts in alike.values():
        for group in hosts[:_MOST_ALIKE]:
            lines += ["", *_wrapped(f"{group[0].grade.upper()}  {group[0].host}", "")]
            for one in group:
                lines += _wrapped(f"{one.grade}: {one.reason}{f' ({one.address})' if one.address else ''}", "  ")
            lines += _wrapped(f"$ {group[0].remedy}", "  ") if group[0].remedy else []
        others = [group[0].host for group in hosts[_MOST_ALIKE:]]
        if others:
            more = f" and {len(others) - 20} more" if len(others) > 20 else ""
            lines += ["", *_wrapped(f"The same: {', '.join(others[:20])}{more}.", "")]
    return lines


def _wrapped(text: str, indent: str) -> list[str]:
    """Return the text in lines that fit the terminal; words and commands are not broken."""
    wrapper = textwrap.TextWrapper(_WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ")
    wrapper.break_on_hyphens = wrapper.break_long_words = False
    return wrapper.wrap(text)


# --- Prometheus --------------------------------------------------------------------------------------------------


def to_prometheus(audit: Audit) -> str:
    """Return the audit in the text format of Prometheus, for the textfile collector of the node exporter."""
    found = to_dict(audit)
    names = ("kind", "host", "address", "serial")
    ends = [(_pick(one, names), _seconds(one["not_after"])) for one in found["certificates"] if one["current"]]
    starts = [(_pick(one, names), _seconds(one["not_before"])) for one in found["certificates"] if one["current"]]
    checks = Counter((one.host, one.check, one.grade) for one in audit.findings)
    versions = ("host", "address", "access", "version", "api_version", "min_api_version")
    families: list[tuple[str, str, list[tuple[dict[str, t.Any], float]]]] = [
        ("certificate_not_after_timestamp_seconds", "When the certificate ends, in seconds since the epoch.", ends),
        ("certificate_not_before_timestamp_seconds", "Since when the certificate is valid.", starts),
        (
            "findings",
            "How many findings the last audit had.",
            [({"grade": grade}, count) for grade, count in found["summary"].items()],
        ),
        (
            "finding",
            "What the last audit found of a host, a client or a CA, by check and grade.",
            [({"host": host, "check": check, "grade": grade}, n) for (host, check, grade), n in checks.items()],
        ),
        (
            "engine_info",
            "Who gets in at an address (access), and which versions the engine speaks.",
            [(_pick(one, versions), 1) for one in found["engines"]],
        ),
        ("audit_timestamp_seconds", "When the last audit was made.", [({}, _seconds(found["time"]))]),
    ]
    return "".join(_family(f"docker_remote_api_{name}", told, samples) for name, told, samples in families)


def _pick(one: t.Mapping[str, t.Any], names: t.Iterable[str]) -> dict[str, t.Any]:
    """Return the values of these keys."""
    return {name: one[name] for name in names}


def _seconds(moment: str) -> float:
    """Return a time in seconds since the epoch."""
    return datetime.fromisoformat(moment).timestamp()


def _family(name: str, told: str, samples: t.Iterable[tuple[dict[str, t.Any], float]]) -> str:
    """Return the lines of a metric: its help, its type, and its samples, each set of labels once."""
    lines = {}
    for labels, value in samples:
        text = ",".join(f'{key}="{_escape(str(one or ""))}"' for key, one in labels.items())
        lines[f"{name}{{{text}}}" if text else name] = f"{value:.0f}"
    body = "".join(f"{key} {value}\n" for key, value in lines.items())
    return f"# HELP {name} {told}\n# TYPE {name} gauge\n{body}"


def _escape(text: str) -> str:
    """Return the text as the value of a label."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


# --- HTML --------------------------------------------------------------------------------------------------------


def to_html(audit: Audit) -> str:
    """Return the audit as one HTML document that needs nothing else."""
    folder = os.path.dirname(os.path.abspath(__file__))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    found = to_dict(audit)
    hosts: dict[str, list[str]] = {}
    for one in audit.findings:
        hosts.setdefault(one.host, []).append(one.grade)
    counts = Counter(_audit.worst(grades) for grades in hosts.values())
    return environment.get_template(_PAGE).render(
        found,
        access=_ACCESS,
        engine_grades=[row[-1] for row in _engine_rows(found["engines"], audit)],
        rows=[_expiry_row(one, audit.time) for one in found["certificates"]],
        counts={grade: counts[grade] for grade in _audit.GRADES},
        timeline=draw(audit),
        grades=_audit.GRADES,
    )


FORMATS: dict[str, t.Callable[[Audit], str]] = {"json": to_json, "prometheus": to_prometheus, "html": to_html}

__all__ = ("FORMATS", "to_dict", "to_html", "to_json", "to_lines", "to_prometheus")
