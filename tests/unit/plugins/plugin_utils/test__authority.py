# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The authority: made or taken as it is, never overwritten, and what it signs is accepted by strict judges."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import write_atomically
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import (
    certificates,
    keys,
    profiles,
    signing_request,
    store,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.errors import TlsError
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority, _issuing
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins import other_unix
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._tls.tools import (
    PASSPHRASE,
    SETTINGS,
    make_authority,
    make_authority_by_hand,
    openssl,
)
from cryptography import x509
from cryptography.hazmat.primitives import serialization

NOW = datetime.now(UTC)
SERVER = profiles.Profile("server", "web1.example.com", ("localhost", "127.0.0.1", "::1"), "ecdsa_p256")
CLIENT = profiles.Profile("client", "admin", (), "ecdsa_p256")


@pytest.fixture(autouse=True)
def _each_test_has_its_own_now(monkeypatch: pytest.MonkeyPatch) -> None:
    # On a slow machine a CA that a late test makes is not valid yet at the time at which this file was loaded.
    monkeypatch.setattr(sys.modules[__name__], "NOW", datetime.now(UTC))


def ensure(path: Path, passphrase: str = PASSPHRASE, *, check_mode: bool = False) -> _authority.AuthorityResult:
    """Make sure of an authority in the directory."""
    return _authority.ensure(str(path), passphrase, SETTINGS, datetime.now(UTC), check_mode)


def contents(path: Path) -> dict[str, bytes]:
    """Return the bytes of all files below the directory, by their relative names."""
    return {str(one.relative_to(path)): one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()}


def bits(path: Path) -> int:
    """Return the permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    """Give the directory of a new authority."""
    make_authority(tmp_path / "pki", now=NOW)
    return tmp_path / "pki"


def test_a_new_authority_is_protected(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        made = ensure(tmp_path / "a/b/pki")
    finally:
        os.umask(old)
    path = tmp_path / "a/b/pki"
    assert made.changed
    assert (bits(path), bits(path / "ca-key.pem"), bits(path / "ca.pem")) == (0o700, 0o600, 0o644)
    assert (path / "ca-key.pem").read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    said = openssl("pkey", "-in", path / "ca-key.pem", "-passin", f"pass:{PASSPHRASE}", "-noout", "-text")
    assert "NIST CURVE: P-256" in said
    structure = openssl("asn1parse", "-in", path / "ca-key.pem")
    assert "aes-256-cbc" in structure
    assert "PBKDF2" in structure or "scrypt" in structure


def test_a_new_authority_says_what_it_may_do(pki: Path) -> None:
    text = openssl("x509", "-in", pki / "ca.pem", "-noout", "-text", "-nameopt", "RFC2253")
    assert "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0\n" in text
    assert "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n" in text
    assert "X509v3 Subject Key Identifier" in text
    assert "Extended Key Usage" not in text
    assert "CN=Docker Remote API CA" in text
    certificate = x509.load_pem_x509_certificate((pki / "ca.pem").read_bytes())
    assert certificate.serial_number > 0
    assert certificates.not_before(certificate) == (NOW - timedelta(minutes=5)).replace(microsecond=0)
    assert certificates.not_after(certificate) == (NOW + timedelta(days=3650)).replace(microsecond=0)


def test_an_ephemeral_client_is_accepted_for_five_minutes_and_not_recorded(pki: Path, tmp_path: Path) -> None:
    authority = _authority.open_authority(str(pki), PASSPHRASE, NOW)
    before = contents(pki)
    certificate, key = _authority.ephemeral_client(authority, NOW)
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(key)
    assert contents(pki) == before
    for moment, accepted in ((-299, True), (299, True), (-301, False), (301, False)):
        said = openssl(
            "verify", "-x509_strict", "-purpose", "sslclient", "-attime", str(int(NOW.timestamp()) + moment),
            "-CAfile", pki / "ca.pem", tmp_path / "cert.pem", check=False,
        )  # fmt: skip
        assert said.endswith(": OK\n") == accepted
    assert openssl("x509", "-in", tmp_path / "cert.pem", "-noout", "-pubkey") == openssl(
        "pkey", "-in", tmp_path / "key.pem", "-pubout"
    )


@pytest.mark.parametrize("passphrase", [None, "", PASSPHRASE])
def test_an_authority_from_text_signs_without_a_disk(pki: Path, tmp_path: Path, passphrase: str | None) -> None:
    certificate = (pki / "ca.pem").read_text(encoding="ascii")
    plain = openssl("pkey", "-in", pki / "ca-key.pem", "-passin", f"pass:{PASSPHRASE}")
    before = contents(tmp_path)
    authority = _authority.open_authority_from_text(certificate, plain, passphrase, NOW)
    _authority.issue(authority, keys.generate("ecdsa_p256").public_key(), SERVER, timedelta(days=90), NOW)
    assert contents(tmp_path) == before
    check_strictly(authority, tmp_path, SERVER)
    kept = dataclasses.replace(authority, ledger_dir=str(tmp_path / "ledger"))
    issued = _authority.issue(kept, keys.generate("ecdsa_p256").public_key(), SERVER, timedelta(days=90), NOW)
    assert [one.stem for one in (tmp_path / "ledger").iterdir()] == [certificates.serial(issued)]


def test_an_authority_from_text_needs_its_passphrase_and_its_certificate(pki: Path, tmp_path: Path) -> None:
    certificate, key = ((pki / name).read_text(encoding="ascii") for name in ("ca.pem", "ca-key.pem"))
    assert _authority.open_authority_from_text(certificate, key, PASSPHRASE, NOW).bundle
    make_authority(tmp_path / "other", now=NOW)
    other = (tmp_path / "other/ca.pem").read_text(encoding="ascii")
    refused: list[tuple[tuple[str, str, str | None], str]] = [
        ((certificate, key, None), "passphrase: it is not given"),
        ((certificate, key, "wrong"), "ca_key: the passphrase does not open this key"),
        ((other, key, PASSPHRASE), "ca_key: this key belongs to no certificate in ca_certificate"),
        ((key, key, PASSPHRASE), "ca_certificate, line 1: a ENCRYPTED PRIVATE KEY is no CERTIFICATE"),
        ((certificate, certificate, PASSPHRASE), "ca_key: it cannot be read as a private key"),
    ]
    for texts, message in refused:
        with pytest.raises(RemoteApiError, match=message):
            _authority.open_authority_from_text(*texts, NOW)


def test_no_two_authorities_share_a_subject(tmp_path: Path) -> None:
    one, two = (make_authority(tmp_path / name) for name in ("one", "two"))
    assert one.certificate.subject != two.certificate.subject


def test_the_second_time_nothing_changes(pki: Path) -> None:
    before = contents(pki)
    again = ensure(pki)
    assert not again.changed
    assert contents(pki) == before


def test_check_mode_makes_nothing(tmp_path: Path) -> None:
    foreseen = ensure(tmp_path / "pki", check_mode=True)
    assert (foreseen.changed, foreseen.authority) == (True, None)
    assert not (tmp_path / "pki").exists()


@pytest.mark.parametrize("key_type", keys.KEY_TYPES)
def test_every_type_of_key(tmp_path: Path, key_type: str) -> None:
    authority = make_authority(tmp_path / "pki", dataclasses.replace(SETTINGS, key_type=key_type), NOW)
    assert keys.type_of(authority.key.public_key()) == key_type
    check_strictly(authority, tmp_path, SERVER)


def check_strictly(authority: _authority.Authority, path: Path, wanted: profiles.Profile) -> str:
    """Issue a certificate, have openssl check it strictly, and return what openssl says about it."""
    key = keys.generate(wanted.key_type)
    certificate = _authority.issue(authority, key.public_key(), wanted, timedelta(days=90), datetime.now(UTC))
    file = path / f"{wanted.usage}.pem"
    file.write_text(certificates.to_pem([certificate]), encoding="ascii")
    (path / f"{wanted.usage}.key").write_bytes(keys.to_pem(key))
    purpose = "sslserver" if wanted.usage == "server" else "sslclient"
    trusted = path / "trusted.pem"
    trusted.write_text(certificates.to_pem(authority.bundle), encoding="ascii")
    assert openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", trusted, file) == f"{file}: OK\n"
    other = "sslclient" if wanted.usage == "server" else "sslserver"
    refused = openssl("verify", "-purpose", other, "-CAfile", trusted, file, check=False)
    assert "unsuitable certificate purpose" in refused.lower() or "unsupported certificate purpose" in refused.lower()
    return openssl("x509", "-in", file, "-noout", "-text")


@pytest.mark.parametrize("key_type", keys.KEY_TYPES)
@pytest.mark.parametrize("wanted", [SERVER, CLIENT], ids=["server", "client"])
def test_what_is_issued_passes_the_strict_checks_of_openssl(
    pki: Path, tmp_path: Path, wanted: profiles.Profile, key_type: str
) -> None:
    authority = _authority.open_authority(str(pki), PASSPHRASE, NOW)
    text = check_strictly(authority, tmp_path, dataclasses.replace(wanted, key_type=key_type))
    assert "X509v3 Basic Constraints: critical\n                CA:FALSE\n" in text
    usage = "Digital Signature, Key Encipherment" if key_type.startswith("rsa") else "Digital Signature"
    assert f"X509v3 Key Usage: critical\n                {usage}\n" in text
    assert "X509v3 Authority Key Identifier" in text
    assert "X509v3 Subject Key Identifier" in text
    assert ("TLS Web Server Authentication" in text) == (wanted.usage == "server")
    assert ("TLS Web Client Authentication" in text) == (wanted.usage == "client")
    names = "DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1"
    assert (names in text) == (wanted.usage == "server")
    assert ("Subject Alternative Name" in text) == (wanted.usage == "server")


def test_dates_are_backdated_and_end_with_the_authority(pki: Path) -> None:
    authority = _authority.open_authority(str(pki), PASSPHRASE, NOW)
    public = keys.generate("ecdsa_p256").public_key()
    later = NOW + timedelta(days=10)
    normal, long = (_authority.issue(authority, public, SERVER, timedelta(days=days), later) for days in (90, 36500))
    assert certificates.not_before(normal) == (later - timedelta(minutes=5)).replace(microsecond=0)
    assert certificates.not_after(normal) == (later + timedelta(days=90)).replace(microsecond=0)
    assert certificates.not_after(long) == certificates.not_after(authority.certificate)
    assert normal.serial_number != long.serial_number


def test_the_ledger_has_a_copy_of_each(pki: Path) -> None:
    authority = _authority.open_authority(str(pki), PASSPHRASE, NOW)
    issued = [
        _authority.issue(authority, authority.key.public_key(), SERVER, timedelta(days=90), NOW) for turn in range(3)
    ]
    assert len(issued) == 3
    ledger = {one.stem: one.read_text(encoding="ascii") for one in (pki / "issued").iterdir()}
    assert ledger == {certificates.serial(one): certificates.to_pem([one]) for one in issued}
    assert bits(pki / "issued") == 0o700


def test_of_a_request_only_the_key_counts(pki: Path, tmp_path: Path) -> None:
    """A host that asks for more than the task says does not get it."""
    openssl(
        "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", tmp_path / "k",
        "-subj", "/CN=evil", "-addext", "basicConstraints=CA:TRUE", "-addext", "subjectAltName=DNS:evil.example.com",
        "-addext", "extendedKeyUsage=clientAuth", "-out", tmp_path / "r.pem",
    )  # fmt: skip
    key = signing_request.public_key((tmp_path / "r.pem").read_text(encoding="ascii"), "ecdsa_p256", "web1")
    authority = _authority.open_authority(str(pki), PASSPHRASE, NOW)
    text = openssl(
        "x509",
        "-noout",
        "-text",
        stdin=certificates.to_pem([_authority.issue(authority, key, SERVER, timedelta(days=9), NOW)]),
    )
    assert "evil" not in text
    assert "CA:TRUE" not in text
    assert "Client Authentication" not in text


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    openssl(
        "req",
        "-new",
        "-newkey",
        "rsa:1024",
        "-nodes",
        "-keyout",
        tmp_path / "k",
        "-subj",
        "/CN=x",
        "-out",
        tmp_path / "r",
    )
    weak = (tmp_path / "r").read_text(encoding="ascii")
    with pytest.raises(TlsError, match="web1: .* its key is of type rsa_1024, and not ecdsa_p256"):
        signing_request.public_key(weak, "ecdsa_p256", "web1")
    with pytest.raises(TlsError, match="web1: its signing request cannot be accepted: it cannot be read"):
        signing_request.public_key("hello", "ecdsa_p256", "web1")
    good = x509.load_pem_x509_csr(weak.encode()).public_bytes(serialization.Encoding.DER)
    forged = x509.load_der_x509_csr(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(TlsError, match="its signature is not by the key in it"):
        signing_request.public_key(forged.public_bytes(serialization.Encoding.PEM).decode(), "rsa_1024", "web1")


@contextlib.contextmanager
def serving(context: ssl.SSLContext, family: socket.AddressFamily, address: str) -> Iterator[int]:
    """Serve one TLS connection after the other on loopback: answer one line; give the port."""
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    plain = listener.accept()[0]
                except OSError:
                    return
                with plain, contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as secure:
                    secure.recv(100)
                    secure.sendall(b"pong")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=10)


def talk(context: ssl.SSLContext, address: str, port: int, name: str) -> bytes:
    """Say something over TLS and return the answer: with TLS 1.3 only that shows whether the client was accepted."""
    with (
        socket.create_connection((address, port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        secure.sendall(b"ping")
        return secure.recv(100)


@pytest.fixture
def pair(pki: Path, tmp_path: Path) -> Path:
    """Give a directory with server.pem, server.key, client.pem and client.key."""
    authority = _authority.open_authority(str(pki), PASSPHRASE, NOW)
    check_strictly(authority, tmp_path, SERVER)
    check_strictly(authority, tmp_path, CLIENT)
    return tmp_path


def server_context(pki: Path, pair: Path) -> ssl.SSLContext:
    """Return a context that asks for clients' certificates, as an engine does with --tlsverify, and strictly."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki / "ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_cert_chain(pair / "server.pem", pair / "server.key")
    return context


def client_context(pki: Path, pair: Path, usage: str | None) -> ssl.SSLContext:
    """Return a strict context as Python 3.13 has it by default, with a certificate of the usage or without any."""
    context = ssl.create_default_context(cafile=str(pki / "ca.pem"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if usage is not None:
        context.load_cert_chain(pair / f"{usage}.pem", pair / f"{usage}.key")
    return context


@pytest.mark.parametrize(
    ("family", "address", "name"),
    [
        (socket.AF_INET, "127.0.0.1", "localhost"),
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
    ],
)
def test_a_strict_handshake_of_server_and_client(
    pki: Path, pair: Path, family: socket.AddressFamily, address: str, name: str
) -> None:
    with serving(server_context(pki, pair), family, address) as port:
        assert talk(client_context(pki, pair, "client"), address, port, name) == b"pong"


def test_others_are_refused(pki: Path, pair: Path) -> None:
    with serving(server_context(pki, pair), socket.AF_INET, "127.0.0.1") as port:
        for usage in (None, "server"):
            with pytest.raises(OSError, match=r"alert|reset|EOF|Broken pipe"):
                talk(client_context(pki, pair, usage), "127.0.0.1", port, "localhost")
        with pytest.raises(ssl.SSLCertVerificationError, match="web2"):
            talk(client_context(pki, pair, "client"), "127.0.0.1", port, "web2.example.com")
        assert talk(client_context(pki, pair, "client"), "127.0.0.1", port, "localhost") == b"pong"


def test_openssl_s_client_accepts_the_server(pki: Path, pair: Path) -> None:
    with serving(server_context(pki, pair), socket.AF_INET, "127.0.0.1") as port:
        said = openssl(
            "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", pki / "ca.pem", "-x509_strict",
            "-verify_return_error", "-verify_ip", "127.0.0.1", "-ign_eof",
            "-cert", pair / "client.pem", "-key", pair / "client.key", stdin="ping", check=False,
        )  # fmt: skip
    assert "Verify return code: 0 (ok)" in said
    assert "pong" in said


@pytest.mark.parametrize("cipher", ["-des3", "-aes256"])
def test_an_authority_made_by_hand_is_taken_as_it_is(tmp_path: Path, cipher: str) -> None:
    path = tmp_path / "pki"
    make_authority_by_hand(path, cipher=cipher)
    assert b"Proc-Type: 4,ENCRYPTED" in (path / "ca-key.pem").read_bytes()
    before = contents(path)
    taken = ensure(path)
    assert not taken.changed
    assert contents(path) == before
    assert taken.authority is not None
    certificate = _authority.issue(
        taken.authority, keys.generate("ecdsa_p256").public_key(), SERVER, timedelta(days=90), NOW
    )
    (tmp_path / "c.pem").write_text(certificates.to_pem([certificate]), encoding="ascii")
    assert openssl("verify", "-CAfile", path / "ca.pem", tmp_path / "c.pem").endswith(": OK\n")
    strict = "OK" in openssl("verify", "-x509_strict", "-CAfile", path / "ca.pem", tmp_path / "c.pem", check=False)
    # Newer openssl programs add keyUsage by themselves; whatever this one does, the flag has to say it.
    assert taken.authority.strict == strict
    found = _authority.warnings(taken.authority, "ca.pem")
    assert any("Python 3.13" in one for one in found) != strict
    assert any("ca.pem may be the CA of more than this fleet" in one for one in found)


def test_an_authority_without_key_usage_is_not_strict(tmp_path: Path) -> None:
    path = tmp_path / "pki"
    make_authority_by_hand(path)
    (tmp_path / "o.cnf").write_text(
        "[req]\ndistinguished_name = dn\nx509_extensions = ext\n[dn]\n[ext]\n"
        "basicConstraints = critical, CA:TRUE\nsubjectKeyIdentifier = hash\n",
        encoding="utf-8",
    )
    openssl(
        "req", "-new", "-x509", "-config", tmp_path / "o.cnf", "-days", "10", "-key", path / "ca-key.pem",
        "-passin", f"pass:{PASSPHRASE}", "-subj", "/CN=x", "-out", path / "ca.pem",
    )  # fmt: skip
    taken = ensure(path)
    assert taken.authority is not None
    assert not taken.authority.strict
    assert "Python 3.13" in _authority.warnings(taken.authority, "ca.pem")[0]
    authority = taken.authority
    with pytest.raises(AssertionError, match="CA cert does not include key usage extension"):
        check_strictly(authority, tmp_path, SERVER)


def test_loose_modes_are_tightened(pki: Path) -> None:
    (pki / "ca-key.pem").chmod(0o644)
    (pki / "ca.pem").chmod(0o666)
    assert ensure(pki, check_mode=True).changed
    assert bits(pki / "ca-key.pem") == 0o644
    assert ensure(pki).changed
    assert (bits(pki / "ca-key.pem"), bits(pki / "ca.pem")) == (0o600, 0o644)
    (pki / "ca-key.pem").chmod(0o400)
    assert not ensure(pki).changed


def replace_key(path: Path, *arguments: str) -> None:
    """Write another key into ca-key.pem, made by openssl with these arguments."""
    openssl("genpkey", *arguments, "-out", path / "ca-key.pem")


def rewrite(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Return a function that changes the content of this file of an authority."""
    return lambda path: (path / name).write_bytes(change((path / name).read_bytes()))


def sign_again(*extensions: str, days: int = 10) -> Callable[[Path], None]:
    """Return a function that puts another certificate for the same key in place."""

    def change(path: Path) -> None:
        file = path.parent / "again.cnf"
        file.write_text(
            "[req]\ndistinguished_name = dn\nx509_extensions = ext\n[dn]\n[ext]\n" + "\n".join(extensions),
            encoding="utf-8",
        )
        openssl(
            "req", "-new", "-x509", "-config", file, "-days", str(days), "-key", path / "ca-key.pem",
            "-passin", f"pass:{PASSPHRASE}", "-subj", "/CN=x", "-out", path / "ca.pem",
        )  # fmt: skip

    return change


CA = "basicConstraints = critical, CA:TRUE"
P256 = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
ENCRYPTED = ("-aes256", "-pass", f"pass:{PASSPHRASE}")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda path: (path / "issued").mkdir() or (path / "ca.pem").unlink(),
            "ca.pem: it is missing, while .*/ca-key.pem is there",
        ),
        (lambda path: (path / "ca-key.pem").unlink(), "ca-key.pem: it is missing, while .*/ca.pem is there"),
        (lambda path: replace_key(path, *P256, *ENCRYPTED), "ca-key.pem: this key belongs to no certificate"),
        (lambda path: replace_key(path, *P256), "ca-key.pem: this private key is not encrypted"),
        (
            lambda path: replace_key(path, "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024", *ENCRYPTED),
            "ca-key.pem: a key of type rsa_1024 cannot be a CA's",
        ),
        (
            lambda path: replace_key(path, "-algorithm", "X25519", *ENCRYPTED),
            "ca-key.pem: a key of type X25519PrivateKey cannot be a CA's",
        ),
        (rewrite("ca-key.pem", lambda _content: b""), "ca-key.pem: it cannot be read as a private key"),
        (rewrite("ca-key.pem", lambda content: content[:200]), "ca-key.pem: it cannot be read as a private key"),
        (
            rewrite("ca-key.pem", lambda content: content[:100] + content[104:]),
            "ca-key.pem: it cannot be read as a private key .*is damaged",
        ),
        (rewrite("ca.pem", lambda _content: b"hello"), "ca.pem: it holds no certificate"),
        (
            rewrite("ca.pem", lambda content: content[:300]),
            "ca.pem, line 1: a PEM block begins or ends here, and its other end is missing",
        ),
        (rewrite("ca.pem", lambda content: content + content[:300]), "ca.pem, line 1.: a PEM block begins or"),
        (sign_again("basicConstraints = CA:FALSE"), "ca.pem: .* it is not marked as a CA"),
        (sign_again("subjectKeyIdentifier = hash"), "ca.pem: .* it is not marked as a CA"),
        (sign_again(CA, "keyUsage = cRLSign"), "ca.pem: .* its keyUsage does not allow to sign"),
        (sign_again(CA, "extendedKeyUsage = serverAuth"), "ca.pem: .* does not allow both servers and clients"),
        (lambda path: (path / "ca.pem").unlink() or (path / "ca.pem").mkdir(), "ca.pem: it cannot be read"),
    ],
)
def test_what_cannot_be_used_is_an_error_and_stays_as_it_is(
    pki: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(pki)
    before = contents(pki)
    for check_mode in (True, False):
        with pytest.raises(RemoteApiError, match=message) as refused:
            ensure(pki, check_mode=check_mode)
        assert PASSPHRASE not in str(refused.value)
    with pytest.raises(RemoteApiError, match=message):
        _authority.open_authority(str(pki), PASSPHRASE, NOW)
    assert contents(pki) == before


@pytest.mark.parametrize(("days_ago", "cause"), [(31, "is expired since"), (-1, "is not valid before")])
def test_an_authority_that_is_not_in_date_is_an_error(tmp_path: Path, days_ago: int, cause: str) -> None:
    path = tmp_path / "pki"
    make_authority(path, dataclasses.replace(SETTINGS, days=30), NOW - timedelta(days=days_ago))
    before = contents(path)
    with pytest.raises(TlsError, match=f"ca.pem: the CA {cause}"):
        ensure(path)
    with pytest.raises(TlsError, match=f"ca.pem: the CA {cause}"):
        _authority.trusted(str(path), PASSPHRASE, NOW, "client")
    assert contents(path) == before


@pytest.mark.parametrize("by_hand", [False, True], ids=["PKCS#8", "traditional"])
def test_a_wrong_passphrase_is_an_error_and_changes_nothing(tmp_path: Path, by_hand: bool) -> None:
    path = tmp_path / "pki"
    (make_authority_by_hand if by_hand else make_authority)(path)
    before = contents(path)
    with pytest.raises(TlsError, match="the passphrase does not open this key") as refused:
        ensure(path, "wrong-secret")
    assert "wrong-secret" not in str(refused.value)
    assert contents(path) == before


@pytest.mark.parametrize(
    ("passphrase", "cause"),
    [("", "is empty"), ("x" * 1024, "is longer"), ("pass\udce4word", "has bytes that are no UTF-8")],
)
def test_a_passphrase_that_encrypts_nothing_is_refused(tmp_path: Path, passphrase: str, cause: str) -> None:
    with pytest.raises(TlsError, match=f"^passphrase: it {cause}") as caught:
        ensure(tmp_path / "pki", passphrase)
    assert "codec" not in "".join(traceback.format_exception(caught.value)), "that error quotes the passphrase"
    assert not (tmp_path / "pki").exists()


@pytest.mark.parametrize("passphrase", ["x", " ", "p\u00e4ss\u2603phrase", "x" * 1023, "a'b\"c$d\\e"])
def test_any_other_passphrase_opens_what_it_closed(tmp_path: Path, passphrase: str) -> None:
    assert ensure(tmp_path / "pki", passphrase).changed
    assert not ensure(tmp_path / "pki", passphrase).changed


def test_bad_places_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x", encoding="utf-8")
    with pytest.raises(TlsError, match="file: this is not a directory"):
        ensure(file)
    with pytest.raises(RemoteApiError, match="file/pki"):
        ensure(file / "pki")
    with pytest.raises(TlsError, match="the CA cannot be kept there"):
        ensure(Path("/proc/pki"))
    with pytest.raises(TlsError, match="there is no CA"):
        _authority.open_authority(str(tmp_path / "none"), PASSPHRASE, NOW)


@pytest.mark.parametrize(("days", "cause"), [(0, "from 1 to 36500"), (36501, "from 1 to 36500")])
def test_bad_days_are_refused(tmp_path: Path, days: int, cause: str) -> None:
    with pytest.raises(TlsError, match=cause):
        _authority.ensure(str(tmp_path / "pki"), PASSPHRASE, dataclasses.replace(SETTINGS, days=days), NOW, False)
    assert not (tmp_path / "pki").exists()


@pytest.mark.parametrize("name", ["\u00e4" * 40, "x" * 65, "a\udce4", " "])
def test_a_bad_name_is_refused_before_the_key_is_written(tmp_path: Path, name: str) -> None:
    spec = dataclasses.replace(SETTINGS, common_name=name)
    with pytest.raises(TlsError, match="this is no common name"):
        _authority.ensure(str(tmp_path / "pki"), PASSPHRASE, spec, NOW, check_mode=False)
    assert not (tmp_path / "pki").exists()


def test_while_an_authority_is_replaced_the_one_whose_key_is_there_signs(pki: Path, tmp_path: Path) -> None:
    old = make_authority(tmp_path / "old")
    own = certificates.load_bundle((pki / "ca.pem").read_bytes(), "ca.pem")[0]
    (pki / "ca.pem").write_text(certificates.to_pem([old.certificate, own]), encoding="ascii")
    taken = ensure(pki)
    assert not taken.changed
    assert taken.authority is not None
    assert taken.authority.certificate == own
    assert taken.authority.bundle == (own, old.certificate)
    assert _authority.trusted(str(pki), PASSPHRASE, NOW, "client") == (own, old.certificate)
    issued = _authority.issue(
        taken.authority, keys.generate("ecdsa_p256").public_key(), SERVER, timedelta(days=90), NOW
    )
    assert certificates.is_issued_by(issued, own)


def test_what_is_trusted_is_told_without_opening_the_key(pki: Path, tmp_path: Path) -> None:
    assert len(_authority.trusted(str(pki), "not needed", NOW, "client")) == 1
    assert _authority.trusted(str(tmp_path / "none"), PASSPHRASE, NOW, "client") == ()


def test_a_ca_whose_making_was_cut_short_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = write_atomically

    def refuse(path: str, content: bytes, *, mode: int) -> None:
        """Write the key, but not the certificate."""
        if path.endswith("ca.pem"):
            raise TlsError(path, "the disk is full", "Make room.")
        real(path, content, mode=mode)

    monkeypatch.setattr(_authority, "write_atomically", refuse)
    with pytest.raises(TlsError, match="the disk is full"):
        ensure(tmp_path / "pki")
    monkeypatch.undo()
    pki = tmp_path / "pki"
    assert sorted(contents(pki)) == [".gitignore", "ca-key.pem"]
    (pki / ".ca.pem.ab12cd34.tmp").write_text("x", encoding="utf-8")
    before = contents(pki)
    with pytest.raises(TlsError, match="ca-key.pem: the passphrase does not open this key"):
        ensure(pki, "wrong")
    foreseen = ensure(pki, check_mode=True)
    assert (foreseen.changed, foreseen.authority) == (True, None)
    assert contents(pki) == before
    made = ensure(pki)
    assert made.changed
    assert made.authority is not None
    assert sorted(contents(pki)) == [".gitignore", "ca-key.pem", "ca.pem"]
    assert contents(pki)["ca-key.pem"] == before["ca-key.pem"]
    check_strictly(made.authority, tmp_path, SERVER)
    assert not ensure(pki).changed


def test_an_authority_that_is_there_is_opened_without_any_lock(pki: Path) -> None:
    with store.lock(str(pki)):
        assert not ensure(pki).changed


def client_in(pki: Path) -> _issuing.Client:
    profile = profiles.profile("client", "admin", (), "ecdsa_p256")
    return _issuing.Client("admin", profile, profiles.validity(90, None, 30), str(pki / "clients/admin"))


def test_what_only_linux_has_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other_unix.become(monkeypatch)
    made = ensure(tmp_path / "pki")
    assert made.authority is not None
    client = client_in(tmp_path / "pki")
    result, _warnings = _issuing.ensure_client(client, made.authority, NOW, check_mode=False)
    assert result["issued"]
    folder = tmp_path / "pki/clients/admin"
    assert openssl("verify", "-CAfile", folder / "ca.pem", folder / "cert.pem").endswith(": OK\n")


def test_a_new_directory_keeps_clients_keys_out_of_git(tmp_path: Path) -> None:
    pki = tmp_path / "pki"
    made = ensure(pki)
    client = client_in(tmp_path / "pki")
    _issuing.ensure_client(client, made.authority, NOW, check_mode=False)
    (pki / "clients/admin/.key.pem.new.ab12cd34.tmp").write_text("x", encoding="utf-8")
    (pki / "clients/admin/key.pem.new").write_text("x", encoding="utf-8")
    subprocess.run(["git", "init", "-q", tmp_path], check=True, timeout=60)
    said = subprocess.run(
        ["git", "-C", tmp_path, "ls-files", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout.splitlines()  # fmt: skip
    assert {name for name in said if "/issued/" not in name} == {
        "pki/.gitignore", "pki/ca.pem", "pki/ca-key.pem", "pki/clients/admin/ca.pem", "pki/clients/admin/cert.pem",
    }  # fmt: skip
    other = tmp_path / "there already"
    other.mkdir()
    ensure(other)
    assert not (other / ".gitignore").exists()


def test_a_ca_of_this_collection_needs_no_warning(pki: Path) -> None:
    authority = _authority.open_authority(str(pki), PASSPHRASE, NOW)
    assert _authority.warnings(authority, "ca.pem") == []
    # A bundle during a replacement has two of them.
    other = make_authority(pki.parent / "other")
    both = dataclasses.replace(authority, bundle=(authority.certificate, other.certificate))
    assert _authority.warnings(both, "ca.pem") == []


@pytest.mark.parametrize("with_root", [True, False])
def test_an_intermediate_of_a_company_is_a_ca_with_or_without_the_one_above_it(tmp_path: Path, with_root: bool) -> None:
    """OpenSSL alone has to be told that a chain may end below a root; Go and Python 3.13 take it as it is."""
    authority = company_authority(tmp_path, with_root=with_root)
    assert [certificates.common_name(one) for one in authority.bundle] == ["Docker"] + ["Company"] * with_root
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(certificates.to_pem(authority.bundle), encoding="ascii")
    for wanted, purpose in ((SERVER, "sslserver"), (CLIENT, "sslclient")):
        issued = _authority.issue(authority, keys.generate("ecdsa_p256").public_key(), wanted, timedelta(days=9), NOW)
        file = tmp_path / "issued.pem"
        file.write_text(certificates.to_pem([issued]), encoding="ascii")
        words = ("verify", "-x509_strict", "-purpose", purpose, "-CAfile", trusted, file)
        said = openssl(*words, check=False)
        assert said == f"{file}: OK\n" if with_root else "unable to get issuer certificate" in said
        assert openssl(words[0], "-partial_chain", *words[1:]) == f"{file}: OK\n"
    (warning,) = _authority.warnings(authority, "ca.pem")
    assert "another CA issued it" in warning
    assert ("the CA above it is trusted as well" in warning) == with_root


def company_authority(folder: Path, *, with_root: bool) -> _authority.Authority:
    """Return an intermediate CA that openssl made, with or without the one above it in its file, that one first."""
    extensions = folder / "extensions"
    extensions.write_text(
        "basicConstraints = critical, CA:true, pathlen:0\nkeyUsage = critical, keyCertSign, cRLSign\n"
        "subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n", encoding="ascii",
    )  # fmt: skip
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    root, root_key, own_key, csr = (folder / name for name in ("root.pem", "root.key", "own.key", "own.csr"))
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl(*new, "-x509", "-days", "99", "-subj", "/CN=Company", *usage, "-keyout", root_key, "-out", root)
    openssl(*new, "-subj", "/CN=Docker", "-keyout", own_key, "-out", csr)
    signed = ("-CA", root, "-CAkey", root_key, "-CAcreateserial", "-days", "50", "-extfile", extensions)
    openssl("x509", "-req", "-in", csr, *signed, "-out", folder / "own.pem")
    text = (root.read_text() if with_root else "") + (folder / "own.pem").read_text()
    return _authority.open_authority_from_text(text, own_key.read_text(), None, datetime.now(UTC))


def test_clients_trust_the_authorities_that_are_noted_for_hosts(tmp_path: Path) -> None:
    path = tmp_path / "pki"
    options = {
        "path": str(path), "passphrase": PASSPHRASE, "ledger_dir": None, "ca_key": None, "key_type": "ecdsa_p256",
        "common_name": "CA", "days": 30, "client_days": 20, "renew_before_days": 3,
        "clients": [
            {"name": "admin", "days": None, "hours": None, "key_type": None, "subject": None, "directory": None}
        ],
    }  # fmt: skip
    make_authority_by_hand(tmp_path / "hand")
    foreign, bundle = (tmp_path / "hand/ca.pem").read_text(), path / "clients/admin/ca.pem"

    def ensured(*notes: _issuing.Note, check: bool = False) -> bool:
        return _issuing.ensure_authority(options, NOW, check, notes).changed

    assert ensured()
    own = bundle.read_text()
    assert ensured(("foreign", "web/1", foreign), check=True)
    assert (bundle.read_text(), (path / "foreign").exists()) == (own, False)
    for host in ("web/1", ".."):  # the same one of both
        ensured(("foreign", host, foreign))
    assert {file.name for file in (path / "foreign").iterdir()} == {"web%2F1.pem", "...pem"}
    assert _issuing.noted(str(path), "foreign", "web/1") == foreign
    assert bundle.read_text() == own + foreign
    assert not ensured()
    ensured(("foreign", "web/1", ""))
    assert bundle.read_text() == own + foreign
    assert ensured(("foreign", "..", ""))
    assert bundle.read_text() == own


RACER = """
import sys
from datetime import datetime, timezone
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import certificates, profiles
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority, _issuing
sys.stdin.readline()
spec = _authority.AuthoritySpec("CA", 30, "rsa_2048")
now = datetime.now(timezone.utc)
done = _authority.ensure(sys.argv[1], "secret", spec, now, False)
profile = profiles.profile("client", "admin", (), "rsa_2048")
client = _issuing.Client("admin", profile, profiles.validity(30, None, 3), f"{sys.argv[1]}/clients/admin")
result, warnings = _issuing.ensure_client(client, done.authority, now, False)
print(done.changed, certificates.fingerprint(done.authority.certificate), result["changed"], result["serial"])
"""


def test_runs_that_start_at_once_make_one_authority_and_one_certificate(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path / "pki")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for turn in range(4)
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    said = [racer.communicate(timeout=60) for racer in racers]
    assert [errors for output, errors in said] == [""] * 4
    results = [output.split() for output, errors in said]
    for changed, identity in ((0, 1), (2, 3)):
        assert sorted(one[changed] for one in results) == ["False"] * 3 + ["True"]
        assert len({one[identity] for one in results}) == 1
    assert len(list((tmp_path / "pki/issued").iterdir())) == 1
