#!/usr/bin/python
# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_authority
short_description: Make sure of an authority and its clients for Docker's Remote API
description:
  - Makes an authority (CA) in a directory on the controller, or takes the one that is there as it is.
  - Makes sure of the certificates of its O(clients), too, whose directories can serve as E(DOCKER_CERT_PATH).
  - The work is done by an action plugin on the controller, in the process that runs the play. No module is run, nobody
    is become, no host is connected to, and none ever sees the authority's key.
  - One that was made by hand with C(openssl genrsa -des3) and C(openssl req -new -x509) is used as it is, if the files
    are called C(ca-key.pem) and C(ca.pem).
  - Whatever is there is never overwritten. A wrong passphrase, a key without its certificate (or the other way
    round), a key that belongs to another certificate, an expired authority, and files that cannot be read are errors.
  - A private key that is not encrypted is an error as well, which says how to encrypt it.
  - An authority whose making was killed before its certificate was written is finished with the key that is there.
  - Runs at once on one controller make one authority, and one certificate for each client.
  - One that may serve others than this fleet is used with a warning, since each of its clients is root on the hosts
    that trust it.
author:
  - The dockerfleet maintainers (!UNKNOWN)
extends_documentation_fragment:
  - dockerfleet.remote_api._attributes
  - dockerfleet.remote_api._clients
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: posix
requirements:
  - cryptography >= 3.3 on the controller
options:
  path:
    description:
      - The authority's directory on the controller. It is made, for its owner only, if it is not there. Then it gets a
        C(.gitignore) for clients' keys.
      - A relative path starts at the playbook's directory.
      - C(ca.pem) holds what hosts and clients trust. While an authority is being replaced, these are two
        certificates, and the one to which the key belongs signs. C(ca-key.pem) is the encrypted key. C(issued/) has a
        copy of every certificate that was signed, called by its serial number.
      - C(ca-key.next.pem), C(ca-key.previous.pem) and C(retired/) are there for O(phase).
      - With O(ca_key), only C(clients/) is kept in it, and without O(clients) it is not needed.
    type: path
  passphrase:
    description:
      - Encrypts the authority's key. At most 1023 bytes.
      - Keep it in Ansible Vault or in a secret store.
      - Needed unless an unencrypted O(ca_key) is given.
    type: str
  ca_certificate:
    description: The certificate of an authority (PEM), instead of the file in O(path). Used with O(ca_key).
    type: str
  ca_key:
    description:
      - The authority's key (PEM, encrypted or not), instead of the file in O(path), for controllers without a disk.
      - Then nothing of the authority is written anywhere.
    type: str
  ledger_dir:
    description:
      - A directory that gets a copy of each certificate issued, called by its serial number.
      - If it is not given, that is C(issued) in O(path), and with O(ca_key) no copies are kept.
    type: path
  common_name:
    description:
      - The common name of a new authority.
      - A serial number that comes from the key stands beside it in the subject, so that no two authorities are mixed
        up.
    type: str
    default: Docker Remote API CA
  days:
    description: For how many days a new authority is valid, at most 36500.
    type: int
    default: 3650
  key_type:
    description: The type of the key of a new authority, and of its O(clients).
    type: str
    choices: [ecdsa_p256, ecdsa_p384, ed25519, rsa_2048, rsa_3072, rsa_4096]
    default: ecdsa_p256
  client_days:
    description: For how many days clients' certificates are issued.
    type: int
    default: 365
  renew_before_days:
    description: A client's certificate with less than this number of days left is issued again.
    type: int
    default: 30
  phase:
    description:
      - A phase of replacing the authority by a new one, which gets O(common_name), O(days) and O(key_type). The
        playbook C(dockerfleet.remote_api.rotate_authority) goes through them, with all hosts, and one restart of each
        at a time.
      - How far the replacement is, is told by the files in O(path) alone. So a phase that was carried out already
        changes nothing, and one that was killed is finished by the next run. Without this option none of it is changed.
      - Not possible with O(ca_key).
    type: str
    choices:
      start: >-
        Make a new authority. Clients get both certificates in C(ca.pem), and servers get certificates of the new one
        from now on.
      clients: >-
        Let the new one sign for clients, too. Fails, and names them, if C(issued/) has servers that have no certificate
        of the new one.
      retire: >-
        Let nobody trust the old one any more. Fails, and names them, if C(issued/) has servers or clients that have no
        certificate of the new one.
      now: >-
        Do all that at once, since the old key was stolen. Clients get certificates of the new one. Whoever has one of
        the old one is refused by each host as soon as that has been configured anew.
      finish: >-
        Remove the key of the old one, which until then proves that hosts refuse its clients. Its certificate stays in
        C(retired/), by which a host that slept through it all is recognised. Fails as V(clients) does.
seealso:
  - module: dockerfleet.remote_api.certificate
"""

EXAMPLES = r"""
- name: Make sure of the authority and of two clients
  dockerfleet.remote_api.certificate_authority:
    path: "{{ inventory_dir }}/.docker_remote_api"
    passphrase: "{{ vault_ca_passphrase }}"
    clients:
      - name: admin
      - name: ci
        hours: 8
  run_once: true
  register: authority

