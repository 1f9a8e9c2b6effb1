# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The options file (such as /etc/default/docker): reading it as systemd does, and changing one variable in it.

systemd alone reads the file, as EnvironmentFile= (systemd.exec(5)). Many such files were written for a shell. Where a
shell would set the variable, and systemd would not or to another value, the file is refused: nobody can tell which was
meant. Everything else may be shell, and is kept byte for byte.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# Bytes that are not UTF-8 (as they look after decoding), and Unicode's noncharacters, which systemd does not take.
_NONCHARACTERS = "".join(chr(plane + last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF))
_NOT_TEXT = re.compile(f"[\udc80-\udcff\ufdd0-\ufdef{_NONCHARACTERS}]")
# Words that are the same before and after systemd splits a value into words.
_PLAIN_WORD = re.compile(r"(?!#)[^\x00-\x20\x7f\"'\\$`]+\Z")

# The grammar of the file, as in systemd's src/basic/env-file.c. A dot stands for any character, line ends included.
_QUOTED = r'"(?:\\.|[^"\\])*"' + r"|'[^']*'"
_OPEN_QUOTE = r"[\"'].*"
_BARE = r"(?:\\.?|[^\\\n\r])+"
_GRAMMAR = rf"""(?xs)
    [ \t\n\r]+
    | [#;] (?:{{comment}})*
    | (?P<key> [^\n\r][^\n\r=]* ) (?: = (?P<value> (?: [ \t]+ | {_QUOTED} | {_OPEN_QUOTE} )* (?:{_BARE})? ) )?
"""
_FILE = re.compile(_GRAMMAR.format(comment=r"[^\n\r]"))
# Before systemd 254, a backslash at the end of a comment takes the next line into the comment.
_FILE_BEFORE_254 = re.compile(_GRAMMAR.format(comment=r"\\.?|[^\\\n\r]"))
_CLOSED = re.compile(_QUOTED, re.DOTALL)
_PART = re.compile(rf"{_QUOTED}|{_OPEN_QUOTE}|[ \t]+|.+", re.DOTALL)

# What a shell understands in a value outside of quotes, and what systemd does instead.
_SHELL_SYNTAX = (
    (r'(\A|[ \t"])#', "a comment after the value", "takes it for a part of the value"),
    (r"[;&|<>()]", "an operator such as ';' or '&&'", "takes it for a part of the value"),
    (r'"[ \t]+[^ \t]', "a word after the value", "appends it to the value, without the blank"),
)


@dataclass(frozen=True)
class Assignment:
    """One ``NAME=value`` as systemd reads it, from the offset ``start`` to ``end`` (exclusive) of the text.

    ``unquoted`` is the value as written, with ``""`` for each of its quoted parts. ``closed`` is False where the last
    quote is open, so that the value reaches to the end of the file.
    """

    name: str
    value: str
    unquoted: str
    closed: bool
    start: int
    end: int


def read_assignments(text: str, *, before_254: bool = False) -> list[Assignment]:
    """Return all assignments in the text, valid names or not, as systemd reads them (``before_254``: an older one)."""
    found: list[Assignment] = []
    for match in (_FILE_BEFORE_254 if before_254 else _FILE).finditer(text):
        if match["value"] is not None:
            parts = _PART.findall(match["value"])
            quoted = [part for part in parts if part[0] in "\"'"]
            found.append(
                Assignment(
                    name=match["key"].rstrip(" \t"),
                    value="".join(_part_value(part) for part in parts),
                    unquoted="".join('""' if part in quoted else part for part in parts),
                    closed=all(_CLOSED.fullmatch(part) for part in quoted),
                    start=match.start(),
                    end=match.end(),
                )
            )
    return found


def _part_value(part: str) -> str:
    """Return what one part of a value stands for: a quoted one, blanks before or between them, or the bare rest."""
    if part[0] == "'":
        return part.strip("'")
    if part[0] == '"':
        return re.sub(r'\\(["\\`$])|\\\n|\\\Z|"', lambda match: match[1] or "", part)
    return re.sub(r"[ \t]+\Z|\\([^\n\r])|\\[\n\r]?", lambda match: match[1] or "", part)


def read_environment(content: bytes | None) -> dict[str, str]:
    """Return the variables that systemd reads from an environment file; of several assignments the last counts.

    Return nothing where systemd does not read the file, or there is none.
    """
    text = _decode(content)
    found = read_assignments(text)
    if _offset_of_bad_bytes(text, found) is not None:
        return {}
    return {item.name: item.value for item in found if _NAME.match(item.name)}


def read_words(content: bytes | None, path: str, variable: str) -> tuple[str, ...]:
    """Return the options in the variable, word by word; nothing where the file or the variable is not there.

    Raises DaemonError, with file and line, for a file that systemd does not read, or does not read as it was meant.
    """
    text = _decode(content)
    return _words(_find(text, path, variable), text, path)


