# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No fault leaves a host without a running daemon: the table of daemon_faults.py on three engines and two units."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration import pki
from ansible_collections.dockerfleet.remote_api.tests.integration.daemon_faults import (
    CERTIFICATE,
    CERTIFICATE_VARIANTS,
    DONE,
    DOUBLE_FAULT,
    DOWN,
    ENGINES,
    KEY,
    KILLED,
    MOST,
    OPTIONS,
    REFUSED,
    RESCUED,
    ROWS,
    STOPPED,
    UNDONE,
    Row,
)
from ansible_collections.dockerfleet.remote_api.tests.integration.support import CHECKOUT, HERE, LAB, Host, Lab

CODE = ("plugins/module_utils",)
ON_HOST = "/root/faults/on_host.py"
TLS = {
    "host": ["tcp://0.0.0.0:2376"],
    "tlsverify": True,
    "tlscacert": "/etc/docker/ca.pem",
    "tlscert": "/etc/docker/server-cert.pem",
    "tlskey": "/etc/docker/server-key.pem",
}
# A stand-in for iptables and ip6tables, which accepts every rule. The real one takes three quarters of the time of a
# daemon's start, and the table starts daemons some thousand times; no row looks at the rules of containers' networks.
FIREWALL = """#!/bin/sh
case $* in *--version*) echo "iptables v1.8.9 (nf_tables)" ;; esac
"""
# What lies there only while a change is under way.
JOURNAL_FILE = "/var/lib/docker-remote-api/docker.service.journal"
JOURNAL = re.compile(
    r"/var/lib/docker-remote-api/(?!docker\.service\.original$)"
    r"|/etc/systemd/system/(multi-user\.target\.d/)?docker-remote-api"
)
JOURNAL_COPIES = re.compile(r"/var/lib/docker-remote-api/docker\.service\.journal(\.[0-9]+)?$")
WAITING_KEY = f"{KEY}.new"
OWN_DIRECTORY = "/etc/systemd/system/docker.service.d"
# The faulty row's own words for what became of a run.
KINDS = {
    REFUSED: None,
    UNDONE: "RolledBackError",
    DOWN: "NotRolledBackError",
    KILLED: "killed",
    RESCUED: "killed",
}

CASES = [
    pytest.param(row, suite, variant, id=f"{row.name}-{suite}-{variant}")
    for variant in ("docker-io", "docker-ce")
    for suite in ENGINES
    for row in ROWS
    if row.runs_on(suite, variant)
]


