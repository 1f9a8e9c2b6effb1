# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of an audit in a real browser: what it draws, in light and dark, on desk and phone, and what it does."""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _audit_report
from ansible_collections.dockerfleet.remote_api.tests.integration.support import run
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.plugin_utils.audit_samples import fleet

Pixel = tuple[int, int, int]

LIGHT = {"page": (255, 255, 255), "warning": (0xB3, 0x59, 0), "ok": (0x1A, 0x7A, 0x3C), "critical": (0xC4, 0x16, 0x1C)}
DARK = {
    "page": (0x12, 0x16, 0x1C),
    "warning": (0xF5, 0xA2, 0x3D),
    "ok": (0x56, 0xC9, 0x7E),
    "critical": (255, 107, 107),
}

# What a user does, and what is to be seen then. Each step takes its time, in milliseconds, with the drawing.
STEPS = """
const told = {};
const rows = id => [...document.querySelectorAll(`#${id} tbody tr`)].filter(row => row.getClientRects().length);
const column = (id, number) => rows(id).map(row => row.cells[number].textContent);
const timed = step => { const start = performance.now(); step(); document.body.getBoundingClientRect();
  return performance.now() - start; };
const head = (id, text) => [...document.querySelectorAll(`#${id} th button`)].find(one => one.textContent === text);
const type = text => { const field = document.getElementById("text"); field.value = text;
  field.dispatchEvent(new Event("input")); };
const choose = grade => { const field = document.getElementById("grade"); field.value = grade;
  field.dispatchEvent(new Event("input")); };
told.counts = Object.fromEntries([...document.querySelectorAll("[data-count]")].map(
  one => [one.dataset.count, one.querySelector("b").textContent]));
told.total = rows("findings").length;
told.wide = document.documentElement.scrollWidth - window.innerWidth;
told.hidden = [...document.querySelectorAll("main *")].filter(one => one.getClientRects().length
  && one.getBoundingClientRect().right > window.innerWidth + 1).map(one => one.tagName);
told.width = window.innerWidth;
told.loaded = performance.getEntriesByType("resource").length;
const bars = [...document.querySelectorAll(".bar")];
told.bars = bars.map(bar => [Number(bar.title.split(": ")[1]),
  [...bar.children].reduce((sum, part) => sum + part.getBoundingClientRect().height, 0)]);
const box = document.querySelector(".bars").getBoundingClientRect();
told.box = [box.left, box.top, box.right, box.bottom];
told.sorting = timed(() => head("certificates", "Residual time").click());
told.ascending = column("certificates", 4);
head("certificates", "Residual time").click();
told.descending = column("certificates", 4);
told.sorted = head("certificates", "Residual time").parentNode.getAttribute("aria-sort");
head("findings", "Grade").click();
told.grades = column("findings", 0);
head("findings", "Host").click();
told.hosts = column("findings", 1);
told.filtering = timed(() => type("DOCKER1"));
told.named = column("engines", 1);
type("docker1 2375");
told.both = rows("findings").length;
type("");
choose("critical");
told.critical = column("findings", 0);
told.shown = document.getElementById("shown").textContent;
choose("");
told.again = rows("findings").length;
console.log("TOLD " + btoa(JSON.stringify(told)));
"""


