# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what is asked for and what is there to what is to be done: on files in a directory, nothing is run."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.errors import DaemonError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import Plan
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.process import Process
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.session import with_activation_sockets
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._daemon.machine import Machine, planned

SOCKET = "--host=unix:///var/run/docker.sock"


def changed(found: Plan) -> list[str]:
    return [pathlib.Path(change.path).name for change in found.changes]


def test_nothing_is_to_be_done_where_all_is_so(machine: Machine) -> None:
    machine.options.write_text('DOCKER_OPTS="--debug"\n', encoding="ascii")
    found = machine.plan({"debug": True}, running="-H fd:// --debug")
    assert (found.changes, found.restart_reasons, found.reload_due) == ((), (), False)


def test_what_is_asked_for_is_told_from_what_is_there(machine: Machine) -> None:
    machine.options.write_text('DOCKER_OPTS="-g /srv/docker --debug"\n', encoding="ascii")
    assert machine.plan({"debug": True, "dns": ["8.8.8.8"]}).requested == ("debug", "dns")


def test_a_restart_is_seen_on_the_running_daemon(machine: Machine) -> None:
    machine.options.write_text('DOCKER_OPTS="--debug"\n', encoding="ascii")
    found = machine.plan({"debug": True}, running="-H fd://")
    assert found.changes == ()
    assert found.restart_reasons == ("it runs with other arguments",)
    assert machine.plan({}).restart_reasons == ("the service is not running (it is active)",)


def test_new_certificates_are_a_reason_to_restart(machine: Machine) -> None:
    tls: dict[str, bool | str] = {"tlsverify": True}
    for name in ("tlscacert", "tlscert", "tlskey"):
        (machine.root / name).write_text("", encoding="ascii")
        tls[name] = str(machine.root / name)
    words = " ".join(["-H fd://", "--tlsverify", *(f"--{name}={tls[name]}" for name in list(tls)[1:])])
    words = words.replace("-H fd://", "-H fd://", 1)
    assert machine.plan(tls, running=words).restart_reasons == ()
    process = Process(7, ("/usr/bin/dockerd", *words.split()), 1)
    reasons = planned(machine.asked(tls), process).restart_reasons
    assert len(reasons) == 3
    assert all("is newer than the running daemon" in reason for reason in reasons)


def test_a_unit_that_reads_nothing_gets_a_drop_in(machine: Machine) -> None:
    machine.set_unit("-H fd://")
    found = machine.plan({"debug": True}, running="-H fd://")
    assert changed(found) == ["options", "zz-docker-remote-api.conf"]
    assert found.argv == ("/usr/bin/dockerd", "-H", "fd://", "--debug")
    assert found.reload_due


def test_or_is_edited(machine: Machine) -> None:
    machine.set_unit("-H fd://")
    found = machine.plan({"debug": True}, unit_wiring="edit")
    assert changed(found) == ["options", "docker.service"]
    assert found.changes[1].shown[1].endswith("-H fd:// $DOCKER_OPTS\n")


def test_or_is_refused(machine: Machine) -> None:
    machine.set_unit("-H fd://")
    with pytest.raises(DaemonError, match="unit_wiring is 'none'"):
        machine.plan({"debug": True}, unit_wiring="none")


def test_a_drop_in_of_an_earlier_run_will_do(machine: Machine) -> None:
    machine.set_unit("-H fd://")
    machine.own.write_bytes(machine.plan({"debug": True}).changes[1].after or b"")
    assert changed(machine.plan({"debug": True})) == ["options"]
    assert changed(machine.plan({"debug": True}, unit_wiring="none")) == ["options"]


def test_a_drop_in_that_is_not_needed_goes(machine: Machine) -> None:
    machine.own.write_text("[Service]\nExecStart=\nExecStart=/usr/bin/dockerd $DOCKER_OPTS\n", encoding="ascii")
    found = machine.plan({"debug": True})
    assert [(change.path, change.after) for change in found.changes][1:] == [(str(machine.own), None)]
    assert found.argv == ("/usr/bin/dockerd", "-H", "fd://", "--debug")


