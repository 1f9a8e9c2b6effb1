# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The CA: it lives on the controller, and its key is opened in this process only.

Its directory has three parts. ``ca.pem`` is what hosts and clients trust: one certificate, or two while a CA is being
replaced. ``ca-key.pem`` is the encrypted key of one of them. ``issued/`` has a copy of each certificate that it signed.
While a CA is being replaced there is a second key, see _rotation.py.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import (
    read_file,
    remove_leftovers,
    write_atomically,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._pem import find_blocks
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import (
    certificates,
    errors,
    keys,
    profiles,
    signing_request,
    store,
)
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
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.names import choose_common_name

CERTIFICATE_FILE = "ca.pem"
KEY_FILE = "ca-key.pem"
# The key of a new CA: once its certificate is in ca.pem, it signs what servers get, and ca-key.pem what clients get.
NEXT_KEY_FILE = "ca-key.next.pem"
LEDGER = "issued"
IGNORE_FILE = ".gitignore"

_LONGEST_PASSPHRASE = 1023  # bytes; OpenSSL's limit
_BACKDATED = timedelta(minutes=5)  # for hosts whose clocks are behind
_EPHEMERAL = timedelta(minutes=5)

NOT_STRICT = (
    "{path} has no keyUsage, or another part is missing that strict checks ask for: OpenSSL with -x509_strict, and "
    "Python 3.13 and later by default, refuse to trust it. It is used as it is; a new authority would pass."
)


SHARED = (
    "{path} may be the CA of more than this fleet ({signs}). Whoever holds a client certificate of it, whatever it was "
    "issued for, is root on every host that trusts it. A CA of its own for the fleet's clients is safer."
)

_IGNORED = """\
# Whoever has a client's private key is root on the hosts of the fleet: it stays out of version control.
# The CA's key is encrypted. Ignore ca-key*.pem as well unless its passphrase withstands guessing.
/clients/*/*key.pem*
.remote_api.lock
"""


@dataclass(frozen=True)
class AuthoritySpec:
    """What a new CA is to be like: common name, days of validity, type of key (one of KEY_TYPES)."""

    common_name: str
    days: int
    key_type: str


@dataclass(frozen=True)
class Authority:
    """An opened CA: its certificate and key, the bundle to be trusted (its own certificate first), and its ledger.

    ``ledger_dir`` is the directory that gets a copy of each certificate issued; None: no copies are kept.
    ``successor`` is the CA that takes its place, None if it is not being replaced: it signs what servers get already.
    """

    certificate: x509.Certificate
    key: keys.PrivateKey
    bundle: tuple[x509.Certificate, ...]
    ledger_dir: str | None
    successor: Authority | None = None

    @property
    def strict(self) -> bool:
        """Whether strict clients, such as Python 3.13, accept the certificate as it is."""
        return profiles.is_strict(self.certificate)

    def signs_for(self, usage: str) -> Authority:
        """Return the CA that signs for this usage, ``server`` or ``client``: itself, or its successor."""
        return self.successor if usage == "server" and self.successor else self


@dataclass(frozen=True)
class SignedCertificate:
    """An issued certificate (PEM), and a warning if it ends earlier than asked for."""

    pem: str
    warning: str | None


@dataclass(frozen=True)
class AuthorityResult:
    """The CA (None in check mode when it would be made), and whether something was or would be changed.

    ``existed``: it was there before, so that a change is one of its files' modes.
    """

    authority: Authority | None
    existed: bool
    changed: bool


@dataclass(frozen=True)
class AuthoritySource:
    """Where a task finds its CA: in PEM text (``certificate`` and ``key``), or else in the directory ``path``.

    ``ledger_dir``: see Authority; None: ``issued`` in the directory, and no ledger for a CA of text.
    """

    path: str | None
    passphrase: str | None = field(repr=False)
    certificate: str | None = None
    key: str | None = field(default=None, repr=False)
    ledger_dir: str | None = None

    def open(self, now: datetime) -> Authority:
        """Return the CA, ready to sign; ``now`` is the controller's time, UTC and aware. Raises RemoteApiError."""
        if self.key is not None:
            return open_authority_from_text(self.certificate or "", self.key, self.passphrase, now, self.ledger_dir)
        return open_authority(str(self.path), self.passphrase, now, self.ledger_dir)

    def trusted(self, now: datetime, usage: str) -> tuple[x509.Certificate, ...]:
        """Return what hosts and clients trust; see trusted(). Raises RemoteApiError."""
        if self.key is None:
            return trusted(str(self.path), self.passphrase, now, usage)
        bundle = certificates.load_bundle((self.certificate or "").encode(), "ca_certificate")
        if len(bundle) > 1:
            return self.open(now).bundle
        _check_certificate(bundle[0], "ca_certificate", now)
        return bundle


def _secret(passphrase: str | None) -> bytes:
    """Return the passphrase as bytes. Raises TlsError for none, or one that cannot encrypt anything."""
    if passphrase is None:
        raise errors.bad_passphrase(option="passphrase", cause="it is not given, and the CA's key needs it")
    # Ansible hands over its own kinds of text, vaulted ones among them.
    try:
        secret = str(passphrase).encode()
    except UnicodeEncodeError:
        # That error quotes the passphrase.
        raise errors.bad_passphrase(option="passphrase", cause="it has bytes that are no UTF-8") from None
    if not secret:
        raise errors.bad_passphrase(option="passphrase", cause="it is empty")
    if len(secret) > _LONGEST_PASSPHRASE:
        raise errors.bad_passphrase(option="passphrase", cause=f"it is longer than {_LONGEST_PASSPHRASE} bytes")
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


def load_key(content: bytes, path: str, passphrase: str | None, *, encrypted: bool = True) -> keys.PrivateKey:
    """Return the private key in PEM text; ``encrypted``: refuse one that is not. ``path`` names the text in errors.

    Raises TlsError, telling a wrong passphrase from a broken file.
    """
    block = next((one for one in find_blocks(content) if one.label.endswith("PRIVATE KEY")), None)
    if block is None:
        raise errors.unreadable_key(path=path, cause="there is no whole PEM block of one in it")
    traditional = b"Proc-Type: 4,ENCRYPTED" in block.body
    if not traditional and not _is_whole(block.body):
        raise errors.unreadable_key(path=path, cause="what is between its BEGIN and END lines is damaged")
    secret = None
    if traditional or block.label == "ENCRYPTED PRIVATE KEY":
        secret = _secret(passphrase)
    elif encrypted:
        raise errors.not_encrypted(path=path)
    try:
        key = serialization.load_pem_private_key(block.text, password=secret)
    except exceptions.UnsupportedAlgorithm as exc:
        raise errors.unknown_encryption(path=path) from exc
    except (ValueError, TypeError) as exc:
        raise errors.wrong_passphrase(path=path) from exc
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)):
        raise errors.weak_key(path=path, key_type=type(key).__name__)
    _check_strength(key, path)
    return key


