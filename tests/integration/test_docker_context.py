# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docker_context, judged by the docker clients of all engines in the lab."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.engine_support import Pki, named, play, secure
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Ansible, Host, Lab, Run

SUITES = ("bullseye", "bookworm", "trixie", "forky")
FILES = "/etc/client"
LIST = "docker context ls --format '{{ '{{.Name}} {{.Current}} {{.DockerEndpoint}}' }}'"
NAME = "docker info --format '{{ '{{.Name}}' }}'"
MODES = "find /root/.docker -mindepth 1 -printf '%m %y %P\\n'"
DEFAULT = "unix:///var/run/docker.sock"


@pytest.fixture(scope="module")
def hosts(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Host]:
    """Return hosts whose engines let in a client whose files lie on them."""
    hosts = lab.hosts({f"context{suite}": (suite, "docker-io") for suite in SUITES})
    pki = Pki.make(tmp_path_factory.mktemp("context") / "pki", "Context CA")
    for host in hosts.values():
        secure(host, pki)
        for name in ("ca.pem", "cert.pem", "key.pem"):
            host.write(f"{FILES}/{name}", (pki.admin / name).read_text())
    return {host.suite: host for host in hosts.values()}


def context(title: str, name: str, **options: Any) -> dict[str, Any]:
    task = {"docker_host": "tcp://{{ ansible_host }}:2376", "cert_path": FILES, "name": name, **options}
    return {"name": title, "dockerfleet.remote_api.docker_context": task, "ignore_errors": True}


def shell(title: str, script: str) -> dict[str, Any]:
    return {"name": title, "ansible.builtin.shell": script, "changed_when": False}


STORY = [
    {**context("check", "web", current=True), "check_mode": True},
    shell("nothing yet", "ls -A /root/.docker 2>&1 || true"),
    context("new", "web", current=True),
    shell("modes", MODES),
    context("again", "web", current=True),
    shell("list", LIST),
    shell("inspect", "docker context inspect web"),
    shell("asked by the client", NAME),
    {"name": "asked by a module", "dockerfleet.remote_api.engine_info": {}},
    shell(
        "made by the client",
        "docker context create made --description theirs"
        f" --docker host=tcp://{{{{ ansible_host }}}}:2376,ca={FILES}/ca.pem,cert={FILES}/cert.pem,key={FILES}/key.pem",
    ),
    context("same as the client's", "made"),
    context("other than the client's", "made", docker_host="tcp://localhost"),
    shell("inspect other", "docker context inspect made"),
    shell("asked by name", f"docker --context made {NAME.removeprefix('docker ')}"),
    shell("use theirs", "docker context use made"),
    context("not current", "web", current=False),
    context("remove the current one", "made", state="absent"),
    shell("list without it", LIST),
    shell("config without it", "cat /root/.docker/config.json"),
    context("socket", "socket", docker_host=DEFAULT, cert_path=None, current=True),
    shell("use ours", f"docker context use web && {NAME}"),
    shell("export", "docker context export web /root/web.tar && docker context import copy /root/web.tar"),
    shell("asked by the copy", f"docker --context copy {NAME.removeprefix('docker ')}"),
    shell("remove by the client", "docker context rm --force web copy socket; find /root/.docker/contexts -type f"),
    context("nothing to remove", "web", state="absent"),
    {**context("elsewhere", "web", current=True), "environment": {"DOCKER_CONFIG": "/srv/docker"}},
    shell("list elsewhere", f"DOCKER_CONFIG=/srv/docker {LIST}"),
    shell("list at home", LIST),
    context("default", "default"),
]


@pytest.fixture(scope="module")
def done(hosts: dict[str, Host], module_ansible: Ansible) -> Run:
    done = module_ansible.playbook(play(STORY), hosts.values(), "-vvv", "--diff")
    assert done.rc == 0, done.output
    assert "Traceback" not in done.output
    return done


