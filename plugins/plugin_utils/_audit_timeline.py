# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Lay out the timeline of an audit: how many certificates end when, in bars of equal time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import certificates
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _audit
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._auditing import Audit

_MOST_BARS = 30
_STEPS = (1, 7, 30, 91, 365, 3650)  # days


@dataclass(frozen=True)
class Part:
    """A part of a bar: a grade, how many certificates have it, and its own height, in percent of that of all bars."""

    grade: str
    count: int
    height: float


@dataclass(frozen=True)
class Bar:
    """The certificates that end in one span of time: the first and the last day of it, and the parts, bottom up."""

    start: str
    end: str
    label: str
    count: int
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Timeline:
    """The bars from now on, each of ``days`` days; how many certificates have ended, and the CAs that end later."""

    days: int
    bars: tuple[Bar, ...]
    ended: int
    later: tuple[str, ...]


def draw(audit: Audit) -> Timeline:
    """Return the timeline of the certificates that are in use.

    It is as long as hosts' and clients' certificates last: a CA lasts ten times longer, and would squeeze them.
    """
    current = [one for one in audit.certificates if one.current]
    lasting = [one for one in current if certificates.not_after(one.content) >= audit.time]
    short = [one for one in lasting if one.kind != "ca"] or lasting
    last = max((_audit.days_left(one.content, audit.time) for one in short), default=0) + 1
    days = next((step for step in _STEPS if last <= step * _MOST_BARS), -(-last // _MOST_BARS))
    amount = -(-last // days)
    slots: list[list[_audit.Certificate]] = [[] for _number in range(amount)]
    later = []
    for one in lasting:
        slot = _audit.days_left(one.content, audit.time) // days
        if slot < amount:
            slots[slot].append(one)
        else:
            later.append(f"{one.owner}, {certificates.not_after(one.content):%Y-%m-%d}")
    highest = max((len(slot) for slot in slots), default=0)
    bars = [_bar(slot, audit.time + timedelta(days=days * number), days, highest) for number, slot in enumerate(slots)]
    return Timeline(days, tuple(bars), len(current) - len(lasting), tuple(later))


def _bar(ending: list[_audit.Certificate], start: datetime, days: int, highest: int) -> Bar:
    """Return the bar of the certificates that end within the days from ``start`` on."""
    parts = []
    for grade in _audit.GRADES:
        count = sum(one.grade == grade for one in ending)
        if count:
            parts.append(Part(grade, count, 100 * count / highest))
    # A certificate without a known end has the last second that there is (RFC 5280, section 4.1.2.5).
    end = start + min(timedelta(days=days - 1), datetime.max.replace(tzinfo=start.tzinfo) - start)
    label = f"{start:%b %Y}" if days >= 30 else f"{start:%b %d}"
    return Bar(f"{start:%Y-%m-%d}", f"{end:%Y-%m-%d}", label, len(ending), tuple(parts))


__all__ = ("Bar", "Part", "Timeline", "draw")
