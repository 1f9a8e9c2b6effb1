# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Where the docker client keeps its contexts, and what is in them (docker/cli, cli/context/store)."""

from __future__ import annotations

import hashlib
import json
import os
import typing as t
from dataclasses import dataclass

# The client's name for the local socket, which is no context of the store.
DEFAULT_CONTEXT = "default"
PEM_NAMES = ("ca.pem", "cert.pem", "key.pem")


def client_directory() -> str:
    """Return the docker client's configuration directory: that in DOCKER_CONFIG, or ~/.docker."""
    return os.environ.get("DOCKER_CONFIG") or os.path.join(os.path.expanduser("~"), ".docker")


@dataclass(frozen=True)
class ContextStore:
    """The contexts in one configuration directory of the docker client.

    Each has a directory for its description and one for its PEM files, named by the SHA-256 of the context's name.
    """

    directory: str

    @property
    def config_path(self) -> str:
        """The client's configuration file, which names the current context."""
        return os.path.join(self.directory, "config.json")

    def meta_directory(self, name: str) -> str:
        """Return the directory with a context's description."""
        return os.path.join(self.directory, "contexts", "meta", hashlib.sha256(name.encode()).hexdigest())

    def meta_path(self, name: str) -> str:
        """Return the file with a context's description."""
        return os.path.join(self.meta_directory(name), "meta.json")

    def tls_directory(self, name: str) -> str:
        """Return the directory with a context's PEM files: a directory for each of its endpoints."""
        return os.path.join(self.directory, "contexts", "tls", hashlib.sha256(name.encode()).hexdigest())

    def pem_directory(self, name: str) -> str:
        """Return the directory with the PEM files of a context's engine."""
        return os.path.join(self.tls_directory(name), "docker")

    def config(self) -> dict[str, t.Any]:
        """Return the client's configuration, empty if there is none. Raises OSError and ValueError."""
        return _load_object(self.config_path) or {}

    def meta(self, name: str) -> dict[str, t.Any] | None:
        """Return a context's description, None if there is no such context. Raises OSError and ValueError."""
        return _load_object(self.meta_path(name))


def current_name(config: t.Mapping[str, t.Any]) -> str:
    """Return the name of the current context, empty if it is the default one. Raises ValueError."""
    name = config.get("currentContext") or ""
    if not isinstance(name, str):
        raise ValueError("currentContext is not a name")
    return "" if name == DEFAULT_CONTEXT else name


def _load_object(path: str) -> dict[str, t.Any] | None:
    """Return the JSON object in a file, None if there is no file. Raises OSError, and ValueError if it holds none."""
    try:
        with open(path, encoding="utf-8") as stream:
            content = json.load(stream)
    except FileNotFoundError:
        return None
    if not isinstance(content, dict):
        raise ValueError("it holds no JSON object")
    return content


__all__ = ("DEFAULT_CONTEXT", "PEM_NAMES", "ContextStore", "client_directory", "current_name")
