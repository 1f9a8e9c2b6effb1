# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Whether an engine is open to those who may use it, and closed to all others.

Each check asks the engine itself, over the network, as a client or as a stranger would. Only the standard library is
used, so that the checks run on a host as they are, too.
"""

from __future__ import annotations

import http.client
import json
import re
import time
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.error_kinds import (
    BrokenAnswerError,
    EngineError,
    PlainHttpError,
    TimedOutError,
    TlsError,
    UnreachableError,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import checks_failed, not_an_engine
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.http_errors import explain_http
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.network import PLAIN_PORT, TlsOptions
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.options import Connection
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.sockets import CONNECTING, Watch, dial
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.tls import TlsSocket
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.tls_words import Certificate

# How long a port that should be closed is waited for, in seconds: a firewall that drops packets never answers.
CLOSED_PORT_WAIT = 3.0

# The statuses with which a server that takes everybody's connection refuses those without a certificate.
_REFUSALS = (400, 401, 403)

_LOOPBACK = re.compile(r"(127\.[0-9.]+|localhost|::1)")


class Check(t.NamedTuple):
    """One thing that was looked at: its name, whether it is as it should be, what was seen, and else what to do."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""

    def as_result(self) -> dict[str, t.Any]:
        """Return what the module returns of it."""
        return {"name": self.name, "ok": self.ok, "detail": self.detail}


class Report(t.NamedTuple):
    """What came out of all checks, and what the engine says of itself (empty when it did not answer)."""

    checks: tuple[Check, ...]
    info: t.Mapping[str, t.Any]

    def require(self, address: str) -> None:
        """Raise EngineError when a check failed; ``address`` is what was checked."""
        failed = [(check.name, check.detail, check.remedy) for check in self.checks if not check.ok]
        if failed:
            raise checks_failed(address, failed, len(self.checks))


def ask(connection: Connection, path: str) -> tuple[int, bytes]:
    """Return status and body of C(GET path). Raises EngineError."""
    watch = Watch(connection)
    watch.phase = f"waiting for the answer to GET {path}"
    client = http.client.HTTPConnection(connection.host or "localhost", connection.port or None)
    try:
        client.sock = dial(watch)
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as exc:
        raise explain_http(exc, watch, f"GET {path}") from exc
    finally:
        client.close()


def engine_information(connection: Connection) -> dict[str, t.Any]:
    """Return what the engine says of itself with C(GET /info). Raises EngineError."""
    status, body = ask(connection, "/info")
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if status != http.client.OK or not isinstance(content, dict) or "ServerVersion" not in content:
        detail = f"status {status} with {body[:80]!r} is not an engine's answer"
        raise not_an_engine(connection.address, "GET /info", detail)
    return content


def check_information(name: str, connection: Connection) -> tuple[Check, dict[str, t.Any]]:
    """Return whether the engine answers this connection, and what it says (empty when it does not)."""
    try:
        info = engine_information(connection)
    except EngineError as exc:
        return Check(name, False, f"{exc.subject}: {exc.cause}", exc.remedy), {}
    detail = f"{info.get('Name', 'the engine')} answers at {connection.address}, version {info['ServerVersion']}"
    return Check(name, True, detail), info


