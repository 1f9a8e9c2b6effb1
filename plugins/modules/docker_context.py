#!/usr/bin/python
# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_context
short_description: Give the docker client a context for an engine
description:
  - Writes a context into the docker client's own store, with a copy of the certificates, so that C(docker context use
    NAME) and C(docker --context NAME) reach an engine without any further option.
  - It connects to nothing, and the docker client need not be installed.
author:
  - The dockerfleet maintainers (!UNKNOWN)
extends_documentation_fragment:
  - dockerfleet.remote_api._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: It shows addresses, and the SHA-256 of certificates. It shows nothing of keys.
  idempotent:
    support: full
  platform:
    platforms: posix
options:
  name:
    description:
      - The context's name - letters, digits, and V(_.+-), at least two characters, the first a letter or a digit.
      - V(default) is the docker client's own and cannot be written.
    type: str
    required: true
  docker_host:
    description:
      - The address of the engine, V(tcp://HOST:PORT) or V(unix:///PATH). Without a port it is 2376 with O(cert_path),
        else 2375.
      - Required with O(state=present).
    type: str
  cert_path:
    description:
      - A directory with C(ca.pem), C(cert.pem), and C(key.pem), on the machine where the task runs.
        They are copied into the store. When they are renewed, run this again.
      - A relative path begins at the playbook if the task runs on the controller, and is refused on other machines.
      - If it is not set, the context has no certificates, and the docker client speaks plain HTTP to a TCP address.
    type: path
  state:
    description:
      - V(present) writes the context. Endpoints of other kinds, and whatever else others keep in it, stay.
      - V(absent) removes all of it. If it is the current one, the docker client's default becomes that.
    type: str
    choices: [present, absent]
    default: present
  current:
    description:
      - V(true) makes it the current context, as C(docker context use) does. If it is the current one, V(false) makes
        the docker client's default that. If it is not set, the current context stays.
      - It has no meaning with O(state=absent).
    type: bool
  owner:
    description:
      - The name of the user in whose store to write, which is C(~/.docker). It is done with the rights of this user.
      - Only root can do that for others. By default, it is the user who runs the task.
    type: str
notes:
  - The store is that of the user who runs the task, C(~/.docker), or what E(DOCKER_CONFIG) says. Use O(owner) or
    C(become_user) for somebody else's.
  - E(DOCKER_HOST) and E(DOCKER_CONTEXT) in a user's environment count more than the current context.
  - New files have mode 0600, new directories 0700.
seealso:
  - module: dockerfleet.remote_api.certificate
  - name: Docker contexts
    description: What the docker client does with them.
    link: https://docs.docker.com/engine/manage-resources/contexts/
"""

EXAMPLES = r"""
- name: Give the controller's docker client a context for each engine
  dockerfleet.remote_api.docker_context:
    name: "{{ inventory_hostname }}"
    docker_host: "tcp://{{ '[' ~ address ~ ']' if ':' in address else address }}:2376"
    cert_path: "{{ inventory_dir }}/.docker_remote_api/clients/admin"
  vars:
    address: "{{ hostvars[inventory_hostname].ansible_host | default(inventory_hostname) }}"
  delegate_to: localhost
  throttle: 1

- name: Let the user ci of a build machine work on one engine
  dockerfleet.remote_api.docker_context:
    name: production
    docker_host: tcp://docker1.example.com:2376
    cert_path: /home/ci/certificates
    current: true
    owner: ci
  become: true

- name: Take it back
  dockerfleet.remote_api.docker_context:
    name: production
    state: absent
    owner: ci
  become: true
"""

RETURN = r"""
context:
  description: The context as it is now, or in check mode would be. None with O(state=absent).
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
    docker_host:
      description: The engine's address, with scheme and port.
      type: str
    current:
      description: Whether it is the current context.
      type: bool
    meta_path:
      description: The file with its description.
      type: str
    tls_path:
      description: The directory with its certificates and its key, none if it has none.
      type: str
  sample:
    name: production
    docker_host: tcp://docker1.example.com:2376
    current: true
    meta_path: /home/ci/.docker/contexts/meta/ab8e18ef4ebebeddc0b3152ce9c9006e14fc05242e3fc9ce32246ea6a9543074/meta.json
    tls_path: /home/ci/.docker/contexts/tls/ab8e18ef4ebebeddc0b3152ce9c9006e14fc05242e3fc9ce32246ea6a9543074/docker
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.context_store import (
    ContextStore,
    client_directory,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.docker_context import (
    ContextPlan,
    ContextRequest,
    carry_out,
    plan_context,
    plan_removal,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._users import acting_as

ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "docker_host": {"type": "str"},
    "cert_path": {"type": "path"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "current": {"type": "bool"},
    "owner": {"type": "str"},
}


def make_plan(module: AnsibleModule) -> ContextPlan:
    """Return what is to be done for the module's parameters. Raises RemoteApiError."""
    params = module.params
    store = ContextStore(client_directory())
    if params["state"] == "absent":
        return plan_removal(store, params["name"])
    request = ContextRequest(params["name"], params["docker_host"], params["cert_path"], params["current"])
    return plan_context(store, request)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        required_if=[["state", "present", ["docker_host"]]],
        supports_check_mode=True,
    )
    try:
        with acting_as(module.params["owner"]):
            plan = make_plan(module)
            if not module.check_mode:
                carry_out(plan)
    except RemoteApiError as exc:
        module.fail_json(msg=str(exc))
    diff = [
        {"before_header": item.path, "after_header": item.path, "before": item.shown[0], "after": item.shown[1]}
        for item in plan.changes
    ]
    diff += [{"before_header": path, "after_header": path, "before": "present\n", "after": ""} for path in plan.removed]
    module.exit_json(changed=plan.changed, context=plan.context, diff=diff)


if __name__ == "__main__":
    main()
