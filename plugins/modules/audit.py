#!/usr/bin/python
# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: audit
short_description: Find out who gets into Docker Engines, and which certificates end when
description:
  - Examines engines over the network as a stranger would, also those that this collection did not configure. On each
    host it tries the ports 2375 and 2376, and those that the host should listen on - without TLS, with TLS and no
    client's certificate, with a client of a CA that nobody trusts, and with a client of the fleet's CA.
  - Judges each certificate that an engine serves, the CAs, and the certificates of clients. An engine never shows the
    latter, so they come from the CA's ledger.
  - Each finding has a grade, a reason and the command that mends it. The guide lists them all.
  - The work is done by an action plugin on the controller, in the process that runs the play. No module is run, nobody
    is become, no host is logged in to, and nothing is changed. Run it once for all hosts (C(run_once)), as it examines
    them at the same time.
  - Engines are asked for C(GET /version) and C(GET /info) only.
author:
  - The dockerfleet maintainers (!UNKNOWN)
extends_documentation_fragment:
  - dockerfleet.remote_api._attributes
attributes:
  check_mode:
    support: full
    details: The reports in O(formats) are not written.
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
    details: Reports do not count as a change.
  platform:
    platforms: posix
requirements:
  - cryptography >= 3.3 on the controller
options:
  hosts:
    description:
      - Names of hosts in the inventory. Their variables say the rest - C(ansible_host) is the address,
        C(docker_remote_api_listen) has more ports, C(docker_remote_api_clients) has the clients whose end matters, and
        the CA is named by C(docker_remote_api_pki_dir), C(docker_remote_api_ca_passphrase),
        C(docker_remote_api_ca_certificate), C(docker_remote_api_ca_key) and C(docker_remote_api_ledger_dir).
      - The CA is by default in C(.docker_remote_api) beside the inventory that names the host.
      - The clients of a CA are those that its hosts list, joined. By default that is C(admin), and nobody with
        C(docker_remote_api_ca_key). Others are told of until they end, with the grade V(ok).
      - An address or a variable C(docker_remote_api_listen) or C(docker_remote_api_clients) that cannot be used is a
        finding of that host.
    type: list
    elements: str
    default: []
  addresses:
    description:
      - Other engines, as V(HOST), V(HOST:PORT) or V(tcp://HOST:PORT). Without a port, both 2375 and 2376 are tried.
      - Their CA is that of O(ca_path) or O(ca_certificate). Unless O(hosts) have the same CA, its clients are those
        that have a directory in C(clients/) there.
    type: list
    elements: str
    default: []
  ca_path:
    description:
      - The directory of a CA on the controller. C(ca.pem) has its certificates, C(issued/) is its ledger.
      - If C(ca-key.pem) is there and O(ca_passphrase) is set, the CA issues a client for five minutes in this process.
        It asks the engines for their version. Neither it nor its key is written to a disk.
    type: path
  ca_passphrase:
    description: The passphrase of the CA's key.
    type: str
  ca_certificate:
    description: The certificate of the CA as PEM text, instead of O(ca_path). Used with O(ca_key).
    type: str
  ca_key:
    description: The key of the CA in O(ca_certificate) as PEM text, encrypted with O(ca_passphrase) or not at all.
    type: str
  ledger_dir:
    description: A directory with a copy of each certificate that the CA issued. By default C(issued) in O(ca_path).
    type: path
  cert_path:
    description:
      - The directory of a client, with C(ca.pem), C(cert.pem) and C(key.pem), that the engines should let in. It is for
        fleets whose CA has no key here. Without both, only what can be seen from outside is judged.
    type: path
  on_disk:
    description:
      - The certificates (PEM) that the hosts have in their files, by the hosts' names in the inventory. An engine that
        serves another one was not restarted after a renewal.
    type: dict
    default: {}
  warn_below_days:
    description:
      - Certificates with fewer days left get a warning. Those that were issued for no longer than that get it in the
        last third of their time.
    type: int
    default: 30
  fail_below_days:
    description:
      - If set, RV(alarm) tells of each certificate that has fewer days left, and of each finding that is critical. With
        V(0) it tells of certificates that have ended.
    type: int
  formats:
    description:
      - Files on the controller to write reports to. A file that is there keeps its mode.
    type: dict
    default: {}
    suboptions:
      json:
        description: The result as a JSON document.
        type: path
      prometheus:
        description: Metrics for the textfile collector of Prometheus' node exporter.
        type: path
      html:
        description: One HTML page that needs nothing else.
        type: path
  show:
    description: Whether to print RV(table) in the terminal.
    type: bool
    default: false
  timeout:
    description:
      - How long each exchange with an engine may take, in seconds. A connection is waited for no longer than 3 seconds.
    type: int
    default: 20
seealso:
  - module: dockerfleet.remote_api.verify
"""

EXAMPLES = r"""
- name: Audit all hosts of the play at once
  dockerfleet.remote_api.audit:
    hosts: "{{ ansible_play_hosts_all }}"
    formats:
      html: /srv/reports/docker.html
      prometheus: /var/lib/node_exporter/docker_remote_api.prom
    show: true
  run_once: true

- name: Audit engines that are in no inventory
  dockerfleet.remote_api.audit:
    addresses:
      - 192.0.2.10
      - tcp://docker.example.com:4243
    cert_path: ~/.docker
  run_once: true
  register: audit

- name: Fail if somebody gets in who must not
  ansible.builtin.assert:
    that: audit.summary.critical == 0
"""

RETURN = r"""
time:
  description: When the audit was made.
  returned: success
  type: str
  sample: "2027-01-31T12:00:00Z"
summary:
  description: How many findings have each grade.
  returned: success
  type: dict
  sample: {"critical": 1, "warning": 0, "unknown": 0, "ok": 41}
findings:
  description: What was found, the worst first.
  returned: success
  type: list
  elements: dict
  contains:
    host:
      description: The host's name in the inventory, C(client NAME), or C(CA FILE).
      type: str
      sample: docker1
    grade:
      description:
        - With V(critical), somebody gets in who must not, or clients are refused now. With V(warning), this will be so
          or is one mistake away. With V(unknown), it could not be judged from here.
      type: str
      sample: critical
    check:
      description: A name of the finding for programs.
      type: str
      sample: plain
    reason:
      description: What is wrong.
      type: str
      sample: "the engine answers everybody, without TLS: whoever reaches the port is root on the host"
    remedy:
      description: The command that mends it, empty if nothing is to be done.
      type: str
      sample: ansible-playbook -i inventory.yml dockerfleet.remote_api.secure -e target=docker1
    address:
      description: The address it is about, empty if it is about none.
      type: str
      sample: tcp://192.0.2.1:2375
certificates:
  description: The certificates that engines serve, those of clients, and those of CAs; those that end first come first.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: V(server), V(client) or V(ca).
      type: str
      sample: server
    host:
      description: Whose it is, as in RV(findings[].host).
      type: str
      sample: docker1
    address:
      description: The address at which it is served.
      type: str
      sample: tcp://192.0.2.1:2376
    grade:
      description: The worst grade of what is wrong with it.
      type: str
      sample: ok
    current:
      description: False for a client's older certificates, and those of clients that no host lists.
      type: bool
      sample: true
    days_left:
      description: The whole days until it ends, negative if it has ended.
      type: int
      sample: 364
    not_before:
      description: Since when it is valid.
      type: str
      sample: "2027-01-31T12:00:00Z"
    not_after:
      description: When it ends.
      type: str
      sample: "2028-01-31T12:00:00Z"
    subject:
      description: Its subject.
      type: str
      sample: CN=docker1
    issuer:
      description: Its issuer.
      type: str
      sample: CN=Docker Remote API CA
    names:
      description: The names that it carries.
      type: list
      elements: str
      sample: ["docker1", "192.0.2.1"]
    usages:
      description: What it is for (extendedKeyUsage) - V(server), V(client), V(any) or a dotted number.
      type: list
      elements: str
      sample: ["server"]
    key_type:
      description: The type of its key.
      type: str
      sample: ecdsa_p256
    serial:
      description: Its serial number in hexadecimal.
      type: str
      sample: 4A0B
    fingerprint_sha256:
      description: Its fingerprint.
      type: str
      sample: "0A:1B:..."
engines:
  description: What answers at each address.
  returned: success
  type: list
  elements: dict
  contains:
    host:
      description: The host's name.
      type: str
      sample: docker1
    address:
      description: The address.
      type: str
      sample: tcp://192.0.2.1:2376
    access:
      description:
        - Who gets in - V(plain) everybody, without TLS; V(tls) everybody, with TLS; V(any_certificate) whoever has a
          certificate of any CA; V(mutual_tls) trusted clients.
        - V(other) if something answers that is no engine, V(closed) or V(no_answer) if nothing does.
      type: str
      sample: mutual_tls
    detail:
      description: More about it.
      type: str
      sample: the engine wants a client certificate, and none was given
    version:
      description: The engine's version, if a client was let in.
      type: str
      sample: 26.1.5
    api_version:
      description: The newest version of the API that the engine takes.
      type: str
      sample: "1.45"
    min_api_version:
      description: The lowest version of the API that the engine takes.
      type: str
      sample: "1.24"
table:
  description: The lines of a table for a terminal, of at most 100 characters each.
  returned: success
  type: list
  elements: str
  sample: ["HOST     ADDRESS         WHO GETS IN", "docker1  192.0.2.1:2376  mutual TLS"]
alarm:
  description:
    - Why a scheduler should be told, empty if it should not. See O(fail_below_days).
    - It always tells of hosts with settings that cannot be used, such as a wrong passphrase of their CA, since they
      were judged without them.
  returned: success
  type: str
  sample: "Critical: docker1."
written:
  description: The reports that were written.
  returned: success
  type: list
  elements: str
  sample: ["/srv/reports/docker.html"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.exposure import AUDIT_ARGUMENTS


def main() -> None:
    """Refuse to run: an audit is made from the controller, and needs no host."""
    module = AnsibleModule(argument_spec=AUDIT_ARGUMENTS, supports_check_mode=True)
    module.fail_json(
        msg="audit: this is an action plugin, and only its documentation is here. "
        "Call it as a task dockerfleet.remote_api.audit, with the collection on the controller."
    )


if __name__ == "__main__":
    main()
