# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates from the task to the file: both halves together, on hosts that are directories of this machine."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.support import CHECKOUT, Run, run
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.action.playing import (
    ABSENT,
    CERTIFICATE,
    PASSPHRASE,
    Stage,
    authority,
    server,
)
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._tls.tools import openssl

LOUD = ("-vvvv", "--diff")


def result(played: Run, host: str = "web1") -> dict[str, Any]:
    """Return the result of the certificate's task."""
    assert played.rc == 0, played.output
    return played.result(host, CERTIFICATE)


def no_secret_in(played: Run, stage: Stage) -> None:
    """Fail if the passphrase or a private key is in the output or the results, or the passphrase reached a host."""
    keys = [content.decode().splitlines()[1:-1] for name, content in stage.files().items() if name.endswith("key.pem")]
    # The last line of a key holds the end of its public half, which may well be seen; the one before is secret.
    for secret in (PASSPHRASE, "PRIVATE KEY-----", *(lines[-2:][0] for lines in keys)):
        assert secret not in played.output
        assert secret not in repr(played.tasks)
    for program in stage.sent:
        assert PASSPHRASE.encode() not in program
        assert b"ca_passphrase': " not in program.replace(b'"', b"'")


def test_check_run_run_again(stage: Stage) -> None:
    foreseen = stage.play(authority(), server(), arguments=("--check", *LOUD))
    assert (result(foreseen)["changed"], result(foreseen)["issued"]) == (True, True)
    assert foreseen.changed("web1") == 2
    assert stage.files() == {}
    assert not stage.pki.exists()
    assert not stage.host().exists()
    assert len(stage.sent) == 1

    made = stage.play(authority(), server(), arguments=LOUD)
    assert len(stage.sent) == 2
    no_secret_in(made, stage)
    assert {name: result(made)[name] for name in ("changed", "issued", "reasons", "names")} == {
        "changed": True,
        "issued": True,
        "reasons": ["the key is missing", "the certificate is missing"],
        "names": ["web1.example.com", "localhost", "127.0.0.1"],
    }
    assert "csr" not in result(made)
    assert result(made)["names"] == result(foreseen)["names"]
    assert result(made)["reasons"] == result(foreseen)["reasons"]
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in stage.host().iterdir()}
    assert files == {"ca.pem": 0o444, "server-cert.pem": 0o444, "server-key.pem": 0o400}
    certificate = stage.host() / "server-cert.pem"
    assert openssl("verify", "-x509_strict", "-CAfile", stage.host() / "ca.pem", certificate).endswith(": OK\n")
    said = openssl("x509", "-in", certificate, "-noout", "-serial", "-fingerprint", "-sha256")
    assert said == f"serial={result(made)['serial']}\nsha256 Fingerprint={result(made)['fingerprint_sha256']}\n"
    assert (stage.pki / "issued" / f"{result(made)['serial']}.pem").read_bytes() == certificate.read_bytes()
    assert (stage.pki / "ca.pem").read_bytes() == (stage.host() / "ca.pem").read_bytes()

    before = stage.files()
    for arguments in (LOUD, ("--check", *LOUD)):
        again = stage.play(authority(), server(), arguments=arguments)
        assert again.changed("web1") == 0
        assert (result(again)["issued"], result(again)["reasons"]) == (False, [])
        assert result(again)["serial"] == result(made)["serial"]
        assert len(stage.sent) == 1
        no_secret_in(again, stage)
    assert stage.files() == before


def test_renewal_changes_the_certificate_and_nothing_else(stage: Stage) -> None:
    stage.play(authority(), server(days=20, renew_before_days=10))
    before = stage.files()
    foreseen = stage.play(server(), arguments=("--check",))
    assert result(foreseen)["reasons"][0].startswith("it has less than 30 days left")
    renewed = stage.play(server(), arguments=LOUD)
    assert result(renewed)["reasons"] == result(foreseen)["reasons"]
    assert result(renewed)["not_after"][:10] == result(foreseen)["not_after"][:10]
    after = stage.files()
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"hosts/web1/etc/docker/server-cert.pem", f"pki/issued/{result(renewed)['serial']}.pem"}
    no_secret_in(renewed, stage)


