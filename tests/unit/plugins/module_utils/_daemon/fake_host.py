# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host for tests of a change: real files, a real HTTP server as the engine, and a systemctl and a clock that play."""

from __future__ import annotations

import http.server
import json
import pathlib
import socketserver
import threading
from collections.abc import Sequence

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.journal import Journal
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import DaemonSettings, Plan
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import read_arguments
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.process import Process
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.service import Clock, Service
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.unit import Setting
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import Change, read_state
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import Completed, Systemd

OLD, NEW = b'DOCKER_OPTS="--debug"\n', b'DOCKER_OPTS="--ip=127.0.0.1"\n'
# Higher than any process may have (proc(5), pid_max), so that nobody reads a stranger's arguments.
FIRST_PID = 2**22 + 7
START_TAKES = 0.5


class _Handler(http.server.BaseHTTPRequestHandler):
    """The engine's answers to /_ping, /info and the list of containers."""

    server: _Engine

    def do_GET(self) -> None:
        listed: object = self.server.containers if "containers" in self.path else self.server.info
        body = b"OK" if self.path == "/_ping" else json.dumps(listed).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *words: object) -> None:
        """Keep quiet."""


class _Engine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A listening engine."""

    daemon_threads = True
    info: dict[str, object]
    containers: list[dict[str, str]]


class FakeHost:
    """A service with a daemon that behaves, when it starts, as ``behaviours`` says of the options file's bytes.

    A behaviour is ``good``, ``dies`` (while it starts), ``hangs`` (starting forever), ``deaf`` (the same, and does not
    stop either), ``silent`` (it runs and does not answer) or ``brief`` (it answers and ends after a second). In
    the same way ``data`` says where it keeps its data, ``containers`` which it sees, and ``removes`` which it removes.
    All containers have directories at first. ``info`` is more of what GET /info answers. ``load`` and ``unit_file`` are
    what systemd says of the service, ``socket_load`` and ``socket_listens`` of its socket unit. ``fails`` says how many
    times a systemctl command has still to fail. ``stop_takes`` is how many seconds a running daemon takes to stop, of
    which systemd allows ``stop_limit`` (0: all of them). ``requests`` are the systemctl commands that change something.
    Time passes in sleep() only.
    """

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.options = root / "options"
        self.options.write_bytes(OLD)
        self.options.chmod(0o604)
        self.socket = root / "docker.sock"
        self.behaviours: dict[bytes, str] = {}
        self.data: dict[bytes, pathlib.Path] = {}
        self.containers: dict[bytes, set[str]] = {}
        self.removes: dict[bytes, set[str]] = {}
        for name in "abc":
            (root / "data/containers" / name).mkdir(parents=True)
        self.fails: dict[str, int] = {}
        self.requests: list[str] = []
        self.log: list[str] = []
        self.time = 1_000_000.0
        self.socket_active = True
        self.runs_with: bytes | None = None
        self.info: dict[str, object] = {}
        self.load, self.unit_file = "loaded", "enabled"
        self.socket_load, self.socket_listens = "loaded", f"{self.socket} (Stream)\n"
        self.live_restore = False
        self.takes_reload = True
        self.pid = FIRST_PID
        self.stop_takes, self.stop_limit = 0, 90
        self._then: list[str] = []
        self._engine: _Engine | None = None
        self._phase = "stopped"
        self._since = 0.0
        self._behaviour = "good"
        self.clock = Clock(lambda: self.time, lambda: self.time, self.sleep)
        self.systemd = Systemd("docker.service", self.run)
        self.service = Service(self.systemd, self.clock)
        self.journal = Journal("docker.service", str(root / "lib"), str(root / "units"))

    @property
    def engine(self) -> _Engine:
        """The engine of the daemon that runs."""
        assert self._engine is not None
        return self._engine

    # --- time and the daemon

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self._pass_time()

    def start(self) -> None:
        """Have the daemon start, which takes START_TAKES seconds."""
        self.stop()
        self._phase, self._since = "starting", self.time
        self.runs_with = self.options.read_bytes()
        self._behaviour = self.behaviours.get(self.runs_with, "good")

    def stop(self, phase: str = "stopped") -> None:
        """Have the daemon end at once."""
        self._phase, self.runs_with = phase, None
        if self._engine:
            self._engine.shutdown()
            self._engine.server_close()
            self.socket.unlink()
            self._engine = None

    def boot(self) -> None:
        """Have the daemon run, before a test begins."""
        self.start()
        self.sleep(START_TAKES)

    def _begin_stop(self) -> None:
        """Have a running daemon stop, which it does in its time, and another one at once."""
        if self.stop_takes and self._phase == "running":
            self.stop("stopping")
            self._since = self.time
        elif self._phase != "stopping":
            self.stop()

    def _pass_time(self) -> None:
        passed = self.time - self._since
        if self._phase == "stopping" and passed >= min(self.stop_takes, self.stop_limit or self.stop_takes):
            self.stop()
            then, self._then = self._then, []
            for command in then:
                self._carry_out(command)
        if self._phase == "starting" and passed >= START_TAKES and self._behaviour not in ("hangs", "deaf"):
            if self._behaviour == "dies":
                self.stop("failed")
                return
            self._phase, self._since = "running", self.time
            self.pid += 1
            if self._behaviour != "silent":
                self._listen()
        elif self._phase == "running" and self._behaviour == "brief" and passed >= 1:
            self.stop("failed")

    def _listen(self) -> None:
        self._engine = _Engine(str(self.socket), _Handler)
        assert self.runs_with is not None
        for name in self.removes.get(self.runs_with, ()):
            (self.root / "data/containers" / name).rmdir()
        data = self.data.get(self.runs_with, self.root / "data")
        seen = self.containers.get(self.runs_with, set("abc")) - self.removes.get(self.runs_with, set())
        self._engine.info = {
            "LiveRestoreEnabled": self.live_restore, "ContainersRunning": 3, "DockerRootDir": str(data),
            **self.info,
        }  # fmt: skip
        self._engine.containers = [{"Id": name} for name in seen]
        threading.Thread(target=self._engine.serve_forever, args=(0.01,), daemon=True).start()

    # --- the commands

    def run(self, argv: Sequence[str], timeout: float) -> Completed:
        """Play systemctl and journalctl."""
        self._pass_time()
        program, *words = argv
        if program == "journalctl":
            return Completed(0, "\n".join(self.log), "")
        assert program == "systemctl"
        words = [word for word in words if word not in ("--no-block", "--quiet")]
        if words[0] == "show":
            return Completed(0, self._properties(words[-1]), "")
        if words[0] == "is-active":
            return Completed(0 if self.socket_active else 3, "", "")
        command = " ".join(words)
        self.requests.append(command)
        if self.fails.get(command):
            self.fails[command] -= 1
            return Completed(1, "", f"{command} failed")
        self._carry_out(command)
        return Completed(0, "", "")

    def _carry_out(self, command: str) -> None:
        if command == "restart docker.service" and self._phase == "running":
            self._begin_stop()
        if self._phase == "stopping" and command != "kill --signal=SIGKILL docker.service":
            # A later job takes the place of one that waits, and the service stops with the socket, which it requires.
            if command.startswith(("restart", "start", "stop")):
                self._then = [command]
            return
        if command in ("restart docker.service", "start docker.service"):
            self.start()
        elif command == "stop docker.service" and not (self._phase == "starting" and self._behaviour == "deaf"):
            self._begin_stop()
        elif command == "kill --signal=SIGKILL docker.service":
            self.stop("failed")
        elif command.endswith(" docker.socket") and command.startswith(("start", "stop")):
            self.socket_active = command.startswith("start")
        elif command == "reload docker.service" and self.takes_reload and self._engine:
            self.live_restore = not self.live_restore
            self._engine.info["LiveRestoreEnabled"] = self.live_restore

    def _properties(self, unit: str) -> str:
        if unit == "docker.socket":
            return f"LoadState={self.socket_load}\nListen={self.socket_listens}"
        names = {"running": "active", "starting": "activating", "stopped": "inactive", "failed": "failed"}
        active = names.get(self._phase, "deactivating")
        result = "exit-code" if self._phase == "failed" else "success"
        pid = self.pid if self._phase in ("running", "stopping") else 0
        return (
            f"LoadState={self.load}\nUnitFileState={self.unit_file}\n"
            f"ActiveState={active}\nResult={result}\nMainPID={pid}\nNRestarts=0\n"
            f"NeedDaemonReload=no\nJob={'12' if self._phase in ('starting', 'stopping') else ''}\n"
            f"TimeoutStopUSec={f'{self.stop_limit}s' if self.stop_limit else 'infinity'}\n"
            "ExecStart={ path=/usr/bin/dockerd ; argv[]=/usr/bin/dockerd $DOCKER_OPTS ; ignore_errors=no ; pid=0 }\n"
        )

    # --- plans

    def settings(self, words: str = "") -> DaemonSettings:
        """Return a daemon's settings: it listens on this host's socket, or takes it from systemd (``-H fd://``)."""
        words = words or f"--host=unix://{self.socket}"
        return DaemonSettings(tuple(read_arguments(words.split(), "the test")), {}, (str(self.socket),))

    def plan(
        self, *changes: Change, words: str = "", live_restore: bool | None = None, reload_due: bool = True
    ) -> Plan:
        """Return a plan with these changes, and with a running daemon if there is one."""
        state, settings = self.systemd.state(), self.settings(words)
        return Plan(
            service="docker.service",
            changes=changes,
            words=(),
            argv=("/usr/bin/dockerd",),
            before=settings,
            after=settings,
            options_path=str(self.options),
            variable="DOCKER_OPTS",
            daemon_json=str(self.root / "daemon.json"),
            conflicts=(),
            live_restore=live_restore,
            tls=None,
            command=Setting("ExecStart", "/usr/bin/dockerd $DOCKER_OPTS", "unit", 2, 2),
            running=Process(state.main_pid, ("/usr/bin/dockerd",), 0) if state.main_pid else None,
            reload_due=reload_due,
        )

    def change(self, path: pathlib.Path, after: bytes | None, mode: int | None = None) -> Change:
        """Return the change of a file from what is there."""
        return Change(str(path), read_state(str(path)), after, mode=mode)
