# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Find out over the network who gets in at a port: everybody, clients with any certificate, or some clients only.

Nothing is expected of what listens there, and no certificate is verified: what it serves is returned to be judged.
Only GET /version and GET /info are asked. Only the standard library is used.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import (
    Connection,
    TlsOptions,
    bracketed,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.failures import explained, one_line
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.http_transport import HttpTransport
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.sockets import Progress, open_socket

# The options of the module audit, for it and for its action plugin.
AUDIT_ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "hosts": {"type": "list", "elements": "str", "default": []},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "ca_path": {"type": "path"},
    "ca_passphrase": {"type": "str", "no_log": True},
    "ca_certificate": {"type": "str"},
    "ca_key": {"type": "str", "no_log": True},
    "ledger_dir": {"type": "path"},
    "cert_path": {"type": "path"},
    "on_disk": {"type": "dict", "default": {}},
    "warn_below_days": {"type": "int", "default": 30},
    "fail_below_days": {"type": "int"},
    "formats": {
        "type": "dict",
        "default": {},
        "options": {"json": {"type": "path"}, "prometheus": {"type": "path"}, "html": {"type": "path"}},
    },
    "show": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 20},
}

# What can be found at a port.
CLOSED = "closed"  # the connection is refused
NO_ANSWER = "no_answer"  # no connection could be made, for another reason
PLAIN = "plain"  # an engine answers everybody, without TLS
TLS = "tls"  # an engine answers everybody, with TLS
ANY_CERTIFICATE = "any_certificate"  # an engine answers everybody who has a certificate, whoever signed it
MUTUAL_TLS = "mutual_tls"  # clients without a certificate that is trusted there are refused
OTHER = "other"  # something else answers

# The statuses with which a server that takes everybody's connection refuses those without a certificate.
REFUSALS = (400, 401, 403)

# How long a connection is waited for, in seconds: a firewall that drops packets never answers.
_CONNECT_WAIT = 3.0


@dataclass(frozen=True)
class Visitor:
    """A client's certificate and its key: their files, or both in one PEM text. With neither it has none."""

    certificate: str | None = None
    key: str | None = None
    pem: bytes | None = None


