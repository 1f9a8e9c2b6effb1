# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The types that planning, checking and carrying out share: a request, the daemon's settings, a plan."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import daemon_json as json_file
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import unit
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import (
    ListenAddress,
    Option,
    Value,
    is_on,
    last_value,
    parse_host,
    values,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.process import Process
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.tls_files import TlsFiles, from_options
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import (
    Change,
    read_file,
    require_absolute,
)

LOCAL_SOCKET = "unix:///var/run/docker.sock"
# The options that name a file which this collection reads or writes, too.
_PATH_OPTIONS = ("tlscacert", "tlscert", "tlskey", "config-file")


@dataclass(frozen=True)
class Request:
    """What the user asks for: the options of the module daemon_options. Raises FilesError for a path that is relative.

    ``absent``: take back what this collection has changed; ``keep`` are paths that stay even so.
    ``server_ca`` are the CA certificates (PEM) of the server's certificate; None: those that ``tlscacert`` names.
    """

    options: t.Mapping[str, Value]
    remove: tuple[str, ...] = ()
    exclusive: bool = False
    path: str | None = None
    variable: str | None = None
    service: str = "docker.service"
    unit_wiring: str = "drop_in"
    on_conflict: str = "fail"
    on_unread_options: str = "fail"
    daemon_json: str | None = None
    live_restore: bool | None = None
    allow_insecure: bool = False
    absent: bool = False
    keep: tuple[str, ...] = ()
    server_ca: str | None = None

    def __post_init__(self) -> None:
        """Check the paths on the host. Raises FilesError."""
        for option, path in (("path", self.path), ("daemon_json", self.daemon_json)):
            if path:
                require_absolute(option, path)
        for name in _PATH_OPTIONS:
            value = self.options.get(name)
            for item in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(item, str):
                    require_absolute(f"options, {name}", item)


@dataclass(frozen=True)
class DaemonSettings:
    """What the daemon is told by its options and by daemon.json, as far as it matters here.

    ``activation_sockets`` are the paths of the local sockets that systemd passes to it.
    """

    options: tuple[Option, ...]
    configuration: t.Mapping[str, t.Any]
    activation_sockets: tuple[str, ...] = ()

    @property
    def _listening(self) -> tuple[Option, ...]:
        """The settings about listening and TLS, from either place."""
        return (*json_file.listening(self.configuration), *self.options)

    @property
    def listen(self) -> tuple[ListenAddress, ...]:
        """The TCP addresses on which it listens. Raises DaemonError for one that dockerd refuses."""
        found = [parse_host(value, written_out=False) for value in values(self._listening, "host")]
        return tuple(address for address in found if address)

    @property
    def local_sockets(self) -> tuple[str, ...]:
        """The paths of the local sockets on which it listens; ``fd://`` means those of systemd's socket unit."""
        hosts = values(self._listening, "host") or [LOCAL_SOCKET]
        paths = [(host if host != "unix://" else LOCAL_SOCKET)[7:] for host in hosts if host.startswith("unix://")]
        return (*paths, *(self.activation_sockets if self.socket_activated else ()))

    @property
    def socket_activated(self) -> bool:
        """Whether it takes its local socket from systemd (``-H fd://``)."""
        return any(host.startswith("fd:") for host in values(self._listening, "host"))

    @property
    def uses_tls(self) -> bool:
        """Whether its TCP addresses speak TLS: ``tlsverify`` turns it on whatever its value is."""
        return last_value(self._listening, "tlsverify") is not None or is_on(self._listening, "tls")

    @property
    def verifies_clients(self) -> bool:
        """Whether only clients with a certificate are let in: ``tlsverify`` is on."""
        return is_on(self._listening, "tlsverify")

    @property
    def data_root(self) -> str:
        """Where it keeps its data; with user namespaces that is in a directory in it, which is called ``*``."""
        names = ("data-root", "graph", "userns-remap")
        root, old_root, users = (last_value(self.options, name) or self.configuration.get(name) for name in names)
        path = os.path.realpath(os.path.join("/", str(root or old_root or "/var/lib/docker")))
        return f"{path}/*" if users else path

    @property
    def live_restore(self) -> bool:
        """Whether containers keep running while it restarts."""
        return is_on(self.options, "live-restore") or self.configuration.get("live-restore") is True

    def present_tls_files(self, directory: str) -> TlsFiles | None:
        """Return the TLS files that it uses, those not named lying in the directory; None if it speaks no TLS.

        ``directory`` is that of host_files.default_tls_directory().
        """
        named = [last_value(self._listening, option) for option in ("tlscacert", "tlscert", "tlskey")]
        names = ("ca.pem", "cert.pem", "key.pem")
        paths = [path or os.path.join(directory, name) for path, name in zip(named, names)]
        return TlsFiles(*paths) if self.verifies_clients or is_on(self._listening, "tls") else None

    def tls_files(self, where: str, *, requested: bool) -> TlsFiles | None:
        """Return the TLS files that the settings name; see tls_files.from_options()."""
        return from_options(self._listening, where, requested=requested)


@dataclass(frozen=True)
class Mode:
    """How to change the daemon: ``restart`` is when_needed, never or always; times are in seconds.

    ``timeout`` is how long the daemon may take to answer, ``settle`` how long it then has to keep running. dockerd
    reports that it is ready after it has opened its addresses, reached containerd and restored containers and networks.
    Of some thirty real faults, tried on the engines 20.10, 26.1 and 28.5, each ended it before that report or not at
    all within 12 s. So ``settle`` is for what was not thought of: more seconds found no more.
    """

    check: bool
    restart: str
    timeout: float
    settle: float = 2.0

    @property
    def revive(self) -> float:
        """How long the old daemon may take to start: a limit that was too short for the new one was not its fault."""
        return max(self.timeout, 60.0)


@dataclass(frozen=True)
class Plan:
    """The changes, in the order in which they are made, and what the daemon will be told after them.

    ``requested`` are the names of the options that were asked for.
    ``live_restore`` is what was asked for (None: leave it as it is). ``restart_reasons`` is empty if the running
    daemon need not be restarted. ``moves_data``: an option is requested with which the engine may leave its containers
    behind. ``stays_stopped``: the service was stopped on purpose. ``warnings`` are for the user. ``server_ca``: see
    Request.
    """

    service: str
    changes: tuple[Change, ...]
    words: tuple[str, ...]
    argv: tuple[str, ...]
    before: DaemonSettings
    after: DaemonSettings
    options_path: str
    variable: str
    daemon_json: str
    conflicts: tuple[json_file.Conflict, ...]
    live_restore: bool | None
    tls: TlsFiles | None
    command: unit.Setting
    running: Process | None
    reload_due: bool
    requested: tuple[str, ...] = ()
    moves_data: bool = False
    stays_stopped: bool = False
    warnings: tuple[str, ...] = ()
    restart_reasons: tuple[str, ...] = ()
    server_ca: str | None = None

    def change_of(self, path: str) -> Change | None:
        """Return the change of the file at the path, or of the file that a symbolic link there leads to."""
        target = os.path.realpath(path)
        return next((change for change in self.changes if os.path.realpath(change.path) == target), None)

    def content_of(self, path: str) -> bytes | None:
        """Return the bytes of the file after the plan, None for no file. Raises FilesError."""
        change = self.change_of(path)
        return read_file(path) if change is None else change.after


__all__ = ("LOCAL_SOCKET", "DaemonSettings", "Mode", "Plan", "Request")
