# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure what a host costs the controller, with up to a thousand simulated hosts on which nothing is due.

The hosts' modules are answered by a connection plugin that starts no process, and their engines by one program that
listens on all loopback addresses; neither is counted. So what is left is the controller's own work, the checks over
the network among it. Compared are one ping and the whole of playbooks/secure.yml, in turn.

What a host costs is what the hosts beyond the first add, divided by their number. So neither the start of Ansible
counts nor what is done once for a fleet. Medians and ratios are printed; they and two plots go to benchmarks/output.
Usage: tests/tools/with test python benchmarks/scale.py
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.dockerfleet.remote_api.benchmarks import measured, plot

PING, SECURE = "one ping", "secure, nothing due"
PLAYBOOKS: dict[str, str | Path] = {PING: measured.HERE / "ping.yml", SECURE: "dockerfleet.remote_api.secure"}
# The processor time per host may vary by that factor from so many hosts on; the most that "secure" may be of a ping.
FLAT, FLAT_FROM, RATIO = 1.10, 50, 2.2

Runs = Mapping[str, Mapping[int, list[measured.Usage]]]


def free_port() -> int:
    """Return a port that nothing on this machine listens on: it may have an engine of its own on 2376."""
    with socket.create_server(("", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def inventory(count: int, pki: Path, port: int) -> dict[str, object]:
    """Return an inventory of simulated hosts, each with a loopback address of its own."""
    hosts = {f"host{n:04}": {"ansible_host": f"127.1.{n // 250}.{n % 250 + 1}"} for n in range(count)}
    shared = {
        "ansible_connection": "simulated",
        "ansible_python_interpreter": "/usr/bin/python3",
        "docker_remote_api_ca_passphrase": measured.PASSPHRASE,
        "docker_remote_api_listen": [f"tcp://0.0.0.0:{port}"],
        "docker_remote_api_pki_dir": str(pki),
        "docker_remote_api_serial": "100%",
    }
    return {"docker_hosts": {"hosts": hosts, "vars": shared}}


@contextmanager
def engines(pki: Path, port: int) -> Iterator[None]:
    """Have the engines of all simulated hosts answer, with certificates of the CA in that folder."""
    command = [sys.executable, str(measured.HERE / "responder.py"), str(pki), str(port)]
    env = os.environ | {"CA_PASSPHRASE": measured.PASSPHRASE}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None or process.stdout.readline().strip() != "ready":
                raise SystemExit("the stand-in for the engines did not start")
            yield
        finally:
            process.terminate()


class Scale:
    """Runs playbooks on simulated hosts, in a folder."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.pki = work / "pki"
        self.port = free_port()
        self.env = measured.environment(work, os.environ["ANSIBLE_COLLECTIONS_PATH"])
        self.program = Path(sys.executable).with_name("ansible-playbook")

    def run(self, playbook: str | Path, count: int, *more: str) -> measured.Usage:
        """Run a playbook on so many hosts and return what it took."""
        hosts = measured.write_variables(self.work / f"inventory-{count}.json", inventory(count, self.pki, self.port))
        return measured.playbook([self.program, "-i", hosts, playbook, *more], self.env, self.work)

    def measure(self, counts: list[int], rounds: int) -> Runs:
        """Return what each run took: what was run -> number of hosts -> runs."""
        # The first run makes the CA and the client's certificate, so that nothing is due in the others.
        self.run(PLAYBOOKS[SECURE], 1, "-e", "docker_remote_api_verify_from=none")
        found: dict[str, dict[int, list[measured.Usage]]] = {name: {n: [] for n in counts} for name in PLAYBOOKS}
        with engines(self.pki, self.port):
            for number in range(1, rounds + 1):
                for count in counts:
                    for name, playbook in PLAYBOOKS.items():
                        load = os.getloadavg()[0]
                        used = self.run(playbook, count)
                        if any(used.changed.values()):
                            raise SystemExit(f"{name} changed something")
                        found[name][count].append(used)
                        print(
                            f"  round {number}: {count:5} hosts, {name:20} processor {used.processor:7.2f} s "
                            f"({1000 * used.processor / count:6.1f} ms a host), wall {used.wall:7.2f} s, "
                            f"memory {used.memory:4.0f} MiB, load {load:.1f}",
                            flush=True,
                        )
        return found


def per_host(runs: Mapping[int, list[measured.Usage]], what: str) -> dict[int, float]:
    """Return what each host more than one adds to a figure of Usage: number of hosts -> median."""
    median = {count: statistics.median(getattr(one, what) for one in used) for count, used in runs.items()}
    return {count: (value - median[1]) / (count - 1) for count, value in median.items() if count > 1}


def report(runs: Runs, about: str) -> dict[str, Any]:
    """Print what a host costs, and return it: what was run -> figure -> number of hosts -> milliseconds or KiB."""
    costs: dict[str, dict[str, dict[int, float]]] = {}
    print(f"\n{about}\nA host costs:")
    for name, used in runs.items():
        processor = {count: 1000 * seconds for count, seconds in per_host(used, "processor").items()}
        memory = {count: 1024 * mebibytes for count, mebibytes in per_host(used, "memory").items()}
        costs[name] = {"processor": processor, "memory": memory}
        for count in processor:
            print(f"  {name:20} of {count:5} hosts: {processor[count]:7.1f} ms, {memory[count]:7.1f} KiB")
    print()
    for name, cost in costs.items():
        flat = [value for count, value in cost["processor"].items() if count >= FLAT_FROM]
        if len(flat) > 1:
            spread = max(flat) / min(flat)
            print(f"{name}: spread {spread:.2f}, target {FLAT:.2f}: {'reached' if spread <= FLAT else 'MISSED'}")
    most = max(costs[PING]["processor"])
    whole = {name: statistics.median(one.processor for one in used[most]) for name, used in runs.items()}
    ratio = whole[SECURE] / whole[PING]
    print(
        f"{SECURE}/{PING} on {most} hosts: {ratio:.2f}, target {RATIO:.2f}: {'reached' if ratio <= RATIO else 'MISSED'}"
    )
    return costs


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description="Measure what a host costs the controller.")
    parser.add_argument("--hosts", type=int, nargs="+", default=[10, 50, 200, 1000], help="default: 10 50 200 1000")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    options = parser.parse_args()
    if shutil.which("ansible-playbook") is None or "ANSIBLE_COLLECTIONS_PATH" not in os.environ:
        parser.error("run this with tests/tools/with test python benchmarks/scale.py")
    with tempfile.TemporaryDirectory() as folder:
        runs = Scale(Path(folder)).measure(sorted({1, *options.hosts}), options.rounds)
    machine = f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    about = f"Commit {measured.commit()}: {options.rounds} rounds, {machine}"
    costs = report(runs, about)
    plots = {}
    for figure, label in (("processor", "milliseconds of processor time"), ("memory", "KiB of memory")):
        frame = plot.Plot(f"What a host costs the controller: {figure}", "hosts", label)
        plots[f"scale-{figure}"] = plot.lines(frame, {name: cost[figure] for name, cost in costs.items()})
    measured.write_results("scale", {"about": about, "per_host": costs}, plots)


if __name__ == "__main__":
    main()
