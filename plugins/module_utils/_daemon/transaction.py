# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Carrying out a plan as a whole or not at all: write, reload, restart, wait for the engine, or put everything back."""

from __future__ import annotations

import contextlib
import signal
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.guard import guarded
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.journal import (
    Journal,
    Undo,
    is_applied,
    put_back,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.local_engine import (
    get_json,
    why_local_silent,
    why_tcp_silent,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.plan import Change, Plan, Settings
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.process import read_process
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import (
    FileState,
    make_directories,
    remove_file,
    write_atomically,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import Systemd

_POLL = 0.1
_PROBE_LIMIT = 5.0
_STOP_LIMIT = 15.0
_REVIVE_LIMIT = 60.0
# What a killed process had begun, such as asking systemd for a restart, is over by then.
_ECHO = 1.0
_UNIT_DIRECTORIES = ("/etc/systemd/", "/run/systemd/", "/usr/lib/systemd/", "/lib/systemd/", "/usr/local/lib/systemd/")

Reached = t.Callable[[str], None]


@dataclass(frozen=True)
class Timing:
    """Time limits in seconds: for the engine to answer, and how long it must then keep running."""

    ready: float
    settle: float

    @property
    def revive(self) -> float:
        """How long a daemon may take that ran before: what it could not do in time was not its configuration."""
        return max(self.ready, _REVIVE_LIMIT)


@contextlib.contextmanager
def undisturbed() -> t.Iterator[None]:
    """Keep a lost connection or a stopped play from ending the process half-way: it comes to its own end.

    SIGHUP and SIGTERM are what sshd and a terminal send; every wait inside has its own time limit.
    """
    signals = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, signal.SIG_IGN) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before):
            signal.signal(number, handler or signal.SIG_DFL)


def undo_interrupted(undo: Undo, systemd: Systemd, timing: Timing, reached: Reached) -> tuple[str, ...]:
    """Put back what an earlier run changed and did not finish; return the paths. Raises RemoteApiError.

    The journal stays until finish_undo(), after the present run has done its part. When not everything can be put
    back, the daemon is started all the same if it is down: it may do with what there is.
    """
    try:
        restored = put_back(undo)
        reached("files of the interrupted run put back")
        systemd.reload()
        reached("systemd reloaded after that")
    except RemoteApiError:
        with contextlib.suppress(errors.DaemonError):
            _start_if_down(systemd, timing)
        raise
    return tuple(restored)


def finish_undo(journal: Journal, systemd: Systemd, timing: Timing) -> None:
    """Start the daemon if the interrupted run left it down, then forget the journal. Raises RemoteApiError."""
    _start_if_down(systemd, timing)
    _close(journal, systemd, reload_due=True)


def _start_if_down(systemd: Systemd, timing: Timing) -> None:
    """Start the daemon unless it runs. Raises DaemonError."""
    state = systemd.state()
    if not state.is_running:
        _restart("fd://" in systemd.loaded_command(), systemd, timing.revive)
        _wait_until_started(systemd, state.main_pid, time.monotonic() + timing.revive, timing.revive)


def _close(journal: Journal, systemd: Systemd, *, reload_due: bool) -> None:
    """Forget the journal, and have systemd forget the unit that the next boot needed it for. Raises FilesError."""
    journal.commit()
    if reload_due:
        with contextlib.suppress(errors.DaemonError):  # all is done: a unit that is not there any more does no harm
            systemd.reload()


def carry_out(
    plan: Plan, systemd: Systemd, journal: Journal, timing: Timing, reached: Reached, *, restart: bool
) -> None:
    """Carry out the plan; with ``restart``, restart the daemon once and wait until it answers.

    ``reached`` is told of each step once it is done. Raises RolledBackError when it does not work and everything is
    as it was, with the daemon answering; NotRolledBackError otherwise, and then the journal stays for the next run.
    Should this process be killed meanwhile, another one finishes or undoes the change.
    """
    attempt = _Attempt(time.time())
    with guarded(lambda: _finish_or_undo(plan, systemd, journal, timing, attempt, restart=restart)):
        undo = journal.begin([(change.path, change.before, change.after) for change in plan.changes])
        reached("journal written")
        try:
            _apply(plan, systemd, timing, reached, attempt, restart=restart)
        except RemoteApiError as problem:
            _roll_back(plan, undo, systemd, journal, timing, reached, problem, attempt)
        _close(journal, systemd, reload_due=plan.reload_due)
        reached("journal removed")


def _finish_or_undo(
    plan: Plan, systemd: Systemd, journal: Journal, timing: Timing, attempt: _Attempt, *, restart: bool
) -> None:
    """See to the end of a change whose process was killed: where it was is seen, not remembered.

    It stands when every file is as planned and the restarted daemon proves itself. Everything else is undone, which
    raises RolledBackError or NotRolledBackError.
    """
    time.sleep(_ECHO)
    undo = journal.pending()
    if undo is None:
        return
    state = systemd.state()
    is_untouched = state.is_running and not state.has_job and state.main_pid == (plan.running and plan.running.pid)
    attempt.reloaded = plan.live_restore is not None and plan.running is not None
    attempt.restarted = restart and not is_untouched
    problem: RemoteApiError = errors.run_killed(unit=plan.service)
    if attempt.restarted and is_applied(undo):
        try:
            _prove(plan, systemd, timing, _unheard)
            _close(journal, systemd, reload_due=plan.reload_due)
            return
        except RemoteApiError as found:
            problem = found
    _roll_back(plan, undo, systemd, journal, timing, _unheard, problem, attempt)


def _unheard(step: str) -> None:
    """Tell nobody of a step: whoever wanted to know was killed."""


@dataclass
class _Attempt:
    """When a change began (seconds since 1970), and whether the daemon was told to reload or to restart in it."""

    started: float
    reloaded: bool = False
    restarted: bool = False


def _apply(plan: Plan, systemd: Systemd, timing: Timing, reached: Reached, attempt: _Attempt, *, restart: bool) -> None:
    """Do what the plan says, step by step. Raises RemoteApiError at the first that fails.

    Files are written in the plan's order: daemon.json comes first, since a key that is nowhere does no harm should
    the host reboot in between, and a key in both places keeps the daemon from starting.
    """
    for change in plan.changes:
        _write(plan, change)
        reached(f"{change.path} {'removed' if change.after is None else 'written'}")
    if plan.reload_due:
        systemd.reload()
        reached("systemd reloaded")
        _check_loaded(plan, systemd)
    if plan.live_restore is not None and plan.running is not None:
        _set_live_restore(plan, plan.live_restore, systemd, attempt)
        reached("daemon reloaded")
    if restart:
        attempt.restarted = True
        _restart(plan.after.socket_activated, systemd, timing.ready)
        reached("restart begun")
        _prove(plan, systemd, timing, reached)


def _prove(plan: Plan, systemd: Systemd, timing: Timing, reached: Reached) -> None:
    """Return when the restarted daemon answers everywhere and has kept running for a while. Raises RemoteApiError."""
    pid = _wait_until_ready(plan, systemd, timing)
    reached("daemon answers")
    _watch(systemd, pid, timing.settle)
    reached("daemon keeps running")


def _write(plan: Plan, change: Change) -> None:
    """Write or remove one file, in one step. Raises FilesError."""
    if change.after is None:
        remove_file(change.path)
        return
    make_directories(change.path, 0o755)
    old = change.before or FileState(b"", _new_mode(plan, change.path), 0, 0, 0)
    write_atomically(change.path, change.after, mode=old.mode, uid=old.uid, gid=old.gid)


def _new_mode(plan: Plan, path: str) -> int:
    """Return the mode of a file that was not there: a copy of daemon.json is as private as the original may be."""
    return 0o600 if path.startswith(f"{plan.daemon_json}.") else 0o644


def _check_loaded(plan: Plan, systemd: Systemd) -> None:
    """Raise DaemonError unless systemd, after reloading, would run the command that was planned."""
    loaded = systemd.loaded_command()
    if f"${plan.variable}" in plan.command.value.split() and f"${plan.variable}" not in loaded.split():
        raise errors.other_command_loaded(unit=plan.service, loaded=loaded)


def _set_live_restore(plan: Plan, wanted: bool, systemd: Systemd, attempt: _Attempt) -> None:
    """Make the running daemon take live-restore from daemon.json before it is restarted. Raises DaemonError.

    It is one of the settings that a reload changes (dockerd reference, "Configuration reload behavior").
    """
    if _has_live_restore(plan.before) in (wanted, None):
        return
    attempt.reloaded = True
    systemd.reload_daemon()
    deadline = time.monotonic() + _STOP_LIMIT
    while _has_live_restore(plan.before) != wanted:
        if time.monotonic() > deadline:
            raise errors.live_restore_not_taken(unit=plan.service, state="on" if wanted else "off")
        time.sleep(_POLL)


def _has_live_restore(settings: Settings) -> bool | None:
    """Return whether the running daemon says that containers keep running without it; None when it does not answer."""
    for path in settings.local_sockets:
        info = get_json(path, "/info")
        if info:
            return bool(info.get("LiveRestoreEnabled"))
    return None


def _restart(socket_activated: bool, systemd: Systemd, limit: float) -> None:
    """Restart the service without waiting, its socket too where that does not listen. Raises DaemonError.

    A service that takes its socket from systemd cannot start while the socket unit is stopped, and the socket unit
    refuses to start while the service runs: so in that case the service stops first.
    """
    _end_endless_start(systemd)
    systemd.reset_failed()
    if socket_activated and not systemd.socket_is_active():
        systemd.start_job("stop", systemd.service)
        _wait_until_stopped(systemd, limit)
        systemd.start_job("start", systemd.socket)
        systemd.start_job("start", systemd.service)
        return
    systemd.start_job("restart", systemd.service)


def _end_endless_start(systemd: Systemd) -> None:
    """Stop a service that is starting, over and over or forever (TimeoutStartSec=0), so that it can begin anew.

    What does not heed the request to stop is killed.
    """
    if systemd.state().active != "activating":
        return
    systemd.start_job("stop", systemd.service)
    try:
        _wait_until_stopped(systemd, _STOP_LIMIT)
    except errors.DaemonError:
        systemd.kill()
        _wait_until_stopped(systemd, _STOP_LIMIT)


def _wait_until_stopped(systemd: Systemd, limit: float) -> None:
    """Return when the service has no process any more. Raises DaemonError after ``limit`` seconds."""
    _wait_until(lambda: systemd.state().active in ("inactive", "failed"), systemd.service, limit)


def _wait_until(stopped: t.Callable[[], bool], unit: str, limit: float) -> None:
    """Return when the unit has stopped. Raises DaemonError after ``limit`` seconds."""
    deadline = time.monotonic() + limit
    while not stopped():
        if time.monotonic() > deadline:
            raise errors.does_not_stop(unit=unit, seconds=limit)
        time.sleep(_POLL)


def _wait_until_ready(plan: Plan, systemd: Systemd, timing: Timing) -> int:
    """Return the daemon's process number when it runs with the planned arguments and answers everywhere.

    Raises DaemonError when it ends, or does not get there in time.
    """
    deadline = time.monotonic() + timing.ready
    pid = _wait_until_started(systemd, plan.running.pid if plan.running else 0, deadline, timing.ready)
    while True:
        silent = _silent(plan)
        if not silent:
            break
        if time.monotonic() > deadline or systemd.state().main_pid != pid:
            raise errors.engine_silent(unit=plan.service, where="; ".join(silent))
        time.sleep(_POLL)
    process = read_process(pid)
    if process is not None and process.argv[1:] != plan.argv[1:]:
        raise errors.other_arguments(unit=plan.service, argv=" ".join(process.argv))
    return pid


def _silent(plan: Plan) -> list[str]:
    """Return where the engine does not answer yet, each with the reason; the local sockets are asked first."""
    silent = _silent_sockets(plan.after)
    certificate = plan.tls.certificate if plan.tls else None
    for address in plan.after.listen if not silent else ():
        why = why_tcp_silent(address, tls=plan.after.uses_tls, certificate=certificate, timeout=_PROBE_LIMIT)
        silent += [f"tcp://{address.host}:{address.port}: {why}"] if why else []
    return silent


def _silent_sockets(settings: Settings) -> list[str]:
    """Return the local sockets on which the engine does not answer, each with the reason."""
    asked = [(path, why_local_silent(path, _PROBE_LIMIT)) for path in settings.local_sockets]
    return [f"{path}: {why}" for path, why in asked if why]


def _wait_until_started(systemd: Systemd, before: int, deadline: float, limit: float) -> int:
    """Return the number of the service's new main process once it has started. Raises DaemonError."""
    while True:
        state = systemd.state()
        if state.is_running and state.main_pid != before:
            return state.main_pid
        if state.has_failed:
            result = f" (result: {state.result})" if state.result not in ("", "success") else ""
            raise errors.did_not_start(unit=systemd.service, result=result)
        if time.monotonic() > deadline:
            raise errors.starts_too_slowly(unit=systemd.service, seconds=limit)
        time.sleep(_POLL)


def _watch(systemd: Systemd, pid: int, seconds: float) -> None:
    """Return when the process has lived through these seconds. Raises DaemonError when it ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(min(0.5, seconds))
        state = systemd.state()
        if state.main_pid != pid or not state.is_running:
            raise errors.did_not_stay(unit=systemd.service, result=state.result)


def _roll_back(
    plan: Plan,
    undo: Undo,
    systemd: Systemd,
    journal: Journal,
    timing: Timing,
    reached: Reached,
    problem: RemoteApiError,
    attempt: _Attempt,
) -> t.NoReturn:
    """Put every file back and the daemon with it; always raises, with what went wrong and what was done about it.

    The daemon is started even when a file could not be put back: it may do with what there is.
    """
    touched = attempt.reloaded or attempt.restarted
    lines = systemd.journal(attempt.started) if touched else []
    restored: list[str] = []
    failures: list[RemoteApiError] = []
    answers = True
    try:
        restored = put_back(undo)
        reached("files put back")
    except RemoteApiError as worse:
        failures.append(worse)
    reload_due = plan.reload_due or any(path.startswith(_UNIT_DIRECTORIES) for path in restored)
    try:
        if reload_due:
            systemd.reload()
    except RemoteApiError as worse:
        failures.append(worse)
    try:
        if attempt.restarted:
            _revive(plan, systemd, timing)
        elif attempt.reloaded:
            systemd.reload_daemon()
        reached("daemon as before")
        if not failures:
            _close(journal, systemd, reload_due=reload_due)
    except RemoteApiError as worse:
        failures.append(worse)
        answers = not _silent_sockets(plan.before)
    if failures:
        raise errors.not_rolled_back(plan.service, problem, failures, journal.path, lines, answers=answers) from problem
    raise errors.rolled_back(problem, restored, lines, restarted=attempt.restarted) from problem


def _revive(plan: Plan, systemd: Systemd, timing: Timing) -> None:
    """Start the daemon as it was before and wait until it answers on its local sockets. Raises DaemonError.

    There is a second attempt: the first may have met a systemd that was busy with itself, and left the daemon stopped.
    """
    try:
        _start_as_before(plan, systemd, timing)
    except errors.DaemonError:
        if not _silent_sockets(plan.before):
            return
        _start_as_before(plan, systemd, timing)


def _start_as_before(plan: Plan, systemd: Systemd, timing: Timing) -> None:
    """Start the daemon and wait until it answers on its local sockets as before. Raises DaemonError.

    Its socket unit starts anew too: after being masked and unmasked it is active and yet hands on no socket.
    """
    state = systemd.state()
    _end_endless_start(systemd)
    if plan.before.socket_activated and not state.is_running:
        systemd.start_job("stop", systemd.socket)
        _wait_until(lambda: not systemd.socket_is_active(), systemd.socket, _STOP_LIMIT)
    _restart(plan.before.socket_activated, systemd, timing.revive)
    deadline = time.monotonic() + timing.revive
    _wait_until_started(systemd, state.main_pid, deadline, timing.revive)
    while True:
        silent = _silent_sockets(plan.before)
        if not silent:
            return
        if time.monotonic() > deadline:
            raise errors.engine_silent(unit=plan.service, where="; ".join(silent))
        time.sleep(_POLL)


__all__ = ("Reached", "Timing", "carry_out", "finish_undo", "undisturbed", "undo_interrupted")
