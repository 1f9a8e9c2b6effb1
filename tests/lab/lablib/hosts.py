# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts: booting, waiting, taking down. A host is one directory below the lab's state, and one control group."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from . import errors, machine, suites, variants

# In seconds; on an idle machine a host is ready after two or three.
READY_WITHIN = 240
PROGRAMS = ("systemd-nspawn", "ip", "nsenter", "mount", "ssh-keygen")
HOSTS = machine.STATE / "hosts"
CLIENT_KEY = machine.STATE / "id_ed25519"
HOST_KEY = machine.STATE / "ssh_host_ed25519_key"
KNOWN_HOSTS = machine.STATE / "known_hosts"

# Joins the host's control groups, then boots it, again after each reboot (systemd-nspawn ends with 133 then).
LAUNCH = """
while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done
shift
while :; do
    "$@"
    [ $? -eq 133 ] || exit
done
"""

# Runs on the host before anything of it that matters. On cgroup v1, systemd-nspawn mounts the controllers read-only,
# and then no container starts.
SETUP = """#!/bin/sh
set -e
ip link set host0 up
ip address add {address} dev host0
for directory in /sys/fs/cgroup/*; do
    if mountpoint -q "$directory"; then mount -o remount,rw,bind "$directory"; fi
done
"""
SETUP_UNIT = """[Unit]
Description=Address and control groups of a lab host
DefaultDependencies=no
Before=basic.target network-pre.target
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/lab-setup
"""


# The kernel's own file systems cannot be mounted from inside; newer releases of systemd count that as a failure.
MASKED = ("dev-hugepages.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount")


@dataclass(frozen=True)
class Host:
    """A host that has a place in the lab, running or not: its name, its kind, its number, the root it came from."""

    name: str
    suite: str
    variant: str
    number: int
    root: str

    @property
    def address(self) -> str:
        """The host's IPv4 address."""
        return str(machine.SUBNET[self.number])

    @property
    def kind(self) -> str:
        """The host's suite and variant, as on the command line."""
        return f"{self.suite}/{self.variant}"

    @property
    def machine_name(self) -> str:
        """The name systemd-nspawn knows it by. Short, because the name of a network interface is made from it."""
        return f"lab{machine.NUMBER}-{self.number}"

    @property
    def directory(self) -> Path:
        """Everything of this host on disk."""
        return HOSTS / self.name

    @property
    def ready_file(self) -> Path:
        """There once the host was ready for the first time."""
        return self.directory / "ready"

    @property
    def control_path(self) -> str:
        """Where ssh keeps its shared connections, in Ansible's notation; they must not outlive the host."""
        return f"{self.directory}/ssh-%%r"


def all_hosts(state: Path = machine.STATE) -> dict[str, Host]:
    """Return the hosts that have a place in a lab, by name; without a state directory, in this lab."""
    found = {}
    for file in sorted(path / "host.json" for path in machine.entries(state / "hosts")):
        with suppress(FileNotFoundError):
            host = Host(**json.loads(file.read_text(encoding="utf-8")))
            found[host.name] = host
    return found


def roots_in_use() -> set[Path]:
    """Return the root file systems that hosts of any lab on this machine use: the labs share them."""
    return {Path(host.root) for state in machine.labs() for host in all_hosts(state).values()}


def leader(name: str) -> int | None:
    """Return the process id of a host's first process, or None when it does not run.

    It is looked for in the host's control group. So no other process can be taken for it, and one that was left by a
    killed command is found all the same.
    """
    depth = len(_namespace_ids(os.getpid())) + 1
    for pid in machine.processes(name):
        ids = _namespace_ids(pid)
        if len(ids) == depth and ids[-1] == 1:
            return pid
    return None


def is_up(host: Host) -> bool:
    """Return whether a host's boot was seen to its end and it runs since then; it may be rebooting."""
    return host.ready_file.exists() and bool(machine.processes(host.name))