def browse(folder: Path, page: str, width: int, *words: str) -> tuple[bytes, list[str]]:
    """Return what chromium draws of the beginning of a page, and the lines that the page writes to the console.

    The page is in a frame, for a window of chromium is never as narrow as that of a phone.
    """
    file, drawn = folder / "frame.html", folder / "drawn.png"
    (folder / "page.html").write_text(page, encoding="utf-8")
    style = f"position: absolute; inset: 0; border: 0; width: {width}px; height: 700px"
    file.write_text(f'<!DOCTYPE html><iframe src="page.html" style="{style}"></iframe>', encoding="utf-8")
    done = run(
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--log-level=0", "--no-first-run",
        "--disable-background-networking", f"--window-size={max(width, 500)},700", f"--screenshot={drawn}", *words,
        f"file://{file}",
    )  # fmt: skip
    return drawn.read_bytes(), [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def act(folder: Path, page: str, width: int = 1280) -> dict[str, Any]:
    """Return what is seen of a page while its user acts."""
    script = f"<script>{{ {STEPS} }}</script></body>"
    _drawn, lines = browse(folder, page.replace("</body>", script), width)
    told = re.fullmatch(r'.*"TOLD ([^"]*)".*', "".join(lines))
    assert told, lines
    found: dict[str, Any] = json.loads(base64.b64decode(told[1]))
    assert found["width"] == width
    return found


def photograph(folder: Path, page: str, width: int, *words: str) -> list[list[Pixel]]:
    """Return the pixels that are drawn of the beginning of a page, which must not complain of anything."""
    drawn, lines = browse(folder, page, width, *words)
    assert lines == []
    return [row[:width] for row in pixels(drawn)]


def pixels(png: bytes) -> list[list[Pixel]]:
    """Return the pixels of an image with 8 bits a channel, as a browser writes it (RFC 2083)."""
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    assert depth == 8
    size = {2: 3, 6: 4}[kind]
    data, position = b"", 8
    while position < len(png):
        length = int.from_bytes(png[position : position + 4], "big")
        data += png[position + 8 : position + 8 + length] if png[position + 4 : position + 8] == b"IDAT" else b""
        position += length + 12
    raw, row, image = zlib.decompress(data), bytearray(width * size), []
    for number in range(height):
        start = number * (width * size + 1)
        above, row, method = row, bytearray(raw[start + 1 : start + 1 + width * size]), raw[start]
        for index in range(len(row) if method else 0):
            left = row[index - size] if index >= size else 0
            corner = above[index - size] if index >= size else 0
            guess = left + above[index] - corner
            _distance, _order, nearest = min(
                (abs(guess - one), order, one) for order, one in enumerate((left, above[index], corner))
            )
            row[index] = (row[index] + (0, left, above[index], (left + above[index]) // 2, nearest)[method]) & 255
        image.append([(row[at], row[at + 1], row[at + 2]) for at in range(0, len(row), size)])
    return image


@pytest.fixture(scope="module")
def page() -> str:
    return _audit_report.to_html(fleet(60))


def test_what_a_user_sees_and_does(page: str, tmp_path: Path) -> None:
    told = act(tmp_path, page)
    assert told["counts"] == {"critical": "3", "warning": "3", "unknown": "3", "ok": "53", "next": "12 days"}
    assert told["total"] == told["again"] == 62
    assert (told["loaded"], told["wide"], told["hidden"]) == (0, 0, [])
    days = [int(one.removesuffix("d")) for one in told["ascending"]]
    assert days == sorted(days)
    assert len(days) == 56
    assert [int(one.removesuffix("d")) for one in told["descending"]] == sorted(days, reverse=True)
    assert told["sorted"] == "descending"
    order = ["critical", "warning", "unknown", "ok"]
    assert told["grades"] == sorted(told["grades"], key=order.index)
    numbers = [int(one[6:].split(".")[0]) for one in told["hosts"] if one.startswith("docker")]
    assert numbers == sorted(numbers)
    assert len(told["named"]) == 11
    assert all(one.startswith("docker1") for one in told["named"])
    assert told["both"] == 0
    assert told["critical"] == ["critical"] * 3
    assert re.fullmatch(r"\d+ of \d+ rows", told["shown"])


def test_timeline_is_drawn_to_scale(page: str, tmp_path: Path) -> None:
    told = act(tmp_path, page)
    highest = max(height for _count, height in told["bars"])
    most = max(count for count, _height in told["bars"])
    assert sum(count for count, _height in told["bars"]) == 55
    assert highest > 100
    for count, height in told["bars"]:
        assert height == pytest.approx(highest * count / most, abs=2)


@pytest.mark.parametrize(("scheme", "colors"), [("1", LIGHT), ("0", DARK)], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1000, 400], ids=["desk", "phone"])
def test_what_is_drawn(page: str, tmp_path: Path, scheme: str, colors: dict[str, Pixel], width: int) -> None:
    left, top, right, bottom = (int(one) for one in act(tmp_path, page, width)["box"])
    image = photograph(tmp_path, page, width, f"--blink-settings=preferredColorScheme={scheme}")
    assert (len(image[0]), image[0][0], image[-1][2]) == (width, colors["page"], colors["page"])
    drawn = [pixel for row in image[top:bottom] for pixel in row[left:right]]
    area = len(drawn)
    # The first bar has what ends soon, all others what is in order; they fill more than half of the timeline.
    assert image[bottom - 6][left + 4] == colors["warning"]
    assert image[bottom - 6][right - 6] == colors["ok"]
    assert drawn.count(colors["ok"]) > area / 2
    assert area / 100 < drawn.count(colors["warning"]) < area / 10
    assert drawn.count(colors["ok"]) + drawn.count(colors["warning"]) + drawn.count(colors["page"]) > area * 0.9
    above = [pixel for row in image[:top] for pixel in row]
    assert above.count(colors["critical"]) > 100  # the edge of the first card


def test_phone(page: str, tmp_path: Path) -> None:
    """Nothing has to be moved sideways, and the rows are cards that name their cells."""
    told = act(tmp_path, page, 400)
    assert (told["wide"], told["hidden"]) == (0, [])
    assert told["total"] == 62


def test_thousand_hosts(tmp_path: Path) -> None:
    page = _audit_report.to_html(fleet(1000))
    assert len(page) < 2 * 2**20
    told = act(tmp_path, page)
    assert told["total"] == 1002
    assert told["counts"]["critical"] == "50"
    assert len(told["critical"]) == 50
    assert (told["wide"], told["hidden"]) == (0, [])
    # With much other work on the machine; it takes a tenth of a second on an idle one.
    assert told["sorting"] < 5000
    assert told["filtering"] < 5000
