# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook audit on real engines: one that the role has secured, and one that is open in each way there is."""

from __future__ import annotations

import json
import re
import shlex
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.engine_support import Pki, listen
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Ansible, Host, Lab, Run, run

AUDIT, SECURE = "dockerfleet.remote_api.audit", "dockerfleet.remote_api.secure"
SECRET = "a passphrase for tests"
PASSPHRASE = {"docker_remote_api_ca_passphrase": SECRET}
# Nobody can log in there: what still works runs on the controller alone.
NO_WAY_IN = {"ansible_port": 1, "ansible_user": "nobody"}
FILES = "find /etc/docker /etc/default/docker /etc/systemd/system -type f -exec md5sum {} + | sort"
OPEN = "-H tcp://0.0.0.0:2375 --tls=false"
NO_VERIFY = "-H tcp://0.0.0.0:2376 --tlsverify=false --tlscert=/etc/docker/hand.pem --tlskey=/etc/docker/hand-key.pem"


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> dict[str, Host]:
    return lab.hosts({"audit-locked": ("bullseye", "docker-io"), "audit-open": ("forky", "docker-io")})


@pytest.fixture(scope="module")
def locked(hosts: dict[str, Host], module_ansible: Ansible) -> Host:
    """Give the host that the role has secured."""
    done = module_ansible.playbook(SECURE, [hosts["audit-locked"]], variables=PASSPHRASE)
    assert done.rc == 0, done.output
    return hosts["audit-locked"]


def audited(
    ansible: Ansible, found: list[Host], *words: str, variables: dict[str, Any] | None = None, **options: Any
) -> tuple[Run, dict[str, Any]]:
    """Return the run of the playbook, with more options of its own, and its JSON report."""
    report = ansible.directory / "audit.json"
    report.unlink(missing_ok=True)
    given = {f"docker_remote_api_audit_{name}": value for name, value in options.items()}
    given["docker_remote_api_audit_json"] = "audit.json"
    more = PASSPHRASE | NO_WAY_IN if variables is None else variables
    done = ansible.playbook(AUDIT, found, "-e", json.dumps(given), *words, variables=more)
    assert "Traceback" not in done.output
    assert SECRET not in done.output
    return done, json.loads(report.read_text()) if report.exists() else {}


def checks(report: dict[str, Any], host: Host | str) -> dict[str, str]:
    """Return the grades of a host's findings by their checks."""
    name = host if isinstance(host, str) else host.name
    return {one["check"]: one["grade"] for one in report["findings"] if one["host"] == name}


def ping(url: str) -> str:
    """Return what curl gets from an engine without a client's certificate."""
    return run("curl", "-sS", "-k", "-m", "10", "--noproxy", "*", f"{url}/_ping", check=False).stdout


def served(host: Host) -> dict[str, str]:
    """Return what openssl says of the certificate that an engine serves."""
    hello = run("openssl", "s_client", "-connect", f"{host.address}:2376", stdin="", check=False).stdout
    return openssl_facts(hello)


def openssl_facts(pem: str) -> dict[str, str]:
    """Return what openssl says of a certificate."""
    told = run("openssl", "x509", "-noout", "-serial", "-enddate", "-issuer", stdin=pem).stdout
    return dict(line.split("=", 1) for line in told.splitlines())


