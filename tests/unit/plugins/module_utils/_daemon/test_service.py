# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starting the daemon, waiting for it and watching it: every wait ends, and says why if it was in vain."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.errors import DaemonError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.service import (
    read_inventory,
    silent_sockets,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import Completed, SystemdError
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._daemon.fake_host import (
    FIRST_PID,
    OLD,
    START_TAKES,
    FakeHost,
)

RESET = "reset-failed docker.service docker.socket"
START, STOP, RESTART = "start docker.service", "stop docker.service", "restart docker.service"
START_SOCKET, STOP_SOCKET = "start docker.socket", "stop docker.socket"
KILL = "kill --signal=SIGKILL docker.service"
ACTIVATED = "--host=fd://"
TCP_ALONE = "--host=tcp://127.0.0.1:1"


def not_there() -> DaemonError:
    """Return an error that nobody should see."""
    return errors.run_killed(unit="nobody.service")


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Iterator[FakeHost]:
    """Give a host whose daemon runs."""
    made = FakeHost(tmp_path)
    made.boot()
    yield made
    made.stop()


def test_what_is_waited_for_is_returned_as_soon_as_it_is_there(host: FakeHost) -> None:
    began = host.time
    found = host.service.poll(lambda: host.time - began if host.time > began + 3 else None, 60, not_there)
    assert 3 < found < 3.5


def test_nothing_is_waited_for_longer_than_its_limit(host: FakeHost) -> None:
    began = host.time
    with pytest.raises(DaemonError, match="run that was changing it was killed"):
        host.service.poll(lambda: None, 10, lambda: errors.run_killed(unit="a.service"))
    assert 10 <= host.time - began < 11


def test_what_is_there_at_once_takes_no_time(host: FakeHost) -> None:
    began = host.time
    assert host.service.poll(lambda: "found", 0, not_there) == "found"
    assert host.time == began


@pytest.mark.parametrize("socket_activated", [False, True])
def test_a_restart_is_one_job(host: FakeHost, socket_activated: bool) -> None:
    host.service.restart(socket_activated=socket_activated, limit=30)
    assert host.requests == [RESET, RESTART]


def test_a_socket_that_does_not_listen_starts_between_the_old_daemon_and_the_new(host: FakeHost) -> None:
    """It refuses to start while the service runs, and the service cannot start without it."""
    host.socket_active = False
    host.service.restart(socket_activated=True, limit=30)
    assert host.requests == [RESET, STOP, RESET, START_SOCKET, START]
    host.sleep(START_TAKES)
    host.requests.clear()
    host.socket_active = False
    host.service.restart(socket_activated=False, limit=30)
    assert host.requests == [RESET, RESTART]


@pytest.mark.parametrize(("behaviour", "ends"), [("hangs", [STOP]), ("deaf", [STOP, KILL])])
def test_a_daemon_that_starts_forever_is_ended_first(host: FakeHost, behaviour: str, ends: list[str]) -> None:
    host.behaviours[OLD] = behaviour
    host.boot()
    host.behaviours.clear()
    host.service.restart(socket_activated=False, limit=30)
    assert host.requests == [*ends, RESET, RESTART]


def test_a_started_daemon_is_a_new_process(host: FakeHost) -> None:
    old = host.systemd.state().main_pid
    with pytest.raises(DaemonError, match=r"docker\.service: the daemon did not report .* ready within 5 seconds"):
        host.service.wait_until_started(old, 5)
    host.start()
    began = host.time
    assert host.service.wait_until_started(old, 5) == old + 1
    assert host.time - began < START_TAKES + 0.2


@pytest.mark.parametrize(
    ("behaviour", "says", "takes"),
    [
        ("dies", r"the daemon ended while it started \(result: exit-code\)", START_TAKES),
        ("hangs", "did not report that it was ready within 5 seconds", 5),
    ],
)
def test_one_that_does_not_start_is_told(host: FakeHost, behaviour: str, says: str, takes: float) -> None:
    host.behaviours[OLD] = behaviour
    old, began = host.systemd.state().main_pid, host.time
    host.start()
    with pytest.raises(DaemonError, match=says):
        host.service.wait_until_started(old, 5)
    assert takes <= host.time - began < takes + 0.5


def test_a_daemon_is_ready_once_it_answers_where_it_should(host: FakeHost) -> None:
    plan = dataclasses.replace(host.plan(), running=None)
    host.start()
    assert host.service.wait_until_ready(plan, 5) == FIRST_PID + 2
    assert silent_sockets(host.settings()) == []


