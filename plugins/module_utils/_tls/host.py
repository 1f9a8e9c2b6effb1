# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The host's half of a certificate: look, find the reasons, ask for a certificate, or put one in place.

Nothing is remembered between two runs. What is there decides, so a run that was killed is finished by the next.
"""

from __future__ import annotations

import os
import stat
import typing as t
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

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
class Order:
    """What is asked for on this machine.

    ``authority`` and ``offered`` are PEM text: what is to be trusted, and the certificate to be put in place (with
    intermediate ones after it). ``exact``: see inspection.Standard.
    """

    profile: profiles.Profile
    places: store.Places
    access: store.Access
    authority: str | None
    offered: str | None
    exact: bool
    rekey: bool
    renew_before_days: int


@dataclass(frozen=True)
class Outcome:
    """What was done, or would be in check mode.

    ``reasons`` say why a certificate was or is to be issued. ``csr`` (PEM) is there while one is wanted.
    ``certificate``, ``before`` and ``after`` are public; the last two are for a diff.
    """

    changed: bool
    issued: bool
    reasons: list[str]
    csr: str | None
    certificate: facts.Facts
    before: facts.Facts
    after: facts.Facts
    warnings: list[str]


@dataclass(frozen=True)
class _Plan:
    """What is to be done: ``reasons`` for a certificate, the key to ask for one with, and the files to be changed.

    ``make_key``: the key to ask with is new and is to be written. ``chain``: certificates to be put in place,
    together with the waiting key if ``swap_key``. ``settle``: see to everything beside the certificate as well.
    """

    reasons: list[str]
    ask_with: keys.PrivateKey | None = None
    make_key: bool = False
    chain: tuple[x509.Certificate, ...] = ()
    swap_key: bool = False
    settle: bool = True


def _reasons(order: Order, seen: store.Seen, standard: inspection.Standard, now: datetime) -> list[str]:
    """Return why what is there is not what is asked for."""
    found = []
    if seen.key is None:
        found.append(f"the key {seen.key_fault}")
    elif keys.type_of(seen.key.public_key()) != order.profile.key_type:
        found.append(f"its key is of type {keys.type_of(seen.key.public_key())}, and not {order.profile.key_type}")
    if not seen.chain:
        found.append(f"the certificate {seen.chain_fault}")
    else:
        if seen.key is not None and not inspection.fits_key(seen.chain[0], seen.key):
            found.append("it does not fit its key")
        found += inspection.reasons(seen.chain, standard, now)
    if order.rekey:
        found.append("a new key is asked for")
    return found


def _plan_to_ask(order: Order, seen: store.Seen, reasons: list[str], check_mode: bool) -> _Plan:
    """Return the plan that makes sure of a key and asks for a certificate for it.

    The key stays if it can. A new one waits beside it until its certificate comes, so that a daemon never finds one
    without the other. A waiting key that was never used yet is as good as a new one.
    """

    def is_right(key: keys.PrivateKey | None) -> bool:
        """Return whether the key is of the type that is asked for."""
        return key is not None and keys.type_of(key.public_key()) == order.profile.key_type

    if is_right(seen.key) and not order.rekey:
        return _Plan(reasons, ask_with=seen.key, settle=False)
    if is_right(seen.waiting):
        return _Plan(reasons, ask_with=seen.waiting, settle=False)
    new = None if check_mode else keys.generate(order.profile.key_type)
    return _Plan(reasons, ask_with=new, make_key=True, settle=False)


def _plan_to_install(order: Order, seen: store.Seen, standard: inspection.Standard, now: datetime) -> _Plan:
    """Return the plan that puts the offered certificate in place. Raises TlsError if it is not fit for that."""
    chain = certificates.load_bundle(str(order.offered).encode(), "certificate")
    swap_key = False
    if seen.key is None or not inspection.fits_key(chain[0], seen.key):
        if seen.waiting is None or not inspection.fits_key(chain[0], seen.waiting):
            raise errors.foreign_certificate("certificate")
        swap_key = True
    if not standard.anchors:
        raise errors.no_authority_given(order.places.authority)
    faults = inspection.reasons(
        chain, inspection.Standard(order.profile, standard.anchors, order.exact, timedelta()), now
    )
    if faults:
        raise errors.unfit_certificate("certificate", " and ".join(faults))
    if swap_key or chain != seen.chain:
        return _Plan([], chain=chain, swap_key=swap_key)
    # It is in place already; all that can be wrong with it by now is that it will have to be renewed.
    reasons = inspection.reasons(chain, standard, now)
    return _Plan(reasons, ask_with=seen.key if reasons else None)


def _modes(places: store.Places) -> dict[str, str]:
    """Return mode, owner and group of each file that is there, by its path, such as ``0400 0:0``."""
    found = {}
    for path in (places.key, places.certificate, places.authority):
        if os.path.exists(path):
            state = os.stat(path)
            found[path] = f"{stat.S_IMODE(state.st_mode):04o} {state.st_uid}:{state.st_gid}"
    return found


def _wanted_modes(order: Order, modes: t.Mapping[str, str], paths: t.Iterable[tuple[str, int]]) -> dict[str, str]:
    """Return what ``_modes`` would return once the files have the access that is asked for."""
    found = dict(modes)
    for path, mode in paths:
        uid, gid = found.get(path, f"0000 {os.geteuid()}:{os.getegid()}").split(" ")[1].split(":")
        owner = uid if order.access.uid is None else order.access.uid
        found[path] = f"{mode:04o} {owner}:{gid if order.access.gid is None else order.access.gid}"
    return found


def _kept_files(order: Order) -> list[tuple[str, int]]:
    """Return path and permission bits of the files whose access is looked after."""
    files = [(order.places.key, order.access.key_mode), (order.places.certificate, order.access.certificate_mode)]
    if order.authority is not None:
        files.append((order.places.authority, order.access.certificate_mode))
    return files


def _replacements(order: Order, seen: store.Seen, plan: _Plan) -> list[store.Replacement]:
    """Return the files whose bytes are to change."""
    files = []
    if plan.swap_key:
        files.append(store.Replacement(order.places.key, None, order.access.key_mode))
    if plan.chain:
        content = certificates.to_pem(plan.chain).encode()
        files.append(store.Replacement(order.places.certificate, content, order.access.certificate_mode))
    if order.authority is not None:
        wanted = certificates.load_bundle(order.authority.encode(), "ca_certificate")
        if wanted != seen.authority:
            content = certificates.to_pem(wanted).encode()
            files.append(store.Replacement(order.places.authority, content, order.access.certificate_mode))
    return files


def _settle(order: Order, seen: store.Seen, plan: _Plan, check_mode: bool) -> bool:
    """Put the files in place, with their access, and remove what a killed run left. Return whether anything changed."""
    files = _replacements(order, seen, plan)
    # With an authority elsewhere, a waiting key may be somebody's who is out to get its certificate.
    surplus = store.leftovers(order.places, keep_waiting=not order.exact and not plan.chain)
    drifted = store.drifted(_kept_files(order), order.access)
    if not check_mode:
        if files:
            store.replace_together(files, order.access, _directory_mode(order))
            surplus = store.leftovers(order.places, keep_waiting=not order.exact and not plan.chain)
        store.set_access(store.drifted(_kept_files(order), order.access), order.access)
        store.remove(surplus)
    return bool(files or surplus or drifted)


def _directory_mode(order: Order) -> int:
    """Return the permission bits of directories that have to be made: a client's is private, a server's is not."""
    return 0o755 if order.profile.usage == "server" else 0o700


def _warnings(order: Order, seen: store.Seen, plan: _Plan, now: datetime) -> list[str]:
    """Return what the user should know although nothing can be done about it here. To be called before any change."""
    found = []
    if os.path.exists(order.places.key) and stat.S_IMODE(os.stat(order.places.key).st_mode) & 0o004:
        found.append(f"{order.places.key} was readable by everybody on this machine. Consider a new one (rekey: true).")
    chain = plan.chain or seen.chain
    if order.exact and chain and not plan.reasons:
        end = certificates.not_after(chain[0])
        if end - now < timedelta(days=order.renew_before_days):
            text = (
                f"{order.places.certificate} ends on {certificates.iso(end)}, and cannot be renewed, for its authority"
            )
            found.append(f"{text} ends then, too. Replace the authority before that day.")
    return found


def _state(order: Order, seen: store.Seen) -> facts.Facts:
    """Return the public facts of what is there, for a diff."""
    return facts.of_files(seen.chain, seen.key, seen.authority, _modes(order.places))


def ensure(order: Order, now: datetime, check_mode: bool) -> Outcome:
    """See to the key and the certificate on this machine; ``now`` is its clock's time, UTC and aware.

    Raises RemoteApiError before anything is changed when the order cannot be carried out.
    """
    order = replace(order, places=store.resolve(order.places))
    seen = store.look(order.places)
    anchors, where = seen.authority, order.places.authority
    if order.authority is not None:
        anchors, where = certificates.load_bundle(order.authority.encode(), "ca_certificate"), "ca_certificate"
    inspection.check_anchors(anchors, where, now)
    standard = inspection.Standard(order.profile, anchors, order.exact, timedelta(days=order.renew_before_days))
    before = _state(order, seen)

    if order.offered is not None:
        plan = _plan_to_install(order, seen, standard, now)
    else:
        reasons = _reasons(order, seen, standard, now)
        plan = _plan_to_ask(order, seen, reasons, check_mode) if reasons else _Plan([])

    warnings = _warnings(order, seen, plan, now)
    changed = plan.make_key or (plan.settle and _settle(order, seen, plan, check_mode))
    if plan.make_key and plan.ask_with is not None:
        store.write_waiting(order.places, plan.ask_with, order.access, _directory_mode(order))
    after = _after(order, seen, plan, before) if check_mode else _state(order, store.look(order.places))
    return Outcome(
        changed=changed,
        issued=bool(plan.chain),
        reasons=plan.reasons,
        csr=signing_request.build(plan.ask_with, order.profile) if plan.ask_with is not None else None,
        certificate=facts.of_certificate(plan.chain or seen.chain),
        before=before,
        after=after if changed else before,
        warnings=warnings,
    )


def _after(order: Order, seen: store.Seen, plan: _Plan, before: facts.Facts) -> facts.Facts:
    """Return the facts of what would be there after the plan was carried out."""
    if not plan.settle:
        return before
    anchors = seen.authority
    if order.authority is not None:
        anchors = certificates.load_bundle(order.authority.encode(), "ca_certificate")
    modes = _wanted_modes(order, before["access"], _kept_files(order))
    key = seen.waiting if plan.swap_key else seen.key
    return facts.of_files(plan.chain or seen.chain, key, anchors, modes)


__all__ = ("Order", "Outcome", "ensure")
