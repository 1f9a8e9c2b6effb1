# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab promises: leaving nothing behind, starting after any mess, saying what is missing.

These tests use a second lab beside the one that the other tests use, so that they can look at all of it.
"""

from __future__ import annotations

import fcntl
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.support import LAB, Ansible, run, wait_for

# Up to 127, no two numbers have the same second one, so test runs with different numbers can go on side by side.
OWN = os.environ.get("DOCKERFLEET_LAB", "77")
NUMBER = str((int(OWN) + 126) % 254 + 1)
NAME = f"dockerfleet-{NUMBER}"
STATE = Path("/var/lib", NAME)


def lab(*arguments: str, check: bool = True, stdin: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the second lab."""
    return run(LAB, *arguments, check=check, stdin=stdin, env=os.environ | {"DOCKERFLEET_LAB": NUMBER} | env)


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    """Take the second lab down after each test."""
    yield
    lab("down")


def command_lines() -> list[str]:
    """Return the command lines of all processes."""
    lines = []
    for file in glob.glob("/proc/[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(Path(file).read_text(errors="replace").replace("\0", " "))
    return lines


def groups_below(top: str) -> list[str]:
    """Return a control group and all below it. Others make and remove groups meanwhile, which os.walk() lets pass."""
    return [folder for folder, _folders, _files in os.walk(top)]


def machine_state() -> dict[str, list[str]]:
    """Return what of a lab can be left on a machine: mounts, interfaces, rules, groups, files, limits, processes."""
    files = [*glob.glob(f"/run/{NAME}*"), *glob.glob(f"/var/lib/{NAME}*")]
    files += [path for path in glob.glob("/run/systemd/nspawn/*/*") if f"lab{NUMBER}-" in Path(path).name]
    # The lab uses no iptables itself; a machine without it has no rules either.
    rules = run("iptables-save").stdout.splitlines() if shutil.which("iptables-save") else []
    return {
        "mounts": [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if NAME in line],
        "interfaces": re.findall(rf"(?m)^\d+: ((?:vb-lab|dockerfleet-){NUMBER}\b\S*):", run("ip", "link").stdout),
        "routes": [line for line in run("ip", "route").stdout.splitlines() if f"10.213.{NUMBER}." in line],
        "rules": [line for line in rules if f"10.213.{NUMBER}." in line or NAME in line],
        "groups": [group for group in groups_below("/sys/fs/cgroup") if Path(group).name == NAME],
        "files": files,
        "processes": [line for line in command_lines() if NAME in line or f"10.213.{NUMBER}." in line],
    }


def root_lock(name: str) -> Path:
    """Return the lock that systemd-nspawn holds on the root of a host it runs."""
    root = (STATE / "hosts" / name / "merged").stat()
    return Path(f"/run/systemd/nspawn/locks/inode-{root.st_dev}:{root.st_ino}")


def host_processes(name: str) -> list[int]:
    """Return the processes in a host's control groups."""
    found: set[int] = set()
    for group in groups_below("/sys/fs/cgroup"):
        if f"/{NAME}/{name}/" in f"{group}/":
            with suppress(OSError):
                found.update(map(int, Path(group, "cgroup.procs").read_text().split()))
    return sorted(found)


def process(name: str, command: str) -> int:
    """Return the process id of the first process with that command on a host or around it."""
    for pid in host_processes(name):
        with suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text() == f"{command}\n":
                return pid
    raise AssertionError(f"no process of {name} is {command}")


def test_a_host_says_how_long_it_took_to_boot_and_runs_well() -> None:
    said = lab("up", "one=bookworm/docker-io").stdout
    ready = rf"^one: bookworm/docker-io at 10\.213\.{NUMBER}\.\d+, ready in \d+\.\d s$"
    assert re.search(ready, said, re.MULTILINE), said
    assert lab("exec", "one", "systemctl", "is-system-running").stdout == "running\n"


def test_nothing_is_left_after_down(tmp_path: Path) -> None:
    before = machine_state()
    assert not any(before.values()), before
    lab("up", "one=bookworm/docker-io", "two=trixie/docker-ce")
    # Whatever makes taking down hard: a running container, a paused one, a process started from outside, ssh's own.
    script = 'docker import -c \'CMD ["/busybox", "sleep", "1000"]\' - lab/busybox:1'
    image = "mkdir /tmp/i && cp /bin/busybox /tmp/i/ && tar -C /tmp/i -c ."
    lab("exec", "one", "--", "sh", "-c", f"{image} | {script} && docker run -d --name aa lab/busybox:1")
    lab("exec", "one", "--", "sh", "-c", "docker run -d --name bb -p 8080:80 lab/busybox:1 && docker pause bb")
    lab("exec", "two", "--", "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 &")
    inventory = tmp_path / "hosts.json"
    inventory.write_text(lab("inventory").stdout)
    ansible = Ansible(tmp_path, "")
    run("ansible", "all", "-i", inventory, "-m", "ping", env=ansible.environment({"RECORD_FILE": "/dev/null"}))
    there = machine_state()
    empty = {kind for kind, found in there.items() if not found}
    assert empty <= {"rules"}, f"this test does not see the lab's {empty}"
    lab("down")
    assert machine_state() == before


def test_down_of_one_host_leaves_the_others() -> None:
    lab("up", "one=bookworm/docker-io", "two=bookworm/docker-ce")
    lab("down", "one")
    assert not host_processes("one")
    assert not (STATE / "hosts/one").exists()
    assert lab("exec", "two", "docker", "info").returncode == 0


def test_a_host_whose_processes_were_killed_is_booted_anew() -> None:
    lab("up", "victim=bookworm/docker-io", "other=trixie/docker-io")
    os.kill(process("victim", "systemd"), signal.SIGKILL)
    wait_for(lambda: lab("exec", "victim", "true", check=False).returncode != 0, "the host to be dead")
    assert re.search(r"^victim +bookworm/docker-io +down$", lab("list").stdout, re.MULTILINE)
    # It also goes when another host is booted.
    lab("up", "third=bookworm/docker-io")
    assert not (STATE / "hosts/victim").exists()
    assert lab("up", "victim=bookworm/docker-ce").returncode == 0
    assert lab("exec", "victim", "docker", "info").returncode == 0
    assert lab("exec", "other", "docker", "info").returncode == 0


@pytest.mark.parametrize("command", ["systemd-nspawn", "sh", "dockerd"])
def test_a_host_that_lost_a_process_is_taken_down_completely(command: str) -> None:
    lab("up", "victim=bookworm/docker-io")
    lock = root_lock("victim")
    assert lock.exists()
    os.kill(process("victim", command), signal.SIGKILL)
    lab("down")
    assert not any(machine_state().values())
    assert not lock.exists()


@pytest.mark.parametrize("after", [0.05, 0.3, 0.6, 0.9])
def test_up_starts_cleanly_after_an_up_that_was_killed(after: float) -> None:
    command = [str(LAB), "up", "victim=bookworm/docker-io"]
    killed = subprocess.Popen(command, env=os.environ | {"DOCKERFLEET_LAB": NUMBER}, stdout=subprocess.DEVNULL)
    time.sleep(after)
    killed.kill()
    killed.wait()
    # On a fast machine the host may be up by then, and stays.
    assert lab("up", "victim=bookworm/docker-io").returncode == 0
    assert "20.10.24" in lab("exec", "victim", "docker", "version").stdout


def test_exec_passes_everything_on() -> None:
    lab("up", "one=bookworm/docker-io")
    assert lab("exec", "one", "--", "sh", "-c", "exit 42", check=False).returncode == 42
    assert lab("exec", "one", "cat", stdin="some text\n").stdout == "some text\n"
    said = lab("exec", "one", "--", "sh", "-c", "echo out; echo err >&2; pwd; hostname")
    assert (said.stdout, said.stderr) == ("out\n/root\none\n", "err\n")
    assert lab("exec", "one", "printf", "%s|", "a b", "$HOME", "--", "*").stdout == "a b|$HOME|--|*|"
    assert "SECRET" not in lab("exec", "one", "env", SECRET="of the caller").stdout


def test_up_leaves_a_running_host_alone_and_reset_does_not() -> None:
    lab("up", "one=bookworm/docker-io")
    lab("exec", "one", "touch", "/etc/mark")
    lab("up", "one=bookworm/docker-io")
    lab("up", "one")
    assert lab("exec", "one", "test", "-e", "/etc/mark").returncode == 0
    said = lab("up", "one=trixie/docker-io", check=False)
    assert said.returncode == 1
    assert "host one: runs as bookworm/docker-io, not as trixie/docker-io. Take it down first" in said.stderr
    lab("reset", "one")
    assert lab("exec", "one", "test", "-e", "/etc/mark", check=False).returncode == 1
    lab("reset", "one=trixie/docker-io")
    assert "trixie" in lab("exec", "one", "cat", "/etc/os-release").stdout


def test_commands_at_the_same_time_do_not_disturb_each_other() -> None:
    words = ["one=bookworm/docker-io", "one=bookworm/docker-io", "two=trixie/docker-io", "three=bookworm/docker-ce"]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda word: lab("up", word), words))
        downs = [pool.submit(lab, "down", "two"), pool.submit(lab, "up", "four=bookworm/docker-io")]
        assert [done.result().returncode for done in downs] == [0, 0]
    hosts = json.loads(lab("inventory").stdout)["docker_hosts"]["hosts"]
    assert set(hosts) == {"one", "three", "four"}
    assert len({host["ansible_host"] for host in hosts.values()}) == 3
    for name in hosts:
        assert lab("exec", name, "docker", "info").returncode == 0


