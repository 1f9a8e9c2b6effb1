# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module audit in a task: which addresses it tries, what it writes, and that it runs nothing on a host."""

from __future__ import annotations

import http.server
import json
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Run
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.action.playing import (
    ABSENT,
    PASSPHRASE,
    Stage,
    authority,
)

AUDIT = "dockerfleet.remote_api.audit"
# Nothing listens there, on any port.
HOST = {**ABSENT, "ansible_host": "127.8.8.8"}


def task(**options: Any) -> dict[str, Any]:
    return {AUDIT: {"timeout": 5, **options}, "run_once": True}


def play(stage: Stage, hosts: dict[str, dict[str, Any]], *words: str, **options: Any) -> Run:
    """Return the run of an audit of these hosts, which have variables of their own, with more words of the command."""
    tasks = [task(hosts=list(hosts), **options)]
    tasks_of_play = [{"hosts": "docker_hosts", "gather_facts": False, "tasks": tasks}]
    return stage.ansible.playbook(tasks_of_play, (), *words, host_variables=hosts)


def test_hosts_and_addresses(stage: Stage) -> None:
    """One host of the inventory, by its variables, and two that are in none."""
    variables = {**HOST, "docker_remote_api_listen": "tcp://0.0.0.0:4243,tcp://127.0.0.1:4244"}
    done = stage.play(task(hosts=["web1"], addresses=["127.8.8.9", "tcp://127.8.8.7:99"]), variables=variables)
    result = done.result("web1", AUDIT)
    assert (done.rc, result["changed"], result["alarm"], stage.sent) == (0, False, "", [])
    assert {one["host"]: one["reason"] for one in result["findings"]} == {
        "web1": "no engine answers: nothing listens on port 2375, 2376, 4243",
        "127.8.8.9": "no engine answers: nothing listens on port 2375, 2376",
        "127.8.8.7": "no engine answers: nothing listens on port 99",
    }
    assert "HOST " not in done.stdout
    assert result["table"][0].startswith("HOST ")
    remedies = {one["host"]: one["remedy"] for one in result["findings"]}
    assert remedies["web1"].startswith(f"ansible -i {stage.path}/run/inventory.json web1 -b")
    assert remedies["127.8.8.9"].startswith("ansible -i 127.8.8.9, all -b")


def test_reports(stage: Stage) -> None:
    report, page = stage.path / "audit.json", stage.path / "audit.html"
    page.write_text("old")
    page.chmod(0o640)
    done = stage.play(task(hosts=["web1"], formats={"json": str(report), "html": str(page)}, show=True), variables=HOST)
    assert json.loads(report.read_text())["findings"][0]["host"] == "web1"
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert [stat.S_IMODE(one.stat().st_mode) for one in (report, page)] == [0o600, 0o640]
    assert done.result("web1", AUDIT)["written"] == [str(report), str(page)]
    assert "\nHOST " in done.stdout


class OddEngine(http.server.BaseHTTPRequestHandler):
    """Answers as an engine does, with halves of surrogate pairs."""

    def do_GET(self) -> None:
        warnings = ["API is accessible on http://0.0.0.0\ud800:2375"]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"ApiVersion": "1.45", "Version": "26\udcff", "Warnings": warnings}).encode())

    def log_message(self, *_words: Any) -> None:
        """Be quiet."""


