# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The write-ahead journal: what was there before a change, kept until the change has proved itself.

It outlives the module, a lost connection and a power cut, so that the next run can put everything back. Should the
host boot before that, a unit of its own does so, ahead of the daemon.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import glob
import hashlib
import json
import os
import shlex
import time
import typing as t
from dataclasses import asdict, dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import (
    Change,
    FileState,
    content_of,
    files_error,
    make_directories,
    missing_directories,
    read_file,
    read_state,
    remove_file,
    remove_leftovers,
    write_atomically,
)

DIRECTORY = "/var/lib/docker-remote-api"
_LOCK_DIRECTORY = "/run"
_UNIT_DIRECTORY = "/etc/systemd/system"
# The lock's file is there from the first run after a boot on: what is wanted at boot does nothing later.
_UNIT = """\
[Unit]
Description=Put back what a change to {service} had changed when this host went down
Before={service}
RequiresMountsFor={directory}
ConditionPathExists=!{lock}

[Service]
Type=oneshot
ExecStart=/bin/sh {script}
"""
# What was edited since, and thus is not as the change made it, is left alone. The units that systemd has loaded by then
# are those of the change, so it has to read them again.
_SCRIPT = """\
is() {{ [ "$(sha256sum 2>/dev/null <"$1" | cut -d ' ' -f 1)" = "$2" ]; }}
put() {{ cp -a "$2" "$3.undo" && chmod "$1" "$3.undo" && mv -f "$3.undo" "$3"; }}
{lines}
rm -f {units}
exec systemctl daemon-reload
"""


@dataclass(frozen=True)
class Entry:
    """One file of a change: what was there (None: nothing), and the SHA-256 of what comes (None: nothing)."""

    path: str
    before: FileState | None
    after_sha256: str | None


@dataclass(frozen=True)
class Undo:
    """What it takes to undo a change: its files, in the order of the change, and the directories it makes.

    ``restarts``: the change restarts the daemon, so that it may be down because of that.
    """

    entries: tuple[Entry, ...]
    directories: tuple[str, ...] = ()
    restarts: bool = True


def digest(content: bytes | None) -> str | None:
    """Return the SHA-256 of the bytes in hexadecimal, None for None."""
    return None if content is None else hashlib.sha256(content).hexdigest()


class Journal:
    """The journal of one service. It exists on the disk only between begin() and commit()."""

    def __init__(self, service: str, directory: str = DIRECTORY, unit_directory: str = _UNIT_DIRECTORY) -> None:
        """Name the journal of ``service``, a full unit name, and the unit that puts everything back at boot."""
        unit = f"docker-remote-api-undo-{service}"
        self.path = f"{directory}/{service}.journal"
        self.unit_path = f"{unit_directory}/{unit}"
        self.script_path = f"{directory}/{service}.undo"
        self._service = service
        self._target_path = f"{unit_directory}/multi-user.target.d/{unit}.conf"

    def begin(self, changes: t.Sequence[Change], *, restarts: bool = True) -> Undo:
        """Write down, durably, what is at each path before it is changed. Raises FilesError or DaemonError.

        A file that was edited since the changes were planned would lose what was edited: then nothing is done.
        Replaced private keys are among it: what is written is readable by root alone.
        """
        for change in changes:
            if read_state(change.path) != change.before:
                raise errors.edited_meanwhile(path=change.path)
        self._disarm_boot()
        entries = tuple(Entry(change.path, change.before, digest(change.after)) for change in changes)
        missing = [missing_directories(change.path) for change in changes if change.after is not None]
        undo = Undo(entries, tuple(dict.fromkeys(item for directories in missing for item in directories)), restarts)
        content = {"version": 1, "directories": undo.directories, "restarts": restarts}
        text = json.dumps({**content, "entries": [entry_to_json(entry) for entry in entries]}, indent=1)
        make_directories(self.path, 0o700)
        write_atomically(self.path, text.encode("ascii"), mode=0o600)
        try:
            self._arm_boot(entries)
        except RemoteApiError:
            self.commit()
            raise
        return undo

    def _arm_boot(self, entries: t.Sequence[Entry]) -> None:
        """Have the next boot put everything back; what makes it do so is written last. Raises FilesError."""
        lines = []
        for number, entry in enumerate(entries, 1):
            copy, old = f"{self.path}.{number}", entry.before
            if old is not None:
                write_atomically(
                    copy, old.content, mode=0o600, uid=old.uid, gid=old.gid, mtime_ns=old.mtime_ns, like=entry.path
                )
            lines.append(_boot_line(entry, copy))
        units = shlex.join((self._target_path, self.unit_path))
        script = _SCRIPT.format(lines="\n".join(lines), units=units)
        unit = _UNIT.format(
            service=self._service,
            directory=os.path.dirname(self.path),
            lock=lock_path(self._service),
            script=self.script_path,
        )
        write_atomically(self.script_path, os.fsencode(script), mode=0o600)
        make_directories(self._target_path, 0o755)
        write_atomically(self.unit_path, unit.encode("ascii"), mode=0o644)
        wants = f"[Unit]\nWants={os.path.basename(self.unit_path)}\n"
        write_atomically(self._target_path, wants.encode("ascii"), mode=0o644)

    def _disarm_boot(self) -> None:
        """Have the next boot do nothing. Raises FilesError."""
        for path in (self._target_path, self.unit_path, self.script_path):
            remove_leftovers(path)
            remove_file(path)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(self._target_path))

    def pending(self) -> Undo | None:
        """Return what an interrupted run left to be undone; None without a journal. Raises DaemonError."""
        content = read_file(self.path)
        if content is None:
            return None
        try:
            found = json.loads(content)
            entries = tuple(entry_from_json(entry) for entry in found["entries"])
            return Undo(entries, tuple(found["directories"]), found.get("restarts", True))
        except (ValueError, KeyError, TypeError) as exc:
            raise errors.bad_journal(path=self.path) from exc

    def commit(self) -> None:
        """Forget the journal: the change stands. Raises FilesError.

        The copies go first, and with them what a killed process had not finished: no replaced key outlives the journal.
        """
        self._disarm_boot()
        directory, name = (glob.escape(part) for part in os.path.split(self.path))
        for pattern in (f"{directory}/.{name}.*.tmp", f"{directory}/{name}.[0-9]*"):
            for path in glob.glob(pattern):
                remove_file(path)
        remove_file(self.path)


