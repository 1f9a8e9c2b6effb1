# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role in a play of its own, and the playbook, where hosts answer that nothing is due: who sees to the clients."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Run
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.action.playing import (
    ABSENT,
    PASSPHRASE,
    Stage,
    settled,
)
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._tls.tools import openssl

ROLE = "dockerfleet.remote_api.docker_remote_api"
SECURE = "dockerfleet.remote_api.secure"
HERE = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


def play(stage: Stage, hosts: dict[str, dict[str, Any]], *arguments: str, **keywords: Any) -> Run:
    """Run the role on hosts that answer by themselves, each with its variables. ``build`` is a machine besides them."""
    alone = [{"hosts": "docker_hosts:!build", "gather_facts": False, "roles": [{"role": ROLE}], **keywords}]
    return run(stage, alone, hosts, *arguments)


def run(stage: Stage, playbook: str | list[dict[str, Any]], hosts: dict[str, dict[str, Any]], *arguments: str) -> Run:
    """Run a playbook as play() does."""
    answering = {**settled(stage), "docker_remote_api_verify_from": "none"}
    return stage.ansible.playbook(
        playbook,
        (),
        *arguments,
        variables={"docker_remote_api_pki_dir": str(stage.pki), "docker_remote_api_ca_passphrase": PASSPHRASE},
        host_variables={**{name: {**answering, **more} for name, more in hosts.items()}, "build": HERE},
    )


def client(stage: Stage, name: str) -> dict[str, Any]:
    """Return variables of a host with a client on the other machine."""
    return {"docker_remote_api_clients": [{"name": name, "host": "build", "directory": str(folder(stage, name))}]}


def folder(stage: Stage, name: str) -> Path:
    """Return the folder of a client's files on the other machine."""
    return stage.path / "machine" / name


def is_client_of(pki: Path, files: Path) -> bool:
    """Return whether openssl accepts the client's certificate by the CA in a directory."""
    words = ("verify", "-x509_strict", "-CAfile", pki / "ca.pem", files / "cert.pem")
    return files.exists() and openssl(*words, check=False).endswith(": OK\n")


@pytest.mark.parametrize("serial", ["100%", 1])
def test_each_list_of_clients_is_seen_to(stage: Stage, serial: str | int) -> None:
    """Two groups share a CA and have clients of their own, a third has its own CA, and the first host has no TLS."""
    other = stage.path / "other"
    hosts = {
        "plain": {"docker_remote_api_tls": False},
        "web1": client(stage, "ci"),
        "web2": client(stage, "ci"),
        "db1": client(stage, "backup"),
        "lab1": {**client(stage, "student"), "docker_remote_api_pki_dir": str(other)},
    }
    done = play(stage, hosts, serial=serial)
    assert done.rc == 0, done.output
    for name, pki in (("ci", stage.pki), ("backup", stage.pki), ("student", other)):
        assert is_client_of(pki, folder(stage, name)), name
    again = play(stage, hosts, serial=serial)
    assert (again.rc, sum(again.changed(name) for name in hosts)) == (0, 0), again.output


def test_the_playbook_sees_to_each_list_of_clients(stage: Stage) -> None:
    other = stage.path / "other"
    hosts = {
        "plain": {"docker_remote_api_tls": False},
        "web1": client(stage, "ci"),
        "db1": client(stage, "backup"),
        "lab1": {**client(stage, "student"), "docker_remote_api_pki_dir": str(other)},
    }
    # become would need sudo, which not every machine has.
    done = run(stage, SECURE, hosts, "-e", "target=docker_hosts:!build", "-e", "ansible_become=false")
    assert done.rc == 0, done.output
    for name, pki in (("ci", stage.pki), ("backup", stage.pki), ("student", other)):
        assert is_client_of(pki, folder(stage, name)), name


def test_a_host_that_is_away_keeps_no_client_waiting(stage: Stage) -> None:
    done = play(stage, {"web1": client(stage, "ci"), "web2": {**client(stage, "ci"), **ABSENT}})
    assert done.rc == 4
    assert is_client_of(stage.pki, folder(stage, "ci"))


