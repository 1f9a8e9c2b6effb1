# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replacing a CA: whom the files trust and who signs in each state, wherever a run is killed; openssl is the judge."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import read_file
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import (
    certificates,
    errors,
    keys,
    profiles,
    store,
)
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority, _issuing, _rotation
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.killing import killed
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._tls.tools import (
    PASSPHRASE,
    SETTINGS,
    openssl,
)

# The child does nothing but the few file operations of a step.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
NOW = datetime.now(UTC)
CLIENT = {"days": None, "hours": None, "key_type": None, "subject": None, "directory": None}
# The phases of a planned replacement, in their order.
PLANNED = ("start", "clients", "retire", "finish")
STATES = ("none", "hosts", "clients", "retired")


def directory(pki: Path) -> _rotation.Directory:
    return _rotation.Directory(str(pki), PASSPHRASE, None, SETTINGS)


def carry_out(pki: Path, phase: str, now: datetime = NOW, *, check_mode: bool = False) -> tuple[str, str]:
    """Carry out a phase; return the states before and after."""
    before, after = _rotation.carry_out(directory(pki), phase, now, check_mode)
    return before.state, after.state


def state(pki: Path) -> str:
    return _rotation.read(str(pki), PASSPHRASE).state


def ensure_clients(pki: Path, *names: str, now: datetime = NOW, days: int = 90) -> list[dict[str, Any]]:
    """Make sure of the CA and the clients, as each run of the role does; return the clients' results."""
    options: dict[str, Any] = {
        "path": str(pki), "passphrase": PASSPHRASE, "ledger_dir": None, "ca_key": None, "common_name": "CA",
        "days": 3650, "key_type": "ecdsa_p256", "client_days": days, "renew_before_days": 30,
        "clients": [{**CLIENT, "name": name} for name in names],
    }  # fmt: skip
    return _issuing.ensure_authority(options, now, check_mode=False).clients


def issue_server(pki: Path, name: str, *more: str, now: datetime = NOW, days: int = 90) -> Path:
    """Issue a certificate for a host, as the role does; return its file in the ledger."""
    signer = _authority.open_authority(str(pki), PASSPHRASE, now).signs_for("server")
    wanted = profiles.profile("server", name, (name, *more), "ecdsa_p256")
    key = keys.generate("ecdsa_p256").public_key()
    issued = _authority.issue(signer, key, wanted, timedelta(days=days), now)
    return pki / f"issued/{certificates.serial(issued)}.pem"


def accepts(trusted: Path, certificate: Path) -> bool:
    """Return whether openssl accepts the certificate by the CAs in the file."""
    return openssl("verify", "-x509_strict", "-CAfile", trusted, certificate, check=False).endswith(": OK\n")


def contents(path: Path) -> dict[str, bytes]:
    return {str(one.relative_to(path)): one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()}


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    """Give a CA with the client admin and the host web1."""
    ensure_clients(tmp_path / "pki", "admin")
    issue_server(tmp_path / "pki", "web1")
    return tmp_path / "pki"


def test_a_planned_replacement_from_beginning_to_end(pki: Path, tmp_path: Path) -> None:
    """At each moment, hosts accept the clients and clients accept the hosts, whichever of them was changed already."""
    admin = pki / "clients/admin"
    old_ca, old_client, old_server = (tmp_path / f"old-{one}.pem" for one in ("ca", "client", "server"))
    shutil.copy(pki / "ca.pem", old_ca)
    shutil.copy(admin / "cert.pem", old_client)
    shutil.copy(issue_server(pki, "web1"), old_server)

    assert carry_out(pki, "start") == ("none", "hosts")
    (client,) = ensure_clients(pki, "admin")
    assert (client["changed"], client["issued"]) == (True, False)
    moved = issue_server(pki, "web1")
    assert (accepts(old_ca, old_client), accepts(old_ca, moved)) == (True, False)
    assert accepts(old_ca, admin / "cert.pem")
    for trusted in (pki / "ca.pem", admin / "ca.pem"):
        assert [accepts(trusted, one) for one in (old_client, old_server, moved, admin / "cert.pem")] == [True] * 4

    assert carry_out(pki, "clients") == ("hosts", "clients")
    (client,) = ensure_clients(pki, "admin")
    assert client["reasons"][0].startswith("it was issued by another authority")
    assert not accepts(old_ca, admin / "cert.pem")
    for trusted in (pki / "ca.pem", admin / "ca.pem"):
        assert [accepts(trusted, one) for one in (old_client, old_server, moved, admin / "cert.pem")] == [True] * 4

    assert carry_out(pki, "retire") == ("clients", "retired")
    ensure_clients(pki, "admin")
    for trusted in (pki / "ca.pem", admin / "ca.pem"):
        assert [accepts(trusted, one) for one in (old_client, old_server, moved, admin / "cert.pem")] == [
            False, False, True, True,
        ]  # fmt: skip
    (kept,) = _rotation.retired(str(pki))
    assert certificates.to_pem([kept]) == old_ca.read_text()

    assert carry_out(pki, "finish") == ("retired", "none")
    assert {one.name for one in pki.glob("*.pem")} == {"ca.pem", "ca-key.pem"}
    assert not ensure_clients(pki, "admin")[0]["changed"]