def test_a_host_comes_back_after_a_reboot() -> None:
    lab("up", "one=trixie/docker-io")
    address = json.loads(lab("inventory").stdout)["docker_hosts"]["hosts"]["one"]["ansible_host"]
    lab("exec", "one", "touch", "/etc/mark")
    uptime = lab("exec", "one", "stat", "-c", "%Y", "/proc/1").stdout
    lab("exec", "one", "systemctl", "reboot", check=False)

    def back() -> bool:
        state = lab("exec", "one", "systemctl", "is-system-running", check=False).stdout
        return state == "running\n" and lab("exec", "one", "stat", "-c", "%Y", "/proc/1").stdout != uptime

    wait_for(back, "the host to be back")
    assert lab("exec", "one", "test", "-e", "/etc/mark").returncode == 0
    assert address in lab("exec", "one", "ip", "address").stdout


def test_a_host_that_reboots_is_not_taken_for_a_dead_one() -> None:
    lab("up", "one=bookworm/docker-io")
    lab("exec", "one", "touch", "/etc/mark")
    # The moment between the end of the old machine and the start of the new one, drawn out.
    launcher = process("one", "sh")
    os.kill(launcher, signal.SIGSTOP)
    lab("exec", "one", "systemctl", "reboot", check=False)
    wait_for(lambda: lab("exec", "one", "true", check=False).returncode != 0, "the host to go down")
    lab("up", "one", "two=bookworm/no-systemd")
    os.kill(launcher, signal.SIGCONT)
    wait_for(lambda: lab("exec", "one", "docker", "info", check=False).returncode == 0, "the host to be back")
    assert lab("exec", "one", "test", "-e", "/etc/mark").returncode == 0


