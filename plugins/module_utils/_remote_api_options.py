# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The options of the module remote_api and their rules, for both halves of it: the action plugin and the host's."""

from __future__ import annotations

import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._client_spec import CLIENTS, KEY_TYPES
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import parse_host
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import require_absolute

# The options of dockerd that the module sets from options of its own.
_OWN_OPTIONS = ("host", "tls", "tlsverify", "tlscacert", "tlscert", "tlskey")

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "keep_certificates": {"type": "bool", "default": False},
    "tls": {"type": "bool", "default": True},
    "allow_insecure": {"type": "bool", "default": False},
    "listen": {"type": "list", "elements": "str"},
    "names": {"type": "list", "elements": "str", "default": []},
    "directory": {"type": "path", "default": "/etc/docker"},
    "ca_path": {"type": "path"},
    "ca_passphrase": {"type": "str", "no_log": True},
    "ca_certificate": {"type": "str"},
    "ca_key": {"type": "str", "no_log": True},
    "ledger_dir": {"type": "path"},
    "certificate": {"type": "str"},
    "ca_common_name": {"type": "str", "default": "Docker Remote API CA"},
    "ca_days": {"type": "int", "default": 3650},
    "clients": CLIENTS,
    "server_certificate": {
        "type": "dict",
        "options": {
            "certificate": {"type": "path", "required": True},
            "key": {"type": "path", "required": True},
            # A path for the controller's half, which puts the text in its place.
            "ca": {"type": "str", "required": True},
        },
    },
    "client_days": {"type": "int"},
    "certificate_days": {"type": "int", "default": 365},
    "renew_before_days": {"type": "int", "default": 30},
    "renew_spread_days": {"type": "int", "default": 0},
    "key_type": {"type": "str", "default": "ecdsa_p256", "choices": list(KEY_TYPES)},
    "daemon_options": {"type": "dict", "default": {}},
    "options_file": {"type": "path"},
    "options_variable": {"type": "str"},
    "unit_wiring": {"type": "str", "choices": ["drop_in", "edit", "none"], "default": "drop_in"},
    "on_conflict": {"type": "str", "choices": ["fail", "move"], "default": "fail"},
    "on_unread_options": {"type": "str", "choices": ["fail", "adopt", "discard"], "default": "fail"},
    "on_foreign_authority": {"type": "str", "choices": ["fail", "trust", "replace"], "default": "fail"},
    "foreign_certificates": {"type": "str"},
    "retired_certificates": {"type": "str"},
    "required_names": {"type": "list", "elements": "str", "default": []},
    "live_restore": {"type": "bool"},
    "restart": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 300},
    "install_dependencies": {"type": "bool", "default": True},
    "plan_only": {"type": "bool", "default": False},
    "verify_from": {"type": "str", "choices": ["controller", "host", "none"], "default": "none"},
}

RULES: dict[str, t.Any] = {
    "mutually_exclusive": [["ca_path", "ca_certificate"], ["ca_path", "ca_key"]],
    "required_by": {"ca_key": "ca_certificate"},
}


class RequestError(RemoteApiError):
    """The options of the module contradict each other or cannot be carried out."""


no_addresses = RequestError.text("listen", "it is empty", "Name at least one address, such as tcp://0.0.0.0:2376.")
not_tcp = RequestError.text(
    "listen, {address}",
    "it is not an address to listen on",
    "Write address and port (1 to 65535), as in tcp://0.0.0.0:2376 or tcp://[::1]:2376.",
)
no_authority = RequestError.text(
    "ca_path",
    "there is no CA to sign the host's certificate",
    "Name the CA's directory, which is made if it is not there, or give ca_certificate and ca_key.",
)
no_server_ca = RequestError.text(
    "server_certificate, ca, {path}",
    "there is no such file on the controller",
    "Put the certificate of the CA there that issues the host's certificate.",
)
not_loopback = RequestError.text(
    "listen, {addresses}",
    "this is not a loopback address, and without TLS everybody who reaches it is root on the host",
    "Use TLS, listen on tcp://127.0.0.1:2375, or set allow_insecure if you accept that.",
)
unasked_authority = RequestError.text(
    "{host}",
    "it answers that it trusts {theirs}, and on_foreign_authority is {policy}",
    "A host that does what it is asked does not do that. Find out whether someone else is root on it.",
)
bad_spread = RequestError.text(
    "renew_spread_days, {spread}",
    "a certificate has to be used for at least a day before it is renewed",
    "Set it from 0 to {most}, which is certificate_days less renew_before_days and one.",
)
own_option = RequestError.text(
    "daemon_options, {names}",
    "the module has options of its own for this",
    "Use listen, tls and directory instead.",
)


def check_options(options: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    """Return the addresses to listen on, after checking the module's options. Raises RemoteApiError."""
    listen = options["listen"]
    if listen is None:
        listen = ["tcp://0.0.0.0:2376" if options["tls"] else "tcp://127.0.0.1:2375"]
    if not listen:
        raise no_addresses()
    parsed = {address: parse_host(address) for address in listen}
    for address in listen:
        if not address.startswith("tcp://"):
            raise not_tcp(address=address)
    exposed = [text for text, address in parsed.items() if address and not address.is_loopback]
    if exposed and not options["tls"] and not options["allow_insecure"]:
        raise not_loopback(addresses=", ".join(exposed))
    own = [name for name in _OWN_OPTIONS if name in options["daemon_options"]]
    if own:
        raise own_option(names=", ".join(own))
    _check_paths(options)
    return tuple(listen)


def _check_paths(options: t.Mapping[str, t.Any]) -> None:
    """Raise FilesError for a relative path on the host.

    The controller does not know what ``~`` and ``$VARIABLE`` mean there. What of them the host does not know either is
    refused when its part of the request is made.
    """
    theirs = options["server_certificate"] or {}
    paths = {
        "directory": options["directory"],
        "options_file": options["options_file"] or None,
        "server_certificate, certificate": theirs.get("certificate"),
        "server_certificate, key": theirs.get("key"),
    }
    for option, path in paths.items():
        if path is not None and not path.startswith(("~", "$")):
            require_absolute(option, path)


def needs_certificate(options: t.Mapping[str, t.Any]) -> bool:
    """Return whether the options ask for a host that speaks TLS."""
    return options["state"] == "present" and bool(options["tls"])


def listen_hosts(listen: t.Sequence[str]) -> list[str]:
    """Return the names and IP addresses in the listen addresses, by which clients call the host. Wildcards are none."""
    addresses = [address for address in map(parse_host, listen) if address]
    return [address.host for address in addresses if not address.is_wildcard and "%" not in address.host]


def listen_port(listen: t.Sequence[str]) -> int:
    """Return the port of the first listen address."""
    return next(address.port for address in map(parse_host, listen) if address)


__all__ = (
    "ARGUMENT_SPEC",
    "RULES",
    "RequestError",
    "bad_spread",
    "check_options",
    "listen_hosts",
    "listen_port",
    "needs_certificate",
    "no_authority",
    "no_server_ca",
    "unasked_authority",
)