def test_nobody_else_is_become_on_the_controller(stage: Stage) -> None:
    """Although the inventory says so, for the hosts."""
    sudo, used = stage.path / "sudo", stage.path / "used"
    sudo.write_text(f"#!/bin/sh\ntouch {used}\nexit 1\n", encoding="utf-8")
    sudo.chmod(0o700)
    become = {"ansible_become": True, "ansible_become_user": "nobody", "ansible_become_exe": str(sudo)}
    play(stage, {"web1": become})
    assert used.exists(), "the stand-in for sudo was not called"
    used.unlink()
    (stage.ansible.directory / "group_vars").mkdir()
    (stage.ansible.directory / "group_vars/all.yml").write_text(json.dumps(become), encoding="utf-8")
    context = {"name": "production", "docker_host": "tcp://192.0.2.1:2376"}
    host = {"docker_remote_api_clients": [{"name": "admin", "context": context}], "ansible_become": False}
    config = stage.path / "docker"
    done = play(stage, {"web1": host}, environment={"DOCKER_CONFIG": str(config)})
    assert done.rc == 0, done.output
    assert not used.exists()
    assert list(config.glob("contexts/meta/*/meta.json"))


def test_hooks_cost_a_host_no_second_round_trip(stage: Stage) -> None:
    play(stage, {"web1": {}})
    for file in (stage.path / "sent").iterdir():
        file.unlink()
    hook = stage.ansible.directory / "hook.yml"
    hook.write_text("- ansible.builtin.fail: {msg: no restart is due}\n", encoding="utf-8")
    done = play(stage, {"web1": {"docker_remote_api_before_restart": str(hook)}})
    assert done.rc == 0, done.output
    assert len(stage.sent) == 1


def with_hooks(stage: Stage, before: list[dict[str, Any]]) -> Run:
    """Run the role on a host whose restart is due, with hooks: the first is these tasks, the second leaves a file."""
    after = [{"ansible.builtin.file": {"path": str(stage.path / "active"), "state": "touch"}, "delegate_to": "build"}]
    for name, tasks in {"before": before, "after": after}.items():
        (stage.ansible.directory / f"{name}.yml").write_text(json.dumps(tasks), encoding="utf-8")
    hooks = {"docker_remote_api_before_restart": "before.yml", "docker_remote_api_after_restart": "after.yml"}
    return play(stage, {"web1": {**hooks, **settled(stage, due=True, restarted=True)}})


def test_a_drained_node_becomes_active_although_the_connection_was_lost(stage: Stage) -> None:
    lost = with_hooks(stage, [{"ansible.builtin.set_fact": {**ABSENT, "ansible_host": "127.0.0.9", "ansible_port": 9}}])
    assert lost.rc == 2, lost.output
    assert (stage.path / "active").exists()
    (message,) = [text for text in lost.messages("web1") if "sees to the end of a change by itself" in text]
    assert "Failed to connect to the host via ssh" in message
    (stage.path / "active").unlink()
    done = with_hooks(stage, [])
    assert done.rc == 0, done.output
    assert (stage.path / "active").exists()


def test_a_hook_that_is_not_there_is_refused_before_the_other_one_runs(stage: Stage) -> None:
    drained = stage.path / "drained"
    hook = stage.ansible.directory / "drain.yml"
    task = {"ansible.builtin.file": {"path": str(drained), "state": "touch"}, "delegate_to": "build"}
    hook.write_text(json.dumps([task]), encoding="utf-8")
    hooks = {"docker_remote_api_before_restart": "drain.yml", "docker_remote_api_after_restart": "activat.yml"}
    host = {**hooks, **settled(stage, due=True, restarted=True)}
    for arguments in ((), ("--check",)):
        refused = play(stage, {"web1": host}, *arguments)
        assert refused.rc == 2, refused.output
        assert "activat.yml" in " ".join(refused.messages("web1"))
        assert not drained.exists()
        assert stage.sent == []
