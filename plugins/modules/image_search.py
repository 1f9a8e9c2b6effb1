#!/usr/bin/python
# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_search
short_description: Search Docker Hub through a Docker Engine
description:
  - Returns what C(docker search) shows. It is the engine that asks Docker Hub, so its host needs a way there.
author:
  - The dockerfleet maintainers (!UNKNOWN)
extends_documentation_fragment:
  - dockerfleet.remote_api._attributes
  - dockerfleet.remote_api._attributes.engine_group
  - dockerfleet.remote_api._engine
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
  platform:
    platforms: posix
options:
  term:
    description: What to search for.
    type: str
    required: true
  limit:
    description: How many results to return at most, from 1 to 100. Without it the engine decides.
    type: int
  filters:
    description: What the results have to match, V(is-official) or V(stars). A value may be a list.
    type: dict
seealso:
  - module: dockerfleet.remote_api.image_info
"""

EXAMPLES = r"""
- name: Search for images that people like
  dockerfleet.remote_api.image_search:
    term: postgres
    limit: 5
    filters:
      stars: 100
  register: result

- name: Show their names
  ansible.builtin.debug:
    msg: "{{ result.results | map(attribute='name') }}"
"""

RETURN = r"""
results:
  description: What C(GET /images/search) answers.
  returned: success
  type: list
  elements: dict
  sample:
    - {"name": "postgres", "description": "A relational database", "star_count": 14000, "is_official": true}
can_talk_to_engine:
  description: Whether an engine answered.
  returned: always
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import ENGINE_ARGUMENTS
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.images import image_search
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.run_module import run_module

ARGUMENTS = {
    **ENGINE_ARGUMENTS,
    "term": {"type": "str", "required": True},
    "limit": {"type": "int"},
    "filters": {"type": "dict"},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    run_module(
        module,
        lambda engine: {
            "results": image_search(engine, term=params["term"], limit=params["limit"], filters=params["filters"])
        },
    )


if __name__ == "__main__":
    main()
