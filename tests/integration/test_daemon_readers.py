# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Thousands of generated options files, judged by systemd itself, from the oldest supported version to the newest."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.errors import DaemonError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options_file import (
    read_assignments,
    read_environment,
    read_words,
    render,
)
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Host, Lab
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._daemon.generated_files import (
    NASTY,
    SOUND,
    SOUP,
    Case,
    examples,
)

BATCH = 400
# One start of one service reads a whole batch: file N sets variables OPTSN..., and the words of OPTSN follow after @@N.
JUDGE = r"""
import base64, json, os, pathlib, subprocess, sys

base = pathlib.Path("/run/judge")
base.mkdir(exist_ok=True)
files = [base64.b64decode(text) for text in json.load(sys.stdin)]
for number, content in enumerate(files):
    (base / str(number)).write_bytes(content)
(base / "print").write_text("printf '%s\\0' \"$@\"")
words = " ".join(f"@@{number} $OPTS{number}" for number in range(len(files)))
unit = ["[Service]", "Type=oneshot"]
unit += [f"EnvironmentFile=-/run/judge/{number}" for number in range(len(files))]
for name, command in {"environment": "/usr/bin/env -0", "argv": f"/bin/sh /run/judge/print {words}"}.items():
    (base / name).unlink(missing_ok=True)
    service = [*unit, f"StandardOutput=file:/run/judge/{name}", f"ExecStart={command}", ""]
    pathlib.Path(f"/run/systemd/system/judge-{name}.service").write_text("\n".join(service))
subprocess.run(["systemctl", "daemon-reload"], check=True)
subprocess.run(["systemctl", "start", "judge-environment", "judge-argv"], check=True)
print(json.dumps([base64.b64encode((base / name).read_bytes()).decode() for name in ("environment", "argv")]))
"""


def variable_of(number: int) -> str:
    """Return the variable that is wanted in file N; the others in it have names that begin with this one and a "_"."""
    return f"OPTS{number % BATCH}"


@dataclass(frozen=True)
class Reading:
    """What systemd read from a file: its variables, and the words of the one that is wanted."""

    variables: Mapping[str, str]
    words: tuple[str, ...]


def judge(host: Host, files: Sequence[bytes]) -> list[Reading]:
    """Return systemd's readings of the files, a batch at a time."""
    found: list[Reading] = []
    for start in range(0, len(files), BATCH):
        batch = files[start : start + BATCH]
        sent = json.dumps([base64.b64encode(content).decode() for content in batch])
        answer = json.loads(host.exec("python3", "-c", JUDGE, stdin=sent).stdout)
        environment, argv = (base64.b64decode(text).decode("utf-8", "surrogateescape") for text in answer)
        found.extend(_readings(environment, argv, len(batch)))
    return found


def _readings(environment: str, argv: str, count: int) -> Iterator[Reading]:
    """Yield each file's reading out of what the two services printed."""
    variables: list[dict[str, str]] = [{} for number in range(count)]
    for line in environment.split("\0"):
        name, value = line.partition("=")[::2]
        if found := re.match(r"OPTS([0-9]+)", name):
            variables[int(found.group(1))][name] = value
    parts = argv.split("@@")[1:]
    for number in range(count):
        assert parts[number].partition("\0")[0] == str(number)
        yield Reading(variables[number], tuple(parts[number].split("\0")[1:-1]))


def expected(content: bytes, variable: str, version: int) -> dict[str, str]:
    """Return what this version of systemd should read from a file, by our own reader."""
    text = content.decode("utf-8", "surrogateescape")
    older = read_assignments(text, before_254=True)
    if version < 254 and older != read_assignments(text):
        # The same assignments without the comments, so that no version can read anything else from them.
        lines = (f"{item.name}={_quoted(item.value)}\n" for item in older)
        content = "".join(lines).encode("utf-8", "surrogateescape")
    own = re.compile(rf"{variable}(?![0-9])")
    return {name: value for name, value in read_environment(content).items() if own.match(name)}


def _quoted(value: str) -> str:
    """Return a value in double quotes, as systemd reads it."""
    return '"' + "".join(f"\\{char}" if char in '"\\`$' else char for char in value) + '"'


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> Iterator[dict[str, Host]]:
    suites = ("bullseye", "bookworm", "trixie", "forky")
    hosts = lab.hosts({f"r-{suite}": (suite, "no-docker") for suite in suites})
    yield {host.suite: host for host in hosts.values()}
    lab.down(*hosts.values())


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [*examples(SOUND, 400), *examples(NASTY, 1600), *examples(SOUP, 1600)]


@pytest.mark.parametrize("suite", ["bullseye", "bookworm", "trixie", "forky"])
def test_our_reader_reads_what_systemd_reads(hosts: dict[str, Host], cases: list[Case], suite: str) -> None:
    version = int(hosts[suite].sh("systemctl --version | sed -n '1s/[^0-9]*\\([0-9]*\\).*/\\1/p'"))
    files = [case.file(variable_of(number)) for number, case in enumerate(cases)]
    readings = judge(hosts[suite], files)
    for number, (content, reading) in enumerate(zip(files, readings, strict=True)):
        assert expected(content, variable_of(number), version) == reading.variables, content
    assert sum(bool(reading.variables) for reading in readings) > 1000


@pytest.mark.parametrize("suite", ["bullseye", "bookworm", "trixie", "forky"])
def test_systemd_starts_the_daemon_with_what_was_planned(hosts: dict[str, Host], cases: list[Case], suite: str) -> None:
    old: list[tuple[bytes, tuple[str, ...], tuple[str, ...]]] = []
    new: list[bytes] = []
    for case in cases:
        content = case.file(variable_of(len(old)))
        try:
            new.append(render(content, "options", variable_of(len(old)), case.words))
        except DaemonError:
            continue
        old.append((content, case.words, read_words(content, "options", variable_of(len(old)))))
    assert len(old) > 1000
    before = judge(hosts[suite], [entry[0] for entry in old])
    after = judge(hosts[suite], new)
    for number, (content, words, present) in enumerate(old):
        assert before[number].words == present, content
        assert after[number].words == words, (content, new[number])
        others_before, others_after = (
            {name: value for name, value in reading.variables.items() if name != variable_of(number)}
            for reading in (before[number], after[number])
        )
        assert others_after == others_before, (content, new[number])
