# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate for one client: no host is reached for it, except the client's own machine if one is named."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Run
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.action.playing import (
    ABSENT,
    AUTHORITY,
    PASSPHRASE,
    Stage,
    authority,
)
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._tls.tools import openssl

HERE = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


def issue(
    stage: Stage,
    *extra: str,
    more: Mapping[str, Mapping[str, Any]] | None = None,
    check: tuple[str, ...] = (),
    variables: dict[str, str] | None = None,
    env: dict[str, str] | None = None,
) -> Run:
    """Run the playbook with the extra variables, and with more hosts than two that are not there.

    ``variables`` are more of those that the inventory has for all of them.
    """
    arguments = [*check, *(word for one in extra for word in ("-e", one))]
    known = {"docker_remote_api_pki_dir": str(stage.pki), "docker_remote_api_ca_passphrase": PASSPHRASE}
    hosts: dict[str, Mapping[str, Any]] = {"web1": ABSENT, "web2": ABSENT, **(more or {})}
    playbook = "dockerfleet.remote_api.client"
    all_variables = {**known, **(variables or {})}
    return stage.ansible.playbook(playbook, (), *arguments, variables=all_variables, host_variables=hosts, env=env)


def subject_of(certificate: Path) -> str:
    """Return the subject as openssl writes it by RFC 2253; the layout that it prefers differs between its versions."""
    said = openssl("x509", "-in", certificate, "-noout", "-subject", "-nameopt", "RFC2253")
    return said.strip().removeprefix("subject=")


def test_a_client_for_a_working_day(stage: Stage) -> None:
    stage.play(authority(), variables=ABSENT)
    made = issue(stage, "name=alice", "hours=8")
    assert made.rc == 0, made.output
    assert made.changed("web1") == 1
    folder = stage.pki / "clients/alice"
    assert f"{folder} is valid until " in made.output
    assert f"the CA in {stage.pki}." in made.output
    assert subject_of(folder / "cert.pem") == "CN=alice"
    openssl("x509", "-in", folder / "cert.pem", "-noout", "-checkend", str(7 * 3600 + 3000))
    with pytest.raises(AssertionError, match="will expire"):
        openssl("x509", "-in", folder / "cert.pem", "-noout", "-checkend", str(8 * 3600 + 60))
    assert openssl("verify", "-CAfile", folder / "ca.pem", folder / "cert.pem").endswith(": OK\n")
    assert issue(stage, "name=alice", "hours=8").changed("web1") == 0
    elsewhere = stage.path / "bob"
    assert issue(stage, "name=bob", "days=3", f"directory={elsewhere}").rc == 0
    assert openssl("verify", "-CAfile", stage.pki / "ca.pem", elsewhere / "cert.pem").endswith(": OK\n")
    assert not (stage.pki / "clients/bob").exists()


def test_check_mode_says_what_would_be_issued(stage: Stage) -> None:
    stage.play(authority(), variables=ABSENT)
    before, folder = stage.files(), stage.path / "machine/docker"
    here = issue(stage, "name=alice", "hours=8", check=("--check", "--diff"))
    there = issue(stage, "name=ci", "host=build", f"directory={folder}", more={"build": HERE}, check=("--check",))
    for done in (here, there):
        assert (done.rc, done.changed("web1")) == (0, 1), done.output
    assert "alice" in here.output
    assert stage.files() == before
    assert not folder.parent.exists()


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
    assert subject_of(stage.pki / "clients/ci/cert.pem") == "CN=ci,OU=Docker,OU=Operations,O=Example"
    assert stage.play(authority(clients=[client]), variables=ABSENT).changed("web1") == 0
    moved = stage.play(authority(clients=[{**client, "subject": {"O": "Other"}}]), variables=ABSENT)
    assert moved.changed("web1") == 1
    for wrong in ({"CN": "x"}, {"O": ""}, {"C": "Austria"}, {"OU": 7}):
        (message,) = stage.play(authority(clients=[{**client, "subject": wrong}]), variables=ABSENT).messages("web1")
        assert message.startswith("subject: ")


