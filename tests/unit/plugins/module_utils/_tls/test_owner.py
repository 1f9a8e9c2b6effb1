# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root keeps a certificate for another user, who tries to have something else changed instead."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils import _files, _users
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import deployment, store
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._tls.tools import Machine

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become somebody else")

USER, GROUP, STRANGE_GROUP = 65534, 65534, 12345
FILES = ["ca.pem", "server-cert.pem", "server-key.pem"]


@pytest.fixture
def world() -> Iterator[Path]:
    """Give a directory of root's that everybody may enter, unlike pytest's own."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def home(world: Path) -> Path:
    """Give the user's home directory."""
    (world / "home").mkdir()
    os.chown(world / "home", USER, GROUP)
    return world / "home"


@pytest.fixture
def victim(world: Path) -> Path:
    """Give a directory of root's with files that nobody else may read."""
    (world / "victim").mkdir(mode=0o700)
    for name in FILES:
        (world / "victim" / name).write_text("precious", encoding="ascii")
        (world / "victim" / name).chmod(0o600)
    return world / "victim"


def machine_in(directory: Path, authority: _authority.Authority, gid: int | None = None) -> Machine:
    """Return a machine whose files are to be the user's."""
    made = Machine.new(directory, authority)
    made.change(access=store.Access(USER, gid, 0o400, 0o444))
    return made


def look(path: Path) -> tuple[int, int, int]:
    """Return owner, group and mode of what is at the path itself."""
    found = path.lstat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def is_unharmed(victim: Path) -> bool:
    """Return whether nothing of root's was changed."""
    files = [(victim / name).read_text(encoding="ascii") for name in sorted(os.listdir(victim))]
    owners = {look(victim / name) for name in FILES}
    return files == ["precious"] * 3 and owners == {(0, 0, 0o600)} and look(victim) == (0, 0, 0o700)


def link(machine: Machine, victim: Path) -> None:
    """Put a link in the place of the key."""
    (machine.directory / "server-key.pem").unlink()
    (machine.directory / "server-key.pem").symlink_to(victim / "server-key.pem")


def hard_link(machine: Machine, victim: Path) -> None:
    """Put a second name of root's file in the place of the key, as users may where protected_hardlinks is off."""
    (machine.directory / "server-key.pem").unlink()
    os.link(victim / "server-key.pem", machine.directory / "server-key.pem")


def directory_link(machine: Machine, victim: Path) -> None:
    """Put a link in the place of the directory."""
    machine.directory.rename(machine.directory.parent / "aside")
    machine.directory.symlink_to(victim)


Swap = Callable[[Machine, Path], None]


@pytest.mark.parametrize("swap", [link, hard_link, directory_link])
def test_what_is_swapped_between_plan_and_change_does_no_harm(
    home: Path, victim: Path, authority: _authority.Authority, monkeypatch: pytest.MonkeyPatch, swap: Swap
) -> None:
    machine = machine_in(home / "tls", authority)
    machine.issue()
    (machine.directory / "server-key.pem").chmod(0o600)  # a mode to be put right
    apply = deployment.apply

    def swap_first(found: deployment.CertificatePlan) -> None:
        swap(machine, victim)
        apply(found)

    monkeypatch.setattr(deployment, "apply", swap_first)
    with pytest.raises(RemoteApiError):
        machine.run()
    assert is_unharmed(victim)


@pytest.mark.parametrize("swap", [link, hard_link])
def test_nor_does_it_in_a_directory_of_root_s(
    world: Path, victim: Path, authority: _authority.Authority, monkeypatch: pytest.MonkeyPatch, swap: Swap
) -> None:
    """Nobody but root can do that there; but nothing is changed by its path."""
    (world / "etc").mkdir()
    machine = machine_in(world / "etc", authority)
    machine.issue()
    (machine.directory / "server-key.pem").chmod(0o600)
    apply = deployment.apply

    def swap_first(found: deployment.CertificatePlan) -> None:
        swap(machine, victim)
        apply(found)

    monkeypatch.setattr(deployment, "apply", swap_first)
    with pytest.raises(RemoteApiError, match=r"server-key\.pem"):
        machine.run()
    assert is_unharmed(victim)


