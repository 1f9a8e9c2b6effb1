# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The only door to systemd: its client's commands, with a time limit and with typed answers."""

from __future__ import annotations

import json
import os
import re
import signal
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError


class SystemdError(RemoteApiError):
    """systemd or one of its commands does not do what is asked of it."""


no_systemd = SystemdError.text(
    "systemd",
    "it does not run this host (there is no /run/systemd/system)",
    "The Docker service can be managed only on hosts that systemd booted: take this host out of the play.",
)
no_service = SystemdError.text(
    "{service}",
    "systemd knows no such unit on this host",
    "Install Docker Engine first (docker.io or docker-ce), or name the service under which it runs.",
)
masked_service = SystemdError.text(
    "{service}",
    "the unit is masked, so that it cannot be started",
    "Run 'systemctl unmask {service}' and run again.",
)
command_too_slow = SystemdError.text(
    "{argv}",
    "it did not end within {timeout:.0f} seconds",
    "Run it by hand on the host to see what it waits for, then run again.",
)
command_not_run = SystemdError.text(
    "{program}", "it cannot be run ({said})", "Install it, or run as root, for example with 'become: true'."
)
systemctl_failed = SystemdError.text(
    "systemctl {words}", "it failed: {said}", "Run it by hand on the host to see why, then run again."
)


@dataclass(frozen=True)
class Completed:
    """How a command ended: its exit status and what it printed."""

    returncode: int
    stdout: str
    stderr: str


Run = t.Callable[[t.Sequence[str], float], Completed]


def runner(run_command: t.Callable[..., tuple[int, str, str]]) -> Run:
    """Return how commands are run, by a module's ``run_command``: no shell, in English, at most so many seconds each.

    The limit is kept by timeout(1), which kills the command, and with it itself (that of coreutils) or says so with
    its exit status (others): gentler signals are ignored while a change is being made. Its exit status is 126 or 127
    when the command could not be run.
    What is returned raises SystemdError in these cases.
    """

    def run(argv: t.Sequence[str], timeout: float) -> Completed:
        status, stdout, stderr = run_command(
            ["timeout", "-s", "KILL", f"{timeout:.3f}", *argv],
            environ_update={"LC_ALL": "C", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"},
            errors="replace",
            expand_user_and_vars=False,
        )
        if status in (-signal.SIGKILL, 124, 128 + signal.SIGKILL):
            raise command_too_slow(argv=" ".join(argv), timeout=timeout)
        if status in (126, 127):
            raise command_not_run(program=argv[0], said=stderr.strip())
        return Completed(status, stdout, stderr)

    return run


def unit_name(service: str) -> str:
    """Return the full name of the unit: ``docker`` means ``docker.service``, as for systemctl(1)."""
    return service if service.endswith(".service") else f"{service}.service"


@dataclass(frozen=True)
class ServiceState:
    """What systemd says of a service: ``active`` as in ``active``, ``failed``, ``activating``; its main process.

    ``at_boot``: it is enabled, or another unit wants it. ``has_begun``: it has begun to start since the host booted.
    ``is_generated``: there is no unit file, only a script of SysVinit's, which may be the rest of a removed package.
    """

    load: str
    active: str
    result: str
    main_pid: int
    restarts: int
    needs_reload: bool
    has_job: bool
    at_boot: bool = True
    has_begun: bool = True
    is_generated: bool = False

    @property
    def is_running(self) -> bool:
        """Whether the service has started and has a main process."""
        return self.active in ("active", "reloading") and self.main_pid > 0

    @property
    def is_changing(self) -> bool:
        """Whether a job that somebody asked for, such as the host's boot, has yet to start or stop the service."""
        return self.has_job and not self.is_running and not self.has_failed

    @property
    def is_stopped(self) -> bool:
        """Whether somebody stopped it, or nobody means it to run; a socket unit may start it all the same.

        A service that is to start at boot and never began to was not stopped: a unit that it needs has failed.
        """
        ended_well = self.active == "inactive" and self.result == "success" and not self.has_job
        return ended_well and (self.has_begun or not self.at_boot)

    @property
    def has_failed(self) -> bool:
        """Whether a start that was asked for has come to nothing: it failed, is tried again, or was given up.

        A restart is a stop, then a start whose job waits meanwhile. A daemon that is killed because it stops too slowly
        leaves the service ``failed`` in between (TimeoutStopSec= in systemd.service(5)), with the start still to come.
        """
        ended = self.active in ("failed", "inactive") and not self.has_job
        return ended or (self.active == "activating" and self.restarts > 0)


# The units in which systemd prints a time span, without those shorter than a second (systemd.time(7)).
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800, "month": 2629800, "y": 31557600}


