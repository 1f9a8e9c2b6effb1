# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Reading and replacing whole files so that a reader sees the old bytes or the new ones, never a mixture."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import stat
import tempfile
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._users import change_owner

_REMEDIES: dict[int, str] = {
    errno.ENOSPC: "Free some space on its file system and run again.",
    errno.EDQUOT: "Free some space on its file system and run again.",
    errno.EROFS: "Its file system is mounted read-only: remount it writable and run again.",
    errno.EPERM: "It may be immutable (see lsattr): lift that with 'chattr -i' and run again.",
    errno.EACCES: "Run as a user who may change it, for example with 'become: true'.",
    errno.ENOTDIR: "Move the file that stands where a directory is needed out of the way.",
    errno.EISDIR: "Move the directory that stands where a file is needed out of the way.",
    errno.ENOENT: "Create its directory first.",
}


_ATTRIBUTES = ("system.posix_acl_access", "security.selinux")


class FilesError(RemoteApiError):
    """A file cannot be read, written or removed."""


def files_error(path: str, action: str, problem: OSError) -> FilesError:
    """Return the error for an operating system's refusal of ``action`` (such as ``written``) on ``path``."""
    remedy = _REMEDIES.get(problem.errno or 0, "Look at it and at its directory, then run again.")
    return FilesError(path, f"it cannot be {action} ({problem.strerror or problem})", remedy)


relative_path = FilesError.text(
    "{option}, {path}",
    "this path on the host is relative, and would begin in another directory for each program that uses it",
    "Write the whole path, as in /etc/docker.",
)


def require_absolute(option: str, path: str) -> None:
    """Return if the path, which the option gives, means the same to every program. Raises FilesError otherwise.

    A module runs in whatever directory Ansible has chosen, and a service of systemd's in the root directory
    (WorkingDirectory= in systemd.exec(5)).
    """
    if not os.path.isabs(path):
        raise relative_path(option=option, path=path)


@dataclass(frozen=True)
class FileState:
    """A file as it was: its bytes, permission bits, numeric owner and group, and time of change in nanoseconds."""

    content: bytes
    mode: int
    uid: int
    gid: int
    mtime_ns: int


@dataclass(frozen=True)
class Change:
    """One file of a plan: what is there (None: no file) and what is to be there (None: no file).

    ``mode``, ``uid`` and ``gid`` are those of the new file; None means those of the present file, or else of a file
    that root creates with mode 0644. ``shown`` is its diff, before and after, free of secrets.
    """

    path: str
    before: FileState | None
    after: bytes | None
    shown: tuple[str, str] = ("", "")
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


def read_file(path: str) -> bytes | None:
    """Return the bytes of the file, or None where there is no such file. Raises FilesError."""
    return content_of(read_state(path))


def content_of(state: FileState | None) -> bytes | None:
    """Return the bytes of a file as it was, None for no file."""
    return None if state is None else state.content


