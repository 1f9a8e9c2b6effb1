# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure a fleet of lab hosts: this collection's playbook, a peer playbook for the same job, and a ping, in turn.

Each round resets the hosts and the controller's CA, then measures a first run, a run with nothing to change, and the
renewal of all certificates, with either playbook; and pings before, between and after. Medians and ratios are printed;
they, every single run and a plot go to benchmarks/output. "make bench" runs this.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.dockerfleet.remote_api.benchmarks import engine, measured, plot

KINDS = (
    "bookworm/docker-io", "trixie/docker-ce", "forky/docker-io", "bullseye/docker-ce",
    "bookworm/docker-ce", "trixie/docker-io", "forky/docker-ce", "bullseye/docker-io",
)  # fmt: skip
SCENARIOS = ("first run", "no change", "renewal")
OURS, PEER, PING = "this collection", "peer playbook", "ping"
# The issued certificates are valid for a year. Asking for more than is left makes each of them due, once.
OURS_RENEWAL = {"docker_remote_api_certificate_days": 400, "docker_remote_api_renew_before_days": 399}
PEER_RENEWAL = {"certificate_days": 400, "renew_before": "+399d"}
# scenario, what is compared with, the most that our median may be as a multiple of it.
TARGETS = (("first run", PEER, 1 / 2), ("no change", PING, 2.0), ("no change", PEER, 1 / 7), ("renewal", PEER, 1 / 2))

SNAPSHOT = """
set -e
mkdir -p /etc/docker
tar -C / -cf /root/benchmark.tar etc/docker etc/default etc/systemd/system
"""
RESET = """
set -e
systemctl stop docker.socket docker.service
rm -rf /etc/docker /etc/default/docker /etc/systemd/system/* /var/lib/docker-remote-api
tar -C / -xf /root/benchmark.tar
systemctl daemon-reload
systemctl reset-failed
systemctl start docker.service
"""
# Three starts within a minute are all that Docker's unit allows.
FORGET_STARTS = "systemctl reset-failed docker.service"
# Each module says in the host's log that it was started, and nothing of this project has a part in that.
MODULES = (
    "journalctl --sync; journalctl --quiet --since=@{since} --output=json --output-fields=SYSLOG_IDENTIFIER,MESSAGE"
)
_STARTED = re.compile(r"ansible-\S+ Invoked with ")


@dataclass(frozen=True)
class Sample:
    """One run: modules is the number of modules started per host, load that of the machine before the run."""

    who: str
    scenario: str
    wall: float
    processor: float
    modules: float
    load: float


