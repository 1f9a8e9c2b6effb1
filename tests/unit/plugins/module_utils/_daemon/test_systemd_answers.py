# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is made of systemd's answers and of the daemon's journal."""

from __future__ import annotations

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import (
    Completed,
    ServiceState,
    Systemd,
    condense,
    unit_name,
)

JOURNALS = [
    (
        [
            "Starting docker.service - Docker Application Container Engine...",
            'time="2026-01-02T03:04:05.6Z" level=info msg="Starting up"',
            "failed to start daemon: Error initializing network controller: bridge nosuch0 is not there",
            "docker.service: Main process exited, code=exited, status=1/FAILURE",
            "docker.service: Failed with result 'exit-code'.",
            "Failed to start docker.service - Docker Application Container Engine.",
        ],
        ["failed to start daemon: Error initializing network controller: bridge nosuch0 is not there"],
    ),
    (
        [
            'time="x" level=warning msg="Your kernel does not support x"',
            'time="x" level=error msg="a \\"quoted\\" word" module=grpc',
            'time="x" level=error msg="a \\"quoted\\" word" module=grpc',
            "time=x level=fatal msg=short",
        ],
        ['a "quoted" word', "short"],
    ),
    (
        ["unable to configure the Docker daemon with file /d: x", ""],
        ["unable to configure the Docker daemon with file /d: x"],
    ),
    (["a", "b", "c", "d"], ["b", "c", "d"]),
    (["panic: x", "goroutine 1", 'level=error msg="not \\xjson"'], ["panic: x", '"not \\xjson"']),
    ([], []),
]


@pytest.mark.parametrize(("lines", "matters"), JOURNALS)
def test_a_journal_is_condensed_to_what_matters(lines: list[str], matters: list[str]) -> None:
    assert condense(lines) == matters


@pytest.mark.parametrize(
    ("shown", "running", "failed", "changing"),
    [
        ("ActiveState=active\nMainPID=7\nJob=", True, False, False),
        ("ActiveState=active\nMainPID=7\nJob=12", True, False, False),
        ("ActiveState=reloading\nMainPID=7", True, False, False),
        ("ActiveState=activating\nMainPID=7\nJob=12", False, False, True),
        ("ActiveState=activating\nMainPID=0\nJob=12", False, False, True),
        ("ActiveState=activating\nMainPID=7\nNRestarts=1\nJob=12", False, True, False),
        ("ActiveState=inactive\nJob=12", False, False, True),
        ("ActiveState=inactive\nJob=", False, True, False),
        ("ActiveState=inactive\nJob=0", False, True, False),
        ("ActiveState=failed\nJob=", False, True, False),
        # A restart whose stop took too long: the start is still queued.
        ("ActiveState=failed\nResult=timeout\nJob=12", False, False, True),
        ("ActiveState=deactivating\nMainPID=7\nJob=12", False, False, True),
        ("ActiveState=deactivating\nMainPID=7\nNRestarts=3", False, False, False),
    ],
)
def test_states_are_told_apart(shown: str, running: bool, failed: bool, changing: bool) -> None:
    state = Systemd("docker.service", lambda argv, timeout: Completed(0, shown, "")).state()
    assert isinstance(state, ServiceState)
    assert (state.is_running, state.has_failed, state.is_changing) == (running, failed, changing)


@pytest.mark.parametrize(
    ("shown", "at_boot", "stopped"),
    [
        ("ActiveState=inactive\nUnitFileState=enabled\nInactiveExitTimestampMonotonic=5", True, True),
        # It is to start at boot and never began to: what it needs has failed.
        ("ActiveState=inactive\nUnitFileState=enabled\nInactiveExitTimestampMonotonic=0", True, False),
        ("ActiveState=inactive\nUnitFileState=disabled\nInactiveExitTimestampMonotonic=0", False, True),
        (
            "ActiveState=inactive\nUnitFileState=disabled\nRequiredBy=a.service\nInactiveExitTimestampMonotonic=0",
            True,
            False,
        ),
        ("ActiveState=inactive\nUnitFileState=disabled\nWantedBy=\nRequiredBy=", False, True),
        ("ActiveState=inactive\nUnitFileState=static\nJob=12", True, False),
        ("ActiveState=failed\nUnitFileState=disabled", False, False),
        ("ActiveState=inactive\nResult=exec-condition\nUnitFileState=enabled", True, False),
        ("ActiveState=activating\nUnitFileState=enabled", True, False),
        ("ActiveState=active\nMainPID=7\nUnitFileState=enabled", True, False),
    ],
)
def test_a_service_that_was_stopped_is_told_from_one_that_failed(shown: str, at_boot: bool, stopped: bool) -> None:
    text = shown if "Result" in shown else f"{shown}\nResult=success"
    state = Systemd("docker.service", lambda argv, timeout: Completed(0, text, "")).state()
    assert (state.at_boot, state.is_stopped) == (at_boot, stopped)


@pytest.mark.parametrize(
    ("shown", "seconds"),
    [("1min 30s", 90), ("20s", 20), ("1h 500ms", 3600), ("1y 1month 1w 1d", 34_878_600), ("infinity", 0), ("", 0)],
)
def test_the_time_that_a_service_may_take_to_stop_is_read(shown: str, seconds: float) -> None:
    text = f"TimeoutStopUSec={shown}\n"
    assert Systemd("docker.service", lambda argv, timeout: Completed(0, text, "")).stop_limit() == seconds


def test_a_loaded_command_is_read() -> None:
    shown = "ExecStart={ path=/d ; argv[]=/d -H fd:// $X ; ignore_errors=no ; start_time=[n/a] }\n"
    assert Systemd("docker.service", lambda argv, timeout: Completed(0, shown, "")).loaded_command() == "/d -H fd:// $X"


def test_units_have_full_names() -> None:
    assert [unit_name(name) for name in ("docker", "docker.service", "a.b")] == [
        "docker.service",
        "docker.service",
        "a.b.service",
    ]
