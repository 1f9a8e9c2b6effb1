# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The options file (such as /etc/default/docker), which two programs read by different rules.

systemd reads it as EnvironmentFile= (systemd.exec(5)), init scripts source it as shell (POSIX, Shell Command
Language 2.2 and 2.3). What the two would read differently is refused: nobody can tell which reading was meant.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import check_word

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_NEWLINES = "\n\r"
_WHITE = " \t\n\r"
# The shell ends a command at these when they are not quoted.
_SHELL_OPERATORS = ";&|<>()"


@dataclass(frozen=True)
class Assignment:
    """One ``NAME=value`` in a file: where it starts and ends (offsets, end exclusive), and the value as read.

    A value of None is one that only the running shell could tell (it has ``$`` or a backtick in it).
    """

    name: str
    value: str | None
    start: int
    end: int


def _decode(content: bytes | None) -> str:
    """Return the file as text from which exactly its bytes can be made again."""
    return (content or b"").decode("utf-8", "surrogateescape")


class _SystemdReader:
    """systemd's reading of an environment file, one character after the other (its states, as documented)."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self.found: list[Assignment] = []

    def read(self) -> list[Assignment]:
        """Return the assignments in their order."""
        while self._position < len(self._text):
            char = self._text[self._position]
            if char in _WHITE:
                self._position += 1
            elif char in "#;":
                self._skip_comment()
            else:
                self._read_line()
        return self.found

    def _skip_comment(self) -> None:
        """Skip to the end of a comment; before systemd 254 a backslash carried it over to the next line."""
        while self._position < len(self._text) and self._text[self._position] not in _NEWLINES:
            self._position += 1

    def _read_line(self) -> None:
        """Read a key, and its value if there is a ``=`` on the line."""
        start = self._position
        while self._position < len(self._text) and self._text[self._position] not in _NEWLINES + "=":
            self._position += 1
        key = self._text[start : self._position].rstrip(_WHITE)
        if self._position >= len(self._text) or self._text[self._position] != "=":
            return
        self._position += 1
        value = self._read_value()
        self.found.append(Assignment(key, value, start, self._position))

    def _read_value(self) -> str:
        """Return the value from here to the end of its last line."""
        value: list[str] = []
        bare = False
        while self._position < len(self._text):
            char = self._text[self._position]
            if char in _NEWLINES:
                break
            self._position += 1
            if char in "\"'" and not bare:
                self._read_quoted(char, value)
            elif char == "\\":
                bare = True
                value.extend(self._next("\n"))
            elif bare or char not in _WHITE:
                bare = True
                value.append(char)
        text = "".join(value)
        return text.rstrip(_WHITE) if bare else text

    def _read_quoted(self, quote: str, value: list[str]) -> None:
        """Add what stands up to the closing quote (or the end of the file) to the value."""
        while self._position < len(self._text):
            char = self._text[self._position]
            self._position += 1
            if char == quote:
                return
            if char == "\\" and quote == '"':
                escaped = self._next("")
                if escaped not in ('"', "\\", "`", "$", "\n", ""):
                    value.append("\\")
                value.extend("" if escaped == "\n" else escaped)
            else:
                value.append(char)

    def _next(self, dropped: str) -> str:
        """Return the next character and step over it; nothing at the end or where it is one of ``dropped``."""
        char = self._text[self._position : self._position + 1]
        self._position += len(char)
        return "" if char and char in dropped else char


class _ShellReader:
    """A shell's reading of a file, as far as it can be told without running it: plain assignments."""

    def __init__(self, text: str, path: str) -> None:
        self._text = text
        self._path = path
        self._position = 0

    def read(self) -> list[Assignment]:
        """Return the commands that are one assignment and nothing else. Raises DaemonError for an open quote."""
        found: list[Assignment] = []
        while self._position < len(self._text):
            char = self._text[self._position]
            if char in " \t\n" + _SHELL_OPERATORS:
                self._position += 1
            elif char == "#":
                self._skip_comment()
            else:
                found.extend(self._read_command())
        return found

    def _skip_comment(self) -> None:
        """Skip to the end of the line: in a shell a comment always ends there."""
        while self._position < len(self._text) and self._text[self._position] != "\n":
            self._position += 1

    def _read_command(self) -> list[Assignment]:
        """Read a command's words; return it if it is a single assignment on its own line."""
        start = self._position
        alone = self._text[:start].rpartition("\n")[2].strip(" \t") == ""
        words = [self._read_word()]
        end = self._position
        while True:
            char = self._text[self._position : self._position + 1]
            if char in ("", "\n"):
                break
            if char in " \t":
                self._position += 1
            elif char == "#":
                alone = False
                self._skip_comment()
            elif char in _SHELL_OPERATORS:
                alone = False
                break
            else:
                words.append(self._read_word())
        raw, value = words[0]
        name, equals = raw.partition("=")[:2]
        if len(words) > 1 or not alone or not equals or not _NAME.match(name):
            return []
        return [Assignment(name, None if value is None else value.partition("=")[2], start, end)]

    def _read_word(self) -> tuple[str, str | None]:
        """Return a word as written, and as read (None where ``$`` or a backtick stands in it)."""
        start = self._position
        value: list[str] = []
        plain = True
        while self._position < len(self._text):
            char = self._text[self._position]
            if char in " \t\n" + _SHELL_OPERATORS:
                break
            self._position += 1
            if char == "'":
                value.append(self._text[self._position : self._end_of_quote("'")])
                self._position = self._end_of_quote("'") + 1
            elif char == '"':
                plain = self._read_double_quoted(value) and plain
            elif char == "\\":
                value.append(self._escaped())
            else:
                plain = plain and char not in "$`"
                value.append(char)
        return self._text[start : self._position], "".join(value) if plain else None

    def _end_of_quote(self, quote: str) -> int:
        """Return the offset of the next quote. Raises DaemonError where there is none."""
        end = self._text.find(quote, self._position)
        if end < 0:
            raise errors.open_quote(self._path, _line(self._text, self._position - 1), quote)
        return end

    def _escaped(self) -> str:
        """Return the character after a backslash outside quotes; nothing for the end of a line, which it joins."""
        char = self._text[self._position : self._position + 1]
        self._position += 1
        return "" if char == "\n" else char

    def _read_double_quoted(self, value: list[str]) -> bool:
        """Add what stands between double quotes to the value; return whether it is free of expansions."""
        opened = self._position - 1
        plain = True
        while self._position < len(self._text):
            char = self._text[self._position]
            self._position += 1
            if char == '"':
                return plain
            if char == "\\":
                escaped = self._text[self._position : self._position + 1]
                self._position += 1
                value.append(escaped if escaped in '"\\`$' else "\\" + escaped if escaped != "\n" else "")
            else:
                plain = plain and char not in "$`"
                value.append(char)
        raise errors.open_quote(self._path, _line(self._text, opened), '"')