@dataclass(frozen=True)
class Exposure:
    """What was found at a port.

    ``access`` is one of the constants above, ``detail`` says more in a clause. ``certificate`` is what is served (DER),
    None if it was not seen. ``admitted`` tells whether the known client was let in, None if none was tried.
    ``version`` and ``info`` are what the engine answers to GET /version and GET /info, empty if it does not.
    """

    host: str
    port: int
    access: str
    detail: str = ""
    certificate: bytes | None = None
    admitted: bool | None = None
    version: t.Mapping[str, t.Any] = field(default_factory=dict)
    info: t.Mapping[str, t.Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The address as a client writes it, such as tcp://192.0.2.1:2376."""
        return f"tcp://{bracketed(self.host)}:{self.port}"


@dataclass(frozen=True)
class _Reply:
    """How an exchange ended: the status of its first answer, or the error instead."""

    status: int | None = None
    error: errors.EngineError | None = None
    served: bytes | None = None
    version: t.Mapping[str, t.Any] = field(default_factory=dict)
    info: t.Mapping[str, t.Any] = field(default_factory=dict)

    @property
    def is_engine(self) -> bool:
        """Whether an engine answered."""
        return self.status == 200 and "ApiVersion" in self.version

    @property
    def speaks_tls(self) -> bool:
        """Whether TLS was spoken, even if no agreement was reached."""
        refused = isinstance(self.error, errors.TlsError) and not isinstance(self.error, errors.PlainHttpError)
        return self.served is not None or refused

    @property
    def detail(self) -> str:
        """What happened, in a clause."""
        return one_line(self.error.cause) if self.error else f"it answers with status {self.status}"


def examine(host: str, port: int, stranger: Visitor, known: Visitor | None, timeout: float) -> Exposure:
    """Return what is found at a port.

    :param stranger: a client with a certificate of a CA that nobody trusts.
    :param known: a client that should be let in, if there is one.
    :param timeout: how long each exchange may take, in seconds. A connection is waited for no longer than 3 seconds.
    Raises OptionError if the files of the known client cannot be used.
    """
    knock = _knock(host, port, min(timeout, _CONNECT_WAIT))
    if knock is not None:
        return knock
    anonymous = _call(host, port, Visitor(), timeout)
    if not anonymous.speaks_tls:
        return _examine_plain(host, port, anonymous, timeout)
    if anonymous.is_engine:
        return Exposure(host, port, TLS, "", anonymous.served, version=anonymous.version, info=anonymous.info)
    if anonymous.status is not None and anonymous.status not in REFUSALS:
        return Exposure(host, port, OTHER, f"{anonymous.detail}, over TLS", anonymous.served)
    foreign = _call(host, port, stranger, timeout)
    served = foreign.served or anonymous.served
    if foreign.is_engine:
        return Exposure(host, port, ANY_CERTIFICATE, "", served, version=foreign.version, info=foreign.info)
    if known is None:
        return Exposure(host, port, MUTUAL_TLS, anonymous.detail, served)
    own = _call(host, port, known, timeout)
    if isinstance(own.error, errors.OptionError):
        raise own.error
    served = own.served or served
    detail = anonymous.detail if own.is_engine else own.detail
    return Exposure(host, port, MUTUAL_TLS, detail, served, own.is_engine, own.version, own.info)


def _knock(host: str, port: int, seconds: float) -> Exposure | None:
    """Return what is found at a port where no connection can be made, None if one can."""
    connection = _connection(host, port, None, seconds)
    progress = Progress(connection)
    try:
        with explained(progress, OSError):
            open_socket(progress).close()
    except errors.EngineError as exc:
        refused = isinstance(exc.__cause__, ConnectionRefusedError)
        return Exposure(host, port, CLOSED if refused else NO_ANSWER, one_line(exc.cause))
    return None


def _examine_plain(host: str, port: int, secured: _Reply, timeout: float) -> Exposure:
    """Return what is found at a port that speaks no TLS; ``secured`` is how the attempt to speak it ended."""
    plain = _call(host, port, None, timeout)
    if plain.is_engine:
        return Exposure(host, port, PLAIN, version=plain.version, info=plain.info)
    if plain.status is not None:
        return Exposure(host, port, OTHER, f"{plain.detail}, without TLS")
    return Exposure(host, port, OTHER, secured.detail)


def _connection(host: str, port: int, visitor: Visitor | None, timeout: float) -> Connection:
    """Return the connection of a visitor over TLS, or of nobody (None) without it."""
    tls = None
    if visitor is not None:
        tls = TlsOptions(False, None, visitor.certificate, visitor.key, host, client_pem=visitor.pem)
    return Connection(f"tcp://{bracketed(host)}:{port}", None, host, port, tls, None, timeout)


def _call(host: str, port: int, visitor: Visitor | None, timeout: float) -> _Reply:
    """Return how the engine answers a visitor over TLS, or anybody (None) without it.

    A finished handshake says nothing: with TLS 1.3 only the first read tells (RFC 8446, section 4.4.2.4).
    """
    progress = Progress(_connection(host, port, visitor, timeout))
    transport = HttpTransport(progress)
    status: int | None = None
    version: dict[str, t.Any] = {}
    try:
        status, version = _get(transport, progress, "/version")
        info = _get(transport, progress, "/info")[1] if "ApiVersion" in version else {}
        return _Reply(status, None, transport.served, version, info)
    except errors.EngineError as exc:
        return _Reply(status, exc if status is None else None, transport.served, version)
    finally:
        transport.close()


def _get(transport: HttpTransport, progress: Progress, path: str) -> tuple[int, dict[str, t.Any]]:
    """Return the status of ``GET path`` and the JSON object in its answer, empty if there is none or it is no success.

    Raises EngineError.
    """
    progress.begin(f"GET {path}")
    response = transport.send("GET", path, None, {"User-Agent": "dockerfleet.remote_api"})
    progress.read()
    body = response.peek()
    try:
        content = json.loads(body) if response.status == 200 else None
        # Its texts may have halves of surrogate pairs (RFC 8259, section 8.2), which can be written to no file.
        content = json.loads(json.dumps(content, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        content = None
    return response.status, content if isinstance(content, dict) else {}


def open_addresses(info: t.Mapping[str, t.Any]) -> list[str]:
    """Return the addresses, such as http://0.0.0.0:2375, of which an engine warns that everybody can use them.

    ``info`` is its answer to GET /info.
    """
    warnings = info.get("Warnings")
    text = "\n".join(one for one in warnings if isinstance(one, str)) if isinstance(warnings, list) else ""
    return re.findall(r"API is accessible on (https?://\S+)", text)


__all__ = (
    "ANY_CERTIFICATE",
    "AUDIT_ARGUMENTS",
    "CLOSED",
    "MUTUAL_TLS",
    "NO_ANSWER",
    "OTHER",
    "PLAIN",
    "REFUSALS",
    "TLS",
    "Exposure",
    "Visitor",
    "examine",
    "open_addresses",
)
