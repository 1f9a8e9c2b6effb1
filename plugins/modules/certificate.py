#!/usr/bin/python
# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate
short_description: Make sure of a key and a certificate for a Docker engine or a client of it
description:
  - Makes a private key on the machine that uses it, has its certificate signed, and keeps both as they should be. The
    key never leaves that machine.
  - With O(ca_path), the signing is done on the controller by the authority of
    M(dockerfleet.remote_api.certificate_authority). Neither O(ca_path) nor O(ca_passphrase) is ever sent to the
    machine. Of its signing request the public key is used, and nothing else.
  - Without O(ca_path) and O(ca_key), an authority elsewhere can sign. The module returns a signing request in RV(csr)
    while a certificate is due, and puts the signed one in place when it is given as O(certificate).
  - With O(run_on=controller), all of this happens on the controller, in the process that runs the play, for files
    that belong to the user who runs it. That is for the certificates of clients. No module is run, nobody is become,
    and the host is not connected to.
  - If nothing is to be done, the module runs once on the machine. If a certificate is issued, it runs twice.
  - A certificate is issued if there is none, or it cannot be read, does not fit its key, was issued by another
    authority, has another name, usage, common name or type of key than asked for, or has too few days left
    (O(renew_before_days)).
  - The key stays the same when a certificate is renewed, so that only one file changes. A new key waits beside the
    old one (as C(.new)) until its certificate comes. Then both take their places together, or neither does.
  - Two runs at once for one directory do not disturb each other. The second waits for the first.
  - This does not restart any daemon. An engine reads its certificate only when it starts.
author:
  - The dockerfleet maintainers (!UNKNOWN)
extends_documentation_fragment:
  - dockerfleet.remote_api._attributes
attributes:
  check_mode:
    support: full
    details: What an authority would sign is predicted, without serial number and fingerprint.
  diff_mode:
    support: full
    details: Shows public facts of the certificate, never a key.
  idempotent:
    support: partial
    details: With O(rekey=true) and O(ca_path) or O(ca_key), each run makes a new key.
  platform:
    platforms: posix
requirements:
  - cryptography >= 3.3 on the machine, and on the controller for O(ca_path), O(ca_key) and O(run_on=controller)
