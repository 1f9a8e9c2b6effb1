# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Large answers of real engines: files in constant memory, judged by curl, docker and the kernel; many containers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.engine_support import Pki, named, play, secure
from ansible_collections.dockerfleet.remote_api.tests.integration.support import IMAGE, Ansible, Host, Lab

MODULES = "dockerfleet.remote_api"
MIB = 2**20
MANY = 1000

# Stands in for python3 on a host, and notes of each run what the kernel says: its peak memory in KiB and how many TCP
# connections were opened meanwhile; and what Python itself says: each connect, and each process that is started.
MEASURED = """#!/usr/bin/python3
import collections, json, os, resource, subprocess, sys

def opened():
    with open("/proc/net/snmp") as stream:
        names, values = [line.split() for line in stream if line.startswith("Tcp:")]
    return int(values[names.index("ActiveOpens")])

open("/root/audit/events", "w").close()
before = opened()
code = subprocess.call([sys.executable, *sys.argv[1:]], env={**os.environ, "PYTHONPATH": "/root/audit"})
noted = {
    "task": os.environ.get("TASK"),
    "peak": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
    "opened": opened() - before,
    "events": collections.Counter(open("/root/audit/events").read().split()),
}
with open("/root/notes", "a") as stream:
    stream.write(json.dumps(noted) + chr(10))
sys.exit(code)
"""
AUDIT = """
import sys

def note(event, args):
    if event in ("socket.connect", "subprocess.Popen", "os.fork", "os.posix_spawn"):
        with open("/root/audit/events", "a") as stream:
            stream.write(event + chr(10))

sys.addaudithook(note)
"""

# Leaves a file of 64 MiB that cannot be compressed, and writes 102400 different lines of 1 KiB, newline and all.
WRITE = """
head -c 67108864 /dev/urandom > /large
exec awk 'BEGIN {
    zeros = sprintf("%0128d", 0)
    zeros = zeros zeros zeros zeros zeros zeros zeros zeros
    for (number = 10000000; number < 10102400; number++) print number substr(zeros, 10)
}'
"""
# The engine puts 8 bytes before each piece of the log of a container without a terminal; the docker client and
# engine_api take them away again, and so does this.
UNFRAME = """perl -e 'while (read(STDIN, $head, 8) == 8) { read(STDIN, $piece, unpack("x4N", $head)); print $piece }'"""
URL = "http://engine/containers/large/logs?stdout=true"
LOG: dict[str, Any] = {"path": "/containers/large/logs", "query": {"stdout": True}, "dest": "/root/log"}
# What is fetched, each with its transport.
FETCHED: dict[str, tuple[str, dict[str, Any]]] = {
    "log": ("socket", LOG),
    "log again": ("socket", LOG),
    "log with TLS": ("tls", {**LOG, "dest": "/root/log-tls"}),
    "export": ("socket", {"path": "/containers/large/export", "dest": "/root/export"}),
    "archive": ("tls", {"path": "/containers/large/archive", "query": {"path": "/large"}, "dest": "/root/archive"}),
}
# Pairs of commands that have to say the same: what is in a file, and what another client of the engine gets.
SAME = {
    "log": ("cat log", f"curl -fsS --unix-socket /run/docker.sock '{URL}' | {UNFRAME}"),
    "lines of the log": ("cat log", "docker logs large"),
    "log with TLS": ("cat log-tls", "cat log"),
    "export": ("cat export", "docker export large"),
    "archive": ("cat archive", "docker cp large:/large -"),
}
TRANSPORTS: dict[str, dict[str, str]] = {
    "socket": {},
    "tls": {"docker_host": "tcp://127.0.0.1:2376", "cert_path": "/root/admin"},
}
# Creates containers over one connection, for a docker client each would take minutes.
CREATE = """
import http.client, json, socket, sys
connection = http.client.HTTPConnection("engine")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect("/run/docker.sock")
body, headers = json.dumps({"Image": sys.argv[1]}), {"Content-Type": "application/json"}
for number in range(int(sys.argv[2])):
    connection.request("POST", f"/containers/create?name=many-{number}", body, headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 201:
        sys.exit(content)
"""


def measured(title: str, module: str, **options: Any) -> dict[str, Any]:
    """Return a task of a module under test whose run is measured."""
    settings = {"ansible_python_interpreter": "/root/measured"}
    return {"name": title, f"{MODULES}.{module}": options, "vars": settings, "environment": {"TASK": title}}


def shell(title: str, script: str) -> dict[str, Any]:
    return {"name": title, "ansible.builtin.shell": script, "changed_when": False}


def engine(lab: Lab, pki: Pki, name: str, suite: str) -> Host:
    """Return a fresh host whose engine listens with TLS, with a client's certificate and what measures runs on it."""
    host = lab.host(name, suite)
    host.make_image()
    secure(host, pki)
    for file in ("ca.pem", "cert.pem", "key.pem"):
        host.write(f"/root/admin/{file}", (pki.admin / file).read_text())
    host.write("/root/audit/sitecustomize.py", AUDIT)
    host.write("/root/measured", MEASURED)
    host.sh("chmod 0755 /root/measured")
    return host


