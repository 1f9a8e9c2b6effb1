# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is found before the first write: with a program that plays dockerd, and real files, ports and sockets."""

from __future__ import annotations

import dataclasses
import pathlib
import socket
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import preflight, unit
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.errors import DaemonError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import DaemonSettings, Plan
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import read_arguments
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.process import Process
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.tls_files import TlsFiles
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import Completed
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._daemon.fake_host import FakeHost

FLAGS = (
    *("host list", "dns list", "mtu int", "live-restore", "config-file string", "pidfile string"),
    *("tlsverify", "tlscacert string", "tlscert string", "tlskey string"),
)
# It notes how it was called, says what a named daemon.json holds, and refuses the option that is there to be refused.
DOCKERD = """#!/bin/sh
if [ "$1" = --help ]; then
    printf '      --%s   what it is for\\n' {flags}
    exit
fi
echo "$*" >>{calls}
for word; do
    case $word in
    --config-file=*) cat "${{word#*=}}" >>{calls} ;;
    --mtu=much) echo 'level=fatal msg="invalid argument for --mtu"' >&2; exit 1 ;;
    --dns=file) for one; do case $one in --config-file=*)
        echo "unable to configure with file ${{one#*=}}: broken" >&2; exit 1 ;; esac; done ;;
    --pidfile=*) echo "failed to start daemon: mkdir ${{word#*=}}: not a directory" >&2; exit 1 ;;
    esac
done
"""


class Host(FakeHost):
    """A host with an engine's program, which is really run."""

    def __init__(self, root: pathlib.Path) -> None:
        super().__init__(root)
        self.dockerd = root / "dockerd"
        self.calls = root / "calls"
        self.verdict = ""
        self.verified: list[str] = []
        self.set_engine(*FLAGS, "validate")

    def set_engine(self, *flags: str) -> None:
        """Install an engine that knows these flags."""
        words = " ".join(f"'{flag}'" for flag in flags)
        self.dockerd.write_text(DOCKERD.format(flags=words, calls=self.calls), encoding="ascii")
        self.dockerd.chmod(0o755)

    def run(self, argv: Sequence[str], timeout: float) -> Completed:
        """Run the engine; play systemd-analyze, which says ``verdict``, and systemctl."""
        if argv[0] == "systemd-analyze":
            folder = pathlib.Path(argv[-1]).parent
            self.verified = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
            return Completed(1, "", self.verdict.format(folder=folder))
        if argv[0] != str(self.dockerd):
            return super().run(argv, timeout)
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=timeout)
        return Completed(done.returncode, done.stdout, done.stderr)

    def planned(self, words: str = "", configuration: dict[str, Any] | None = None, **more: Any) -> Plan:
        """Return a plan with which the daemon gets these words, beside daemon.json."""
        plan = self.plan()
        options = tuple(read_arguments(words.split(), "the test"))
        after = DaemonSettings(options, configuration or {}, (str(self.socket),))
        argv = (str(self.dockerd), *words.split())
        return dataclasses.replace(plan, argv=argv, after=after, **more)

    def check(self, plan: Plan, *, certificate_due: bool = False, check_mode: bool = False) -> None:
        """Check the plan."""
        preflight.check(plan, self.systemd, self.run, certificate_due=certificate_due, check_mode=check_mode)

    @property
    def called(self) -> list[str]:
        """How the engine was called, but for its help, and what it read."""
        return self.calls.read_text(encoding="ascii").splitlines() if self.calls.exists() else []


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Iterator[Host]:
    """Give a host whose daemon runs."""
    made = Host(tmp_path)
    made.boot()
    yield made
    made.stop()


def running(*words: str) -> Process:
    """Return a running daemon."""
    return Process(7, ("/usr/bin/dockerd", *words), 0)


def test_a_sound_plan_passes_and_changes_nothing(host: Host) -> None:
    before = {path.name for path in host.root.iterdir()}
    host.check(host.planned("--mtu=1400"))
    assert host.called == ["--mtu=1400 --validate"]
    assert {path.name for path in host.root.iterdir()} == {*before, "calls"}
    assert host.requests == []


def test_the_program_has_to_be_there(host: Host) -> None:
    host.dockerd.chmod(0o644)
    with pytest.raises(DaemonError, match=rf"{host.dockerd}: unit:2 names it as the daemon, and it is not an exec"):
        host.check(host.planned())


def test_and_to_be_an_engine(host: Host) -> None:
    host.set_engine("verbose")
    with pytest.raises(DaemonError, match=rf"{host.dockerd}: '--help' does not list the options of a Docker Engine"):
        host.check(host.planned())


UNKNOWN = [("dsn", r"Did you mean dns\?"), ("zzzz", "between releases.$")]


