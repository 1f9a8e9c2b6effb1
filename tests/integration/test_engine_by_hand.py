# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that one does by hand with curl, done by the modules: each engine, each transport, judged by docker."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.engine_support import (
    PLAIN_OPTIONS,
    SUITES,
    Pki,
    boot,
    listen,
    named,
    play,
    secure,
)
from ansible_collections.dockerfleet.remote_api.tests.integration.support import IMAGE, Ansible, Host, Lab, run

MODULES = "dockerfleet.remote_api"
TRANSPORTS = ["socket", "tcp", "tls"]


def asked(title: str, module: str, **options: Any) -> dict[str, Any]:
    """Return a task of a module under test. With TLS it runs on the controller, where the client's certificate is."""
    return {"name": title, f"{MODULES}.{module}": options}


def judged(name: str, *words: str) -> dict[str, Any]:
    """Return a task that has the docker client answer the same question."""
    return {"name": name, "ansible.builtin.command": {"argv": ["docker", *words]}}


NETWORK = {"method": "POST", "path": "/networks/create", "body": {"Name": "hand", "Labels": {"by": "hand"}}}
NETWORKS = ("network", "ls", "--quiet", "--no-trunc", "--filter", "label=by=hand")
STORY = [
    asked("info", "engine_info"),
    judged("docker info", "info", "--format", "{{ '{{json .}}' }}"),
    judged("docker version", "version", "--format", "{{ '{{json .Server}}' }}"),
    asked("images", "image_info"),
    judged("docker images", "image", "ls", "--quiet", "--no-trunc"),
    asked("images that match", "image_info", all=True, filters={"reference": "no/*"}),
    judged("docker images that match", "image", "ls", "--all", "--quiet", "--no-trunc", "--filter", "reference=no/*"),
    asked("one image", "image_info", names=[IMAGE, "no/such:image", "{{ listed.images[0].Id }}"]),
    judged("docker inspect image", "image", "inspect", IMAGE),
    {**asked("search", "image_search", term="busybox"), "ignore_errors": True},
    asked("create", "container", image=IMAGE, state="created"),
    judged("docker inspect create", "inspect", "{{ created.container.Id }}"),
    asked("create by name", "container", name="web", image=IMAGE, state="created", config={"Hostname": "web.example"}),
    judged("docker inspect create by name", "inspect", "web"),
    asked(
        "publish",
        "container",
        name="published",
        image=IMAGE,
        config={"ExposedPorts": {"80/tcp": {}}, "HostConfig": {"PublishAllPorts": True}},
    ),
    judged("docker port", "port", "published", "80/tcp"),
    asked("running", "container_info"),
    judged("docker ps", "ps", "--quiet", "--no-trunc"),
    asked("all", "container_info", all=True),
    judged("docker ps all", "ps", "--all", "--quiet", "--no-trunc"),
    asked("those created", "container_info", all=True, filters={"status": "created"}),
    judged("docker ps created", "ps", "--all", "--quiet", "--no-trunc", "--filter", "status=created"),
    asked("start by ID", "container", name="{{ created.container.Id }}", state="started"),
    judged("docker inspect started", "inspect", "{{ created.container.Id }}"),
    asked("by name and ID", "container_info", names=["web", "{{ created.container.Id }}", "nobody"]),
    asked("any request", "engine_api", path="/containers/published/json", query={"size": True}),
    asked("wrong request", "engine_api", path="/containers/nobody/json", status_code=[404]),
    asked("head", "engine_api", method="HEAD", path="/containers/published/archive", query={"path": "/bin"}),
    {**asked("check get", "engine_api", path="/containers/published/json"), "check_mode": True},
    {**asked("check post", "engine_api", **NETWORK), "check_mode": True},
    judged("docker network ls after check", *NETWORKS),
    asked("post", "engine_api", **NETWORK),
    judged("docker network ls after post", *NETWORKS),
    asked("delete", "engine_api", method="DELETE", path="/networks/hand"),
    judged("docker network ls after delete", *NETWORKS),
    asked("too old", "engine_api", path="/info", api_version="1.11"),
    asked("too new", "engine_api", path="/info", api_version="1.99"),
    asked("stop", "container", name="published", state="stopped", force=True),
    judged("docker inspect stopped", "inspect", "published"),
    asked("remove", "container", name="published", state="absent"),
    asked("remove the one without a name", "container", name="{{ created.container.Id }}", state="absent", force=True),
    asked("remove the created one", "container", name="web", state="absent"),
    judged("docker ps at the end", "ps", "--all", "--quiet"),
]
REGISTERED = {"create": "created", "images": "listed"}
for task in STORY:
    if task["name"] in REGISTERED:
        task["register"] = REGISTERED[task["name"]]
    if task["name"].startswith("too "):
        task["ignore_errors"] = True


