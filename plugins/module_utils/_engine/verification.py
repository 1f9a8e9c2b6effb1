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
import re
import ssl
import time
import typing as t
from dataclasses import dataclass, replace

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
    "port": {"type": "int"},
    "negative_checks": {"type": "bool", "default": True},
}

# How long a port that should be closed is waited for, in seconds: a firewall that drops packets never answers.
CLOSED_PORT_WAIT = 3.0

# The statuses with which a server that takes everybody's connection refuses those without a certificate.
_REFUSALS = (400, 401, 403)

_LOOPBACK = re.compile(r"(127\.[0-9.]+|localhost|::1)")


@dataclass(frozen=True)
class Check:
    """One check: its name, whether it passed, what was seen, and what to do if it failed."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def verify(
    params: t.Mapping[str, t.Any],
    default_host: str,
    *,
    local: bool,
    stranger: tuple[str, str] | None = None,
) -> dict[str, t.Any]:
    """Return the task's result, with ``failed`` and ``msg`` if a check failed or an option cannot be used.

    :param params: as in VERIFY_ARGUMENTS.
    :param default_host: the host to check if docker_host is not set.
    :param local: whether this runs on that host, so that its unix socket can be asked.
    :param stranger: paths of a client certificate and its key that another CA signed.
    """
    result: dict[str, t.Any] = {"changed": False}
    try:
        connection = _connection(params, default_host)
        checks, info = _run_checks(connection, _local_socket(params) if local else None, params, stranger)
        result["checks"] = [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in checks]
        _require(checks, connection.address)
        result["info"] = info
    except RemoteApiError as exc:
        result.update(failed=True, msg=str(exc))
    return result


def _connection(params: t.Mapping[str, t.Any], default_host: str) -> Connection:
    """Return the connection over TCP that is to be checked. Raises OptionError."""
    port = params["port"] or (PLAIN_PORT if params["tls"] is False else TLS_PORT)
    address = params["docker_host"] or f"tcp://{bracketed(default_host)}:{port}"
    connection = resolve({**params, "docker_host": address}, ClientEnvironment.empty())
    if connection.socket_path is not None:
        raise errors.not_checkable(address=address)
    return connection


def _local_socket(params: t.Mapping[str, t.Any]) -> Connection:
    """Return the way to the engine over its unix socket. Raises OptionError."""
    return resolve({**params, "docker_host": DEFAULT_ADDRESS}, ClientEnvironment.empty())


def _require(checks: t.Sequence[Check], address: str) -> None:
    """Raise EngineError if a check failed; ``address`` is what was checked."""
    failed = [check for check in checks if not check.ok]
    if failed:
        raise errors.checks_failed(
            address=address,
            failed=len(failed),
            total=len(checks),
            details="; ".join(f"{check.name} ({check.detail})" for check in failed),
            remedies=" ".join(dict.fromkeys(check.remedy for check in failed)),
        )


def _run_checks(
    connection: Connection,
    local: Connection | None,
    params: t.Mapping[str, t.Any],
    stranger: tuple[str, str] | None,
) -> tuple[list[Check], dict[str, t.Any]]:
    """Return the results of all checks of a connection over TCP, and the engine's answer to GET /info if it gave one.

    :param local: the way to the same engine over its unix socket, if the checks run on its host. Without a client
        certificate, GET /info is then asked there alone.
    """
    checks: list[Check] = []
    info: dict[str, t.Any] = {}
    if local is not None:
        check, info, _certificate = _check_information("local_socket", local)
        checks.append(check)
    if local is None or connection.tls is None or connection.tls.client_cert:
        check, answered, certificate = _check_information("info", connection)
        if connection.tls is not None:
            checks.append(_check_certificate(connection, certificate))
        checks.append(check)
        if local is not None and info and answered:
            checks.append(_check_same_engine(info, answered))
        info = info or answered
    else:
        checks.append(_check_certificate(connection, None))
    if info:
        checks.append(_check_warnings(info, connection))
    if params["negative_checks"] and connection.tls is not None:
        checks.extend(_negative_checks(connection, connection.tls, stranger))
    return checks, info


# --- what must work ----------------------------------------------------------------------------------------------


def _ask(progress: Progress, path: str) -> tuple[int, bytes, dict[str, t.Any] | None]:
    """Return the status and body of ``GET path``, and the engine's certificate if TLS is spoken. Raises EngineError."""
    progress.begin(f"GET {path}")
    transport = HttpTransport(progress)
    try:
        response = transport.send("GET", path, None, {})
        progress.read()
        return response.status, b"".join(response.pieces()), transport.certificate()
    finally:
        transport.close()