def test_one_limit_holds_for_the_start_and_the_answer(host: FakeHost) -> None:
    host.behaviours[OLD] = "silent"
    plan, began = dataclasses.replace(host.plan(), running=None), host.time
    host.start()
    with pytest.raises(DaemonError, match=r"the engine does not answer \(.*docker\.sock: No such file"):
        host.service.wait_until_ready(plan, 5)
    assert 5 <= host.time - began < 5.5


def test_one_that_ends_before_it_answers_is_not_waited_for(host: FakeHost) -> None:
    host.behaviours[OLD] = "silent"
    plan, began = dataclasses.replace(host.plan(), running=None), host.time
    host.start()

    def sleep(seconds: float) -> None:
        host.sleep(seconds)
        if host.time > began + 2:
            host.stop("failed")

    host.service.clock = dataclasses.replace(host.clock, sleep=sleep)
    with pytest.raises(DaemonError, match="the engine does not answer"):
        host.service.wait_until_ready(plan, 60)
    assert host.time - began < 3


def test_an_address_on_which_nobody_answers_is_named(host: FakeHost) -> None:
    """Nothing listens on port 1 of loopback."""
    plan = host.plan(words=f"--host=unix://{host.socket} --host=tcp://127.0.0.1:1")
    plan = dataclasses.replace(plan, running=None)
    host.start()
    with pytest.raises(DaemonError, match=r"tcp://127\.0\.0\.1:1: Connection refused"):
        host.service.wait_until_ready(plan, 2)


def test_a_daemon_with_other_arguments_than_planned_is_no_success(host: FakeHost) -> None:
    """This process stands for the daemon's: its arguments are not those of the plan."""
    plan = dataclasses.replace(host.plan(), running=None)
    host.pid = os.getpid() - 1
    host.start()
    with pytest.raises(DaemonError, match=r"docker\.service: the daemon runs with other arguments than planned: .*py"):
        host.service.wait_until_ready(plan, 5)


def test_a_daemon_is_watched_until_it_has_kept_running(host: FakeHost) -> None:
    began = host.time
    host.service.watch(host.systemd.state().main_pid, 2)
    assert 2 <= host.time - began < 3


def test_one_that_ends_or_is_another_meanwhile_is_told(host: FakeHost) -> None:
    host.behaviours[OLD] = "brief"
    host.boot()
    with pytest.raises(DaemonError, match=r"answered and then ended within seconds \(result: exit-code\)"):
        host.service.watch(host.systemd.state().main_pid, 5)
    host.behaviours.clear()
    host.boot()
    with pytest.raises(DaemonError, match="answered and then ended within seconds"):
        host.service.watch(host.systemd.state().main_pid - 1, 5)


def test_a_daemon_is_started_if_it_is_down_and_left_alone_if_not(host: FakeHost) -> None:
    host.service.start_if_down(30)
    assert host.requests == []
    host.stop()
    host.service.start_if_down(30)
    assert host.requests == [RESET, RESTART]
    assert host.runs_with == OLD


@pytest.mark.parametrize("active", [True, False])
def test_an_old_daemon_that_is_down_gets_its_socket_anew(host: FakeHost, active: bool) -> None:
    """After being masked and unmasked, a socket unit is active and passes on no socket."""
    host.stop()
    host.socket_active = active
    host.service.revive(host.settings(ACTIVATED), 30, 2)
    assert host.requests == [STOP_SOCKET, RESET, STOP, RESET, START_SOCKET, START]
    assert (host.runs_with, host.socket_active) == (OLD, True)


def test_an_old_daemon_that_does_not_come_back_is_tried_twice(host: FakeHost) -> None:
    host.behaviours[OLD] = "dies"
    with pytest.raises(DaemonError, match="the daemon ended while it started"):
        host.service.revive(host.settings(), 30, 2)
    assert host.requests.count(RESTART) == 2


@pytest.mark.parametrize("began", ["restart", "stop"])
@pytest.mark.parametrize("words", [ACTIVATED, ""])
def test_one_that_still_stops_is_waited_for_and_started_after_that(host: FakeHost, words: str, began: str) -> None:
    """Its containers may take as long as systemd lets them."""
    host.stop_takes = 300
    host.systemd.start_job(began, "docker.service")
    host.sleep(15)
    host.requests.clear()
    host.service.revive(host.settings(words), 60, 2)
    assert (host.runs_with, host.socket_active, host.requests) == (OLD, True, [RESET, RESTART])


