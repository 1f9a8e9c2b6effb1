# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The service's unit: its files in systemd's order, its words, and what makes it read the options."""

from __future__ import annotations

import glob
import pathlib

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import unit
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.errors import DaemonError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import SystemdError

DEBIAN = b"""[Unit]
ExecStart=/not/this

[Service]
Type=notify
EnvironmentFile=-/etc/default/docker
ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS
"""
DOCKER_CE = b"""[Service]
ExecStart=/usr/bin/dockerd -H fd:// \\
  # between the parts
  --containerd=/run/containerd/containerd.sock
"""
FEDORA = b"""[Service]
Environment="OPTIONS=--debug" 'A=b c'
EnvironmentFile=-/etc/sysconfig/docker
ExecStart=/usr/bin/dockerd --host=fd:// --exec-opt native.cgroupdriver=systemd $OPTIONS $DOCKER_STORAGE_OPTIONS
"""
OPENSUSE = b"""[Service]
EnvironmentFile=/etc/sysconfig/docker
ExecStart=/usr/bin/dockerd --add-runtime oci=/usr/sbin/runc $DOCKER_NETWORK_OPTIONS $DOCKER_OPTS
"""


def load(*contents: bytes) -> unit.Unit:
    """Return the unit made of a unit file and drop-ins."""
    return unit.load("docker.service", {f"/u{n}": content for n, content in enumerate(contents)})


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (DEBIAN, ("/etc/default/docker", "DOCKER_OPTS")),
        (DOCKER_CE, (None, None)),
        (FEDORA, ("/etc/sysconfig/docker", "OPTIONS")),
        (OPENSUSE, ("/etc/sysconfig/docker", "DOCKER_OPTS")),
    ],
    ids=["debian", "docker-ce", "fedora", "opensuse"],
)
def test_distributions_keep_their_options_in_their_places(content: bytes, found: tuple[str | None, str | None]) -> None:
    assert unit.find_options(load(content), lambda path, variable: False) == found


def test_the_file_that_sets_the_variable_counts() -> None:
    both = load(DEBIAN, b"[Service]\nEnvironmentFile=-/etc/b\nEnvironmentFile=/run/c\n")
    assert unit.find_options(both, lambda path, variable: path == "/etc/default/docker")[0] == "/etc/default/docker"
    assert unit.find_options(both, lambda path, variable: path == "/etc/b")[0] == "/etc/b"


def test_else_the_file_that_has_the_service_s_name() -> None:
    both = load(DEBIAN, b"[Service]\nEnvironmentFile=-/etc/b\nEnvironmentFile=/run/c\n")
    assert unit.find_options(both, lambda path, variable: False)[0] == "/etc/default/docker"
    others = load(DEBIAN, b"[Service]\nEnvironmentFile=\nEnvironmentFile=-/etc/a\nEnvironmentFile=/etc/b\n")
    assert unit.find_options(others, lambda path, variable: False)[0] == "/etc/b"


def test_specifiers_in_the_path_of_a_file_are_replaced() -> None:
    one = load(DEBIAN, b"[Service]\nEnvironmentFile=\nEnvironmentFile=-%E/default/%p\nEnvironmentFile=/etc/100%%/%n\n")
    assert one.environment_files == (
        unit.EnvironmentFile("/etc/default/docker", optional=True),
        unit.EnvironmentFile("/etc/100%/docker.service", optional=False),
    )


def test_files_of_a_pattern_are_read_in_order(tmp_path: pathlib.Path) -> None:
    for name in ("b.conf", "a.conf", "c.txt"):
        (tmp_path / name).touch()
    one = load(f"[Service]\nEnvironmentFile=-{tmp_path}/*.conf\nExecStart=dockerd\n".encode())
    assert [item.path for item in one.environment_files] == [f"{tmp_path}/a.conf", f"{tmp_path}/b.conf"]
    none = load(f"[Service]\nEnvironmentFile=-{tmp_path}/*.none\nExecStart=dockerd\n".encode())
    assert [item.path for item in none.environment_files] == [f"{tmp_path}/*.none"]


