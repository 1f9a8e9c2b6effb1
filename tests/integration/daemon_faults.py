# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of faults: one row each, with what the message has to say. test_daemon_faults.py runs them."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OPTIONS = "/etc/default/docker"
JSON = "/etc/docker/daemon.json"
RECORD = "/var/lib/docker-remote-api/docker.service.original"
OWN = "/etc/systemd/system/docker.service.d/zz-docker-remote-api.conf"
ENGINES = {"bullseye": "20.10", "bookworm": "20.10", "trixie": "26.1", "forky": "28.5"}
# Debian 11 and 12 have one version of the engine, so most rows leave out the former.
MOST = ("bookworm", "trixie", "forky")
# Rows about certificates meet each engine once, and each way of packaging. The other rows meet all pairs of these.
CERTIFICATE_VARIANTS = {"bullseye": "docker-io", "bookworm": "docker-io", "trixie": "docker-ce", "forky": "docker-io"}

REFUSED = "refused"  # nothing is changed
UNDONE = "rolled back"  # something was changed and everything was put back
DONE = "done"  # no fault for us: it works all the same
KILLED = "killed"  # with all that it had started, as when the power is lost
RESCUED = "rescued"  # killed alone: what it had started sees to the end
DOWN = "not rolled back"
STOPPED = "stays stopped"  # all is written, and the daemon that was stopped on purpose is not started


@dataclass(frozen=True)
class Row:
    """A fault, and what is to come of it.

    fault and undo are shell scripts, files are written before and restored after the faulty run. says is a regular
    expression for the message. options are set besides the usual ones, request are more arguments. fresh rows begin on
    a host that was never touched. same_label rows begin with the options that they ask for.

    tls is what the row begins with: TLS files "by hand", of another CA, or "ours", issued before. certificate rows run
    the core behind remote_api with these arguments for certificate_on_host.configure(). between is a script that runs
    when the certificate was requested. restarted is whether the run must have restarted the daemon (None: it may);
    keeps are files that a successful run must not have touched.

    absent rows take away what a run of remote_api has set up before on a fresh host.
    """

    name: str
    outcome: str
    says: str = ""
    fault: str = ""
    undo: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    restore: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    mode: Mapping[str, Any] = field(default_factory=dict)
    good_request: Mapping[str, Any] = field(default_factory=dict)
    fresh: bool = False
    variants: tuple[str, ...] = ("docker-io", "docker-ce")
    suites: tuple[str, ...] = MOST
    signal_at: int | str | None = None
    signal: int = signal.SIGKILL
    runs: int = 1
    same_label: bool = False
    tls: str = ""
    certificate: Mapping[str, Any] | None = None
    between: str = ""
    search: bool = False
    restarted: bool | None = None
    keeps: tuple[str, ...] = ()
    absent: bool = False

    def runs_on(self, suite: str, variant: str) -> bool:
        """Return whether the row is for a host of this suite and variant."""
        meant = self.certificate is None or CERTIFICATE_VARIANTS[suite] == variant
        return meant and suite in self.suites and variant in self.variants


def _options_file(name: str, content: str, says: str, line: int = 1) -> Row:
    """Return a row for an options file that is refused with file and line."""
    return Row(name, REFUSED, rf"/etc/default/docker:{line}: .*{says}", files={OPTIONS: content})


def _read(name: str, content: str) -> Row:
    """Return a row for an options file that systemd reads plainly, whatever a shell would read from it."""
    return Row(name, DONE, files={OPTIONS: content})


