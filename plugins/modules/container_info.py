#!/usr/bin/python
# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container_info
short_description: Ask a Docker Engine about its containers
description:
  - Lists the containers that an engine has, or returns all details of some of them.
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
      - Names or IDs of containers whose details are wanted, all over one connection. Names must be exact, and IDs have
        at least their first 12 digits. One that does not exist is no error; it is listed in RV(missing).
      - If it is not set, the containers are listed.
    type: list
    elements: str
  all:
    description: Whether to list containers that do not run as well. It has no meaning for O(names).
    type: bool
    default: false
  filters:
    description:
      - What the listed containers have to match. The API reference says what there is, for example V(status), V(label),
        V(name), and V(ancestor). A value may be a list.
    type: dict
  details:
    description:
      - Whether to return C(HostConfig), C(ImageID), C(Mounts), and C(NetworkSettings) of each container in a list. They
        make most of its size and of the time that it takes. It has no meaning for O(names).
    type: bool
    default: false
seealso:
  - module: dockerfleet.remote_api.container
"""

EXAMPLES = r"""
- name: List the containers that run
  dockerfleet.remote_api.container_info:
  register: result

- name: List all containers
  dockerfleet.remote_api.container_info:
    all: true

- name: List those that have ended, and bear a label
  dockerfleet.remote_api.container_info:
    all: true
    filters:
      status: exited
      label:
        - team=web

- name: Look at one container
  dockerfleet.remote_api.container_info:
    names:
      - web
  register: result

- name: Show whether it runs
  ansible.builtin.debug:
    msg: "{{ result.containers[0].State.Running if result.containers else 'there is none' }}"
"""

RETURN = r"""
containers:
  description:
    - What C(GET /containers/json) answers, or with O(names) what C(GET /containers/NAME/json) does for each that is
      there, in their order. A list has fewer details, and other ones.
  returned: success
  type: list
  elements: dict
  sample:
    - {"Id": "8dfafdbc3a40", "Names": ["/web"], "Image": "busybox", "State": "running", "Status": "Up 5 minutes"}
missing:
  description: The names and IDs without container.
  returned: success
  type: list
  elements: str
  sample: []
can_talk_to_engine:
  description: Whether an engine answered.
  returned: always
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import ENGINE_ARGUMENTS
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.containers import container_info
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.run_module import run_module

ARGUMENTS = {
    **ENGINE_ARGUMENTS,
    "names": {"type": "list", "elements": "str"},
    "all": {"type": "bool", "default": False},
    "filters": {"type": "dict"},
    "details": {"type": "bool", "default": False},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, mutually_exclusive=[["names", "filters"]], supports_check_mode=True)
    params = module.params
    run_module(
        module,
        lambda engine: container_info(
            engine,
            names=params["names"],
            everything=params["all"],
            filters=params["filters"],
            details=params["details"],
        ),
    )


if __name__ == "__main__":
    main()
