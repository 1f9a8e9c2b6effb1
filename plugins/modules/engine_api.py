#!/usr/bin/python
# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_api
short_description: Send any request to a Docker Engine
description:
  - For everything that the Engine API can do and no other module does.
author:
  - The dockerfleet maintainers (!UNKNOWN)
extends_documentation_fragment:
  - dockerfleet.remote_api._attributes
  - dockerfleet.remote_api._attributes.engine_group
  - dockerfleet.remote_api._engine
attributes:
  check_mode:
    support: partial
    details: V(GET) and V(HEAD) are sent in check mode, other requests are not.
  diff_mode:
    support: none
    details: It does not know what a request changes.
  idempotent:
    support: none
    details: What a request changes is up to the engine.
  platform:
    platforms: posix
options:
  method:
    description: The method of the request.
    type: str
    choices:
      - GET
      - HEAD
      - POST
      - PUT
      - DELETE
    default: GET
  path:
    description:
      - The path, as the API reference has it, such as V(/containers/json). The version of the API is put before it,
        unless it is there, as in V(/v1.41/info).
    type: str
    required: true
  query:
    description:
      - The parameters of the query. Dictionaries, such as C(filters), are sent as JSON, booleans as C(true) and
        C(false), lists as several parameters. A query in O(path) is sent as well, and comes first.
    type: dict
  body:
    description:
      - The body of the request, sent as JSON.
      - It may hold secrets, as those of C(/auth), C(/secrets/create), C(/swarm/unlock) and C(/swarm/join) do. So it is
        neither in the host's system log nor in the C(invocation) of the result. What the engine answers is returned as
        it is, so set C(no_log) for the task if that is secret, too.
    type: dict
  src:
    description:
      - The file to send as the body, such as a tar archive to build or load an image from.
      - It is sent piece by piece, so that its size does not matter. O(timeout) then limits each pause.
      - If it is relative, see the note on relative paths.
      - Its type is C(application/x-tar), unless O(headers) has a C(Content-Type).
    type: path
  headers:
    description:
      - Further headers of the request.
      - None is in the host's system log. The values of C(Authorization), C(X-Registry-Auth) and C(X-Registry-Config)
        are not in the result either.
    type: dict
  status_code:
    description: The HTTP statuses that count as success, by default those from 200 to 299.
    type: list
    elements: int
  dest:
    description:
      - The file to write the answer to, for answers that are large or no text. It is written as the answer comes, and
        put in its place when it is complete. Only its owner may read it.
      - If it is relative, see the note on relative paths.
      - O(timeout) then limits each pause of the engine, not the whole transfer.
      - In check mode the answer is read, but the file is not written.
    type: path
notes:
  - V(GET) and V(HEAD) count as no change, unless the content of O(dest) changes. All others count as a change; say
    what they are with C(changed_when).
  - The output of a container is returned as text, without the frames in which engines send it.
  - An answer that has no end (C(/events) without C(until), C(/containers/NAME/stats), and whatever is asked for with
    C(follow)) ends at O(timeout) with what came until then; see RV(timed_out).
seealso:
  - module: dockerfleet.remote_api.engine_info
"""

EXAMPLES = r"""
- name: Ask for the disk space that is used
  dockerfleet.remote_api.engine_api:
    path: /system/df
  register: result

- name: Show it
  ansible.builtin.debug:
    msg: "{{ result.json.LayersSize }} bytes"

- name: Create a network, if it is not there
  dockerfleet.remote_api.engine_api:
    method: POST
    path: /networks/create
    body:
      Name: backend
      CheckDuplicate: true
    status_code: [201, 409]
  register: network
  changed_when: network.status == 201

- name: List what bears a label
  dockerfleet.remote_api.engine_api:
    path: /containers/json
    query:
      all: true
      filters:
        label: ["team=web"]

- name: Build an image
  dockerfleet.remote_api.engine_api:
    method: POST
    path: /build
    query:
      t: app:1.0
    src: /root/app.tar

- name: See what happens within ten seconds
  dockerfleet.remote_api.engine_api:
    path: /events
    timeout: 10

- name: Keep the files of a container
  dockerfleet.remote_api.engine_api:
    path: /containers/web/export
    dest: /var/backups/web.tar
"""

RETURN = r"""
status:
  description:
    - The status of the answer. For a request that is not sent in check mode, it is the first of O(status_code), or 200.
  returned: success
  type: int
  sample: 200
json:
  description: The answer. Where the engine tells its progress, it is the list of all that it told.
  returned: when the answer is JSON, and O(dest) is not set
  type: raw
  sample: {"LayersSize": 4261550, "Containers": []}
text:
  description: The answer as text.
  returned: when the answer is not JSON, and O(dest) is not set
  type: str
  sample: OK
headers:
  description: The headers of the answer, their names in lower case.
  returned: success, and the request was sent
  type: dict
  sample: {"api-version": "1.45", "content-type": "application/json"}
timed_out:
  description: That the answer has no end, and was ended at O(timeout).
  returned: when that is so
  type: bool
  sample: true
dest:
  description: The file that the answer was written to.
  returned: when O(dest) is set
  type: str
  sample: /var/backups/web.tar
can_talk_to_engine:
  description: Whether an engine answered.
  returned: when a request was to be sent
  type: bool
  sample: true
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import Engine
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import (
    ENGINE_ARGUMENTS,
    require_absolute,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.raw import Request, download, send
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.run_module import run_module
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError

ARGUMENTS = {
    **ENGINE_ARGUMENTS,
    "method": {"type": "str", "choices": ["GET", "HEAD", "POST", "PUT", "DELETE"], "default": "GET"},
    "path": {"type": "str", "required": True},
    "query": {"type": "dict"},
    "body": {"type": "dict", "no_log": True},
    "src": {"type": "path"},
    "headers": {"type": "dict", "no_log": True},
    "status_code": {"type": "list", "elements": "int"},
    "dest": {"type": "path"},
}


_SECRET_HEADERS = ("authorization", "x-registry-auth", "x-registry-config")
_HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


def take_request(module: AnsibleModule) -> Request:
    """Return the request, and leave no secret of it for the module's ``invocation``.

    With ``no_log`` Ansible keeps options out of the system's log, and hides each of their values wherever the result
    has it: the name of a network that was asked for, and every ``true``. So it is told those of secret headers alone.
    """
    params = module.params
    names = ("method", "path", "query", "body", "src", "headers")
    request = Request(**{name: params[name] for name in names}, accept=params["status_code"])
    headers = request.headers or {}
    secrets = {name: str(value) for name, value in headers.items() if name.lower() in _SECRET_HEADERS}
    module.no_log_values.clear()
    module.no_log_values.update(value for value in secrets.values() if value)
    if request.headers is not None:
        params["headers"] = {**headers, **dict.fromkeys(secrets, _HIDDEN)}
    if request.body is not None:
        params["body"] = _HIDDEN
    return request


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, mutually_exclusive=[["body", "src"]], supports_check_mode=True)
    params = module.params
    request = take_request(module)
    try:
        require_absolute(params, ("src", "dest"))
    except RemoteApiError as exc:
        module.fail_json(msg=str(exc), can_talk_to_engine=False)
    if module.check_mode and not request.reads:
        status = (request.accept or [200])[0]
        module.exit_json(changed=True, status=status, msg=f"{request.method} {request.path} is not sent in check mode.")

    def work(engine: Engine) -> dict[str, t.Any]:
        """Return the module's result. Raises EngineError."""
        if params["dest"]:
            return download(engine, request, params["dest"], write=not module.check_mode)
        return send(engine, request)

    run_module(module, work)


if __name__ == "__main__":
    main()
