# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine under the lab: where things lie, locks, commands, control groups."""

from __future__ import annotations

import fcntl
import glob
import ipaddress
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from . import errors

# One lab is enough for a machine, and whatever cannot be shared is named here, once. Where its subnet is taken, or for
# a second lab beside it (the lab's own tests boot one), another number in the environment moves it elsewhere.
NUMBER = os.environ.get("DOCKERFLEET_LAB", "77")
if NUMBER not in map(str, range(1, 255)):
    sys.exit(f"lab: {errors.bad_number(NUMBER)}")
NAME = "dockerfleet-lab" if NUMBER == "77" else f"dockerfleet-{NUMBER}"
SUBNET = ipaddress.IPv4Network(f"10.213.{NUMBER}.0/24")
STATE = Path("/var/lib", NAME)
NETWORK_LOCK = Path(f"/run/{NAME}.network.lock")
# The state of all labs of this machine, whatever their numbers.
STATES = "/var/lib/dockerfleet-*"
INOTIFY_LOCK = Path("/run/dockerfleet.inotify.lock")
INOTIFY_BEFORE = Path("/run/dockerfleet.inotify")
INOTIFY_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_INSTANCES = 4096

PACKAGE_OF = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
    "ssh-keygen": "openssh-client",
    "apt-get": "apt",
}


def cache() -> Path:
    """Return the directory that keeps root file systems from one run to the next."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dockerfleet-remote-api" / "lab"


def require_root() -> None:
    """Raise unless this process is root's."""
    if os.geteuid() != 0:
        raise errors.not_root()


def require(*programs: str) -> None:
    """Raise for the first of the programs that is not on PATH."""
    for program in programs:
        if shutil.which(program) is None:
            raise errors.program_missing(program, PACKAGE_OF[program])


def run(*command: str) -> str:
    """Run a command and return its standard output; raise with what it said when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise errors.command_failed(list(command), done.stderr or done.stdout)
    return done.stdout


def host_lock(name: str) -> Path:
    """Return the path of a host's lock."""
    return Path(f"/run/{NAME}.host-{name}.lock")


