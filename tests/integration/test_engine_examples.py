# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the documentation shows works as it stands, and module_defaults reaches each module of the action group."""

from __future__ import annotations

import ast
import base64
import json
import re
import shutil
import textwrap
from typing import Any

import pytest
import yaml
from ansible_collections.dockerfleet.remote_api.tests.integration.engine_support import (
    PLAIN_OPTIONS,
    Pki,
    listen,
    play,
    secure,
)
from ansible_collections.dockerfleet.remote_api.tests.integration.support import CHECKOUT, Ansible, Host, Lab
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._engine.test_modules import MODULES

# The modules of the action group, each with the least that it has to be told.
LEAST: dict[str, dict[str, Any]] = {**MODULES, "verify": {}}
# What the examples need on the host, besides an engine.
PREPARE = """
set -e
for name in busybox:latest nginx:1.27 registry.example.com/app:1.2 registry.example.com/app:stable; do
    docker tag lab/busybox:1 $name
done
docker rm -f web app >/dev/null 2>&1 || true
mkdir -p /var/backups
cd && echo FROM lab/busybox:1 > Dockerfile && tar -cf app.tar Dockerfile
"""
# What has no answer without a way to the internet, by the name of the task, with what the failure says instead.
UNREACHABLE = {
    "Search for images that people like": "the engine could not ask Docker Hub",
    "Show their names": "",
    "Run the newest image of a private registry": "image registry.example.com/app:stable",
}