def test_the_two_have_different_subjects_and_all_keys_are_protected(pki: Path) -> None:
    carry_out(pki, "start")
    first, second = certificates.load_bundle((pki / "ca.pem").read_bytes(), "ca.pem")
    assert first.subject != second.subject
    assert certificates.common_name(first) == "CA"
    assert certificates.common_name(second) == SETTINGS.common_name
    carry_out(pki, "now")
    issue_server(pki, "web1")
    carry_out(pki, "finish")
    carry_out(pki, "start")
    for name in ("ca-key.pem", "ca-key.next.pem"):
        assert stat.S_IMODE((pki / name).stat().st_mode) == 0o600
        assert (pki / name).read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")


def test_each_phase_is_done_once_and_check_mode_changes_nothing(pki: Path) -> None:
    for number, phase in enumerate(PLANNED):
        if phase == "clients":
            issue_server(pki, "web1")
        if phase == "retire":
            ensure_clients(pki, "admin")
        before = contents(pki)
        expected = STATES[number], (*STATES, "none")[number + 1]
        assert carry_out(pki, phase, check_mode=True) == expected
        assert contents(pki) == before
        assert carry_out(pki, phase) == expected
        after = contents(pki)
        if phase != "finish":
            assert carry_out(pki, "start") == (expected[1], expected[1])
        assert carry_out(pki, phase) == (expected[1], expected[1])
        assert contents(pki) == after


def at_state(pki: Path, wanted: str) -> None:
    """Bring a CA to a state, with nobody left behind."""
    if wanted != "none":
        carry_out(pki, "start")
        issue_server(pki, "web1")
    if wanted in ("clients", "retired"):
        carry_out(pki, "clients")
        ensure_clients(pki, "admin")
    if wanted == "retired":
        carry_out(pki, "retire")
        ensure_clients(pki, "admin")
    assert state(pki) == wanted


@pytest.mark.parametrize(
    ("phase", "begin", "end"),
    [
        ("start", "none", "hosts"),
        ("clients", "hosts", "clients"),
        ("retire", "clients", "retired"),
        ("finish", "retired", "none"),
        ("now", "none", "retired"),
        ("now", "hosts", "retired"),
        ("now", "clients", "retired"),
    ],
)
def test_a_run_that_is_killed_between_two_operations_is_finished_by_the_next(
    pki: Path, tmp_path: Path, phase: str, begin: str, end: str
) -> None:
    at_state(pki, begin)
    template = tmp_path / "template"
    pki.rename(template)
    kills = 0
    while True:
        shutil.copytree(template, pki)
        if not killed(lambda: carry_out(pki, phase), kills):
            break
        kills += 1
        waiting = pki / "ca-key.next.pem"
        made = waiting.read_bytes() if waiting.exists() else None
        # Whatever is there is a state of its own: runs of the role go on, and whoever was let in still is, unless
        # nobody is meant to be by the old CA any more.
        assert state(pki) in STATES
        (client,) = ensure_clients(pki, "admin")
        for certificate in (pki / "clients/admin/cert.pem", issue_server(pki, "web1")):
            assert accepts(pki / "ca.pem", certificate)
            assert accepts(pki / "clients/admin/ca.pem", certificate)
        if phase != "now":
            for certificate in (template / "clients/admin/cert.pem", *(template / "issued").iterdir()):
                assert accepts(pki / "ca.pem", certificate) or begin == "retired" or state(pki) == "retired"
        carry_out(pki, phase)
        assert state(pki) == end
        names = [name for name in ("ca-key.next.pem", "ca-key.pem") if (pki / name).exists()]
        assert made is None or made in [(pki / name).read_bytes() for name in names]
        assert not list(pki.rglob("*.tmp"))
        shutil.rmtree(pki)
    assert state(pki) == end
    # One for each file that is written or removed, and one for the lock.
    assert kills >= 2


