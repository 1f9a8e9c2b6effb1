# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The files of a key and its certificates on the machine that uses them. The only file here that touches the disk."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import grp
import os
import pwd
import stat
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import (
    Change,
    FileState,
    files_error,
    make_directories,
    missing_directories,
    read_file,
    read_state,
    sync_directory,
    write_atomically,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import certificates, errors, keys
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.library import x509
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._users import (
    acting_as,
    change_owner,
    may_redirect,
)

_NEW = ".new"  # a file that waits to take the place of the one without this suffix
_OLD = ".old"  # what it took the place of, for as long as it may have to be put back
LOCK_FILE = ".remote_api.lock"


@dataclass(frozen=True)
class CertificatePaths:
    """The paths of the private key, of its certificate, and of the CA certificates to be trusted."""

    key: str
    certificate: str
    ca_certificate: str

    @property
    def all(self) -> tuple[str, str, str]:
        """The three paths."""
        return self.key, self.certificate, self.ca_certificate


@dataclass(frozen=True)
class Access:
    """Who may use the files: numeric owner and group (None: left alone), permission bits of key and certificates."""

    uid: int | None
    gid: int | None
    key_mode: int
    certificate_mode: int


@dataclass(frozen=True)
class StoredFiles:
    """The files as they are. A key is None, and a tuple empty, where its ``..._fault`` says in a few words why.

    ``waiting_key`` was made for a certificate that is still to come, if any. ``states`` has each of the three files
    that is there, by its path.
    """

    key: keys.PrivateKey | None
    key_fault: str
    waiting_key: keys.PrivateKey | None
    chain: tuple[x509.Certificate, ...]
    chain_fault: str
    ca_certificates: tuple[x509.Certificate, ...]
    states: dict[str, FileState]


def access(owner: str | None, group: str | None, mode: str) -> Access:
    """Return the access for an owner and a group (names or numbers) and the key's mode, ``0400`` or ``0600``.

    Certificates are public: their mode is the key's, with reading for all. Raises TlsError for unknown names.
    """
    uid = gid = None
    try:
        if owner is not None:
            uid = int(owner) if owner.isdigit() else pwd.getpwnam(owner).pw_uid
    except KeyError as exc:
        raise errors.unknown_owner(option="owner", name=str(owner)) from exc
    try:
        if group is not None:
            gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError as exc:
        raise errors.unknown_owner(option="group", name=str(group)) from exc
    key_mode = int(mode, 8)
    return Access(uid, gid, key_mode, key_mode | 0o444)


def acting_for(paths: CertificatePaths, wanted: Access) -> contextlib.AbstractContextManager[None]:
    """Return what has root work on the files with the rights of their owner-to-be, where that user has a hand in it.

    The rule is may_redirect(): in a directory of the user's, root could be led anywhere. Where all directories are
    root's, such as those of a server's certificate that is given to a system's user, root works itself, and gives the
    files away through their descriptors. A directory that root has made there is the user's from then on. So this has
    to be asked anew for each step. Raises UserError.
    """
    uid = wanted.uid
    return acting_as(uid if uid is not None and any(may_redirect(path, uid) for path in paths.all) else None)


def _check_links(path: str) -> None:
    """Raise TlsError if root were to follow a symbolic link that a user made: it could lead anywhere.

    Users own the directories of their clients' keys. The kernel has the same rule for /tmp (protected_symlinks in
    proc_sys_fs(5)).
    """
    above = os.path.abspath(path)
    while os.geteuid() == 0 and above != "/":
        if os.path.islink(above) and os.lstat(above).st_uid != 0:
            raise errors.bad_place(path=above, cause="this is a link that a user made, and root does not follow it")
        above = os.path.dirname(above)


def resolve(paths: CertificatePaths) -> CertificatePaths:
    """Return the paths with symbolic links followed. Raises TlsError for paths where no file can be kept."""
    for path in paths.all:
        _check_links(path)
    found = [os.path.realpath(path) for path in paths.all]
    for path, target in zip(paths.all, found):
        if os.path.isdir(target):
            raise errors.bad_place(path=path, cause="this is a directory, and a file is to be kept there")
        above = os.path.dirname(target)
        while not os.path.lexists(above):
            above = os.path.dirname(above)
        if not os.path.isdir(above):
            raise errors.bad_place(path=above, cause="this is a file, and a directory is needed there")
    if len(set(found)) < len(found):
        raise errors.bad_place(path=paths.key, cause="key, certificate and CA certificates need different places")
    return CertificatePaths(*found)


def _load_key(state: FileState | None) -> tuple[keys.PrivateKey | None, str]:
    """Return the key in the file, or None and why there is none."""
    if state is None:
        return None, "is missing"
    try:
        return keys.load(state.content), ""
    except keys.UnusableKeyError as exc:
        return None, str(exc)


def _load_certificates(state: FileState | None, path: str) -> tuple[tuple[x509.Certificate, ...], str]:
    """Return the certificates in the file, or none and why."""
    if state is None:
        return (), "is missing"
    try:
        return certificates.load_bundle(state.content, path), ""
    except errors.TlsError:
        return (), "cannot be read as a certificate"


def _read_waiting_key(path: str) -> keys.PrivateKey | None:
    """Return the waiting key, unless anybody else could have read it or put it there. Raises FilesError."""
    with contextlib.suppress(FileNotFoundError):
        found = os.lstat(path)
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
            return _load_key(read_state(path))[0]
    return None


def read(paths: CertificatePaths) -> StoredFiles:
    """Return what is at the (resolved) paths, without changing anything. Raises FilesError."""
    states = {path: read_state(path) for path in paths.all}
    key, key_fault = _load_key(states[paths.key])
    chain, chain_fault = _load_certificates(states[paths.certificate], paths.certificate)
    return StoredFiles(
        key=key,
        key_fault=key_fault,
        waiting_key=_read_waiting_key(paths.key + _NEW),
        chain=chain,
        chain_fault=chain_fault,
        ca_certificates=_load_certificates(states[paths.ca_certificate], paths.ca_certificate)[0],
        states={path: state for path, state in states.items() if state is not None},
    )


def make_directories_for(paths: t.Iterable[str], uid: int | None, gid: int | None, mode: int) -> None:
    """Make the missing directories above the paths, with these bits, owner and group. Raises FilesError.

    The lowest is given away first: in one that is the user's already, root would have to follow the user's entries.
    """
    missing = {directory for path in paths for directory in missing_directories(path)}
    for directory in sorted(missing):
        make_directories(os.path.join(directory, ""), mode)
    for directory in sorted(missing, reverse=True):
        _set_access(directory, mode, uid, gid, kind=os.O_DIRECTORY)


def write_waiting_key(paths: CertificatePaths, content: bytes) -> None:
    """Write a new key (PEM) beside the key's path, from its first byte for its owner only. Raises FilesError."""
    # Whatever is there (a link, say) was not put there by us, or is of no use.
    remove([paths.key + _NEW])
    write_atomically(paths.key + _NEW, content, mode=0o600)


def _try_lock(path: str) -> int | None:
    """Return a descriptor of the lock file with the lock on it, or None while another run has it. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    locked = False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The run that held it before has removed the file: a lock on that one keeps nobody out.
        locked = os.path.samestat(os.fstat(descriptor), os.stat(path))
    except (BlockingIOError, FileNotFoundError):
        return None
    finally:
        if not locked:
            os.close(descriptor)
    return descriptor if locked else None


@contextlib.contextmanager
def lock(
    directory: str,
    timeout: float = 60.0,
    acting: t.Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
) -> t.Iterator[None]:
    """Keep other runs on this machine from changing the files in the directory at the same time.

    ``acting`` gives the rights with which the lock is made and removed; the block has those it had.
    The lock is flock(2) on a file in the directory, which is removed afterwards; the system lifts that of a run that
    was killed. Raises TlsError when another run keeps it for ``timeout`` seconds, and FilesError.
    """
    path = os.path.join(directory, LOCK_FILE)
    deadline = time.monotonic() + timeout
    try:
        with acting():
            while (descriptor := _try_lock(path)) is None:
                if time.monotonic() > deadline:
                    raise errors.locked(path=path, seconds=f"{timeout:g}")
                time.sleep(0.05)
    except OSError as exc:
        raise files_error(directory, "locked for this run", exc) from exc
    try:
        yield
    finally:
        with contextlib.suppress(OSError), acting():
            os.unlink(path)
        os.close(descriptor)


def _stage(change: Change) -> None:
    """Let the new bytes wait beside the file, with their final mode and owner. Raises FilesError."""
    new = change.path + _NEW
    if os.path.islink(new):
        remove([new])
    uid, gid = change.uid, change.gid
    if change.before is not None and not _is_anothers(change):
        uid = change.before.uid if uid is None else uid
        gid = change.before.gid if gid is None else gid
    write_atomically(new, change.after or b"", mode=0o600 if change.mode is None else change.mode, uid=uid, gid=gid)


def _is_anothers(change: Change) -> bool:
    """Return whether the file belongs to another user, so that only a new one can have another owner or mode."""
    return change.before is not None and os.geteuid() not in (0, change.before.uid)


def _keep_old(path: str) -> None:
    """Give the file, if there is one, a second name. Raises FilesError and OSError.

    Of another user's file it is a copy: the kernel allows no second name (protected_hardlinks in proc_sys_fs(5)).
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path + _OLD)
    try:
        os.link(path, path + _OLD)
    except FileNotFoundError:
        return
    except PermissionError:
        write_atomically(path + _OLD, read_file(path) or b"", mode=0o600)


