# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input and unfit hosts: a clear error before anything is changed on that host, and the other hosts go on."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Ansible, Host, Lab, run

SECURE = "dockerfleet.remote_api.secure"
PASSPHRASE = {"docker_remote_api_ca_passphrase": "a passphrase for tests"}
CHANGES = "cd /etc && find docker default/docker systemd/system/docker.service.d -newer /run/mark 2>/dev/null | sort"


@pytest.fixture(scope="module")
def untouched(lab: Lab) -> Host:
    """Give a host that no test of this file may change."""
    host = lab.host("input")
    host.sh("sleep 0.1; touch /run/mark")
    return host


BAD_VARIABLES: dict[str, tuple[dict[str, Any], str]] = {
    "no passphrase": ({"docker_remote_api_ca_passphrase": None}, "passphrase"),
    "empty passphrase": ({"docker_remote_api_ca_passphrase": ""}, "passphrase"),
    "a client that is a path": (
        {"docker_remote_api_clients": [{"name": "../x"}]},
        "clients.*letters",
    ),
    "two clients of one name": (
        {"docker_remote_api_clients": [{"name": "a"}, {"name": "a"}]},
        "clients.*twice",
    ),
    "no port": ({"docker_remote_api_listen": ["tcp://0.0.0.0"]}, "host, tcp://0.0.0.0: .*port"),
    "a port above 65535": ({"docker_remote_api_listen": ["tcp://0.0.0.0:65536"]}, "65536.*between 1 and 65535"),
    "nowhere to listen": ({"docker_remote_api_listen": []}, "listen: it is empty"),
    "a name that is none": ({"docker_remote_api_server_names": ["not a name"]}, "not a name"),
    "a wrong key type": ({"docker_remote_api_key_type": "rsa_1024"}, "key_type.*ecdsa_p256.*rsa_1024"),
    "plain TCP for everybody": (
        {"docker_remote_api_tls": False, "docker_remote_api_listen": ["tcp://0.0.0.0:2375"]},
        "0.0.0.0:2375.*loopback.*root.*allow_insecure",
    ),
    "an option with a variable of its own": (
        {"docker_remote_api_daemon_options": {"tlsverify": False}},
        "daemon_options.*tlsverify.*Use listen, tls",
    ),
}


@pytest.mark.parametrize("case", BAD_VARIABLES)
def test_bad_variables_are_refused_before_anything_is_changed(untouched: Host, ansible: Ansible, case: str) -> None:
    variables, pattern = BAD_VARIABLES[case]
    given = {name: value for name, value in {**PASSPHRASE, **variables}.items() if value is not None}
    done = ansible.playbook(SECURE, [untouched], variables=given)
    assert done.rc == 2, done.output
    assert re.search(pattern, " ".join(done.messages(untouched)), re.DOTALL), done.messages(untouched)
    assert "Traceback" not in done.output
    assert untouched.sh(CHANGES) == ""


def test_a_directory_that_is_a_file_is_named(untouched: Host, ansible: Ansible) -> None:
    (ansible.directory / "pki").write_text("not a directory", encoding="ascii")
    taken = ansible.playbook(
        SECURE, [untouched], variables={**PASSPHRASE, "docker_remote_api_pki_dir": str(ansible.directory / "pki")}
    )
    assert taken.rc == 2
    assert re.search(r"/pki.*directory", " ".join(taken.messages(untouched)))
    untouched.sh("test -e /srv/file || touch /srv/file")
    on_host = ansible.playbook(SECURE, [untouched], variables={**PASSPHRASE, "docker_remote_api_cert_dir": "/srv/file"})
    assert on_host.rc == 2
    assert re.search(r"/srv/file.*directory", " ".join(on_host.messages(untouched)))
    assert untouched.sh(CHANGES) == ""


def test_a_wrong_passphrase_changes_nothing(untouched: Host, ansible: Ansible) -> None:
    authority = {"path": str(ansible.directory / ".docker_remote_api"), "passphrase": "the right one"}
    made = ansible.playbook(
        [
            {
                "hosts": "docker_hosts",
                "gather_facts": False,
                "tasks": [{"dockerfleet.remote_api.certificate_authority": authority}],
            }
        ],
        [untouched],
    )
    assert made.rc == 0, made.output
    before = run("sh", "-c", f"cd '{authority['path']}' && find . -type f -exec md5sum {{}} +").stdout
    done = ansible.playbook(SECURE, [untouched], variables=PASSPHRASE)
    assert done.rc == 2
    assert re.search(r"ca-key\.pem.*passphrase", " ".join(done.messages(untouched)))
    assert run("sh", "-c", f"cd '{authority['path']}' && find . -type f -exec md5sum {{}} +").stdout == before
    assert untouched.sh(CHANGES) == ""


def test_unfit_hosts_are_named_and_the_others_go_on(lab: Lab, ansible: Ansible) -> None:
    hosts = lab.hosts(
        {
            "good": ("bookworm", "docker-io"),
            "bare": ("bookworm", "no-docker"),
            "other-init": ("bookworm", "no-systemd"),
            "no-library": ("trixie", "no-cryptography"),
        }
    )
    for host in hosts.values():
        host.sh("sleep 0.1; touch /run/mark")
    dead = {"0-dead": {"ansible_host": "127.0.0.9", "ansible_port": 9}}
    variables = {**PASSPHRASE, "docker_remote_api_install_dependencies": False}
    done = ansible.playbook(SECURE, hosts.values(), variables=variables, host_variables=dead)
    assert done.rc != 0
    assert "Traceback" not in done.output
    assert done.recap["0-dead"]["unreachable"] == 1
    assert done.recap[hosts["good"].name]["failures"] == 0, done.output
    assert "--tlsverify" in hosts["good"].argv()
    reasons = {
        "bare": "docker.service.*Install Docker Engine",
        "other-init": "systemd.*this host",
        "no-library": "cryptography",
    }
    for name, pattern in reasons.items():
        assert re.search(pattern, " ".join(done.messages(hosts[name]))), done.messages(hosts[name])
        assert hosts[name].sh(CHANGES) == "", name