OPTIONS_FILE = [
    _options_file("export", 'export DOCKER_OPTS="--label=x=y"\n', "'export' is a shell construct"),
    _options_file("unset", 'DOCKER_OPTS="--debug"\nunset DOCKER_OPTS\n', "'unset' is a shell construct", 2),
    _options_file("appends", 'DOCKER_OPTS="--debug"\nDOCKER_OPTS+=" --icc"\n', r"'\+=' is a shell construct", 2),
    _options_file("two-commands-on-a-line", 'A=1; DOCKER_OPTS="--debug"\n', "an assignment inside a command"),
    _options_file("refers-to-itself", 'DOCKER_OPTS="--debug"\nDOCKER_OPTS="$DOCKER_OPTS --icc"\n', "an expansion", 2),
    _options_file("variable", 'C=/etc/docker\nDOCKER_OPTS="--tlscacert=$C/ca.pem"\n', "an expansion", 2),
    _options_file("inline-comment", 'DOCKER_OPTS="--label=x=y" # note\n', "a comment after the value"),
    _options_file("operator", "DOCKER_OPTS=--debug; A=1\n", "an operator"),
    _options_file("blank-between-quotes", 'DOCKER_OPTS="--debug" "--icc"\n', "a word after the value"),
    _options_file("quotes-in-quotes", "DOCKER_OPTS=\"--label='a b'\"\n", "a quote"),
    _options_file("backslash", 'DOCKER_OPTS="--label=a\\b"\n', "a backslash"),
    _options_file("comment-goes-on", '# c \\\nDOCKER_OPTS="--debug"\n', "comment ends in a backslash"),
    _options_file("open-quote", 'DOCKER_OPTS="--debug\nFOO=x\n', "not closed"),
    _options_file("open-quote-at-the-end", "FOO='x\n", "not closed"),
    _options_file("open-quote-before", 'FOO="x\nDOCKER_OPTS="--debug"\n', "belongs to the value of FOO", 2),
    _options_file("byte-order-mark", '\ufeffDOCKER_OPTS="--debug"\n', "byte order mark"),
    _options_file("not-utf8", 'FOO=\udcff\nDOCKER_OPTS="--debug"\n', "not UTF-8"),
    Row("stray-word", REFUSED, "DOCKER_OPTS: the word 'debug' is no option", files={OPTIONS: 'DOCKER_OPTS="debug"\n'}),
    Row("option-without-value", REFUSED, "'--dns' lacks its value", files={OPTIONS: 'DOCKER_OPTS="--dns"\n'}),
    _read("dos-line-ends", '# options\r\nDOCKER_OPTS="--debug \r\n--icc=false"\r\nFOO=x\r\n'),
    _read("last-line-goes-on", "FOO=x \\"),
    _read(
        "shell-around-it",
        'export http_proxy=http://127.0.0.1:9/\nulimit -n 1024 && true\nFOO=$(date\nif [ -z "$DOCKER_OPTS" ]; then\n'
        "DOCKER_OPTS = --debug \\\n --log-opt=tag=sd*\nfi\nexport DOCKER_OPTS\nexit 0\n",
    ),
    _read(
        "several-quoted-parts",
        "; it's\nFOO='a b'\nDOCKER_OPTS='--debug'\nDOCKER_OPTS=\"-D \\\n --icc=false\"\" -l=warn\"\n",
    ),
]


def _json(name: str, content: str, says: str, **rest: Any) -> Row:
    """Return a row for a daemon.json that is refused."""
    return Row(name, REFUSED, rf"^(/etc/docker/daemon.json|/usr/s?bin/dockerd).*{says}", files={JSON: content}, **rest)


DAEMON_JSON = [
    _json("hosts", '{"hosts": ["tcp://0.0.0.0:2376"]}', "hosts .on the command line: fd://, .*tcp://0.0.0.0:2376"),
    _json("tlsverify", '{"tlsverify": true}', "tlsverify .on the command line: true; in the file: true"),
    _json("tlscacert", '{"tlscacert": "/etc/docker/ca.pem"}', "tlscacert .on the command line: /etc/docker/ca.pem"),
    _json("dns", '{"dns": ["8.8.8.8"]}', "dns .on the command line: 8.8.8.8", options={"dns": ["8.8.8.8"]}),
    _json("live-restore", '{"live-restore": true}', "live-restore", options={"live-restore": True}),
    _json("labels", '{"labels": ["a=b"]}', "labels .on the command line: row="),
    _json(
        "several",
        '{"dns": ["1.1.1.1"], "tlsverify": true, "labels": []}',
        "tlsverify .*labels .*dns .on the command line: 8.8.8.8; in the file: ..1.1.1.1",
        options={"dns": ["8.8.8.8"]},
    ),
    _json("unknown-key", '{"foo": 1}', "foo", options={"debug": True}),
    _json("flag-as-key", '{"H": ["fd://"]}', "H", options={"debug": True}),
    _json("trailing-comma", '{"debug": true,}', "cannot read it as JSON"),
    _json("list", "[]", "something other than an object"),
    _json("not-json", "debug = true\n", ":1: dockerd cannot read it as JSON"),
    Row(
        "json-directory",
        REFUSED,
        f"{JSON}: it cannot be read",
        "mkdir -p /root/faults/json; mv /etc/docker/daemon.json /root/faults/json/ || :; mkdir /etc/docker/daemon.json",
        "rmdir /etc/docker/daemon.json; mv /root/faults/json/daemon.json /etc/docker/ 2>/dev/null || true",
    ),
    Row("config-file-missing", REFUSED, "/etc/docker/none.json", options={"config-file": "/etc/docker/none.json"}),
    Row("other-key", DONE, files={JSON: '{"host": ["fd://"], "tls": true}'}),
    Row("empty", DONE, files={JSON: "\n"}, suites=("trixie", "forky")),
    Row(
        "empty-for-an-old-engine",
        REFUSED,
        "dockerd: the engine refuses .*EOF",
        files={JSON: "\n"},
        options={"icc": True},
        suites=("bookworm",),
    ),
    Row("json-byte-order-mark", DONE, files={JSON: "\ufeff{}\n"}, suites=("trixie", "forky")),
    Row(
        "json-hosts-moved",
        DONE,
        files={JSON: '{"hosts": ["tcp://0.0.0.0:2376"], "debug": true, "debug": true}'},
        request={"on_conflict": "move"},
    ),
    Row("unknown-flag", REFUSED, "options, nope: the engine .* knows no such option", options={"nope": True}),
    Row("misspelt-flag", REFUSED, "Did you mean tlsverify", options={"tlsverfy": True}),
    Row("dns-is-no-address", REFUSED, "options, dns: 'notanip' is not an IP address", options={"dns": ["notanip"]}),
    Row("flag-value-refused", REFUSED, "dockerd: the engine refuses.*mtu", options={"mtu": "much"}),
]