def render(content: bytes | None, path: str, variable: str, words: t.Sequence[str]) -> bytes:
    """Return the file with the variable set to these words, everything else kept byte for byte.

    The last assignment, which counts, is replaced; without one, a line is added at the end. Raises DaemonError as
    read_words() does, and for a word that cannot be written or a file that ends in the middle of a value.
    """
    text = _decode(content)
    found = _find(text, path, variable)
    if tuple(words) == _words(found, text, path) and (found or not words):
        return content or b""
    for word in words:
        if not _PLAIN_WORD.match(word) or _NOT_TEXT.search(word):
            raise errors.word_not_safe(word=word)
    line = f'{variable}="{" ".join(words)}"'
    if found:
        return _encode(text[: found.start] + line + text[found.end :])
    # An empty line in between ends a value, or a comment before systemd 254, whose last line ends in a backslash.
    for gap in ("", "\n", "\n\n"):
        added = f"{text}{gap}{line}\n"
        if _adds_only(text, added, variable, " ".join(words)):
            return _encode(added)
    readings = [*read_assignments(text), *read_assignments(text, before_254=True)]
    begin = next(item.start for item in readings if not item.closed)
    raise errors.open_quote(path=path, line=_line_of(text, begin))


def _adds_only(before: str, after: str, variable: str, value: str) -> bool:
    """Return whether every systemd reads the variable with the value from the new text, and all else as before."""

    def read(text: str, before_254: bool) -> list[tuple[str, str]]:
        return [(item.name, item.value) for item in read_assignments(text, before_254=before_254)]

    return all(read(after, old) == [*read(before, old), (variable, value)] for old in (False, True))


def _decode(content: bytes | None) -> str:
    """Return the file as text from which _encode() makes exactly its bytes again."""
    return (content or b"").decode("utf-8", "surrogateescape")


def _encode(text: str) -> bytes:
    """Return the bytes of the text."""
    return text.encode("utf-8", "surrogateescape")


def _line_of(text: str, offset: int) -> int:
    """Return the number, from 1, of the line in which the offset lies."""
    return text.count("\n", 0, offset) + 1


def _offset_of_bad_bytes(text: str, found: t.Sequence[Assignment]) -> int | None:
    """Return the offset of what makes systemd refuse the whole file: a zero byte, or an assignment not in UTF-8."""
    if "\0" in text:
        return text.index("\0")
    return next((item.start for item in found if _NOT_TEXT.search(item.name + item.value)), None)


def _find(text: str, path: str, variable: str) -> Assignment | None:
    """Return the assignment of the variable that counts, which is the last one; None where there is none.

    Raises DaemonError where systemd does not read the file, where its versions do not read the same, and for a line
    that sets the variable in a shell only. Lines before the assignment do not matter: it overrides them.
    """
    found = read_assignments(text)
    bad = _offset_of_bad_bytes(text, found)
    if bad is not None:
        raise errors.not_text(path=path, line=_line_of(text, bad))
    ours = [item for item in found if item.name == variable]
    older = [item for item in read_assignments(text, before_254=True) if item.name == variable]
    if ours[-1:] != older[-1:]:
        offset = max(item.start for item in ours[-1:] + older[-1:])
        comments = list(re.finditer(r"^[ \t]*[#;].*\\$", text[:offset], re.MULTILINE))
        raise errors.comment_with_backslash(path=path, line=_line_of(text, comments[-1].start()) if comments else 1)
    _check_shell_assignments(text, path, variable, found, ours[-1].end if ours else 0)
    return ours[-1] if ours else None


def _check_shell_assignments(text: str, path: str, variable: str, found: t.Sequence[Assignment], start: int) -> None:
    """Raise DaemonError for a line from the offset on that sets the variable in a shell, though not for systemd."""
    name = rf"(?<![\w$])(?<!\$\{{){re.escape(variable)}"
    setting = re.compile(rf"{name}[ \t]*\+?=|\$\{{{re.escape(variable)}:?=|\bunset[ \t].*{name}\b")
    for match in re.finditer(r"[^\n\r]+", text[start:]):
        line = match[0].lstrip(" \t")
        if line.startswith(("#", ";")) or not setting.search(line):
            continue
        offset = start + match.start()
        number = _line_of(text, offset)
        if line[0] == "\ufeff" and not offset:
            raise errors.byte_order_mark(path=path)
        for item in found:
            if item.end > offset and _line_of(text, item.start) < number:
                raise errors.inside_value(path=path, line=number, name=item.name, begin=_line_of(text, item.start))
        first = re.match(r"(export|readonly|declare|typeset|local|unset)\b", line)
        syntax = (
            f"'{first[0]}'" if first else "'+='" if re.search(rf"{name}\+=", line) else "an assignment inside a command"
        )
        instead = f"does not change {variable} there"
        raise errors.shell_syntax(path=path, line=number, syntax=syntax, instead=instead)


def _words(found: Assignment | None, text: str, path: str) -> tuple[str, ...]:
    """Return the words of the assignment, split at white space. Raises DaemonError for one written for a shell."""
    if found is None:
        return ()
    line = _line_of(text, found.start)
    if not found.closed:
        raise errors.open_quote(path=path, line=line)
    if re.search(r"[$`]", found.value):
        syntax, instead = "an expansion ('$' or a backtick)", "takes it as it stands"
        raise errors.shell_syntax(path=path, line=line, syntax=syntax, instead=instead)
    for pattern, syntax, instead in _SHELL_SYNTAX:
        if re.search(pattern, found.unquoted):
            raise errors.shell_syntax(path=path, line=line, syntax=syntax, instead=instead)
    words = tuple(word for word in re.split(r"[ \t\n\r]+", found.value) if word)
    for word in words:
        if not _PLAIN_WORD.match(word):
            raise errors.word_not_plain(path=path, line=line, word=word)
    return words


__all__ = ("Assignment", "read_assignments", "read_environment", "read_words", "render")
