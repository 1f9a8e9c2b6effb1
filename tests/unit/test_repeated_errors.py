# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fixture that fails and that many tests share is shown once, not once for each test."""

from __future__ import annotations

import pathlib
import subprocess
import sys

CONFTEST = pathlib.Path(__file__).resolve().parents[1] / "conftest.py"
SHARED = """

@pytest.fixture(scope="module")
def host():
    pytest.fail("the host does not boot", pytrace=False)
"""
TESTS = """
import pytest

@pytest.fixture
def other():
    raise ValueError("another cause")

@pytest.mark.parametrize("number", range(20))
def test_of_the_host(host, number):
    pass

def test_of_something_else(other):
    pass

def test_that_fails_itself():
    assert False
"""


def test_a_cause_that_many_tests_share_is_shown_once(tmp_path: pathlib.Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text(encoding="utf-8") + SHARED, encoding="utf-8")
    for name in ("test_one.py", "test_two.py"):
        (tmp_path / name).write_text(TESTS, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--import-mode=importlib", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    shown, summary = done.stdout.split("= ERRORS =")[1].split("short test summary info")
    assert shown.count("the host does not boot") == 1
    # Each file has a line of its own that raises it.
    assert shown.count("ValueError: another cause") == 2
    assert shown.count("def test_that_fails_itself") == 2
    assert "2 failed, 3 errors, 39 repeated errors in " in summary