@pytest.mark.parametrize(("name", "says"), UNKNOWN)
def test_an_option_that_is_asked_for_and_the_engine_does_not_know_is_named(host: Host, name: str, says: str) -> None:
    with pytest.raises(DaemonError, match=says):
        host.check(host.planned(f"--mtu=1400 --{name}=8.8.8.8", requested=("mtu", name)))
    assert host.called == []


def test_one_that_is_there_and_that_the_engine_does_not_list_is_left_to_the_engine(host: Host) -> None:
    """It hides those that are to be used no more, such as -g on 20.10."""
    host.check(host.planned("--mtu=1400 -g /srv/docker", requested=("mtu",)))
    assert host.called == ["--mtu=1400 -g /srv/docker --validate"]


def test_a_port_that_somebody_else_holds_is_taken(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(DaemonError, match=rf"tcp://127\.0\.0\.1:{port}: .* listens there already"):
            host.check(host.planned(f"--host=tcp://127.0.0.1:{port}"))
    host.check(host.planned(f"--host=tcp://127.0.0.1:{port}"))


def test_an_ipv4_address_written_as_an_ipv6_one_is_the_same_address(host: Host) -> None:
    """The kernel does not let two sockets listen there."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(DaemonError, match=rf"tcp://\[::ffff:127\.0\.0\.1\]:{port}: .* listens there already"):
            host.check(host.planned(f"--host=tcp://[::ffff:127.0.0.1]:{port}"))
    for one in ("127.0.0.1", "0.0.0.0", "[::]"):  # noqa: S104 - planned, never bound
        with pytest.raises(DaemonError, match=r"tcp://\[::ffff:127\.0\.0\.1\]:\d+: it overlaps with tcp://"):
            host.check(host.planned(f"--host=tcp://{one}:{port} --host=tcp://[::ffff:127.0.0.1]:{port}"))
    host.check(host.planned(f"--host=tcp://[::ffff:127.0.0.1]:{port}"))


@pytest.mark.parametrize(
    ("root", "plan", "refused"),
    [
        ("elsewhere", {"running": running(), "restart_reasons": ("x",)}, True),
        ("elsewhere", {"running": running(), "restart_reasons": ("x",), "moves_data": True}, False),
        ("elsewhere", {"running": running()}, False),
        ("elsewhere", {"running": None, "restart_reasons": ("x",)}, False),
        ("data", {"running": running(), "restart_reasons": ("x",)}, False),
    ],
)
def test_a_restart_that_would_move_the_data_whatever_is_undone_is_refused(
    host: Host, root: str, plan: dict[str, Any], refused: bool
) -> None:
    """daemon.json, say, was changed after the daemon's start."""
    before = DaemonSettings((), {"data-root": str(host.root / root), "hosts": [f"unix://{host.socket}"]})
    made = host.planned(before=before, **plan)
    if not refused:
        host.check(made)
        return
    with pytest.raises(DaemonError, match=f"keeps its data in .*/data, and whoever restarts it .* in .*/{root}"):
        host.check(made)


@pytest.mark.parametrize("state", ["masked", "not-found"])
def test_a_socket_of_systemd_has_to_be_there_for_a_daemon_that_takes_it(host: Host, state: str) -> None:
    host.socket_load = state
    with pytest.raises(DaemonError, match=rf"docker\.socket: .* \(-H fd://\), and the unit is {state}"):
        host.check(host.planned("--host=fd://"))
    host.check(host.planned(f"--host=unix://{host.socket}"))


@pytest.fixture
def fragment(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Give the unit's file."""
    monkeypatch.setattr(unit, "_UNIT_DIRECTORIES", (str(tmp_path / "units"),))
    path = tmp_path / "units/docker.service"
    path.parent.mkdir()
    path.write_text("[Service]\n", encoding="ascii")
    return path


def test_a_unit_that_systemd_refuses_is_told_in_its_words(host: Host, fragment: pathlib.Path) -> None:
    drop_in = fragment.parent / "docker.service.d/own.conf"
    plan = host.planned(changes=(host.change(drop_in, b"[Service]\nType=dbus\n"),))
    host.check(plan)
    assert host.verified == ["docker.service", "docker.service.d/own.conf"]
    host.verdict = "{folder}/docker.service: no BusName=\ndocker.service has a bad unit file setting.\n"
    with pytest.raises(DaemonError, match=r"systemd would refuse the unit: /docker.service: no BusName"):
        host.check(plan)
    assert not drop_in.exists()


def test_a_verdict_on_another_unit_does_not_count(host: Host, fragment: pathlib.Path) -> None:
    host.verdict = "other.service has a bad unit file setting.\ndocker.service: Command is odd.\n"
    host.check(host.planned(changes=(host.change(fragment, b"[Service]\nNice=1\n"),)))
    assert host.verified == ["docker.service"]


def test_the_engine_reads_what_is_still_to_be_written(host: Host) -> None:
    path = host.root / "daemon.json"
    host.check(host.planned("--mtu=1400", changes=(host.change(path, b'{"debug": true}\n'),)))
    assert host.called[1:] == ['{"debug": true}']
    assert not path.exists()


def test_its_refusal_names_the_real_file(host: Host) -> None:
    path = host.root / "daemon.json"
    plan = host.planned("--dns=file", changes=(host.change(path, b"{}\n"),))
    with pytest.raises(DaemonError, match=rf"the engine refuses .*: unable to configure with file {path}: broken"):
        host.check(plan)


def test_its_refusal_is_free_of_decoration(host: Host) -> None:
    with pytest.raises(DaemonError, match=r"the engine refuses the new configuration: invalid argument for --mtu\."):
        host.check(host.planned("--mtu=much"))


@pytest.mark.parametrize(
    ("listens", "words", "refused"),
    [
        ("[::]:2376", "--host=fd:// --host=tcp://0.0.0.0:2376", True),
        ("127.0.0.1:2376", "--host=fd:// --host=tcp://[::ffff:127.0.0.1]:2376", True),
        ("0.0.0.0:2376", "--host=fd:// --host=tcp://127.0.0.1:2376", True),
        ("[::]:2375", "--host=fd:// --host=tcp://127.0.0.1:2376", False),
        ("127.0.0.2:2376", "--host=fd:// --host=tcp://127.0.0.1:2376", False),
        ("[::]:2376", "--host=fd://", False),
        ("[::]:2376", "--host=tcp://127.0.0.1:2376", False),
    ],
)
def test_an_address_that_systemd_holds_for_the_daemon_cannot_be_opened_by_it(
    host: Host, listens: str, words: str, refused: bool
) -> None:
    host.socket_listens += f"Listen={listens} (Stream)\n"
    if not refused:
        host.check(host.planned(words))
        return
    with pytest.raises(DaemonError, match=r"^docker\.socket: systemd listens on tcp://\S+:2376 for the daemon"):
        host.check(host.planned(words))


@pytest.mark.parametrize("due", [True, False])
def test_tls_files_that_are_still_to_be_issued_are_not_asked_for(host: Host, due: bool) -> None:
    files = [str(host.root / name) for name in ("ca.pem", "server-cert.pem", "server-key.pem")]
    words = "--mtu=1400 --tlsverify --tlscacert={} --tlscert={} --tlskey={}".format(*files)
    plan = host.planned(words, tls=TlsFiles(*files))
    if due:
        host.check(plan, certificate_due=True)
        assert host.called == ["--mtu=1400 --validate"]
    else:
        with pytest.raises(DaemonError, match=r"/ca\.pem: the options name this TLS file, and it is not there"):
            host.check(plan)


def test_an_old_engine_gives_up_before_it_touches_anything(host: Host) -> None:
    """It has no --validate: it is started with a pid file that cannot be."""
    host.set_engine(*FLAGS)
    host.check(host.planned("--mtu=1400"))
    assert host.called == ["--mtu=1400 --pidfile=/dev/null/no-daemon-is-started"]
    with pytest.raises(DaemonError, match="invalid argument for --mtu"):
        host.check(host.planned("--mtu=much"))


def test_and_is_not_asked_where_that_would_start_it_or_change_something(host: Host) -> None:
    """A pid file in daemon.json as well would be a conflict; and check mode makes no directory."""
    host.set_engine(*FLAGS)
    host.check(host.planned("--mtu=much", {"pidfile": "/run/own.pid"}))
    host.check(host.planned("--mtu=much"), check_mode=True)
    assert host.called == []
    host.set_engine(*FLAGS, "validate")
    with pytest.raises(DaemonError, match="invalid argument for --mtu"):
        host.check(host.planned("--mtu=much"), check_mode=True)


@pytest.mark.parametrize(
    ("state", "words", "refused"),
    [
        ("active", "--live-restore", True),
        ("locked", "--live-restore", True),
        ("inactive", "--live-restore", False),
        ("active", "", False),
    ],
)
def test_live_restore_and_a_swarm_do_not_go_together(host: Host, state: str, words: str, refused: bool) -> None:
    host.info = {"Swarm": {"LocalNodeState": state}}
    host.boot()
    plan = host.planned(words)
    if not refused:
        host.check(plan)
        return
    with pytest.raises(DaemonError, match=r"docker\.service: live-restore is on and the engine is in a swarm"):
        host.check(plan)


@pytest.mark.parametrize("wanted", [True, False])
def test_a_daemon_that_does_not_answer_cannot_be_told_to_keep_its_containers(host: Host, wanted: bool) -> None:
    plan = host.planned(live_restore=wanted)
    host.check(plan)
    host.stop()
    with pytest.raises(DaemonError, match=r"does not answer on its local socket.*Nothing was restarted"):
        host.check(plan)
    host.check(dataclasses.replace(plan, live_restore=None))
    host.check(dataclasses.replace(plan, running=None))
