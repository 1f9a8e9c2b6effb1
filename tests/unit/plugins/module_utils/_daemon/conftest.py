# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures for the tests of the daemon's configuration."""

from __future__ import annotations

import pathlib

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import record, unit
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._daemon.machine import Machine


@pytest.fixture
def machine(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Give a directory that stands for a host, with all paths below it."""
    monkeypatch.setattr(unit, "_UNIT_DIRECTORIES", (str(tmp_path / "etc"), str(tmp_path / "lib")))
    monkeypatch.setattr(unit, "drop_in_path", lambda name: str(tmp_path / f"etc/{name}.d/{unit.DROP_IN_NAME}"))
    monkeypatch.setattr(record, "DIRECTORY", str(tmp_path / "record"))
    return Machine(tmp_path)
