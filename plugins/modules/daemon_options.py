#!/usr/bin/python
# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module daemon_options."""

from __future__ import annotations

DOCUMENTATION = r"""
module: daemon_options
short_description: Set dockerd's command-line options and restart it safely
description:
  - Keeps options of C(dockerd) in the options file (such as C(/etc/default/docker), variable C(DOCKER_OPTS)), makes the
    service's unit read them, and restarts the daemon when that is due.
  - All of this is one transaction. The plan is checked against the engine on the host before anything is written. When
    the daemon does not come up with it, every file is put back and the daemon is started as it was before.
  - Whether a restart is due is seen on the running daemon (its arguments, its age against that of its TLS files). A run
    that was interrupted is finished by the next one.
  - When the module itself is killed in the middle of a change, a second process finishes or undoes it and tells the
    system's log. When the host goes down, the next boot puts the files back before the daemon starts, by a unit that is
    in C(/etc/systemd/system) only while a change is under way.
options:
  options:
    description:
      - Options of C(dockerd) by their long names, without dashes.
      - V(true) sets a switch, V(false) sets it to false, a list gives the option once for each item, a mapping once
        for each C(key=value).
      - Options that are there already and are not named here stay as they are, see O(exclusive). Of C(host), TCP
        addresses are replaced and local sockets stay. The daemon's local socket is always kept.
    type: dict
    default: {}
  remove:
    description: Names of options to take away.
    type: list
    elements: str
    default: []
  allow_insecure:
    description:
      - Whether the daemon may listen on TCP addresses beyond loopback without C(tlsverify). Everybody who reaches them
        is root on the host.
    type: bool
    default: false
  exclusive:
    description: Take away all options in the variable that are not in O(options).
    type: bool
    default: false
  path:
    description:
      - The options file, not a relative path. By default the one that the unit reads, or else C(/etc/default/docker).
      - Only systemd reads it, so the module refuses a line that needs a shell to set the variable, such as one with
        C(export), C(+=), C($) or a comment after the value. Other lines may be shell and are left alone.
    type: path
  variable:
    description:
      - The variable in the options file. By default the one that the unit reads, or else C(DOCKER_OPTS).
    type: str
  service:
    description: The systemd service under which the daemon runs.
    type: str
    default: docker.service
  unit_wiring:
    description:
      - How to make a unit read the options that does not read them yet.
    type: str
    choices:
      drop_in: Write a drop-in that is derived from the unit as it is, so that the package's own flags are kept.
      edit: Change the unit file itself, as one does by hand. The next upgrade of the package may undo it.
      none: Do not touch the unit, and fail when it does not read the options.
    default: drop_in
  on_conflict:
    description:
      - What to do with a key that is also set in C(daemon.json). With such a key C(dockerd) does not start.
    type: str
    choices:
      fail: Fail before anything is changed, and name all of them.
      move: Take the key out of C(daemon.json), and keep a backup beside it.
    default: fail
  on_unread_options:
    description:
      - What to do with options in the options file that the unit has never read, so that the daemon would take them now
        for the first time. The packages of Docker Inc., for example, ignore C(/etc/default/docker), and an old
        C(--data-root) there would make all containers disappear.
      - Options which are requested with the same value, or taken away, need no decision.
    type: str
    choices:
      fail: Fail before anything is changed, and show them.
      adopt: Keep them; the daemon takes them from now on. What is requested counts for more.
      discard: Take all of them out of the file, and keep a backup beside it.
    default: fail
  daemon_json:
    description:
      - The path of C(daemon.json), not a relative one. By default the one on the daemon's command line, or else
        C(/etc/docker/daemon.json).
    type: path
  live_restore:
    description:
      - Whether containers keep running while the daemon is stopped, so that a restart does not end them. By default
        this is left as it is.
      - It is kept in C(daemon.json), since the running daemon takes it from there without a restart. Thus containers
        survive even the restart of the run that turns it on.
      - Not possible on hosts that are in a swarm.
    type: bool
  restart:
    description:
      - Whether to restart the daemon. Without C(live-restore) a restart stops all containers.
      - A service that was stopped on purpose stays so, unless this is V(always). That means that it is inactive without
        having failed, and neither its socket unit nor a failed start at boot is the reason. All is prepared, and a
        warning says so.
    type: str
    choices:
      when_needed: Restart it when it does not run yet with what is configured.
      never: Never restart it. RV(restart_due) tells whether a restart is due.
      always: Restart it in any case.
    default: when_needed
  timeout:
    description:
      - How many seconds the daemon may take to answer after a restart, or to end a start that is under way already.
    type: int
    default: 300
extends_documentation_fragment:
  - dockerfleet.remote_api._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows the options and the unit's command. Nothing else from the files, since it may be secret.
  idempotent:
    support: full
  platform:
    support: full
    platforms: linux with systemd
seealso:
  - module: dockerfleet.remote_api.certificate
  - module: dockerfleet.remote_api.verify
author:
  - The dockerfleet maintainers (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Serve the API with mutual TLS
  dockerfleet.remote_api.daemon_options:
    options:
      host: ["tcp://0.0.0.0:2376"]
      tlsverify: true
      tlscacert: /etc/docker/ca.pem
      tlscert: /etc/docker/server-cert.pem
      tlskey: /etc/docker/server-key.pem

- name: Use these name servers, and move them out of daemon.json if they are there
  dockerfleet.remote_api.daemon_options:
    options:
      dns: [8.8.8.8, 8.8.4.4]
    on_conflict: move

- name: Take an option away, but do not restart now
  dockerfleet.remote_api.daemon_options:
    remove: [dns]
    restart: never
  register: result

- name: Say that a restart is due
  ansible.builtin.debug:
    msg: "Restart Docker in the next maintenance window: {{ result.restart_reasons | join(', ') }}"
  when: result.restart_due
"""

