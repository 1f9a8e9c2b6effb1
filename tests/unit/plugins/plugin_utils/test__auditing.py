# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an audit knows of a CA: as much as is there, and never less because a part is missing or has expired."""

from __future__ import annotations

import dataclasses
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import certificates
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import (
    _audit,
    _auditing,
    _authority,
    _issuing,
    _rotation,
)
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._authority import AuthoritySource

NOW = datetime.now(UTC)
PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a CA with a client, a file in its ledger that is no certificate, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("fleet") / "pki"
    options: dict[str, Any] = {
        "path": str(folder),
        "passphrase": PASSPHRASE,
        "ledger_dir": None,
        "ca_key": None,
        "common_name": "CA",
        "days": 400,
        "key_type": "ecdsa_p256",
        "client_days": 90,
        "renew_before_days": 30,
        "clients": [
            {"name": "admin", "days": None, "hours": None, "key_type": None, "subject": None, "directory": None}
        ],
    }
    _issuing.ensure_authority(options, NOW, check_mode=False)
    (folder / "issued/notes.pem").write_text("nothing")
    (folder / "issued/more.pem").mkdir()
    return folder


def source(pki: Path | None, **more: Any) -> AuthoritySource:
    return dataclasses.replace(AuthoritySource(str(pki), PASSPHRASE), **more)


def openssl(*words: str) -> str:
    return subprocess.run(["openssl", *words], capture_output=True, text=True, check=True).stdout


def test_directory_of_a_ca(pki: Path, tmp_path: Path) -> None:
    before = sorted(pki.rglob("*"))
    ca = _auditing.load_ca(source(pki), None, NOW)
    assert ca.trust
    assert (ca.trust.name, len(ca.trust.bundle), len(ca.trust.issued)) == (f"{pki}/ca.pem", 1, 1)
    assert ca.trust.clients == frozenset({"admin"})
    assert [one.partition(":")[0] for one in ca.warnings] == [f"{pki}/issued/more.pem", f"{pki}/issued/notes.pem"]
    visitor = ca.visitor()
    assert visitor
    client = tmp_path / "client.pem"
    client.write_bytes(visitor.pem or b"")
    assert "OK" in openssl("verify", "-purpose", "sslclient", "-CAfile", str(pki / "ca.pem"), str(client))
    assert sorted(pki.rglob("*")) == before


def test_clients_of_a_ca_are_those_that_its_hosts_list(pki: Path) -> None:
    """Of all its hosts, also of those that open it in another way. Without a list they are those with a folder."""
    locked, plain = (_auditing.load_ca(source(pki, passphrase=one), None, NOW) for one in (PASSPHRASE, None))

    def checks(*jobs: tuple[_auditing.Ca, frozenset[str] | None]) -> list[str]:
        """Return what is told of the client when the hosts of these CAs list these."""
        hosts = [
            _auditing.Job(_audit.Host(f"web{number}", "127.8.8.8"), (("127.8.8.8", 99),), ca, clients)
            for number, (ca, clients) in enumerate(jobs)
        ]
        found = _auditing.audit(hosts, "inventory.yml", 30, 5, NOW)
        return [one.check for one in found.findings if one.host == "client admin"]

    nobody, admin = frozenset[str](), frozenset({"admin"})
    assert checks((locked, nobody), (locked, admin)) == ["ok"]
    assert checks((locked, nobody), (plain, admin)) == ["ok"] * 2
    assert checks((locked, None)) == ["ok"]
    assert checks((locked, nobody), (locked, None)) == ["not_listed"]


def test_ca_as_text(pki: Path) -> None:
    key = openssl("pkey", "-in", str(pki / "ca-key.pem"), "-passin", f"pass:{PASSPHRASE}")
    text = AuthoritySource(None, None, (pki / "ca.pem").read_text(), key, str(pki / "issued"))
    ca = _auditing.load_ca(text, None, NOW)
    assert ca.trust
    assert (ca.trust.name, len(ca.trust.issued), ca.trust.clients) == ("ca_certificate", 1, None)
    assert ca.visitor()


