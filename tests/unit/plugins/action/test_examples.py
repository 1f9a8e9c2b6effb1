# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation shows for asking engines from the controller, for hosts with an IPv6 address."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import yaml
from ansible_collections.dockerfleet.remote_api.tests.integration.support import CHECKOUT
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.action.playing import Stage

SOURCES = [
    *(CHECKOUT / name for name in ("README.md", "examples/use.yml")),
    *sorted((CHECKOUT / "docs/docsite/rst").glob("*.rst")),
    *sorted((CHECKOUT / "plugins/modules").glob("*.py")),
]


def addresses() -> list[tuple[str, dict[str, Any]]]:
    """Return the engines' addresses as templates, each with its file and the variables that are set beside it."""
    found = []
    # A task or a play begins with its name, and ends at the next one or at a line that is no YAML of it.
    example = re.compile(r"^ *- name: .*\n(?:(?! *- name: )(?: +.*)?\n)*", re.MULTILINE)
    for source in SOURCES:
        for text in example.findall(source.read_text(encoding="utf-8")):
            if "ansible_host" not in text:
                continue
            (one,) = yaml.safe_load(textwrap.dedent(text.partition("\n\n")[0]).partition("  tasks:")[0])
            options = next(value for key, value in one.items() if "dockerfleet" in key or key == "module_defaults")
            options = options.get("group/dockerfleet.remote_api.engine", options)
            found.append((source.name, {"engine": options["docker_host"], **one.get("vars", {})}))
    return found


def test_addresses_of_engines(stage: Stage) -> None:
    known = addresses()
    assert [name for name, _variables in known] == [
        "README.md", "use.yml", "guide_secure.rst", "guide_secure.rst", "docker_context.py", "engine_info.py",
    ]  # fmt: skip
    show = {"ansible.builtin.debug": {"msg": "{{ engine }}"}, "delegate_to": "localhost"}
    tasks = [{**show, "vars": variables} for _name, variables in known]
    play = {"hosts": "docker_hosts", "gather_facts": False, "tasks": tasks}
    hosts = {"web1": {"ansible_host": "2001:db8::1"}, "web2": {"ansible_host": "192.0.2.1"}, "web3.example.com": {}}
    done = stage.ansible.playbook([play], host_variables=hosts)
    assert done.rc == 0, done.output
    for host, address in (("web1", "[2001:db8::1]"), ("web2", "192.0.2.1"), ("web3.example.com", "web3.example.com")):
        assert {one["result"]["msg"] for one in done.of(host)} == {f"tcp://{address}:2376"}