def test_engine_that_answers_with_what_is_no_text(stage: Stage) -> None:
    """The reports are written nevertheless, with what the other hosts have in them."""
    formats = {name: str(stage.path / name) for name in ("json", "html", "prometheus")}
    with http.server.ThreadingHTTPServer(("127.8.8.9", 0), OddEngine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.8.8.9:{server.server_port}"
        done = play(stage, {"web1": HOST}, "-v", addresses=[address], formats=formats, show=True)
        server.shutdown()
    assert done.rc == 0, done.output
    result = done.result("web1", AUDIT)
    assert [one["version"] for one in result["engines"] if one["host"] == "127.8.8.9"] == ["26?"]
    assert {one["check"] for one in result["findings"]} == {"plain", "engine_warns", "not_reached"}
    for path in formats.values():
        assert address in Path(path).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"docker_remote_api_listen": ["unix:///run/docker.sock"]}, "unix:///run/docker.sock is a unix socket"),
        ({"docker_remote_api_listen": {"tcp": 2376}}, "docker_remote_api_listen"),
        ({"docker_remote_api_listen": None}, "docker_remote_api_listen"),
        ({"docker_remote_api_listen": [2376, "tcp://web:1:2"]}, "tcp://web:1:2"),
    ],
)
def test_settings_of_one_host_keep_nobody_from_the_audit_of_the_others(
    stage: Stage, variables: dict[str, Any], told: str
) -> None:
    """The host is tried as if it had none."""
    done = play(stage, {"web1": {**HOST, **variables}, "web2": HOST})
    assert done.rc == 0, done.output
    findings = {(one["host"], one["check"]): one for one in done.result("web1", AUDIT)["findings"]}
    assert set(findings) == {("web1", "bad_settings"), ("web1", "not_reached"), ("web2", "not_reached")}
    bad = findings["web1", "bad_settings"]
    assert bad["grade"] == "unknown"
    assert told in bad["reason"]
    assert bad["remedy"].endswith("inventory.json --host web1")
    assert findings["web1", "not_reached"]["reason"].endswith("nothing listens on port 2375, 2376")


@pytest.mark.parametrize("passphrase", ["not the right one", "{{ vault_nosuch }}"])
def test_ca_of_one_host_that_cannot_be_opened(stage: Stage, passphrase: str) -> None:
    """The others are judged by theirs, and the playbook fails after the table, as a scheduler has to be told."""
    assert stage.play(authority(clients=[{"name": "admin"}])).rc == 0
    report = stage.path / "audit.json"
    settings = {
        "docker_remote_api_pki_dir": str(stage.pki),
        "docker_remote_api_ca_passphrase": PASSPHRASE,
        "docker_remote_api_audit_json": str(report),
    }
    hosts = {"web1": {**HOST, "docker_remote_api_ca_passphrase": passphrase}, "web2": HOST}
    done = stage.ansible.playbook("dockerfleet.remote_api.audit", (), host_variables=hosts, variables=settings)
    found = {(one["host"], one["check"]) for one in json.loads(report.read_text())["findings"]}
    assert {("web1", "bad_settings"), ("web1", "not_reached"), ("web2", "not_reached"), ("client admin", "ok")} <= found
    assert ("web2", "bad_settings") not in found
    (message,) = done.messages("web1")
    assert message.startswith("Judged without settings: web1. The first: ")
    assert done.rc == 2
    assert passphrase not in done.output.replace("'{{ vault_nosuch }}'", "")


def test_wrong_passphrase_of_all_hosts(stage: Stage) -> None:
    """It is tried once, and told of each host."""
    assert stage.play(authority()).rc == 0
    settings = {"docker_remote_api_pki_dir": str(stage.pki), "docker_remote_api_ca_passphrase": "not the right one"}
    hosts = dict.fromkeys(("web1", "web2"), HOST)
    done = stage.ansible.playbook("dockerfleet.remote_api.audit", (), host_variables=hosts, variables=settings)
    assert done.rc == 2
    (message,) = done.messages("web1")
    assert message.startswith("Judged without settings: web1, web2. The first: ")
    (reason,) = {one["reason"] for one in done.result("web1", AUDIT)["findings"] if one["check"] == "bad_settings"}
    assert "the passphrase does not open this key" in reason
    assert reason in message


