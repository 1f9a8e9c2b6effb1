# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""From what was asked for and what is there to what is to be done. Reads files; changes nothing."""

from __future__ import annotations

import os
import posixpath
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import daemon_json as json_file
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors, unit
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import (
    ListenAddress,
    Option,
    Value,
    check_options,
    is_local_host,
    is_on,
    merge,
    parse_host,
    read_arguments,
    values,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options_file import (
    read_environment,
    read_words,
    render,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.process import Process
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.systemd import ServiceState
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.tls_files import TlsFiles, from_options
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import FileState, read_state

_DEFAULT_PATH = "/etc/default/docker"
_DEFAULT_VARIABLE = "DOCKER_OPTS"
_DEFAULT_DAEMON_JSON = "/etc/docker/daemon.json"
_LOCAL_SOCKET = "unix:///var/run/docker.sock"


@dataclass(frozen=True)
class Request:
    """What the user asked for: the module's arguments."""

    options: t.Mapping[str, Value]
    remove: tuple[str, ...] = ()
    exclusive: bool = False
    path: str | None = None
    variable: str | None = None
    service: str = "docker.service"
    unit_wiring: str = "drop_in"
    on_conflict: str = "fail"
    daemon_json: str | None = None


@dataclass(frozen=True)
class Change:
    """A file that is to become other bytes, or nothing (``after`` is None). ``shown`` is its diff: (before, after)."""

    path: str
    before: FileState | None
    after: bytes | None
    shown: tuple[str, str]


@dataclass(frozen=True)
class Plan:
    """What is to be done, in the order of ``changes``, and what the daemon will then be like."""

    service: str
    changes: tuple[Change, ...]
    words: tuple[str, ...]
    argv: tuple[str, ...]
    options: tuple[Option, ...]
    options_path: str
    variable: str
    daemon_json: str
    configuration: t.Mapping[str, t.Any]
    conflicts: tuple[json_file.Conflict, ...]
    tls: TlsFiles | None
    command: unit.Setting
    running: Process | None
    reload_due: bool
    restart_reasons: tuple[str, ...]

    @property
    def listen(self) -> tuple[ListenAddress, ...]:
        """The TCP addresses on which the daemon will listen."""
        return tuple(address for address in map(parse_host, values(self.options, "host")) if address)

    @property
    def local_sockets(self) -> tuple[str, ...]:
        """The paths of the local sockets on which it will listen; systemd's socket unit stands for ``fd://``."""
        hosts = values(self.options, "host") or list(self.configuration.get("hosts") or [_LOCAL_SOCKET])
        paths = [host[len("unix://") :] for host in hosts if host.startswith("unix://")]
        return tuple(paths + ["/run/docker.sock"] * any(host.startswith("fd:") for host in hosts))

    @property
    def socket_activated(self) -> bool:
        """Whether the daemon takes its local socket from systemd (``-H fd://``)."""
        return any(host.startswith("fd:") for host in values(self.options, "host"))

    @property
    def live_restore(self) -> bool:
        """Whether containers keep running while the daemon restarts."""
        return is_on(self.options, "live-restore") or self.configuration.get("live-restore") is True


def make(request: Request, state: ServiceState, running: Process | None) -> Plan:
    """Return the plan. Raises DaemonError or FilesError when what is there cannot be understood or must not be."""
    wanted = check_options(request.options)
    files = _read_units(request.service)
    own_path = unit.drop_in_path(request.service)
    base = unit.load(request.service, [item for item in files if item.path != own_path])
    path, variable = _where_options_are(request, base)
    before = read_state(path)
    content = None if before is None else before.content
    present = read_arguments(_present_words(base, content, path, variable), f"{path}, {variable}")
    fixed = _fixed_options(base, path, variable)
    json_path = _daemon_json_path(request, [*fixed, *present])
    json_before = read_state(json_path)
    configuration = json_file.parse(None if json_before is None else json_before.content, json_path)

    words = merge(present, wanted, remove=request.remove, exclusive=request.exclusive)
    words = _with_local_socket(words, fixed, configuration, f"{path}, {variable}")
    options = (*fixed, *read_arguments(words, f"{path}, {variable}"))
    found = json_file.conflicts(configuration, options)
    if found and request.on_conflict != "move":
        raise errors.set_in_both(json_path, [(item.key, item.from_flag, item.from_file) for item in found])
    remaining = {key: value for key, value in configuration.items() if key not in [item.key for item in found]}

    unit_changes, effective = _wire(request, base, files, path, variable, bool(words))
    new_content = render(content, path, variable, words)
    changes = [
        *_json_changes(json_path, json_before, [item.key for item in found], configuration),
        *_options_change(path, before, new_content, variable, present, words),
        *unit_changes,
    ]
    argv = unit.expand(effective, _variables(effective, path, new_content))
    tls = from_options(options, f"{path}, {variable}", asked_for=any(name.startswith("tls") for name in wanted))
    return Plan(
        service=request.service,
        changes=tuple(changes),
        words=words,
        argv=argv,
        options=options,
        options_path=path,
        variable=variable,
        daemon_json=json_path,
        configuration=remaining,
        conflicts=tuple(found),
        tls=tls,
        command=effective.command,
        running=running,
        reload_due=bool(unit_changes) or state.needs_reload,
        restart_reasons=tuple(_restart_reasons(state, running, argv, tls, moved=bool(found))),
    )


def _read_units(service: str) -> list[unit.UnitFile]:
    """Return the unit's files from the disk."""
    found = []
    for path in unit.unit_paths(service):
        state = read_state(path) if os.path.realpath(path) != "/dev/null" else None
        found.append(unit.UnitFile(path, b"" if state is None else state.content))
    return found


def _where_options_are(request: Request, base: unit.Unit) -> tuple[str, str]:
    """Return the path of the options file and the variable in it: as asked for, as in the unit, or the defaults."""

    def assigned(path: str, variable: str) -> bool:
        state = read_state(path)
        return state is not None and variable in read_environment(state.content)

    path, variable = unit.find_options(base, assigned)
    return request.path or path or _DEFAULT_PATH, request.variable or variable or _DEFAULT_VARIABLE


def _present_words(base: unit.Unit, content: bytes | None, path: str, variable: str) -> tuple[str, ...]:
    """Return the options that are kept today: in the file, or else in the unit's own ``Environment=``."""
    words = read_words(content, path, variable)
    if not words and variable not in read_environment(content) and base.reads(variable):
        words = tuple(unit.split_words(base.environment.get(variable, ""), unescape=False))
    return words


def _fixed_options(base: unit.Unit, path: str, variable: str) -> list[Option]:
    """Return the options that the unit gives besides those in the variable."""
    variables = dict(_variables(base, path, None), **{variable: ""})
    where = f"{base.command.path}:{base.command.first_line}"
    return read_arguments(unit.expand(base, variables)[1:], where)


def _variables(effective: unit.Unit, path: str, content: bytes | None) -> dict[str, str]:
    """Return the environment that systemd builds for the command, with ``content`` in place of the file at ``path``.

    Raises DaemonError for a file that must be there and is not (systemd would not start the service).
    """
    found = dict(effective.environment)
    for item in effective.environment_files:
        state = read_state(item.path)
        is_ours = item.path == path
        if state is None and not is_ours and not item.optional:
            raise errors.environment_file_missing(item.path, effective.name)
        found.update(read_environment(content if is_ours else state.content if state else None))
    return found


def _daemon_json_path(request: Request, options: t.Sequence[Option]) -> str:
    """Return the path of daemon.json: as asked for, as on the command line, or dockerd's default."""
    named = values(options, "config-file")
    return request.daemon_json or (named[-1] if named else _DEFAULT_DAEMON_JSON)


def _with_local_socket(
    words: tuple[str, ...], fixed: t.Sequence[Option], configuration: t.Mapping[str, t.Any], where: str
) -> tuple[str, ...]:
    """Return the words, with the local socket added where dockerd would no longer open it.

    Without any ``--host`` dockerd listens on its local socket alone, and with TLS on not even there. A local
    address that daemon.json has beside TCP ones is kept for the same reason.
    """
    options = [*fixed, *read_arguments(words, where)]
    if any(is_local_host(option) for option in options):
        return words
    if not values(options, "host") and not any(option.name.startswith("tls") for option in options):
        return words
    in_file = configuration.get("hosts")
    if isinstance(in_file, list) and not values(options, "host"):
        return words
    local = [str(host) for host in in_file or [] if str(host).startswith("unix:")] if isinstance(in_file, list) else []
    return (*(f"--host={host}" for host in local or [_LOCAL_SOCKET]), *words)


def _wire(
    request: Request, base: unit.Unit, files: t.Sequence[unit.UnitFile], path: str, variable: str, has_words: bool
) -> tuple[list[Change], unit.Unit]:
    """Return the changes to the unit after which it reads the options, and what the unit will then be.

    Where it reads them already there is none, but for the removal of a drop-in that is no longer needed.
    """
    own_path = unit.drop_in_path(request.service)
    contents = {item.path: item.content for item in files if item.path != own_path}
    order = [item.path for item in files if item.path != own_path]
    is_wired = base.reads(variable) and path in [item.path for item in base.environment_files]
    own = read_state(own_path)
    changes: list[Change] = []
    if not is_wired and (has_words or own is not None):
        if request.unit_wiring == "none":
            raise errors.not_wired(base.command.path, variable, path)
        if request.unit_wiring == "edit":
            target = base.command.path
            contents[target] = unit.edit_unit_file(base, contents[target], path, variable)
            changes.append(_unit_change(target, read_state(target), contents[target], base, variable))
        else:
            _check_not_overruled(request.service, own_path, files)
            contents[own_path] = unit.render_drop_in(base, path, variable)
            order = _in_order([*order, own_path])
            if own is None or own.content != contents[own_path]:
                text = contents[own_path].decode("utf-8", "replace")
                shown = ("" if own is None else own.content.decode("utf-8", "replace"), text)
                changes.append(Change(own_path, own, contents[own_path], shown))
    if own is not None and own_path not in contents:
        changes.append(Change(own_path, own, None, (own.content.decode("utf-8", "replace"), "")))
    return changes, unit.load(request.service, [unit.UnitFile(item, contents[item]) for item in order])


def _in_order(paths: t.Sequence[str]) -> list[str]:
    """Return the unit's file and then its drop-ins by file name."""
    return [paths[0], *sorted(paths[1:], key=posixpath.basename)]


def _check_not_overruled(service: str, own_path: str, files: t.Sequence[unit.UnitFile]) -> None:
    """Raise DaemonError when a drop-in that sorts after the collection's own sets the command anew."""
    for item in files[1:]:
        later = posixpath.basename(item.path) > posixpath.basename(own_path)
        if later and any(setting.key in ("ExecStart", "EnvironmentFile") for setting in unit.settings(item)):
            raise errors.later_drop_in(item.path, service, own_path)


def _unit_change(path: str, before: FileState | None, after: bytes, base: unit.Unit, variable: str) -> Change:
    """Return the change of a packaged unit file; its diff shows only the command (the rest may hold secrets)."""
    old = f"ExecStart={base.command.value}\n"
    suffix = "" if base.reads(variable) else f" ${variable}"
    return Change(path, before, after, (old, f"ExecStart={base.command.value}{suffix}\n"))


def _json_changes(
    path: str, before: FileState | None, keys: t.Sequence[str], configuration: t.Mapping[str, t.Any]
) -> list[Change]:
    """Return the changes that take keys out of daemon.json: a backup beside it, then the file itself."""
    if not keys or before is None:
        return []
    backup = _backup_path(path, before.content)
    shown = "".join(f"{key}: {configuration[key]!r}\n" for key in keys)
    changes = [Change(path, before, json_file.without(before.content, keys), (shown, ""))]
    if read_state(backup) is None:
        changes.insert(0, Change(backup, None, before.content, ("", "")))
    return changes


def _backup_path(path: str, content: bytes) -> str:
    """Return where the file is kept before a key is taken out: a free name, or one that holds these bytes already."""
    number = 1
    while True:
        candidate = f"{path}.before-remote-api.{number}"
        state = read_state(candidate)
        if state is None or state.content == content:
            return candidate
        number += 1


def _options_change(
    path: str,
    before: FileState | None,
    after: bytes,
    variable: str,
    present: t.Sequence[Option],
    words: t.Sequence[str],
) -> list[Change]:
    """Return the change of the options file, if any; its diff shows the variable alone (others may hold secrets)."""
    if after == (b"" if before is None else before.content):
        return []
    old = " ".join(word for option in present for word in option.words)
    shown = (f'{variable}="{old}"\n' if old else "", f'{variable}="{" ".join(words)}"\n')
    return [Change(path, before, after, shown)]


def _restart_reasons(
    state: ServiceState,
    running: Process | None,
    argv: t.Sequence[str],
    tls: TlsFiles | None,
    *,
    moved: bool,
) -> t.Iterator[str]:
    """Yield why the daemon has to be restarted, as seen on the running process; nothing when it need not be."""
    if running is None or not state.is_running:
        yield f"the service is not running (it is {state.active})"
        return
    if running.argv[1:] != tuple(argv[1:]):
        yield "it runs with other arguments"
    if moved:
        yield "keys were taken out of daemon.json"
    for path in tls.paths() if tls else ():
        found = read_state(path)
        if found is not None and found.mtime_ns > running.started_ns:
            yield f"{path} is newer than the running daemon"


__all__ = ("Change", "Plan", "Request", "make")
