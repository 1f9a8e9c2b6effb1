# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate for one client, on the controller alone: no host is reached for it."""

from __future__ import annotations

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Run
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.action.playing import (
    ABSENT,
    PASSPHRASE,
    Stage,
    authority,
)
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._tls.tools import openssl


def issue(stage: Stage, *extra: str) -> Run:
    """Run the playbook with the extra variables."""
    arguments = [word for one in extra for word in ("-e", one)]
    variables = {"docker_remote_api_pki_dir": str(stage.pki), "docker_remote_api_ca_passphrase": PASSPHRASE}
    hosts = {"web1": ABSENT, "web2": ABSENT}
    playbook = "dockerfleet.remote_api.client"
    return stage.ansible.playbook(playbook, (), *arguments, variables=variables, host_variables=hosts)


def test_a_client_for_a_working_day(stage: Stage) -> None:
    stage.play(authority(), variables=ABSENT)
    made = issue(stage, "name=alice", "hours=8")
    assert made.rc == 0, made.output
    assert made.changed("web1") == 1
    folder = stage.pki / "clients/alice"
    assert str(folder) in made.output
    assert openssl("x509", "-in", folder / "cert.pem", "-noout", "-subject") == "subject=CN = alice\n"
    openssl("x509", "-in", folder / "cert.pem", "-noout", "-checkend", str(7 * 3600 + 3000))
    with pytest.raises(AssertionError, match="will expire"):
        openssl("x509", "-in", folder / "cert.pem", "-noout", "-checkend", str(8 * 3600 + 60))
    assert openssl("verify", "-CAfile", folder / "ca.pem", folder / "cert.pem").endswith(": OK\n")
    assert issue(stage, "name=alice", "hours=8").changed("web1") == 0
    elsewhere = stage.path / "bob"
    assert issue(stage, "name=bob", "days=3", f"directory={elsewhere}").rc == 0
    assert openssl("verify", "-CAfile", stage.pki / "ca.pem", elsewhere / "cert.pem").endswith(": OK\n")
    assert not (stage.pki / "clients/bob").exists()


def test_what_is_missing_or_wrong_is_told_before_anything_is_made(stage: Stage) -> None:
    (message,) = issue(stage, "name=alice", "hours=8").messages("web1")
    assert "there is no CA" in message
    assert not stage.pki.exists()
    stage.play(authority(), variables=ABSENT)
    for extra, says in (
        (["hours=8"], "missing required arguments: name"),
        (["name=../x"], "it may have letters"),
        (["name=alice", "hours=no"], "hours"),
        (["name=alice", "hours=0"], "hours"),
        (["name=alice", "hours=8", "days=1"], "mutually exclusive"),
    ):
        (message,) = issue(stage, *extra).messages("web1")
        assert says in message
    assert not (stage.pki / "clients").exists()


def test_a_subject_is_for_those_who_authorise_by_it(stage: Stage) -> None:
    client = {"name": "ci", "subject": {"OU": ["Operations", "Docker"], "O": "Example"}}
    stage.play(authority(clients=[client]), variables=ABSENT)
    subject = openssl("x509", "-in", stage.pki / "clients/ci/cert.pem", "-noout", "-subject")
    assert subject == "subject=O = Example, OU = Operations, OU = Docker, CN = ci\n"
    assert stage.play(authority(clients=[client]), variables=ABSENT).changed("web1") == 0
    moved = stage.play(authority(clients=[{**client, "subject": {"O": "Other"}}]), variables=ABSENT)
    assert moved.changed("web1") == 1
    for wrong in ({"CN": "x"}, {"O": ""}, {"C": "Austria"}, {"OU": 7}):
        (message,) = stage.play(authority(clients=[{**client, "subject": wrong}]), variables=ABSENT).messages("web1")
        assert message.startswith("subject: ")
