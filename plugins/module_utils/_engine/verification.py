# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Check that an engine is open to its clients and closed to everybody else.

Each check asks the engine itself, over the network, as a client or as a stranger would. Only the standard library is
used, so that the checks run on a host as well.
"""

from __future__ import annotations

import json
import os
import ssl
import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._addresses import (
    is_loopback,
    is_unspecified,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import (
    DEFAULT_ADDRESS,
    ENGINE_ARGUMENTS,
    PLAIN_PORT,
    TLS_PORT,
    ClientEnvironment,
    Connection,
    TlsOptions,
    bracketed,
    resolve,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.context_store import PEM_NAMES
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.exposure import (
    REFUSALS,
    open_addresses,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.failures import explained
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.http_transport import HttpTransport
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.sockets import (
    CONNECTING,
    Progress,
    open_socket,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.tls import PeerCertificate
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError

VERIFY_ARGUMENTS: dict[str, dict[str, t.Any]] = {
    **ENGINE_ARGUMENTS,
    "run_on": {"type": "str", "choices": ["controller", "host"], "default": "controller"},
    "listen": {"type": "list", "elements": "str"},
    "port": {"type": "int"},
    "ca_passphrase": {"type": "str", "no_log": True},
    "ca_certificate": {"type": "str"},
    "ca_key": {"type": "str", "no_log": True},
    "negative_checks": {"type": "bool", "default": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

# How long a port that should be closed is waited for, in seconds: a firewall that drops packets never answers.
CLOSED_PORT_WAIT = 3.0


@dataclass(frozen=True)
class Identities:
    """PEM texts of clients, each a certificate and its key.

    ``client`` is to be let in, ``stranger`` is of a CA that nobody trusts, and ``retired`` of one that was replaced.
    """

    client: bytes | None = None
    stranger: bytes | None = None
    retired: bytes | None = None


@dataclass(frozen=True)
class Check:
    """One check of an address: its name, whether it passed, what was seen, and what to do if it failed."""

    address: str
    name: str
    ok: bool
    detail: str
    remedy: str = ""

    @classmethod
    def failed(cls, address: str, name: str, error: errors.EngineError) -> Check:
        """Return the check that an error makes fail."""
        return cls(address, name, False, f"{error.subject}: {error.cause}", error.remedy)


def verify(
    params: t.Mapping[str, t.Any], host: str, *, local: bool, identities: Identities | None = None
) -> dict[str, t.Any]:
    """Return the task's result, with ``failed`` and ``msg`` if a check failed or an option cannot be used.

    :param params: as in VERIFY_ARGUMENTS. A directory in ``ca_path`` stands for the certificate in it.
    :param host: the name or address of the host to check, which stands for wildcards in ``listen`` as well.
    :param local: whether this runs on that host, so that its unix socket can be asked.
    """
    result: dict[str, t.Any] = {"changed": False}
    try:
        run = _Verification(params, host, local, identities or Identities())
        info = run.check_all()
        result["checks"] = [
            {"address": check.address, "name": check.name, "ok": check.ok, "detail": check.detail}
            for check in run.checks
        ]
        _require(run.checks)
        result["info"] = info
    except RemoteApiError as exc:
        result.update(failed=True, msg=str(exc))
    return result


def _require(checks: t.Sequence[Check]) -> None:
    """Raise EngineError if a check failed."""
    failed = [check for check in checks if not check.ok]
    if failed:
        several = len({check.address for check in checks}) > 1
        raise errors.checks_failed(
            addresses=", ".join(dict.fromkeys(check.address for check in failed)),
            failed=len(failed),
            total=len(checks),
            details="; ".join(
                f"{check.name}{f' at {check.address}' if several else ''} ({check.detail})" for check in failed
            ),
            remedies=" ".join(dict.fromkeys(check.remedy for check in failed)),
        )


class _Verification:
    """The checks of all addresses of one host, and what they found so far."""

    def __init__(self, params: t.Mapping[str, t.Any], host: str, local: bool, identities: Identities) -> None:
        """Check nothing yet. Raises OptionError."""
        self.checks: list[Check] = []
        ca_path = params["ca_path"] or ""
        self._params = {**params, "ca_path": os.path.join(ca_path, PEM_NAMES[0])} if os.path.isdir(ca_path) else params
        self._host = host
        self._local = local
        self._identities = identities
        self._connections = self._find_connections()

    def _find_connections(self) -> list[Connection]:
        """Return the connections over TCP that are to be checked; note those that cannot be. Raises OptionError."""
        params = self._params
        if not params["listen"]:
            port = params["port"] or (PLAIN_PORT if params["tls"] is False else TLS_PORT)
            return [self._connection(params["docker_host"] or f"tcp://{bracketed(self._host)}:{port}")]
        connections: dict[str, Connection] = {}
        for listened in params["listen"]:
            connection = self._connection(listened)
            if is_unspecified(connection.host):
                connection = self._connection(f"tcp://{bracketed(self._host)}:{connection.port}")
            elif not self._local and is_loopback(connection.host):
                detail = "a loopback address can be reached from the host alone"
                self.checks.append(Check(connection.address, "skipped", True, detail))
                continue
            connections[connection.address] = connection
        return list(connections.values())

    def _connection(self, address: str) -> Connection:
        """Return the connection to a TCP address as the client that is to be let in. Raises OptionError."""
        params, client = self._params, self._identities.client
        tls = True if params["tls"] is None and (client or params["ca_certificate"]) else params["tls"]
        connection = resolve({**params, "docker_host": address, "tls": tls}, ClientEnvironment.empty())
        if connection.socket_path is not None:
            raise errors.not_checkable(address=address)
        if connection.tls is not None:
            options = replace(connection.tls, ca_pem=params["ca_certificate"], client_pem=client)
            return replace(connection, tls=options)
        return connection

    def check_all(self) -> dict[str, t.Any]:
        """Run all checks, and return what the engine answers to GET /info, empty if it does not."""
        local: dict[str, t.Any] = {}
        if self._local:
            socket = resolve({**self._params, "docker_host": DEFAULT_ADDRESS}, ClientEnvironment.empty())
            check, local, _certificate = _check_information("local_socket", socket)
            self.checks.append(check)
        if self._params["state"] == "absent":
            self.checks.extend(_check_closed(one, one.port, "port_closed") for one in self._connections)
            return local
        infos = [local, *(self._check_address(connection, local) for connection in self._connections)]
        if self._params["negative_checks"]:
            self._check_insecure_ports()
        return next((info for info in infos if info), {})

    def _check_address(self, connection: Connection, local: dict[str, t.Any]) -> dict[str, t.Any]:
        """Run the checks of one address, and return what answers GET /info there, empty if nothing does.

        On the host and without a client certificate, GET /info is asked over the socket alone, with the answer
        ``local``.
        """
        info: dict[str, t.Any] = {}
        if not self._local or connection.tls is None or connection.tls.client_name:
            check, info, certificate = _check_information("info", connection)
            if connection.tls is not None:
                self.checks.append(_check_certificate(connection, certificate))
            self.checks.append(check)
            if local and info:
                self.checks.append(_check_same_engine(connection.address, local, info))
        else:
            self.checks.append(_check_certificate(connection, None))
        if local or info:
            self.checks.append(_check_warnings(local or info, connection))
        if self._params["negative_checks"] and connection.tls is not None:
            self.checks.extend(_check_strangers(connection, connection.tls, self._identities))
        return info

    def _check_insecure_ports(self) -> None:
        """Check that port 2375 is closed on each host that has an address with TLS and none at this port."""
        meant = {connection.host for connection in self._connections if connection.port == PLAIN_PORT}
        secured = {connection.host: connection for connection in self._connections if connection.tls is not None}
        for host, connection in secured.items():
            if host not in meant:
                self.checks.append(_check_closed(connection, PLAIN_PORT, "insecure_port_closed"))


# --- what must work ----------------------------------------------------------------------------------------------


def _ask(progress: Progress, path: str) -> tuple[int, bytes, dict[str, t.Any] | None]:
    """Return the status and body of ``GET path``, and the engine's certificate if TLS is spoken. Raises EngineError."""
    progress.begin(f"GET {path}")
    transport = HttpTransport(progress)
    try:
        response = transport.send("GET", path, None, {})
        progress.read()
        return response.status, response.peek(), transport.certificate()
    finally:
        transport.close()