@dataclass
class Fleet:
    """The hosts of the lab, how Ansible is run on them, and what was measured so far."""

    work: Path
    hosts: list[str]
    inventory: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    program: Path = Path()
    samples: list[Sample] = field(default_factory=list)

    def prepare(self) -> None:
        """Note how the hosts are now, and write what the runs need."""
        venv = engine.environment()
        (packages,) = venv.glob("lib/python*/site-packages")
        collections = self.work / "collections/ansible_collections/dockerfleet"
        collections.mkdir(parents=True)
        (collections / "remote_api").symlink_to(measured.CHECKOUT)
        self.env = measured.environment(self.work, f"{self.work}/collections:{packages}")
        self.program = venv / "bin/ansible-playbook"
        self.inventory = json.loads(engine.run(engine.LAB, "inventory", *self.hosts))
        for name, variables in self.inventory["docker_hosts"]["hosts"].items():
            variables["needs_drop_in"] = KINDS[self.hosts.index(name) % len(KINDS)].endswith("docker-ce")
        measured.write_variables(self.work / "inventory.json", self.inventory)
        ours = {
            "docker_remote_api_pki_dir": str(self.work / "pki"),
            "docker_remote_api_ca_passphrase": measured.PASSPHRASE,
            "docker_remote_api_serial": "100%",
        }
        peer = {"pki_dir": str(self.work / "pki"), "ca_passphrase": measured.PASSPHRASE}
        measured.write_variables(self.work / "ours.json", ours)
        measured.write_variables(self.work / "ours-renewal.json", ours | OURS_RENEWAL)
        measured.write_variables(self.work / "peer.json", peer | {"certificate_days": 365, "renew_before": "+30d"})
        measured.write_variables(self.work / "peer-renewal.json", peer | PEER_RENEWAL)
        self.on_hosts(SNAPSHOT)

    def on_hosts(self, script: str) -> list[str]:
        """Run a shell script on all hosts at once and return what each printed."""
        with ThreadPoolExecutor(len(self.hosts)) as pool:
            return list(
                pool.map(lambda host: engine.run(engine.LAB, "exec", host, "--", "sh", "-c", script), self.hosts)
            )

    def modules_since(self, moment: float) -> float:
        """Return how many modules were started per host since then, from the hosts' own logs."""
        started = 0
        for log in self.on_hosts(MODULES.format(since=f"{moment:.6f}")):
            for line in log.splitlines():
                entry = json.loads(line)
                if _STARTED.match(f"{entry.get('SYSLOG_IDENTIFIER')} {entry.get('MESSAGE')}"):
                    started += 1
        return started / len(self.hosts)

    def measure(self, who: str, scenario: str, *arguments: str | Path) -> None:
        """Run a playbook and add what it took; end the benchmark if it did not do what the scenario is about."""
        load, moment = os.getloadavg()[0], time.time()
        command = [self.program, "-i", self.work / "inventory.json", *arguments]
        used = measured.playbook(command, self.env, self.work)
        changed = {host: number for host, number in used.changed.items() if host in self.hosts}
        if any(changed.values()) != (scenario in ("first run", "renewal")):
            raise SystemExit(f"{who}, {scenario}: the numbers of changed tasks are {changed}")
        sample = Sample(who, scenario, used.wall, used.processor, self.modules_since(moment), load)
        if who == PING and sample.modules != 1:
            raise SystemExit(f"a ping is one module on each host, but their logs say {sample.modules}")
        self.samples.append(sample)
        print(
            f"  {who:16} {scenario:10} {sample.wall:6.2f} s, processor {sample.processor:6.2f} s, "
            f"{sample.modules:4.1f} modules a host, load {load:.1f}",
            flush=True,
        )

    def ping(self) -> None:
        """Measure a ping."""
        self.measure(PING, "", measured.HERE / "ping.yml")

    def scenarios(self, who: str, playbook: str | Path, variables: str) -> None:
        """Measure all scenarios with a playbook, on hosts and a controller that know of no CA."""
        shutil.rmtree(self.work / "pki", ignore_errors=True)
        self.on_hosts(RESET)
        plain, renewal = (f"@{self.work / name}.json" for name in (variables, f"{variables}-renewal"))
        self.measure(who, "first run", playbook, "-e", plain)
        self.require_mutual_tls()
        self.measure(who, "no change", playbook, "-e", plain)
        self.on_hosts(FORGET_STARTS)
        self.measure(who, "renewal", playbook, "-e", renewal)
        self.require_mutual_tls()

    def require_mutual_tls(self) -> None:
        """End the benchmark unless curl gets an answer from each engine with the client's certificate, and only so."""
        folder = self.work / "pki/clients/admin"
        client = ["--cert", str(folder / "cert.pem"), "--key", str(folder / "key.pem")]
        for name in self.hosts:
            url = f"https://{self.inventory['docker_hosts']['hosts'][name]['ansible_host']}:2376/_ping"
            curl = ["curl", "--silent", "--show-error", "--noproxy", "*", "--cacert", str(folder / "ca.pem"), url]
            if engine.run(*curl, *client) != "OK":
                raise SystemExit(f"{name}: the engine does not answer its client")
            if subprocess.run(curl, capture_output=True, check=False).returncode == 0:
                raise SystemExit(f"{name}: the engine answers everybody")

    def round(self, number: int) -> None:
        """Measure everything once. Who comes first alternates."""
        runs: list[Callable[[], None]] = [
            lambda: self.scenarios(OURS, "dockerfleet.remote_api.secure", "ours"),
            lambda: self.scenarios(PEER, measured.HERE / "peer/playbook.yml", "peer"),
        ]
        self.ping()
        for run in runs if number % 2 else reversed(runs):
            run()
            self.ping()