def _check_strength(key: keys.PrivateKey, path: str) -> None:
    """Raise TlsError unless current clients and engines accept signatures by the key."""
    key_type = keys.type_of(key.public_key())
    if isinstance(key, rsa.RSAPrivateKey):
        usable = key.key_size >= 2048
    else:
        usable = key_type in ("ecdsa_p256", "ecdsa_p384", "ecdsa_p521", "ed25519")
    if not usable:
        raise errors.weak_key(path=path, key_type=key_type)


def _check_certificate(certificate: x509.Certificate, path: str, now: datetime) -> None:
    """Raise TlsError unless the certificate may sign those of servers and clients, and is valid now."""
    try:
        marked = certificates.is_authority(certificate)
        usage = certificates.extension(certificate, x509.KeyUsage)
        extended = certificates.extension(certificate, x509.ExtendedKeyUsage)
    except certificates.UnreadableError as exc:
        raise errors.unusable(path=path, cause=f"a part of it cannot be read: {exc}") from exc
    if not marked:
        raise errors.unusable(path=path, cause="it is not marked as a CA (basicConstraints with CA:TRUE)")
    if usage is not None and not usage.key_cert_sign:
        raise errors.unusable(path=path, cause="its keyUsage does not allow to sign certificates")
    # Go and others take the usages of an authority as a limit for all that it signs.
    needed = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    if extended is not None and not needed <= set(extended):
        raise errors.unusable(path=path, cause="its extendedKeyUsage does not allow both servers and clients")
    _check_dates(certificate, path, now)


