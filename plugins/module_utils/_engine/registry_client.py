# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""A client of the Registry API: it logs in, follows redirects, and keeps credentials where they belong.

A registry that wants a login answers 401 with a challenge (RFC 9110, section 11.6.1). For Basic it gets the password
itself. For Bearer a token server, which the challenge names, gets it and answers with a token for one repository
(Distribution's "Token Authentication Specification"). Password and token are sent to no other server, and neither a
token server nor the target of a redirect may lead from HTTPS to plain HTTP.
"""

from __future__ import annotations

import base64
import contextlib
import json
import typing as t
from dataclasses import dataclass, replace
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import parse_http_list

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import Answer, Exchange
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import (
    Connection,
    TlsOptions,
    bracketed,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.failures import one_line
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.images import Credentials
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.requests_transport import (
    RequestsTransport,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.sockets import Progress

_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Origin:
    """A server as a URL names it (RFC 6454, section 4): what is meant for one is sent to no other."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of_url(cls, url: str) -> Origin:
        """Return the origin of an HTTP or HTTPS URL. Raises ValueError.

        Its host is written as HTTP and DNS have it (IDNA, RFC 3490).
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("it is no URL of HTTP or HTTPS")
        host = parts.hostname.encode("idna").decode()
        return cls(parts.scheme, host, parts.port or (443 if parts.scheme == "https" else 80))

    @property
    def authority(self) -> str:
        """Host and port as in the header Host; the scheme's own port is left out (RFC 9110, section 4.2.3)."""
        own = self.port == (443 if self.scheme == "https" else 80)
        return bracketed(self.host) if own else f"{bracketed(self.host)}:{self.port}"

    def __str__(self) -> str:
        """Return it as in messages."""
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True)
class Login:
    """How a registry is reached: ``tls`` counts for all servers that speak TLS, but for what is the registry's alone.

    ``timeout`` is in seconds, for each request.
    """

    origin: Origin
    tls: TlsOptions
    credentials: Credentials | None
    timeout: float


