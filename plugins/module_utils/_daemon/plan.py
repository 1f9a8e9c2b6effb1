# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""From what was asked for and what is there to what is to be done. Reads files; changes nothing."""

from __future__ import annotations

import json
import os
import posixpath
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import daemon_json as json_file
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors, unit
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import (
    ListenAddress,
    Option,
    Value,
    check_options,
    is_local_host,
    is_on,
    last_value,
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
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.tls_files import TlsFiles, from_options
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import FileState, read_state
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import ServiceState

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
    live_restore: bool | None = None


@dataclass(frozen=True)
class Change:
    """A file that is to become other bytes, or nothing (``after`` is None). ``shown`` is its diff: (before, after)."""

    path: str
    before: FileState | None
    after: bytes | None
    shown: tuple[str, str]


@dataclass(frozen=True)
class Settings:
    """What the daemon is told by its options and by daemon.json, as far as it matters here."""

    options: tuple[Option, ...]
    configuration: t.Mapping[str, t.Any]
    activation_sockets: tuple[str, ...] = ()

    @property
    def _listening(self) -> tuple[Option, ...]:
        """What is said about listening and TLS, in either place."""
        return (*json_file.listening(self.configuration), *self.options)

    @property
    def listen(self) -> tuple[ListenAddress, ...]:
        """The TCP addresses on which it listens. Raises DaemonError for one that is not written out."""
        return tuple(address for address in map(parse_host, values(self._listening, "host")) if address)

    @property
    def local_sockets(self) -> tuple[str, ...]:
        """The paths of the local sockets on which it listens; ``fd://`` stands for those of systemd's socket unit."""
        hosts = values(self._listening, "host") or [_LOCAL_SOCKET]
        paths = [(host if host != "unix://" else _LOCAL_SOCKET)[7:] for host in hosts if host.startswith("unix://")]
        return (*paths, *(self.activation_sockets if self.socket_activated else ()))

    @property
    def socket_activated(self) -> bool:
        """Whether it takes its local socket from systemd (``-H fd://``)."""
        return any(host.startswith("fd:") for host in values(self._listening, "host"))

    @property
    def uses_tls(self) -> bool:
        """Whether its TCP addresses speak TLS: ``tlsverify`` turns it on whatever its value is."""
        return last_value(self._listening, "tlsverify") is not None or is_on(self._listening, "tls")

    @property
    def live_restore(self) -> bool:
        """Whether containers keep running while it restarts."""
        return is_on(self.options, "live-restore") or self.configuration.get("live-restore") is True

    def tls_files(self, where: str, *, asked_for: bool) -> TlsFiles | None:
        """Return the TLS files that are named; see tls_files.from_options()."""
        return from_options(self._listening, where, asked_for=asked_for)


@dataclass(frozen=True)
class Plan:
    """What is to be done, in the order of ``changes``, and what the daemon will then be like.

    ``live_restore`` is what was asked for (None: leave it as it is).
    """

    service: str
    changes: tuple[Change, ...]
    words: tuple[str, ...]
    argv: tuple[str, ...]
    before: Settings
    after: Settings
    options_path: str
    variable: str
    daemon_json: str
    conflicts: tuple[json_file.Conflict, ...]
    live_restore: bool | None
    tls: TlsFiles | None
    command: unit.Setting
    running: Process | None
    reload_due: bool
    restart_reasons: tuple[str, ...]


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
        raise errors.set_in_both(path=json_path, conflicts="; ".join(map(str, found)))
    remaining = {key: value for key, value in configuration.items() if key not in [item.key for item in found]}
    settings = _live_restore_setting(request, options, remaining, f"{path}, {variable}")

    unit_changes, effective = _wire(request, base, files, path, variable, bool(words))
    new_content = render(content, path, variable, words)
    changes = [
        *_json_changes(json_path, json_before, configuration, [item.key for item in found], settings),
        *_options_change(path, before, new_content, variable, present, words),
        *unit_changes,
    ]
    variables = _variables(effective, path, new_content)
    _check_in_effect(effective, path, variable, words, variables)
    argv = unit.expand(effective, variables)
    after = Settings(options, {**remaining, **settings})
    tls = after.tls_files(f"{path}, {variable}", asked_for=any(name.startswith("tls") for name in wanted))
    return Plan(
        service=request.service,
        changes=tuple(changes),
        words=words,
        argv=argv,
        before=Settings((*fixed, *present), configuration),
        after=after,
        options_path=path,
        variable=variable,
        daemon_json=json_path,
        conflicts=tuple(found),
        live_restore=request.live_restore,
        tls=tls,
        command=effective.command,
        running=running,
        reload_due=bool(unit_changes) or state.needs_reload,
        restart_reasons=tuple(_restart_reasons(state, running, argv, tls, moved=bool(found))),
    )


def with_activation_sockets(plan: Plan, paths: tuple[str, ...]) -> Plan:
    """Return the plan with the paths of the local sockets that systemd hands to the daemon."""
    before = replace(plan.before, activation_sockets=paths)
    return replace(plan, before=before, after=replace(plan.after, activation_sockets=paths))


def _live_restore_setting(
    request: Request, options: t.Sequence[Option], configuration: t.Mapping[str, t.Any], where: str
) -> dict[str, bool]:
    """Return what daemon.json has to say for live-restore to be as asked for; nothing where it is so already.

    It goes into daemon.json, since that can be changed without a restart. Raises DaemonError where an option on the
    command line says the opposite.
    """
    if request.live_restore is None:
        return {}
    if last_value(options, "live-restore") is None:
        is_so = (configuration.get("live-restore") is True) == request.live_restore
        return {} if is_so else {"live-restore": request.live_restore}
    if is_on(options, "live-restore") != request.live_restore:
        raise errors.live_restore_option(where=where, state="off" if request.live_restore else "on")
    return {}


def _check_in_effect(
    effective: unit.Unit, path: str, variable: str, words: tuple[str, ...], variables: t.Mapping[str, str]
) -> None:
    """Raise DaemonError when another file of the unit sets the variable too, and wins."""
    if not effective.reads(variable) or tuple(unit.split_words(variables.get(variable, ""), unescape=False)) == words:
        return
    others = [item.path for item in effective.environment_files if item.path != path]
    winners = [other for other in others if variable in read_environment(_content(other))]
    raise errors.variable_set_later(path=(winners or [effective.command.path])[-1], variable=variable, own_path=path)


def _content(path: str) -> bytes | None:
    """Return the bytes of a file, None where there is none."""
    state = read_state(path)
    return None if state is None else state.content


def _read_units(service: str) -> list[unit.UnitFile]:
    """Return the unit's files from the disk."""
    found = []
    for path in unit.unit_paths(service):
        found.append(unit.UnitFile(path, (_content(path) if os.path.realpath(path) != "/dev/null" else None) or b""))
    return found


def _where_options_are(request: Request, base: unit.Unit) -> tuple[str, str]:
    """Return the path of the options file and the variable in it: as asked for, as in the unit, or the defaults."""

    def assigned(path: str, variable: str) -> bool:
        return variable in read_environment(_content(path))

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
        there = content if item.path == path else _content(item.path)
        if there is None and item.path != path and not item.optional:
            raise errors.environment_file_missing(path=item.path, unit=effective.name)
        found.update(read_environment(there))
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
    is_wired = _reads(base, path, variable)
    own = read_state(own_path)
    changes: list[Change] = []
    if not is_wired and request.unit_wiring == "none":
        whole = unit.load(request.service, files)
        if has_words and not _reads(whole, path, variable):
            raise errors.not_wired(path=base.command.path, variable=variable, options_path=path)
        return [], whole
    if not is_wired and (has_words or own is not None):
        if request.unit_wiring == "edit":
            target = base.command.path
            contents[target] = unit.edit_unit_file(base, contents[target], path, variable)
            changes.append(_unit_change(target, read_state(target), contents[target], base, variable))
        else:
            contents[own_path] = unit.render_drop_in(base, path, variable)
            order = _in_order([*order, own_path])
            if own is None or own.content != contents[own_path]:
                text = contents[own_path].decode("utf-8", "replace")
                shown = ("" if own is None else own.content.decode("utf-8", "replace"), text)
                changes.append(Change(own_path, own, contents[own_path], shown))
    if own is not None and own_path not in contents:
        changes.append(Change(own_path, own, None, (own.content.decode("utf-8", "replace"), "")))
    effective = unit.load(request.service, [unit.UnitFile(item, contents[item]) for item in order])
    if has_words and not _reads(effective, path, variable):
        raise errors.later_drop_in(path=_overruling(own_path, files), unit=request.service, own_path=own_path)
    return changes, effective


def _reads(effective: unit.Unit, path: str, variable: str) -> bool:
    """Return whether the daemon gets the variable from the file."""
    return effective.reads(variable) and path in [item.path for item in effective.environment_files]


def _in_order(paths: t.Sequence[str]) -> list[str]:
    """Return the unit's file and then its drop-ins by file name."""
    return [paths[0], *sorted(paths[1:], key=posixpath.basename)]


def _overruling(own_path: str, files: t.Sequence[unit.UnitFile]) -> str:
    """Return the path of the last file that sets the command or its environment files anew."""
    setting = [
        item.path
        for item in files
        if item.path != own_path and any(one.key in ("ExecStart", "EnvironmentFile") for one in unit.settings(item))
    ]
    return setting[-1]


def _unit_change(path: str, before: FileState | None, after: bytes, base: unit.Unit, variable: str) -> Change:
    """Return the change of a packaged unit file; its diff shows only the command (the rest may hold secrets)."""
    old = f"ExecStart={base.command.value}\n"
    suffix = "" if base.reads(variable) else f" ${variable}"
    return Change(path, before, after, (old, f"ExecStart={base.command.value}{suffix}\n"))


def _json_changes(
    path: str,
    before: FileState | None,
    configuration: t.Mapping[str, t.Any],
    remove: t.Sequence[str],
    settings: t.Mapping[str, t.Any],
) -> list[Change]:
    """Return the changes of daemon.json: a backup beside it where keys are taken out, then the file itself."""
    if not remove and not settings:
        return []
    touched = [key for key in configuration if key in remove or key in settings]
    shown = (
        "".join(f"{key}: {json.dumps(configuration[key])}\n" for key in touched),
        "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items()),
    )
    changes = [Change(path, before, json_file.edit(configuration, remove, settings), shown)]
    if remove and before is not None:
        backup = _backup_path(path, before.content)
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


__all__ = ("Change", "Plan", "Request", "Settings", "make")
