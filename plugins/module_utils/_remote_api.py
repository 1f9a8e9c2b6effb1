# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""A host's Remote API as a whole: its certificate, its options and its daemon are one plan and one transaction.

The only place that joins the packages _tls and _daemon. What the two plan becomes one list of changes here.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, replace
from datetime import datetime

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import session
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import Plan
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import Request as DaemonRequest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._remote_api_options import check_options
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import Run

if t.TYPE_CHECKING:
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import adoption, deployment

SERVICE = "docker.service"


@dataclass(frozen=True)
class Request:
    """What is requested of a host: the daemon's part, and that of its certificate with its terms (None without TLS)."""

    daemon: DaemonRequest
    certificate: deployment.CertificateSpec | None
    terms: adoption.Terms | None = None


@dataclass(frozen=True)
class Outcome:
    """What was done, or would be in check mode.

    ``daemon`` is None while a certificate is still to be issued: then nothing was changed, except that a key waits for
    the certificate, and ``certificate.csr`` is to be signed. ``adoption`` is what becomes of CAs that are not ours.
    """

    plan: Plan
    certificate: deployment.CertificatePlan | None
    daemon: session.Outcome | None
    adoption: adoption.Adoption | None = None


def daemon_request(options: t.Mapping[str, t.Any]) -> DaemonRequest:
    """Return the daemon's part of the request. Raises RemoteApiError for options that cannot be carried out."""
    names = {"tlscacert": "ca.pem", "tlscert": "server-cert.pem", "tlskey": "server-key.pem"}
    tls = {option: os.path.join(options["directory"], name) for option, name in names.items()}
    wanted: dict[str, t.Any] = {"host": list(check_options(options))}
    # Without an explicit --tls=false, engines since 20.10 wait for 15 s at each start that opens a plain TCP address.
    wanted.update({"tlsverify": True, **tls} if options["tls"] else {"tls": False})
    return DaemonRequest(
        options={**wanted, **options["daemon_options"]},
        # A bare --tls goes with TLS on, too: older engines took it for "no client certificate needed".
        remove=("tls",) if options["tls"] else ("tlsverify", *tls),
        path=options["options_file"],
        variable=options["options_variable"],
        service=SERVICE,
        unit_wiring=options["unit_wiring"],
        on_conflict=options["on_conflict"],
        on_unread_options=options["on_unread_options"],
        live_restore=options["live_restore"],
        allow_insecure=options["allow_insecure"],
        absent=options["state"] == "absent",
        keep=tuple(tls.values()) if options["keep_certificates"] else (),
        server_ca=options["server_certificate"]["ca"] if options["tls"] and options["server_certificate"] else None,
    )


def configure(
    request: Request,
    mode: session.Mode,
    run: Run,
    now: datetime,
    report: t.Callable[[str], None] = session.ignore,
) -> Outcome:
    """Bring the host to what is requested, or ask for the certificate that it needs first.

    ``now`` is the host's time, UTC and aware. Everything is planned and checked before anything is written.
    ``report`` is told of each step of the change once it is done. Raises RemoteApiError.
    """
    with session.open_session(SERVICE, mode, run, report) as opened:
        if request.certificate is None:
            plan = opened.plan(request.daemon)
            return Outcome(plan, None, opened.carry_out(plan))
        # Hosts without TLS need no library for certificates.
        from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import adoption, deployment, store

        present = opened.present_tls_files(request.daemon)
        used = store.CertificatePaths(*reversed(present.paths())) if present else request.certificate.paths
        adopted = adoption.adopt(request.certificate, used, request.terms or adoption.Terms(), now)
        certificate = deployment.plan(adopted.spec, now, generate_key=not mode.check)
        # Without CA certificates, which happens in check mode alone, the CA is still to be made.
        due = bool(certificate.reasons) or adopted.spec.ca_certificate is None
        daemon = _serving(request.daemon, adopted.spec)
        plan = opened.plan(daemon, certificate.changes, certificate_due=due)
        if plan.restart_reasons and not due and not plan.stays_stopped and mode.restart != "never":
            # Renewed along with a restart, the certificate needs no restart of its own soon.
            along = replace(adopted.spec, at_half_life=True)
            renewed = deployment.plan(along, now, generate_key=not mode.check)
            if renewed.reasons:
                certificate, due = renewed, True
                plan = opened.plan(daemon, certificate_due=True)
        if due and not mode.check:
            deployment.write_waiting_key(certificate)
            return Outcome(plan, certificate, None, adopted)
        outcome = opened.carry_out(plan)
        if not mode.check:
            store.remove(certificate.leftovers)
        return Outcome(plan, certificate, outcome, adopted)


def _serving(daemon: DaemonRequest, spec: deployment.CertificateSpec) -> DaemonRequest:
    """Return the request with the options that make the daemon serve the certificate of the spec."""
    paths = {"tlscert": spec.paths.certificate, "tlskey": spec.paths.key}
    return replace(daemon, options={**daemon.options, **paths})


__all__ = ("SERVICE", "Outcome", "Request", "configure", "daemon_request")