def test_a_client_on_another_machine_has_nothing_on_the_controller(stage: Stage) -> None:
    stage.play(authority(), variables=ABSENT)
    folder = stage.path / "machine/docker"
    extra = ("name=ci", "host=build", f"directory={folder}", "key_type=rsa_2048", "hours=8")
    made = issue(stage, *extra, more={"build": HERE})
    assert made.rc == 0, made.output
    assert openssl("verify", "-CAfile", folder / "ca.pem", folder / "cert.pem").endswith(": OK\n")
    assert {file.name: oct(file.stat().st_mode)[-3:] for file in folder.glob("*.pem")} == {
        "ca.pem": "444", "cert.pem": "444", "key.pem": "400",
    }  # fmt: skip
    key = (folder / "key.pem").read_text().splitlines()[1]
    assert key not in made.output
    assert not any(key in file.read_text() for file in stage.pki.rglob("*.pem"))
    assert not (stage.pki / "clients").exists()
    again = issue(stage, *extra, more={"build": HERE})
    assert (again.rc, again.changed("web1")) == (0, 0), again.output
    # A CA that vouches for a host besides ours, as the controller's clients trust it.
    (stage.pki / "foreign").mkdir()
    more = ("-subj", "/CN=Other", "-keyout", stage.path / "other.key", "-out", stage.pki / "foreign/web9.pem")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", *more)
    assert issue(stage, *extra, more={"build": HERE}).changed("web1") == 1
    assert openssl("verify", "-CAfile", folder / "ca.pem", stage.pki / "foreign/web9.pem").endswith(": OK\n")


def test_a_machine_that_is_not_reached_is_an_error(stage: Stage) -> None:
    stage.play(authority(), variables=ABSENT)
    done = issue(stage, "name=ci", "host=web2")
    assert done.rc == 2
    assert "ci on web2" in done.messages("web1")[-1]
    (message,) = issue(stage, "name=ci", "owner=ci").messages("web1")
    assert message.startswith("clients: 'ci', owner: ")


def test_variables_of_the_inventory_say_nothing_of_the_client(stage: Stage) -> None:
    """There, such words may mean something else: this one is an application's folder."""
    stage.play(authority(), variables=ABSENT)
    theirs, given = stage.path / "application", stage.path / "alice"
    inventory = {
        "directory": str(theirs), "host": "web2", "owner": "app", "group": "app", "context": "theirs",
        "days": "9", "hours": "9", "key_type": "rsa_2048",
    }  # fmt: skip
    made = issue(stage, "name=alice", "hours=8", variables=inventory)
    assert made.rc == 0, made.output
    folder = stage.pki / "clients/alice"
    openssl("x509", "-in", folder / "cert.pem", "-noout", "-checkend", str(7 * 3600 + 3000))
    assert "id-ecPublicKey" in openssl("x509", "-in", folder / "cert.pem", "-noout", "-text")
    # Also from a file, as a user may have it for each client.
    file = stage.path / "alice.yml"
    file.write_text(f"{{name: alice, days: 3, directory: {given}}}")
    assert issue(stage, f"@{file}", variables=inventory).rc == 0
    assert (given / "key.pem").exists()
    assert not theirs.exists()


def test_variables_of_an_import_say_what_the_client_is(stage: Stage) -> None:
    """As a playbook of the user's own may have them."""
    stage.play(authority(), variables=ABSENT)
    imported = {"import_playbook": "dockerfleet.remote_api.client", "vars": {"name": "ci", "hours": 8}}
    known = {"docker_remote_api_pki_dir": str(stage.pki), "docker_remote_api_ca_passphrase": PASSPHRASE}
    done = stage.ansible.playbook([imported], variables=known, host_variables={"web1": ABSENT})
    assert done.rc == 0, done.output
    with pytest.raises(AssertionError, match="will expire"):
        openssl("x509", "-in", stage.pki / "clients/ci/cert.pem", "-noout", "-checkend", str(8 * 3600 + 60))


