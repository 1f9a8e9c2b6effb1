# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The whole job on one host, under the service's lock: undo what an interrupted run left, plan, check, carry out."""

from __future__ import annotations

import contextlib
import glob
import os
import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.dockerfleet.remote_api.plugins.module_utils import _systemd
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.journal import Journal, exclusive
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import Mode, Plan, Request
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import parse_host
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.plan import make_plan, present_tls_files
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.process import read_process
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.restart import restart_reasons
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.tls_files import TlsFiles
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.unit import drop_in_path
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import Change
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import Run, ServiceState, Systemd

if t.TYPE_CHECKING:
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.transaction import Report


_OTHER_ENGINES = {
    "/etc/systemd/system/snap.docker.*.service": "Docker as a snap",
    "/home/*/.config/systemd/user/docker.service": "a rootless Docker of a user's",
    "/run/user/*/docker.sock": "a rootless Docker of a user's",
    "/usr/bin/podman": "Podman",
}
_STAYS_STOPPED = (
    "{service} is stopped and stays so. All is prepared. It takes effect, and can be verified, once the service runs."
)
_POLL = 0.2
_NOT_AT_BOOT = "{service} is not enabled: after a reboot the API is gone until somebody starts it."


@dataclass(frozen=True)
class Outcome:
    """What was done, or would be in check mode: the plan, and what became of the restart."""

    plan: Plan
    changed: bool
    restarted: bool
    restart_due: bool
    undone: tuple[str, ...]
    containers_stopped: int
    warnings: tuple[str, ...]


def ignore(step: str) -> None:
    """Ignore progress reports."""


class Session:
    """The daemon's configuration on this host, for as long as the service's lock is held. See open_session().

    ``undone`` are the files that an interrupted run had changed and that were put back; ``left_down``: that run may
    have left the daemon down.
    """

    def __init__(
        self,
        systemd: Systemd,
        run: Run,
        mode: Mode,
        report: Report,
        undone: tuple[str, ...] = (),
        *,
        left_down: bool = False,
    ) -> None:
        self.undone = undone
        self._left_down = left_down
        self._systemd = systemd
        self._run = run
        self._mode = mode
        self._report = report
        self._state: ServiceState | None = None

    def _service_state(self) -> ServiceState:
        """Return what systemd says of the service, asked once. Raises RemoteApiError if no unit can be started.

        A service that somebody else starts, stops or restarts just now is waited for: the host has just booted, say,
        and the daemon takes its time to restore its containers. What it is told and presents is seen once it runs.
        """
        if self._state is None:
            deadline = time.monotonic() + self._mode.timeout
            state = self._systemd.state()
            while state.is_changing and time.monotonic() < deadline:
                time.sleep(_POLL)
                state = self._systemd.state()
            _require_unit(self._systemd.service, state)
            self._state = state
        return self._state

    def present_tls_files(self, request: Request) -> TlsFiles | None:
        """Return the TLS files that the daemon is told to use today; None if it speaks no TLS.

        Raises RemoteApiError.
        """
        self._service_state()
        return present_tls_files(request)

    def plan(self, request: Request, changes: t.Sequence[Change] = (), *, certificate_due: bool = False) -> Plan:
        """Return the plan, checked against host and engine. Changes nothing. Raises RemoteApiError.

        ``changes`` of other files become a part of it. ``certificate_due``: the host's certificate is still to be
        issued, which takes a restart.
        """
        state = self._service_state()
        running = read_process(state.main_pid) if state.main_pid else None
        if request.absent:
            # Hardly any run takes the Remote API away: compiling this would cost each of them.
            from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.removal import (
                make_removal_plan,
            )

            plan = make_removal_plan(request, state, running)
        else:
            plan = make_plan(request, state, running, changes)
        self._check_socket_unit(plan, request)
        due = ["its certificate or its CA is still to be made"] if certificate_due else []
        reasons = [*due, *restart_reasons(plan, state)]
        stopped = state.is_stopped and not self._left_down and not self._systemd.socket_is_active()
        warnings = plan.warnings if state.at_boot else (*plan.warnings, _NOT_AT_BOOT.format(service=request.service))
        plan = replace(plan, restart_reasons=tuple(reasons), stays_stopped=stopped, warnings=warnings)
        if plan.changes or reasons or self._mode.restart == "always":
            # Most runs change nothing: compiling the checks would cost each of them.
            from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import preflight, record

            plan = with_activation_sockets(plan, self._systemd.socket_paths())
            if plan.changes and not request.absent:
                kept = record.update(request.service, plan.changes)
                plan = replace(plan, changes=(*plan.changes, kept))
            check_mode = self._mode.check
            preflight.check(plan, self._systemd, self._run, certificate_due=certificate_due, check_mode=check_mode)
        return plan

    def _check_socket_unit(self, plan: Plan, request: Request) -> None:
        """Raise DaemonError when systemd would hand the daemon a TCP address on which it lets everybody in."""
        if request.allow_insecure or plan.after.verifies_clients or not plan.after.socket_activated:
            return
        addresses = [f"tcp://{text}" for text in self._systemd.socket_addresses()]
        exposed = [text for text in addresses if (found := parse_host(text)) and not found.is_loopback]
        if exposed:
            raise errors.insecure(where=self._systemd.socket, addresses=", ".join(exposed))

    def carry_out(self, plan: Plan) -> Outcome:
        """Carry out the plan, unless in check mode, and return what became of it. Raises RemoteApiError."""
        restart_due = bool(plan.restart_reasons) or self._mode.restart == "always"
        restart = self._mode.restart == "always" or (
            restart_due and self._mode.restart != "never" and not plan.stays_stopped
        )
        stopped = 0
        if restart_due:
            # Most runs change nothing: compiling the checks would cost each of them.
            from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import preflight

            stopped = preflight.containers_to_stop(plan)
        if (plan.changes or restart) and not self._mode.check:
            # Most runs change nothing: compiling the transaction would cost each of them.
            from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import service, transaction

            daemon = service.Service(self._systemd, service.Clock())
            with transaction.signals_ignored():
                change = transaction.Transaction(plan, daemon, Journal(plan.service), self._mode, self._report)
                change.run(restart=restart)
            if any(change.path == drop_in_path(plan.service) and change.after is None for change in plan.changes):
                with contextlib.suppress(OSError):  # it has drop-ins of others
                    os.rmdir(os.path.dirname(drop_in_path(plan.service)))
        changed = bool(plan.changes or restart or self.undone)
        due = restart_due and not restart
        warnings = (*plan.warnings, *_restart_warnings(plan, stopped, due=due, done=restart and not self._mode.check))
        return Outcome(plan, changed, restart, due, self.undone, stopped, warnings)