def _line(text: str, offset: int) -> int:
    """Return the number, from 1, of the line in which the offset lies."""
    return text.count("\n", 0, offset) + 1


def read_environment(content: bytes | None) -> dict[str, str]:
    """Return the variables that systemd reads from an environment file; of several assignments the last counts."""
    found = _SystemdReader(_decode(content)).read()
    return {item.name: item.value or "" for item in found if _NAME.match(item.name)}


def _assignments(content: bytes | None, path: str, variable: str) -> list[Assignment]:
    """Return the assignments of the variable. Raises DaemonError where systemd and a shell disagree on them."""
    text = _decode(content)
    if text.startswith("\ufeff"):
        raise errors.byte_order_mark(path)
    shell = [item for item in _ShellReader(text, path).read() if item.name == variable]
    systemd = [item for item in _SystemdReader(text).read() if item.name == variable]
    mentioned = re.compile(rf"(?<![A-Za-z0-9_]){re.escape(variable)}(?![A-Za-z0-9_])")
    for number, line in _code_lines(text):
        if mentioned.search(line):
            _check_line(path, number, line, variable, text, systemd, shell)
    _check_same(path, text, systemd, shell)
    return systemd


def _code_lines(text: str) -> t.Iterator[tuple[int, str]]:
    """Yield (number from 1, line) of the lines that are not comments."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.lstrip(" \t").startswith("#"):
            yield number, line


def _check_line(
    path: str,
    number: int,
    line: str,
    variable: str,
    text: str,
    systemd: t.Sequence[Assignment],
    shell: t.Sequence[Assignment],
) -> None:
    """Raise DaemonError if the line names the variable but is not an assignment that both read."""
    before = text.split("\n")[number - 2] if number > 1 else ""
    if before.lstrip(" \t").startswith(("#", ";")) and before.rstrip("\r").endswith("\\"):
        raise errors.comment_with_backslash(path, number - 1)
    in_shell = any(_line(text, item.start) == number and item.value is not None for item in shell)
    in_systemd = any(_line(text, item.start) == number for item in systemd)
    if not (in_shell and in_systemd) or "\r" in line:
        raise errors.read_differently(path, number, _why_differently(line, variable))


def _check_same(path: str, text: str, systemd: t.Sequence[Assignment], shell: t.Sequence[Assignment]) -> None:
    """Raise DaemonError unless both readers found the same assignments with the same values."""
    ours = [(item.start, item.value) for item in systemd]
    theirs = [(item.start, item.value) for item in shell]
    if ours == theirs:
        for item in systemd:
            if any("\udc80" <= char <= "\udcff" for char in item.value or ""):
                raise errors.read_differently(path, _line(text, item.start), "its value is not UTF-8")
        return
    different = [start for start, value in ours + theirs if (start, value) not in ours or (start, value) not in theirs]
    number = _line(text, min(different))
    raise errors.read_differently(path, number, _why_differently(text.split("\n")[number - 1], ""))


_WHY = (
    (r"\s*(export|declare|readonly|local)\s", "systemd ignores a line that begins with a shell keyword like 'export'"),
    (r"[^=]*\+=", "systemd does not know '+='"),
    (r".*\r", "the line ends in a carriage return (DOS line ends), which a shell takes for a part of the value"),
    (r".*[$`]", "systemd does not expand '$' and backticks, a shell does"),
    (
        r"\s*[A-Za-z_0-9]+\s*=\s*(\"[^\"]*\"|'[^']*'|\S*)\s+#",
        "systemd takes a comment after the value for a part of it",
    ),
    (r"\s*[A-Za-z_0-9]+(\s+=|=[ \t]+\S)", "a shell allows no blank around '='"),
    (r".*[;&|<>]", "systemd does not know ';', '&', '|' and redirections, a shell does"),
    (r"\s*[A-Za-z_0-9]+=[^\"']", "a value with blanks in it and without quotes round it is a command to a shell"),
    (r"\s*[A-Za-z_0-9]+=.*[\"']\s+[\"']", "systemd joins quoted parts with a blank in between, a shell does not"),
    (r".*\\", "systemd and a shell treat the backslash differently"),
)


def _why_differently(line: str, variable: str) -> str:
    """Return in plain words why systemd and a shell read the line differently."""
    for pattern, why in _WHY:
        if re.match(pattern, line):
            return why
    return f"systemd and a shell do not read the same from it{f' for {variable}' if variable else ''}"


def read_words(content: bytes | None, path: str, variable: str) -> tuple[str, ...]:
    """Return the options in the variable, word by word; nothing where the file or the variable is not there.

    Raises DaemonError, with file, line, cause and remedy, where systemd and a shell would read different words.
    """
    found = _assignments(content, path, variable)
    if not found:
        return ()
    number = _line(_decode(content), found[-1].start)
    value = found[-1].value or ""
    for word in value.split():
        if re.search(r"[\"'\\*?]", word) or (word[:1] == "[" or "[" in word and not _is_safe(word)):
            raise errors.read_differently(
                path,
                number,
                f"the word {word} has quotes, a backslash or a pattern in it, which only one of them removes",
            )
    return tuple(value.split())


def _is_safe(word: str) -> bool:
    """Return whether both readers take the word as it is."""
    try:
        check_word(word)
    except errors.DaemonError:
        return False
    return True


def render(content: bytes | None, path: str, variable: str, words: t.Sequence[str]) -> bytes:
    """Return the file with the variable set to these words, everything else kept byte for byte.

    The last assignment, which counts, is replaced; without one a line is added at the end. Raises DaemonError
    where the file cannot be read the same way by both readers.
    """
    found = _assignments(content, path, variable)
    if tuple(words) == read_words(content, path, variable) and (found or not words):
        return content or b""
    text = _decode(content)
    line = f'{variable}="{" ".join(words)}"'
    if found:
        text = text[: found[-1].start] + line + text[found[-1].end :]
    else:
        if text and not text.endswith("\n"):
            text += "\n"
        if re.search(r"^[ \t]*[#;].*\\\r?\n\Z", text, re.MULTILINE):
            text += "\n"  # before systemd 254 such a comment swallows the line after it
        text += line + "\n"
    return text.encode("utf-8", "surrogateescape")


__all__ = ("Assignment", "read_environment", "read_words", "render")