def told_of_clients(result: dict[str, Any]) -> dict[str, str]:
    """Return the checks of clients by their names; those that are not current in parentheses."""
    current = {one["host"]: one["current"] for one in result["certificates"]}
    clients = {one["host"]: one["check"] for one in result["findings"] if one["host"].startswith("client ")}
    return {name.split()[1]: check if current[name] else f"({check})" for name, check in clients.items()}


def test_ca_of_text_has_nothing_of_the_folder_beside_the_inventory(stage: Stage) -> None:
    beside = stage.ansible.directory / ".docker_remote_api"
    stage.play(authority(), authority(path=str(beside), clients=[{"name": "admin"}]))
    text = {"ca_key": "ca-key.pem", "ca_certificate": "ca.pem"}
    known = {f"docker_remote_api_{name}": (stage.pki / file).read_text() for name, file in text.items()}
    host = {**HOST, **known, "docker_remote_api_ca_passphrase": PASSPHRASE}
    play = {"hosts": "docker_hosts", "gather_facts": False, "tasks": [task(hosts=["web1"])]}
    (done,) = stage.ansible.playbook([play], host_variables={"web1": host}).of("web1")
    assert told_of_clients(done["result"]) == {}


def test_clients_that_the_hosts_list(stage: Stage) -> None:
    """Whether they have a folder with the CA or not; by default those of the role."""
    folder = str(stage.path / "ci")
    names = [{"name": "admin"}, {"name": "alice", "hours": 8}, {"name": "bob"}, {"name": "ci", "directory": folder}]
    assert stage.play(authority(clients=names)).rc == 0
    text = {"ca_key": "ca-key.pem", "ca_certificate": "ca.pem"}
    hosts: dict[str, dict[str, Any]] = {
        "web1": {},
        "web2": {"docker_remote_api_clients": [{"name": "ci", "directory": folder}]},
        "web3": {"docker_remote_api_clients": [{"name": "bob", "host": "web1"}]},
        "web4": {
            **{f"docker_remote_api_{name}": (stage.pki / file).read_text() for name, file in text.items()},
            "docker_remote_api_ca_passphrase": PASSPHRASE,
            "docker_remote_api_ledger_dir": str(stage.pki / "issued"),
        },
        "web5": {"docker_remote_api_clients": [{"user": "bob"}]},
    }
    pki = {"ca_path": str(stage.pki)}
    tasks = [
        task(hosts=["web1"], **pki),
        task(hosts=["web2", "web3"], addresses=["127.8.8.8:99"], **pki),
        task(hosts=["web2", "web5"], **pki),
        task(hosts=["web4"]),
        task(addresses=["127.8.8.8:99"], **pki),
        task(hosts=["web2"], cert_path=folder, **pki),
    ]
    play = {"hosts": "docker_hosts", "gather_facts": False, "tasks": tasks}
    done = stage.ansible.playbook([play], host_variables={name: {**HOST, **more} for name, more in hosts.items()})
    assert done.rc == 0, done.output
    default, listed, broken, as_text, by_folders, by_one_folder = (one["result"] for one in done.of("web1"))
    gone = dict.fromkeys(("admin", "alice", "bob", "ci"), "(not_listed)")
    assert told_of_clients(default) == {**gone, "admin": "ok"}
    assert told_of_clients(listed) == {**gone, "bob": "ok", "ci": "ok"}
    assert told_of_clients(broken) == {**gone, "ci": "ok"}
    assert {one["host"] for one in broken["findings"] if one["check"] == "bad_settings"} == {"web5"}
    assert told_of_clients(as_text) == gone
    assert told_of_clients(by_folders) == {**dict.fromkeys(gone, "ok"), "ci": "(not_listed)"}
    assert told_of_clients(by_one_folder) == dict.fromkeys(gone, "ok")


def test_list_of_clients_as_text(stage: Stage) -> None:
    """What -e NAME=VALUE sets is always text."""
    assert stage.play(authority(clients=[{"name": "admin"}, {"name": "ci"}])).rc == 0
    words = ("-e", 'docker_remote_api_clients=[{"name":"ci"}]')
    done = play(stage, {"web1": HOST}, *words, ca_path=str(stage.pki))
    assert told_of_clients(done.result("web1", AUDIT)) == {"admin": "(not_listed)", "ci": "ok"}