@pytest.mark.parametrize("begin", ["none", "hosts", "clients"])
def test_a_stolen_key_is_dropped_at_once_whoever_still_needs_it(pki: Path, begin: str) -> None:
    old = Path(shutil.copy(pki / "clients/admin/cert.pem", pki.parent / "old.pem"))
    at_state(pki, begin)
    assert accepts(pki / "ca.pem", old)
    issue_server(pki, "asleep")
    ensure_clients(pki, "admin", "forgotten")
    assert carry_out(pki, "now") == (begin, "retired")
    ensure_clients(pki, "admin")
    assert len(certificates.load_bundle((pki / "ca.pem").read_bytes(), "ca.pem")) == 1
    assert not accepts(pki / "ca.pem", old)
    assert accepts(pki / "ca.pem", pki / "clients/admin/cert.pem")
    assert carry_out(pki, "now") == ("retired", "retired")


def test_a_ca_that_has_expired_is_replaced_at_once(tmp_path: Path) -> None:
    pki = tmp_path / "pki"
    ago = NOW - timedelta(days=400)
    spec = _authority.AuthoritySpec("CA", 365, "ecdsa_p256")
    _authority.ensure(str(pki), PASSPHRASE, spec, ago, check_mode=False)
    with pytest.raises(errors.TlsError, match=r"the CA is expired since .*phase=now"):
        carry_out(pki, "start")
    assert not (pki / "ca-key.next.pem").exists()
    states = _rotation.carry_out(directory(pki), "now", NOW, check_mode=True)
    foreseen = _rotation.foresee(directory(pki), *states, NOW)
    assert foreseen
    assert foreseen.known is None
    assert certificates.not_after(foreseen.authority.certificate) > NOW
    assert carry_out(pki, "now") == ("none", "retired")
    ensure_clients(pki, "admin")
    assert accepts(pki / "clients/admin/ca.pem", pki / "clients/admin/cert.pem")
    assert _rotation.old_authority(str(pki), PASSPHRASE, NOW) is None


def test_clients_wait_for_each_host_of_the_ledger(pki: Path) -> None:
    asleep = issue_server(pki, "asleep.example.com", days=60)
    issue_server(pki, "over.example.com", days=1)
    issue_server(pki, "renamed.example.com")
    carry_out(pki, "start")
    for names in (("web1",), ("new.example.com", "renamed.example.com")):
        issue_server(pki, *names)
    before, later = contents(pki), NOW + timedelta(days=2)
    with pytest.raises(errors.TlsError) as refused:
        carry_out(pki, "clients", later)
    end = certificates.iso(NOW + timedelta(days=60))
    assert f": server asleep.example.com (until {end}, {asleep})." in str(refused.value)
    assert "renamed" not in str(refused.value)
    assert contents(pki) == before
    asleep.unlink()
    assert carry_out(pki, "clients", later) == ("hosts", "clients")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_host_that_is_called_localhost_is_waited_for_like_any_other(pki: Path, name: str) -> None:
    """Every server has these names, so that one which has been moved says nothing of it."""
    issue_server(pki, name, "localhost", "127.0.0.1")
    carry_out(pki, "start")
    issue_server(pki, "web1", "localhost", "127.0.0.1")
    with pytest.raises(errors.TlsError, match=f"too early for clients, as these .*: server {name} "):
        carry_out(pki, "clients")
    issue_server(pki, name, "localhost", "127.0.0.1")
    assert carry_out(pki, "clients") == ("hosts", "clients")


def test_retiring_waits_for_each_client_and_names_it(pki: Path) -> None:
    ensure_clients(pki, "alice", days=50)
    carry_out(pki, "start")
    issue_server(pki, "web1")
    carry_out(pki, "clients")
    ensure_clients(pki, "admin")
    with pytest.raises(errors.TlsError, match=r": client alice \(until [-0-9TZ:]*, .*/issued/[0-9A-F]*\.pem\)\."):
        carry_out(pki, "retire")
    assert state(pki) == "clients"
    shutil.copytree(pki, pki.parent / "later")
    assert carry_out(pki.parent / "later", "retire", NOW + timedelta(days=51)) == ("clients", "retired")
    ensure_clients(pki, "alice")
    assert carry_out(pki, "retire") == ("clients", "retired")


