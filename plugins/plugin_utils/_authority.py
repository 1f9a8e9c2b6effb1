# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The authority: it lives in one directory on the controller, and its key is opened in this process only.

``ca.pem`` is what hosts and clients trust: one certificate, or two while an authority is being replaced.
``ca-key.pem`` is the encrypted key of one of them. ``issued/`` has a copy of each certificate that it signed.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import hashlib
import os
import re
import stat
import typing as t
from dataclasses import dataclass
from datetime import datetime, timedelta

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import (
    read_file,
    remove_file,
    write_atomically,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import certificates, keys, profiles
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import names as names_of
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.library import (
    ExtendedKeyUsageOID,
    NameOID,
    ec,
    ed25519,
    exceptions,
    rsa,
    serialization,
    x509,
)
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority_errors as errors

CERTIFICATE_FILE = "ca.pem"
KEY_FILE = "ca-key.pem"
LEDGER = "issued"

_LOCK_FILE = ".lock"
_LONGEST_PASSPHRASE = 1023  # bytes; OpenSSL's limit
_BACKDATED = timedelta(minutes=5)  # for hosts whose clocks are behind
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s(.*?)-----END \1-----", re.DOTALL)

NOT_STRICT = (
    "{path} has no keyUsage, or another part is missing that strict checks ask for: OpenSSL with -x509_strict, and "
    "Python 3.13 and later by default, refuse to trust it. It is used as it is; a new authority would pass."
)


@dataclass(frozen=True)
class Settings:
    """What a new authority is to be like: common name, days of validity, type of key (one of keys.KEY_TYPES)."""

    common_name: str
    days: int
    key_type: str


@dataclass(frozen=True)
class Authority:
    """An opened authority: its directory, its own certificate and key, and the bundle to be trusted, its own first."""

    path: str
    certificate: x509.Certificate
    key: keys.PrivateKey
    bundle: tuple[x509.Certificate, ...]

    @property
    def strict(self) -> bool:
        """Whether strict clients, such as Python 3.13, accept the certificate as it is."""
        return profiles.is_strict(self.certificate)


@dataclass(frozen=True)
class Established:
    """The authority (None in check mode when it would be made), and what was or would be changed.

    ``kept``: it was there before, so that a change is one of its files' modes.
    """

    authority: Authority | None
    kept: bool
    changed: bool
    warnings: list[str]


def _secret(passphrase: str) -> bytes:
    """Return the passphrase as bytes. Raises AuthorityError for one that cannot encrypt anything."""
    # Ansible hands over its own kinds of text, vaulted ones among them.
    secret = str(passphrase).encode()
    if not secret:
        raise errors.bad_passphrase("it is empty")
    if len(secret) > _LONGEST_PASSPHRASE:
        raise errors.bad_passphrase(f"it is longer than {_LONGEST_PASSPHRASE} bytes")
    return secret


def _is_whole(body: bytes) -> bool:
    """Return whether the text between two PEM lines is base64 of one whole ASN.1 sequence (X.690, section 8.1)."""
    try:
        data = base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        return False
    if len(data) < 4 or data[0] != 0x30:
        return False
    size = data[1] & 0x7F
    if data[1] < 0x80:
        return len(data) == 2 + size
    return len(data) == 2 + size + int.from_bytes(data[2 : 2 + size], "big")


def _load_key(content: bytes, path: str, passphrase: str) -> keys.PrivateKey:
    """Return the private key in the content. Raises AuthorityError, telling a wrong passphrase from a broken file."""
    block = next((one for one in _PEM.finditer(content) if one.group(1).endswith(b"PRIVATE KEY")), None)
    if block is None:
        raise errors.unreadable_key(path, "there is no whole PEM block of one in it")
    label, body = block.groups()
    pkcs8, traditional = label == b"ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED" in body
    if not traditional and not _is_whole(body):
        raise errors.unreadable_key(path, "what is between its BEGIN and END lines is damaged")
    if not pkcs8 and not traditional:
        raise errors.not_encrypted(path)
    try:
        key = serialization.load_pem_private_key(block.group(0) + b"\n", password=_secret(passphrase))
    except exceptions.UnsupportedAlgorithm as problem:
        raise errors.unknown_encryption(path) from problem
    except (ValueError, TypeError) as problem:
        raise errors.wrong_passphrase(path) from problem
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)):
        raise errors.weak_key(path, type(key).__name__)
    _check_strength(key, path)
    return key


def _check_strength(key: keys.PrivateKey, path: str) -> None:
    """Raise AuthorityError unless current clients and engines accept signatures by the key."""
    key_type = keys.type_of(key.public_key())
    if isinstance(key, rsa.RSAPrivateKey):
        usable = key.key_size >= 2048
    else:
        usable = key_type in ("ecdsa_p256", "ecdsa_p384", "ecdsa_p521", "ed25519")
    if not usable:
        raise errors.weak_key(path, key_type)


