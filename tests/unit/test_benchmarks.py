# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The simulated hosts of benchmarks/scale.py keep answering what the role asks, so that its figures can be had anew."""

from __future__ import annotations

import pathlib

from ansible_collections.dockerfleet.remote_api.benchmarks import scale


def test_nothing_is_due_on_simulated_hosts(tmp_path: pathlib.Path) -> None:
    # A run that fails or changes something ends the benchmark.
    runs = scale.Scale(tmp_path).measure([2], 1)
    assert {name: len(used[2]) for name, used in runs.items()} == {scale.PING: 1, scale.SECURE: 1}
