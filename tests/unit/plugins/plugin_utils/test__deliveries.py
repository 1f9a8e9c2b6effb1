# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left to be done on clients' machines, and what is refused before anything is changed."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._deliveries import Surroundings, take_deliveries

ENGINE = "tcp://192.0.2.7:2376"
CLIENT: dict[str, Any] = dict.fromkeys(
    ("days", "hours", "key_type", "subject", "directory", "host", "owner", "group", "context")
)
OPTIONS: dict[str, Any] = {
    "path": "/srv/pki", "ca_certificate": None, "key_type": "ecdsa_p256", "client_days": 90, "renew_before_days": 30,
}  # fmt: skip


def options(*clients: dict[str, Any]) -> dict[str, Any]:
    return {**OPTIONS, "clients": [{**CLIENT, "name": "ci", **client} for client in clients]}


def taken(engine: str | None = ENGINE, **client: Any) -> dict[str, Any]:
    """Return the only delivery for a client."""
    (one,) = take_deliveries(options(client), Surroundings(["build", "web1"], engine))
    return one


def test_only_what_needs_a_task_on_a_machine_is_delivered() -> None:
    given = options({"name": "admin"}, {"host": "build"}, {"name": "here", "context": "prod", "directory": "/srv/here"})
    deliveries = take_deliveries(given, Surroundings(["build"], ENGINE))
    assert [(one["name"], one["host"], one["directory"]) for one in deliveries] == [
        ("ci", "build", "~/.docker"),
        ("here", None, "/srv/here"),
    ]
    # The controller makes no key for a client on another machine.
    assert [one["name"] for one in given["clients"]] == ["admin", "here"]


def test_defaults() -> None:
    assert taken(host="build", owner="ada")["directory"] == "~ada/.docker"
    assert taken(host="build", owner="1000", directory="/srv/volume")["owner"] == "1000"
    plain = taken(host="build")
    assert (plain["days"], plain["hours"], plain["renew_before_days"], plain["key_type"]) == (
        90,
        None,
        30,
        "ecdsa_p256",
    )
    short = taken(host="build", days=9, key_type="rsa_2048")
    assert (short["days"], short["renew_before_days"], short["key_type"]) == (9, 3, "rsa_2048")
    assert (taken(host="build", hours=8)["days"], taken(host="build", hours=8)["hours"]) == (None, 8)


@pytest.mark.parametrize(
    ("context", "engine", "address"),
    [
        ("prod", ENGINE, ENGINE),
        ({"name": "prod"}, ENGINE, ENGINE),
        ({"name": "prod", "docker_host": "web1"}, None, "tcp://web1:2376"),
        ("{name: prod, docker_host: tcp://web1:2377}", ENGINE, "tcp://web1:2377"),
    ],
)
def test_a_context_leads_to_one_engine(context: Any, engine: str | None, address: str) -> None:
    assert taken(engine, host="build", context=context)["context"] == {"name": "prod", "docker_host": address}


@pytest.mark.parametrize(
    ("client", "says"),
    [
        ({"host": "nosuch"}, "clients: 'ci', host: 'nosuch': the inventory has no such host"),
        ({"owner": "ada"}, "clients: 'ci', owner: "),
        ({"group": "ada"}, "clients: 'ci', group: "),
        ({"host": "build", "owner": "1000"}, "clients: 'ci', owner: 1000: "),
        ({"host": "build", "owner": "1000", "directory": "/srv", "context": "prod"}, "clients: 'ci', owner: 1000: "),
        ({"host": "build", "directory": "certificates"}, "certificates: .* has to begin with / or ~"),
        ({"host": "build", "name": "../ci"}, "clients: '../ci': it may have letters"),
        ({"host": "build", "hours": 0}, "hours: 0"),
        ({"host": "build", "subject": {"CN": "x"}}, "subject: "),
        ({"context": "prod"}, "clients: 'ci', context: it leads to one engine"),
        ({"context": {"docker_host": ENGINE}}, "clients: 'ci', context: it is neither"),
        ({"context": {"name": "prod", "host": ENGINE}}, "clients: 'ci', context: it is neither"),
        ({"context": ["prod"]}, "clients: 'ci', context: it is neither"),
        ({"context": "{name: prod"}, "clients: 'ci', context: it cannot be parsed"),
        ({"context": {"name": "default", "docker_host": ENGINE}}, "'default' is not a name"),
        ({"context": {"name": "prod", "docker_host": "unix:///run/docker.sock"}}, "never speaks TLS"),
        ({"context": {"name": "prod", "docker_host": "tcp://:1"}}, "tcp://:1"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(client: dict[str, Any], says: str) -> None:
    with pytest.raises(RemoteApiError, match=says):
        taken(None, **client)


def test_a_name_is_given_once_wherever_its_files_are() -> None:
    with pytest.raises(RemoteApiError, match="it is there twice"):
        take_deliveries(options({}, {"host": "build"}), Surroundings(["build"]))
