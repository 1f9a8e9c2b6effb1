# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts with a past: options that nobody ever read, data that must stay in sight, daemons that were stopped."""

from __future__ import annotations

from typing import Any

from ansible_collections.dockerfleet.remote_api.tests.integration.support import Ansible, Host, Lab, Run, wait_for
from ansible_collections.dockerfleet.remote_api.tests.integration.test_role_ways import (
    PASSPHRASE,
    SECURE,
    info_over_tls,
)

OPTIONS = "/etc/default/docker"
LEFT = '# Of the year 2019\nDOCKER_OPTS="--data-root=/mnt/old --icc=false"\n'
ROOT = "docker info --format '{{.DockerRootDir}}'"
NAMES = "docker ps --all --format '{{.Names}}' | sort | xargs"


def secure(ansible: Ansible, host: Host, *arguments: str, **variables: Any) -> Run:
    """Run the playbook on a host; the variables are the role's, without their prefix."""
    named = {f"docker_remote_api_{name}": value for name, value in variables.items()}
    return ansible.playbook(SECURE, [host], *arguments, variables={**PASSPHRASE, **named})


def failure(done: Run, host: Host) -> str:
    """Return the messages of a run that has to fail on a host."""
    assert done.rc == 2, done.output
    return " ".join(done.messages(host))


def test_options_that_nobody_read_and_containers_in_sight(lab: Lab, ansible: Ansible) -> None:
    host = lab.host("unread", "bookworm", "docker-ce")
    image = host.make_image()
    host.sh(f"docker run -d --stop-signal KILL --name kept {image} && docker create --name made {image}")
    host.sh(f"docker run -d --stop-signal KILL --rm --name passing {image}")
    host.write(OPTIONS, LEFT)
    starts = host.starts()

    refused = failure(secure(ansible, host), host)
    assert f"{OPTIONS}, DOCKER_OPTS: " in refused
    assert "--data-root=/mnt/old --icc=false" in refused
    assert (host.starts(), host.read(OPTIONS), host.sh(NAMES)) == (starts, LEFT, "kept made passing")

    # Even if they are adopted unread, no container gets out of sight. --rm ones end with any restart.
    undone = failure(secure(ansible, host, on_unread_options="adopt"), host)
    assert "had 3 containers in /var/lib/docker before the restart, and has 0 in /mnt/old after it" in undone
    assert (host.sh(ROOT), host.read(OPTIONS), host.sh(NAMES)) == ("/var/lib/docker", LEFT, "kept made")
    assert host.sh("ls /etc/docker/*.pem 2>/dev/null || true") == ""

    host.sh(f"docker start kept && docker run -d --stop-signal KILL --rm --name passing {image}")
    checked = secure(ansible, host, "--check", "--diff", on_unread_options="discard")
    assert checked.rc == 0, checked.output
    assert '-DOCKER_OPTS="--data-root=/mnt/old --icc=false"' in checked.stdout
    assert host.read(OPTIONS) == LEFT
    done = secure(ansible, host, on_unread_options="discard")
    assert done.rc == 0, done.output
    assert info_over_tls(ansible, host) == host.name
    assert (host.sh(ROOT), host.sh(NAMES)) == ("/var/lib/docker", "kept made")
    assert host.read(f"{OPTIONS}.before-remote-api.1") == LEFT
    assert host.sh(f"stat -c %a {OPTIONS}.before-remote-api.1") == "600"
    assert "--icc=false" not in host.argv()
    again = secure(ansible, host)
    assert (again.rc, again.changed(host)) == (0, 0), again.output

    # What somebody else has prepared for the next restart is not ours to carry out, and no undoing would take it back.
    host.write("/etc/docker/daemon.json", '{"data-root": "/mnt/elsewhere"}\n')
    prepared = failure(secure(ansible, host, daemon_options={"debug": True}), host)
    assert (
        "keeps its data in /var/lib/docker, and whoever restarts it next makes it look for them in /mnt/else"
        in prepared
    )
    host.sh("rm /etc/docker/daemon.json")

    # An engine before 23.0 makes its directories while it is asked whether it would start.
    looked = secure(ansible, host, "--check", daemon_options={"data-root": "/mnt/new"})
    assert (looked.rc, looked.changed(host), host.sh("ls /mnt")) == (0, 1, "old"), looked.output
    moved = secure(ansible, host, daemon_options={"data-root": "/mnt/new"})
    assert moved.rc == 0, moved.output
    assert (host.sh(ROOT), host.sh(NAMES)) == ("/mnt/new", "")


ACTIVE = "systemctl is-active docker.service docker.socket | xargs"
NOT_ENABLED = "docker.service is not enabled: after a reboot the API is gone until somebody starts it."


def warnings(done: Run, host: Host) -> str:
    """Return the warnings of the host's result."""
    return " ".join(done.result(host, "dockerfleet.remote_api.remote_api").get("warnings", []))


def test_a_daemon_that_was_stopped_stays_so(lab: Lab, ansible: Ansible) -> None:
    host = lab.host("stopped", "trixie", "docker-ce")
    image = host.make_image()
    host.sh(f"docker run -d --restart always --stop-signal KILL --name with-the-daemon {image}")
    host.sh("systemctl stop docker.socket docker.service")
    checked = secure(ansible, host, "--check")
    assert (checked.rc, checked.changed(host) > 0) == (0, True), checked.output
    for changed in (True, False):
        prepared = secure(ansible, host)
        assert prepared.rc == 0, prepared.output
        assert (prepared.changed(host) > 0) == changed, prepared.output
        assert "docker.service is stopped and stays so." in warnings(prepared, host)
        result = prepared.result(host, "dockerfleet.remote_api.remote_api")
        assert (result["restarted"], result["restart_due"], "checks" in result) == (False, True, False)
        assert host.sh(f"{ACTIVE}; pgrep dockerd || true") == "inactive inactive"
    host.sh("systemctl start docker.service")
    assert info_over_tls(ansible, host) == host.name
    assert host.sh("docker ps --format '{{.Names}}'") == "with-the-daemon"
    proved = secure(ansible, host)
    assert (proved.rc, proved.changed(host), warnings(proved, host)) == (0, 0, ""), proved.output

    # The socket unit would start it with the next connection.
    host.sh("systemctl stop docker.service")
    woken = secure(ansible, host, daemon_options={"label": ["a=b"]})
    assert (woken.rc, host.sh(ACTIVE), host.argv()[-1]) == (0, "active active", "--label=a=b"), woken.output

    # A service that has failed is started.
    host.write("/etc/systemd/system/docker.service.d/no.conf", "[Service]\nRestart=no\n")
    host.sh("systemctl daemon-reload; systemctl kill --signal KILL docker.service")
    wait_for(lambda: host.sh(ACTIVE).startswith("failed"), "the daemon to have failed")
    mended = secure(ansible, host)
    assert (mended.rc, host.sh(ACTIVE)) == (0, "active active"), mended.output

    # One that no boot starts is said, whether it runs or not.
    host.sh("systemctl disable docker.service docker.socket")
    said = secure(ansible, host)
    assert (said.rc, said.changed(host)) == (0, 0), said.output
    assert NOT_ENABLED in warnings(said, host)
    host.reboot()
    assert host.sh(ACTIVE) == "inactive inactive"
    still = secure(ansible, host, daemon_options={"label": ["a=c"]})
    assert (still.rc, host.sh(ACTIVE)) == (0, "inactive inactive"), still.output
    assert "docker.service is stopped and stays so." in warnings(still, host)
    assert NOT_ENABLED in warnings(still, host)
