# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The whole job on one host: see, plan, check, carry out."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils import _systemd
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import plan as planning
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.journal import Journal, exclusive
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.local_engine import get_json
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.process import read_process
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import Run, Systemd


@dataclass(frozen=True)
class Mode:
    """How to go about it: ``restart`` is when_needed, never or always; times in seconds.

    ``timeout`` is how long the daemon may take to answer, ``settle`` how long it then has to keep running: what ends
    a daemon soon after its start mostly does so within a few seconds.
    """

    check: bool
    restart: str
    timeout: float
    settle: float = 6.0


@dataclass(frozen=True)
class Outcome:
    """What was done, or in check mode would be: the plan, and what became of the restart."""

    plan: planning.Plan
    changed: bool
    restarted: bool
    restart_due: bool
    undone: tuple[str, ...]
    containers_stopped: int


def _nothing(step: str) -> None:
    """Do nothing about a step that was reached."""


def configure(request: planning.Request, mode: Mode, run: Run, reached: t.Callable[[str], None] = _nothing) -> Outcome:
    """Bring the daemon's options, its unit and the running daemon to what is asked for. Raises RemoteApiError.

    Whether a restart is due is seen on the running daemon, not remembered: what an earlier run wrote and did not
    get to apply is applied by this one. ``reached`` is told of each step of a change once it is done.
    """
    if not os.path.isdir("/run/systemd/system"):
        raise _systemd.no_systemd()
    systemd = Systemd(request.service, run)
    journal = Journal(request.service)
    if mode.check:
        left = journal.pending()
        undone = tuple(entry.path for entry in left.entries) if left else ()
        return _bring_about(request, mode, systemd, journal, run, reached, undone)
    with exclusive(request.service, mode.timeout):
        undo = journal.pending()
        if undo is None:
            return _bring_about(request, mode, systemd, journal, run, reached, ())
        transaction = _transaction()
        with transaction.undisturbed():
            timing = transaction.Timing(mode.timeout, mode.settle)
            undone = transaction.undo_interrupted(undo, systemd, timing, reached)
            try:
                outcome = _bring_about(request, mode, systemd, journal, run, reached, undone)
            except errors.NotRolledBackError:
                raise
            except RemoteApiError:
                transaction.finish_undo(journal, systemd, timing)
                raise
            transaction.finish_undo(journal, systemd, timing)
            return outcome


def _bring_about(
    request: planning.Request,
    mode: Mode,
    systemd: Systemd,
    journal: Journal,
    run: Run,
    reached: t.Callable[[str], None],
    undone: tuple[str, ...],
) -> Outcome:
    """Plan, check and carry out, after ``undone`` files of an interrupted run were put back. Raises RemoteApiError."""
    plan = _make_plan(request, systemd)
    restart_due = bool(plan.restart_reasons) or mode.restart == "always"
    restart = restart_due and mode.restart != "never"
    stopped = 0
    if plan.changes or restart_due:
        plan = planning.with_activation_sockets(plan, systemd.socket_paths())
        _checks().check(plan, systemd, run, allow_missing_tls=mode.check)
        stopped = _containers_to_stop(plan) if restart_due else 0
    if (plan.changes or restart) and not mode.check:
        transaction = _transaction()
        timing = transaction.Timing(mode.timeout, mode.settle)
        with transaction.undisturbed():
            transaction.carry_out(plan, systemd, journal, timing, reached, restart=restart)
    changed = bool(plan.changes or restart or undone)
    return Outcome(plan, changed, restart, restart_due and not restart, undone, stopped)


def _checks() -> t.Any:
    """Return the module with the checks, loaded only when there is something to check: most runs change nothing."""
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import checks

    return checks


def _transaction() -> t.Any:
    """Return the module that carries out plans, loaded only when there is something to do."""
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import transaction

    return transaction


def _make_plan(request: planning.Request, systemd: Systemd) -> planning.Plan:
    """Return the plan for the service as systemd and the kernel show it. Raises RemoteApiError."""
    state = systemd.state()
    if state.load == "masked":
        raise _systemd.masked_service(service=request.service)
    if state.load == "not-found":
        raise _systemd.no_service(service=request.service)
    return planning.make(request, state, read_process(state.main_pid) if state.main_pid else None)


def _containers_to_stop(plan: planning.Plan) -> int:
    """Return how many running containers a restart stops: all of them, unless live-restore is on.

    What counts is what the running daemon has taken on, not what daemon.json says by now.
    """
    if plan.running is None or plan.live_restore:
        return 0
    for path in plan.before.local_sockets:
        info = get_json(path, "/info")
        if info:
            return 0 if info.get("LiveRestoreEnabled") and plan.live_restore is None else int(info["ContainersRunning"])
    return 0


__all__ = ("Mode", "Outcome", "configure")
