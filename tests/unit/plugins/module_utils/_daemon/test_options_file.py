# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options file: what systemd and a shell read alike is kept, what they do not is refused with its line."""

from __future__ import annotations

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.errors import DaemonError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options_file import (
    read_environment,
    read_words,
    render,
)

ALIKE = [
    ('DOCKER_OPTS="-H x"\n', "-H x"),
    ("DOCKER_OPTS='-H x'\n", "-H x"),
    ("DOCKER_OPTS=-D\n", "-D"),
    ('DOCKER_OPTS=""\n', ""),
    ('DOCKER_OPTS="a"\nDOCKER_OPTS="b"\n', "b"),
    ('DOCKER_OPTS="-H x \\\n -H y"\n', "-H x -H y"),
    ('DOCKER_OPTS="-H x\n-H y"\n', "-H x -H y"),
    ('DOCKER_OPTS="-H x"" -H y"\n', "-H x -H y"),
    ('  DOCKER_OPTS="-H x"  \n', "-H x"),
    ('# DOCKER_OPTS="-H y"\nexport FOO=\'a b\'\nDOCKER_OPTS="-H x"', "-H x"),
    ('# it\'s\n# c \\\\\nDOCKER_OPTS="-H x"\n', "-H x"),
    ('FOO=$(hostname)\r\nDOCKER_OPTS="-H x"\n', "-H x"),
    ('if [ -z "$FOO" ]; then\n  FOO=x\nfi\nDOCKER_OPTS="-H x"\n', "-H x"),
    ('DOCKER_OPTS="-H tcp://[::1]:2376"\n', "-H tcp://[::1]:2376"),
    ('DOCKER_OPTS="--label=a#b"\n', "--label=a#b"),
    ("FOO=bar\n", ""),
    ("", ""),
]
DIFFERENT = [
    ("DOCKER_OPTS=-H x --y\n", 1, "without quotes"),
    ('export DOCKER_OPTS="-H x"\n', 1, "'export'"),
    ('DOCKER_OPTS="-H x" # note\n', 1, "comment after the value"),
    ('\nDOCKER_OPTS="$DOCKER_OPTS -H y"\n', 2, "does not expand"),
    ('DOCKER_OPTS="-H x"\nDOCKER_OPTS+=" -H y"\n', 2, r"'\+='"),
    ('C=/etc\nDOCKER_OPTS="--tlscacert=$C/ca.pem"\n', 2, "does not expand"),
    ("DOCKER_OPTS='--tlscacert=$C/ca.pem'\n", 1, "'\\$'"),
    ("DOCKER_OPTS=\"--label='a b'\"\n", 1, "quote"),
    ('DOCKER_OPTS="--label=a\\b"\n', 1, "backslash"),
    ('DOCKER_OPTS ="-H x"\n', 1, "no blank around"),
    ('DOCKER_OPTS= "-H x"\n', 1, "no blank around"),
    ('A=1; DOCKER_OPTS="-H x"\n', 1, "';'"),
    ('DOCKER_OPTS="-H x"\r\n', 1, "carriage return"),
    ('# c \\\nDOCKER_OPTS="-H x"\n', 1, "comment ends in a backslash"),
    ('FOO=x\nDOCKER_OPTS="-H x\n', 2, "not closed"),
    ('\ufeffDOCKER_OPTS="-H x"\n', 1, "byte order mark"),
    ('DOCKER_OPTS="sd*"\n', 1, "pattern"),
    ('\n; c\nDOCKER_OPTS="-H x"\n', 2, "begins with ';'"),
    ('DOCKER_OPTS="a" "b"\n', 1, "blank in between"),
    ('if x; then\nDOCKER_OPTS="-H x"\nfi\n', 2, "something larger"),
    ('x ||\nDOCKER_OPTS="-H x"\n', 2, "something larger"),
    ("(\nDOCKER_OPTS='x'\n)\n", 2, "something larger"),
    ("unset DOCKER_OPTS\n", 1, "same"),
    ("cat <<E\nDOCKER_OPTS=x\nE\n", 1, "here-document"),
    ("return 0\n", 1, "stops reading at 'return'"),
    ("export 1=x\n", 1, "stops reading at 'export'"),
    ("DOCKER_OPTS=x\x01\n", 1, "control characters"),
    ("FOO=\udcff\n", 1, "not UTF-8"),
    ("#\0\n", 1, "not UTF-8"),
    ("FOO=`date\n", 1, "not closed"),
]


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(("text", "words"), ALIKE, ids=[row[0] for row in ALIKE])
def test_what_both_read_alike_is_read(text: str, words: str) -> None:
    assert read_words(encoded(text), "f", "DOCKER_OPTS") == tuple(words.split())


@pytest.mark.parametrize(("text", "line", "says"), DIFFERENT, ids=[row[0] for row in DIFFERENT])
def test_what_they_read_differently_is_refused_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(DaemonError, match=rf"^f:{line}: .*{says}.*then run again"):
        read_words(encoded(text), "f", "DOCKER_OPTS")
    with pytest.raises(DaemonError):
        render(encoded(text), "f", "DOCKER_OPTS", ["-D"])


def test_a_file_that_is_not_there() -> None:
    assert read_words(None, "f", "X") == ()
    assert read_environment(None) == {}
    assert render(None, "f", "X", []) == b""
    assert render(None, "f", "X", ["-D", "-H=x"]) == b'X="-D -H=x"\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('A=1\nX="b"  \nC=2', 'A=1\nX="-D"\nC=2'),
        ("X=a\nA=1\n X='b\nc'\n", 'X=a\nA=1\n X="-D"\n'),
        ("A=1", 'A=1\nX="-D"\n'),
        ("# a\n\n", '# a\n\nX="-D"\n'),
        ("# a \\\n", '# a \\\n\nX="-D"\n'),
        ("# a \\", '# a \\\n\nX="-D"\n'),
        ("X=-D\n", "X=-D\n"),
    ],
)
def test_only_the_variable_changes(before: str, after: str) -> None:
    assert render(before.encode(), "f", "X", ["-D"]) == after.encode()


@pytest.mark.parametrize("text", ["A=1 \\", "A=x\\", "\\"])
def test_a_last_line_that_goes_on_is_refused(text: str) -> None:
    with pytest.raises(DaemonError, match="f:1: the last line goes on beyond its end"):
        render(text.encode(), "f", "X", ["-D"])


def test_systemd_reads_nothing_from_a_file_that_is_no_text() -> None:
    assert read_environment(b"A=1\nB=\xff\n") == {}
    assert read_environment(b"A=1\n# \xff\n") == {"A": "1"}
