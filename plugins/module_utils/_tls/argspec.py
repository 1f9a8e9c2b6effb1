# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The options of the module certificate, for the module and for its action plugin."""

from __future__ import annotations

import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import keys, profiles

CERTIFICATE: dict[str, dict[str, t.Any]] = {
    "usage": {"type": "str", "required": True, "choices": list(profiles.USAGES)},
    "common_name": {"type": "str"},
    "names": {"type": "list", "elements": "str", "default": []},
    "directory": {"type": "path"},
    "key_path": {"type": "path"},
    "certificate_path": {"type": "path"},
    "ca_certificate_path": {"type": "path"},
    "ca_path": {"type": "path"},
    "ca_passphrase": {"type": "str", "no_log": True},
    "ca_certificate": {"type": "str"},
    "certificate": {"type": "str"},
    "exact": {"type": "bool"},
    "key_type": {"type": "str", "default": "ecdsa_p256", "choices": list(keys.KEY_TYPES)},
    "days": {"type": "int", "default": 365},
    "renew_before_days": {"type": "int", "default": 30},
    "rekey": {"type": "bool", "default": False},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "str", "default": "0400", "choices": ["0400", "0600"]},
    "service": {"type": "str"},
}

CERTIFICATE_RULES: dict[str, t.Any] = {
    "mutually_exclusive": [
        ["directory", "key_path"],
        ["directory", "certificate_path"],
        ["directory", "ca_certificate_path"],
        ["ca_path", "certificate"],
        ["ca_path", "ca_certificate"],
    ],
    "required_one_of": [["directory", "key_path"]],
    "required_together": [["key_path", "certificate_path", "ca_certificate_path"], ["ca_path", "ca_passphrase"]],
}

AUTHORITY: dict[str, dict[str, t.Any]] = {
    "path": {"type": "path", "required": True},
    "passphrase": {"type": "str", "required": True, "no_log": True},
    "common_name": {"type": "str", "default": "Docker Remote API CA"},
    "days": {"type": "int", "default": 3650},
    "key_type": {"type": "str", "default": "ecdsa_p256", "choices": list(keys.KEY_TYPES)},
}

# The names of the files in a directory: those that dockerd's documentation uses, and those that the docker client
# looks for in DOCKER_CERT_PATH.
FILE_NAMES = {
    "server": ("server-key.pem", "server-cert.pem", "ca.pem"),
    "client": ("key.pem", "cert.pem", "ca.pem"),
}

__all__ = ("AUTHORITY", "CERTIFICATE", "CERTIFICATE_RULES", "FILE_NAMES")