@pytest.fixture(params=SUITES)
def host(request: pytest.FixtureRequest, hosts: dict[str, Host]) -> Host:
    return hosts[request.param]


@pytest.fixture
def told(host: Host, done: Run) -> dict[str, Any]:
    return named(done.of(host))


def listed(result: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return what the client lists: name -> whether it is current, and the address."""
    return {name: (current, address) for name, current, address in map(str.split, result["stdout_lines"])}


def test_check_mode_writes_nothing(told: dict[str, Any]) -> None:
    assert told["check"]["changed"]
    assert "config.json" not in told["nothing yet"]["stdout"]
    assert "contexts" not in told["nothing yet"]["stdout"]


def test_client_uses_the_context(told: dict[str, Any], host: Host) -> None:
    address = f"tcp://{host.address}:2376"
    assert told["new"]["changed"]
    assert not told["again"]["changed"]
    assert listed(told["list"]) == {"default": ("false", DEFAULT), "web": ("true", address)}
    (inspected,) = json.loads(told["inspect"]["stdout"])
    assert inspected["Endpoints"]["docker"] == {"Host": address, "SkipTLSVerify": False}
    assert sorted(inspected["TLSMaterial"]["docker"]) == ["ca.pem", "cert.pem", "key.pem"]
    assert told["asked by the client"]["stdout"] == host.sh("hostname")
    assert told["asked by a module"]["info"]["Name"] == host.sh("hostname")
    assert told["use ours"]["stdout_lines"][-1] == host.sh("hostname")


def test_modes(told: dict[str, Any]) -> None:
    found = [line.split(" ") for line in told["modes"]["stdout_lines"]]
    assert {mode for mode, kind, path in found if kind == "d" and path.startswith("contexts/")} == {"700"}
    files = {path.rpartition("/")[2]: mode for mode, kind, path in found if kind == "f"}
    assert files == dict.fromkeys(("config.json", "meta.json", "ca.pem", "cert.pem", "key.pem"), "600")


def test_context_of_the_client(told: dict[str, Any], host: Host) -> None:
    assert not told["same as the client's"]["changed"]
    (diff,) = told["other than the client's"]["diff"]
    assert f"tcp://{host.address}:2376" in diff["before"]
    (inspected,) = json.loads(told["inspect other"]["stdout"])
    assert inspected["Metadata"] == {"Description": "theirs"}
    assert inspected["Endpoints"]["docker"]["Host"] == "tcp://localhost:2376"
    assert told["asked by name"]["stdout"] == host.sh("hostname")


def test_removal(told: dict[str, Any], host: Host) -> None:
    assert not told["not current"]["changed"]
    assert told["remove the current one"]["changed"]
    assert listed(told["list without it"]) == {
        "default": ("true", DEFAULT),
        "web": ("false", f"tcp://{host.address}:2376"),
    }
    assert "currentContext" not in json.loads(told["config without it"]["stdout"])
    assert not told["nothing to remove"]["changed"]


def test_client_exports_and_removes_the_context(told: dict[str, Any], host: Host) -> None:
    assert told["asked by the copy"]["stdout"] == host.sh("hostname")
    assert set(told["remove by the client"]["stdout_lines"]) == {"web", "copy", "socket"}


def test_client_directory_of_the_environment(told: dict[str, Any], host: Host) -> None:
    assert listed(told["list elsewhere"])["web"] == ("true", f"tcp://{host.address}:2376")
    assert list(listed(told["list at home"])) == ["default"]


def test_default_is_refused(told: dict[str, Any]) -> None:
    assert told["default"]["msg"].startswith("option name: 'default' is not a name that a docker context can have.")


def test_no_key_is_shown(done: Run, host: Host) -> None:
    key = host.read(f"{FILES}/key.pem").splitlines()
    assert "PRIVATE KEY" not in done.output
    assert not any(line in done.output for line in key)
    assert "a private key, mode 0600" in done.output
