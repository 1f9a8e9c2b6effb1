# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Certificates whose files are on the controller, such as those of clients: planned, signed and put in place here.

No module is run and nobody else is become: the files belong to the user who runs Ansible.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import typing as t
import urllib.parse
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import read_file, write_atomically
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import (
    argspec,
    certificates,
    deployment,
    errors,
    facts,
    profiles,
    store,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.library import x509
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority, _rotation

CLIENTS = "clients"
# Certificates of CAs that are not ours, a file for each host: those that the host trusts besides ours, and those of the
# host's own certificate if somebody else issues it. The latter's clients must not get in, so they are kept apart.
FOREIGN = "foreign"
SERVERS = "servers"

_TRUSTED_FOLDERS = (FOREIGN, SERVERS, _rotation.RETIRED_FOLDER)
_AUTHORITYS_FILES = (
    _authority.CERTIFICATE_FILE,
    _authority.KEY_FILE,
    _authority.NEXT_KEY_FILE,
    _rotation.PREVIOUS_KEY_FILE,
)

_CLIENT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\Z")


def check_apart(files: t.Iterable[str], path: str) -> None:
    """Raise TlsError if one of the files of an issued certificate would be among those of the CA in ``path``.

    Hosts would trust what is written to ca.pem, and clients what is in folders beside it. In the CA's directory, the
    lock of the client would be that of the CA, which the same run holds. Symbolic links are followed.
    """
    folders = {os.path.realpath(os.path.join(path, one)) for one in ("", _authority.LEDGER, *_TRUSTED_FOLDERS)}
    own = {os.path.realpath(os.path.join(path, one)) for one in _AUTHORITYS_FILES}
    for file in files:
        real = os.path.realpath(file)
        if real in own or os.path.dirname(real) in folders:
            raise errors.place_of_authority(path=file, authority=path)


def ensure_here(
    spec: deployment.CertificateSpec,
    open_authority: t.Callable[[], _authority.Authority],
    lifetime: timedelta,
    now: datetime,
) -> deployment.CertificatePlan:
    """Make sure of a key and its certificate on this machine, signed by the CA; return the plan that was carried out.

    Its ``reasons`` say why a certificate was issued. The CA is opened only if one is due. Then the key's
    directory is locked and looked at again, so that of several runs at once one issues. Raises RemoteApiError.
    """
    plan = deployment.plan(spec, now, generate_key=False)
    if not (plan.changed or plan.reasons):
        return plan
    with deployment.locked(plan.spec):
        plan = deployment.plan(spec, now)
        if plan.csr is None:
            deployment.apply(plan)
            return plan
        authority = open_authority()
        deployment.write_waiting_key(plan)
        name = spec.profile.common_name
        signed = _authority.sign_request(authority, plan.csr, spec.profile, lifetime, now, name)
        installed = deployment.plan(replace(spec, certificate=signed.pem), now)
        deployment.apply(installed)
    warnings = installed.warnings if signed.warning is None else [*installed.warnings, signed.warning]
    return replace(installed, reasons=plan.reasons, before=plan.before, warnings=warnings)


def predict(
    result: dict[str, t.Any], wanted: profiles.Profile, bundle: tuple[x509.Certificate, ...], end: datetime
) -> dict[str, t.Any]:
    """Return the result of certificate in check mode as if the CA had issued a certificate that is to end at ``end``.

    ``result`` is what a first trip found; ``bundle`` is what is trusted, the CA first, and empty while it is still to
    be made.
    """
    expected = facts.predicted(wanted, min([end, *map(certificates.not_after, bundle[:1])]))
    predicted = {**result, **expected, "changed": True, "issued": True}
    predicted["reasons"] = result["reasons"] or ["it is to be issued by a CA that is still to be made"]
    if "diff" in result:
        after = {**result["diff"]["after"], **expected, "common_name": wanted.common_name, "key_type": wanted.key_type}
        after["issuer"] = certificates.subject_of(bundle[0]) if bundle else None
        after["authorities"] = [certificates.fingerprint(one) for one in bundle]
        predicted["diff"] = {**result["diff"], "after": after}
    return predicted


def share_of_spread(name: str, days: int) -> int:
    """Return a number of days from 0 to ``days`` that depends on the host's name alone, evenly for many names."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:8], "big") % (days + 1)


@dataclass(frozen=True)
class Client:
    """A client of the fleet: its name, the profile and validity of its certificate, and the directory of its files."""

    name: str
    profile: profiles.Profile
    validity: profiles.Validity
    directory: str


def _paths_in(directory: str) -> list[str]:
    """Return the paths of a client's key, certificate and CA certificates in its directory."""
    return [os.path.join(directory, name) for name in argspec.FILE_NAMES["client"]]


def clients_of(options: t.Mapping[str, t.Any]) -> list[Client]:
    """Return the clients that the options of certificate_authority name; ``path`` is absolute. Raises TlsError."""
    found: dict[str, Client] = {}
    for one in options["clients"]:
        name, days = one["name"], one["days"]
        if not _CLIENT_NAME.match(name):
            raise errors.bad_client(name=name, cause="it may have letters, digits, '.', '_', '-', and no '.' in front")
        if name in found:
            raise errors.bad_client(name=name, cause="it is there twice")
        # What holds for all clients may be too long for one with a short life.
        before = options["renew_before_days"] if days is None else min(options["renew_before_days"], max(days, 0) // 3)
        validity = profiles.validity(options["client_days"] if days is None else days, one["hours"], before)
        if one["directory"] is None and options["path"] is None:
            raise errors.no_clients_directory()
        directory = one["directory"] or os.path.join(options["path"], CLIENTS, name)
        if options["path"] is not None and not one.get("host"):
            check_apart(_paths_in(directory), options["path"])
        profile = profiles.profile("client", name, (), one["key_type"] or options["key_type"], one["subject"])
        found[name] = Client(name, profile, validity, directory)
    return list(found.values())


def client_folders(path: str) -> list[str]:
    """Return the names of the clients whose files are in the CA's directory ``path``, listed as clients or not."""
    folder = os.path.join(path, CLIENTS)
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def _unnamed(path: str, named: t.Iterable[str], now: datetime) -> t.Iterator[tuple[str, x509.Certificate]]:
    """Yield folder and certificate of each client in the CA's directory that is not named, if it is let in."""
    retired = _rotation.retired(path)
    for name in sorted(set(client_folders(path)).difference(named)):
        folder = os.path.join(path, CLIENTS, name)
        file = os.path.join(folder, "cert.pem")
        try:
            certificate = certificates.load_bundle(read_file(file) or b"", file)[0]
        except RemoteApiError:
            continue
        if certificates.not_after(certificate) > now and not certificates.find_anchor([certificate], retired):
            yield folder, certificate


def unnamed_clients(path: str, named: t.Iterable[str], now: datetime) -> t.Iterator[str]:
    """Yield a warning for each client in the CA's directory that is not named and whose certificate is still valid.

    Docker reads no revocation list, so such a client is let in until its certificate ends, or its CA is replaced.
    """
    for folder, certificate in _unnamed(path, named, now):
        end = certificates.iso(certificates.not_after(certificate))
        yield f"{folder}/cert.pem: no client in the list has this certificate, and it lets in until {end}."


# The folder, the host and the PEM text of CA certificates that are to be remembered; empty text: forgotten.
Note = tuple[str, str, str]


def _note_path(path: str, folder: str, host: str) -> str:
    """Return the file of a note. A host may have any name in an inventory."""
    return os.path.join(path, folder, f"{urllib.parse.quote(host, safe='')}.pem")


def noted(path: str, folder: str, host: str) -> str:
    """Return the CA certificates (PEM) that are remembered for the host. Raises FilesError."""
    return (read_file(_note_path(path, folder, host)) or b"").decode("utf-8", "replace")


def _write(path: str, notes: t.Sequence[Note]) -> None:
    """Write the notes to their files. Raises FilesError."""
    for folder, host, text in notes:
        file = _note_path(path, folder, host)
        if text:
            store.make_directories_for([file], None, None, 0o700)
            write_atomically(file, text.encode(), mode=0o644)
        else:
            store.remove([file])


def trusted_by_clients(
    path: str | None, bundle: tuple[x509.Certificate, ...], notes: t.Sequence[Note] = ()
) -> tuple[x509.Certificate, ...]:
    """Return the CAs by which clients verify hosts: ours (``bundle``), then those that vouch for hosts with notes.

    ``notes`` count instead of what their files hold. Raises RemoteApiError.
    """
    if path is None:
        return bundle
    texts = {_note_path(path, folder, host): text.encode() for folder, host, text in notes}
    for folder in (FOREIGN, SERVERS):
        for file in glob.glob(os.path.join(glob.escape(path), folder, "*.pem"), include_hidden=True):
            texts.setdefault(file, read_file(file) or b"")
    found = [one for file, text in sorted(texts.items()) if text for one in certificates.load_bundle(text, file)]
    return (*bundle, *certificates.without(found, bundle))


def _signer(authority: _authority.Authority, path: str) -> _authority.Authority:
    """Return the CA that signs for the client whose certificate is in the file.

    It is the one that takes the CA's place if that has signed for the client already. Raises FilesError.
    """
    successor = authority.successor
    chain = certificates.load_usable(read_file(path) or b"") if successor else ()
    moved = chain and successor and certificates.is_issued_by(chain[0], successor.certificate)
    return successor if successor and moved else authority


def ensure_client(
    client: Client,
    authority: _authority.Authority | None,
    now: datetime,
    check_mode: bool,
    bundle: tuple[x509.Certificate, ...] | None = None,
) -> tuple[dict[str, t.Any], list[str]]:
    """Make sure of a client's files in its directory; return its result and warnings.

    ``authority`` is None in check mode when the CA would only be made. ``bundle`` is what the client is to trust,
    by default the CA. Raises RemoteApiError.
    """
    if bundle is None:
        bundle = authority.bundle if authority else ()
    paths = _paths_in(client.directory)
    signer = authority and _signer(authority, paths[1])
    if signer is not None and signer is not authority:
        bundle = (signer.certificate, *certificates.without(bundle, [signer.certificate]))
    spec = deployment.CertificateSpec(
        profile=client.profile,
        paths=store.CertificatePaths(*paths),
        access=store.access(None, None, "0400"),
        ca_certificate=certificates.to_pem(bundle) if bundle else None,
        certificate=None,
        exact=True,
        rekey=False,
        renew_before=client.validity.renew_before,
    )
    if signer is None or check_mode:
        plan = deployment.plan(spec, now, generate_key=False)
    else:
        plan = ensure_here(spec, lambda: signer, client.validity.lifetime, now)
    result = plan.result(diff=False)
    if signer is None or (check_mode and plan.reasons):
        result = predict(result, spec.profile, bundle, now + client.validity.lifetime)
    names = ("changed", "issued", "reasons", "not_after", "serial")
    return {"name": client.name, "directory": client.directory, **{name: result[name] for name in names}}, plan.warnings


def _ensure_trust(
    path: str, clients: t.Iterable[Client], bundle: tuple[x509.Certificate, ...], now: datetime, look: bool
) -> bool:
    """Make sure that clients with files in the CA's directory trust the bundle, although nobody lists them any more.

    The playbook client issues such certificates, and they are let in until their end. Return whether a file was or, in
    a look, would be changed. Raises FilesError.
    """
    listed = [
        os.path.basename(one.directory) for one in clients if os.path.dirname(one.directory) == f"{path}/{CLIENTS}"
    ]
    wanted, changed = {certificates.identity(one) for one in bundle}, False
    for folder, _certificate in _unnamed(path, listed, now):
        file = os.path.join(folder, _authority.CERTIFICATE_FILE)
        there = certificates.load_usable(read_file(file) or b"")
        if {certificates.identity(one) for one in there} != wanted:
            changed = True
            if not look:
                write_atomically(file, certificates.to_pem(bundle).encode(), mode=0o644)
    return changed


@dataclass(frozen=True)
class Ensured:
    """The CA (None in check mode if it would be made), and what was or would be changed.

    ``existed``: it was there before. ``clients`` has the result of each client, in the order of the options.
    """

    authority: _authority.Authority | None
    existed: bool
    changed: bool
    clients: list[dict[str, t.Any]]
    warnings: list[str]


def ensure_authority(
    options: t.Mapping[str, t.Any],
    now: datetime,
    check_mode: bool,
    notes: t.Sequence[Note] = (),
    foreseen: _authority.Authority | None = None,
) -> Ensured:
    """Make sure of the CA and of its clients' certificates, as the options of certificate_authority say.

    ``path`` and ``ledger_dir`` are absolute. In check mode, ``foreseen`` counts instead of the CA that is there.
    Several processes may do so at once. Raises RemoteApiError.
    """
    path, passphrase, ledger_dir = options["path"], options["passphrase"], options["ledger_dir"]
    clients = clients_of(options)
    source = _authority.AuthoritySource(path, passphrase, options.get("ca_certificate"), options["ca_key"], ledger_dir)
    subject = f"{path}/{_authority.CERTIFICATE_FILE}" if source.key is None else "ca_certificate"
    if foreseen is not None or source.key is not None:
        done = _authority.AuthorityResult(foreseen or source.open(now), existed=True, changed=False)
    else:
        spec = _authority.AuthoritySpec(options["common_name"], options["days"], options["key_type"])
        done = _authority.ensure(path, passphrase, spec, now, check_mode, ledger_dir)
    seen = _ensure_clients(clients, source, done.authority, notes, now, check_mode)
    warnings = [] if seen.authority is None else _authority.warnings(seen.authority, subject)
    changed = done.changed or seen.trust or any(one["changed"] for one in seen.results)
    return Ensured(seen.authority, done.existed, changed, seen.results, warnings + seen.warnings)


@dataclass(frozen=True)
class _Seen:
    """What was or would be done for the clients by this CA: results and warnings, and what _ensure_trust() says."""

    authority: _authority.Authority | None
    results: list[dict[str, t.Any]]
    warnings: list[str]
    trust: bool


def _ensure_clients(
    clients: t.Sequence[Client],
    source: _authority.AuthoritySource,
    authority: _authority.Authority | None,
    notes: t.Sequence[Note],
    now: datetime,
    check_mode: bool,
) -> _Seen:
    """Make sure of the clients and of the notes; return what was done. Raises RemoteApiError.

    What is due is done under the directory's lock: runs for several hosts may each have a note. The CA is opened anew
    there, as another run may have replaced it meanwhile.
    """
    path = source.path

    def each(authority: _authority.Authority | None, *, look: bool) -> _Seen:
        bundle = trusted_by_clients(path, authority.bundle, notes) if authority else ()
        done = [ensure_client(client, authority, now, look, bundle) for client in clients]
        trust = bool(path and bundle and _ensure_trust(path, clients, bundle, now, look))
        texts = [text for _result, warnings in done for text in warnings]
        return _Seen(authority, [result for result, _warnings in done], texts, trust)

    looked = each(authority, look=True)
    due = [note for note in notes if path and noted(path, *note[:2]) != note[2]]
    if check_mode or not (due or looked.trust or any(one["changed"] for one in looked.results)):
        return looked
    if path is None:
        return each(authority, look=False)
    _authority.prepare_directory(path)
    with store.lock(path):
        _write(path, due)
        return each(source.open(now), look=False)


__all__ = (
    "FOREIGN",
    "SERVERS",
    "Client",
    "Ensured",
    "Note",
    "check_apart",
    "client_folders",
    "clients_of",
    "ensure_authority",
    "ensure_client",
    "ensure_here",
    "noted",
    "predict",
    "share_of_spread",
    "trusted_by_clients",
    "unnamed_clients",
)
