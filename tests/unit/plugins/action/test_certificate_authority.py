# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The authority from the task to the files, on the controller alone."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from ansible_collections.dockerfleet.remote_api.tests.integration.support import CHECKOUT, Run
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.action.playing import (
    ABSENT,
    AUTHORITY,
    PASSPHRASE,
    Stage,
    authority,
    server,
)
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._tls.tools import (
    make_authority_by_hand,
    openssl,
)


def result(played: Run) -> dict[str, Any]:
    """Return the result of the authority's task."""
    assert played.rc == 0, played.output
    return played.result("web1", AUTHORITY)


def test_check_run_run_again_without_any_host(stage: Stage) -> None:
    foreseen = stage.play(authority(), arguments=("--check", "--diff"), variables=ABSENT)
    assert result(foreseen)["changed"]
    assert result(foreseen)["certificate"] is None
    assert not stage.pki.exists()
    made = stage.play(authority(), arguments=("--diff", "-vvvv"), variables=ABSENT)
    assert result(made)["changed"]
    assert result(made)["strict"] is True
    assert result(made)["certificate"] == (stage.pki / "ca.pem").read_text(encoding="ascii")
    said = openssl("x509", "-in", stage.pki / "ca.pem", "-noout", "-fingerprint", "-sha256")
    assert said == f"sha256 Fingerprint={result(made)['fingerprint_sha256']}\n"
    for secret in (PASSPHRASE, "PRIVATE KEY"):
        assert secret not in made.output
        assert secret not in repr(made.tasks)
    before = stage.files()
    again = stage.play(authority(), arguments=("--diff",), variables=ABSENT)
    assert not result(again)["changed"]
    assert stage.files() == before
    assert stage.sent == []


def test_an_authority_made_by_hand_is_taken_with_a_warning(stage: Stage) -> None:
    make_authority_by_hand(stage.pki)
    before = stage.files()
    taken = stage.play(authority(), server())
    assert not result(taken)["changed"]
    assert stage.files().items() >= before.items()
    said = openssl("verify", "-CAfile", stage.host() / "ca.pem", stage.host() / "server-cert.pem")
    assert said.endswith(": OK\n")
    assert result(taken)["strict"] == ("Python 3.13" not in " ".join(taken.output.split()))
    assert stage.play(authority(), server()).changed("web1") == 0


BAD_INPUT: list[tuple[dict[str, Any], str]] = [
    ({"passphrase": ""}, "passphrase: it is empty"),
    ({"passphrase": "x" * 1024}, "passphrase: it is longer than 1023 bytes"),
    ({"passphrase": "{{ omit }}"}, "options: missing required arguments: passphrase"),
    ({"path": "/dev/null"}, "/dev/null: this is not a directory"),
    ({"path": "/proc/pki"}, "/proc/pki: the CA cannot be kept there"),
    ({"days": 0}, "days: 0: it must be from 1 to 36500"),
    ({"days": "many"}, "days"),
    ({"common_name": ""}, "common_name: '': this is no common name: it is empty"),
    ({"key_type": "dsa"}, "value of key_type must be one of"),
]


def test_bad_input_is_refused(stage: Stage) -> None:
    tasks = [{**authority(**bad), "ignore_errors": True} for bad, message in BAD_INPUT]
    played = stage.play(*tasks, variables=ABSENT)
    for (bad, message), task in zip(BAD_INPUT, played.of("web1"), strict=True):
        assert task["status"] == "ignored", bad
        assert message in task["result"]["msg"]
    assert not stage.pki.exists()


def test_the_module_alone_refuses_to_run() -> None:
    arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {"path": "/nonexistent", "passphrase": PASSPHRASE}})
    module = CHECKOUT / "plugins/modules/certificate_authority.py"
    done = subprocess.run(
        [sys.executable, str(module)], input=arguments, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "this is an action plugin" in json.loads(done.stdout)["msg"]
    assert PASSPHRASE not in done.stdout
