# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What makes a difference between a container and what was asked for, and what only looks like one.

The containers here are as engines really describe them; tests/integration has the engines themselves.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.compare import (
    Difference,
    as_diff,
    differences,
)
from hypothesis import given
from hypothesis import strategies as st

IMAGE: dict[str, Any] = {
    "Config": {
        "Env": ["PATH=/bin", "A=image"],
        "Cmd": ["sleep", "3600"],
        "Labels": {"made": "here"},
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": None,
    }
}

CONTAINER: dict[str, Any] = {
    "Config": {
        "Hostname": "0123456789ab",
        "Domainname": "",
        "User": "",
        "Tty": False,
        "Env": ["B=2", "PATH=/bin", "A=image"],
        "Cmd": ["sleep", "3600"],
        "Image": "busybox",
        "Volumes": {"/data": {}},
        "WorkingDir": "",
        "Entrypoint": None,
        "OnBuild": None,
        "Labels": {"made": "here", "x": "1"},
        "ExposedPorts": {"80/tcp": {}, "8080/tcp": {}},
        "StopTimeout": 1,
    },
    "HostConfig": {
        "Binds": ["/a:/a", "/b:/b:ro"],
        "CapAdd": ["CAP_NET_ADMIN"],
        "CapDrop": None,
        "CgroupnsMode": "private",
        "Dns": [],
        "IpcMode": "private",
        "Links": ["/db:/web/database"],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        "Memory": 0,
        "MemorySwap": 0,
        "MemorySwappiness": None,
        "NetworkMode": "bridge",
        "OomKillDisable": None,
        "PidsLimit": None,
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
        "Privileged": False,
        "PublishAllPorts": True,
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "Runtime": "runc",
        "ShmSize": 67108864,
        "Sysctls": {"net.ipv4.ip_forward": "1"},
        "Ulimits": [{"Name": "nofile", "Hard": 10, "Soft": 5}, {"Name": "nproc", "Hard": 3, "Soft": 3}],
    },
    "NetworkSettings": {
        "Networks": {
            "backend": {
                "Aliases": ["web", "0123456789ab"],
                "IPAMConfig": {"IPv4Address": "10.0.0.9"},
                "MacAddress": "02:42:ac:11:00:0a",
            }
        }
    },
    "State": {"Running": True},
}

SAME: dict[str, dict[str, Any]] = {
    "nothing": {},
    "null": {"Hostname": None, "HostConfig": None, "Env": None},
    "the image is compared elsewhere": {"Image": "other"},
    "defaults of the engine, as empty values": {
        "Hostname": "",
        "Cmd": [],
        "Entrypoint": [],
        "Tty": False,
        "Labels": {"x": "1"},
        "HostConfig": {
            "CgroupnsMode": "",
            "IpcMode": "",
            "LogConfig": {},
            "NetworkMode": "",
            "RestartPolicy": {},
            "Runtime": "",
            "ShmSize": 0,
            "PidsLimit": 0,
            "CapDrop": [],
            "OomKillDisable": False,
        },
    },
    "defaults of the engine, as they are": {
        "HostConfig": {
            "NetworkMode": "default",
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "json-file"},
            "ShmSize": 67108864,
        }
    },
    "an empty name of the restart policy": {"HostConfig": {"RestartPolicy": {"Name": ""}}},
    "an entry point of nothing": {"Entrypoint": [""]},
    "variables, in any order, besides those of the image": {"Env": ["B=2"]},
    "variables of the image, too": {"Env": ["A=image", "B=2"]},
    "labels besides those of the image": {"Labels": {"x": "1"}},
    "a command in one word": {"Cmd": ["sleep", "3600"]},
    "ports besides those of the image, without a protocol": {"ExposedPorts": {"8080": {}}},
    "volumes": {"Volumes": {"/data": {}}},
    "lists in another order": {"HostConfig": {"Binds": ["/b:/b:ro", "/a:/a"]}},
    "capabilities in another spelling": {"HostConfig": {"CapAdd": ["net_admin"]}},
    "links": {"HostConfig": {"Links": ["db:database"]}},
    "published ports": {"HostConfig": {"PortBindings": {"80": [{"HostPort": "8080"}]}}},
    "dictionaries in lists, in another order": {
        "HostConfig": {"Ulimits": [{"Name": "nproc", "Soft": 3, "Hard": 3}, {"Name": "nofile", "Soft": 5, "Hard": 10}]}
    },
    "limits of a process, besides the engine's own": {
        "HostConfig": {"Ulimits": [{"Name": "nproc", "Soft": 3, "Hard": 3}]}
    },
    "limits that are none": {"HostConfig": {"PidsLimit": -1, "MemorySwappiness": -1}},
    "no limit of a process, besides the engine's own": {"HostConfig": {"Ulimits": []}},
    "names of fields in another case": {"stoptimeout": 1, "hostConfig": {"publishallports": True}},
    "networks": {
        "NetworkingConfig": {
            "EndpointsConfig": {"backend": {"Aliases": ["web"], "IPAMConfig": {"IPv4Address": "10.0.0.9"}}}
        }
    },
    "a MAC address in capitals": {
        "NetworkingConfig": {"EndpointsConfig": {"backend": {"MacAddress": "02:42:AC:11:00:0A"}}}
    },
    "a MAC address with dashes": {
        "NetworkingConfig": {"EndpointsConfig": {"backend": {"MacAddress": "02-42-ac-11-00-0a"}}}
    },
    "a network without more": {"NetworkingConfig": {"EndpointsConfig": {"backend": None}}},
}

