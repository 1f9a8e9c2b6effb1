# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The service's unit: reading it with its drop-ins, working out the command line, and making it read the options.

Rules: systemd.syntax(7) for lines and quotes, systemd.service(5) "COMMAND LINES" for words and variables,
systemd.unit(5) for the order of drop-ins. The drop-in is derived from what the other files say, so that a
package's own flags (``-H fd://``, ``--containerd=...``) and paths are kept.
"""

from __future__ import annotations

import glob
import os
import re
import socket
import typing as t
from codecs import BOM_UTF8
from dataclasses import dataclass, field

from ansible_collections.dockerfleet.remote_api.plugins.module_utils import _systemd
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors

DROP_IN_NAME = "zz-docker-remote-api.conf"
_MARK = "# Written by Ansible (dockerfleet.remote_api.daemon_options)"

# The directories from which systemd loads units, most important first (systemd.unit(5), "UNIT FILE LOAD PATH").
_UNIT_DIRECTORIES = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)

_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}
_SPECIFIERS = {"%": "%", "t": "/run", "E": "/etc", "S": "/var/lib", "C": "/var/cache", "L": "/var/log"}
# A line that ends in a backslash which is not itself escaped goes on in the next one.
_GOES_ON = re.compile(r"(?<!\\)(\\\\)*\\\Z")
_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)\Z")


@dataclass(frozen=True)
class Setting:
    """One ``Key=value`` of the section [Service]: continued lines joined, and where it stands (lines from 1)."""

    key: str
    value: str
    path: str
    first_line: int
    last_line: int


@dataclass(frozen=True)
class EnvironmentFile:
    """A file that ``EnvironmentFile=`` names: its path, if it may be missing (``-``), and the pattern it matches."""

    path: str
    optional: bool
    pattern: str = ""


@dataclass(frozen=True)
class Unit:
    """What systemd makes of the unit's files: the one command, and where its variables come from.

    ``filters`` are the settings that take variables out of the environment, or pass on systemd's own.
    """

    name: str
    command: Setting
    words: tuple[str, ...]
    environment: t.Mapping[str, str] = field(default_factory=dict)
    environment_files: tuple[EnvironmentFile, ...] = ()
    filters: tuple[Setting, ...] = ()

    def reads(self, variable: str) -> bool:
        """Return whether the options in the variable reach the daemon: ``$NAME`` as a word of its own."""
        return f"${variable}" in self.words

    def filter_of(self, variable: str) -> Setting | None:
        """Return the ``UnsetEnvironment=`` or ``PassEnvironment=`` that names the variable, if any.

        The first takes it out of the environment in the end, the second adds systemd's own value (systemd.exec(5)).
        """
        for setting in self.filters:
            if variable in [_pair(word)[0] for word in split_words(setting.value, unescape=True)]:
                return setting
        return None

    def variables(self) -> list[str]:
        """Return the names of the variables that stand as words of their own, in order."""
        return [match.group(1) for match in map(_VARIABLE.match, self.words) if match]


def unit_paths(name: str) -> list[str]:
    """Return the unit's file and its drop-ins on the disk, in the order in which systemd reads them.

    Drop-ins are sorted by file name over all directories; of equal names the first directory's counts, and an
    empty one or a link to /dev/null hides the others. Units whose names have the same beginning up to a dash, and all
    units of the kind, can have drop-ins together. raises SystemdError where there is no unit file.
    """
    fragment = next((path for path in (f"{base}/{name}" for base in _UNIT_DIRECTORIES) if os.path.lexists(path)), None)
    if fragment is None:
        raise _systemd.no_service(service=name)
    if os.path.realpath(fragment) == "/dev/null":
        raise _systemd.masked_service(service=name)
    drop_ins: dict[str, str] = {}
    stem, dot, kind = name.rpartition(".")
    parts = stem.split("-")
    shared = [f"{'-'.join(parts[:count])}-.{kind}.d" for count in range(len(parts) - 1, 0, -1)]
    for folder in (f"{name}.d", *shared, f"{kind}.d"):
        for base in _UNIT_DIRECTORIES:
            for entry in _configuration_files(f"{base}/{folder}"):
                drop_ins.setdefault(entry, f"{base}/{folder}/{entry}")
    return [fragment, *(drop_ins[entry] for entry in sorted(drop_ins))]


def _configuration_files(directory: str) -> list[str]:
    """Return the names of the ``*.conf`` files in a directory that need not be there."""
    try:
        return [entry for entry in os.listdir(directory) if entry.endswith(".conf")]
    except (FileNotFoundError, NotADirectoryError):
        return []


def settings(path: str, content: bytes) -> t.Iterator[Setting]:
    """Yield the settings of the section [Service] in their order. A byte order mark at the beginning is skipped.

    systemd does the same (config_parse() in its src/shared/conf-parser.c), so such a file counts.
    """
    section = ""
    pending: list[str] = []
    first = 0
    content = content[len(BOM_UTF8) if content.startswith(BOM_UTF8) else 0 :]
    for number, line in enumerate(content.decode("utf-8", "surrogateescape").split("\n"), 1):
        text = line.lstrip(" \t\r")
        if text.startswith(("#", ";")) or (not text and not pending):
            continue
        first = first if pending else number
        if _GOES_ON.search(text):
            pending.append(text[:-1])
            continue
        whole = " ".join([*pending, text]).strip(" \t\r")
        pending = []
        if whole.startswith("["):
            section = whole
        elif section == "[Service]" and "=" in whole:
            key, value = whole.split("=", 1)
            yield Setting(key.strip(), value.strip(), path, first, number)


def load(name: str, files: t.Mapping[str, bytes], *, without: str = "") -> Unit:
    """Return what systemd would make of these files, in their order, ``without`` the one at a path. Raises DaemonError.

    Refused are units whose command is not one plain call of dockerd: nobody can tell whether another program passes
    its arguments on.
    """
    commands: list[Setting] = []
    environment: dict[str, str] = {}
    environment_files: list[EnvironmentFile] = []
    filters: list[Setting] = []
    for setting in (item for path in files if path != without for item in settings(path, files[path])):
        if setting.key == "ExecStart":
            commands = [*commands, setting] if setting.value else []
        elif setting.key == "EnvironmentFile":
            environment_files = [*environment_files, *_environment_files(name, setting)] if setting.value else []
        elif setting.key == "Environment":
            words = split_words(setting.value, unescape=True)
            environment = dict(environment, **dict(_pair(word) for word in words)) if words else {}
        elif setting.key in ("UnsetEnvironment", "PassEnvironment"):
            # An empty one takes back those before it.
            filters = [item for item in filters if setting.value or item.key != setting.key] + [setting]
    if not commands:
        raise errors.no_command(unit=name)
    if len(commands) > 1:
        places = ", ".join(f"{item.path}:{item.first_line}" for item in commands)
        raise errors.several_commands(unit=name, places=places)
    words_of_command = tuple(split_words(commands[0].value, unescape=True))
    _check_command(commands[0], words_of_command)
    return Unit(name, commands[0], words_of_command, environment, tuple(environment_files), tuple(filters))


def _environment_files(name: str, setting: Setting) -> list[EnvironmentFile]:
    """Return the files that an ``EnvironmentFile=`` of the unit names, those of a pattern sorted. Raises DaemonError.

    systemd reads all files that match, in this order (glob(3)). A pattern without any is kept as if it were a path.
    """
    optional = setting.value.startswith("-")
    path = _replace_specifiers(name, setting, setting.value[1:] if optional else setting.value)
    if not re.search(r"[*?[]", path):
        return [EnvironmentFile(path, optional)]
    return [EnvironmentFile(one, optional, path) for one in sorted(glob.glob(path)) or [path]]


def _pair(word: str) -> tuple[str, str]:
    """Return name and value of a ``NAME=value`` in ``Environment=``."""
    name, equals, value = word.partition("=")
    return name, value


def _check_command(command: Setting, words: t.Sequence[str]) -> None:
    """Raise DaemonError unless the command is a plain call of dockerd."""
    where = f"{command.path}:{command.first_line}"
    program = words[0].lstrip("-+!") if words else ""
    if program[:1] in ("@", ":", "|"):
        raise errors.command_prefix(where=where, prefix=program[0])
    if not re.match(r"(.*/)?dockerd(-[a-z0-9.-]+)?\Z", program):
        raise errors.not_dockerd(where=where, program=program or "(nothing)")


def split_words(text: str, *, unescape: bool) -> list[str]:
    """Return the words of a setting (``unescape``: backslash sequences are replaced) or of a variable's value.

    In a variable's value a backslash takes the next character as it is; quotes are honoured and removed in both.
    """
    words: list[str] = []
    current: str | None = None
    quote = ""
    position = 0
    while position < len(text):
        char = text[position]
        position += 1
        if char == "\\" and position < len(text):
            piece, position = _escape(text, position) if unescape else (text[position], position + 1)
            current = (current or "") + piece
        elif quote:
            current = (current or "") + ("" if char == quote else char)
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
            current = current or ""
        elif char in " \t\n\r":
            if current is not None:
                words.append(current)
            current = None
        else:
            current = (current or "") + char
    return words if current is None else [*words, current]


def _escape(text: str, position: int) -> tuple[str, int]:
    """Return what a backslash sequence means, its backslash just before ``position``, and where the rest begins."""
    char = text[position]
    if char == "x" and re.match(r"[0-9A-Fa-f]{2}", text[position + 1 : position + 3]):
        return chr(int(text[position + 1 : position + 3], 16)), position + 3
    return _ESCAPES.get(char, char), position + 1


def expand(unit: Unit, variables: t.Mapping[str, str]) -> tuple[str, ...]:
    """Return the argument list with which systemd starts the daemon, the program's path first.

    ``$NAME`` alone becomes as many words as its value has, ``${NAME}`` a part of its word. Raises DaemonError for a
    specifier (``%x``) that is not known here.
    """
    argv: list[str] = []
    for index, word in enumerate(unit.words):
        text = _replace_specifiers(unit.name, unit.command, word.lstrip("-+!") if index == 0 else word)
        match = _VARIABLE.match(text)
        if match:
            argv.extend(split_words(variables.get(match.group(1), ""), unescape=False))
        else:
            argv.append(_replace_variables(text, variables))
    return tuple(argv)


def _replace_variables(text: str, variables: t.Mapping[str, str]) -> str:
    """Return the word with ``${NAME}`` replaced and ``$$`` made one dollar."""

    def value(match: t.Match[str]) -> str:
        return "$" if match.group(0) == "$$" else variables.get(match.group(1), "")

    return re.sub(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}", value, text)


def _replace_specifiers(name: str, setting: Setting, word: str) -> str:
    """Return the word of the unit's setting with the specifiers of systemd.unit(5) replaced. Raises DaemonError."""
    prefix = name.rpartition(".")[0]
    known = dict(_SPECIFIERS, n=name, N=prefix, p=prefix, H=socket.gethostname())

    def value(match: t.Match[str]) -> str:
        if match.group(1) not in known:
            where = f"{setting.path}:{setting.first_line}"
            raise errors.unknown_specifier(where=where, key=setting.key, specifier=match.group(0))
        return known[match.group(1)]

    return re.sub(r"%(.)", value, word)


