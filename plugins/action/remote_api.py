# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugin of remote_api: the controller's half, which signs the CSR that the host's half answers with."""

from __future__ import annotations

import sys
import typing as t
from datetime import UTC, datetime, timedelta

from ansible.plugins.action import ActionBase
from ansible_collections.dockerfleet.remote_api.plugins.module_utils import _remote_api
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import (
    certificates,
    facts,
    library,
    names,
    profiles,
)
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._authority_options import checked_options

_MODULE = "dockerfleet.remote_api.remote_api"
# What only the controller may know or needs to know.
_CONTROLLER_ONLY = frozenset({"ca_path", "ca_passphrase", "ca_key"})
_ALWAYS = ("localhost", "127.0.0.1")


class ActionModule(ActionBase):
    """Runs the module once on the host, and once more if a certificate has to be signed for it."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return the result that the module's documentation describes."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        try:
            options = checked_options(_remote_api.ARGUMENT_SPEC, _remote_api.RULES, self._task.args)
            listen = _remote_api.check_options(options)
            sent = {name: value for name, value in self._task.args.items() if name not in _CONTROLLER_ONLY}
            if not options["tls"]:
                return {**result, **self._run_module(sent, task_vars or {})}
            sent["names"] = self._server_names(options, listen, task_vars or {})
            return {**result, **self._with_certificate(options, sent, task_vars or {})}
        except RemoteApiError as exc:
            return {**result, "failed": True, "msg": str(exc)}

    def _server_names(
        self, options: t.Mapping[str, t.Any], listen: t.Sequence[str], task_vars: t.Mapping[str, t.Any]
    ) -> list[str]:
        """Return the names in the certificate: those of the inventory, the addresses listened on, and those asked for.

        An inventory's name that is no DNS name is left out, and said. Raises RemoteApiError.
        """
        inventory_name = str(task_vars.get("inventory_hostname"))
        usable, left_out = names.split_usable([inventory_name])
        if left_out:
            self._display.warning(
                f"{inventory_name}: this name in the inventory is no DNS name, so it is not in the certificate."
            )
        address = str(task_vars.get("ansible_host") or inventory_name)
        candidates = [*usable, *names.split_usable([address])[0], *_remote_api.listen_hosts(listen), *_ALWAYS]
        return list(dict.fromkeys([*candidates, *options["names"]]))

    def _with_certificate(
        self, options: t.Mapping[str, t.Any], sent: dict[str, t.Any], task_vars: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        """Return the result for a host that speaks TLS: one round trip, or two if its certificate is due."""
        library.require(sys.executable)
        profiles.check_days(options["certificate_days"], options["renew_before_days"])
        wanted = profiles.profile("server", None, sent["names"], options["key_type"])
        now = datetime.now(UTC)
        source = self._authority_source(options)
        bundle = source.trusted(now)
        if bundle:
            sent["ca_certificate"] = certificates.to_pem(bundle)
        elif not self._task.check_mode:
            raise source.missing()

        first = self._run_module(sent, task_vars)
        if first.get("missing_library") and options["install_dependencies"]:
            installed = self._install_library(task_vars)
            if installed.get("failed") or self._task.check_mode:
                return installed
            first = self._run_module(sent, task_vars)
        csr = first.pop("csr", None)
        if first.get("failed") or not first["reasons"]:
            return first
        lifetime = timedelta(days=options["certificate_days"])
        if self._task.check_mode:
            return _predict(first, wanted, bundle, now + lifetime)
        host = str(task_vars.get("inventory_hostname"))
        signed = _authority.sign_request(source.open(now), str(csr), wanted, lifetime, now, host)
        if signed.warning:
            self._display.warning(signed.warning)
        second = self._run_module({**sent, "certificate": signed.pem}, task_vars)
        second.pop("csr", None)
        return second if second.get("failed") else {**second, "reasons": first["reasons"]}

    def _run_module(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the result of the module on the host: one round trip."""
        result: dict[str, t.Any] = self._execute_module(
            module_name=_MODULE, module_args=arguments, task_vars=task_vars
        )
        return result

    def _install_library(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Install python3-cryptography on the host by ansible.builtin.package, and return its result."""
        task = self._task.copy()
        task.args = {"name": "python3-cryptography", "state": "present", "update_cache": True}
        action = self._shared_loader_obj.action_loader.get(
            "ansible.builtin.package",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        result: dict[str, t.Any] = action.run(task_vars=task_vars)
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
        after["issuer"] = certificates.subject(bundle[0]) if bundle else None
        after["authorities"] = [certificates.fingerprint(one) for one in bundle]
        result["diff"] = {**first["diff"], "after": after}
    return result