def _check_information(name: str, connection: Connection) -> tuple[Check, dict[str, t.Any], dict[str, t.Any] | None]:
    """Return whether the engine answers GET /info, its answer (empty if it does not), and its certificate."""
    try:
        status, body, certificate = _ask(Progress(connection), "/info")
    except errors.EngineError as exc:
        return Check.failed(connection.address, name, exc), {}, None
    try:
        info = json.loads(body)
    except (ValueError, RecursionError):
        info = None
    if status != 200 or not isinstance(info, dict) or "ServerVersion" not in info:
        cause = f"status {status} with {body[:80]!r} is not an engine's answer"
        error = errors.not_the_peer(endpoint="GET /info", address=connection.address, peer=connection.peer, cause=cause)
        return Check.failed(connection.address, name, error), {}, certificate
    detail = f"{info.get('Name', 'the engine')} answers at {connection.address}, version {info['ServerVersion']}"
    return Check(connection.address, name, True, detail), info, certificate


def _check_certificate(connection: Connection, content: dict[str, t.Any] | None) -> Check:
    """Return whether the engine's certificate chains to the CA, is in date and carries the name that is used.

    :param content: the certificate if a request has brought it. Otherwise a handshake does, whether the engine accepts
        the client or not.
    """
    name = "server_certificate"
    if content is None:
        progress = Progress(connection)
        try:
            with explained(progress, OSError), open_socket(progress) as sock:
                content = sock.getpeercert() if isinstance(sock, ssl.SSLSocket) else None
        except errors.EngineError as exc:
            return Check.failed(connection.address, name, exc)
    if not content:
        return Check(connection.address, name, False, "the certificate was not verified", "Set validate_certs to true.")
    served = PeerCertificate.from_ssl(content)
    days = int((served.not_after - time.time()) // 86400)
    detail = f"{served.subject} ({', '.join(served.names)}), signed by {served.issuer}, is valid for {days} more days"
    return Check(connection.address, name, True, detail)


def _check_same_engine(address: str, local: t.Mapping[str, t.Any], remote: t.Mapping[str, t.Any]) -> Check:
    """Return whether it is one engine that answers on the socket and over TCP."""
    if local.get("ID") == remote.get("ID"):
        return Check(address, "same_engine", True, "the socket and the address are the same engine's")
    remedy = "Find out what listens on the address (ss -ltnp on the host)."
    return Check(address, "same_engine", False, "another engine than that of the local socket answers", remedy)


def _check_warnings(info: t.Mapping[str, t.Any], connection: Connection) -> Check:
    """Return whether the engine itself warns of an address that is open to everybody.

    Over a plain connection a warning about its own port is no news, unless it is a local one that is open to others.
    """
    found = open_addresses(info)
    if connection.tls is None:
        found = [address for address in found if not _is_meant(address, connection)]
    if found:
        remedy = "Take that address out of the engine's options, or lock it with --tlsverify."
        detail = f"the engine warns that everybody can use {', '.join(found)}"
        return Check(connection.address, "engine_warnings", False, detail, remedy)
    others = "" if connection.tls else " besides this one"
    detail = f"the engine warns of no address{others} that is open to everybody"
    return Check(connection.address, "engine_warnings", True, detail)


def _is_meant(address: str, connection: Connection) -> bool:
    """Return whether the address of a warning is what a plain connection is meant for."""
    host, port = address.split("://", 1)[1].rsplit(":", 1)
    return port == str(connection.port) and (is_loopback(host.strip("[]")) or not is_loopback(connection.host))


# --- what must be refused ----------------------------------------------------------------------------------------


def _check_strangers(connection: Connection, tls: TlsOptions, identities: Identities) -> list[Check]:
    """Return the results of trying what must be refused. The engine's own certificate does not matter here."""
    anonymous = replace(tls, verify=False, client_cert=None, client_key=None, client_pem=None)
    tries: list[tuple[str, str, TlsOptions | None]] = [
        ("anonymous_refused", "a client without a certificate", anonymous)
    ]
    others = (
        ("foreign_certificate_refused", "a client with a certificate of another CA", identities.stranger),
        ("retired_certificate_refused", "a client with a certificate of the CA that was replaced", identities.retired),
    )
    tries += [(name, who, replace(anonymous, client_pem=pem)) for name, who, pem in others if pem is not None]
    tries.append(("plain_http_refused", "plain HTTP", None))
    return [_check_refused(name, who, replace(connection, tls=how)) for name, who, how in tries]


def _check_refused(name: str, who: str, connection: Connection) -> Check:
    """Return whether the engine refuses this connection.

    A finished handshake says nothing: with TLS 1.3 only the first read tells (RFC 8446, section 4.4.2.4). So a request
    is sent, and it has to end without an answer, or with one that refuses.
    """
    progress = Progress(connection)
    try:
        status = _ask(progress, "/_ping")[0]
    except errors.EngineError as exc:
        closed = isinstance(exc, (errors.TlsError, errors.CutOffError)) and not progress.answered
        if closed and not isinstance(exc, errors.PlainHttpError):
            return Check(connection.address, name, True, f"{who} is refused")
        return Check(connection.address, name, False, f"{who} could not be tried: {exc.cause}", exc.remedy)
    if status in REFUSALS:
        return Check(connection.address, name, True, f"{who} is refused (status {status})")
    remedy = "Start the engine with --tlsverify and --tlscacert, and let nothing else answer on this port."
    detail = f"{who} gets an answer at {connection.address} (status {status})"
    return Check(connection.address, name, False, detail, remedy)


def _check_closed(connection: Connection, port: int, name: str) -> Check:
    """Return whether the port is closed on the engine's host."""
    timeout = min(connection.timeout, CLOSED_PORT_WAIT)
    address = f"tcp://{bracketed(connection.host)}:{port}"
    progress = Progress(replace(connection, address=address, port=port, tls=None, timeout=timeout))
    try:
        status, body, _certificate = _ask(progress, "/_ping")
        if b"HTTP request to an HTTPS server" in body:  # Go's net/http
            detail = f"port {port} is open, and speaks TLS"
        else:
            detail = f"port {port} answers without TLS (status {status})"
    except errors.UnknownHostError as exc:
        return Check(connection.address, name, False, f"port {port} could not be tried: {exc.cause}", exc.remedy)
    except errors.UnreachableError:
        return Check(connection.address, name, True, f"nothing listens on port {port}")
    except errors.EngineError as exc:
        if isinstance(exc, errors.TimedOutError) and progress.phase == CONNECTING:
            return Check(connection.address, name, True, f"port {port} does not answer")
        detail = f"port {port} is open ({exc.cause})"
    remedy = f"Take port {port} out of the engine's options (-H, --host, and hosts in daemon.json)."
    return Check(connection.address, name, False, detail, remedy)


__all__ = ("CLOSED_PORT_WAIT", "VERIFY_ARGUMENTS", "Check", "Identities", "verify")
