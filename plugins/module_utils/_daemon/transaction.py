# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Carrying out a plan as a whole or not at all: write, reload, restart, wait for the engine, or put everything back."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.journal import Entry, Journal, put_back
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.local_engine import (
    why_local_silent,
    why_tcp_silent,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.plan import Plan
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.process import read_process
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.systemd import Systemd
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import (
    FileState,
    remove_file,
    write_atomically,
)

_POLL = 0.1
_PROBE_LIMIT = 5.0
_STOP_LIMIT = 15.0
_UNIT_DIRECTORIES = ("/etc/systemd/", "/run/systemd/", "/usr/lib/systemd/", "/lib/systemd/", "/usr/local/lib/systemd/")


@dataclass(frozen=True)
class Timing:
    """Time limits in seconds: for the engine to answer, and how long it must then keep running."""

    ready: float
    settle: float = 6.0


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
            signal.signal(number, handler)


def undo_interrupted(journal: Journal, systemd: Systemd) -> list[str]:
    """Put back what an earlier run changed and did not finish; return the paths. Raises RemoteApiError."""
    entries = journal.pending()
    if not entries:
        return []
    restored = put_back(entries)
    systemd.reload()
    journal.commit()
    return restored


def carry_out(plan: Plan, systemd: Systemd, journal: Journal, timing: Timing, *, restart: bool) -> None:
    """Carry out the plan; with ``restart``, restart the daemon once and wait until it answers.

    Raises DaemonError when it does not work: with ``rolled_back`` when everything is as it was and the daemon
    answers; otherwise the journal stays for the next run.
    """
    entries = journal.begin([(change.path, change.before, change.after) for change in plan.changes])
    started = time.time()
    touched_daemon = False
    try:
        _write(plan)
        if plan.reload_due:
            systemd.reload()
        _check_loaded(plan, systemd)
        if restart:
            touched_daemon = True
            _restart(plan.socket_activated, systemd, timing.ready)
            _wait_until_ready(plan, systemd, timing)
    except RemoteApiError as problem:
        _roll_back(plan, entries, systemd, journal, timing, problem, started, touched_daemon=touched_daemon)
    journal.commit()


def _write(plan: Plan) -> None:
    """Write the files of the plan, each in one step, in an order in which a reboot in between finds a good daemon.

    daemon.json comes first: a key that is nowhere is harmless, a key in both places is not.
    """
    for change in plan.changes:
        if change.after is None:
            remove_file(change.path)
            continue
        os.makedirs(os.path.dirname(change.path), mode=0o755, exist_ok=True)
        old = change.before or FileState(b"", _new_mode(plan, change.path), 0, 0, 0)
        write_atomically(change.path, change.after, mode=old.mode, uid=old.uid, gid=old.gid)


def _new_mode(plan: Plan, path: str) -> int:
    """Return the mode of a file that was not there: a copy of daemon.json is as private as the original may be."""
    return 0o600 if path.startswith(f"{plan.daemon_json}.") else 0o644


def _check_loaded(plan: Plan, systemd: Systemd) -> None:
    """Raise DaemonError unless systemd, after reloading, would run the command that was planned."""
    loaded = systemd.loaded_command()
    if f"${plan.variable}" in plan.command.value.split() and f"${plan.variable}" not in loaded.split():
        raise errors.other_command_loaded(plan.service, loaded)


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


def _wait_until_stopped(systemd: Systemd, limit: float) -> None:
    """Return when the service has no process any more. Raises DaemonError after ``limit`` seconds."""
    deadline = time.monotonic() + limit
    while systemd.state().active not in ("inactive", "failed"):
        if time.monotonic() > deadline:
            raise errors.does_not_stop(systemd.service, limit)
        time.sleep(_POLL)


def _wait_until_ready(plan: Plan, systemd: Systemd, timing: Timing) -> None:
    """Return when the daemon runs with the planned arguments, answers everywhere and keeps running.

    Raises DaemonError when it ends, or does not get there in time.
    """
    deadline = time.monotonic() + timing.ready
    before = plan.running.pid if plan.running else 0
    certificate = plan.tls.certificate if plan.tls else None
    pid = _wait_until_started(systemd, before, deadline, timing.ready)
    while True:
        silent = [f"{path}: {why}" for path, why in _silent_sockets(plan.local_sockets)]
        for address in plan.listen if not silent else ():
            why = why_tcp_silent(address, certificate, _PROBE_LIMIT)
            silent += [f"tcp://{address.host}:{address.port}: {why}"] if why else []
        if not silent:
            break
        if time.monotonic() > deadline or systemd.state().main_pid != pid:
            raise errors.engine_silent(plan.service, silent)
        time.sleep(_POLL)
    process = read_process(pid)
    if process is not None and process.argv[1:] != plan.argv[1:]:
        raise errors.other_arguments(plan.service, process.argv)
    _watch(systemd, pid, timing.settle)


def _silent_sockets(paths: t.Sequence[str]) -> t.Iterator[tuple[str, str]]:
    """Yield (path, why) for each local socket on which the engine does not answer."""
    for path in paths:
        why = why_local_silent(path, _PROBE_LIMIT)
        if why:
            yield path, why


def _wait_until_started(systemd: Systemd, before: int, deadline: float, limit: float) -> int:
    """Return the number of the service's new main process once it has started. Raises DaemonError."""
    while True:
        state = systemd.state()
        if state.is_running and state.main_pid != before:
            return state.main_pid
        if state.active == "failed" or state.sub == "auto-restart":
            raise errors.did_not_start(systemd.service, state.result)
        if time.monotonic() > deadline:
            raise errors.starts_too_slowly(systemd.service, limit)
        time.sleep(_POLL)


def _watch(systemd: Systemd, pid: int, seconds: float) -> None:
    """Return when the process has lived through these seconds. Raises DaemonError when it ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(min(0.5, seconds))
        state = systemd.state()
        if state.main_pid != pid or not state.is_running:
            raise errors.did_not_stay(systemd.service, state.result)


def _roll_back(
    plan: Plan,
    entries: t.Sequence[Entry],
    systemd: Systemd,
    journal: Journal,
    timing: Timing,
    problem: RemoteApiError,
    started: float,
    *,
    touched_daemon: bool,
) -> t.NoReturn:
    """Put every file back and the daemon with it; always raises, with what went wrong and what was done about it."""
    lines = systemd.journal(started) if touched_daemon else []
    try:
        restored = put_back(entries)
        if plan.reload_due or any(path.startswith(_UNIT_DIRECTORIES) for path in restored):
            systemd.reload()
        if touched_daemon:
            _revive(plan, systemd, timing)
    except RemoteApiError as worse:
        raise errors.not_rolled_back(plan.service, problem, worse, journal.path, lines) from problem
    journal.commit()
    raise errors.rolled_back(problem, restored, lines, restarted=touched_daemon) from problem


def _revive(plan: Plan, systemd: Systemd, timing: Timing) -> None:
    """Start the daemon as it was before and wait until it answers on a local socket. Raises DaemonError."""
    state = systemd.state()
    _restart(plan.socket_activated, systemd, timing.ready)
    deadline = time.monotonic() + timing.ready
    _wait_until_started(systemd, state.main_pid, deadline, timing.ready)
    while True:
        silent = [f"{path}: {why}" for path, why in _silent_sockets(plan.local_sockets)]
        if not silent:
            return
        if time.monotonic() > deadline:
            raise errors.engine_silent(plan.service, silent)
        time.sleep(_POLL)


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


__all__ = ("Timing", "carry_out", "undisturbed", "undo_interrupted")
