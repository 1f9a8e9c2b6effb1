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

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import daemon_json as json_file
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors, host_files, record, unit
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.journal import Entry
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import DaemonSettings, Plan, Request
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import (
    check_options,
    file_name,
    read_arguments,
    wanted_values,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options_file import read_words, render
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.process import Process
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import Change, content_of, read_state
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import ServiceState

# What a diff shows: the files may hold secrets of others.
_AS_SET_UP, _AS_BEFORE = "(as it was set up)\n", "(as it was before)\n"
_STILL_OPEN = "The daemon still listens on {addresses}, which this collection did not set."


def make_removal_plan(request: Request, state: ServiceState, running: Process | None) -> Plan:
    """Return the plan, without reasons for a restart. Raises DaemonError or FilesError."""
    files = host_files.read_units(request.service)
    own_path = unit.drop_in_path(request.service)
    base = unit.load(request.service, [item for item in files if item.path != own_path])
    file = host_files.find_options_file(request, unit.load(request.service, files))
    fixed = host_files.fixed_options(base, file.path, file.variable)
    daemon_json = host_files.read_daemon_json(request, [*fixed, *file.present])

    recorded = {path: entry for path, entry in record.read(request.service).items() if path not in request.keep}
    entries = {path: entry for path, entry in recorded.items() if record.is_ours(entry, read_state(path))}
    content = _options(request, file, recorded.get(file.path), whole=file.path in entries)
    new_json = _configuration(request, daemon_json, recorded.get(daemon_json.path), whole=daemon_json.path in entries)
    words = read_words(content, file.path, file.variable)
    wanted: dict[str, bytes | None] = {file.path: content, daemon_json.path: new_json}
    if words and file.path not in entries:
        # What somebody has added to the options stays in effect, so the unit has to read them further on.
        wanted.update({item.path: item.content for item in files})
    else:
        wanted[own_path] = None
    for path, entry in entries.items():
        wanted.setdefault(path, content_of(entry.before))
    changes = [*_changes(wanted, entries), *record.removal(request.service)]

    left = [unit.UnitFile(item.path, wanted.get(item.path, item.content) or b"") for item in files]
    effective = unit.load(request.service, [item for item in left if wanted.get(item.path, b"") is not None])
    argv = unit.expand(effective, host_files.variables(effective, file.path, content))
    options = tuple(read_arguments(argv[1:], effective.command.path))
    after = DaemonSettings(options, json_file.parse(new_json, daemon_json.path))
    conflicts = json_file.conflicts(after.configuration, options)
    if conflicts:
        raise errors.set_in_both(path=daemon_json.path, conflicts="; ".join(map(str, conflicts)))
    return Plan(
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


def _warnings(after: DaemonSettings) -> t.Iterator[str]:
    """Yield a warning if the daemon will go on listening on TCP addresses."""
    if after.listen:
        yield _STILL_OPEN.format(addresses=", ".join(f"tcp://{one.host}:{one.port}" for one in after.listen))


def _options(request: Request, file: host_files.OptionsFile, entry: Entry | None, *, whole: bool) -> bytes | None:
    """Return the options file as it is to be; None for no file.

    ``whole``: nobody changed it since. Raises DaemonError.
    """
    original = content_of(entry.before) if entry else None
    words = read_words(original, file.path, file.variable)
    before = read_arguments(words, file.where)
    if whole and not DaemonSettings(tuple(before), {}).listen:
        return original
    if file.before is None:
        return None
    asked = {name: wanted_values(words) for name, words in check_options(request.options).items()}
    kept = [option for option in file.present if (option.value or "true") not in asked.get(option.name, ())]
    names = {option.name for option in kept} | {"host"}
    kept += [one for one in before if one.name in asked and one.name not in names and not one.name.startswith("tls")]
    return render(file.content, file.path, file.variable, [word for option in kept for word in option.words])


def _configuration(request: Request, found: host_files.DaemonJson, entry: Entry | None, *, whole: bool) -> bytes | None:
    """Return daemon.json as it is to be; None for no file. ``whole``: nobody changed it since. Raises DaemonError.

    Of a file that was changed, the keys that the request sets as options, and were taken out for that, come back.
    """
    original = content_of(entry.before) if entry else None
    before = json_file.parse(original, found.path)
    if whole and not DaemonSettings((), before).listen:
        return original
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
