# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Replacing a CA, A, with a new one, B. The files in the CA's directory are the only record of its progress.

========  ==========  ===========  ============  =======================================================================
state     ca-key.pem  ca.pem       second key    meaning
========  ==========  ===========  ============  =======================================================================
none      A           A            (next: B)     no CA is being replaced; a key that waits belongs to no CA yet
hosts     A           A, B         next: B       B signs what servers get, A what clients get, and all trust both
clients   B           A, B         previous: A   B signs everything, and all trust both
retired   B           B            previous: A   hosts drop A; its key is left to prove that they refuse its clients
none      B           B
========  ==========  ===========  ============  =======================================================================

Servers come first, since clients that trust both accept either certificate, and hosts take clients of A until the end.
A step changes one file after the other. A run that is killed between them leaves one of these states.
The certificate of a CA that was replaced stays in ``retired/``: a host that still trusts it is ours, not a stranger's.
"""

from __future__ import annotations

import glob
import os
import typing as t
from dataclasses import dataclass, field, replace
from datetime import datetime

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._addresses import is_loopback
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import (
    files_error,
    make_directories,
    read_file,
    remove_file,
    remove_leftovers,
    sync_directory,
    write_atomically,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import certificates, errors, keys, store
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.library import ExtendedKeyUsageOID, x509
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority

PREVIOUS_KEY_FILE = "ca-key.previous.pem"
RETIRED_FOLDER = "retired"

STATES = NONE, HOSTS, CLIENTS, RETIRED = ("none", "hosts", "clients", "retired")
# What is asked for, and the state to which it leads.
PHASES = {"start": HOSTS, "clients": CLIENTS, "retire": RETIRED, "now": RETIRED, "finish": NONE}
_MOST_NAMED = 10


@dataclass(frozen=True)
class Rotation:
    """How far the replacement of a CA is: one of STATES, what is replaced, and by what (None in the state ``none``)."""

    state: str
    old: tuple[x509.Certificate, ...] = ()
    new: x509.Certificate | None = None


@dataclass(frozen=True)
class Directory:
    """A CA's directory, the passphrase of all keys in it, its ledger, and what a new CA is to be like."""

    path: str
    passphrase: str | None = field(repr=False)
    ledger_dir: str | None
    spec: _authority.AuthoritySpec

    def file(self, name: str) -> str:
        """Return the path of a file in the directory."""
        return os.path.join(self.path, name)

    @property
    def ledger(self) -> str:
        """The path of the ledger."""
        return self.ledger_dir or self.file(_authority.LEDGER)


# --- the state ---------------------------------------------------------------------------------------------------


def _key(path: str, passphrase: str | None) -> keys.PrivateKey | None:
    """Return the key in the file, None if there is no such file. Raises RemoteApiError."""
    content = read_file(path)
    return None if content is None else _authority.load_key(content, path, passphrase)


def _of_key(bundle: t.Iterable[x509.Certificate], key: keys.PrivateKey | None) -> x509.Certificate | None:
    """Return the certificate of the key, None if it is not among them."""
    return next((one for one in bundle if key is not None and certificates.matches_key(one, key)), None)


def retired(path: str) -> tuple[x509.Certificate, ...]:
    """Return the certificates of the CAs that were replaced in this directory. Raises RemoteApiError."""
    files = sorted(glob.glob(os.path.join(glob.escape(path), RETIRED_FOLDER, "*.pem")))
    return tuple(one for file in files for one in certificates.load_bundle(read_file(file) or b"", file))


def read(path: str, passphrase: str | None) -> Rotation:
    """Return how far the replacement of the CA in the directory is. Raises RemoteApiError if there is no CA."""
    key_path, bundle_path = (os.path.join(path, one) for one in (_authority.KEY_FILE, _authority.CERTIFICATE_FILE))
    key, content = _key(key_path, passphrase), read_file(bundle_path)
    if key is None or content is None:
        raise errors.not_there(path=path)
    bundle = certificates.load_bundle(content, bundle_path)
    own = _of_key(bundle, key)
    if own is None:
        raise errors.foreign_key(key=key_path, certificate=bundle_path)
    new = _of_key(bundle, _key(os.path.join(path, _authority.NEXT_KEY_FILE), passphrase))
    if new is not None and new is not own:
        return Rotation(HOSTS, tuple(one for one in bundle if one is not new), new)
    previous = _key(os.path.join(path, PREVIOUS_KEY_FILE), passphrase)
    if previous is None:
        return Rotation(NONE)
    if _of_key(bundle, previous):
        return Rotation(CLIENTS, tuple(one for one in bundle if one is not own), own)
    old = _of_key(retired(path), previous)
    return Rotation(RETIRED, (old,) if old else (), own)


