# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugin of certificate: the controller's half, which signs what the host's half asks for."""

from __future__ import annotations

import sys
import typing as t
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import (
    argspec,
    certificates,
    deployment,
    errors,
    library,
    profiles,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.library import x509
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority, _issuing
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._action import HostAction
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._authority_options import (
    checked_options,
    parse_lists,
    path_here,
)

_MODULE = "dockerfleet.remote_api.certificate"
# What only the controller may know or needs to know.
_CONTROLLER_ONLY = frozenset({"ca_path", "ca_passphrase", "ca_key", "ledger_dir", "run_on", "install_dependencies"})
_PATHS = ("ca_path", "ledger_dir")
_PATHS_HERE = ("directory", "key_path", "certificate_path", "ca_certificate_path")


@dataclass(frozen=True)
class _Signer:
    """The CA, what it has hosts trust (empty while it is still to be made), and what it is to sign."""

    source: _authority.AuthoritySource
    bundle: tuple[x509.Certificate, ...]
    wanted: profiles.Profile
    lifetime: timedelta
    now: datetime


class ActionModule(HostAction):
    """Runs the module once on the host, and once more if a certificate had to be signed for it."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return the result that the module's documentation describes."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        try:
            options = checked_options(argspec.CERTIFICATE, argspec.CERTIFICATE_RULES, self._task.args)
            return {**result, **self._ensure(options, task_vars)}
        except RemoteApiError as exc:
            return {**result, "failed": True, "msg": str(exc)}

    def _ensure(self, options: dict[str, t.Any], task_vars: dict[str, t.Any] | None) -> dict[str, t.Any]:
        """Return the result for checked options. Raises RemoteApiError for what the controller finds wrong."""
        here = options["run_on"] == "controller"
        for name in (*_PATHS, *(_PATHS_HERE if here else ())):
            if options[name] is not None:
                options[name] = path_here(self._loader, options[name])
        wanted = profiles.profile(
            options["usage"], options["common_name"], options["names"], options["key_type"], options["subject"]
        )
        now = datetime.now(UTC)
        if options["ca_path"] is None and options["ca_key"] is None:
            return self._keep_here(options, now) if here else self._run_module(self._arguments(), task_vars)
        library.require(sys.executable)
        if options["ca_path"] is not None and (here or self._connection.transport == "local"):
            _issuing.check_apart(argspec.certificate_paths(options).all, options["ca_path"])
        validity = profiles.validity(options["days"], options["hours"], options["renew_before_days"])
        source = _authority.AuthoritySource(
            options["ca_path"],
            options["ca_passphrase"],
            options["ca_certificate"],
            options["ca_key"],
            options["ledger_dir"],
        )
        bundle = source.trusted(now, options["usage"])
        if not bundle and not self._task.check_mode:
            raise errors.not_there(path=options["ca_path"])
        if bundle and options["usage"] == "client":
            bundle = _issuing.trusted_by_clients(options["ca_path"], bundle)
        signer = _Signer(source, bundle, wanted, validity.lifetime, now)
        options["ca_certificate"] = certificates.to_pem(bundle) if bundle else None
        options["exact"] = options["exact"] is not False
        return self._sign_here(options, signer) if here else self._sign_for_host(options, signer, task_vars)

    def _sign_for_host(
        self, options: dict[str, t.Any], signer: _Signer, task_vars: dict[str, t.Any] | None
    ) -> dict[str, t.Any]:
        """Return the result of one or two round trips, with a certificate signed in between. Raises RemoteApiError."""
        sent = {**self._arguments(), "exact": options["exact"], "ca_certificate": options["ca_certificate"]}
        first = self._run_module(sent, task_vars)
        if first.get("missing_library") and options["install_dependencies"]:
            if self._task.check_mode:
                found = {"reasons": [first["msg"]]}
                return _issuing.predict(found, signer.wanted, signer.bundle, signer.now + signer.lifetime)
            installed = self.install_library(task_vars or {})
            if installed.get("failed"):
                return installed
            first = self._run_module(sent, task_vars)
        csr = first.pop("csr", None)
        if first.get("failed") or (signer.bundle and not first["reasons"]):
            return first
        if self._task.check_mode:
            return _issuing.predict(first, signer.wanted, signer.bundle, signer.now + signer.lifetime)
        host = str(self._task.delegate_to or (task_vars or {}).get("inventory_hostname"))
        authority = signer.source.open(signer.now).signs_for(signer.wanted.usage)
        signed = _authority.sign_request(authority, str(csr), signer.wanted, signer.lifetime, signer.now, host)
        if signed.warning:
            self._display.warning(signed.warning)
        sent = {name: value for name, value in sent.items() if name not in ("rekey", "service")}
        second = self._run_module({**sent, "certificate": signed.pem}, task_vars)
        second.pop("csr", None)
        return {**second, "reasons": first["reasons"]}

    def _sign_here(self, options: dict[str, t.Any], signer: _Signer) -> dict[str, t.Any]:
        """Return the result for files on the controller: all in this process. Raises RemoteApiError."""
        spec, now = _spec_here(options), signer.now
        if self._task.check_mode:
            plan = deployment.plan(spec, now, generate_key=False)
        else:
            usage = signer.wanted.usage
            plan = _issuing.ensure_here(spec, lambda: signer.source.open(now).signs_for(usage), signer.lifetime, now)
        result = self._result(plan)
        result.pop("csr")
        if self._task.check_mode and (plan.reasons or not signer.bundle):
            return _issuing.predict(result, signer.wanted, signer.bundle, now + signer.lifetime)
        return result

    def _keep_here(self, options: dict[str, t.Any], now: datetime) -> dict[str, t.Any]:
        """Return the result for files on the controller when a CA elsewhere signs. Raises RemoteApiError."""
        library.require(sys.executable)
        return self._result(deployment.ensure(_spec_here(options), now, self._task.check_mode))

    def _result(self, plan: deployment.CertificatePlan) -> dict[str, t.Any]:
        """Show the plan's warnings, and return its result."""
        for warning in plan.warnings:
            self._display.warning(warning)
        return plan.result(self._task.diff)

    def _arguments(self) -> dict[str, t.Any]:
        """Return the task's arguments for the host."""
        arguments = parse_lists(argspec.CERTIFICATE, self._task.args)
        return {name: value for name, value in arguments.items() if name not in _CONTROLLER_ONLY}

    def _run_module(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any] | None) -> dict[str, t.Any]:
        """Return the result of the module on the host: one round trip."""
        result: dict[str, t.Any] = self._execute_module(
            module_name=_MODULE, module_args=arguments, task_vars=task_vars or {}
        )
        return result


def _spec_here(options: dict[str, t.Any]) -> deployment.CertificateSpec:
    """Return the spec for files on the controller. Raises TlsError for options that only a host can have."""
    if options["service"] is not None:
        raise errors.bad_options(cause="service is for run_on: host alone")
    return argspec.certificate_spec(options)
