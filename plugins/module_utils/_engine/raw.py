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
import re
import tempfile
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import (
    Answer,
    Engine,
    Exchange,
)


@dataclass(frozen=True)
class Request:
    """A request as it was asked for. ``accept`` holds the statuses that are no error, None for all from 200 to 299."""

    method: str
    path: str
    query: t.Mapping[str, t.Any] | None
    body: t.Mapping[str, t.Any] | None
    headers: t.Mapping[str, str] | None
    accept: t.Sequence[int] | None

    @property
    def reads(self) -> bool:
        """Whether the method says that nothing is changed."""
        return self.method in ("GET", "HEAD")


def send(engine: Engine, request: Request) -> dict[str, t.Any]:
    """Return the module's result for a request whose answer is held in memory. Raises EngineError."""
    with _exchange(engine, request, idle=False) as exchange:
        answer = exchange.read()
    engine.require(answer, _accepted(request))
    result = {"changed": not request.reads, "status": answer.status, "headers": dict(answer.headers)}
    if answer.is_json and answer.body.strip():
        return {**result, "json": _json(answer)}
    return {**result, "text": answer.text}


def download(engine: Engine, request: Request, path: str, *, write: bool) -> dict[str, t.Any]:
    """Return the module's result for a request whose answer is written to a file, as it comes.

    The file is written beside its place and put there once it is complete; only its owner may read it. It counts as
    changed when its content does. The time limit is for each pause of the engine.

    :param write: whether to put the file there (not so in check mode). Raises EngineError.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path) or not os.path.isdir(folder):
        raise errors.bad_dest(path=path)
    with _exchange(engine, request, idle=True) as exchange:
        if exchange.status not in _accepted(request):
            engine.require(exchange.read(), _accepted(request))
        result = {"status": exchange.status, "headers": dict(exchange.headers), "dest": path}
        try:
            changed = _write(exchange, path, folder) if write else _digest(exchange.chunks()) != _digest_of(path)
        except OSError as exc:
            raise errors.unwritable_dest(path=path, reason=exc.strerror) from exc
    return {**result, "changed": changed or not request.reads}


def _exchange(engine: Engine, request: Request, *, idle: bool) -> Exchange:
    """Send the request. A path that begins with a version, such as ``/v1.41/info``, is taken as it is."""
    if not request.path.startswith("/"):
        raise errors.bad_path(path=request.path)
    versioned = not re.match(r"/v[0-9]+\.[0-9]+/", request.path)
    return engine.exchange(
        request.method,
        request.path,
        request.query,
        request.body,
        _checked_headers(request.headers),
        versioned=versioned,
        idle=idle,
    )


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


def _json(answer: Answer) -> t.Any:
    """Return the JSON value of an answer; a list of them where the engine streams its progress, one value a line.

    Raises EngineError for broken JSON, and when such a stream ends in an error, although the status was a good one.
    """
    values = []
    try:
        values = [json.loads(line) for line in answer.body.splitlines() if line.strip()]
    except ValueError:
        return answer.json()
    for value in values:
        if isinstance(value, dict) and "errorDetail" in value:
            message = str(value.get("error"))
            error = errors.failed_in_stream(endpoint=answer.endpoint, address=answer.address, message=message)
            raise error.with_answer(answer.status, answer.endpoint, message)
    return values[0] if len(values) == 1 else values


def _write(exchange: Exchange, path: str, folder: str) -> bool:
    """Write the answer to the file, and return whether that changed its content. Raises OSError and EngineError."""
    before = _digest_of(path)
    descriptor, partial = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=folder)
    try:
        with open(descriptor, "wb") as stream:
            digest = _digest(exchange.chunks(), stream)
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
