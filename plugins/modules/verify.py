#!/usr/bin/python
# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Verify that a Docker Engine is open to its clients and closed to everybody else
description:
  - Tries an engine's Remote API as its clients do, and as those who must be refused do.
  - With TLS it checks that the engine's certificate is signed by the CA, in date, and carries the name that is used
    (C(server_certificate)); that the engine answers the client's certificate (C(info)); that it warns of no address
    open to everybody (C(engine_warnings)); that a client without a certificate is refused (C(anonymous_refused)), and
    one with a certificate of another CA (C(foreign_certificate_refused)), and plain HTTP (C(plain_http_refused)); and
    that port 2375 is closed (C(insecure_port_closed)).
  - While a CA is being replaced and hosts are to drop the old one, a client of the old one must be refused, too
    (C(retired_certificate_refused)). That takes O(ca_path) and O(ca_passphrase), and the old key in that directory.
  - Without TLS it checks only C(info) and C(engine_warnings).
  - The task fails if a check does, and says which one and what to do.
author:
  - The dockerfleet maintainers (!UNKNOWN)
extends_documentation_fragment:
  - dockerfleet.remote_api._attributes
  - dockerfleet.remote_api._attributes.engine_group
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
  run_on:
    description:
      - With V(controller), the controller does it all, and nothing is run on the host.
      - With V(host), the host checks its own engine, for when the controller cannot reach the port. The engine must
        then answer on the local socket as well (C(local_socket)). C(GET /info) is asked there, and over TCP only with a
        client's certificate or without TLS; then both must be one engine (C(same_engine)). A certificate of another CA
        is not tried.
    type: str
    choices:
      - controller
      - host
    default: controller
  state:
    description: With V(absent), the only thing that is checked is that nothing listens on the addresses.
    type: str
    choices: [present, absent]
    default: present
  negative_checks:
    description: Whether to try what must be refused.
    type: bool
    default: true
  listen:
    description:
      - The addresses that the engine listens on, such as V(tcp://0.0.0.0:2376). Each of them is checked.
      - A wildcard address is checked at the host's own address. A loopback address can be checked with
        O(run_on=host) only; otherwise it is listed in RV(checks) as C(skipped).
      - If it is set, O(docker_host) and O(port) do not count.
    type: list
    elements: str
  docker_host:
    description:
      - The address of the engine, V(tcp://HOST:PORT). Environment variables and docker contexts do not count.
      - By default, the host is the inventory's C(ansible_host) of the host, or else its name there, wherever the task
        is delegated to; with O(run_on=host) it is V(127.0.0.1). The port is O(port).
    type: str
  port:
    description: The port, if O(docker_host) is not set. By default 2376, or 2375 with O(tls=false).
    type: int
  tls:
    description:
      - Whether the engine speaks TLS there. By default it does if any certificate is set or the port is 2376.
    type: bool
  validate_certs:
    description: Whether the engine's certificate must be valid. With V(false), C(server_certificate) fails.
    type: bool
    default: true
  ca_path:
    description:
      - The file with the certificate of the CA that signed the engine's, or the directory of a CA with C(ca.pem).
      - If the directory has C(ca-key.pem), too, and O(ca_passphrase) is set, no client's certificate is needed. The CA
        then issues one of five minutes in the controller's process. Neither it nor its key is written to a disk.
    type: path
  ca_passphrase:
    description: The passphrase of the CA's key. It is never sent to a host.
    type: str
  ca_certificate:
    description: The certificate of the CA as PEM text, instead of O(ca_path).
    type: str
  ca_key:
    description:
      - The key of the CA in O(ca_certificate) as PEM text, encrypted with O(ca_passphrase) or not at all. It issues a
        client's certificate as described in O(ca_path), and is never sent to a host.
    type: str
  client_cert:
    description: The file with the client's certificate. Needs O(client_key).
    type: path
  client_key:
    description: The file with the client's key, without a passphrase. Needs O(client_cert).
    type: path
  cert_path:
    description:
      - A directory with C(ca.pem), C(cert.pem), and C(key.pem). O(ca_path) counts instead of the first, O(client_cert)
        and O(client_key) together instead of the other two. The CA issues no client's certificate then.
    type: path
  tls_hostname:
    description: The name that the engine's certificate must carry, if it is not the host of the address.
    type: str
  api_version:
    description: Not used; it is here so that it can be set for the whole action group.
    type: str
  timeout:
    description: How long each check may take, in seconds. The port 2375 is waited for no longer than 3 seconds.
    type: int
    default: 60
requirements:
  - cryptography on the controller, with O(run_on=controller)
notes:
  - Files are those of the controller, with O(run_on=host) those of the host.
seealso:
  - module: dockerfleet.remote_api.engine_info
"""

EXAMPLES = r"""
- name: Verify each address of the host, as a client whose certificate the CA issues for this task alone
  dockerfleet.remote_api.verify:
    listen:
      - tcp://0.0.0.0:2376
    ca_path: pki
    ca_passphrase: "{{ ca_passphrase }}"

- name: Verify it with the certificate of a client
  dockerfleet.remote_api.verify:
    cert_path: pki/clients/admin

- name: Have the host verify it, because the controller cannot reach the port
  dockerfleet.remote_api.verify:
    run_on: host
    ca_path: /etc/docker/ca.pem

- name: Verify that the engine answers without TLS on the loopback address
  dockerfleet.remote_api.verify:
    run_on: host
    docker_host: tcp://127.0.0.1:2375
    tls: false
"""

RETURN = r"""
checks:
  description: What was checked, in the order in which it was.
  returned: when the engine could be tried
  type: list
  elements: dict
  contains:
    address:
      description: The address that was checked.
      type: str
      sample: tcp://docker1.example.com:2376
    name:
      description: The name of the check.
      type: str
      sample: anonymous_refused
    ok:
      description: Whether it is as it should be.
      type: bool
      sample: true
    detail:
      description: What was seen.
      type: str
      sample: a client without a certificate is refused
info:
  description: What C(GET /info) answers.
  returned: success
  type: dict
  sample: {"Name": "docker1", "ServerVersion": "26.1.5"}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.verification import (
    VERIFY_ARGUMENTS,
    verify,
)


def main() -> None:
    """Look at the engine from its own host. The action plugin is the half that runs on the controller."""
    module = AnsibleModule(argument_spec=VERIFY_ARGUMENTS, supports_check_mode=True)
    result = verify(module.params, "127.0.0.1", local=True)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
