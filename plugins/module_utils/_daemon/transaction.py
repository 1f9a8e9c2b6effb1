# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Carrying out a plan as a whole or not at all: write, reload, restart, wait for the engine, or put everything back."""

from __future__ import annotations

import contextlib
import os
import signal
import traceback
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.engine import Inventory
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.guard import guarded
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.journal import (
    Journal,
    Undo,
    is_applied,
    put_back,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import Mode, Plan
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.service import (
    Service,
    read_inventory,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import write_change

# After this time, in seconds, what a killed process had asked of systemd is under way.
_KILL_SETTLES = 1.0

Report = t.Callable[[str], None]


@contextlib.contextmanager
def signals_ignored() -> t.Iterator[None]:
    """Ignore the signals of a lost connection or a stopped play, so that the process finishes its work.

    SIGHUP and SIGTERM are what sshd and a terminal send; every wait inside has its own time limit.
    """
    signals = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, signal.SIG_IGN) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before):
            signal.signal(number, handler or signal.SIG_DFL)


class Transaction:
    """One change of a host, from its journal to its commit or its undoing.

    ``report`` is told of each step once it is done. docs/design.md has the states: what is on the disk in each, which
    daemon runs, and what a kill or a power cut leads to.
    """

    def __init__(self, plan: Plan, service: Service, journal: Journal, mode: Mode, report: Report) -> None:
        self._plan = plan
        self._service = service
        self._journal = journal
        self._mode = mode
        self._report = report
        self._began = service.clock.now()
        self._reloaded = False
        self._restarted = False
        self._inventory: Inventory | None = None

    def run(self, *, restart: bool) -> None:
        """Carry out the plan; with ``restart``, restart the daemon once and wait until it answers.

        If this process is killed meanwhile, the guard finishes or undoes the change. Raises RolledBackError if the
        change fails, be it by a mistake of this collection, and everything is as before, with the daemon answering.
        Raises NotRolledBackError otherwise; then the journal stays for the next run.
        """
        if restart and self._plan.running and not self._plan.moves_data:
            self._inventory = read_inventory(self._plan.before)
        with guarded(lambda: self._finish_or_undo(restart=restart)):
            undo = self._journal.begin(self._plan.changes, restarts=restart)
            self._report("journal written")
            try:
                self._apply(restart=restart)
            except Exception as exc:
                raise self._roll_back(undo, _told(exc)) from exc
            self._commit()
            self._report("journal removed")

    def _apply(self, *, restart: bool) -> None:
        """Take the steps of the plan. Raises RemoteApiError at the first that fails.

        Files are written in the plan's order. daemon.json comes before the options: if the host reboots in between, a
        key that is nowhere does no harm, and a key in both places would keep the daemon from starting.
        """
        plan, systemd = self._plan, self._service.systemd
        for change in plan.changes:
            write_change(change)
            self._report(f"{change.path} {'removed' if change.after is None else 'written'}")
        if plan.reload_due:
            systemd.reload()
            self._report("systemd reloaded")
            self._check_loaded()
        if plan.live_restore is not None and plan.running is not None:
            self._reloaded = True
            self._reloaded = self._service.set_live_restore(plan.before, plan.live_restore)
            self._report("daemon reloaded")
        if restart:
            self._restarted = True
            self._service.restart(socket_activated=plan.after.socket_activated, limit=self._mode.timeout)
            self._report("restart begun")
            self._prove()

    def _check_loaded(self) -> None:
        """Raise DaemonError unless systemd, after reloading, has loaded the planned command."""
        variable = f"${self._plan.variable}"
        loaded = self._service.systemd.loaded_command()
        if variable in self._plan.command.value.split() and variable not in loaded.split():
            raise errors.other_command_loaded(unit=self._plan.service, loaded=loaded)

    def _prove(self) -> None:
        """Return once the restarted daemon answers everywhere and has kept running. Raises RemoteApiError."""
        pid = self._service.wait_until_ready(self._plan, self._mode.timeout)
        self._report("daemon answers")
        self._service.watch(pid, self._mode.settle)
        self._report("daemon keeps running")
        self._check_data()

    def _check_data(self) -> None:
        """Raise DaemonError if the restarted engine does not see the containers that it had.

        A container that is gone with its directory was removed, such as one with ``--rm`` that the restart ended.
        """
        before, after = self._inventory, read_inventory(self._plan.after) if self._inventory else None
        if before is None or after is None:
            return
        missing = before.containers - after.containers
        if before.root != after.root or any(os.path.isdir(f"{before.root}/containers/{name}") for name in missing):
            raise errors.data_moved(
                unit=self._plan.service,
                count=len(before.containers),
                root=before.root,
                new_count=len(after.containers),
                new_root=after.root,
            )

    def _commit(self) -> None:
        """Remove the journal: the change stands, or is undone. Raises FilesError."""
        close_journal(self._journal, self._service, reload_due=self._plan.reload_due)

    def _finish_or_undo(self, *, restart: bool) -> None:
        """Commit or undo the change of a process that was killed, judging by the host's state. The guard runs this.

        The change stands if every file is as planned and the restarted daemon proves itself. Otherwise it is undone,
        and RolledBackError or NotRolledBackError is raised.
        """
        self._report = lambda step: None  # the listening process is gone
        self._service.clock.sleep(_KILL_SETTLES)
        undo = self._journal.pending()
        if undo is None:
            self._journal.commit()  # it may have been half written, or half removed
            return
        plan, state = self._plan, self._service.systemd.state()
        same_process = state.main_pid == (plan.running and plan.running.pid)
        self._reloaded = plan.live_restore is not None and plan.running is not None
        self._restarted = restart and not (state.is_running and not state.has_job and same_process)
        cause: RemoteApiError = errors.run_killed(unit=plan.service)
        if self._restarted and is_applied(undo):
            try:
                self._prove()
                self._commit()
                return
            except Exception as exc:
                cause = _told(exc)
        raise self._roll_back(undo, cause) from cause

    def _roll_back(self, undo: Undo, cause: RemoteApiError) -> errors.DaemonError:
        """Put every file back and the daemon with it; return the error that says what failed and what was done.

        The daemon is started even if a file cannot be put back: it may work with the files there are.
        """
        lines = self._service.systemd.journal(self._began) if self._reloaded or self._restarted else []
        restored: list[str] = []
        failures: list[RemoteApiError] = []
        try:
            restored = put_back(undo)
            self._report("files put back")
        except Exception as exc:
            failures.append(_told(exc))
        for step in (self._service.systemd.reload if self._plan.reload_due else None, self._revive):
            try:
                if step:
                    step()
            except Exception as exc:
                failures.append(_told(exc))
        if not failures:
            try:
                self._commit()
            except Exception as exc:
                failures.append(_told(exc))
        if failures:
            return self._not_rolled_back(cause, failures, lines)
        return self._rolled_back(cause, restored, lines)

    def _revive(self) -> None:
        """Have the daemon run as before the change. Raises RemoteApiError."""
        if self._restarted:
            self._service.revive(self._plan.before, self._mode.revive, self._mode.settle)
        elif self._reloaded:
            self._service.systemd.reload_daemon()
        self._report("daemon as before")

    def _rolled_back(self, cause: RemoteApiError, restored: list[str], lines: list[str]) -> errors.DaemonError:
        """Return the error for a change that is undone: what failed, what the journal says, what was restored."""
        has_socket = bool(self._plan.before.local_sockets)
        return errors.rolled_back(
            subject=cause.subject,
            cause=cause.cause.rstrip("."),
            journal=f" (the daemon's journal: {' | '.join(lines)})" if lines else "",
            remedy=cause.remedy,
            files=f"Put back: {', '.join(restored)}." if restored else "Every file is as it was.",
            daemon=(
                f"The daemon was started again as before, and {'answers' if has_socket else 'runs'}."
                if self._restarted
                else "The daemon was not restarted."
            ),
        )

    def _not_rolled_back(
        self, cause: RemoteApiError, failures: list[RemoteApiError], lines: list[str]
    ) -> errors.DaemonError:
        """Return the error for a change that cannot be undone, the alarm first."""
        is_up = self._service.is_up(self._plan.before)
        return errors.not_rolled_back(
            state="DOCKER IS DOWN" if not is_up else "NOT EVERYTHING WAS PUT BACK",
            unit=self._plan.service,
            problem=cause,
            lines=f"; the daemon's journal: {' | '.join(lines)}" if lines else "",
            failures="; ".join(map(str, failures)),
            journal=self._journal.path,
        )


