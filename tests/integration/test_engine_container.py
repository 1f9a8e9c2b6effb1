# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module container on every engine: idempotent, honest in check mode, and not fooled by what engines do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.engine_support import SUITES, boot, named, play
from ansible_collections.dockerfleet.remote_api.tests.integration.support import IMAGE, Ansible, Host, Lab

# As much as engines write in another way, fill in, or drop, each with what makes it tricky.
CONFIG: dict[str, Any] = {
    "hostname": "web",  # another case of letters
    "Env": ["B=2", "EMPTY="],
    "Cmd": ["sleep", "1000"],
    "Entrypoint": [],
    "Labels": {"x": "1"},
    "ExposedPorts": {"8080/tcp": {}},
    "Volumes": {"/data": {}},
    "StopTimeout": 1,
    "StopSignal": "SIGKILL",
    "User": "",
    "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 3600000000000, "Retries": 0},
    "HostConfig": {
        "Binds": ["/tmp:/x:ro", "named:/n"],
        "CapAdd": ["net_admin"],
        "CapDrop": ["CAP_MKNOD"],
        "CpuShares": 512,
        "Dns": ["192.0.2.53"],
        "ExtraHosts": ["b:192.0.2.2", "a:192.0.2.1"],
        "Init": True,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        "Memory": 67108864,
        "Mounts": [{"Type": "tmpfs", "Target": "/t"}],
        "NetworkMode": "default",
        "PidsLimit": 100,
        "PortBindings": {"8080/tcp": [{"HostPort": "18080"}]},
        "Privileged": False,
        "PublishAllPorts": True,
        "ReadonlyRootfs": True,
        "RestartPolicy": {"Name": ""},
        "ShmSize": 0,
        "Sysctls": {"net.ipv4.ip_unprivileged_port_start": "0"},
        "Tmpfs": {"/run": "size=1m"},
        "Ulimits": [{"Name": "nofile", "Soft": 512, "Hard": 1024}],
    },
}
ID = "docker inspect --format '{{ '{{.Id}}' }}' "


def container(title: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
    """Return a task that brings a container about."""
    return {"name": title, "dockerfleet.remote_api.container": options, "check_mode": check, "diff": True}


def shell(name: str, script: str) -> dict[str, Any]:
    """Return a task that asks the docker client."""
    return {"name": name, "ansible.builtin.shell": script, "changed_when": False}


WEB: dict[str, Any] = {"name": "web", "image": IMAGE, "config": CONFIG}
OTHER: dict[str, Any] = {**CONFIG, "Env": ["B=3", "EMPTY="], "HostConfig": {**CONFIG["HostConfig"], "Init": False}}
MOVE_TAG = f"docker commit --change 'LABEL moved=1' $(docker create {IMAGE}) lab/moving:1"

MEMBER: dict[str, Any] = {
    "name": "member",
    "image": IMAGE,
    "config": {
        "HostConfig": {"NetworkMode": "backend"},
        "NetworkingConfig": {
            "EndpointsConfig": {"backend": {"Aliases": ["www"], "IPAMConfig": {"IPv4Address": "10.99.0.9"}}}
        },
        "StopTimeout": 0,
    },
}
BESIDE: dict[str, Any] = {
    "name": "beside",
    "image": IMAGE,
    "config": {"HostConfig": {"NetworkMode": "container:member"}},
}
# What engines add to or write in another way when a container shares namespaces, or has no limit.
SHARING: dict[str, Any] = {
    "name": "sharing",
    "image": IMAGE,
    "config": {
        "stoptimeout": 0,  # another case of letters
        "Healthcheck": {"Test": []},
        "HostConfig": {
            "Init": False,
            "Memory": 67108864,
            "MemorySwap": 134217728,
            "MemorySwappiness": -1,
            "PidMode": "host",
            "PidsLimit": -1,
            "PortBindings": {"80/tcp": []},
            "SecurityOpt": ["no-new-privileges"],
        },
        "NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": "02:42:AC:11:00:AA"}}},
    },
}