def _check_dates(certificate: x509.Certificate, path: str, now: datetime) -> None:
    """Raise TlsError unless the certificate is valid now."""
    start, end = certificates.not_before(certificate), certificates.not_after(certificate)
    if now > end:
        raise errors.out_of_date(path=path, cause=f"the CA is expired since {certificates.iso(end)}")
    if now < start:
        raise errors.out_of_date(path=path, cause=f"the CA is not valid before {certificates.iso(start)}")


def _present(path: str) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Return what is in the files of the key, the certificates and a new CA's key, None for a missing one.

    They belong together, also while another run replaces the CA: each of its steps changes the certificates or the key,
    so that what is read between two equal readings of both goes with them. Raises RemoteApiError.
    """
    if os.path.lexists(path) and not os.path.isdir(path):
        raise errors.bad_place(path=path, cause="this is not a directory")
    names = (os.path.join(path, name) for name in (KEY_FILE, CERTIFICATE_FILE, NEXT_KEY_FILE))
    key_path, certificate_path, next_path = names
    key, certificate = read_file(key_path), read_file(certificate_path)
    while True:
        next_key = read_file(next_path)
        again = read_file(key_path), read_file(certificate_path)
        if again == (key, certificate):
            return key, certificate, next_key
        key, certificate = again


def exists(path: str) -> bool:
    """Return whether there is a CA in the directory, or a part of one. Raises RemoteApiError."""
    return _present(path)[:2] != (None, None)


def _check_halves(path: str, key: bytes | None, certificate: bytes | None) -> None:
    """Raise TlsError when only one of the two files is there."""
    names = [os.path.join(path, KEY_FILE), os.path.join(path, CERTIFICATE_FILE)]
    if certificate is None:
        names.reverse()
    if (key is None) != (certificate is None):
        raise errors.half_missing(missing=names[0], present=names[1])


def _assemble(
    certificate_pem: bytes, certificate_path: str, key: keys.PrivateKey, key_path: str, now: datetime
) -> tuple[x509.Certificate, ...]:
    """Return the bundle in the PEM text with the certificate of the key first; the paths name both in errors.

    Raises RemoteApiError unless that certificate is there and may sign now.
    """
    bundle = certificates.load_bundle(certificate_pem, certificate_path)
    own = next((one for one in bundle if certificates.matches_key(one, key)), None)
    if own is None:
        raise errors.foreign_key(key=key_path, certificate=certificate_path)
    _check_certificate(own, certificate_path, now)
    return (own, *(one for one in bundle if one is not own))


def _open(
    path: str,
    contents: tuple[bytes, bytes, bytes | None],
    passphrase: str | None,
    now: datetime,
    ledger_dir: str | None = None,
) -> Authority:
    """Return the authority that the contents of the files make up, see _present(). Raises RemoteApiError."""
    key_pem, certificate_pem, next_pem = contents
    certificate_path, key_path = os.path.join(path, CERTIFICATE_FILE), os.path.join(path, KEY_FILE)
    key = load_key(key_pem, key_path, passphrase)
    bundle = _assemble(certificate_pem, certificate_path, key, key_path, now)
    ledger_dir = ledger_dir or os.path.join(path, LEDGER)
    next_path = os.path.join(path, NEXT_KEY_FILE)
    successor = None
    if next_pem is not None and len(bundle) > 1:
        next_key = load_key(next_pem, next_path, passphrase)
        # Without a certificate in the bundle it only waits: nobody trusts it yet.
        if any(certificates.matches_key(one, next_key) for one in bundle[1:]):
            trust = _assemble(certificate_pem, certificate_path, next_key, next_path, now)
            successor = Authority(trust[0], next_key, trust, ledger_dir)
    return Authority(bundle[0], key, bundle, ledger_dir, successor)


def open_authority_from_text(
    certificate_pem: str, key_pem: str, passphrase: str | None, now: datetime, ledger_dir: str | None = None
) -> Authority:
    """Return the CA that PEM text holds, ready to sign; for controllers without a disk, so nothing is written.

    The key may be unencrypted; then the passphrase is not used. Raises RemoteApiError, which names the texts
    ``ca_certificate`` and ``ca_key``, if the passphrase does not open the key or the CA cannot sign now.
    """
    key = load_key(key_pem.encode(), "ca_key", passphrase, encrypted=False)
    bundle = _assemble(certificate_pem.encode(), "ca_certificate", key, "ca_key", now)
    return Authority(bundle[0], key, bundle, ledger_dir)


def open_authority(path: str, passphrase: str | None, now: datetime, ledger_dir: str | None = None) -> Authority:
    """Return the CA in the directory, ready to sign. ``now`` is the controller's time, UTC and aware.

    Raises RemoteApiError when there is none, the passphrase does not open it, or it cannot be used.
    """
    _secret(passphrase)
    key, certificate, next_key = _present(path)
    _check_halves(path, key, certificate)
    if key is None or certificate is None:
        raise errors.not_there(path=path)
    return _open(path, (key, certificate, next_key), passphrase, now, ledger_dir)


def trusted(path: str, passphrase: str | None, now: datetime, usage: str) -> tuple[x509.Certificate, ...]:
    """Return what hosts and clients trust, the certificate that signs for the usage first; empty without an authority.

    The key stays closed, which saves its costly decryption, unless several certificates leave a doubt about which
    of them signs. Raises RemoteApiError.
    """
    _secret(passphrase)
    key, certificate, next_key = _present(path)
    _check_halves(path, key, certificate)
    if key is None or certificate is None:
        return ()
    where = os.path.join(path, CERTIFICATE_FILE)
    bundle = certificates.load_bundle(certificate, where)
    if len(bundle) > 1:
        return _open(path, (key, certificate, next_key), passphrase, now).signs_for(usage).bundle
    _check_certificate(bundle[0], where, now)
    return bundle


def _mark(key: keys.PublicKey) -> x509.NameAttribute[str]:
    """Return the part of the subject of a CA of this collection that comes from its key."""
    digest = hashlib.sha256(keys.public_bytes(key)).hexdigest()
    return x509.NameAttribute(NameOID.SERIAL_NUMBER, digest[:32])


def new_certificate(key: keys.PrivateKey, spec: AuthoritySpec, now: datetime) -> x509.Certificate:
    """Return a self-signed certificate for a new CA.

    A part of the subject comes from the key: two CAs with one name would be mixed up by clients that trust both
    (OpenSSL looks for an issuer by its name). There is no extended key usage, for it would limit what is signed.
    """
    public = key.public_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, spec.common_name), _mark(public)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=spec.days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(profiles.key_usage(authority=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, keys.signing_hash(key))
    )


def prepare_directory(path: str) -> None:
    """Make the directory for its owner only, with a .gitignore for clients' keys, unless it is there.

    Raises RemoteApiError.
    """
    if os.path.isdir(path):
        return
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as exc:
        raise errors.not_made(path=path, cause=exc.strerror or str(exc)) from exc
    write_atomically(os.path.join(path, IGNORE_FILE), _IGNORED.encode(), mode=0o644)


def _unfinished_key(path: str, passphrase: str) -> keys.PrivateKey | None:
    """Return the key in the directory if a run was killed before it wrote the certificate; None if there is neither.

    A certificate that was lost later must not be made anew: clients would not know it. So nothing may be there that a
    CA in use has, such as a ledger. Raises RemoteApiError when one of the two files is missing for another reason.
    """
    key, certificate, _next_key = _present(path)
    if key is None and certificate is None:
        return None
    others = [name for name in os.listdir(path) if name != KEY_FILE and not name.startswith(".")]
    if key is None or certificate is not None or others:
        _check_halves(path, key, certificate)
        return None
    return load_key(key, os.path.join(path, KEY_FILE), passphrase)


def write_new_key(path: str, passphrase: str, key_type: str) -> keys.PrivateKey:
    """Write a new key, encrypted, and return it. Raises RemoteApiError."""
    key = keys.generate(key_type)
    encryption = serialization.BestAvailableEncryption(_secret(passphrase))
    content = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    write_atomically(path, content, mode=0o600)
    return key


def _make(path: str, passphrase: str, spec: AuthoritySpec, now: datetime, key: keys.PrivateKey | None) -> None:
    """Write the files of a new CA, or only its certificate if its key is there. Raises RemoteApiError."""
    key_path, certificate_path = os.path.join(path, KEY_FILE), os.path.join(path, CERTIFICATE_FILE)
    for file in (key_path, certificate_path):
        remove_leftovers(file)
    if key is None:
        key = write_new_key(key_path, passphrase, spec.key_type)
    certificate = certificates.to_pem([new_certificate(key, spec, now)])
    write_atomically(certificate_path, certificate.encode(), mode=0o644)


def _protect(path: str, check_mode: bool) -> bool:
    """Remove other users' forbidden permissions from the two files. Return whether there were any."""
    changed = False
    for name, forbidden in ((KEY_FILE, 0o077), (CERTIFICATE_FILE, 0o022)):
        file = os.path.join(path, name)
        mode = stat.S_IMODE(os.stat(file).st_mode)
        if mode & forbidden:
            changed = True
            if not check_mode:
                try:
                    os.chmod(file, mode & ~forbidden)
                except OSError as exc:
                    raise errors.not_made(path=file, cause=exc.strerror or str(exc)) from exc
    return changed


