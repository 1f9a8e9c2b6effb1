# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugin of certificate: the controller's half, which signs what the host's half asks for."""

from __future__ import annotations

import sys
import typing as t
from datetime import UTC, datetime

from ansible.plugins.action import ActionBase
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import (
    argspec,
    certificates,
    errors,
    facts,
    library,
    profiles,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.library import x509
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._authority_options import checked_options

_MODULE = "dockerfleet.remote_api.certificate"
# What only the controller may know or needs to know.
_CONTROLLER_ONLY = frozenset({"ca_path", "ca_passphrase"})


class ActionModule(ActionBase):
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
        wanted = profiles.profile(options["usage"], options["common_name"], options["names"], options["key_type"])
        sent = {name: value for name, value in self._task.args.items() if name not in _CONTROLLER_ONLY}
        if options["ca_path"] is None:
            return self._run_module(sent, task_vars)
        library.require(sys.executable)
        lifetime = profiles.validity(options["days"], None, options["renew_before_days"]).lifetime
        now = datetime.now(UTC)
        path = self._loader.path_dwim(options["ca_path"])
        bundle = _authority.trusted(path, options["ca_passphrase"], now)
        if bundle:
            sent["ca_certificate"] = certificates.to_pem(bundle)
        elif not self._task.check_mode:
            raise errors.not_there(path=path)
        if options["exact"] is None:
            sent["exact"] = True

        first = self._run_module(sent, task_vars)
        request = first.pop("csr", None)
        if first.get("failed") or (bundle and not first["reasons"]):
            return first
        if self._task.check_mode:
            return _predict(first, wanted, bundle, now + lifetime)

        authority = _authority.open_authority(path, options["ca_passphrase"], now)
        host = str((task_vars or {}).get("inventory_hostname"))
        signed = _authority.sign_request(authority, str(request), wanted, lifetime, now, host)
        if signed.warning:
            self._display.warning(signed.warning)
        sent = {name: value for name, value in sent.items() if name not in ("rekey", "service")}
        second = self._run_module({**sent, "certificate": signed.pem}, task_vars)
        second.pop("csr", None)
        return {**second, "reasons": first["reasons"]}

    def _run_module(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any] | None) -> dict[str, t.Any]:
        """Return the result of the module on the host: one round trip."""
        result: dict[str, t.Any] = self._execute_module(
            module_name=_MODULE, module_args=arguments, task_vars=task_vars or {}
        )
        return result


def _predict(
    first: dict[str, t.Any], wanted: profiles.Profile, bundle: tuple[x509.Certificate, ...], end: datetime
) -> dict[str, t.Any]:
    """Return the result in check mode: as if a certificate that is to end at ``end`` had been issued."""
    expected = facts.predicted(wanted, min([end, *map(certificates.not_after, bundle[:1])]))
    result = {**first, **expected, "changed": True, "issued": True}
    result["reasons"] = first["reasons"] or ["it is to be issued by an authority that is still to be made"]
    if "diff" in first:
        after = {**first["diff"]["after"], **expected, "common_name": wanted.common_name, "key_type": wanted.key_type}
        after["issuer"] = certificates.subject_of(bundle[0]) if bundle else None
        after["authorities"] = [certificates.fingerprint(one) for one in bundle]
        result["diff"] = {**first["diff"], "after": after}
    return result