def _put_back(done: t.Sequence[str]) -> None:
    """Undo the replacements of these files, the last one first. Raises TlsError when that is refused, too."""
    for path in reversed(done):
        try:
            if os.path.lexists(path + _OLD):
                os.replace(path + _OLD, path)
            else:
                os.unlink(path)
        except OSError as exc:
            raise errors.not_put_back(path=path, old=path + _OLD, cause=exc.strerror or str(exc)) from exc


def _forget_old(paths: t.Iterable[str]) -> None:
    """Remove the second names of the old files; one that stays is removed by the next run."""
    for path in paths:
        with contextlib.suppress(OSError):
            os.unlink(path + _OLD)


def replace_together(changes: t.Sequence[Change]) -> None:
    """Carry the changes out, one right after the other: new bytes are written out first, then only names change.

    A full disk shows before anything changes. When a name cannot be changed, those that were are changed back
    without needing space. Raises FilesError or TlsError; the bytes of all files are then as they were.
    """
    paths = [one.path for one in changes if one.before is None or one.after != one.before.content or _is_anothers(one)]
    for change in changes:
        if change.path in paths:
            _stage(change)
    done: list[str] = []
    current = ""
    try:
        for current in paths:
            _keep_old(current)
        for current in paths:
            os.replace(current + _NEW, current)
            done.append(current)
        for directory in {os.path.dirname(path) for path in done}:
            sync_directory(directory)
    except OSError as exc:
        _put_back(done)
        _forget_old(paths)
        raise errors.bad_swap(path=current, cause=exc.strerror or str(exc)) from exc
    _forget_old(paths)
    for change in changes:
        if change.path not in paths and change.mode is not None:
            _forget_old([change.path])  # a killed run may have left it
            _set_access(change.path, change.mode, change.uid, change.gid)


