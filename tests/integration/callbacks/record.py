# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A callback plugin that writes what each task did on each host into a file, one JSON object a line, for the tests."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: record
type: notification
short_description: Write the result of each task on each host into a file
description: The file is named by the environment variable E(RECORD_FILE).
requirements:
  - enable in configuration
"""


class CallbackModule(CallbackBase):
    """Appends a line per result, and the recap as the last line."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "record"
    CALLBACK_NEEDS_ENABLED = True

    def _write(self, line: dict[str, Any]) -> None:
        """Append one JSON object to the file."""
        with Path(os.environ["RECORD_FILE"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=str) + "\n")

    def _record(self, status: str, result: Any) -> None:
        """Write what a task did on a host."""
        # Before ansible-core 2.19 the same attributes had an underscore before their names.
        task, host, what = (
            getattr(result, name if hasattr(result, name) else f"_{name}") for name in ("task", "host", "result")
        )
        line = {"host": host.get_name(), "task": task.get_name(), "action": task.action, "status": status}
        self._write(line | {"changed": bool(what.get("changed")), "result": what})

    def v2_runner_on_ok(self, result: Any) -> None:
        """Write a task that went well."""
        self._record("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Write a task that failed."""
        self._record("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Write a task that was skipped."""
        self._record("skipped", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Write a host that could not be reached."""
        self._record("unreachable", result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Write the recap: host -> counters."""
        self._write({"recap": {host: stats.summarize(host) for host in sorted(stats.processed)}})
