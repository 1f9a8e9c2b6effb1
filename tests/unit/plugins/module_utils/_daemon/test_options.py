# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""dockerd's command line: what is the same option, what may be asked for, and what becomes of what was there."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.errors import DaemonError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import (
    ListenAddress,
    check_options,
    check_word,
    file_name,
    is_on,
    last_value,
    merge,
    parse_host,
    read_arguments,
    values,
)


@pytest.mark.parametrize("words", [["-H", "x"], ["-Hx"], ["-H=x"], ["--host", "x"], ["--host=x"]], ids=" ".join)
def test_ways_to_write_an_option_are_the_same(words: list[str]) -> None:
    (option,) = read_arguments(words, "here")
    assert (option.name, option.value, list(option.words)) == ("host", "x", words)


def test_switches_take_no_word_after_them() -> None:
    options = read_arguments(["-D", "--tlsverify", "--icc=false", "--init", "--dns", "8.8.8.8", "-l", "info"], "here")
    assert [(option.name, option.value) for option in options] == [
        ("debug", None), ("tlsverify", None), ("icc", "false"), ("init", None), ("dns", "8.8.8.8"),
        ("log-level", "info"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["word"], "here: the word 'word' is no option"),
        (["--tlsverify", "false"], "here: the word 'false' is no option"),
        (["--"], "here: the word '--' is no option"),
        (["-"], "here: the word '-' is no option"),
        (["--dns"], "here: the option '--dns' lacks its value"),
    ],
)
def test_what_is_no_option_is_refused(words: list[str], says: str) -> None:
    with pytest.raises(DaemonError, match=says):
        read_arguments(words, "here")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("tlsverify", True, ["--tlsverify"]),
        ("icc", False, ["--icc=false"]),
        ("some-new-switch", True, ["--some-new-switch=true"]),
        ("mtu", 1400, ["--mtu=1400"]),
        ("log-level", "info", ["--log-level=info"]),
        ("dns", ["8.8.8.8", "2001:db8::1"], ["--dns=8.8.8.8", "--dns=2001:db8::1"]),
        ("log-opt", {"max-size": "10m", "compress": True}, ["--log-opt=max-size=10m", "--log-opt=compress=true"]),
        ("host", ["tcp://[::1]:2376", "unix:///run/x.sock"], ["--host=tcp://[::1]:2376", "--host=unix:///run/x.sock"]),
    ],
)
def test_a_wanted_option_becomes_words(name: str, value: Any, words: list[str]) -> None:
    assert check_options({name: value}) == {name: tuple(words)}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("--host", "x", "options, --host: it is not the long name"),
        ("H", "x", "options, H: it is not the long name"),
        ("mtu", None, "options, mtu: a value of type NoneType"),
        ("mtu", "", "options, mtu: a value of type str, or an empty one"),
        ("label", [["a"]], "options, label: a value of type list"),
        ("label", [], "options, label: the list is empty"),
        ("label", {}, "options, label: the list is empty"),
        ("dns", ["dns.example.com"], "options, dns: 'dns.example.com' is not an IP address"),
        ("host", "tcp://0.0.0.0", "options, host, tcp://0.0.0.0: it is not ADDRESS:PORT"),
        ("label", "a b", "options, --label=a b: it has blanks"),
    ],
)
def test_a_bad_wanted_option_is_refused(name: str, value: Any, says: str) -> None:
    with pytest.raises(DaemonError, match=says):
        check_options({name: value})


@pytest.mark.parametrize("char", list(" \t\n\"'\\$`#;&|<>()é"))
def test_words_that_an_options_file_cannot_hold_safely_are_refused(char: str) -> None:
    with pytest.raises(DaemonError, match="cannot hold safely"):
        check_word(f"--label=a{char}b")


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("tcp://192.0.2.7:2376", ListenAddress("192.0.2.7", 2376)),
        ("1.2.3.4:2375", ListenAddress("1.2.3.4", 2375)),
        ("tcp://[2001:db8::1]:2376", ListenAddress("2001:db8::1", 2376)),
        ("tcp://docker.example.com:1/", ListenAddress("docker.example.com", 1)),
        ("unix:///var/run/docker.sock", None),
        ("fd://", None),
    ],
)
def test_an_address_is_read(host: str, address: ListenAddress | None) -> None:
    assert parse_host(host) == address