def test_a_later_drop_in_wins_and_is_refused(machine: Machine) -> None:
    later = machine.own.parent / "zzz.conf"
    later.write_text("[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd://\n", encoding="ascii")
    with pytest.raises(DaemonError, match=f"{later}: this drop-in of docker.service is read after {machine.own}"):
        machine.plan({"debug": True})


def test_a_later_drop_in_that_sets_something_else_is_none_of_our_business(machine: Machine) -> None:
    (machine.own.parent / "zzz.conf").write_text("[Service]\nEnvironmentFile=-/nowhere\nNice=1\n", encoding="ascii")
    assert changed(machine.plan({"debug": True})) == ["options"]


def test_another_file_with_the_variable_is_refused(machine: Machine) -> None:
    more = machine.root / "more"
    more.write_text("DOCKER_OPTS=--icc\n", encoding="ascii")
    (machine.own.parent / "aaa.conf").write_text(f"[Service]\nEnvironmentFile={more}\n", encoding="ascii")
    with pytest.raises(DaemonError, match=f"{more}: it sets DOCKER_OPTS too"):
        machine.plan({"debug": True})


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ("UnsetEnvironment=A DOCKER_OPTS", "aaa.conf:2: UnsetEnvironment= names DOCKER_OPTS"),
        ('UnsetEnvironment="DOCKER_OPTS=--debug"', "aaa.conf:2: UnsetEnvironment= names DOCKER_OPTS"),
        ("PassEnvironment=DOCKER_OPTS", "aaa.conf:2: PassEnvironment= names DOCKER_OPTS"),
        ("UnsetEnvironment=\nPassEnvironment=\nPassEnvironment=B DOCKER_OPTS", "aaa.conf:4: PassEnvironment= names"),
    ],
)
def test_a_unit_that_keeps_the_variable_from_the_daemon_is_refused(machine: Machine, settings: str, where: str) -> None:
    (machine.own.parent / "aaa.conf").write_text(f"[Service]\n{settings}\n", encoding="ascii")
    with pytest.raises(DaemonError, match=where):
        machine.plan({"debug": True})


@pytest.mark.parametrize(
    "settings",
    [
        "UnsetEnvironment=DOCKER_OPTS_OLD HTTP_PROXY",
        "UnsetEnvironment=DOCKER_OPTS\nUnsetEnvironment=",
        "PassEnvironment=DOCKER_OPTS\nPassEnvironment=\nPassEnvironment=HTTP_PROXY",
    ],
)
def test_other_variables_may_be_kept_from_it(machine: Machine, settings: str) -> None:
    (machine.own.parent / "aaa.conf").write_text(f"[Service]\n{settings}\n", encoding="ascii")
    assert changed(machine.plan({"debug": True})) == ["options"]


@pytest.mark.parametrize(
    ("options", "request_", "says"),
    [
        ({}, {"path": "default/docker"}, "path, default/docker"),
        ({}, {"daemon_json": "daemon.json"}, "daemon_json, daemon.json"),
        *(({name: "tls/x.pem"}, {}, f"options, {name}, tls/x.pem") for name in ("tlscacert", "tlscert", "tlskey")),
        ({"config-file": ["~/daemon.json"]}, {}, "options, config-file, ~/daemon.json"),
    ],
)
def test_a_relative_path_is_refused(
    machine: Machine, options: dict[str, Any], request_: dict[str, Any], says: str
) -> None:
    with pytest.raises(RemoteApiError, match=f"^{says}: this path on the host is relative"):
        machine.plan({"debug": True, **options}, **request_)


def test_a_demanded_environment_file_has_to_be_there(machine: Machine) -> None:
    (machine.own.parent / "aaa.conf").write_text("[Service]\nEnvironmentFile=/nowhere\n", encoding="ascii")
    with pytest.raises(DaemonError, match="/nowhere: docker.service demands this"):
        machine.plan({"debug": True})


