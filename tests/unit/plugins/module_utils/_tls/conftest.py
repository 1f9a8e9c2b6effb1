# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures for the tests of certificates."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._tls.tools import (
    Machine,
    make_authority,
)


@pytest.fixture
def authority(tmp_path: Path) -> _authority.Authority:
    """Give a new authority."""
    return make_authority(tmp_path / "pki")


@pytest.fixture
def machine(tmp_path: Path, authority: _authority.Authority) -> Machine:
    """Give a machine on which nothing is there yet."""
    return Machine.new(tmp_path / "docker", authority)
