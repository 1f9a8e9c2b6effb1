# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replacing a CA where no host can be reached: what is done on the controller, what is refused, and who is named."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.dockerfleet.remote_api.tests.integration.support import Run
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.action.playing import (
    ABSENT,
    AUTHORITY,
    PASSPHRASE,
    Stage,
    authority,
    server,
)
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._tls.tools import openssl


def rotate(
    stage: Stage,
    *arguments: str,
    web1: Mapping[str, str] | None = None,
    web2: Mapping[str, str] | None = None,
    **variables: str,
) -> Run:
    """Run the playbook for two hosts that are away, each with variables of its own."""
    known = {"docker_remote_api_pki_dir": str(stage.pki), "docker_remote_api_ca_passphrase": PASSPHRASE}
    away = {**ABSENT, "ansible_host": "127.0.0.9", "ansible_port": 9}
    hosts = {"web1": {**away, **(web1 or {})}, "web2": {**away, **(web2 or {})}}
    return stage.ansible.playbook(
        "dockerfleet.remote_api.rotate_authority",
        (),
        *arguments,
        variables={**known, **variables},
        host_variables=hosts,
    )


def authorities(file: Path) -> int:
    """Return how many certificates are in the file."""
    return file.read_text(encoding="ascii").count("BEGIN CERTIFICATE")


def test_the_start_alone_makes_no_connection_and_says_what_is_next(stage: Stage) -> None:
    stage.play(authority(clients=[{"name": "admin"}]), variables=ABSENT)
    admin = stage.pki / "clients/admin"
    before = stage.files()
    checked = rotate(stage, "-e", "phase=start", "--check", "--diff")
    assert (checked.rc, stage.files()) == (0, before), checked.output
    assert checked.changed("web1") == 1
    started = rotate(stage, "-e", "phase=start")
    assert (started.rc, started.recap["web1"]["unreachable"]) == (0, 0), started.output
    assert "Then run this again without a phase." in " ".join(started.output.split())
    assert (authorities(stage.pki / "ca.pem"), authorities(admin / "ca.pem")) == (2, 2)
    again = rotate(stage, "-e", "phase=start")
    assert (again.rc, again.changed("web1"), again.changed("web2")) == (0, 0, 0), again.output
    for phase, says in (("retire", "too early for retire"), ("later", "phase: later is none")):
        refused = rotate(stage, "-e", f"phase={phase}")
        assert refused.rc == 2
        assert says in " ".join(refused.messages("web1"))
        assert refused.recap["web1"]["unreachable"] == 0
    for secret in (PASSPHRASE, "PRIVATE KEY"):
        assert secret not in started.output
        assert secret not in repr(started.tasks)


def test_clients_elsewhere_are_named_before_the_first_host_is_moved(stage: Stage) -> None:
    """No run changes their ca.pem, so they would refuse a host of the new CA."""
    elsewhere = str(stage.path / "elsewhere")
    client = server(usage="client", common_name="ci", names=None, directory=elsewhere, run_on="controller")
    stage.play(authority(clients=[{"name": "admin"}]), client, variables=ABSENT)
    begun = rotate(stage)
    (message,) = begun.messages("web1")
    assert message.startswith("No host has been changed. Hand ca.pem out to client ci (until ")
    assert "admin" not in message
    assert (begun.rc, begun.recap["web1"]["unreachable"]) == (2, 0)
    assert authorities(stage.pki / "clients/admin/ca.pem") == 2
    # The operator has done that by now, or accepts it.
    assert rotate(stage).recap["web1"]["unreachable"] == 1
    started = rotate(stage, "-e", "phase=start")
    said = " ".join(started.output.split())
    assert started.rc == 0, started.output
    assert "elsewhere, and to client ci (until " in said
    # One host lists it, and so each run sees to it.
    listed = f'docker_remote_api_clients=[{{"name":"ci","directory":"{elsewhere}"}}]'
    assert "client ci" not in rotate(stage, "-e", "phase=start", web2=dict([listed.split("=", 1)])).output
    assert "Pause scheduled runs of the playbook secure until then" in said