def test_an_options_file_that_is_read_by_a_pattern_is_refused(machine: Machine) -> None:
    """The unit would read each backup of it as well."""
    unit = machine.unit.read_text(encoding="ascii")
    machine.unit.write_text(unit.replace(str(machine.options), f"{machine.options}*"), encoding="ascii")
    machine.options.write_text("DOCKER_OPTS=--icc\n", encoding="ascii")
    with pytest.raises(
        DaemonError, match=r"options: docker.service reads it by a pattern, EnvironmentFile=.*options\*"
    ):
        machine.plan({"debug": True})


def test_other_files_may_be_read_by_a_pattern(machine: Machine) -> None:
    (machine.root / "proxy.env").write_text("HTTP_PROXY=http://proxy.example.com\n", encoding="ascii")
    drop_in = machine.own.parent / "aaa.conf"
    drop_in.write_text(f"[Service]\nEnvironmentFile=-{machine.root}/*.env\n", encoding="ascii")
    assert changed(machine.plan({"debug": True})) == ["options"]
    drop_in.write_text(f"[Service]\nEnvironmentFile={machine.root}/*.none\n", encoding="ascii")
    with pytest.raises(DaemonError, match=r"\*.none: docker.service demands this"):
        machine.plan({"debug": True})


def test_options_in_the_unit_itself_move_to_the_file(machine: Machine) -> None:
    text = machine.unit.read_text(encoding="ascii")
    machine.unit.write_text(
        text.replace("[Service]\n", "[Service]\nEnvironment=DOCKER_OPTS=--icc=false\n"), encoding="ascii"
    )
    assert machine.plan({"debug": True}).words == ("--icc=false", "--debug")


@pytest.mark.parametrize(
    ("unit_words", "options", "configuration", "words"),
    [
        ("-H fd:// $DOCKER_OPTS", {"host": ["tcp://1.1.1.1:2"]}, {}, ["--host=tcp://1.1.1.1:2"]),
        ("$DOCKER_OPTS", {"host": ["tcp://1.1.1.1:2"]}, {}, [SOCKET, "--host=tcp://1.1.1.1:2"]),
        (
            "$DOCKER_OPTS",
            {"host": ["tcp://1.1.1.1:2", "unix:///x"]},
            {},
            ["--host=tcp://1.1.1.1:2", "--host=unix:///x"],
        ),
        ("$DOCKER_OPTS", {"debug": True}, {}, ["--debug"]),
        ("$DOCKER_OPTS", {"tls": False}, {}, [SOCKET, "--tls=false"]),
        ("$DOCKER_OPTS", {"debug": True}, {"hosts": ["tcp://1.1.1.1:2"]}, ["--debug"]),
    ],
)
def test_the_local_socket_stays(
    machine: Machine, unit_words: str, options: dict[str, Any], configuration: dict[str, Any], words: list[str]
) -> None:
    machine.set_unit(unit_words, file=True)
    machine.json.write_text(json.dumps(configuration), encoding="ascii")
    assert list(machine.plan(options).words) == words


@pytest.mark.parametrize(
    ("unit_words", "sockets"),
    [
        ("", ("/var/run/docker.sock",)),
        ("-H unix://", ("/var/run/docker.sock",)),
        ("-H unix:///a -H unix:///b -H tcp://1.1.1.1:2", ("/a", "/b")),
        ("-H fd://", ("/run/docker.sock", "/run/other.sock")),
        ("-H fd:// -H unix:///a", ("/a", "/run/docker.sock", "/run/other.sock")),
    ],
)
def test_the_local_sockets_are_known(machine: Machine, unit_words: str, sockets: tuple[str, ...]) -> None:
    machine.set_unit(unit_words, file=True)
    found = with_activation_sockets(machine.plan({}), ("/run/docker.sock", "/run/other.sock"))
    assert found.before.local_sockets == found.after.local_sockets == sockets