def _tls(name: str, says: str, fault: str = "", undo: str = "", **files: str) -> Row:
    """Return a row for TLS files that are refused: paths under /root/faults/pki, by option."""
    return Row(
        name, REFUSED, says, fault, undo, options={key: f"/root/faults/pki/{file}" for key, file in files.items()}
    )


CERTIFICATES = [
    _tls("wrong-key", "other-key.pem does not belong to it", tlskey="other-key.pem"),
    _tls("other-ca", "a client that trusts .*other-ca.pem refuses it", tlscacert="other-ca.pem"),
    _tls("expired", "refuses it: certificate has expired", tlscert="expired.pem"),
    _tls("not-yet-valid", "refuses it: certificate is not yet valid", tlscert="future.pem"),
    _tls("client-auth-only", "refuses it: .*(unsuitable|unsupported).*purpose", tlscert="client.pem"),
    _tls("no-names", "no subjectAltName", tlscert="no-names.pem"),
    _tls("truncated", "cannot be loaded", tlscert="truncated.pem"),
    _tls("empty-certificate", "cannot be loaded", tlscert="empty.pem"),
    _tls("empty-ca", "0 PEM blocks", tlscacert="empty.pem"),
    _tls("certificate-is-directory", "directory: it cannot be read", tlscert="directory"),
    _tls("certificate-missing", "none.pem: .*is not there", tlscert="none.pem"),
    _tls("certificate-unreadable", "loop.pem: it cannot be read .*symbolic links", tlscert="loop.pem"),
    _tls("encrypted-key", "encrypted", tlskey="encrypted-key.pem"),
    _tls("key-is-no-key", "cannot be loaded", tlskey="ca.pem"),
    _tls("broken-bundle", "2 PEM blocks begin in it and 1 of them", tlscacert="broken-bundle.pem"),
    _tls("garbled-bundle", "certificate 2: the certificate cannot be read", tlscacert="garbled-bundle.pem"),
    Row(
        "tls-without-verify",
        REFUSED,
        "'tls' without 'tlsverify'",
        options={"tls": True, "tlsverify": None},
        request={"allow_insecure": True},
        fresh=True,
    ),
    Row(
        "open-to-everybody",
        REFUSED,
        "listen on tcp://0.0.0.0:2376 without tlsverify: .*allow_insecure",
        options={"tlsverify": None},
        fresh=True,
    ),
]

LISTENER = """python3 -c 'import socket, time
s = socket.socket(); s.bind(("0.0.0.0", 2399)); s.listen(); time.sleep(600)' >/dev/null 2>&1 & echo $! >/root/faults/pid
wait_until 'ss -ltn | grep -q :2399'"""

NETWORK = [
    Row(
        "port-taken",
        REFUSED,
        r"tcp://0.0.0.0:2399: python3.*listens there already",
        LISTENER,
        "kill $(cat /root/faults/pid)",
        options={"host": ["tcp://0.0.0.0:2399"]},
    ),
    Row(
        "address-absent",
        REFUSED,
        "tcp://192.0.2.1:2376: the address is not on this host",
        options={"host": ["tcp://192.0.2.1:2376"]},
    ),
    Row(
        "addresses-overlap",
        REFUSED,
        r"tcp://\[::\]:2376: it overlaps with tcp://0.0.0.0:2376",
        options={"host": ["tcp://0.0.0.0:2376", "tcp://[::]:2376"]},
    ),
    Row("name-unknown", REFUSED, "cannot be resolved", options={"host": ["tcp://nowhere.invalid:2376"]}),
    Row("no-port", REFUSED, "Write address and port", options={"host": ["tcp://0.0.0.0"]}),
    Row("other-scheme", REFUSED, "tcp://, unix:// and fd://", options={"host": ["http://0.0.0.0:2376"]}),
    Row("port-out-of-range", REFUSED, "not between 1 and 65535", options={"host": ["tcp://0.0.0.0:99999"]}),
]

# The functions are those of daemon_on_host.py.
DROP_IN = "drop_in {1} '{0}'"
NO_DROP_IN = "no_drop_in {}"
CE = ("docker-ce",)
# The options of mutual TLS, not asked for.
PLAIN = dict.fromkeys(("tlsverify", "tlscacert", "tlscert", "tlskey"))