def test_a_strict_umask_of_the_caller_does_not_reach_the_host() -> None:
    run("sh", "-c", 'umask 077; "$0" up one=bookworm/docker-ce', LAB, env=os.environ | {"DOCKERFLEET_LAB": NUMBER})
    for path in ("/", "/etc/hosts", "/usr/lib/systemd/system/docker.service"):
        assert lab("exec", "one", "stat", "-c", "%A", path).stdout.rstrip().endswith(("r-x", "r--")), path


@pytest.mark.parametrize("suite", ["bullseye", "bookworm", "trixie", "forky"])
def test_every_suite_runs_its_engine_and_containers(suite: str) -> None:
    engines = {"bullseye": "20.10.5", "bookworm": "20.10.24", "trixie": "26.1.5", "forky": "28.5.2"}
    lab("up", f"io={suite}/docker-io", f"ce={suite}/docker-ce")
    for name in ("io", "ce"):
        assert lab("exec", name, "docker", "version", "--format", "{{.Server.Version}}").stdout.startswith(
            engines[suite]
        )
        script = "mkdir /tmp/i && cp /bin/busybox /tmp/i/ && tar -C /tmp/i -c . | docker import - lab/busybox:1"
        lab("exec", name, "--", "sh", "-c", script)
        said = lab("exec", name, "docker", "run", "--rm", "lab/busybox:1", "/busybox", "echo", "hello").stdout
        assert said == "hello\n"