def test_a_file_of_a_pattern_has_the_options_only_if_it_sets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it is that of another program, such as a proxy's, and the options get a file of their own."""
    drop_in = b"[Service]\nEnvironmentFile=\nEnvironmentFile=-/etc/docker/env.d/*\n"
    for matches in ([], ["/etc/docker/env.d/proxy"]):
        monkeypatch.setattr(glob, "glob", lambda pattern, matches=matches: matches)
        assert unit.find_options(load(DEBIAN, drop_in), lambda path, variable: False)[0] is None
    assert unit.find_options(load(DEBIAN, drop_in), lambda path, variable: True)[0] == "/etc/docker/env.d/proxy"


def test_a_specifier_that_nobody_can_tell_is_refused() -> None:
    with pytest.raises(DaemonError, match="/u1:2: EnvironmentFile= has the specifier %b, whose value cannot be told"):
        load(DEBIAN, b"[Service]\nEnvironmentFile=-/etc/default/%b\n")


def test_a_command_is_joined_from_its_lines() -> None:
    one = load(DOCKER_CE)
    assert one.words == ("/usr/bin/dockerd", "-H", "fd://", "--containerd=/run/containerd/containerd.sock")
    assert (one.command.first_line, one.command.last_line) == (2, 4)


def test_only_an_odd_number_of_backslashes_goes_on() -> None:
    one = load(b"[Service]\nEnvironment=A=b\\\\\nExecStart=dockerd\n")
    assert one.environment == {"A": "b\\"}


def test_a_drop_in_may_set_the_command_anew() -> None:
    one = load(DEBIAN, b"[Service]\nExecStart=\nExecStart=-/opt/dockerd -D\nEnvironmentFile=\nEnvironmentFile=/e\n")
    assert one.words == ("-/opt/dockerd", "-D")
    assert one.environment_files == (unit.EnvironmentFile("/e", optional=False),)
    assert not one.reads("DOCKER_OPTS")


def test_a_byte_order_mark_hides_nothing() -> None:
    """An editor on Windows may have put it there; systemd reads over it."""
    one = load(b"\xef\xbb\xbf" + DOCKER_CE, b"\xef\xbb\xbf[Service]\nExecStart=\nExecStart=/opt/dockerd -D\n")
    assert one.words == ("/opt/dockerd", "-D")
    assert (one.command.path, one.command.first_line) == ("/u1", 3)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (DEBIAN + b"ExecStart=/usr/bin/dockerd\n", "docker.service: it has more than one ExecStart=.*/u0:7, /u0:8"),
        (b"[Service]\n", "docker.service: it has no ExecStart="),
        (b"[Service]\nExecStart=/usr/local/bin/start-docker\n", "/u0:2: ExecStart= runs /usr/local/bin/start-docker"),
        (b"[Service]\nExecStart=/bin/sh -c 'dockerd $X'\n", "/u0:2: ExecStart= runs /bin/sh"),
        (b"[Service]\nExecStart=@/usr/bin/dockerd docker\n", "/u0:2: ExecStart= begins with '@'"),
        (b"[Service]\nExecStart=:/usr/bin/dockerd $X\n", "/u0:2: ExecStart= begins with ':'"),
    ],
)
def test_what_is_no_plain_call_of_dockerd_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(DaemonError, match=says):
        load(content)


@pytest.mark.parametrize(
    ("text", "words", "as_value"),
    [
        ("a  b\tc", ["a", "b", "c"], ["a", "b", "c"]),
        ("'a b' \"c d\"", ["a b", "c d"], ["a b", "c d"]),
        ("a'b c'd", ["ab cd"], ["ab cd"]),
        ("'' a", ["", "a"], ["", "a"]),
        ("a\\x20b\\n", ["a b\n"], ["ax20bn"]),
        ("a\\ b", ["a b"], ["a b"]),
        ("", [], []),
    ],
)
def test_words_are_split_as_systemd_does(text: str, words: list[str], as_value: list[str]) -> None:
    assert unit.split_words(text, unescape=True) == words
    assert unit.split_words(text, unescape=False) == as_value


def test_variables_and_specifiers_are_replaced() -> None:
    one = load(b"[Service]\nExecStart=-/usr/bin/dockerd $A --x=${B}y --z=$B $$ %% --n=%N ${C} $D\n")
    assert unit.expand(one, {"A": "1 '2 3'", "B": "b c", "C": ""}) == (
        "/usr/bin/dockerd", "1", "2 3", "--x=b cy", "--z=$B", "$", "%", "--n=docker", "",
    )  # fmt: skip


