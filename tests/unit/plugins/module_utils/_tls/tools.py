# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of certificates work with: the openssl program as the judge, and authorities of all kinds."""

from __future__ import annotations

import dataclasses
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import (
    certificates,
    deployment,
    keys,
    profiles,
    signing_request,
    store,
)
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority
from cryptography import x509

PASSPHRASE = "correct horse battery staple"
SETTINGS = _authority.AuthoritySpec("Docker Remote API CA", 3650, "ecdsa_p256")
# A while ahead, so that what openssl signs during a test is valid by then.
NOW = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
NAMES = ("web1.example.com", "192.0.2.1", "2001:db8::1")
PROFILE = profiles.Profile("server", "web1.example.com", NAMES, "ecdsa_p256")


def openssl(*arguments: str | Path, stdin: str | None = None, check: bool = True) -> str:
    """Run openssl and return its output and errors; with check, a failure raises an error that shows them."""
    words = ["openssl", *(str(one) for one in arguments)]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False, timeout=60)
    if check and done.returncode != 0:
        raise AssertionError(f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout + done.stderr


def make_authority(path: Path, spec: _authority.AuthoritySpec = SETTINGS, now: datetime = NOW) -> _authority.Authority:
    """Make an authority in the directory and return it, opened."""
    made = _authority.ensure(str(path), PASSPHRASE, spec, now, check_mode=False)
    assert made.changed
    assert made.authority is not None
    return made.authority


def make_authority_by_hand(path: Path, *, days: int = 365, cipher: str = "-des3") -> None:
    """Make an authority as it is done by hand, with openssl (the key in its traditional form)."""
    path.mkdir(mode=0o700)
    secret = path.parent / "by-hand.txt"
    secret.write_text(PASSPHRASE, encoding="utf-8")
    openssl("genrsa", cipher, "-traditional", "-passout", f"file:{secret}", "-out", path / "ca-key.pem", "2048")
    openssl(
        "req", "-new", "-x509", "-days", str(days), "-key", path / "ca-key.pem", "-passin", f"file:{secret}",
        "-subj", "/C=XX/O=Example/CN=By hand", "-out", path / "ca.pem",
    )  # fmt: skip


def sign(authority: _authority.Authority, csr: str, wanted: profiles.Profile, days: int = 365) -> str:
    """Have the authority sign the request; return the certificate (PEM)."""
    key = signing_request.public_key(csr, wanted.key_type, "host")
    return certificates.to_pem([_authority.issue(authority, key, wanted, timedelta(days=days), NOW)])


@dataclasses.dataclass
class Machine:
    """A directory as the machine that uses a certificate, and the authority that signs for it."""

    directory: Path
    authority: _authority.Authority
    spec: deployment.CertificateSpec

    @classmethod
    def new(cls, directory: Path, authority: _authority.Authority) -> Machine:
        """Return a machine on which nothing is there yet."""
        names = ("server-key.pem", "server-cert.pem", "ca.pem")
        paths = store.CertificatePaths(*(str(directory / name) for name in names))
        bundle = certificates.to_pem(authority.bundle)
        access = store.Access(None, None, 0o400, 0o444)
        return cls(
            directory,
            authority,
            deployment.CertificateSpec(PROFILE, paths, access, bundle, None, True, False, timedelta(days=30)),
        )

    def change(self, **changes: Any) -> None:
        """Change the spec for the runs to come."""
        self.spec = dataclasses.replace(self.spec, **changes)

    def run(
        self, *, check_mode: bool = False, certificate: str | None = None, after: timedelta = timedelta()
    ) -> deployment.CertificatePlan:
        """Run the host's half once, as if that much time had gone by."""
        return deployment.ensure(dataclasses.replace(self.spec, certificate=certificate), NOW + after, check_mode)

    def issue(
        self, *, days: int = 365, after: timedelta = timedelta()
    ) -> tuple[deployment.CertificatePlan, deployment.CertificatePlan]:
        """Run both round trips, and return their outcomes."""
        first = self.run(after=after)
        assert first.csr is not None
        key = signing_request.public_key(first.csr, self.spec.profile.key_type, "host")
        issued = _authority.issue(self.authority, key, self.spec.profile, timedelta(days=days), NOW + after)
        rekey, self.spec = self.spec.rekey, dataclasses.replace(self.spec, rekey=False)
        second = self.run(certificate=certificates.to_pem([issued]), after=after)
        self.spec = dataclasses.replace(self.spec, rekey=rekey)
        return first, second

    def files(self) -> dict[str, bytes]:
        """Return the bytes of all files that are there, by their names."""
        return {one.name: one.read_bytes() for one in sorted(self.directory.iterdir())}

    @property
    def key(self) -> keys.PrivateKey:
        """The private key that is there."""
        return keys.load((self.directory / "server-key.pem").read_bytes())

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate that is there."""
        return x509.load_pem_x509_certificate((self.directory / "server-cert.pem").read_bytes())
