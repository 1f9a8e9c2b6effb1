# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What looks alike on a real engine and is not: names and IDs, plain HTTP and TLS, frames and logs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.engine_support import (
    TLS_OPTIONS,
    Pki,
    boot,
    listen,
    named,
    play,
    secure,
)
from ansible_collections.dockerfleet.remote_api.tests.integration.support import IMAGE, Ansible, Host, Lab

MODULES = "dockerfleet.remote_api"


@pytest.fixture(scope="module")
def engines(lab: Lab) -> dict[str, Host]:
    return boot(lab, "names-")


def asked(title: str, module: str, **options: Any) -> dict[str, Any]:
    """Return a task with a module of the collection, whose failure the test looks at."""
    return {"name": title, f"{MODULES}.{module}": options, "ignore_errors": True}


def told(ansible: Ansible, engines: dict[str, Host], *tasks: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the results of the tasks, by suite and the tasks' names. Each host has variables about its containers."""
    done = ansible.playbook(play(list(tasks)), engines.values(), env={"ANSIBLE_PIPELINING": "1"})
    assert done.rc == 0, done.output
    assert "Traceback" not in done.output
    return {suite: named(done.of(host)) for suite, host in engines.items()}


def shell(name: str, script: str) -> dict[str, Any]:
    return {"name": name, "ansible.builtin.command": script, "changed_when": False, "register": name}


def test_beginning_of_an_id_is_no_name(engines: dict[str, Host], ansible: Ansible) -> None:
    """The stranger stays what and who it is, whatever is asked for in the name of three digits of its ID."""
    for host in engines.values():
        host.sh(f"docker run -d --name stranger {IMAGE}")
    results = told(
        ansible,
        engines,
        shell("container", "docker ps -q --no-trunc --filter name=stranger"),
        shell("image", f"docker images -q --no-trunc {IMAGE}"),
        asked("remove", "container", name="{{ container.stdout[:3] }}", state="absent"),
        asked("stop", "container", name="{{ container.stdout[:11] }}", state="stopped"),
        asked("look", "container_info", names=["{{ container.stdout[:3] }}", "{{ container.stdout[:12] }}"]),
        asked("create", "container", name="{{ container.stdout[:3] }}", image=IMAGE, config={"StopTimeout": 0}),
        shell("name", "docker inspect --format {{ '{{.Name}}' }} {{ container.stdout }}"),
        asked("remove again", "container", name="{{ container.stdout[:3] }}", state="absent", force=True),
        shell("running", "docker ps --no-trunc --format {{ '{{.ID}}' }}"),
        asked("image", "image_info", names=["{{ image.stdout[7:10] }}", "{{ image.stdout[7:19] }}"]),
        asked("no image", "container", name="new", image="{{ image.stdout[7:10] }}", pull="never"),
        asked("by ID", "container", name="{{ container.stdout[:12] }}", state="absent", force=True),
        shell("left", "docker ps -aq"),
    )
    for suite, found in results.items():
        stranger = found["container"]["stdout"]
        assert not found["remove"]["changed"], suite
        assert "image is not set" in found["stop"]["msg"]
        assert found["look"]["missing"] == [stranger[:3]]
        assert [one["Name"] for one in found["look"]["containers"]] == ["/stranger"]
        assert found["create"]["actions"] == ["created", "started"]
        assert found["create"]["container"]["Name"] == f"/{stranger[:3]}"
        assert found["name"]["stdout"] == "/stranger"
        assert found["running"]["stdout"] == stranger
        assert len(found["image"]["images"]) == len(found["image"]["missing"]) == 1
        assert "the engine does not have it, and pull is never" in found["no image"]["msg"]
        assert found["by ID"]["actions"] == ["stopped", "removed"]
        assert found["left"]["stdout"] == ""


# Writes down the first byte of each connection: 22 for a TLS handshake (RFC 8446, section 5.1).
LISTENER = """
import socket
server = socket.create_server(("127.0.0.1", 4243))
while True:
    peer = server.accept()[0]
    with open("/run/first-bytes", "ab") as stream:
        stream.write(peer.recv(1))
    peer.close()
"""


def test_context_is_never_spoken_to_in_plain_http(
    engines: dict[str, Host], ansible: Ansible, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pki = Pki.make(tmp_path_factory.mktemp("names") / "pki")
    client = "cert=/root/admin/cert.pem,key=/root/admin/key.pem"
    contexts = {"no-ca": client, "skip": "skip-tls-verify=true", "both": f"skip-tls-verify=true,{client}"}
    for host in engines.values():
        secure(host, pki)
        listen(host, TLS_OPTIONS.replace(":2376", ":4242"))
        for name in ("cert.pem", "key.pem"):
            host.write(f"/root/admin/{name}", (pki.admin / name).read_text())
        host.write("/root/listener.py", LISTENER)
        host.sh("systemd-run --unit listener python3 /root/listener.py")
        for name, options in contexts.items():
            host.sh(f"docker context create {name} --docker host=tcp://127.0.0.1:4243,{options}")
        host.sh(f"docker context create locked --docker host=tcp://127.0.0.1:4242,{contexts['both']}")
        host.sh("for try in $(seq 50); do ss -ltn | grep -q :4243 && break; sleep 0.1; done")
    tasks = [{**asked(name, "engine_info"), "environment": {"DOCKER_CONTEXT": name}} for name in [*contexts, "locked"]]
    for suite, found in told(ansible, engines, *tasks, shell("bytes", "od -An -v -tu1 /run/first-bytes")).items():
        assert found["locked"]["info"]["Name"] == engines[suite].name
        assert set(found["bytes"]["stdout"].split()) == {"22"}
        for name in contexts:
            assert "the connection was closed" in found[name]["msg"]


def test_keys_that_the_api_does_not_have(engines: dict[str, Host], ansible: Ansible) -> None:
    """Each is named once, with the nearest one; the values arrive, and the second run changes nothing."""
    config = {
        "StopTimeout": "0",
        "Labels": {"count": 3},
        "PublishAllPorts": True,
        "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {
            "Memroy": 1,
            "OomScoreAdj": "100",
            "Privileged": "False",
            "PortBindings": {"80/tcp": [{"HostPort": 18081, "HostPrt": 1}]},
            "Annotations": {"a": "b"},
        },
    }
    looked = "{{ '{{.HostConfig.OomScoreAdj}} {{.Config.Labels.count}} {{json .HostConfig.PortBindings}}' }}"
    results = told(
        ansible,
        engines,
        asked("first", "container", name="web", image=IMAGE, config=config),
        {"name": "inspect", "ansible.builtin.command": {"argv": ["docker", "inspect", "--format", looked, "web"]}},
        asked("second", "container", name="web", image=IMAGE, config=config),
        asked("remove", "container", name="web", state="absent"),
    )
    for suite, found in results.items():
        warnings = [text for text in found["first"]["warnings"] if text.startswith("config: ")]
        expected = [
            "config: PublishAllPorts is no key of API 1.",
            "config: HostConfig.Memroy is no key of API 1.",
            "config: HostConfig.PortBindings.80/tcp[0].HostPrt is no key of API 1.",
        ]
        if suite in ("bullseye", "bookworm"):
            expected.append("config: HostConfig.Annotations is known to the API from 1.43 on; 1.41")
        assert [warning[: len(text)] for warning, text in zip(warnings, expected, strict=True)] == expected
        assert "Did you mean HostConfig.PublishAllPorts?" in warnings[0]
        assert "Did you mean Memory?" in warnings[1]
        assert "Did you mean HostPort?" in warnings[2]
        score, count, ports = found["inspect"]["stdout"].split(" ", 2)
        assert (score, count) == ("100", "3")
        assert json.loads(ports) == {"80/tcp": [{"HostIp": "", "HostPort": "18081"}]}
        assert not found["second"]["changed"], (suite, found["second"])
        assert found["remove"]["changed"]


def test_streams(engines: dict[str, Host], ansible: Ansible) -> None:
    """Bodies out of files, logs without frames, and an answer without an end."""
    logs = {"stdout": True, "stderr": True}
    script = "echo out; echo err >&2"
    for host in engines.values():
        host.sh(
            f"cd && echo FROM {IMAGE} > Dockerfile && tar -cf context.tar Dockerfile; docker save -o saved.tar {IMAGE}"
        )
        host.sh(
            f"docker run --name framed {IMAGE} sh -c '{script}'; docker run --name terminal -t {IMAGE} sh -c '{script}'"
        )
        host.sh(f"docker rmi -f {IMAGE}")
    results = told(
        ansible,
        engines,
        asked("load", "engine_api", method="POST", path="/images/load", src="/root/saved.tar"),
        asked("build", "engine_api", method="POST", path="/build", query={"t": "built:1"}, src="/root/context.tar"),
        shell("images", "docker images -q built:1"),
        asked(
            "upload",
            "engine_api",
            method="PUT",
            path="/containers/framed/archive",
            query={"path": "/"},
            src="/root/context.tar",
        ),
        shell("uploaded", "docker cp framed:/Dockerfile -"),
        asked("framed", "engine_api", path="/containers/framed/logs", query=logs),
        shell("docker_logs", "docker logs framed"),
        asked("terminal", "engine_api", path="/containers/terminal/logs", query=logs),
        asked("to a file", "engine_api", path="/containers/framed/logs", query=logs, dest="/root/logs"),
        shell("file", "cat /root/logs"),
        asked("follow", "engine_api", path="/events", query={"since": 1}, timeout=10),
    )
    for suite, found in results.items():
        assert found["build"]["status"] == found["load"]["status"] == found["upload"]["status"] == 200, suite
        assert found["images"]["stdout"]
        assert f"FROM {IMAGE}" in found["uploaded"]["stdout"]
        assert sorted(found["framed"]["text"].splitlines()) == ["err", "out"]
        assert found["docker_logs"]["stdout"] == "out"
        assert "text" in found["terminal"], (suite, found["terminal"])
        assert found["terminal"]["text"] == "out\r\nerr\r\n"
        assert sorted(found["file"]["stdout"].splitlines()) == ["err", "out"]
        assert found["follow"]["timed_out"]
        assert all("Action" in event for event in found["follow"]["json"]), json.dumps(found["follow"])
        assert "create" in [event["Action"] for event in found["follow"]["json"]]