def prepare(host: Host, files: Mapping[str, str]) -> None:
    """Bring the code, the script for the host and the certificates to the host."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path in CODE:
            tar.add(CHECKOUT / path, f"ansible_collections/dockerfleet/remote_api/{path}")
        path = "tests/integration/certificate_on_host.py"
        tar.add(CHECKOUT / path, f"ansible_collections/dockerfleet/remote_api/{path}")
        tar.add(HERE / "daemon_on_host.py", "on_host.py")
        for name, text in {"iptables": FIREWALL, **{f"pki/{name}": text for name, text in files.items()}}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode("ascii")))
    host.exec(
        "sh", "-euc", """
            mkdir -p /root/faults/pki/directory && cd /root/faults && base64 -d | tar xz
            ln -s loop.pem pki/loop.pem
            [ ! -e /etc/default/docker ] || cp -a /etc/default/docker pristine
            cp pki/ca.pem /etc/docker/ca.pem; cp pki/server.pem /etc/docker/server-cert.pem
            cp pki/key.pem /etc/docker/server-key.pem
            install -m 0755 iptables /usr/local/sbin/iptables; ln -s iptables /usr/local/sbin/ip6tables
        """, stdin=base64.b64encode(packed.getvalue()).decode(),
    )  # fmt: skip


def certificate(row: Row, **more: Any) -> dict[str, Any]:
    """Return the argument that makes a run one of remote_api, for a row that is about it."""
    return {} if row.certificate is None else {"certificate": {**row.certificate, **more, "row": row.name}}


class Faults:
    """The rows of one host, one after the other; the label tells which row set the daemon's options last."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.label = "row=none"
        self.process = self.serve()

    def request(self, label: str, *options: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Return the arguments for the core."""
        merged = {**TLS, "label": [label]}
        for one in options:
            merged.update(one)
        wanted = {name: value for name, value in merged.items() if value is not None}
        return {"options": wanted, "path": OPTIONS, **more}

    def run(self, row: Row) -> dict[str, Any]:
        """Run a row on the host and return what was seen."""
        new = self.label if row.outcome == REFUSED or row.same_label else f"row={row.name}"
        labels = [new, *(new if row.tls else f"{new}-{number}" for number in range(1, row.runs))]
        kept = row.options if row.outcome in (KILLED, RESCUED) and "bridge" not in row.options else {}
        sent = {
            "fault": row.fault,
            "undo": row.undo,
            "files": row.files,
            "tls": row.tls,
            "ours": {"request": self.request(self.label), "certificate": {"row": "setup"}},
            "restore": row.restore,
            "fresh": row.fresh,
            "absent": row.absent,
            "boot": row.outcome == KILLED,
            "patience": 1 if row.outcome in (DOWN, KILLED, STOPPED) else 20,
            "recovery": 20 if row.outcome == REFUSED else 2,
            "runs": [
                {
                    "request": self.request(label, row.options, **row.request),
                    "mode": row.mode,
                    "signal_at": row.signal_at,
                    "signal": int(row.signal),
                    "power_loss": row.outcome == KILLED,
                    **({} if row.absent else certificate(row, between=row.between, search=row.search)),
                }
                for label in labels
            ],
            "good": {
                "request": self.request(new, kept, **row.good_request),
                **certificate(row, offer="good", on_foreign_authority="replace", theirs=None),
            },
        }
        return {"label": new, **self.ask(sent, new)}

    def ask(self, row: dict[str, Any], label: str) -> dict[str, Any]:
        """Send a row to the host and return its answer; the label is what the daemon runs with then."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(row) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            said = self.process.stderr.read() if self.process.stderr else ""
            self.process = self.serve()
            raise AssertionError(said)
        self.label = label
        answer: dict[str, Any] = json.loads(line)
        return answer

    def serve(self) -> subprocess.Popen[str]:
        """Start what runs the rows on the host."""
        command = [str(LAB), "exec", self.host.name, "--", "python3", ON_HOST, "serve"]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def end(self) -> None:
        """End what runs on the host."""
        self.process.communicate()


def run_all(host: Host, rows: list[Row], files: Mapping[str, str]) -> dict[str, dict[str, Any] | AssertionError]:
    """Run rows on a host and return what was seen, or how the row broke down, by the rows' names."""
    prepare(host, files)
    faults = Faults(host)
    first = json.loads(
        host.exec("python3", ON_HOST, "core", stdin=json.dumps({"request": faults.request(faults.label)})).stdout
    )
    assert first["ok"], first
    seen: dict[str, dict[str, Any] | AssertionError] = {}
    for row in rows:
        try:
            seen[row.name] = faults.run(row)
        except AssertionError as problem:
            seen[row.name] = problem
    faults.end()
    return seen


@pytest.fixture(scope="module")
def seen(
    lab: Lab, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, dict[str, dict[str, Any] | AssertionError]]]:
    """Run the rows of all selected tests, host by host at the same time; give what was seen."""
    selected: dict[str, list[Row]] = {}
    for item in request.session.items:
        if isinstance(item, pytest.Function) and item.path == request.path and hasattr(item, "callspec"):
            values: dict[str, Any] = item.callspec.params
            selected.setdefault(f"{values['suite']}/{values['variant']}", []).append(values["row"])
    files = pki.make(tmp_path_factory.mktemp("pki"))
    names = {kind: f"f-{kind.replace('/docker-', '-')}" for kind in selected}
    hosts = lab.hosts({names[kind]: (kind.split("/")[0], kind.split("/")[1]) for kind in selected})
    with ThreadPoolExecutor(len(selected)) as pool:
        running = {kind: pool.submit(run_all, hosts[names[kind]], rows, files) for kind, rows in selected.items()}
        yield {kind: future.result() for kind, future in running.items()}
    lab.down(*hosts.values())


