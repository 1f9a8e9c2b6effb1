# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of remote_api: what it refuses, and what it does not believe a host."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.action.playing import (
    ABSENT,
    Stage,
    authority,
    settled,
)
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._tls.tools import openssl

REMOTE_API = "dockerfleet.remote_api.remote_api"


def taken_over(stage: Stage, **answer: Any) -> None:
    """Have the stage's hosts answer each module with this, as those of an intruder could."""
    stage.python = settled(stage, **answer)["ansible_python_interpreter"]


def other_authority(folder: Path) -> str:
    """Return the certificate of a CA of somebody else's (PEM)."""
    words = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=Mallory")
    openssl("req", "-x509", *words, "-keyout", folder / "other-key.pem", "-out", folder / "other.pem")
    return (folder / "other.pem").read_text(encoding="ascii")


def task(**options: Any) -> dict[str, Any]:
    """Return a task that sees to a host's Remote API, without the checks over the network."""
    return {REMOTE_API: {"ca_path": "{{ pki }}", "ca_passphrase": "{{ secret }}", "verify_from": "none", **options}}


@pytest.mark.parametrize(
    ("days", "says"),
    [
        ({"renew_spread_days": 335}, "renew_spread_days, 335: .*Set it from 0 to 334"),
        ({"renew_spread_days": -1}, "renew_spread_days, -1: "),
        ({"renew_before_days": 365}, "renew_before_days: .*365"),
        ({"certificate_days": 0}, "days: "),
    ],
)
def test_days_that_do_not_fit_are_refused_before_anything_is_made(
    stage: Stage, days: dict[str, Any], says: str
) -> None:
    (message,) = stage.play(task(**days), variables=ABSENT).messages("web1")
    assert re.search(says, message), message
    assert not stage.pki.exists()
    assert stage.sent == []


@pytest.mark.parametrize("options", [{}, {"tls": False}, {"state": "absent"}])
def test_a_host_has_no_say_in_what_is_issued_to_whom(stage: Stage, options: dict[str, Any]) -> None:
    """The role's next tasks would sign a client certificate for a key of the intruder's, on a machine of his choice."""
    loot = {"name": "admin", "host": "web1", "directory": "/root/loot", "ca": str(stage.pki), "key_type": "ecdsa_p256"}
    taken_over(stage, deliveries=[loot], clients=[{"name": "admin"}], settled=True, checks=[{"ok": True}])
    done = stage.play(authority(), task(**options))
    result = done.result("web1", REMOTE_API)
    assert done.rc == 0, done.output
    assert result.get("deliveries", []) == []
    assert result.get("clients", []) == []
    assert "checks" not in result


@pytest.mark.parametrize("policy", ["fail", "replace"])
def test_a_host_cannot_have_clients_trust_a_ca_that_nobody_allowed(stage: Stage, policy: str) -> None:
    """With such a CA, whoever is root on one host could pass for every other one."""
    stage.play(authority(clients=[{"name": "admin"}]))
    trusted = stage.files()
    taken_over(stage, foreign_certificates=other_authority(stage.path))
    done = stage.play(task(clients=[{"name": "admin"}], on_foreign_authority=policy))
    (message,) = done.messages("web1")
    assert message.startswith("web1: it answers that it trusts CN=Mallory (SHA-256 ")
    assert f"on_foreign_authority is {policy}" in message
    assert stage.files() == trusted


def test_a_ca_that_clients_come_to_trust_is_named_by_the_controller(stage: Stage) -> None:
    stage.play(authority(clients=[{"name": "admin"}]))
    text = other_authority(stage.path)
    taken_over(stage, foreign_certificates=text)
    wanted = task(clients=[{"name": "admin"}], on_foreign_authority="trust")
    done = stage.play(wanted)
    assert done.rc == 0, done.output
    said = " ".join(done.output.split())
    assert "web1: clients trust its CA, CN=Mallory (SHA-256 " in said
    assert (stage.pki / "foreign/web1.pem").read_text(encoding="ascii") == text
    again = stage.play(task(clients=[{"name": "admin"}]))
    assert (again.rc, again.changed("web1")) == (0, 0), again.output


def test_the_address_of_the_inventory_is_certified_rendered_and_as_certificates_can_have_it(stage: Stage) -> None:
    taken_over(stage)
    for address, name in (
        ("Node1.Example.com.", "node1.example.com"),
        ("fe80::1%eth0", "fe80::1"),
        ("{{ inventory_hostname }}.{{ domain }}", "web1.example.com"),
    ):
        stage.play(task(), variables={"ansible_host": address, "domain": "example.com"})
        (sent,) = set(stage.sent)
        found = re.findall(r'"required_names": \[([^]]*)\]', sent.decode().replace("\\", ""))
        assert found == [f'"{name}"'], found