def _namespace_ids(pid: int) -> list[int]:
    """Return a process's ids in its process namespaces, the outermost first; nothing for one that has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("NSpid:"):
                return [int(word) for word in line.split()[1:]]
    return []


def up(name: str, suite: str, variant: str, root: Path) -> Host:
    """Return the host of that name, booted and ready. What is left of a dead one is cleared away first."""
    with machine.lock(machine.host_lock(name)):
        host = all_hosts().get(name)
        if host and is_up(host):
            if (host.suite, host.variant) != (suite, variant):
                raise errors.other_kind(name, host.kind, f"{suite}/{variant}")
            return host
        _clear(name)
        host = _reserve(name, suite, variant, root)
        try:
            _boot(host)
        except BaseException:
            _clear(name)
            _close()
            raise
        return host


def down(name: str) -> None:
    """Take a host down and remove every trace of it."""
    with machine.lock(machine.host_lock(name)):
        _clear(name)
    _close()


def sweep() -> None:
    """Clear away hosts that died or whose boot was killed; those another command is busy with are left to it."""
    names = {path.name for path in machine.entries(HOSTS)}
    for hierarchy in machine.hierarchies():
        names |= {path.name for path in machine.entries(hierarchy / machine.NAME) if path.is_dir()}
    for name in names:
        with machine.lock(machine.host_lock(name), wait=False) as held:
            host = all_hosts().get(name)
            if held and not (host and is_up(host)):
                _clear(name)
    _close()


def _reserve(name: str, suite: str, variant: str, root: Path) -> Host:
    """Give a host its number and its directory, and see to the bridge and the keys that all hosts share."""
    with machine.lock(machine.NETWORK_LOCK):
        _open()
        taken = {host.number for host in all_hosts().values()}
        number = next((n for n in range(2, machine.SUBNET.num_addresses - 1) if n not in taken), None)
        if number is None:
            raise errors.no_address_left()
        host = Host(name, suite, variant, number, str(root))
        for part in ("upper", "work", "merged", "docker", "containerd"):
            (host.directory / part).mkdir(parents=True)
        machine.replace_file(host.directory / "host.json", json.dumps(asdict(host)))
        return host


def _open() -> None:
    """Make the bridge and the keys, as far as they are missing."""
    HOSTS.mkdir(parents=True, exist_ok=True)
    machine.STATE.chmod(0o700)
    machine.raise_inotify_limit()
    for key in (CLIENT_KEY, HOST_KEY):
        if not key.with_name(f"{key.name}.pub").exists():
            _make_key(key)
    kind, key_text = HOST_KEY.with_name(f"{HOST_KEY.name}.pub").read_text(encoding="ascii").split()[:2]
    every_address = f"{machine.SUBNET.network_address}".rpartition(".")[0] + ".*"
    machine.replace_file(KNOWN_HOSTS, f"{every_address} {kind} {key_text}\n")
    if not Path("/sys/class/net", machine.NAME).exists():
        machine.run("ip", "link", "add", machine.NAME, "type", "bridge")
    own = f"{machine.SUBNET[1]}/{machine.SUBNET.prefixlen}"
    machine.run("ip", "address", "replace", own, "dev", machine.NAME)
    machine.run("ip", "link", "set", machine.NAME, "up")


def _make_key(key: Path) -> None:
    """Make a key pair for ssh. The public key is moved to its place last, so a pair that has it is whole."""
    new = key.with_name("new-key")
    new.unlink(missing_ok=True)
    machine.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "dockerfleet-lab", "-f", str(new))
    new.replace(key)
    new.with_name(f"{new.name}.pub").replace(key.with_name(f"{key.name}.pub"))


def _close() -> None:
    """Remove what all hosts share, if no host is left."""
    with machine.lock(machine.NETWORK_LOCK):
        if machine.entries(HOSTS):
            return
        if Path("/sys/class/net", machine.NAME).exists():
            machine.run("ip", "link", "delete", machine.NAME)
        machine.remove_top_groups()
        _remove(machine.STATE)
        machine.restore_inotify_limit()


def _clear(name: str) -> None:
    """End a host's processes and remove its mounts, its groups and its files, however much of each there is."""
    machine.kill(name)
    directory = HOSTS / name
    for control in directory.glob("ssh-*"):
        end = ["ssh", "-o", f"ControlPath={control}", "-O", "exit", "lab"]
        with suppress(subprocess.TimeoutExpired):  # what it was connected to is dead: it ends by itself, if late
            subprocess.run(end, capture_output=True, timeout=10, check=False)
    _clear_after_nspawn(name)
    machine.unmount_under(directory)
    machine.remove_groups(name)
    _remove(directory)


