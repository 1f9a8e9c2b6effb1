# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The suites: Debian root file systems with systemd, sshd and a real Docker Engine, made once and kept in the cache."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from . import errors, machine

UNUSED_DAYS = 7
# What stands before a root's name while the root is made, and while it is removed.
BUILDING = "building-"
REMOVING = "removing-"


@dataclass(frozen=True)
class Suite:
    """A Debian release: the engine it brings, the packages that engine is in, and whether it needs cgroup v2.

    ``archive``: packages that its hosts find in /srv/archive, as files.
    """

    engine: str
    packages: tuple[str, ...] = ("docker.io",)
    unified_hierarchy: bool = False
    archive: tuple[str, ...] = ("python3-cryptography",)


SUITES = {
    "bullseye": Suite("20.10.5"),
    "bookworm": Suite("20.10.24"),
    # systemd 256 and later refuse to run on cgroup v1, so the host gets a v2 hierarchy of its own.
    # It can be a controller as well, without anything of Python's package index: an execution environment. Its engine's
    # packages can be installed on bookworm: an upgrade of the engine.
    "trixie": Suite(
        "26.1.5",
        ("docker.io", "docker-cli", "ansible-core", "python3-ansible-runner", "openssh-client"),
        unified_hierarchy=True,
        archive=("python3-cryptography", "docker.io", "docker-cli"),
    ),
    "forky": Suite("28.5.2", ("docker.io", "docker-cli"), unified_hierarchy=True),
}

PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server",
    "python3", "python3-apt", "python3-cryptography", "python3-requests",
    "iproute2", "iptables", "procps", "ca-certificates", "curl", "openssl", "busybox-static",
)  # fmt: skip

# A shell script for the machine, with the root as its argument; PACKAGES are the archive's. What differs between two
# hosts of a suite (name, machine id, keys) is not in the root. Its apt knows a small archive of its own, for a host
# reaches no mirror.
FINISH = r"""
set -eu
cd "$1"
mkdir -p srv/archive root/.ssh
chmod 0700 root/.ssh
chroot . sh -c 'cd /srv/archive && apt-get -o APT::Sandbox::User=root -qq download PACKAGES'
rm -f etc/hostname etc/resolv.conf etc/ssh/ssh_host_* etc/apt/apt.conf.d/99mmdebstrap etc/apt/sources.list.d/*
: > etc/resolv.conf
: > etc/machine-id
for unit in systemd-modules-load.service apt-daily.timer apt-daily-upgrade.timer console-getty.service; do
    ln -s /dev/null "etc/systemd/system/$unit"
done
cd srv/archive
for deb in *.deb; do
    dpkg-deb -f "$deb"
    echo "Filename: ./$deb"
    echo "Size: $(stat -c %s "$deb")"
    echo "SHA256: $(sha256sum "$deb" | cut -d ' ' -f 1)"
    echo
done > Packages
echo 'deb [trusted=yes] file:/srv/archive ./' > ../../etc/apt/sources.list
"""

OPTIONS = (
    "--quiet", "--mode=root", "--format=directory", "--variant=apt", "--components=main",
    "--aptopt=APT::Install-Recommends \"false\"",
    "--aptopt=Acquire::Check-Valid-Until \"false\"",
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
)  # fmt: skip


def recipe(suite: str) -> list[str]:
    """Return mmdebstrap's options for a suite: everything that decides what the root contains, and nothing else."""
    packages = ",".join(PACKAGES + SUITES[suite].packages)
    finish = FINISH.replace("PACKAGES", " ".join(SUITES[suite].archive))
    return [*OPTIONS, f"--include={packages}", f"--customize-hook={finish}", suite]


def root_path(suite: str) -> Path:
    """Return where a suite's root lies once it is made. The name changes with the recipe."""
    digest = hashlib.sha256(json.dumps(recipe(suite)).encode()).hexdigest()[:12]
    return machine.cache() / f"{suite}-{digest}"