@pytest.fixture(scope="module")
def engines(lab: Lab) -> dict[str, Host]:
    return boot(lab, "hand-")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.make(tmp_path_factory.mktemp("hand") / "pki")


@pytest.fixture(scope="module", params=TRANSPORTS)
def told(
    request: pytest.FixtureRequest, engines: dict[str, Host], module_ansible: Ansible, pki: Pki
) -> dict[str, dict[str, Any]]:
    """Return the results of the whole story over one transport, by suite and task."""
    transport: str = request.param
    for host in engines.values():
        if transport == "tcp":
            listen(host, PLAIN_OPTIONS)
        elif transport == "tls":
            secure(host, pki)
    options: dict[str, dict[str, Any]] = {
        "socket": {},
        "tcp": {"docker_host": "tcp://127.0.0.1:2375"},
        "tls": {"docker_host": "tcp://{{ ansible_host }}:2376", "cert_path": str(pki.admin)},
    }
    settings: dict[str, Any] = {"module_defaults": {f"group/{MODULES}.engine": options[transport]}}
    story = [{**task, "delegate_to": "localhost"} if transport == "tls" and is_ours(task) else task for task in STORY]
    settings["strategy"] = "free"
    done = module_ansible.playbook(play(story, **settings), engines.values(), env={"ANSIBLE_PIPELINING": "1"})
    assert done.rc == 0, done.output
    assert "Traceback" not in done.output
    return {suite: {**named(done.of(host)), "host": host, "transport": transport} for suite, host in engines.items()}


def is_ours(task: dict[str, Any]) -> bool:
    return any(key.startswith(MODULES) for key in task)