class Systemd:
    """systemd as far as one service needs it. ``run`` is how commands are run."""

    def __init__(self, service: str, run: Run) -> None:
        """Speak of ``service``, a full unit name."""
        self.service = service
        self.socket = service.rpartition(".")[0] + ".socket"
        self._run = run

    def _show(self, unit: str, *names: str) -> dict[str, str]:
        """Return properties of a unit, as ``systemctl show`` prints them."""
        answer = self._run(["systemctl", "show", f"--property={','.join(names)}", unit], 30.0)
        if answer.returncode:
            raise systemctl_failed(words=f"show {unit}", said=answer.stderr.strip() or "no reason given")
        return dict(line.partition("=")[::2] for line in answer.stdout.splitlines())

    def state(self) -> ServiceState:
        """Return the service's state. Raises SystemdError where systemd does not answer."""
        found = self._show(
            self.service,
            "LoadState",
            "ActiveState",
            "Result",
            "MainPID",
            "NRestarts",
            "NeedDaemonReload",
            "Job",
            "UnitFileState",
            "WantedBy",
            "RequiredBy",
            "InactiveExitTimestampMonotonic",
        )
        enabled = found.get("UnitFileState") not in ("disabled", "linked")
        return ServiceState(
            load=found.get("LoadState", ""),
            active=found.get("ActiveState", ""),
            result=found.get("Result", ""),
            main_pid=int(found.get("MainPID") or 0),
            restarts=int(found.get("NRestarts") or 0),
            needs_reload=found.get("NeedDaemonReload") == "yes",
            has_job=found.get("Job", "") not in ("", "0"),
            at_boot=enabled or bool(found.get("WantedBy") or found.get("RequiredBy")),
            is_generated=found.get("UnitFileState") == "generated",
            has_begun=found.get("InactiveExitTimestampMonotonic") != "0",
        )

    def stop_limit(self) -> float:
        """Return how many seconds systemd lets the service take to stop before it kills it; 0 for as many as it likes.

        Raises SystemdError.
        """
        text = self._show(self.service, "TimeoutStopUSec").get("TimeoutStopUSec", "")
        return sum(int(count) * _SECONDS.get(unit, 0) for count, unit in re.findall(r"([0-9]+)([a-z]+)", text))

    def loaded_command(self) -> str:
        """Return the command as systemd has loaded it: its words joined by blanks, variables not replaced."""
        text = self._show(self.service, "ExecStart").get("ExecStart", "")
        return text.partition("argv[]=")[2].partition(" ; ignore_errors=")[0]

    def socket_is_active(self) -> bool:
        """Return whether the socket unit of the same name listens."""
        return self._run(["systemctl", "is-active", "--quiet", self.socket], 30.0).returncode == 0

    def socket_paths(self) -> tuple[str, ...]:
        """Return the paths on which the socket unit of the same name listens, none where there is no such unit."""
        answer = self._run(["systemctl", "show", "--property=Listen", self.socket], 30.0)
        return tuple(re.findall(r"(?m)^(?:Listen=)?(/.*) \(Stream\)$", answer.stdout))

    def socket_addresses(self) -> tuple[str, ...]:
        """Return the TCP addresses on which the socket unit of the same name listens, such as ``[::]:2375``."""
        answer = self._run(["systemctl", "show", "--property=Listen", self.socket], 30.0)
        return tuple(re.findall(r"(?m)^(?:Listen=)?([0-9.]+:[0-9]+|\[[^]]+\]:[0-9]+) \(Stream\)$", answer.stdout))

    def socket_load_state(self) -> str:
        """Return how systemd has loaded the socket unit of the same name: ``loaded``, ``masked``, ``not-found``."""
        return self._show(self.socket, "LoadState").get("LoadState", "")

    def reload(self) -> None:
        """Make systemd read its unit files again. Raises SystemdError."""
        self._do("daemon-reload")

    def reload_daemon(self) -> None:
        """Make the daemon read daemon.json again, without a restart. Raises SystemdError."""
        self._do("reload", self.service)

    def reset_failed(self) -> None:
        """Forget earlier failures and starts, of which only a few are allowed a minute (StartLimitBurst=)."""
        self._run(["systemctl", "reset-failed", self.service, self.socket], 30.0)

    def kill(self) -> None:
        """Kill the service's main process and what it is starting. Raises SystemdError."""
        self._do("kill", "--signal=SIGKILL", self.service)

    def start_job(self, verb: str, *units: str) -> None:
        """Queue a job without waiting for it: the unit's own time limit may be infinite. Raises SystemdError."""
        self._do("--no-block", verb, *units)

    def _do(self, *words: str) -> None:
        """Run systemctl. Raises SystemdError when it fails."""
        answer = self._run(["systemctl", *words], 90.0)
        if answer.returncode:
            raise systemctl_failed(words=" ".join(words), said=answer.stderr.strip() or "no reason given")

    def journal(self, since: float) -> list[str]:
        """Return what matters of the service's journal since a time (seconds since 1970); nothing on any failure."""
        try:
            self._run(["journalctl", "--sync"], 15.0)
            answer = self._run(
                ["journalctl", f"--unit={self.service}", f"--since=@{since:.6f}", "--lines=200", "--output=cat", "-q"],
                15.0,
            )
        except SystemdError:
            return []
        return condense(answer.stdout.splitlines())


