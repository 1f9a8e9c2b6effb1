# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Finding the blocks of a PEM file (RFC 7468), without looking into them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s(.*?)-----END \1-----", re.DOTALL)
_BEGIN = re.compile(rb"-----BEGIN [A-Z0-9 ]+-----")


@dataclass(frozen=True)
class PemBlock:
    """One block: its label, such as ``CERTIFICATE``, the text between its lines, and the whole with its lines.

    ``line`` is the number of its first line in the file.
    """

    label: str
    body: bytes
    text: bytes
    line: int


def find_blocks(content: bytes) -> list[PemBlock]:
    """Return the complete blocks in the order of the file, without the text around them (RFC 7468, section 2)."""
    return [
        PemBlock(found[1].decode("ascii"), found[2], found[0] + b"\n", content.count(b"\n", 0, found.start()) + 1)
        for found in _BLOCK.finditer(content)
    ]


def find_certificates(content: bytes) -> list[PemBlock]:
    """Return the complete certificate blocks in the order of the file."""
    return [block for block in find_blocks(content) if block.label == "CERTIFICATE"]


def count_begin_lines(content: bytes) -> int:
    """Return how many blocks begin in the file: more than find_blocks() returns if one is cut off."""
    return len(_BEGIN.findall(content))


__all__ = ("PemBlock", "count_begin_lines", "find_blocks", "find_certificates")
