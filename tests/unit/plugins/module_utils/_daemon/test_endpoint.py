# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking whether the engine answers, and why the daemon has to be restarted: against real servers."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.endpoint import (
    presented_certificate,
    why_tcp_silent,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import Plan
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import ListenAddress
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.process import Process
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.restart import restart_reasons
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.tls_files import TlsFiles
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import ServiceState
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._daemon.fake_host import FakeHost

RUNNING = ServiceState("loaded", "active", "success", 7, 0, needs_reload=False, has_job=False)
OK = b"HTTP/1.0 200 OK\r\n\r\nOK"
Serve = Callable[..., ListenAddress]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pathlib.Path]:
    """Two certificates by openssl, ``one.pem`` and ``two.pem``, each in a file with its key."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("one", "two"):
        path = folder / f"{name}.pem"
        words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        made = ["-subj", f"/CN={name}", "-keyout", str(path), "-out", f"{path}.crt"]
        subprocess.run(["openssl", *words, *made], check=True, capture_output=True)
        path.write_bytes(path.read_bytes() + pathlib.Path(f"{path}.crt").read_bytes())
    return {name: folder / f"{name}.pem" for name in ("one", "two")}


def der(path: pathlib.Path) -> bytes:
    return subprocess.run(["openssl", "x509", "-in", path, "-outform", "DER"], check=True, capture_output=True).stdout


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server on a free port: it answers each connection with ``answer``, over TLS with a certificate's file."""
    listener = socket.create_server(("127.0.0.1", 0))

    def start(
        answer: bytes | None, pem: pathlib.Path | None = None, *, newest: ssl.TLSVersion | None = None
    ) -> ListenAddress:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if pem:
            context.load_cert_chain(pem)
            context.load_verify_locations(pem)
            context.verify_mode = ssl.CERT_REQUIRED
            context.maximum_version = newest or ssl.TLSVersion.MAXIMUM_SUPPORTED

        def answer_all() -> None:
            while True:
                try:
                    connection, _address = listener.accept()
                except OSError:
                    return
                try:
                    secured = context.wrap_socket(connection, server_side=True) if pem else connection
                    if answer is None:
                        time.sleep(1)
                    else:
                        secured.recv(1000)
                        secured.sendall(answer)
                    secured.close()
                except OSError:
                    connection.close()

        threading.Thread(target=answer_all, daemon=True).start()
        return ListenAddress("127.0.0.1", listener.getsockname()[1])

    yield start
    # Only a shutdown wakes the thread that waits for connections.
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_the_presented_certificate_is_seen_without_a_client_certificate(
    serve: Serve, files: dict[str, pathlib.Path]
) -> None:
    address = serve(OK, files["one"])
    assert presented_certificate(address, 5) == der(files["one"])
    assert why_tcp_silent(address, tls=True, certificate=der(files["one"]), timeout=5) is None
    assert why_tcp_silent(address, tls=True, certificate=None, timeout=5) is None
    said = why_tcp_silent(address, tls=True, certificate=der(files["two"]), timeout=5)
    assert said == "it presents another certificate than the one in its file"


def test_a_wildcard_is_asked_on_loopback(serve: Serve) -> None:
    address = dataclasses.replace(serve(OK), host="0.0.0.0")  # noqa: S104 - asked, never bound
    assert why_tcp_silent(address, tls=False, certificate=None, timeout=5) is None


def test_tls_1_2_with_a_client_certificate_demanded_is_an_answer(serve: Serve, files: dict[str, pathlib.Path]) -> None:
    address = serve(OK, files["one"], newest=ssl.TLSVersion.TLSv1_2)
    assert why_tcp_silent(address, tls=True, certificate=der(files["one"]), timeout=5) is None


@pytest.mark.parametrize(
    ("answer", "tls", "said"),
    [
        (OK, False, None),
        (b"HTTP/1.0 503 No\r\n\r\n", False, "it answers b'HTTP/1.0 503 No"),
        (b"SSH-2.0-x\r\n", False, "it answers b'SSH-2.0-x"),
        (b"", False, "it answers b''"),
        (None, False, "timed out"),
        (None, True, "timed out"),
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", True, "WRONG_VERSION_NUMBER|wrong version number|RECORD_LAYER"),
    ],
)
def test_what_is_no_engine_is_no_answer(serve: Serve, answer: bytes | None, tls: bool, said: str | None) -> None:
    found = why_tcp_silent(serve(answer), tls=tls, certificate=None, timeout=0.3)
    if said is None:
        assert found is None
    else:
        assert found
        assert any(part.lower() in found.lower() for part in said.split("|")), found


