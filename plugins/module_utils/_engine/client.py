# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""A client of the Engine API: one connection that is kept, a negotiated version, errors in plain words."""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.options import Connection
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.sockets import Watch

if t.TYPE_CHECKING:
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.transport import Response, Transport

# The newest version whose answers the modules are tested with. Later engines speak it as well: they refuse only what is
# below their MinAPIVersion, which is far lower.
NEWEST_VERSION = "1.51"

# Answers that are held in memory may be this large, in bytes. A list of a thousand containers takes about 3 MiB.
MEMORY_LIMIT = 128 * 2**20

Query = t.Mapping[str, t.Any]
Body = t.Union[None, t.Mapping[str, t.Any], t.Sequence[t.Any]]


class Answer(t.NamedTuple):
    """What the engine answered. The names of ``headers`` are in lower case."""

    address: str
    endpoint: str
    status: int
    headers: t.Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text; bytes that are no UTF-8 are replaced."""
        return self.body.decode("utf-8", errors="replace")

    @property
    def is_json(self) -> bool:
        """Whether the engine says that the body is JSON."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower() == "application/json"

    def json(self) -> t.Any:
        """Return the JSON value of the body. Raises BrokenAnswerError when it is none."""
        broken: ValueError | None = None
        if self.is_json:
            try:
                return json.loads(self.body)
            except ValueError as exc:
                broken = exc
        from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.refusals import no_json

        raise no_json(self, broken) from broken


class Engine:
    """An engine that can be asked. Use it in a C(with) statement: it keeps its connection until the end."""

    def __init__(self, connection: Connection) -> None:
        """Connects nowhere yet. Raises MissingLibraryError."""
        self.connection = connection
        self._watch = Watch(connection)
        self._transport = _open_transport(self._watch)
        self._version = connection.api_version

    def __enter__(self) -> Engine:
        """Return the engine."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the connection."""
        self._transport.close()

    @property
    def api_version(self) -> str:
        """The API version that is spoken, such as C(1.41); found out with the first use. Raises EngineError.

        It is the newest that both sides know, from the header Api-Version that each engine sends with /_ping.
        """
        if self._version is None:
            highest = self.request("GET", "/_ping", versioned=False).headers.get("api-version", "")
            if not re.fullmatch(r"[0-9]+\.[0-9]+", highest):
                from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.refusals import (
                    no_api_version,
                )

                raise no_api_version(self.connection.address)
            self._version = min(highest, NEWEST_VERSION, key=version_key)
        return self._version

    def get_json(self, path: str, query: Query | None = None) -> t.Any:
        """Return the JSON value that C(GET path) answers. Raises EngineError."""
        return self.request("GET", path, query=query).json()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Body = None,
        headers: t.Mapping[str, str] | None = None,
        accept: t.Container[int] = range(200, 300),
        versioned: bool = True,
        seconds: float | None = None,
    ) -> Answer:
        """Return the engine's whole answer to one request.

        :param path: below the version, such as C(/containers/json); the parts that come from names are quoted already.
        :param query: values as in :func:`query_string`.
        :param body: sent as JSON.
        :param accept: the statuses that are no error.
        :param seconds: the time limit, when it is not that of the connection.
        Raises EngineError, which is an AnswerError for a status that is not accepted.
        """
        with self.exchange(method, path, query, body, headers, versioned=versioned, seconds=seconds) as exchange:
            answer = exchange.read()
        self.require(answer, accept)
        return answer

    def require(self, answer: Answer, accept: t.Container[int]) -> None:
        """Raise EngineError for an answer whose status is not accepted."""
        if answer.status not in accept:
            from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.refusals import refusal

            raise refusal(self, answer)

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
        silence: bool = False,
    ) -> Exchange:
        """Send a request and return the exchange whose answer is to be read. See :meth:`request`.

        :param silence: the time limit is for the time in which nothing comes. Raises EngineError.
        """
        target = (f"/v{self.api_version}" if versioned else "") + path + query_string(query)
        endpoint = f"{method} {path}"
        sent = {"User-Agent": "dockerfleet.remote_api", "Accept-Encoding": "identity", **(headers or {})}
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        self._watch.start(seconds, silence=silence)
        self._watch.phase = f"waiting for the answer to {endpoint}"
        with self.plain_words(endpoint):
            response = self._transport.send(method, target, content, sent)
        return Exchange(self, self._watch, endpoint, response)

    def plain_words(self, endpoint: str) -> t.ContextManager[None]:
        """Return a context in which errors of HTTP are raised as EngineError."""
        return _PlainWords(self._watch, endpoint, self._transport.errors)