def examples(module: str) -> list[dict[str, Any]]:
    """Return the tasks in a module's EXAMPLES."""
    tree = ast.parse((CHECKOUT / f"plugins/modules/{module}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "EXAMPLES":
            tasks: list[dict[str, Any]] = yaml.safe_load(ast.literal_eval(node.value))
            return tasks
    raise AssertionError(f"{module} has no EXAMPLES")


@pytest.fixture(scope="module")
def host(lab: Lab, module_ansible: Ansible) -> Host:
    """Return a host with TLS, and its client's certificate where the examples have it."""
    host = lab.host("examples", "trixie")
    host.make_image()
    made = Pki.make(module_ansible.directory / "made")
    secure(host, made)
    (module_ansible.directory / "pki/clients").mkdir(parents=True)
    (module_ansible.directory / "pki/ca.pem").write_bytes((made.folder / "ca.pem").read_bytes())
    (module_ansible.directory / "pki/ca-key.pem").write_text(made.encrypted_key("secret"))
    (module_ansible.directory / "pki/clients/admin").symlink_to(module_ansible.directory / "made/admin")
    return host


@pytest.mark.parametrize("module", sorted(set(LEAST) - {"container_info"}))
def test_examples(host: Host, module_ansible: Ansible, module: str) -> None:
    host.sh(PREPARE)
    tasks = examples(module)
    if module == "verify":
        *tasks, plain = tasks
        assert plain["dockerfleet.remote_api.verify"]["tls"] is False
    elif module == "engine_api":
        host.sh("docker run -d --name web busybox")
    assert tasks
    for task in tasks:
        if task["name"] in UNREACHABLE:
            task["ignore_errors"] = True
    plays = play(tasks, vars={"registry_password": "secret", "ca_passphrase": "secret"})
    if module == "engine_api":
        checked = module_ansible.playbook(plays, [host], "--check")
        assert checked.rc == 0, checked.output
    # Paths in the examples are relative to where Ansible is started.
    done = module_ansible.playbook(plays, [host])
    assert done.rc == 0, done.output
    assert len(done.of(host)) == len(tasks)
    for result in done.of(host):
        assert (result["status"] == "ok") is (result["task"] not in UNREACHABLE), json.dumps(result)
        assert UNREACHABLE.get(result["task"], "") in str(result["result"].get("msg", ""))


def snippets() -> dict[str, str]:
    """Return the texts of the documentation that ask an engine from the controller, by their file."""
    files = [CHECKOUT / "README.md", *(CHECKOUT / "docs/docsite/rst").glob("*.rst")]
    found = {}
    for file in files:
        for block in re.findall(
            r"```yaml\n(.*?)```|\.\. code-block:: yaml\n\n(.*?)\n(?=\S)", file.read_text(), re.DOTALL
        ):
            text = textwrap.dedent("".join(block))
            if "delegate_to: localhost" in text and "module_defaults" in text:
                found[file.name] = text
    assert len(found) == 2
    return found


@pytest.mark.parametrize("source", ["engine_info", *snippets()])
def test_delegated_task_asks_the_host_of_the_inventory(host: Host, module_ansible: Ansible, source: str) -> None:
    """The inventory has nothing but the host's address as its name; without care, the controller would be asked."""
    group = Lab.inventory([host.name])["docker_hosts"]
    variables = {**group["vars"], **group["hosts"][host.name]}
    del variables["ansible_host"]
    if source == "engine_info":
        plays = play(examples("engine_info"))
    else:
        plays = yaml.safe_load(snippets()[source])
        plays[0]["module_defaults"]["group/dockerfleet.remote_api.engine"]["cert_path"] = "pki/clients/admin"
    done = module_ansible.playbook(plays, [], variables=variables, host_variables={host.address: {}})
    assert done.rc == 0, done.output
    answers = [task["result"] for task in done.of(host.address) if task["action"].startswith("dockerfleet.")]
    assert answers
    for answer in answers:
        assert answer.get("info", {"Name": host.name})["Name"] == host.name


def test_files_of_the_controller_are_found_at_the_playbook(host: Host, module_ansible: Ansible) -> None:
    """On the host itself, where the playbook is not, the same task is refused."""
    folder = module_ansible.directory / "beside"
    (folder / "files").mkdir(parents=True)
    (folder / "files/admin").symlink_to(module_ansible.directory / "pki/clients/admin")
    shutil.copyfile(module_ansible.directory / "pki/ca.pem", folder / "files/ca.pem")
    saved = host.exec("sh", "-c", "docker save lab/busybox:1 | base64 -w0").stdout
    (folder / "files/image.tar").write_bytes(base64.b64decode(saved))
    at = {"docker_host": f"tcp://{host.address}:2376", "ca_path": "files/ca.pem", "cert_path": "files/admin"}
    load = {"path": "/images/load", "method": "POST", "src": "files/image.tar", "dest": "files/answer.json"}
    task = {"dockerfleet.remote_api.engine_api": {**at, **load}}
    (folder / "site.yml").write_text(json.dumps(play([{**task, "delegate_to": "localhost"}])))
    host.sh("docker rmi -f lab/busybox:1")
    done = module_ansible.playbook(str(folder / "site.yml"), [host])
    assert done.rc == 0, done.output
    assert "lab/busybox:1" in (folder / "files/answer.json").read_text()
    host.sh("docker image inspect lab/busybox:1")

    refused = module_ansible.playbook(play([task]), [host])
    (message,) = refused.messages(host)
    assert message.startswith("option src: files/image.tar is a relative path")
    assert host.name in message
    refused = module_ansible.playbook(play([{"dockerfleet.remote_api.engine_api": {**at, "path": "/info"}}]), [host])
    (message,) = refused.messages(host)
    assert message.startswith("option ca_path: files/ca.pem is a relative path")


def test_examples_of_container_info(host: Host, module_ansible: Ansible) -> None:
    """They are run twice, with a container of the name and without."""
    for prepare, shown in (("docker run -d --name web --label team=web busybox", "True"), ("", "there is none")):
        host.sh(PREPARE + prepare)
        done = module_ansible.playbook(play(examples("container_info")), [host])
        assert done.rc == 0, done.output
        assert str(done.of(host)[-1]["result"]["msg"]) == shown


def test_example_without_tls(host: Host, module_ansible: Ansible) -> None:
    """The last example of verify is for the plain variant."""
    listen(host, PLAIN_OPTIONS)
    done = module_ansible.playbook(play(examples("verify")[-1:]), [host])
    assert done.rc == 0, done.output
    checks = done.result(host, "dockerfleet.remote_api.verify")["checks"]
    assert [one["name"] for one in checks] == ["local_socket", "info", "same_engine", "engine_warnings"]


@pytest.mark.parametrize("check", [False, True], ids=["run", "check mode"])
@pytest.mark.parametrize("module", LEAST)
def test_module_defaults_reach_each_module(ansible: Ansible, module: str, check: bool) -> None:
    address = "tcp://127.0.0.1:1"
    task = {f"dockerfleet.remote_api.{module}": LEAST[module]}
    defaults = {"group/dockerfleet.remote_api.engine": {"docker_host": address, "timeout": 5}}
    playbook = [{"hosts": "localhost", "gather_facts": False, "module_defaults": defaults, "tasks": [task]}]
    done = ansible.playbook(playbook, [], *(["--check"] if check else []))
    assert done.rc == 2, done.output
    (message,) = done.messages("localhost")
    assert address in message
    assert "the connection was refused, so nothing listens there" in message
    assert "Traceback" not in done.output


def test_each_module_of_the_group_is_tested() -> None:
    runtime = yaml.safe_load((CHECKOUT / "meta/runtime.yml").read_text(encoding="utf-8"))
    assert sorted(runtime["action_groups"]["engine"]) == sorted(LEAST)
