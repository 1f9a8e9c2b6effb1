# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The options of the modules certificate and certificate_authority, for them and for their action plugins."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._client_spec import CLIENTS, KEY_TYPES
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import require_absolute
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import deployment, profiles, store

CERTIFICATE: dict[str, dict[str, t.Any]] = {
    "usage": {"type": "str", "required": True, "choices": list(profiles.USAGES)},
    "common_name": {"type": "str"},
    "subject": {"type": "dict"},
    "names": {"type": "list", "elements": "str", "default": []},
    "directory": {"type": "path"},
    "key_path": {"type": "path"},
    "certificate_path": {"type": "path"},
    "ca_certificate_path": {"type": "path"},
    "ca_path": {"type": "path"},
    "ca_passphrase": {"type": "str", "no_log": True},
    "ca_key": {"type": "str", "no_log": True},
    "ca_certificate": {"type": "str"},
    "ledger_dir": {"type": "path"},
    "run_on": {"type": "str", "default": "host", "choices": ["controller", "host"]},
    "certificate": {"type": "str"},
    "exact": {"type": "bool"},
    "key_type": {"type": "str", "default": "ecdsa_p256", "choices": list(KEY_TYPES)},
    "days": {"type": "int"},
    "hours": {"type": "int"},
    "renew_before_days": {"type": "int", "default": 30},
    "rekey": {"type": "bool", "default": False},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "str", "default": "0400", "choices": ["0400", "0600"]},
    "service": {"type": "str"},
    "install_dependencies": {"type": "bool", "default": False},
}

CERTIFICATE_RULES: dict[str, t.Any] = {
    "mutually_exclusive": [
        ["directory", "key_path"],
        ["directory", "certificate_path"],
        ["directory", "ca_certificate_path"],
        ["ca_path", "certificate"],
        ["ca_path", "ca_certificate"],
        ["ca_path", "ca_key"],
        ["certificate", "ca_key"],
        ["days", "hours"],
    ],
    "required_one_of": [["directory", "key_path"]],
    "required_together": [["key_path", "certificate_path", "ca_certificate_path"]],
    "required_by": {"ca_key": ["ca_certificate"], "ca_path": ["ca_passphrase"]},
}

AUTHORITY: dict[str, dict[str, t.Any]] = {
    "path": {"type": "path"},
    "passphrase": {"type": "str", "no_log": True},
    "ca_certificate": {"type": "str"},
    "ca_key": {"type": "str", "no_log": True},
    "ledger_dir": {"type": "path"},
    "common_name": {"type": "str", "default": "Docker Remote API CA"},
    "days": {"type": "int", "default": 3650},
    "key_type": {"type": "str", "default": "ecdsa_p256", "choices": list(KEY_TYPES)},
    "clients": CLIENTS,
    "client_days": {"type": "int", "default": 365},
    "renew_before_days": {"type": "int", "default": 30},
    "phase": {"type": "str", "choices": ["start", "clients", "retire", "now", "finish"]},
}

AUTHORITY_RULES: dict[str, t.Any] = {
    "required_one_of": [["path", "ca_key"]],
    "required_together": [["ca_certificate", "ca_key"]],
}

# The names of the files in a directory: those that dockerd's documentation uses, and those that the docker client
# looks for in DOCKER_CERT_PATH.
FILE_NAMES = {
    "server": ("server-key.pem", "server-cert.pem", "ca.pem"),
    "client": ("key.pem", "cert.pem", "ca.pem"),
}


def certificate_paths(options: t.Mapping[str, t.Any]) -> store.CertificatePaths:
    """Return the paths of the files that the options of the module certificate name."""
    if options["directory"] is not None:
        return store.CertificatePaths(
            *(os.path.join(options["directory"], name) for name in FILE_NAMES[options["usage"]])
        )
    return store.CertificatePaths(options["key_path"], options["certificate_path"], options["ca_certificate_path"])


def certificate_spec(options: t.Mapping[str, t.Any]) -> deployment.CertificateSpec:
    """Return the spec that the options of the module certificate make up.

    Raises TlsError for unusable ones, and FilesError for relative paths.
    """
    for name in ("directory", "key_path", "certificate_path", "ca_certificate_path"):
        if options[name] is not None:
            require_absolute(name, options[name])
    return deployment.CertificateSpec(
        profile=profiles.profile(
            options["usage"], options["common_name"], options["names"], options["key_type"], options["subject"]
        ),
        paths=certificate_paths(options),
        access=store.access(options["owner"], options["group"], options["mode"]),
        ca_certificate=options["ca_certificate"],
        certificate=options["certificate"],
        exact=bool(options["exact"]),
        rekey=options["rekey"],
        renew_before=profiles.renew_before(options["hours"], options["renew_before_days"]),
    )


__all__ = (
    "AUTHORITY",
    "AUTHORITY_RULES",
    "CERTIFICATE",
    "CERTIFICATE_RULES",
    "FILE_NAMES",
    "certificate_paths",
    "certificate_spec",
)
