# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""daemon.json: what dockerd would make of it beside the options on its command line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.daemon_json import (
    conflicts,
    listening,
    parse,
    render,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.errors import DaemonError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import read_arguments

FLAGS = [
    "-H", "fd://", "-H", "tcp://0.0.0.0:2376", "--tlsverify", "--tlscacert", "/ca", "--dns=8.8.8.8", "--live-restore",
    "--label", "a=b",
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, {}),
        (b"", {}),
        (b" \n", {}),
        (b"\xef\xbb\xbf{}", {}),
        (b'{"debug": true, "debug": false}', {"debug": False}),
        ('{"labels": ["é"]}'.encode(), {"labels": ["é"]}),
    ],
)
def test_what_dockerd_accepts_is_read(content: bytes | None, found: dict[str, Any]) -> None:
    assert parse(content, "/d") == found


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"debug": true,}', "/d:1: dockerd cannot read it as JSON"),
        (b'{\n"debug": true\n"icc": true}', "/d:3: dockerd cannot read it as JSON"),
        (b"[]", "/d:1: it holds something other than an object"),
        (b"debug = true", "/d:1: dockerd cannot read it as JSON"),
    ],
)
def test_what_dockerd_refuses_is_refused_with_its_line(content: bytes, says: str) -> None:
    with pytest.raises(DaemonError, match=says):
        parse(content, "/d")


@pytest.mark.parametrize(
    ("configuration", "found"),
    [
        ({"hosts": ["tcp://0.0.0.0:2376"]}, [("hosts", "fd://, tcp://0.0.0.0:2376", '["tcp://0.0.0.0:2376"]')]),
        ({"tlsverify": True}, [("tlsverify", "true", "true")]),
        ({"tlscacert": "/ca"}, [("tlscacert", "/ca", '"/ca"')]),
        ({"tls": True}, []),
        ({"host": ["fd://"]}, []),
        ({"dns": ["8.8.8.8"], "labels": []}, [("dns", "8.8.8.8", '["8.8.8.8"]'), ("labels", "a=b", "[]")]),
        ({"live-restore": False}, [("live-restore", "true", "false")]),
        ({"mtu": 9, "runtimes": {}}, []),
    ],
)
def test_keys_in_both_places_are_found(configuration: dict[str, Any], found: list[tuple[str, str, str]]) -> None:
    options = read_arguments([*FLAGS, "--add-runtime=x=y"], "here")
    assert [(item.key, item.from_flag, item.from_file) for item in conflicts(configuration, options)] == found


def test_a_file_keeps_its_order() -> None:
    after = render({"z": 1, "é": {"b": 1, "a": 2}, "live-restore": True}).decode()
    assert list(json.loads(after).items()) == [("z", 1), ("é", {"b": 1, "a": 2}), ("live-restore", True)]
    assert after.startswith('{\n    "z": 1')
    assert after.endswith("}\n")
    assert "é" in after


def test_what_it_says_about_listening_is_read_as_options() -> None:
    configuration = {"hosts": ["fd://", 1], "tls": False, "tlscacert": "/ca", "tlskey": None, "mtu": 9}
    assert [(option.name, option.value) for option in listening(configuration)] == [
        ("tls", "false"), ("tlscacert", "/ca"), ("host", "fd://"),
    ]  # fmt: skip