RETURN = r"""
options:
  description: The options in the variable, word by word.
  returned: success
  type: list
  elements: str
  sample: ["--host=tcp://0.0.0.0:2376", "--tlsverify"]
argv:
  description: The daemon's whole command line, as systemd builds it from the unit and the options.
  returned: success
  type: list
  elements: str
  sample: ["/usr/bin/dockerd", "-H", "fd://", "--host=tcp://0.0.0.0:2376", "--tlsverify"]
options_file:
  description: The file in which the options are kept.
  returned: success
  type: str
  sample: /etc/default/docker
variable:
  description: The variable in which they are kept.
  returned: success
  type: str
  sample: DOCKER_OPTS
restarted:
  description: Whether the daemon was restarted, or would be in check mode.
  returned: success
  type: bool
  sample: true
restart_due:
  description: Whether a restart is still due, since O(restart=never) or the service was stopped on purpose.
  returned: success
  type: bool
  sample: false
restart_reasons:
  description: Why the daemon was restarted or has to be.
  returned: success
  type: list
  elements: str
  sample: ["it runs with other arguments"]
containers_stopped:
  description: How many running containers the restart stopped, or would stop.
  returned: success
  type: int
  sample: 0
conflicts:
  description: The keys that were taken out of C(daemon.json), or would be.
  returned: success
  type: list
  elements: dict
  sample: [{"key": "dns", "option": "dns", "from_flag": "8.8.8.8", "from_file": "[\"8.8.8.8\"]"}]
undone:
  description: The files that an interrupted earlier run had changed and that were put back first.
  returned: success
  type: list
  elements: str
  sample: []
rolled_back:
  description: Whether a change was tried, did not work and was undone, so that files and daemon are as before.
  returned: always
  type: bool
  sample: false
"""

import typing as t
from dataclasses import asdict, fields

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.errors import RolledBackError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import Request
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.session import Mode, Outcome, configure
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import runner, unit_name

_ARGUMENT_SPEC: dict[str, t.Any] = {
    "options": {"type": "dict", "default": {}},
    "remove": {"type": "list", "elements": "str", "default": []},
    "allow_insecure": {"type": "bool", "default": False},
    "exclusive": {"type": "bool", "default": False},
    "path": {"type": "path"},
    "variable": {"type": "str"},
    "service": {"type": "str", "default": "docker.service"},
    "unit_wiring": {"type": "str", "choices": ["drop_in", "edit", "none"], "default": "drop_in"},
    "on_conflict": {"type": "str", "choices": ["fail", "move"], "default": "fail"},
    "on_unread_options": {"type": "str", "choices": ["fail", "adopt", "discard"], "default": "fail"},
    "daemon_json": {"type": "path"},
    "live_restore": {"type": "bool"},
    "restart": {"type": "str", "choices": ["when_needed", "never", "always"], "default": "when_needed"},
    "timeout": {"type": "int", "default": 300},
}


def _request(params: t.Mapping[str, t.Any]) -> Request:
    """Return the module's arguments as the core takes them."""
    given = {field.name: params[field.name] for field in fields(Request) if field.name in params}
    return Request(**{**given, "remove": tuple(params["remove"]), "service": unit_name(params["service"])})


def _result(outcome: Outcome) -> dict[str, t.Any]:
    """Return the module's result for what was done."""
    plan = outcome.plan
    return {
        "changed": outcome.changed,
        "options": list(plan.words),
        "argv": list(plan.argv),
        "options_file": plan.options_path,
        "variable": plan.variable,
        "restarted": outcome.restarted,
        "restart_due": outcome.restart_due,
        "restart_reasons": list(plan.restart_reasons),
        "containers_stopped": outcome.containers_stopped,
        "conflicts": [asdict(item) for item in plan.conflicts],
        "undone": list(outcome.undone),
        "rolled_back": False,
        "diff": [
            {"before_header": item.path, "after_header": item.path, "before": item.shown[0], "after": item.shown[1]}
            for item in plan.changes
        ],
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=_ARGUMENT_SPEC, supports_check_mode=True)
    mode = Mode(module.check_mode, module.params["restart"], float(module.params["timeout"]))
    try:
        outcome = configure(_request(module.params), mode, runner(module.run_command))
    except RemoteApiError as problem:
        module.fail_json(msg=str(problem), rolled_back=isinstance(problem, RolledBackError))
    for warning in outcome.warnings:
        module.warn(warning)
    module.exit_json(**_result(outcome))


if __name__ == "__main__":
    main()