options:
  usage:
    description:
      - What the certificate is for. One that is for a server cannot be used as a client, and the other way round.
    type: str
    required: true
    choices: [server, client]
  common_name:
    description:
      - The name in the certificate's subject, at most 64 bytes in UTF-8.
      - If it is not given, the first of the O(names) that is short enough is used.
    type: str
  subject:
    description:
      - What stands before the common name in the subject, for those who authorise by it. A mapping of C(C), C(ST),
        C(L), C(O) and C(OU) to a text, or to a list of texts.
    type: dict
  names:
    description:
      - Host names and IP addresses under which clients reach the server. They look at nothing else.
      - At least one for O(usage=server). A client needs none.
      - A wildcard such as C(*.example.com) is possible. Names in other scripts are written in their ASCII form.
    type: list
    elements: str
    default: []
  directory:
    description:
      - The directory of the three files, which is made if it is not there.
      - For O(usage=server) the files are C(server-key.pem), C(server-cert.pem) and C(ca.pem).
      - For O(usage=client) they are C(key.pem), C(cert.pem) and C(ca.pem), so that it can serve as E(DOCKER_CERT_PATH).
      - Either this or the three paths are needed. With O(run_on=host), none of them may be a relative path.
    type: path
  key_path:
    description: The path of the private key. Used with O(certificate_path) and O(ca_certificate_path).
    type: path
  certificate_path:
    description: The path of the certificate.
    type: path
  ca_certificate_path:
    description: The path of the certificates of the authorities to be trusted.
    type: path
  ca_path:
    description:
      - The directory of the authority on the controller.
      - A relative path starts at the playbook's directory.
    type: path
  ca_passphrase:
    description: The passphrase of the authority's key. Needed with O(ca_path), and with O(ca_key) if that is encrypted.
    type: str
  ca_key:
    description:
      - The authority's key (PEM) instead of O(ca_path), for controllers without a disk. Used with O(ca_certificate).
      - Like O(ca_path), it is never sent to the machine.
    type: str
  ledger_dir:
    description:
      - A directory on the controller that gets a copy of each certificate issued, called by its serial number.
      - If it is not given, that is C(issued) in O(ca_path), and with O(ca_key) no copies are kept.
    type: path
  run_on:
    description:
      - V(host) keeps the files on the host.
      - V(controller) keeps them on the controller. Then relative paths start at the playbook's directory, and
        O(service) cannot be used.
    type: str
    choices: [controller, host]
    default: host
  ca_certificate:
    description:
      - The certificate of the authority (PEM; several one after the other are possible). The certificate is checked
        against it, and it is kept beside the certificate.
      - With O(ca_path), it comes from the authority. A client (O(usage=client)) also gets the certificates of other
        authorities that hosts of the fleet are verified with, as in M(dockerfleet.remote_api.certificate_authority).
      - If it is not given, the file that is already there is used for checking, and is left as it is.
    type: str
  certificate:
    description:
      - A signed certificate (PEM) to be put in place, followed by those of intermediate authorities, if there are any.
      - It must fit the key that is there, or the new one that waits for it. Then O(rekey) has no effect.
      - With O(exact=true), it is not put in place while the one that is there has the same key and is not due.
    type: str
  exact:
    description:
      - V(true) means that the certificate must come directly from the first one in O(ca_certificate), and carry the
        O(names), the O(usage) and the O(common_name) as given, no more and no less.
      - V(false) means that it may carry more, have another subject, and come by way of intermediate authorities.
      - If it is not given, it is V(true) with O(ca_path) or O(ca_key), and V(false) without.
    type: bool
  key_type:
    description: The type of the private key.
    type: str
    choices: [ecdsa_p256, ecdsa_p384, ed25519, rsa_2048, rsa_3072, rsa_4096]
    default: ecdsa_p256
  days:
    description:
      - For how many days a certificate is issued with O(ca_path) or O(ca_key). It ends with its authority at the
        latest.
      - If neither this nor O(hours) is given, it is 365.
    type: int
  hours:
    description:
      - The same in hours. The certificate is issued again in the last third of its time, whatever
        O(renew_before_days) is.
    type: int
  renew_before_days:
    description:
      - A certificate with less than this number of days left is issued again. Must be less than O(days) with
        O(ca_path) or O(ca_key).
      - One that ends with its authority stays, with a warning, as a new one would end on the same day.
    type: int
    default: 30
  rekey:
    description:
      - Whether to make a new key. Each run with O(ca_path) or O(ca_key) then makes one, and reports a change.
    type: bool
    default: false
  owner:
    description:
      - The user (name or number) who owns the files, and the directory if it is made.
      - If it is not given, new files belong to the user who runs the module, and others keep their owner.
    type: str
  group:
    description: The same for the group.
    type: str
  mode:
    description:
      - The mode of the private key. The certificates have the same mode, and can be read by all.
      - The CIS Docker Benchmark asks for V(0400).
    type: str
    choices: ['0400', '0600']
    default: '0400'
  service:
    description:
      - The systemd service that is going to use the certificate, such as V(docker).
      - On a machine without systemd, or without this service, the module fails before it changes anything.
    type: str
  install_dependencies:
    description:
      - Whether to install C(python3-cryptography) on a machine that lacks it, when O(ca_path) or O(ca_key) is given.
    type: bool
    default: false
seealso:
  - module: dockerfleet.remote_api.certificate_authority
  - name: Protect the Docker daemon socket
    description: How the files are used.
    link: https://docs.docker.com/engine/security/protect-access/
"""

EXAMPLES = r"""
- name: Make sure of the engine's certificate
  dockerfleet.remote_api.certificate:
    usage: server
    common_name: "{{ inventory_hostname }}"
    names: ["{{ inventory_hostname }}", localhost, 127.0.0.1]
    directory: /etc/docker
    ca_path: "{{ inventory_dir }}/.docker_remote_api"
    ca_passphrase: "{{ vault_ca_passphrase }}"
    service: docker
  become: true

