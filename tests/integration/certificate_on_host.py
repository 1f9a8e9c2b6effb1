# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a lab host: the core behind remote_api with openssl as its CA, and what a stranger sees of keys and TLS."""

from __future__ import annotations

import base64
import contextlib
import glob
import hashlib
import os
import re
import stat
import subprocess
import tempfile
import typing as t
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ansible_collections.dockerfleet.remote_api.plugins.module_utils import _remote_api
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import Request
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.session import Mode
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import Run
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import adoption, deployment, profiles, store

FAULTS = Path("/root/faults")
PKI = FAULTS / "pki"
KEY, CERTIFICATE, CA = (f"/etc/docker/{name}" for name in ("server-key.pem", "server-cert.pem", "ca.pem"))
NAMES = ("localhost", "127.0.0.1")
# The directories that are searched for private keys, and what in them is none of the daemon's.
SEARCHED = ("/etc", "/var", "/run", "/tmp", "/root")
NOT_OURS = ("/root/faults/", "/etc/ssh/", "/etc/ssl/private/", "/var/lib/docker/", "/var/lib/containerd/")
# Who calls: the CA of the rows and the one of an administrator, with a certificate and key for a client of each.
CLIENTS = {"ours": ("ca.pem", "client.pem", "key.pem"), "by hand": ("other-ca.pem", "hand-client.pem", "other-key.pem")}
CONFIGURATION = """\
[ca]
default_ca=d
[d]
database=index
new_certs_dir=.
rand_serial=yes
default_md=sha256
policy=p
unique_subject=no
[p]
commonName=supplied
"""