def same_end(one: dict[str, Any], facts: dict[str, str]) -> bool:
    """Return whether both tell the same end and serial number."""
    end = datetime.strptime(facts["notAfter"], "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
    return (one["not_after"], one["serial"]) == (f"{end:%Y-%m-%dT%H:%M:%SZ}", facts["serial"])


def test_fleet(hosts: dict[str, Host], locked: Host, module_ansible: Ansible) -> None:
    """Without any way to log in, and with nothing changed."""
    open_host, both = hosts["audit-open"], [locked, hosts["audit-open"]]
    listen(open_host, OPEN)
    before = [(host.sh(FILES), host.starts()) for host in both]
    metrics = module_ansible.directory / "metrics"
    page = module_ansible.directory / "audit.html"
    done, report = audited(module_ansible, both, fail_below_days=14, html=str(page), prometheus=str(metrics))
    assert [(host.sh(FILES), host.starts()) for host in both] == before

    assert (ping(f"http://{open_host.address}:2375"), ping(f"https://{locked.address}:2376")) == ("OK", "")
    assert checks(report, open_host) == {"plain": "critical"}
    assert checks(report, locked) == {"ok": "ok"}
    assert done.rc == 2
    assert [task["result"]["msg"] for task in done.tasks if task["status"] == "failed"] == [
        f"Critical: {open_host.name}."
    ]

    access = {one["host"]: one for one in report["engines"]}
    assert (access[locked.name]["access"], access[open_host.name]["access"]) == ("mutual_tls", "plain")
    for host in both:
        told = json.loads(host.sh("docker version --format '{{json .Server}}'"))
        keys = {"version": "Version", "api_version": "ApiVersion", "min_api_version": "MinAPIVersion"}
        assert {key: access[host.name][key] for key in keys} == {key: told[name] for key, name in keys.items()}

    ends = {one["host"]: one for one in report["certificates"]}
    assert same_end(ends[locked.name], served(locked))
    pki = module_ansible.directory / ".docker_remote_api"
    assert same_end(ends["client admin"], openssl_facts((pki / "clients/admin/cert.pem").read_text()))
    assert same_end(ends[f"CA {pki}/ca.pem"], openssl_facts((pki / "ca.pem").read_text()))
    assert ends[locked.name]["usages"] == ["server"]

    start = done.stdout.index("HOST  ")
    table = done.stdout[start : done.stdout.index("TASK", start)].splitlines()
    assert [line for line in table if len(line) > 100 and not line.startswith("  $")] == []
    assert any(line.split()[:2] == [locked.name, f"{locked.address}:2376"] for line in table)
    assert run("promtool", "check", "metrics", stdin=metrics.read_text()).stdout == ""
    assert f'host="{locked.name}"' in metrics.read_text()
    assert f"{open_host.address}:2375" in page.read_text()
    assert [stat.S_IMODE(one.stat().st_mode) for one in (page, metrics)] == [0o600, 0o644]


def test_remedy_mends_it(hosts: dict[str, Host], locked: Host, module_ansible: Ansible) -> None:
    """The command of the finding, as it stands there, closes the engine that stood open."""
    host = hosts["audit-open"]
    listen(host, OPEN)
    _done, report = audited(module_ansible, [locked, host], variables=PASSPHRASE)
    (remedy,) = {one["remedy"] for one in report["findings"] if one["host"] == host.name}
    run(*shlex.split(remedy), env=module_ansible.environment(), cwd=module_ansible.directory, timeout=600)
    assert (ping(f"http://{host.address}:2375"), ping(f"https://{host.address}:2376")) == ("", "")
    done, report = audited(module_ansible, [locked, host], fail_below_days=14)
    assert done.rc == 0
    assert checks(report, host) == {"ok": "ok"}


def test_tls_by_hand_without_verification(hosts: dict[str, Host], locked: Host, module_ansible: Ansible) -> None:
    host = hosts["audit-open"]
    words = "openssl req -x509 -newkey rsa:2048 -nodes -days 99 -subj /CN=hand -keyout hand-key.pem -out hand.pem"
    host.sh(f"cd /etc/docker && {words}")
    listen(host, NO_VERIFY)
    try:
        assert ping(f"https://{host.address}:2376") == "OK"
        done, report = audited(module_ansible, [host])
        assert done.rc == 0  # nobody asked for a failure
        assert checks(report, host) == {
            "no_client_certificate": "critical",
            "no_names": "warning",
            "usable_as_client": "warning",
            "wrong_issuer": "warning",
        }
        assert "on_foreign_authority" in report["findings"][0]["remedy"]
        assert same_end(next(one for one in report["certificates"] if one["host"] == host.name), served(host))
    finally:
        host.sh("rm /etc/default/docker; systemctl restart docker")


def test_engine_was_not_restarted(locked: Host, module_ansible: Ansible, tmp_path: Path) -> None:
    """The certificate in the file is another one; only who logs in can see that."""
    pem = locked.read("/etc/docker/server-cert.pem")
    other = Pki.make(tmp_path / "pki").issue("other", "extendedKeyUsage = serverAuth\n")
    locked.write("/etc/docker/server-cert.pem", (other / "cert.pem").read_text())
    try:
        _done, report = audited(module_ansible, [locked], variables=PASSPHRASE, log_in=True)
        assert checks(report, locked) == {"older_than_file": "warning"}
    finally:
        locked.write("/etc/docker/server-cert.pem", pem)
    done, report = audited(module_ansible, [locked], variables=PASSPHRASE, log_in=True)
    assert (done.rc, checks(report, locked)) == (0, {"ok": "ok"})
    _done, report = audited(module_ansible, [locked], log_in=True)
    assert checks(report, locked) == {"ok": "ok"}  # nobody could log in


def test_without_the_key_of_the_ca(locked: Host, module_ansible: Ansible) -> None:
    _done, report = audited(module_ansible, [locked], variables=NO_WAY_IN)
    assert report["engines"][0]["access"] == "mutual_tls"
    assert report["engines"][0]["version"] is None
    assert checks(report, locked) == {"ok": "ok"}
    client = module_ansible.directory / ".docker_remote_api/clients/admin"
    elsewhere = {**NO_WAY_IN, "docker_remote_api_pki_dir": "/no/such/folder"}
    _done, report = audited(module_ansible, [locked], variables=elsewhere, cert_path=str(client))
    assert report["engines"][0]["version"].startswith("20.10")
    assert checks(report, "client admin") == {"ok": "ok"}


def test_host_that_is_away(locked: Host, module_ansible: Ansible) -> None:
    away = {"away": {"ansible_host": "127.0.0.9"}}
    done = module_ansible.playbook(AUDIT, [locked], variables=PASSPHRASE, host_variables=away)
    result = done.result(locked, AUDIT)
    assert {one["host"]: one["check"] for one in result["findings"]}["away"] == "not_reached"
    assert (result["changed"], result["written"], result["alarm"]) == (False, [], "")


def test_check_mode_writes_no_report(locked: Host, module_ansible: Ansible) -> None:
    done, report = audited(module_ansible, [locked], "--check")
    assert (done.rc, report) == (0, {})
    assert re.search(rf"^{locked.name}  .*  ok$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("variables", "options", "told"),
    [
        ({"docker_remote_api_ca_passphrase": "wrong"}, {}, "ca-key.pem: the passphrase does not open this key"),
        (PASSPHRASE, {"cert_path": "/no/such/folder"}, "/no/such/folder/cert.pem: it cannot be read"),
        (PASSPHRASE, {"timeout": 0}, "timeout is 0"),
        (PASSPHRASE, {"warn_below_days": "soon"}, "warn_below_days"),
        (PASSPHRASE, {"html": "/no/such/folder/audit.html"}, "/no/such/folder/audit.html: its directory is not there"),
    ],
)
def test_bad_input(
    locked: Host, module_ansible: Ansible, variables: dict[str, Any], options: dict[str, Any], told: str
) -> None:
    done, _report = audited(module_ansible, [locked], variables=variables, **options)
    assert done.rc == 2
    assert told in " ".join(done.messages(locked))