def _boot_line(entry: Entry, copy: str) -> str:
    """Return the line of the script that puts one file back from its copy, if it is as the change made it."""
    path = shlex.quote(os.path.realpath(entry.path))  # a link stays, as with put_back()
    condition = f"[ -e {path} ] ||" if entry.after_sha256 is None else f"is {path} {entry.after_sha256} &&"
    if entry.before is None:
        return f"{condition} rm -f {path}"
    return f"{condition} put {entry.before.mode:04o} {shlex.quote(copy)} {path}"


def entry_to_json(entry: Entry) -> dict[str, t.Any]:
    """Return the entry as JSON takes it; bytes in base64."""
    before = entry.before and dict(asdict(entry.before), content=base64.b64encode(entry.before.content).decode("ascii"))
    return {"path": entry.path, "before": before, "after_sha256": entry.after_sha256}


def entry_from_json(found: t.Mapping[str, t.Any]) -> Entry:
    """Return the entry that entry_to_json() wrote. Raises ValueError, KeyError or TypeError for anything else."""
    before = found["before"]
    state = None if before is None else FileState(**dict(before, content=base64.b64decode(before["content"])))
    return Entry(found["path"], state, found["after_sha256"])


def put_back(undo: Undo) -> list[str]:
    """Restore each file to what it was, with owner, mode and time, the last one first; return the paths restored.

    A file that is neither as it was nor as the change made it was edited by somebody since, and is left alone.
    Every file is tried; then the first failure is raised as FilesError. Directories made for the change go, if they
    are empty.
    """
    restored: list[str] = []
    failures = []
    for entry in reversed(undo.entries):
        try:
            remove_leftovers(entry.path)
            if _restore(entry):
                restored.append(entry.path)
        except RemoteApiError as exc:
            failures.append(exc)
    for directory in reversed(undo.directories):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    if failures:
        raise failures[0]
    return restored


def is_applied(undo: Undo) -> bool:
    """Return whether every file is as the change makes it. Raises FilesError."""
    now = [(read_state(entry.path), entry.after_sha256) for entry in undo.entries]
    return all(digest(None if state is None else state.content) == after for state, after in now)


def _restore(entry: Entry) -> bool:
    """Restore one file; return whether anything had to be done. Raises FilesError."""
    now = read_state(entry.path)
    if now == entry.before:
        return False
    if digest(content_of(now)) not in (entry.after_sha256, digest(content_of(entry.before))):
        return False
    if entry.before is None:
        remove_file(entry.path)
    else:
        old = entry.before
        write_atomically(entry.path, old.content, mode=old.mode, uid=old.uid, gid=old.gid, mtime_ns=old.mtime_ns)
    return True


def lock_path(service: str, directory: str = _LOCK_DIRECTORY) -> str:
    """Return the path of the file whose lock a run holds. It lies where every boot begins with nothing."""
    return f"{directory}/docker-remote-api.{service}.lock"


@contextlib.contextmanager
def exclusive(service: str, wait: float, directory: str = _LOCK_DIRECTORY) -> t.Iterator[None]:
    """Hold the lock of the service: of two runs at once on a host, one waits for the other, ``wait`` seconds at most.

    The kernel drops the lock with the process. Raises DaemonError.
    """
    path = lock_path(service, directory)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        raise files_error(path, "opened", exc) from exc
    try:
        deadline = time.monotonic() + wait
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise errors.locked(path=path, seconds=wait)
            time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    """Return whether the lock could be had. Raises OSError for anything but somebody else's lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        if exc.errno in (errno.EWOULDBLOCK, errno.EINTR):
            return False
        raise
    return True


__all__ = (
    "DIRECTORY",
    "Entry",
    "Journal",
    "Undo",
    "digest",
    "entry_from_json",
    "entry_to_json",
    "exclusive",
    "is_applied",
    "lock_path",
    "put_back",
)
