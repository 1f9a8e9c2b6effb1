# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ansible-playbook in forks of a process that has loaded Ansible already.

Most of what a short run takes is the loading of Ansible, its configuration and the modules it packs for hosts. The
tests have hundreds of short runs, so they keep one such process for each set of environment variables.
Each connection is one run: a line with a JSON object of ``arguments``, ``directory`` and ``environment``, along with
the descriptors of its output and its error output; the answer is its exit code. It ends when its standard input does.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import traceback
from typing import Any

from ansible.cli.playbook import PlaybookCLI

PIECE_BYTES = 1 << 16


def run_playbook(request: dict[str, Any], output: int, errors: int) -> int:
    """Do in this process what the program ansible-playbook does, and return its exit code."""
    for descriptor, target in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (errors, 2)):
        os.dup2(descriptor, target)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["arguments"]
    try:
        PlaybookCLI.cli_executor(request["arguments"])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return a request and its descriptors. It may come in pieces, of which the first has the descriptors."""
    content, descriptors, _flags, _address = socket.recv_fds(connection, PIECE_BYTES, 2)
    while not content.endswith(b"\n"):
        piece = connection.recv(PIECE_BYTES)
        if not piece:
            raise EOFError("the connection ended within a request")
        content += piece
    return json.loads(content), descriptors


def serve_one(connection: socket.socket) -> None:
    """Run a playbook in a process of its own and answer with its exit code, negative if a signal ended it."""
    request, descriptors = receive(connection)
    pid = os.fork()
    if not pid:
        code = 1
        try:
            code = run_playbook(request, *descriptors)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            # Without Python's own end: it would remove the temporary folder, which is that of all runs.
            os._exit(code)
    connection.send(json.dumps({"pid": pid}).encode() + b"\n")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    connection.send(json.dumps({"code": code}).encode() + b"\n")


def serve(listener: socket.socket) -> None:
    """Serve each connection in a process of its own until standard input ends."""
    waited_for: list[Any] = [listener, 0]
    while True:
        ready, _writable, _failed = select.select(waited_for, [], [])
        if 0 in ready:
            return
        connection, _address = listener.accept()
        if not os.fork():
            # The one that serves is a grandchild: nobody here has to wait for it.
            if not os.fork():
                listener.close()
                serve_one(connection)
            os._exit(0)
        os.wait()
        connection.close()


if __name__ == "__main__":
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(sys.argv[1])
        server.listen(64)
        print("ready", flush=True)
        serve(server)
