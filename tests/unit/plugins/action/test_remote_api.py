# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of remote_api, where the host's half is not reached."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.action.playing import ABSENT, Stage


@pytest.mark.parametrize(
    ("days", "says"),
    [
        ({"renew_spread_days": 335}, "renew_spread_days, 335: .*Set it from 0 to 334"),
        ({"renew_spread_days": -1}, "renew_spread_days, -1: "),
        ({"renew_before_days": 365}, "renew_before_days: .*365"),
        ({"certificate_days": 0}, "days: "),
    ],
)
def test_days_that_do_not_fit_are_refused_before_anything_is_made(
    stage: Stage, days: dict[str, Any], says: str
) -> None:
    task = {"dockerfleet.remote_api.remote_api": {"ca_path": "{{ pki }}", "ca_passphrase": "{{ secret }}", **days}}
    (message,) = stage.play(task, variables=ABSENT).messages("web1")
    assert re.search(says, message), message
    assert not stage.pki.exists()
    assert stage.sent == []