def test_no_host_is_moved_before_clients_on_other_machines_trust_the_new_ca(stage: Stage) -> None:
    stage.play(authority(), variables=ABSENT)
    # As text, which is what -e NAME=VALUE sets.
    folder = stage.path / "machine/docker"
    clients = f'docker_remote_api_clients=[{{"name":"ci","host":"web2","directory":"{folder}"}}]'
    here = {"ansible_connection": "local", "ansible_host": "localhost", "ansible_python_interpreter": sys.executable}
    away = rotate(stage, "-e", clients)
    (message,) = [text for text in away.messages("web1") if text.startswith("No host has been changed.")]
    assert "could not be seen to: ci on web2: " in message
    assert authorities(stage.pki / "ca.pem") == 2
    delivered = rotate(stage, "-e", "phase=start", "-e", clients, web2=here)
    assert delivered.rc == 0, delivered.output
    assert authorities(folder / "ca.pem") == 2
    openssl("verify", "-CAfile", stage.pki / "ca.pem", folder / "cert.pem")


def test_a_stolen_key_of_the_ca_to_come_is_told_of(stage: Stage) -> None:
    stage.play(authority(), variables=ABSENT)
    rotate(stage, "-e", "phase=start")
    new = stage.play(authority(), variables=ABSENT).result("web1", AUTHORITY)["certificate"].rpartition("-----BEGIN")[2]
    dropped = rotate(stage, "-e", "phase=now")
    fingerprint = stage.play(authority(), variables=ABSENT).result("web1", AUTHORITY)["fingerprint_sha256"]
    assert new in (stage.pki / "ca.pem").read_text(encoding="ascii")
    assert (
        f"before this run stays (SHA-256 {fingerprint}). If its key may be stolen as well"
        in dropped.messages("web1")[-1]
    )
    assert "before this run stays" not in rotate(stage).output


def test_hosts_that_are_away_keep_the_old_ca_in_use(stage: Stage) -> None:
    stage.play(authority(clients=[{"name": "admin"}]), variables=ABSENT)
    assert rotate(stage).rc == 4
    assert (stage.pki / "ca-key.next.pem").exists()
    assert authorities(stage.pki / "ca.pem") == 2


def test_a_stolen_key_is_dropped_and_every_host_that_still_trusts_it_is_named_at_the_end(stage: Stage) -> None:
    stage.play(authority(clients=[{"name": "admin"}]), variables=ABSENT)
    admin, old = stage.pki / "clients/admin", stage.path / "old.pem"
    old.write_bytes((stage.pki / "ca.pem").read_bytes())
    dropped = rotate(stage, "-e", "phase=now", "--limit", "web1")
    assert dropped.rc != 0
    assert "they still trust the stolen key: web1, web2." in dropped.messages("web1")[-1]
    assert "key: web1, web2." in dropped.stdout.partition("PLAY RECAP")[0][-500:]
    assert authorities(admin / "ca.pem") == 1
    assert openssl("verify", "-CAfile", admin / "ca.pem", admin / "cert.pem").endswith(": OK\n")
    assert not openssl("verify", "-CAfile", old, admin / "cert.pem", check=False).endswith(": OK\n")
    assert (stage.pki / "ca-key.previous.pem").exists()


def test_settings_of_one_host_keep_no_other_host_from_dropping_a_stolen_key(stage: Stage) -> None:
    """The clients have certificates of the new CA alone by then, which no host would take."""
    stage.play(authority(clients=[{"name": "admin"}]), variables=ABSENT)
    wrong = {"docker_remote_api_clients": '[{"name": "ci", "host": "oldbuild"}]'}
    planned = rotate(stage, web2=wrong)
    (message,) = planned.messages("web1")
    assert message.startswith("web2: clients: 'ci', host: 'oldbuild': ")
    assert planned.recap["web1"]["unreachable"] == 0
    dropped = rotate(stage, "-e", "phase=now", web2=wrong)
    assert any("Failed to connect to the host" in text for text in dropped.messages("web1")), dropped.output
    last = dropped.messages("web1")[-1]
    assert "they still trust the stolen key: web1, web2." in last
    assert "web2: clients: 'ci', host: 'oldbuild': " in last


