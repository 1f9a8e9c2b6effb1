# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Thousands of generated options files: what is kept in them. (What systemd reads from them: see integration.)"""

from __future__ import annotations

import re

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.errors import DaemonError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options_file import read_words, render
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._daemon.generated_files import (
    NASTY,
    SOUND,
    SOUP,
    Case,
    examples,
)
from hypothesis import strategies as st

# One assignment of the variable: its name, blanks and "=", quoted parts, and the bare rest up to the end of its line.
ASSIGNMENT = re.compile(rb"""OPTS[ \t]*=(?:[ \t]+|"(?:\\.|[^"\\])*"|'[^']*')*(?:\\.|[^\\\n\r])*\\?\Z""", re.DOTALL)


@pytest.mark.parametrize(
    ("strategy", "least_accepted"), [(SOUND, 1.0), (NASTY, 0.3), (SOUP, 0.2)], ids=["sound", "nasty", "soup"]
)
def test_all_else_is_kept_and_a_second_time_changes_nothing(
    strategy: st.SearchStrategy[Case], least_accepted: float
) -> None:
    cases = examples(strategy, 2000)
    accepted = 0
    for case in cases:
        old = case.file("OPTS")
        try:
            new = render(old, "options", "OPTS", case.words)
        except DaemonError as exc:
            assert re.match("options:[0-9]+: ", str(exc))
            continue
        accepted += 1
        assert read_words(new, "options", "OPTS") == case.words
        assert render(new, "options", "OPTS", case.words) == new
        check_bytes(old, new, f'OPTS="{" ".join(case.words)}"'.encode())
    assert accepted >= least_accepted * len(cases)


def check_bytes(old: bytes, new: bytes, line: bytes) -> None:
    """Assert that one assignment was replaced by the line, or the line was added at the end, and nothing else."""
    if new == old:
        return
    prefix, suffix = new.rsplit(line, 1)
    if suffix == b"\n" and old.rstrip(b"\n") == prefix.rstrip(b"\n"):
        assert prefix in (old, old + b"\n", old + b"\n\n")
        return
    assert old.startswith(prefix), (old, new)
    assert old.endswith(suffix), (old, new)
    assert ASSIGNMENT.match(old[len(prefix) : len(old) - len(suffix)]), (old, new)
