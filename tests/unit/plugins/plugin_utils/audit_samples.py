# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates and audits that were never made by an engine, for tests of what is concluded from them and drawn."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.exposure import Exposure
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _audit, _auditing
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2027, 3, 1, 12, 0, 0, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
CA_KEY = ec.generate_private_key(ec.SECP256R1())
USAGES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


def days(number: float) -> timedelta:
    return timedelta(days=number)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def make(
    name: str = "web1",
    *,
    names: tuple[str, ...] = ("web1",),
    usages: tuple[str, ...] = ("server",),
    start: float = -100,
    end: float = 265,
    issuer: str = "CA",
    ca: bool = False,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = KEY,
    signer: ec.EllipticCurvePrivateKey = CA_KEY,
) -> x509.Certificate:
    """Return a certificate that is valid from and until so many days from NOW."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + days(start))
        .not_valid_after(NOW + days(end))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if ca:
        usage = dict.fromkeys(
            ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
        )
        usage |= {"key_cert_sign": True, "crl_sign": True, "encipher_only": False, "decipher_only": False}
        builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage([USAGES[one] for one in usages]), critical=False)
    if names:
        general: list[x509.GeneralName] = [
            x509.IPAddress(ipaddress.ip_address(one)) if one[0].isdigit() else x509.DNSName(one) for one in names
        ]
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    return builder.sign(signer, hashes.SHA256())


def make_ca(name: str = "CA", end: float = 3000, signer: ec.EllipticCurvePrivateKey = CA_KEY) -> x509.Certificate:
    return make(name, names=(), usages=(), end=end, issuer=name, ca=True, key=signer, signer=signer)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def fleet(size: int) -> _auditing.Audit:
    """Return the audit of a fleet: one host in ten has something wrong, and its certificates end on many days."""
    trust = _audit.Trust("/pki/ca.pem", (make_ca(),), (make("admin", names=(), usages=("client",), end=200),))
    judged = [
        _audit.judge_authority(trust, "inventory.yml", NOW),
        _audit.judge_clients(trust, "inventory.yml", 30, NOW),
    ]
    engines = []
    version = {"Version": "26.1.5", "ApiVersion": "1.45", "MinAPIVersion": "1.24"}
    for number in range(size):
        name = f"docker{number}.example.com"
        access = {0: "plain", 5: "closed"}.get(number % 20, "mutual_tls")
        served = None
        if access == "mutual_tls":
            end = 12 if number % 20 == 10 else 40 + number * 7919 % 325
            served = der(make(name, names=(name,), end=end))
        port = 2375 if access == "plain" else 2376
        found = Exposure(name, port, access, "", served, version=version if access != "closed" else {})
        host = _audit.Host(name, name, trust, inventory="inventory.yml")
        judged.append(_audit.judge_host(host, [found], 30, NOW))
        engines.append(_auditing.Engine(name, found))
    return _auditing.gather(judged, engines, NOW)
