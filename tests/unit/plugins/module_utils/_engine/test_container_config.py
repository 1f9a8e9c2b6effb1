# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of a container against the keys of the API."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.container_config import check_config

ENDPOINT = "NetworkingConfig.EndpointsConfig.back"
PORTS: dict[str, Any] = {"Volumes": {"/data": {}}, "ExposedPorts": {"80/tcp": {}}}


@pytest.mark.parametrize(
    ("config", "sent"),
    [
        ({"Labels": {"a": 1}}, {"Labels": {"a": "1"}}),
        ({"StopTimeout": "5", "Tty": "True"}, {"StopTimeout": 5, "Tty": True}),
        ({"HostConfig": {"Memory": "-1"}}, {"HostConfig": {"Memory": -1}}),
        ({"Env": ["A=1"], "Cmd": "sleep 1"}, {"Env": ["A=1"], "Cmd": "sleep 1"}),
        (
            {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": 8080}]}, "Ulimits": [{"Name": "x", "Soft": "1"}]}},
            {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}, "Ulimits": [{"Name": "x", "Soft": 1}]}},
        ),
        (
            {"NetworkingConfig": {"EndpointsConfig": {"back": {"GwPriority": "1"}, "front": None}}},
            {"NetworkingConfig": {"EndpointsConfig": {"back": {"GwPriority": 1}, "front": None}}},
        ),
        (PORTS, PORTS),
        ({"Healthcheck": None, "HostConfig": None}, {"Healthcheck": None, "HostConfig": None}),
    ],
)
def test_values_get_the_types_of_the_api(config: dict[str, Any], sent: dict[str, Any]) -> None:
    checked = check_config(config, "1.51")
    assert (checked.body, checked.compared, checked.warnings) == (sent, sent, [])


def test_keys_in_another_case() -> None:
    """The engine reads them as they are, and they are compared by the names that it answers with."""
    checked = check_config({"hostconfig": {"memory": "7"}, "stoptimeout": 0}, "1.51")
    assert checked.body == {"hostconfig": {"memory": 7}, "stoptimeout": 0}
    assert checked.compared == {"HostConfig": {"Memory": 7}, "StopTimeout": 0}
    assert checked.warnings == []


@pytest.mark.parametrize(
    ("config", "version", "warning"),
    [
        ({"Hostnam": "a"}, 41, "Hostnam is no key of API 1.41, which ignores it. Did you mean Hostname?"),
        (
            {"PublishAllPorts": True},
            41,
            "PublishAllPorts is no key of API 1.41, which ignores it. Did you mean HostConfig.PublishAllPorts?",
        ),
        (
            {"HostConfig": {"Image": "a"}},
            41,
            "HostConfig.Image is no key of API 1.41, which ignores it. Did you mean Image?",
        ),
        ({"Zzz": 1}, 41, "Zzz is no key of API 1.41, which ignores it."),
        (
            {"HostConfig": {"Mounts": [{"Typ": "bind"}]}},
            41,
            "HostConfig.Mounts[0].Typ is no key of API 1.41, which ignores it. Did you mean Type?",
        ),
        (
            {"HostConfig": {"KernelMemory": 1}},
            42,
            "HostConfig.KernelMemory is known to the API up to 1.41; 1.42, which is spoken here, ignores it.",
        ),
        (
            {"Healthcheck": {"StartInterval": 1}},
            43,
            "Healthcheck.StartInterval is known to the API from 1.44 on; 1.43, which is spoken here, ignores it.",
        ),
        (
            {"NetworkingConfig": {"EndpointsConfig": {"back": {"MacAddress": "02:42:ac:11:00:0a"}}}},
            43,
            f"{ENDPOINT}.MacAddress is known to the API from 1.44 on; 1.43, which is spoken here, ignores it.",
        ),
    ],
)
def test_keys_that_the_engine_ignores(config: dict[str, Any], version: int, warning: str) -> None:
    """They are sent, and not compared, so that they make no difference in the next run."""
    checked = check_config(config, f"1.{version}")
    assert checked.warnings == [f"config: {warning}"]
    assert checked.body == config
    nothing: tuple[dict[str, Any], ...] = ({}, {"Mounts": [{}]}, {"EndpointsConfig": {"back": {}}})
    assert [value for value in checked.compared.values() if value not in nothing] == []


@pytest.mark.parametrize(
    ("config", "where", "what"),
    [
        ({"Labels": {"a": True}}, "Labels.a", "text, and its type is bool"),
        ({"HostConfig": {"Memory": "64m"}}, "HostConfig.Memory", "a number, and its type is str"),
        ({"Tty": 1}, "Tty", "a boolean, and its type is int"),
        ({"Env": {"A": "1"}}, "Env", "a list, and its type is dict"),
        ({"HostConfig": []}, "HostConfig", "a mapping, and its type is list"),
    ],
)
def test_values_of_another_type(config: dict[str, Any], where: str, what: str) -> None:
    checked = check_config(config, "1.41")
    assert checked.warnings == [f"config: {where} must be {what}; engines may refuse it."]
    assert checked.body == checked.compared == config
