# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests share: how failed fixtures are reported, and that a slow machine is no failure."""

from __future__ import annotations

import hypothesis
import pytest

# On a machine with other work, an example may take any time.
hypothesis.settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any-machine")

_first_of_cause: dict[str, str] = {}


def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, str] | None:
    """Count a test whose fixture failed for a cause that was met before as a repeated error, which is not shown."""
    if report.when != "setup" or not report.failed:
        return None
    crash = getattr(report.longrepr, "reprcrash", None)
    cause = str((crash.path, crash.lineno, crash.message) if crash else report.longrepr)
    if _first_of_cause.setdefault(cause, report.nodeid) == report.nodeid:
        return None
    return "repeated errors", "E", "ERROR"
