# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab promises: fast, leaving nothing behind, starting after any mess, saying what is missing."""

from __future__ import annotations

from ansible_collections.dockerfleet.remote_api.tests.integration.support import Ansible, Lab


def test_ansible_reaches_a_host(lab: Lab, ansible: Ansible) -> None:
    host = lab.host("ping")
    plays = [{"hosts": "docker_hosts", "gather_facts": False, "tasks": [{"ping": {}}, {"command": "docker version"}]}]
    run = ansible.playbook(plays, [host])
    assert run.rc == 0, run.output
    assert run.result(host, "ping")["ping"] == "pong"
    assert run.changed(host) == 1
    assert host.exec("docker", "run", "--rm", host.make_image(), "echo", "hello").stdout == "hello\n"
    host.reboot()
    assert host.sh("hostname") == host.name
