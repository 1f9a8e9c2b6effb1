# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Computing the plan that takes the Remote API away again. Read-only.

A file that nobody changed since is put back byte for byte, or removed. Of any other file only what the request names
is taken out. Nothing that is put back opens a TCP address.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import daemon_json as json_file
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import (
    errors,
    host_files,
    record,
    tls_files,
    unit,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.journal import Entry
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import DaemonSettings, Plan, Request
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import (
    Option,
    check_options,
    file_name,
    is_local,
    is_local_host,
    read_arguments,
    wanted_values,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options_file import read_words, render
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.process import Process
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import (
    Change,
    content_of,
    read_file,
    read_state,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import ServiceState

# What a diff shows: the files may hold secrets of others.
_AS_SET_UP, _AS_BEFORE = "(as it was set up)\n", "(as it was before)\n"
_STILL_OPEN = "The daemon still listens on {addresses}, which this collection did not set."
_STILL_TLS = "The daemon still gets {settings}, of which nothing is needed without a TCP address."


@dataclass(frozen=True)
class _Original:
    """What the options file and daemon.json were before this collection; None for no file, or one not recorded.

    ``options`` and ``configuration`` are what they told the daemon. If they opened a TCP address they are without it
    and without TLS: no address is opened again, and its private key may be gone.
    """

    options_bytes: bytes | None
    json_bytes: bytes | None
    options: tuple[Option, ...]
    configuration: t.Mapping[str, t.Any]


def make_removal_plan(request: Request, state: ServiceState, running: Process | None) -> Plan:
    """Return the plan, without reasons for a restart. Raises DaemonError or FilesError."""
    files = host_files.read_units(request.service)
    own_path = unit.drop_in_path(request.service)
    base = unit.load(request.service, files, without=own_path)
    file = host_files.find_options_file(request, unit.load(request.service, files))
    fixed = host_files.fixed_options(base, file.path, file.variable)
    daemon_json = host_files.read_daemon_json(request, [*fixed, *file.present])

    recorded = {path: entry for path, entry in record.read(request.service).items() if path not in request.keep}
    entries = {path: entry for path, entry in recorded.items() if record.is_ours(entry, read_state(path))}
    original = _original(file, recorded.get(file.path), daemon_json.path, recorded.get(daemon_json.path))
    content = _options(request, file, original, whole=file.path in entries)
    new_json = _configuration(request, daemon_json, original, whole=daemon_json.path in entries)
    words = read_words(content, file.path, file.variable)
    wanted: dict[str, bytes | None] = {file.path: content, daemon_json.path: new_json}
    if words and file.path not in entries:
        # What somebody has added to the options stays in effect, so the unit has to read them further on.
        wanted.update(files)
    else:
        wanted[own_path] = None
    wanted = _with_recorded(wanted, entries)
    changes = [*_changes(wanted, entries), *record.removal(request.service)]

    left = {path: text for path in files if (text := wanted.get(path, files[path])) is not None}
    effective = unit.load(request.service, left)
    environment = host_files.variables(effective, file.path, content)
    argv = unit.expand(effective, environment)
    options = tuple(read_arguments(argv[1:], effective.command.path))
    after = DaemonSettings(options, json_file.parse(new_json, daemon_json.path))
    plan = Plan(
        service=request.service,
        changes=tuple(changes),
        words=words,
        argv=argv,
        before=DaemonSettings((*fixed, *file.present), daemon_json.before),
        after=after,
        options_path=file.path,
        variable=file.variable,
        daemon_json=daemon_json.path,
        conflicts=(),
        live_restore=None,
        tls=None,
        command=effective.command,
        running=running,
        reload_due=any(unit.is_unit_file(change.path, request.service) for change in changes) or state.needs_reload,
        warnings=tuple(_warnings(after)),
    )
    _check_left(plan, host_files.default_tls_directory(environment), allow_insecure=request.allow_insecure)
    return plan


def _with_recorded(wanted: t.Mapping[str, bytes | None], entries: t.Mapping[str, Entry]) -> dict[str, bytes | None]:
    """Return the wanted bytes of each file, including those in the record. Raises FilesError.

    A backup is left out, and so stays, unless its file becomes what the backup holds: it may be the only copy of what
    others have set.
    """
    every = {**{path: content_of(entry.before) for path, entry in entries.items()}, **wanted}

    def is_needed(path: str) -> bool:
        original, is_backup, _number = path.rpartition(host_files.BACKUP)
        if not is_backup:
            return False
        return (every[original] if original in every else read_file(original)) != read_file(path)

    return {path: content for path, content in every.items() if not is_needed(path)}


def _check_left(plan: Plan, tls_directory: str, *, allow_insecure: bool) -> None:
    """Raise DaemonError if the daemon would not start with what others have set, or let everybody in.

    ``tls_directory`` is where TLS files are looked for that no option names.
    """
    after = plan.after
    conflicts = json_file.conflicts(after.configuration, after.options)
    if conflicts:
        raise errors.set_in_both(path=plan.daemon_json, conflicts="; ".join(map(str, conflicts)))
    places = f"{plan.command.path}, {plan.options_path} or {plan.daemon_json}"
    exposed = [f"tcp://{one.host}:{one.port}" for one in after.listen if not one.is_loopback]
    if exposed and not after.verifies_clients and not allow_insecure:
        raise errors.left_open(unit=plan.service, addresses=", ".join(exposed), places=places)
    files = after.present_tls_files(tls_directory)
    gone = tls_files.missing(files, plan.content_of) if files else []
    if gone:
        raise errors.left_without_tls_files(
            unit=plan.service, settings=_tls_settings(after), files=", ".join(gone), places=places
        )


def _tls_settings(after: DaemonSettings) -> str:
    """Return what the daemon is told about TLS, as options, empty if it is told nothing."""
    told = [*json_file.listening(after.configuration), *after.options]
    found = {one.name: one.value for one in told if one.name.startswith("tls") and one.value not in ("false", "0")}
    return " ".join(f"--{name}" + (f"={value}" if value not in (None, "true") else "") for name, value in found.items())


def _warnings(after: DaemonSettings) -> t.Iterator[str]:
    """Yield a warning if the daemon will go on listening on TCP addresses, or will have settings for that."""
    if after.listen:
        yield _STILL_OPEN.format(addresses=", ".join(f"tcp://{one.host}:{one.port}" for one in after.listen))
    elif _tls_settings(after):
        yield _STILL_TLS.format(settings=_tls_settings(after))


def _original(
    file: host_files.OptionsFile, options_entry: Entry | None, json_path: str, json_entry: Entry | None
) -> _Original:
    """Return what there was before. Raises DaemonError."""
    options_bytes = content_of(options_entry.before) if options_entry else None
    json_bytes = content_of(json_entry.before) if json_entry else None
    options = read_arguments(read_words(options_bytes, file.path, file.variable), file.where)
    configuration = json_file.parse(json_bytes, json_path)
    if DaemonSettings(tuple(options), configuration).listen:
        options = [one for one in options if is_local_host(one) or one.name not in json_file.LISTENING.values()]
        hosts = [one for one in configuration.get("hosts") or [] if is_local(str(one))]
        configuration = {key: value for key, value in configuration.items() if key not in json_file.LISTENING}
        configuration.update({"hosts": hosts} if hosts else {})
    return _Original(options_bytes, json_bytes, tuple(options), configuration)


def _words(options: t.Iterable[Option]) -> list[str]:
    """Return the words of the options."""
    return [word for option in options for word in option.words]


def _options(request: Request, file: host_files.OptionsFile, original: _Original, *, whole: bool) -> bytes | None:
    """Return the options file as it is to be; None for no file.

    ``whole``: nobody changed it since. Raises DaemonError.
    """
    if whole:
        content = original.options_bytes
        return content if content is None else render(content, file.path, file.variable, _words(original.options))
    if file.before is None:
        return None
    asked = {name: wanted_values(words) for name, words in check_options(request.options).items()}
    kept = [option for option in file.present if (option.value or "true") not in asked.get(option.name, ())]
    names = {option.name for option in kept}.union(json_file.LISTENING.values())
    kept += [one for one in original.options if one.name in asked and one.name not in names]
    return render(file.content, file.path, file.variable, _words(kept))


def _configuration(request: Request, found: host_files.DaemonJson, original: _Original, *, whole: bool) -> bytes | None:
    """Return daemon.json as it is to be; None for no file. ``whole``: nobody changed it since. Raises DaemonError.

    Of a file that was changed, the keys that the request sets as options, and were taken out for that, come back.
    """
    before = original.configuration
    if whole:
        same = original.json_bytes is None or json_file.parse(original.json_bytes, found.path) == before
        return original.json_bytes if same else json_file.render(before)
    keys = {file_name(name) for name in check_options(request.options)} - json_file.LISTENING.keys()
    back = {key: value for key, value in before.items() if key in keys and key not in found.before}
    return json_file.render({**found.before, **back}) if back else content_of(found.state)


def _changes(wanted: t.Mapping[str, bytes | None], entries: t.Mapping[str, Entry]) -> t.Iterator[Change]:
    """Yield the changes that bring the files to the wanted bytes, with owner and mode of what is put back."""
    for path, after in wanted.items():
        before = read_state(path)
        if content_of(before) != after:
            old = entries[path].before if path in entries else None
            access = (old.mode, old.uid, old.gid) if old else (None, None, None)
            shown = (_AS_SET_UP if before else "", _AS_BEFORE if after is not None else "")
            yield Change(path, before, after, shown, *access)


__all__ = ("make_removal_plan",)
