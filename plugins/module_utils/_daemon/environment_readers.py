# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""How systemd and how a shell read assignments from a file, character by character.

systemd: systemd.exec(5), EnvironmentFile=. A shell: POSIX, Shell Command Language, 2.2 "Quoting", 2.3 "Token
Recognition" and 2.9 "Shell Commands".
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_NEWLINES = "\n\r"
_WHITE = " \t\n\r"


@dataclass(frozen=True)
class Assignment:
    """One ``NAME=value`` in a file: where it starts and ends (offsets, end exclusive), and the value as read.

    A value of None is one that only the running shell could tell (it has ``$`` or a backtick in it).
    """

    name: str
    value: str | None
    start: int
    end: int


def line_of(text: str, offset: int) -> int:
    """Return the number, from 1, of the line in which the offset lies."""
    return text.count("\n", 0, offset) + 1


class _Reader:
    """A text and a place in it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def _peek(self) -> str:
        """Return the next character; nothing at the end."""
        return self._text[self._position : self._position + 1]

    def _take(self) -> str:
        """Return the next character and step over it; nothing at the end."""
        char = self._peek()
        self._position += len(char)
        return char

    def _skip_to(self, characters: str) -> None:
        """Go to the next of the characters, or to the end."""
        while self._peek() and self._peek() not in characters:
            self._position += 1


class SystemdReader(_Reader):
    """systemd's reading of an environment file.

    ``comments_go_on``: as before systemd 254, where a backslash at the end of a comment took the next line into it.
    """

    def __init__(self, text: str, *, comments_go_on: bool = False) -> None:
        super().__init__(text)
        self._comments_go_on = comments_go_on

    def read(self) -> list[Assignment]:
        """Return the assignments in their order, whatever their names are."""
        found: list[Assignment] = []
        while self._peek():
            if self._peek() in _WHITE:
                self._position += 1
            elif self._peek() in "#;":
                self._skip_comment()
            else:
                found.extend(self._read_line())
        return found

    def _skip_comment(self) -> None:
        """Go to the end of a comment."""
        self._skip_to(_NEWLINES + "\\" * self._comments_go_on)
        while self._peek() == "\\":
            self._position += 2
            self._skip_to(_NEWLINES + "\\")

    def _read_line(self) -> t.Iterator[Assignment]:
        """Read a key, and yield it with its value if there is a ``=`` on the line."""
        start = self._position
        self._position += 1  # the first character belongs to the key even if it is a "="
        self._skip_to(_NEWLINES + "=")
        key = self._text[start : self._position].rstrip(_WHITE)
        if self._take() == "=":
            value = self._read_value()
            yield Assignment(key, value, start, self._position)

    def _read_value(self) -> str:
        """Return the value from here to the end of its last line: quoted parts first, then a bare one."""
        value: list[str] = []
        while self._peek() and self._peek() not in _NEWLINES:
            char = self._take()
            if char in "\"'":
                self._read_quoted(char, value)
            elif char not in _WHITE:
                self._position -= 1
                self._read_bare(value)
        return "".join(value)

    def _read_quoted(self, quote: str, value: list[str]) -> None:
        """Add what stands up to the closing quote (or the end of the file) to the value."""
        while self._peek():
            char = self._take()
            if char == quote:
                return
            if char == "\\" and quote == '"':
                char = self._take()
                if char and char in '"\\`$':
                    value.append(char)
                elif char and char != "\n":
                    value.append("\\" + char)
            else:
                value.append(char)

    def _read_bare(self, value: list[str]) -> None:
        """Add what stands up to the end of the line to the value: quotes count for themselves here, blanks at the end
        do not count."""
        kept = len(value)
        while self._peek() and self._peek() not in _NEWLINES:
            char = self._take()
            if char == "\\":
                char = self._take()
                value.extend("" if char in _NEWLINES else char)
                kept = len(value)
            else:
                value.append(char)
                kept = kept if char in _WHITE else len(value)
        del value[kept:]


# The shell ends a command at these when they are not quoted.
_OPERATORS = ";&|<>()"
# Reserved words that open and close a compound command, and those after which a command begins.
_OPENING = frozenset({"if", "case", "for", "while", "until", "{"})
_CLOSING = frozenset({"fi", "esac", "done", "}"})
_GOING_ON = frozenset({"then", "else", "elif", "do", "!"})
_ENDING = frozenset({"exit", "return", "exec"})
# What "export" takes; with anything else a shell gives up (POSIX, 2.8.1, "Consequences of Shell Errors").
_EXPORTED = re.compile(r"(-p\Z|\"?[$`]|[A-Za-z_][A-Za-z0-9_]*(=|\Z))")


class ShellReader(_Reader):
    """A shell's reading of a file, as far as it can be told without running it: plain assignments that it carries out.

    Whether the file is valid shell at all is not judged here; a shell's own ``sh -n`` does that.
    """

    def __init__(self, text: str, path: str) -> None:
        super().__init__(text)
        self._path = path
        self._compound = 0
        self._parentheses = 0
        self._joined = False

    def read(self) -> list[Assignment]:
        """Return the commands that are one assignment on its own line and nothing else.

        Raises DaemonError for what leaves open how the rest would be read: an open quote, a here-document, an end.
        """
        found: list[Assignment] = []
        while self._peek():
            if self._peek() in " \t\n":
                self._position += 1
            elif self._peek() == "#":
                self._skip_to("\n")
            elif self._peek() in _OPERATORS:
                self._read_operator()
            else:
                found.extend(self._read_command())
        return found

    def _is_first(self, offset: int) -> bool:
        """Return whether nothing but blanks stands before the offset on its line."""
        return self._text[:offset].rpartition("\n")[2].strip(" \t") == ""

    def _read_operator(self) -> None:
        """Step over one character of an operator. Raises DaemonError for one that changes how the rest is read."""
        start = self._position
        char = self._take()
        if char == ";" and self._peek() != ";" and self._is_first(start):
            raise errors.semicolon_comment(path=self._path, line=line_of(self._text, start))
        if char == "<" and self._peek() == "<":
            raise errors.here_document(path=self._path, line=line_of(self._text, start))
        if char == "(":
            self._parentheses += 1
        elif char == ")" and self._parentheses:
            self._parentheses -= 1
        self._joined = char in "&|"

    def _read_command(self) -> t.Iterator[Assignment]:
        """Read a command's words; yield it if it is a single assignment on its own line that is always carried out."""
        start = self._position
        alone = self._is_first(start) and not self._joined
        self._joined = False
        words = [self._read_word()]
        end = self._position
        while self._peek() not in ("", "\n"):
            if self._peek() in " \t":
                self._position += 1
            elif self._peek() == "#":
                alone = False
                self._skip_to("\n")
            elif self._peek() in _OPERATORS:
                alone = False
                break
            else:
                words.append(self._read_word())
        raw, value = words[0]
        self._count(start, [word for word, read in words])
        if raw in ("export", "readonly") and not all(_EXPORTED.match(word) for word, read in words[1:]):
            raise errors.shell_stops(path=self._path, line=line_of(self._text, start), word=raw)
        name, equals = raw.partition("=")[:2]
        if alone and len(words) == 1 and equals and NAME.match(name) and not self._compound + self._parentheses:
            yield Assignment(name, None if value is None else value.partition("=")[2], start, end)

    def _count(self, start: int, words: t.Sequence[str]) -> None:
        """Count how deep in compound commands the place is. Raises DaemonError where the shell stops reading."""
        for word in words:
            if word in _ENDING:
                raise errors.shell_stops(path=self._path, line=line_of(self._text, start), word=word)
            if word in _OPENING:
                self._compound += 1
            elif word in _CLOSING:
                self._compound = max(0, self._compound - 1)
            elif word not in _GOING_ON:
                return
            if word in ("case", "for"):
                return

    def _read_word(self) -> tuple[str, str | None]:
        """Return a word as written, and as read (None where ``$`` or a backtick stands in it)."""
        start = self._position
        value: list[str] = []
        plain = True
        while self._peek() and self._peek() not in " \t\n" + _OPERATORS:
            char = self._take()
            if char == "'":
                end = self._text.find("'", self._position)
                if end < 0:
                    raise self._open(self._position - 1, "'")
                value.append(self._text[self._position : end])
                self._position = end + 1
            elif char == '"':
                plain = self._read_double_quoted(value) and plain
            elif char == "\\":
                value.append(self._take().replace("\n", "") if self._peek() else char)
            elif char in "$`":
                plain = False
                self._skip_expansion(char)
            else:
                value.append(char)
        return self._text[start : self._position], "".join(value) if plain else None

    def _open(self, offset: int, quote: str) -> errors.DaemonError:
        """Return the error for a quote (or bracket) at the offset that is not closed."""
        return errors.open_quote(path=self._path, line=line_of(self._text, offset), quote=quote)

    def _read_double_quoted(self, value: list[str]) -> bool:
        """Add what stands between double quotes to the value; return whether it is free of expansions."""
        opened = self._position - 1
        plain = True
        while self._peek():
            char = self._take()
            if char == '"':
                return plain
            if char == "\\":
                char = self._take()
                value.append(char if char in '"\\`$' else "\\" + char if char != "\n" else "")
            elif char in "$`":
                plain = False
                self._skip_expansion(char)
            else:
                value.append(char)
        raise self._open(opened, '"')

    def _skip_expansion(self, char: str) -> None:
        """Go to the end of an expansion whose first character was just taken. Raises DaemonError where it has none."""
        opened = self._position - 1
        closing = {"`": "`", "$(": ")", "${": "}"}.get(char if char == "`" else char + self._peek())
        if closing is None:
            return
        opening = self._take() if char == "$" else ""
        depth = 1
        while self._peek():
            inner = self._take()
            if inner == "\\":
                self._position += 1
            elif inner == closing:
                depth -= 1
                if not depth:
                    return
            elif inner == opening:
                depth += 1
            elif inner == "'" and closing == ")":
                self._skip_to("'")
                self._take()
            elif inner == '"' and closing != "`":
                self._read_double_quoted([])
        raise self._open(opened, closing)


__all__ = ("NAME", "Assignment", "ShellReader", "SystemdReader", "line_of")