def said(results: dict[str, Any], title: str) -> str:
    return str(results[title]["stdout"])


def told(ansible: Ansible, host: Host, story: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the results of tasks by their names, and below C(measured) what was measured of each."""
    done = ansible.playbook(play(story), [host], env={"ANSIBLE_PIPELINING": "1"})
    assert done.rc == 0, done.output[-5000:]
    runs = [json.loads(line) for line in host.read("/root/notes").splitlines()]
    return {**named(done.of(host)), "measured": {one["task"]: one for one in runs}, "host": host}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.make(tmp_path_factory.mktemp("large") / "pki")


@pytest.fixture(scope="module")
def fetched(lab: Lab, pki: Pki, module_ansible: Ansible) -> Iterator[dict[str, Any]]:
    """Yield the results of fetching the log and the files of a large container."""
    host = engine(lab, pki, "large", "trixie")
    host.exec("docker", "run", "--detach", "--name", "large", "--log-driver", "json-file", IMAGE, "sh", "-c", WRITE)
    host.exec("docker", "wait", "large")
    small = {**LOG, "query": {"stdout": True, "tail": 1}, "dest": "/root/small"}
    wanted = {f"{transport} small": (transport, small) for transport in TRANSPORTS} | FETCHED
    story = [
        measured(title, "engine_api", **options, **TRANSPORTS[transport])
        for title, (transport, options) in wanted.items()
    ]
    yield told(module_ansible, host, story)
    host.sh("cd /root; rm log log-tls export archive; docker rm large")


@pytest.mark.parametrize("title", FETCHED)
def test_large_answer_takes_no_more_memory_than_a_small_one(fetched: dict[str, Any], title: str) -> None:
    assert fetched[title]["status"] == 200
    assert fetched[title]["changed"] is (title != "log again")
    small, large = (fetched["measured"][one]["peak"] for one in (f"{FETCHED[title][0]} small", title))
    assert large - small < 4096, f"{large} KiB for {title}, {small} KiB for a small answer"


@pytest.mark.parametrize("title", SAME)
def test_file_is_what_curl_and_docker_get(fetched: dict[str, Any], title: str) -> None:
    host: Host = fetched["host"]
    ours, theirs = (host.sh(f"cd /root; {command} | sha256sum") for command in SAME[title])
    assert ours == theirs


def test_sizes(fetched: dict[str, Any]) -> None:
    host: Host = fetched["host"]
    files = "log log-tls export archive"
    log, log_tls, export, archive = (int(size) for size in host.sh(f"cd /root; stat -c %s {files}").split())
    assert log == log_tls == 102400 * 1024
    assert 64 * MIB < archive < export < 72 * MIB
    assert host.sh("docker logs large | wc -c") == str(100 * MIB)


def test_what_is_measured_is_seen(fetched: dict[str, Any]) -> None:
    """What the tests of this file would tell of an answer that is held in memory, and of a process for each name."""
    host: Host = fetched["host"]
    host.exec("/root/measured", "-c", f"import os; bytearray({64 * MIB}); os.fork() and os.wait()")
    noted = json.loads(host.read("/root/notes").splitlines()[-1])
    assert noted["peak"] > 64 * 1024
    assert noted["events"] == {"os.fork": 1}


@pytest.fixture(scope="module")
def many(lab: Lab, pki: Pki, module_ansible: Ansible) -> dict[str, Any]:
    """Return the results of asking for a thousand containers. They go with their host."""
    host = engine(lab, pki, "many", "trixie")
    host.exec("python3", "-", IMAGE, str(MANY), stdin=CREATE)
    names = [f"many-{number}" for number in range(0, MANY, 10)]
    story = [
        shell("docker ps", "docker ps --all --quiet --no-trunc"),
        shell("docker inspect", f"docker inspect --format '{{{{ '{{{{.Id}}}}' }}}}' {' '.join(names)}"),
    ]
    for transport, options in TRANSPORTS.items():
        story += [
            measured(f"{transport} all", "container_info", all=True, **options),
            measured(f"{transport} names", "container_info", names=[*names, "nobody"], **options),
        ]
    return told(module_ansible, host, story)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_thousand_containers_are_listed(many: dict[str, Any], transport: str) -> None:
    expected = said(many, "docker ps").split()
    assert len(set(expected)) == MANY
    assert sorted(one["Id"] for one in many[f"{transport} all"]["containers"]) == sorted(expected)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_many_names_take_one_connection_and_no_process(many: dict[str, Any], transport: str) -> None:
    found, noted = many[f"{transport} names"], many["measured"][f"{transport} names"]
    assert [one["Id"] for one in found["containers"]] == said(many, "docker inspect").split()
    assert found["missing"] == ["nobody"]
    assert noted["events"] == {"socket.connect": 1}
    assert noted["opened"] == (1 if transport == "tls" else 0)
