# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal: what it takes to have every file back, whatever happened in between."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import subprocess
import threading
import time

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.errors import DaemonError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.journal import (
    Journal,
    exclusive,
    is_applied,
    put_back,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import Change, FilesError, read_state

OLD, NEW = b"old \xff\n", b"new\n"


@pytest.fixture
def journal(tmp_path: pathlib.Path) -> Journal:
    return Journal("docker.service", str(tmp_path / "lib/journal"), str(tmp_path / "units"))


@pytest.fixture
def there(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "there"
    path.write_bytes(OLD)
    path.chmod(0o604)
    os.utime(path, ns=(1_000_000_007, 1_000_000_007))
    return path


def test_it_tells_a_later_run_what_there_was(journal: Journal, there: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert journal.pending() is None
    new = tmp_path / "a/b/new"
    gone = Change(str(tmp_path / "a/gone"), None, None)
    undo = journal.begin([Change(str(there), read_state(str(there)), NEW), Change(str(new), None, NEW), gone])
    assert undo.directories == (str(tmp_path / "a"), str(tmp_path / "a/b"))
    assert journal.pending() == undo
    assert os.stat(journal.path).st_mode & 0o777 == 0o600
    assert os.stat(os.path.dirname(journal.path)).st_mode & 0o777 == 0o700
    journal.commit()
    assert journal.pending() is None
    assert os.listdir(os.path.dirname(journal.path)) == os.listdir(tmp_path / "units") == []
    journal.commit()


def test_nothing_of_a_killed_run_outlives_the_journal(journal: Journal, there: pathlib.Path) -> None:
    directory, name = os.path.split(journal.path)
    os.makedirs(directory)
    for leftover in (f".{name}.abcdefgh.tmp", f".{name}.1.abcdefgh.tmp", f"{name}.7"):
        pathlib.Path(directory, leftover).write_text("a replaced key")
    journal.begin([Change(str(there), read_state(str(there)), NEW)])
    journal.commit()
    assert os.listdir(directory) == []


@pytest.mark.parametrize("what", ["edited", "made", "removed", "locked"])
def test_what_somebody_edits_while_a_run_plans_is_not_lost(
    journal: Journal, there: pathlib.Path, tmp_path: pathlib.Path, what: str
) -> None:
    new = tmp_path / "new"
    changes = [Change(str(there), read_state(str(there)), NEW), Change(str(new), None, NEW)]
    if what == "edited":
        there.write_bytes(b"by hand\n")
    elif what == "made":
        new.write_bytes(b"by hand\n")
    elif what == "removed":
        there.unlink()
    else:
        there.chmod(0o400)
    path = new if what == "made" else there
    with pytest.raises(DaemonError, match=f"^{path}: somebody else changed it while .* Nothing was changed. Run again"):
        journal.begin(changes)
    assert journal.pending() is None
    assert not (tmp_path / "units").exists()


def test_without_a_way_to_tell_the_next_boot_nothing_begins(
    journal: Journal, there: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "units").mkdir()
    (tmp_path / "units/multi-user.target.d").write_bytes(b"in the way")
    with pytest.raises(FilesError, match=re.escape("docker-remote-api-undo-docker.service.conf: it cannot be")):
        journal.begin([Change(str(there), read_state(str(there)), NEW)])
    assert journal.pending() is None
    assert os.listdir(tmp_path / "units") == ["multi-user.target.d"]


def test_the_script_for_the_next_boot_puts_everything_back(
    journal: Journal, there: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, gone, edited, odd, kept = (tmp_path / name for name in ("new", "gone", "edited", "it's %h \n \\x", "kept"))
    link = tmp_path / "link"
    link.symlink_to(there)
    for path in (gone, edited, odd, kept):
        path.write_bytes(OLD)
    before = {path: read_state(str(path)) for path in (link, there, gone, odd)}
    with contextlib.suppress(OSError):
        os.setxattr(there, "user.note", b"of the administrator")
    attributes = {name: os.getxattr(there, name) for name in os.listxattr(there)}
    undo = journal.begin(
        [
            Change(str(link), before[link], NEW),
            Change(str(new), None, NEW),
            Change(str(gone), before[gone], None),
            Change(str(edited), read_state(str(edited)), NEW),
            Change(str(odd), before[odd], NEW),
            Change(str(kept), read_state(str(kept)), NEW),
        ]
    )
    for path in (there, new, odd):
        path.unlink(missing_ok=True)
        path.write_bytes(NEW)
        path.chmod(0o600)
    gone.unlink()
    edited.write_bytes(b"by hand\n")
    (tmp_path / "bin").mkdir()
    systemctl = tmp_path / "bin/systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/said\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    done = subprocess.run(["sh", "-u", journal.script_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path: read_state(str(path)) for path in before} == before
    assert {name: os.getxattr(there, name) for name in os.listxattr(there)} == attributes
    assert link.is_symlink()
    assert not new.exists()
    assert edited.read_bytes() == b"by hand\n"
    assert kept.read_bytes() == OLD
    assert (tmp_path / "said").read_text() == "daemon-reload\n"
    assert [path for path in tmp_path.rglob("*") if "docker-remote-api" in path.name or path.suffix == ".undo"] == [
        pathlib.Path(journal.script_path)
    ]
    assert put_back(undo) == []


def test_a_change_is_applied_when_every_file_is_as_planned(
    journal: Journal, there: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    gone = tmp_path / "gone"
    gone.write_bytes(OLD)
    undo = journal.begin(
        [Change(str(there), read_state(str(there)), NEW), Change(str(gone), read_state(str(gone)), None)]
    )
    assert not is_applied(undo)
    there.write_bytes(NEW)
    assert not is_applied(undo)
    gone.unlink()
    assert is_applied(undo)


def test_everything_is_put_back(journal: Journal, there: pathlib.Path, tmp_path: pathlib.Path) -> None:
    before = read_state(str(there))
    new, gone = tmp_path / "a/b/new", tmp_path / "gone"
    gone.write_bytes(OLD)
    undo = journal.begin(
        [Change(str(there), before, NEW), Change(str(new), None, NEW), Change(str(gone), read_state(str(gone)), None)]
    )
    there.write_bytes(NEW)
    there.chmod(0o600)
    new.parent.mkdir(parents=True)
    new.write_bytes(NEW)
    (new.parent / ".new.abcdefgh.tmp").write_bytes(b"half")
    gone.unlink()
    assert put_back(undo) == [str(gone), str(new), str(there)]
    assert read_state(str(there)) == before
    assert gone.read_bytes() == OLD
    assert not (tmp_path / "a").exists()
    assert put_back(undo) == []


def test_what_was_not_changed_yet_is_left_alone(journal: Journal, there: pathlib.Path, tmp_path: pathlib.Path) -> None:
    undo = journal.begin([Change(str(there), read_state(str(there)), NEW), Change(str(tmp_path / "new"), None, NEW)])
    assert put_back(undo) == []


def test_what_somebody_else_changed_since_is_left_alone(journal: Journal, there: pathlib.Path) -> None:
    undo = journal.begin([Change(str(there), read_state(str(there)), NEW)])
    there.write_bytes(b"edited by hand\n")
    assert put_back(undo) == []
    assert there.read_bytes() == b"edited by hand\n"


def test_a_changed_mode_alone_is_put_back(journal: Journal, there: pathlib.Path) -> None:
    before = read_state(str(there))
    undo = journal.begin([Change(str(there), before, NEW)])
    there.chmod(0o644)
    assert put_back(undo) == [str(there)]
    assert read_state(str(there)) == before


def test_a_directory_with_something_else_in_it_stays(journal: Journal, tmp_path: pathlib.Path) -> None:
    undo = journal.begin([Change(str(tmp_path / "a/new"), None, NEW)])
    (tmp_path / "a").mkdir()
    (tmp_path / "a/other").write_bytes(b"")
    put_back(undo)
    assert (tmp_path / "a/other").exists()


def test_a_failure_does_not_keep_the_others_from_being_put_back(
    journal: Journal, there: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_bytes(OLD)
    undo = journal.begin(
        [Change(str(there), read_state(str(there)), NEW), Change(str(blocked), read_state(str(blocked)), NEW)]
    )
    there.write_bytes(NEW)
    blocked.unlink()
    blocked.mkdir()
    with pytest.raises(FilesError, match=str(blocked)):
        put_back(undo)
    assert there.read_bytes() == OLD


def test_a_link_stays_a_link(journal: Journal, there: pathlib.Path, tmp_path: pathlib.Path) -> None:
    link, dangling = tmp_path / "link", tmp_path / "dangling"
    link.symlink_to(there)
    dangling.symlink_to(tmp_path / "target")
    undo = journal.begin([Change(str(link), read_state(str(link)), NEW), Change(str(dangling), None, NEW)])
    there.write_bytes(NEW)
    (tmp_path / "target").write_bytes(NEW)
    put_back(undo)
    assert link.is_symlink()
    assert there.read_bytes() == OLD
    assert dangling.is_symlink()
    assert not dangling.exists()


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"entries": [{}]}', b'{"entries": 1, "directories": []}', b"\xff"]
)
def test_a_broken_journal_is_said(journal: Journal, content: bytes) -> None:
    os.makedirs(os.path.dirname(journal.path))
    pathlib.Path(journal.path).write_bytes(content)
    with pytest.raises(DaemonError, match=f"^{journal.path}: an interrupted run left this journal"):
        journal.pending()


def test_of_two_runs_one_waits(tmp_path: pathlib.Path) -> None:
    order: list[str] = []
    held = threading.Event()

    def first() -> None:
        with exclusive("docker.service", 1, str(tmp_path)):
            held.set()
            time.sleep(0.3)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    held.wait(5)
    with exclusive("docker.service", 5, str(tmp_path)):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_or_gives_up_and_says_so(tmp_path: pathlib.Path) -> None:
    with (
        exclusive("docker.service", 1, str(tmp_path)),
        pytest.raises(DaemonError, match="another run on this host has held the lock for 0 seconds"),
        exclusive("docker.service", 0.1, str(tmp_path)),
    ):
        pass
