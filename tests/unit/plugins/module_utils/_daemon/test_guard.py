# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guard: it does nothing as long as its process copes, and everything once that is killed."""

from __future__ import annotations

import fcntl
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.errors import DaemonError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.guard import guarded

GUARDED = """
import fcntl, os, pathlib, signal, sys, syslog, time
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.guard import guarded

here, way = pathlib.Path(sys.argv[1]), sys.argv[2]
lock = open(here / "lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)

syslog.syslog = lambda priority, text: (here / "log").write_text(text + "\\n")

def rescue():
    if way == "odd":
        raise KeyError("nobody expected this")
    for _again in range(600):
        if (here / "go").exists():
            break
        time.sleep(0.1)
    (here / "rescued").touch()

for number in (signal.SIGHUP, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
with guarded(rescue):
    print(os.getpid(), flush=True)
    if way == "bug":
        raise KeyError(way)
    time.sleep(60)
"""


def start(here: pathlib.Path, way: str) -> subprocess.Popen[str]:
    """Start a guarded process in a session of its own and return it once it is guarded."""
    process = subprocess.Popen(
        [sys.executable, "-c", GUARDED, str(here), way],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == f"{process.pid}\n"
    return process


def never() -> None:
    """Tell the test, from the guard's process, that it was called where it must not be."""
    pathlib.Path(os.environ["CALLED"]).touch()


def children() -> set[str]:
    """Return the process ids of this process's children. Other tests may have some too."""
    return set(pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.fixture
def called(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("CALLED", str(tmp_path / "called"))
    return tmp_path / "called"


def test_a_block_that_runs_through_needs_no_rescue(called: pathlib.Path) -> None:
    before = children()
    with guarded(never):
        (guard,) = children() - before
    assert not called.exists()
    assert not pathlib.Path(f"/proc/{guard}").exists()


def test_nor_does_one_that_saw_to_its_own_failure(called: pathlib.Path) -> None:
    with pytest.raises(DaemonError, match="a: b. C."), guarded(never):
        raise DaemonError("a", "b", "C.")
    assert not called.exists()


def test_nor_is_the_guard_missed_when_it_was_killed_itself(called: pathlib.Path) -> None:
    before = children()
    with guarded(never):
        (guard,) = children() - before
        os.kill(int(guard), signal.SIGKILL)
        time.sleep(0.1)
    assert not called.exists()


def test_a_killed_process_is_rescued_under_its_lock(tmp_path: pathlib.Path) -> None:
    process = start(tmp_path, "kill")
    with (tmp_path / "lock").open() as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.killpg(process.pid, signal.SIGKILL)  # as a lost session or async_wrapper may
        assert process.communicate() == ("", "")
        assert not (tmp_path / "rescued").exists(), "the rescue kept the streams open"
        (tmp_path / "go").touch()
        fcntl.flock(lock, fcntl.LOCK_EX)
    assert (tmp_path / "rescued").exists()


def test_a_bug_is_rescued_too_and_shown(tmp_path: pathlib.Path) -> None:
    (tmp_path / "go").touch()
    process = start(tmp_path, "bug")
    said = process.communicate()[1]
    assert process.returncode == 1
    assert "KeyError: 'bug'" in said
    assert (tmp_path / "rescued").exists()


def test_whatever_the_rescue_meets_is_in_the_systems_log(tmp_path: pathlib.Path) -> None:
    """Also an error that nobody expected: there is no other place where it could be found."""
    process = start(tmp_path, "odd")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    with (tmp_path / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    assert (tmp_path / "log").read_text() == "KeyError: 'nobody expected this'\n"


def test_nothing_begins_where_no_process_can_be_started(tmp_path: pathlib.Path) -> None:
    """In a process of its own, that may start no others; root may always, so it becomes somebody else first."""
    process = os.fork()
    if not process:
        status = 1
        try:
            if not os.getuid():
                os.setuid(65534)
            resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
            with guarded(never):
                status = 2
        except DaemonError as problem:
            status = 0 if "no second process can be started" in str(problem) else 3
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
