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


# RHEL and openSUSE start the daemon without a socket unit of systemd's.
NO_SOCKET = ("etc/default/docker", UNIT, SOCKET, "etc/systemd/system/sockets.target.wants/docker.socket")
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
    # docker.io of Ubuntu takes the unit from moby's contrib/init/systemd/docker.service, and /etc/default/docker, which
    # this unit does not read, from its contrib/init/sysvinit-debian/docker.default.
    "ubuntu": Variant(
        "Ubuntu's docker.io: upstream's unit, and an /etc/default/docker that it does not read",
        remove=("etc/default/docker", UNIT),
        files={
            UNIT: _unit(f"ExecStart=/usr/bin/dockerd -H fd:// {CONTAINERD}"),
            "etc/default/docker": "# For SysVinit. This file does not apply to systemd.\n\n"
            '#DOCKERD="/usr/local/bin/dockerd"\n#DOCKER_OPTS="--dns 8.8.8.8 --dns 8.8.4.4"\n'
            '#export http_proxy="http://127.0.0.1:3128/"\n#export DOCKER_TMPDIR="/mnt/bigdrive/docker-tmp"\n',
        },
        links=USR_BIN_DOCKERD,
    ),
    # docker-1.13.1 of RHEL and CentOS 7, as "systemctl cat docker" there shows it. Left out: docker-cleanup.timer and
    # docker-storage-setup, which are no part of the daemon, and --signature-verification, which no other engine knows.
    "rhel": Variant(
        "RHEL's docker: dockerd-current, no -H, no socket unit, and four environment files",
        remove=NO_SOCKET,
        files={
            UNIT: _unit(
                "NotifyAccess=all\n"
                "EnvironmentFile=-/run/containers/registries.conf\nEnvironmentFile=-/etc/sysconfig/docker\n"
                "EnvironmentFile=-/etc/sysconfig/docker-storage\nEnvironmentFile=-/etc/sysconfig/docker-network\n"
                "Environment=GOTRACEBACK=crash\nEnvironment=DOCKER_HTTP_HOST_COMPAT=1\n"
                "Environment=PATH=/usr/libexec/docker:/usr/bin:/usr/sbin\n"
                "ExecStart=/usr/bin/dockerd-current \\\n"
                "          --add-runtime docker-runc=/usr/libexec/docker/docker-runc-current \\\n"
                "          --default-runtime=docker-runc \\\n"
                "          --exec-opt native.cgroupdriver=systemd \\\n"
                "          --userland-proxy-path=/usr/libexec/docker/docker-proxy-current \\\n"
                "          $OPTIONS \\\n          $DOCKER_STORAGE_OPTIONS \\\n          $DOCKER_NETWORK_OPTIONS \\\n"
                "          $ADD_REGISTRY \\\n          $BLOCK_REGISTRY \\\n          $INSECURE_REGISTRY \\\n"
                "          $REGISTRIES",
                socket=False,
            ),
            "etc/sysconfig/docker": "# /etc/sysconfig/docker\n\nOPTIONS='--selinux-enabled --log-driver=journald'\n"
            'if [ -z "${DOCKER_CERT_PATH}" ]; then\n    DOCKER_CERT_PATH=/etc/docker\nfi\n',
            "etc/sysconfig/docker-storage": 'DOCKER_STORAGE_OPTIONS="--storage-driver overlay2 "\n',
            "etc/sysconfig/docker-network": "# /etc/sysconfig/docker-network\nDOCKER_NETWORK_OPTIONS=\n",
        },
        links={
            "usr/bin/dockerd-current": "../sbin/dockerd",
            "usr/libexec/docker/docker-runc-current": "../../sbin/runc",
            "usr/libexec/docker/docker-proxy-current": "../../sbin/docker-proxy",
        },
    ),
    # docker 20.10 to 25 of Amazon Linux 2 and 2023, as systemctl and /etc/sysconfig/docker there show it.
    "amazon": Variant(
        "Amazon Linux: /etc/sysconfig/docker and $OPTIONS beside two more files, programs before the start",
        remove=("etc/default/docker", UNIT),
        files={
            UNIT: _unit(
                "EnvironmentFile=-/etc/sysconfig/docker\nEnvironmentFile=-/etc/sysconfig/docker-storage\n"
                "EnvironmentFile=-/run/docker/runtimes.env\nExecStartPre=/bin/mkdir -p /run/docker\n"
                "ExecStartPre=/usr/libexec/docker/docker-setup-runtimes.sh\n"
                f"ExecStart=/usr/bin/dockerd -H fd:// {CONTAINERD} "
                "$OPTIONS $DOCKER_STORAGE_OPTIONS $DOCKER_ADD_RUNTIMES"
            ),
            "etc/sysconfig/docker": "# Open files of the daemon and all containers.\nDAEMON_MAXFILES=1048576\n\n"
            '# OPTIONS="--ip-forward=true --iptables=true"\nOPTIONS="--default-ulimit nofile=32768:65536"\n\n'
            "# For the sysvinit script, in seconds.\nDAEMON_PIDFILE_TIMEOUT=10\n",
            "etc/sysconfig/docker-storage": "DOCKER_STORAGE_OPTIONS=\n",
        },
        # What the package's own script does: it writes the runtimes that it finds, here none.
        links={**USR_BIN_DOCKERD, "usr/libexec/docker/docker-setup-runtimes.sh": "../../bin/true"},
    ),
    "sysconfig": Variant(
        "Fedora's way: /etc/sysconfig/docker and $OPTIONS over several lines",
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
    # docker of openSUSE Leap 15 and Tumbleweed, as build.opensuse.org has its docker.service and sysconfig.docker.
    "opensuse": Variant(
        "openSUSE's way: no -H, no socket unit, /etc/sysconfig/docker and $DOCKER_OPTS",
        remove=NO_SOCKET,
        files={
            UNIT: _unit(
                "EnvironmentFile=/etc/sysconfig/docker\n"
                "ExecStart=/usr/bin/dockerd --add-runtime oci=/usr/sbin/runc $DOCKER_NETWORK_OPTIONS $DOCKER_OPTS",
                socket=False,
            ),
            "etc/sysconfig/docker": "## Path           : System/Management\n## Type           : string\n"
            '## Default        : ""\n## ServiceRestart : docker\n#\nDOCKER_OPTS=""\n\nDOCKER_NETWORK_OPTIONS=""\n',
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
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).symlink_to(target)
    if variant.command:
        command = ["chroot", str(root), *variant.command]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise errors.command_failed(command, done.stderr or done.stdout)