def _check_information(name: str, connection: Connection) -> tuple[Check, dict[str, t.Any], dict[str, t.Any] | None]:
    """Return whether the engine answers GET /info, its answer (empty if it does not), and its certificate."""
    try:
        status, body, certificate = _ask(Progress(connection), "/info")
    except errors.EngineError as exc:
        return Check(name, False, f"{exc.subject}: {exc.cause}", exc.remedy), {}, None
    try:
        info = json.loads(body)
    except ValueError:
        info = None
    if status != 200 or not isinstance(info, dict) or "ServerVersion" not in info:
        cause = f"status {status} with {body[:80]!r} is not an engine's answer"
        error = errors.not_an_engine(endpoint="GET /info", address=connection.address, cause=cause)
        return Check(name, False, f"{error.subject}: {error.cause}", error.remedy), {}, certificate
    detail = f"{info.get('Name', 'the engine')} answers at {connection.address}, version {info['ServerVersion']}"
    return Check(name, True, detail), info, certificate


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
            return Check(name, False, f"{exc.subject}: {exc.cause}", exc.remedy)
    if not content:
        return Check(name, False, "the certificate was not verified", "Set validate_certs to true.")
    served = PeerCertificate.from_ssl(content)
    days = int((served.not_after - time.time()) // 86400)
    detail = f"{served.subject} ({', '.join(served.names)}), signed by {served.issuer}, is valid for {days} more days"
    return Check(name, True, detail)


def _check_same_engine(local: t.Mapping[str, t.Any], remote: t.Mapping[str, t.Any]) -> Check:
    """Return whether it is one engine that answers on the socket and over TCP."""
    if local.get("ID") == remote.get("ID"):
        return Check("same_engine", True, "the socket and the address are the same engine's")
    remedy = "Find out what listens on the address (ss -ltnp on the host)."
    return Check("same_engine", False, "another engine than that of the local socket answers", remedy)


def _check_warnings(info: t.Mapping[str, t.Any], connection: Connection) -> Check:
    """Return whether the engine itself warns of an address that is open to everybody.

    Over a plain connection a warning about its own port is no news, unless it is a local one that is open to others.
    """
    open_addresses = re.findall(r"API is accessible on (https?://\S+)", "\n".join(info.get("Warnings") or []))
    if connection.tls is None:
        open_addresses = [address for address in open_addresses if not _is_meant(address, connection)]
    if open_addresses:
        remedy = "Take that address out of the engine's options, or lock it with --tlsverify."
        detail = f"the engine warns that everybody can use {', '.join(open_addresses)}"
        return Check("engine_warnings", False, detail, remedy)
    others = "" if connection.tls else " besides this one"
    return Check("engine_warnings", True, f"the engine warns of no address{others} that is open to everybody")


def _is_meant(address: str, connection: Connection) -> bool:
    """Return whether the address of a warning is what a plain connection is meant for."""
    host, port = address.split("://", 1)[1].rsplit(":", 1)
    local = bool(_LOOPBACK.fullmatch(host.strip("[]")))
    return port == str(connection.port) and (local or not _LOOPBACK.fullmatch(connection.host))


# --- what must be refused ----------------------------------------------------------------------------------------


def _negative_checks(connection: Connection, tls: TlsOptions, stranger: tuple[str, str] | None) -> list[Check]:
    """Return the results of trying what must be refused. The engine's own certificate does not matter here."""
    anonymous = replace(tls, verify=False, client_cert=None, client_key=None)
    tries: list[tuple[str, str, TlsOptions | None]] = [
        ("anonymous_refused", "a client without a certificate", anonymous)
    ]
    if stranger is not None:
        foreign = replace(anonymous, client_cert=stranger[0], client_key=stranger[1])
        tries.append(("foreign_certificate_refused", "a client with a certificate of another CA", foreign))
    tries.append(("plain_http_refused", "plain HTTP", None))
    checks = [_check_refused(name, who, replace(connection, tls=how)) for name, who, how in tries]
    if connection.port != PLAIN_PORT:
        checks.append(_check_insecure_port(connection))
    return checks


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
            return Check(name, True, f"{who} is refused")
        return Check(name, False, f"{who} could not be tried: {exc.cause}", exc.remedy)
    if status in _REFUSALS:
        return Check(name, True, f"{who} is refused (status {status})")
    remedy = "Start the engine with --tlsverify and --tlscacert, and let nothing else answer on this port."
    return Check(name, False, f"{who} gets an answer at {connection.address} (status {status})", remedy)


def _check_insecure_port(connection: Connection) -> Check:
    """Return whether the port for plain HTTP (2375) is closed on the engine's host."""
    name = "insecure_port_closed"
    timeout = min(connection.timeout, CLOSED_PORT_WAIT)
    address = f"tcp://{bracketed(connection.host)}:{PLAIN_PORT}"
    progress = Progress(replace(connection, address=address, port=PLAIN_PORT, tls=None, timeout=timeout))
    try:
        detail = f"port {PLAIN_PORT} answers without TLS (status {_ask(progress, '/_ping')[0]})"
    except errors.UnreachableError:
        return Check(name, True, f"nothing listens on port {PLAIN_PORT}")
    except errors.EngineError as exc:
        if isinstance(exc, errors.TimedOutError) and progress.phase == CONNECTING:
            return Check(name, True, f"port {PLAIN_PORT} does not answer")
        detail = f"port {PLAIN_PORT} is open ({exc.cause})"
    remedy = f"Take port {PLAIN_PORT} out of the engine's options (-H, --host, and hosts in daemon.json)."
    return Check(name, False, detail, remedy)


__all__ = ("CLOSED_PORT_WAIT", "VERIFY_ARGUMENTS", "Check", "verify")