def _remove(directory: Path) -> None:
    """Remove a directory, if it is there. An ssh that ends may remove its socket from it meanwhile."""
    with suppress(FileNotFoundError):
        shutil.rmtree(directory)
    if directory.exists():
        shutil.rmtree(directory)


def _clear_after_nspawn(name: str) -> None:
    """Remove what systemd-nspawn leaves in /run when it is killed: a host's directories, and the lock of its root."""
    host = all_hosts().get(name)
    if host is None:
        return
    for kind in ("propagate", "unix-export"):
        left = Path("/run/systemd/nspawn", kind, host.machine_name)
        machine.unmount_under(left)
        with suppress(FileNotFoundError):
            left.rmdir()
    with suppress(FileNotFoundError):  # a command that was killed may have removed a part of the host
        root = (host.directory / "merged").stat()
        Path(f"/run/systemd/nspawn/locks/inode-{root.st_dev}:{root.st_ino}").unlink()


def _boot(host: Host) -> None:
    """Mount a host's root, write what makes it this host, start it, and wait until it is ready."""
    directory = host.directory
    layers = f"lowerdir={host.root},upperdir={directory}/upper,workdir={directory}/work,volatile"
    merged = directory / "merged"
    machine.run("mount", "-t", "overlay", "-o", layers, "dockerfleet-lab", str(merged))
    variant = variants.VARIANTS[host.variant]
    variants.apply(variant, merged)
    _personalize(host, merged)
    command = [
        "systemd-nspawn", "--quiet", f"--directory={merged}", f"--machine={host.machine_name}",
        f"--hostname={host.name}", "--register=no", "--keep-unit", "--capability=all", "--private-users=no",
        f"--network-bridge={machine.NAME}", "--resolv-conf=off", "--timezone=off", "--link-journal=no",
        "--system-call-filter=@keyring bpf",
        f"--bind={directory}/docker:/var/lib/docker", f"--bind={directory}/containerd:/var/lib/containerd",
    ]  # fmt: skip
    command += ["--as-pid2", "/bin/sh", "-c", variant.init] if variant.init else ["--boot"]
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    if suites.SUITES[host.suite].unified_hierarchy:
        environment["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] = "1"
    groups = [str(group) for group in machine.make_groups(host.name)]
    with (directory / "console.log").open("wb") as console:
        launched = subprocess.Popen(
            ["/bin/sh", "-c", LAUNCH, "launch", *groups, "--", *command],
            stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
            env=environment, cwd="/", start_new_session=True,
        )  # fmt: skip
    _wait(host, launched)
    host.ready_file.touch()


def _personalize(host: Host, root: Path) -> None:
    """Write a host's name, keys and address into its root."""
    texts = {
        "etc/hostname": f"{host.name}\n",
        "etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {host.name}\n::1 localhost ip6-localhost ip6-loopback\n",
        "etc/machine-id": f"{uuid.uuid4().hex}\n",
        "root/.ssh/authorized_keys": CLIENT_KEY.with_name(f"{CLIENT_KEY.name}.pub").read_text(encoding="ascii"),
        "etc/ssh/ssh_host_ed25519_key": HOST_KEY.read_text(encoding="ascii"),
        "usr/sbin/lab-setup": SETUP.format(address=f"{host.address}/{machine.SUBNET.prefixlen}"),
        "etc/systemd/system/lab-setup.service": SETUP_UNIT,
    }
    modes = {"etc/ssh/ssh_host_ed25519_key": 0o600, "root/.ssh/authorized_keys": 0o600, "usr/sbin/lab-setup": 0o755}
    for path, text in texts.items():
        (root / path).write_text(text, encoding="ascii")
        (root / path).chmod(modes.get(path, 0o644))
    for unit in MASKED:
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    wants = root / "etc/systemd/system/basic.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "lab-setup.service").symlink_to("../lab-setup.service")


def _wait(host: Host, launched: subprocess.Popen[bytes]) -> None:
    """Wait until a host is ready: systemd says so, sshd greets, and the engine answers on its socket."""
    variant = variants.VARIANTS[host.variant]
    deadline = time.monotonic() + READY_WITHIN
    missing = ["its first process", "systemd", "sshd", "the engine"]
    checks = [
        lambda: leader(host.name) is not None,
        lambda: bool(variant.init) or _systemd_runs(host, deadline - time.monotonic()),
        lambda: _sshd_greets(host),
        lambda: not variant.docker or _engine_answers(host),
    ]
    while checks:
        if checks[0]():
            del checks[0], missing[0]
            continue
        if launched.poll() is not None:
            raise errors.boot_failed(host.name, f"its machine ended with code {launched.returncode}", _console(host))
        if time.monotonic() > deadline:
            raise errors.boot_failed(host.name, f"{missing[0]} was not ready within {READY_WITHIN} s", _console(host))
        time.sleep(0.03)


def _console(host: Host) -> str:
    """Return the last lines of a host's console."""
    log = (host.directory / "console.log").read_text(encoding="utf-8", errors="replace")
    return " | ".join(line.strip() for line in log.splitlines()[-8:])


def _systemd_runs(host: Host, seconds: float) -> bool:
    """Return whether a host has finished booting, after at most so many seconds; raise if a unit of it failed."""
    ask = enter(host.name, "timeout", f"{max(seconds, 1):.0f}", "systemctl", "is-system-running", "--wait")
    state = subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()
    if state == "degraded":
        ask = enter(host.name, "systemctl", "list-units", "--failed", "--plain", "--no-legend")
        failed = subprocess.run(ask, capture_output=True, text=True, check=False).stdout
        raise errors.boot_failed(host.name, f"units failed: {' '.join(failed.split())}", _console(host))
    return state == "running"


def _sshd_greets(host: Host) -> bool:
    """Return whether a host's sshd answers."""
    try:
        with socket.create_connection((host.address, 22), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _engine_answers(host: Host) -> bool:
    """Return whether the engine answers on a host's socket, which can be reached through its first process's root."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        try:
            connection.connect(f"/proc/{leader(host.name)}/root/run/docker.sock")
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: lab\r\n\r\n")
            return b" 200 " in connection.recv(64)
        except OSError:
            return False


def enter(name: str, *command: str) -> list[str]:
    """Return the command line that runs a command on a host, with a clean environment, in root's home."""
    first = leader(name)
    if first is None:
        raise errors.not_running(name)
    environment = [
        "HOME=/root", "USER=root", "LANG=C.UTF-8", f"TERM={os.environ.get('TERM', 'dumb')}",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ]  # fmt: skip
    return [
        "nsenter",
        f"--target={first}",
        "--all",
        "--",
        "/usr/bin/env",
        "-i",
        "--chdir=/root",
        *environment,
        *command,
    ]


def inventory(hosts: list[Host]) -> dict[str, object]:
    """Return an Ansible inventory of the hosts, in the form of its YAML and JSON files."""
    ssh = "-o IdentitiesOnly=yes -o StrictHostKeyChecking=yes"
    shared = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(CLIENT_KEY),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={KNOWN_HOSTS} -o GlobalKnownHostsFile=/dev/null {ssh}",
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    each = {host.name: {"ansible_host": host.address, "ansible_control_path": host.control_path} for host in hosts}
    return {"docker_hosts": {"hosts": each, "vars": shared}}