- name: Make sure of a client's certificate on the controller
  dockerfleet.remote_api.certificate:
    usage: client
    common_name: admin
    directory: "{{ inventory_dir }}/.docker_remote_api/clients/admin"
    ca_path: "{{ inventory_dir }}/.docker_remote_api"
    ca_passphrase: "{{ vault_ca_passphrase }}"
    run_on: controller
  run_once: true

- name: Ask for a certificate of the company's authority
  dockerfleet.remote_api.certificate:
    usage: server
    names: [web1.example.com]
    directory: /etc/docker
  become: true
  register: server

- name: Keep the request where somebody can have it signed
  ansible.builtin.copy:
    content: "{{ server.csr }}"
    dest: "requests/{{ inventory_hostname }}.csr"
    mode: "0644"
  delegate_to: localhost
  when: server.csr is not none

- name: Put the certificate that came back in place
  dockerfleet.remote_api.certificate:
    usage: server
    names: [web1.example.com]
    directory: /etc/docker
    certificate: "{{ lookup('ansible.builtin.file', 'signed/' ~ inventory_hostname ~ '.pem') }}"
    ca_certificate: "{{ lookup('ansible.builtin.file', 'company-ca.pem') }}"
  become: true
"""

RETURN = r"""
issued:
  description: Whether a certificate was put in place (in check mode, would be).
  returned: success
  type: bool
  sample: true
reasons:
  description: Why a certificate was issued, or is due. Empty if the one that is there is fine.
  returned: success
  type: list
  elements: str
  sample: ["it lacks the names 192.0.2.7"]
csr:
  description:
    - A signing request (PEM) for the key on the machine, while a certificate is due, else V(none).
    - V(none) in check mode, if a new key would be made.
  returned: success and neither O(ca_path) nor O(ca_key) is given
  type: str
  sample: "-----BEGIN CERTIFICATE REQUEST-----\n...\n-----END CERTIFICATE REQUEST-----\n"
not_after:
  description: Until when the certificate is valid (ISO 8601, UTC). V(none) if there is no certificate.
  returned: success
  type: str
  sample: "2027-11-24T10:00:00Z"
serial:
  description: The certificate's serial number in hexadecimal, as C(openssl x509 -serial) prints it.
  returned: success
  type: str
  sample: "4C6E0D..."
names:
  description: The names in the certificate.
  returned: success
  type: list
  elements: str
  sample: [web1.example.com, localhost, 127.0.0.1]
fingerprint_sha256:
  description: The certificate's fingerprint.
  returned: success
  type: str
  sample: "0D:7C:1B:..."
missing_library:
  description: The Python library that has to be installed on the machine first. Nothing was changed.
  returned: failure, because of a library that is missing or too old
  type: str
  sample: cryptography
"""

import sys
from datetime import datetime, timezone

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import require_service, runner
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import (
    argspec,
    deployment,
    errors,
    library,
)


def main() -> None:
    """Do the host's half: see to the key and what is there, or put a signed certificate in place."""
    module = AnsibleModule(argument_spec=argspec.CERTIFICATE, supports_check_mode=True, **argspec.CERTIFICATE_RULES)
    try:
        for option in ("ca_path", "ca_key"):
            if module.params[option] is not None:
                raise errors.controller_half_missing(option=option)
        spec = argspec.certificate_spec(module.params)
        if module.params["service"] is not None:
            require_service(module.params["service"], runner(module.run_command))
        library.require(sys.executable)
        plan = deployment.ensure(spec, datetime.now(timezone.utc), module.check_mode)
    except errors.MissingLibraryError as exc:
        module.fail_json(msg=str(exc), missing_library="cryptography")
    except RemoteApiError as exc:
        module.fail_json(msg=str(exc))
    for warning in plan.warnings:
        module.warn(warning)
    module.exit_json(**plan.result(module._diff))


if __name__ == "__main__":
    main()