def report(samples: list[Sample], about: str) -> dict[str, Any]:
    """Print medians and ratios, and return the medians: who -> scenario -> seconds; a ping has the scenario ""."""
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.who, sample.scenario), []).append(sample)
    wall = {key: statistics.median(one.wall for one in group) for key, group in groups.items()}
    modules = {key: statistics.median(one.modules for one in group) for key, group in groups.items()}
    ping = wall[PING, ""]
    print(f"\n{about}\nOne ping: {ping:.2f} s\n")
    print(f"{'':12}{'ours':>9}{'peer':>9}{'ours/ping':>11}{'ours/peer':>11}{'modules a host: ours':>22}{'peer':>6}")
    for scenario in SCENARIOS:
        ours, peer = wall[OURS, scenario], wall[PEER, scenario]
        print(
            f"{scenario:12}{ours:7.2f} s{peer:7.2f} s{ours / ping:11.2f}{ours / peer:11.3f}"
            f"{modules[OURS, scenario]:22.1f}{modules[PEER, scenario]:6.1f}"
        )
    print()
    for scenario, other, most in TARGETS:
        ratio = wall[OURS, scenario] / wall[other, "" if other == PING else scenario]
        print(f"{scenario}, ours/{other}: {ratio:.3f}, target {most:.3f}: {'reached' if ratio <= most else 'MISSED'}")
    medians: dict[str, dict[str, float]] = {}
    for (who, scenario), seconds in wall.items():
        medians.setdefault(who, {})[scenario] = seconds
    return medians


def arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description="Measure a fleet of lab hosts.")
    parser.add_argument("--hosts", type=int, default=len(KINDS), help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="two hosts, one round: to see whether it works")
    options = parser.parse_args()
    if options.quick:
        options.hosts, options.rounds = 2, 1
    return options


def main() -> None:
    """Boot the hosts, measure, take them down, and report."""
    options = arguments()
    hosts = [f"fleet-{number}" for number in range(options.hosts)]
    try:
        engine.run(engine.LAB, "up", *(f"{name}={KINDS[n % len(KINDS)]}" for n, name in enumerate(hosts)))
        with tempfile.TemporaryDirectory() as folder:
            fleet = Fleet(Path(folder), hosts)
            fleet.prepare()
            measured.playbook(
                [fleet.program, "-i", fleet.work / "inventory.json", measured.HERE / "ping.yml"], fleet.env, fleet.work
            )
            for number in range(1, options.rounds + 1):
                print(f"Round {number} of {options.rounds}", flush=True)
                fleet.round(number)
    finally:
        engine.run(engine.LAB, "down", *hosts)
    loads = [sample.load for sample in fleet.samples]
    about = (
        f"Commit {measured.commit()}: {len(hosts)} hosts, {options.rounds} rounds, {os.cpu_count()} processors, "
        f"load {min(loads):.1f} to {max(loads):.1f}"
    )
    medians = report(fleet.samples, about)
    bars = {
        OURS: medians[OURS],
        PEER: medians[PEER],
        PING: dict.fromkeys(SCENARIOS, medians[PING][""]),
    }
    svg = plot.bars(plot.Plot(f"A fleet of {len(hosts)} hosts", "what is to be done", "seconds (median)"), bars)
    samples = [asdict(sample) for sample in fleet.samples]
    measured.write_results("fleet", {"about": about, "medians": medians, "samples": samples}, {"fleet": svg})


if __name__ == "__main__":
    main()