SYSTEMD = [
    Row(
        "masked-service",
        REFUSED,
        "the unit is masked",
        "systemctl mask docker.service",
        "systemctl unmask docker.service; reload",
    ),
    Row(
        "masked-socket",
        REFUSED,
        "docker.socket: .*masked",
        "systemctl mask docker.socket",
        "systemctl unmask docker.socket; cold_start",
        options={"debug": True},
    ),
    # Masked once and unmasked again, the socket unit counts as active and hands on no socket: any restart fails.
    Row(
        "socket-lost-by-masking",
        UNDONE,
        "no sockets found via socket activation",
        "systemctl mask docker.socket; systemctl unmask docker.socket; reload",
    ),
    Row("no-such-service", REFUSED, "nope.service: systemd knows no such unit", request={"service": "nope.service"}),
    Row(
        "later-drop-in",
        REFUSED,
        "zzz.conf: this drop-in .* is read after",
        DROP_IN.format("ExecStart=\\nExecStart=/usr/sbin/dockerd -H fd://\\n", "zzz"),
        NO_DROP_IN.format("zzz"),
    ),
    Row(
        "earlier-drop-in",
        DONE,
        "",
        DROP_IN.format("ExecStart=\\nExecStart=/usr/sbin/dockerd -H fd:// --icc=true\\n", "aaa"),
        NO_DROP_IN.format("aaa"),
    ),
    Row(
        "address-of-the-unit-overlaps",
        REFUSED,
        "overlaps with tcp://127.0.0.1:2376",
        DROP_IN.format("ExecStart=\\nExecStart=/usr/sbin/dockerd -H fd:// -H tcp://127.0.0.1:2376\\n", "aaa"),
        NO_DROP_IN.format("aaa"),
        suites=("trixie",),
    ),
    Row(
        "option-of-the-unit-comes-last",
        REFUSED,
        r"gives --tlscacert=/root/faults/pki/other-ca.pem after \$DOCKER_OPTS",
        DROP_IN.format(
            "EnvironmentFile=/etc/default/docker\\nExecStart=\\n"
            "ExecStart=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS --tlscacert=/root/faults/pki/other-ca.pem\\n",
            "aaa",
        ),
        NO_DROP_IN.format("aaa"),
        suites=("trixie",),
    ),
    Row(
        "open-in-the-options-file",
        REFUSED,
        "listen on tcp://0.0.0.0:2375 without tlsverify",
        files={OPTIONS: 'DOCKER_OPTS="-H tcp://0.0.0.0:2375"\n'},
        options={**PLAIN, "host": None},
        suites=("trixie",),
    ),
    Row(
        "open-in-the-unit",
        REFUSED,
        "listen on tcp://0.0.0.0:2375 without tlsverify",
        DROP_IN.format("ExecStart=\\nExecStart=/usr/sbin/dockerd -H fd:// -H tcp://0.0.0.0:2375\\n", "aaa"),
        NO_DROP_IN.format("aaa"),
        options={**PLAIN, "host": ["tcp://127.0.0.1:2399"]},
        request={"remove": list(PLAIN)},
        suites=("trixie",),
    ),
    Row(
        "open-in-the-socket-unit",
        REFUSED,
        r"^docker.socket: .*listen on tcp://\[::\]:2375 without tlsverify",
        "mkdir /etc/systemd/system/docker.socket.d\n"
        "printf '[Socket]\\nListenStream=2375\\n' >/etc/systemd/system/docker.socket.d/aaa.conf; reload",
        "rm -r /etc/systemd/system/docker.socket.d; reload",
        options={**PLAIN, "host": ["tcp://127.0.0.1:2399"]},
        request={"remove": list(PLAIN)},
    ),
    Row(
        "held-by-the-socket-unit",
        REFUSED,
        r"^docker.socket: systemd listens on tcp://\[::\]:2398 for the daemon .*could not open tcp://127.0.0.1:2398",
        "mkdir /etc/systemd/system/docker.socket.d\n"
        "printf '[Socket]\\nListenStream=2398\\n' >/etc/systemd/system/docker.socket.d/aaa.conf; reload",
        "rm -r /etc/systemd/system/docker.socket.d; reload",
        options={"host": ["tcp://127.0.0.1:2398"]},
    ),
    Row(
        "two-commands",
        REFUSED,
        "more than one ExecStart=",
        DROP_IN.format("ExecStart=/usr/sbin/dockerd\\n", "aaa"),
        NO_DROP_IN.format("aaa"),
    ),
    Row(
        "command-is-a-script",
        REFUSED,
        "runs /usr/local/bin/start, not dockerd",
        DROP_IN.format("ExecStart=\\nExecStart=/usr/local/bin/start\\n", "aaa"),
        NO_DROP_IN.format("aaa"),
    ),
    Row(
        "program-missing",
        REFUSED,
        "/opt/dockerd: .*is not an executable file",
        DROP_IN.format("ExecStart=\\nExecStart=/opt/dockerd -H fd:// $DOCKER_OPTS\\n", "aaa"),
        NO_DROP_IN.format("aaa"),
    ),
    Row(
        "environment-file-missing",
        REFUSED,
        "/etc/none: .*it is not there",
        DROP_IN.format("EnvironmentFile=/etc/none\\n", "aaa"),
        NO_DROP_IN.format("aaa"),
    ),
    Row(
        "other-file-sets-the-variable",
        REFUSED,
        "/etc/more: it sets DOCKER_OPTS too",
        DROP_IN.format("EnvironmentFile=/etc/more\\n", "zzz"),
        NO_DROP_IN.format("zzz"),
        files={"/etc/more": "DOCKER_OPTS=--debug\n"},
        request={"path": OPTIONS},
    ),
    Row(
        "unit-systemd-refuses",
        REFUSED,
        "systemd would refuse the unit",
        DROP_IN.format("Type=dbus\\n", "aaa"),
        NO_DROP_IN.format("aaa"),
        fresh=True,
        variants=CE,
    ),
    Row("not-wired", REFUSED, "unit_wiring is 'none'", fresh=True, variants=CE, request={"unit_wiring": "none"}),
    Row(
        "start-limit-hit",
        DONE,
        "",
        # The unit's own limit is of a minute, in which a busy machine may not start it often enough.
        DROP_IN.format("\\n[Unit]\\nStartLimitIntervalSec=600\\n", "aaa") + "; hit_start_limit",
        NO_DROP_IN.format("aaa"),
    ),
    Row("stopped", STOPPED, "", "systemctl stop docker.socket docker.service", "cold_start"),
    Row("socket-stopped", DONE, "", "systemctl stop docker.socket docker.service", mode={"restart": "always"}),
    Row("socket-waits", DONE, "", "systemctl stop docker.service", restarted=True),
    # A host that has just booted: the daemon is being started with the right arguments, and needs no second start.
    Row(
        "starting",
        DONE,
        "",
        DROP_IN.format("ExecStartPre=/bin/sleep 3\\n", "aaa") + "; systemctl restart --no-block docker.service",
        NO_DROP_IN.format("aaa"),
        same_label=True,
        restarted=False,
    ),
    Row(
        "failed",
        DONE,
        "it is failed",
        DROP_IN.format("Restart=no\\n", "aaa") + "; systemctl kill -s KILL docker.service; wait_until_failed",
        NO_DROP_IN.format("aaa"),
        restarted=True,
    ),
    Row(
        "unit-in-etc",
        DONE,
        "",
        "sed s/Application/Own/ /lib/systemd/system/docker.service >/etc/systemd/system/docker.service; reload",
        fresh=True,
        undo="rm /etc/systemd/system/docker.service; reload",
    ),
    Row(
        "unit-edited",
        DONE,
        "",
        "cp -a /lib/systemd/system/docker.service /root/faults/unit",
        fresh=True,
        request={"unit_wiring": "edit"},
        undo="cp -a /root/faults/unit /lib/systemd/system/docker.service; reload",
    ),
]