@pytest.mark.parametrize("socket", ["unix:///x", "fd://"])
def test_local_sockets_that_are_moved_out_of_the_file_stay(machine: Machine, socket: str) -> None:
    """A daemon that opened systemd's own socket would take it away from systemd."""
    machine.set_unit("$DOCKER_OPTS", file=True)
    machine.json.write_text(f'{{"hosts": ["{socket}", "tcp://1.1.1.1:2"], "debug": true}}', encoding="ascii")
    found = machine.plan({"host": ["tcp://2.2.2.2:2"]}, on_conflict="move")
    assert found.words == (f"--host={socket}", "--host=tcp://2.2.2.2:2")
    assert changed(found) == ["daemon.json.before-remote-api.1", "daemon.json", "options"]
    assert json.loads(found.changes[1].after or b"") == {"debug": True}
    assert found.changes[0].after == machine.json.read_bytes()


def test_all_conflicts_are_named_with_both_values(machine: Machine) -> None:
    machine.json.write_text('{"dns": ["1.1.1.1"], "labels": ["a=b"], "mtu": 9}', encoding="ascii")
    with pytest.raises(DaemonError) as caught:
        machine.plan({"dns": ["8.8.8.8"], "label": ["a=b"]})
    assert caught.value.cause.endswith(
        'dns (on the command line: 8.8.8.8; in the file: ["1.1.1.1"]); '
        'labels (on the command line: a=b; in the file: ["a=b"])'
    )


def test_listening_and_tls_in_daemon_json_are_seen(machine: Machine) -> None:
    machine.set_unit("", file=True)
    files = {name: str(machine.root / name) for name in ("tlscacert", "tlscert", "tlskey")}
    machine.json.write_text(
        json.dumps({"hosts": ["tcp://1.1.1.1:2376", "unix:///x"], "tlsverify": True, **files}), encoding="ascii"
    )
    found = machine.plan({})
    assert [address.port for address in found.after.listen] == [2376]
    assert found.after.local_sockets == ("/x",)
    assert found.after.uses_tls
    assert found.tls is not None
    assert found.tls.ca == files["tlscacert"]


@pytest.mark.parametrize(
    ("configuration", "wanted", "after"),
    [
        (None, True, {"live-restore": True}),
        ({"debug": True}, True, {"debug": True, "live-restore": True}),
        ({"live-restore": True}, True, None),
        ({"live-restore": True}, False, {"live-restore": False}),
        ({}, False, None),
        ({}, None, None),
    ],
)
def test_live_restore_is_kept_in_daemon_json(
    machine: Machine, configuration: dict[str, Any] | None, wanted: bool | None, after: dict[str, Any] | None
) -> None:
    if configuration is not None:
        machine.json.write_text(json.dumps(configuration), encoding="ascii")
    found = machine.plan({}, running="-H fd://", live_restore=wanted)
    assert [json.loads(change.after or b"") for change in found.changes] == ([] if after is None else [after])
    assert found.restart_reasons == ()


def test_live_restore_against_the_command_line_is_refused(machine: Machine) -> None:
    machine.options.write_text('DOCKER_OPTS="--live-restore"\n', encoding="ascii")
    assert machine.plan({}, live_restore=True).changes == ()
    with pytest.raises(
        DaemonError, match="the option live-restore there is on, and live_restore asks for the opposite"
    ):
        machine.plan({}, live_restore=False)


def test_plain_tcp_beyond_loopback_is_refused(machine: Machine) -> None:
    machine.set_unit("$DOCKER_OPTS", file=True)
    with pytest.raises(DaemonError, match=r"the daemon would listen on tcp://1\.1\.1\.1:2 without tlsverify"):
        machine.plan({"host": ["tcp://127.0.0.1:1", "tcp://1.1.1.1:2"]}, allow_insecure=False)
    assert machine.plan({"host": ["tcp://127.0.0.1:1", "tcp://[::1]:2"]}, allow_insecure=False).changes