CONTAINERD = "--containerd=/run/containerd/containerd.sock"
RHEL = (
    "/usr/bin/dockerd-current --add-runtime docker-runc=/usr/libexec/docker/docker-runc-current "
    "--default-runtime=docker-runc --exec-opt native.cgroupdriver=systemd "
    "--userland-proxy-path=/usr/libexec/docker/docker-proxy-current $OPTIONS $DOCKER_STORAGE_OPTIONS "
    "$DOCKER_NETWORK_OPTIONS $ADD_REGISTRY $BLOCK_REGISTRY $INSECURE_REGISTRY $REGISTRIES"
)
# variant -> the command line of its unit, and the environment file.
UNITS = {
    "docker-io": (
        f"/usr/sbin/dockerd -H fd:// {CONTAINERD} $DOCKER_OPTS",
        "/etc/default/docker (ignore_errors=yes)",
    ),
    "docker-ce": (f"/usr/bin/dockerd -H fd:// {CONTAINERD}", ""),
    "ubuntu": (f"/usr/bin/dockerd -H fd:// {CONTAINERD}", ""),
    "rhel": (
        RHEL,
        "\n".join(
            f"{path} (ignore_errors=yes)"
            for path in (
                "/run/containers/registries.conf",
                "/etc/sysconfig/docker",
                "/etc/sysconfig/docker-storage",
                "/etc/sysconfig/docker-network",
            )
        ),
    ),
    "amazon": (
        f"/usr/bin/dockerd -H fd:// {CONTAINERD} $OPTIONS $DOCKER_STORAGE_OPTIONS $DOCKER_ADD_RUNTIMES",
        "\n".join(
            f"{path} (ignore_errors=yes)"
            for path in ("/etc/sysconfig/docker", "/etc/sysconfig/docker-storage", "/run/docker/runtimes.env")
        ),
    ),
    "sysconfig": (
        f"/usr/bin/dockerd -H fd:// {CONTAINERD} $OPTIONS $DOCKER_STORAGE_OPTIONS $DOCKER_ADD_RUNTIMES",
        "/etc/sysconfig/docker (ignore_errors=yes)",
    ),
    "opensuse": (
        "/usr/bin/dockerd --add-runtime oci=/usr/sbin/runc $DOCKER_NETWORK_OPTIONS $DOCKER_OPTS",
        "/etc/sysconfig/docker (ignore_errors=no)",
    ),
}


def test_the_variants_are_what_they_say() -> None:
    others = ("no-docker", "no-cryptography", "no-systemd")
    lab("up", *(f"{variant}=bookworm/{variant}" for variant in (*UNITS, *others)))

    def shows(name: str, key: str) -> str:
        return lab("exec", name, "systemctl", "show", "--property", key, "--value", "docker.service").stdout.strip()

    for variant, (command, file) in UNITS.items():
        assert f"argv[]={command} ;" in shows(variant, "ExecStart"), variant
        assert shows(variant, "EnvironmentFiles") == file, variant
        assert lab("exec", variant, "docker", "info").returncode == 0
        assert lab("exec", variant, "systemctl", "is-system-running").stdout == "running\n"
    assert lab("exec", "docker-ce", "test", "-e", "/etc/default/docker", check=False).returncode == 1
    assert "--live-restore" in lab("exec", "sysconfig", "ps", "-C", "dockerd", "-o", "args=").stdout
    assert shows("opensuse", "Requires").find("docker.socket") == -1
    assert shows("no-docker", "LoadState") == "not-found"
    importing = ("exec", "no-cryptography", "python3", "-c", "import cryptography")
    assert "ModuleNotFoundError" in lab(*importing, check=False).stderr
    lab("exec", "no-cryptography", "--", "sh", "-c", "apt-get update && apt-get install -y python3-cryptography")
    assert lab(*importing).returncode == 0
    assert lab("exec", "no-systemd", "cat", "/proc/1/comm").stdout != "systemd\n"
    assert lab("exec", "no-systemd", "systemctl", check=False).returncode != 0


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Give a directory that can stand for PATH: links to all programs of this machine, to take some away."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for folder in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(folder).glob("*"):
            link = directory / program.name
            link.unlink(missing_ok=True)
            link.symlink_to(program)
    return directory


