# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long an engine is away while daemon_options changes its options, and what it costs to find nothing to change.

On one host of the lab, in turn: a change by daemon_options and a bare "systemctl restart docker", during both of which
the local socket is asked every few milliseconds; then daemon_options with nothing to change and
ansible.builtin.systemd_service with "state: started", each as Ansible sends it to the host.
Usage: python3 benchmarks/outage.py [SUITE/VARIANT [ROUNDS]]
"""

from __future__ import annotations

import base64
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
LAB = CHECKOUT / "tests/lab/lab"
HOST = "outage"
CODE = ("plugins/module_utils",)
TARGETS = {"outage": 1.3, "no change": 2.0}

# Runs on the host: how long the local socket gave no answer while each command ran, in seconds, the commands in turn.
WATCH = """
import json, socket, subprocess, sys, threading, time
sys.path.insert(0, "/root/outage")

def answers():
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        try:
            connection.connect("/run/docker.sock")
            connection.sendall(b"GET /_ping HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n")
            return b" 200 " in connection.recv(64)
        except OSError:
            return False

def outage(command, stdin):
    worst, ended = 0.0, threading.Event()
    def watch():
        nonlocal worst
        last = time.monotonic()
        while not ended.is_set():
            if answers():
                now = time.monotonic()
                worst, last = max(worst, now - last), now
            time.sleep(0.005)
    watcher = threading.Thread(target=watch)
    watcher.start()
    subprocess.run(command, input=stdin, stdout=subprocess.DEVNULL, check=True)
    time.sleep(0.3)
    ended.set()
    watcher.join()
    return worst

found = {"ours": [], "bare": []}
for number in range(int(sys.argv[1])):
    change = json.dumps({"request": {"options": {"label": [f"round={number}"]}}, "mode": {"settle": 6.0}})
    for name, command, stdin in (
        ("ours", [sys.executable, "/root/outage/on_host.py", "core"], change.encode()),
        ("bare", ["systemctl", "restart", "docker.service"], b""),
    ):
        subprocess.run(["systemctl", "reset-failed", "docker.service"])
        found[name].append(outage(command, stdin))
        time.sleep(1)
print(json.dumps(found))
"""

# Runs on the host: how long each module that Ansible left there takes, in seconds, the modules in turn.
REPEAT = """
import glob, json, os, subprocess, sys, time
paths = sorted(glob.glob("/root/.ansible/tmp/*/AnsiballZ_*.py"), key=os.path.getmtime)
found = {path.rpartition("AnsiballZ_")[2][:-3]: [] for path in paths}
for again in range(int(sys.argv[1])):
    for path in paths:
        start = time.monotonic()
        done = subprocess.run([sys.executable, path], capture_output=True, check=True)
        found[path.rpartition("AnsiballZ_")[2][:-3]].append(time.monotonic() - start)
        assert not json.loads(done.stdout)["changed"]
print(json.dumps(found))
"""

PLAYBOOK = """
- name: Leave two modules that have nothing to change
  hosts: all
  gather_facts: false
  tasks:
    - name: Ours
      dockerfleet.remote_api.daemon_options:
        options: {label: ["ROUND"]}
    - name: Theirs
      ansible.builtin.systemd_service: {name: docker.service, state: started}
"""


def run(*command: str | Path, stdin: str = "", env: dict[str, str] | None = None) -> str:
    """Run a program and return its output; end the whole run when it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, env=env, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def on_host(*command: str, stdin: str = "") -> str:
    """Run a program on the host and return its output."""
    return run(LAB, "exec", HOST, "--", *command, stdin=stdin)


def bring_code() -> None:
    """Bring the core behind the module to the host, with a small program that runs it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path in CODE:
            tar.add(CHECKOUT / path, f"ansible_collections/dockerfleet/remote_api/{path}")
        tar.add(CHECKOUT / "tests/integration/daemon_on_host.py", "on_host.py")
    script = "mkdir -p /root/outage && cd /root/outage && base64 -d | tar xz"
    on_host("sh", "-c", script, stdin=base64.b64encode(packed.getvalue()).decode())


def leave_modules(work: Path, rounds: int) -> None:
    """Run both modules once by way of Ansible and leave on the host what it sent there."""
    collections = work / "ansible_collections/dockerfleet"
    collections.mkdir(parents=True)
    (collections / "remote_api").symlink_to(CHECKOUT)
    (work / "inventory.json").write_text(run(LAB, "inventory", HOST), encoding="utf-8")
    (work / "play.yml").write_text(PLAYBOOK.replace("ROUND", f"round={rounds - 1}"), encoding="utf-8")
    env = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    env |= {"ANSIBLE_COLLECTIONS_PATH": str(work), "ANSIBLE_KEEP_REMOTE_FILES": "1"}
    program = Path(sys.executable).with_name("ansible-playbook")
    run(program, "-i", work / "inventory.json", work / "play.yml", env=env)


def compare(what: str, ours: list[float], theirs: list[float], other: str) -> bool:
    """Print the ratio of the medians and return whether it keeps to its target."""
    mine, its = statistics.median(ours), statistics.median(theirs)
    print(f"{what:10} {mine:.3f} s, {other} {its:.3f} s   ratio {mine / its:.2f} (target at most {TARGETS[what]})")
    return mine / its <= TARGETS[what]


def main() -> None:
    """Measure, print the ratios, and fail when one of them misses its target."""
    kind = sys.argv[1] if len(sys.argv) > 1 else "bookworm/docker-io"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    run(LAB, "up", f"{HOST}={kind}")
    try:
        bring_code()
        away = json.loads(on_host("python3", "-", str(rounds), stdin=WATCH))
        with tempfile.TemporaryDirectory() as folder:
            leave_modules(Path(folder), rounds)
        taken = json.loads(on_host("python3", "-", str(3 * rounds), stdin=REPEAT))
    finally:
        run(LAB, "down", HOST)
    print(f"{kind}, {rounds} rounds, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    fine = [
        compare("outage", away["ours"], away["bare"], "systemctl restart"),
        compare("no change", taken["daemon_options"], taken["systemd_service"], "systemd_service"),
    ]
    sys.exit(0 if all(fine) else 1)


if __name__ == "__main__":
    main()
