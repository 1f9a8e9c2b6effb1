# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A change as a whole or not at all: judged by the files, by the daemon that runs, and by what systemd is asked."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import resource
from collections.abc import Callable, Iterator

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import transaction
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.errors import (
    DaemonError,
    NotRolledBackError,
    RolledBackError,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.journal import Undo
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import Mode, Plan
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.transaction import Transaction
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import FilesError, FileState, read_state
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._daemon.fake_host import (
    NEW,
    OLD,
    FakeHost,
)

RESET = "reset-failed docker.service docker.socket"
RESTART = "restart docker.service"
MODE = Mode(check=False, restart="when_needed", timeout=30)
REPORTS = 9  # of a whole run of Host's plan
# The threads are those of the fake engine; the guard, which is forked, has no use for them.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


class Killed(BaseException):
    """The process is no more."""


class Host(FakeHost):
    """The host with three files to change: the options, a new one in new directories, and one to remove."""

    def __init__(self, root: pathlib.Path) -> None:
        super().__init__(root)
        self.new = root / "a/b/key.pem"
        self.gone = root / "gone"
        self.gone.write_bytes(b"old\n")
        os.utime(self.options, ns=(1_000_000_007, 1_000_000_007))
        self.before = self.disk()
        self.boot()

    def disk(self) -> dict[str, FileState | None]:
        """Return the files as they are."""
        return {path.name: read_state(str(path)) for path in (self.options, self.new, self.gone)}

    @property
    def is_old(self) -> bool:
        """Whether everything on the disk is as it was: bytes, modes, owners, times, and no directory more."""
        return self.disk() == self.before and not (self.root / "a").exists() and not self.has_journal

    @property
    def is_new(self) -> bool:
        """Whether everything on the disk is as planned."""
        contents = [state and state.content for state in self.disk().values()]
        return contents == [NEW, b"key\n", None] and not self.has_journal

    @property
    def has_journal(self) -> bool:
        """Whether a journal, or a part of it, is there."""
        return any((self.root / name).is_dir() and os.listdir(self.root / name) for name in ("lib", "units"))

    def whole_plan(self, *, words: str = "", live_restore: bool | None = None, reload_due: bool = True) -> Plan:
        """Return the plan that changes all three."""
        return self.plan(
            self.change(self.new, b"key\n", 0o600),
            self.change(self.options, NEW),
            self.change(self.gone, None),
            words=words,
            live_restore=live_restore,
            reload_due=reload_due,
        )

    def carry_out(self, plan: Plan, *, restart: bool = True, report: Callable[[str], None] = lambda step: None) -> None:
        """Carry out the plan."""
        Transaction(plan, self.service, self.journal, MODE, report).run(restart=restart)


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.stop()


def test_a_change_is_written_and_proven_under_its_journal(host: Host) -> None:
    seen: list[tuple[bytes, bool]] = []
    began = host.time
    host.carry_out(host.whole_plan(), report=lambda step: seen.append((host.options.read_bytes(), host.has_journal)))
    assert seen[0] == (OLD, True), "the journal comes before the first write"
    assert seen[-1] == (NEW, False)
    assert all(journal for _step, journal in seen[:-1]), "and stays to the end"
    assert len(seen) == REPORTS
    assert host.is_new
    assert (host.new.stat().st_mode & 0o777, host.options.stat().st_mode & 0o777) == (0o600, 0o604)
    # Once for the new unit, and once for the unit that would have undone it at the next boot.
    assert host.requests == ["daemon-reload", RESET, RESTART, "daemon-reload"]
    assert host.runs_with == NEW
    assert 2 <= host.time - began < 4


def test_an_edit_between_plan_and_write_is_kept_and_nothing_is_done(host: Host) -> None:
    plan = host.whole_plan()
    host.options.write_bytes(OLD + b"HTTP_PROXY=http://proxy\n")
    with pytest.raises(DaemonError, match=f"^{host.options}: somebody else changed it"):
        host.carry_out(plan)
    assert host.options.read_bytes() == OLD + b"HTTP_PROXY=http://proxy\n"
    assert (host.requests, host.has_journal, host.new.exists(), host.runs_with) == ([], False, False, OLD)


def test_without_a_restart_the_daemon_is_left_alone(host: Host) -> None:
    host.carry_out(host.whole_plan(reload_due=False), restart=False)
    assert (host.is_new, host.requests, host.runs_with) == (True, [], OLD)


def test_a_failing_reload_changes_nothing(host: Host) -> None:
    host.fails["daemon-reload"] = 1
    with pytest.raises(RolledBackError, match=r"daemon-reload failed.*The daemon was not restarted\.$"):
        host.carry_out(host.whole_plan())
    assert host.is_old
    assert (host.requests, host.runs_with) == (["daemon-reload"] * 3, OLD)


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [
        ("dies", r"the daemon ended while it started \(result: exit-code\)"),
        ("hangs", "did not report that it was ready within 30 seconds"),
        ("deaf", "did not report that it was ready within 30 seconds"),
        ("silent", r"the engine does not answer \(.*docker\.sock: No such file or directory\)"),
        ("brief", r"answered and then ended within seconds \(result: exit-code\)"),
    ],
)
def test_a_daemon_that_does_not_come_up_gets_its_old_files_back(host: Host, behaviour: str, cause: str) -> None:
    host.behaviours[NEW] = behaviour
    host.log = ['level=info msg="Starting up"', 'level=fatal msg="failed to load listeners"']
    began = host.time
    with pytest.raises(RolledBackError, match=cause) as failure:
        host.carry_out(host.whole_plan())
    said = str(failure.value)
    assert "the daemon's journal: failed to load listeners)" in said
    assert f"Put back: {host.gone}, {host.options}, {host.new}." in said
    assert said.endswith("The daemon was started again as before, and answers.")
    assert host.is_old
    assert host.runs_with == OLD
    assert host.time - began < 30 + 40
    assert ("kill --signal=SIGKILL docker.service" in host.requests) == (behaviour == "deaf")


