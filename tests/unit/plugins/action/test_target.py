# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom the playbooks are for: a group that nobody has must not pass for a fleet in which all is well."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.support import CHECKOUT, Run
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.action.playing import ABSENT, PASSPHRASE, Stage

PLAYBOOKS = sorted(path.stem for path in Path(CHECKOUT, "playbooks").glob("[!_]*.yml"))


def run(stage: Stage, playbook: str, *words: str, inventory: str | None = None) -> Run:
    """Run the playbook for two hosts, the first with an address that Ansible cannot render."""
    hosts = {"web1": {**ABSENT, "ansible_host": "{{ my_facts.address }}"}, "web2": ABSENT}
    given = ("-e", "name=alice", "-e", "docker_remote_api_audit_fail_below_days=14")
    name = f"dockerfleet.remote_api.{playbook}"
    return stage.ansible.playbook(name, (), *given, *words, host_variables=hosts, inventory=inventory)


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_group_that_is_misspelt(stage: Stage, playbook: str) -> None:
    """Also with a limit, which takes the controller out of all plays, and where the first host is a bad one."""
    for words in ((), ("--limit", "web2"), ("-e", "phase=now")):
        done = run(stage, playbook, "-e", "target=dokcer_hosts", *words)
        (message,) = [one for host in ("web1", "web2") for one in done.messages(host)]
        assert message.startswith("target, dokcer_hosts: no host of the inventory matches it.")
        assert done.rc == 2


def test_inventory_without_the_group(stage: Stage) -> None:
    for inventory, host in (("web1,", "web1"), ("/dev/null", "localhost")):
        done = run(stage, "rotate_authority", "-e", "phase=now", inventory=inventory)
        assert done.messages(host)[0].startswith("target, docker_hosts: no host of the inventory matches it.")
        assert done.rc == 2


@pytest.mark.parametrize("target", ["web1:web2:!web1", '{"target": ["web2", "web3"]}', "~web[2]", "web2,web3"])
def test_patterns(stage: Stage, target: str) -> None:
    """What Ansible takes for hosts of a play goes on, here to what the playbook itself misses."""
    words = ("-e", target if target.startswith("{") else f"target={target}")
    done = run(stage, "client", *words, "-e", f"docker_remote_api_ca_passphrase='{PASSPHRASE}'")
    assert "there is no CA" in done.messages("web2")[0]
    assert set(done.recap) == {"web2"}


def test_hosts_that_a_play_before_has_added(stage: Stage) -> None:
    added = {"name": "web9", "groups": "found"}
    before = {"hosts": "localhost", "gather_facts": False, "tasks": [{"ansible.builtin.add_host": added}]}
    imported = {"import_playbook": "dockerfleet.remote_api.client", "vars": {"target": "found"}}
    done = stage.ansible.playbook([before, imported], host_variables={"web1": ABSENT})
    assert "there is no CA" in done.messages("web9")[0]
