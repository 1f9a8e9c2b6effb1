# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This doc fragment is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""What the attributes of a module mean. A module states only how far it supports each."""

from __future__ import annotations


class ModuleDocFragment:
    """The attributes that every module of the collection states."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and tell what it would do, without changing anything.
  diff_mode:
    description: Tells what it changed, or would change, when O(ignore:--diff) is used.
  idempotent:
    description: A second run with the same arguments changes nothing.
  platform:
    description: The platform on which the module's work is done.
    support: full
"""

    ENGINE_GROUP = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/dockerfleet.remote_api.engine) in C(module_defaults) to set its connection options once.
    support: full
    membership:
      - dockerfleet.remote_api.engine
"""