def check_spec(spec: AuthoritySpec) -> None:
    """Raise TlsError unless a CA can be made like that."""
    profiles.validity(spec.days, None, 0)
    choose_common_name(spec.common_name, ())


def ensure(
    path: str,
    passphrase: str | None,
    spec: AuthoritySpec,
    now: datetime,
    check_mode: bool,
    ledger_dir: str | None = None,
) -> AuthorityResult:
    """Make the CA in the directory, finish one whose making was killed, or take the one that is there as it is.

    Of several runs at once, one makes it (store.lock()); a CA that is there is opened without any lock. Nothing that
    is there is ever overwritten. Raises RemoteApiError for all that prevents it.
    """
    secret = _secret(passphrase).decode()
    check_spec(spec)
    made = False
    if None in _present(path)[:2]:
        if check_mode:
            _unfinished_key(path, secret)
            return AuthorityResult(None, existed=False, changed=True)
        prepare_directory(path)
        with store.lock(path):
            # Another run may have made it since.
            if None in _present(path)[:2]:
                _make(path, secret, spec, now, _unfinished_key(path, secret))
                made = True
    authority = open_authority(path, secret, now, ledger_dir)
    loose = _protect(path, check_mode)
    return AuthorityResult(authority, not made, made or loose)


def warnings(authority: Authority, subject: str) -> list[str]:
    """Return what the user should know of the CA; ``subject`` is its file or option."""
    found = [] if authority.strict else [NOT_STRICT.format(path=subject)]
    own = authority.certificate
    others = [one.subject for one in authority.bundle[1:]]
    constraints = certificates.extension(own, x509.BasicConstraints)
    mark = _mark(authority.key.public_key())
    signs = {
        "another CA issued it": own.subject != own.issuer,
        "the CA above it is trusted as well": own.issuer != own.subject and own.issuer in others,
        "it comes with intermediate CAs": any(one.subject != one.issuer for one in authority.bundle[1:]),
        "it may have CAs below it (no path length of 0)": constraints is None or constraints.path_length != 0,
        "its subject is not one of this collection": mark not in list(own.subject),
    }
    if any(signs.values()):
        found.append(SHARED.format(path=subject, signs=", ".join(name for name, there in signs.items() if there)))
    return found


