# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection that starts no process: each module call gets a prepared answer, so that only the controller works."""

from __future__ import annotations

import json
import re
from typing import Any

from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: simulated
short_description: Answer module calls without a host
description: [Each module that C(ANSWERS) names gets its answer from there. Any other call fails.]
author: The dockerfleet maintainers
extends_documentation_fragment: [connection_pipelining]
"""

_UNCHANGED_CERTIFICATE = {
    "changed": False,
    "issued": False,
    "reasons": [],
    "not_after": "2036-01-01T00:00:00Z",
    "serial": "1f",
    "names": ["localhost", "127.0.0.1"],
    "fingerprint_sha256": "00" * 32,
}
_UNCHANGED_DAEMON = {
    "changed": False,
    "options": ["--host=tcp://0.0.0.0:2376", "--tlsverify"],
    "argv": ["/usr/bin/dockerd", "-H", "fd://", "--host=tcp://0.0.0.0:2376", "--tlsverify"],
    "options_file": "/etc/default/docker",
    "variable": "DOCKER_OPTS",
    "restarted": False,
    "restart_due": False,
    "restart_reasons": [],
    "containers_stopped": 0,
    "conflicts": [],
    "undone": [],
    "rolled_back": False,
}
# What each module returns on a host where nothing is due, by the last part of its name.
ANSWERS: dict[str, dict[str, Any]] = {
    "ping": {"changed": False, "ping": "pong"},
    "certificate": _UNCHANGED_CERTIFICATE,
    "daemon_options": _UNCHANGED_DAEMON,
    "remote_api": {
        **_UNCHANGED_CERTIFICATE,
        **_UNCHANGED_DAEMON,
        "due": False,
        "managed": True,
        "foreign_certificates": "",
    },
}

# In the script that Ansible pipes into Python, this is the first argument of the call at its end.
_MODULE_NAME = re.compile(rb"^ansible_module='([a-z0-9_.]+)',$", re.MULTILINE)


class Connection(ConnectionBase):
    """Answers the modules of ``ANSWERS``, and nothing else."""

    transport = "simulated"
    has_pipelining = True

    def _connect(self) -> Connection:
        """Return itself: there is nothing to connect to."""
        self._connected = True
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Return exit code, output and error output of a module call, which must come by pipelining.

        An unknown module is a failure with a message, so that a benchmark never measures a run that went wrong.
        """
        found = _MODULE_NAME.search(in_data or b"")
        name = found[1].decode().rpartition(".")[2] if found else None
        if name not in ANSWERS:
            return 1, b"", f"the simulated host has no answer for {name or cmd}".encode()
        return 0, json.dumps(ANSWERS[name]).encode(), b""

    def put_file(self, in_path: str, out_path: str) -> None:
        """Do nothing; no module needs a file."""

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Do nothing; no module makes a file."""

    def close(self) -> None:
        """Forget the connection."""
        self._connected = False