def test_new_key_new_type_new_names_new_authority(stage: Stage) -> None:
    stage.play(authority(), server())
    key = stage.host() / "server-key.pem"
    first = key.read_bytes()

    rekeyed = stage.play(server(rekey=True), arguments=LOUD)
    assert result(rekeyed)["reasons"] == ["a new key is asked for"]
    no_secret_in(rekeyed, stage)
    second = key.read_bytes()
    assert second != first

    retyped = stage.play(server(key_type="ed25519"), arguments=LOUD)
    assert result(retyped)["reasons"] == ["its key is of type ecdsa_p256, and not ed25519"]
    no_secret_in(retyped, stage)
    third = key.read_bytes()
    assert third != second

    renamed = stage.play(server(key_type="ed25519", names=["b\u00fccher.example", "2001:DB8::1"]))
    assert result(renamed)["names"] == ["xn--bcher-kva.example", "2001:db8::1"]
    assert key.read_bytes() == third

    task = server(key_type="ed25519", names=["web1"], ca_path="{{ pki }}-2")
    moved = stage.play(authority(path="{{ pki }}-2"), task)
    assert any("issued by another authority" in reason for reason in result(moved)["reasons"])
    assert key.read_bytes() == third
    files = sorted(file.name for file in stage.host().iterdir())
    assert files == ["ca.pem", "server-cert.pem", "server-key.pem"]
    said = openssl("verify", "-x509_strict", "-CAfile", stage.host() / "ca.pem", stage.host() / "server-cert.pem")
    assert said.endswith(": OK\n")
    assert stage.play(task).changed("web1") == 0


def test_check_mode_before_a_new_authority_foresees_new_certificates(stage: Stage) -> None:
    stage.play(authority(), server())
    before = stage.files()
    later = stage.play(authority(path="{{ pki }}-2"), server(ca_path="{{ pki }}-2"), arguments=("--check",))
    assert result(later)["changed"]
    assert result(later)["reasons"] == ["it is to be issued by a CA that is still to be made"]
    assert stage.files() == before


def test_many_hosts_at_once(stage: Stage) -> None:
    hosts = tuple(f"web{number}" for number in range(1, 7))
    task = server({"throttle": 0})
    made = stage.play(authority(), task, hosts=hosts, arguments=("--forks", "6"))
    assert made.rc == 0, made.output
    serials = {result(made, host)["serial"] for host in hosts}
    assert len(serials) == len(hosts)
    assert {file.stem for file in (stage.pki / "issued").iterdir()} == serials
    again = stage.play(authority(), task, hosts=hosts, arguments=("--forks", "6"))
    assert [again.changed(host) for host in hosts] == [0] * len(hosts)
    assert len(stage.sent) == len(hosts)


# Whatever an inventory says of other users: nothing on the controller may run as one of them.
BECOME = {**ABSENT, "ansible_become": True, "ansible_become_exe": "/bin/false", "ansible_python_interpreter": "/none"}


ELSEWHERE = "{{ pki }}/clients/admin"


