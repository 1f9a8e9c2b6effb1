# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""HTTP/1.1 (RFC 9112) with an engine on its unix socket: one connection, one request after the other.

http.client could do this, too. But it brings ssl and email, and a host compiles and loads what a module needs in each
task anew: that took a tenth of the time in which an engine's 500 containers are listed, and a third of the time for
one. What it knows of proxies, tunnels, TLS and old servers is not needed here.
"""

from __future__ import annotations

import re
import socket
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.error_kinds import EngineError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.sockets import Watch, dial

# What the head of an answer may hold: bytes in a line, and lines. An engine's has about ten short ones.
_LINE_LIMIT = 2**16
_HEADERS_LIMIT = 100

_PIECE = 2**16


class LocalHttpError(Exception):
    """The answer breaks the rules of HTTP."""


class ClosedError(LocalHttpError):
    """The connection was closed before the end of the answer; the text says where."""


class NotHttpError(LocalHttpError):
    """What came, of which the text holds a line, is not HTTP."""


class TooLargeError(LocalHttpError):
    """The headers do not end."""


class LocalResponse:
    """An answer that is being read. ``is_complete`` says that nothing is left, so that the connection can be kept."""

    def __init__(self, stream: t.BinaryIO, method: str, hang_up: t.Callable[[], None]) -> None:
        """Read the head of the answer to a request with this method. Raises EngineError and LocalHttpError.

        :param hang_up: closes the connection.
        """
        self._stream = stream
        self._method = method
        self._hang_up = hang_up
        self.status, self.headers = self._read_head()
        while self.status == 100:  # a word in between (RFC 9110, 15.2.1)
            self.status, self.headers = self._read_head()
        self.is_complete = False

    def pieces(self) -> t.Iterator[bytes]:
        """Yield the body in pieces of at most 64 KiB as it comes. Raises EngineError and LocalHttpError.

        A body that is shorter than it was said to be just ends. The rules of its length are RFC 9112, 6.3.
        """
        if self._method == "HEAD" or self.status in (204, 304):
            self.is_complete = True
        elif self.headers.get("transfer-encoding", "").lower() == "chunked":
            yield from self._chunks()
            self.is_complete = True
        elif "content-length" in self.headers:
            left = yield from self._bytes(self._content_length())
            self.is_complete = not left
        else:
            while piece := self._stream.read(_PIECE):
                yield piece

    def close(self) -> None:
        """Close the connection, too, when there is something left to be read: the next request needs a fresh one."""
        if not self.is_complete or self.headers.get("connection", "").lower() == "close":
            self._hang_up()

    def _chunks(self) -> t.Iterator[bytes]:
        """Yield the pieces of a body in chunks (RFC 9112, 7.1)."""
        while size := self._chunk_size():
            left = yield from self._bytes(size)
            if left:
                raise ClosedError("within a chunk")
            self._line("at the end of a chunk")
        while self._line("behind the last chunk").strip():
            pass

    def _bytes(self, count: int) -> t.Generator[bytes, None, int]:
        """Yield this many bytes in pieces, and return how many are missing because the connection has ended."""
        while count and (piece := self._stream.read(min(count, _PIECE))):
            count -= len(piece)
            yield piece
        return count

    def _read_head(self) -> tuple[int, dict[str, str]]:
        """Return the status and the headers, their names in lower case."""
        line = self._stream.readline(_LINE_LIMIT)
        if not line:
            raise ClosedError("without any answer")
        found = re.match(rb"HTTP/1\.[01] ([1-9][0-9]{2})\b", line)
        if not found:
            raise NotHttpError(_text(line))
        headers: dict[str, str] = {}
        while line := self._line("within the headers").strip():
            name, colon, value = _text(line).partition(":")
            if not colon:
                raise NotHttpError(_text(line))
            if len(headers) == _HEADERS_LIMIT:
                raise TooLargeError
            headers[name.lower()] = value.strip()
        return int(found[1]), headers

    def _content_length(self) -> int:
        """Return the length of the body that the headers give."""
        length = self.headers["content-length"]
        if not re.fullmatch("[0-9]{1,18}", length):
            raise NotHttpError(f"Content-Length: {length}")
        return int(length)

    def _chunk_size(self) -> int:
        """Return the size of the next chunk, 0 at the end of the body."""
        line = self._line("between two chunks")
        found = re.match(rb"([0-9A-Fa-f]{1,16})[;\s]", line)
        if not found:
            raise NotHttpError(_text(line))
        return int(found[1], 16)

    def _line(self, where: str) -> bytes:
        """Return the next line with its end; ``where`` says in which part of the answer that is."""
        line = self._stream.readline(_LINE_LIMIT)
        if len(line) == _LINE_LIMIT:
            raise TooLargeError
        if not line.endswith(b"\n"):
            raise ClosedError(where)
        return line


def _text(line: bytes) -> str:
    """Return a line as text, in the one encoding that takes all bytes."""
    return line.decode("latin-1").rstrip("\r\n")


def _quoted(target: str) -> str:
    """Return the path of a request with its query, in which blanks and whatever is not ASCII are quoted."""
    if re.fullmatch("[!-~]+", target):
        return target
    from urllib.parse import quote

    return quote(target, safe="!#$%&'()*+,/:;=?@[]~")


class LocalTransport:
    """The way to an engine over a unix socket."""

    errors: tuple[type[Exception], ...] = (LocalHttpError,)

    def __init__(self, watch: Watch) -> None:
        """Connects nowhere yet."""
        self._watch = watch
        self._sock: socket.socket | None = None
        self._stream: t.BinaryIO | None = None

    def send(self, method: str, target: str, body: bytes | None, headers: t.Mapping[str, str]) -> LocalResponse:
        """Send a request and return its answer. Raises EngineError and LocalHttpError."""
        head = [f"{method} {_quoted(target)} HTTP/1.1", "Host: localhost"]
        head.extend(f"{name}: {value}" for name, value in headers.items())
        if body is not None or method in ("POST", "PUT"):
            head.append(f"Content-Length: {len(body or b'')}")
        if self._sock is None or self._stream is None:
            self._sock = dial(self._watch)
            self._stream = self._sock.makefile("rb")
        try:
            self._sock.sendall("\r\n".join([*head, "", ""]).encode("latin-1") + (body or b""))
            return LocalResponse(self._stream, method, self.close)
        except (EngineError, LocalHttpError):
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        if self._sock is not None and self._stream is not None:
            self._stream.close()
            self._sock.close()
        self._sock = self._stream = None


__all__ = ("ClosedError", "LocalHttpError", "LocalTransport", "NotHttpError", "TooLargeError")
