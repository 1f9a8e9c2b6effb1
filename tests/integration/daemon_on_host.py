# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a lab host: one fault from beginning to end, or one run of the core behind daemon_options or remote_api.

Called with a JSON object on standard input, it prints one on standard output. It needs nothing but the host's Python,
and certificate_on_host.py and the collection's module_utils beside it.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback
import typing as t
from pathlib import Path

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import Request
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.session import Mode, configure
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import runner
from ansible_collections.dockerfleet.remote_api.tests.integration import certificate_on_host as certificates

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
    "/etc/systemd/system/docker-remote-api*",
    "/etc/systemd/system/multi-user.target.d/*",
    "/var/lib/docker-remote-api/*",
    "/var/lib/docker-remote-api/.*",
    "/srv/options/*",
)


def run_command(argv: list[str], environ_update: dict[str, str], **rest: object) -> tuple[int, str, str]:
    """Stand for AnsibleModule.run_command."""
    done = subprocess.run(
        argv, capture_output=True, text=True, errors="replace", env={**os.environ, **environ_update}, check=False
    )
    return done.returncode, done.stdout, done.stderr


def run_core(arguments: dict[str, t.Any]) -> dict[str, t.Any]:
    """Run the core once and return what came of it; send this process a signal at a step, a number or a name.

    When the power is lost, what this process has started dies with it. With ``certificate``, it is the core behind
    remote_api, and the script ``between`` runs when the certificate was requested and is not there yet.
    """
    steps: list[str] = []
    at = arguments.get("signal_at")
    wanted = arguments.get("certificate")
    seen: dict[str, t.Any] = {"steps": steps}

    def reached(step: str) -> None:
        steps.append(step)
        if wanted and wanted.get("between") and step == "certificate requested":
            shell(wanted["between"])
            seen["between"] = snapshot()
        if wanted and wanted.get("search"):
            seen.setdefault("keys", {})[step] = certificates.keys_on_disk()
            seen.setdefault("modes", {})[step] = certificates.journal_modes()
        if at in (len(steps), step):
            started = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            for pid in started if arguments.get("power_loss") else ():
                os.kill(int(pid), signal.SIGKILL)
            os.kill(os.getpid(), arguments.get("signal", signal.SIGKILL))

    mode = {"check": False, "restart": "when_needed", "timeout": 40.0, "settle": 0.3, **arguments.get("mode", {})}
    started = time.monotonic()
    request, run = Request(**arguments["request"]), runner(run_command)
    try:
        if wanted:
            both = certificates.configure(request, wanted, Mode(**mode), run, reached)
            assert both.certificate is not None
            assert both.daemon is not None
            outcome, changed = both.daemon, both.daemon.changed or both.certificate.changed
        else:
            outcome = configure(request, Mode(**mode), run, reached)
            changed = outcome.changed
    except RemoteApiError as problem:
        result: dict[str, t.Any] = {"ok": False, "kind": type(problem).__name__, "message": str(problem)}
    else:
        plan = outcome.plan
        result = {
            "ok": True,
            "changed": changed,
            "restarted": outcome.restarted,
            "restart_due": outcome.restart_due,
            "undone": outcome.undone,
            "containers_stopped": outcome.containers_stopped,
            "reasons": plan.restart_reasons,
            "argv": plan.argv,
            "words": plan.words,
        }
    return {**result, **seen, "seconds": round(time.monotonic() - started, 3)}


class Apart(t.NamedTuple):
    """The core at work in a process of its own: its process id, and the stream its result comes from."""

    pid: int
    stream: t.TextIO


