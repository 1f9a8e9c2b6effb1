#!/usr/bin/python
# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_info
short_description: Ask a Docker Engine about itself
description:
  - Returns what C(docker info) and C(docker version) show, as the Engine API gives it.
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
seealso:
  - module: dockerfleet.remote_api.verify
"""

EXAMPLES = r"""
- name: Ask the engine of the host, over its socket
  dockerfleet.remote_api.engine_info:
  register: engine

- name: Ask the same engine from the controller, over TLS
  dockerfleet.remote_api.engine_info:
    docker_host: "tcp://{{ '[' ~ address ~ ']' if ':' in address else address }}:2376"
    cert_path: pki/clients/admin
  vars:
    address: "{{ hostvars[inventory_hostname].ansible_host | default(inventory_hostname) }}"
  delegate_to: localhost
  register: engine

- name: Show its version
  ansible.builtin.debug:
    msg: "{{ engine.info.Name }} runs {{ engine.version.Version }}"
"""

RETURN = r"""
info:
  description: What C(GET /info) answers.
  returned: success
  type: dict
  sample: {"Name": "docker1", "ServerVersion": "26.1.5", "Containers": 3, "ContainersRunning": 2}
version:
  description: What C(GET /version) answers.
  returned: success
  type: dict
  sample: {"Version": "26.1.5", "ApiVersion": "1.45", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"}
api_version:
  description: The version of the Engine API that was spoken.
  returned: success
  type: str
  sample: "1.45"
can_talk_to_engine:
  description: Whether an engine answered.
  returned: always
  type: bool
  sample: true
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import Engine
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import ENGINE_ARGUMENTS
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.run_module import run_module


def engine_info(engine: Engine) -> dict[str, t.Any]:
    """Return the module's result. Raises EngineError."""
    return {
        "info": engine.get_json("/info"),
        "version": engine.get_json("/version"),
        "api_version": engine.api_version,
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ENGINE_ARGUMENTS, supports_check_mode=True)
    run_module(module, engine_info)


if __name__ == "__main__":
    main()
