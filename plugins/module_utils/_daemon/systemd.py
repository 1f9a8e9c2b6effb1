# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The only door to systemd: its client's commands, with a time limit and with typed answers."""

from __future__ import annotations

import os
import subprocess
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors


@dataclass(frozen=True)
class Completed:
    """How a command ended: its exit status and what it printed."""

    returncode: int
    stdout: str
    stderr: str


Run = t.Callable[[t.Sequence[str], float], Completed]


def run_command(argv: t.Sequence[str], timeout: float) -> Completed:
    """Run a program (no shell, no standard input, messages in English) for at most ``timeout`` seconds.

    Raises DaemonError when it is not there or does not end in time.
    """
    environment = dict(os.environ, LC_ALL="C", SYSTEMD_PAGER="", SYSTEMD_COLORS="0")
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired as problem:
        raise errors.command_too_slow(argv, timeout) from problem
    except OSError as problem:
        raise errors.command_not_run(argv, problem) from problem
    return Completed(done.returncode, done.stdout, done.stderr)


def unit_name(service: str) -> str:
    """Return the full name of the unit: ``docker`` means ``docker.service``, as for systemctl(1)."""
    return service if service.endswith(".service") else f"{service}.service"


def require_service(service: str, run: Run = run_command) -> None:
    """Return when systemd runs this machine and can start the unit; raise DaemonError otherwise. Changes nothing."""
    if not os.path.isdir("/run/systemd/system"):
        raise errors.no_systemd()
    unit = unit_name(service)
    answer = run(["systemctl", "show", "--property=LoadState", unit], 30.0)
    state = answer.stdout.strip().partition("=")[2]
    if state == "masked":
        raise errors.masked_service(unit)
    if state != "loaded":
        raise errors.no_service(unit)


__all__ = ("Completed", "Run", "require_service", "run_command", "unit_name")