FILES = [
    Row(
        "disk-full",
        UNDONE,
        "/etc/default/docker: it cannot be written .No space left on device.",
        "fill /etc/default",
        "umount /etc/default",
        options={"debug": True},
    ),
    Row(
        "disk-full-at-the-unit",
        REFUSED,
        "/etc/systemd/system/.*No space left on device",
        "fill /etc/systemd/system",
        "umount /etc/systemd/system; reload",
        fresh=True,
        variants=CE,
    ),
    Row(
        "disk-full-at-the-journal",
        REFUSED,
        "docker.service.journal: it cannot be written",
        "mkdir -p /var/lib/docker-remote-api; fill /var/lib/docker-remote-api",
        "umount /var/lib/docker-remote-api",
        options={"debug": True},
    ),
    Row(
        "journal-impossible",
        REFUSED,
        "docker-remote-api",
        "mv /var/lib/docker-remote-api /root/faults/kept; touch /var/lib/docker-remote-api",
        "rm /var/lib/docker-remote-api; mv /root/faults/kept /var/lib/docker-remote-api",
        options={"debug": True},
    ),
    Row(
        "read-only",
        UNDONE,
        "/etc/default/docker: it cannot be written .Read-only",
        "read_only /etc/default",
        "umount /etc/default",
        options={"debug": True},
    ),
    Row(
        "read-only-at-the-unit",
        REFUSED,
        "/etc/systemd/system/.*Read-only file system",
        "read_only /etc/systemd/system",
        "umount /etc/systemd/system",
        fresh=True,
        variants=CE,
    ),
    Row(
        "immutable",
        UNDONE,
        "/etc/default/docker: .*immutable",
        "immutable on /etc/default/docker",
        "immutable off /etc/default/docker",
        options={"debug": True},
    ),
    Row(
        "options-file-is-directory",
        REFUSED,
        "/etc/default/docker: it cannot be read .Is a directory",
        "mv /etc/default/docker /root/faults/docker; mkdir /etc/default/docker",
        "rmdir /etc/default/docker; mv /root/faults/docker /etc/default/docker",
    ),
    Row(
        "options-file-is-pipe",
        REFUSED,
        "/etc/default/docker: it cannot be read .not a regular file",
        "mv /etc/default/docker /root/faults/docker; mkfifo /etc/default/docker",
        "rm /etc/default/docker; mv /root/faults/docker /etc/default/docker",
    ),
    Row(
        "symbolic-link",
        DONE,
        "",
        "mkdir -p /srv/options; mv /etc/default/docker /srv/options/docker; ln -s /srv/options/docker /etc/default/",
        "rm /etc/default/docker; mv /srv/options/docker /etc/default/docker",
    ),
    Row("odd-owner-and-mode", DONE, "", "chown 1:2 /etc/default/docker; chmod 0604 /etc/default/docker"),
]

