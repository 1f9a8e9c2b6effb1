# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The running daemon: starting it, waiting for it, watching it. Every wait has a limit."""

from __future__ import annotations

import contextlib
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.endpoint import why_tcp_silent
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.engine import (
    Inventory,
    get_json,
    inventory,
    why_local_silent,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import DaemonSettings, Plan
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.process import read_process
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.restart import expected_certificate
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import Systemd

_POLL = 0.1
_PROBE_LIMIT = 5.0
_STOP_LIMIT = 15.0
_INFO_LIMIT = 60.0  # of hosts with thousands of containers, or slow disks

_Found = t.TypeVar("_Found")


@dataclass(frozen=True)
class Clock:
    """The clock, in seconds: the time since 1970, a monotonic time, and a function that sleeps."""

    now: t.Callable[[], float] = time.time
    monotonic: t.Callable[[], float] = time.monotonic
    sleep: t.Callable[[float], None] = time.sleep


class Service:
    """The daemon's service on this host. Limits are in seconds; every method may raise SystemdError."""

    def __init__(self, systemd: Systemd, clock: Clock) -> None:
        self.systemd = systemd
        self.clock = clock

    @property
    def name(self) -> str:
        """The full name of the unit."""
        return self.systemd.service

    def poll(
        self, condition: t.Callable[[], _Found | None], limit: float, failure: t.Callable[[], RemoteApiError]
    ) -> _Found:
        """Return what ``condition`` returns once it is true. Raises what ``failure`` returns after the limit."""
        deadline = self.clock.monotonic() + limit
        while True:
            found = condition()
            if found:
                return found
            if self.clock.monotonic() > deadline:
                raise failure()
            self.clock.sleep(_POLL)

    def restart(self, *, socket_activated: bool, limit: float) -> None:
        """Ask for a restart without waiting for it; of the socket unit, too, if that does not listen.

        A service that takes its socket from systemd cannot start while the socket unit is stopped, and the socket unit
        refuses to start while the service runs: so in that case the service stops first. A stop that fails is
        forgotten, so that it is not taken for one of the start. Raises DaemonError.
        """
        self._end_endless_start()
        self.systemd.reset_failed()
        if socket_activated and not self.systemd.socket_is_active():
            self.systemd.start_job("stop", self.name)
            self._wait_until_stopped(limit)
            self.systemd.reset_failed()
            self.systemd.start_job("start", self.systemd.socket)
            self.systemd.start_job("start", self.name)
            return
        self.systemd.start_job("restart", self.name)

    def _end_endless_start(self) -> None:
        """Stop a service that keeps starting, or starts forever (TimeoutStartSec=0); kill it if it does not stop."""
        if self.systemd.state().active != "activating":
            return
        self.systemd.start_job("stop", self.name)
        try:
            self._wait_until_stopped(_STOP_LIMIT)
        except errors.DaemonError:
            self.systemd.kill()
            self._wait_until_stopped(_STOP_LIMIT)

    def _wait_until_stopped(self, limit: float) -> None:
        """Return once the service has no process any more. Raises DaemonError."""
        self._wait_until(lambda: self.systemd.state().active in ("inactive", "failed"), self.name, limit)

    def _wait_until(self, stopped: t.Callable[[], bool], unit: str, limit: float) -> None:
        """Return once the unit has stopped. Raises DaemonError."""
        self.poll(stopped, limit, lambda: errors.does_not_stop(unit=unit, seconds=limit))

    def wait_until_started(self, old_pid: int, limit: float) -> int:
        """Return the number of the new main process once the service has started. Raises DaemonError."""

        def new_pid() -> int | None:
            state = self.systemd.state()
            if state.is_running and state.main_pid != old_pid:
                return state.main_pid
            if state.has_failed:
                result = f" (result: {state.result})" if state.result not in ("", "success") else ""
                raise errors.did_not_start(unit=self.name, result=result)
            return None

        return self.poll(new_pid, limit, lambda: errors.starts_too_slowly(unit=self.name, seconds=limit))

    def wait_until_ready(self, plan: Plan, limit: float) -> int:
        """Return the number of the daemon's process once it answers on every address with the planned arguments.

        Raises DaemonError if it ends, or does not get there in time.
        """
        deadline = self.clock.monotonic() + limit
        pid = self.wait_until_started(plan.running.pid if plan.running else 0, limit)
        silent: list[str] = []

        def answers() -> bool:
            silent[:] = _silent_addresses(plan)
            if silent and self.systemd.state().main_pid != pid:
                raise errors.engine_silent(unit=self.name, where="; ".join(silent))
            return not silent

        left = max(deadline - self.clock.monotonic(), 0.0)
        self.poll(answers, left, lambda: errors.engine_silent(unit=self.name, where="; ".join(silent)))
        process = read_process(pid)
        if process is not None and process.argv[1:] != plan.argv[1:]:
            raise errors.other_arguments(unit=self.name, argv=" ".join(process.argv))
        return pid

    def watch(self, pid: int, seconds: float) -> None:
        """Return if the process lives through these seconds. Raises DaemonError if it ends."""
        until = self.clock.monotonic() + seconds
        while self.clock.monotonic() < until:
            self.clock.sleep(min(0.5, seconds))
            state = self.systemd.state()
            if state.main_pid != pid or not state.is_running:
                raise errors.did_not_stay(unit=self.name, result=state.result)

    def start_if_down(self, limit: float) -> None:
        """Start the daemon unless it runs. Raises DaemonError."""
        if not self.systemd.state().is_running:
            self._start_anew(socket_activated="fd://" in self.systemd.loaded_command(), limit=limit)

    def _start_anew(self, *, socket_activated: bool, limit: float) -> int:
        """Restart the daemon, or start it if it is down, and return its process once it runs. Raises DaemonError.

        While the service is still stopping, only a restart is queued, and systemd starts the service once it has
        stopped or was killed. To stop the socket unit, which the service requires, would cancel that. Otherwise the
        socket unit of a service that is down is restarted as well: one that was masked and unmasked is active, and yet
        passes on no socket.
        """
        state = self.systemd.state()
        if state.active == "deactivating":
            self.systemd.reset_failed()
            self.systemd.start_job("restart", self.name)
            return self.wait_until_started(state.main_pid, limit + self.systemd.stop_limit())
        self._end_endless_start()
        if socket_activated and not state.is_running:
            self.systemd.start_job("stop", self.systemd.socket)
            self._wait_until(lambda: not self.systemd.socket_is_active(), self.systemd.socket, _STOP_LIMIT)
        self.restart(socket_activated=socket_activated, limit=limit)
        return self.wait_until_started(state.main_pid, limit)

    def is_up(self, settings: DaemonSettings, old_pid: int = 0) -> bool:
        """Return whether the service runs in another process than ``old_pid`` and answers on its local sockets.

        If systemd does not answer, the service counts as down.
        """
        try:
            state = self.systemd.state()
        except RemoteApiError:
            return False
        return state.is_running and state.main_pid != old_pid and not silent_sockets(settings)

    def revive(self, settings: DaemonSettings, limit: float, settle: float) -> None:
        """Start the daemon with its old settings and wait until it answers on its local sockets. Raises DaemonError.

        One without local sockets has to keep running for ``settle`` seconds instead.
        There is a second attempt: the first may meet a systemd that is busy with itself, and leave the daemon stopped.
        After that, the start stays queued, so that the daemon starts once what is in its way has ended.
        """
        old_pid = None
        try:
            old_pid = self.systemd.state().main_pid
            self._start_as_before(settings, limit, settle)
        except RemoteApiError:
            if settings.local_sockets and old_pid is not None and self.is_up(settings, old_pid):
                return
            try:
                self._start_as_before(settings, limit, settle)
            except RemoteApiError:
                with contextlib.suppress(RemoteApiError):
                    self.systemd.start_job("start", self.name)
                raise

    def _start_as_before(self, settings: DaemonSettings, limit: float, settle: float) -> None:
        """Do one attempt of revive(). Raises DaemonError."""
        pid = self._start_anew(socket_activated=settings.socket_activated, limit=limit)
        if not settings.local_sockets:
            self.watch(pid, settle)
        self.poll(
            lambda: not silent_sockets(settings),
            limit,
            lambda: errors.engine_silent(unit=self.name, where="; ".join(silent_sockets(settings))),
        )

    def set_live_restore(self, settings: DaemonSettings, wanted: bool) -> bool:
        """Make the running daemon take live-restore from daemon.json; return whether that took a reload.

        It is one of the settings that a reload changes (dockerd reference, "Configuration reload behavior").
        Raises DaemonError.
        """
        current = _has_live_restore(settings)
        if current is None:
            raise errors.live_restore_unknown(unit=self.name)
        if current == wanted:
            return False
        self.systemd.reload_daemon()
        state = "on" if wanted else "off"
        self.poll(
            lambda: _has_live_restore(settings) == wanted,
            _STOP_LIMIT,
            lambda: errors.live_restore_not_taken(unit=self.name, state=state),
        )
        return True


def _has_live_restore(settings: DaemonSettings) -> bool | None:
    """Return whether containers keep running without the daemon, as it says; None if it does not answer."""
    for path in settings.local_sockets:
        info = get_json(path, "/info", _INFO_LIMIT)
        if info:
            return bool(info.get("LiveRestoreEnabled"))
    return None


def read_inventory(settings: DaemonSettings) -> Inventory | None:
    """Return what the engine keeps; None if it does not answer."""
    found = (inventory(path, _INFO_LIMIT) for path in settings.local_sockets)
    return next((item for item in found if item), None)


def silent_sockets(settings: DaemonSettings) -> list[str]:
    """Return the local sockets on which the engine does not answer, each with the reason."""
    asked = [(path, why_local_silent(path, _PROBE_LIMIT)) for path in settings.local_sockets]
    return [f"{path}: {why}" for path, why in asked if why]


def _silent_addresses(plan: Plan) -> list[str]:
    """Return where the engine does not answer, each with the reason; TCP is asked once the local sockets answer."""
    silent = silent_sockets(plan.after)
    certificate = expected_certificate(plan)
    for address in plan.after.listen if not silent else ():
        why = why_tcp_silent(address, tls=plan.after.uses_tls, certificate=certificate, timeout=_PROBE_LIMIT)
        silent += [f"tcp://{address.host}:{address.port}: {why}"] if why else []
    return silent


__all__ = ("Clock", "Service", "read_inventory", "silent_sockets")