@pytest.mark.parametrize(
    ("program", "package"),
    [
        ("systemd-nspawn", "systemd-container"),
        ("mmdebstrap", "mmdebstrap"),
        ("ip", "iproute2"),
        ("nsenter", "util-linux"),
    ],
)
def test_a_missing_program_is_named_with_its_package(
    program: str, package: str, programs: Path, tmp_path: Path
) -> None:
    (programs / program).unlink()
    said = lab("up", "one=bookworm/docker-io", check=False, PATH=str(programs), XDG_CACHE_HOME=str(tmp_path))
    assert said.returncode == 1
    expected = f"lab: {program}: is not installed, and the lab needs it. Install it: apt-get install {package}\n"
    assert said.stderr == expected
    assert not any(machine_state().values())


def test_only_root_can_run_it() -> None:
    said = run("unshare", "--user", LAB, "up", check=False)
    assert said.returncode == 1
    assert said.stderr.startswith("lab: lab: must run as root")
    assert "Run it with sudo" in said.stderr


def apt_config(directory: Path, sources: dict[str, str], more: str = "") -> str:
    """Write a configuration of apt with only the given source files; return the file for APT_CONFIG."""
    for name, text in sources.items():
        file = directory / "etc" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (directory / "etc/apt.conf.d").mkdir(parents=True, exist_ok=True)
    lines = f'Dir::Etc "{directory}/etc";\n{more}\n'
    (directory / "apt.conf").write_text(lines)
    return str(directory / "apt.conf")


ONE_LINE = "deb http://127.0.0.1:9/debian bookworm main contrib\n"
DEB822 = "Types: deb\nURIs: http://127.0.0.1:9/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"


FAKE_MMDEBSTRAP = """#!/bin/sh
echo "begun: $*" >> "$FAKE_LOG"
for root; do case $root in /*building-*) mkdir -p "$root/half" ;; esac; done
[ "$FAKE_ENDS" = "at once" ] || sleep 100
exit 1
"""


@pytest.fixture
def fake(programs: Path, tmp_path: Path) -> dict[str, str]:
    """Give an environment with an mmdebstrap that only writes down how it was called, and an empty cache."""
    program = programs / "mmdebstrap"
    program.unlink()
    program.write_text(FAKE_MMDEBSTRAP)
    program.chmod(0o755)
    cache = tmp_path / "cache"
    log = tmp_path / "log"
    return {"PATH": str(programs), "XDG_CACHE_HOME": str(cache), "FAKE_LOG": str(log), "FAKE_ENDS": "at once"}


# Stands for mmdebstrap: its root is a copy, as old as the one it restores from an archive, and takes until it may end.
COPYING_MMDEBSTRAP = """#!/bin/sh
for root; do case $root in /*building-*) building=$root ;; esac; done
case " $* " in *" trixie "*) exit 1 ;; esac
echo begun >> "$FAKE_LOG"
cp -a --reflink=auto "$FAKE_ROOT/." "$building"
touch -d '30 days ago' "$building"
echo made >> "$FAKE_LOG"
until [ -e "$FAKE_LOG.go" ]; do sleep 0.1; done
"""


@pytest.fixture
def copying(fake: dict[str, str]) -> Iterator[dict[str, str]]:
    """Give an environment with an empty cache and an mmdebstrap that copies the root of a host that was made before.

    The cache lies where a copy has room, for /tmp is often in memory; the hosts that use the copy go first.
    """
    lab("up", "usual=bookworm/docker-io")
    root = json.loads((STATE / "hosts/usual/host.json").read_text())["root"]
    lab("down")
    Path(fake["PATH"], "mmdebstrap").write_text(COPYING_MMDEBSTRAP)
    with tempfile.TemporaryDirectory(prefix="dockerfleet-test-", dir="/var/tmp") as cache:
        yield fake | {"FAKE_ROOT": root, "XDG_CACHE_HOME": cache}
        lab("down")