ON = {"label": ["fault=on"]}

PROCESSES = [
    Row(
        "ends-at-once",
        UNDONE,
        "ended while it started.*failed to start daemon: broken",
        "wrap 'echo failed to start daemon: broken >&2; exit 1'",
        "unwrap",
        options=ON,
    ),
    Row(
        "ends-after-it-has-answered",
        UNDONE,
        "answered and then ended within seconds",
        # What runs here has time to see the answer, and more of it to see the end.
        "wrap '(until docker version >/dev/null 2>&1; do sleep 0.1; done; sleep 4; kill -9 $$) &'",
        "unwrap",
        options=ON,
        mode={"settle": 20.0},
    ),
    Row(
        "hangs-at-start",
        UNDONE,
        "did not report that it was ready within 10 seconds",
        "wrap 'exec sleep 300'",
        "unwrap",
        options=ON,
        mode={"timeout": 10.0},
    ),
    Row(
        "hangs-and-ignores-signals",
        UNDONE,
        "did not report that it was ready within 10 seconds",
        "wrap 'trap \"\" TERM; while :; do sleep 1; done'",
        "unwrap",
        options=ON,
        mode={"timeout": 10.0},
        suites=("trixie",),
    ),
    Row(
        "never-says-ready",
        UNDONE,
        "did not report that it was ready within 10 seconds",
        "wrap 'unset NOTIFY_SOCKET'",
        "unwrap",
        options=ON,
        mode={"timeout": 10.0},
    ),
    Row("bridge-missing", UNDONE, "ended while it started.*nosuch0", options={"bridge": "nosuch0"}),
    Row("storage-driver-missing", UNDONE, "ended while it started.*driver", options={"storage-driver": "nosuch"}),
    Row(
        "conflict-moved-and-then-broken",
        UNDONE,
        "Put back: .*daemon.json",
        files={JSON: '{"dns": ["1.1.1.1"]}\n'},
        options={"dns": ["8.8.8.8"], "bridge": "nosuch0"},
        request={"on_conflict": "move"},
    ),
    Row("two-runs-at-once", DONE, "", runs=2, mode={"timeout": 60.0}),
    Row("lost-connection-before-restart", DONE, "", signal_at=f"{OPTIONS} written", signal=signal.SIGHUP),
    Row("stopped-while-it-starts", DONE, "", signal_at="restart begun", signal=signal.SIGTERM),
]

UNREAD = 'DOCKER_OPTS="--icc=false -D"\n'
UNREAD_ROOT = 'DOCKER_OPTS="--data-root=/mnt/old"\n'


def _unread(name: str, outcome: str, says: str = "", content: str = UNREAD, **rest: Any) -> Row:
    """Return a row for options in a file that the unit has never read."""
    return Row(name, outcome, says, files={OPTIONS: content}, fresh=True, variants=CE, **rest)


PAST = [
    _unread("unread-options", REFUSED, r"DOCKER_OPTS: the unit has never read .*: --icc=false -D\. "),
    _unread("unread-options-adopted", DONE, request={"on_unread_options": "adopt"}),
    _unread("unread-options-discarded", DONE, request={"on_unread_options": "discard"}),
    _unread("unread-data-root", REFUSED, "--data-root=/mnt/old", UNREAD_ROOT),
    _unread("unread-data-root-discarded", DONE, content=UNREAD_ROOT, request={"on_unread_options": "discard"}),
    _unread(
        "unread-data-root-adopted",
        UNDONE,
        "containers in /var/lib/docker before the restart, and has 0 in /mnt/old after it",
        UNREAD_ROOT,
        request={"on_unread_options": "adopt"},
        undo="rm -rf /mnt/old",
    ),
    Row(
        "data-root-changed-and-not-restarted",
        REFUSED,
        "keeps its data in /var/lib/docker, and whoever restarts it next makes it look for them in /mnt/old",
        files={JSON: '{"data-root": "/mnt/old"}\n'},
        options={"debug": True},
    ),
]

# The longest way there is: daemon.json with backup, options, unit, reload of systemd and of the daemon, restart.
LONG = {"on_conflict": "move", "live_restore": True}
LONG_JSON = '{"dns": ["1.1.1.1"], "debug": true}\n'


def _long(outcome: str, step: int, **rest: Any) -> Row:
    """Return a row in which a run on a host never touched before is killed after a step of the longest way."""
    return Row(
        f"{outcome}-after-step-{step:02}",
        outcome,
        "SIGKILL",
        files={JSON: LONG_JSON},
        restore=False,
        options={"dns": ["8.8.8.8"]},
        request=LONG,
        good_request=LONG,
        fresh=True,
        signal_at=step,
        **rest,
    )


def _short(outcome: str, step: int, **rest: Any) -> Row:
    """Return a row in which a run is killed after a step of setting what no check finds and no engine starts with.

    The steps: journal, options file, record, restart begun, files put back, daemon as before.
    """
    return Row(
        f"{outcome}-after-step-{step:02}-of-what-does-not-start",
        outcome,
        "SIGKILL",
        options={"bridge": "nosuch0"},
        signal_at=step,
        **rest,
    )


