# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Computing the plan from the request and the host's files. Read-only."""

from __future__ import annotations

import json
import posixpath
import typing as t
from dataclasses import replace

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import daemon_json as json_file
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors, host_files, unit
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.host_files import (
    DaemonJson,
    OptionsFile,
    find_options_file,
    fixed_options,
    read_daemon_json,
    read_units,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import (
    LOCAL_SOCKET,
    DaemonSettings,
    Plan,
    Request,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import (
    Option,
    check_options,
    is_local,
    is_local_host,
    is_on,
    last_value,
    merge,
    read_arguments,
    values,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options_file import (
    read_environment,
    render,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.process import Process
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.tls_files import TlsFiles
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import (
    Change,
    FileState,
    read_file,
    read_state,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import ServiceState

# With another value of these, the engine does not see the containers that it has (dockerd reference).
_MOVING_OPTIONS = frozenset({"data-root", "graph", "userns-remap", "storage-driver", "feature"})


def make_plan(request: Request, state: ServiceState, running: Process | None, changes: t.Sequence[Change] = ()) -> Plan:
    """Return the plan, without reasons for a restart. ``changes`` of other files (certificates) come first in it.

    Raises DaemonError or FilesError when the host's files cannot be parsed or conflict with the request.
    """
    wanted = check_options(request.options)
    files = read_units(request.service)
    own_path = unit.drop_in_path(request.service)
    base = unit.load(request.service, files, without=own_path)
    file = find_options_file(request, base)
    fixed = fixed_options(base, file.path, file.variable)
    file = _judge_unread(request, base, files, file, wanted, fixed, running.argv if running else ())
    daemon_json = read_daemon_json(request, [*fixed, *file.present])

    words = merge(file.present, wanted, remove=request.remove, exclusive=request.exclusive)
    words = _with_local_socket(words, fixed, daemon_json.before, file.where)
    options = (*fixed, *read_arguments(words, file.where))
    daemon_json = _resolve_conflicts(request, daemon_json, options, file.where)

    unit_changes, effective = _wire(request, base, files, file.path, file.variable, bool(words))
    content = render(file.content, file.path, file.variable, words)
    variables = host_files.variables(effective, file.path, content)
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
        before=DaemonSettings((*fixed, *file.live), daemon_json.before),
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
        requested=tuple(wanted),
        moves_data=not _MOVING_OPTIONS.isdisjoint([*wanted, *request.remove]),
        warnings=_new_variables(base, effective, file),
        server_ca=request.server_ca,
    )


def present_tls_files(request: Request) -> TlsFiles | None:
    """Return the TLS files that options, environment and daemon.json tell the daemon to use today; None without TLS.

    Options that its unit does not read do not count. Raises DaemonError or FilesError.
    """
    files = read_units(request.service)
    own_path = unit.drop_in_path(request.service)
    file = find_options_file(request, unit.load(request.service, files, without=own_path))
    whole = unit.load(request.service, files)
    present = file.present if whole.reads(file.variable) else ()
    options = (*fixed_options(whole, file.path, file.variable), *present)
    directory = host_files.default_tls_directory(host_files.variables(whole, file.path, file.content))
    return DaemonSettings(options, read_daemon_json(request, options).before).present_tls_files(directory)


def _resolve_conflicts(request: Request, found: DaemonJson, options: t.Sequence[Option], where: str) -> DaemonJson:
    """Return daemon.json as it has to be beside these options. Raises DaemonError for a conflict that must stay."""
    conflicts = json_file.conflicts(found.before, options)
    if conflicts and request.on_conflict != "move":
        raise errors.set_in_both(path=found.path, conflicts="; ".join(map(str, conflicts)))
    removed = {item.key for item in conflicts}
    kept = {key: value for key, value in found.before.items() if key not in removed}
    settings = _live_restore_setting(request, options, kept, where)
    return DaemonJson(found.path, found.state, found.before, {**kept, **settings}, tuple(conflicts))


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
    """Raise DaemonError when the unit keeps the variable from the daemon, or another file sets it too, and wins."""
    kept_off = effective.filter_of(variable) if effective.reads(variable) else None
    if kept_off:
        where = f"{kept_off.path}:{kept_off.first_line}"
        raise errors.variable_filtered(where=where, key=kept_off.key, variable=variable)
    if not effective.reads(variable) or tuple(unit.split_words(variables.get(variable, ""), unescape=False)) == words:
        return
    others = [item.path for item in effective.environment_files if item.path != path]
    winners = [other for other in others if variable in read_environment(read_file(other))]
    raise errors.variable_set_later(path=(winners or [effective.command.path])[-1], variable=variable, own_path=path)


def _judge_unread(
    request: Request,
    base: unit.Unit,
    files: t.Mapping[str, bytes],
    file: OptionsFile,
    wanted: t.Mapping[str, tuple[str, ...]],
    fixed: t.Sequence[Option],
    running: t.Sequence[str],
) -> OptionsFile:
    """Return the options file with what becomes of options in it that the unit does not read, with all its ``files``.

    What the request, the unit or the ``running`` daemon's command line says anyway needs no decision, and neither does
    what the request takes away. Raises DaemonError for the rest, unless the request decides on it.
    """
    unread = file.variable in read_environment(file.content) and not _reads(base, file.path, file.variable)
    if not unread or _reads(unit.load(request.service, files), file.path, file.variable):
        return file
    own_socket = [] if any(map(is_local_host, fixed)) else [f"--host={LOCAL_SOCKET}"]
    asked = [*fixed, *read_arguments([*own_socket, *(word for words in wanted.values() for word in words)], file.where)]
    left = [
        option
        for option in file.present
        if not request.exclusive
        and option.name not in request.remove
        and not set(option.words).issubset(running)
        and (option.value or "true") not in values(asked, option.name)
    ]
    if left and request.on_unread_options == "fail":
        raise errors.unread_options(where=file.where, options=" ".join(word for item in left for word in item.words))
    if left and request.on_unread_options == "discard":
        return replace(file, present=(), live=(), discarded=file.present)
    return replace(file, live=())


def _new_variables(base: unit.Unit, effective: unit.Unit, file: OptionsFile) -> tuple[str, ...]:
    """Return a warning about the other variables that the daemon gets with a file that it did not read before."""
    old, new = ([item.path for item in one.environment_files] for one in (base, effective))
    names = sorted(read_environment(file.content).keys() - {file.variable}) if file.path in set(new) - set(old) else []
    return (f"{file.path} also sets {', '.join(names)}, which the daemon gets, too.",) if names else ()


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
    local = [str(host) for host in in_file or [] if is_local(str(host))] if isinstance(in_file, list) else []
    return (*(f"--host={host}" for host in local or [LOCAL_SOCKET]), *words)


def _wire(
    request: Request, base: unit.Unit, files: t.Mapping[str, bytes], path: str, variable: str, has_words: bool
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
    contents = {item: content for item, content in files.items() if item != own_path}
    changes: list[Change] = []
    if not is_wired and (has_words or own is not None):
        if request.unit_wiring == "edit":
            target = base.command.path
            contents[target] = unit.edit_unit_file(base, contents[target], path, variable)
            changes.append(_unit_change(target, read_state(target), contents[target], base, variable))
        else:
            contents[own_path] = unit.render_drop_in(base, path, variable)
    changes += _drop_in_change(own_path, own, contents.get(own_path))
    effective = unit.load(request.service, {item: contents[item] for item in _in_order(contents)})
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


def _overruling(own_path: str, files: t.Mapping[str, bytes]) -> str:
    """Return the path of the last file that sets the command or its environment files anew."""
    found = [one for path, content in files.items() if path != own_path for one in unit.settings(path, content)]
    return [one.path for one in found if one.key in ("ExecStart", "EnvironmentFile")][-1]


def _unit_change(path: str, before: FileState | None, after: bytes, base: unit.Unit, variable: str) -> Change:
    """Return the change of a packaged unit file; its diff shows only the command (the rest may hold secrets)."""
    old = f"ExecStart={base.command.value}\n"
    suffix = "" if base.reads(variable) else f" ${variable}"
    return Change(path, before, after, (old, f"ExecStart={base.command.value}{suffix}\n"))


def _json_changes(file: DaemonJson) -> list[Change]:
    """Return the changes of daemon.json: a private backup beside it where keys are taken out, then the file itself."""
    if file.after == file.before:
        return []
    touched = [key for key in file.before if file.after.get(key, ...) != file.before[key]]
    settings = {key: value for key, value in file.after.items() if file.before.get(key, ...) != value}
    shown = (
        "".join(f"{key}: {json.dumps(file.before[key])}\n" for key in touched),
        "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items()),
    )
    change = Change(file.path, file.state, json_file.render(file.after), shown)
    return [*(_backup(file.path, file.state) if file.conflicts else []), change]


def _backup(path: str, state: FileState | None) -> list[Change]:
    """Return the change that keeps a copy of a file before something is taken out; none if there is such a copy."""
    number = 1
    while state is not None:
        candidate = f"{path}{host_files.BACKUP}{number}"
        there = read_state(candidate)
        if there is None:
            return [Change(candidate, None, state.content, mode=0o600)]
        if there.content == state.content:
            break
        number += 1
    return []


def _options_change(file: OptionsFile, after: bytes, words: t.Sequence[str]) -> list[Change]:
    """Return the change of the options file, if any. Its diff shows the variable alone; others may hold secrets."""
    if after == (file.content or b""):
        return []
    old = " ".join(word for option in file.discarded or file.present for word in option.words)
    shown = (f'{file.variable}="{old}"\n' if old else "", f'{file.variable}="{" ".join(words)}"\n')
    return [*(_backup(file.path, file.before) if file.discarded else []), Change(file.path, file.before, after, shown)]


__all__ = ("make_plan", "present_tls_files")