def _check_certificate(certificate: x509.Certificate, path: str, now: datetime) -> None:
    """Raise AuthorityError unless the certificate may sign those of servers and clients, and is valid now."""
    try:
        marked = certificates.is_authority(certificate)
        usage = certificates.extension(certificate, x509.KeyUsage)
        extended = certificates.extension(certificate, x509.ExtendedKeyUsage)
    except certificates.UnreadableError as problem:
        raise errors.unusable(path, f"a part of it cannot be read: {problem}") from problem
    if not marked:
        raise errors.unusable(path, "it is not marked as an authority's (basicConstraints with CA:TRUE)")
    if usage is not None and not usage.key_cert_sign:
        raise errors.unusable(path, "its keyUsage does not allow to sign certificates")
    # Go and others take the usages of an authority as a limit for all that it signs.
    needed = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    if extended is not None and not needed <= set(extended):
        raise errors.unusable(path, "its extendedKeyUsage does not allow both servers and clients")
    _check_dates(certificate, path, now)


def _check_dates(certificate: x509.Certificate, path: str, now: datetime) -> None:
    """Raise AuthorityError unless the certificate is valid now."""
    start, end = certificates.not_before(certificate), certificates.not_after(certificate)
    if now > end:
        raise errors.out_of_date(path, f"the authority is expired since {certificates.iso(end)}")
    if now < start:
        raise errors.out_of_date(path, f"the authority is not valid before {certificates.iso(start)}")


def _is_for(certificate: x509.Certificate, key: keys.PrivateKey) -> bool:
    """Return whether the certificate is for this key."""
    try:
        return keys.public_bytes(certificates.public_key(certificate)) == keys.public_bytes(key.public_key())
    except certificates.UnreadableError:
        return False


def _present(path: str) -> tuple[bytes | None, bytes | None]:
    """Return what is in the key's and in the certificate's file, None for a missing one. Raises RemoteApiError."""
    if os.path.lexists(path) and not os.path.isdir(path):
        raise errors.not_a_directory(path)
    return read_file(os.path.join(path, KEY_FILE)), read_file(os.path.join(path, CERTIFICATE_FILE))


def _check_halves(path: str, key: bytes | None, certificate: bytes | None) -> None:
    """Raise AuthorityError when only one of the two files is there."""
    names = (os.path.join(path, KEY_FILE), os.path.join(path, CERTIFICATE_FILE))
    if (key is None) != (certificate is None):
        raise errors.half_missing(*(names if key is None else names[::-1]))


def _open(path: str, key_pem: bytes, certificate_pem: bytes, passphrase: str, now: datetime) -> Authority:
    """Return the authority that the two files' contents make up. Raises RemoteApiError."""
    certificate_path, key_path = os.path.join(path, CERTIFICATE_FILE), os.path.join(path, KEY_FILE)
    bundle = certificates.load_bundle(certificate_pem, certificate_path)
    key = _load_key(key_pem, key_path, passphrase)
    own = next((one for one in bundle if _is_for(one, key)), None)
    if own is None:
        raise errors.foreign_key(key_path, certificate_path)
    _check_certificate(own, certificate_path, now)
    return Authority(path, own, key, (own, *(one for one in bundle if one is not own)))


def open_authority(path: str, passphrase: str, now: datetime) -> Authority:
    """Return the authority in the directory, ready to sign. ``now`` is the controller's time, UTC and aware.

    Raises RemoteApiError when there is none, the passphrase does not open it, or it cannot be used.
    """
    _secret(passphrase)
    key, certificate = _present(path)
    _check_halves(path, key, certificate)
    if key is None or certificate is None:
        raise errors.not_there(path)
    return _open(path, key, certificate, passphrase, now)


def trusted(path: str, passphrase: str, now: datetime) -> tuple[x509.Certificate, ...]:
    """Return what hosts and clients trust, the certificate that signs first; empty when there is no authority.

    The key stays closed, which saves its costly decryption, unless several certificates leave a doubt about which
    of them signs. Raises RemoteApiError.
    """
    _secret(passphrase)
    key, certificate = _present(path)
    _check_halves(path, key, certificate)
    if key is None or certificate is None:
        return ()
    where = os.path.join(path, CERTIFICATE_FILE)
    bundle = certificates.load_bundle(certificate, where)
    if len(bundle) > 1:
        return _open(path, key, certificate, passphrase, now).bundle
    _check_certificate(bundle[0], where, now)
    return bundle


