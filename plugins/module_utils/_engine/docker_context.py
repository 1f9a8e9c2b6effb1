# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Write a context into the docker client's own store, and remove it, as ``docker context`` does.

First everything is read and planned, then it is written: the PEM files before the description that leads to them, and
the description before the configuration that makes it the current one. What others keep there stays.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import (
    TlsOptions,
    parse_address,
    require_absolute,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.context_store import (
    DEFAULT_CONTEXT,
    PEM_NAMES,
    ContextStore,
    current_name,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.tls import make_context
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import (
    Change,
    FileState,
    files_error,
    make_directories,
    read_state,
    remove_leftovers,
    write_change,
)

# What the client takes for a name (docker/cli, cli/context/store, ValidateContextName).
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.+-]+")
_FILE_MODE = 0o600
_DIRECTORY_MODE = 0o700


@dataclass(frozen=True)
class ContextRequest:
    """A context as it is asked for: the engine's address and a directory with ca.pem, cert.pem and key.pem, or none.

    ``current`` tells whether it is to be the current context; None leaves that as it is.
    """

    name: str
    docker_host: str
    cert_path: str | None
    current: bool | None


@dataclass(frozen=True)
class ContextPlan:
    """What is to be written, in this order, and which directories are to be removed after that.

    ``context`` is what there will be, None if the context is removed.
    """

    changes: tuple[Change, ...]
    removed: tuple[str, ...]
    context: dict[str, t.Any] | None

    @property
    def changed(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.changes or self.removed)


def check_request(name: str, docker_host: str, *, with_certificates: bool) -> str:
    """Return the engine's address as a context has it, with scheme and port. Reads nothing. Raises OptionError."""
    _check_name(name)
    address = parse_address(docker_host, tls=with_certificates)
    if with_certificates and not address.startswith("tcp://"):
        raise errors.certificates_for_socket(address=address)
    return address


def plan_context(store: ContextStore, request: ContextRequest) -> ContextPlan:
    """Return what makes the context what is asked for. Read-only. Raises OptionError and FilesError."""
    require_absolute({"cert_path": request.cert_path})
    address = check_request(request.name, request.docker_host, with_certificates=request.cert_path is not None)
    material = _read_material(request.cert_path) if request.cert_path else dict.fromkeys(PEM_NAMES)
    config = _read_config(store)
    meta = _read_meta(store, request.name)
    was_current = current_name(config) == request.name
    current = was_current if request.current is None else request.current
    changes = [_pem_change(os.path.join(store.pem_directory(request.name), pem), material[pem]) for pem in PEM_NAMES]
    changes.append(_meta_change(store, request.name, address, meta))
    if current != was_current:
        changes.append(_config_change(store, config, request.name if current else None))
    context = {
        "name": request.name,
        "docker_host": address,
        "current": current,
        "meta_path": store.meta_path(request.name),
        "tls_path": store.pem_directory(request.name) if request.cert_path else None,
    }
    return ContextPlan(tuple(change for change in changes if change), (), context)


def plan_removal(store: ContextStore, name: str) -> ContextPlan:
    """Return what removes the context, with all its endpoints, as ``docker context rm --force`` does. Read-only.

    Raises OptionError and FilesError.
    """
    _check_name(name)
    config = _read_config(store)
    changes = (_config_change(store, config, None),) if current_name(config) == name else ()
    directories = (store.meta_directory(name), store.tls_directory(name))
    return ContextPlan(changes, tuple(path for path in directories if os.path.lexists(path)), None)


def carry_out(plan: ContextPlan) -> None:
    """Write and remove what the plan says. Raises FilesError."""
    for change in plan.changes:
        if change.after is not None:
            make_directories(change.path, _DIRECTORY_MODE)
        remove_leftovers(change.path)
        write_change(change)
    for path in plan.removed:
        try:
            shutil.rmtree(path)
        except OSError as exc:
            raise files_error(path, "removed", exc) from exc


def _check_name(name: str) -> None:
    """Raise OptionError for a name that the client does not take."""
    if name == DEFAULT_CONTEXT or not _NAME.fullmatch(name):
        raise errors.bad_context_name(name=name)


def _read_config(store: ContextStore) -> dict[str, t.Any]:
    """Return the client's configuration, empty if there is none. Raises OptionError."""
    try:
        config = store.config()
        current_name(config)
    except (OSError, ValueError) as exc:
        raise errors.unusable_store(path=store.config_path, reason=exc) from exc
    return config


def _read_meta(store: ContextStore, name: str) -> dict[str, t.Any]:
    """Return the context's description, empty if it does not exist. Raises OptionError."""
    try:
        meta = store.meta(name) or {}
        endpoints = meta.get("Endpoints") or {}
        if not isinstance(endpoints, dict) or not isinstance(endpoints.get("docker") or {}, dict):
            raise ValueError("its endpoints are no objects")
    except (OSError, ValueError) as exc:
        raise errors.unusable_store(path=store.meta_path(name), reason=exc) from exc
    return meta


def _read_material(directory: str) -> dict[str, bytes | None]:
    """Return the PEM files that a context gets, by name. Raises OptionError unless they fit together.

    The client looks for nothing at this point; it would fail at the first use.
    """
    if not os.path.isdir(directory):
        raise errors.not_a_directory(source="cert_path", path=directory)
    ca, cert, key = paths = [os.path.join(directory, name) for name in PEM_NAMES]
    make_context(TlsOptions(True, ca, cert, key, ""))
    found = {os.path.basename(path): read_state(path) for path in paths}
    return {name: state.content if state else None for name, state in found.items()}


def _pem_change(path: str, content: bytes | None) -> Change | None:
    """Return the change that makes a PEM file of the context this (None: no file); None if it is. Raises FilesError."""
    before = read_state(path)
    wanted_mode = None if content is None else _FILE_MODE
    if (before and before.content) == content and (before and before.mode) == wanted_mode:
        return None
    shown = (
        _shown_pem(path, before.content, before.mode) if before else "",
        (_shown_pem(path, content, _FILE_MODE, before) if content is not None else ""),
    )
    return _change(path, before, content, shown, _FILE_MODE)


def _shown_pem(path: str, content: bytes, mode: int, before: FileState | None = None) -> str:
    """Return a PEM file's line in the diff: its mode, and the SHA-256 of certificates. Keys are not described."""
    what = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if path.endswith("key.pem"):
        what = "another private key" if before and before.content != content else "a private key"
    return f"{what}, mode {mode:04o}\n"


def _meta_change(store: ContextStore, name: str, address: str, meta: dict[str, t.Any]) -> Change | None:
    """Return the change that makes the context's description lead to the address; None if it does."""
    endpoints = meta.get("Endpoints") or {}
    docker = {**(endpoints.get("docker") or {}), "Host": address, "SkipTLSVerify": False}
    wanted = {"Metadata": {}, **meta, "Name": name, "Endpoints": {**endpoints, "docker": docker}}
    if wanted == meta:
        return None
    path = store.meta_path(name)
    before = read_state(path)
    after = json.dumps(wanted, separators=(",", ":"), ensure_ascii=False)
    shown = before.content.decode("utf-8") + "\n" if before else "", after + "\n"
    return _change(path, before, after.encode(), shown, before.mode if before else _FILE_MODE)


def _config_change(store: ContextStore, config: dict[str, t.Any], name: str | None) -> Change:
    """Return the change that makes a context the current one, or none of them.

    The diff shows no more than that: this file may hold passwords. The client writes it with tabs.
    """
    wanted = {key: value for key, value in config.items() if key != "currentContext"}
    if name:
        wanted["currentContext"] = name
    before = read_state(store.config_path)
    after = json.dumps(wanted, indent="\t", ensure_ascii=False).encode()
    shown = f"currentContext: {current_name(config) or 'default'}\n", f"currentContext: {name or 'default'}\n"
    return _change(store.config_path, before, after, shown, before.mode if before else _FILE_MODE)


def _change(path: str, before: FileState | None, after: bytes | None, shown: tuple[str, str], mode: int) -> Change:
    """Return the change of one file. A new one belongs to the user who runs this."""
    owner = (None, None) if before else (os.geteuid(), os.getegid())
    return Change(path, before, after, shown, mode, *owner)


__all__ = ("ContextPlan", "ContextRequest", "carry_out", "check_request", "plan_context", "plan_removal")