@pytest.fixture(params=SUITES)
def results(request: pytest.FixtureRequest, told: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return told[request.param]


def lines(result: dict[str, Any]) -> list[str]:
    return sorted(result["stdout"].split())


def judge(result: dict[str, Any]) -> Any:
    """Return what the docker client said as JSON."""
    said = json.loads(result["stdout"])
    return said[0] if isinstance(said, list) else said


def test_info(results: dict[str, Any]) -> None:
    info, docker = results["info"], judge(results["docker info"])
    for name in ("ID", "Name", "ServerVersion", "Driver", "Containers", "Images"):
        assert info["info"][name] == docker[name]
    version = judge(results["docker version"])
    assert info["version"]["Version"] == version["Version"]
    assert info["version"]["Version"].startswith(SUITES[results["host"].suite])
    assert info["api_version"] == version["ApiVersion"]
    assert info["can_talk_to_engine"]
    assert not info["changed"]


def test_images(results: dict[str, Any]) -> None:
    assert sorted(one["Id"] for one in results["images"]["images"]) == lines(results["docker images"])


def test_images_that_match(results: dict[str, Any]) -> None:
    assert results["images that match"]["images"] == lines(results["docker images that match"]) == []
    assert results["images"]["images"]


def test_one_image_by_name_and_id(results: dict[str, Any]) -> None:
    image, same = results["one image"]["images"]
    assert image["Id"] == same["Id"] == judge(results["docker inspect image"])["Id"]
    assert image["Config"]["Cmd"] == ["sleep", "3600"]
    assert results["one image"]["missing"] == ["no/such:image"]


def test_search_without_a_way_to_the_hub(results: dict[str, Any]) -> None:
    search = results["search"]
    assert "the engine could not ask Docker Hub: " in search["msg"]
    assert "needs a way to it" in search["msg"]
    assert search["can_talk_to_engine"]
    assert search["endpoint"] == "GET /images/search"


def test_create_with_image(results: dict[str, Any]) -> None:
    created, docker = results["create"], judge(results["docker inspect create"])
    assert (created["actions"], created["changed"]) == (["created"], True)
    assert created["container"]["Id"] == docker["Id"]
    assert docker["Config"]["Image"] == IMAGE
    assert docker["State"]["Status"] == "created"


def test_create_with_name_and_host_name(results: dict[str, Any]) -> None:
    docker = judge(results["docker inspect create by name"])
    assert docker["Name"] == "/web"
    assert docker["Config"]["Hostname"] == "web.example"


def test_start_with_all_ports_published(results: dict[str, Any]) -> None:
    assert results["publish"]["actions"] == ["created", "started"]
    bindings = results["publish"]["container"]["NetworkSettings"]["Ports"]["80/tcp"]
    ports = {line.rsplit(":", 1)[1] for line in results["docker port"]["stdout_lines"]}
    assert {one["HostPort"] for one in bindings} == ports


def test_running_containers(results: dict[str, Any]) -> None:
    assert sorted(one["Id"] for one in results["running"]["containers"]) == lines(results["docker ps"])
    assert len(results["running"]["containers"]) == 1


def test_all_containers(results: dict[str, Any]) -> None:
    assert sorted(one["Id"] for one in results["all"]["containers"]) == lines(results["docker ps all"])
    assert len(results["all"]["containers"]) == 3


def test_containers_that_match(results: dict[str, Any]) -> None:
    assert sorted(one["Id"] for one in results["those created"]["containers"]) == lines(results["docker ps created"])
    assert len(results["those created"]["containers"]) == 2


def test_start_by_id(results: dict[str, Any]) -> None:
    assert results["start by ID"]["actions"] == ["started"]
    assert judge(results["docker inspect started"])["State"]["Running"]


def test_details_by_name_and_id(results: dict[str, Any]) -> None:
    found = results["by name and ID"]
    assert [one["Id"] for one in found["containers"]] == [
        results["create by name"]["container"]["Id"],
        results["create"]["container"]["Id"],
    ]
    assert found["missing"] == ["nobody"]


def test_any_request(results: dict[str, Any]) -> None:
    assert results["any request"]["json"]["Name"] == "/published"
    assert "SizeRootFs" in results["any request"]["json"]
    assert results["wrong request"]["json"]["message"].endswith("nobody")
    assert results["wrong request"]["status"] == 404


def test_other_methods(results: dict[str, Any]) -> None:
    stat = json.loads(base64.b64decode(results["head"]["headers"]["x-docker-container-path-stat"]))
    assert stat["name"] == "bin"
    assert (results["head"]["text"], results["head"]["changed"]) == ("", False)
    assert results["post"]["status"] == 201
    assert lines(results["docker network ls after post"]) == [results["post"]["json"]["Id"]]
    assert (results["delete"]["status"], results["delete"]["changed"]) == (204, True)
    assert lines(results["docker network ls after delete"]) == []


def test_check_mode_of_any_request(results: dict[str, Any]) -> None:
    assert results["check get"]["json"]["Name"] == "/published"
    assert not results["check get"]["changed"]
    assert results["check post"]["changed"]
    assert results["check post"]["status"] == 200  # the first that would be accepted
    assert lines(results["docker network ls after check"]) == []


def test_version_out_of_range(results: dict[str, Any]) -> None:
    version = results["info"]["version"]
    known = f"(this engine speaks API versions {version['MinAPIVersion']} to {version['ApiVersion']})"
    assert "client version 1.11 is too old" in results["too old"]["msg"]
    assert known in results["too old"]["msg"]
    assert "client version 1.99 is too new" in results["too new"]["msg"]
    assert known in results["too new"]["msg"]


def test_stop_and_remove(results: dict[str, Any]) -> None:
    assert results["stop"]["actions"] == ["stopped"]
    assert not judge(results["docker inspect stopped"])["State"]["Running"]
    assert results["remove"]["actions"] == ["removed"]
    assert results["remove the one without a name"]["actions"] == ["stopped", "removed"]
    assert "container" not in results["remove"]
    assert lines(results["docker ps at the end"]) == []


def test_environment_and_contexts_of_the_docker_client(
    engines: dict[str, Host], pki: Pki, module_ansible: Ansible, tmp_path: Path
) -> None:
    """The docker client itself makes the context and chooses it; the module is then told nothing."""
    host = engines["bookworm"]
    host.sh("systemctl is-active docker.service")
    address, files = f"tcp://{host.address}:2376", pki.admin
    where = f"host={address},ca={files}/ca.pem,cert={files}/cert.pem,key={files}/key.pem"
    run("docker", "--config", tmp_path, "context", "create", "far", "--docker", where)
    run("docker", "--config", tmp_path, "context", "use", "far")
    surroundings = [
        {"DOCKER_CONFIG": str(tmp_path)},
        {"DOCKER_HOST": address, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(files)},
    ]
    tasks = [
        {**asked(f"info {number}", "engine_info"), "environment": environment, "delegate_to": "localhost"}
        for number, environment in enumerate(surroundings)
    ]
    done = module_ansible.playbook(play(tasks), [host])
    assert done.rc == 0, done.output
    assert [one["info"]["Name"] for one in named(done.of(host)).values()] == [host.name, host.name]
