# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's half over its life: first certificate, renewal, new keys, other authorities, and what goes wrong."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import FilesError, write_atomically
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import (
    certificates,
    deployment,
    keys,
    signing_request,
    store,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.errors import TlsError
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._tls.tools import (
    NOW,
    PROFILE,
    Machine,
    make_authority,
    openssl,
    sign,
)

DAYS = timedelta(days=1)
FILES = ["ca.pem", "server-cert.pem", "server-key.pem"]


def mode(path: Path) -> int:
    """Return the permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_first_certificate_then_nothing_to_do(machine: Machine) -> None:
    first, second = machine.issue()
    assert (first.changed, first.changes, first.issued) == (True, (), False)
    assert first.reasons == ["the key is missing", "the certificate is missing"]
    assert second.changed
    assert second.issued
    assert list(machine.files()) == FILES
    assert [mode(machine.directory / name) for name in FILES] == [0o444, 0o444, 0o400]
    assert certificates.matches_key(machine.certificate, machine.key)
    before = machine.files()
    again = machine.run()
    assert (again.changed, again.issued, again.reasons, again.csr, again.warnings) == (False, False, [], None, [])
    assert again.before == again.after
    assert machine.files() == before


def test_check_mode_says_the_same_and_writes_nothing(machine: Machine) -> None:
    foreseen = machine.run(check_mode=True)
    assert foreseen.changed
    assert foreseen.reasons == ["the key is missing", "the certificate is missing"]
    assert foreseen.csr is None
    assert not machine.directory.exists()
    machine.run()
    waiting = machine.files()
    assert list(waiting) == ["server-key.pem.new"]
    csr = machine.run(check_mode=True).csr
    assert csr is not None
    foreseen = machine.run(check_mode=True, certificate=sign(machine.authority, csr, PROFILE))
    assert foreseen.issued
    assert foreseen.changed
    assert machine.files() == waiting
    assert foreseen.after["access"] == {
        str(machine.directory / name): f"{bits} {os.geteuid()}:{os.getegid()}"
        for name, bits in zip(FILES, ("0444", "0444", "0400"), strict=True)
    }


def test_a_plan_changes_nothing_and_names_every_file(machine: Machine) -> None:
    first = deployment.plan(machine.spec, NOW)
    assert first.csr is not None
    assert first.new_key is not None
    assert not machine.directory.exists()
    deployment.write_waiting_key(first)
    waiting = machine.files()
    assert waiting == {"server-key.pem.new": first.new_key}
    spec = dataclasses.replace(machine.spec, certificate=sign(machine.authority, first.csr, PROFILE))
    second = deployment.plan(spec, NOW)
    assert machine.files() == waiting
    wanted = {str(machine.directory / name): bits for name, bits in zip(FILES, (0o444, 0o444, 0o400), strict=True)}
    assert {one.path: one.mode for one in second.changes} == wanted
    assert all(one.before is None for one in second.changes)
    assert second.changes[0].after == first.new_key
    assert second.leftovers == (str(machine.directory / "server-key.pem.new"),)
    assert "PRIVATE KEY" not in repr([second, *(one.shown for one in second.changes)])
    # Another program may carry the changes out together with its own, and remove the leftovers after that.
    for one in second.changes:
        assert one.after is not None
        write_atomically(one.path, one.after, mode=one.mode or 0)
    (machine.directory / "server-key.pem.new").unlink()
    again = deployment.plan(machine.spec, NOW)
    assert (again.changed, again.csr, again.changes, again.leftovers) == (False, None, (), ())


def test_a_mode_alone_is_a_change_that_keeps_the_bytes(machine: Machine) -> None:
    machine.issue()
    (machine.directory / "server-key.pem").chmod(0o640)
    (change,) = deployment.plan(machine.spec, NOW).changes
    assert change.before is not None
    assert (change.after, change.before.mode, change.mode) == (change.before.content, 0o640, 0o400)
    assert change.shown[0].startswith("0640 ")
    assert change.shown[0].splitlines()[1:] == change.shown[1].splitlines()[1:]


def test_two_runs_at_once_use_one_key_and_the_second_finds_nothing_due(machine: Machine) -> None:
    other = dataclasses.replace(machine)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        csrs = [one.result().csr for one in [pool.submit(run) for run in (machine.run, other.run) for turn in range(4)]]
    public = {keys.public_bytes(signing_request.public_key(csr or "", "ecdsa_p256", "x")) for csr in csrs}
    assert len(public) == 1
    certificate = [sign(machine.authority, csr or "", PROFILE) for csr in csrs[:2]]
    assert machine.run(certificate=certificate[0]).issued
    before = machine.files()
    late = machine.run(certificate=certificate[1])
    assert (late.changed, late.issued) == (False, False)
    assert machine.files() == before


def test_a_directory_that_another_run_keeps_is_an_error_in_time(machine: Machine) -> None:
    script = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(flush=True); time.sleep(60)"
    machine.directory.mkdir()
    path = machine.directory / ".remote_api.lock"
    with subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with (
            pytest.raises(TlsError, match="remote_api.lock: another run has been at work in this directory for 0.2 s"),
            store.lock(str(machine.directory), 0.2),
        ):
            pass
        holder.kill()
    # The system lifts the lock of a run that was killed.
    with store.lock(str(machine.directory), 0.2):
        assert path.exists()
    assert not path.exists()


def test_the_diff_shows_both_sides_and_no_key(machine: Machine) -> None:
    first, second = machine.issue()
    assert first.before == first.after
    assert second.before["names"] == []
    assert second.after["names"] == list(PROFILE.names)
    assert second.after["key_type"] == "ecdsa_p256"
    assert second.after["issuer"] == certificates.subject_of(machine.authority.certificate)
    assert "PRIVATE" not in repr((first, second)).replace("PrivateKey", "")


def test_a_new_key_is_private_from_its_first_byte_and_waits_beside(machine: Machine) -> None:
    old = os.umask(0)
    try:
        machine.run()
    finally:
        os.umask(old)
    assert list(machine.files()) == ["server-key.pem.new"]
    assert mode(machine.directory / "server-key.pem.new") == 0o600
    assert mode(machine.directory) == 0o755


def test_a_clients_directory_is_private(tmp_path: Path, authority: _authority.Authority) -> None:
    client = Machine.new(tmp_path / "clients/admin", authority)
    client.change(profile=dataclasses.replace(PROFILE, usage="client"))
    client.issue()
    assert mode(client.directory) == 0o700


def test_renewal_changes_one_file(machine: Machine) -> None:
    machine.issue()
    before = machine.files()
    first, second = machine.issue(after=340 * DAYS)
    assert not first.changed
    assert first.reasons == [f"it has less than 30 days left (it ends on {first.before['not_after']})"]
    assert second.issued
    after = machine.files()
    assert [name for name in after if after[name] != before[name]] == ["server-cert.pem"]
    assert list(after) == FILES


def test_at_half_life_it_is_renewed_along_with_a_restart(machine: Machine) -> None:
    machine.issue()
    assert not machine.run(after=190 * DAYS).reasons
    machine.change(at_half_life=True)
    assert not machine.run(after=180 * DAYS).reasons
    first, second = machine.issue(after=190 * DAYS)
    assert first.reasons == ["half of its validity period is over, and the daemon restarts anyway"]
    assert second.issued
    assert not machine.run(after=190 * DAYS).reasons


def test_asking_again_while_a_certificate_is_due_changes_nothing(machine: Machine) -> None:
    first, again = machine.run(), machine.run()
    assert (first.changed, again.changed) == (True, False)
    assert first.csr is not None
    assert again.csr is not None
    one, other = (signing_request.public_key(csr, "ecdsa_p256", "x") for csr in (first.csr, again.csr))
    assert keys.public_bytes(one) == keys.public_bytes(other)


@pytest.mark.parametrize("key_type", [one for one in keys.KEY_TYPES if one != "rsa_4096"])
def test_another_type_of_key_makes_a_new_one(machine: Machine, key_type: str) -> None:
    machine.issue()
    old = machine.files()
    machine.change(profile=dataclasses.replace(PROFILE, key_type=key_type))
    if key_type == "ecdsa_p256":
        assert machine.run().reasons == []
        return
    first = machine.run()
    assert first.reasons == [f"its key is of type ecdsa_p256, and not {key_type}"]
    # Until the certificate comes, a daemon finds the old pair.
    assert {name: content for name, content in machine.files().items() if name in FILES} == old
    machine.issue()
    assert keys.type_of(machine.key.public_key()) == key_type
    assert certificates.matches_key(machine.certificate, machine.key)
    assert list(machine.files()) == FILES
    assert not machine.run().changed


def test_rekey_makes_a_new_key_each_time(machine: Machine) -> None:
    machine.issue()
    machine.change(rekey=True)
    seen = {machine.files()["server-key.pem"]}
    for turn in range(2):
        first, second = machine.issue()
        assert first.reasons == ["a new key is asked for"]
        assert second.changed
        seen.add(machine.files()["server-key.pem"])
        assert len(seen) == turn + 2
        assert list(machine.files()) == FILES


@pytest.mark.parametrize(
    ("damage", "reasons"),
    [
        (lambda path: (path / "server-cert.pem").unlink(), ["the certificate is missing"]),
        (lambda path: (path / "server-cert.pem").write_bytes(b""), ["the certificate cannot be read as a certificate"]),
        (
            lambda path: (path / "server-cert.pem").write_bytes((path / "server-cert.pem").read_bytes()[:300]),
            ["the certificate cannot be read as a certificate"],
        ),
        (lambda path: (path / "server-key.pem").unlink(), ["the key is missing"]),
        (
            lambda path: (path / "server-key.pem").write_bytes(b"-----BEGIN PRIVATE KEY-----\n"),
            ["the key cannot be read as a private key"],
        ),
        (
            lambda path: openssl("ecparam", "-genkey", "-name", "prime256v1", "-out", path / "server-key.pem"),
            ["it does not fit its key"],
        ),
        (
            lambda path: openssl(
                "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes256", "-pass", "pass:x",
                "-out", path / "server-key.pem",
            ),
            ["the key is encrypted, and nobody could enter a passphrase"],
        ),
    ],
)  # fmt: skip
def test_what_is_broken_is_put_right(machine: Machine, damage: Callable[[Path], object], reasons: list[str]) -> None:
    machine.issue()
    (machine.directory / "server-key.pem").chmod(0o600)
    damage(machine.directory)
    first, second = machine.issue()
    assert first.reasons == reasons
    assert second.issued
    assert certificates.matches_key(machine.certificate, machine.key)
    assert list(machine.files()) == FILES
    assert not machine.run().changed


def test_a_key_in_another_form_is_kept(machine: Machine) -> None:
    machine.issue()
    file = machine.directory / "server-key.pem"
    openssl("ec", "-in", file, "-out", machine.directory / "sec1.pem")
    (machine.directory / "sec1.pem").replace(file)
    file.chmod(0o400)
    assert b"BEGIN EC PRIVATE KEY" in file.read_bytes()
    outcome = machine.run()
    assert (outcome.changed, outcome.reasons) == (False, [])


def test_another_authority_replaces_certificate_and_trust_but_not_the_key(machine: Machine, tmp_path: Path) -> None:
    machine.issue()
    before = machine.files()
    machine.authority = make_authority(tmp_path / "other")
    machine.change(ca_certificate=certificates.to_pem(machine.authority.bundle))
    first, _second = machine.issue()
    assert len(first.reasons) == 2
    assert first.reasons[0].startswith("it was issued by another authority (")
    after = machine.files()
    assert [name for name in after if after[name] != before[name]] == ["ca.pem", "server-cert.pem"]
    assert after["ca.pem"].decode() == certificates.to_pem([machine.authority.certificate])


def test_a_second_authority_is_trusted_without_a_new_certificate(machine: Machine, tmp_path: Path) -> None:
    machine.issue()
    before = machine.files()
    next_one = make_authority(tmp_path / "next")
    both = certificates.to_pem([machine.authority.certificate, next_one.certificate])
    machine.change(ca_certificate=both)
    foreseen, outcome = machine.run(check_mode=True), machine.run()
    assert foreseen.changed
    assert (outcome.changed, outcome.reasons, outcome.issued) == (True, [], False)
    assert machine.files() == {**before, "ca.pem": both.encode()}
    assert foreseen.after == outcome.after
    assert not machine.run().changed


@pytest.mark.parametrize("name", FILES)
def test_a_mode_that_drifted_is_set_right(machine: Machine, name: str) -> None:
    machine.issue()
    wanted = mode(machine.directory / name)
    (machine.directory / name).chmod(0o640)
    foreseen = machine.run(check_mode=True)
    assert foreseen.changed
    assert mode(machine.directory / name) == 0o640
    outcome = machine.run()
    assert (outcome.changed, outcome.issued) == (True, False)
    assert outcome.after == foreseen.after
    assert mode(machine.directory / name) == wanted
    assert not machine.run().changed


def test_a_key_that_everybody_could_read_is_worth_a_warning(machine: Machine) -> None:
    machine.issue()
    (machine.directory / "server-key.pem").chmod(0o644)
    assert "was readable by everybody" in machine.run().warnings[0]
    assert machine.run().warnings == []


def test_owner_and_group_are_set_and_kept(machine: Machine) -> None:
    # Only root can give files away; anybody else has to be content with their own.
    is_root = os.geteuid() == 0
    uid, gid = (65534, 12345) if is_root else (os.geteuid(), os.getegid())
    machine.change(access=store.access(str(uid), str(gid), "0600"))
    machine.issue()
    for name in FILES:
        found = (machine.directory / name).stat()
        assert (found.st_uid, found.st_gid) == (uid, gid)
    assert mode(machine.directory / "server-key.pem") == 0o600
    assert not machine.run().changed
    if is_root:
        os.chown(machine.directory / "ca.pem", 0, 0)
        assert machine.run(check_mode=True).changed
        assert machine.run().changed
    # Without a wish, a renewal leaves the owner as it is.
    machine.change(access=store.Access(None, None, 0o600, 0o644))
    machine.issue(after=340 * DAYS)
    assert (machine.directory / "server-cert.pem").stat().st_gid == gid


def test_owners_can_be_names() -> None:
    assert store.access("root", "root", "0400") == store.Access(0, 0, 0o400, 0o444)


def test_unknown_owners_are_refused() -> None:
    with pytest.raises(TlsError, match="owner: no-such-user: it does not exist on this machine"):
        store.access("no-such-user", None, "0400")
    with pytest.raises(TlsError, match="group: no-such-group: it does not exist on this machine"):
        store.access(None, "no-such-group", "0400")


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_when_one_file_cannot_be_replaced_all_are_as_before(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failing: int
) -> None:
    machine.issue()
    before = machine.files()
    machine.authority = make_authority(tmp_path / "other")
    machine.change(ca_certificate=certificates.to_pem(machine.authority.bundle), rekey=True)
    csr = machine.run().csr
    assert csr is not None
    certificate = sign(machine.authority, csr, PROFILE)
    real, calls = os.replace, list[str]()

    def refuse(source: str, target: str) -> None:
        """Rename as ever, but refuse to do so for one of the three files."""
        if source.endswith(".new"):
            calls.append(target)
            if len(calls) == failing + 1:
                raise PermissionError(1, "Operation not permitted")
        real(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(TlsError, match="Operation not permitted.*every file is as it was before"):
        machine.run(certificate=certificate)
    monkeypatch.undo()
    assert len(calls) == failing + 1
    assert {name: content for name, content in machine.files().items() if name in FILES} == before
    assert not [name for name in machine.files() if name.endswith(".old")]
    machine.issue()
    assert list(machine.files()) == FILES
    assert certificates.matches_key(machine.certificate, machine.key)


def test_a_full_disk_shows_before_anything_is_replaced(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.issue()
    machine.change(rekey=True)
    csr = machine.run().csr
    assert csr is not None
    before = machine.files()
    certificate = sign(machine.authority, csr, PROFILE)

    def full(_descriptor: int) -> None:
        """Refuse to bring bytes to the disk."""
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FilesError, match="No space left on device"):
        machine.run(certificate=certificate)
    monkeypatch.undo()
    assert machine.files() == before


@pytest.mark.parametrize("renamed", [0, 1, 2, 3])
def test_a_run_that_was_killed_is_finished_by_the_next(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, renamed: int
) -> None:
    machine.issue()
    machine.authority = make_authority(tmp_path / "other")
    machine.change(ca_certificate=certificates.to_pem(machine.authority.bundle), rekey=True)
    csr = machine.run().csr
    assert csr is not None
    certificate = sign(machine.authority, csr, PROFILE)
    real, done = os.replace, list[str]()

    class Killed(BaseException):
        """Nothing can be done any more."""

    def die(source: str, target: str) -> None:
        """Rename so many files, then die."""
        if source.endswith(".new"):
            if len(done) == renamed:
                raise Killed
            done.append(target)
        real(source, target)

    monkeypatch.setattr(os, "replace", die)
    monkeypatch.setattr(store, "_forget_old", lambda *_: die(".new", ""))
    with pytest.raises(Killed):
        machine.run(certificate=certificate)
    monkeypatch.undo()
    assert len(done) == renamed
    assert [name for name in machine.files() if name.endswith((".old", ".new"))]

    machine.change(rekey=False)
    outcome = machine.run()
    if outcome.reasons:
        machine.issue()
    else:
        assert renamed >= 2
        assert outcome.changed
    assert list(machine.files()) == FILES
    assert certificates.matches_key(machine.certificate, machine.key)
    assert certificates.is_issued_by(machine.certificate, machine.authority.certificate)
    assert not machine.run().changed


def test_what_a_killed_run_had_not_finished_is_removed(machine: Machine) -> None:
    machine.issue()
    unfinished = machine.directory / ".server-key.pem.new.ab12cd34.tmp"
    foreign = machine.directory / ".server-key.pem.kept"
    for file in (unfinished, foreign):
        file.write_text("x", encoding="utf-8")
    assert machine.run(check_mode=True).changed
    assert unfinished.exists()
    assert machine.run().changed
    assert not unfinished.exists()
    assert foreign.exists()
    assert not machine.run().changed


def test_a_waiting_key_that_others_could_read_is_not_used(machine: Machine) -> None:
    machine.run()
    waiting = machine.directory / "server-key.pem.new"
    before = waiting.read_bytes()
    waiting.chmod(0o640)
    assert machine.run().changed
    assert waiting.read_bytes() != before
    assert mode(waiting) == 0o600


def test_a_link_in_the_waiting_keys_place_is_not_followed(machine: Machine, tmp_path: Path) -> None:
    machine.directory.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("precious", encoding="utf-8")
    (machine.directory / "server-key.pem.new").symlink_to(victim)
    (machine.directory / "server-cert.pem.new").symlink_to(victim)
    machine.issue()
    assert victim.read_text(encoding="utf-8") == "precious"
    assert list(machine.files()) == FILES


def test_links_stay_and_what_they_point_to_is_replaced(machine: Machine, tmp_path: Path) -> None:
    machine.directory.mkdir()
    elsewhere = tmp_path / "elsewhere"
    for name in FILES:
        (machine.directory / name).symlink_to(elsewhere / name)
    machine.issue()
    assert sorted(one.name for one in elsewhere.iterdir()) == FILES
    assert all((machine.directory / name).is_symlink() for name in FILES)
    assert not machine.run().changed


def test_root_follows_no_link_that_a_user_made(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.directory.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("precious", encoding="utf-8")
    link = machine.directory / FILES[-1]
    link.symlink_to(victim)
    if os.geteuid() == 0:
        os.lchown(link, 1234, 1234)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(TlsError, match=f"{link}: this is a link that a user made"):
        machine.run()
    assert victim.read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: path.write_text("x"), "docker: this is a file, and a directory is needed there"),
        (lambda path: (path / "server-key.pem").mkdir(parents=True), "server-key.pem: this is a directory"),
        (lambda path: (path / "ca.pem").mkdir(parents=True), "ca.pem: this is a directory"),
    ],
)
def test_places_where_nothing_can_be_kept_are_refused(
    machine: Machine, prepare: Callable[[Path], object], message: str
) -> None:
    prepare(machine.directory)
    for check_mode in (True, False):
        with pytest.raises(TlsError, match=message):
            machine.run(check_mode=check_mode)


def test_three_files_need_three_places(machine: Machine) -> None:
    paths = machine.spec.paths
    machine.change(paths=store.CertificatePaths(paths.key, paths.key, paths.ca_certificate))
    with pytest.raises(TlsError, match="different places"):
        machine.run()


def test_a_wrong_clock_is_an_error_and_not_a_reason(machine: Machine) -> None:
    machine.issue()
    before = machine.files()
    for years in (-56, 20):
        with pytest.raises(TlsError, match="clock: "):
            machine.run(after=years * 365 * DAYS)
    assert machine.files() == before


def test_what_is_issued_is_refused_by_a_machine_for_which_it_is_expired(machine: Machine) -> None:
    machine.issue()
    first = machine.run(after=400 * DAYS)
    assert first.reasons[0].startswith("it is expired")
    assert first.csr is not None
    before = machine.files()
    with pytest.raises(TlsError, match="certificate: it is not installed, for it is expired since"):
        machine.run(certificate=sign(machine.authority, first.csr, PROFILE), after=400 * DAYS)
    assert machine.files() == before


def test_near_the_authoritys_end_there_is_a_warning_and_no_endless_renewal(tmp_path: Path) -> None:
    short = make_authority(tmp_path / "short", _authority.AuthoritySpec("Short", 20, "ecdsa_p256"))
    machine = Machine.new(tmp_path / "docker", short)
    _first, second = machine.issue()
    assert certificates.not_after(machine.certificate) == certificates.not_after(short.certificate)
    again = machine.run()
    assert (again.changed, again.reasons) == (False, [])
    assert second.warnings == again.warnings
    assert "Replace the CA" in again.warnings[0]


class TestAuthorityElsewhere:
    """A company's own authority signs: the request goes out, and the certificate comes in."""

    @pytest.fixture(autouse=True)
    def company(self, tmp_path: Path, machine: Machine) -> None:
        """Make the company's authority with openssl, and tell the machine of it."""
        self.path, self.machine = tmp_path, machine
        openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=Company/CN=Root", "-days", "400",
            "-keyout", tmp_path / "root.key", "-out", tmp_path / "root.pem",
        )  # fmt: skip
        machine.change(exact=False, ca_certificate=(tmp_path / "root.pem").read_text(encoding="utf-8"))

    def signed(self, csr: str | None, *, days: int = 90, extensions: str = "") -> str:
        """Return the certificate that openssl signs for the request; by default with the extensions asked for."""
        assert csr is not None
        (self.path / "r.pem").write_text(csr, encoding="ascii")
        (self.path / "ext.cnf").write_text(extensions, encoding="utf-8")
        choice = ["-extfile", self.path / "ext.cnf"] if extensions else ["-copy_extensions", "copy"]
        openssl(
            "x509", "-req", "-in", self.path / "r.pem", "-CA", self.path / "root.pem", "-CAkey",
            self.path / "root.key", "-CAcreateserial", "-days", str(days), *choice, "-out", self.path / "c.pem",
        )  # fmt: skip
        return (self.path / "c.pem").read_text(encoding="ascii")

    def test_the_request_says_all_that_is_wanted(self) -> None:
        csr = self.machine.run().csr
        text = openssl("req", "-noout", "-text", "-nameopt", "RFC2253", "-verify", stdin=csr)
        assert "verify OK" in text
        assert "Subject: CN=web1.example.com" in text
        assert "DNS:web1.example.com, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1" in text
        assert "TLS Web Server Authentication" in text

    def test_request_out_and_certificate_in(self) -> None:
        first = self.machine.run()
        assert first.changed
        certificate = self.signed(first.csr)
        second = self.machine.run(certificate=certificate)
        assert second.issued
        assert list(self.machine.files()) == FILES
        again = self.machine.run(certificate=certificate)
        assert (again.changed, again.issued, again.csr) == (False, False, None)
        assert openssl(
            "verify", "-CAfile", self.machine.directory / "ca.pem", self.machine.directory / "server-cert.pem"
        )
        # Without the certificate at hand, what is there is just looked at.
        assert self.machine.run().reasons == []

    def test_when_it_nears_its_end_the_next_request_comes_along(self) -> None:
        certificate = self.signed(self.machine.run().csr)
        self.machine.run(certificate=certificate)
        later = self.machine.run(certificate=certificate, after=70 * DAYS)
        assert (later.changed, later.issued) == (False, False)
        assert later.reasons[0].startswith("it has less than 30 days left")
        renewed = self.machine.run(certificate=self.signed(later.csr, days=200), after=70 * DAYS)
        assert renewed.issued
        assert list(self.machine.files()) == FILES

    def test_a_new_key_waits_for_its_certificate_however_long_it_takes(self) -> None:
        certificate = self.signed(self.machine.run().csr)
        self.machine.run(certificate=certificate)
        before = self.machine.files()
        self.machine.change(rekey=True)
        csr = self.machine.run().csr
        self.machine.change(rekey=False)
        assert not self.machine.run(certificate=certificate).changed
        assert self.machine.run(certificate=self.signed(csr)).issued
        assert list(self.machine.files()) == FILES
        assert self.machine.files()["server-key.pem"] != before["server-key.pem"]

    def test_trust_that_is_there_already_is_used_and_left_alone(self) -> None:
        self.machine.run(certificate=self.signed(self.machine.run().csr))
        self.machine.change(ca_certificate=None)
        before = self.machine.files()
        assert not self.machine.run().changed
        assert self.machine.files() == before

    def test_without_any_trust_nothing_is_installed(self) -> None:
        self.machine.change(ca_certificate=None)
        certificate = self.signed(self.machine.run().csr)
        with pytest.raises(TlsError, match="ca_certificate: it is not given, and there is no .*/ca.pem either"):
            self.machine.run(certificate=certificate)

    @pytest.mark.parametrize(
        ("extensions", "message"),
        [
            ("subjectAltName = DNS:web1.example.com", "for it lacks the names 192.0.2.1, 2001:db8::1"),
            (
                "subjectAltName = DNS:web1.example.com, IP:192.0.2.1, IP:2001:db8::1\nextendedKeyUsage = clientAuth",
                "for it is for use as client",
            ),
            ("basicConstraints = CA:TRUE", "it is an authority's"),
        ],
    )
    def test_an_unfit_certificate_is_refused(self, extensions: str, message: str) -> None:
        certificate = self.signed(self.machine.run().csr, extensions=extensions)
        before = self.machine.files()
        with pytest.raises(TlsError, match=message):
            self.machine.run(certificate=certificate)
        assert self.machine.files() == before

    def test_a_certificate_for_another_key_is_refused(self) -> None:
        certificate = self.signed(self.machine.run().csr)
        (self.machine.directory / "server-key.pem.new").unlink()
        self.machine.run()
        with pytest.raises(TlsError, match="fits neither the private key on this machine nor the one that waits"):
            self.machine.run(certificate=certificate)

    def test_a_certificate_of_another_authority_is_refused(self, tmp_path: Path) -> None:
        csr = self.machine.run().csr
        assert csr is not None
        other = make_authority(tmp_path / "stranger")
        with pytest.raises(TlsError, match="it was issued by another authority"):
            self.machine.run(certificate=sign(other, csr, PROFILE))

    @pytest.mark.parametrize(
        "certificate", ["", "hello", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"]
    )
    def test_what_is_no_certificate_is_refused(self, certificate: str) -> None:
        self.machine.run()
        with pytest.raises(TlsError, match="certificate"):
            self.machine.run(certificate=certificate)