@pytest.mark.parametrize(("root", "seen", "count"), [("elsewhere", "abc", 3), ("data", "a", 1), ("elsewhere", "", 0)])
def test_a_daemon_that_does_not_see_its_containers_gets_its_old_files_back(
    host: Host, root: str, seen: str, count: int
) -> None:
    host.data[NEW], host.containers[NEW] = host.root / root, set(seen)
    said = f"had 3 containers in {host.root}/data before the restart, and has {count} in {host.root}/{root} after it"
    with pytest.raises(RolledBackError, match=said):
        host.carry_out(host.whole_plan())
    assert (host.is_old, host.runs_with) == (True, OLD)


def odd_answer(host: Host, step: str) -> None:
    """Have the engine list containers without their IDs once it has started anew."""
    if step == "daemon answers":
        host.engine.containers = [{"Name": "a"}]


def test_what_nobody_expected_is_undone_too(host: Host) -> None:
    with pytest.raises(RolledBackError, match=r"^engine\.py, line [0-9]+: .*KeyError: 'Id'.*started again as before"):
        host.carry_out(host.whole_plan(), report=lambda step: odd_answer(host, step))
    assert host.is_old
    assert host.runs_with == OLD


def test_nor_does_it_keep_the_guard_from_undoing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "guarded", guarded_here)

    def report(step: str) -> None:
        odd_answer(host, step)
        if step == "daemon answers":
            raise Killed

    host.carry_out(host.whole_plan(), report=report)
    assert host.is_old
    assert host.runs_with == OLD


