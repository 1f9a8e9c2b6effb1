# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""A key and its certificate on the machine that uses them: compute what must change, then change it.

A certificate that is due takes two trips. The first plan has a CSR, and perhaps a new key that waits beside the old
one. The plan of the second trip puts the issued certificate and that key in place. Nothing else is remembered between
two runs, so a run that was killed is finished by the next.
"""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import Change
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import (
    certificates,
    errors,
    facts,
    inspection,
    keys,
    profiles,
    signing_request,
    store,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.library import x509


@dataclass(frozen=True)
class CertificateSpec:
    """The key and the certificate that are wanted on this machine.

    ``ca_certificate`` (PEM) is what to trust; None: the file that is there. ``certificate`` (PEM) is to be put in
    place, followed by intermediate ones; None: look whether one is due. ``exact``: see inspection.Criteria.
    ``at_half_life``: a certificate of which half the validity period is over is due, too.
    ``managed``: the key and the certificate are not somebody else's, whose files stay as they are.
    """

    profile: profiles.Profile
    paths: store.CertificatePaths
    access: store.Access
    ca_certificate: str | None
    certificate: str | None
    exact: bool
    rekey: bool
    renew_before: timedelta
    at_half_life: bool = False
    managed: bool = True

    @property
    def directory_mode(self) -> int:
        """The permission bits of directories that have to be made: a client's is private, a server's is not."""
        return 0o755 if self.profile.usage == "server" else 0o700


@dataclass(frozen=True)
class CertificatePlan:
    """What is to be done for a spec (whose paths are resolved). ``new_key`` and a key's Change are secret.

    ``reasons`` say why a certificate must be issued, and ``csr`` (PEM) is the request for it. ``key_due``: a new key
    has to be made first; ``new_key`` is its PEM, to be written as the waiting key. ``changes`` are the files to be
    replaced or to be given their mode and owner, and ``leftovers`` the files to be removed after that: those that
    killed runs left, and the waiting key. ``issued``: the certificate of the spec is among the changes.
    ``certificate``, ``before`` and ``after`` are public facts; the last two are for a diff.
    """

    spec: CertificateSpec
    reasons: list[str]
    csr: str | None
    key_due: bool
    new_key: bytes | None = field(repr=False)
    changes: tuple[Change, ...] = field(repr=False)
    leftovers: tuple[str, ...]
    issued: bool
    certificate: facts.Facts
    before: facts.Facts
    after: facts.Facts
    warnings: list[str]

    @property
    def changed(self) -> bool:
        """Whether carrying the plan out changes a file."""
        return self.key_due or bool(self.changes or self.leftovers)

    def result(self, diff: bool) -> dict[str, t.Any]:
        """Return what a task returns that carried the plan out, with a diff if that is wanted."""
        found = {"changed": self.changed, "issued": self.issued, "reasons": self.reasons, "csr": self.csr}
        found.update(self.certificate)
        if diff:
            header = self.spec.paths.certificate
            found["diff"] = {
                "before_header": header,
                "after_header": header,
                "before": self.before,
                "after": self.after,
            }
        return found


@dataclass(frozen=True)
class _Decision:
    """What the spec and the files lead to.

    ``csr_key``: the key to request a certificate for. ``chain``: certificates to be put in place, together with the
    waiting key if ``swap_key``. ``complete``: see to everything beside the certificate as well.
    """

    reasons: list[str]
    csr_key: keys.PrivateKey | None = None
    key_due: bool = False
    chain: tuple[x509.Certificate, ...] = ()
    swap_key: bool = False
    complete: bool = True


def _reasons(
    spec: CertificateSpec, stored: store.StoredFiles, criteria: inspection.Criteria, now: datetime
) -> list[str]:
    """List why a certificate must be issued."""
    found = []
    if stored.key is None:
        found.append(f"the key {stored.key_fault}")
    elif keys.type_of(stored.key.public_key()) != spec.profile.key_type:
        found.append(f"its key is of type {keys.type_of(stored.key.public_key())}, and not {spec.profile.key_type}")
    if not stored.chain:
        found.append(f"the certificate {stored.chain_fault}")
    else:
        if stored.key is not None and not certificates.matches_key(stored.chain[0], stored.key):
            found.append("it does not fit its key")
        found += inspection.reasons(stored.chain, criteria, now)
    if spec.rekey and spec.certificate is None:
        found.append("a new key is asked for")
    if spec.at_half_life and not found and inspection.is_past_half_life(stored.chain[0], criteria, now):
        found.append("half of its validity period is over, and the daemon restarts anyway")
    return found


def _decide_to_request(
    spec: CertificateSpec, stored: store.StoredFiles, reasons: list[str], generate_key: bool
) -> _Decision:
    """Choose the key to request a certificate for.

    The present one stays if it can. A new one waits beside it until its certificate comes, so that a daemon never
    finds one without the other. A waiting key that was never used is as good as a new one.
    """
    for key in (None if spec.rekey else stored.key, stored.waiting_key):
        if key is not None and keys.type_of(key.public_key()) == spec.profile.key_type:
            return _Decision(reasons, csr_key=key, complete=False)
    new = keys.generate(spec.profile.key_type) if generate_key else None
    return _Decision(reasons, csr_key=new, key_due=True, complete=False)


def _decide_to_install(
    spec: CertificateSpec, stored: store.StoredFiles, criteria: inspection.Criteria, now: datetime
) -> _Decision:
    """Decide what to do with the certificate of the spec. Raises TlsError if it must not be put in place.

    One that this collection's CA issued (``exact``) is dropped when another run has put a good one for the same key
    in place since it was requested.
    """
    chain = certificates.load_bundle(str(spec.certificate).encode(), "certificate")
    swap_key = False
    if stored.key is None or not certificates.matches_key(chain[0], stored.key):
        if stored.waiting_key is None or not certificates.matches_key(chain[0], stored.waiting_key):
            raise errors.foreign_certificate(subject="certificate")
        swap_key = True
    if not criteria.anchors:
        raise errors.no_authority_given(path=spec.paths.ca_certificate)
    faults = inspection.reasons(chain, replace(criteria, renew_before=timedelta()), now)
    if faults:
        raise errors.unfit_certificate(subject="certificate", cause=" and ".join(faults))
    if spec.exact and not swap_key and not _reasons(spec, stored, criteria, now):
        return _Decision([])
    if swap_key or chain != stored.chain:
        return _Decision([], chain=chain, swap_key=swap_key)
    # It is in place already; all that can be wrong with it by now is that it will have to be renewed.
    reasons = inspection.reasons(chain, criteria, now)
    return _Decision(reasons, csr_key=stored.key if reasons else None)


def _describe_access(mode: int, uid: int, gid: int) -> str:
    """Return mode, owner and group as a diff shows them, such as ``0400 0:0``."""
    return f"{mode:04o} {uid}:{gid}"


def _wanted_access(change: Change) -> str:
    """Return what _describe_access() says of the file once the change is made."""
    uid, gid = (os.geteuid(), os.getegid()) if change.before is None else (change.before.uid, change.before.gid)
    return _describe_access(
        change.mode or 0, uid if change.uid is None else change.uid, gid if change.gid is None else change.gid
    )


def _change(
    spec: CertificateSpec, stored: store.StoredFiles, path: str, new: bytes | None, shown: tuple[str, str]
) -> list[Change]:
    """Return the change that gives the file its new bytes (None: the present ones), mode and owner, if there is any.

    ``shown`` describes the present and the new bytes.
    """
    before = stored.states.get(path)
    content = before.content if before is not None and new is None else new
    if content is None:
        return []
    mode = spec.access.key_mode if path == spec.paths.key else spec.access.certificate_mode
    change = Change(path, before, content, ("", ""), mode, spec.access.uid, spec.access.gid)
    present = "" if before is None else _describe_access(before.mode, before.uid, before.gid)
    wanted = _wanted_access(change)
    if before is not None and (before.content, present) == (content, wanted):
        return []
    return [replace(change, shown=(f"{present}\n{shown[0]}" if present else "", f"{wanted}\n{shown[1]}"))]


def _changes(
    spec: CertificateSpec,
    stored: store.StoredFiles,
    decision: _Decision,
    anchors: tuple[x509.Certificate, ...],
) -> tuple[Change, ...]:
    """Return the changes of the key, the certificate and the CA bundle, in this order."""
    key, chain = stored.key, decision.chain or stored.chain
    if decision.swap_key:
        key = stored.waiting_key
    shown_key = facts.describe_key(stored.key), facts.describe_key(key)
    shown_chain = facts.describe_chain(stored.chain), facts.describe_chain(chain)
    found: list[Change] = []
    if spec.managed:
        new = keys.to_pem(key) if decision.swap_key and key is not None else None
        found += _change(spec, stored, spec.paths.key, new, shown_key)
        new = certificates.to_pem(chain).encode() if decision.chain else None
        found += _change(spec, stored, spec.paths.certificate, new, shown_chain)
    if spec.ca_certificate is not None:
        new = certificates.to_pem(anchors).encode() if anchors != stored.ca_certificates else None
        shown = facts.describe_chain(stored.ca_certificates), facts.describe_chain(anchors)
        found += _change(spec, stored, spec.paths.ca_certificate, new, shown)
    return tuple(found)


def _warnings(spec: CertificateSpec, stored: store.StoredFiles, decision: _Decision, now: datetime) -> list[str]:
    """Return what the user should know although nothing can be done about it here."""
    found = []
    if not spec.managed:
        return []
    key_state = stored.states.get(spec.paths.key)
    if key_state is not None and key_state.mode & 0o004:
        found.append(f"{spec.paths.key} was readable by everybody on this machine. Consider a new one (rekey: true).")
    chain = decision.chain or stored.chain
    if spec.exact and chain and not decision.reasons:
        end = certificates.not_after(chain[0])
        if end - now < spec.renew_before:
            text = f"{spec.paths.certificate} ends on {certificates.iso(end)}, and cannot be renewed, for its CA"
            found.append(f"{text} ends then, too. Replace the CA before that day.")
    return found


def plan(spec: CertificateSpec, now: datetime, *, generate_key: bool = True) -> CertificatePlan:
    """Compute what must change for the spec. Reads files and changes none.

    ``now`` is this machine's time, UTC and aware. Without ``generate_key``, for check mode, a key that is due is not
    made, and there is no CSR for it; the changes show the CA bundle although a certificate is due. Raises
    RemoteApiError if the spec cannot be carried out.
    """
    with store.acting_for(spec.paths, spec.access):
        return _plan(spec, now, generate_key)


def _plan(spec: CertificateSpec, now: datetime, generate_key: bool) -> CertificatePlan:
    """Return the plan, see plan()."""
    spec = replace(spec, paths=store.resolve(spec.paths))
    stored = store.read(spec.paths)
    anchors, subject = stored.ca_certificates, spec.paths.ca_certificate
    if spec.ca_certificate is not None:
        anchors, subject = certificates.load_bundle(spec.ca_certificate.encode(), "ca_certificate"), "ca_certificate"
    inspection.check_anchors(anchors, subject, now)
    criteria = inspection.Criteria(spec.profile, anchors, spec.exact, spec.renew_before)
    if not spec.managed:
        decision = _Decision([])
    elif spec.certificate is not None:
        decision = _decide_to_install(spec, stored, criteria, now)
    else:
        reasons = _reasons(spec, stored, criteria, now)
        decision = _decide_to_request(spec, stored, reasons, generate_key) if reasons else _Decision([])
    changes: tuple[Change, ...] = ()
    leftovers: tuple[str, ...] = ()
    if decision.complete or not generate_key:
        changes = _changes(spec, stored, decision, anchors)
    if decision.complete and spec.managed:
        # With a CA elsewhere, a waiting key may be somebody's who is out to get its certificate.
        leftovers = tuple(store.leftovers(spec.paths, keep_waiting=not spec.exact and not decision.chain))
    before, after = _facts(stored, decision, anchors, changes)
    new_key = keys.to_pem(decision.csr_key) if decision.key_due and decision.csr_key is not None else None
    return CertificatePlan(
        spec=spec,
        reasons=decision.reasons,
        csr=None if decision.csr_key is None else signing_request.build(decision.csr_key, spec.profile),
        key_due=decision.key_due,
        new_key=new_key,
        changes=changes,
        leftovers=leftovers,
        issued=bool(decision.chain),
        certificate=facts.of_certificate(decision.chain or stored.chain),
        before=before,
        after=after,
        warnings=_warnings(spec, stored, decision, now),
    )


def _facts(
    stored: store.StoredFiles,
    decision: _Decision,
    anchors: tuple[x509.Certificate, ...],
    changes: tuple[Change, ...],
) -> tuple[facts.Facts, facts.Facts]:
    """Return the public facts of all files before and after the changes, for a diff."""
    access = {path: _describe_access(one.mode, one.uid, one.gid) for path, one in stored.states.items()}
    before = facts.of_files(stored.chain, stored.key, stored.ca_certificates, access)
    if not decision.complete:
        return before, before
    key = stored.waiting_key if decision.swap_key else stored.key
    wanted = {**access, **{one.path: _wanted_access(one) for one in changes}}
    return before, facts.of_files(decision.chain or stored.chain, key, anchors, wanted)


def write_waiting_key(found: CertificatePlan) -> None:
    """Write the plan's new key, if it has one, beside the key's path; directories are made. Raises FilesError."""
    if found.new_key is not None:
        _make_directories(found.spec)
        with store.acting_for(found.spec.paths, found.spec.access):
            store.write_waiting_key(found.spec.paths, found.new_key)


def apply(found: CertificatePlan) -> None:
    """Carry out the plan's changes together or not at all, and remove its leftovers. Raises RemoteApiError."""
    if found.changes:
        _make_directories(found.spec)
    with store.acting_for(found.spec.paths, found.spec.access):
        if found.changes:
            store.replace_together(found.changes)
        store.remove(found.leftovers)


