# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Engines in the lab that listen on every transport, and what talks to them besides the modules under test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.dockerfleet.remote_api.tests.integration.support import Host, Lab, run

# Each engine that the lab has, by the suite that it comes from.
SUITES = {"bullseye": "20.10.5", "bookworm": "20.10.24", "trixie": "26.1.5", "forky": "28.5.2"}

TLS_OPTIONS = (
    "-H tcp://0.0.0.0:2376 --tlsverify --tlscacert=/etc/docker/ca.pem"
    " --tlscert=/etc/docker/server-cert.pem --tlskey=/etc/docker/server-key.pem"
)
PLAIN_OPTIONS = "-H tcp://127.0.0.1:2375"


@dataclass(frozen=True)
class Pki:
    """An authority made with openssl, as by hand, and what it issued."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, name: str = "Test CA") -> Pki:
        """Make an authority, and a client's directory below it."""
        folder.mkdir(parents=True)
        pki = cls(folder)
        pki._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ca-key.pem")
        pki._openssl(
            "req", "-new", "-x509", "-days", "9", "-key", "ca-key.pem", "-out", "ca.pem", "-subj", f"/CN={name}"
        )
        pki.issue("admin", "extendedKeyUsage = clientAuth\n")
        return pki

    @property
    def admin(self) -> Path:
        """The client's directory, with ca.pem, cert.pem and key.pem."""
        return self.folder / "admin"

    def encrypted_key(self, passphrase: str) -> str:
        """Return the CA's key, encrypted with the passphrase."""
        return run(
            "openssl", "pkcs8", "-topk8", "-in", self.folder / "ca-key.pem", "-passout", f"pass:{passphrase}"
        ).stdout

    def issue(self, name: str, extensions: str, days: int = 8) -> Path:
        """Return a new directory with ca.pem, cert.pem and key.pem."""
        target = self.folder / name
        target.mkdir()
        (target / "extensions").write_text(extensions)
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}/key.pem")
        self._openssl("req", "-new", "-key", f"{name}/key.pem", "-out", f"{name}/csr", "-subj", f"/CN={name}")
        self._openssl(
            *("x509", "-req", "-in", f"{name}/csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial"),
            *("-days", str(days), "-extfile", f"{name}/extensions", "-out", f"{name}/cert.pem"),
        )
        (target / "ca.pem").write_bytes((self.folder / "ca.pem").read_bytes())
        return target

    def _openssl(self, *words: str) -> None:
        """Run openssl in the folder."""
        run("openssl", *words, cwd=self.folder)


def listen(host: Host, options: str) -> None:
    """Have a host's engine (with Debian's unit) start with these options besides its own."""
    host.write("/etc/default/docker", f'DOCKER_OPTS="{options}"\n')
    host.sh("systemctl reset-failed docker.service docker.socket; systemctl restart docker.service")


def secure(host: Host, pki: Pki) -> None:
    """Have a host's engine listen on port 2376 with a certificate of the authority."""
    names = f"subjectAltName = DNS:{host.name}, DNS:localhost, IP:127.0.0.1, IP:{host.address}\n"
    folder = pki.issue(host.name, f"extendedKeyUsage = serverAuth\n{names}")
    for source, target in (("ca.pem", "ca.pem"), ("cert.pem", "server-cert.pem"), ("key.pem", "server-key.pem")):
        host.write(f"/etc/docker/{target}", (folder / source).read_text())
    listen(host, TLS_OPTIONS)


def boot(lab: Lab, prefix: str) -> dict[str, Host]:
    """Return a fresh host with each engine, by suite, each with a small image."""
    hosts = lab.hosts({f"{prefix}{suite}": (suite, "docker-io") for suite in SUITES})
    for host in hosts.values():
        host.make_image()
    return {host.suite: host for host in hosts.values()}


def play(tasks: list[dict[str, Any]], **settings: Any) -> list[dict[str, Any]]:
    """Return a playbook of one play, without facts."""
    return [{"hosts": "docker_hosts", "gather_facts": False, "tasks": tasks, **settings}]


def named(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the results of a host's tasks by the tasks' names."""
    return {one["task"]: one["result"] for one in results}