def test_nor_the_daemon_from_being_started_when_files_cannot_be_put_back(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put_back(undo: Undo) -> list[str]:
        raise KeyError("nowhere")

    monkeypatch.setattr(transaction, "put_back", put_back)
    host.behaviours[NEW] = "dies"

    def report(step: str) -> None:
        if step == "restart begun":
            host.options.write_bytes(OLD)

    with pytest.raises(NotRolledBackError, match="KeyError: 'nowhere'"):
        host.carry_out(host.whole_plan(), report=report)
    assert host.runs_with == OLD
    assert host.has_journal


def test_containers_that_end_with_the_daemon_are_not_missed(host: Host) -> None:
    host.removes[NEW] = {"a", "c"}
    host.carry_out(host.whole_plan())
    assert (host.is_new, host.runs_with) == (True, NEW)


def test_data_that_is_to_move_is_not_missed(host: Host) -> None:
    host.data[NEW], host.containers[NEW] = host.root / "elsewhere", set()
    host.carry_out(dataclasses.replace(host.whole_plan(), moves_data=True))
    assert (host.is_new, host.runs_with) == (True, NEW)


def test_what_a_silent_daemon_had_is_not_missed(host: Host) -> None:
    host.behaviours[OLD] = "silent"
    host.boot()
    host.data[NEW], host.containers[NEW] = host.root / "elsewhere", set()
    host.carry_out(host.whole_plan())
    assert (host.is_new, host.runs_with) == (True, NEW)


@pytest.fixture
def small_files() -> Iterator[int]:
    """Let no file grow beyond a number of bytes, which is returned: a full disk for one file."""
    limit = 2**20
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_cannot_be_written_undoes_those_before_it(host: Host, small_files: int) -> None:
    plan = host.plan(host.change(host.options, NEW), host.change(host.root / "large", bytes(small_files + 1)))
    with pytest.raises(RolledBackError, match=r"large: it cannot be written \(File too large\)"):
        host.carry_out(plan)
    assert (host.is_old, list(host.root.glob("*large*"))) == (True, [])
    assert (host.requests, host.runs_with) == (["daemon-reload"] * 2, OLD)


def test_a_command_that_systemd_did_not_load_is_no_success(host: Host) -> None:
    with pytest.raises(RolledBackError, match=r"systemd loaded another command .*/usr/bin/dockerd \$DOCKER_OPTS"):
        host.carry_out(with_variable(host.whole_plan(), "OTHER"))
    assert (host.is_old, host.runs_with) == (True, OLD)


def with_variable(plan: Plan, name: str) -> Plan:
    """Return the plan with another variable in the unit's command."""
    command = dataclasses.replace(plan.command, value=f"/usr/bin/dockerd ${name}")
    return dataclasses.replace(plan, variable=name, command=command)


def test_an_old_daemon_gets_a_second_try(host: Host) -> None:
    host.behaviours[NEW] = "dies"
    plan = host.whole_plan()

    def restart_fails_once_after_the_change(step: str) -> None:
        if step == "restart begun":
            host.fails[RESTART] = 1

    with pytest.raises(RolledBackError):
        host.carry_out(plan, report=restart_fails_once_after_the_change)
    assert (host.is_old, host.runs_with, host.requests.count(RESTART)) == (True, OLD, 3)


def test_a_daemon_that_stays_down_is_an_alarm_and_the_journal_stays(host: Host) -> None:
    plan = host.whole_plan()
    host.behaviours = {NEW: "dies", OLD: "dies"}
    with pytest.raises(NotRolledBackError, match=r"^DOCKER IS DOWN ON THIS HOST: docker\.service: ") as failure:
        host.carry_out(plan)
    assert host.journal.path in str(failure.value)
    assert host.disk() == host.before
    undo = host.journal.pending()
    assert undo
    assert [entry.before for entry in undo.entries] == [host.before[name] for name in ("key.pem", "options", "gone")]
    assert host.requests.count(RESTART) == 3, "the old daemon is tried twice"


def test_nor_is_one_without_a_local_socket_said_to_run(host: Host) -> None:
    plan = host.whole_plan(words="--host=tcp://127.0.0.1:1")
    host.behaviours = {NEW: "dies", OLD: "dies"}
    with pytest.raises(NotRolledBackError, match=r"^DOCKER IS DOWN ON THIS HOST: docker\.service: "):
        host.carry_out(plan)
    assert (host.has_journal, host.requests.count(RESTART)) == (True, 3)
    host.behaviours.pop(OLD)
    with pytest.raises(RolledBackError, match=r"The daemon was started again as before, and runs\.$"):
        host.carry_out(host.whole_plan(words="--host=tcp://127.0.0.1:1"))
    assert (host.is_old, host.runs_with) == (True, OLD)


def test_a_file_that_cannot_be_put_back_still_leaves_a_daemon(host: Host) -> None:
    host.behaviours[NEW] = "brief"

    def block(step: str) -> None:
        if step == "daemon answers":
            host.gone.mkdir()

    with pytest.raises(NotRolledBackError, match=r"^NOT EVERYTHING WAS PUT BACK.*gone: it cannot be"):
        host.carry_out(host.whole_plan(), report=block)
    assert (host.options.read_bytes(), host.runs_with, host.has_journal) == (OLD, OLD, True)


def test_live_restore_takes_a_reload_of_the_daemon_alone(host: Host) -> None:
    host.carry_out(host.whole_plan(live_restore=True, reload_due=False), restart=False)
    assert (host.is_new, host.requests, host.live_restore, host.runs_with) == (
        True,
        ["reload docker.service"],
        True,
        OLD,
    )


def test_live_restore_that_the_daemon_does_not_take_is_undone(host: Host) -> None:
    host.takes_reload = False
    with pytest.raises(RolledBackError, match=r"did not turn live-restore on.*The daemon was not restarted\.$"):
        host.carry_out(host.whole_plan(live_restore=True, reload_due=False))
    assert host.is_old
    assert host.requests == ["reload docker.service"] * 2


@contextlib.contextmanager
def guarded_here(rescue: Callable[[], None]) -> Iterator[None]:
    """Do in this process what the guard does in its own (test_guard.py): rescue a change whose process was killed."""
    try:
        yield
    except Killed:
        with contextlib.suppress(RemoteApiError):
            rescue()


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("behaviour", ["good", "dies", "brief"])
@pytest.mark.parametrize("step", range(REPORTS - 1))
def test_a_kill_at_any_step_ends_in_the_old_state_or_the_new(
    host: Host, monkeypatch: pytest.MonkeyPatch, step: int, behaviour: str, restart: bool
) -> None:
    """The new state only if a restarted daemon has proven it."""
    monkeypatch.setattr(transaction, "guarded", guarded_here)
    host.behaviours[NEW] = behaviour
    steps: list[str] = []

    def kill(report: str) -> None:
        steps.append(report)
        if len(steps) == step + 1:
            raise Killed

    with contextlib.suppress(RolledBackError):
        host.carry_out(host.whole_plan(), restart=restart, report=kill)
    finished = behaviour == "good" and ("restart begun" in steps or "journal removed" in steps)
    if not restart:
        finished = "journal removed" in steps
    assert (host.is_new, host.is_old) == (finished, not finished), steps
    assert host.runs_with == (NEW if finished and restart else OLD)
    assert host.systemd.state().is_running


def test_a_kill_half_way_is_undone_though_somebody_restarted_the_daemon(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "guarded", guarded_here)

    def restart_and_kill(step: str) -> None:
        if step == f"{host.options} written":
            host.boot()
            raise Killed

    host.carry_out(host.whole_plan(), report=restart_and_kill)
    assert (host.is_old, host.runs_with) == (True, OLD)


def test_a_kill_while_the_daemon_is_stopped_for_its_socket_starts_it_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "guarded", guarded_here)
    host.socket_active = False
    plan = host.plan(host.change(host.options, NEW), words="--host=fd://")
    real = host.run

    def run(argv: list[str], timeout: float) -> object:
        answer = real(argv, timeout)
        if argv[-2:] == ["stop", "docker.service"] and host.options.read_bytes() == NEW:
            raise Killed
        return answer

    monkeypatch.setattr(host.systemd, "_run", run)
    host.carry_out(plan)
    assert (host.is_old, host.runs_with, host.socket_active) == (True, OLD, True)


