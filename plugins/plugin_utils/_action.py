# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""What action plugins with a module on the host have in common."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

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


__all__ = ("HostAction",)
