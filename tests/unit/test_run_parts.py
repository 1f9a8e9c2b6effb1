# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What "make test" does with its parts: all of them are made, what failed is said, and no other run is met."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Callable

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAKE = """#!/bin/sh
for target; do :; done
echo "made $target in lab $DOCKERFLEET_LAB"
[ "$target" != broken ]
"""
# What run-parts begins early.
NOTHING = "#!/bin/sh\n"
LABS = """
. "$0/tests/tools/env.sh"
take_lab
echo "$DOCKERFLEET_LAB"
env --unset=DOCKERFLEET_LAB bash -c '. "$0/tests/tools/env.sh"; take_lab; echo "$DOCKERFLEET_LAB"' "$0"
DOCKERFLEET_LAB=5 bash -c '. "$0/tests/tools/env.sh"; take_lab; echo "$DOCKERFLEET_LAB"' "$0"
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: pathlib.Path) -> Run:
    """Return a function that runs a command, with the folder of the scripts to test and a make that only says so."""
    scripts = {"bin/make": MAKE, "checkout/tests/tools/with": NOTHING, "checkout/tests/lab/lab": NOTHING}
    for name, text in scripts.items():
        script = tmp_path / name
        script.parent.mkdir(parents=True)
        script.write_text(text, encoding="utf-8")
        script.chmod(0o755)
    for name in ("run-parts", "env.sh"):
        shutil.copy(ROOT / "tests/tools" / name, tmp_path / "checkout/tests/tools" / name)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def call(*command: str, lab: str | None) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": path, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        environment.pop("DOCKERFLEET_LAB", None)
        if lab:
            environment["DOCKERFLEET_LAB"] = lab
        return subprocess.run(
            command, cwd=tmp_path / "checkout", env=environment, capture_output=True, text=True, check=False
        )

    return call


def test_parts_after_a_failed_one_are_made_and_a_table_says_which_failed(run: Run) -> None:
    done = run("tests/tools/run-parts", "first", "broken", "last", lab="5")
    assert done.returncode == 1
    assert re.findall(r"(?m)^made (\w+) in lab 5$", done.stdout) == ["first", "broken", "last"]
    assert 'The part "broken" failed. To run it alone: make broken\n' in done.stdout
    table = re.findall(r"(?m)^(\w+) +(ok|FAILED) +\d+$", done.stdout)
    assert table == [("first", "ok"), ("broken", "FAILED"), ("last", "ok")]
    assert done.stderr == "Failed: broken. To run a part alone: make PART\n"


def test_nothing_failed(run: Run) -> None:
    done = run("tests/tools/run-parts", "first", "last", lab="5")
    assert (done.returncode, done.stderr) == (0, "")
    assert "failed" not in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can boot hosts, and gets a lab for them")
def test_two_runs_at_once_have_different_labs(run: Run) -> None:
    """And who has chosen one keeps it."""
    first, second, chosen = run("bash", "-c", LABS, ".", lab=None).stdout.split()
    assert len({first, second, "77"}) == 3
    assert chosen == "5"