def old_authority(path: str, passphrase: str | None, now: datetime) -> _authority.Authority | None:
    """Return the CA whose clients are to be refused, while its key is left; None if there is none, or it has expired.

    Raises RemoteApiError.
    """
    previous = _key(os.path.join(path, PREVIOUS_KEY_FILE), passphrase)
    if previous is None:
        return None
    bundle_path = os.path.join(path, _authority.CERTIFICATE_FILE)
    trusted = certificates.load_bundle(read_file(bundle_path) or b"", bundle_path)
    certificate = None if _of_key(trusted, previous) else _of_key(retired(path), previous)
    if certificate is None or certificates.not_after(certificate) <= now:
        return None
    return _authority.Authority(certificate, previous, (certificate,), None)


# --- who still needs the old CA ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Entry:
    """A valid certificate in the ledger: its file, its usage, and under which names its owner is known."""

    file: str
    usage: str
    certificate: x509.Certificate

    @property
    def name(self) -> str:
        """The common name."""
        return certificates.common_name(self.certificate)

    @property
    def names(self) -> set[str]:
        """The common name, and those by which clients call a server, but for localhost and the like: each has them."""
        more = certificates.names(self.certificate) if self.usage == "server" else ()
        return {self.name, *(name for name in more if not is_loopback(name))}


def _ledger(folder: str, now: datetime) -> t.Iterator[_Entry]:
    """Yield the certificates in the ledger that are still valid; what cannot be read is left to the audit."""
    for file in sorted(glob.glob(os.path.join(glob.escape(folder), "*.pem"))):
        for one in certificates.load_usable(read_file(file) or b"")[:1]:
            try:
                usages = certificates.extension(one, x509.ExtendedKeyUsage) or ()
                certificates.names(one)
            except certificates.UnreadableError:
                continue
            if certificates.not_after(one) > now:
                yield _Entry(file, "client" if ExtendedKeyUsageOID.CLIENT_AUTH in usages else "server", one)


def _needing(
    directory: Directory, rotation: Rotation, usages: t.Container[str], now: datetime
) -> dict[tuple[str, str], list[_Entry]]:
    """Return the valid certificates of the old CA whose owners have none of the new one, by usage and common name.

    A server is known by each of its names, since the first of them may have changed. A client is known by its key,
    which stays with a renewal: several machines may have clients of one name. Only where all certificates of a name had
    one key, the name is enough, as that client may have been given a new one.
    """
    entries = [one for one in _ledger(directory.ledger, now) if one.usage in usages]
    moved = [one for one in entries if _is_of(one, [rotation.new] if rotation.new else [])]
    have = {(one.usage, name) for one in moved for name in one.names}
    have_keys = {certificates.identity(one.certificate) for one in moved}
    old: dict[tuple[str, str], list[_Entry]] = {}
    for entry in entries:
        if _is_of(entry, rotation.old):
            old.setdefault((entry.usage, entry.name), []).append(entry)
    needing = {}
    for (usage, name), those in sorted(old.items()):
        one_key = len({certificates.identity(one.certificate) for one in those}) == 1
        if (usage, name) not in have or (usage == "client" and not one_key):
            left = [one for one in those if certificates.identity(one.certificate) not in have_keys]
            needing.update({(usage, name): left} if left else {})
    return needing


def _is_of(entry: _Entry, authorities: t.Sequence[x509.Certificate]) -> bool:
    """Return whether one of the CAs issued the certificate."""
    return certificates.find_anchor([entry.certificate], authorities) is not None


def _describe(usage: str, name: str, those: t.Sequence[_Entry]) -> str:
    """Return the owner's usage and common name, when the last of the certificates ends, and the files."""
    end = max(certificates.iso(certificates.not_after(one.certificate)) for one in those)
    return f"{usage} {name} (until {end}, {', '.join(one.file for one in those)})"


