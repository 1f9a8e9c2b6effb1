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

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.environment_readers import (
    NAME,
    Assignment,
    ShellReader,
    SystemdReader,
    line_of,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import check_word

# Control characters other than tab and line feed. A carriage return is white space to systemd and not to a shell; no
# option has a use for the others.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
# How bytes that are not UTF-8 look after decoding.
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


def _decode(content: bytes | None) -> str:
    """Return the file as text from which exactly its bytes can be made again."""
    return (content or b"").decode("utf-8", "surrogateescape")


def _unreadable_item(text: str, found: t.Sequence[Assignment]) -> int | None:
    """Return the offset of what makes systemd refuse the whole file: a zero byte, or an assignment not in UTF-8."""
    if "\0" in text:
        return text.index("\0")
    return next((item.start for item in found if _NOT_UTF8.search(f"{item.name}={item.value}")), None)


def read_environment(content: bytes | None) -> dict[str, str]:
    """Return the variables that systemd reads from an environment file; of several assignments the last counts.

    Nothing where it cannot read the file.
    """
    text = _decode(content)
    found = SystemdReader(text).read()
    if _unreadable_item(text, found) is not None:
        return {}
    return {item.name: item.value or "" for item in found if NAME.match(item.name)}


def _assignments(content: bytes | None, path: str, variable: str) -> list[Assignment]:
    """Return the assignments of the variable. Raises DaemonError where systemd and a shell disagree on them."""
    text = _decode(content)
    if text.startswith("\ufeff"):
        raise errors.byte_order_mark(path=path)
    everything = SystemdReader(text).read()
    unreadable = _unreadable_item(text, everything)
    if unreadable is not None:
        raise errors.not_text(path=path, line=line_of(text, unreadable))
    shell = [item for item in ShellReader(text, path).read() if item.name == variable]
    systemd = [item for item in everything if item.name == variable]
    older = [item for item in SystemdReader(text, comments_go_on=True).read() if item.name == variable]
    if systemd != older:
        raise errors.comment_with_backslash(path=path, line=_comment_with_backslash(text))
    _check_mentions(path, text, variable, systemd, shell)
    _check_same(path, text, systemd, shell)
    return systemd


def _comment_with_backslash(text: str) -> int:
    """Return the number of the first line that is a comment and ends in a backslash."""
    found = re.search(r"^[ \t]*[#;].*\\\r?$", text, re.MULTILINE)
    return line_of(text, found.start()) if found else 1


def _check_mentions(
    path: str, text: str, variable: str, systemd: t.Sequence[Assignment], shell: t.Sequence[Assignment]
) -> None:
    """Raise DaemonError for a line that names the variable, but is no assignment that both read."""
    mentioned = re.compile(rf"(?<![A-Za-z0-9_]){re.escape(variable)}(?![A-Za-z0-9_])")
    in_shell = {line_of(text, item.start) for item in shell if item.value is not None}
    in_both = in_shell & {line_of(text, item.start) for item in systemd}
    for number, line in enumerate(text.split("\n"), 1):
        is_comment = line.lstrip(" \t").startswith("#")
        if mentioned.search(line) and not is_comment and (number not in in_both or "\r" in line):
            raise errors.read_differently(path, number, line)


def _check_same(path: str, text: str, systemd: t.Sequence[Assignment], shell: t.Sequence[Assignment]) -> None:
    """Raise DaemonError unless both readers found the same assignments with the same values."""
    ours = [(item.start, item.value) for item in systemd]
    theirs = [(item.start, item.value) for item in shell]
    different = [start for start, value in ours + theirs if (start, value) not in ours or (start, value) not in theirs]
    if different:
        number = line_of(text, min(different))
        raise errors.read_differently(path, number, text.split("\n")[number - 1])
    for item in systemd:
        if _CONTROL.search(item.value or ""):
            raise errors.control_characters(path=path, line=line_of(text, item.start))


def read_words(content: bytes | None, path: str, variable: str) -> tuple[str, ...]:
    """Return the options in the variable, word by word; nothing where the file or the variable is not there.

    Raises DaemonError, with file, line, cause and remedy, where systemd and a shell would read different words.
    """
    return _words(_assignments(content, path, variable), _decode(content), path)


def _words(found: t.Sequence[Assignment], text: str, path: str) -> tuple[str, ...]:
    """Return the words of the last assignment, split at blanks as both do it. Raises DaemonError."""
    if not found:
        return ()
    words = tuple(word for word in re.split(r"[ \t\n]+", found[-1].value or "") if word)
    for word in words:
        if re.search(r"[\"'\\*?$`]", word) or ("[" in word and not _is_safe(word)):
            raise errors.odd_word(path=path, line=line_of(text, found[-1].start), word=word)
    return words


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
    where the file cannot be read the same way by both readers, before or after.
    """
    text = _decode(content)
    found = _assignments(content, path, variable)
    if tuple(words) == _words(found, text, path) and (found or not words):
        return content or b""
    line = f'{variable}="{" ".join(words)}"'
    if found:
        new = text[: found[-1].start] + line + text[found[-1].end :]
    else:
        gap = "" if not text or text.endswith("\n") else "\n"
        if re.search(r"^[ \t]*[#;][^\n]*\\\r?\n?\Z", text, re.MULTILINE):
            gap += "\n"  # before systemd 254 such a comment swallows the line after it
        new = text + gap + line + "\n"
    result = new.encode("utf-8", "surrogateescape")
    _check_rendered(text, result, path, variable, words)
    return result


def _check_rendered(before: str, after: bytes, path: str, variable: str, words: t.Sequence[str]) -> None:
    """Raise DaemonError unless both read the words from the new file, and all else from it as before.

    This is so but for files whose last line goes on beyond its end, into a line that is added.
    """

    def others(text: str) -> list[tuple[str, str | None]]:
        return [(item.name, item.value) for item in SystemdReader(text).read() if item.name != variable]

    last_line = line_of(before, max(len(before.rstrip("\n")) - 1, 0))
    try:
        is_same = read_words(after, path, variable) == tuple(words)
    except errors.DaemonError as problem:
        raise errors.line_goes_on(path=path, line=last_line, variable=variable) from problem
    if not is_same or others(before) != others(_decode(after)):
        raise errors.line_goes_on(path=path, line=last_line, variable=variable)


__all__ = ("read_environment", "read_words", "render")