def test_one_that_stops_for_longer_than_anybody_waits_starts_after_that(host: FakeHost) -> None:
    host.stop_takes, host.stop_limit = 300, 0
    host.systemd.start_job("stop", "docker.service")
    with pytest.raises(DaemonError, match="did not report that it was ready within 60 seconds"):
        host.service.revive(host.settings(ACTIVATED), 60, 2)
    assert host.systemd.state().active == "deactivating"
    host.sleep(300)
    host.sleep(START_TAKES)
    assert (host.runs_with, host.systemd.state().is_running) == (OLD, True)


def test_nor_does_one_stay_down_that_an_interrupted_run_was_stopping(host: FakeHost) -> None:
    host.stop_takes = 80
    host.systemd.start_job("stop", "docker.service")
    host.service.start_if_down(60)
    assert (host.runs_with, host.systemd.state().is_running) == (OLD, True)


@pytest.mark.parametrize(("behaviour", "says"), [("dies", "ended while it started"), ("brief", "ended within seconds")])
def test_one_that_listens_on_tcp_alone_is_no_exception(host: FakeHost, behaviour: str, says: str) -> None:
    host.behaviours[OLD] = behaviour
    with pytest.raises(DaemonError, match=says):
        host.service.revive(host.settings(TCP_ALONE), 30, 2)
    assert host.requests.count(RESTART) == 2


def test_and_is_watched_since_it_cannot_be_asked(host: FakeHost) -> None:
    began = host.time
    host.service.revive(host.settings(TCP_ALONE), 30, 2)
    assert (host.runs_with, host.requests) == (OLD, [RESET, RESTART])
    assert START_TAKES + 2 <= host.time - began < START_TAKES + 3


@pytest.mark.parametrize("silent", [1, 2, 3])
def test_a_systemd_that_says_nothing_for_a_moment_costs_no_attempt_but_one(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, silent: int
) -> None:
    calls: list[str] = []

    def run(argv: Sequence[str], timeout: float) -> Completed:
        calls.append(argv[1])
        return Completed(1, "", "busy") if calls.count("show") == silent else host.run(argv, timeout)

    monkeypatch.setattr(host.systemd, "_run", run)
    host.service.revive(host.settings(), 30, 2)
    assert host.runs_with == OLD
    assert host.systemd.state().main_pid > FIRST_PID + 1


def test_a_daemon_that_was_not_restarted_is_not_taken_for_the_old_one(host: FakeHost) -> None:
    """It answers, and has the arguments that did not work."""
    host.fails[RESTART] = 2
    with pytest.raises(SystemdError, match="restart docker.service failed"):
        host.service.revive(host.settings(), 30, 2)
    assert host.requests.count(RESTART) == 2


@pytest.mark.parametrize("wanted", [True, False])
def test_live_restore_is_set_by_a_reload_and_only_if_it_differs(host: FakeHost, wanted: bool) -> None:
    host.live_restore = not wanted
    host.boot()
    assert host.service.set_live_restore(host.settings(), wanted)
    assert (host.requests, host.live_restore) == (["reload docker.service"], wanted)
    assert not host.service.set_live_restore(host.settings(), wanted)
    assert host.requests == ["reload docker.service"]


def test_a_daemon_that_does_not_take_live_restore_is_told_in_time(host: FakeHost) -> None:
    host.takes_reload = False
    began = host.time
    with pytest.raises(DaemonError, match="the daemon did not turn live-restore on"):
        host.service.set_live_restore(host.settings(), True)
    assert host.time - began < 20


@pytest.mark.parametrize("wanted", [True, False])
def test_live_restore_of_a_daemon_that_does_not_answer_is_not_guessed(host: FakeHost, wanted: bool) -> None:
    host.stop()
    with pytest.raises(DaemonError, match=r"the daemon does not answer on its local socket.*restarted"):
        host.service.set_live_restore(host.settings(), wanted)
    assert host.requests == []


def test_what_an_engine_keeps_is_known_while_it_answers(host: FakeHost) -> None:
    found = read_inventory(host.settings())
    assert found
    assert (found.root, found.containers) == (os.path.realpath(host.root / "data"), frozenset("abc"))
    host.stop()
    assert read_inventory(host.settings()) is None
    (silent,) = silent_sockets(host.settings())
    assert silent.startswith(f"{host.socket}: ")
