#!/usr/bin/python
# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_info
short_description: Ask a Docker Engine about its images
description:
  - Lists the images that an engine has, or returns all details of some of them.
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
  names:
    description:
      - Names, digests, or IDs of images whose details are wanted. IDs have at least their first 12 digits. One that the
        engine does not have is no error; it is listed in RV(missing).
      - If it is not set, all images are listed.
    type: list
    elements: str
  all:
    description: Whether to list intermediate images as well. It has no meaning for O(names).
    type: bool
    default: false
  filters:
    description:
      - What the listed images have to match. The API reference says what there is, for example V(reference), V(label),
        V(dangling), and V(before). A value may be a list.
    type: dict
seealso:
  - module: dockerfleet.remote_api.image_search
"""

EXAMPLES = r"""
- name: List all images
  dockerfleet.remote_api.image_info:
  register: result

- name: List those that no tag leads to
  dockerfleet.remote_api.image_info:
    filters:
      dangling: true

- name: Look at two images
  dockerfleet.remote_api.image_info:
    names:
      - busybox:latest
      - registry.example.com/app:1.2
  register: result

- name: Show those that the engine does not have
  ansible.builtin.debug:
    var: result.missing
"""

RETURN = r"""
images:
  description:
    - What C(GET /images/json) answers, or with O(names) what C(GET /images/NAME/json) does for each that is there, in
      their order.
  returned: success
  type: list
  elements: dict
  sample:
    - {"Id": "sha256:65ad0d468eb1", "RepoTags": ["busybox:latest"], "Size": 4261550}
missing:
  description: The names without image.
  returned: success
  type: list
  elements: str
  sample: ["registry.example.com/app:1.2"]
can_talk_to_engine:
  description: Whether an engine answered.
  returned: always
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import ENGINE_ARGUMENTS
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.images import image_info
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.run_module import run_module

ARGUMENTS = {
    **ENGINE_ARGUMENTS,
    "names": {"type": "list", "elements": "str"},
    "all": {"type": "bool", "default": False},
    "filters": {"type": "dict"},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, mutually_exclusive=[["names", "filters"]], supports_check_mode=True)
    params = module.params
    run_module(
        module,
        lambda engine: image_info(engine, names=params["names"], everything=params["all"], filters=params["filters"]),
    )


if __name__ == "__main__":
    main()
