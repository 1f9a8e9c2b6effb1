# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of the module verify: it tries an engine over the network and runs nothing on its host."""

from __future__ import annotations

import sys
import typing as t
from datetime import UTC, datetime

from ansible.plugins.action import ActionBase
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import PATH_OPTIONS
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.verification import VERIFY_ARGUMENTS
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import library
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._action import (
    absolute_on_controller,
    address_of_host,
)
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._authority_options import (
    checked_options,
    parse_lists,
    path_here,
)
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._verifying import verify_from_here

# What must not leave the controller.
_SECRETS = frozenset({"ca_passphrase", "ca_key"})


class ActionModule(ActionBase):
    """Runs the checks here, or the module on the host."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return the task's result."""
        task_vars = task_vars or {}
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        try:
            params = checked_options(VERIFY_ARGUMENTS, {}, self._task.args)
            if params["run_on"] == "host":
                given = parse_lists(VERIFY_ARGUMENTS, self._task.args)
                args = absolute_on_controller(self, given, PATH_OPTIONS)
                args = {name: value for name, value in args.items() if name not in _SECRETS}
                return {**result, **self._execute_module("dockerfleet.remote_api.verify", args, task_vars=task_vars)}
            library.require(sys.executable)
            for name in PATH_OPTIONS:
                params[name] = params[name] and path_here(self._loader, params[name])
            return {**result, **verify_from_here(params, address_of_host(self, task_vars), datetime.now(UTC))}
        except RemoteApiError as problem:
            return {**result, "failed": True, "msg": str(problem)}