@pytest.mark.parametrize("place", ["options", "unit", "drop-in", "daemon.json"])
def test_an_open_address_that_is_there_already_is_never_left(machine: Machine, place: str) -> None:
    """Whether something is due or not, and whatever the daemon runs with."""
    address = "tcp://0.0.0.0:2375"
    if place == "options":
        machine.options.write_text(f'DOCKER_OPTS="-H {address}"\n', encoding="ascii")
    elif place == "daemon.json":
        machine.set_unit("$DOCKER_OPTS", file=True)
        machine.json.write_text(json.dumps({"hosts": ["unix:///x", address]}), encoding="ascii")
    else:
        command = f"ExecStart=/usr/bin/dockerd -H fd:// -H {address} $DOCKER_OPTS"
        machine.set_unit(command.partition("dockerd ")[2], file=True)
        if place == "drop-in":
            machine.set_unit("-H fd:// $DOCKER_OPTS", file=True)
            (machine.own.parent / "own.conf").write_text(f"[Service]\nExecStart=\n{command}\n", encoding="ascii")
    found = machine.plan({}, allow_insecure=True)
    running = " ".join(found.argv[1:])
    for options in ({}, {"dns": ["8.8.8.8"]}):
        with pytest.raises(DaemonError, match=r"would listen on tcp://0\.0\.0\.0:2375 without tlsverify"):
            machine.plan(options, running=running, allow_insecure=False)


def test_one_in_the_option_that_is_set_is_taken_out(machine: Machine) -> None:
    machine.options.write_text('DOCKER_OPTS="-H tcp://0.0.0.0:2375 --debug"\n', encoding="ascii")
    found = machine.plan({"host": ["tcp://127.0.0.1:2375"], "tls": False}, allow_insecure=False)
    assert found.words == ("--host=tcp://127.0.0.1:2375", "--debug", "--tls=false")


def test_one_that_dockerd_had_to_complete_is_replaced_too(machine: Machine) -> None:
    tls = {"tlsverify": True, **{name: str(machine.root / name) for name in ("tlscacert", "tlscert", "tlskey")}}
    words = " ".join(["--tlsverify", *(f"--{name}={tls[name]}" for name in list(tls)[1:])])
    machine.options.write_text(f'DOCKER_OPTS="-H tcp://:2375 {words}"\n', encoding="ascii")
    found = machine.plan({"host": ["tcp://127.0.0.1:2376"], **tls}, running=f"-H fd:// -H tcp://:2375 {words}")
    assert found.words[0] == "--host=tcp://127.0.0.1:2376"
    assert [address.is_loopback for address in found.before.listen] == [True]


def test_an_option_of_the_unit_that_comes_last_and_wins_is_refused(machine: Machine) -> None:
    machine.set_unit("$DOCKER_OPTS --log-level=warn", file=True)
    with pytest.raises(DaemonError, match=r"ExecStart= gives --log-level=warn after \$DOCKER_OPTS"):
        machine.plan({"log-level": "debug"})
    machine.set_unit("--log-level=warn $DOCKER_OPTS", file=True)
    assert machine.plan({"log-level": "debug"}).words == ("--log-level=debug",)


def test_diffs_show_the_options_and_no_other_line(machine: Machine) -> None:
    machine.options.write_text('PASSWORD=secret\nDOCKER_OPTS="--icc=false"\n', encoding="ascii")
    (change,) = machine.plan({"debug": True}).changes
    assert change.shown == ('DOCKER_OPTS="--icc=false"\n', 'DOCKER_OPTS="--icc=false --debug"\n')


def unread(machine: Machine, words: str) -> None:
    """Leave options in a file that the unit does not read, as with the packages of Docker Inc."""
    machine.set_unit("-H fd://")
    machine.options.write_text(f'# kept\nDOCKER_OPTS="{words}"\nHTTP_PROXY=http://secret@old\n', encoding="ascii")


