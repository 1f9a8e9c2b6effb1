# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playing tasks on hosts that are directories of this machine, and watching what reaches them."""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.dockerfleet.remote_api.tests.integration.support import CHECKOUT, Ansible, Run

PASSPHRASE = "correct horse battery staple"
AUTHORITY = "dockerfleet.remote_api.certificate_authority"
CERTIFICATE = "dockerfleet.remote_api.certificate"

# Variables of a host that nobody could connect to.
ABSENT = {"ansible_connection": "ssh", "ansible_host": "192.0.2.1", "ansible_ssh_timeout": 1}

# Stands in for Python on a host: keeps each program that is sent there, then runs it.
INTERPRETER = """#!/bin/sh
cp "$1" "$(mktemp {sent}/XXXXXX)" && {environment} exec {python} "$@"
"""


# What a host answers where nothing is due.
SETTLED = {
    "changed": False, "due": False, "reasons": [], "managed": True, "restarted": False, "restart_due": False,
    "foreign_certificates": "",
}  # fmt: skip


@dataclass
class Stage:
    """A controller's directory with an authority, and hosts whose files lie in directories beside it."""

    path: Path
    ansible: Ansible
    python: str = sys.executable
    environment: str = ""

    @classmethod
    def new(cls, path: Path) -> Stage:
        """Return a stage in the directory."""
        tree = path / "collections/ansible_collections/dockerfleet"
        tree.mkdir(parents=True)
        (tree / "remote_api").symlink_to(CHECKOUT)
        (path / "run").mkdir()
        return cls(path, Ansible(path / "run", os.environ.get("ANSIBLE_COLLECTIONS_PATH", str(path / "collections"))))

    @property
    def pki(self) -> Path:
        """The authority's directory."""
        return self.path / "pki"

    def host(self, name: str = "web1") -> Path:
        """Return the directory of the host's files."""
        return self.path / "hosts" / name / "etc/docker"

    def play(
        self,
        *tasks: dict[str, Any],
        arguments: tuple[str, ...] = (),
        hosts: tuple[str, ...] = ("web1",),
        variables: Mapping[str, Any] | None = None,
        **play: Any,
    ) -> Run:
        """Play the tasks on the hosts, which have more variables; ``sent`` has what this run sends there."""
        sent = self.path / "sent"
        sent.mkdir(exist_ok=True)
        for file in sent.iterdir():
            file.unlink()
        interpreter = self.path / "interpreter"
        interpreter.write_text(
            INTERPRETER.format(sent=sent, environment=self.environment, python=self.python), encoding="utf-8"
        )
        interpreter.chmod(0o700)
        host = {"ansible_connection": "local", "ansible_python_interpreter": str(interpreter), **(variables or {})}
        return self.ansible.playbook(
            [{"hosts": "docker_hosts", "gather_facts": False, "tasks": list(tasks), **play}],
            (),
            *arguments,
            variables={"pki": str(self.pki), "secret": PASSPHRASE},
            host_variables={name: {**host, "directory": str(self.host(name))} for name in hosts},
        )

    @property
    def sent(self) -> list[bytes]:
        """Every program that the last run sent to a host: one for each round trip."""
        return [file.read_bytes() for file in (self.path / "sent").iterdir()]

    def files(self) -> dict[str, bytes]:
        """Return the bytes of all files of the authority and the hosts, by their relative paths."""
        return {
            str(file.relative_to(self.path)): file.read_bytes()
            for top in (self.pki, self.path / "hosts")
            for file in sorted(top.rglob("*"))
            if file.is_file()
        }


def settled(stage: Stage, **answer: Any) -> dict[str, str]:
    """Return variables of a host whose modules are not run: it answers each of them that nothing is due, or ``answer``.

    ``sent`` has what is sent to it, as with others.
    """
    (stage.path / "sent").mkdir(exist_ok=True)
    said = json.dumps({**SETTLED, **answer})
    program = stage.path / f"answer-{zlib.crc32(said.encode())}"  # hosts may have answers of their own
    keep = f'cp "$1" "$(mktemp {stage.path}/sent/XXXXXX)"'
    program.write_text(f"#!/bin/sh\n{keep}\ncat <<'END'\n{said}\nEND\n", encoding="utf-8")
    program.chmod(0o700)
    return {"ansible_connection": "local", "ansible_python_interpreter": str(program)}


def authority(**options: Any) -> dict[str, Any]:
    """Return the task that makes sure of the authority."""
    return {AUTHORITY: {"path": "{{ pki }}", "passphrase": "{{ secret }}", **options}, "run_once": True}


def server(keywords: Mapping[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """Return the task that makes sure of a server's certificate, with more keywords; an option of None is left out."""
    wanted = {
        "usage": "server",
        "names": ["{{ inventory_hostname }}.example.com", "localhost", "127.0.0.1"],
        "directory": "{{ directory }}",
        "ca_path": "{{ pki }}",
        "ca_passphrase": "{{ secret }}",
        **options,
    }
    return {CERTIFICATE: {name: value for name, value in wanted.items() if value is not None}, **(keywords or {})}
