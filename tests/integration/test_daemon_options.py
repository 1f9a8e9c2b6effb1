# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""daemon_options by way of Ansible: the layouts of distributions, containers through a restart, a lost connection."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Ansible, Host, Lab, Run, run, wait_for

MODULE = "dockerfleet.remote_api.daemon_options"
JOURNAL = "/var/lib/docker-remote-api/docker.service.journal"
COUNT = "i=0; while :; do i=$((i + 1)); echo $i >/count; sleep 0.1; done"
FILES = "cd /etc && ls -lR default docker systemd/system; md5sum default/* docker/*.json 2>/dev/null || true"


def play(ansible: Ansible, host: Host, *arguments: str, **options: Any) -> Run:
    """Run the module on a host."""
    tasks = [{"name": "Set the options", MODULE: options}]
    return ansible.playbook([{"hosts": "all", "gather_facts": False, "tasks": tasks}], [host], *arguments)


def result(done: Run, host: Host) -> dict[str, Any]:
    """Return the module's result."""
    return done.result(host, MODULE)


LAYOUTS = [
    ("bullseye", "opensuse", "/etc/sysconfig/docker", "DOCKER_OPTS", []),
    ("trixie", "opensuse", "/etc/sysconfig/docker", "DOCKER_OPTS", []),
    ("bookworm", "sysconfig", "/etc/sysconfig/docker", "OPTIONS", ["--log-driver=journald", "--live-restore"]),
    ("forky", "sysconfig", "/etc/sysconfig/docker", "OPTIONS", ["--log-driver=journald", "--live-restore"]),
    ("forky", "docker-ce", "/etc/default/docker", "DOCKER_OPTS", []),
]


@pytest.mark.parametrize(("suite", "variant", "path", "variable", "kept"), LAYOUTS, ids=str)
def test_the_options_are_kept_where_the_distribution_keeps_them(
    lab: Lab, ansible: Ansible, suite: str, variant: str, path: str, variable: str, kept: list[str]
) -> None:
    host = lab.host("layout", suite, variant)
    wanted = {"options": {"host": ["tcp://127.0.0.1:2375"], "dns": ["8.8.8.8"], "tls": False}}
    before = host.sh(f"cat {path} 2>/dev/null || true")
    planned = play(ansible, host, "--check", "--diff", **wanted)
    assert result(planned, host)["changed"]
    assert host.sh(f"cat {path} 2>/dev/null || true") == before

    done = result(play(ansible, host, **wanted), host)
    assert (done["options_file"], done["variable"], done["restarted"]) == (path, variable, True)
    assert done["argv"] == result(planned, host)["argv"]
    assert host.argv()[1:] == done["argv"][1:]
    assert [word for word in done["options"] if word in kept] == kept
    assert host.sh("docker -H tcp://127.0.0.1:2375 info --format '{{.ID}}'")
    assert host.sh("docker info --format '{{.ID}}'") == host.sh(
        "docker -H tcp://127.0.0.1:2375 info --format '{{.ID}}'"
    )
    # Without --tls=false, engines since 20.10 say this and wait for 15 s.
    assert host.sh("journalctl --unit docker.service | grep -c 'explicitly specifying' || true") == "0"
    assert run("curl", "-sS", f"http://{host.address}:2375/_ping", check=False).returncode == 7
    words = host.sh(f". {path}; printf '%s ' ${variable}").split()
    assert words == done["options"]

    started = host.starts()
    assert not result(play(ansible, host, **wanted), host)["changed"]
    assert not result(play(ansible, host, "--check", **wanted), host)["changed"]
    assert host.starts() == started

    away = result(play(ansible, host, options={}, remove=["host", "dns", "tls"]), host)
    assert away["changed"]
    assert away["options"] == kept
    assert host.sh("docker info --format '{{.ID}}'")
    lab.down(host)


# Where the engine listens, the unit's drop-in that makes it do so, and the socket unit's.
ELSEWHERE = [
    ("trixie", "opensuse", "/run/docker.sock", "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H unix://\n", ""),
    ("bookworm", "docker-io", "/run/elsewhere.sock", "", "[Socket]\nListenStream=\nListenStream=/run/elsewhere.sock\n"),
]


