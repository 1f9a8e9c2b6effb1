# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a lab host: one fault from beginning to end, or one run of the core behind daemon_options.

Called with a JSON object on standard input, it prints one on standard output. It needs nothing but the host's Python
and the collection's module_utils beside it.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.configure import Mode, configure
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.plan import Request
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.systemd import runner
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError

WATCHED = (
    "/etc/default/*",
    "/etc/default/.docker*",
    "/etc/sysconfig/*",
    "/etc/sysconfig/.docker*",
    "/etc/docker/*",
    "/etc/docker/.*",
    "/etc/systemd/system/docker.*",
    "/etc/systemd/system/docker.service.d/*",
    "/etc/systemd/system/docker.service.d/.*",
    "/lib/systemd/system/docker.*",
    "/lib/systemd/system/.docker.*",
    "/var/lib/docker-remote-api/*",
    "/srv/options/*",
)


def run_command(argv, environ_update, **rest):
    """Stand for AnsibleModule.run_command."""
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", env={**os.environ, **environ_update})
    return done.returncode, done.stdout, done.stderr


def run_core(arguments):
    """Run the core once and return what came of it. A signal is sent to this process at a step, if that is asked for."""
    steps = []
    at = arguments.get("signal_at")

    def reached(step):
        steps.append(step)
        if at is not None and len(steps) == at:
            os.kill(os.getpid(), arguments.get("signal", signal.SIGKILL))

    mode = {"check": False, "restart": "when_needed", "timeout": 40.0, "settle": 0.3, **arguments.get("mode", {})}
    started = time.monotonic()
    try:
        outcome = configure(Request(**arguments["request"]), Mode(**mode), runner(run_command), reached)
    except RemoteApiError as problem:
        result = {"ok": False, "kind": type(problem).__name__, "message": str(problem)}
    else:
        plan = outcome.plan
        result = {
            "ok": True,
            "changed": outcome.changed,
            "restarted": outcome.restarted,
            "restart_due": outcome.restart_due,
            "undone": outcome.undone,
            "containers_stopped": outcome.containers_stopped,
            "reasons": plan.restart_reasons,
            "argv": plan.argv,
            "words": plan.words,
        }
    return {**result, "steps": steps, "seconds": round(time.monotonic() - started, 3)}


def run_apart(arguments):
    """Run the core in a process of its own and return what came of it; its signal, where one killed it."""
    done = subprocess.run(
        [sys.executable, __file__, "core"], input=json.dumps(arguments), capture_output=True, text=True
    )
    if done.returncode < 0:
        return {"ok": False, "kind": "killed", "message": signal.Signals(-done.returncode).name, "steps": []}
    if done.returncode:
        return {"ok": False, "kind": "crashed", "message": done.stderr[-3000:], "steps": []}
    return json.loads(done.stdout)


def state_of(path):
    """Return what there is to tell two states of a file apart."""
    found = os.lstat(path)
    kind = [oct(found.st_mode), found.st_uid, found.st_gid]
    if os.path.islink(path):
        return [*kind, os.readlink(path)]
    if not os.path.isfile(path):
        return kind
    return [*kind, hashlib.sha256(Path(path).read_bytes()).hexdigest()]


def snapshot():
    """Return the state of every file that a change could touch."""
    paths = {path for pattern in WATCHED for path in glob.glob(pattern)} - {"/etc/docker/.", "/etc/docker/.."}
    return {path: state_of(path) for path in sorted(paths) if os.path.basename(path) not in (".", "..")}


def answers(seconds):
    """Return whether the engine answers on its local socket within so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(max(0.1, deadline - time.monotonic()))
                connection.connect("/run/docker.sock")
                connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: test\r\n\r\n")
                if b" 200 " in connection.recv(64):
                    return True
        except OSError:
            pass
        time.sleep(0.1)
    return False


def running_argv():
    """Return the command line of the running daemon, without the program."""
    shown = subprocess.run(
        ["systemctl", "show", "--property=MainPID", "--value", "docker.service"], capture_output=True, text=True
    )
    try:
        return Path(f"/proc/{shown.stdout.strip()}/cmdline").read_text().split("\0")[1:-1]
    except OSError:
        return []


def shell(script):
    """Run a shell script; fail with what it said."""
    done = subprocess.run(["sh", "-euc", script], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{script}\nended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


# A start of the host with what lies on the disk, without its other services.
COLD_START = """
systemctl stop docker.socket docker.service 2>/dev/null || true
systemctl daemon-reload
systemctl reset-failed docker.service docker.socket 2>/dev/null || true
systemctl start docker.socket 2>/dev/null || true
systemctl start --no-block docker.service
"""


def run_fault(row):
    """Bring a fault about, run, look, take it away, run again, and return all that was seen."""
    subprocess.run(["systemctl", "reset-failed", "docker.service", "docker.socket"], capture_output=True)
    shell(row["fault"])
    seen = {"before": snapshot()}
    try:
        seen["result"] = run_apart(row["run"])
        seen["answers"] = answers(row.get("patience", 20))
        seen["after"] = snapshot()
        seen["argv"] = running_argv()
        if row.get("cold_start"):
            shell(COLD_START)
            seen["answers_after_start"] = answers(20)
    finally:
        shell(row["undo"])
    seen["good"] = run_apart(row["good"])
    seen["again"] = run_apart({**row["good"], "mode": {**row["good"].get("mode", {}), "check": True}})
    seen["good_answers"] = answers(20)
    seen["end"] = snapshot()
    seen["good_argv"] = running_argv()
    return seen


if __name__ == "__main__":
    given = json.load(sys.stdin)
    jobs = {"core": run_core, "fault": run_fault, "several": lambda rows: [run_apart(row) for row in rows]}
    print(json.dumps(jobs[sys.argv[1]](given)))
