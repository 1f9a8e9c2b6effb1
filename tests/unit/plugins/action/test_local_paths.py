# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Relative paths of modules that run on the controller begin at the playbook, wherever Ansible is started."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.action.playing import Stage
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._engine.test_modules import MODULES

LOCAL = {"ansible_connection": "local"}
CERTIFICATES = "here/$PART/pki"
TASKS: dict[str, dict[str, Any]] = {
    **MODULES,
    "verify": {"run_on": "host"},
    "docker_context": {"name": "prod"},
    "registry_info": {"image": "localhost:1/app"},
}


@pytest.mark.parametrize("module", TASKS)
def test_relative_paths_begin_at_the_playbook(stage: Stage, module: str) -> None:
    folder = stage.path / "elsewhere"
    folder.mkdir()
    options = {**TASKS[module], "ca_path" if module == "registry_info" else "cert_path": CERTIFICATES}
    if module != "registry_info":
        options["docker_host"] = "tcp://127.0.0.1:1"
    tasks = [{f"dockerfleet.remote_api.{module}": options}]
    (folder / "site.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    played = stage.ansible.playbook(str(folder / "site.yml"), host_variables={"web1": LOCAL}, env={"PART": "two"})
    (message,) = played.messages("web1")
    assert f"{folder}/here/two/pki" in message


def test_a_home_directory_is_that_of_the_user_the_module_runs_as(stage: Stage) -> None:
    home = stage.path / "home"
    task = {"dockerfleet.remote_api.engine_info": {"docker_host": "tcp://127.0.0.1:1", "cert_path": "~/none"}}
    played = stage.play(task, environment={"HOME": str(home)})
    (message,) = played.messages("web1")
    assert f"{home}/none" in message


@pytest.mark.parametrize("name", ["src", "dest"])
def test_a_relative_path_of_engine_api_begins_at_the_playbook(stage: Stage, name: str) -> None:
    played = stage.play(
        {"dockerfleet.remote_api.engine_api": {"path": "/info", "method": "POST", name: "none/file"}},
        variables={"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
    )
    (message,) = played.messages("web1")
    assert f"{stage.ansible.directory}/none" in message


@pytest.mark.parametrize("arguments", [(), ("--check",)], ids=["run", "check mode"])
def test_each_module_gets_its_own_defaults_although_they_share_an_action(
    stage: Stage, arguments: tuple[str, ...]
) -> None:
    """What is set for one module, or for the group, counts for that alone; paths in it begin at the playbook, too."""
    engine = {"docker_host": "tcp://127.0.0.1:1", "cert_path": "group/pki"}
    defaults = {
        "group/dockerfleet.remote_api.engine": engine,
        "dockerfleet.remote_api.engine_api": {**engine, "cert_path": "api/pki"},
        "dockerfleet.remote_api.container_info": {"cert_path": "info/pki"},
        "dockerfleet.remote_api.registry_info": {"ca_path": "registry/pki"},
        "dockerfleet.remote_api.docker_context": {**engine, "cert_path": "context/pki"},
    }
    named = {"engine_api": "api", "container_info": "info", "registry_info": "registry", "docker_context": "context"}
    tasks = [{f"dockerfleet.remote_api.{name}": options, "ignore_errors": True} for name, options in TASKS.items()]
    here = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    played = stage.play(*tasks, variables=here, arguments=arguments, module_defaults=defaults)
    for name, task in zip(TASKS, played.of("web1"), strict=True):
        assert f"{stage.ansible.directory}/{named.get(name, 'group')}/pki" in task["result"]["msg"], name