STORY = [
    container("check first", check=True, **WEB),
    shell("nothing yet", "docker ps -aq"),
    container("create", **WEB),
    shell("first ID", ID + "web"),
    container("again", **WEB),
    container("check again", check=True, **WEB),
    container("check a change", check=True, **{**WEB, "config": OTHER}),
    shell("still the first ID", ID + "web"),
    container("change", **{**WEB, "config": OTHER}),
    container("change again", **{**WEB, "config": OTHER}),
    shell("second ID", ID + "web"),
    shell("variables", "docker exec web /bin/sh -c 'echo $B$EMPTY'"),
    shell("all containers", "docker ps -a --format '{{ '{{.Names}}' }}'"),
    container("never", recreate="never", **WEB),
    container("always", recreate="always", **{**WEB, "config": OTHER}),
    shell("third ID", ID + "web"),
    container("refused", **{**WEB, "config": {**CONFIG, "Cmd": ["sleep"], "HostConfig": {"CapAdd": ["NONSENSE"]}}}),
    shell("still the third ID", ID + "web"),
    container("without more", name="web"),
    shell("pause", "docker pause web"),
    container("unpause", name="web"),
    container("stop", name="web", state="stopped"),
    container("stop again", name="web", state="stopped"),
    container("exists", name="web", state="created"),
    container("change what is stopped", **{**WEB, "state": "created"}),
    shell("is stopped", "docker inspect --format '{{ '{{.State.Status}}' }}' web"),
    container("check start", check=True, name="web"),
    container("start", name="web"),
    container("remove in check mode", check=True, name="web", state="absent"),
    container("remove", name="web", state="absent"),
    container("remove again", name="web", state="absent"),
    container("nothing to start", name="nobody"),
    container("no such ID", name="0" * 64, image=IMAGE),
    container("no such image", name="nobody", image="no/such:image", pull="never"),
    container("image that cannot be pulled", name="nobody", image="localhost:1/no/such:image"),
    shell("nobody", "docker ps -aq"),
    # A tag that moves, and another name for the same image.
    shell("tag", f"docker tag {IMAGE} lab/moving:1"),
    container("from the tag", name="moving", image="lab/moving:1", config={"StopTimeout": 0}),
    container("from another name of it", name="moving", image=IMAGE, config={"StopTimeout": 0}),
    shell("move the tag", f"{MOVE_TAG} && docker rm $(docker ps -aq --filter status=created)"),
    container("from the tag after it moved", name="moving", image="lab/moving:1", config={"StopTimeout": 0}),
    shell("moved", "docker inspect --format '{{ '{{.Config.Labels.moved}}' }}' moving"),
    container("from the tag again", name="moving", image="lab/moving:1", config={"StopTimeout": 0}),
    shell("remove the tag", "docker rmi -f lab/moving:1"),
    container("from a tag that is gone", name="moving", image="lab/moving:1", config={"StopTimeout": 0}, pull="never"),
    # Networks, and one container in the network of another.
    shell("network", "docker network create --subnet 10.99.0.0/24 backend"),
    container("in a network", **MEMBER),
    container("in a network again", **MEMBER),
    shell("address", "docker exec member /bin/ip -4 -o addr show eth0"),
    container("beside it", **BESIDE),
    container("beside it again", **BESIDE),
    # One in the host's namespaces.
    container("sharing", **SHARING),
    container("sharing again", **SHARING),
    container("sharing, by the engine's name", **{**SHARING, "name": "/sharing"}),
    container("sharing stops", state="stopped", **SHARING),
    container("sharing is stopped", state="stopped", **SHARING),
    container("sharing starts", **SHARING),
    container("sharing, as if nothing were said", name="sharing", config={"HostConfig": {"SecurityOpt": []}}),
    # One that goes by itself once it is stopped.
    container("fleeting", name="fleeting", image=IMAGE, config={"HostConfig": {"AutoRemove": True}}),
    container("remove the fleeting one", name="fleeting", state="absent", force=True),
    shell("the fleeting one", "docker ps -aq --filter name=fleeting"),
]
EXPECTED_FAILURES = {
    "refused",
    "nothing to start",
    "no such ID",
    "no such image",
    "image that cannot be pulled",
}
for task in STORY:
    if task["name"] in EXPECTED_FAILURES:
        task["ignore_errors"] = True


@pytest.fixture(scope="module")
def engines(lab: Lab) -> dict[str, Host]:
    return boot(lab, "box-")


@pytest.fixture(scope="module")
def told(engines: dict[str, Host], module_ansible: Ansible) -> dict[str, dict[str, Any]]:
    """Return the results of the whole story, by suite and task."""
    env = {"ANSIBLE_PIPELINING": "1"}
    done = module_ansible.playbook(play(STORY, strategy="free"), engines.values(), env=env, timeout=1500)
    assert done.rc == 0, done.output
    assert "Traceback" not in done.output
    return {suite: named(done.of(host)) for suite, host in engines.items()}


