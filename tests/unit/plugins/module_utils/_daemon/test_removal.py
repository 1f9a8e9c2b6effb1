# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of a host when the Remote API is taken away, by what it was like before and what is in the way."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.errors import DaemonError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import Plan
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import Change, read_state
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._daemon.machine import Machine, planned

NAMES = ("ca.pem", "server-cert.pem", "server-key.pem")
KEY = b"-----BEGIN PRIVATE KEY-----\n"
OPEN = "tcp://0.0.0.0:2376"


class Tls:
    """The TLS files in a directory of the machine: those of somebody else, and then ours at the same paths."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.paths = [folder / name for name in NAMES]
        folder.mkdir()

    def by_hand(self) -> None:
        """Put files there that were made by hand."""
        for path in self.paths:
            path.write_bytes(KEY if "key" in path.name else b"by hand\n")

    @property
    def ours(self) -> dict[pathlib.Path, bytes]:
        """Our files."""
        return {path: KEY + b"ours\n" if "key" in path.name else b"ours\n" for path in self.paths}

    @property
    def words(self) -> str:
        """The options for the files."""
        return "--tlsverify --tlscacert={} --tlscert={} --tlskey={}".format(*self.paths)

    def options(self, listen: str = OPEN) -> dict[str, Any]:
        """Return what is asked for to serve with the files."""
        files = zip(("tlscacert", "tlscert", "tlskey"), map(str, self.paths), strict=True)
        return {"host": [listen], "tlsverify": True, **dict(files)}


@pytest.fixture
def tls(machine: Machine) -> Tls:
    return Tls(machine.root / "tls")


def away(machine: Machine, tls: Tls, **request: Any) -> Plan:
    """Set the host up, take it away again, and return the plan of that."""
    machine.set_up(tls.options(), tls.ours, on_conflict="move", **request)
    found = machine.removal(tls.options())
    machine.carry_out(found)
    return found


def test_a_host_that_had_nothing_has_nothing_afterwards(machine: Machine, tls: Tls) -> None:
    found = away(machine, tls)
    assert not machine.options.exists()
    assert not any(path.exists() for path in tls.paths)
    assert (found.argv[1:], found.warnings) == (("-H", "fd://"), ())
    assert not (machine.root / "record/docker.service.original").exists()
    assert machine.removal(tls.options()).changes == ()


def test_an_edited_unit_is_put_back_and_gives_the_command_again(machine: Machine, tls: Tls) -> None:
    machine.set_unit("-H fd:// --icc=false")
    before = machine.unit.read_bytes()
    found = away(machine, tls, unit_wiring="edit")
    assert machine.unit.read_bytes() == before
    assert found.command.value == "/usr/bin/dockerd -H fd:// --icc=false"


def test_tls_by_hand_is_not_opened_again_and_the_rest_comes_back(machine: Machine, tls: Tls) -> None:
    """Its private key has made way for ours and is gone; of what was set besides, nothing is lost."""
    tls.by_hand()
    machine.options.write_text(
        f'# by hand\nDOCKER_OPTS="-H {OPEN} {tls.words} --dns 1.1.1.1 -H unix:///x"\nFOO=bar\n', encoding="ascii"
    )
    machine.set_up({**tls.options(), "dns": ["8.8.8.8"]}, tls.ours)
    found = machine.removal(tls.options())
    machine.carry_out(found)
    kept = '# by hand\nDOCKER_OPTS="--dns 1.1.1.1 -H unix:///x"\nFOO=bar\n'
    assert machine.options.read_text(encoding="ascii") == kept
    assert (found.after.listen, found.after.uses_tls, found.warnings) == ((), False, ())
    assert [path.exists() for path in tls.paths] == [True, True, False]


def test_a_key_of_somebody_else_that_was_kept_stays(machine: Machine, tls: Tls) -> None:
    """Its CA was adopted, so that nothing but its mode was to be changed."""
    tls.by_hand()
    key = tls.paths[2]
    key.chmod(0o604)
    change = Change(str(key), read_state(str(key)), key.read_bytes(), mode=0o400)
    machine.carry_out(planned(machine.asked(tls.options()), None, (change,)), recorded=True)
    assert (key.read_bytes(), key.stat().st_mode & 0o777) == (KEY, 0o400)
    machine.carry_out(machine.removal(tls.options()))
    assert key.read_bytes() == KEY


def test_the_one_that_replaced_it_later_goes(machine: Machine, tls: Tls) -> None:
    tls.by_hand()
    key = tls.paths[2]
    for content in (KEY, KEY + b"ours\n"):
        change = Change(str(key), read_state(str(key)), content, mode=0o400)
        machine.carry_out(planned(machine.asked(tls.options()), None, (change,)), recorded=True)
    machine.carry_out(machine.removal(tls.options()))
    assert not key.exists()


@pytest.mark.parametrize("listen", ["tcp://0.0.0.0:2376", "tcp://127.0.0.1:2375"])
def test_nor_is_one_that_daemon_json_and_the_options_open_together(machine: Machine, tls: Tls, listen: str) -> None:
    machine.options.write_text(f'DOCKER_OPTS="-H {listen}"\n', encoding="ascii")
    settings = {"tlsverify": True, "tlskey": str(tls.paths[2]), "hosts-of-others": 1, "debug": True}
    machine.json.write_text(json.dumps(settings), encoding="ascii")
    found = away(machine, tls)
    assert json.loads(machine.json.read_text(encoding="ascii")) == {"hosts-of-others": 1, "debug": True}
    assert (found.after.listen, found.after.uses_tls) == ((), False)


@pytest.mark.parametrize("socket", ["unix:///x", "fd://"])
def test_a_local_socket_in_daemon_json_comes_back_without_the_address_beside_it(
    machine: Machine, tls: Tls, socket: str
) -> None:
    machine.set_unit("$DOCKER_OPTS", file=True)
    machine.json.write_text(json.dumps({"hosts": [OPEN, socket], "tlsverify": True}), encoding="ascii")
    found = away(machine, tls)
    assert json.loads(machine.json.read_text(encoding="ascii")) == {"hosts": [socket]}
    assert (found.after.local_sockets, found.after.socket_activated) == (
        (("/x",), False) if socket == "unix:///x" else ((), True)
    )


@pytest.mark.parametrize("listen", ["tcp://:2375", "tcp://0.0.0.0", ":2375"])
@pytest.mark.parametrize("place", ["options", "daemon.json"])
def test_an_address_that_dockerd_had_to_complete_is_no_obstacle(
    machine: Machine, tls: Tls, listen: str, place: str
) -> None:
    if place == "options":
        machine.options.write_text(f'DOCKER_OPTS="-H {listen} --icc=false"\n', encoding="ascii")
    else:
        machine.set_unit("$DOCKER_OPTS", file=True)
        machine.json.write_text(json.dumps({"hosts": ["unix:///x", listen], "icc": False}), encoding="ascii")
    found = away(machine, tls)
    assert (found.after.listen, found.after.uses_tls) == ((), False)
    assert "icc" in (machine.options if place == "options" else machine.json).read_text(encoding="ascii")


def test_a_file_that_opened_nothing_is_the_same_byte_for_byte(machine: Machine, tls: Tls) -> None:
    before = b'{"tlsverify":  false ,"debug": true}'
    machine.json.write_bytes(before)
    machine.options.write_text("DOCKER_OPTS='--icc=false'\n", encoding="ascii")
    away(machine, tls)
    assert machine.json.read_bytes() == before
    assert machine.options.read_text(encoding="ascii") == "DOCKER_OPTS='--icc=false'\n"


BACKED_UP = b'{"dns": ["1.1.1.1"], "debug": true}'


@pytest.mark.parametrize("edited", [True, False])
def test_a_backup_stays_until_what_is_in_it_is_back(machine: Machine, tls: Tls, edited: bool) -> None:
    """The request that took dns out of the file may not name it any more; nor is a file that was edited put back."""
    machine.json.write_bytes(BACKED_UP)
    machine.set_up({**tls.options(), "dns": ["8.8.8.8"]}, tls.ours, on_conflict="move")
    if edited:
        machine.json.write_text('{"debug": true, "mtu": 1400}', encoding="ascii")
    machine.carry_out(machine.removal(tls.options()))
    backup = machine.root / "daemon.json.before-remote-api.1"
    if edited:
        assert (backup.read_bytes(), json.loads(machine.json.read_bytes())) == (BACKED_UP, {"debug": True, "mtu": 1400})
    else:
        assert (backup.exists(), machine.json.read_bytes()) == (False, BACKED_UP)


def test_so_does_that_of_options_that_were_discarded(machine: Machine, tls: Tls) -> None:
    machine.set_unit("")
    before = b'DOCKER_OPTS="-D --data-root=/mnt/old"\n'
    machine.options.write_bytes(before)
    machine.set_up(tls.options(), tls.ours, on_unread_options="discard")
    with machine.options.open("ab") as stream:
        stream.write(b"# a note\n")
    machine.carry_out(machine.removal(tls.options()))
    assert (machine.root / "options.before-remote-api.1").read_bytes() == before


def test_an_address_of_the_unit_that_tls_kept_closed_is_not_opened(machine: Machine, tls: Tls) -> None:
    """It was open to everybody before, and is locked as long as the daemon has our tlsverify."""
    machine.set_unit("-H fd:// -H tcp://0.0.0.0:2375 $DOCKER_OPTS", file=True)
    machine.set_up(tls.options(), tls.ours)
    with pytest.raises(DaemonError, match=r"would listen on tcp://0\.0\.0\.0:2375 and let everybody in") as caught:
        machine.removal(tls.options())
    assert all(str(path) in caught.value.remedy for path in (machine.unit, machine.options, machine.json))
    (warning,) = machine.removal(tls.options(), allow_insecure=True).warnings
    assert warning.startswith("The daemon still listens on tcp://0.0.0.0:2375, which this collection did not set")


def test_nor_is_one_that_somebody_added_to_our_options(machine: Machine, tls: Tls) -> None:
    machine.set_up(tls.options(), tls.ours)
    text = machine.options.read_text(encoding="ascii")
    machine.options.write_text(text.replace("--tlsverify", "--tlsverify -H tcp://10.0.0.5:2377"), encoding="ascii")
    with pytest.raises(DaemonError, match=r"would listen on tcp://10\.0\.0\.5:2377 and let everybody in"):
        machine.removal(tls.options())


def test_all_that_was_set_goes_whatever_address_the_request_names(machine: Machine, tls: Tls) -> None:
    """The variable with the address may be gone from the inventory by then, and with it what closes the address."""
    machine.options.write_text('DOCKER_OPTS="-H tcp://0.0.0.0:2375"\n', encoding="ascii")
    machine.set_up(tls.options("tcp://10.0.0.5:2376"), tls.ours)
    found = machine.removal(tls.options())
    assert (found.after.listen, found.words) == ((), ())


def test_tls_of_somebody_else_that_stays_is_told(machine: Machine, tls: Tls) -> None:
    machine.set_unit("-H fd:// --tlscacert=/srv/ca.pem $DOCKER_OPTS", file=True)
    (warning,) = away(machine, tls).warnings
    assert "The daemon still gets --tlscacert=/srv/ca.pem, of which nothing is needed" in warning


def test_tls_of_somebody_else_whose_files_the_environment_leads_to_is_no_obstacle(machine: Machine, tls: Tls) -> None:
    """As on RHEL, where /etc/sysconfig/docker sets DOCKER_CERT_PATH."""
    theirs = machine.root / "theirs"
    theirs.mkdir()
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (theirs / name).write_bytes(b"by hand\n")
    machine.set_unit("-H fd:// --tlsverify $DOCKER_OPTS", file=True)
    unit = machine.unit.read_text(encoding="ascii")
    machine.unit.write_text(f"{unit}Environment=DOCKER_CERT_PATH={theirs}\n", encoding="ascii")
    assert away(machine, tls).argv[1:] == ("-H", "fd://", "--tlsverify")


def test_tls_of_somebody_else_that_needs_our_files_keeps_them_or_is_refused(machine: Machine, tls: Tls) -> None:
    """Without its key the daemon would not start, and the key that was there before is gone."""
    tls.by_hand()
    machine.set_unit(f"-H fd:// {tls.words} $DOCKER_OPTS", file=True)
    machine.set_up(tls.options(), tls.ours)
    with pytest.raises(DaemonError, match=f"would still get --tlsverify .*not start without {tls.paths[2]}") as caught:
        machine.removal(tls.options())
    assert str(machine.unit) in caught.value.remedy
    found = machine.removal(tls.options(), keep=tuple(map(str, tls.paths)))
    machine.carry_out(found)
    assert {path: path.read_bytes() for path in tls.paths} == tls.ours
    assert found.warnings[0].startswith("The daemon still gets --tlsverify --tlscacert=")