def _open_transport(watch: Watch) -> Transport:
    """Return the way to the watch's engine; only what that needs is loaded. Raises MissingLibraryError."""
    if watch.connection.socket_path is not None:
        from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.local_http import LocalTransport

        return LocalTransport(watch)
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.adapter import RemoteTransport

    return RemoteTransport(watch)


class Exchange:
    """A request that was sent, and the answer that is being read. Use it in a C(with) statement."""

    def __init__(self, engine: Engine, watch: Watch, endpoint: str, response: Response) -> None:
        self._engine = engine
        self._watch = watch
        self._endpoint = endpoint
        self._response = response
        watch.reached = True
        watch.phase = f"reading the answer to {endpoint}"
        self.status = response.status
        self.headers = response.headers

    def __enter__(self) -> Exchange:
        """Return the exchange."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Give the connection back when all was read, else close it."""
        self._response.close()

    def chunks(self) -> t.Iterator[bytes]:
        """Yield the body in pieces of at most 64 KiB as it comes. Raises EngineError."""
        received = 0
        with self._engine.plain_words(self._endpoint):
            for piece in self._response.pieces():
                received += len(piece)
                yield piece
        self._check_length(received)

    def _check_length(self, received: int) -> None:
        """Raise EngineError when the connection ended too early, which neither library tells in all its versions."""
        promised = self.headers.get("content-length", "")
        has_body = not self._endpoint.startswith("HEAD ") and self.status not in (204, 304)
        if has_body and promised.isdigit() and received < int(promised):
            from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import cut_off

            detail = f"after {received} of {promised} bytes"
            raise cut_off(self._engine.connection.address, self._watch.phase, detail, reached=True)

    def read(self) -> Answer:
        """Return the whole answer. Raises EngineError."""
        pieces: list[bytes] = []
        size = 0
        for piece in self.chunks():
            size += len(piece)
            if size > MEMORY_LIMIT:
                from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import (
                    answer_too_big,
                )

                raise answer_too_big(self._engine.connection.address, self._endpoint, MEMORY_LIMIT)
            pieces.append(piece)
        address = self._engine.connection.address
        return Answer(address, self._endpoint, self.status, self.headers, b"".join(pieces))


class _PlainWords:
    """A context in which the errors of a transport are raised as EngineError."""

    def __init__(self, watch: Watch, endpoint: str, errors: tuple[type[Exception], ...]) -> None:
        self._watch = watch
        self._endpoint = endpoint
        self._errors = errors

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """Raise EngineError for an error that is about HTTP; leave all others alone."""
        if isinstance(exc, self._errors):
            from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.http_errors import explain_http

            raise explain_http(exc, self._watch, self._endpoint) from exc


def version_key(version: str) -> tuple[int, ...]:
    """Return what API versions such as C(1.41) are compared by."""
    return tuple(int(part) for part in version.split("."))


def query_string(query: Query | None) -> str:
    """Return a query string with its question mark, empty when nothing is asked.

    A boolean becomes ``true`` or ``false``, a list its parameter several times, a dictionary (such as C(filters)) JSON;
    what is None is left out.
    """
    pairs: list[tuple[str, str]] = []
    for name, value in (query or {}).items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one is not None:
                pairs.append((name, _query_value(one)))
    if not pairs:
        return ""
    if all(_is_plain(text) for pair in pairs for text in pair):
        return "?" + "&".join(f"{name}={value}" for name, value in pairs)
    from urllib.parse import urlencode

    return "?" + urlencode(pairs)


def _query_value(value: t.Any) -> str:
    """Return one value of a query as the engine reads it."""
    if isinstance(value, (bool, dict)):
        return json.dumps(value)
    return str(value)


def path_of(name: str) -> str:
    """Return a name (of a container, of an image) as part of a path."""
    if _is_plain(name):
        return name
    from urllib.parse import quote

    return quote(name, safe="/:@")


def _is_plain(text: str) -> bool:
    """Return whether nothing in a text has to be quoted, so that urllib need not be loaded in each task anew."""
    return re.fullmatch("[A-Za-z0-9_.-]*", text) is not None


__all__ = (
    "MEMORY_LIMIT",
    "NEWEST_VERSION",
    "Answer",
    "Engine",
    "Exchange",
    "path_of",
    "query_string",
    "version_key",
)