@pytest.fixture(params=SUITES)
def results(request: pytest.FixtureRequest, told: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return told[request.param]


def said(results: dict[str, Any], name: str) -> str:
    return str(results[name]["stdout"])


def test_check_mode_on_nothing(results: dict[str, Any]) -> None:
    check = results["check first"]
    assert (check["changed"], check["actions"]) == (True, ["created", "started"])
    assert "container" not in check
    assert check["diff"] == {"before": {"state": "absent"}, "after": {"state": "started", "image": IMAGE}}
    assert said(results, "nothing yet") == ""


def test_created_once(results: dict[str, Any]) -> None:
    assert results["create"]["actions"] == ["created", "started"]
    assert results["create"]["container"]["Id"] == said(results, "first ID")
    for name in ("again", "check again"):
        assert (results[name]["changed"], results[name]["actions"]) == (False, []), results[name].get("diff")
        assert results[name]["container"]["Id"] == said(results, "first ID")
        assert "diff" not in results[name]


def test_nothing_that_was_asked_for_was_taken_in_another_way(results: dict[str, Any]) -> None:
    assert [line for line in results["create"].get("warnings", []) if "as config says" in str(line)] == []


def test_change_is_shown_and_made(results: dict[str, Any]) -> None:
    for name in ("check a change", "change"):
        assert results[name]["actions"] == ["stopped", "removed", "created", "started"]
        diff = results[name]["diff"]
        assert diff["before"] == {"state": "started", "Env": ["B=2", "EMPTY="], "HostConfig.Init": True}
        assert diff["after"] == {"state": "started", "Env": ["B=3", "EMPTY="], "HostConfig.Init": False}
    assert said(results, "still the first ID") == said(results, "first ID")
    assert said(results, "second ID") not in ("", said(results, "first ID"))
    assert said(results, "variables") == "3"
    assert not results["change again"]["changed"]
    assert said(results, "all containers") == "web"


def test_never_and_always(results: dict[str, Any]) -> None:
    assert not results["never"]["changed"]
    assert results["always"]["actions"] == ["stopped", "removed", "created", "started"]
    assert said(results, "third ID") != said(results, "second ID")


def test_config_that_the_engine_refuses_costs_nothing(results: dict[str, Any]) -> None:
    assert "nonsense" in results["refused"]["msg"].lower()
    assert results["refused"]["endpoint"] == "POST /containers/create"
    assert said(results, "still the third ID") == said(results, "third ID")


def test_states(results: dict[str, Any]) -> None:
    assert not results["without more"]["changed"]
    assert results["unpause"]["actions"] == ["unpaused"]
    assert results["stop"]["actions"] == ["stopped"]
    assert not results["stop again"]["changed"]
    assert not results["exists"]["changed"]
    assert results["change what is stopped"]["actions"] == ["removed", "created"]
    assert said(results, "is stopped") == "created"
    assert results["check start"]["actions"] == ["started"]
    assert results["start"]["actions"] == ["started"]
    assert results["start"]["diff"] == {"before": {"state": "created"}, "after": {"state": "started"}}
    assert results["remove in check mode"]["actions"] == ["stopped", "removed"]
    assert results["remove"]["actions"] == ["stopped", "removed"]
    assert results["remove"]["diff"] == {"before": {"state": "started"}, "after": {"state": "absent"}}
    assert not results["remove again"]["changed"]


def test_errors(results: dict[str, Any]) -> None:
    assert results["nothing to start"]["msg"].startswith("container nobody: it does not exist, and image is not set")
    assert results["no such ID"]["msg"].startswith(f"container {'0' * 64}: there is none with this ID")
    assert results["no such image"]["msg"].startswith(
        "image no/such:image at unix:///var/run/docker.sock: the engine doe"
    )
    pull = results["image that cannot be pulled"]
    assert pull["msg"].startswith("image localhost:1/no/such:image at ")
    assert "it could not be pulled: " in pull["msg"]
    assert said(results, "nobody") == ""


def test_tag_that_moved(results: dict[str, Any]) -> None:
    assert results["from the tag"]["actions"] == ["created", "started"]
    assert not results["from another name of it"]["changed"]
    moved = results["from the tag after it moved"]
    assert moved["actions"] == ["stopped", "removed", "created", "started"]
    assert moved["diff"]["after"]["Image"].startswith("lab/moving:1 (sha256:")
    assert said(results, "moved") == "1"
    assert not results["from the tag again"]["changed"]
    assert not results["from a tag that is gone"]["changed"]


def test_networks(results: dict[str, Any]) -> None:
    assert "10.99.0.9/24" in said(results, "address")
    assert not results["in a network again"]["changed"], json.dumps(results["in a network again"].get("diff"))
    assert results["beside it"]["actions"] == ["created", "started"]
    assert not results["beside it again"]["changed"], json.dumps(results["beside it again"].get("diff"))


def test_container_in_namespaces_of_the_host(results: dict[str, Any]) -> None:
    assert results["sharing"]["actions"] == ["created", "started"]
    assert [line for line in results["sharing"].get("warnings", []) if "as config says" in str(line)] == []
    for name in ("sharing again", "sharing, by the engine's name", "sharing is stopped"):
        assert not results[name]["changed"], json.dumps(results[name].get("diff"))
    assert results["sharing stops"]["actions"] == ["stopped"]
    assert results["sharing starts"]["actions"] == ["started"]
    changed = results["sharing, as if nothing were said"]
    assert changed["actions"] == ["stopped", "removed", "created", "started"]
    assert changed["diff"]["before"]["HostConfig.SecurityOpt"] == ["no-new-privileges"]


def test_container_that_goes_by_itself(results: dict[str, Any]) -> None:
    assert results["remove the fleeting one"]["changed"]
    assert said(results, "the fleeting one") == ""