class Registry:
    """A registry that can be asked. Use it in a ``with`` statement: it keeps its connections until the end."""

    def __init__(self, login: Login) -> None:
        """Connect to nothing yet."""
        self._login = login
        self._open: dict[tuple[Origin, str], tuple[Progress, RequestsTransport]] = {}
        self._authorization: str | None = None
        self.answered = False

    def __enter__(self) -> Registry:
        """Return the registry."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the connections."""
        for _progress, transport in self._open.values():
            transport.close()

    @property
    def address(self) -> str:
        """The registry's address, such as ``https://registry.example.com``."""
        return str(self._login.origin)

    def request(self, method: str, target: str, accept: str = "application/json") -> Answer:
        """Return the answer to a request with this path and query, after a login if the registry wants one.

        :param accept: the media types that are wanted. Raises EngineError; statuses from 400 on are returned, but 401.
        """
        answer = self._follow(method, target, accept)
        if answer.status == 401 and answer.address == self.address:
            self._authorization = self._answer_challenge(answer)
            answer = self._follow(method, target, accept)
        if answer.status == 401:
            raise self.refusal(answer)
        return answer

    def _follow(self, method: str, target: str, accept: str) -> Answer:
        """Return the first answer that is no redirect. Only the registry itself gets the authorization.

        Raises EngineError.
        """
        url = urljoin(self.address, target)
        for _hop in range(_MOST_REDIRECTS + 1):
            origin = Origin.of_url(url)
            ours = origin == self._login.origin
            sent = {"Accept": accept}
            if ours and self._authorization:
                sent["Authorization"] = self._authorization
            answer = self._send(method, url, sent, errors.REGISTRY)
            self.answered = True
            location = answer.headers.get("location")
            if answer.status not in _REDIRECTS or not location:
                return answer
            url = self._redirected(answer, url, location)
        raise answer.unlike_peer(f"it redirects more than {_MOST_REDIRECTS} times, at last to {one_line(url)}")

    @staticmethod
    def _redirected(answer: Answer, url: str, location: str) -> str:
        """Return where a redirect leads. Raises EngineError if it is no URL, or leads from HTTPS to plain HTTP."""
        target = urljoin(url, location)
        try:
            scheme = Origin.of_url(target).scheme
        except ValueError as exc:
            raise answer.unlike_peer(f"it redirects to {one_line(location)!r}, but {exc}") from exc
        if url.startswith("https:") and scheme != "https":
            raise answer.unlike_peer(f"it redirects from HTTPS to plain HTTP ({one_line(target)})")
        return target

    def _send(self, method: str, url: str, headers: t.Mapping[str, str], peer: errors.Peer) -> Answer:
        """Return the answer of the URL's server. Raises EngineError."""
        origin, parts = Origin.of_url(url), urlsplit(url)
        if (origin, peer.name) not in self._open:
            progress = Progress(self._connection(origin, peer))
            self._open[origin, peer.name] = progress, RequestsTransport(progress)
        progress, transport = self._open[origin, peer.name]
        sent = {
            "Host": origin.authority,
            "User-Agent": "dockerfleet.remote_api",
            "Accept-Encoding": "identity",
            **headers,
        }
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        progress.begin(f"{method} {parts.path}")
        response = transport.send(method, target, None, sent)
        with contextlib.closing(response):
            return Exchange(progress, response).read()

    def _connection(self, origin: Origin, peer: errors.Peer) -> Connection:
        """Return how to connect to a server. The client's certificate and its name are for the registry alone."""
        tls = self._login.tls
        if origin != self._login.origin:
            tls = replace(tls, client_cert=None, client_key=None, hostname=origin.host)
        secure = tls if origin.scheme == "https" else None
        return Connection(str(origin), None, origin.host, origin.port, secure, None, self._login.timeout, peer)

    # --- logging in ----------------------------------------------------------------------------------------------

    def _answer_challenge(self, answer: Answer) -> str:
        """Return the value of the header Authorization that the registry's challenge asks for. Raises EngineError."""
        header = answer.headers.get("www-authenticate", "")
        challenges = parse_challenges(header)
        if "bearer" in challenges:
            return f"Bearer {self._token(answer, challenges['bearer'])}"
        if "basic" not in challenges:
            raise answer.unlike_peer(
                f"it wants a login that is neither Basic nor Bearer ({one_line(header) or 'none'})"
            )
        if self._login.credentials is None:
            raise self.refusal(answer)
        return basic_authorization(self._login.credentials)

    def _token(self, challenged: Answer, challenge: t.Mapping[str, str]) -> str:
        """Return the token of the server that the challenge names. Raises EngineError."""
        realm = challenge.get("realm", "")
        try:
            secure = Origin.of_url(realm).scheme == "https"
        except ValueError as exc:
            raise challenged.unlike_peer(f"its token server is {one_line(realm)!r}, but {exc}") from exc
        if not secure:
            raise errors.plain_realm(address=challenged.address, realm=one_line(realm))
        query = urlencode({name: challenge[name] for name in ("service", "scope") if name in challenge})
        url = f"{realm}{'&' if '?' in realm else '?'}{query}"
        sent = {"Accept": "application/json"}
        if self._login.credentials:
            sent["Authorization"] = basic_authorization(self._login.credentials)
        answer = self._send("GET", url, sent, errors.TOKEN_SERVER)
        if answer.status != 200:
            raise self.refusal(answer)
        content = answer.json()
        token = (content.get("token") or content.get("access_token")) if isinstance(content, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise answer.unlike_peer("the answer holds no token")
        return token

    def refusal(self, answer: Answer) -> errors.EngineError:
        """Return the error for an answer whose status is not wanted."""
        message, server = message_of(answer), answer.peer.name
        where = f"{answer.endpoint} at {answer.address}"
        credentials = self._login.credentials
        if answer.status == 400 and b"HTTP request to an HTTPS server" in answer.body:
            self.answered = False  # this is what Go's TLS server says, before it knows of a registry
            return errors.tls_wanted(address=answer.address, peer=answer.peer)
        if answer.status not in (401, 403):
            error = errors.registry_failed(where=where, peer=answer.peer, status=answer.status, message=message)
        elif credentials:
            error = errors.login_refused(where=where, server=server, user=credentials.username, message=message)
        else:
            error = errors.anonymous_refused(where=where, server=server, message=message)
        return error.with_answer(answer.status, answer.endpoint, message)


def parse_challenges(header: str) -> dict[str, dict[str, str]]:
    """Return the challenges of a header WWW-Authenticate (RFC 9110, section 11.6.1): scheme -> parameter -> value.

    Schemes and the names of parameters are in lower case. What cannot be parsed is left out.
    """
    challenges: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for item in parse_http_list(header):
        scheme, space, rest = item.partition(" ")
        if "=" not in scheme:
            current = challenges.setdefault(scheme.lower(), {})
            item = rest if space else ""
        name, equals, value = item.strip().partition("=")
        if equals:
            current[name.strip().lower()] = value.strip().strip('"')
    return challenges


def basic_authorization(credentials: Credentials) -> str:
    """Return the value of the header Authorization with a password (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{credentials.username}:{credentials.password}".encode()).decode()


def message_of(answer: Answer) -> str:
    """Return the words of a refusal: those in the list of errors (OCI distribution spec), else how the body begins."""
    try:
        found = json.loads(answer.body)["errors"]
        words = ", ".join(str(one.get("message") or one.get("code")) for one in found)
    except (ValueError, KeyError, TypeError, AttributeError):
        words = answer.message
    return one_line(words) or "without a message"


__all__ = ("Login", "Origin", "Registry", "message_of", "parse_challenges")