def client(keywords: Mapping[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """Return the task that makes sure of a client's certificate on the controller."""
    wanted = {
        "usage": "client",
        "common_name": "admin",
        "directory": "{{ pki }}/clients/admin",
        "ca_path": "{{ pki }}",
        "ca_passphrase": "{{ secret }}",
        "mode": "0600",
        "run_on": "controller",
        **options,
    }
    return {CERTIFICATE: {name: value for name, value in wanted.items() if value is not None}, **(keywords or {})}


def test_a_clients_certificate_on_the_controller(stage: Stage) -> None:
    # The host is not there at all, and neither this nor the authority's task needs it.
    foreseen = stage.play(authority(), client(), variables=BECOME, arguments=("--check", *LOUD))
    assert result(foreseen)["issued"]
    assert not stage.pki.exists()
    made = stage.play(authority(), client(), variables=BECOME, arguments=LOUD)
    assert result(made)["issued"]
    assert result(made)["reasons"] == ["the key is missing", "the certificate is missing"]
    assert "csr" not in result(made)
    assert result(made)["diff"]["before"]["names"] == []
    no_secret_in(made, stage)
    folder = stage.pki / "clients/admin"
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert files == {"ca.pem": 0o644, "cert.pem": 0o644, "key.pem": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    said = openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", folder / "ca.pem", folder / "cert.pem")
    assert said.endswith(": OK\n")
    before = stage.files()
    assert stage.play(authority(), client(), variables=BECOME).changed("web1") == 0
    assert stage.files() == before
    (folder / "key.pem").chmod(0o644)
    mended = stage.play(client(), variables=BECOME)
    assert (result(mended)["changed"], result(mended)["issued"]) == (True, False)
    assert stage.files() == before
    assert stage.sent == []


def test_many_hosts_make_one_clients_certificate(stage: Stage) -> None:
    hosts = tuple(f"web{number}" for number in range(1, 7))
    task = client()
    made = stage.play(
        {**authority(), "run_once": False}, task, hosts=hosts, arguments=("--forks", "6"), variables=BECOME
    )
    assert made.rc == 0, made.output
    assert sorted(result(made, host)["changed"] for host in hosts) == [False] * 5 + [True]
    assert len({result(made, host)["serial"] for host in hosts}) == 1
    assert len(list((stage.pki / "issued").iterdir())) == 1
    assert not [name for name in stage.files() if name.endswith((".lock", ".new", ".tmp"))]


def test_a_certificate_of_hours_is_renewed_in_its_last_third(stage: Stage) -> None:
    stage.play(authority(), client(hours=24, ledger_dir="{{ pki }}/elsewhere"))
    assert [file.name for file in stage.pki.iterdir() if file.is_dir()].count("elsewhere") == 1
    certificate = stage.pki / "clients/admin/cert.pem"
    openssl("x509", "-in", certificate, "-noout", "-checkend", str(23 * 3600))
    assert "will expire" in openssl("x509", "-in", certificate, "-noout", "-checkend", str(25 * 3600), check=False)
    assert stage.play(client(hours=24)).changed("web1") == 0
    assert stage.play(client(hours=71)).changed("web1") == 0
    renewed = stage.play(client(hours=73))
    assert result(renewed)["reasons"][0].startswith("it has less than 24 hours left")
    server_too = stage.play(server(hours=24))
    assert result(server_too)["issued"]
    assert stage.play(server(hours=24)).changed("web1") == 0


def test_a_ca_given_as_text_leaves_nothing_on_the_controller(stage: Stage) -> None:
    stage.play(authority())
    text = {name: (stage.pki / name).read_text(encoding="ascii") for name in ("ca.pem", "ca-key.pem")}
    before = stage.files()
    given: dict[str, Any] = {"ca_path": None, "ca_certificate": text["ca.pem"], "ca_key": text["ca-key.pem"]}
    made = stage.play(server(**given), arguments=LOUD)
    assert result(made)["issued"]
    assert {name for name in stage.files() if name.startswith("pki/")} == set(before)
    for program in stage.sent:
        assert b"PRIVATE KEY-----\\n" not in program
        assert PASSPHRASE.encode() not in program
    said = openssl("verify", "-x509_strict", "-CAfile", stage.pki / "ca.pem", stage.host() / "server-cert.pem")
    assert said.endswith(": OK\n")
    assert stage.play(server(**given)).changed("web1") == 0


def test_an_authority_elsewhere_signs_for_the_controller(stage: Stage) -> None:
    stage.play(authority())
    asked = stage.play(client(ca_path=None, ca_passphrase=None), variables=BECOME)
    assert result(asked)["csr"].startswith("-----BEGIN CERTIFICATE REQUEST-----")
    assert sorted(file.name for file in (stage.pki / "clients/admin").iterdir()) == ["key.pem.new"]


def test_an_authority_elsewhere_signs(stage: Stage, tmp_path: Path) -> None:
    openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=Company/CN=Root", "-days", "400",
        "-keyout", tmp_path / "root.key", "-out", tmp_path / "root.pem",
    )  # fmt: skip
    plain: dict[str, Any] = {"ca_path": None, "ca_passphrase": None}
    asked = stage.play(server(**plain), arguments=LOUD)
    assert result(asked)["changed"]
    (tmp_path / "r.pem").write_text(result(asked)["csr"], encoding="ascii")
    openssl(
        "x509", "-req", "-in", tmp_path / "r.pem", "-CA", tmp_path / "root.pem", "-CAkey", tmp_path / "root.key",
        "-CAcreateserial", "-days", "200", "-copy_extensions", "copy", "-out", tmp_path / "c.pem",
    )  # fmt: skip
    assert stage.play(server(**plain)).changed("web1") == 0
    given: dict[str, Any] = {
        **plain,
        "certificate": (tmp_path / "c.pem").read_text(encoding="ascii"),
        "ca_certificate": (tmp_path / "root.pem").read_text(encoding="ascii"),
    }
    foreseen = stage.play(server(**given), arguments=("--check", *LOUD))
    installed = stage.play(server(**given), arguments=LOUD)
    assert result(foreseen)["changed"]
    assert result(installed)["issued"]
    assert result(installed)["serial"] == result(foreseen)["serial"]
    assert result(installed)["diff"] == result(foreseen)["diff"]
    no_secret_in(installed, stage)
    again = stage.play(server(**given))
    assert (again.changed("web1"), result(again)["csr"], len(stage.sent)) == (0, None, 1)


BAD_INPUT: list[tuple[dict[str, Any], str]] = [
    ({"names": []}, "names: a server's certificate needs at least one name"),
    ({"names": ["web1."]}, "names: 'web1.': this is no name for a certificate: it ends with a dot"),
    ({"usage": "both"}, "options: value of usage must be one of: server, client, got: both"),
    ({"key_type": "rsa_1024"}, "value of key_type must be one of"),
    ({"mode": "0644"}, "value of mode must be one of: 0400, 0600, got: 0644"),
    ({"directory": None}, "one of the following is required: directory, key_path"),
    ({"key_path": "/k"}, "parameters are mutually exclusive: directory|key_path"),
    ({"ca_passphrase": None}, "missing parameter(s) required by 'ca_path': ca_passphrase"),
    ({"ca_passphrase": ""}, "passphrase: it is empty"),
    ({"certificate": "x"}, "parameters are mutually exclusive: ca_path|certificate"),
    ({"days": 0}, "days: 0: it must be from 1 to 36500"),
    ({"days": 30}, "renew_before_days: 30: it must be from 0 to less than days (30)"),
    ({"common_name": "x" * 65}, "65 bytes in UTF-8, and 64 is the limit"),
    ({"subject": {"C": "\u00c4\u00d6"}}, "and not a country's two letters"),
    ({"hours": 0}, "hours: 0: it must be from 1 to 876000"),
    ({"hours": 1, "days": 40}, "parameters are mutually exclusive: days|hours"),
    ({"ca_key": "x"}, "parameters are mutually exclusive: ca_path|ca_key"),
    ({"run_on": "controller", "service": "docker"}, "options: service is for run_on: host alone"),
    ({"nonsense": 1}, "options: unsupported: nonsense"),
    ({"ca_path": "{{ pki }}-none"}, "there is no CA. Run dockerfleet.remote_api.certificate_authority"),
]


def test_bad_input_is_refused_before_anything_is_sent(stage: Stage) -> None:
    stage.play(authority())
    before = stage.files()
    played = stage.play(*(server({"ignore_errors": True}, **bad) for bad, message in BAD_INPUT), arguments=LOUD)
    for (bad, message), task in zip(BAD_INPUT, played.of("web1"), strict=True):
        assert task["status"] == "ignored", bad
        assert message in task["result"]["msg"]
    assert stage.sent == []
    assert stage.files() == before
    assert PASSPHRASE not in played.output


AMONG_THE_CAS: list[dict[str, Any]] = [
    client(directory="{{ pki }}"),
    client(directory="{{ pki }}/foreign"),
    client(directory="{{ pki }}-link"),
    client(directory="{{ pki }}", run_on="host"),
    server(directory="{{ pki }}", run_on="controller"),
    *(
        client(directory=None, key_path=key, certificate_path=f"{ELSEWHERE}/cert.pem", ca_certificate_path=ca)
        for key, ca in (
            (f"{ELSEWHERE}/key.pem", "{{ pki }}/ca.pem"),
            (f"{ELSEWHERE}/key.pem", "{{ pki }}/clients/../../pki-link/ca.pem"),
            ("{{ pki }}/ca-key.pem", f"{ELSEWHERE}/ca.pem"),
            ("{{ pki }}-key.pem", f"{ELSEWHERE}/ca.pem"),
        )
    ),
]


def test_no_file_is_kept_among_the_cas_own(stage: Stage, tmp_path: Path) -> None:
    """Hosts would trust a CA that clients trust alone, such as a stranger's."""
    stage.play(authority())
    openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Stranger", "-days", "9",
        "-keyout", tmp_path / "stranger.key", "-out", tmp_path / "stranger.pem",
    )  # fmt: skip
    (stage.pki / "foreign").mkdir()
    (tmp_path / "stranger.pem").rename(stage.pki / "foreign/web1.pem")
    (stage.pki / "ca-key.pem").rename(stage.path / "pki-key.pem")
    (stage.pki / "ca-key.pem").symlink_to(stage.path / "pki-key.pem")
    (stage.path / "pki-link").symlink_to(stage.pki)
    before = {**stage.files(), "key": (stage.path / "pki-key.pem").read_bytes()}
    played = stage.play(*({**task, "ignore_errors": True} for task in AMONG_THE_CAS))
    for wanted, task in zip(AMONG_THE_CAS, played.of("web1"), strict=True):
        assert "among the files of the CA" in task["result"].get("msg", ""), wanted
    assert {**stage.files(), "key": (stage.path / "pki-key.pem").read_bytes()} == before
    assert stage.sent == []


def test_a_wrong_passphrase_changes_nothing(stage: Stage) -> None:
    stage.play(authority(), server())
    before = stage.files()
    for task in (authority(passphrase="wrong-secret"), server(ca_passphrase="wrong-secret", rekey=True)):
        played = stage.play(task, arguments=LOUD)
        assert played.rc == 2
        assert "the passphrase does not open this key" in played.messages("web1")[0]
        assert "wrong-secret" not in played.output
        after = stage.files()
        after.pop("hosts/web1/etc/docker/server-key.pem.new", None)
        assert after == before


def test_a_host_without_the_service_is_left_alone(stage: Stage) -> None:
    stage.play(authority())
    played = stage.play(server(service="no-such-service"), arguments=("--check",))
    assert played.rc == 2
    assert "Docker" in played.messages("web1")[0]
    assert stage.play(server(service="no-such-service")).rc == 2
    assert not stage.host().exists()


def test_a_host_without_the_library_says_so(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/cryptography.py").write_text("raise ImportError('not here')\n", encoding="ascii")
    stage.environment = f"PYTHONPATH={tmp_path / 'empty'}"
    played = stage.play(authority(), server({"ignore_errors": True}))
    failure = played.result("web1", CERTIFICATE)
    assert played.of("web1")[-1]["status"] == "ignored"
    assert failure["missing_library"] == "cryptography"
    assert "this Python cannot use the library cryptography, 3.3 or newer (not here)" in failure["msg"]
    assert not stage.host().exists()
    stage.environment = ""
    assert result(stage.play(server()))["issued"]


def test_a_passphrase_from_the_vault(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "vault.txt").write_text("vault-secret\n", encoding="ascii")
    secret = run(
        "ansible-vault", "encrypt_string", "--name", "hidden", "--vault-password-file", tmp_path / "vault.txt",
        PASSPHRASE, env=stage.ansible.environment(),
    ).stdout  # fmt: skip
    (tmp_path / "vars.yml").write_text(secret, encoding="ascii")
    arguments = ("--vault-password-file", str(tmp_path / "vault.txt"), *LOUD)
    hidden: dict[str, Any] = {"vars_files": [str(tmp_path / "vars.yml")]}
    made = stage.play(
        authority(passphrase="{{ hidden }}"), server(ca_passphrase="{{ hidden }}"), arguments=arguments, **hidden
    )
    assert result(made)["issued"]
    no_secret_in(made, stage)
    assert stage.play(authority(), server()).changed("web1") == 0


@pytest.mark.parametrize("key_type", ["ecdsa_p256", "ed25519", "rsa_2048"])
def test_a_host_with_the_oldest_python_and_library(stage: Stage, key_type: str) -> None:
    stage.python = f"{oldest_library()}/bin/python -W ignore"
    made = stage.play(authority(), server(key_type=key_type), arguments=LOUD)
    assert result(made)["issued"]
    no_secret_in(made, stage)
    said = openssl("verify", "-x509_strict", "-CAfile", stage.host() / "ca.pem", stage.host() / "server-cert.pem")
    assert said.endswith(": OK\n")
    again = stage.play(authority(), server(key_type=key_type), arguments=("--diff",))
    assert again.changed("web1") == 0
    assert result(stage.play(server(key_type=key_type, rekey=True)))["issued"]


def oldest_library() -> str:
    """Return the folder of a virtual environment with the oldest library, and the oldest Python that is there."""
    script = """
    . tests/tools/env.sh
    python=$(newest_python 3.9) || python=$(newest_python 3.10 3.11 3.12 3.13)
    virtual_environment oldest-library "$python" oldest-library
    """
    done = subprocess.run(
        ["bash", "-c", script, str(CHECKOUT / "tests/tools/env.sh")],
        cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
