# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Checking the TLS files that the options name, with the standard library alone.

dockerd starts with an expired certificate, with one that is not for servers, without names or of another CA, and
with a CA file of which a part is broken. So OpenSSL does a whole handshake in memory with the files' bytes.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import Option, is_on, last_value
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._pem import count_begin_lines, find_certificates

# OpenSSL's X509_V_FLAG_PARTIAL_CHAIN (x509_vfy.h); ssl names it from Python 3.10 on only.
_PARTIAL_CHAIN = 0x80000
# Returns the bytes that a file will hold, None for no file; raises FilesError.
ReadFile = t.Callable[[str], t.Optional[bytes]]


@dataclass(frozen=True)
class TlsFiles:
    """The paths that dockerd's options name: the CA that signs clients, the server's certificate and its key."""

    ca: str
    certificate: str
    key: str

    def paths(self) -> tuple[str, str, str]:
        """Return the three paths."""
        return self.ca, self.certificate, self.key


def from_options(options: t.Sequence[Option], where: str, *, requested: bool) -> TlsFiles | None:
    """Return the TLS files that the options name, or None without TLS.

    Raises DaemonError when TLS is ``requested`` and one of them is not named: without ``--tlscacert`` dockerd would
    accept every client that any public CA vouches for, and the others would be looked for in root's home directory.
    What was there before and is left to dockerd's defaults is not judged.
    """
    verify = last_value(options, "tlsverify") is not None
    if not verify and not is_on(options, "tls"):
        return None
    if not verify and requested:
        raise errors.tls_without_verify(where=where)
    paths = {name: last_value(options, name) for name in ("tlscacert", "tlscert", "tlskey")}
    unnamed = [name for name, path in paths.items() if not path]
    if unnamed and not requested:
        return None
    if unnamed:
        raise errors.tls_file_not_named(where=where, names=", ".join(unnamed))
    return TlsFiles(paths["tlscacert"] or "", paths["tlscert"] or "", paths["tlskey"] or "")


def missing(files: TlsFiles, read: ReadFile) -> list[str]:
    """Return the paths at which there will be no file. Raises FilesError for a file that cannot be read."""
    return [path for path in files.paths() if read(path) is None]


def check(files: TlsFiles, read: ReadFile, server_ca: str | None = None) -> None:
    """Return if a client that trusts the CA accepts a server with these files. Raises DaemonError or FilesError.

    With ``server_ca`` (PEM), clients trust that one, and the CA of the files is that of clients alone.
    """
    for path in missing(files, read):
        raise errors.tls_file_missing(path=path)
    ca = _check_bundle(files.ca, read(files.ca) or b"")
    if server_ca is not None:
        files = replace(files, ca="server_certificate, ca")
        ca = _check_bundle(files.ca, server_ca.encode())
    server = _load_server(files, read)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False  # which names clients use is not known here; that there are some is checked below
    client.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)  # dockerd's own rules are not those of RFC 5280
    client.verify_flags |= ssl.VerifyFlags(_PARTIAL_CHAIN)  # nor does Go ask for the root of a CA that it trusts
    client.load_verify_locations(cadata=ca)
    _handshake(server, client, files)


def _check_bundle(path: str, content: bytes) -> str:
    """Return the certificates of the CA file as PEM text. Raises DaemonError for a damaged one: dockerd skips it."""
    blocks = find_certificates(content)
    begun = count_begin_lines(content)
    if not blocks or len(blocks) != begun:
        raise errors.broken_bundle(path=path, whole=len(blocks), begun=begun)
    texts = [block.text.decode("ascii", "replace") for block in blocks]
    for number, text in enumerate(texts, 1):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=ssl.PEM_cert_to_DER_cert(text))
        except (ssl.SSLError, ValueError) as exc:
            raise errors.broken_certificate(where=f"{path}, certificate {number}", why=_reason(exc)) from exc
    return "".join(texts)


@contextlib.contextmanager
def in_memory(content: bytes) -> t.Iterator[str]:
    """Give a path at which root's programs can read the bytes. They never reach a disk (memfd_create(2))."""
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as stream:
            stream.write(content)
        yield f"/proc/{os.getpid()}/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _load_server(files: TlsFiles, read: ReadFile) -> ssl.SSLContext:
    """Return a server's context with certificate and key. Raises DaemonError if they do not belong together."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def no_passphrase() -> str:
        raise errors.encrypted_key(path=files.key)

    try:
        with in_memory(read(files.certificate) or b"") as certificate, in_memory(read(files.key) or b"") as key:
            context.load_cert_chain(certificate, key, password=no_passphrase)
    except ssl.SSLError as exc:
        if "MISMATCH" in str(exc):
            raise errors.key_does_not_fit(certificate=files.certificate, key=files.key) from exc
        raise errors.unreadable_pair(certificate=files.certificate, key=files.key, why=_reason(exc)) from exc
    except ValueError as exc:
        raise errors.unreadable_pair(certificate=files.certificate, key=files.key, why=str(exc)) from exc
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
            except ssl.SSLCertVerificationError as exc:
                raise errors.certificate_refused(
                    certificate=files.certificate, ca=files.ca, why=exc.verify_message
                ) from exc
            except ssl.SSLError as exc:
                raise errors.certificate_refused(certificate=files.certificate, ca=files.ca, why=_reason(exc)) from exc
        if not waiting:
            break
    if not (client.getpeercert() or {}).get("subjectAltName"):
        raise errors.certificate_without_names(certificate=files.certificate)


def _reason(exc: Exception) -> str:
    """Return OpenSSL's reason in lower case words."""
    reason = getattr(exc, "reason", None) or str(exc)
    return str(reason).replace("_", " ").lower()


__all__ = ("TlsFiles", "check", "from_options", "in_memory", "missing")