def check_certificate(connection: Connection) -> Check:
    """Return whether the engine's certificate chains to the authority, is in date and carries the name that is used.

    For this the handshake alone counts, so no client certificate is needed.
    """
    name = "server_certificate"
    try:
        with dial(Watch(connection)) as sock:
            content = sock.getpeercert() if isinstance(sock, TlsSocket) else None
    except EngineError as exc:
        return Check(name, False, f"{exc.subject}: {exc.cause}", exc.remedy)
    if not content:
        return Check(name, False, "the certificate was not verified", "Set validate_certs to true.")
    served = Certificate.from_ssl(content)
    days = int((served.not_after - time.time()) // 86400)
    detail = f"{served.subject} ({', '.join(served.names)}), signed by {served.issuer}, is valid for {days} more days"
    return Check(name, True, detail)


def check_warnings(info: t.Mapping[str, t.Any], connection: Connection) -> Check:
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


def check_stranger(name: str, who: str, connection: Connection) -> Check:
    """Return whether the engine refuses this connection.

    A finished handshake says nothing: with TLS 1.3 only the first read tells (RFC 8446, 4.4.2.4). So a request is sent,
    and it has to end without an answer, or with one that refuses.
    """
    try:
        status = ask(connection, "/_ping")[0]
    except EngineError as exc:
        closed = isinstance(exc, (TlsError, BrokenAnswerError)) and not exc.reached
        if closed and not isinstance(exc, PlainHttpError):
            return Check(name, True, f"{who} is refused")
        return Check(name, False, f"{who} could not be tried: {exc.cause}", exc.remedy)
    if status in _REFUSALS:
        return Check(name, True, f"{who} is refused (status {status})")
    remedy = "Start the engine with --tlsverify and --tlscacert, and let nothing else answer on this port."
    return Check(name, False, f"{who} gets an answer at {connection.address} (status {status})", remedy)


def check_insecure_port(connection: Connection) -> Check:
    """Return whether the port for plain HTTP (2375) is closed on the engine's host."""
    name = "insecure_port_closed"
    timeout = min(connection.timeout, CLOSED_PORT_WAIT)
    address = f"tcp://{connection.host}:{PLAIN_PORT}"
    plain = connection._replace(address=address, port=PLAIN_PORT, tls=None, timeout=timeout)
    try:
        detail = f"port {PLAIN_PORT} answers without TLS (status {ask(plain, '/_ping')[0]})"
    except EngineError as exc:
        if isinstance(exc, UnreachableError):
            return Check(name, True, f"nothing listens on port {PLAIN_PORT}")
        if isinstance(exc, TimedOutError) and exc.phase == CONNECTING:
            return Check(name, True, f"port {PLAIN_PORT} does not answer")
        detail = f"port {PLAIN_PORT} is open ({exc.cause})"
    remedy = f"Take port {PLAIN_PORT} out of the engine's options (-H, --host, and hosts in daemon.json)."
    return Check(name, False, detail, remedy)


def run_checks(
    connection: Connection,
    *,
    local: Connection | None = None,
    stranger: tuple[str, str] | None = None,
    negative: bool = True,
) -> Report:
    """Return what came out of all checks of a connection over TCP.

    :param local: the way to the same engine over its unix socket, when the checks run on its host. Without a client
        certificate of its own, what the engine says of itself is then asked there alone.
    :param stranger: paths of a client certificate and its key that another authority signed.
    :param negative: whether to try what has to be refused.
    """
    checks: list[Check] = []
    info: dict[str, t.Any] = {}
    if local is not None:
        check, info = check_information("local_socket", local)
        checks.append(check)
    if connection.tls is not None:
        checks.append(check_certificate(connection))
    if local is None or connection.tls is None or connection.tls.client_cert:
        check, answered = check_information("info", connection)
        checks.append(check)
        if local is not None and info and answered:
            checks.append(_check_same(info, answered))
        info = info or answered
    if info:
        checks.append(check_warnings(info, connection))
    if negative and connection.tls is not None:
        checks.extend(_negative_checks(connection, connection.tls, stranger))
    return Report(tuple(checks), info)


def _check_same(local: t.Mapping[str, t.Any], remote: t.Mapping[str, t.Any]) -> Check:
    """Return whether it is one engine that answers on the socket and over TCP."""
    if local.get("ID") == remote.get("ID"):
        return Check("same_engine", True, "the socket and the address are the same engine's")
    remedy = "Find out what listens on the address (ss -ltnp on the host)."
    return Check("same_engine", False, "another engine than that of the local socket answers", remedy)


def _negative_checks(connection: Connection, tls: TlsOptions, stranger: tuple[str, str] | None) -> list[Check]:
    """Return what came out of trying what has to be refused. The engine's own certificate does not matter here."""
    anonymous = tls._replace(verify=False, client_cert=None, client_key=None)
    tries: list[tuple[str, str, TlsOptions | None]] = [
        ("anonymous_refused", "a client without a certificate", anonymous)
    ]
    if stranger is not None:
        foreign = anonymous._replace(client_cert=stranger[0], client_key=stranger[1])
        tries.append(("foreign_certificate_refused", "a client with a certificate of another authority", foreign))
    tries.append(("plain_http_refused", "plain HTTP", None))
    checks = [check_stranger(name, who, connection._replace(tls=how)) for name, who, how in tries]
    if connection.port != PLAIN_PORT:
        checks.append(check_insecure_port(connection))
    return checks


__all__ = ("CLOSED_PORT_WAIT", "Check", "Report", "ask", "run_checks")