def test_a_bad_address_of_the_first_host_keeps_no_other_host_from_going_on(stage: Stage) -> None:
    stage.play(authority(clients=[{"name": "admin"}]), variables=ABSENT)
    dropped = rotate(stage, "-e", "phase=now", web1={"ansible_host": "{{ nowhere_defined }}"})
    assert authorities(stage.pki / "clients/admin/ca.pem") == 1
    assert any("Failed to connect to the host" in text for text in dropped.messages("web2")), dropped.output
    assert "they still trust the stolen key: web1, web2." in dropped.messages("web2")[-1]


def test_a_ca_of_text_is_refused_in_a_sentence(stage: Stage) -> None:
    stage.play(authority(), variables=ABSENT)
    text = {name: (stage.pki / name).read_text(encoding="ascii") for name in ("ca.pem", "ca-key.pem")}
    before = stage.files()
    refused = rotate(
        stage, docker_remote_api_ca_certificate=text["ca.pem"], docker_remote_api_ca_key=text["ca-key.pem"]
    )
    (message,) = set(refused.messages("web1"))
    assert message.startswith("phase, start: the CA is given as text")
    task = authority(path="{{ omit }}", ca_certificate=text["ca.pem"], ca_key=text["ca-key.pem"], phase="now")
    assert stage.play(task, variables=ABSENT).messages("web1")[0].startswith("phase, now: the CA is given as text")
    assert stage.files() == before


def test_the_module_tells_how_far_it_is(stage: Stage) -> None:
    stage.play(authority(), variables=ABSENT)
    started = stage.play(authority(phase="start"), arguments=("--diff",), variables=ABSENT)
    assert started.result("web1", AUTHORITY)["rotation"] == "hosts"
    diff = started.result("web1", AUTHORITY)["diff"]
    assert (diff["before"]["rotation"], diff["after"]["rotation"]) == ("none", "hosts")
    plain = stage.play(authority(), variables=ABSENT)
    assert not plain.result("web1", AUTHORITY)["changed"]
    assert "rotation" not in plain.result("web1", AUTHORITY)


def test_the_module_certificate_follows(stage: Stage) -> None:
    """Servers move to the new CA at once, clients once it signs for them."""
    stage.play(authority(), server(), variables={"ansible_connection": "local"})
    old = stage.path / "old.pem"
    old.write_bytes((stage.pki / "ca.pem").read_bytes())
    client = server(usage="client", common_name="ci", names=None, directory=str(stage.path / "hosts/ci"))
    moved = stage.play(authority(phase="start"), server(), client)
    assert moved.rc == 0, moved.output

    def issued_by_old(file: Path) -> bool:
        return openssl("verify", "-CAfile", old, file, check=False).endswith(": OK\n")

    certificates = stage.host() / "server-cert.pem", stage.path / "hosts/ci/cert.pem"
    assert [issued_by_old(file) for file in certificates] == [False, True]
    for file in certificates:
        assert authorities(file.parent / "ca.pem") == 2
        assert openssl("verify", "-CAfile", file.parent / "ca.pem", file).endswith(": OK\n")
    assert stage.play(server(), client).changed("web1") == 0
    assert stage.play(authority(phase="clients"), server(), client).changed("web1") == 2
    assert [issued_by_old(file) for file in certificates] == [False, False]


def test_each_group_has_its_own_ca(stage: Stage) -> None:
    other = stage.path / "other"
    stage.play(authority(), authority(path=str(other)), variables=ABSENT)
    own = {"docker_remote_api_pki_dir": str(other)}
    started = rotate(stage, "-e", "phase=start", web2=own)
    assert (started.rc, started.changed("web1"), started.changed("web2")) == (0, 1, 1), started.output
    assert [authorities(pki / "ca.pem") for pki in (stage.pki, other)] == [2, 2]