def test_options_that_the_unit_never_read_are_shown_and_refused(machine: Machine) -> None:
    unread(machine, "-D --data-root=/mnt/old --dns 1.1.1.1 --label=a=b")
    with pytest.raises(DaemonError, match="never read") as caught:
        machine.plan({"dns": ["1.1.1.1", "8.8.8.8"], "debug": True}, remove=("label",))
    assert f"{machine.options}, DOCKER_OPTS: " in str(caught.value)
    assert "--data-root=/mnt/old" in str(caught.value)
    for decided in ("-D", "--dns", "label", "secret"):
        assert decided not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        ("--debug=true -H unix:///var/run/docker.sock", {"options": {"debug": True}}),
        ("--icc=false", {"exclusive": True}),
        ("--icc=false", {"remove": ("icc",)}),
        ("", {"options": {"debug": True}}),
    ],
)
def test_what_is_requested_anyway_needs_no_decision(machine: Machine, words: str, request_: dict[str, Any]) -> None:
    unread(machine, words)
    machine.set_unit("")
    assert machine.plan(**request_).before.options == ()


def test_unread_options_are_adopted(machine: Machine) -> None:
    unread(machine, "-D --dns 1.1.1.1")
    found = machine.plan({"dns": ["8.8.8.8"]}, on_unread_options="adopt")
    assert (found.words, found.argv[3:]) == (("-D", "--dns=8.8.8.8"), ("-D", "--dns=8.8.8.8"))
    assert [option.name for option in found.before.options] == ["host"], "they count from now on"
    (warning,) = found.warnings
    assert warning.startswith(f"{machine.options} also sets HTTP_PROXY, ")
    machine.own.write_bytes(found.changes[1].after or b"")
    machine.options.write_bytes(found.changes[0].after or b"")
    again = machine.plan({"dns": ["8.8.8.8"]}, running="-H fd:// -D --dns=8.8.8.8")
    assert (again.changes, again.restart_reasons) == ((), ())


def test_unread_options_are_discarded_with_a_backup_that_root_alone_reads(machine: Machine) -> None:
    unread(machine, "-D --data-root=/mnt/old")
    before = machine.options.read_bytes()
    found = machine.plan({"dns": ["8.8.8.8"]}, on_unread_options="discard")
    assert changed(found) == ["options.before-remote-api.1", "options", "zz-docker-remote-api.conf"]
    backup, options, _drop_in = found.changes
    assert (backup.after, backup.mode, found.words) == (before, 0o600, ("--dns=8.8.8.8",))
    assert options.after == b'# kept\nDOCKER_OPTS="--dns=8.8.8.8"\nHTTP_PROXY=http://secret@old\n'
    assert options.shown == ('DOCKER_OPTS="-D --data-root=/mnt/old"\n', 'DOCKER_OPTS="--dns=8.8.8.8"\n')


def test_options_in_a_unit_of_ones_own_are_no_leftovers(machine: Machine) -> None:
    machine.set_unit("-H fd:// $DOCKER_OPTS")
    with machine.unit.open("a", encoding="ascii") as stream:
        stream.write("Environment=DOCKER_OPTS=--debug\n")
    assert machine.plan({"dns": ["8.8.8.8"]}).words == ("--debug", "--dns=8.8.8.8")


@pytest.mark.parametrize(
    ("words", "configuration", "root"),
    [
        ("", {}, "/var/lib/docker"),
        ("--data-root=/nowhere/a --data-root /nowhere/b/", {}, "/nowhere/b"),
        ("", {"data-root": "/nowhere/c"}, "/nowhere/c"),
        ("-g nowhere/d", {}, "/nowhere/d"),
        ("", {"graph": "/nowhere/e"}, "/nowhere/e"),
        ("--userns-remap=default", {"data-root": "/nowhere/f"}, "/nowhere/f/*"),
    ],
)
def test_the_directory_of_the_data_is_known(
    machine: Machine, words: str, configuration: dict[str, str], root: str
) -> None:
    machine.options.write_text(f'DOCKER_OPTS="{words}"\n', encoding="ascii")
    machine.json.write_text(json.dumps(configuration), encoding="ascii")
    found = machine.plan({"debug": True})
    assert (found.before.data_root, found.after.data_root, found.moves_data) == (root, root, False)
    assert machine.plan({"data-root": "/x"}, on_conflict="move").moves_data