def test_holders_of_one_name_are_told_apart_by_their_keys(pki: Path) -> None:
    """Several machines may each have made a key for one name, of which one is moved here."""
    ensure_clients(pki, "prometheus")
    shutil.rmtree(pki / "clients/prometheus")
    ensure_clients(pki, "prometheus")
    carry_out(pki, "start")
    issue_server(pki, "web1")
    carry_out(pki, "clients")
    ensure_clients(pki, "admin", "prometheus")
    with pytest.raises(errors.TlsError, match=r": client prometheus \(until [^;]*\)\.") as refused:
        carry_out(pki, "retire")
    (file,) = re.findall(r"\S*/issued/[0-9A-F]*\.pem", str(refused.value))
    Path(file).unlink()
    assert carry_out(pki, "retire") == ("clients", "retired")


def test_a_client_that_nobody_lists_any_more_comes_to_trust_both(pki: Path) -> None:
    """Such as one for a working day: hosts are moved while it works."""
    ensure_clients(pki, "alice")
    ensure_clients(pki, "ended", days=31)
    later = NOW + timedelta(days=32)
    ended = contents(pki / "clients/ended")

    def trusts(certificate: Path) -> bool:
        words = ("verify", "-x509_strict", "-no_check_time", "-CAfile", pki / "clients/alice/ca.pem", certificate)
        return openssl(*words, check=False).endswith(": OK\n")

    old_server = issue_server(pki, "web1", now=later)
    carry_out(pki, "start", later)
    server = issue_server(pki, "web1", now=later)
    assert (trusts(old_server), trusts(server)) == (True, False)
    ensure_clients(pki, "admin", now=later)
    assert (trusts(old_server), trusts(server)) == (True, True)
    assert contents(pki / "clients/ended") == ended
    kept = contents(pki)
    ensure_clients(pki, "admin", now=later)
    carry_out(pki, "clients", later)
    ensure_clients(pki, now=later)
    assert contents(pki / "clients/alice") == {
        name.rpartition("/")[2]: text for name, text in kept.items() if "/alice/" in name
    }


def test_all_of_several_runs_at_once_carry_out_the_phase(pki: Path) -> None:
    """As the forks of a play do, one for each host: one does the steps, and no other meets them half done."""
    runs = """
import sys
from datetime import UTC, datetime
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority, _rotation
spec = _authority.AuthoritySpec("CA", 365, "ecdsa_p256")
directory = _rotation.Directory(sys.argv[1], sys.argv[2], None, spec)
sys.stdin.readline()
_before, after = _rotation.carry_out(directory, "now", datetime.now(UTC), False)
print(after.state)
"""
    words = [sys.executable, "-c", runs, str(pki), PASSPHRASE]
    started = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _run in range(8)]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate()[0].strip() for process in started] == ["retired"] * 8