- name: Make a new authority that is trusted beside the old one, for instance to hand C(ca.pem) out to clients elsewhere
  dockerfleet.remote_api.certificate_authority:
    path: "{{ inventory_dir }}/.docker_remote_api"
    passphrase: "{{ vault_ca_passphrase }}"
    clients:
      - name: admin
    phase: start
  run_once: true

- name: Say until when it is valid
  ansible.builtin.debug:
    msg: "The authority ends on {{ authority.not_after }}"
  run_once: true
"""

RETURN = r"""
rotation_before:
  description: RV(rotation) before this task.
  returned: success and O(phase) is given
  type: str
  sample: none
rotation:
  description:
    - How far the replacement of the authority is. With V(hosts), servers are moved to the new one, and all trust both.
      With V(clients), clients have been moved, too. With V(retired), hosts are to drop the old one. With V(none), it is
      done.
    - In check mode, how far it would be.
  returned: success and O(phase) is given
  type: str
  sample: hosts
clients_reached:
  description:
    - Clients whose files this task or a run of the role keeps up to date, each as the directory of the CA and the name.
  returned: success and O(phase) is given
  type: list
  elements: str
  sample: ["/srv/fleet/.docker_remote_api: admin"]
clients_elsewhere:
  description:
    - Clients with a valid certificate that are not in RV(clients_reached), while RV(rotation) is V(hosts). Hand out
      C(ca.pem) to them before the first host is moved, or they refuse it.
    - Copies that somebody made of a client's files are not known here.
  returned: success and O(phase) is given
  type: list
  elements: dict
  contains:
    id:
      description: The client, as in RV(clients_reached).
      type: str
      sample: "/srv/fleet/.docker_remote_api: ci"
    text:
      description: The client, the end of its certificate, and its file in the ledger.
      type: str
      sample: "client ci (until 2027-03-01T17:00:00Z, /srv/fleet/.docker_remote_api/issued/4C6E0D.pem)"
host_moved:
  description: Whether a server has a valid certificate of the new authority.
  returned: success and O(phase) is given
  type: bool
clients:
  description: What was done for each of the O(clients).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The client's name.
      type: str
    directory:
      description: The directory of its files.
      type: str
    changed:
      description: Whether one of its files was changed (in check mode, would be).
      type: bool
    issued:
      description: Whether a certificate was issued (in check mode, would be).
      type: bool
    reasons:
      description: Why.
      type: list
      elements: str
    not_after:
      description: Until when the certificate is valid (ISO 8601, UTC).
      type: str
    serial:
      description: The certificate's serial number in hexadecimal. V(none) in check mode if one would be issued.
      type: str
deliveries:
  description:
    - What is left to be done for clients that have a O(clients[].host) or a O(clients[].context), by tasks that run on
      those machines. P(dockerfleet.remote_api.docker_remote_api#role) does it.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The client's name.
      type: str
    host:
      description: The client's machine, V(none) for the controller.
      type: str
    directory:
      description: The directory of its files there.
      type: str
    owner:
      description: To whom they belong.
      type: str
    group:
      description: Their group.
      type: str
    subject:
      description: What stands before the common name in the subject.
      type: dict
    key_type:
      description: The type of its key.
      type: str
    days:
      description: For how many days its certificate is issued.
      type: int
    hours:
      description: Or for how many hours.
      type: int
    renew_before_days:
      description: With how many days left it is issued again.
      type: int
    context:
      description: The context's C(name) and C(docker_host), V(none) if none is to be written.
      type: dict
    ca:
      description: The CA's directory on the controller, or its certificate (PEM) if it is given as text.
      type: str
certificate:
  description:
    - What hosts and clients are to trust, in PEM form. The certificate that signs comes first.
    - V(none) in check mode, if the authority would be made.
  returned: success
  type: str
  sample: "-----BEGIN CERTIFICATE-----\n...\n-----END CERTIFICATE-----\n"
fingerprint_sha256:
  description: The fingerprint of the certificate that signs.
  returned: success
  type: str
  sample: "5F:0A:93:..."
not_after:
  description: Until when that certificate is valid (ISO 8601, UTC).
  returned: success
  type: str
  sample: "2036-11-22T10:00:00Z"
strict:
  description:
    - Whether that certificate passes strict checks.
    - An authority made by hand often has no keyUsage. Python 3.13 and later then refuses to trust it, unless its strict
      checks are switched off.
  returned: success
  type: bool
  sample: true
subject:
  description: The subject of that certificate.
  returned: success
  type: str
  sample: "2.5.4.5=0a1b2c3d4e5f60718293a4b5c6d7e8f9,CN=Docker Remote API CA"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import argspec


def main() -> None:
    """Refuse to run: an authority lives on the controller, and nothing of it may go anywhere else."""
    module = AnsibleModule(argument_spec=argspec.AUTHORITY, supports_check_mode=True, **argspec.AUTHORITY_RULES)
    module.fail_json(
        msg="certificate_authority: this is an action plugin, and only its documentation is here. "
        "Call it as a task dockerfleet.remote_api.certificate_authority, with the collection on the controller."
    )


if __name__ == "__main__":
    main()