def test_an_unknown_specifier_is_refused() -> None:
    with pytest.raises(DaemonError, match="/u0:2: .*%i"):
        unit.expand(load(b"[Service]\nExecStart=/usr/bin/dockerd %i\n"), {})


CONTAINERD = "--containerd=/run/containerd/containerd.sock"
DROP_INS = {
    "docker-ce": (DOCKER_CE, f"EnvironmentFile=-/f\nExecStart=\nExecStart=/usr/bin/dockerd -H fd:// {CONTAINERD} $V\n"),
    "other-variable": (
        DEBIAN.replace(b"/etc/default/docker", b"/f"),
        f"ExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// {CONTAINERD} $DOCKER_OPTS $V\n",
    ),
}


@pytest.mark.parametrize(("content", "drop_in"), DROP_INS.values(), ids=DROP_INS)
def test_a_drop_in_is_derived_from_the_unit(content: bytes, drop_in: str) -> None:
    made = unit.render_drop_in(load(content), "/f", "V")
    assert made.decode().partition("[Service]\n")[2].replace("   ", " ").replace("  ", " ") == drop_in
    both = load(content, made)
    assert both.reads("V")
    assert "/f" in [item.path for item in both.environment_files]


@pytest.mark.parametrize("content", [DOCKER_CE, FEDORA, OPENSUSE], ids=["docker-ce", "fedora", "opensuse"])
def test_an_edited_unit_reads_the_options_and_keeps_all_else(content: bytes) -> None:
    edited = unit.edit_unit_file(load(content), content, "/f", "V")
    one = load(edited)
    assert one.reads("V")
    assert "/f" in [item.path for item in one.environment_files]
    assert one.words[:-1] == load(content).words
    lines = edited.decode().replace(" $V", "").replace("EnvironmentFile=-/f\n", "")
    assert lines == content.decode()
    assert unit.edit_unit_file(one, edited, "/f", "V") == edited


def write(path: pathlib.Path, content: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="ascii")


@pytest.fixture
def directories(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> list[pathlib.Path]:
    """Three directories of units, most important first."""
    found = [tmp_path / name for name in ("etc", "run", "lib")]
    monkeypatch.setattr(unit, "_UNIT_DIRECTORIES", tuple(map(str, found)))
    return found


def test_drop_ins_are_read_in_the_order_of_their_names(directories: list[pathlib.Path]) -> None:
    etc, run, lib = directories
    write(lib / "my-docker.service")
    for path in (
        lib / "my-docker.service.d/50-b.conf", run / "my-docker.service.d/10-c.conf",
        etc / "my-docker.service.d/90-a.conf", etc / "my-docker.service.d/50-b.conf",
        etc / "service.d/20-all.conf", etc / "service.d/10-c.conf",
        lib / "my-.service.d/30-my.conf", etc / "my-docker.service.d/not.a.conf.bak",
    ):  # fmt: skip
        write(path)
    assert unit.unit_paths("my-docker.service") == [
        str(path)
        for path in (
            lib / "my-docker.service", run / "my-docker.service.d/10-c.conf", etc / "service.d/20-all.conf",
            lib / "my-.service.d/30-my.conf", etc / "my-docker.service.d/50-b.conf",
            etc / "my-docker.service.d/90-a.conf",
        )
    ]  # fmt: skip


def test_a_unit_in_etc_replaces_the_packaged_one(directories: list[pathlib.Path]) -> None:
    etc, run, lib = directories
    write(lib / "docker.service")
    write(etc / "docker.service")
    assert unit.unit_paths("docker.service") == [str(etc / "docker.service")]


def test_a_masked_or_missing_unit_is_refused(directories: list[pathlib.Path]) -> None:
    with pytest.raises(SystemdError, match="docker.service: systemd knows no such unit"):
        unit.unit_paths("docker.service")
    write(directories[2] / "docker.service")
    directories[0].mkdir()
    (directories[0] / "docker.service").symlink_to("/dev/null")
    with pytest.raises(SystemdError, match="docker.service: the unit is masked"):
        unit.unit_paths("docker.service")
