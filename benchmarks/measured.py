# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run playbooks and account for them: what benchmarks/fleet.py and benchmarks/scale.py share."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
OUTPUT = HERE / "output"
PASSPHRASE = secrets.token_hex(32)  # of the CA, which lives no longer than a benchmark
_RECAP = re.compile(r"^(\S+) +: ok=\d+ +changed=(\d+) ", re.MULTILINE)


@dataclass(frozen=True)
class Usage:
    """What one run of a playbook took on the controller, with all its processes.

    wall and processor are in seconds, memory is the peak of its largest process in MiB; changed is the number of
    changed tasks by host.
    """

    wall: float
    processor: float
    memory: float
    changed: Mapping[str, int]


def environment(work: Path, collections_path: str) -> dict[str, str]:
    """Return the environment of all runs: this one's, with benchmarks/ansible.cfg instead of any other settings.

    Bundles of CAs are taken out: with one in the environment, requests ignores the CA that community.docker names.

    :param work: a folder for what Ansible keeps at home.
    """
    bundles = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_") and name not in bundles
    }
    return kept | {
        "ANSIBLE_CONFIG": str(HERE / "ansible.cfg"),
        "ANSIBLE_CONNECTION_PLUGINS": str(HERE / "connection"),
        "ANSIBLE_COLLECTIONS_PATH": collections_path,
        "ANSIBLE_HOME": str(work / "ansible"),
        "NO_COLOR": "1",
    }


def playbook(command: Sequence[str | Path], env: Mapping[str, str], work: Path) -> Usage:
    """Run ansible-playbook in a folder and return what it took; end the benchmark, with its output, when it fails."""
    with tempfile.TemporaryFile() as output:
        started = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in command], env=env, cwd=work,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        # The account of a process that has ended contains those it has waited for: Ansible's workers, and theirs.
        _pid, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().decode(errors="replace")
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{said}")
    changed = {host: int(number) for host, number in _RECAP.findall(said)}
    return Usage(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, changed)


def write_variables(path: Path, variables: Mapping[str, Any]) -> Path:
    """Write a file of variables, or an inventory, that only its owner can read; return its path."""
    path.touch(mode=0o600)
    path.write_text(json.dumps(variables, indent=2), encoding="utf-8")
    return path


def commit() -> str:
    """Return the abbreviated commit of the checkout, with "+" if files differ from it; "unknown" outside of git."""
    done = subprocess.run(
        ["git", "-C", CHECKOUT, "describe", "--always", "--dirty=+", "--exclude=*"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"


def write_results(name: str, results: Mapping[str, Any], plots: Mapping[str, str]) -> None:
    """Write the results as JSON, and the plots as SVG, into the output folder, and say where they are."""
    OUTPUT.mkdir(exist_ok=True)
    files = {f"{name}.json": json.dumps(results, indent=2) + "\n"} | {f"{key}.svg": svg for key, svg in plots.items()}
    for file, content in files.items():
        (OUTPUT / file).write_text(content, encoding="utf-8")
    print(f"\nWritten to {OUTPUT}: {', '.join(files)}")