def configure(request: Request, mode: Mode, run: Run, report: Report = ignore) -> Outcome:
    """Bring the daemon's options, its unit and the running daemon to what is requested. Raises RemoteApiError.

    Whether a restart is due is seen on the running daemon, not remembered: what an earlier run wrote and could not
    apply is applied by this one. ``report`` is told of each step of a change once it is done.
    """
    with open_session(request.service, mode, run, report) as session:
        return session.carry_out(session.plan(request))


@contextlib.contextmanager
def open_session(service: str, mode: Mode, run: Run, report: Report = ignore) -> t.Iterator[Session]:
    """Hold the lock of the service, and first put back what an interrupted run left.

    In check mode nothing is locked or written. Raises DaemonError for a host without systemd, and whatever the block
    raises; the interrupted run's journal is removed in that case too, once the daemon runs.
    """
    if not os.path.isdir("/run/systemd/system"):
        raise _systemd.no_systemd()
    systemd = Systemd(service, run)
    journal = Journal(service)
    if mode.check:
        left = journal.pending()
        paths = tuple(entry.path for entry in left.entries) if left else ()
        yield Session(systemd, run, mode, report, paths, left_down=bool(left and left.restarts))
        return
    with exclusive(service, mode.timeout):
        left = journal.pending()
        if left is None:
            yield Session(systemd, run, mode, report)
            return
        # Hardly any run meets the journal of another: compiling this would cost each of them.
        from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import transaction
        from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.service import Clock, Service

        daemon = Service(systemd, Clock())
        with transaction.signals_ignored():
            undone = transaction.undo_interrupted(left, daemon, mode, report)
            try:
                yield Session(systemd, run, mode, report, undone, left_down=left.restarts)
            except errors.NotRolledBackError:
                raise
            except Exception:
                transaction.finish_undo(left, journal, daemon, mode)
                raise
            transaction.finish_undo(left, journal, daemon, mode)


def with_activation_sockets(plan: Plan, paths: tuple[str, ...]) -> Plan:
    """Return the plan with the paths of the local sockets that systemd passes to the daemon."""
    before = replace(plan.before, activation_sockets=paths)
    return replace(plan, before=before, after=replace(plan.after, activation_sockets=paths))


def _require_unit(service: str, state: ServiceState) -> None:
    """Return if there is a unit that can be started. Raises RemoteApiError that says what is there instead."""
    if state.load == "masked":
        raise _systemd.masked_service(service=service)
    for pattern, what in _OTHER_ENGINES.items() if state.load == "not-found" or state.is_generated else ():
        if glob.glob(pattern):
            raise errors.other_engine(service=service, what=what)
    if state.load == "not-found":
        raise _systemd.no_service(service=service)


def _restart_warnings(plan: Plan, containers: int, *, due: bool, done: bool) -> t.Iterator[str]:
    """Yield what the user has to know of a restart that was ``done``, is still ``due``, or would be done."""
    if containers:
        verb = "stopped" if done else "would stop"
        yield f"The restart {verb} {containers} running containers, since live-restore is off."
    if due and plan.stays_stopped:
        yield _STAYS_STOPPED.format(service=plan.service)
    elif due:
        yield f"The daemon has to be restarted ({', '.join(plan.restart_reasons)}), but the option restart forbids it."


__all__ = ("Mode", "Outcome", "Session", "configure", "ignore", "open_session", "with_activation_sockets")