KILLS = [
    *(_long(KILLED, step) for step in range(1, 11)),
    *(_long(KILLED, step, variants=CE) for step in range(11, 13)),
    *(_short(KILLED, step, variants=("docker-io",)) for step in range(2, 7)),
    *(_long(RESCUED, step, suites=("trixie",)) for step in range(1, 11)),
    *(_long(RESCUED, step, suites=("trixie",), variants=CE) for step in range(11, 13)),
    *(_short(RESCUED, step, variants=CE) for step in range(2, 7)),
    Row("rescued-during-the-restart", RESCUED, "SIGKILL", options={"log-level": "info"}, signal_at="restart begun"),
]

# The rows of remote_api: key, certificate, CA bundle, options and daemon as one transaction.
KEY, CERTIFICATE, CA = (f"/etc/docker/{name}" for name in ("server-key.pem", "server-cert.pem", "ca.pem"))
HOSTS = f"""echo '{{"hosts": ["tcp://0.0.0.0:2376"]}}' >{JSON}"""
NEW_NAME = {"names": ["localhost", "127.0.0.1", "renewed.example.com"]}
NEW_KEY = {"key_type": "ecdsa_p384"}
DOES_NOT_START = {"bridge": "nosuch0"}


def _offered(offer: str, says: str) -> Row:
    """Return a row in which the certificate that comes back for the CSR has a fault."""
    return Row(f"offered-{offer}", REFUSED, says, tls="by hand", certificate={"offer": offer})


def _issued(name: str, outcome: str, says: str = "", *, tls: str = "by hand", **rest: Any) -> Row:
    """Return a row in which a good certificate is issued."""
    return Row(name, outcome, says, tls=tls, **{"certificate": {}, **rest})


def _seen(name: str, fault: str, says: str = "", *, restarted: bool) -> Row:
    """Return a row in which the daemon serves our certificate, and the files are touched by somebody else."""
    return _issued(name, DONE, says, tls="ours", fault=fault, same_label=True, restarted=restarted)


REMOTE_API = [
    _issued("hosts-conflict-and-foreign-files", REFUSED, f"^{JSON}: .*hosts", fault=HOSTS, undo=f"rm {JSON}"),
    _issued("hosts-conflict-on-the-second-trip", REFUSED, f"^{JSON}: .*hosts", between=HOSTS, undo=f"rm {JSON}"),
    _offered("other-key", "fits neither the private key on this machine nor the one that waits"),
    _offered("other-ca", "it is not installed, for it was issued by another authority"),
    _offered("no-names", "it is not installed, for it lacks the names"),
    _offered("for-clients", "it is not installed, for it is for use as client"),
    _offered("expired", "it is not installed, for it is expired"),
    _issued("issued-in-place-of-foreign-files", DONE, f"{KEY} is replaced", restarted=True, search=True),
    _issued("does-not-start-and-foreign-files", UNDONE, f"Put back: .*{CA}, {CERTIFICATE}, {KEY}", search=True,
            options=DOES_NOT_START),
    _issued("does-not-start-and-our-files", UNDONE, f"Put back: .*{CERTIFICATE}, {KEY}", tls="ours",
            options=DOES_NOT_START, certificate=NEW_KEY),
    _issued("renewed-for-a-name", DONE, f"{CERTIFICATE} is replaced", tls="ours", certificate=NEW_NAME, restarted=True,
            same_label=True, keeps=(KEY, CA)),
    _issued("renewed-in-time", DONE, f"{CERTIFICATE} is replaced", tls="ours", fault="reissue 20 0", restarted=True,
            same_label=True, keeps=(KEY, CA)),
    _issued("renewed-along-with-a-restart", DONE, f"{CERTIFICATE} is replaced", tls="ours", fault="reissue 90 100",
            restarted=True, same_label=True, keeps=(KEY, CA)),
    _issued("new-key", DONE, f"{KEY} is replaced", tls="ours", certificate=NEW_KEY, restarted=True, same_label=True,
            keeps=(CA,), search=True),
    _issued("two-runs-issue-at-once", DONE, runs=2, mode={"timeout": 60.0}, suites=("trixie",)),
    _issued("disk-full-at-the-waiting-key", REFUSED, "server-key.pem.new: it cannot be written .No space left",
            fault="fill /etc/docker", undo="umount /etc/docker"),
    _issued("disk-full-at-the-key", UNDONE, "server-key.pem: it cannot be written .No space left",
            between="fill /etc/docker", undo="umount /etc/docker"),
    _issued("read-only-at-the-waiting-key", REFUSED, "server-key.pem.new: it cannot be (written|removed) .Read-only",
            fault="read_only /etc/docker", undo="umount /etc/docker"),
    _issued("read-only-at-the-key", UNDONE, "server-key.pem: it cannot be written .Read-only",
            between="read_only /etc/docker", undo="umount /etc/docker"),
    _issued("immutable-certificate", UNDONE, f"{CERTIFICATE}: it cannot be written .*immutable",
            fault=f"immutable on {CERTIFICATE}", undo=f"immutable off {CERTIFICATE}"),
    _issued("immutable-bundle", UNDONE, f"{CA}: it cannot be written .*immutable",
            fault=f"immutable on {CA}", undo=f"immutable off {CA}"),
    _issued("foreign-authority", REFUSED, f"^{CA}: this host already trusts CN=other-ca .SHA.*our CA is CN=ca ",
            certificate={"on_foreign_authority": "fail"}),
    _issued("does-not-start-with-a-foreign-authority", UNDONE, f"Put back: .*{CA}", options=DOES_NOT_START,
            certificate={"on_foreign_authority": "trust"}),
    _issued("somebody-elses-certificate-of-another-ca", REFUSED, "that trusts server_certificate, ca refuses it",
            certificate={"theirs": "server.pem"}),
    _issued("somebody-elses-certificate-is-missing", REFUSED, "none.pem: .*is not there",
            certificate={"theirs": "none.pem"}),
    _issued("does-not-start-with-somebody-elses-certificate", UNDONE, f"Put back: .*{CA}", options=DOES_NOT_START,
            certificate={"theirs": "hand-server.pem"}),
    _seen("times-in-the-future", f"touch -d '+2 hours' {KEY} {CERTIFICATE} {CA}", restarted=False),
    _seen("touched-bundle", f"touch {CA}", f"{CA} is newer than the running daemon", restarted=True),
    _seen("modes-loosened", f"chmod 0644 {KEY}; chmod 0600 {CA}; chown 1:2 {CERTIFICATE}", restarted=False),
    _seen("other-certificate-with-an-old-time", "reissue 90 0", "it presents another certificate", restarted=True),
    _seen("other-bundle-with-an-old-time", f"cp /root/faults/pki/other-ca.pem {CA}; touch -d 2021-01-01 {CA}",
          f"{CA} is replaced", restarted=True),
]  # fmt: skip

