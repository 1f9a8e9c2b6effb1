# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This doc fragment is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The options with which each module of the Engine API is told which engine to talk to, and how."""

from __future__ import annotations


class ModuleDocFragment:
    """The connection options, and what the modules need."""

    DOCUMENTATION = r"""
options:
  docker_host:
    description:
      - The address of the engine, V(unix:///PATH) or V(tcp://HOST:PORT). Without a port it is 2376 with TLS, else 2375.
      - If it is not set, E(DOCKER_HOST) is used, then the docker context named in E(DOCKER_CONTEXT), then the current
        docker context, and else V(unix:///var/run/docker.sock).
    type: str
  tls:
    description:
      - Whether to speak TLS. A unix socket never does.
      - If it is not set, TLS is spoken when any of O(ca_path), O(client_cert), O(client_key), O(cert_path), and
        O(tls_hostname) is set, when E(DOCKER_TLS_VERIFY), E(DOCKER_TLS), or E(DOCKER_CERT_PATH) is not empty, when the
        docker context has any certificate or skips verification, or when the port is 2376.
    type: bool
  validate_certs:
    description:
      - Whether the engine's certificate must be signed by the CA, be in date, and carry the name that is used.
      - With V(false), whoever can answer at the address is trusted.
    type: bool
    default: true
  ca_path:
    description:
      - The file with the certificate of the CA that signed the engine's. Only that one is trusted.
      - If neither this nor a directory with a C(ca.pem) is found, the authorities of the system are trusted.
    type: path
  client_cert:
    description: The file with the client's certificate. Needs O(client_key).
    type: path
  client_key:
    description: The file with the client's key, without a passphrase. Needs O(client_cert).
    type: path
  cert_path:
    description:
      - A directory with C(ca.pem), C(cert.pem), and C(key.pem). O(ca_path) counts instead of the first, O(client_cert)
        and O(client_key) together instead of the other two.
      - If it is not set, E(DOCKER_CERT_PATH) is used, and else the docker client's directory (E(DOCKER_CONFIG), or
        C(~/.docker)) as far as it holds these files.
    type: path
  tls_hostname:
    description: The name that the engine's certificate must carry, if it is not the host of O(docker_host).
    type: str
  api_version:
    description:
      - The version of the Engine API to speak, such as V(1.44). If it is not set, E(DOCKER_API_VERSION) is used.
      - If neither is set, or with V(auto), it is the newest that both sides know.
    type: str
  timeout:
    description:
      - How long one request may take, in seconds, from connecting to the last byte of the answer.
    type: int
    default: 60
requirements:
  - requests >= 2.25 (C(python3-requests)) where the task runs, unless it talks to a unix socket
notes:
  - Files and environment variables are those of the machine where the task runs. Use C(delegate_to=localhost) for
    certificates that are on the controller.
  - A relative path, as in O(cert_path), begins where Ansible's own do, at the playbook, if the task runs on the
    controller. On other machines it is refused.
  - In a delegated task, C(ansible_host) is that of the machine it is delegated to, so that V(tcp://{{ ansible_host
    }}:2376) may mean the controller. The address of the host is
    V({{ hostvars[inventory_hostname].ansible_host | default(inventory_hostname) }}). An IPv6 address has to be in
    brackets.
  - Proxies and C(REQUESTS_CA_BUNDLE) in the environment have no influence.
  - Certificates are checked as the docker client does, in the same way with all versions of Python. So an authority
    without C(keyUsage), which is what C(openssl req -new -x509) makes, will do; a certificate without
    C(subjectAltName) will not.
seealso:
  - name: Docker Engine API
    description: The reference of everything that an engine can be asked.
    link: https://docs.docker.com/reference/api/engine/
"""
