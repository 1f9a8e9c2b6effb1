# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS as it is set up by hand on a Docker host, with openssl and DOCKER_OPTS, and a client that keeps calling it."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.dockerfleet.remote_api.tests.integration.support import CHECKOUT, Host, run

# The walk-through of docs/docsite/rst/guide_existing_docker.rst, with names in the server's certificate.
CERTIFICATES = """
umask 077
openssl genrsa -des3 -passout pass:by-hand -out ca-key.pem 2048
openssl req -new -x509 -days 365 -key ca-key.pem -passin pass:by-hand -sha256 -subj "/CN=CA made by hand" -out ca.pem
openssl genrsa -out server-key.pem 2048
openssl req -new -key server-key.pem -subj "/CN=$NAME" -out server.csr
printf 'subjectAltName = %s\\nextendedKeyUsage = serverAuth\\n' "$NAMES" > server.cnf
openssl x509 -req -days "$DAYS" -in server.csr -CA ca.pem -CAkey ca-key.pem -passin pass:by-hand -CAcreateserial \
    -extfile server.cnf -out server-cert.pem
openssl genrsa -out key.pem 2048
openssl req -new -key key.pem -subj "/CN=client" -out client.csr
printf 'extendedKeyUsage = clientAuth\\n' > client.cnf
openssl x509 -req -days 365 -in client.csr -CA ca.pem -CAkey ca-key.pem -passin pass:by-hand -CAcreateserial \
    -extfile client.cnf -out cert.pem
"""
OPTIONS = (
    'DOCKER_OPTS="-H tcp://0.0.0.0:2376 --tlsverify --tlscacert={0}/ca.pem'
    ' --tlscert={0}/server-cert.pem --tlskey={0}/server-key.pem"\n'
)
UNIT = "[Service]\nEnvironmentFile=/etc/default/docker\nExecStart=\nExecStart={0} -H fd:// $DOCKER_OPTS\n"


def make_certificates(directory: Path, name: str, names: str, days: int = 90) -> Path:
    """Make a CA, a server's and a client's certificate in the directory, and return it: a DOCKER_CERT_PATH."""
    directory.mkdir(mode=0o700)
    settings = f"NAME={name}\nNAMES={names}\nDAYS={days}\n"
    run("sh", "-euc", settings + CERTIFICATES, cwd=directory)
    return directory


def issue_server(directory: Path, name: str, names: str, *dates: str) -> str:
    """Have the CA in the directory issue another certificate for the server's key, and return it."""
    extensions = directory / "again.cnf"
    extensions.write_text(f"subjectAltName = {names}\nextendedKeyUsage = serverAuth\n", encoding="ascii")
    subject = ("-new", "-key", directory / "server-key.pem", "-subj", f"/CN={name}", "-out", directory / "again.csr")
    run("openssl", "req", *subject)
    authority = ("-CA", directory / "ca.pem", "-CAkey", directory / "ca-key.pem", "-passin", "pass:by-hand")
    request = ("-req", "-in", directory / "again.csr", "-CAcreateserial", "-extfile", extensions)
    return run("openssl", "x509", *request, *authority, *dates).stdout


def install(host: Host, source: Path, directory: str = "/etc/docker") -> None:
    """Put the server's files on the host, set DOCKER_OPTS, have the unit read them, and restart the daemon."""
    for name in ("ca.pem", "server-cert.pem", "server-key.pem"):
        host.write(f"{directory}/{name}", (source / name).read_text(encoding="ascii"))
    host.sh(f"chmod 0600 {directory}/server-key.pem")
    host.write("/etc/default/docker", OPTIONS.format(directory))
    if host.variant == "docker-ce":
        host.write("/etc/systemd/system/docker.service.d/by-hand.conf", UNIT.format("/usr/bin/dockerd"))
    host.sh("systemctl daemon-reload && systemctl reset-failed docker.service && service docker restart")


