# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Thousands of generated options files, judged by a real shell. (On real hosts systemd judges: see integration.)"""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.environment_readers import SystemdReader
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.errors import DaemonError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options_file import (
    read_environment,
    read_words,
    render,
)
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._daemon.generated_files import (
    NASTY,
    SOUND,
    SOUP,
    Case,
    examples,
    read_in_shell,
)
from hypothesis import strategies as st


def rendered(case: Case, number: int) -> bytes | None:
    """Return the new file with the variable OPTS<number>, or None where it is refused."""
    variable = f"OPTS{number}"
    try:
        return render(case.file(variable), "options", variable, case.words)
    except DaemonError as problem:
        assert str(problem).startswith("options:")
        return None


@pytest.mark.parametrize(
    ("strategy", "count", "least_accepted"),
    [(SOUND, 1200, 1.0), (NASTY, 2000, 0.25), (SOUP, 2000, 0.1)],
    ids=["sound", "nasty", "soup"],
)
def test_shell_reads_what_was_planned(
    strategy: st.SearchStrategy[Case], count: int, least_accepted: float, tmp_path: Path
) -> None:
    cases = examples(strategy, count)
    accepted = [(case, out) for number, case in enumerate(cases) if (out := rendered(case, number)) is not None]
    assert len(accepted) >= least_accepted * len(cases)
    numbered = [(entry[0], rendered(entry[0], number) or b"") for number, entry in enumerate(accepted)]
    before = read_in_shell([entry[0].file(f"OPTS{number}") for number, entry in enumerate(numbered)], tmp_path)
    after = read_in_shell([entry[1] for entry in numbered], tmp_path)
    for number, (case, out) in enumerate(numbered):
        variable = f"OPTS{number}"
        old = case.file(variable)
        if before[number] is None:  # no shell can read this file, and we did not make it so
            assert strategy is not SOUND, old
            continue
        assert before[number] == read_words(old, "options", variable), old
        assert after[number] == case.words, (old, out)


@pytest.mark.parametrize("strategy", [SOUND, NASTY, SOUP], ids=["sound", "nasty", "soup"])
def test_all_else_is_kept_and_a_second_time_changes_nothing(strategy: st.SearchStrategy[Case]) -> None:
    seen = 0
    for case in examples(strategy, 1500):
        old = case.file("OPTS0")
        out = rendered(case, 0)
        if out is None:
            continue
        seen += 1
        assert render(out, "options", "OPTS0", case.words) == out
        assert read_environment(out).get("OPTS0", "").split() == list(case.words)
        if out == old:
            continue
        line = f'OPTS0="{" ".join(case.words)}"'.encode()
        prefix, suffix = out.rsplit(line, 1)
        if old.startswith(prefix.rstrip(b"\n")) and not old.startswith(prefix):
            prefix = prefix.rstrip(b"\n")  # the file did not end in a line end
        assert old.startswith(prefix), (old, out)
        rest = old[len(prefix) :]
        if rest.strip(b"\n"):
            assert rest.startswith(b"OPTS0="), (old, out)
            assert rest.endswith(suffix), (old, out)
            assert len(SystemdReader(rest[: len(rest) - len(suffix)].decode()).read()) == 1, (old, out)
        else:
            assert suffix == b"\n", (old, out)
    assert seen > 100