def test_a_closed_port_is_no_answer(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = ListenAddress("127.0.0.1", free.getsockname()[1])
    assert why_tcp_silent(address, tls=True, certificate=None, timeout=5) == "Connection refused"


class Served:
    """A plan for a daemon that started an hour ago, and its TLS files, which are two hours old."""

    def __init__(self, root: pathlib.Path, pem: pathlib.Path, address: ListenAddress) -> None:
        self.host = FakeHost(root)
        self.now = time.time_ns()
        self.paths = {name: root / name for name in ("ca.pem", "cert.pem", "key.pem")}
        for name, path in self.paths.items():
            path.write_bytes(pem.read_bytes())
            self.touch(name, hours=-2)
        plan = self.host.plan(words=f"--tlsverify --host=tcp://127.0.0.1:{address.port}")
        running = Process(7, ("/usr/bin/dockerd",), self.now - 3600 * 10**9)
        self.plan = dataclasses.replace(plan, running=running, tls=TlsFiles(*map(str, self.paths.values())))

    def touch(self, name: str, *, hours: float) -> None:
        """Set the file's time, in hours from now."""
        moment = self.now + int(hours * 3600 * 10**9)
        os.utime(self.paths[name], ns=(moment, moment))

    def reasons(self, plan: Plan | None = None) -> list[str]:
        return restart_reasons(plan or self.plan, RUNNING)


@pytest.fixture
def served(tmp_path: pathlib.Path, serve: Serve, files: dict[str, pathlib.Path]) -> Served:
    return Served(tmp_path, files["one"], serve(OK, files["one"]))


def test_a_daemon_that_serves_its_files_is_left_alone(served: Served) -> None:
    assert served.reasons() == []


def test_a_touched_certificate_that_is_served_is_no_reason(served: Served) -> None:
    served.touch("cert.pem", hours=-0.5)
    assert served.reasons() == []


@pytest.mark.parametrize("hours", [-2, -0.5, 2])
def test_a_certificate_that_is_not_served_is_a_reason_whatever_its_time(
    served: Served, files: dict[str, pathlib.Path], hours: float
) -> None:
    served.paths["cert.pem"].write_bytes(files["two"].read_bytes())
    served.touch("cert.pem", hours=hours)
    assert served.reasons() == [
        f"it presents another certificate than the one in {served.paths['cert.pem']}"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["ca.pem", "key.pem"])
def test_what_cannot_be_seen_is_judged_by_its_time(served: Served, name: str) -> None:
    served.touch(name, hours=-0.5)
    assert served.reasons() == [f"{served.paths[name]} is newer than the running daemon"]
    served.touch(name, hours=2)
    assert served.reasons() == [], "a time that is still to come would ask for a restart in every run"


def test_a_file_that_the_plan_replaces_is_a_reason_and_one_that_changes_its_mode_is_none(served: Served) -> None:
    path = served.paths["ca.pem"]
    replaced = dataclasses.replace(served.plan, changes=(served.host.change(path, b"new"),))
    assert served.reasons(replaced) == [f"{path} is replaced"]
    same = dataclasses.replace(served.plan, changes=(served.host.change(path, path.read_bytes(), 0o600),))
    assert served.reasons(same) == []


def test_without_an_answer_all_files_are_judged_by_their_times(tmp_path: pathlib.Path, serve: Serve) -> None:
    (tmp_path / "pem").write_bytes(b"")
    served = Served(tmp_path, tmp_path / "pem", serve(b"HTTP/1.0 400 Bad Request\r\n\r\n"))
    assert served.reasons() == []
    served.touch("cert.pem", hours=-0.5)
    assert served.reasons() == [f"{served.paths['cert.pem']} is newer than the running daemon"]


def test_other_arguments_and_a_stopped_service_are_reasons(served: Served) -> None:
    other = dataclasses.replace(served.plan, argv=("/usr/bin/dockerd", "--debug"))
    assert served.reasons(other) == ["it runs with other arguments"]
    stopped = dataclasses.replace(RUNNING, active="failed")
    assert restart_reasons(served.plan, stopped) == ["the service is not running (it is failed)"]