@contextmanager
def lock(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock at that path; yield whether it is held (always, when waiting).

    The file goes away with the lock. Whoever waited on a file that was removed meanwhile starts over, so two holders
    never hold different files.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(file)
            yield False
            return
        if _is_at(file, path):
            break
        os.close(file)
    try:
        yield True
    finally:
        path.unlink()
        os.close(file)


def _is_at(file: int, path: Path) -> bool:
    """Return whether the open file is the one that lies at the path now."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(file), there)


def replace_file(path: Path, text: str) -> None:
    """Write a file in one step: whoever reads it meanwhile gets the old text or the new one, never a part of it.

    Two callers must not write the same file at once.
    """
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def entries(directory: Path) -> list[Path]:
    """Return what is in a directory; nothing if it is not there, or goes away meanwhile (Path.glob() would raise)."""
    with suppress(OSError):
        return [directory / name for name in os.listdir(directory)]
    return []


def labs() -> list[Path]:
    """Return the state directories of all labs of this machine."""
    return [Path(found) for found in glob.glob(STATES)]


def raise_inotify_limit() -> None:
    """Let root have enough inotify instances for all hosts of all labs; keep the old limit in a file, if it is changed.

    Each host takes about ten of them, and many kernels allow 128 per user: the next host's D-Bus does not start then.
    The state directory of this lab must exist, so that no other lab that ends sets the limit back.
    """
    with lock(INOTIFY_LOCK):
        old = INOTIFY_LIMIT.read_text(encoding="ascii")
        if int(old) < INOTIFY_INSTANCES:
            replace_file(INOTIFY_BEFORE, old)
            INOTIFY_LIMIT.write_text(str(INOTIFY_INSTANCES), encoding="ascii")


def restore_inotify_limit() -> None:
    """Set the limit of inotify instances back to what it was, if it was changed and this was the last lab."""
    with lock(INOTIFY_LOCK):
        if INOTIFY_BEFORE.exists() and not labs():
            INOTIFY_LIMIT.write_text(INOTIFY_BEFORE.read_text(encoding="ascii"), encoding="ascii")
            INOTIFY_BEFORE.unlink()


def mounts_under(directory: Path) -> list[Path]:
    """Return the mount points at or below a directory, the innermost first."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    points = [Path(line.split()[4]) for line in lines]
    return [point for point in reversed(points) if point.is_relative_to(directory)]


def unmount_under(directory: Path) -> None:
    """Unmount everything at or below a directory; lazily, for a killed host's mounts may still be settling."""
    for point in mounts_under(directory):
        run("umount", "--lazy", str(point))


def hierarchies() -> list[Path]:
    """Return where this machine's control group hierarchies are mounted: one on cgroup v2, many on v1."""
    found: dict[int, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        mount, kind = line.partition(" - ")[::2]
        if kind.split()[0] in ("cgroup", "cgroup2") and mount.split()[3] == "/":
            point = Path(mount.split()[4])
            found.setdefault(point.stat().st_dev, point)
    return list(found.values())


def make_groups(name: str) -> list[Path]:
    """Make a host's own control group in every hierarchy and return them.

    systemd-nspawn always uses the names "payload" and "supervisor" below its own group, so two hosts started from one
    group would share them. A group of its own also tells a host's processes from all others, whatever happened to
    whoever started them.
    """
    groups = []
    for hierarchy in hierarchies():
        for group in (hierarchy / NAME, hierarchy / NAME / name):
            group.mkdir(exist_ok=True)
            if (hierarchy / "cgroup.controllers").exists():
                _pass_controllers_on(group.parent)
            elif (group / "cpuset.cpus").exists():
                _inherit_cpuset(group)
        groups.append(hierarchy / NAME / name)
    return groups


def _pass_controllers_on(parent: Path) -> None:
    """Let the groups below a cgroup v2 group use its controllers, as far as the kernel allows."""
    for controller in (parent / "cgroup.controllers").read_text(encoding="ascii").split():
        with suppress(OSError):
            (parent / "cgroup.subtree_control").write_text(f"+{controller}", encoding="ascii")


def _inherit_cpuset(group: Path) -> None:
    """Give a new cgroup v1 cpuset its parent's processors and memory: without them it takes no process."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (group / name).read_text(encoding="ascii").strip():
            (group / name).write_text((group.parent / name).read_text(encoding="ascii"), encoding="ascii")


def _groups_below(name: str) -> list[Path]:
    """Return a host's control groups in all hierarchies with all groups below them, the innermost first."""
    found: list[Path] = []
    for hierarchy in hierarchies():
        found.extend(Path(walked[0]) for walked in os.walk(hierarchy / NAME / name, topdown=False))
    return found


def processes(name: str) -> set[int]:
    """Return the process ids in a host's control groups."""
    pids: set[int] = set()
    for group in _groups_below(name):
        with suppress(OSError):
            pids.update(int(word) for word in (group / "cgroup.procs").read_text(encoding="ascii").split())
    return pids


def kill(name: str) -> None:
    """End every process of a host and wait until they are gone."""
    deadline = time.monotonic() + 60
    while pids := processes(name):
        if time.monotonic() > deadline:
            raise errors.still_alive(name, sorted(pids))
        for group in _groups_below(name):
            # A frozen process of cgroup v1 (a paused container) does not even take SIGKILL.
            with suppress(OSError):
                if (group / "freezer.state").exists():
                    (group / "freezer.state").write_text("THAWED", encoding="ascii")
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def remove_groups(name: str) -> None:
    """Remove a host's control groups; its processes must have ended."""
    deadline = time.monotonic() + 60
    while groups := _groups_below(name):
        for group in groups:
            with suppress(OSError):
                group.rmdir()
        if time.monotonic() > deadline:
            raise errors.command_failed(["rmdir", *map(str, groups)], "they stay busy")
        time.sleep(0.02)


def remove_top_groups() -> None:
    """Remove the lab's own control groups, once no host is left."""
    for hierarchy in hierarchies():
        with suppress(FileNotFoundError):
            (hierarchy / NAME).rmdir()
