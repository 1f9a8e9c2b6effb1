#!/usr/bin/python
# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container
short_description: Create, start, stop, and remove a container with the Docker Engine API
description:
  - Brings a container into the wanted state, and makes it anew when it is not as it was asked for.
  - The container is described as in the Engine API itself, so whatever the engine can do can be said.
author:
  - The dockerfleet maintainers (!UNKNOWN)
extends_documentation_fragment:
  - dockerfleet.remote_api._attributes
  - dockerfleet.remote_api._attributes.engine_group
  - dockerfleet.remote_api._engine
attributes:
  check_mode:
    support: full
    details: Nothing is pulled in check mode, so with O(pull=always) a newer image is not noticed.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: A container without O(name) is created in each run.
  platform:
    platforms: posix
options:
  name:
    description:
      - The exact name of the container, or the ID of one that exists, with at least its first 12 digits.
      - Without a name, O(state=created) and O(state=started) create another container in each run, with a name that the
        engine chooses. Use the ID in C(Id) in RV(container) to address it afterwards.
    type: str
  image:
    description:
      - The name, digest, or ID of the image, an ID with at least its first 12 digits. Needed to create the container.
      - That the container is made from it is decided by the image's ID. So a tag that has moved to another image makes
        a difference, and another name of the same image makes none.
    type: str
  state:
    description:
      - With V(created), the container exists, whether it runs or not. With V(started), it runs. With V(stopped), it
        exists and does not run. With V(absent), it does not exist.
    type: str
    choices:
      - created
      - started
      - stopped
      - absent
    default: started
  config:
    description:
      - The body of C(POST /containers/create), as the API reference describes it, with C(Hostname), C(Env), C(Cmd),
        C(Labels), C(HostConfig), C(NetworkingConfig), and so on.
      - A warning names each key that the spoken version of the API does not have, and the nearest one that it has. Such
        a key is sent and not compared. Numbers and booleans may be given as text, and numbers where the API takes text.
      - What earlier versions of the API took when a container was started, such as C(PublishAllPorts), belongs into
        C(HostConfig).
    type: dict
    default: {}
  recreate:
    description:
      - Whether to make a container anew that exists. With V(on_change), that is done when its image or anything that
        O(config) says differs from what it has. What O(config) does not say is not compared, except for further
        variables, labels, exposed ports, and volumes than those of the container and its image.
      - A limit that is no longer in C(Ulimits) is not noticed, because the engine shows its own default limits among
        those of each container.
      - The new container is created before the old one is removed, so that one which the engine refuses costs nothing.
        Volumes without a name are not kept.
    type: str
    choices:
      - on_change
      - never
      - always
    default: on_change
  force:
    description: Whether to kill a container that has to be stopped, instead of giving it time to end.
    type: bool
    default: false
  pull:
    description:
      - Whether to pull the image, V(missing) if the engine does not have it, V(always) even if it does, or V(never).
      - O(timeout) is then the time in which the engine may tell nothing about its progress.
    type: str
    choices:
      - missing
      - always
      - never
    default: missing
  registry:
    description: Who to be for the registry that O(image) is pulled from.
    type: dict
    suboptions:
      username:
        description: The user's name.
        type: str
        required: true
      password:
        description: The user's password, or an access token.
        type: str
        required: true
notes:
  - The values in O(config) are shown in results and with C(--diff). Use C(no_log) if C(Env) holds secrets.
seealso:
  - module: dockerfleet.remote_api.container_info
"""

EXAMPLES = r"""
- name: Run a web server, with a free port of the host for each port of the image
  dockerfleet.remote_api.container:
    name: web
    image: nginx:1.27
    config:
      Hostname: web
      Env:
        - TZ=Europe/Berlin
      HostConfig:
        PublishAllPorts: true
        RestartPolicy:
          Name: unless-stopped

- name: Create a container without a name
  dockerfleet.remote_api.container:
    image: busybox
    state: created
    config:
      Cmd: ["sleep", "60"]
  register: anonymous

- name: Start it
  dockerfleet.remote_api.container:
    name: "{{ anonymous.container.Id }}"
    state: started

- name: Remove it, without giving it time to end
  dockerfleet.remote_api.container:
    name: "{{ anonymous.container.Id }}"
    state: absent
    force: true

- name: Run the newest image of a private registry
  dockerfleet.remote_api.container:
    name: app
    image: registry.example.com/app:stable
    pull: always
    registry:
      username: deploy
      password: "{{ registry_password }}"
"""

RETURN = r"""
container:
  description: What C(GET /containers/ID/json) answers. In check mode it is the container as it was before.
  returned: success, and the container exists
  type: dict
  sample: {"Id": "8dfafdbc3a40", "Name": "/web", "State": {"Status": "running", "Running": true}}
actions:
  description:
    - What was done, in this order, or would be in check mode. C(pulled), C(stopped), C(removed), C(created),
      C(started), and C(unpaused).
  returned: success
  type: list
  elements: str
  sample: ["created", "started"]
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
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.container_state import Wanted, bring_about
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.images import Credentials
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.run_module import run_module

REGISTRY = {
    "username": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
}
ARGUMENTS = {
    **ENGINE_ARGUMENTS,
    "name": {"type": "str"},
    "image": {"type": "str"},
    "state": {"type": "str", "choices": ["created", "started", "stopped", "absent"], "default": "started"},
    "config": {"type": "dict", "default": {}},
    "recreate": {"type": "str", "choices": ["on_change", "never", "always"], "default": "on_change"},
    "force": {"type": "bool", "default": False},
    "pull": {"type": "str", "choices": ["missing", "always", "never"], "default": "missing"},
    "registry": {"type": "dict", "options": REGISTRY},
}


def wanted(params: dict[str, t.Any]) -> Wanted:
    """Return what the parameters ask for."""
    names = ("name", "image", "state", "config", "recreate", "force", "pull")
    credentials = Credentials(**params["registry"]) if params["registry"] else None
    return Wanted(**{name: params[name] for name in names}, credentials=credentials)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        required_if=[["state", "stopped", ["name"]], ["state", "absent", ["name"]]],
        supports_check_mode=True,
    )

    def work(engine: Engine) -> dict[str, t.Any]:
        """Return the module's result. Raises EngineError."""
        outcome = bring_about(engine, wanted(module.params), check_mode=module.check_mode)
        for warning in outcome.warnings:
            module.warn(warning)
        result = {"changed": bool(outcome.actions), "actions": outcome.actions}
        if outcome.container is not None:
            result["container"] = outcome.container
        if outcome.actions:
            result["diff"] = {"before": outcome.before, "after": outcome.after}
        return result

    run_module(module, work)


if __name__ == "__main__":
    main()
