# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variants: how Docker is installed on a host. Each is a few files over a suite's root."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import errors

UNIT = "lib/systemd/system/docker.service"
SOCKET = "lib/systemd/system/docker.socket"


@dataclass(frozen=True)
class Variant:
    """What to change in a root: files to remove, files to write, links to make, a command to run inside, in that order.

    Paths are relative to the root. docker tells whether an engine has to answer on a ready host; init, whether the host
    runs something else than systemd as its first process.
    """

    says: str
    remove: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    docker: bool = True
    init: str = ""


def _unit(service: str, *, socket: bool = True) -> str:
    """Return a docker.service with the given lines in its [Service] section, around what all packagers share."""
    wants = "docker.socket containerd.service" if socket else "containerd.service"
    return f"""[Unit]
Description=Docker Application Container Engine
After=network-online.target {wants}
Wants=network-online.target containerd.service
{"Requires=docker.socket" if socket else ""}
StartLimitBurst=3
StartLimitIntervalSec=60s

[Service]
Type=notify
{service.strip()}
ExecReload=/bin/kill -s HUP $MAINPID
TimeoutStartSec=0
Restart=always
RestartSec=2
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
Delegate=yes
KillMode=process
OOMScoreAdjust=-500

[Install]
WantedBy=multi-user.target
"""


USR_BIN_DOCKERD = {"usr/bin/dockerd": "../sbin/dockerd"}
CONTAINERD = "--containerd=/run/containerd/containerd.sock"

VARIANTS = {
    "docker-io": Variant("Debian's unit: /etc/default/docker and $DOCKER_OPTS"),
    "docker-ce": Variant(
        "Docker's own packages: no environment file, no variable",
        remove=("etc/default/docker", UNIT),
        files={UNIT: _unit(f"ExecStart=/usr/bin/dockerd -H fd:// {CONTAINERD}")},
        links=USR_BIN_DOCKERD,
    ),
    "sysconfig": Variant(
        "Fedora's and Amazon's way: /etc/sysconfig/docker and $OPTIONS over several lines",
        remove=("etc/default/docker", UNIT),
        files={
            UNIT: _unit(
                "EnvironmentFile=-/etc/sysconfig/docker\n"
                f"ExecStart=/usr/bin/dockerd -H fd:// {CONTAINERD} "
                "$OPTIONS $DOCKER_STORAGE_OPTIONS $DOCKER_ADD_RUNTIMES"
            ),
            "etc/sysconfig/docker": '# Options of the engine\nOPTIONS="--log-driver=journald \\\n--live-restore"\n',
        },
        links=USR_BIN_DOCKERD,
    ),
    "opensuse": Variant(
        "openSUSE's way: no -H, no socket unit, /etc/sysconfig/docker and $DOCKER_OPTS",
        remove=("etc/default/docker", UNIT, SOCKET, "etc/systemd/system/sockets.target.wants/docker.socket"),
        files={
            UNIT: _unit(
                "EnvironmentFile=/etc/sysconfig/docker\n"
                "ExecStart=/usr/bin/dockerd --add-runtime oci=/usr/sbin/runc $DOCKER_NETWORK_OPTIONS $DOCKER_OPTS",
                socket=False,
            ),
            "etc/sysconfig/docker": 'DOCKER_OPTS=""\n\nDOCKER_NETWORK_OPTIONS=""\n',
        },
        links=USR_BIN_DOCKERD,
    ),
    "no-docker": Variant(
        "no engine at all",
        remove=("etc/default/docker", "etc/init.d/docker", UNIT, SOCKET, "usr/sbin/dockerd", "usr/bin/docker")
        + tuple(
            f"etc/systemd/system/{target}.target.wants/docker.{kind}"
            for target, kind in (("multi-user", "service"), ("sockets", "socket"))
        ),
        docker=False,
    ),  # fmt: skip
    "no-cryptography": Variant(
        "Debian's unit, without python3-cryptography (its apt can install it)",
        command=("dpkg", "--purge", "--force-depends", "python3-cryptography"),
    ),
    "no-systemd": Variant(
        "sshd is the first process: neither systemd nor an engine runs",
        docker=False,
        init="/usr/sbin/lab-setup && mkdir -p /run/sshd && exec /usr/sbin/sshd -D",
    ),
}


def apply(variant: Variant, root: Path) -> None:
    """Change a host's root, seen from outside, into the variant."""
    for path in variant.remove:
        (root / path).unlink(missing_ok=True)
    for path, text in variant.files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    for path, target in variant.links.items():
        if not (root / path).exists():
            (root / path).symlink_to(target)
    if variant.command:
        command = ["chroot", str(root), *variant.command]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise errors.command_failed(command, done.stderr or done.stdout)
