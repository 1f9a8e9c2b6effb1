# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module audit in a task: which addresses it tries, what it writes, and that it runs nothing on a host."""

from __future__ import annotations

import json
import stat
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.action.playing import ABSENT, Stage

AUDIT = "dockerfleet.remote_api.audit"
# Nothing listens there, on any port.
HOST = {**ABSENT, "ansible_host": "127.8.8.8"}


def task(**options: Any) -> dict[str, Any]:
    return {AUDIT: {"timeout": 5, **options}, "run_once": True}


def test_hosts_and_addresses(stage: Stage) -> None:
    """One host of the inventory, by its variables, and two that are in none."""
    variables = {**HOST, "docker_remote_api_listen": "tcp://0.0.0.0:4243,tcp://127.0.0.1:4244"}
    done = stage.play(task(hosts=["web1"], addresses=["127.8.8.9", "tcp://127.8.8.7:99"]), variables=variables)
    result = done.result("web1", AUDIT)
    assert (done.rc, result["changed"], result["alarm"], stage.sent) == (0, False, "", [])
    assert {one["host"]: one["reason"] for one in result["findings"]} == {
        "web1": "no engine answers: nothing listens on port 2375, 2376, 4243",
        "127.8.8.9": "no engine answers: nothing listens on port 2375, 2376",
        "127.8.8.7": "no engine answers: nothing listens on port 99",
    }
    assert "HOST " not in done.stdout
    assert result["table"][0].startswith("HOST ")
    remedies = {one["host"]: one["remedy"] for one in result["findings"]}
    assert remedies["web1"].startswith(f"ansible -i {stage.path}/run/inventory.json web1 -b")
    assert remedies["127.8.8.9"].startswith("ansible -i 127.8.8.9, all -b")


def test_reports(stage: Stage) -> None:
    report, page = stage.path / "audit.json", stage.path / "audit.html"
    page.write_text("old")
    page.chmod(0o640)
    done = stage.play(task(hosts=["web1"], formats={"json": str(report), "html": str(page)}, show=True), variables=HOST)
    assert json.loads(report.read_text())["findings"][0]["host"] == "web1"
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert [stat.S_IMODE(one.stat().st_mode) for one in (report, page)] == [0o600, 0o640]
    assert done.result("web1", AUDIT)["written"] == [str(report), str(page)]
    assert "\nHOST " in done.stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "neither hosts nor addresses"),
        ({"hosts": ["web9"]}, "the inventory has no host 'web9'"),
        ({"addresses": ["tcp://:::"]}, "tcp://:::"),
        ({"addresses": ["192.0.2.1"], "formats": {"xml": "audit.xml"}}, "xml"),
    ],
)
def test_bad_options(stage: Stage, options: dict[str, Any], told: str) -> None:
    done = stage.play(task(**options), variables=HOST)
    assert done.rc == 2
    assert told in done.messages("web1")[0]
    assert "Traceback" not in done.output