def test_a_directory_that_is_made_is_not_given_away_by_its_name(
    home: Path, victim: Path, authority: _authority.Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = _files.make_directories

    def link_first(path: str, mode: int) -> None:
        (home / "tls").symlink_to(victim)
        make(path, mode)

    monkeypatch.setattr(store, "make_directories", link_first)
    with pytest.raises(RemoteApiError):
        machine_in(home / "tls", authority).run()
    assert is_unharmed(victim)


def test_a_link_of_the_user_s_own_is_followed_with_the_user_s_rights(
    home: Path, victim: Path, authority: _authority.Authority
) -> None:
    (home / "own").mkdir()
    os.chown(home / "own", USER, GROUP)
    for name, target in (("tls", home / "own"), ("bad", victim)):
        (home / name).symlink_to(target)
        os.lchown(home / name, USER, GROUP)
    machine_in(home / "tls", authority).issue()
    assert sorted(os.listdir(home / "own")) == FILES
    with pytest.raises(RemoteApiError):
        machine_in(home / "bad", authority).run()
    assert is_unharmed(victim)


@pytest.mark.parametrize(("gid", "group"), [(None, GROUP), (STRANGE_GROUP, STRANGE_GROUP), (0, 0)])
def test_in_the_user_s_directory_all_is_the_user_s(
    home: Path, authority: _authority.Authority, gid: int | None, group: int
) -> None:
    """Also with a group that the user is not in."""
    machine = machine_in(home / "a/tls", authority, gid)
    machine.issue()
    assert {name: look(machine.directory / name) for name in os.listdir(machine.directory)} == {
        "ca.pem": (USER, group, 0o444),
        "server-cert.pem": (USER, group, 0o444),
        "server-key.pem": (USER, group, 0o400),
    }
    assert look(home / "a") == look(home / "a/tls") == (USER, group, 0o755)
    assert not machine.run().changed
    (machine.directory / "server-key.pem").chmod(0o600)
    assert machine.run().changed
    assert look(machine.directory / "server-key.pem") == (USER, group, 0o400)
    assert os.geteuid() == os.getegid() == 0


def test_a_file_that_root_left_there_becomes_the_user_s(home: Path, authority: _authority.Authority) -> None:
    machine = machine_in(home / "tls", authority)
    machine.issue()
    before = machine.files()
    os.chown(machine.directory / "ca.pem", 0, 0)
    assert machine.run(check_mode=True).changed
    assert machine.run().changed
    assert look(machine.directory / "ca.pem") == (USER, GROUP, 0o444)
    assert machine.files() == before
    assert not machine.run().changed


def test_in_root_s_directory_root_gives_the_files_away(world: Path, authority: _authority.Authority) -> None:
    (world / "etc").mkdir(mode=0o755)
    machine = machine_in(world / "etc", authority, STRANGE_GROUP)
    machine.issue()
    assert look(world / "etc") == (0, 0, 0o755)
    assert {look(world / "etc" / name)[:2] for name in FILES} == {(USER, STRANGE_GROUP)}
    assert not machine.run().changed


def test_directories_that_are_missing_there_become_the_user_s(world: Path, authority: _authority.Authority) -> None:
    machine = machine_in(world / "a/b/c", authority)
    machine.issue()
    assert {look(world / name)[0] for name in ("a", "a/b", "a/b/c", *(f"a/b/c/{name}" for name in FILES))} == {USER}
    assert look(world)[0] == 0
    assert not machine.run().changed
    machine.issue(after=machine.spec.renew_before * 12)
    assert sorted(os.listdir(machine.directory)) == FILES


def test_who_can_lead_root_elsewhere(world: Path, home: Path) -> None:
    places: list[tuple[str, int, int]] = [
        ("roots", 0, 0o755), ("roots/theirs", USER, 0o700), ("others", 4321, 0o755), ("grouped", 0, 0o775),
        ("sticky", 0, 0o1777), ("sticky/roots", 0, 0o755), ("closed", 0, 0o700), ("closed/theirs", USER, 0o755),
    ]  # fmt: skip
    for name, uid, bits in places:
        (world / name).mkdir()
        (world / name).chmod(bits)
        os.chown(world / name, uid, GROUP if name == "grouped" else 0)
    (home / "hop").symlink_to(world / "roots")
    for name, target in (("link", home), ("hops", home / "hop"), ("fine", world / "roots")):
        (world / name).symlink_to(target)
    found = {
        name
        for name in [
            *(place for place, _uid, _bits in places),
            "home",
            "home/new",
            "link",
            "hops",
            "fine",
            "sticky/new",
        ]
        if _users.may_redirect(str(world / name / "key.pem"), USER)
    }
    assert found == {
        "roots/theirs", "others", "grouped", "sticky", "home", "home/new", "link", "hops", "sticky/new",
    }  # fmt: skip
    assert not _users.may_redirect(str(home / "key.pem"), 0)
