# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""A client of the Engine API: it negotiates the version, sends requests, and turns bad answers into errors."""

from __future__ import annotations

import json
import os
import re
import typing as t
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import Connection
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.failures import one_line, sample
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.http_transport import (
    HttpResponse,
    HttpTransport,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.sockets import Progress

if t.TYPE_CHECKING:
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.requests_transport import (
        RequestsResponse,
        RequestsTransport,
    )

# The newest version whose answers the modules are tested with. Later engines speak it as well: they refuse only what is
# below their MinAPIVersion, which is far lower.
NEWEST_VERSION = "1.51"

# Answers that are held in memory may be this large, in bytes. A list of a thousand containers takes about 3 MiB.
MEMORY_LIMIT = 128 * 2**20

Query = t.Mapping[str, t.Any]
Body = t.Union[None, t.Mapping[str, t.Any], t.Sequence[t.Any]]


@dataclass(frozen=True)
class Answer:
    """What the engine answered. The names of ``headers`` are in lower case."""

    address: str
    endpoint: str
    status: int
    headers: t.Mapping[str, str]
    body: bytes
    peer: errors.Peer = errors.ENGINE

    @property
    def text(self) -> str:
        """The body as text; bytes that are no UTF-8 are replaced."""
        return self.body.decode("utf-8", errors="replace")

    @property
    def is_json(self) -> bool:
        """Whether the engine says that the body is JSON."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower() == "application/json"

    @property
    def message(self) -> str:
        """The engine's own words for an error, else the beginning of the body, on one line."""
        try:
            content = json.loads(self.body) if self.is_json else None
        except ValueError:
            content = None
        if isinstance(content, dict) and isinstance(content.get("message"), str):
            return str(content["message"]).strip().rstrip(".")
        return one_line(self.text)

    def json(self) -> t.Any:
        """Return the JSON value of the body. Raises BrokenAnswerError if there is none."""
        if not self.is_json:
            kind = self.headers.get("content-type") or "nothing that names its type"
            raise self.unlike_peer(f"the answer is {kind} instead of JSON{sample(self.text)}")
        try:
            return json.loads(self.body)
        except ValueError as exc:
            raise self.unlike_peer(f"the answer is broken JSON ({exc}){sample(self.text)}") from exc

    def unlike_peer(self, cause: str) -> errors.BrokenAnswerError:
        """Return the error for an answer that the peer does not give."""
        return errors.not_the_peer(endpoint=self.endpoint, address=self.address, peer=self.peer, cause=cause)


class Engine:
    """An engine that can be asked. Use it in a ``with`` statement: it keeps its connection until the end."""

    def __init__(self, connection: Connection) -> None:
        """Connect to nothing yet. Raises MissingLibraryError."""
        self.connection = connection
        self._progress = Progress(connection)
        self._transport = _open_transport(self._progress)
        self._version = connection.api_version

    def __enter__(self) -> Engine:
        """Return the engine."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the connection."""
        self._transport.close()

    @property
    def answered(self) -> bool:
        """Whether anything has answered over HTTP so far."""
        return self._progress.answered

    @property
    def api_version(self) -> str:
        """The API version that is spoken, such as 1.41, asked for with the first use. Raises EngineError.

        It is the newest that both sides know, from the header Api-Version that each engine sends with /_ping.
        """
        if self._version is None:
            answer = self.request("GET", "/_ping", versioned=False)
            highest = answer.headers.get("api-version", "")
            if not re.fullmatch(r"[0-9]+\.[0-9]+", highest):
                raise answer.unlike_peer("the answer has no header Api-Version, so this is no Docker engine")
            self._version = min(highest, NEWEST_VERSION, key=version_key)
        return self._version

    def get_json(self, path: str, query: Query | None = None) -> t.Any:
        """Return the JSON value that ``GET path`` answers. Raises EngineError."""
        return self.request("GET", path, query=query).json()

    def get_or_none(self, path: str) -> dict[str, t.Any] | None:
        """Return the JSON object that ``GET path`` answers, None if there is no such thing. Raises EngineError.

        An engine answers 404 also for a path that it does not know; that is an error.
        """
        try:
            content: dict[str, t.Any] = self.get_json(path)
        except errors.AnswerError as exc:
            if exc.status == 404 and "page not found" not in exc.message:
                return None
            raise
        return content

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Body = None,
        accept: t.Container[int] = range(200, 300),
        versioned: bool = True,
        seconds: float | None = None,
    ) -> Answer:
        """Return the engine's whole answer to one request.

        :param path: below the version, such as /containers/json; the parts that come from names are quoted already.
        :param query: values as in query_string().
        :param body: sent as JSON.
        :param accept: the statuses that are no error.
        :param seconds: the time limit, if it is not that of the connection.
        Raises EngineError, which is an AnswerError for a status that is not accepted.
        """
        with self.exchange(method, path, query, body, versioned=versioned, seconds=seconds) as exchange:
            answer = exchange.read()
        self.require(answer, accept)
        return answer

    def require(self, answer: Answer, accept: t.Container[int]) -> None:
        """Raise EngineError for an answer whose status is not accepted."""
        if answer.status not in accept:
            raise self._refusal(answer)

    def _refusal(self, answer: Answer) -> errors.EngineError:
        """Return the error for an answer whose status is not accepted."""
        status, message = answer.status, answer.message
        if 300 <= status < 400 and "location" in answer.headers:
            location = answer.headers["location"][:200]
            return answer.unlike_peer(f"the answer is a redirect to {location}, which no engine gives here")
        if status == 400 and b"HTTP request to an HTTPS server" in answer.body:
            self._progress.answered = False  # this is what Go's TLS server says, before it knows of an engine
            return errors.tls_wanted(address=answer.address, peer=answer.peer)
        if status == 400 and re.search(r"client version \S+ is too (old|new)", message):
            return self._version_refusal(answer)
        kind = _REFUSALS.get(status, errors.bad_request if status < 500 else errors.engine_failed)
        error = kind(
            endpoint=answer.endpoint,
            address=answer.address,
            status=status,
            message=message or "without a message",
        )
        return error.with_answer(status, answer.endpoint, message)

    def _version_refusal(self, answer: Answer) -> errors.AnswerError:
        """Return the error for an API version that the engine does not speak, with the range that it does."""
        versions = self.request("GET", "/version", versioned=False).json()
        return errors.unspoken_version(
            endpoint=answer.endpoint,
            address=answer.address,
            message=answer.message,
            lowest=versions.get("MinAPIVersion", "?"),
            highest=versions.get("ApiVersion", "?"),
        ).with_answer(answer.status, answer.endpoint, answer.message)

    def exchange(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Body = None,
        headers: t.Mapping[str, str] | None = None,
        *,
        versioned: bool = True,
        seconds: float | None = None,
        idle: bool = False,
        stream: t.BinaryIO | None = None,
    ) -> Exchange:
        """Send a request and return the exchange whose answer is to be read. See request().

        :param idle: the time limit is for each pause of the engine, not for the whole.
        :param stream: a file that is sent as the body, in constant memory. Raises EngineError.
        """
        target = (
            (f"/v{self.api_version}" if versioned else "") + path + query_string(query, "&" if "?" in path else "?")
        )
        defaults = {"User-Agent": "dockerfleet.remote_api", "Accept-Encoding": "identity"}
        fixed: dict[str, str] = {}
        content: bytes | t.BinaryIO | None = stream
        if stream is not None:
            defaults["Content-Type"] = "application/x-tar"
            fixed["Content-Length"] = str(os.fstat(stream.fileno()).st_size)
        elif body is not None:
            content = json.dumps(body).encode()
            fixed["Content-Type"] = "application/json"
        sent = _merged(defaults, headers or {}, fixed)
        self._progress.begin(f"{method} {path}", seconds, idle=idle)
        response = self._transport.send(method, quote(target, safe="!#$%&'()*+,/:;=?@[]~"), content, sent)
        return Exchange(self._progress, response)


