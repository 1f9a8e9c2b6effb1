# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The authority from the task to the files, on the controller alone."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
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
    output = " ".join(taken.output.split())
    assert result(taken)["strict"] == ("Python 3.13" not in output)
    assert output.count("is root on every host that trusts it") == 1
    assert stage.play(authority(), server()).changed("web1") == 0


CLIENTS: list[dict[str, Any]] = [{"name": "admin"}, {"name": "ci-2.example", "hours": 8, "key_type": "ed25519"}]


def test_one_task_makes_sure_of_the_authority_and_its_clients(stage: Stage) -> None:
    task = authority(clients=CLIENTS, client_days=90)
    # An inventory's wish for another user has no effect on the controller.
    become = {**ABSENT, "ansible_become": True, "ansible_become_exe": "/bin/false"}
    foreseen = stage.play(task, arguments=("--check", "--diff"), variables=become)
    assert [(one["name"], one["issued"], one["serial"]) for one in result(foreseen)["clients"]] == [
        ("admin", True, None),
        ("ci-2.example", True, None),
    ]
    assert not stage.pki.exists()
    made = stage.play(task, arguments=("--diff", "-vvvv"), variables=become)
    for one in result(made)["clients"]:
        folder = stage.pki / "clients" / one["name"]
        assert one["directory"] == str(folder)
        assert one["reasons"] == ["the key is missing", "the certificate is missing"]
        files = {file.name: f"{file.stat().st_mode & 0o777:o}" for file in folder.iterdir()}
        assert files == {"ca.pem": "444", "cert.pem": "444", "key.pem": "400"}
        said = openssl(
            "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", stage.pki / "ca.pem", folder / "cert.pem"
        )
        assert said.endswith(": OK\n")
        layout = ("-nameopt", "RFC2253", "-dateopt", "iso_8601")
        said = openssl("x509", "-in", folder / "cert.pem", "-noout", "-serial", "-subject", "-enddate", *layout)
        assert said.splitlines() == [
            f"serial={one['serial']}",
            f"subject=CN={one['name']}",
            f"notAfter={one['not_after'].replace('T', ' ')}",
        ]
    assert PASSPHRASE not in made.output
    assert "PRIVATE KEY" not in made.output
    before = stage.files()
    for arguments in ((), ("--check",)):
        again = stage.play(task, arguments=arguments, variables=become)
        assert not result(again)["changed"]
        assert [one["issued"] for one in result(again)["clients"]] == [False, False]
    assert stage.files() == before
    more = stage.play(authority(clients=[*CLIENTS, {"name": "new"}], client_days=90), variables=become)
    assert [one["changed"] for one in result(more)["clients"]] == [False, False, True]
    assert stage.sent == []


def test_many_hosts_at_once_make_one_authority_and_one_client(stage: Stage) -> None:
    hosts = tuple(f"web{number}" for number in range(1, 7))
    task = {**authority(clients=CLIENTS[:1]), "run_once": False}
    made = stage.play(task, hosts=hosts, arguments=("--forks", "6"), variables=ABSENT)
    results = [made.result(host, AUTHORITY) for host in hosts]
    # One host makes the CA, and one issues the client's certificate: the same one, or the next to get the lock.
    assert sum(one["clients"][0]["issued"] for one in results) == 1
    assert sum(one["changed"] for one in results) in (1, 2)
    assert len({one["fingerprint_sha256"] for one in results}) == 1
    assert len({one["clients"][0]["serial"] for one in results}) == 1
    assert not [name for name in stage.files() if name.endswith((".lock", ".new", ".tmp"))]


PHASES = ("start", "clients", "retire", "finish", "now")


def test_check_mode_of_each_phase_says_what_the_phase_then_does(stage: Stage) -> None:
    tasks = [authority(clients=CLIENTS[:1])]
    for phase in PHASES:
        task = authority(clients=CLIENTS[:1], phase=phase)
        tasks += [{**task, "check_mode": True}, task, {**task, "check_mode": True}]
    played = stage.play(*tasks, variables=ABSENT)
    assert played.rc == 0, played.output
    results = [one["result"] for one in played.of("web1")][1:]
    issued = {}
    for phase, foreseen, done, again in zip(PHASES, results[::3], results[1::3], results[2::3], strict=True):
        for name in ("changed", "rotation_before", "rotation"):
            assert foreseen[name] == done[name], (phase, name)
        for name in ("changed", "issued", "directory"):
            assert foreseen["clients"][0][name] == done["clients"][0][name], (phase, name)
        assert foreseen["clients"][0]["not_after"][:13] == done["clients"][0]["not_after"][:13]
        assert len(foreseen["clients"][0]["reasons"]) == len(done["clients"][0]["reasons"])
        made = phase == "now"
        assert foreseen["fingerprint_sha256"] == (None if made else done["fingerprint_sha256"])
        assert (again["changed"], again["certificate"]) == (False, done["certificate"])
        issued[phase] = done["clients"][0]["changed"], done["clients"][0]["issued"]
    assert issued == {
        "start": (True, False), "clients": (True, True), "retire": (True, False), "finish": (False, False),
        "now": (True, True),
    }  # fmt: skip


