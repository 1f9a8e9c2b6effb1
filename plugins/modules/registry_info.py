#!/usr/bin/python
# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_info
short_description: Ask a registry which images it has
description:
  - Asks a registry, over Docker's Registry API version 2 (the OCI distribution specification), whether it has an image,
    which tags the image's repository has, and to which digest a tag leads. Or it lists the registry's repositories.
  - It reads only, and pulls nothing. No Docker Engine is needed.
author:
  - The dockerfleet maintainers (!UNKNOWN)
extends_documentation_fragment:
  - dockerfleet.remote_api._attributes
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
  registry:
    description:
      - The registry, as V(HOST) or V(HOST:PORT). Without a port it is 443 with TLS, else 80.
      - If it is not set, it is the one that O(image) begins with, and else Docker Hub (V(docker.io)).
    type: str
  image:
    description:
      - The image, as in C(docker pull), with a tag or a digest. Without either, the tag is V(latest).
      - If O(registry) is set as well, this is the image's name there, with or without the registry in front.
      - If it is not set, all repositories of O(registry) are listed. Many public registries refuse that, Docker Hub
        among them.
    type: str
  username:
    description: The user to log in with, if the registry, or its token server, wants a login. Needs O(password).
    type: str
  password:
    description:
      - The user's password or access token. It is sent when the registry asks for it, to the registry or, over TLS, to
        the token server that the registry names. It is sent to nobody else, also not after a redirect.
    type: str
  tls:
    description:
      - Whether to speak TLS, which is HTTPS. Nothing is tried without it, also not on V(localhost).
      - Token servers are asked over TLS only, whatever this says.
    type: bool
    default: true
  allow_insecure:
    description: Whether O(password) may be sent without TLS to a registry on another machine.
    type: bool
    default: false
  validate_certs:
    description:
      - Whether certificates must be signed by the CA, be in date, and carry the name that is used.
      - With V(false), whoever can answer at the address gets O(password).
    type: bool
    default: true
  ca_path:
    description:
      - The file with the certificate of the CA that signed the registry's. Only the CAs in it are trusted, also for the
        token server and after a redirect, so it may have to hold several.
      - If it is not set, the authorities of the system are trusted. Docker's C(/etc/docker/certs.d) is not looked at;
        name its file here.
      - A relative path, here and in O(client_cert) and O(client_key), begins at the playbook if the task runs on the
        controller. On other machines it is refused.
    type: path
  client_cert:
    description: The file with the client's certificate, for the registry itself. Needs O(client_key).
    type: path
  client_key:
    description: The file with the client's key, without a passphrase. Needs O(client_cert).
    type: path
  tls_hostname:
    description: The name that the registry's certificate must carry, if it is not the registry's host.
    type: str
  timeout:
    description: How long one request may take, in seconds, from connecting to the last byte of the answer.
    type: int
    default: 60
requirements:
  - requests >= 2.25 (C(python3-requests)) where the task runs
notes:
  - Files are those of the machine where the task runs, and so is the way to the registry. Use C(delegate_to=localhost)
    to ask from the controller.
  - Proxies and C(REQUESTS_CA_BUNDLE) in the environment have no influence, nor have C(~/.netrc) and the logins of the
    docker client.
seealso:
  - module: dockerfleet.remote_api.container
  - name: OCI distribution specification
    description: What a registry can be asked.
    link: https://github.com/opencontainers/distribution-spec/blob/main/spec.md
"""

EXAMPLES = r"""
- name: Ask for an image before the maintenance window
  dockerfleet.remote_api.registry_info:
    image: registry.example.com/shop/web:1.4.2
    username: deploy
    password: "{{ vault_registry_password }}"
  delegate_to: localhost
  run_once: true
  register: image

- name: Stop if it is not there
  ansible.builtin.assert:
    that: image.digest is not none
    fail_msg: "There is no 1.4.2; there are {{ image.tags | join(', ') }}."

- name: Run what was asked for, even if the tag moves meanwhile
  dockerfleet.remote_api.container:
    name: web
    image: registry.example.com/shop/web@{{ image.digest }}

- name: List all that a registry with a private CA has
  dockerfleet.remote_api.registry_info:
    registry: registry.example.com:5000
    ca_path: /etc/docker/certs.d/registry.example.com:5000/ca.crt
  register: registry

- name: Ask one that runs on this host, without TLS
  dockerfleet.remote_api.registry_info:
    registry: localhost:5000
    tls: false
"""

RETURN = r"""
repositories:
  description:
    - The registry's repositories, sorted.
    - With O(image), the one that the image is in, without the registry's name; none if there is no such repository.
  returned: success
  type: list
  elements: str
  sample: ["shop/db", "shop/web"]
tags:
  description: The tags of the image's repository, sorted. Empty without O(image).
  returned: success
  type: list
  elements: str
  sample: ["1.4.1", "1.4.2", "latest"]
digest:
  description:
    - The digest that the image's tag leads to, as in C(docker pull NAME@DIGEST). Of an image for several platforms it
      is that of the index.
    - It is none if the registry has no such image, and without O(image).
  returned: success
  type: str
  sample: sha256:28edc5c1dbd1bf0a2d19c9ee09d5ea0f5a6c5eab2b8c4a0cf5d6e1a1f5a1f3b7
can_talk_to_registry:
  description: Whether anything answered over HTTP, be it with an error.
  returned: always
  type: bool
  sample: true
status:
  description: The HTTP status of an answer that is an error.
  returned: when the registry, or its token server, answered with an error
  type: int
  sample: 401
endpoint:
  description: The method and path of that request.
  returned: when the registry, or its token server, answered with an error
  type: str
  sample: GET /v2/shop/web/tags/list
registry_message:
  description: The server's own words.
  returned: when the registry, or its token server, answered with an error
  type: str
  sample: authentication required
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.registry import (
    REGISTRY_ARGUMENTS,
    registry_info,
    resolve_image,
    resolve_login,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.registry_client import Registry
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.run_module import run_with


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=REGISTRY_ARGUMENTS,
        required_one_of=[["registry", "image"]],
        required_together=[["username", "password"], ["client_cert", "client_key"]],
        supports_check_mode=True,
    )
    params = module.params
    run_with(
        module,
        "registry",
        lambda: Registry(resolve_login(params)),
        lambda registry: registry_info(registry, resolve_image(params)),
    )


if __name__ == "__main__":
    main()