@pytest.mark.parametrize(
    "host",
    ["tcp://:2376", "tcp://0.0.0.0", "tcp://0.0.0.0:", "tcp://0.0.0.0:0", "tcp://0.0.0.0:65536", "http://0.0.0.0:1",
     "tcp://1.2.3:2376", "tcp://[::g]:1", "tcp://::1:2376", "npipe://x", "tcp://a b:1", "tcp://h:1/path", ""],
)  # fmt: skip
def test_an_address_that_is_not_written_out_is_refused(host: str) -> None:
    with pytest.raises(DaemonError, match="(options, host|is not an IP address)"):
        parse_host(host)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("tcp://:2377", ListenAddress("localhost", 2377)),
        ("tcp://192.0.2.7", ListenAddress("192.0.2.7", 2375)),
        ("192.0.2.7:", ListenAddress("192.0.2.7", 2375)),
        ("tcp://[2001:db8::1]", ListenAddress("2001:db8::1", 2375)),
        ("tcp://", ListenAddress("localhost", 2375)),
        ("unix://", None),
    ],
)
def test_one_that_is_there_already_means_what_dockerd_makes_of_it(host: str, address: ListenAddress | None) -> None:
    assert parse_host(host, written_out=False) == address


@pytest.mark.parametrize("host", ["tcp://0.0.0.0:0", "http://0.0.0.0:1", "tcp://1.2.3", "tcp://::1:2376"])
def test_unless_dockerd_refuses_it(host: str) -> None:
    with pytest.raises(DaemonError, match="(options, host|is not an IP address)"):
        parse_host(host, written_out=False)


MERGES: list[tuple[str, str, dict[str, Any], list[str], bool, str]] = [
    ("nothing to nothing", "", {}, [], False, ""),
    ("others stay word for word", "-D --dns 8.8.8.8 -l=x", {"mtu": 1}, [], False, "-D --dns 8.8.8.8 -l=x --mtu=1"),
    ("in its place", "--mtu=1 -D", {"mtu": 2}, [], False, "--mtu=2 -D"),
    ("the same keeps its spelling", "--mtu 2 -D", {"mtu": 2, "debug": True}, [], False, "--mtu 2 -D"),
    ("a list replaces all", "--dns 1.1.1.1 -D --dns=9.9.9.9", {"dns": ["8.8.8.8"]}, [], False, "--dns=8.8.8.8 -D"),
    ("removed", "--dns 1.1.1.1 -D --dns=9.9.9.9", {}, ["dns"], False, "-D"),
    ("removed under its short name", "-D -H tcp://1.1.1.1:1", {}, ["host"], False, "-D"),
    ("exclusive", "--dns 1.1.1.1 -D", {"mtu": 1}, [], True, "--mtu=1"),
    ("local sockets stay", "-H unix:///x -H tcp://1.1.1.1:1", {"host": ["tcp://2.2.2.2:2"]}, [], False,
     "-H unix:///x --host=tcp://2.2.2.2:2"),
    ("unless removed", "-H unix:///x", {}, ["host"], False, ""),
    ("unless exclusive", "-H fd://", {"host": ["tcp://2.2.2.2:2"]}, [], True, "--host=tcp://2.2.2.2:2"),
    ("no socket twice", "--host=unix:///x", {"host": ["unix:///x", "tcp://2.2.2.2:2"]}, [], False,
     "--host=unix:///x --host=tcp://2.2.2.2:2"),
    ("false is not true", "--icc", {"icc": False}, [], False, "--icc=false"),
]  # fmt: skip


@pytest.mark.parametrize(("present", "wanted", "remove", "exclusive", "after"), [row[1:] for row in MERGES],
                         ids=[row[0] for row in MERGES])  # fmt: skip
def test_what_is_wanted_is_merged_into_what_is_there(
    present: str, wanted: dict[str, Any], remove: list[str], exclusive: bool, after: str
) -> None:
    options = read_arguments(present.split(), "here")
    words = merge(options, check_options(wanted), remove=remove, exclusive=exclusive)
    assert words == tuple(after.split())
    again = merge(read_arguments(words, "here"), check_options(wanted), remove=remove, exclusive=exclusive)
    assert again == words


def test_values_are_found() -> None:
    options = read_arguments(["--dns=1", "-D", "--dns=2", "--icc=0"], "here")
    assert values(options, "dns") == ["1", "2"]
    assert last_value(options, "dns") == "2"
    assert last_value(options, "mtu") is None
    assert is_on(options, "debug")
    assert not is_on(options, "icc")
    assert not is_on(options, "tls")


def test_keys_of_the_file_are_plural() -> None:
    assert [file_name(name) for name in ("host", "label", "dns", "dns-opt", "insecure-registry")] == [
        "hosts", "labels", "dns", "dns-opts", "insecure-registries",
    ]  # fmt: skip