def needed_by(directory: Directory, rotation: Rotation, usages: t.Container[str], now: datetime) -> list[str]:
    """Return who has a valid certificate of the old CA and none of the new one, with its end and its file."""
    return [_describe(*owner, those) for owner, those in _needing(directory, rotation, usages, now).items()]


def clients_elsewhere(directory: Directory, rotation: Rotation, now: datetime) -> dict[str, str]:
    """Return the clients in the ledger that have to trust the new CA before the first host is moved: name -> text.

    Those whose files each run keeps up to date do so already, which this does not know.
    """
    needing = _needing(directory, rotation, ("client",), now) if rotation.state == HOSTS else {}
    return {name: _describe(usage, name, those) for (usage, name), those in needing.items()}


def has_moved_a_host(directory: Directory, rotation: Rotation, now: datetime) -> bool:
    """Return whether a host has a valid certificate of the new CA."""
    new = [rotation.new] if rotation.new else []
    return any(_is_of(one, new) for one in _ledger(directory.ledger, now) if one.usage == "server")


def _check_not_needed(directory: Directory, rotation: Rotation, phase: str, now: datetime) -> None:
    """Raise TlsError if the phase would cut off a host or client that still needs the old CA.

    Clients count when it is dropped as planned. Before, they cannot have certificates of the new one, and those
    of a stolen key are meant to be refused.
    """
    usages = ("server", "client") if (phase, rotation.state) == ("retire", CLIENTS) else ("server",)
    needing = needed_by(directory, rotation, usages, now) if phase not in ("start", "now") else []
    if needing:
        more = len(needing) - _MOST_NAMED
        named = "; ".join(needing[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")
        raise errors.old_authority_needed(path=directory.path, phase=phase, names=named)


# --- the steps -----------------------------------------------------------------------------------------------------


def _write_bundle(directory: Directory, bundle: t.Iterable[x509.Certificate]) -> None:
    """Replace ca.pem. Raises FilesError."""
    path = directory.file(_authority.CERTIFICATE_FILE)
    remove_leftovers(path)
    write_atomically(path, certificates.to_pem(bundle).encode(), mode=0o644)


def _announce(directory: Directory, rotation: Rotation, now: datetime) -> None:
    """Make a new CA, and have it trusted beside the old one. A key that waits since a run was killed is used."""
    path, bundle_path = (directory.file(one) for one in (_authority.NEXT_KEY_FILE, _authority.CERTIFICATE_FILE))
    bundle = certificates.load_bundle(read_file(bundle_path) or b"", bundle_path)
    key = _key(path, directory.passphrase)
    if key is None:
        remove_leftovers(path)
        key = _authority.write_new_key(path, str(directory.passphrase), directory.spec.key_type)
    _write_bundle(directory, (*bundle, _authority.new_certificate(key, directory.spec, now)))


def _promote(directory: Directory, rotation: Rotation, now: datetime) -> None:
    """Let the new CA sign for clients, too. The old key is kept first, as the new one then takes its place."""
    names = (_authority.KEY_FILE, _authority.NEXT_KEY_FILE, PREVIOUS_KEY_FILE)
    path, next_path, previous_path = map(directory.file, names)
    remove_leftovers(previous_path)
    write_atomically(previous_path, read_file(path) or b"", mode=0o600)
    try:
        os.replace(next_path, path)
        sync_directory(directory.path)
    except OSError as exc:
        raise files_error(path, "replaced", exc) from exc


def _retire(directory: Directory, rotation: Rotation, now: datetime) -> None:
    """Remove the old CA, and intermediate CAs beside it, from what is trusted; keep their certificates."""
    for one in rotation.old:
        path = directory.file(f"{RETIRED_FOLDER}/{certificates.fingerprint(one).replace(':', '').lower()}.pem")
        make_directories(path, 0o700)
        remove_leftovers(path)
        write_atomically(path, certificates.to_pem([one]).encode(), mode=0o644)
    _write_bundle(directory, [rotation.new] if rotation.new else ())


def _finish(directory: Directory, rotation: Rotation, now: datetime) -> None:
    """Remove the key of the old CA."""
    remove_leftovers(directory.file(PREVIOUS_KEY_FILE))
    remove_file(directory.file(PREVIOUS_KEY_FILE))


_Step = t.Callable[[Directory, Rotation, datetime], None]

# The step that leads from a state to the next.
_STEPS: dict[str, _Step] = {NONE: _announce, HOSTS: _promote, CLIENTS: _retire, RETIRED: _finish}
# The states in which a phase has a step to do; in the others it is done already, or comes too early.
_BEGINS: dict[str, tuple[str, ...]] = {
    "start": (NONE,),
    "clients": (HOSTS,),
    "retire": (CLIENTS,),
    "now": (NONE, HOSTS, CLIENTS),
    "finish": (RETIRED,),
}


def _is_due(directory: Directory, rotation: Rotation, phase: str, now: datetime) -> bool:
    """Return whether the phase has a step to do in this state. Raises TlsError if it must not begin now."""
    state = rotation.state
    if phase not in ("start", "now"):
        if state == NONE and not retired(directory.path):
            raise errors.no_rotation(path=directory.path, phase=phase)
        early = {"retire": (HOSTS,), "finish": (HOSTS, CLIENTS)}.get(phase, ())
        if state in early:
            _check_not_needed(directory, rotation, phase, now)
            raise errors.rotation_too_early(path=directory.path, phase=phase, state=state)
    due = state in _BEGINS[phase]
    if due:
        if phase == "start":
            # One that is out of date lets no client in, so there is nothing to be gained by two at a time.
            _authority.open_authority(directory.path, directory.passphrase, now)
        _check_not_needed(directory, rotation, phase, now)
    return due


def carry_out(directory: Directory, phase: str, now: datetime, check_mode: bool) -> tuple[Rotation, Rotation]:
    """Do the steps of a phase that are still to be done; return how far the replacement was, and how far it is.

    ``now`` is the controller's time, UTC and aware. Of several runs at once, one does them while the others wait
    (store.lock()): what they would read meanwhile need not fit together. Raises RemoteApiError before anything is
    changed: if the phase comes too early, or somebody still needs the old CA.
    """
    _authority.check_spec(directory.spec)
    if check_mode:
        before = read(directory.path, directory.passphrase)
        if not _is_due(directory, before, phase, now):
            return before, before
        path = directory.file(_authority.CERTIFICATE_FILE)
        old = before.old or certificates.load_bundle(read_file(path) or b"", path)
        return before, Rotation(PHASES[phase], old, before.new)
    if not _authority.exists(directory.path):
        raise errors.not_there(path=directory.path)
    with store.lock(directory.path):
        before = after = read(directory.path, directory.passphrase)
        if _is_due(directory, before, phase, now):
            while after.state in _BEGINS[phase]:
                _STEPS[after.state](directory, after, now)
                after = read(directory.path, directory.passphrase)
    return before, after


@dataclass(frozen=True)
class Foreseen:
    """The CA as a phase would leave it, and what is known of it: None if the CA that signs would only be made."""

    authority: _authority.Authority
    known: _authority.Authority | None


def foresee(directory: Directory, before: Rotation, after: Rotation, now: datetime) -> Foreseen | None:
    """Return the CA as it would be between these two, for check mode; None if it would sign and be trusted as it is.

    One of this process stands in for a CA that would only be made. Raises RemoteApiError.
    """
    if after.state in (before.state, NONE):
        return None
    if after.new is None:
        key: keys.PrivateKey | None = keys.generate("ecdsa_p256")
    else:
        name = _authority.NEXT_KEY_FILE if before.state == HOSTS else _authority.KEY_FILE
        key = _key(directory.file(name), directory.passphrase)
    if key is None:
        raise errors.not_there(path=directory.path)
    new = after.new or _authority.new_certificate(key, directory.spec, now)
    if after.state == HOSTS:
        own = _authority.open_authority(directory.path, directory.passphrase, now, directory.ledger_dir)
        return Foreseen(replace(own, bundle=(*own.bundle, new)), own)
    bundle = (new,) if after.state == RETIRED else (new, *after.old)
    authority = _authority.Authority(new, key, bundle, directory.ledger)
    return Foreseen(authority, authority if after.new else None)


__all__ = (
    "CLIENTS",
    "HOSTS",
    "NONE",
    "PHASES",
    "PREVIOUS_KEY_FILE",
    "RETIRED",
    "RETIRED_FOLDER",
    "STATES",
    "Directory",
    "Foreseen",
    "Rotation",
    "carry_out",
    "clients_elsewhere",
    "foresee",
    "has_moved_a_host",
    "needed_by",
    "old_authority",
    "read",
    "retired",
)