def leftovers(paths: CertificatePaths, *, keep_waiting: bool) -> list[str]:
    """Return the paths that a run which was killed left beside the files; the waiting key only if it is not kept."""
    found: list[str] = []
    for path in paths.all:
        directory, name = os.path.split(path)
        # What write_atomically() had not finished.
        found += glob.glob(f"{glob.escape(os.path.join(directory, f'.{name}{_NEW}.'))}????????.tmp")
        found += [path + suffix for suffix in (_NEW, _OLD) if os.path.lexists(path + suffix)]
    return [path for path in found if not (keep_waiting and path == paths.key + _NEW)]


def remove(paths: t.Iterable[str]) -> None:
    """Remove these files, and of a symbolic link the link itself. Raises FilesError."""
    for path in paths:
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
                sync_directory(os.path.dirname(path))
        except OSError as exc:
            raise files_error(path, "removed", exc) from exc


def _set_access(path: str, mode: int, uid: int | None, gid: int | None, *, kind: int = 0) -> None:
    """Give the file (``kind`` O_DIRECTORY: the directory) its mode, owner and group (None: left alone).

    What is changed is what was looked at: never the target of a link, nor a file that has a second name elsewhere.
    Raises FilesError and TlsError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | kind)
        try:
            found = os.fstat(descriptor)
            if not kind and not (stat.S_ISREG(found.st_mode) and found.st_nlink == 1):
                raise errors.bad_place(path=path, cause="this is no regular file with this one name (hard link) alone")
            change_owner(descriptor, uid, gid)
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
    except OSError as exc:
        raise files_error(path, "given its owner and mode", exc) from exc


__all__ = (
    "LOCK_FILE",
    "Access",
    "CertificatePaths",
    "StoredFiles",
    "access",
    "acting_for",
    "leftovers",
    "lock",
    "make_directories_for",
    "read",
    "remove",
    "replace_together",
    "resolve",
    "write_waiting_key",
)
