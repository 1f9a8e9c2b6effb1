# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Send any request to an engine, and return its answer or write it to a file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import tempfile
import typing as t
from dataclasses import dataclass
from urllib.parse import parse_qsl

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import (
    Answer,
    Engine,
    Exchange,
)

# Answers that last as long as their connection, besides those to requests with ``follow``.
_ENDLESS = re.compile(r"/events$|/(stats|attach)$")
# The 8 bytes before each piece of a container's output: which stream it is of, and its length (ContainerAttach).
_FRAME = re.compile(rb"[\0-\2]\0\0\0.{4}", re.DOTALL)
_FRAMED = re.compile(r"/(logs|attach)$|/exec/[^/]+/start$")


@dataclass(frozen=True)
class Request:
    """A request as it was asked for: ``body`` is sent as JSON, or else the file ``src`` as it is.

    ``accept`` holds the statuses that are no error, None for all from 200 to 299.
    """

    method: str
    path: str
    query: t.Mapping[str, t.Any] | None = None
    body: t.Mapping[str, t.Any] | None = None
    headers: t.Mapping[str, str] | None = None
    accept: t.Sequence[int] | None = None
    src: str | None = None

    @property
    def reads(self) -> bool:
        """Whether the method says that nothing is changed."""
        return self.method in ("GET", "HEAD")

    @property
    def is_endless(self) -> bool:
        """Whether the engine answers until the connection is closed."""
        asked = self._parameters
        once = not _is_true(asked.get("stream", True)) or "until" in asked
        return _is_true(asked.get("follow", False)) or (bool(_ENDLESS.search(self._plain_path)) and not once)

    @property
    def is_framed(self) -> bool:
        """Whether the answer is the output of a container, which comes in frames if there is no terminal."""
        return bool(_FRAMED.search(self._plain_path))

    @property
    def _plain_path(self) -> str:
        """The path without a query that is written in it."""
        return self.path.partition("?")[0]

    @property
    def _parameters(self) -> dict[str, t.Any]:
        """The parameters of both queries; of the same name that in the path counts, which the engine reads first."""
        written = dict(reversed(parse_qsl(self.path.partition("?")[2], keep_blank_values=True)))
        return {**{name: value for name, value in (self.query or {}).items() if value is not None}, **written}


def _is_true(value: t.Any) -> bool:
    """Return whether an engine takes the parameter's value for true (moby, daemon/server/httputils: BoolValue)."""
    first = next(iter(value), "") if isinstance(value, (list, tuple)) else value
    return str(first).strip().lower() not in ("", "0", "no", "false", "none")


class _Body:
    """The body of an answer in pieces, without the frames of a container's output.

    An endless one ends at the time limit; ``timed_out`` tells whether it did.
    """

    def __init__(self, exchange: Exchange, request: Request) -> None:
        self.timed_out = False
        self._exchange = exchange
        self._request = request

    def __iter__(self) -> t.Iterator[bytes]:
        """Yield the pieces. Raises EngineError."""
        pieces = self._exchange.chunks()
        if self._request.is_framed:
            pieces = _without_frames(pieces)
        try:
            yield from pieces
        except errors.TimedOutError:
            if not self._request.is_endless:
                raise
            self.timed_out = True


def _without_frames(pieces: t.Iterator[bytes]) -> t.Iterator[bytes]:
    """Yield the content of the frames as it comes, or the pieces as they are if they do not begin as frames do.

    The output of a container with a terminal has none, and engines before API 1.42 do not say which it is.
    """
    rest, left, framed = b"", 0, None
    for piece in pieces:
        rest += piece
        if framed is None and len(rest) >= 8:
            framed = bool(_FRAME.match(rest))
        while framed and rest:
            if left == 0:
                if len(rest) < 8:
                    break
                left, rest = int.from_bytes(rest[4:8], "big"), rest[8:]
            content, rest = rest[:left], rest[left:]
            left -= len(content)
            yield content
        if framed is False:
            yield rest
            rest = b""
    if framed is None:
        yield rest


def send(engine: Engine, request: Request) -> dict[str, t.Any]:
    """Return the module's result for a request whose answer is held in memory. Raises EngineError."""
    with _exchange(engine, request, idle=False) as exchange:
        body = _Body(exchange, request)
        answer = exchange.read(body)
    engine.require(answer, _accepted(request))
    result = {"changed": not request.reads, "status": answer.status, "headers": dict(answer.headers)}
    if body.timed_out:
        result["timed_out"] = True
    if answer.is_json and (answer.body.strip() or body.timed_out):
        return {**result, "json": _json(answer, cut=body.timed_out)}
    return {**result, "text": answer.text}


