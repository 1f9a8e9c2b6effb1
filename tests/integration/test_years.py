# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two years of a fleet in minutes, while clients call all its hosts: what must not happen is counted, and is zero.

This is the short form, of two hosts. "make years" lives through the long one, of four, and writes a report with a
timeline to tests/output/years.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration import by_hand, years_report
from ansible_collections.dockerfleet.remote_api.tests.integration.by_hand import Caller, DockerCaller, PythonCaller
from ansible_collections.dockerfleet.remote_api.tests.integration.support import CHECKOUT, Ansible, Host, Lab, Run, run
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

COLLECTION = "dockerfleet.remote_api"
LONG = bool(os.environ.get("YEARS"))
CALLERS = {"curl": Caller, "docker": DockerCaller, "python": PythonCaller}
PASSPHRASE = "a passphrase for tests"
VARIABLES: dict[str, Any] = {
    "docker_remote_api_ca_passphrase": PASSPHRASE,
    "docker_remote_api_clients": [{"name": name} for name in (*CALLERS, "guest")],
    "docker_remote_api_live_restore": True,
}
TRUST: dict[str, Any] = {"docker_remote_api_on_foreign_authority": "trust"}
# Nothing answers there, and no connection that is still open is used.
AWAY = {"ansible_host": "127.0.0.9", "ansible_port": 9, "ansible_control_path": "none"}
# Files with private keys that are not those of sshd.
PRIVATE_KEY = "-----BEGIN (EC |RSA |ENCRYPTED )?PRIVATE KEY"
KEYS = f"grep -rlsE -e '{PRIVATE_KEY}' /etc /root /run /srv /tmp /var/lib/docker-remote-api"
SERVER_CERTIFICATE = "/etc/docker/server-cert.pem"
SERVER_KEY = "/etc/docker/server-key.pem"
# How long certificates live that are at their end: a renewal takes less, with a run that is killed before it. The long
# form waits for that end; the short one does not, and runs beside other tests.
LAST = timedelta(minutes=5 if LONG else 15)


