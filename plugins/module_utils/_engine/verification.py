# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""What the module verify and its action plugin have in common: their options, and their result."""

from __future__ import annotations

import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.checks import run_checks
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import bad_option
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.network import PLAIN_PORT, TLS_PORT
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.options import (
    DEFAULT_ADDRESS,
    ENGINE_ARGUMENTS,
    Connection,
    Surroundings,
    resolve,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError

VERIFY_ARGUMENTS: dict[str, dict[str, t.Any]] = {
    **ENGINE_ARGUMENTS,
    "run_on": {"type": "str", "choices": ["controller", "host"], "default": "controller"},
    "port": {"type": "int"},
    "negative_checks": {"type": "bool", "default": True},
}


def verify(
    params: t.Mapping[str, t.Any],
    default_host: str,
    *,
    local: bool,
    stranger: tuple[str, str] | None = None,
) -> dict[str, t.Any]:
    """Return the result of a task, with C(failed) and C(msg) when a check failed or an option cannot be used.

    :param params: as in VERIFY_ARGUMENTS.
    :param default_host: the host to be checked when docker_host is not set.
    :param local: whether this runs on that host, so that its unix socket can be asked.
    :param stranger: paths of a client certificate and its key that another authority signed.
    """
    result: dict[str, t.Any] = {"changed": False}
    try:
        connection = _connection(params, default_host)
        socket = resolve({**params, "docker_host": DEFAULT_ADDRESS}, Surroundings.none()) if local else None
        report = run_checks(connection, local=socket, stranger=stranger, negative=params["negative_checks"])
        result["checks"] = [check.as_result() for check in report.checks]
        report.require(connection.address)
        result["info"] = report.info
    except RemoteApiError as exc:
        result.update(failed=True, msg=str(exc))
    return result


def _connection(params: t.Mapping[str, t.Any], default_host: str) -> Connection:
    """Return the connection over TCP that is to be checked. Raises OptionError."""
    address = params["docker_host"]
    if not address:
        host = f"[{default_host}]" if ":" in default_host else default_host
        port = params["port"] or (PLAIN_PORT if params["tls"] is False else TLS_PORT)
        address = f"tcp://{host}:{port}"
    connection = resolve({**params, "docker_host": address}, Surroundings.none())
    if connection.socket_path is not None:
        raise bad_option("docker_host", f"{address} is a unix socket", "Give the address that is to be checked.")
    return connection


__all__ = ("VERIFY_ARGUMENTS", "verify")