def _make_directories(spec: CertificateSpec) -> None:
    """Make the directories of the three files as far as they are missing. Raises FilesError."""
    with store.acting_for(spec.paths, spec.access):
        store.make_directories_for(spec.paths.all, spec.access.uid, spec.access.gid, spec.directory_mode)


@contextlib.contextmanager
def locked(spec: CertificateSpec) -> t.Iterator[None]:
    """Keep other runs away from the key's directory, which is made if it is missing; see store.lock()."""
    _make_directories(spec)
    directory = os.path.dirname(os.path.realpath(spec.paths.key))
    with store.lock(directory, acting=lambda: store.acting_for(spec.paths, spec.access)):
        yield


def ensure(spec: CertificateSpec, now: datetime, check_mode: bool) -> CertificatePlan:
    """Carry out one trip: plan, and unless in check mode write the waiting key or apply the changes.

    When something is due, it is planned again under a lock on the key's directory (store.lock()), so that of two
    runs at once the second finds what the first has done. Raises RemoteApiError before anything is changed when the
    spec cannot be carried out.
    """
    found = plan(spec, now, generate_key=False)
    if check_mode or not found.changed:
        return found
    with locked(found.spec):
        found = plan(spec, now)
        write_waiting_key(found)
        apply(found)
    return found


__all__ = ("CertificatePlan", "CertificateSpec", "apply", "ensure", "locked", "plan", "write_waiting_key")