def test_hosts_of_one_suite_boot_at_once_on_an_empty_cache(copying: dict[str, str], tmp_path: Path) -> None:
    """Nobody removes the root that another command is making, and only one of them makes it."""
    log, names = tmp_path / "log", ["one", "two", "three"]
    with ThreadPoolExecutor() as pool:
        ups = [pool.submit(lab, "up", f"{name}=bookworm/docker-io", check=False, **copying) for name in names]
        wait_for(lambda: log.exists() and "made" in log.read_text(), "the root to be nearly made")
        # A command that ends meanwhile removes what is old in the cache.
        assert "suite trixie" in lab("up", "other=trixie/docker-io", check=False, **copying).stderr
        (tmp_path / "log.go").touch()
        while not all(up.done() for up in ups):
            lab("list", check=True, **copying)
    for name, up in zip(names, ups, strict=True):
        said = up.result()
        assert said.returncode == 0, said.stdout + said.stderr
        assert lab("exec", name, "docker", "info").returncode == 0
    assert log.read_text().split() == ["begun", "made"]


def test_old_roots_go_unless_a_host_of_any_lab_uses_them(copying: dict[str, str], tmp_path: Path) -> None:
    cache = Path(copying["XDG_CACHE_HOME"], "dockerfleet-remote-api/lab")
    (tmp_path / "log.go").touch()
    name = f"keeper{os.getpid()}"
    own = {"DOCKERFLEET_LAB": OWN}

    def prune_with_another_recipe() -> None:
        said = run(tree / "lab", "up", "one=trixie/docker-io", check=False, env=os.environ | copying | elsewhere)
        assert "suite trixie" in said.stderr

    tree = tmp_path / "lab"
    shutil.copytree(LAB.parent, tree)
    suites = tree / "lablib/suites.py"
    suites.write_text(suites.read_text().replace('"procps", ', '"procps", "less", '))
    elsewhere = {"DOCKERFLEET_LAB": NUMBER}
    lab("up", f"{name}=bookworm/docker-io", check=True, **copying, **own)
    try:
        (root,) = cache.glob("bookworm-*")
        (cache / "building-bookworm-left/half").mkdir(parents=True)
        (cache / "removing-left/half").mkdir(parents=True)
        (cache / "bookworm-locked").mkdir()
        os.utime(root, (0, 0))
        os.utime(cache / "bookworm-locked", (0, 0))
        with (cache / "bookworm-locked.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            prune_with_another_recipe()
        assert {path.name for path in cache.iterdir()} == {root.name, "bookworm-locked", "bookworm-locked.lock"}
        lab("exec", name, "docker", "info", check=True, **own)
    finally:
        lab("down", name, check=True, **own)
    prune_with_another_recipe()
    assert not list(cache.iterdir())


@pytest.mark.parametrize(
    "sources", [{"sources.list": ONE_LINE}, {"sources.list.d/a.list": ONE_LINE}, {"sources.list.d/a.sources": DEB822}]
)
def test_the_mirror_is_the_one_of_the_machines_apt(
    sources: dict[str, str], tmp_path: Path, fake: dict[str, str]
) -> None:
    said = lab("up", "one=trixie/docker-io", check=False, APT_CONFIG=apt_config(tmp_path, sources), **fake)
    assert said.returncode == 1
    assert (tmp_path / "log").read_text().endswith(" http://127.0.0.1:9/debian\n")


def test_a_mirror_that_does_not_answer_is_named(tmp_path: Path) -> None:
    config = apt_config(tmp_path, {"sources.list": ONE_LINE})
    said = lab("up", "one=trixie/docker-io", check=False, APT_CONFIG=config, XDG_CACHE_HOME=str(tmp_path))
    assert said.returncode == 1
    assert "suite trixie: mmdebstrap could not make its root file system from http://127.0.0.1:9/debian" in said.stderr
    assert "Check that the mirror can be reached and carries the suite" in said.stderr
    assert not any((tmp_path / "dockerfleet-remote-api/lab").iterdir())


@pytest.mark.parametrize(
    ("sources", "cause"),
    [
        ({}, "apt has no package source"),
        ({"sources.list": "deb http://127.0.0.1:9/x jammy main\n"}, "apt only knows the suites jammy"),
        ({"sources.list": "deb http://127.0.0.1:9/x bookworm-security main\n"}, "knows the suites bookworm-security"),
    ],
)
def test_a_machine_without_a_mirror_is_told_so(sources: dict[str, str], cause: str, tmp_path: Path) -> None:
    config = apt_config(tmp_path, sources)
    said = lab("up", "one=bookworm/docker-io", check=False, APT_CONFIG=config, XDG_CACHE_HOME=str(tmp_path))
    assert said.returncode == 1
    assert cause in said.stderr
    assert "so there is no Debian mirror" in said.stderr
    assert "Add one to /etc/apt/sources.list" in said.stderr


def test_proxies_are_handed_on_and_a_killed_build_is_no_root(tmp_path: Path, fake: dict[str, str]) -> None:
    log = tmp_path / "log"
    cache = Path(fake["XDG_CACHE_HOME"], "dockerfleet-remote-api/lab")
    proxy = 'Acquire::http::Proxy "http://127.0.0.1:3142";'
    fake["APT_CONFIG"] = apt_config(tmp_path, {"sources.list": ONE_LINE}, proxy)
    command = [str(LAB), "up", "one=bookworm/docker-io"]
    killed = subprocess.Popen(command, env=os.environ | fake | {"FAKE_ENDS": "never", "DOCKERFLEET_LAB": NUMBER})
    wait_for(lambda: list(cache.glob("building-*/half")) != [], "the build to be under way")
    killed.kill()
    killed.wait()
    wait_for(lambda: not any(str(cache) in line for line in command_lines()), "the build to end with its command")
    assert f"--aptopt={proxy}" in log.read_text()
    assert not list(cache.glob("bookworm-*[!k]"))
    said = lab("up", "one=bookworm/docker-io", check=False, **fake)
    assert "mmdebstrap could not make its root file system" in said.stderr
    assert log.read_text().count("begun: ") == 2, "the second command did not try to make the root"
    assert not list(cache.glob("*/half")), "what the killed build left is still there"


def test_roots_are_made_anew_when_their_recipe_changes(tmp_path: Path) -> None:
    copy = tmp_path / "lab"
    shutil.copytree(LAB.parent, copy)
    suites = copy / "lablib/suites.py"
    changed = suites.read_text().replace('"procps", ', '"procps", "less", ')
    assert changed != suites.read_text()
    assert (
        "suite   bookworm         engine 20.10.24, made\n"
        in lab("up", "one=bookworm/docker-io").stdout + lab("list").stdout
    )
    suites.write_text(changed)
    assert "suite   bookworm         engine 20.10.24, not made yet\n" in run(copy / "lab", "list").stdout


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nobody", "host nobody: is not in the list"),
        ("one=bookworm/docker-xx", "is no host the lab can boot"),
        ("one=sarge/docker-io", "is no host the lab can boot"),
        ("../up=bookworm/docker-io", "is no host the lab can boot"),
        ("Upper=bookworm/docker-io", "is no host the lab can boot"),
        ("a-name-of-more-than-thirty-bytes=bookworm/docker-io", "is no host the lab can boot"),
    ],
)
def test_a_wrong_host_is_refused(word: str, message: str) -> None:
    said = lab("up", word, check=False)
    assert said.returncode == 1
    assert message in said.stderr
    assert not any(machine_state().values())


@pytest.mark.parametrize("word", ["", ".", "..", "../hosts", "/", "*", "one=bookworm/docker-io", "-", "A"])
def test_only_names_are_taken_down(word: str) -> None:
    said = lab("down", "--", word, check=False)
    assert said.returncode == 1
    assert f"host {word!r}: is no name a host of the lab can have" in said.stderr
    assert lab("exec", "--", word, "true", check=False).returncode == 1


@pytest.mark.parametrize(("command"), [("exec", "nobody", "true"), ("inventory", "nobody"), ("inventory",)])
def test_a_host_that_does_not_run_is_named(command: tuple[str, ...]) -> None:
    said = lab(*command, check=False)
    assert said.returncode == 1
    assert "is not running. Boot it: lab up" in said.stderr


@pytest.mark.parametrize("number", ["0", "255", "x", ""])
def test_a_wrong_number_of_the_lab_is_refused(number: str) -> None:
    said = lab("list", check=False, DOCKERFLEET_LAB=number)
    assert said.returncode == 1
    assert said.stderr.startswith(f"lab: DOCKERFLEET_LAB: is '{number}'. Set it to a number from 1 to 254")
