# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Generated options files, from sound to nasty, and a real shell that reads them, many files in one process."""

from __future__ import annotations

import subprocess
import typing as t
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

# No file that is sourced here can do anything: there is no PATH, and redirections go to an empty directory.
READ_IN_SHELL = r"""
cd "$1" || exit
PATH=/nonexistent
number=0
while [ "$number" -lt "$2" ]; do
    printf '\1%s' "$number"
    if "$3" -n "../$number" 2>/dev/null; then
        printf '\2'
        (
            . "../$number" >/dev/null 2>&1
            eval "words=\$OPTS$number"
            for word in $words; do printf '\2%s' "$word"; done
        )
    fi
    number=$((number + 1))
done
"""


@dataclass(frozen=True)
class Case:
    """A file and the words that are wanted in it, with the variable's name left open: VARIABLE stands for it."""

    content: bytes
    words: tuple[str, ...]

    def file(self, variable: str) -> bytes:
        return self.content.replace(b"VARIABLE", variable.encode("ascii"))


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
        "FOO=x # note", 'FOO="x" # note', "FOO=x#y", "(FOO=x)", "FOO=\xe9",
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
        "# c \\\n# d \\\n",
    ]
)  # fmt: skip


@st.composite
def sound_assignments(draw: st.DrawFn) -> str:
    """Draw an assignment that both readers read alike."""
    quote = draw(st.sampled_from(['"', "'"]))
    words = draw(st.lists(WORDS, max_size=4))
    blank = draw(BLANKS)
    if quote == "'" and "\\" in blank:
        blank = " "
    return f"{draw(st.sampled_from(['', ' ']))}VARIABLE={quote}{blank.join(words)}{quote}"


@st.composite
def nasty_assignments(draw: st.DrawFn) -> str:
    """Draw an assignment with words that the readers may read differently."""
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


def read_in_shell(files: Sequence[bytes], directory: Path, shell: str = "dash") -> list[tuple[str, ...] | None]:
    """Return the words of the variable OPTS<number> that a shell reads from each file; None where it cannot."""
    for number, content in enumerate(files):
        (directory / str(number)).write_bytes(content)
    (directory / "empty").mkdir(exist_ok=True)
    done = subprocess.run(
        [f"/bin/{shell}", "-c", READ_IN_SHELL, "sh", str(directory / "empty"), str(len(files)), f"/bin/{shell}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=300,
        env={},
    )
    found: list[tuple[str, ...] | None] = []
    for answer in done.stdout.decode("utf-8", "surrogateescape").split("\1")[1:]:
        parts = answer.split("\2")
        found.append(tuple(parts[2:]) if len(parts) > 1 else None)
    return found
