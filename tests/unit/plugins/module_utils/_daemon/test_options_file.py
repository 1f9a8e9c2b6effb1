# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options file: what systemd reads from it is kept, what was meant for a shell is refused with its line."""

from __future__ import annotations

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.errors import DaemonError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options_file import (
    read_environment,
    read_words,
    render,
)

READ = [
    ('DOCKER_OPTS="-H x"\n', "-H x"),
    ("DOCKER_OPTS='-H x'\n", "-H x"),
    ("DOCKER_OPTS=-D\n", "-D"),
    ('DOCKER_OPTS=""\n', ""),
    ('DOCKER_OPTS="a"\nDOCKER_OPTS="b"\n', "b"),
    ('DOCKER_OPTS="-H x \\\n -H y"\n', "-H x -H y"),
    ("DOCKER_OPTS=-H x \\\n -H y\n", "-H x -H y"),
    ('DOCKER_OPTS="-H x\n-H y"\n', "-H x -H y"),
    ('DOCKER_OPTS="-H x"" -H y"\n', "-H x -H y"),
    ('  DOCKER_OPTS="-H x"  \n', "-H x"),
    ("DOCKER_OPTS=-H x --y\n", "-H x --y"),
    ('DOCKER_OPTS ="-H x"\n', "-H x"),
    ('DOCKER_OPTS= "-H x"\n', "-H x"),
    ('DOCKER_OPTS="-H x"\r\nFOO=y\r\n', "-H x"),
    ('DOCKER_OPTS="-H x\r\n-H y"\r\n', "-H x -H y"),
    ('# DOCKER_OPTS="-H y"\n; DOCKER_OPTS="-H z"\nexport FOO=\'a b\'\nDOCKER_OPTS="-H x"', "-H x"),
    ('# it\'s\n# c \\\\\nDOCKER_OPTS="-H x"\n', "-H x"),
    ('# DOCKER_OPTS="-H y \\\n#   -H z"\nDOCKER_OPTS="-H x"\n', "-H x"),
    ('export http_proxy="http://192.0.2.1:3128/"\nDOCKER_OPTS="-H x"\n', "-H x"),
    ('FOO=$(hostname)\r\nDOCKER_OPTS="-H x"\nBAR=`id`\nexit 0\n', "-H x"),
    ('if [ -z "$DOCKER_OPTS" ]; then\n  DOCKER_OPTS="-H x"\nfi\n', "-H x"),
    ('x ||\nDOCKER_OPTS="-H x"\n', "-H x"),
    ('DOCKER_OPTS="-H x"\nexport DOCKER_OPTS\nOPTIONS="$DOCKER_OPTS ${DOCKER_OPTS}"\n', "-H x"),
    ('export DOCKER_OPTS="-H y"\nDOCKER_OPTS="$FOO"\nDOCKER_OPTS="-H x"\n', "-H x"),
    ('OLD_DOCKER_OPTS="-H y"\nDOCKER_OPTS_MORE="-H z"\nDOCKER_OPTS="-H x"\n', "-H x"),
    ('\ufeff# c\nDOCKER_OPTS="-H x"\n', "-H x"),
    ('DOCKER_OPTS="-H tcp://[::1]:2376"\n', "-H tcp://[::1]:2376"),
    ('DOCKER_OPTS="--label=a#b --label=sd* --label=a;b"\n', "--label=a#b --label=sd* --label=a;b"),
    ('DOCKER_OPTS="-H x"\nFOO=\'open\n', "-H x"),
    ("FOO=bar\n", ""),
    ("", ""),
]
REFUSED = [
    ('export DOCKER_OPTS="-H x"\n', 1, "'export' is a shell construct.* does not change DOCKER_OPTS"),
    ('DOCKER_OPTS="-H y"\nreadonly DOCKER_OPTS="-H x"\n', 2, "'readonly' is a shell construct"),
    ('DOCKER_OPTS="-H y"\nunset DOCKER_OPTS\n', 2, "'unset' is a shell construct"),
    ('DOCKER_OPTS="-H x"\nDOCKER_OPTS+=" -H y"\n', 2, r"'\+=' is a shell construct"),
    ('A=1; DOCKER_OPTS="-H x"\n', 1, "an assignment inside a command is a shell construct"),
    ('[ -n x ] && DOCKER_OPTS="-H x"\n', 1, "an assignment inside a command is a shell construct"),
    (': ${DOCKER_OPTS:="-H x"}\n', 1, "an assignment inside a command is a shell construct"),
    ('\nDOCKER_OPTS="$DOCKER_OPTS -H y"\n', 2, "an expansion .* is a shell construct.*as it stands"),
    ('C=/etc\nDOCKER_OPTS="--tlscacert=$C/ca.pem"\n', 2, "an expansion"),
    ("DOCKER_OPTS='--tlscacert=$C/ca.pem'\n", 1, "an expansion"),
    ('DOCKER_OPTS="--label=`hostname`"\n', 1, "an expansion"),
    ('DOCKER_OPTS="-H x" # note\n', 1, "a comment after the value is a shell construct"),
    ("DOCKER_OPTS='-H x'# note\n", 1, "a comment after the value is a shell construct"),
    ("DOCKER_OPTS=-D # note\n", 1, "a comment after the value is a shell construct"),
    ("DOCKER_OPTS= # note\n", 1, "a comment after the value is a shell construct"),
    ('DOCKER_OPTS="-D"; FOO=x\n', 1, "an operator such as ';'"),
    ("DOCKER_OPTS=-D &\n", 1, "an operator such as ';'"),
    ('DOCKER_OPTS="-D" "-H x"\n', 1, "a word after the value.* without the blank"),
    ("DOCKER_OPTS=\"--label='a b'\"\n", 1, "a quote"),
    ("DOCKER_OPTS=a'b'\n", 1, "a quote"),
    ('DOCKER_OPTS="--label=a\\b"\n', 1, "a backslash"),
    ('DOCKER_OPTS="-H x \\\r\n -H y"\r\n', 1, "a backslash"),
    ('DOCKER_OPTS="-H x \\\n# -H y"\n', 1, "begins with '#'"),
    ("DOCKER_OPTS=x\x01\n", 1, "a control character"),
    ('#\n# c \\\nDOCKER_OPTS="-H x"\n', 2, "comment ends in a backslash"),
    ('FOO=x\nDOCKER_OPTS="-H x\nBAR=x\n', 2, "not closed"),
    ('FOO="x\nDOCKER_OPTS="-H x"\n', 2, "belongs to the value of FOO, which begins in line 1"),
    ("FOO=x\\\nDOCKER_OPTS=x\n", 2, "belongs to the value of FOO"),
    ('\ufeffDOCKER_OPTS="-H x"\n', 1, "byte order mark"),
    ("FOO=\udcff\n", 1, "not UTF-8"),
    ("FOO=\U0001ffff\n", 1, "not UTF-8"),
    ("#\0\n", 1, "not UTF-8"),
]


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(("text", "words"), READ, ids=[row[0] for row in READ])
def test_what_systemd_reads_is_read_and_stays_but_for_the_variable(text: str, words: str) -> None:
    assert read_words(encoded(text), "f", "DOCKER_OPTS") == tuple(words.split())
    out = render(encoded(text), "f", "DOCKER_OPTS", ["-D", "--label=new"])
    before, new, after = out.partition(b'DOCKER_OPTS="-D --label=new"')
    assert new
    assert encoded(text).startswith(before.rstrip(b"\n"))
    assert encoded(text).endswith(after.lstrip(b"\n"))