def test_an_authority_given_as_text_writes_clients_alone(stage: Stage) -> None:
    stage.play(authority(), variables=ABSENT)
    text = {name: (stage.pki / name).read_text(encoding="ascii") for name in ("ca.pem", "ca-key.pem")}
    given = {"ca_certificate": text["ca.pem"], "ca_key": text["ca-key.pem"]}
    before = stage.files()
    taken = stage.play(authority(path="{{ omit }}", **given), variables=ABSENT)
    assert (result(taken)["changed"], result(taken)["certificate"]) == (False, text["ca.pem"])
    assert stage.files() == before
    refused = stage.play(authority(path="{{ omit }}", clients=CLIENTS, **given), variables=ABSENT)
    assert "clients: there is no directory for them, as the CA is given as text" in refused.messages("web1")[0]
    clients = stage.play(authority(path="{{ pki }}/other", clients=CLIENTS[:1], **given), variables=ABSENT)
    assert [one["issued"] for one in result(clients)["clients"]] == [True]
    assert set(stage.files()) - set(before) == {
        "pki/other/.gitignore",
        *(f"pki/other/clients/admin/{name}.pem" for name in ("ca", "cert", "key")),
    }


def test_relative_paths_start_at_the_playbook(stage: Stage) -> None:
    """In every plugin, and wherever Ansible is started."""
    folder = stage.path / "elsewhere"
    tasks = [
        authority(path="here/pki", ledger_dir="here/ledger", clients=CLIENTS[:1]),
        server(directory="here/tls", ca_path="here/pki", run_on="controller"),
        {"dockerfleet.remote_api.verify": {"cert_path": "here/none", "port": 1}},
    ]
    folder.mkdir()
    (folder / "site.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    played = stage.ansible.playbook(
        str(folder / "site.yml"), variables={"secret": PASSPHRASE}, host_variables={"web1": ABSENT}
    )
    for certificate in ("pki/clients/admin/cert.pem", "tls/server-cert.pem"):
        said = openssl("verify", "-CAfile", folder / "here/pki/ca.pem", folder / "here" / certificate)
        assert said.endswith(": OK\n")
    assert len(list((folder / "here/ledger").iterdir())) == 1
    (message,) = played.messages("web1")
    assert f"{folder}/here/none" in message
    assert not (stage.ansible.directory / "here").exists()


@pytest.mark.parametrize("name", ["pki_dir", "ledger_dir"])
def test_relative_paths_do_not_start_at_the_collections_own_playbooks(stage: Stage, name: str) -> None:
    """What lies there goes with the next upgrade of the collection."""
    given = {"docker_remote_api_ca_passphrase": PASSPHRASE, f"docker_remote_api_{name}": "./pki"}
    played = stage.ansible.playbook(
        "dockerfleet.remote_api.secure", variables=given, host_variables={"web1": ABSENT}
    )  # fmt: skip
    (message,) = played.messages("web1")
    assert message.startswith("./pki: this path is relative, and would begin in the installed collection")
    assert not (CHECKOUT / "playbooks/pki").exists()


BAD_INPUT: list[tuple[dict[str, Any], str]] = [
    ({"passphrase": ""}, "passphrase: it is empty"),
    ({"passphrase": "x" * 1024}, "passphrase: it is longer than 1023 bytes"),
    ({"passphrase": "{{ omit }}"}, "passphrase: it is not given"),
    ({"path": "{{ omit }}"}, "options: one of the following is required: path, ca_key"),
    ({"ca_key": "x"}, "options: parameters are required together: ca_certificate, ca_key"),
    ({"clients": [{"name": "../etc"}]}, "clients: '../etc': it may have letters"),
    ({"clients": [{"name": "a"}, {"name": "a"}]}, "clients: 'a': it is there twice"),
    ({"clients": [{"name": "a", "days": 0}]}, "days: 0: it must be from 1 to 36500"),
    ({"clients": [{"name": "a", "days": 40, "hours": 1}]}, "parameters are mutually exclusive: days|hours"),
    ({"clients": [{"name": "a", "directory": "{{ pki }}"}]}, "among the files of the CA in"),
    ({"clients": [{"name": "a", "directory": "{{ pki }}/issued"}], "phase": "now"}, "among the files of the CA in"),
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