_REFUSALS = {
    401: errors.not_allowed,
    403: errors.not_allowed,
    404: errors.not_found,
    409: errors.conflict,
}


def _open_transport(progress: Progress) -> HttpTransport | RequestsTransport:
    """Return the way to the progress's engine. Raises MissingLibraryError."""
    if progress.connection.socket_path is not None:
        return HttpTransport(progress)
    # Importing requests takes a third of a task's time, and it need not be installed where the local socket is asked.
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.requests_transport import (
        RequestsTransport,
    )

    return RequestsTransport(progress)


class Exchange:
    """A request that was sent, and the answer that is being read. Use it in a ``with`` statement."""

    def __init__(self, progress: Progress, response: HttpResponse | RequestsResponse) -> None:
        progress.read()
        self.status = response.status
        self.headers = response.headers
        self._progress = progress
        self._response = response

    def __enter__(self) -> Exchange:
        """Return the exchange."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Keep the connection if all was read, else close it."""
        self._response.close()

    def chunks(self) -> t.Iterator[bytes]:
        """Yield the body in pieces of at most 64 KiB as it comes. Raises EngineError.

        Neither library tells in all its versions that the connection has ended too early.
        """
        received = 0
        for piece in self._response.pieces():
            received += len(piece)
            yield piece
        promised = self.headers.get("content-length", "")
        has_body = not self._progress.endpoint.startswith("HEAD ") and self.status not in (204, 304)
        if has_body and promised.isdigit() and received < int(promised):
            raise errors.cut_off(
                address=self._progress.connection.address,
                peer=self._progress.connection.peer,
                phase=self._progress.phase,
                reason=f"after {received} of {promised} bytes",
            )

    def read(self, body: t.Iterable[bytes] | None = None) -> Answer:
        """Return the whole answer, with this body if it was decoded. Raises EngineError."""
        connection, endpoint = self._progress.connection, self._progress.endpoint
        pieces: list[bytes] = []
        size = 0
        for piece in self.chunks() if body is None else body:
            size += len(piece)
            if size > MEMORY_LIMIT:
                raise errors.too_large(endpoint=endpoint, address=connection.address, limit=MEMORY_LIMIT // 2**20)
            pieces.append(piece)
        return Answer(connection.address, endpoint, self.status, self.headers, b"".join(pieces), connection.peer)


def _merged(*parts: t.Mapping[str, str]) -> dict[str, str]:
    """Return all headers; a later one replaces an earlier one, whatever the case of their names (RFC 9110, 5.1)."""
    found = {name.lower(): (name, value) for part in parts for name, value in part.items()}
    return dict(found.values())


def version_key(version: str) -> tuple[int, ...]:
    """Return what API versions such as 1.41 are compared by."""
    return tuple(int(part) for part in version.split("."))


def query_string(query: Query | None, mark: str = "?") -> str:
    """Return a query string with its question mark, or what joins it to another one, empty if nothing is asked.

    A boolean becomes ``true`` or ``false``, a list its parameter several times, a dictionary (such as ``filters``)
    JSON; what is None is left out.
    """
    pairs = [
        (name, json.dumps(one) if isinstance(one, (bool, dict)) else str(one))
        for name, value in (query or {}).items()
        for one in (value if isinstance(value, (list, tuple)) else [value])
        if one is not None
    ]
    return f"{mark}{urlencode(pairs)}" if pairs else ""


def as_filters(filters: t.Mapping[str, t.Any] | None) -> dict[str, list[str]] | None:
    """Return filters with each value as a list of texts, booleans in lower case as in Go. None stays None.

    ``{"status": "running", "label": ["a=b"], "dangling": True}`` becomes
    ``{"status": ["running"], "label": ["a=b"], "dangling": ["true"]}``.
    """
    if not filters:
        return None
    lists = {name: value if isinstance(value, (list, tuple)) else [value] for name, value in filters.items()}
    return {
        name: [str(one).lower() if isinstance(one, bool) else str(one) for one in values]
        for name, values in lists.items()
    }


def path_of(name: str) -> str:
    """Return a name (of a container, of an image) as part of a path."""
    return quote(name, safe="/:@")


def is_id(name: str) -> bool:
    """Return whether a name is an ID or long enough a beginning of one, as ``docker ps`` shows it (12 digits)."""
    return re.fullmatch("[0-9a-f]{12,64}", name) is not None


__all__ = (
    "MEMORY_LIMIT",
    "NEWEST_VERSION",
    "Answer",
    "Engine",
    "Exchange",
    "as_filters",
    "is_id",
    "path_of",
    "query_string",
    "version_key",
)
