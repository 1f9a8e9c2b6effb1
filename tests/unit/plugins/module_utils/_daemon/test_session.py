# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One whole run on a host: real files, a real lock, an engine that answers, and a systemctl and a clock that play."""

from __future__ import annotations

import functools
import os
import pathlib
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import journal, record, session, unit
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import service as service_module
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.errors import DaemonError, RolledBackError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import Request
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.process import Process
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.session import Mode, Outcome
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import Completed, SystemdError
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._daemon.fake_host import (
    NEW,
    OLD,
    FakeHost,
)

# The threads are those of the fake engine; the guard, which is forked, has no use for them.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

DOCKERD = """#!/bin/sh
if [ "$1" = --help ]; then printf '      --%s   what it is for\\n' host data-root debug ip icc validate; fi
"""
LOOPBACK: dict[str, Any] = {"ip": "127.0.0.1"}
RESTART = "restart docker.service"
NOT_AT_BOOT = "docker.service is not enabled: after a reboot the API is gone until somebody starts it."


class Host(FakeHost):
    """A host whose unit reads the options file, and whose daemon runs with what was there when it was started."""

    def __init__(self, root: pathlib.Path) -> None:
        super().__init__(root)
        self.dockerd = root / "dockerd"
        self.dockerd.write_text(DOCKERD, encoding="ascii")
        self.dockerd.chmod(0o755)
        self.unit = root / "lib-units/docker.service"
        self.unit.parent.mkdir()
        self.own = root / "etc-units/docker.service.d" / unit.DROP_IN_NAME
        self.fixed = f"-H unix://{self.socket} --data-root={root}/data"
        self.set_unit(reads=True)
        self.asked = 0

    def set_unit(self, *, reads: bool) -> None:
        """Install the unit, which reads the options file or does not."""
        lines = [f"EnvironmentFile=-{self.options}"] if reads else []
        command = f"ExecStart={self.dockerd} {self.fixed}{' $DOCKER_OPTS' if reads else ''}"
        self.unit.write_text("\n".join(["[Service]", *lines, command, ""]), encoding="ascii")

    def run(self, argv: Sequence[str], timeout: float) -> Completed:
        """Run the engine, of which each call is counted; play systemd-analyze and systemctl."""
        if argv[0] == "systemd-analyze":
            return Completed(0, "", "")
        if argv[0] != str(self.dockerd):
            return super().run(argv, timeout)
        self.asked += 1
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=timeout)
        return Completed(done.returncode, done.stdout, done.stderr)

    def process(self, pid: int) -> Process | None:
        """Return what the kernel would say of the daemon's process."""
        if self.runs_with is None or pid != self.systemd.state().main_pid:
            return None
        words = [*self.fixed.split(), *self.runs_with.decode("ascii").strip()[len('DOCKER_OPTS="') : -1].split()]
        return Process(pid, (str(self.dockerd), *words), 0)

    def configure(
        self, options: dict[str, Any], *, check: bool = False, restart: str = "when_needed", **more: Any
    ) -> Outcome:
        """Do one run."""
        request = Request(options, path=str(self.options), daemon_json=str(self.root / "daemon.json"), **more)
        return session.configure(request, Mode(check, restart, 30.0), self.run)

    def files(self) -> dict[str, bytes]:
        """Return all files of the host that a run could touch."""
        folders = [self.root / name for name in ("etc-units", "lib-units", "lib", "units")]
        paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return {str(path): path.read_bytes() for path in [self.options, *paths]}


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Give a host whose daemon runs, with all of its paths below a directory."""
    made = Host(tmp_path)
    for folder in ("lib", "units", "run"):
        (tmp_path / folder).mkdir()
    directories = (str(tmp_path / "etc-units"), str(tmp_path / "lib-units"))
    monkeypatch.setattr(unit, "_UNIT_DIRECTORIES", directories)
    for module in (unit, session):
        monkeypatch.setattr(module, "drop_in_path", lambda name: str(made.own))
    monkeypatch.setattr(record, "DIRECTORY", str(tmp_path / "lib"))
    own_journal = functools.partial(
        journal.Journal, directory=str(tmp_path / "lib"), unit_directory=str(tmp_path / "units")
    )
    monkeypatch.setattr(session, "Journal", own_journal)
    monkeypatch.setattr(session, "exclusive", functools.partial(journal.exclusive, directory=str(tmp_path / "run")))
    monkeypatch.setattr(session, "read_process", made.process)
    monkeypatch.setattr(session, "_OTHER_ENGINES", {str(tmp_path / "podman"): "Podman"})
    monkeypatch.setattr(service_module, "Clock", lambda: made.clock)
    monkeypatch.setattr(session, "time", made.clock)
    is_directory = os.path.isdir
    monkeypatch.setattr(os.path, "isdir", lambda path: path == "/run/systemd/system" or is_directory(path))
    made.boot()
    yield made
    made.stop()


def test_where_nothing_is_due_nothing_is_touched_and_no_engine_asked(host: Host) -> None:
    before = host.files()
    outcome = host.configure({"debug": True})
    assert (outcome.changed, outcome.restarted, outcome.restart_due, outcome.warnings) == (False, False, False, ())
    assert (host.files(), host.requests, host.asked) == (before, [], 0)


def test_a_daemon_that_is_being_started_is_waited_for(host: Host) -> None:
    host.start()
    outcome = host.configure({"debug": True})
    assert (outcome.changed, outcome.restarted, outcome.restart_due) == (False, False, False)
    assert host.requests == []
    host.start()
    assert host.configure({"debug": True}, check=True).changed is False


def test_a_daemon_that_starts_forever_is_not_waited_for_longer_than_it_may_take(host: Host) -> None:
    host.behaviours[OLD] = "hangs"
    host.start()
    began = host.time
    foreseen = host.configure({"debug": True}, check=True)
    assert foreseen.plan.restart_reasons == ("the service is not running (it is activating)",)
    assert 30 <= host.time - began < 32
    host.behaviours.clear()
    mended = host.configure({"debug": True})
    assert (mended.restarted, host.runs_with, RESTART in host.requests) == (True, OLD, True)


def test_a_change_is_written_applied_and_recorded(host: Host) -> None:
    outcome = host.configure(LOOPBACK, remove=("debug",))
    assert (outcome.changed, outcome.restarted, outcome.restart_due) == (True, True, False)
    assert (host.options.read_bytes(), host.runs_with) == (NEW, NEW)
    assert outcome.warnings == ("The restart stopped 3 running containers, since live-restore is off.",)
    recorded = record.read("docker.service")[str(host.options)]
    assert recorded.before
    assert recorded.before.content == OLD
    again = host.configure(LOOPBACK, remove=("debug",))
    assert (again.changed, again.warnings) == (False, ())


def test_check_mode_tells_the_same_and_changes_nothing(host: Host) -> None:
    before = host.files()
    outcome = host.configure(LOOPBACK, remove=("debug",), check=True)
    assert (outcome.changed, outcome.restarted, outcome.restart_due) == (True, True, False)
    assert outcome.warnings == ("The restart would stop 3 running containers, since live-restore is off.",)
    assert (host.files(), host.requests, host.runs_with) == (before, [], OLD)
    assert os.listdir(host.root / "run") == [], "nor is anybody kept waiting"


def test_without_leave_to_restart_it_is_said_that_one_is_due(host: Host) -> None:
    outcome = host.configure(LOOPBACK, remove=("debug",), restart="never")
    assert (outcome.changed, outcome.restarted, outcome.restart_due) == (True, False, True)
    assert (host.options.read_bytes(), host.runs_with) == (NEW, OLD)
    assert [text for text in outcome.warnings if "has to be restarted (it runs with other arguments), but" in text]
    later = host.configure(LOOPBACK, remove=("debug",))
    assert (later.changed, later.restarted, host.runs_with) == (True, True, NEW)


def test_a_restart_that_is_asked_for_takes_no_change(host: Host) -> None:
    outcome = host.configure({"debug": True}, restart="always")
    assert (outcome.changed, outcome.restarted) == (True, True)
    assert RESTART in host.requests


@pytest.mark.parametrize(("behaviour", "says"), [("dies", "ended while it started"), ("silent", "does not answer")])
def test_a_daemon_that_does_not_come_up_is_put_back(host: Host, behaviour: str, says: str) -> None:
    before = host.files()
    host.behaviours[NEW] = behaviour
    with pytest.raises(RolledBackError, match=says):
        host.configure(LOOPBACK, remove=("debug",))
    assert (host.files(), host.runs_with) == (before, OLD)


def test_a_plan_that_does_not_pass_its_checks_is_not_carried_out(host: Host) -> None:
    before = host.files()
    with pytest.raises(DaemonError, match="knows no such option"):
        host.configure({"nope": True})
    assert (host.files(), host.requests, host.runs_with) == (before, [], OLD)


def test_live_restore_that_is_on_stops_no_container(host: Host) -> None:
    (host.root / "daemon.json").write_text('{"live-restore": true}\n', encoding="ascii")
    host.live_restore = True
    host.boot()
    outcome = host.configure(LOOPBACK, remove=("debug",))
    assert (outcome.restarted, outcome.containers_stopped, outcome.warnings) == (True, 0, ())


def test_live_restore_in_the_file_alone_saves_none(host: Host) -> None:
    """What the running daemon says counts: the file was changed after its start."""
    (host.root / "daemon.json").write_text('{"live-restore": true}\n', encoding="ascii")
    assert host.configure(LOOPBACK, remove=("debug",)).containers_stopped == 3


def test_a_daemon_that_cannot_be_asked_for_live_restore_is_not_restarted(host: Host) -> None:
    """Nor is anything written: what is in daemon.json would count at the next start alone."""
    host.behaviours[OLD] = "silent"
    host.boot()
    before = host.files()
    with pytest.raises(DaemonError, match="does not answer on its local socket, so that it cannot be told to keep"):
        host.configure(LOOPBACK, live_restore=True)
    assert (host.files(), host.requests, host.runs_with) == (before, [], OLD)
    assert not (host.root / "daemon.json").exists()


def test_a_service_that_was_stopped_stays_so(host: Host) -> None:
    host.stop()
    host.socket_active = False
    outcome = host.configure(LOOPBACK, remove=("debug",))
    assert (outcome.changed, outcome.restarted, outcome.restart_due) == (True, False, True)
    assert (host.options.read_bytes(), host.runs_with) == (NEW, None)
    assert "docker.service is stopped and stays so. " in outcome.warnings[-1]
    assert host.configure(LOOPBACK, remove=("debug",), restart="always").restarted
    assert host.runs_with == NEW


@pytest.mark.parametrize(("phase", "socket_active"), [("failed", False), ("stopped", True)])
def test_one_that_failed_or_waits_for_its_socket_is_started(host: Host, phase: str, socket_active: bool) -> None:
    host.stop(phase)
    host.socket_active = socket_active
    assert host.configure({"debug": True}).restarted
    assert host.runs_with == OLD


def test_a_service_that_no_boot_starts_is_told(host: Host) -> None:
    host.unit_file = "disabled"
    outcome = host.configure({"debug": True})
    assert (outcome.changed, outcome.warnings) == (False, (NOT_AT_BOOT,))


@pytest.mark.parametrize(
    ("load", "podman", "says"),
    [
        ("masked", False, r"docker\.service: the unit is masked"),
        ("not-found", False, r"docker\.service: systemd knows no such unit"),
        ("not-found", True, r"docker\.service: this host has Podman instead"),
    ],
)
def test_what_cannot_be_started_is_told_before_anything_is_read(host: Host, load: str, podman: bool, says: str) -> None:
    host.load = load
    host.unit.write_text("nonsense\n", encoding="ascii")
    if podman:
        (host.root / "podman").touch()
    with pytest.raises((DaemonError, SystemdError), match=says):
        host.configure(LOOPBACK)
    assert host.requests == []


def test_a_host_without_systemd_is_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "isdir", lambda path: False)
    with pytest.raises(SystemdError, match="it does not run this host"):
        host.configure(LOOPBACK)
    assert host.options.read_bytes() == OLD


def test_a_drop_in_that_is_taken_back_takes_its_empty_directory_along(host: Host) -> None:
    host.set_unit(reads=False)
    host.configure(LOOPBACK, remove=("debug",), on_unread_options="adopt")
    assert host.own.exists()
    host.configure({}, absent=True)
    assert (host.own.parent.exists(), host.options.read_bytes(), host.runs_with) == (False, OLD, OLD)
    assert os.listdir(host.root / "lib") == []


def test_a_drop_in_of_somebody_else_stays(host: Host) -> None:
    host.set_unit(reads=False)
    host.configure(LOOPBACK, remove=("debug",), on_unread_options="adopt")
    other = host.own.parent / "other.conf"
    other.write_text("[Service]\nNice=1\n", encoding="ascii")
    host.configure({}, absent=True)
    assert os.listdir(host.own.parent) == ["other.conf"]


def interrupt(host: Host, *, restarts: bool = True) -> None:
    """Leave what a run leaves whose process and guard were killed, the daemon down."""
    own_journal = journal.Journal("docker.service", str(host.root / "lib"), str(host.root / "units"))
    own_journal.begin(host.plan(host.change(host.options, NEW)).changes, restarts=restarts)
    host.options.write_bytes(NEW)
    host.stop()
    host.socket_active = False


def test_what_an_interrupted_run_left_is_put_back_first(host: Host) -> None:
    interrupt(host)
    outcome = host.configure({"debug": True})
    assert (outcome.changed, outcome.restarted, outcome.undone) == (True, True, (str(host.options),))
    assert (host.options.read_bytes(), host.runs_with) == (OLD, OLD)
    assert not [name for name in os.listdir(host.root / "lib") if "journal" in name]


def test_and_also_where_the_present_run_fails(host: Host) -> None:
    interrupt(host)
    with pytest.raises(DaemonError, match="knows no such option"):
        host.configure({"nope": True})
    assert (host.options.read_bytes(), host.runs_with) == (OLD, OLD)
    assert os.listdir(host.root / "lib") == os.listdir(host.root / "units") == []


def test_in_check_mode_it_is_told_and_left(host: Host) -> None:
    interrupt(host)
    before = host.files()
    outcome = host.configure({"debug": True}, check=True)
    assert (outcome.changed, outcome.undone) == (True, (str(host.options),))
    assert (host.files(), host.runs_with) == (before, None)


def test_one_that_had_not_to_restart_the_daemon_leaves_a_stopped_one_stopped(host: Host) -> None:
    interrupt(host, restarts=False)
    outcome = host.configure({"debug": True})
    assert (outcome.restarted, outcome.restart_due, host.runs_with) == (False, True, None)
    assert host.options.read_bytes() == OLD


def test_of_two_runs_one_waits_and_gives_up_in_time(host: Host) -> None:
    mode = Mode(check=False, restart="when_needed", timeout=0.3)
    with (
        session.open_session("docker.service", mode, host.run),
        pytest.raises(DaemonError, match="another run on this host has held the lock for 0 seconds"),
        session.open_session("docker.service", mode, host.run),
    ):
        pass
    with session.open_session("docker.service", mode, host.run) as opened:
        assert opened.undone == ()


def test_the_tls_files_of_today_are_those_that_the_daemon_is_told(host: Host) -> None:
    request = Request({}, path=str(host.options), daemon_json=str(host.root / "daemon.json"))
    mode = Mode(check=True, restart="when_needed", timeout=1)
    with session.open_session("docker.service", mode, host.run) as opened:
        assert opened.present_tls_files(request) is None
        host.options.write_text('DOCKER_OPTS="--tlsverify --tlscacert=/srv/ca.pem"\n', encoding="ascii")
        found = opened.present_tls_files(request)
    assert found
    assert found.paths() == ("/srv/ca.pem", "/root/.docker/cert.pem", "/root/.docker/key.pem")


@pytest.mark.parametrize(
    ("environment", "directory"),
    [
        ("DOCKER_CERT_PATH=/etc/docker\nDOCKER_CONFIG=/srv/config\n", "/etc/docker"),  # as RHEL's package has it
        ("DOCKER_CERT_PATH=\nDOCKER_CONFIG=/srv/config\n", "/srv/config"),
        ("HOME=/home/docker\n", "/home/docker/.docker"),
    ],
)
def test_tls_files_that_no_option_names_lie_where_the_units_environment_says(
    host: Host, environment: str, directory: str
) -> None:
    request = Request({}, path=str(host.options), daemon_json=str(host.root / "daemon.json"))
    host.options.write_text(f'DOCKER_OPTS="--tlsverify"\n{environment}', encoding="ascii")
    with session.open_session("docker.service", Mode(check=True, restart="never", timeout=1), host.run) as opened:
        found = opened.present_tls_files(request)
    assert found
    assert found.paths() == (f"{directory}/ca.pem", f"{directory}/cert.pem", f"{directory}/key.pem")


def test_a_certificate_that_is_still_to_come_is_a_reason_to_restart(host: Host) -> None:
    request = Request({"debug": True}, path=str(host.options), daemon_json=str(host.root / "daemon.json"))
    mode = Mode(check=True, restart="when_needed", timeout=1)
    with session.open_session("docker.service", mode, host.run) as opened:
        assert opened.plan(request).restart_reasons == ()
        due = opened.plan(request, certificate_due=True)
    assert due.restart_reasons == ("its certificate or its CA is still to be made",)


@pytest.mark.parametrize(
    ("listens", "words", "more", "refused"),
    [
        ("[::]:2375", "", {}, True),
        ("0.0.0.0:2375", "", {}, True),
        ("127.0.0.1:2375", "", {}, False),
        ("[::1]:2375", "", {}, False),
        ("[::]:2375", "", {"allow_insecure": True}, False),
        ("[::]:2375", " --tlsverify", {}, False),
        ("/run/other.sock", "", {}, False),
    ],
)
def test_an_address_of_the_socket_unit_that_lets_everybody_in_is_refused(
    host: Host, listens: str, words: str, more: dict[str, Any], refused: bool
) -> None:
    """systemd hands it to the daemon, which serves it with TLS only if it does so everywhere."""
    host.fixed = f"-H fd://{words} --data-root={host.root}/data"
    host.set_unit(reads=True)
    host.socket_listens += f"{listens} (Stream)\n"
    if not refused:
        assert not host.configure({"debug": True}, **more).changed
        return
    with pytest.raises(DaemonError, match=r"docker\.socket: .* would listen on tcp://.*:2375 without tlsverify"):
        host.configure({"debug": True}, **more)
