# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole files or none: written in one step, with what was asked for, and nothing left beside them."""

from __future__ import annotations

import concurrent.futures
import errno
import os
import pathlib
import struct
import threading

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import (
    FilesError,
    make_directories,
    missing_directories,
    read_file,
    read_state,
    remove_file,
    remove_leftovers,
    write_atomically,
)

# Instead of a user or a group, in an entry that is for none.
NOBODY = 0xFFFFFFFF


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "folder/file"


def test_a_file_is_made_with_mode_owner_and_time(path: pathlib.Path) -> None:
    path.parent.mkdir()
    write_atomically(str(path), b"new", mode=0o604, uid=os.getuid(), gid=os.getgid(), mtime_ns=1_000_000_007)
    state = read_state(str(path))
    assert state is not None
    assert (state.content, state.mode, state.mtime_ns) == (b"new", 0o604, 1_000_000_007)
    assert os.listdir(path.parent) == ["file"]


def acl_for(user: int) -> bytes:
    """Return an ACL that lets one more user read (linux/posix_acl_xattr.h): owner rw, user r, group nothing, mask r."""
    entries = ((0x01, 6, NOBODY), (0x02, 4, user), (0x04, 0, NOBODY), (0x10, 4, NOBODY), (0x20, 0, NOBODY))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


@pytest.fixture
def attributes(path: pathlib.Path) -> dict[str, bytes]:
    """Give the file an ACL and an attribute, and return them."""
    path.parent.mkdir()
    path.write_bytes(b"old")
    found = {"system.posix_acl_access": acl_for(1234), "user.note": b"of the administrator"}
    try:
        for name, value in found.items():
            os.setxattr(path, name, value)
    except OSError as exc:
        pytest.skip(f"the file system has no such attributes: {exc}")
    return found


def test_a_file_that_is_replaced_keeps_its_acl_and_its_attributes(
    path: pathlib.Path, attributes: dict[str, bytes]
) -> None:
    assert path.stat().st_mode & 0o777 == 0o640
    write_atomically(str(path), b"new", mode=0o640)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o640)
    assert {name: os.getxattr(path, name) for name in attributes} == attributes


def test_a_stricter_mode_is_not_undone_by_an_acl(path: pathlib.Path, attributes: dict[str, bytes]) -> None:
    write_atomically(str(path), b"new", mode=0o400)
    assert path.stat().st_mode & 0o777 == 0o400, "the mask is empty, so that nobody else may read"
    write_atomically(str(path), b"old", mode=0o640)
    assert os.getxattr(path, "system.posix_acl_access") == attributes["system.posix_acl_access"]


def test_attributes_that_cannot_be_had_are_no_obstacle(
    path: pathlib.Path, attributes: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*words: object) -> None:
        raise OSError(errno.ENOTSUP, "not supported")

    for name in ("setxattr", "listxattr"):
        monkeypatch.setattr(os, name, refuse)
        write_atomically(str(path), b"new", mode=0o640)
        assert path.read_bytes() == b"new"


def test_a_link_stays_and_its_target_changes(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path.parent.mkdir()
    link = tmp_path / "link"
    link.symlink_to("folder/file")
    write_atomically(str(link), b"new", mode=0o644)
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    remove_file(str(link))
    assert link.is_symlink()
    assert not path.exists()


def test_a_reader_sees_the_old_bytes_or_the_new_ones(path: pathlib.Path) -> None:
    path.parent.mkdir()
    versions = [bytes([number]) * 100_000 for number in range(2)]
    path.write_bytes(versions[0])
    done = threading.Event()

    def write() -> None:
        for number in range(100):
            write_atomically(str(path), versions[number % 2], mode=0o644)
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    seen = set()
    while not done.is_set():
        seen.add(path.read_bytes())
    thread.join()
    assert seen == set(versions)


def test_a_failure_leaves_everything_as_it_was(path: pathlib.Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(FilesError, match=f"^{path}: it cannot be written .*directory"):
        write_atomically(str(path), b"new", mode=0o644)
    assert os.listdir(path.parent) == ["file"]


def test_what_cannot_be_is_said_with_a_remedy(path: pathlib.Path) -> None:
    with pytest.raises(FilesError, match="No such file or directory.*Create its directory first"):
        write_atomically(str(path), b"new", mode=0o644)
    path.parent.write_bytes(b"")
    with pytest.raises(FilesError, match="it cannot be read .Not a directory"):
        read_file(str(path))
    with pytest.raises(FilesError, match="it cannot be removed"):
        remove_file(str(path))
    with pytest.raises(FilesError, match="it cannot be created"):
        make_directories(str(path / "x"), 0o755)


@pytest.mark.parametrize("kind", ["pipe", "directory"])
def test_only_files_are_read_and_nobody_waits(path: pathlib.Path, kind: str) -> None:
    path.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(FilesError, match="(not a regular file|Is a directory)"):
        read_state(str(path))


def test_what_is_not_there_is_none(path: pathlib.Path) -> None:
    assert read_file(str(path)) is None
    remove_file(str(path))


def test_directories_are_made_as_far_as_they_are_missing(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    deep = path / "a/b"
    assert missing_directories(str(deep)) == [str(tmp_path / "folder"), str(path), str(path / "a")]
    make_directories(str(deep), 0o750)
    assert missing_directories(str(deep)) == []
    assert path.stat().st_mode & 0o777 == 0o750
    make_directories(str(deep), 0o700)


@pytest.mark.parametrize(
    ("name", "missing"),
    [("", []), ("file", []), ("a/b/file", ["a", "a/b"]), ("./a/file", ["./a"]), ("../b/file", ["../b"])],
)
def test_a_relative_path_begins_in_the_working_directory(
    name: str, missing: list[str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search for what is missing must not go on above the path's beginning, where nothing ever is."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    dirname, steps = os.path.dirname, iter(range(20))
    monkeypatch.setattr(os.path, "dirname", lambda path: (next(steps), dirname(path))[1])
    assert missing_directories(name) == missing
    make_directories(name, 0o700)
    assert missing_directories(name) == []


def test_directories_are_made_by_several_at_once(tmp_path: pathlib.Path) -> None:
    workers = 8
    together = threading.Barrier(workers)

    def make(path: str) -> str | None:
        together.wait()
        try:
            make_directories(path, 0o755)
        except FilesError as problem:
            return str(problem)
        return None

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for number in range(20):
            path = f"{tmp_path}/{number}/of/several/file"
            assert list(pool.map(make, [path] * workers)) == [None] * workers
            assert os.path.isdir(os.path.dirname(path))


def test_only_leftovers_of_the_file_are_removed(path: pathlib.Path) -> None:
    path.parent.mkdir()
    kept = ["file", ".file.tmp", ".file.abc.tmp", ".other.abcdefgh.tmp", "file.abcdefgh.tmp"]
    for name in [*kept, ".file.abcdefgh.tmp", ".file.a_c3e5gh.tmp"]:
        (path.parent / name).touch()
    remove_leftovers(str(path))
    assert sorted(os.listdir(path.parent)) == sorted(kept)
