# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of the module verify: it tries an engine over the network and runs nothing on its host."""

from __future__ import annotations

import os
import sys
import typing as t
from datetime import UTC, datetime

from ansible.plugins.action import ActionBase
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.verification import (
    VERIFY_ARGUMENTS,
    Identities,
    verify,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import library
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority, _rotation
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._authority_options import (
    checked_options,
    path_here,
)

_PATHS = ("ca_path", "client_cert", "client_key", "cert_path")
# What must not leave the controller.
_SECRETS = frozenset({"ca_passphrase", "ca_key"})


class ActionModule(ActionBase):
    """Runs the checks here, or the module on the host."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    # The CA that the options name, where remote_api has it open already: to open it takes as long as a handshake.
    authority: _authority.Authority | None = None

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return the task's result."""
        task_vars = task_vars or {}
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        try:
            params = checked_options(VERIFY_ARGUMENTS, {}, self._task.args)
            if params["run_on"] == "host":
                args = {name: value for name, value in self._task.args.items() if name not in _SECRETS}
                return {**result, **self._execute_module("dockerfleet.remote_api.verify", args, task_vars=task_vars)}
            library.require(sys.executable)
            for name in _PATHS:
                params[name] = params[name] and path_here(self._loader, params[name])
            identities = _make_identities(params, datetime.now(UTC), self.authority)
        except RemoteApiError as problem:
            return {**result, "failed": True, "msg": str(problem)}
        return {**result, **verify(params, self._host(task_vars), local=False, identities=identities)}

    def _host(self, task_vars: dict[str, t.Any]) -> str:
        """Return the address of the task's host as the inventory has it, wherever the task is delegated to."""
        name = str(task_vars.get("inventory_hostname", "localhost"))
        variables = task_vars["hostvars"][name] if self._task.delegate_to else task_vars
        return str(variables.get("ansible_host") or name)


def _make_identities(params: dict[str, t.Any], now: datetime, opened: _authority.Authority | None = None) -> Identities:
    """Return the clients that are to try the engine; a directory in ``ca_path`` becomes the path of its certificate.

    The CA, which may be open already, issues one that is to be let in, unless the options name one or there is no key.
    One that it replaces issues another that is to be refused, while its key is left for that. Raises RemoteApiError.
    """
    directory = params["ca_path"] if os.path.isdir(params["ca_path"] or "") else None
    if directory:
        params["ca_path"] = os.path.join(directory, _authority.CERTIFICATE_FILE)
    authority, old, stranger = opened, None, None
    if authority is None and not params["client_cert"] and not params["cert_path"]:
        if params["ca_key"]:
            authority = _authority.open_authority_from_text(
                params["ca_certificate"] or "", params["ca_key"], params["ca_passphrase"], now
            )
        elif directory and params["ca_passphrase"]:
            authority = _authority.open_authority(directory, params["ca_passphrase"], now)
    if params["negative_checks"]:
        stranger = _client_of(_authority.ephemeral_authority(now), now)
        if directory and params["ca_passphrase"]:
            old = _rotation.old_authority(directory, params["ca_passphrase"], now)
    client, retired = (_client_of(one, now) if one else None for one in (authority, old))
    return Identities(client, stranger, retired)


def _client_of(authority: _authority.Authority, now: datetime) -> bytes:
    """Return the PEM text of a client certificate of five minutes and its key."""
    return b"".join(_authority.ephemeral_client(authority, now))
