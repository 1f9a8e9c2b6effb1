# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How commands are run: with real ones, by way of timeout(1)."""

from __future__ import annotations

import os
import pathlib
import subprocess
import time
import typing as t

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils import _systemd as systemd


def run_command(argv: list[str], *, environ_update: dict[str, str], errors: str, **rest: t.Any) -> tuple[int, str, str]:
    """Stand for AnsibleModule.run_command, which needs a module around it."""
    assert rest == {"expand_user_and_vars": False}
    done = subprocess.run(
        argv, capture_output=True, text=True, errors=errors, env={**os.environ, **environ_update}, check=False
    )
    return done.returncode, done.stdout, done.stderr


RUN = systemd.runner(run_command)


def test_a_command_is_told_as_it_ended() -> None:
    ended = RUN(["sh", "-c", "echo out; echo wrong >&2; exit 3"], 5)
    assert ended == systemd.Completed(3, "out\n", "wrong\n")


def test_what_is_printed_need_not_be_text() -> None:
    assert RUN(["printf", r"\377"], 5).stdout == "\N{REPLACEMENT CHARACTER}"


def test_messages_are_in_english() -> None:
    assert RUN(["sh", "-c", "echo $LC_ALL"], 5).stdout == "C\n"


def test_a_command_that_does_not_end_is_killed_even_where_it_ignores_signals() -> None:
    start = time.monotonic()
    with pytest.raises(systemd.SystemdError, match="did not end within 0 seconds"):
        RUN(["sh", "-c", "trap '' TERM HUP INT; sleep 30 & wait"], 0.2)
    assert time.monotonic() - start < 10


def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(systemd.SystemdError, match="^no-such-program: it cannot be run .*No such file"):
        RUN(["no-such-program", "--help"], 5)


def test_a_command_that_may_not_be_run_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(systemd.SystemdError, match="it cannot be run .*Permission denied"):
        RUN([str(tmp_path)], 5)