@pytest.mark.parametrize(("suite", "variant", "path", "service", "socket"), ELSEWHERE, ids=["default", "elsewhere"])
def test_the_engine_is_asked_where_it_listens(
    lab: Lab, ansible: Ansible, suite: str, variant: str, path: str, service: str, socket: str
) -> None:
    host = lab.host("listens", suite, variant)
    for unit, text in {"docker.service": service, "docker.socket": socket}.items():
        if text:
            host.write(f"/etc/systemd/system/{unit}.d/own.conf", text)
    host.sh("systemctl daemon-reload; systemctl stop docker.socket docker.service; systemctl start docker.service")
    began = time.monotonic()
    done = play(ansible, host, options={"label": ["a=b"]}, timeout=60)
    assert result(done, host)["restarted"], done.output
    assert time.monotonic() - began < 55
    assert host.sh(f"docker -H unix://{path} info --format '{{{{.Labels}}}}'") == "[a=b]"
    lab.down(host)


@pytest.fixture(scope="module", params=["bookworm", "forky"])
def counting(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Host]:
    """A host with a container that counts."""
    host = lab.host("counting", request.param)
    host.exec("docker", "run", "--detach", "--name", "counter", host.make_image(), "sh", "-c", COUNT)
    wait_for(lambda: count(host) > 0, "the container to count")
    yield host
    lab.down(host)


def count(host: Host) -> int:
    """Return how far the container on the host has counted, seen from outside."""
    pid = host.sh("docker inspect --format '{{.State.Pid}}' counter")
    return int(host.sh(f"cat /proc/{pid}/root/count 2>/dev/null || echo 0") or 0)


def state(host: Host) -> dict[str, Any]:
    """Return the container's state."""
    found: dict[str, Any] = json.loads(host.sh("docker inspect --format '{{json .State}}' counter"))
    return found


def test_containers_run_on_through_the_restart_with_live_restore(counting: Host, ansible: Ansible) -> None:
    """And before that, without it, the result says that they would not; the daemon is not restarted for the setting."""
    label: dict[str, Any] = {"options": {"label": ["a=b"]}}
    without = play(ansible, counting, "--check", **label)
    assert result(without, counting)["containers_stopped"] == 1
    assert "The restart would stop 1 running containers, since live-restore is off." in without.output

    pid, reached, started = state(counting)["Pid"], count(counting), counting.starts()
    turned_on = result(play(ansible, counting, live_restore=True), counting)
    assert (turned_on["changed"], turned_on["restarted"], turned_on["containers_stopped"]) == (True, False, 0)
    assert counting.starts() == started
    assert json.loads(counting.read("/etc/docker/daemon.json")) == {"live-restore": True}
    assert counting.sh("docker info --format '{{.LiveRestoreEnabled}}'") == "true"

    restarted = play(ansible, counting, **label)
    assert (result(restarted, counting)["restarted"], result(restarted, counting)["containers_stopped"]) == (True, 0)
    assert "running containers" not in restarted.output
    after = state(counting)
    assert (after["Running"], after["Pid"]) == (True, pid)
    wait_for(lambda: count(counting) > reached + 20, "the container to count on")

    turned_off = result(play(ansible, counting, live_restore=False), counting)
    assert (turned_off["changed"], turned_off["restarted"]) == (True, False)
    assert counting.sh("docker info --format '{{.LiveRestoreEnabled}}'") == "false"


def test_one_run_turns_it_on_and_restarts_if_the_daemon_can_be_told(counting: Host, ansible: Ansible) -> None:
    """A frozen daemon does not say whether it keeps its containers: it is not restarted, and nothing is written."""
    pid, started, before = state(counting)["Pid"], counting.starts(), counting.sh(FILES)
    wanted: dict[str, Any] = {"options": {"label": ["a=c"]}, "live_restore": True}
    counting.sh("systemctl kill --kill-who=main --signal=STOP docker.service")
    began = time.monotonic()
    try:
        (message,) = play(ansible, counting, **wanted).messages(counting)
    finally:
        counting.sh("systemctl kill --kill-who=main --signal=CONT docker.service")
    assert "does not answer on its local socket" in message
    assert "Nothing was restarted." in message
    assert time.monotonic() - began < 60
    assert (counting.starts(), counting.sh(FILES)) == (started, before)

    done = result(play(ansible, counting, **wanted), counting)
    assert (done["restarted"], done["containers_stopped"]) == (True, 0)
    assert (state(counting)["Running"], state(counting)["Pid"]) == (True, pid)
    again = result(play(ansible, counting, options={"label": ["a=c"]}, live_restore=True), counting)
    assert not again["changed"]


def test_live_restore_is_refused_in_a_swarm(counting: Host, ansible: Ansible) -> None:
    play(ansible, counting, live_restore=False)
    counting.sh("docker swarm init --advertise-addr 127.0.0.1 >/dev/null")
    started = counting.starts()
    (message,) = play(ansible, counting, live_restore=True).messages(counting)
    assert "live-restore is on and the engine is in a swarm" in message
    assert counting.starts() == started
    counting.sh("docker swarm leave --force")


