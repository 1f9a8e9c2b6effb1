# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A directory that stands for a host whose files are read, planned and changed: nothing is run."""

from __future__ import annotations

import pathlib
from dataclasses import replace
from typing import Any

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import record
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import Plan, Request
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.plan import make_plan
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.process import Process
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.removal import make_removal_plan
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.restart import restart_reasons
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import Change, read_state, write_change
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import ServiceState

RUNNING = ServiceState("loaded", "active", "success", 7, 0, needs_reload=False, has_job=False)


def planned(request: Request, running: Process | None, changes: tuple[Change, ...] = ()) -> Plan:
    """Return the plan with its reasons for a restart."""
    found = make_plan(request, RUNNING, running, changes)
    return replace(found, restart_reasons=tuple(restart_reasons(found, RUNNING)))


class Machine:
    """A directory that stands for a host."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.options = root / "options"
        self.json = root / "daemon.json"
        self.unit = root / "lib/docker.service"
        self.own = root / "etc/docker.service.d/zz-docker-remote-api.conf"
        (root / "lib").mkdir()
        (root / "etc/docker.service.d").mkdir(parents=True)
        self.set_unit("-H fd:// $DOCKER_OPTS", file=True)

    def set_unit(self, words: str, *, file: bool = False) -> None:
        line = f"EnvironmentFile=-{self.options}\n" if file else ""
        self.unit.write_text(f"[Service]\n{line}ExecStart=/usr/bin/dockerd {words}\n", encoding="ascii")

    def asked(self, options: dict[str, Any] | None, **request: Any) -> Request:
        """Return a request for this host, on which plain TCP is no matter unless it says so."""
        places = {"path": str(self.options), "daemon_json": str(self.json), "allow_insecure": True}
        return Request(options or {}, **{**places, **request})

    def plan(self, options: dict[str, Any] | None = None, running: str | None = None, **request: Any) -> Plan:
        """Return the plan; ``running`` is what the daemon runs with, nothing for a daemon that is down."""
        argv = None if running is None else ("/usr/bin/dockerd", *running.split())
        process = None if argv is None else Process(7, argv, 2**62)
        return planned(self.asked(options, **request), process)

    def set_up(self, options: dict[str, Any], files: dict[pathlib.Path, bytes], **request: Any) -> None:
        """Carry out and record a plan that writes more files as well."""
        changes = tuple(Change(str(path), read_state(str(path)), content) for path, content in files.items())
        self.carry_out(planned(self.asked(options, **request), None, changes), recorded=True)

    @staticmethod
    def carry_out(plan: Plan, *, recorded: bool = False) -> None:
        """Write the files of a plan; with ``recorded``, what was there before as well."""
        for change in [*plan.changes, *([record.update(plan.service, plan.changes)] if recorded else [])]:
            write_change(change)

    def removal(self, options: dict[str, Any], **request: Any) -> Plan:
        """Return the plan that takes back what was set up with these options, on a host where plain TCP matters."""
        asked = self.asked(options, **{"absent": True, "allow_insecure": False, **request})
        return make_removal_plan(asked, RUNNING, None)
