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
from dataclasses import dataclass
from pathlib import Path

from . import errors, machine

UNUSED_DAYS = 7


@dataclass(frozen=True)
class Suite:
    """A Debian release: the engine it brings, the packages that engine is in, and whether it needs cgroup v2."""

    engine: str
    packages: tuple[str, ...] = ("docker.io",)
    unified_hierarchy: bool = False


SUITES = {
    "bullseye": Suite("20.10.5"),
    "bookworm": Suite("20.10.24"),
    # systemd 256 and later refuse to run on cgroup v1, so the host gets a v2 hierarchy of its own.
    "trixie": Suite("26.1.5", ("docker.io", "docker-cli"), unified_hierarchy=True),
    "forky": Suite("28.5.2", ("docker.io", "docker-cli"), unified_hierarchy=True),
}

PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server",
    "python3", "python3-apt", "python3-cryptography", "python3-requests",
    "iproute2", "iptables", "procps", "ca-certificates", "curl", "openssl", "busybox-static",
)  # fmt: skip

# A shell script for the machine, with the root as its argument. What differs between two hosts of a suite (name,
# machine id, keys) is not in the root. Its apt knows a small archive of its own, for a host reaches no mirror.
FINISH = r"""
set -eu
cd "$1"
mkdir -p srv/archive root/.ssh
chmod 0700 root/.ssh
chroot . sh -c 'cd /srv/archive && apt-get -o APT::Sandbox::User=root -qq download python3-cryptography'
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
    return [*OPTIONS, f"--include={packages}", f"--customize-hook={FINISH}", suite]


def root_path(suite: str) -> Path:
    """Return where a suite's root lies once it is made. The name changes with the recipe."""
    digest = hashlib.sha256(json.dumps(recipe(suite)).encode()).hexdigest()[:12]
    return machine.cache() / f"{suite}-{digest}"


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
    with machine.lock(root.with_name(f"{root.name}.lock")):
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
    building = root.parent / f"building-{root.name}"
    if building.exists():
        shutil.rmtree(building)
    print(f"suite {suite}: making its root file system from {source} (once, about half a minute)", flush=True)
    started = time.monotonic()
    *options, name = recipe(suite)
    isolated = ["setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = [*isolated, "mmdebstrap", *options, *proxies(), name, str(building), source]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        shutil.rmtree(building, ignore_errors=True)
        said = [line for line in done.stderr.splitlines() if line.startswith("E: ")]
        raise errors.build_failed(suite, source, " | ".join(said[:3]))
    building.chmod(0o755)
    building.rename(root)
    print(f"suite {suite}: root file system made in {time.monotonic() - started:.0f} s", flush=True)


def prune(in_use: set[Path]) -> None:
    """Remove roots of other recipes that no host uses and nobody has used for some days."""
    current = {root_path(suite) for suite in SUITES}
    limit = time.time() - UNUSED_DAYS * 86400
    for root in machine.cache().glob("*-*"):
        building = root.name.startswith("building-")
        if root.is_dir() and not building and root not in current | in_use and root.stat().st_mtime < limit:
            shutil.rmtree(root)