@pytest.mark.parametrize(("row", "suite", "variant"), CASES)
def test_a_fault_leaves_a_daemon(
    seen: dict[str, dict[str, dict[str, Any] | AssertionError]], row: Row, suite: str, variant: str
) -> None:
    what = check(seen, row, suite, variant)
    if row.outcome == KILLED:
        assert what["started"], "no daemon answered after a boot with what was on the disk"
    elif row.outcome == STOPPED:
        assert not what["answers"], "a daemon that was stopped on purpose was started"
        assert [(result["restarted"], result["restart_due"]) for result in what["results"]] == [(False, True)]
        assert not what["good"]["changed"], what["good"]
    else:
        assert what["answers"], "no daemon answered after the fault"


@pytest.mark.parametrize(("row", "suite", "variant"), [(DOUBLE_FAULT, suite, "docker-io") for suite in ENGINES])
def test_a_daemon_that_cannot_be_had_back_is_said_first_and_revived_by_the_next_run(
    seen: dict[str, dict[str, dict[str, Any] | AssertionError]], row: Row, suite: str, variant: str
) -> None:
    what = check(seen, row, suite, variant)
    assert not what["answers"]
    assert JOURNAL_FILE in what["after"]


def check(
    seen: Mapping[str, Mapping[str, dict[str, Any] | AssertionError]], row: Row, suite: str, variant: str
) -> dict[str, Any]:
    """Assert what holds for all rows, such as that a good run converges afterwards; return what was seen."""
    what = seen[f"{suite}/{variant}"][row.name]
    if isinstance(what, AssertionError):
        raise what
    check_results(row, what)
    assert what["good"]["ok"], what["good"]
    if row.absent:
        check_removal(row, what)
    else:
        check_files(row, what)
    if row.tls:
        check_tls(row, what)
    if row.search:
        check_keys(what)
    assert what["good_answers"]
    assert what["argv_end"] == what["good"]["argv"][1:]
    assert f"--label={what['label']}" in what["argv_end"]
    assert what["again"]["ok"], what["again"]
    assert not what["again"]["changed"], what["again"]
    return what


def check_results(row: Row, what: Mapping[str, Any]) -> None:
    """Assert that the faulty run ended as it should, with a message that names the cause."""
    for result in what["results"]:
        assert result["ok"] == (row.outcome in (DONE, STOPPED)), result
        if not result["ok"]:
            expected = KINDS[row.outcome]
            wrong = ("killed", "crashed", "RolledBackError", "NotRolledBackError")
            assert result["kind"] == expected if expected else result["kind"] not in wrong, result
            assert re.search(row.says, result["message"], re.DOTALL), result["message"]
        elif row.says or row.restarted is not None:
            assert re.search(row.says, "; ".join(result["reasons"])), result["reasons"]
            assert row.restarted in (None, result["restarted"]), result
    if row.outcome == DONE:
        assert what["argv_after"] in [result["argv"][1:] for result in what["results"]]
    if row.tls and row.runs > 1:
        assert sorted(result["changed"] for result in what["results"]) == [False, True], what["results"]


def without_waiting_key(files: Mapping[str, Any]) -> dict[str, Any]:
    """Return the files without the key that waits for its certificate, after a look at who can read that."""
    assert files.get(WAITING_KEY, ["0o100600", 0, 0])[:3] == ["0o100600", 0, 0]
    return {path: state for path, state in files.items() if path != WAITING_KEY}


def check_tls(row: Row, what: Mapping[str, Any]) -> None:
    """Assert that what openssl is served, and who is let in, belongs to the files that are in place."""
    before, end = what["served_before"], what["served_end"]
    assert end == {"certificate": what["on_disk"], "clients": ["ours"]}, end
    if not row.fresh:
        assert before["certificate"]
        assert before["clients"] == [row.tls]
    if row.outcome in (REFUSED, UNDONE):
        assert what["served_after"] == before
    if row.outcome == DONE:
        assert what["served_after"] == end
        assert not what["good"]["changed"], what["good"]
    if row.outcome in (KILLED, RESCUED) and not row.absent:
        look = "booted" if row.outcome == KILLED else "after"
        undone = without_waiting_key(what[look])[CERTIFICATE] == what["before"][CERTIFICATE]
        assert what[f"served_{look}"] == (before if undone else end)
    for path in row.keeps:
        assert what["times_before"][path] == what["times_after"][path], path
        assert what["before"][path] == what["after"][path], path
    assert WAITING_KEY not in what["end"]


