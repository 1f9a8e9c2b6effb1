# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of engine_api and, by meta/runtime.yml, of others: it knows where relative paths begin."""

from __future__ import annotations

from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._action import LocalPathsAction


class ActionModule(LocalPathsAction):
    """Runs the module of the task. No other module has an option of these names that is no path of its machine."""

    path_options = (*LocalPathsAction.path_options, "src", "dest")
