# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Certificates whose files are on the controller, such as those of clients: planned, signed and put in place here.

No module is run and nobody else is become: the files belong to the user who runs Ansible.
"""

from __future__ import annotations

import hashlib
import os
import re
import typing as t
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

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
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority

CLIENTS = "clients"

_CLIENT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\Z")


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
    """A client of the fleet: its name, which names its directory too, the validity and the type of its key."""

    name: str
    validity: profiles.Validity
    key_type: str


def clients_of(options: t.Mapping[str, t.Any]) -> list[Client]:
    """Return the clients that the options of certificate_authority name. Raises TlsError."""
    found: dict[str, Client] = {}
    for one in options["clients"]:
        name, days = one["name"], one["days"]
        if not _CLIENT_NAME.match(name):
            raise errors.bad_client(name=name, cause="it may have letters, digits, '.', '_', '-', and no '.' in front")
        if name in found:
            raise errors.bad_client(name=name, cause="it is there twice")
        validity = profiles.validity(
            options["client_days"] if days is None else days, one["hours"], options["renew_before_days"]
        )
        found[name] = Client(name, validity, one["key_type"] or options["key_type"])
    return list(found.values())


def ensure_client(
    client: Client, path: str, authority: _authority.Authority | None, now: datetime, check_mode: bool
) -> tuple[dict[str, t.Any], list[str]]:
    """Make sure of a client's files in ``<path>/clients/<name>``; return its result and warnings.

    ``authority`` is None in check mode when the CA would only be made. Raises RemoteApiError.
    """
    directory = os.path.join(path, CLIENTS, client.name)
    paths = [os.path.join(directory, name) for name in argspec.FILE_NAMES["client"]]
    bundle = () if authority is None else authority.bundle
    spec = deployment.CertificateSpec(
        profile=profiles.profile("client", client.name, (), client.key_type),
        paths=store.CertificatePaths(*paths),
        access=store.access(None, None, "0400"),
        ca_certificate=certificates.to_pem(bundle) if bundle else None,
        certificate=None,
        exact=True,
        rekey=False,
        renew_before=client.validity.renew_before,
    )

    if authority is None or check_mode:
        plan = deployment.plan(spec, now, generate_key=False)
    else:
        plan = ensure_here(spec, lambda: authority, client.validity.lifetime, now)
    result = plan.result(diff=False)
    if authority is None or (check_mode and plan.reasons):
        result = predict(result, spec.profile, bundle, now + client.validity.lifetime)
    names = ("changed", "issued", "reasons", "not_after", "serial")
    return {"name": client.name, "directory": directory, **{name: result[name] for name in names}}, plan.warnings


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


def ensure_authority(options: t.Mapping[str, t.Any], now: datetime, check_mode: bool) -> Ensured:
    """Make sure of the CA and of its clients' certificates, as the options of certificate_authority say.

    ``path`` and ``ledger_dir`` are absolute. Several processes may do so at once. Raises RemoteApiError.
    """
    path, passphrase, ledger_dir = options["path"], options["passphrase"], options["ledger_dir"]
    clients = clients_of(options)
    if clients and path is None:
        raise errors.no_clients_directory()
    if options["ca_key"] is not None:
        subject = "ca_certificate"
        opened = _authority.open_authority_from_text(
            options["ca_certificate"], options["ca_key"], passphrase, now, ledger_dir
        )
        done = _authority.AuthorityResult(opened, existed=True, changed=False)
    else:
        subject = f"{path}/{_authority.CERTIFICATE_FILE}"
        spec = _authority.AuthoritySpec(options["common_name"], options["days"], options["key_type"])
        done = _authority.ensure(path, passphrase, spec, now, check_mode, ledger_dir)
    warnings = [] if done.authority is None else _authority.warnings(done.authority, subject)
    if clients and not check_mode:
        _authority.prepare_directory(path)
    results = []
    for client in clients:
        result, more = ensure_client(client, path, done.authority, now, check_mode)
        results.append(result)
        warnings += more
    changed = done.changed or any(one["changed"] for one in results)
    return Ensured(done.authority, done.existed, changed, results, warnings)


__all__ = (
    "Client",
    "Ensured",
    "clients_of",
    "ensure_authority",
    "ensure_client",
    "ensure_here",
    "predict",
    "share_of_spread",
)