def download(engine: Engine, request: Request, path: str, *, write: bool) -> dict[str, t.Any]:
    """Return the module's result for a request whose answer is written to a file, as it comes.

    The file is written beside its place and put there once it is complete; only its owner may read it. It counts as
    changed when its content does. The time limit is for each pause of the engine, unless the answer is endless.

    :param write: whether to put the file there (not so in check mode). Raises EngineError.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path) or not os.path.isdir(folder):
        raise errors.bad_dest(path=path)
    with _exchange(engine, request, idle=not request.is_endless) as exchange:
        if exchange.status not in _accepted(request):
            engine.require(exchange.read(), _accepted(request))
        result = {"status": exchange.status, "headers": dict(exchange.headers), "dest": path}
        body = _Body(exchange, request)
        try:
            changed = _write(body, path, folder) if write else _digest(body) != _digest_of(path)
        except OSError as exc:
            raise errors.unwritable_dest(path=path, reason=exc.strerror) from exc
    if body.timed_out:
        result["timed_out"] = True
    return {**result, "changed": changed or not request.reads}


@contextlib.contextmanager
def _exchange(engine: Engine, request: Request, *, idle: bool) -> t.Iterator[Exchange]:
    """Send the request and return its exchange. A path that begins with a version (/v1.41/info) is taken as it is.

    While a file is sent, the time limit is for each pause. Raises EngineError.
    """
    if not request.path.startswith("/"):
        raise errors.bad_path(path=request.path)
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(_opened(request.src)) if request.src else None
        yield stack.enter_context(
            engine.exchange(
                request.method,
                request.path,
                request.query,
                request.body,
                _checked_headers(request.headers),
                versioned=not re.match(r"/v[0-9]+\.[0-9]+/", request.path),
                idle=idle or stream is not None,
                stream=stream,
            )
        )


def _opened(path: str) -> t.BinaryIO:
    """Return the file, opened to be read. Raises OptionError."""
    try:
        return open(path, "rb")
    except OSError as exc:
        raise errors.unreadable_file(path=path, reason=exc.strerror, machine=platform.node()) from exc


def _checked_headers(headers: t.Mapping[str, t.Any] | None) -> dict[str, str]:
    """Return headers as they are sent. Raises OptionError for one that HTTP cannot carry (RFC 9110, 5.1 and 5.5)."""
    checked = {str(name): str(value) for name, value in (headers or {}).items()}
    for name, value in checked.items():
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or not re.fullmatch(r"[\t -~\xa0-\xff]*", value):
            raise errors.bad_header(name=name)
    return checked


def _accepted(request: Request) -> t.Container[int]:
    """Return the statuses that are no error."""
    return range(200, 300) if request.accept is None else request.accept


def _json(answer: Answer, *, cut: bool) -> t.Any:
    """Return the JSON value of an answer; a list of them where the engine streams its progress, one value a line.

    :param cut: whether the answer is an endless one that was ended, maybe within a line. It always is a list.
    Raises EngineError for broken JSON, and when such a stream ends in an error, although the status was a good one.
    """
    lines = answer.body.splitlines()
    if cut and not answer.body.endswith(b"\n"):
        lines = lines[:-1]
    try:
        values = [json.loads(line) for line in lines if line.strip()]
    except ValueError:
        return answer.json()
    for value in values:
        if isinstance(value, dict) and "errorDetail" in value:
            message = str(value.get("error"))
            error = errors.failed_in_stream(endpoint=answer.endpoint, address=answer.address, message=message)
            raise error.with_answer(answer.status, answer.endpoint, message)
    return values[0] if len(values) == 1 and not cut else values


def _write(pieces: t.Iterable[bytes], path: str, folder: str) -> bool:
    """Write the pieces to the file, and return whether that changed its content. Raises OSError and EngineError."""
    before = _digest_of(path)
    descriptor, partial = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=folder)
    try:
        with open(descriptor, "wb") as stream:
            digest = _digest(pieces, stream)
            stream.flush()
            os.fsync(stream.fileno())
        if digest == before:
            return False
        os.replace(partial, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
    return True


def _digest(pieces: t.Iterable[bytes], stream: t.BinaryIO | None = None) -> str:
    """Return the SHA-256 of pieces, after writing each to the stream. Raises OSError and EngineError."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        if stream is not None:
            stream.write(piece)
    return digest.hexdigest()


def _digest_of(path: str) -> str:
    """Return the SHA-256 of a file's content, empty when there is no such file. Raises OSError."""
    try:
        with open(path, "rb") as stream:
            return _digest(iter(lambda: stream.read(2**20), b""))
    except FileNotFoundError:
        return ""


__all__ = ("Request", "download", "send")
