# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The record of the files as they were before this collection changed them, so that they can be put back years later.

It is one more file of each change, so it is written and undone with the rest. It holds no private keys.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.journal import (
    DIRECTORY,
    Entry,
    digest,
    entry_from_json,
    entry_to_json,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import (
    Change,
    FileState,
    content_of,
    read_state,
)

# Instead of a digest: somebody else changed the file between two changes of ours, so it is never put back as a whole.
_EDITED = "edited"


def _path(service: str) -> str:
    """Return the path of the service's record."""
    return f"{DIRECTORY}/{service}.original"


def read(service: str) -> dict[str, Entry]:
    """Return what was at each path before this collection changed it; nothing without a record. Raises DaemonError."""
    return _parse(_path(service), read_state(_path(service)))


def _parse(path: str, state: FileState | None) -> dict[str, Entry]:
    """Return the entries of the record, by path. Raises DaemonError for one that cannot be read."""
    if state is None:
        return {}
    try:
        entries = [entry_from_json(entry) for entry in json.loads(state.content)["entries"]]
    except (ValueError, KeyError, TypeError) as exc:
        raise errors.bad_record(path=path) from exc
    return {entry.path: entry for entry in entries}


def update(service: str, changes: t.Sequence[Change]) -> Change:
    """Return the change of the record that goes with these changes. Raises DaemonError or FilesError.

    A private key that was there before this collection is gone for good: it is not recorded. One of which only owner or
    mode changes is still that of somebody else, so nothing about it is recorded.
    """
    path = _path(service)
    before = read_state(path)
    entries = _parse(path, before)
    for change in changes:
        known = entries.get(change.path)
        old, new = change.before, digest(change.after)
        if known is not None:
            same = digest(content_of(change.before)) == known.after_sha256
            old, new = known.before, new if same else _EDITED
        if old is not None and b"PRIVATE KEY" in old.content:
            if known is None and old.content == change.after:
                continue
            old = None
        entries[change.path] = Entry(change.path, old, new)
    text = json.dumps({"version": 1, "entries": [entry_to_json(entry) for entry in entries.values()]}, indent=1)
    return Change(path, before, text.encode("ascii"), mode=0o600)


def removal(service: str) -> list[Change]:
    """Return the change that removes the record, if there is one. Raises FilesError."""
    before = read_state(_path(service))
    return [] if before is None else [Change(_path(service), before, None)]


def is_ours(entry: Entry, state: FileState | None) -> bool:
    """Return whether the file is as this collection left it, so that nothing is lost when it is put back."""
    return digest(content_of(state)) == entry.after_sha256


__all__ = ("is_ours", "read", "removal", "update")
