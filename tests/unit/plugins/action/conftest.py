# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures for the tests of action plugins."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.action.playing import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Give a stage on which nothing is there yet."""
    return Stage.new(tmp_path)
