# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Generated options files, from sound to nasty."""

from __future__ import annotations

import typing as t
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st


@dataclass(frozen=True)
class Case:
    """A file and the words that are wanted in it. VARIABLE stands for the variable's name, FOO for another's."""

    content: bytes
    words: tuple[str, ...]

    def file(self, variable: str) -> bytes:
        name = variable.encode("ascii")
        return self.content.replace(b"VARIABLE", name).replace(b"FOO", name + b"_FOO")


T = t.TypeVar("T")


def examples(strategy: st.SearchStrategy[T], count: int) -> list[T]:
    """Return that many values, the same ones in each run: a judge is asked for many at once, not for each."""
    found: list[T] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: T) -> None:
        found.append(value)

    collect()
    return found


WORDS = st.sampled_from(
    [
        "-H", "fd://", "--host=tcp://0.0.0.0:2376", "--host=tcp://[::1]:2376", "--tlsverify", "--dns", "8.8.8.8",
        "--label=a=b", "--tlscacert=/etc/docker/ca.pem", "--exec-opt=native.cgroupdriver=systemd", "--icc=false",
        "--label=é", "--log-opt=tag={{.Name}}/{{.ID}}", "--a=~", "--b=%n", "--c=!x", "--d=a^b", "--e=a#b", "--f=a,b",
    ]
)  # fmt: skip
NASTY_WORDS = st.sampled_from(
    ["'a b'", "a\\b", "$HOME", "`id`", "*", "--label=?", "[a]", "#x", "\\$x", "${A}", "$(id)", "a;b", "a&b", "~", "\\"]
)
WANTED = st.lists(WORDS, max_size=5).map(tuple)
BLANKS = st.sampled_from([" ", "  ", "\t", " \\\n", "\n", "\n  "])

_OTHER_LINES = st.sampled_from(
    [
        "", "  ", "\t", "# Docker's options", "#VARIABLE=\"-H x\"", "  # indented", "FOO=bar", 'FOO="a b"', "FOO='a b'",
        'FOO="a \\\n  b"', "FOO='a\nb'", "FOO=a\\\nb", "FOO=", "FOO=\\$x", 'export http_proxy="http://127.0.0.1:3128/"',
        "FOO=$(hostname)", "FOO=`hostname`", 'FOO="$(echo "a b")"', "ulimit -n 1048576", "FOO=${BAR:-x}", "FOO=a;BAR=b",
        'if [ -z "${FOO}" ]; then\n    FOO=/etc/docker\nfi', 'FOO="it\'s"', "FOO='say \"x\"'", "[ -n x ] && FOO=b",
        "VARIABLE_MORE=x", "NO_VARIABLE=x", "FOO+=x", "FOO =x", "FOO= x", "f() {\n  FOO=x\n}",
        "case a in\n  a) FOO=x ;;\nesac",
        "FOO=x # note", 'FOO="x" # note', "FOO=x#y", "(FOO=x)", "FOO=\xe9", "; c", "# c\r", "FOO=x\r", "exit 0",
        "export VARIABLE", 'VARIABLE_MORE="$VARIABLE"', 'if [ -z "${VARIABLE}" ]; then', "cat <<E", "FOO='x' 'y'",
    ]
)  # fmt: skip
_NASTY_LINES = st.sampled_from(
    [
        "# c \\", "; c", "; c \\", "# it's \\\\", "  # x \\", "export VARIABLE=\"-H x\"", 'VARIABLE+=" -H x"',
        "VARIABLE=-H x",
        'VARIABLE="-H x" # note', 'VARIABLE="$VARIABLE -H x"', 'VARIABLE="--a=$FOO"', "VARIABLE=\"--label='a b'\"",
        'VARIABLE="a\\b"', 'VARIABLE ="x"', 'VARIABLE= "x"', 'A=1; VARIABLE="x"', 'VARIABLE="x"\r', "VARIABLE=\"x",
        "VARIABLE='x", "FOO='x", "FOO=\"", "VARIABLE=\"sd*\"", "\ufeff", "\r", "FOO=x\r", "unset VARIABLE", "exit 0",
        "return",
        "if true; then\nVARIABLE=x\nfi", "true &&\nVARIABLE=x", "false &&", "false ||", "FOO=x \\", "FOO=x\\", "\\",
        "fi", "{", "}",
        "cat <<E\nVARIABLE=x\nE", "VARIABLE=x &", "VARIABLE=x | cat", "VARIABLE=x FOO=y", "FOO=y VARIABLE=x",
        "( VARIABLE=x )",
        "f() { VARIABLE=x; }", "VARIABLE=\"a\" \"b\"", "VARIABLE=a'b'", "VARIABLE=\"a\"b", "VARIABLE='$x'",
        "VARIABLE=\\\n x",
        "readonly VARIABLE=x", "VARIABLE", "echo VARIABLE=x", "VARIABLE=x\x01", "VARIABLE='\r'", "FOO=\udcff",
        "#\udcff",
        "VARIABLE=\udcff", "case a in a)\nVARIABLE=x\nesac", "! VARIABLE=x", "while false; do\nVARIABLE=x\ndone",
        "=VARIABLE=x",
        '="x\nVARIABLE=y"', "VARIABLE=x VARIABLE=y", "\\\nVARIABLE=x", "VARI\\\nABLE=x", "FOO='\nVARIABLE=x\n'",
        "VARIABLE=;x",
        "FOO=\"${X:-'}\"", "FOO=${X#\\}}", "FOO=$'x'", "FOO=\"`echo \\\"x\\\"`\"", "(", ")", "<<", "FOO=(a b)",
        "# c \\\n# d \\\n", "VARIABLE=x\nunset VARIABLE", ": ${VARIABLE:=x}", "VARIABLE= # note", "VARIABLE='x'# note",
        'VARIABLE="x \\\r\n y"', 'VARIABLE="x\r\ny"', "VARIABLE=x \\\r\n y", "FOO=\ufffe", "FOO=\ufdd0",
        "VARIABLE=\U0001ffff",
        "VARIABLE=x\\ ", "VARIABLE=x \\ ", "VARIABLE=\\\"x\\\"", "# c \\\r", "; c \\\nFOO='",
    ]
)  # fmt: skip