def root_lock(root: Path) -> Path:
    """Return the path of the lock that is held by whoever makes or removes a root, and for as long as that takes."""
    return root.with_name(f"{root.name}.lock")


def mirror() -> str:
    """Return the URI of the Debian mirror this machine's own apt uses.

    apt itself reads its files, of either style, and says what it would download first; nothing is downloaded for that.
    """
    uri = re.compile(r"'(?P<site>[^']+)/dists/(?P<suite>[^']+)/InRelease'")
    debian = re.compile(r"bullseye|bookworm|trixie|forky|sid|(old)*stable|testing|unstable")
    seen = []
    for line in machine.run("apt-get", "update", "--print-uris").splitlines():
        if found := uri.match(line):
            if debian.fullmatch(found["suite"]):
                return found["site"]
            seen.append(found["suite"])
    raise errors.no_mirror(sorted(set(seen)))


def proxies() -> list[str]:
    """Return mmdebstrap's options that hand on the proxies of this machine's apt."""
    lines = machine.run("apt-config", "dump").splitlines()
    kept = re.compile(r"Acquire::https?::([^ ]+::)?(Proxy|Proxy-Auto-Detect|CAInfo)(::[^ ]+)? ", re.IGNORECASE)
    return [f"--aptopt={line}" for line in lines if kept.match(line)]


def make_root(suite: str) -> Path:
    """Return a suite's root, which is made first if it is not there yet. Two callers never make the same one."""
    root = root_path(suite)
    root.parent.mkdir(parents=True, exist_ok=True)
    with machine.lock(root_lock(root)):
        if not root.exists():
            machine.require("mmdebstrap", "setpriv", "unshare", "apt-get")
            _build(suite, root)
        os.utime(root)
    return root


def _build(suite: str, root: Path) -> None:
    """Make a root beside its place and move it there whole, so that a killed build never looks like a finished one.

    mmdebstrap runs in a mount and process namespace of its own: its mounts and processes end with this command.
    """
    source = mirror()
    building = root.with_name(f"{BUILDING}{root.name}")
    _discard(building)
    print(f"suite {suite}: making its root file system from {source} (once, about half a minute)", flush=True)
    started = time.monotonic()
    *options, name = recipe(suite)
    isolated = ["setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = [*isolated, "mmdebstrap", *options, *proxies(), name, str(building), source]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        _discard(building)
        said = [line for line in done.stderr.splitlines() if line.startswith("E: ")]
        raise errors.build_failed(suite, source, " | ".join(said[:3]))
    building.chmod(0o755)
    building.rename(root)
    print(f"suite {suite}: root file system made in {time.monotonic() - started:.0f} s", flush=True)


def prune(in_use: Callable[[], set[Path]]) -> None:
    """Remove what killed commands left in the cache, and roots of other recipes that nobody has used for some days.

    A root or a build whose lock somebody holds is left alone. in_use returns the roots that hosts use; it is asked, and
    the time of the last use is read, while the lock is held.
    """
    for path in machine.cache().glob("*-*"):
        if path.name.startswith(REMOVING):
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_dir():
            root = path.with_name(path.name.removeprefix(BUILDING))
            with machine.lock(root_lock(root), wait=False) as held:
                if held and path.exists() and (path != root or _is_unused(root, in_use())):
                    _discard(path)


def _is_unused(root: Path, in_use: set[Path]) -> bool:
    """Return whether a root is of another recipe than today's and neither a host nor a command has used it lately."""
    current = {root_path(suite) for suite in SUITES}
    return root not in current | in_use and root.stat().st_mtime < time.time() - UNUSED_DAYS * 86400


def _discard(path: Path) -> None:
    """Remove a root or what there is of one, if anything; its lock must be held.

    It is moved away first. So its place is free at once, even when the last process of a killed build still writes to
    it, and a removal that is killed leaves nothing that looks like a root; prune() removes the rest.
    """
    away = path.with_name(f"{REMOVING}{uuid.uuid4().hex}")
    with suppress(FileNotFoundError):
        path.rename(away)
        shutil.rmtree(away, ignore_errors=True)
