# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Computing the plan from the request and the host's files. Read-only."""

from __future__ import annotations

import json
import os
import posixpath
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import daemon_json as json_file
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors, unit
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import (
    LOCAL_SOCKET,
    DaemonSettings,
    Plan,
    Request,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import (
    Option,
    check_options,
    is_local_host,
    is_on,
    last_value,
    merge,
    read_arguments,
    values,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options_file import (
    read_environment,
    read_words,
    render,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.process import Process
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import (
    Change,
    FileState,
    read_file,
    read_state,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import ServiceState

_DEFAULT_PATH = "/etc/default/docker"
_DEFAULT_VARIABLE = "DOCKER_OPTS"
_DEFAULT_DAEMON_JSON = "/etc/docker/daemon.json"


@dataclass(frozen=True)
class _OptionsFile:
    """The options file as it is: its path, its variable, its state, and the options in the variable."""

    path: str
    variable: str
    before: FileState | None
    present: tuple[Option, ...]

    @property
    def where(self) -> str:
        """The place for messages: ``PATH, VARIABLE``."""
        return f"{self.path}, {self.variable}"

    @property
    def content(self) -> bytes | None:
        """The bytes of the file, None for no file."""
        return None if self.before is None else self.before.content


def make_plan(request: Request, state: ServiceState, running: Process | None, changes: t.Sequence[Change] = ()) -> Plan:
    """Return the plan, without reasons for a restart. ``changes`` of other files (certificates) come first in it.

    Raises DaemonError or FilesError when the host's files cannot be parsed or conflict with the request.
    """
    wanted = check_options(request.options)
    files = _read_units(request.service)
    own_path = unit.drop_in_path(request.service)
    base = unit.load(request.service, [item for item in files if item.path != own_path])
    file = _find_options_file(request, base)
    fixed = _fixed_options(base, file.path, file.variable)
    daemon_json = _read_daemon_json(request, [*fixed, *file.present])

    words = merge(file.present, wanted, remove=request.remove, exclusive=request.exclusive)
    words = _with_local_socket(words, fixed, daemon_json.before, file.where)
    options = (*fixed, *read_arguments(words, file.where))
    daemon_json = _resolve_conflicts(request, daemon_json, options, file.where)

    unit_changes, effective = _wire(request, base, files, file.path, file.variable, bool(words))
    content = render(file.content, file.path, file.variable, words)
    variables = _variables(effective, file.path, content)
    _check_in_effect(effective, file.path, file.variable, words, variables)
    argv = unit.expand(effective, variables)
    after = DaemonSettings(tuple(read_arguments(argv[1:], effective.command.path)), daemon_json.after)
    _check_wins(after, wanted, effective, file.variable)
    _check_secure(request, after, file.where)
    return Plan(
        service=request.service,
        changes=(*changes, *_json_changes(daemon_json), *_options_change(file, content, words), *unit_changes),
        words=words,
        argv=argv,
        before=DaemonSettings((*fixed, *file.present), daemon_json.before),
        after=after,
        options_path=file.path,
        variable=file.variable,
        daemon_json=daemon_json.path,
        conflicts=daemon_json.conflicts,
        live_restore=request.live_restore,
        tls=after.tls_files(file.where, requested=any(name.startswith("tls") for name in wanted)),
        command=effective.command,
        running=running,
        reload_due=bool(unit_changes) or state.needs_reload,
        server_ca=request.server_ca,
    )


def read_settings(request: Request) -> DaemonSettings:
    """Return what options and daemon.json tell the daemon today. Options that its unit does not read do not count.

    Raises DaemonError or FilesError.
    """
    files = _read_units(request.service)
    own_path = unit.drop_in_path(request.service)
    file = _find_options_file(request, unit.load(request.service, [item for item in files if item.path != own_path]))
    whole = unit.load(request.service, files)
    present = file.present if whole.reads(file.variable) else ()
    options = (*_fixed_options(whole, file.path, file.variable), *present)
    return DaemonSettings(options, _read_daemon_json(request, options).before)


@dataclass(frozen=True)
class _DaemonJson:
    """daemon.json: its path and state, its configuration before and after, and the keys taken out of it."""

    path: str
    state: FileState | None
    before: t.Mapping[str, t.Any]
    after: t.Mapping[str, t.Any]
    conflicts: tuple[json_file.Conflict, ...] = ()


def _read_daemon_json(request: Request, options: t.Sequence[Option]) -> _DaemonJson:
    """Return daemon.json as it is, at the path asked for, that of the command line, or dockerd's default.

    Raises DaemonError or FilesError.
    """
    named = values(options, "config-file")
    path = request.daemon_json or (named[-1] if named else _DEFAULT_DAEMON_JSON)
    state = read_state(path)
    configuration = json_file.parse(None if state is None else state.content, path)
    return _DaemonJson(path, state, configuration, configuration)


def _resolve_conflicts(request: Request, found: _DaemonJson, options: t.Sequence[Option], where: str) -> _DaemonJson:
    """Return daemon.json as it has to be beside these options. Raises DaemonError for a conflict that must stay."""
    conflicts = json_file.conflicts(found.before, options)
    if conflicts and request.on_conflict != "move":
        raise errors.set_in_both(path=found.path, conflicts="; ".join(map(str, conflicts)))
    removed = {item.key for item in conflicts}
    kept = {key: value for key, value in found.before.items() if key not in removed}
    settings = _live_restore_setting(request, options, kept, where)
    return _DaemonJson(found.path, found.state, found.before, {**kept, **settings}, tuple(conflicts))


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


def _check_wins(
    after: DaemonSettings, wanted: t.Mapping[str, tuple[str, ...]], effective: unit.Unit, variable: str
) -> None:
    """Raise DaemonError when the unit's own option comes after a wanted one: of options given once the last counts."""
    for name, words in wanted.items():
        value = last_value(after.options, name)
        if len(words) == 1 and name not in ("host", "dns") and value not in (words[0].partition("=")[2] or "true",):
            where = f"{effective.command.path}:{effective.command.first_line}"
            raise errors.option_overruled(where=where, name=name, value=value, variable=variable)


def _check_secure(request: Request, after: DaemonSettings, where: str) -> None:
    """Raise DaemonError when the network could reach the daemon without a client certificate."""
    exposed = [f"tcp://{address.host}:{address.port}" for address in after.listen if not address.is_loopback]
    if exposed and not after.verifies_clients and not request.allow_insecure:
        raise errors.insecure(where=where, addresses=", ".join(exposed))


def _check_in_effect(
    effective: unit.Unit, path: str, variable: str, words: tuple[str, ...], variables: t.Mapping[str, str]
) -> None:
    """Raise DaemonError when another file of the unit sets the variable too, and wins."""
    if not effective.reads(variable) or tuple(unit.split_words(variables.get(variable, ""), unescape=False)) == words:
        return
    others = [item.path for item in effective.environment_files if item.path != path]
    winners = [other for other in others if variable in read_environment(read_file(other))]
    raise errors.variable_set_later(path=(winners or [effective.command.path])[-1], variable=variable, own_path=path)


def _read_units(service: str) -> list[unit.UnitFile]:
    """Return the unit's files from the disk."""
    found = []
    for path in unit.unit_paths(service):
        found.append(unit.UnitFile(path, (read_file(path) if os.path.realpath(path) != "/dev/null" else None) or b""))
    return found


def _find_options_file(request: Request, base: unit.Unit) -> _OptionsFile:
    """Return the options file: the one asked for, the one that the unit reads, or the default. Raises DaemonError."""

    def assigned(path: str, variable: str) -> bool:
        return variable in read_environment(read_file(path))

    found_path, found_variable = unit.find_options(base, assigned)
    path = request.path or found_path or _DEFAULT_PATH
    variable = request.variable or found_variable or _DEFAULT_VARIABLE
    before = read_state(path)
    words = _present_words(base, None if before is None else before.content, path, variable)
    return _OptionsFile(path, variable, before, tuple(read_arguments(words, f"{path}, {variable}")))


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
        there = content if item.path == path else read_file(item.path)
        if there is None and item.path != path and not item.optional:
            raise errors.environment_file_missing(path=item.path, unit=effective.name)
        found.update(read_environment(there))
    return found


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
    return (*(f"--host={host}" for host in local or [LOCAL_SOCKET]), *words)


def _wire(
    request: Request, base: unit.Unit, files: t.Sequence[unit.UnitFile], path: str, variable: str, has_words: bool
) -> tuple[list[Change], unit.Unit]:
    """Return the changes to the unit after which it reads the options, and the unit as it will be then.

    There is no change if it reads them already, except that a drop-in which is no longer needed goes.
    """
    own_path = unit.drop_in_path(request.service)
    is_wired = _reads(base, path, variable)
    if not is_wired and request.unit_wiring == "none":
        whole = unit.load(request.service, files)
        if has_words and not _reads(whole, path, variable):
            raise errors.not_wired(path=base.command.path, variable=variable, options_path=path)
        return [], whole
    own = read_state(own_path)
    contents = {item.path: item.content for item in files if item.path != own_path}
    changes: list[Change] = []
    if not is_wired and (has_words or own is not None):
        if request.unit_wiring == "edit":
            target = base.command.path
            contents[target] = unit.edit_unit_file(base, contents[target], path, variable)
            changes.append(_unit_change(target, read_state(target), contents[target], base, variable))
        else:
            contents[own_path] = unit.render_drop_in(base, path, variable)
    changes += _drop_in_change(own_path, own, contents.get(own_path))
    ordered = [unit.UnitFile(item, contents[item]) for item in _in_order(contents)]
    effective = unit.load(request.service, ordered)
    if has_words and not _reads(effective, path, variable):
        raise errors.later_drop_in(path=_overruling(own_path, files), unit=request.service, own_path=own_path)
    return changes, effective


def _drop_in_change(path: str, before: FileState | None, after: bytes | None) -> list[Change]:
    """Return the change of the collection's own drop-in, if any."""
    if (None if before is None else before.content) == after:
        return []
    shown = [(content or b"").decode("utf-8", "replace") for content in (before and before.content, after)]
    return [Change(path, before, after, (shown[0], shown[1]))]


def _reads(effective: unit.Unit, path: str, variable: str) -> bool:
    """Return whether the daemon gets the variable from the file."""
    return effective.reads(variable) and path in [item.path for item in effective.environment_files]


def _in_order(paths: t.Iterable[str]) -> list[str]:
    """Return the unit's file, which comes first, and then its drop-ins by file name."""
    first, *drop_ins = paths
    return [first, *sorted(drop_ins, key=posixpath.basename)]


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


def _json_changes(file: _DaemonJson) -> list[Change]:
    """Return the changes of daemon.json: a private backup beside it where keys are taken out, then the file itself."""
    if file.after == file.before:
        return []
    touched = [key for key in file.before if file.after.get(key, ...) != file.before[key]]
    settings = {key: value for key, value in file.after.items() if file.before.get(key, ...) != value}
    shown = (
        "".join(f"{key}: {json.dumps(file.before[key])}\n" for key in touched),
        "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items()),
    )
    changes = [Change(file.path, file.state, json_file.render(file.after), shown)]
    if file.conflicts and file.state is not None:
        backup = _backup_path(file.path, file.state.content)
        if read_state(backup) is None:
            changes.insert(0, Change(backup, None, file.state.content, mode=0o600))
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


def _options_change(file: _OptionsFile, after: bytes, words: t.Sequence[str]) -> list[Change]:
    """Return the change of the options file, if any. Its diff shows the variable alone; others may hold secrets."""
    if after == (file.content or b""):
        return []
    old = " ".join(word for option in file.present for word in option.words)
    shown = (f'{file.variable}="{old}"\n' if old else "", f'{file.variable}="{" ".join(words)}"\n')
    return [Change(file.path, file.before, after, shown)]


__all__ = ("make_plan", "read_settings")