def docker(host: Host, client: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the docker client with the files of a client."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    environment = {**kept, "DOCKER_CERT_PATH": str(client), "NO_PROXY": host.address}
    command = ("docker", "-H", f"tcp://{host.address}:2376", "--tlsverify", *words)
    return run(*command, check=False, env=environment, timeout=30)


def curl(host: Host, client: Path, path: str = "_ping", *, ca: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Call the host's API with curl and the files of a client."""
    files = ("--cacert", ca or client / "ca.pem", "--cert", client / "cert.pem", "--key", client / "key.pem")
    url = f"https://{host.address}:2376/{path}"
    return run("curl", "-sS", "-m", "5", "--noproxy", "*", *files, url, check=False)


def served(host: Host) -> str:
    """Return the fingerprint of the certificate that openssl is shown."""
    shown = run("openssl", "s_client", "-connect", f"{host.address}:2376", stdin="", check=False).stdout
    return fingerprint(shown)


def fingerprint(pem: str) -> str:
    """Return the SHA-256 fingerprint of the first certificate in the text."""
    said = run("openssl", "x509", "-noout", "-fingerprint", "-sha256", stdin=pem).stdout
    return said.strip().partition("=")[2]


@dataclass
class Caller:
    """A client that calls a host all the time, and what it got: when, and why not if it was refused."""

    host: Host
    client: Path
    pause: float = 0.05
    answers: int = 0
    refusals: list[tuple[float, str]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Caller:
        """Begin to call."""
        self._thread = threading.Thread(target=self._call)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Call no more."""
        self._stop.set()
        self._thread.join()

    def _call(self) -> None:
        """Call until told to stop."""
        while not self._stop.is_set():
            began = time.time()
            if why := self._ask():
                self.refusals.append((began, why))
            else:
                self.answers += 1
            self._stop.wait(self.pause)

    def _ask(self) -> str:
        """Call once; return why there was no answer, empty if there was."""
        done = curl(self.host, self.client)
        return "" if done.stdout == "OK" else done.stderr.strip() or done.stdout

    @property
    def turned_away(self) -> list[str]:
        """What was no mere lack of a daemon during its restart: TLS errors, on either side.

        A connection that the ending daemon cuts in its handshake is no alert: OpenSSL calls it SYSCALL or an EOF. One
        that it cuts before that has no peer any more.
        """
        down = ["Connection refused", "reset by peer", "Empty reply", "Couldn't connect", "Failed to connect"]
        down += ["SSL_ERROR_SYSCALL", "unexpected eof", "timed out", "EOF", "Cannot connect", "Connection aborted"]
        down += ["getpeername() failed"]
        return [why for _when, why in self.refusals if not any(word in why for word in down)]


@dataclass
class DockerCaller(Caller):
    """The docker client, which calls a host all the time."""

    pause: float = 0.5

    def _ask(self) -> str:
        """Call once; return why there was no answer, empty if there was."""
        done = docker(self.host, self.client, "version", "--format", "{{.Server.Version}}")
        return "" if done.returncode == 0 else done.stderr.strip() or "no answer"


# Reads a line for each call, and prints a line for each: empty, or why there was no answer.
PYTHON_CALLS = """
import sys, docker
host, path = sys.argv[1:]
for _line in sys.stdin:
    why = ""
    try:
        pair = (path + "/cert.pem", path + "/key.pem")
        tls = docker.tls.TLSConfig(client_cert=pair, ca_cert=path + "/ca.pem", verify=True)
        client = docker.DockerClient(base_url=f"tcp://{host}:2376", tls=tls, timeout=10)
        client.ping()
        client.close()
    except Exception as problem:
        why = repr(problem)
    print(why, flush=True)
"""


@dataclass
class PythonCaller(Caller):
    """Docker's library for Python, which calls a host all the time."""

    pause: float = 0.5

    def _call(self) -> None:
        """Call until told to stop."""
        words = ("peers", "python", "-c", PYTHON_CALLS, self.host.address, str(self.client))
        command = [str(CHECKOUT / "tests/tools/with"), *words]
        # requests would take the bundle of CAs of its environment instead of ours.
        others = ("DOCKER_", "PYTHON", "REQUESTS_", "CURL_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        environment = {**kept, "NO_PROXY": self.host.address}
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        ) as self._process:
            super()._call()

    def _ask(self) -> str:
        """Call once; return why there was no answer, empty if there was."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer: str = self._process.stdout.readline()
        return answer.strip()