DIFFERENT: dict[str, tuple[dict[str, Any], str]] = {
    "another value": ({"Hostname": "web"}, "Hostname"),
    "true where it is false": ({"Tty": True}, "Tty"),
    "false where it is true": ({"HostConfig": {"PublishAllPorts": False}}, "HostConfig.PublishAllPorts"),
    "zero where there is a number": ({"StopTimeout": 0}, "StopTimeout"),
    "another variable": ({"Env": ["B=3"]}, "Env"),
    "a variable less": ({"Env": []}, "Env"),
    "a variable of the image with another value": ({"Env": ["B=2", "A=mine"]}, "Env"),
    "a label less": ({"Labels": {}}, "Labels"),
    "another label": ({"Labels": {"x": "2"}}, "Labels"),
    "a label more": ({"Labels": {"x": "1", "y": "1"}}, "Labels"),
    "a label of the image with another value": ({"Labels": {"x": "1", "made": "there"}}, "Labels"),
    "a label in another case": ({"Labels": {"X": "1"}}, "Labels"),
    "a port less": ({"ExposedPorts": {"80/tcp": {}}}, "ExposedPorts"),
    "the words of a command in another order": ({"Cmd": ["3600", "sleep"]}, "Cmd"),
    "a command in one text": ({"Cmd": "sleep 3600"}, "Cmd"),
    "an entry point": ({"Entrypoint": ["/bin/sh"]}, "Entrypoint"),
    "a bind less": ({"HostConfig": {"Binds": ["/a:/a"]}}, "HostConfig.Binds"),
    "the same bind twice": ({"HostConfig": {"Binds": ["/a:/a", "/a:/a"]}}, "HostConfig.Binds"),
    "no bind at all": ({"HostConfig": {"Binds": []}}, "HostConfig.Binds"),
    "another capability": ({"HostConfig": {"CapAdd": ["NET_RAW"]}}, "HostConfig.CapAdd"),
    "another port of the host": (
        {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8081"}]}}},
        "HostConfig.PortBindings",
    ),
    "no published port": ({"HostConfig": {"PortBindings": {}}}, "HostConfig.PortBindings"),
    "another protocol": (
        {"HostConfig": {"PortBindings": {"80/udp": [{"HostPort": "8080"}]}}},
        "HostConfig.PortBindings",
    ),
    "a limit": ({"HostConfig": {"Memory": 1}}, "HostConfig.Memory"),
    "another network mode": ({"HostConfig": {"NetworkMode": "host"}}, "HostConfig.NetworkMode"),
    "another size of shared memory": ({"HostConfig": {"ShmSize": 1}}, "HostConfig.ShmSize"),
    "another restart policy": ({"HostConfig": {"RestartPolicy": {"Name": "always"}}}, "HostConfig.RestartPolicy.Name"),
    "another option of the log": (
        {"HostConfig": {"LogConfig": {"Config": {"max-size": "2m"}}}},
        "HostConfig.LogConfig.Config.max-size",
    ),
    "a kernel setting less": ({"HostConfig": {"Sysctls": {}}}, "HostConfig.Sysctls"),
    "another limit of a process": (
        {"HostConfig": {"Ulimits": [{"Name": "nofile", "Soft": 5, "Hard": 11}, {"Name": "nproc", "Soft": 3}]}},
        "HostConfig.Ulimits",
    ),
    "a limit of a process more": (
        {"HostConfig": {"Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}]}},
        "HostConfig.Ulimits",
    ),
    "another alias": (
        {"NetworkingConfig": {"EndpointsConfig": {"backend": {"Aliases": ["www"]}}}},
        "NetworkingConfig.EndpointsConfig.backend.Aliases",
    ),
    "another MAC address": (
        {"NetworkingConfig": {"EndpointsConfig": {"backend": {"MacAddress": "02:42:ac:11:00:0b"}}}},
        "NetworkingConfig.EndpointsConfig.backend.MacAddress",
    ),
    "false where nothing was given": ({"HostConfig": {"Init": False}}, "HostConfig.Init"),
    "zero where nothing was given": ({"HostConfig": {"MemorySwappiness": 0}}, "HostConfig.MemorySwappiness"),
    "any port of the host": ({"HostConfig": {"PortBindings": {"80/tcp": []}}}, "HostConfig.PortBindings"),
    "another network": (
        {"NetworkingConfig": {"EndpointsConfig": {"frontend": {}}}},
        "NetworkingConfig.EndpointsConfig.frontend",
    ),
    "a field that the engine does not know": ({"Hostnam": "web"}, "Hostnam"),
}


@pytest.mark.parametrize("asked", SAME.values(), ids=SAME)
def test_same(asked: dict[str, Any]) -> None:
    assert differences(asked, CONTAINER, IMAGE) == []


@pytest.mark.parametrize(("asked", "path"), DIFFERENT.values(), ids=DIFFERENT)
def test_different(asked: dict[str, Any], path: str) -> None:
    assert [".".join(one.path) for one in differences(asked, CONTAINER, IMAGE)] == [path]


@pytest.mark.parametrize(("limit", "asked"), [("PidsLimit", -1), ("PidsLimit", 0), ("MemorySwappiness", -1)])
def test_limit_that_is_lifted(limit: str, asked: int) -> None:
    container = {**CONTAINER, "HostConfig": {**CONTAINER["HostConfig"], limit: 60}}
    assert [one.path[-1] for one in differences({"HostConfig": {limit: asked}}, container, IMAGE)] == [limit]


def test_entry_point_of_nothing_where_there_is_one() -> None:
    container = {**CONTAINER, "Config": {**CONTAINER["Config"], "Entrypoint": ["/bin/sh"]}}
    assert differences({"Entrypoint": []}, container, IMAGE) == []
    assert [one.path for one in differences({"Entrypoint": [""]}, container, IMAGE)] == [("Entrypoint",)]


def test_no_time_to_stop_where_nothing_was_given() -> None:
    """The engine waits 10 seconds then."""
    config = {name: value for name, value in CONTAINER["Config"].items() if name != "StopTimeout"}
    found = differences({"StopTimeout": 0}, {**CONTAINER, "Config": config}, IMAGE)
    assert [one.path for one in found] == [("StopTimeout",)]


def test_health_check_of_the_image() -> None:
    check = {"Test": ["CMD", "true"], "Interval": 5}
    container = {**CONTAINER, "Config": {**CONTAINER["Config"], "Healthcheck": check}}
    assert differences({"Healthcheck": {"Test": [], "Interval": 5}}, container, IMAGE) == []


@pytest.mark.parametrize("asked", [[], None, [{}]], ids=str)
@pytest.mark.parametrize("stored", [[], None, [{"HostIp": "", "HostPort": ""}]], ids=str)
def test_port_without_bindings(asked: object, stored: object) -> None:
    container = {**CONTAINER, "HostConfig": {**CONTAINER["HostConfig"], "PortBindings": {"80/tcp": stored}}}
    assert differences({"HostConfig": {"PortBindings": {"80": asked}}}, container, IMAGE) == []


def test_mac_address_of_a_container_that_does_not_run() -> None:
    """It has none in a network, and gets the one that was asked for once it runs."""
    networks = {"backend": {"MacAddress": ""}}
    asked = {"NetworkingConfig": {"EndpointsConfig": {"backend": {"MacAddress": "02:42:ac:11:00:0a"}}}}
    stopped = {**CONTAINER, "NetworkSettings": {"Networks": networks}, "State": {"Running": False}}
    assert differences(asked, stopped, IMAGE) == []
    assert differences(asked, {**stopped, "State": {"Running": True}}, IMAGE)


def test_image_is_gone() -> None:
    """Without the image, what it added cannot be told from what was asked for at another time."""
    assert [one.path for one in differences({"Env": ["B=2"]}, CONTAINER, None)] == [("Env",)]
    assert differences({"Hostname": "0123456789ab"}, CONTAINER, None) == []


def test_diff_shows_both_sides() -> None:
    found = differences({"Hostname": "web", "HostConfig": {"Memory": 5}}, CONTAINER, IMAGE)
    assert as_diff(found) == (
        {"Hostname": "0123456789ab", "HostConfig.Memory": 0},
        {"Hostname": "web", "HostConfig.Memory": 5},
    )


def test_diff_shows_nothing_that_only_the_image_has_added() -> None:
    found = differences({"Env": ["B=3"], "Labels": {"x": "1", "made": "there"}}, CONTAINER, IMAGE)
    assert as_diff(found) == (
        {"Env": ["B=2"], "Labels": {"x": "1", "made": "here"}},
        {"Env": ["B=3"], "Labels": {"x": "1", "made": "there"}},
    )


@pytest.mark.parametrize(
    "sharing", [{"Privileged": True}, {"PidMode": "host"}, {"IpcMode": "host"}, {"PidMode": "container:0123"}], ids=str
)
def test_labels_that_the_engine_adds(sharing: dict[str, Any]) -> None:
    def found(asked: list[str], actual: list[str], **more: Any) -> list[Difference]:
        return differences(
            {"HostConfig": {"SecurityOpt": asked}}, {"HostConfig": {"SecurityOpt": actual, **more}}, None
        )

    own = ["no-new-privileges"]
    assert found(own, [*own, "label=disable"], **sharing) == []
    assert found([], ["label=disable"], **sharing) == []
    assert found(["label=disable"], ["label=disable"], **sharing) == []
    assert found(["label=type:a"], ["label=disable"], **sharing)
    assert found(own, ["label=disable"], **sharing)
    assert found(own, [*own, "label=disable"]), "this container shares nothing, so its user has asked for the label"


def test_limits_that_the_engine_has_dropped() -> None:
    (memory,) = differences({"HostConfig": {"Memory": 5}}, CONTAINER, IMAGE)
    assert memory.may_be_dropped
    assert memory.is_dropped({"MemoryLimit": False})
    assert not memory.is_dropped({"MemoryLimit": True})
    assert not memory.is_dropped({})
    assert not Difference(("HostConfig", "Memory"), 5, 4).may_be_dropped
    assert Difference(("HostConfig", "MemorySwap"), 5, -1).is_dropped({"SwapLimit": False})
    assert not Difference(("HostConfig", "MemorySwap"), 5, -1).is_dropped({"SwapLimit": True})
    swappiness = Difference(("HostConfig", "MemorySwappiness"), 60, None)
    assert swappiness.is_dropped({"MemoryLimit": True, "CgroupVersion": "2"})
    assert not swappiness.is_dropped({"MemoryLimit": True, "CgroupVersion": "1"})
    assert not Difference(("HostConfig", "MemorySwappiness"), 60, 30).is_dropped({"CgroupVersion": "2"})
    assert not Difference(("Labels", "Memory"), 5, None).may_be_dropped


values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ABCD"), inner, max_size=3),
    max_leaves=8,
)
configs = st.dictionaries(st.sampled_from(["Hostname", "Cmd", "Tty", "Healthcheck", "Other"]), values, max_size=4)
host_configs = st.dictionaries(st.sampled_from(["Binds", "Memory", "Tmpfs", "Mounts", "Other"]), values, max_size=4)


@given(configs, host_configs)
def test_what_was_taken_as_it_was_asked_for_is_the_same(config: dict[str, Any], host_config: dict[str, Any]) -> None:
    asked = {**config, "HostConfig": host_config}
    as_the_engine_says_it = json.loads(json.dumps({"Config": config, "HostConfig": host_config}))
    assert differences(asked, as_the_engine_says_it, None) == []


@given(configs, configs)
def test_differences_are_told_for_what_was_asked_for_alone(config: dict[str, Any], other: dict[str, Any]) -> None:
    found = differences(config, {"Config": other, "HostConfig": {}}, None)
    assert {one.path[0] for one in found} <= set(config)
