# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the certificates of a fleet are renewed."""

from __future__ import annotations

from collections import Counter

from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._issuing import share_of_spread


def test_renewals_of_a_fleet_are_spread_over_all_days_and_no_day_has_many() -> None:
    shares = Counter(share_of_spread(f"web{number:03}.example.com", 29) for number in range(900))
    assert sorted(shares) == list(range(30))
    assert max(shares.values()) < 2 * 900 / 30


def test_a_hosts_share_stays_the_same() -> None:
    # Another number would move the renewals of fleets that rely on it.
    assert [share_of_spread(name, 30) for name in ("web1", "web2", "db1")] == [15, 22, 22]
    assert share_of_spread("web1", 0) == 0