def openssl(*words: str, cwd: str | Path = PKI, given: str = "") -> str:
    """Run openssl and return what it printed."""
    done = subprocess.run(["openssl", *words], input=given, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        raise SystemExit(f"openssl {words}: {done.stderr}")
    return done.stdout


def sign(csr: str, names: t.Sequence[str], offer: str, days: int, age: int = 0) -> str:
    """Return a certificate (PEM) for the CSR: a ``good`` one, or one with the fault that ``offer`` names.

    It was valid for ``age`` days and will be for ``days``.
    """
    authority = "other-ca" if offer == "other-ca" else "ca"
    if offer == "other-key":
        csr = openssl("req", "-new", "-key", "other-key.pem", "-subj", f"/CN={names[0]}")
    entries = [f"{'IP' if re.match(r'[0-9.]+$', name) else 'DNS'}:{name}" for name in names]
    extensions = [
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
        f"extendedKeyUsage={'clientAuth' if offer == 'for-clients' else 'serverAuth'}",
        "subjectKeyIdentifier=hash",
        "authorityKeyIdentifier=keyid:always",
        *([] if offer == "no-names" else [f"subjectAltName={','.join(entries)}"]),
    ]
    now = datetime.now(timezone.utc)
    start, end = ((now + timedelta(days=offset)).strftime("%Y%m%d%H%M%SZ") for offset in (-age, days))
    if offer == "expired":
        start, end = "20240101000000Z", "20240201000000Z"
    with tempfile.TemporaryDirectory(dir=FAULTS) as directory:
        for name, text in {"index": "", "ca.cnf": CONFIGURATION, "ext": "\n".join(extensions), "csr": csr}.items():
            Path(directory, name).write_text(text)
        ca = ["-cert", str(PKI / f"{authority}.pem"), "-keyfile", str(PKI / f"{authority}-key.pem")]
        words = ["-config", "ca.cnf", "-in", "csr", "-extfile", "ext", "-out", "signed", *ca]
        openssl("ca", "-batch", "-notext", *words, "-startdate", start, "-enddate", end, cwd=directory)
        return Path(directory, "signed").read_text()


def sign_once(csr: str, names: t.Sequence[str], offer: str, row: str) -> str:
    """Return sign()'s certificate, the same one whenever a row asks again for the same key, names and fault.

    So the run after a fault installs, byte for byte, what the faulty one would have.
    """
    public = openssl("req", "-noout", "-pubkey", given=csr)
    name = hashlib.sha256(repr((public, list(names), offer, row)).encode()).hexdigest()
    path = FAULTS / f"issued-{name}"
    if not path.exists():
        path.write_text(sign(csr, names, offer, 365))
    return path.read_text()


def configure(
    daemon: Request,
    wanted: dict[str, t.Any],
    mode: Mode,
    run: Run,
    report: t.Callable[[str], None],
) -> _remote_api.Outcome:
    """Do what the action plugin does: run the core, have the CSR signed if there is one, and run it again."""
    names = tuple(wanted.get("names", NAMES))
    theirs = wanted.get("theirs")
    paths = store.CertificatePaths(KEY, CERTIFICATE, CA)
    if theirs is not None:
        key = PKI / ("hand-key.pem" if theirs.startswith("hand") else "key.pem")
        paths = store.CertificatePaths(str(key), str(PKI / theirs), CA)
        daemon = replace(daemon, server_ca=(PKI / "other-ca.pem").read_text())

    def trip(certificate: str | None) -> _remote_api.Outcome:
        spec = deployment.CertificateSpec(
            profile=profiles.profile("server", None, names, wanted.get("key_type", "ecdsa_p256")),
            paths=paths,
            access=store.access(None, None, "0400"),
            ca_certificate=(PKI / "ca.pem").read_text(),
            certificate=certificate,
            exact=True,
            rekey=False,
            renew_before=timedelta(days=30),
            at_half_life=certificate is not None,
            managed=theirs is None,
        )
        terms = adoption.Terms(wanted.get("on_foreign_authority", "replace"))
        request = _remote_api.Request(daemon, spec, terms)
        return _remote_api.configure(request, mode, run, datetime.now(timezone.utc), report)

    first = trip(None)
    if first.daemon is not None:
        return first
    report("certificate requested")
    csr = str(first.certificate and first.certificate.csr)
    return trip(sign_once(csr, names, wanted.get("offer", "good"), wanted["row"]))


def served() -> dict[str, t.Any]:
    """Return the fingerprint of the certificate that openssl is presented, and which clients get an answer."""
    shown = subprocess.run(
        "timeout 20 openssl s_client -connect 127.0.0.1:2376 </dev/null | openssl x509 -noout -fingerprint -sha256",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    accepted = []
    for client, files in CLIENTS.items():
        ca, certificate, key = (str(PKI / name) for name in files)
        call = ["openssl", "s_client", "-connect", "127.0.0.1:2376", "-CAfile", ca, "-cert", certificate, "-key", key]
        answer = subprocess.run(
            ["timeout", "20", *call, "-verify_return_error", "-quiet"],
            input=b"GET /_ping HTTP/1.0\r\nHost: localhost\r\n\r\n",
            capture_output=True,
            check=False,
        )
        if b" 200 OK" in answer.stdout:
            accepted.append(client)
    return {"certificate": shown.stdout.strip(), "clients": accepted}


def on_disk() -> str:
    """Return the fingerprint of the certificate in the file, as served() does."""
    return openssl("x509", "-in", CERTIFICATE, "-noout", "-fingerprint", "-sha256").strip()


def keys_on_disk() -> dict[str, str]:
    """Return each file below SEARCHED that holds a private key, in plain text or in base64, with its mode and owner."""
    text = b"PRIVATE KEY"
    # The same bytes look different in base64 at each of three offsets; the ends also depend on what is beside them.
    encoded = [base64.b64encode(bytes(offset) + text)[4 if offset else 0 : -4] for offset in range(3)]
    found = {}
    for root in SEARCHED:
        for directory, _below, names in os.walk(root):
            for path in (os.path.join(directory, name) for name in names):
                if path.startswith(NOT_OURS):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    state = os.lstat(path)
                    content = Path(path).read_bytes() if stat.S_ISREG(state.st_mode) else b""
                    if any(one in content for one in (text, *encoded)):
                        found[path] = f"{stat.S_IMODE(state.st_mode):04o} {state.st_uid}"
    return found


def journal_modes() -> dict[str, str]:
    """Return the permission bits of the journal's directory and of all that is in it."""
    paths = glob.glob("/var/lib/docker-remote-api") + glob.glob("/var/lib/docker-remote-api/*")
    return {path: f"{stat.S_IMODE(os.stat(path).st_mode):04o}" for path in paths}


def reissue(days: int, age: int) -> None:
    """Put another certificate for the present key in place by hand, with a time long before the daemon's start.

    The certificate is ``age`` days old and valid for ``days`` more.
    """
    csr = openssl("req", "-new", "-key", KEY, "-subj", f"/CN={NAMES[0]}")
    Path(CERTIFICATE).write_text(sign(csr, NAMES, "good", days, age))
    os.utime(CERTIFICATE, (1_600_000_000, 1_600_000_000))