def _build(
    authority: Authority, key: keys.PublicKey, wanted: profiles.Profile, lifetime: timedelta, now: datetime
) -> x509.Certificate:
    """Return a certificate for the public key, signed by the CA. It ends with the CA at the latest."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(profiles.subject(wanted))
        .issuer_name(authority.certificate.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - _BACKDATED, certificates.not_before(authority.certificate)))
        .not_valid_after(end_of(authority.certificate, lifetime, now))
    )
    for value, critical in profiles.extensions(wanted, key, authority.certificate):
        builder = builder.add_extension(value, critical)
    return builder.sign(authority.key, keys.signing_hash(authority.key))


def issue(
    authority: Authority, key: keys.PublicKey, wanted: profiles.Profile, lifetime: timedelta, now: datetime
) -> x509.Certificate:
    """Return a certificate for the public key as the profile says, and keep a copy in the ledger.

    It is valid from five minutes ago, for hosts whose clocks are behind, and ends with the CA at the latest.
    Raises RemoteApiError.
    """
    certificate = _build(authority, key, wanted, lifetime, now)
    if authority.ledger_dir is not None:
        _record(authority.ledger_dir, certificate)
    return certificate


def sign_request(
    authority: Authority, csr: str, wanted: profiles.Profile, lifetime: timedelta, now: datetime, host: str
) -> SignedCertificate:
    """Issue a certificate for the public key of a CSR (PEM); all else in it comes from the profile.

    ``host`` names the sender of the CSR in errors. Raises RemoteApiError if its sender does not hold the private
    key, or the key is not of the profile's type.
    """
    certificate = issue(authority, signing_request.public_key(csr, wanted.key_type, host), wanted, lifetime, now)
    end = certificates.not_after(certificate)
    warning = None
    if end < (now + lifetime).replace(microsecond=0):
        warning = f"The certificate ends with its CA, on {certificates.iso(end)}."
    return SignedCertificate(certificates.to_pem([certificate]), warning)


def ephemeral_client(authority: Authority, now: datetime) -> tuple[bytes, bytes]:
    """Return a client certificate of five minutes and its private key (PEM, PKCS#8, not encrypted).

    It is meant for one check by this process, so the ledger gets no copy.
    """
    key = keys.generate("ecdsa_p256")
    wanted = profiles.Profile("client", "ephemeral client", (), "ecdsa_p256")
    certificate = _build(authority, key.public_key(), wanted, _EPHEMERAL, now)
    return certificates.to_pem([certificate]).encode(), keys.to_pem(key)


def ephemeral_authority(now: datetime) -> Authority:
    """Return a CA that nobody trusts, for one check by this process that its clients are refused."""
    key = keys.generate("ecdsa_p256")
    certificate = new_certificate(key, AuthoritySpec("CA that nobody trusts", 1, "ecdsa_p256"), now)
    return Authority(certificate, key, (certificate,), None)


def end_of(authority: x509.Certificate, lifetime: timedelta, now: datetime) -> datetime:
    """Return when a certificate ends that the CA issues now for this time."""
    return min(now + lifetime, certificates.not_after(authority))


def _record(folder: str, certificate: x509.Certificate) -> None:
    """Add the certificate to the ledger; its serial number is its own, so runs side by side do not meet."""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as exc:
        raise errors.not_made(path=folder, cause=exc.strerror or str(exc)) from exc
    name = f"{certificates.serial(certificate)}.pem"
    write_atomically(os.path.join(folder, name), certificates.to_pem([certificate]).encode(), mode=0o644)


__all__ = (
    "CERTIFICATE_FILE",
    "KEY_FILE",
    "LEDGER",
    "NEXT_KEY_FILE",
    "Authority",
    "AuthorityResult",
    "AuthoritySource",
    "AuthoritySpec",
    "SignedCertificate",
    "check_spec",
    "end_of",
    "ensure",
    "ephemeral_authority",
    "ephemeral_client",
    "exists",
    "issue",
    "load_key",
    "new_certificate",
    "open_authority",
    "open_authority_from_text",
    "prepare_directory",
    "sign_request",
    "trusted",
    "warnings",
    "write_new_key",
)
