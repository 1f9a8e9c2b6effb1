# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""What the host's files tell the daemon today: its unit, the options file, daemon.json. Read-only."""

from __future__ import annotations

import fnmatch
import os
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import daemon_json as json_file
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors, unit
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import Request
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import (
    Option,
    read_arguments,
    values,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options_file import (
    read_environment,
    read_words,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import FileState, read_file, read_state

# A copy of a file, made before something is taken out of it, has the file's path with this and a number after it.
BACKUP = ".before-remote-api."
_DEFAULT_PATH = "/etc/default/docker"
_DEFAULT_VARIABLE = "DOCKER_OPTS"
_DEFAULT_DAEMON_JSON = "/etc/docker/daemon.json"


@dataclass(frozen=True)
class OptionsFile:
    """The options file as it is: its path, its variable, its state, and the options in the variable.

    ``live`` are those of them that the unit reads already; ``discarded`` those that do not stay.
    """

    path: str
    variable: str
    before: FileState | None
    present: tuple[Option, ...]
    live: tuple[Option, ...]
    discarded: tuple[Option, ...] = ()

    @property
    def where(self) -> str:
        """The place for messages: ``PATH, VARIABLE``."""
        return f"{self.path}, {self.variable}"

    @property
    def content(self) -> bytes | None:
        """The bytes of the file, None for no file."""
        return None if self.before is None else self.before.content


@dataclass(frozen=True)
class DaemonJson:
    """daemon.json: its path and state, its configuration before and after, and the keys taken out of it."""

    path: str
    state: FileState | None
    before: t.Mapping[str, t.Any]
    after: t.Mapping[str, t.Any]
    conflicts: tuple[json_file.Conflict, ...] = ()


def read_daemon_json(request: Request, options: t.Sequence[Option]) -> DaemonJson:
    """Return daemon.json as it is, at the path asked for, that of the command line, or dockerd's default.

    Raises DaemonError or FilesError.
    """
    named = values(options, "config-file")
    path = request.daemon_json or (named[-1] if named else _DEFAULT_DAEMON_JSON)
    state = read_state(path)
    configuration = json_file.parse(None if state is None else state.content, path)
    return DaemonJson(path, state, configuration, configuration)


def read_units(service: str) -> dict[str, bytes]:
    """Return the unit's files from the disk, by their paths, in the order in which systemd reads them."""
    paths = unit.unit_paths(service)
    return {path: (read_file(path) if os.path.realpath(path) != "/dev/null" else None) or b"" for path in paths}


def find_options_file(request: Request, base: unit.Unit) -> OptionsFile:
    """Return the options file: the one asked for, the one that the unit reads, or the default. Raises DaemonError.

    Refused is a file that the unit reads by a pattern: what a backup or another tool leaves beside it would count, too.
    """

    def assigned(path: str, variable: str) -> bool:
        return variable in read_environment(read_file(path))

    found_path, found_variable = unit.find_options(base, assigned)
    path = request.path or found_path or _DEFAULT_PATH
    variable = request.variable or found_variable or _DEFAULT_VARIABLE
    for item in base.environment_files:
        if item.pattern and fnmatch.fnmatchcase(path, item.pattern):
            raise errors.environment_file_pattern(path=path, unit=base.name, pattern=item.pattern)
    before = read_state(path)
    words = _present_words(base, None if before is None else before.content, path, variable)
    present = tuple(read_arguments(words, f"{path}, {variable}"))
    return OptionsFile(path, variable, before, present, present)


def _present_words(base: unit.Unit, content: bytes | None, path: str, variable: str) -> tuple[str, ...]:
    """Return the options that are kept today: in the file, or else in the unit's own ``Environment=``."""
    words = read_words(content, path, variable)
    if not words and variable not in read_environment(content) and base.reads(variable):
        words = tuple(unit.split_words(base.environment.get(variable, ""), unescape=False))
    return words


def fixed_options(base: unit.Unit, path: str, variable: str) -> list[Option]:
    """Return the options that the unit gives besides those in the variable."""
    environment = dict(variables(base, path, None), **{variable: ""})
    where = f"{base.command.path}:{base.command.first_line}"
    return read_arguments(unit.expand(base, environment)[1:], where)


def variables(effective: unit.Unit, path: str, content: bytes | None) -> dict[str, str]:
    """Return the environment that systemd builds for the command, with ``content`` in place of the file at ``path``.

    Raises DaemonError for a file that must be there and is not (systemd would not start the service).
    """
    found = dict(effective.environment)
    for item in effective.environment_files:
        there = content if item.path == path else read_file(item.path)
        if there is None and item.path != path and not item.optional:
            raise errors.environment_file_missing(path=item.path, unit=effective.name)
        found.update(read_environment(there))
    return found


def default_tls_directory(environment: t.Mapping[str, str]) -> str:
    """Return where dockerd, run by root with this environment, looks for TLS files that no option names.

    The rule is that of moby (daemon/command/options.go) and of docker/cli's config.Dir(). RHEL's /etc/sysconfig/docker
    sets DOCKER_CERT_PATH to /etc/docker.
    """
    home = environment.get("HOME") or "/root"
    found = environment.get("DOCKER_CERT_PATH") or environment.get("DOCKER_CONFIG") or os.path.join(home, ".docker")
    return os.path.join("/", found)  # systemd starts services in the root directory


__all__ = (
    "BACKUP",
    "DaemonJson",
    "OptionsFile",
    "default_tls_directory",
    "find_options_file",
    "fixed_options",
    "read_daemon_json",
    "read_units",
    "variables",
)