@st.composite
def sound_assignments(draw: st.DrawFn) -> str:
    """Draw an assignment that systemd reads plainly."""
    quote = draw(st.sampled_from(['"', "'", ""]))
    words = draw(st.lists(st.one_of(WORDS, st.sampled_from(["--label=sd*", "--label=?"])), max_size=4))
    blank = draw(BLANKS)
    if (quote == "'" and "\\" in blank) or (not quote and blank.startswith("\n")):
        blank = " "
    equals = draw(st.sampled_from(["=", "=", " =", "= ", "\t = "]))
    end = draw(st.sampled_from(["", "", " ", "\r"]))
    return f"{draw(st.sampled_from(['', ' ']))}VARIABLE{equals}{quote}{blank.join(words)}{quote}{end}"


@st.composite
def nasty_assignments(draw: st.DrawFn) -> str:
    """Draw an assignment with words that systemd may not pass on as they are."""
    quote = draw(st.sampled_from(['"', "'", ""]))
    words = draw(st.lists(st.one_of(WORDS, NASTY_WORDS), max_size=4))
    return f"VARIABLE={quote}{' '.join(words)}{quote}"


def _file(lines: Sequence[str], end: str) -> bytes:
    """Return lines as a file."""
    return ("\n".join(lines) + end).encode("utf-8", "surrogateescape")


SOUND = st.builds(
    Case,
    st.builds(
        _file, st.lists(st.one_of(_OTHER_LINES, sound_assignments()), max_size=6), st.sampled_from(["\n", "\n\n", ""])
    ),
    WANTED,
)
NASTY = st.builds(
    Case,
    st.builds(
        _file,
        st.lists(st.one_of(_OTHER_LINES, sound_assignments(), nasty_assignments(), _NASTY_LINES), max_size=5),
        st.sampled_from(["\n", "\r\n", ""]),
    ),
    WANTED,
)

_PIECES = [
    "VARIABLE_B=", "VARIABLE", "VARIABLE=", "VARIABLE=", "VARIABLE=\"", '"', "'", "\\", "\n", "\n", " ", "\t", "#",
    ";", "\r", "$", "`",
    "-H x", "\\\n", "é", '"x y"', "'q'", "[", "*", "&", "(", ")", "}", "|", "if ", "fi", "=", "\udcff",
    "\x01", "\x7f", "${A}", "$(", "then ", "\x0b",
]  # fmt: skip
# Anything at all, piece by piece.
SOUP = st.builds(
    Case,
    st.lists(st.sampled_from(_PIECES), max_size=14).map(
        lambda pieces: "".join(pieces).encode("utf-8", "surrogateescape")
    ),
    WANTED,
)
