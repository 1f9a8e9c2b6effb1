# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests on real hosts work with: hosts of the lab, and Ansible runs on them."""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
LAB = CHECKOUT / "tests/lab/lab"
IMAGE = "lab/busybox:1"

# A container image without any registry: one static program under all its names.
MAKE_IMAGE = f"""
set -e
directory=$(mktemp -d)
mkdir -p "$directory/bin"
cp /bin/busybox "$directory/bin/"
for name in $(/bin/busybox --list); do [ -e "$directory/bin/$name" ] || ln -s busybox "$directory/bin/$name"; done
tar -C "$directory" -c . | docker import -c 'CMD ["sleep", "3600"]' - {IMAGE}
rm -r "$directory"
"""


def run(
    *command: str | Path,
    check: bool = True,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """Run a program and return what it said; with check, a failure raises an error that shows it."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True, text=True, errors="replace", check=False, env=env, cwd=cwd, timeout=timeout,
    )  # fmt: skip
    if check and done.returncode != 0:
        raise AssertionError(f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


@dataclass(frozen=True)
class Entrance:
    """How to run programs on a host while its first process is the one that started at that time."""

    command: list[str]
    leader: str
    started: str

    @classmethod
    def parse(cls, command: list[str]) -> Entrance:
        """Return the entrance for a command line of the lab's."""
        (leader,) = (word.partition("=")[2] for word in command if word.startswith("--target="))
        return cls(command, leader, _started(leader))

    def holds(self) -> bool:
        """Return whether the host's first process is still the one it was."""
        return self.started != "" and _started(self.leader) == self.started


# Asking the lab takes longer than most of what the tests run on hosts, so its answers are kept: inventories as JSON,
# by the hosts' names, for as long as this process neither makes a host nor takes one down.
_ENTRANCES: dict[str, Entrance] = {}
_INVENTORIES: dict[tuple[str, ...], str] = {}


def _started(pid: str) -> str:
    """Return when a process started, in clock ticks since the boot (proc_pid_stat(5)), or "" if it ended."""
    try:
        fields = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


@dataclass(frozen=True)
class Host:
    """A running host of the lab. name is its name in inventories."""

    name: str
    suite: str
    variant: str
    address: str

    def exec(
        self, *command: str, check: bool = True, stdin: str | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on the host as root."""
        entered = _ENTRANCES.get(self.name)
        if entered is None or not entered.holds():
            done = run(LAB, "enter", self.name, check=check)
            if done.returncode != 0:
                return done
            entered = _ENTRANCES[self.name] = Entrance.parse(json.loads(done.stdout))
        return run(*entered.command, *command, check=check, stdin=stdin, timeout=timeout)

    def sh(self, script: str, *, check: bool = True) -> str:
        """Run a shell script on the host and return its standard output, without the white space around it."""
        return self.exec("sh", "-c", script, check=check).stdout.strip()

    def read(self, path: str) -> str:
        """Return the text of a file on the host."""
        return self.exec("cat", path).stdout

    def write(self, path: str, text: str) -> None:
        """Write a file on the host, and the directories above it."""
        self.exec("sh", "-c", 'mkdir -p "$(dirname "$1")" && cat > "$1"', "sh", path, stdin=text)

    def make_image(self) -> str:
        """Make a small container image on the host and return its name."""
        self.exec("sh", "-c", MAKE_IMAGE)
        return IMAGE

    def argv(self) -> list[str]:
        """Return the command line of the engine that runs on the host, as the kernel has it."""
        pid = self.sh("systemctl show --property MainPID --value docker.service")
        return self.exec("cat", f"/proc/{pid}/cmdline").stdout.split("\0")[:-1]

    def starts(self) -> str:
        """Return a text that differs after each start of the engine, and stays the same otherwise."""
        return self.sh("systemctl show --property MainPID --property ExecMainStartTimestampMonotonic docker.service")

    def reboot(self) -> None:
        """Reboot the host and wait until it is up again."""
        before = self.read("/proc/sys/kernel/random/boot_id") + self.sh("cut -d ' ' -f 22 /proc/1/stat")
        self.exec("systemctl", "reboot", check=False)

        def back() -> bool:
            # A program that gets into a host on its way down may hang there, so it has little time.
            look = "cat /proc/sys/kernel/random/boot_id; cut -d ' ' -f 22 /proc/1/stat"
            try:
                now = self.exec("sh", "-c", look, check=False, timeout=10)
                if now.returncode != 0 or now.stdout.strip() == before.strip():
                    return False
                state = self.exec("systemctl", "is-system-running", check=False, timeout=10)
            except subprocess.TimeoutExpired:
                return False
            return state.stdout.strip() == "running"

        wait_for(back, "the host to be back after a reboot", 120)


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait until the condition holds; fail with what was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.1)


@dataclass
class Lab:
    """The lab, as far as one run of the tests uses it: its hosts' names hold this process's id."""

    names: set[str] = field(default_factory=set)

    def host(self, name: str, suite: str = "bookworm", variant: str = "docker-io") -> Host:
        """Return a fresh host: one of that name that is there already is made anew."""
        return self.hosts({name: (suite, variant)})[name]

    def hosts(self, wanted: Mapping[str, tuple[str, str]]) -> dict[str, Host]:
        """Return several fresh hosts, booted together: name -> (suite, variant)."""
        full = {name: self.full_name(name) for name in wanted}
        self.names.update(full.values())
        _INVENTORIES.clear()
        kinds = (f"{full[name]}={suite}/{variant}" for name, (suite, variant) in wanted.items())
        done = run(LAB, "reset", *kinds, check=False, timeout=600)
        if done.returncode != 0:
            # Without the names, so that tests/conftest.py sees that many files fail for one cause.
            pytest.fail(done.stderr.replace(f"t{os.getpid()}-", ""), pytrace=False)
        listed = self.inventory(full.values())["docker_hosts"]["hosts"]
        return {
            name: Host(full[name], suite, variant, listed[full[name]]["ansible_host"])
            for name, (suite, variant) in wanted.items()
        }

    @staticmethod
    def full_name(name: str) -> str:
        """Return the name a host has in the lab."""
        return f"t{os.getpid()}-{name}"

    @staticmethod
    def inventory(names: Iterable[str]) -> dict[str, Any]:
        """Return an Ansible inventory of running hosts, by their full names."""
        wanted = tuple(names)
        if wanted not in _INVENTORIES:
            _INVENTORIES[wanted] = run(LAB, "inventory", *wanted).stdout
        inventory: dict[str, Any] = json.loads(_INVENTORIES[wanted])
        return inventory

    def down(self, *hosts: Host) -> None:
        """Take the given hosts down, or all of this run."""
        names = {host.name for host in hosts} or set(self.names)
        if names:
            _INVENTORIES.clear()
            run(LAB, "down", *sorted(names))
            self.names -= names


class AnsibleServer:
    """A process that has loaded Ansible with some environment, and runs ansible-playbook in forks of itself."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Start it."""
        self._folder = tempfile.TemporaryDirectory(prefix="ansible-server-")
        self._address = f"{self._folder.name}/socket"
        config, home = Path(self._folder.name, "ansible.cfg"), Path(self._folder.name, "home")
        config.touch()
        self._process = subprocess.Popen(
            [sys.executable, "-P", HERE / "ansible_server.py", self._address],
            env={**environment, "ANSIBLE_CONFIG": str(config), "ANSIBLE_HOME": str(home)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=self._folder.name,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def run(
        self, arguments: Sequence[str], env: Mapping[str, str], directory: Path, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Return what came of ansible-playbook with the arguments, of which the first is its name."""
        request = {"arguments": list(arguments), "environment": dict(env), "directory": str(directory)}
        with (
            tempfile.TemporaryFile("w+", errors="replace") as output,
            tempfile.TemporaryFile("w+", errors="replace") as errors,
            socket.socket(socket.AF_UNIX) as connection,
        ):
            connection.connect(self._address)
            line = json.dumps(request).encode() + b"\n"
            sent = socket.send_fds(connection, [line], [output.fileno(), errors.fileno()])
            connection.sendall(line[sent:])
            with connection.makefile("r") as answers:
                pid = json.loads(answers.readline())["pid"]
                connection.settimeout(timeout)
                try:
                    code = json.loads(answers.readline())["code"]
                except TimeoutError:
                    os.kill(pid, signal.SIGKILL)
                    raise
            output.seek(0)
            errors.seek(0)
            return subprocess.CompletedProcess(list(arguments), code, output.read(), errors.read())

    def close(self) -> None:
        """End it."""
        self._process.communicate()
        self._folder.cleanup()


# For each environment that runs had lately, as sorted pairs; the last one used comes last.
_SERVERS: dict[tuple[tuple[str, str], ...], AnsibleServer] = {}
_SERVERS_KEPT = 2
# What differs between runs and is not read while Ansible is loaded, or is empty.
_OF_A_RUN = frozenset({"RECORD_FILE", "ANSIBLE_CONFIG", "ANSIBLE_HOME", "PYTEST_CURRENT_TEST"})


def server_for(environment: Mapping[str, str]) -> AnsibleServer:
    """Return the server for runs with that environment, started if there is none."""
    fixed = {name: value for name, value in environment.items() if name not in _OF_A_RUN}
    key = tuple(sorted(fixed.items()))
    server = _SERVERS.pop(key, None) or AnsibleServer(fixed)
    _SERVERS[key] = server
    while len(_SERVERS) > _SERVERS_KEPT:
        _SERVERS.pop(next(iter(_SERVERS))).close()
    return server


@atexit.register
def _close_servers() -> None:
    """End all servers."""
    while _SERVERS:
        _SERVERS.popitem()[1].close()


@dataclass(frozen=True)
class Run:
    """What an Ansible run did: its exit code, its output, and the result of each task on each host."""

    rc: int
    stdout: str
    stderr: str
    tasks: list[dict[str, Any]]
    recap: dict[str, dict[str, int]]

    @property
    def output(self) -> str:
        """Everything the run printed."""
        return self.stdout + self.stderr

    def of(self, host: Host | str) -> list[dict[str, Any]]:
        """Return the results on a host, in order: keys host, task, action, status, changed, result."""
        name = host if isinstance(host, str) else host.name
        return [task for task in self.tasks if task["host"] == name]

    def changed(self, host: Host | str) -> int:
        """Return how many tasks changed a host, by Ansible's own count."""
        return self.recap[host if isinstance(host, str) else host.name]["changed"]

    def messages(self, host: Host | str) -> list[str]:
        """Return the messages of the tasks that failed on a host, or could not reach it."""
        return [str(task["result"].get("msg")) for task in self.of(host) if task["status"] in ("failed", "unreachable")]

    def result(self, host: Host | str, action: str) -> dict[str, Any]:
        """Return the result of the last task on a host that used the given module or action."""
        results: list[dict[str, Any]] = [task["result"] for task in self.of(host) if task["action"] == action]
        assert results, f"no task on {host} used {action}: {[task['action'] for task in self.of(host)]}\n{self.output}"
        return results[-1]


@dataclass
class Ansible:
    """Runs Ansible in a directory of its own, on the collection that is on the collections path."""

    directory: Path
    collections_path: str
    runs: int = 0

    def environment(self, extra: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """Return the environment of a run: this one's, without what configures Ansible, and with what the tests need.

        In extra, None takes a variable away.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        changes: dict[str, str | None] = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "ANSIBLE_CONFIG": str(self.directory / "ansible.cfg"),
            "ANSIBLE_HOME": str(self.directory / "ansible-home"),
            "ANSIBLE_COLLECTIONS_PATH": self.collections_path,
            "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "record",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_NOCOWS": "true",
            "NO_COLOR": "1",
        }
        changes.update(extra or {})
        return {name: value for name, value in (kept | changes).items() if value is not None}

    def playbook(
        self,
        playbook: str | list[dict[str, Any]],
        hosts: Iterable[Host] = (),
        *arguments: str,
        variables: Mapping[str, Any] | None = None,
        host_variables: Mapping[str, Mapping[str, Any]] | None = None,
        inventory: str | None = None,
        env: Mapping[str, str | None] | None = None,
        timeout: float = 600,
    ) -> Run:
        """Run a playbook (a list of plays, or the name of one) on hosts.

        variables go into the inventory's group docker_hosts, host_variables (by full name) to single hosts; a host
        that only host_variables name is added to the group. More arguments go to ansible-playbook. With inventory,
        that is what -i gets, and no file is written.
        """
        if not isinstance(playbook, str):
            file = self.directory / "playbook.yml"
            file.write_text(json.dumps(playbook), encoding="utf-8")
            playbook = str(file)
        inventory = inventory or str(self.write_inventory(hosts, variables or {}, host_variables or {}))
        return self._run(["ansible-playbook", "-i", inventory, playbook, *arguments], env or {}, timeout)

    def write_inventory(
        self, hosts: Iterable[Host], variables: Mapping[str, Any], host_variables: Mapping[str, Mapping[str, Any]]
    ) -> Path:
        """Write the inventory of a run into the directory and return its path."""
        names = [host.name for host in hosts]
        group = Lab.inventory(names)["docker_hosts"] if names else {"hosts": {}, "vars": {}}
        for name, values in host_variables.items():
            group["hosts"].setdefault(name, {}).update(values)
        group["vars"].update(variables)
        file = self.directory / "inventory.json"
        file.write_text(json.dumps({"docker_hosts": group}), encoding="utf-8")
        return file

    def _run(self, command: Sequence[str], env: Mapping[str, str | None], timeout: float) -> Run:
        """Run a command of Ansible's and gather what it did."""
        self.runs += 1
        record = self.directory / f"record-{self.runs}.jsonl"
        record.touch()
        config = self.directory / "ansible.cfg"
        config.touch()
        environment = self.environment({**env, "RECORD_FILE": str(record)})
        if env or config.stat().st_size:
            done = run(*command, check=False, env=environment, cwd=self.directory, timeout=timeout)
        else:
            done = server_for(environment).run(command, environment, self.directory, timeout)
        lines = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
        recaps = [line["recap"] for line in lines if "recap" in line]
        tasks = [line for line in lines if "task" in line]
        return Run(done.returncode, done.stdout, done.stderr, tasks, recaps[-1] if recaps else {})
