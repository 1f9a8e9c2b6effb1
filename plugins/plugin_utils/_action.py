# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""What action plugins with a module on the host have in common."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import PATH_OPTIONS
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._authority_options import path_here

_LIBRARY = {"name": "python3-cryptography", "state": "present", "update_cache": True}


class HostAction(ActionBase):
    """An action plugin whose host may lack the library for certificates."""

    def install_library(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Install the library from the packages of this task's host, in this process; return the result of that."""
        task = self._task.copy()
        task.args = _LIBRARY
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


class LocalPathsAction(NormalAction):
    """Runs a module. If it is to run on the controller, relative paths are made absolute before."""

    path_options: tuple[str, ...] = PATH_OPTIONS

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return the task's result."""
        try:
            self._task.args = absolute_on_controller(self, self._task.args, self.path_options)
        except RemoteApiError as problem:
            return {"failed": True, "msg": str(problem)}
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        return result


def absolute_on_controller(action: ActionBase, args: t.Mapping[str, t.Any], names: t.Iterable[str]) -> dict[str, t.Any]:
    """Return a module's arguments, those in ``names`` with absolute paths if it is to run on the controller.

    A module cannot know where the playbook is; on another machine there is none, so it refuses relative paths itself.
    What begins with a home directory or a variable is that of the user the module runs as, so that is left to it.
    Raises TlsError as path_here() does.
    """
    found = dict(args)
    if action._connection.transport == "local":
        for name in names:
            if isinstance(found.get(name), str) and found[name] and not found[name].startswith(("/", "~", "$")):
                found[name] = path_here(action._loader, found[name])
    return found


def address_of_host(action: ActionBase, task_vars: t.Mapping[str, t.Any]) -> str:
    """Return the name or IP address by which the controller calls the task's host, wherever the task is delegated to.

    Variables of a task may be templates that are not rendered yet. Raises AnsibleError if one cannot be.
    """
    name = str(task_vars.get("inventory_hostname", "localhost"))
    if action._task.delegate_to:
        return str(task_vars["hostvars"][name].get("ansible_host") or name)
    return str(action._templar.template(task_vars.get("ansible_host")) or name)


__all__ = ("HostAction", "LocalPathsAction", "absolute_on_controller", "address_of_host")