def test_a_certificate_is_issued_once_with_another_strategy(stage: Stage) -> None:
    """Strategies such as free ignore run_once."""
    stage.play(authority(), variables=ABSENT)
    made = issue(stage, "name=alice", env={"ANSIBLE_STRATEGY": "free"})
    assert made.rc == 0, made.output
    assert [one["action"] for one in made.tasks].count(AUTHORITY) == 1


@pytest.mark.parametrize("other", ["other", "{{ my_facts.pki }}"])
def test_hosts_with_cas_of_their_own_are_named(stage: Stage, other: str) -> None:
    """A certificate is of one CA, and hosts of another would refuse it."""
    pki = str(stage.path / other)
    stage.play(authority(), authority(path=str(stage.path / "other")), variables=ABSENT)
    before = stage.files()
    more = {"web2": {**ABSENT, "docker_remote_api_pki_dir": pki}}
    (message,) = issue(stage, "name=alice", more=more).messages("web1")
    assert message.startswith("web2 has another CA than web1, and would refuse the client.")
    assert stage.files() == before
    issued = issue(stage, "name=alice", "target=web1", more=more)
    assert issued.rc == 0, issued.output
    # The same one by another path.
    more = {"web2": {**ABSENT, "docker_remote_api_pki_dir": str(stage.pki / "../pki")}}
    assert issue(stage, "name=alice", more=more).rc == 0


def test_ca_of_hosts_without_an_inventory(stage: Stage) -> None:
    """It is in the working directory."""
    stage.play(authority(), variables=ABSENT)
    (stage.path / "run/.docker_remote_api").symlink_to(stage.pki)
    words = ("name=alice", "target=all", f"docker_remote_api_ca_passphrase='{PASSPHRASE}'")
    arguments = [word for one in words for word in ("-e", one)]
    done = stage.ansible.playbook("dockerfleet.remote_api.client", (), *arguments, inventory="web1,web2,")
    assert done.rc == 0, done.output
    assert (stage.pki / "clients/alice/key.pem").exists()


def test_ca_in_variables(stage: Stage) -> None:
    """There is no folder of the CA's to name."""
    stage.play(authority(), variables=ABSENT)
    text = {name: (stage.pki / f"{file}.pem").read_text() for name, file in (("key", "ca-key"), ("certificate", "ca"))}
    variables = {f"docker_remote_api_ca_{name}": content for name, content in text.items()}
    folder = stage.path / "alice"
    made = issue(stage, "name=alice", f"directory={folder}", variables=variables)
    assert made.rc == 0, made.output
    assert "the CA in docker_remote_api_ca_key." in made.output
    assert openssl("verify", "-CAfile", folder / "ca.pem", folder / "cert.pem").endswith(": OK\n")
    more = {"web2": {**ABSENT, "docker_remote_api_ca_certificate": text["certificate"].replace("M", "N")}}
    (message,) = issue(stage, "name=alice", f"directory={folder}", variables=variables, more=more).messages("web1")
    assert message.startswith("web2 has another CA than web1")


@pytest.mark.parametrize("machine", [None, "build", "web2"])
def test_first_host_with_an_address_that_cannot_be_rendered(stage: Stage, machine: str | None) -> None:
    """No host is reached but the client's machine, so that does no harm, whatever comes of that one."""
    stage.play(authority(), variables=ABSENT)
    folder = stage.path / "machine/docker"
    more: dict[str, dict[str, Any]] = {"web1": {**ABSENT, "ansible_host": "{{ my_facts.address }}"}, "build": HERE}
    extra = ("name=ci", *((f"host={machine}", f"directory={folder}") if machine else ()))
    made = issue(stage, *extra, more=more)
    assert "my_facts" not in made.output
    if machine == "web2":
        assert made.messages("web1")[-1].startswith("ci on web2: ")
    else:
        assert made.rc == 0, made.output
        assert ((folder if machine else stage.pki / "clients/ci") / "key.pem").exists()
