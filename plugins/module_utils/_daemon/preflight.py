# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Checking a plan against the engine and the host before anything is written. Read-only."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import tempfile

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors, tls_files, unit
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.engine import get_json, why_local_silent
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import Plan
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import parse_host
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.process import check_addresses, check_held
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import read_file
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import Run, Systemd, condense

_LIMIT = 60.0
_PROBE_LIMIT = 5.0
# A place where no file can be: dockerd reads its whole configuration, and gives up before it touches anything else.
_NO_PID_FILE = "/dev/null/no-daemon-is-started"


def check(plan: Plan, systemd: Systemd, run: Run, *, certificate_due: bool, check_mode: bool) -> None:
    """Return if the engine on this host would start with the plan's arguments, as far as can be told beforehand.

    ``certificate_due``: the TLS files are still to be issued, so that they are not checked. ``check_mode``: an engine
    that would make directories while it checks its configuration is not asked.
    Raises DaemonError, FilesError or SystemdError.
    """
    program = plan.argv[0]
    if not os.path.isabs(program) or not os.access(program, os.X_OK):
        raise errors.no_program(path=program, where=f"{plan.command.path}:{plan.command.first_line}")
    flags = _flags(program, run)
    for name in plan.requested:
        if name not in flags:
            close = difflib.get_close_matches(name, sorted(flags), 1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise errors.unknown_flag(name=name, program=program, hint=hint)
    if plan.tls and not certificate_due:
        tls_files.check(plan.tls, plan.content_of, plan.server_ca)
    if plan.after.socket_activated:
        _check_socket_unit(plan, systemd)
    check_addresses(plan.after.listen, plan.running.pid if plan.running else 0)
    if plan.live_restore is not None and plan.running:
        _check_answers(plan)
    _check_data_root(plan)
    _check_unit_files(plan, run)
    has_validate = "validate" in flags
    if has_validate or not check_mode:
        _check_with_engine(plan, run, has_validate=has_validate, certificate_due=certificate_due)
    if plan.after.live_restore:
        _check_no_swarm(plan)


def _check_answers(plan: Plan) -> None:
    """Raise DaemonError when the running engine does not answer: then it cannot be told to keep its containers."""
    if all(why_local_silent(path, _PROBE_LIMIT) for path in plan.before.local_sockets):
        raise errors.live_restore_unknown(unit=plan.service)


def _check_data_root(plan: Plan) -> None:
    """Raise DaemonError when a restart would move the engine's data, whatever the plan does: no undoing would help."""
    new_root = plan.before.data_root
    for path in plan.before.local_sockets if plan.running and plan.restart_reasons and not plan.moves_data else ():
        root = os.path.realpath((get_json(path, "/info") or {}).get("DockerRootDir") or new_root)
        if new_root not in (root, f"{os.path.dirname(root)}/*"):
            raise errors.data_to_move(unit=plan.service, root=root, new_root=new_root)


def _check_socket_unit(plan: Plan, systemd: Systemd) -> None:
    """Raise DaemonError when systemd's socket, which the daemon needs, cannot be had or is in the daemon's way.

    What the socket unit listens on stays open while the daemon restarts, so that the daemon cannot open it.
    """
    state = systemd.socket_load_state()
    if state != "loaded":
        raise errors.unusable_socket(socket=systemd.socket, state=state)
    held = [found for text in systemd.socket_addresses() if (found := parse_host(text))]
    check_held(plan.after.listen, held, systemd.socket)


def _check_unit_files(plan: Plan, run: Run) -> None:
    """Let systemd judge the unit files of the plan. Raises DaemonError with its words."""
    for change in plan.changes:
        if change.after is not None and unit.is_unit_file(change.path, plan.service):
            _check_unit(plan, change.path, change.after, run)


def _check_unit(plan: Plan, path: str, content: bytes, run: Run) -> None:
    """Raise DaemonError when systemd would refuse the unit with this file; it is tried in a directory of its own.

    A unit in the directory of the file that is verified, and its drop-ins, come before all others of their names
    (systemd-analyze(1)). Only the verdict on this unit counts, not those on units that it wants.
    """
    fragment = unit.unit_paths(plan.service)[0]
    with tempfile.TemporaryDirectory(prefix="docker-remote-api-") as directory:
        copies = {f"{directory}/{plan.service}": read_file(fragment) or b""}
        inside = f"{plan.service}.d/{os.path.basename(path)}" if path != fragment else plan.service
        copies[f"{directory}/{inside}"] = content
        os.mkdir(f"{directory}/{plan.service}.d")
        for copy, text in copies.items():
            with open(copy, "wb") as stream:
                stream.write(text)
        answer = run(["systemd-analyze", "verify", "--man=no", f"{directory}/{plan.service}"], _LIMIT)
    said = (answer.stdout + answer.stderr).replace(directory, "").splitlines()
    if any("bad unit file setting" in line and plan.service in line for line in said):
        raise errors.bad_unit(
            unit=plan.service, said=" ".join(line for line in said if "bad unit file setting" not in line)
        )


def _flags(program: str, run: Run) -> set[str]:
    """Return the options that this engine lists. Raises DaemonError when it lists none.

    There are more that it knows: those that are to be used no more are hidden (pflag, MarkDeprecated and MarkHidden).
    """
    answer = run([program, "--help"], _LIMIT)
    names = set(re.findall(r"(?m)^\s+(?:-\w, )?--([a-z0-9-]+)", answer.stdout + answer.stderr))
    if "host" not in names:
        raise errors.no_help(program=program, said=answer.stderr.strip()[:200])
    return names


def _check_with_engine(plan: Plan, run: Run, *, has_validate: bool, certificate_due: bool) -> None:
    """Let the engine itself read the arguments and daemon.json as they will be. Raises DaemonError with its words.

    Engines from 23.0 on have ``--validate``. Older ones are started with a pid file that cannot be: they read their
    configuration first, and the pid file before anything else.
    """
    if not has_validate and "pidfile" in plan.after.configuration:
        return
    with contextlib.ExitStack() as stack:
        arguments, renamed = _engine_arguments(plan, stack, certificate_due=certificate_due)
        arguments.append("--validate" if has_validate else f"--pidfile={_NO_PID_FILE}")
        answer = run(arguments, _LIMIT)
    said = answer.stderr.strip()
    for temporary, path in renamed.items():
        said = said.replace(temporary, path)
    if answer.returncode and not (not has_validate and _NO_PID_FILE.rpartition("/")[0] in said):
        raise errors.engine_refuses(program=plan.argv[0], said=_last_words(said))


def _engine_arguments(
    plan: Plan, stack: contextlib.ExitStack, *, certificate_due: bool
) -> tuple[list[str], dict[str, str]]:
    """Return the daemon's arguments for a check, and which temporary path in them stands for which file.

    Files that are still to be written are read from memory. Without a certificate, TLS is left out. Later words win
    over earlier ones (pflag).
    """
    arguments = list(plan.argv)
    if certificate_due:
        kept = [option for option in plan.after.options if not option.name.startswith("tls")]
        arguments = [plan.argv[0], *(word for option in kept for word in option.words)]
    paths = {"config-file": plan.daemon_json}
    if plan.tls and not certificate_due:
        paths.update(tlscacert=plan.tls.ca, tlscert=plan.tls.certificate, tlskey=plan.tls.key)
    renamed = {}
    for option, path in paths.items():
        change = plan.change_of(path)
        if change is not None and change.after is not None:
            temporary = stack.enter_context(tls_files.in_memory(change.after))
            arguments.append(f"--{option}={temporary}")
            renamed[temporary] = path
    return arguments, renamed


def _last_words(said: str) -> str:
    """Return the engine's own sentence out of what it printed, free of log decoration."""
    lines = condense([line for line in said.splitlines() if not line.startswith("See '")], 1)
    return lines[0] if lines else "no reason given"


def _check_no_swarm(plan: Plan) -> None:
    """Raise DaemonError when live-restore meets swarm mode, which dockerd does not start with."""
    for path in plan.before.local_sockets:
        info = get_json(path, "/info") or {}
        if (info.get("Swarm") or {}).get("LocalNodeState") in ("active", "pending", "locked"):
            raise errors.live_restore_with_swarm(unit=plan.service)


def containers_to_stop(plan: Plan) -> int:
    """Return how many running containers a restart stops: all of them, unless live-restore is on.

    What counts is the running daemon's own setting, not what daemon.json says by now.
    """
    if plan.running is None or plan.live_restore:
        return 0
    for path in plan.before.local_sockets:
        info = get_json(path, "/info")
        if info:
            survive = info.get("LiveRestoreEnabled") and plan.live_restore is None and plan.after.live_restore
            return 0 if survive else int(info["ContainersRunning"])
    return 0


__all__ = ("check", "containers_to_stop")
