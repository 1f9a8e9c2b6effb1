# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The files of a key and its certificates on the machine that uses them. The only file here that touches the disk."""

from __future__ import annotations

import contextlib
import glob
import grp
import os
import pwd
import stat
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import (
    files_error,
    read_file,
    read_state,
    sync_directory,
    write_atomically,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import certificates, errors, keys
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.library import x509

_NEW = ".new"  # a file that waits to take the place of the one without this suffix
_OLD = ".old"  # what it took the place of, for as long as it may have to be put back


@dataclass(frozen=True)
class Places:
    """The paths of the private key, of its certificate, and of the certificates of the authorities it trusts."""

    key: str
    certificate: str
    authority: str


@dataclass(frozen=True)
class Access:
    """Who may use the files: numeric owner and group (None: left alone), permission bits of key and certificates."""

    uid: int | None
    gid: int | None
    key_mode: int
    certificate_mode: int


@dataclass(frozen=True)
class Seen:
    """What is there. A key is None, and a tuple empty, where its ``..._fault`` says in a few words why.

    ``waiting`` is the key that was made for a certificate that is still to come, if any.
    """

    key: keys.PrivateKey | None
    key_fault: str
    waiting: keys.PrivateKey | None
    chain: tuple[x509.Certificate, ...]
    chain_fault: str
    authority: tuple[x509.Certificate, ...]


@dataclass(frozen=True)
class Replacement:
    """A file that is to be replaced: its path, new bytes (None: they wait beside it already), and permission bits."""

    path: str
    content: bytes | None
    mode: int


def access(owner: str | None, group: str | None, mode: str) -> Access:
    """Return the access for an owner and a group (names or numbers) and the key's mode, ``0400`` or ``0600``.

    Certificates are public: their mode is the key's, with reading for all. Raises TlsError for unknown names.
    """
    uid = gid = None
    try:
        if owner is not None:
            uid = int(owner) if owner.isdigit() else pwd.getpwnam(owner).pw_uid
    except KeyError as problem:
        raise errors.unknown_owner("owner", str(owner)) from problem
    try:
        if group is not None:
            gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError as problem:
        raise errors.unknown_owner("group", str(group)) from problem
    key_mode = int(mode, 8)
    return Access(uid, gid, key_mode, key_mode | 0o444)


def resolve(places: Places) -> Places:
    """Return the places with symbolic links followed. Raises TlsError for places where no file can be kept."""
    given = (places.key, places.certificate, places.authority)
    found = [os.path.realpath(path) for path in given]
    for path, target in zip(given, found):
        if os.path.isdir(target):
            raise errors.bad_place(path, "this is a directory, and a file is to be kept there")
        above = os.path.dirname(target)
        while not os.path.lexists(above):
            above = os.path.dirname(above)
        if not os.path.isdir(above):
            raise errors.bad_place(above, "this is a file, and a directory is needed there")
    if len(set(found)) < len(found):
        raise errors.bad_place(places.key, "the key and the two files for certificates need three different places")
    return Places(*found)


def _look_for_key(path: str) -> tuple[keys.PrivateKey | None, str]:
    """Return the key in the file, or None and why there is none. Raises FilesError."""
    content = read_file(path)
    if content is None:
        return None, "is missing"
    try:
        return keys.load(content), ""
    except keys.UnusableKeyError as problem:
        return None, str(problem)


def _look_for_certificates(path: str) -> tuple[tuple[x509.Certificate, ...], str]:
    """Return the certificates in the file, or none and why. Raises FilesError."""
    content = read_file(path)
    if content is None:
        return (), "is missing"
    try:
        return certificates.load_bundle(content, path), ""
    except errors.TlsError:
        return (), "cannot be read as a certificate"


def _look_for_waiting(path: str) -> keys.PrivateKey | None:
    """Return the waiting key, unless anybody else could have read or put it there. Raises FilesError."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    private = stat.S_ISREG(found.st_mode) and not found.st_mode & 0o077
    return _look_for_key(path)[0] if private and found.st_uid in (0, os.geteuid()) else None


def look(places: Places) -> Seen:
    """Return what is at the (resolved) places, without changing anything. Raises FilesError."""
    key, key_fault = _look_for_key(places.key)
    chain, chain_fault = _look_for_certificates(places.certificate)
    return Seen(
        key=key,
        key_fault=key_fault,
        waiting=_look_for_waiting(places.key + _NEW),
        chain=chain,
        chain_fault=chain_fault,
        authority=_look_for_certificates(places.authority)[0],
    )


def _make_directory(path: str, who: Access, mode: int) -> None:
    """Make the directory and those above it, with these bits and this owner, unless it is there. Raises FilesError."""
    if os.path.isdir(path):
        return
    try:
        os.makedirs(path, mode=mode)
        os.chmod(path, mode)
        os.chown(path, -1 if who.uid is None else who.uid, -1 if who.gid is None else who.gid)
    except OSError as problem:
        raise files_error(path, "made", problem) from problem


def write_waiting(places: Places, key: keys.PrivateKey, who: Access, directory_mode: int) -> None:
    """Write a new key beside the key's place, readable by its owner only from its first byte. Raises FilesError."""
    for path in (places.key, places.certificate, places.authority):
        _make_directory(os.path.dirname(path), who, directory_mode)
    # Whatever is there (a link, say) was not put there by us, or is of no use.
    remove([places.key + _NEW])
    write_atomically(places.key + _NEW, keys.to_pem(key), mode=0o600)


def _stage(file: Replacement, who: Access) -> None:
    """Let the new bytes wait beside the file, with the final mode and owner (the present one's, if none is wanted)."""
    present = read_state(file.path)
    uid = present.uid if who.uid is None and present else who.uid
    gid = present.gid if who.gid is None and present else who.gid
    content = file.content
    if content is None:
        content = read_file(file.path + _NEW) or b""
    else:
        remove([file.path + _NEW])
    write_atomically(file.path + _NEW, content, mode=file.mode, uid=uid, gid=gid)


def _put_back(done: t.Sequence[str]) -> None:
    """Undo the replacements of these files, the last one first. Raises TlsError when that is refused, too."""
    for path in reversed(done):
        try:
            if os.path.lexists(path + _OLD):
                os.replace(path + _OLD, path)
            else:
                os.unlink(path)
        except OSError as problem:
            raise errors.not_put_back(path, path + _OLD, problem.strerror or str(problem)) from problem


def _forget_old(files: t.Iterable[Replacement]) -> None:
    """Remove the second names of the old files; one that stays is removed by the next run."""
    for file in files:
        with contextlib.suppress(OSError):
            os.unlink(file.path + _OLD)


def replace_together(files: t.Sequence[Replacement], who: Access, directory_mode: int) -> None:
    """Replace the files one right after the other: all are written out first, then only names change.

    A full disk shows before anything changes. When a name cannot be changed, those that were are changed back
    without needing space. Raises FilesError or TlsError; the files are then as they were.
    """
    for file in files:
        _make_directory(os.path.dirname(file.path), who, directory_mode)
        _stage(file, who)
    done: list[str] = []
    current = files[0].path
    try:
        for file in files:
            current = file.path
            with contextlib.suppress(FileNotFoundError):
                os.unlink(current + _OLD)
            with contextlib.suppress(FileNotFoundError):
                os.link(current, current + _OLD)
        for file in files:
            current = file.path
            os.replace(current + _NEW, current)
            done.append(current)
        for directory in {os.path.dirname(path) for path in done}:
            sync_directory(directory)
    except OSError as problem:
        _put_back(done)
        _forget_old(files)
        raise errors.bad_swap(current, problem.strerror or str(problem)) from problem
    _forget_old(files)


def leftovers(places: Places, *, keep_waiting: bool) -> list[str]:
    """Return the paths that a run which was killed left beside the files; the waiting key only if it is not kept."""
    found: list[str] = []
    for path in (places.key, places.certificate, places.authority):
        directory, name = os.path.split(path)
        # What write_atomically() had not finished.
        found += glob.glob(f"{glob.escape(os.path.join(directory, f'.{name}{_NEW}.'))}????????.tmp")
        found += [path + suffix for suffix in (_NEW, _OLD) if os.path.lexists(path + suffix)]
    return [path for path in found if not (keep_waiting and path == places.key + _NEW)]


def remove(paths: t.Iterable[str]) -> None:
    """Remove these files, and of a symbolic link the link itself. Raises FilesError."""
    for path in paths:
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
                sync_directory(os.path.dirname(path))
        except OSError as problem:
            raise files_error(path, "removed", problem) from problem


def drifted(files: t.Iterable[tuple[str, int]], who: Access) -> list[tuple[str, int]]:
    """Return those of the files (path and wanted permission bits) whose mode, owner or group is another."""
    found = []
    for path, mode in files:
        try:
            state = os.stat(path)
        except FileNotFoundError:
            continue
        if (stat.S_IMODE(state.st_mode), state.st_uid, state.st_gid) != (
            mode,
            state.st_uid if who.uid is None else who.uid,
            state.st_gid if who.gid is None else who.gid,
        ):
            found.append((path, mode))
    return found


def set_access(files: t.Iterable[tuple[str, int]], who: Access) -> None:
    """Give the files (path and permission bits) their mode, owner and group. Raises FilesError."""
    for path, mode in files:
        try:
            os.chown(path, -1 if who.uid is None else who.uid, -1 if who.gid is None else who.gid)
            os.chmod(path, mode)
        except OSError as problem:
            raise files_error(path, "given its owner and mode", problem) from problem


__all__ = (
    "Access",
    "Places",
    "Replacement",
    "Seen",
    "access",
    "drifted",
    "leftovers",
    "look",
    "remove",
    "replace_together",
    "resolve",
    "set_access",
    "write_waiting",
)
