# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This doc fragment is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The clients of a CA, an option of every module that sees to them."""

from __future__ import annotations


class ModuleDocFragment:
    """The option ``clients``. Its specification is in module_utils/_client_spec.py."""

    DOCUMENTATION = r"""
options:
  clients:
    description:
      - Who gets a client certificate. Whoever has one is root on all hosts of the CA.
      - A client's files are C(ca.pem), C(cert.pem) and C(key.pem), in C(clients/NAME) of the CA's directory if nothing
        else is said. A client that is no longer named keeps them.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The client's name, of letters, digits, C(.), C(_) and C(-). It becomes the common name.
        type: str
        required: true
      days:
        description:
          - For how many days its certificate is valid. By default O(client_days).
          - It is renewed in the last third of them, if O(renew_before_days) is longer than that.
        type: int
      hours:
        description: For how many hours its certificate is valid, instead of days.
        type: int
      key_type:
        description: The type of its key. By default O(key_type).
        type: str
        choices: [ecdsa_p256, ecdsa_p384, ed25519, rsa_2048, rsa_3072, rsa_4096]
      subject:
        description:
          - What stands before the common name in its subject, for those who authorise by it. A mapping of C(C), C(ST),
            C(L), C(O) and C(OU) to a text, or to a list of texts.
        type: dict
      directory:
        description:
          - The directory of its files. On the controller, by default C(clients/NAME) in the CA's directory. A relative
            path begins where Ansible's own relative paths do.
          - On the machine O(clients[].host), by default C(~/.docker) of O(clients[].owner), or else of the user as whom
            Ansible works there.
        type: str
      host:
        description:
          - The client's machine, a host of the inventory. Nothing of this client is made here, since a task cannot
            connect to another host than its own. It is returned in RV(deliveries), and the role
            P(dockerfleet.remote_api.docker_remote_api#role) carries it out.
        type: str
      owner:
        description:
          - The user on that machine to whom the files belong, by name, or with O(clients[].directory) and without
            O(clients[].context) by number.
        type: str
      group:
        description: The group of the files on that machine.
        type: str
      context:
        description:
          - "A docker context to be written on the client's machine, or without O(clients[].host) on the controller,
            such as V({name: production, docker_host: tcp://docker1.example.com:2376})."
          - In M(dockerfleet.remote_api.remote_api) the name alone is enough if the play has one host. Then its
            engine is meant.
          - It is returned in RV(deliveries), as the client's files are.
        type: raw
"""