def test_without_live_restore_the_restart_says_what_it_stopped(counting: Host, ansible: Ansible) -> None:
    play(ansible, counting, live_restore=False)
    done = play(ansible, counting, options={"label": ["a=d"]})
    assert result(done, counting)["containers_stopped"] == 1
    assert "The restart stopped 1 running containers, since live-restore is off." in done.output
    assert not state(counting)["Running"]


def descendants(pid: int) -> set[int]:
    """Return the processes below a process."""
    children = run("ps", "--ppid", str(pid), "-o", "pid=", check=False).stdout.split()
    found = {int(child) for child in children}
    return found.union(*(descendants(child) for child in found)) if found else set()


def start_play(ansible: Ansible, host: Host, **options: Any) -> subprocess.Popen[bytes]:
    """Start running the module on a host, over a connection of its own."""
    inventory = ansible.write_inventory([host], {}, {})
    tasks = [{"name": "Set the options", MODULE: options}]
    playbook = ansible.directory / "started.yml"
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
    program = Path(sys.executable).with_name("ansible-playbook")
    environment = ansible.environment({"ANSIBLE_SSH_ARGS": "-o ControlMaster=no", "ANSIBLE_CALLBACKS_ENABLED": None})
    (ansible.directory / "ansible.cfg").touch()
    return subprocess.Popen(
        [program, "-i", inventory, playbook], env=environment, cwd=ansible.directory, stdout=subprocess.DEVNULL
    )


def test_a_lost_connection_does_not_stop_the_change_half_way(lab: Lab, ansible: Ansible) -> None:
    host = lab.host("cut")
    playing = start_play(ansible, host, options={"label": ["cut=off"]})
    wait_for(lambda: host.exec("test", "-e", JOURNAL, check=False).returncode == 0, "the change to begin")
    for pid in descendants(playing.pid) | {playing.pid}:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    playing.wait()
    wait_for(lambda: host.exec("test", "-e", JOURNAL, check=False).returncode != 0, "the change to end")
    assert "--label=cut=off" in host.argv()
    assert host.sh("docker info --format '{{.Labels}}'") == "[cut=off]"
    assert not result(play(ansible, host, options={"label": ["cut=off"]}), host)["changed"]
    lab.down(host)


# Prints the process that took the lock, by the kernel's list (proc_locks(5)): the module, not what it started.
MODULE_PID = """
import os
lock = os.stat("/run/docker-remote-api.docker.service.lock")
where = f"{os.major(lock.st_dev):02x}:{os.minor(lock.st_dev):02x}:{lock.st_ino}"
print(*(line.split()[4] for line in open("/proc/locks") if line.split()[5] == where))
"""


# Has an engine that is told of the bridge hang until there is a file, and fail then, as it would have at once.
HANG = """
mv /usr/sbin/dockerd /usr/sbin/dockerd.real
cat >/usr/sbin/dockerd <<'END'
#!/bin/sh
case " $* " in
*--validate*|*--help*|*/dev/null/*) ;;
*nosuch0*) touch /root/hangs; until [ -e /root/fail ]; do sleep 0.1; done ;;
esac
exec /usr/sbin/dockerd.real "$@"
END
chmod 755 /usr/sbin/dockerd
"""


@pytest.mark.parametrize("suite", ["bookworm", "forky"])
def test_a_killed_module_leaves_somebody_behind_to_undo_the_change(lab: Lab, ansible: Ansible, suite: str) -> None:
    """As when the kernel runs out of memory, while the daemon fails to start with what is new."""
    host = lab.host("killed", suite)
    before, argv = host.sh("cat /etc/default/docker"), host.argv()
    host.sh(HANG)
    playing = start_play(ansible, host, options={"bridge": "nosuch0"})
    wait_for(lambda: host.exec("test", "-e", "/root/hangs", check=False).returncode == 0, "the daemon to hang")
    pid = host.exec("python3", "-c", MODULE_PID).stdout.strip()
    assert pid.isdecimal(), pid
    host.exec("kill", "-s", "KILL", pid)
    assert playing.wait() != 0
    host.sh("touch /root/fail")
    wait_for(lambda: host.exec("test", "-e", JOURNAL, check=False).returncode != 0, "the change to be undone")
    assert host.sh("cat /etc/default/docker") == before
    assert host.argv()[1:] == argv[1:]
    assert host.sh("docker info --format '{{.ID}}'")
    said = host.sh("journalctl --output cat --priority err")
    assert re.search(r"docker\.service: .*nosuch0.*The daemon was started again as before, and answers", said), said
    assert result(play(ansible, host, options={"label": ["a=b"]}), host)["restarted"]
    lab.down(host)