def _new_certificate(key: keys.PrivateKey, settings: Settings, now: datetime) -> x509.Certificate:
    """Return a self-signed certificate for a new authority.

    A part of the subject comes from the key: two authorities with one name would be mixed up by clients that trust
    both (OpenSSL looks for an issuer by its name). There is no extended key usage, for it would limit what is signed.
    """
    public = key.public_key()
    mark = hashlib.sha256(keys.public_bytes(public)).hexdigest()[:32]
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, settings.common_name),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, mark),
        ]
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=settings.days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(profiles.key_usage(authority=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, keys.signing_hash(key))
    )


@contextlib.contextmanager
def _locked(path: str) -> t.Iterator[None]:
    """Keep other runs from making an authority in the directory at the same time; the directory is made if needed.

    Raises AuthorityError.
    """
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        descriptor = os.open(os.path.join(path, _LOCK_FILE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise errors.not_made(path, problem.strerror or str(problem)) from problem
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make(path: str, passphrase: str, settings: Settings, now: datetime) -> None:
    """Write the files of a new authority. Raises RemoteApiError; nothing of it is left then."""
    key = keys.generate(settings.key_type)
    content = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(_secret(passphrase)),
    )
    certificate = certificates.to_pem([_new_certificate(key, settings, now)]).encode()
    key_path = os.path.join(path, KEY_FILE)
    written = False
    write_atomically(key_path, content, mode=0o600)
    try:
        write_atomically(os.path.join(path, CERTIFICATE_FILE), certificate, mode=0o644)
        written = True
    finally:
        if not written:
            remove_file(key_path)


def _protect(path: str, check_mode: bool) -> bool:
    """Take from others what they must not do with the two files. Return whether there was anything to take."""
    changed = False
    for name, forbidden in ((KEY_FILE, 0o077), (CERTIFICATE_FILE, 0o022)):
        file = os.path.join(path, name)
        mode = stat.S_IMODE(os.stat(file).st_mode)
        if mode & forbidden:
            changed = True
            if not check_mode:
                try:
                    os.chmod(file, mode & ~forbidden)
                except OSError as problem:
                    raise errors.not_made(file, problem.strerror or str(problem)) from problem
    return changed


def establish(path: str, passphrase: str, settings: Settings, now: datetime, check_mode: bool) -> Established:
    """Make the authority in the directory, or take the one that is there as it is.

    Raises RemoteApiError for all that prevents either; nothing that is there is ever overwritten.
    """
    _secret(passphrase)
    profiles.check_days(settings.days, 0)
    names_of.common_name(settings.common_name, ())
    made = False
    key, certificate = _present(path)
    if key is None or certificate is None:
        if check_mode:
            _check_halves(path, key, certificate)
            return Established(None, False, True, [])
        with _locked(path):
            # Another run may have made it since.
            key, certificate = _present(path)
            _check_halves(path, key, certificate)
            if key is None:
                _make(path, passphrase, settings, now)
                made = True
    authority = open_authority(path, passphrase, now)
    loose = _protect(path, check_mode)
    where = os.path.join(path, CERTIFICATE_FILE)
    warnings = [] if authority.strict else [NOT_STRICT.format(path=where)]
    return Established(authority, not made, made or loose, warnings)


def issue(
    authority: Authority, key: keys.PublicKey, wanted: profiles.Profile, days: int, now: datetime
) -> x509.Certificate:
    """Return a certificate for the public key as the profile says, with a copy of it in the ledger.

    It ends with the authority at the latest. Raises RemoteApiError.
    """
    start = max(now - _BACKDATED, certificates.not_before(authority.certificate))
    builder = (
        x509.CertificateBuilder()
        .subject_name(profiles.subject(wanted.common_name))
        .issuer_name(authority.certificate.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end_of(authority.certificate, days, now))
    )
    for value, critical in profiles.extensions(wanted, key, authority.certificate):
        builder = builder.add_extension(value, critical)
    certificate = builder.sign(authority.key, keys.signing_hash(authority.key))
    _record(authority.path, certificate)
    return certificate


def end_of(authority: x509.Certificate, days: int, now: datetime) -> datetime:
    """Return when a certificate ends that is issued now for this many days."""
    return min(now + timedelta(days=days), certificates.not_after(authority))


def _record(path: str, certificate: x509.Certificate) -> None:
    """Add the certificate to the ledger; its serial number is its own, so runs side by side do not meet."""
    folder = os.path.join(path, LEDGER)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as problem:
        raise errors.not_made(folder, problem.strerror or str(problem)) from problem
    name = f"{certificates.serial(certificate)}.pem"
    write_atomically(os.path.join(folder, name), certificates.to_pem([certificate]).encode(), mode=0o644)


__all__ = (
    "CERTIFICATE_FILE",
    "KEY_FILE",
    "LEDGER",
    "Authority",
    "Established",
    "Settings",
    "end_of",
    "establish",
    "issue",
    "open_authority",
    "trusted",
)