def check_removal(row: Row, what: Mapping[str, Any]) -> None:
    """Assert that the host is wholly as it was set up or wholly as it was before that, and so is who is let in."""
    look = "booted" if row.outcome == KILLED else "after"
    before, found, pristine = (
        {path: state for path, state in what[name].items() if not JOURNAL.match(path) and path != OWN_DIRECTORY}
        for name in ("before", look, "pristine")
    )
    assert found in (before, pristine)
    assert (what[f"argv_{look}"] == what["argv_before"]) == (found == before)
    nobody = {"certificate": "", "clients": []}
    assert what[f"served_{look}"] == (what["served_before"] if found == before else nobody)
    assert not [path for path in what["end"] if path.endswith(".tmp") or JOURNAL.match(path)]


def check_keys(what: Mapping[str, Any]) -> None:
    """Assert that at each step private keys were in no file but those that have to hold one, for root alone."""
    (result,) = what["results"]
    assert "journal written" in result["keys"]
    for step, files in result["keys"].items():
        for path, access in files.items():
            assert path in (KEY, WAITING_KEY) or JOURNAL_COPIES.match(path), (step, path)
            assert path == KEY or access == "0600 0" or re.match(JOURNAL_FILE, path), (step, path, access)
    journal = result["modes"]["journal written"]
    assert journal.pop("/var/lib/docker-remote-api") == "0700"
    assert JOURNAL_FILE in journal
    assert set(journal.values()) == {"0600"}
    assert result["keys"].get("journal removed", {}).keys() <= {KEY, WAITING_KEY}


def check_files(row: Row, what: Mapping[str, Any]) -> None:
    """Assert that every file is as it was or as it was to become, owner and mode included."""
    (first, *_others) = what["results"]
    before, after, end = first.get("between", what["before"]), without_waiting_key(what["after"]), what["end"]
    before = without_waiting_key(before)
    if row.outcome in (REFUSED, UNDONE):
        assert after == before
        times = what["times_before"]
        assert all(times[path] == what["times_after"][path] for path in times.keys() & after.keys() & before.keys())
    if row.outcome == DOWN or (row.outcome == KILLED and "bridge" not in row.options):
        for path in before.keys() | after.keys():
            kept = JOURNAL.match(path) or (row.outcome == DOWN and path == OPTIONS)
            assert kept or after.get(path) in (before.get(path), end.get(path)), path
    if row.outcome == KILLED:
        undone = after == before or any(JOURNAL.match(path) for path in after)
        old, booted = before if undone else end, without_waiting_key(what["booted"])
        for path in booted.keys() | old.keys():
            kept = JOURNAL.match(path) or path == OWN_DIRECTORY
            assert kept or booted.get(path) == old.get(path), path
        for path in what["times_before"].keys() & booted.keys() if undone else ():
            assert what["times_booted"][path] == what["times_before"][path], path
    if row.outcome == RESCUED:
        assert after in (before, end)
        assert (what["argv_after"] == what["argv_before"]) == (after == before)
    if row.outcome == REFUSED:
        assert not what["good"]["changed"] or row.fresh or row.tls, what["good"]
    if row.name == "symbolic-link":
        assert after[OPTIONS] == before[OPTIONS]
        assert after[OPTIONS][3] == "/srv/options/docker"
        assert after["/srv/options/docker"] != before["/srv/options/docker"]
    if row.name == "odd-owner-and-mode":
        assert after[OPTIONS][:3] == before[OPTIONS][:3] == ["0o100604", 1, 2]
        assert after[OPTIONS][3] != before[OPTIONS][3]
    assert not [path for path in end if path.endswith(".tmp") or JOURNAL.match(path)]


def test_the_table_covers_what_it_has_to() -> None:
    for suite in MOST:
        for variant in ("docker-io", "docker-ce"):
            rows = [row for row in ROWS if row.runs_on(suite, variant)]
            assert len({row.name for row in rows}) == len(rows) >= 100
    for suite in ENGINES:
        killed = [row for row in ROWS if row.outcome == KILLED and row.runs_on(suite, CERTIFICATE_VARIANTS[suite])]
        assert len([row for row in killed if row.absent]) >= 10
        assert len([row for row in killed if row.certificate is not None and not row.absent]) >= 10