def test_the_next_run_puts_back_what_nobody_did(host: Host) -> None:
    """The guard was killed, too, or the power went and the boot unit did not run."""
    plan = host.whole_plan()
    undo = host.journal.begin(plan.changes)
    host.options.write_bytes(NEW)
    host.stop()
    transaction.undo_interrupted(undo, host.service, MODE, lambda step: None)
    assert host.disk() == host.before
    assert host.has_journal
    assert host.requests == ["daemon-reload"]
    transaction.finish_undo(undo, host.journal, host.service, MODE)
    assert (host.is_old, host.runs_with) == (True, OLD)
    assert host.requests == ["daemon-reload", RESET, RESTART, "daemon-reload"]


def test_a_daemon_that_the_interrupted_run_did_not_restart_is_not_started(host: Host) -> None:
    host.journal.begin(host.whole_plan().changes, restarts=False)
    host.options.write_bytes(NEW)
    host.stop()
    undo = host.journal.pending()
    assert undo
    transaction.undo_interrupted(undo, host.service, MODE, lambda step: None)
    transaction.finish_undo(undo, host.journal, host.service, MODE)
    assert (host.is_old, host.runs_with) == (True, None)


def test_if_it_cannot_the_daemon_is_started_all_the_same(host: Host) -> None:
    undo = host.journal.begin(host.whole_plan().changes)
    host.gone.unlink()
    host.gone.mkdir()
    host.stop()
    with pytest.raises(FilesError, match="gone"):
        transaction.undo_interrupted(undo, host.service, MODE, lambda step: None)
    assert (host.runs_with, host.has_journal) == (OLD, True)
