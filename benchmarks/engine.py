# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask one engine with 500 containers the same questions, with this collection and with community.docker.

Both are asked in turn in one Ansible run over one connection to a host of the lab. What is compared is the time of a
task above that of ansible.builtin.ping, as the controller sees it, and the processor time and the peak memory of the
module on the host. Usage: python3 benchmarks/engine.py [SUITE [ROUNDS]]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
LAB = CHECKOUT / "tests/lab/lab"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dockerfleet-remote-api/benchmarks"
HOST = "benchmark"
CONTAINERS = 500
# The questions, and the share of community.docker's time that each may take.
QUESTIONS = {"Info": 0.5, "List": 0.6, "Inspect": 0.5}

MAKE_CONTAINERS = f"""
set -e
mkdir -p /tmp/image/bin
cp /bin/busybox /tmp/image/bin/sleep
tar -C /tmp/image -c . | docker import -c 'CMD ["sleep", "3600"]' - benchmark >/dev/null
for number in $(seq {CONTAINERS}); do docker create --name bench-$number --label n=$number benchmark >/dev/null; done
docker start bench-1 bench-2 >/dev/null
rm -rf /root/.ansible/tmp
"""

# Runs on the host: what each module that was kept there takes, in seconds of processor time and KiB of memory. Each run
# is the only child of a process, whose account of its children then is that of the run.
MEASURE = """
import glob, json, os, resource, subprocess, sys
found = {}
for path in sorted(glob.glob("/root/.ansible/tmp/*/AnsiballZ_*.py"), key=os.path.getmtime):
    for again in range(int(sys.argv[1])):
        reader, writer = os.pipe()
        if os.fork() == 0:
            subprocess.run([sys.executable, path], stdout=subprocess.DEVNULL)
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            os.write(writer, json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss]).encode())
            os._exit(0)
        os.wait()
        found.setdefault(path, []).append(json.loads(os.read(reader, 1000)))
        os.close(reader), os.close(writer)
print(json.dumps(list(found.values())))
"""


def run(*command: str | Path, stdin: str = "", env: dict[str, str] | None = None) -> str:
    """Run a program and return its output; end the whole run when it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, env=env, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def environment() -> Path:
    """Return the folder of a virtual environment with PyPI's package ansible, which holds community.docker."""
    folder = CACHE / f"venv-{sys.version_info.major}.{sys.version_info.minor}"
    if not (folder / "complete").exists():
        run(sys.executable, "-m", "venv", "--clear", folder)
        run(folder / "bin/python", "-m", "pip", "install", "--quiet", "ansible", "requests")
        (folder / "complete").touch()
    return folder


def play(venv: Path, inventory: Path, work: Path, rounds: int, *, keep: bool) -> dict[str, list[float]]:
    """Return the seconds that each task took, by its name.

    :param keep: leave the modules on the host, for which they have to be copied there and not only piped in.
    """
    (packages,) = venv.glob("lib/python*/site-packages")
    collections = work / "collections/ansible_collections/dockerfleet"
    collections.mkdir(parents=True, exist_ok=True)
    if not (collections / "remote_api").exists():
        (collections / "remote_api").symlink_to(CHECKOUT)
    durations = work / f"durations-{keep}.jsonl"
    env = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    env |= {
        "ANSIBLE_COLLECTIONS_PATH": f"{work}/collections:{packages}",
        "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "durations",
        "ANSIBLE_KEEP_REMOTE_FILES": str(int(keep)),
        "ANSIBLE_PIPELINING": str(int(not keep)),
        "DURATIONS_FILE": str(durations),
    }
    run(venv / "bin/ansible-playbook", "-i", inventory, "-e", f"rounds={rounds}", HERE / "engine.yml", env=env)
    taken: dict[str, list[float]] = {}
    for line in durations.read_text(encoding="utf-8").splitlines():
        task = json.loads(line)
        taken.setdefault(task["task"], []).append(task["seconds"])
    return taken


def compare(title: str, unit: str, values: dict[str, float], base: float, *, limited: bool = False) -> bool:
    """Print each question with the ratio of what is above the base, and return whether all keep their limits."""
    print(f"\n{title} ({unit})" + (f", above ping's {base:.3f}" if base else ""))
    kept = True
    for question, limit in QUESTIONS.items():
        ours, theirs = (values[f"{question} / {who}"] - base for who in ("ours", "theirs"))
        verdict = "" if not limited else f" (at most {limit})" if ours / theirs <= limit else f" (MORE than {limit})"
        kept = kept and (not limited or ours / theirs <= limit)
        print(f"  {question:8} {ours:10.3f} of community.docker's {theirs:10.3f}   ratio {ours / theirs:.2f}{verdict}")
    return kept


def main() -> int:
    """Measure, print the ratios, and return 1 if the time of a task is above its limit."""
    suite = sys.argv[1] if len(sys.argv) > 1 else "bookworm"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    venv = environment()
    run(LAB, "up", f"{HOST}={suite}/docker-io")
    try:
        run(LAB, "exec", HOST, "--", "sh", "-c", MAKE_CONTAINERS)
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            inventory = work / "inventory.json"
            inventory.write_text(run(LAB, "inventory", HOST), encoding="utf-8")
            taken = play(venv, inventory, work, rounds, keep=False)
            order = list(play(venv, inventory, work, 1, keep=True))
        measured = json.loads(run(LAB, "exec", HOST, "--", "python3", "-", str(rounds), stdin=MEASURE))
    finally:
        run(LAB, "down", HOST)
    names = [name for name in order if name == "Ping" or " / " in name]
    # The faster half of the runs: the rest is what else the machine did.
    wall = {name: statistics.median(sorted(taken[name])[: (rounds + 1) // 2]) for name in names}
    processor = {
        name: statistics.median(sorted(one[0] for one in runs)[: (rounds + 1) // 2])
        for name, runs in zip(names, measured, strict=True)
    }
    memory = {name: max(one[1] for one in runs) / 1024 for name, runs in zip(names, measured, strict=True)}
    machine = f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    print(f"Engine of {suite} with {CONTAINERS} containers, {rounds} rounds, {machine}")
    kept = compare("Time of a task on the controller's clock", "s", wall, wall["Ping"], limited=True)
    compare("Processor time of the module on the host", "s", processor, processor["Ping"])
    compare("Peak memory of the module", "MiB", memory, 0)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
