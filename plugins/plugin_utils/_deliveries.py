# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""What tasks must do on clients' own machines: make a key, install a certificate, write a docker context.

A task that works for one host cannot connect to another one. So all options are checked here, before anything is
changed, and the role's tasks carry out what is returned, delegated to the clients' machines.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

import yaml
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import docker_context
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import errors
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _issuing


@dataclass(frozen=True)
class Surroundings:
    """What the options of clients may refer to: the hosts of the inventory, and the address of the play's only engine.

    ``engine`` is None if the play has several hosts, or the address is not known.
    """

    machines: t.Container[str]
    engine: str | None = None


def take_deliveries(options: dict[str, t.Any], surroundings: Surroundings) -> list[dict[str, t.Any]]:
    """Return what is to be delivered to clients, and leave in ``options`` those whose files are on the controller.

    ``options`` are those of certificate_authority; directories of clients on the controller are absolute. Each delivery
    has the options of the module certificate (without ``host``, None, if that is the controller's own work), and the
    ``context`` with name and address, or None. Raises RemoteApiError for options that cannot be carried out.
    """
    for one in options["clients"]:
        _check(one, surroundings)
        if one["host"]:
            one["directory"] = _directory(one)
    deliveries = []
    for one, client in zip(options["clients"], _issuing.clients_of(options), strict=True):
        context = _context(one, surroundings.engine)
        if one["host"] or context:
            deliveries.append(
                {
                    "name": client.name,
                    "host": one["host"],
                    "directory": client.directory,
                    "owner": one["owner"],
                    "group": one["group"],
                    "subject": one["subject"],
                    "key_type": client.profile.key_type,
                    "hours": one["hours"],
                    "days": None if one["hours"] else client.validity.lifetime.days,
                    "renew_before_days": client.validity.renew_before.days,
                    "context": context,
                    "ca": options["path"] or options["ca_certificate"],
                }
            )
    options["clients"] = [one for one in options["clients"] if not one["host"]]
    return deliveries


def _directory(client: t.Mapping[str, t.Any]) -> str:
    """Return the directory of a client's files on its machine, where ``~`` means the home directory of the owner."""
    directory = client["directory"] or "~/.docker"
    return f"~{client['owner'] or ''}{directory[1:]}" if directory.startswith("~/") else str(directory)


def _check(client: t.Mapping[str, t.Any], surroundings: Surroundings) -> None:
    """Raise TlsError for a host that is not in the inventory, and for options that need one or another option."""
    name, host, owner = client["name"], client["host"], client["owner"]
    if host is not None and host not in surroundings.machines:
        raise errors.unknown_machine(name=name, host=host)
    for option in ("owner", "group"):
        if client[option] is not None and host is None:
            raise errors.machine_needed(name=name, option=option)
    if host and client["directory"] and not client["directory"].startswith(("/", "~")):
        raise errors.bad_place(path=client["directory"], cause="on a client's machine, a path has to begin with / or ~")
    if owner is not None and owner.isdigit() and (client["context"] or (client["directory"] or "~").startswith("~")):
        raise errors.owner_without_home(name=name, owner=owner)


def _context(client: t.Mapping[str, t.Any], engine: str | None) -> dict[str, str] | None:
    """Return the name and the engine's address of the client's docker context, None for none. Raises RemoteApiError."""
    given = client["context"]
    if given is None:
        return None
    if isinstance(given, str) and given.lstrip().startswith("{"):
        try:
            given = yaml.safe_load(given)  # what -e NAME=VALUE sets is text
        except yaml.YAMLError as exc:
            raise errors.bad_context(name=client["name"], cause="it cannot be parsed") from exc
    if isinstance(given, str):
        given = {"name": given}
    if not isinstance(given, dict) or set(given) - {"name", "docker_host"} or not given.get("name"):
        raise errors.bad_context(
            name=client["name"], cause="it is neither a name nor a mapping of name and docker_host"
        )
    address = given.get("docker_host") or engine
    if address is None:
        raise errors.bad_context(name=client["name"], cause="it leads to one engine, and which one is not said")
    name = str(given["name"])
    return {"name": name, "docker_host": docker_context.check_request(name, str(address), with_certificates=True)}


__all__ = ("Surroundings", "take_deliveries")