FILE_STEPS = [
    "certificate requested",
    "journal written",
    *(f"{path} written" for path in (KEY, CERTIFICATE, CA, OPTIONS, RECORD)),
]
RESTART_STEPS = ["restart begun", "daemon answers", "daemon keeps running", "journal removed"]


def _cut(outcome: str, step: str, **rest: Any) -> Row:
    """Return a row in which a run that issues a certificate is killed after a step."""
    name = re.sub("[^a-z]+", "-", step.lower()).strip("-")
    return _issued(f"{outcome}-after-{name}", outcome, "SIGKILL", signal_at=step, **rest)


CUTS = [
    # A daemon that serves TLS files made by hand, and one that was never told of any.
    *(_cut(KILLED, step, variants=("docker-io",), suites=tuple(ENGINES)) for step in [*FILE_STEPS, *RESTART_STEPS]),
    *(
        _cut(KILLED, step, fresh=True, variants=CE)
        for step in [*FILE_STEPS, f"{OWN} written", "systemd reloaded", *RESTART_STEPS]
    ),
    *(_cut(RESCUED, step, suites=("bookworm",), variants=("docker-io",)) for step in [*FILE_STEPS, *RESTART_STEPS]),
]


def _removal(outcome: str, step: int, **rest: Any) -> Row:
    """Return a row in which the run that takes the Remote API away is killed after a step.

    The steps: journal, options file, our drop-in (docker-ce), key, certificate, CA, record, reload (docker-ce), restart
    begun, daemon answers, daemon keeps running, journal removed.
    """
    return _issued(
        f"{outcome}-after-step-{step:02}-of-the-removal",
        outcome,
        "SIGKILL",
        tls="ours",
        absent=True,
        fresh=True,
        request={"absent": True},
        signal_at=step,
        **rest,
    )


REMOVALS = [
    *(_removal(KILLED, step, suites=tuple(ENGINES)) for step in range(1, 11)),
    *(_removal(KILLED, step, variants=CE) for step in range(11, 13)),
    *(_removal(RESCUED, step, suites=("forky",)) for step in range(1, 11)),
]

# Two faults at once: the new configuration does not start, and the old one cannot be had back.
DOUBLE_FAULT = Row(
    "cannot-be-put-back",
    DOWN,
    "^DOCKER IS DOWN ON THIS HOST.*immutable",
    "wrap 'python3 /root/faults/on_host.py immutable on /etc/default/docker; exit 1'",
    # systemd may have started the daemon once more, and with it what makes the file immutable.
    "unwrap; while grep -aqs 'on_host.py.[i]mmutable.on' /proc/[0-9]*/cmdline; do sleep 0.1; done;"
    " immutable off /etc/default/docker",
    options=ON,
)

ROWS = [
    *OPTIONS_FILE,
    *DAEMON_JSON,
    *CERTIFICATES,
    *NETWORK,
    *SYSTEMD,
    *FILES,
    *PROCESSES,
    *PAST,
    *KILLS,
    *REMOTE_API,
    *CUTS,
    *REMOVALS,
]