def start_apart(arguments: dict[str, t.Any]) -> Apart:
    """Run the core in a process of its own. It is forked, since loading the code takes longer than most rows run it."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.dup2(write, sys.stdout.fileno())
        os.closerange(3, write + 1)
        print(json.dumps(run_core_safely(arguments)), flush=True)
        os._exit(0)
    os.close(write)
    return Apart(pid, os.fdopen(read))


def run_core_safely(arguments: dict[str, t.Any]) -> dict[str, t.Any]:
    """Run the core once and return what came of it, also when it crashed."""
    try:
        return run_core(arguments)
    except BaseException:
        return {"ok": False, "kind": "crashed", "message": traceback.format_exc()[-3000:], "steps": []}


def end_apart(apart: Apart) -> dict[str, t.Any]:
    """Return what came of the core in a process of its own: its result, its signal, or how it crashed."""
    with apart.stream as stream:
        said = stream.read()
    status = os.waitstatus_to_exitcode(os.waitpid(apart.pid, 0)[1])
    if status < 0:
        return {"ok": False, "kind": "killed", "message": signal.Signals(-status).name, "steps": []}
    found: dict[str, t.Any] = json.loads(said)
    return found


def state_of(path: str) -> list[t.Any]:
    """Return what there is to tell two states of a file apart."""
    found = os.lstat(path)
    kind: list[t.Any] = [oct(found.st_mode), found.st_uid, found.st_gid]
    if os.path.islink(path):
        return [*kind, os.readlink(path)]
    if not os.path.isfile(path):
        return kind
    return [*kind, hashlib.sha256(Path(path).read_bytes()).hexdigest()]


def snapshot() -> dict[str, list[t.Any]]:
    """Return the state of every file that a change could touch."""
    paths = {path for pattern in WATCHED for path in glob.glob(pattern)} - {"/etc/docker/.", "/etc/docker/.."}
    # .fill is what takes the room on a full disk.
    return {path: state_of(path) for path in sorted(paths) if os.path.basename(path) not in (".", "..", ".fill")}


def times() -> dict[str, int]:
    """Return the time of change, in nanoseconds, of every regular file that a change could touch."""
    return {path: os.lstat(path).st_mtime_ns for path in snapshot() if os.path.isfile(path)}


def look(name: str, *, tls: bool) -> dict[str, t.Any]:
    """Return what there is to see of files and daemon, the keys ending in the name."""
    seen = {name: snapshot(), f"argv_{name}": running_argv(), f"times_{name}": times()}
    return {**seen, f"served_{name}": certificates.served()} if tls else seen


def answers(seconds: float) -> bool:
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


def wait_until_up(seconds: float) -> None:
    """Return when the engine answers and systemd has heard of it, or after so many seconds."""
    deadline = time.monotonic() + seconds
    answers(seconds)
    while time.monotonic() < deadline:
        if not subprocess.run(["systemctl", "is-active", "--quiet", "docker.service"], check=False).returncode:
            return
        time.sleep(0.1)


def wait_until_unlocked(seconds: float) -> None:
    """Return when no run or what is left of it works on the daemon's configuration any more."""
    deadline = time.monotonic() + seconds
    with open("/run/docker-remote-api.docker.service.lock") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)


