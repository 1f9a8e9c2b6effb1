# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller that is no Linux machine: what runs there needs nothing that macOS and the BSDs do not have."""

from __future__ import annotations

import http.server
import json
import os
import pathlib
import ssl
import subprocess
import threading

import pytest
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins import other_unix
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.action.playing import PASSPHRASE, Stage

REMOTE_API = "dockerfleet.remote_api.remote_api"
VERIFY = "dockerfleet.remote_api.verify"
AUDIT = "dockerfleet.remote_api.audit"
# Nothing else listens there.
ADDRESS = "127.8.9.1"
# A host's half that answers as the module does: with a CSR, and after the certificate was sent, with what was done.
HOST = """#!/bin/sh
cat '{folder}'/answer-"$(ls '{folder}' | grep -c '^answer-')"
rm -f '{folder}/answer-2'
"""
ANSWERS = {"ApiVersion": "1.45", "Version": "26.1.5", "ServerVersion": "26.1.5", "Name": "docker1", "ID": "one"}


class Engine(http.server.BaseHTTPRequestHandler):
    """Answers as an engine does, as far as verify and audit ask."""

    def do_GET(self) -> None:
        body = json.dumps(ANSWERS).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Keep quiet."""


@pytest.fixture
def controller(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Give a stage whose Ansible runs as on another Unix."""
    folder = stage.path / "site"
    folder.mkdir()
    source = pathlib.Path(other_unix.__file__).read_text(encoding="utf-8")
    (folder / "sitecustomize.py").write_text(f"{source}\n\nbecome(Lasting())\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")])))
    return stage


@pytest.fixture
def key(stage: Stage) -> pathlib.Path:
    """Give the private key of a host that waits for its certificate."""
    path = stage.path / "server-key.pem"
    words = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=web1"]
    command = ["openssl", *words, "-keyout", str(path)]
    csr = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    first = {"changed": False, "managed": True, "reasons": ["the certificate is missing"], "csr": csr}
    second = {"changed": True, "managed": True, "reasons": [], "restart_due": False}
    for number, answer in ((2, first), (1, second)):
        (stage.path / f"answer-{number}").write_text(json.dumps(answer), encoding="utf-8")
    return path


def serve(certificate: pathlib.Path, key: pathlib.Path, ca: pathlib.Path) -> http.server.ThreadingHTTPServer:
    """Start an engine that lets in the CA's clients alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    server = http.server.ThreadingHTTPServer((ADDRESS, 0), Engine)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@pytest.fixture
def host(stage: Stage) -> dict[str, str]:
    """Give the variables of a host that answers as the module does."""
    interpreter = stage.path / "host"
    interpreter.write_text(HOST.format(folder=stage.path), encoding="utf-8")
    interpreter.chmod(0o700)
    return {"ansible_host": ADDRESS, "ansible_python_interpreter": str(interpreter)}


def test_what_only_linux_has_is_not_needed(controller: Stage, key: pathlib.Path, host: dict[str, str]) -> None:
    """remote_api makes a CA and a client, and signs; verify and audit let the CA issue a client for them."""
    ca = {"ca_path": "{{ pki }}", "ca_passphrase": "{{ secret }}"}
    made = controller.play({REMOTE_API: {**ca, "clients": [{"name": "admin"}]}}, variables=host)
    assert made.result("web1", REMOTE_API)["changed"], made.output
    issued = [path for path in (controller.pki / "issued").iterdir() if ADDRESS in described(path)]
    (certificate,) = issued
    admin = controller.pki / "clients/admin"
    for path in (certificate, admin / "cert.pem"):
        verified = subprocess.run(["openssl", "verify", "-CAfile", controller.pki / "ca.pem", path], check=False)
        assert verified.returncode == 0
    server = serve(certificate, key, controller.pki / "ca.pem")
    try:
        port = server.server_address[1]
        tasks = (
            {VERIFY: {**ca, "port": port}},
            {AUDIT: {**ca, "hosts": ["web1"], "timeout": 5, "formats": {"json": str(controller.path / "audit.json")}}},
        )
        done = controller.play(*tasks, variables={**host, "docker_remote_api_listen": [f"tcp://0.0.0.0:{port}"]})
    finally:
        server.shutdown()
        server.server_close()
    assert done.rc == 0, done.output
    checks = done.result("web1", VERIFY)["checks"]
    assert [check["name"] for check in checks if not check["ok"]] == []
    assert {"info", "anonymous_refused", "foreign_certificate_refused"} <= {check["name"] for check in checks}
    report = json.loads((controller.path / "audit.json").read_text(encoding="utf-8"))
    (engine,) = report["engines"]
    assert (engine["access"], engine["version"]) == ("mutual_tls", ANSWERS["ServerVersion"])
    assert PASSPHRASE not in done.output


def described(certificate: pathlib.Path) -> str:
    """Return what openssl says of the names in a certificate."""
    words = ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", str(certificate)]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout
