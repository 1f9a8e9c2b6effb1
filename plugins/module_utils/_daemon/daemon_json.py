# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""daemon.json, the other place where dockerd reads its configuration.

A key that is both there and on the command line stops dockerd, even when the values are equal (dockerd reference,
"Daemon configuration file").
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import Option, file_name, values


@dataclass(frozen=True)
class Conflict:
    """A key that is set in both places: its name in the file, the flag's name, and both values as text."""

    key: str
    option: str
    from_flag: str
    from_file: str

    def __str__(self) -> str:
        """Return the key with both values, for a message."""
        return f"{self.key} (on the command line: {self.from_flag}; in the file: {self.from_file})"


def parse(content: bytes | None, path: str) -> dict[str, t.Any]:
    """Return what the file says; nothing where it is absent or empty, as for dockerd.

    Raises DaemonError, with line and column, where it is not a JSON object.
    """
    text = (content or b"").decode("utf-8-sig", "replace")
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError as exc:
        line = getattr(exc, "lineno", 1)
        raise errors.bad_json(where=f"{path}:{line}", why=getattr(exc, "msg", str(exc))) from exc
    if not isinstance(found, dict):
        raise errors.no_json_object(path=path)
    return found


def conflicts(configuration: t.Mapping[str, t.Any], options: t.Sequence[Option]) -> list[Conflict]:
    """Return every key that is both in the file and among the options of the command line, in the latter's order."""
    found: dict[str, Conflict] = {}
    for option in options:
        key = file_name(option.name)
        # The only one that dockerd accepts in both places (moby, daemon/config: flatOptions and skipDuplicates).
        if key in configuration and option.name != "add-runtime":
            from_flag = ", ".join(values(options, option.name))
            found[key] = Conflict(key, option.name, from_flag, json.dumps(configuration[key]))
    return list(found.values())


# The settings of the file that say where the daemon listens and with which certificate.
LISTENING = {key: key for key in ("tls", "tlsverify", "tlscacert", "tlscert", "tlskey")}
LISTENING["hosts"] = "host"


def listening(configuration: t.Mapping[str, t.Any]) -> tuple[Option, ...]:
    """Return the file's settings about listening and TLS as the options that mean the same."""
    found = []
    for key, name in LISTENING.items():
        value = configuration.get(key)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, bool):
                found.append(Option(name, str(item).lower(), ()))
            elif isinstance(item, str):
                found.append(Option(name, item, ()))
    return tuple(found)


def render(configuration: t.Mapping[str, t.Any]) -> bytes:
    """Return the file for a configuration, indented by four blanks."""
    return (json.dumps(configuration, indent=4, ensure_ascii=False) + "\n").encode("utf-8")


__all__ = ("LISTENING", "Conflict", "conflicts", "listening", "parse", "render")
