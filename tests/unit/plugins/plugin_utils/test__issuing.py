# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the certificates of a fleet are renewed."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._issuing import (
    ensure_authority,
    share_of_spread,
    unnamed_clients,
)


def test_renewals_of_a_fleet_are_spread_over_all_days_and_no_day_has_many() -> None:
    shares = Counter(share_of_spread(f"web{number:03}.example.com", 29) for number in range(900))
    assert sorted(shares) == list(range(30))
    assert max(shares.values()) < 2 * 900 / 30


def test_a_hosts_share_stays_the_same() -> None:
    # Another number would move the renewals of fleets that rely on it.
    assert [share_of_spread(name, 30) for name in ("web1", "web2", "db1")] == [15, 22, 22]
    assert share_of_spread("web1", 0) == 0


def test_a_client_that_is_not_listed_any_more_is_told_of_until_it_is_shut_out(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    client: dict[str, Any] = {"days": None, "hours": None, "key_type": None, "subject": None, "directory": None}
    options: dict[str, Any] = {
        "path": str(tmp_path / "pki"), "passphrase": "correct horse battery staple", "ledger_dir": None, "ca_key": None,
        "common_name": "CA", "days": 400, "key_type": "ecdsa_p256", "client_days": 90, "renew_before_days": 30,
        "clients": [{**client, "name": "admin"}, {**client, "name": "alice", "hours": 8}],
    }  # fmt: skip
    assert not list(unnamed_clients(options["path"], [], now))
    ensure_authority(options, now, check_mode=False)
    assert not list(unnamed_clients(options["path"], ["admin", "alice"], now))
    (warning,) = unnamed_clients(options["path"], ["admin"], now)
    assert "clients/alice/cert.pem: " in warning
    assert (now + timedelta(hours=8)).strftime("until %Y-%m-%dT%H:%M") in warning
    assert not list(unnamed_clients(options["path"], ["admin"], now + timedelta(hours=9)))