def drop_in_path(name: str) -> str:
    """Return the path of the collection's own drop-in; its name sorts late, so that it wins over others."""
    return f"/etc/systemd/system/{name}.d/{DROP_IN_NAME}"


def is_unit_file(path: str, name: str) -> bool:
    """Return whether the path is that of the unit's file, or of one of its own drop-ins."""
    return f"/{name}.d/" in path or path.endswith(f"/{name}")


def render_drop_in(unit: Unit, path: str, variable: str) -> bytes:
    """Return the drop-in that makes the unit (as it is without it) read the options in ``variable`` from ``path``."""
    lines = [_MARK, "[Service]"]
    if path not in [item.path for item in unit.environment_files]:
        lines.append(f"EnvironmentFile=-{path}")
    if not unit.reads(variable):
        lines += ["ExecStart=", f"ExecStart={unit.command.value} ${variable}"]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def edit_unit_file(unit: Unit, content: bytes, path: str, variable: str) -> bytes:
    """Return the unit file in which the command stands, changed in place to read the options, as one does by hand."""
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    if not unit.reads(variable):
        last = unit.command.last_line - 1
        lines[last] = f"{lines[last].rstrip()} ${variable}"
    if path not in [item.path for item in unit.environment_files]:
        lines.insert(unit.command.first_line - 1, f"EnvironmentFile=-{path}")
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def find_options(unit: Unit, assigned: t.Callable[[str, str], bool]) -> tuple[str | None, str | None]:
    """Return (file, variable) in which the unit keeps its options today, None for what it does not have.

    ``assigned(path, variable)`` tells whether the file sets the variable. Distributions call the variable
    DOCKER_OPTS or OPTIONS; of several files the one that sets it counts, else the one that has the service's name, or
    else the last that lies under /etc. Of a pattern's files, only one that sets it does: others may come and go.
    """
    names = unit.variables()
    usual = [name for name in ("DOCKER_OPTS", "OPTIONS") if name in names]
    others = [name for name in names if name.endswith(("_OPTS", "OPTIONS", "_ARGS"))]
    variable = (usual + others)[0] if usual or others else None
    files = [item for item in unit.environment_files if item.path.startswith("/etc/")]
    setting = [item.path for item in files if variable and assigned(item.path, variable)]
    own = [item.path for item in files if not item.pattern]
    named = [path for path in own if os.path.basename(path) == unit.name.rpartition(".")[0]]
    found = setting or named or own
    return found[-1] if found else None, variable


__all__ = (
    "DROP_IN_NAME",
    "EnvironmentFile",
    "Setting",
    "Unit",
    "drop_in_path",
    "edit_unit_file",
    "expand",
    "find_options",
    "is_unit_file",
    "load",
    "render_drop_in",
    "settings",
    "split_words",
    "unit_paths",
)
