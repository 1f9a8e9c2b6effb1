# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates, sound and unsound ones, made with openssl and nothing of the collection."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.dockerfleet.remote_api.tests.integration.support import run

SERVER = "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n"
CLIENT = "subjectAltName=DNS:localhost\nextendedKeyUsage=clientAuth\n"


def _openssl(directory: Path, *words: str) -> None:
    """Run openssl in the directory."""
    run("openssl", *words, cwd=directory)


def _make_key(directory: Path, name: str) -> None:
    """Make a key NAME."""
    _openssl(directory, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", name)


def _make_authority(directory: Path, name: str) -> None:
    """Make an authority: NAME.pem and NAME-key.pem."""
    _make_key(directory, f"{name}-key.pem")
    _openssl(
        directory, "req", "-x509", "-new", "-key", f"{name}-key.pem", "-subj", f"/CN={name}", "-days", "400",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", f"{name}.pem",
    )  # fmt: skip


def _issue(
    directory: Path,
    name: str,
    extensions: str,
    start: str = "",
    end: str = "",
    *,
    key: str = "key.pem",
    authority: str = "ca",
) -> None:
    """Issue NAME.pem for a key; with start and end as openssl-ca(1) takes them, else for a month from now."""
    (directory / "extensions").write_text(f"authorityKeyIdentifier=keyid\n{extensions}", encoding="ascii")
    _openssl(directory, "req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", "request.pem")
    (directory / "index").write_text("", encoding="ascii")
    (directory / "ca.cnf").write_text(
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n"
        "unique_subject=no\n[p]\ncommonName=supplied\n",
        encoding="ascii",
    )
    times = ["-startdate", start, "-enddate", end] if start else ["-days", "30"]
    _openssl(
        directory, "ca", "-batch", "-config", "ca.cnf", "-in", "request.pem", "-cert", f"{authority}.pem",
        "-keyfile", f"{authority}-key.pem", "-extfile", "extensions", *times, "-notext", "-out", f"{name}.pem",
    )  # fmt: skip


def make(directory: Path) -> Mapping[str, str]:
    """Make all of it in the directory and return the files' texts by name."""
    _make_authority(directory, "ca")
    _make_authority(directory, "other-ca")
    _make_key(directory, "key.pem")
    _make_key(directory, "other-key.pem")
    _issue(directory, "server", SERVER)
    _issue(directory, "expired", SERVER, "20240101000000Z", "20240201000000Z")
    _issue(directory, "future", SERVER, "20480101000000Z", "20490101000000Z")
    _issue(directory, "client", CLIENT)
    # What another administrator made by hand, with a CA of his own.
    _openssl(directory, "genrsa", "-out", "hand-key.pem", "2048")
    _issue(directory, "hand-server", SERVER, key="hand-key.pem", authority="other-ca")
    _issue(directory, "hand-client", CLIENT, key="other-key.pem", authority="other-ca")
    _issue(directory, "no-names", "extendedKeyUsage=serverAuth\n")
    _openssl(directory, "pkey", "-in", "key.pem", "-aes256", "-passout", "pass:secret", "-out", "encrypted-key.pem")
    files = {path.name: path.read_text(encoding="ascii") for path in directory.glob("*.pem")}
    ca, server = files["ca.pem"], files["server.pem"]
    files["truncated.pem"] = server[: len(server) // 2]
    files["empty.pem"] = ""
    files["broken-bundle.pem"] = ca + ca[: len(ca) // 2]
    lines = ca.splitlines()
    files["garbled-bundle.pem"] = ca + "\n".join([lines[0], *lines[3:]]) + "\n"
    for name in list(files):
        if len(name) > 30:  # what openssl-ca(1) keeps for itself, by serial number
            del files[name]
    os.chmod(directory, 0o700)
    return files
