# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes how long each task took on each host, as lines of JSON, to the file that DURATIONS_FILE names."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: durations
type: notification
short_description: Write how long tasks took
description: [Each line of the file in E(DURATIONS_FILE) holds a task, a host, seconds, and whether it went well.]
"""


class CallbackModule(CallbackBase):
    """Takes the time from the start of a task on a host to its end, as the controller sees it."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "durations"

    def __init__(self) -> None:
        """No task has started yet."""
        super().__init__()
        self._started: dict[tuple[str, str], float] = {}

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Note when a task starts on a host."""
        self._started[host.get_name(), task._uuid] = time.monotonic()

    def _end(self, result: Any, ok: bool) -> None:
        """Write how long it took."""
        host, task = result.host.get_name(), result.task
        seconds = time.monotonic() - self._started.pop((host, task._uuid))
        line = json.dumps({"task": task.get_name(), "host": host, "seconds": seconds, "ok": ok})
        with open(os.environ["DURATIONS_FILE"], "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task went well."""
        self._end(result, True)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task failed."""
        self._end(result, False)
