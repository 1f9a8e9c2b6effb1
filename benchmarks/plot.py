# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw the two kinds of plots that the benchmarks need, as SVG with a white background."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COLORS = ("#2563eb", "#d97706", "#6b7280", "#059669")
FONT = 'font-family="system-ui, sans-serif"'
LEFT, TOP, WIDTH, HEIGHT, BOTTOM, RIGHT = 80, 60, 600, 300, 70, 30


@dataclass(frozen=True)
class Plot:
    """What stands around the data. The vertical axis starts at zero."""

    title: str
    x_label: str
    y_label: str


def text(x: float, y: float, content: str, *, anchor: str = "middle", size: int = 13, more: str = "") -> str:
    """Return a text element."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" {FONT} fill="#111827" {more}>'
        f"{html.escape(content)}</text>"
    )


def ticks(top: float) -> list[float]:
    """Return about five round values from zero to at least ``top``."""
    rough = top / 5
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    return [step * number for number in range(math.ceil(top / step) + 1)]


def frame(plot: Plot, names: Sequence[str], values: Sequence[float]) -> list[str]:
    """Return the elements of title, axes, grid and legend; ``values`` are the labels of the vertical axis."""
    middle = LEFT + WIDTH / 2
    parts = [
        text(middle, 24, plot.title, size=16, more='font-weight="600"'),
        text(middle, TOP + HEIGHT + 50, plot.x_label),
        text(22, TOP + HEIGHT / 2, plot.y_label, more=f'transform="rotate(-90 22 {TOP + HEIGHT / 2})"'),
    ]
    for value in values:
        y = height_of(value, values[-1])
        parts.append(f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e5e7eb"/>')
        parts.append(text(LEFT - 8, y + 4, f"{value:g}", anchor="end"))
    for number, name in enumerate(names):
        x = LEFT + number * WIDTH / len(names)
        parts.append(f'<rect x="{x:.1f}" y="38" width="12" height="12" fill="{COLORS[number]}"/>')
        parts.append(text(x + 18, 49, name, anchor="start"))
    return parts


def height_of(value: float, top: float) -> float:
    """Return the vertical position of a value."""
    return TOP + HEIGHT * (1 - value / top)


def document(parts: Sequence[str]) -> str:
    """Return the whole SVG file."""
    width, height = LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="#ffffff"/>', *parts, "</svg>", ""])


def bars(plot: Plot, series: Mapping[str, Mapping[str, float]]) -> str:
    """Return an SVG of grouped bars: series -> group -> value. A series may lack a group."""
    groups = list(dict.fromkeys(group for values in series.values() for group in values))
    values = ticks(max(value for one in series.values() for value in one.values()))
    parts = frame(plot, list(series), values)
    for number, group in enumerate(groups):
        left = LEFT + number * WIDTH / len(groups)
        step = WIDTH / len(groups) / (len(series) + 1)
        parts.append(text(left + WIDTH / len(groups) / 2, TOP + HEIGHT + 22, group))
        for place, one in enumerate(series.values()):
            if group not in one:
                continue
            x, y = left + step * (place + 0.5), height_of(one[group], values[-1])
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{step * 0.9:.1f}" height="{TOP + HEIGHT - y:.1f}" '
                f'fill="{COLORS[place]}"/>'
            )
            parts.append(text(x + step * 0.45, y - 5, f"{one[group]:.1f}", size=11))
    return document(parts)


def lines(plot: Plot, series: Mapping[str, Mapping[int, float]]) -> str:
    """Return an SVG of lines over a logarithmic horizontal axis: series -> x -> value."""
    xs = sorted({x for one in series.values() for x in one})
    low, high = math.log(xs[0]), math.log(xs[-1])
    values = ticks(max(value for one in series.values() for value in one.values()))
    parts = frame(plot, list(series), values)

    def place(x: int) -> float:
        return LEFT + 30 + (WIDTH - 60) * ((math.log(x) - low) / (high - low) if high > low else 0.5)

    parts.extend(text(place(x), TOP + HEIGHT + 22, f"{x:,}") for x in xs)
    for color, one in zip(COLORS, series.values(), strict=False):
        points = [(place(x), height_of(value, values[-1]), value) for x, value in sorted(one.items())]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _value in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        for x, y, value in points:
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{color}"/>')
            parts.append(text(x, y - 10, f"{value:.3g}", size=11))
    return document(parts)