@pytest.mark.parametrize("name", ["ansible_host", "docker_remote_api_listen"])
def test_template_that_cannot_be_rendered(stage: Stage, name: str) -> None:
    """Such as a fact of a host whose facts nobody has gathered. Older versions of Ansible leave it as it is."""
    done = play(stage, {"web1": HOST, "127.8.8.9": {**HOST, name: "tcp://{{ my_facts.address }}:2376"}})
    assert done.rc == 0, done.output
    findings = done.result("web1", AUDIT)["findings"]
    assert [one["check"] for one in findings if one["host"] == "web1"] == ["not_reached"]
    assert "my_facts" in " ".join(one["reason"] for one in findings if one["host"] == "127.8.8.9")


@pytest.mark.parametrize("log_in", ["false", "true"])
def test_first_host_with_an_address_that_cannot_be_rendered(stage: Stage, log_in: str) -> None:
    """The playbook's tasks run once, in the name of the first host, and connect to none.

    Certificates are valid from some time before their issue, so that one for 40 days has fewer than that left.
    """
    assert stage.play(authority(clients=[{"name": "admin"}], client_days=40)).rc == 0
    hosts = {"127.8.8.9": {**HOST, "ansible_host": "{{ my_facts.address }}"}, "web1": HOST}
    settings = {"docker_remote_api_pki_dir": str(stage.pki), "docker_remote_api_audit_fail_below_days": "40"}
    words = ("-e", f"docker_remote_api_audit_log_in={log_in}")
    done = stage.ansible.playbook("dockerfleet.remote_api.audit", (), *words, host_variables=hosts, variables=settings)
    assert {"127.8.8.9", "web1"} <= {one["host"] for one in done.result("127.8.8.9", AUDIT)["findings"]}, done.output
    assert done.rc == 2
    assert "client admin" in " ".join(done.messages("127.8.8.9"))


def test_audit_is_one_with_another_strategy(stage: Stage) -> None:
    """Strategies such as free ignore run_once, and each host would audit all."""
    hosts = dict.fromkeys(("web1", "web2", "web3"), HOST)
    done = stage.ansible.playbook(
        "dockerfleet.remote_api.audit", (), host_variables=hosts, env={"ANSIBLE_STRATEGY": "free"}
    )
    assert done.rc == 0, done.output
    assert [one["action"] for one in done.tasks].count(AUDIT) == 1


def test_note_of_one_host_that_is_broken(stage: Stage) -> None:
    """What the CA's directory remembers of it."""
    assert stage.play(authority()).rc == 0
    (stage.pki / "servers").mkdir()
    (stage.pki / "servers/web1.pem").write_text("-----BEGIN CERTIFICATE-----")
    done = play(stage, {"web1": HOST, "web2": HOST}, ca_path=str(stage.pki))
    assert done.rc == 0, done.output
    told = {one["host"]: one for one in done.result("web1", AUDIT)["findings"] if one["check"] == "bad_settings"}
    assert list(told) == ["web1"]
    assert f"{stage.pki}/servers, web1, line 1" in told["web1"]["reason"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "neither hosts nor addresses"),
        ({"hosts": ["web9"]}, "the inventory has no host 'web9'"),
        ({"addresses": ["tcp://:::"]}, "tcp://:::"),
        ({"addresses": ["192.0.2.1"], "formats": {"xml": "audit.xml"}}, "xml"),
    ],
)
def test_bad_options(stage: Stage, options: dict[str, Any], told: str) -> None:
    done = stage.play(task(**options), variables=HOST)
    assert done.rc == 2
    assert told in done.messages("web1")[0]
    assert "Traceback" not in done.output
