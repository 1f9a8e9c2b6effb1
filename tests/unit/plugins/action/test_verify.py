# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The clients with which verify tries an engine, judged by openssl, and the address that it tries."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.verification import VERIFY_ARGUMENTS
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._verifying import make_identities
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.action.playing import PASSPHRASE, Stage


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a CA as by hand, with an encrypted key."""
    folder = tmp_path_factory.mktemp("ca")
    openssl(
        *("req", "-new", "-x509", "-days", "9", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-keyout", str(folder / "ca-key.pem"), "-out", str(folder / "ca.pem"), "-subj", "/CN=By hand"),
        *("-passout", f"pass:{PASSPHRASE}"),
    )
    return folder


def openssl(*words: str) -> str:
    return subprocess.run(["openssl", *words], capture_output=True, text=True, check=True).stdout


def options(**params: Any) -> dict[str, Any]:
    return {**{name: argument.get("default") for name, argument in VERIFY_ARGUMENTS.items()}, **params}


@pytest.mark.parametrize("text", [False, True], ids=["directory", "PEM text"])
def test_client_is_issued_for_five_minutes(ca: Path, tmp_path: Path, text: bool) -> None:
    before = sorted(ca.rglob("*"))
    params = options(ca_path=None if text else str(ca), ca_passphrase=PASSPHRASE)
    if text:
        params.update(
            {name: (ca / file).read_text() for name, file in (("ca_certificate", "ca.pem"), ("ca_key", "ca-key.pem"))}
        )
    client = tmp_path / "client.pem"
    made = make_identities(params, datetime.now(UTC)).client
    assert made
    client.write_bytes(made)
    assert openssl("verify", "-purpose", "sslclient", "-CAfile", str(ca / "ca.pem"), str(client)).endswith(": OK\n")
    assert openssl("x509", "-in", str(client), "-noout", "-pubkey") == openssl("pkey", "-in", str(client), "-pubout")
    openssl("x509", "-in", str(client), "-noout", "-checkend", "200")
    with pytest.raises(subprocess.CalledProcessError):
        openssl("x509", "-in", str(client), "-noout", "-checkend", "330")
    assert sorted(ca.rglob("*")) == before  # neither the ledger nor anything else has a copy


def test_client_that_is_named_is_taken(ca: Path) -> None:
    made = make_identities(
        options(ca_path=str(ca), ca_passphrase=PASSPHRASE, cert_path="/pki/admin"), datetime.now(UTC)
    )
    assert made.client is None
    assert made.stranger


def test_stranger_is_signed_by_another_authority(ca: Path, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(make_identities(options(), datetime.now(UTC)).stranger or b"")
    openssl("x509", "-in", str(stranger), "-noout", "-checkend", "200")
    with pytest.raises(subprocess.CalledProcessError):
        openssl("verify", "-CAfile", str(ca / "ca.pem"), str(stranger))
    assert make_identities(options(negative_checks=False), datetime.now(UTC)).stranger is None


def test_wrong_passphrase_is_told_and_not_shown(ca: Path, stage: Stage) -> None:
    task = {"dockerfleet.remote_api.verify": {"ca_path": str(ca), "ca_passphrase": "wrong guess"}}
    done = stage.play(task)
    (message,) = done.messages("web1")
    assert f"{ca}/ca-key.pem" in message
    assert "wrong guess" not in done.output


@pytest.mark.parametrize("delegated", [False, True])
@pytest.mark.parametrize(
    ("variables", "host"),
    [
        ({}, "web1"),
        ({"ansible_host": "nowhere.invalid"}, "nowhere.invalid"),
        ({"ansible_host": "{{ inventory_hostname }}.{{ domain }}", "domain": "invalid"}, "web1.invalid"),
    ],
)
def test_address_is_that_of_the_inventory(stage: Stage, delegated: bool, variables: dict[str, Any], host: str) -> None:
    task: dict[str, Any] = {"dockerfleet.remote_api.verify": {"port": 1, "negative_checks": False, "timeout": 5}}
    if delegated:
        task["delegate_to"] = "localhost"
    done = stage.play(task, variables=variables)
    (message,) = done.messages("web1")
    assert message.startswith(f"tcp://{host}:1: ")
    assert stage.sent == []
