# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A thousand hosts in one go: stand-ins on this machine, in a process of their own, and some that are dead."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.engine_support import Pki
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Ansible

# An engine on all addresses of this machine, or rather what an audit asks of one.
STAND_IN = """
import socket, ssl, sys, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1] + "/cert.pem", sys.argv[1] + "/key.pem")
context.load_verify_locations(sys.argv[1] + "/ca.pem")
context.verify_mode = ssl.CERT_REQUIRED
body = b'{"Version": "26.1.5", "ApiVersion": "1.45", "MinAPIVersion": "1.24"}'
def serve(sock):
    try:
        sock.settimeout(60)
        sock = context.wrap_socket(sock, server_side=True)
        while sock.recv(65536):
            sock.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
    except OSError:
        pass
    sock.close()
listener = socket.create_server(("0.0.0.0", 0), backlog=1024)
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki.make(tmp_path / "pki")


@pytest.fixture
def port(pki: Pki) -> Iterator[int]:
    """Give the port on which each address of this machine answers as an engine does."""
    folder = pki.issue("docker", "extendedKeyUsage = serverAuth\nsubjectAltName = DNS:docker\n")
    with subprocess.Popen([sys.executable, "-c", STAND_IN, folder], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield int(process.stdout.readline())
        process.kill()


def test_thousand_hosts(pki: Pki, port: int, ansible: Ansible) -> None:
    """Each is asked on three ports; one in ten is dead. Ansible makes one process for them all."""
    hosts = {}
    for number in range(1000):
        ports = [] if number % 10 == 9 else [f"tcp://0.0.0.0:{port}"]
        hosts[f"docker{number}"] = {
            "ansible_host": f"127.{10 + number // 200}.0.{1 + number % 200}",
            "docker_remote_api_listen": ports,
        }
    options = {
        "docker_remote_api_audit_cert_path": str(pki.admin),
        "docker_remote_api_audit_json": "audit.json",
        "docker_remote_api_audit_html": "audit.html",
    }
    start = time.monotonic()
    done = ansible.playbook(
        "dockerfleet.remote_api.audit", (), "-e", json.dumps(options), host_variables=hosts, timeout=600
    )
    assert done.rc == 0, done.output
    assert time.monotonic() - start < 400
    assert len(done.tasks) == 2  # the audit, and the failure that is skipped
    report = json.loads((ansible.directory / "audit.json").read_text())
    assert Counter(one["access"] for one in report["engines"]) == {"mutual_tls": 900, "closed": 100}
    assert {one["version"] for one in report["engines"] if one["access"] == "mutual_tls"} == {"26.1.5"}
    found = Counter(one["check"] for one in report["findings"])
    assert (found["name_missing"], found["not_reached"]) == (900, 100)
    assert len(done.stdout.splitlines()) < 3000
    assert (ansible.directory / "audit.html").stat().st_size < 4 * 2**20
