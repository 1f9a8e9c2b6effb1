# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Checking the TLS files that the options name, with the standard library alone.

dockerd starts with an expired certificate, with one that is not for servers, without names or of another CA, and
with a CA file of which a part is broken. So a whole handshake is done in memory with the very files, by OpenSSL.
"""

from __future__ import annotations

import re
import ssl
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import Option, is_on, last_value
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import read_file

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class TlsFiles:
    """The paths that dockerd's options name: the CA that signs clients, the server's certificate and its key."""

    ca: str
    certificate: str
    key: str

    def paths(self) -> tuple[str, str, str]:
        """Return the three paths."""
        return self.ca, self.certificate, self.key


def from_options(options: t.Sequence[Option], where: str, *, asked_for: bool) -> TlsFiles | None:
    """Return the TLS files that the options name, or None without TLS.

    Raises DaemonError when TLS is ``asked_for`` and one of them is not named: without ``--tlscacert`` dockerd would
    accept every client that any public CA vouches for, and the others would be looked for in root's home directory.
    What was there before and is left to dockerd's defaults is not judged.
    """
    verify = last_value(options, "tlsverify") is not None
    if not verify and not is_on(options, "tls"):
        return None
    if not verify and asked_for:
        raise errors.tls_without_verify(where=where)
    paths = {name: last_value(options, name) for name in ("tlscacert", "tlscert", "tlskey")}
    unnamed = [name for name, path in paths.items() if not path]
    if unnamed and not asked_for:
        return None
    if unnamed:
        raise errors.tls_file_not_named(where=where, names=", ".join(unnamed))
    return TlsFiles(paths["tlscacert"] or "", paths["tlscert"] or "", paths["tlskey"] or "")


def missing(files: TlsFiles) -> list[str]:
    """Return the paths at which there is no file. Raises FilesError for what cannot be read."""
    return [path for path in files.paths() if read_file(path) is None]


def check(files: TlsFiles) -> None:
    """Raise DaemonError unless a client that trusts the CA accepts a server with these files."""
    for path in missing(files):
        raise errors.tls_file_missing(path=path)
    _check_bundle(files.ca)
    server = _load_server(files)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False  # which names clients use is not known here; that there are some is checked below
    client.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)  # dockerd's own rules are not those of RFC 5280
    client.load_verify_locations(files.ca)
    _handshake(server, client, files)


def _check_bundle(path: str) -> None:
    """Raise DaemonError unless each certificate in the CA file can be read: dockerd skips broken ones silently."""
    text = (read_file(path) or b"").decode("ascii", "replace")
    blocks = _BLOCK.findall(text)
    begun = text.count("-----BEGIN")
    if not blocks or len(blocks) != begun:
        raise errors.broken_bundle(path=path, whole=len(blocks), begun=begun)
    for number, block in enumerate(blocks, 1):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=ssl.PEM_cert_to_DER_cert(block))
        except (ssl.SSLError, ValueError) as problem:
            raise errors.broken_certificate(where=f"{path}, certificate {number}", why=_reason(problem)) from problem


def _load_server(files: TlsFiles) -> ssl.SSLContext:
    """Return a server's context with certificate and key. Raises DaemonError where they do not belong together."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def no_passphrase() -> str:
        raise errors.encrypted_key(path=files.key)

    try:
        context.load_cert_chain(files.certificate, files.key, password=no_passphrase)
    except ssl.SSLError as problem:
        if "MISMATCH" in str(problem):
            raise errors.key_does_not_fit(certificate=files.certificate, key=files.key) from problem
        raise errors.unreadable_pair(certificate=files.certificate, key=files.key, why=_reason(problem)) from problem
    except ValueError as problem:
        raise errors.unreadable_pair(certificate=files.certificate, key=files.key, why=str(problem)) from problem
    return context


def _handshake(server_context: ssl.SSLContext, client_context: ssl.SSLContext, files: TlsFiles) -> None:
    """Do a TLS handshake in memory. Raises DaemonError when the client refuses the server's certificate."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_side=False)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    for _turn in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as problem:
                raise errors.certificate_refused(
                    certificate=files.certificate, ca=files.ca, why=problem.verify_message
                ) from problem
            except ssl.SSLError as problem:
                raise errors.certificate_refused(
                    certificate=files.certificate, ca=files.ca, why=_reason(problem)
                ) from problem
        if not waiting:
            break
    if not (client.getpeercert() or {}).get("subjectAltName"):
        raise errors.certificate_without_names(certificate=files.certificate)


def _reason(problem: Exception) -> str:
    """Return OpenSSL's reason in lower case words."""
    reason = getattr(problem, "reason", None) or str(problem)
    return str(reason).replace("_", " ").lower()


__all__ = ("TlsFiles", "check", "from_options", "missing")
