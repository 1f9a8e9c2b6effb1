# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of the years of a fleet: what happened when, as JSON, as a table, and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ansible_collections.dockerfleet.remote_api.benchmarks.plot import COLORS, text

# So that the picture can be kept in docs/.
NOTICE = """<!--
Copyright (c) 2026, the dockerfleet maintainers
GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
-->"""
LEFT, TOP, WIDTH, ROW = 110, 60, 720, 34


@dataclass(frozen=True)
class Stage:
    """A part of the story: when it began and ended (Unix time), and from when to when each host had no daemon."""

    name: str
    began: float
    ended: float
    outages: Mapping[str, Sequence[tuple[float, float]]]


def table(stages: Sequence[Stage], marks: Mapping[str, int]) -> str:
    """Return the restarts of each host in each stage, and what must not happen with how often it did."""
    hosts = list(stages[0].outages)
    lines = [f"{'':24}{'seconds':>8}" + "".join(f"{host:>12}" for host in hosts) + "  restarts"]
    for stage in stages:
        numbers = "".join(f"{len(stage.outages[host]):>12}" for host in hosts)
        lines.append(f"{stage.name:24}{stage.ended - stage.began:>8.0f}{numbers}")
    return "\n".join([*lines, "", *(f"{number:5} {name}" for name, number in marks.items())])


def picture(stages: Sequence[Stage]) -> str:
    """Return an SVG with a row for each host: the stages behind, and a mark for each restart."""
    first, last = stages[0].began, stages[-1].ended
    hosts = list(stages[0].outages)
    height = TOP + ROW * len(hosts) + 40

    def place(when: float) -> float:
        return LEFT + WIDTH * (when - first) / (last - first)

    parts = []
    for number, stage in enumerate(stages):
        x, width = place(stage.began), place(stage.ended) - place(stage.began)
        parts.append(
            f'<rect x="{x:.1f}" y="{TOP}" width="{width:.1f}" height="{ROW * len(hosts)}" '
            f'fill="{("#eff6ff", "#f3f4f6")[number % 2]}"/>'
        )
        parts.append(text(x + width / 2, TOP - 8 - 16 * (number % 2), stage.name, size=11))
    for row, host in enumerate(hosts):
        y = TOP + ROW * row + ROW / 2
        parts.append(text(LEFT - 10, y + 4, host, anchor="end"))
        parts.append(f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y}" y2="{y}" stroke="{COLORS[3]}" stroke-width="6"/>')
        for stage in stages:
            for begin, end in stage.outages[host]:
                width = max(place(end) - place(begin), 2)
                parts.append(
                    f'<rect x="{place(begin):.1f}" y="{y - 9}" width="{width:.1f}" height="18" fill="{COLORS[1]}"/>'
                )
    for minute in range(int(last - first) // 60 + 1):
        parts.append(text(place(first + 60 * minute), height - 18, f"{minute} min", size=11))
    body = "\n".join(parts)
    size = f'viewBox="0 0 {LEFT + WIDTH + 40} {height}"'
    background = '<rect width="100%" height="100%" fill="white"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{NOTICE}\n{background}\n{body}\n</svg>\n'


def write(folder: Path, stages: Sequence[Stage], marks: Mapping[str, int], details: Sequence[str]) -> None:
    """Write years.json and years.svg into the folder, and print the table."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"stages": [asdict(stage) for stage in stages], "marks": dict(marks), "details": list(details)}
    (folder / "years.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (folder / "years.svg").write_text(picture(stages), encoding="utf-8")
    print(f"\n{table(stages, marks)}")