@pytest.mark.parametrize("without", ["passphrase", "key"])
def test_ca_that_cannot_sign(pki: Path, tmp_path: Path, without: str) -> None:
    if without == "key":
        (tmp_path / "ca.pem").write_bytes((pki / "ca.pem").read_bytes())
        ca = _auditing.load_ca(source(tmp_path), None, NOW)
    else:
        ca = _auditing.load_ca(source(pki, passphrase=None), None, NOW)
    assert ca.trust
    assert len(ca.trust.bundle) == 1
    assert ca.visitor() is None


def test_ca_that_has_expired(pki: Path) -> None:
    """It is judged, and issues no client."""
    ca = _auditing.load_ca(source(pki), None, NOW + timedelta(days=500))
    assert ca.trust
    assert len(ca.trust.bundle) == 1
    assert ca.visitor() is None


def test_ca_that_has_expired_while_it_was_replaced(tmp_path: Path) -> None:
    """The new one does not sign for clients yet."""
    old, new = (_authority.AuthoritySpec("CA", days, "ecdsa_p256") for days in (30, 400))
    _authority.ensure(str(tmp_path), PASSPHRASE, old, NOW, check_mode=False)
    _rotation.carry_out(_rotation.Directory(str(tmp_path), PASSPHRASE, None, new), "start", NOW, check_mode=False)
    ca = _auditing.load_ca(source(tmp_path), None, NOW + timedelta(days=31))
    assert ca.trust
    assert len(ca.trust.bundle) == 2
    assert ca.visitor() is None
    assert _auditing.load_ca(source(tmp_path), None, NOW).visitor()


def test_clients_directory(pki: Path, tmp_path: Path) -> None:
    folder = pki / "clients/admin"
    ca = _auditing.load_ca(source(tmp_path / "nothing"), str(folder), NOW)
    assert ca.trust
    assert (ca.trust.name, len(ca.trust.issued), ca.trust.clients) == (f"{folder}/ca.pem", 1, None)
    visitor = ca.visitor()
    assert visitor
    assert (visitor.certificate, visitor.key) == (f"{folder}/cert.pem", f"{folder}/key.pem")


def test_nothing_is_known(tmp_path: Path) -> None:
    ca = _auditing.load_ca(source(tmp_path / "nothing"), None, NOW)
    assert (ca.trust, ca.visitor(), ca.warnings) == (None, None, ())


def test_wrong_passphrase_and_broken_files_are_told(pki: Path, tmp_path: Path) -> None:
    with pytest.raises(RemoteApiError, match="ca-key.pem: the passphrase does not open this key"):
        _auditing.load_ca(source(pki, passphrase="wrong"), None, NOW)
    (tmp_path / _authority.CERTIFICATE_FILE).write_text("-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(RemoteApiError, match="ca.pem, line 1"):
        _auditing.load_ca(source(tmp_path), None, NOW)


@pytest.mark.parametrize("comment", [b"web1\n", b"M\xfcller\n", b"\xff\xfe\x00\n"])
def test_file_of_a_host_is_read_whatever_its_encoding(pki: Path, comment: bytes) -> None:
    """As Ansible decodes it; without a certificate it counts as no file."""
    host = _audit.Host("web1", "web1")
    pem = (pki / "clients/admin/cert.pem").read_bytes()
    found = _auditing.with_disk(host, (comment + pem).decode("utf-8", "surrogateescape"))
    assert found.on_disk == certificates.load_bundle(pem, "")[0]
    assert _auditing.with_disk(host, comment.decode("utf-8", "surrogateescape")) == host


def test_a_host_is_trusted_with_the_cas_that_are_remembered_for_it(pki: Path, tmp_path: Path) -> None:
    other = tmp_path / "company.pem"
    openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-subj", "/CN=Company",
        "-days", "10", "-keyout", str(tmp_path / "key.pem"), "-out", str(other),
    )  # fmt: skip
    (pki / "servers").mkdir()
    (pki / "servers/web%2F1.pem").write_text(other.read_text())
    ca = _auditing.load_ca(source(pki), None, NOW)
    own, theirs = (_auditing.trust_of(ca, name) for name in ("web2", "web/1"))
    assert own
    assert theirs
    assert ca.trust
    assert own.bundle == ca.trust.bundle
    assert [one.subject.rfc4514_string() for one in theirs.bundle][1:] == ["CN=Company"]