# How dockerd and Go begin a line that says why the daemon ends.
_REASON = re.compile(r"(failed to |unable to |[Ee]rror |invalid |panic: |fatal |dockerd: |Status: )")
_LOG_LINE = re.compile(r'level=(?P<level>\w+) msg=(?P<message>"(?:[^"\\]|\\.)*"|\S+)')


def condense(lines: t.Sequence[str], limit: int = 3) -> list[str]:
    """Return why a daemon ended out of its journal: its own last errors, or else its last lines, free of decoration."""
    reasons: list[str] = []
    others: list[str] = []
    for line in lines:
        found = _LOG_LINE.search(line)
        text = _message(found.group("message")) if found else line.strip()
        is_reason = found.group("level") in ("error", "fatal", "panic") if found else bool(_REASON.match(text))
        chosen = reasons if is_reason else others
        if text and text not in chosen:
            chosen.append(text)
    return (reasons or others)[-limit:]


def _message(text: str) -> str:
    """Return the message of a log line, without the quotes that Go puts round it."""
    try:
        return str(json.loads(text)) if text.startswith('"') else text
    except ValueError:
        return text


def require_service(service: str, run: Run) -> None:
    """Return when systemd runs this machine and can start the unit; raise SystemdError otherwise. Changes nothing."""
    if not os.path.isdir("/run/systemd/system"):
        raise no_systemd()
    unit = unit_name(service)
    answer = run(["systemctl", "show", "--property=LoadState", unit], 30.0)
    state = answer.stdout.strip().partition("=")[2]
    if state == "masked":
        raise masked_service(service=unit)
    if state != "loaded":
        raise no_service(service=unit)


__all__ = (
    "Completed",
    "Run",
    "ServiceState",
    "Systemd",
    "SystemdError",
    "condense",
    "masked_service",
    "no_service",
    "no_systemd",
    "require_service",
    "runner",
    "unit_name",
)