@dataclass
class Fleet:
    """The hosts, their controller, and what happened so far."""

    hosts: dict[str, Host]
    ansible: Ansible
    expired: datetime | None = None
    stages: list[years_report.Stage] = field(default_factory=list)
    marks: Counter[str] = field(default_factory=Counter)
    details: list[str] = field(default_factory=list)

    @property
    def pki(self) -> Path:
        """The CA's directory."""
        return self.ansible.directory / ".docker_remote_api"

    @property
    def secured(self) -> list[Host]:
        """The hosts that are in the inventory."""
        return list(self.hosts.values())

    def play(self, playbook: str, *words: str, away: str = "", **more: Any) -> Run:
        """Run one of the playbooks on all hosts, one of which may not be reachable."""
        less = {self.hosts[away].name: AWAY} if away else {}
        return self.ansible.playbook(
            f"{COLLECTION}.{playbook}", self.secured, *words, variables={**VARIABLES, **more}, host_variables=less
        )

    def do(self, playbook: str, *words: str, **more: Any) -> Run:
        """Run one of the playbooks on all hosts; it has to succeed."""
        done = self.play(playbook, *words, **more)
        assert done.rc == 0, done.output
        return done

    def kill(self, playbook: str, *words: str, seconds: float, **more: Any) -> None:
        """Run one of the playbooks on all hosts, and kill it with its workers and connections after so many seconds."""
        inventory = self.ansible.write_inventory(self.secured, {**VARIABLES, **more}, {})
        command = ["ansible-playbook", "-i", str(inventory), *words, f"{COLLECTION}.{playbook}"]
        environment = self.ansible.environment({"RECORD_FILE": os.devnull})
        with subprocess.Popen(
            command, env=environment, cwd=self.ansible.directory, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as killed:  # fmt: skip
            with contextlib.suppress(subprocess.TimeoutExpired):
                killed.wait(seconds)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(killed.pid, signal.SIGKILL)

    @property
    def settled(self) -> bool:
        """Whether another run changes nothing."""
        done = self.do("secure")
        return all(done.changed(host) == 0 for host in self.secured)

    def mark(self, name: str, found: list[str]) -> None:
        """Count what must not happen."""
        self.marks[name] += len(found)
        self.details += [f"{name}: {one}" for one in found]

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Note when a part of the story began and ended, and when each daemon was started meanwhile."""
        began = time.time()
        yield
        ended = time.time()
        outages = {name: self.outages(host, began - 1, ended + 1) for name, host in self.hosts.items()}
        self.stages.append(years_report.Stage(name, began, ended, outages))
        answering = [host.sh("docker info --format '{{.Name}}' 2>&1 || true") for host in self.secured]
        dead = [host.name for host, said in zip(self.secured, answering, strict=True) if said != host.name]
        self.mark("hosts without a daemon", dead)

    @staticmethod
    def outages(host: Host, since: float, until: float) -> list[tuple[float, float]]:
        """Return from when to when the host's daemon was being restarted, by systemd's journal."""
        lines = host.sh(
            f"journalctl --no-pager --quiet --unit=docker.service --since=@{since:.0f} --until=@{until + 1:.0f}"
            " --output=short-unix SYSLOG_IDENTIFIER=systemd"
        ).splitlines()
        found: list[tuple[float, float]] = []
        begun = None
        for line in lines:
            when, _host, _who, said = line.split(" ", 3)
            if said.startswith("Stopping ") and begun is None:
                begun = float(when)
            elif said.startswith("Started ") and begun is not None:
                found.append((begun, float(when)))
                begun = None
        return found

    def judge_calls(self, callers: list[Caller]) -> None:
        """Count the calls that were refused, or that met no daemon while none was being restarted."""
        for caller in callers:
            who = f"{Path(caller.client).name} at {caller.host.name}"
            windows = [
                window
                for stage in self.stages
                for name, outages in stage.outages.items()
                if self.hosts[name] is caller.host
                for window in outages
            ]
            # A call takes a while, and the daemon listens a little after systemd was told.
            unexplained = [
                f"{who}: {why}"
                for when, why in caller.refusals
                if not any(begin - 1 <= when <= end + 7 for begin, end in windows)
            ]
            refused = [f"{who}: {why}" for why in caller.turned_away]
            self.mark("calls refused that should have worked", [*refused, *unexplained])
            assert caller.answers > 5, who


def container_start(host: Host) -> str:
    """Return when the container of the host was started, empty if it does not run."""
    return host.sh("docker inspect --format '{{if .State.Running}}{{.State.StartedAt}}{{end}}' years")


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory of another machine: copies of clients, a backup, and what was made by hand."""
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture
def fleet(lab: Lab, ansible: Ansible, elsewhere: Path) -> Fleet:
    """Give hosts with a container each; the last one has TLS that was made by hand."""
    kinds = {"first": ("bookworm", "docker-io"), "taken-over": ("trixie", "docker-ce")}
    if LONG:
        kinds = {"oldest": ("bullseye", "docker-io"), **kinds, "newest": ("forky", "docker-io")}
    made = lab.hosts(kinds)
    host = made["taken-over"]
    hand = by_hand.make_certificates(elsewhere / "hand", host.name, f"DNS:{host.name},IP:{host.address}")
    host.write("/etc/docker/daemon.json", '{"live-restore": true}')
    by_hand.install(host, hand)
    for host in made.values():
        host.make_image()
        # Kept through the first restart too, as live_restore asks.
        host.sh("docker run --detach --name years lab/busybox:1 sleep 100000")
    return Fleet(made, ansible)


def take_over(fleet: Fleet, hand: Path) -> None:
    """Set up the fleet, one host of which has TLS made by hand and a client of its own."""
    with fleet.stage("setup"), Caller(fleet.hosts["taken-over"], hand) as caller:
        fleet.do("secure", "--check", **TRUST)
        if LONG:
            fleet.kill("secure", seconds=10.0, **TRUST)
        fleet.do("secure", **TRUST)
        assert fleet.settled
    fleet.judge_calls([caller])


def let_a_year_pass(fleet: Fleet) -> None:
    """Leave each certificate of our CA some minutes of its life, as it would have had it been issued a year before.

    The one that was made by hand is not ours to renew while it is valid.
    """
    authority = x509.load_pem_x509_certificate((fleet.pki / "ca.pem").read_bytes())
    key = load_pem_private_key((fleet.pki / "ca-key.pem").read_bytes(), PASSPHRASE.encode("ascii"))
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    fleet.expired = end = datetime.now(UTC).replace(microsecond=0) + LAST

    def aged(pem: str) -> str:
        old = x509.load_pem_x509_certificate(pem.encode("ascii"))
        if old.issuer != authority.subject:
            return pem
        builder = (
            x509.CertificateBuilder(old.issuer, old.subject, old.public_key(), old.serial_number)
            .not_valid_before(end - timedelta(days=365))
            .not_valid_after(end)
        )
        for extension in old.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode("ascii")

    for host in fleet.secured:
        host.write(SERVER_CERTIFICATE, aged(host.read(SERVER_CERTIFICATE)))
        host.sh("systemctl restart docker.service")
    for name in CALLERS:
        path = fleet.pki / "clients" / name / "cert.pem"
        new = path.with_name("aged.pem")
        new.write_text(aged(path.read_text(encoding="ascii")), encoding="ascii")
        new.replace(path)  # whole, as somebody calls with it meanwhile


def renew(fleet: Fleet) -> None:
    """Renew all certificates a few times, with a run killed at various moments before each."""
    for number, seconds in enumerate((4.0, 7.0, 11.0) if LONG else (6.0,), 1):
        with fleet.stage(f"year {number}"):
            let_a_year_pass(fleet)
        with fleet.stage(f"renewal {number}"):
            fleet.kill("secure", seconds=seconds)
            fleet.do("secure")
            assert fleet.settled


def upgrade_engine(fleet: Fleet) -> None:
    """Replace bookworm's engine by trixie's as apt does it unattended; its package owns the options file, too."""
    host, newer = fleet.hosts["first"], fleet.hosts["taken-over"]
    with fleet.stage("engine upgraded"):
        packages = newer.sh("tar -C /srv/archive -cf - $(cd /srv/archive && echo docker*.deb) | base64")
        host.exec("sh", "-euc", "mkdir /srv/upgrade && base64 -d | tar -C /srv/upgrade -x", stdin=packages)
        host.sh(
            "DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 --yes --option Dpkg::Options::=--force-confold"
            " install /srv/upgrade/*.deb && rm -r /srv/upgrade"
        )
        # The package leaves the old daemon running, for the sake of its containers.
        assert fleet.settled
        host.sh("systemctl restart docker.service")
        versions = [one.sh("docker version --format '{{.Server.Version}}'") for one in (host, newer)]
        assert versions[0] == versions[1]
        assert fleet.settled


def replace_authority(fleet: Fleet) -> None:
    """Replace the CA; in the long form one host is away at first."""
    with fleet.stage("new CA"):
        fleet.do("rotate_authority", "-e", "phase=start")
        if LONG:
            assert fleet.play("rotate_authority", away="newest").rc != 0
            fleet.kill("rotate_authority", seconds=9.0)
            assert fleet.play("rotate_authority", "-e", "phase=retire", away="newest").rc != 0
        fleet.do("rotate_authority")


def lose_the_controller(fleet: Fleet, folder: Path) -> None:
    """Lose the CA's directory and have it back from a backup; in between, nothing is changed on any host."""
    with fleet.stage("controller lost"):
        backup = Path(shutil.move(fleet.pki, folder / "backup"))
        before = [host.starts() for host in fleet.secured]
        lost = fleet.play("secure")
        assert all("already trusts" in " ".join(lost.messages(one)) for one in fleet.secured), lost.output
        shutil.rmtree(fleet.pki, ignore_errors=True)
        shutil.copytree(backup, fleet.pki, copy_function=shutil.copy2)
        assert fleet.settled
        assert [host.starts() for host in fleet.secured] == before


def shut_out(fleet: Fleet, strangers: list[Path]) -> None:
    """Retire the old CA, and drop the one that was made by hand; count whose clients get in all the same."""
    with fleet.stage("old clients shut out"):
        if LONG:
            fleet.kill("rotate_authority", "-e", "phase=retire", seconds=9.0)
        fleet.do("rotate_authority", "-e", "phase=retire")
        fleet.do("secure", docker_remote_api_on_foreign_authority="replace")
    own = fleet.pki / "clients/curl"
    let_in = [
        f"{client.name} at {host.name}"
        for host in fleet.secured
        for client in strangers
        if by_hand.curl(host, client, ca=own / "ca.pem").stdout == "OK"
    ]
    fleet.mark("calls accepted that should have been refused", let_in)


def look_for_keys(fleet: Fleet) -> None:
    """Count private keys where none belongs, on the hosts and on the controller."""
    for host in fleet.secured:
        found = set(host.sh(f"{KEYS} || true").splitlines()) - {SERVER_KEY}
        fleet.mark("private keys out of place", [f"{host.name}: {path}" for path in sorted(found)])
    allowed = {fleet.pki / "ca-key.pem", *(fleet.pki / "clients").glob("*/key.pem")}
    words = ("grep", "-rlsE", "-e", PRIVATE_KEY, fleet.ansible.directory)
    here = {Path(line) for line in run(*words, check=False).stdout.splitlines()}
    fleet.mark("private keys out of place", [str(path) for path in sorted(here - allowed)])


@contextlib.contextmanager
def called(fleet: Fleet) -> Iterator[None]:
    """Have each kind of client call each host all the time, and judge what they met."""
    # From 3.13 on Python's ssl takes no CA without a key usage, which is what the one that was made by hand is like.
    callers = [
        kind(host, fleet.pki / "clients" / name)
        for name, kind in CALLERS.items()
        for host in fleet.secured
        if (name, host) != ("python", fleet.hosts["taken-over"])
    ]
    with contextlib.ExitStack() as stack:
        for caller in callers:
            stack.enter_context(caller)
        yield
    fleet.judge_calls(callers)


def test_years_of_a_fleet(fleet: Fleet, elsewhere: Path) -> None:
    containers = {name: container_start(host) for name, host in fleet.hosts.items()}
    assert all(containers.values())
    take_over(fleet, elsewhere / "hand")
    # A copy that nobody gives new certificates.
    guest = Path(shutil.copytree(fleet.pki / "clients/guest", elsewhere / "guest"))
    with called(fleet):
        renew(fleet)
        upgrade_engine(fleet)
        replace_authority(fleet)
    lose_the_controller(fleet, elsewhere)
    # Whoever still had a certificate of before the renewals would be refused from here on.
    while LONG and fleet.expired is not None and datetime.now(UTC) < fleet.expired:
        time.sleep(1)
    with called(fleet):
        shut_out(fleet, [guest, elsewhere / "hand"])
    look_for_keys(fleet)
    ended = [name for name, host in fleet.hosts.items() if container_start(host) != containers[name]]
    fleet.mark("containers that did not run on", ended)
    with fleet.stage("removal"):
        if LONG:
            fleet.kill("remove", seconds=9.0)
        fleet.do("remove")
    for host in fleet.secured:
        refused = by_hand.curl(host, fleet.pki / "clients/curl")
        assert "refused" in refused.stderr or "Couldn't connect" in refused.stderr, refused.stderr
    years_report.write(CHECKOUT / "tests/output/years", fleet.stages, fleet.marks, fleet.details)
    assert +fleet.marks == Counter(), json.dumps(fleet.details, indent=1)