def test_a_host_that_was_moved_is_never_put_back_by_a_run_that_reads_during_a_step(
    pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step puts the new CA's key in the place of the old one while the run reads one file after the other."""
    carry_out(pki, "start")
    issue_server(pki, "web1")
    new = _rotation.read(str(pki), PASSPHRASE).new

    def step_first(path: str) -> bytes | None:
        if path.endswith("ca-key.next.pem"):
            monkeypatch.undo()
            carry_out(pki, "clients")
        return read_file(path)

    monkeypatch.setattr(_authority, "read_file", step_first)
    signer = _authority.open_authority(str(pki), PASSPHRASE, NOW).signs_for("server")
    assert state(pki) == "clients"
    assert signer.certificate == new


def test_a_run_that_waited_while_a_stolen_key_was_dropped_issues_by_the_new_one(
    pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store.lock

    def drop_first(path: str) -> AbstractContextManager[None]:
        monkeypatch.undo()
        carry_out(pki, "now")
        return real(path)

    monkeypatch.setattr(store, "lock", drop_first)
    (client,) = ensure_clients(pki, "bob")
    assert (state(pki), client["issued"]) == ("retired", True)
    assert accepts(pki / "ca.pem", pki / "clients/bob/cert.pem")
    assert (pki / "clients/bob/ca.pem").read_bytes() == (pki / "ca.pem").read_bytes()


def test_the_old_key_stays_until_each_host_of_the_ledger_was_moved(pki: Path) -> None:
    ensure_clients(pki, "forgotten")
    carry_out(pki, "now")
    with pytest.raises(errors.TlsError, match=r"too early for finish, as these .*: server web1 \(until [^;]*\)\."):
        carry_out(pki, "finish")
    issue_server(pki, "web1")
    assert carry_out(pki, "finish") == ("retired", "none")


@pytest.mark.parametrize(
    ("begin", "phase", "says"),
    [
        ("none", "clients", "no CA is being replaced here"),
        ("none", "retire", "no CA is being replaced here"),
        ("none", "finish", "no CA is being replaced here"),
        ("hosts", "retire", "the hosts are still being moved"),
        ("hosts", "finish", "the hosts are still being moved"),
        ("clients", "finish", "the clients are still being moved"),
    ],
)
def test_no_phase_is_left_out(pki: Path, begin: str, phase: str, says: str) -> None:
    at_state(pki, begin)
    before = contents(pki)
    with pytest.raises(errors.TlsError, match=says):
        carry_out(pki, phase)
    assert contents(pki) == before


def test_what_cannot_be_begun_changes_nothing(pki: Path, tmp_path: Path) -> None:
    before = contents(pki)
    wrong = _rotation.Directory(str(pki), "wrong", None, SETTINGS)
    with pytest.raises(errors.TlsError, match="the passphrase does not open this key"):
        _rotation.carry_out(wrong, "now", NOW, False)
    endless = _rotation.Directory(str(pki), PASSPHRASE, None, _authority.AuthoritySpec("CA", 0, "ecdsa_p256"))
    with pytest.raises(errors.TlsError, match="days: 0"):
        _rotation.carry_out(endless, "start", NOW, False)
    assert contents(pki) == before
    with pytest.raises(errors.TlsError, match="there is no CA"):
        carry_out(tmp_path / "nowhere", "start")
    assert not (tmp_path / "nowhere").exists()


def test_a_client_that_has_a_certificate_of_the_new_one_is_never_put_back(pki: Path) -> None:
    """As when the directory is restored from a backup, except for the clients."""
    at_state(pki, "hosts")
    shutil.copytree(pki, pki.parent / "backup")
    carry_out(pki, "clients")
    ensure_clients(pki, "admin")
    cert = (pki / "clients/admin/cert.pem").read_bytes()
    shutil.rmtree(pki.parent / "backup/clients")
    shutil.copytree(pki / "clients", pki.parent / "backup/clients")
    restored = pki.parent / "backup"
    assert state(restored) == "hosts"
    (client,) = ensure_clients(restored, "admin")
    assert (client["issued"], (restored / "clients/admin/cert.pem").read_bytes()) == (False, cert)
    assert not ensure_clients(restored, "admin")[0]["changed"]


def test_the_old_ca_issues_clients_that_must_be_refused_while_its_key_is_left(pki: Path, tmp_path: Path) -> None:
    old_ca = Path(shutil.copy(pki / "ca.pem", tmp_path / "old.pem"))
    for begin in ("none", "hosts", "clients"):
        shutil.copytree(pki, tmp_path / begin)
        at_state(tmp_path / begin, begin)
        assert _rotation.old_authority(str(tmp_path / begin), PASSPHRASE, NOW) is None
    at_state(pki, "retired")
    old = _rotation.old_authority(str(pki), PASSPHRASE, NOW)
    assert old is not None
    (tmp_path / "client.pem").write_bytes(_authority.ephemeral_client(old, datetime.now(UTC))[0])
    assert accepts(old_ca, tmp_path / "client.pem")
    assert not accepts(pki / "ca.pem", tmp_path / "client.pem")
    carry_out(pki, "finish")
    assert _rotation.old_authority(str(pki), PASSPHRASE, NOW) is None


def test_a_client_of_a_ca_that_was_dropped_is_not_told_of_as_let_in(pki: Path) -> None:
    assert len(list(_issuing.unnamed_clients(str(pki), [], NOW))) == 1
    carry_out(pki, "now")
    assert not list(_issuing.unnamed_clients(str(pki), [], NOW))