@pytest.mark.parametrize(("text", "line", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_was_meant_for_a_shell_or_is_broken_is_refused_with_its_line(text: str, line: int, says: str) -> None:
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
        ("X=a\r\nA=1\r\n", 'X="-D"\r\nA=1\r\n'),
        ("A=1 \\", 'A=1 \\\n\nX="-D"\n'),
        ("A=1 \\\n", 'A=1 \\\n\nX="-D"\n'),
        ("A=x\\", 'A=x\\\n\nX="-D"\n'),
        ("\\", '\\\nX="-D"\n'),
        ("A='\n#'", "A='\n#'\nX=\"-D\"\n"),
    ],
)
def test_only_the_variable_changes(before: str, after: str) -> None:
    assert render(before.encode(), "f", "X", ["-D"]) == after.encode()


@pytest.mark.parametrize(("text", "line"), [('A=1\nB="2', 2), ("A=1\nB=2'\nC='\n", 3), ("# c\\\n#\\\nA='\n\n", 3)])
def test_nothing_can_be_added_behind_an_open_quote(text: str, line: int) -> None:
    with pytest.raises(DaemonError, match=f"^f:{line}: a quote in the value that begins here is not closed"):
        render(text.encode(), "f", "X", ["-D"])


@pytest.mark.parametrize(
    "word", ["a b", "", "'a'", '"', "a\\b", "$a", "`a`", "#a", "a\nb", "a\x7f", "\udcff", "\ufffe"]
)
def test_a_word_that_systemd_would_not_pass_on_as_it_is_is_never_written(word: str) -> None:
    with pytest.raises(DaemonError, match="Set this option in daemon.json instead"):
        render(b"", "f", "X", ["-D", word])


def test_systemd_reads_nothing_from_a_file_that_is_no_text() -> None:
    assert read_environment(b"A=1\nB=\xff\n") == {}
    assert read_environment(b"A=1\n# \xff\n") == {"A": "1"}