def running_argv() -> list[str]:
    """Return the command line of the running daemon, without the program."""
    shown = subprocess.run(
        ["systemctl", "show", "--property=MainPID", "--value", "docker.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return Path(f"/proc/{shown.stdout.strip()}/cmdline").read_text().split("\0")[1:-1]
    except OSError:
        return []


def shell(script: str) -> None:
    """Run a shell script, with the functions of the suite; fail with what it said."""
    whole = f"{PRELUDE}\n{script}"
    done = subprocess.run(["sh", "-euc", whole], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{script}\nended with {done.returncode}: {done.stdout}{done.stderr}")


def write_files(files: dict[str, str]) -> dict[str, bytes | None]:
    """Write the files of a row in place; return what it takes to have the old ones back."""
    old = {path: Path(path).read_bytes() if os.path.isfile(path) else None for path in files}
    for path, text in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(text.encode("utf-8", "surrogateescape"))
    return old


def restore_files(old: dict[str, bytes | None]) -> None:
    """Undo write_files()."""
    for path, content in old.items():
        if content is None:
            Path(path).unlink(missing_ok=True)
        else:
            Path(path).write_bytes(content)


# Functions for the scripts of rows. Not every suite has mount(8) and chattr(1).
PRELUDE = r"""
mount() { busybox mount "$@"; }
umount() { busybox umount "$@"; }
immutable() { python3 /root/faults/on_host.py immutable "$@"; }
# A small file system with a copy of the directory on it and no room left.
fill() {
    mkdir -p /root/faults/copy
    cp -a "$1/." /root/faults/copy/
    mount -t tmpfs -o size=256k none "$1"
    cp -a /root/faults/copy/. "$1/"
    rm -r /root/faults/copy
    dd if=/dev/zero of="$1/.fill" bs=4k count=100 2>/dev/null || true
}
read_only() {
    mount -o bind "$1" "$1"
    mount -o remount,bind,ro "$1"
}
# An engine that does the script when it is started with the label fault=on, and is itself otherwise.
wrap() {
    mv /usr/sbin/dockerd /usr/sbin/dockerd.real
    cat >/usr/sbin/dockerd <<END
#!/bin/sh
case " \$* " in
*--validate*|*--help*|*/dev/null/*) ;;
*fault=on*) $1 ;;
esac
exec /usr/sbin/dockerd.real "\$@"
END
    chmod 755 /usr/sbin/dockerd
}
unwrap() { mv /usr/sbin/dockerd.real /usr/sbin/dockerd; }
# The TLS files that an administrator has made by hand, with a CA of his own.
tls_by_hand() {
    cd /root/faults/pki
    rm -f /etc/docker/server-key.pem /etc/docker/server-cert.pem /etc/docker/ca.pem /etc/docker/server-key.pem.new
    install -m 0640 -o 1 -g 2 hand-key.pem /etc/docker/server-key.pem
    install -m 0604 -o 3 -g 4 hand-server.pem /etc/docker/server-cert.pem
    cat other-ca.pem other-ca.pem >/etc/docker/ca.pem
    touch -d 2021-02-03T04:05:06.789 /etc/docker/*.pem
}
# Another certificate for the same key, put in place by hand with an old time: reissue DAYS-LEFT AGE-IN-DAYS
reissue() { python3 /root/faults/on_host.py reissue "$@"; }
cold_start() {
    systemctl stop docker.socket docker.service 2>/dev/null || true
    systemctl daemon-reload
    systemctl reset-failed docker.service docker.socket 2>/dev/null || true
    systemctl start docker.socket 2>/dev/null || true
    systemctl start --no-block docker.service
}
# What a boot does: /run is empty, systemd reads its units, and starts those that are wanted.
boot() {
    rm /run/docker-remote-api.docker.service.lock
    systemctl stop docker.socket docker.service 2>/dev/null || true
    systemctl daemon-reload
    systemctl reset-failed docker.service docker.socket 2>/dev/null || true
    wanted=$(systemctl show --property=Wants --value multi-user.target | tr ' ' '\n' | grep docker-remote-api || true)
    # At boot these are one transaction. Here each is a job of its own; the order of units counts for existing jobs.
    systemctl start --no-block $wanted docker.socket docker.service
}
reload() { systemctl daemon-reload; }
# drop_in NAME 'SETTINGS, with \\n between them'
drop_in() {
    mkdir -p /etc/systemd/system/docker.service.d
    printf '[Service]\n%b' "$2" >"/etc/systemd/system/docker.service.d/$1.conf"
    reload
}
no_drop_in() { rm -f "/etc/systemd/system/docker.service.d/$1.conf"; reload; }
# Wait until a shell command succeeds, a minute at most.
wait_until() {
    for n in $(seq 600); do
        if eval "$1"; then return; fi
        sleep 0.1
    done
    echo "never came true: $1"
    return 1
}
wait_until_failed() { wait_until 'systemctl is-failed --quiet docker.service'; }
hit_start_limit() {
    for start in 1 2 3 4 5 6; do
        systemctl restart docker.service || true
        systemctl kill -s KILL docker.service || true
        sleep 0.1
    done
    wait_until_failed
}
# The host as it was before the collection ever touched it.
fresh() {
    rm -rf /etc/systemd/system/docker.service.d /etc/docker/daemon.json* /etc/default/docker
    rm -rf /var/lib/docker-remote-api/*
    if [ -e /root/faults/pristine ]; then cp -a /root/faults/pristine /etc/default/docker; fi
}
"""


def set_up(row: dict[str, t.Any]) -> dict[str, bytes | None]:
    """Bring the host to where the row begins; return what it takes to have the row's files back as they were."""
    subprocess.run(["systemctl", "reset-failed", "docker.service", "docker.socket"], capture_output=True, check=False)
    if row["fresh"]:
        shell("fresh")
    if row["absent"]:
        shell("rm -f /etc/docker/*.pem /etc/docker/*.pem.new")
    old = write_files(row["files"])
    if row["tls"] == "by hand":
        shell("tls_by_hand")
    if row["fresh"] or row["tls"] == "by hand":
        shell("cold_start")
        wait_until_up(20)
    if row["absent"]:
        row["pristine"] = snapshot()
    if row["tls"] == "ours":
        done = end_apart(start_apart(row["ours"]))
        if not done["ok"]:
            raise SystemExit(f"the row cannot begin: {done}")
    shell(row["fault"])
    return old


def run_fault(row: dict[str, t.Any]) -> dict[str, t.Any]:
    """Bring a fault about, run, look, take it away, run again, and return all that was seen."""
    began = time.monotonic()
    tls = bool(row["tls"])
    old = set_up(row)
    seen = look("before", tls=tls)
    seen["pristine"] = row.get("pristine")
    try:
        runs = [start_apart(run) for run in row["runs"]]
        seen["results"] = [end_apart(run) for run in runs]
        wait_until_unlocked(60)
        seen["answers"] = answers(row["patience"])
        seen.update(look("after", tls=tls and seen["answers"]))
        if row["boot"]:
            shell("boot")
            seen["started"] = answers(20)
            seen.update(look("booted", tls=tls))
    finally:
        shell(row["undo"])
        if row["restore"]:
            restore_files(old)
    wait_until_up(row["recovery"])
    seen["good"] = end_apart(start_apart(row["good"]))
    seen["again"] = end_apart(start_apart({**row["good"], "mode": {"check": True}}))
    seen["good_answers"] = answers(20)
    seen.update(look("end", tls=tls))
    seen["on_disk"] = certificates.on_disk() if tls else ""
    seen["seconds"] = time.monotonic() - began
    return seen


def set_immutable(path: str, on: bool) -> None:
    """Do what chattr(1) does with +i and -i (ioctl_iflags(2))."""
    with open(path) as file:
        (flags,) = struct.unpack("l", fcntl.ioctl(file, 0x80086601, bytes(8)))
        fcntl.ioctl(file, 0x40086602, struct.pack("l", flags | 16 if on else flags & ~16))


def serve() -> None:
    """Run faults for as long as there are lines with rows on standard input; answer each with a line."""
    for line in sys.stdin:
        print(json.dumps(run_fault(json.loads(line))), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "immutable":
        set_immutable(sys.argv[3], sys.argv[2] == "on")
    elif sys.argv[1] == "reissue":
        certificates.reissue(*map(int, sys.argv[2:]))
    elif sys.argv[1] == "serve":
        serve()
    else:
        print(json.dumps(run_core(json.load(sys.stdin))))