def read_state(path: str) -> FileState | None:
    """Return the file with its owner, mode and time, or None where there is no such file. Raises FilesError.

    Only a regular file is read (a symbolic link to one is followed), so that nobody is kept waiting by a pipe.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise files_error(path, "read", problem) from problem
    try:
        with open(descriptor, "rb") as stream:
            found = os.fstat(stream.fileno())
            if stat.S_ISDIR(found.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            content = stream.read()
    except OSError as problem:
        raise files_error(path, "read", problem) from problem
    return FileState(content, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, found.st_mtime_ns)


def _copy_attributes(source: str, descriptor: int) -> None:
    """Give the open file the ACL, the SELinux label and the users' own attributes of ``source``, as far as it can be.

    So whoever may read the one may read the other. Of the rest, some attributes are about the bytes, and some belong
    to the kernel alone (xattr(7)).
    """
    # Only Linux has these calls; a controller may be another Unix.
    with contextlib.suppress(OSError, AttributeError):
        for name in os.listxattr(source):
            if name in _ATTRIBUTES or name.startswith("user."):
                with contextlib.suppress(OSError):
                    os.setxattr(descriptor, name, os.getxattr(source, name))


def sync_directory(path: str) -> None:
    """Make renames in the directory durable (rename(2) alone may be lost with the power). Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(
    path: str,
    content: bytes,
    *,
    mode: int,
    uid: int | None = None,
    gid: int | None = None,
    mtime_ns: int | None = None,
    like: str | None = None,
) -> None:
    """Replace or create the file in one step, with this mode and, where given, owner, group and time of change.

    It has the ACL and the extended attributes of the file that it replaces, or of the file ``like``.
    A symbolic link stays and its target changes. The new bytes reach the disk before the name points to them.
    Until then they lie in the same directory, readable by their owner only. Raises FilesError; then the old file
    is as it was and nothing is left beside it.
    """
    target = os.path.realpath(path)
    directory = os.path.dirname(target)
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(target)}.", suffix=".tmp", dir=directory)
        with open(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            if uid is not None or gid is not None:
                change_owner(stream.fileno(), uid, gid)
            _copy_attributes(like or target, stream.fileno())
            os.fchmod(stream.fileno(), mode)  # after the ACL, whose mask it sets (acl(5))
            if mtime_ns is not None:
                os.utime(stream.fileno(), ns=(mtime_ns, mtime_ns))
            os.fsync(stream.fileno())
        os.replace(temporary, target)
        temporary = ""
        sync_directory(directory)
    except OSError as problem:
        raise files_error(path, "written", problem) from problem
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def remove_file(path: str) -> None:
    """Remove the file if it is there, durably. A symbolic link stays and its target goes. Raises FilesError."""
    target = os.path.realpath(path)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(target)
            sync_directory(os.path.dirname(target))
    except OSError as problem:
        raise files_error(path, "removed", problem) from problem


def remove_leftovers(path: str) -> None:
    """Remove what write_atomically() leaves beside the file when its process is killed half-way."""
    directory, name = os.path.split(os.path.realpath(path))
    for leftover in glob.glob(f"{glob.escape(os.path.join(directory, f'.{name}.'))}????????.tmp"):
        with contextlib.suppress(OSError):
            os.unlink(leftover)


def missing_directories(path: str) -> list[str]:
    """Return which of the directories above the path are not there, the topmost first.

    A relative path begins in the working directory, which is none of them.
    """
    missing: list[str] = []
    directory = os.path.dirname(path)
    while directory and not os.path.lexists(directory):
        missing.insert(0, directory)
        directory = os.path.dirname(directory)
    return missing


def make_directories(path: str, mode: int) -> None:
    """Make the directories above the path, as far as they are missing, durably. Raises FilesError.

    Another process may make the same ones meanwhile, as forks of one play do on the controller.
    """
    for directory in missing_directories(path):
        try:
            os.mkdir(directory, mode)
        except OSError as problem:
            if not os.path.isdir(directory):
                raise files_error(directory, "created", problem) from problem
        try:
            sync_directory(os.path.dirname(directory) or ".")
        except OSError as problem:
            raise files_error(directory, "created", problem) from problem


def write_change(change: Change) -> None:
    """Carry out one change, in one step. Raises FilesError; then the file is as it was.

    A file of which only owner or mode changes keeps its time, so that nobody takes it for a new one.
    """
    if change.after is None:
        remove_file(change.path)
        return
    make_directories(change.path, 0o755)
    old = change.before or FileState(b"", 0o644, 0, 0, 0)
    same = change.before is not None and change.before.content == change.after
    write_atomically(
        change.path,
        change.after,
        mode=old.mode if change.mode is None else change.mode,
        uid=old.uid if change.uid is None else change.uid,
        gid=old.gid if change.gid is None else change.gid,
        mtime_ns=old.mtime_ns if same else None,
    )


__all__ = (
    "Change",
    "FileState",
    "FilesError",
    "content_of",
    "files_error",
    "make_directories",
    "missing_directories",
    "read_file",
    "read_state",
    "remove_file",
    "remove_leftovers",
    "require_absolute",
    "sync_directory",
    "write_atomically",
    "write_change",
)