def _told(exc: Exception) -> RemoteApiError:
    """Return the error itself if it is made to be told, or else one that says where in the code it came up."""
    if isinstance(exc, RemoteApiError):
        return exc
    last = traceback.extract_tb(exc.__traceback__)[-1]
    where = f"{os.path.basename(last.filename)}, line {last.lineno}"
    return errors.unexpected(where=where, what=f"{type(exc).__name__}: {exc}")


def undo_interrupted(undo: Undo, service: Service, mode: Mode, report: Report) -> tuple[str, ...]:
    """Put back what an earlier run changed and did not finish; return the paths. Raises RemoteApiError.

    The journal stays until finish_undo(), after the present run has done its part. If not everything can be put back,
    the daemon is started all the same if it is down: it may work with the files there are.
    """
    try:
        restored = put_back(undo)
        report("files of the interrupted run put back")
        service.systemd.reload()
        report("systemd reloaded after that")
    except Exception:
        with contextlib.suppress(RemoteApiError):
            _start_if_left_down(undo, service, mode)
        raise
    return tuple(restored)


def _start_if_left_down(undo: Undo, service: Service, mode: Mode) -> None:
    """Start the daemon if it may be the interrupted run that left it down. Raises RemoteApiError."""
    if undo.restarts:
        service.start_if_down(mode.revive)


def finish_undo(undo: Undo, journal: Journal, service: Service, mode: Mode) -> None:
    """Start the daemon if the interrupted run left it down, then remove the journal. Raises RemoteApiError."""
    _start_if_left_down(undo, service, mode)
    close_journal(journal, service, reload_due=True)


def close_journal(journal: Journal, service: Service, *, reload_due: bool) -> None:
    """Remove the journal, and have systemd forget the unit that the next boot needed for it. Raises FilesError."""
    journal.commit()
    if reload_due:
        with contextlib.suppress(RemoteApiError):  # all is done: a unit that is not there any more does no harm
            service.systemd.reload()


__all__ = ("Report", "Transaction", "finish_undo", "signals_ignored", "undo_interrupted")
