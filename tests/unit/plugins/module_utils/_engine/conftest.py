# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers that play an engine, good or bad, over real sockets, and the certificates they need."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import pathlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import Engine
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import (
    ENGINE_ARGUMENTS,
    ClientEnvironment,
    Connection,
    resolve,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Handler = Callable[[socket.socket], None]

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@dataclass
class Authority:
    """A certificate authority whose files lie in one folder."""

    folder: pathlib.Path
    name: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    not_after: datetime.datetime = NOW + 30 * DAY

    def __post_init__(self) -> None:
        self.folder.mkdir()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        certificate = self._builder(subject, self.key.public_key(), NOW - 60 * DAY, self.not_after).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.path = self.folder / "ca.pem"
        self.path.write_bytes(self._signed(certificate))

    def _builder(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        not_before: datetime.datetime,
        not_after: datetime.datetime,
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before)
            .not_valid_after(not_after)
        )

    def _signed(self, builder: x509.CertificateBuilder) -> bytes:
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        name: str,
        *,
        names: tuple[str, ...] = ("localhost",),
        addresses: tuple[str, ...] = ("127.0.0.1",),
        not_before: datetime.datetime = NOW - 40 * DAY,
        not_after: datetime.datetime = NOW + 20 * DAY,
        server: bool = True,
        directory: str | None = None,
    ) -> pathlib.Path:
        """Return a folder with ca.pem, cert.pem and key.pem.

        :param directory: the common name of a directoryName in subjectAltName, if there is to be one.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        sans: list[x509.GeneralName] = [x509.DNSName(one) for one in names]
        sans += [x509.IPAddress(ipaddress.ip_address(one)) for one in addresses]
        if directory:
            attributes = [x509.NameAttribute(NameOID.COMMON_NAME, directory)]
            sans.append(x509.DirectoryName(x509.Name(attributes)))
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = self._builder(subject, key.public_key(), not_before, not_after)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if sans:
            builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
        folder = self.folder / name
        folder.mkdir()
        (folder / "ca.pem").write_bytes(self.path.read_bytes())
        (folder / "cert.pem").write_bytes(self._signed(builder))
        (folder / "key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
            )
        )
        return folder


@pytest.fixture
def authority(tmp_path: pathlib.Path) -> Authority:
    return Authority(tmp_path / "pki", "Our CA")


@pytest.fixture
def other_authority(tmp_path: pathlib.Path) -> Authority:
    return Authority(tmp_path / "other", "Other CA")


@pytest.fixture
def make_authority(tmp_path: pathlib.Path) -> Callable[..., Authority]:
    def make(folder: str, name: str, not_after: datetime.datetime = NOW + 30 * DAY) -> Authority:
        return Authority(tmp_path / folder, name, not_after=not_after)

    return make


def server_context(folder: pathlib.Path, *, mutual: bool = False, newest: bool = True) -> ssl.SSLContext:
    """Return a server's context with the certificate in a folder, for TLS 1.3 or 1.2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    if not newest:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "ca.pem")
    return context


@pytest.fixture(name="server_context")
def server_context_fixture() -> Callable[..., ssl.SSLContext]:
    return server_context


@dataclass
class Server:
    """A server in a thread. ``connections`` counts those that were accepted."""

    address: str
    connections: int = 0


@pytest.fixture
def serve(tmp_path: pathlib.Path) -> Iterator[Callable[..., Server]]:
    """Start servers whose handler gets each accepted connection; they end with the test."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def accept(server: Server, listener: socket.socket, handler: Handler, context: ssl.SSLContext | None) -> None:
        while True:
            try:
                plain, _peer = listener.accept()
            except OSError:
                return
            server.connections += 1
            thread = threading.Thread(target=talk, args=(plain, handler, context), daemon=True)
            thread.start()

    def talk(plain: socket.socket, handler: Handler, context: ssl.SSLContext | None) -> None:
        plain.settimeout(20)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            sock = stack.enter_context(plain)
            if context is not None:
                secured = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
                sock = stack.enter_context(secured)
                try:
                    secured.do_handshake()
                except ssl.SSLError:
                    time.sleep(0.3)  # closed at once, with bytes unread, the alert would be lost
                    return
            handler(sock)

    def start(
        handler: Handler,
        *,
        context: ssl.SSLContext | None = None,
        unix: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> Server:
        if unix:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(tmp_path / "engine.sock"))
            server = Server(f"unix://{tmp_path / 'engine.sock'}")
        else:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            server = Server(f"tcp://{host}:{listener.getsockname()[1]}")
        listener.listen()
        listeners.append(listener)
        thread = threading.Thread(target=accept, args=(server, listener, handler, context), daemon=True)
        thread.start()
        threads.append(thread)
        return server

    yield start
    for listener in listeners:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(5)


def read_request(sock: socket.socket) -> tuple[str, bytes]:
    """Return the request line and the body of one request, both empty at the end of the connection."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = sock.recv(65536)
        if not piece:
            return "", b""
        received += piece
        if received.startswith(b"\x16"):  # a TLS handshake: Go's server answers its first line, which ends with any 10
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n400 Bad Request")
            return "", b""
    head, body = received.split(b"\r\n\r\n", 1)
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    while len(body) < length:
        body += sock.recv(65536)
    return head.split(b"\r\n")[0].decode(), body


def reply(
    sock: socket.socket,
    body: bytes | object,
    *,
    status: str = "200 OK",
    kind: str = "application/json",
    headers: str = "Api-Version: 1.41\r\n",
) -> None:
    """Answer as an engine does."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{headers}Content-Length: {len(content)}\r\n\r\n"
    sock.sendall(head.encode() + content)


@dataclass
class FakeEngine:
    """Answers requests from a table: "GET /info" (without the version) -> body, or (status, body). Notes them all."""

    answers: dict[str, object]
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    headers: str = "Api-Version: 1.41\r\n"

    def __call__(self, sock: socket.socket) -> None:
        """Serve a connection until its end."""
        while True:
            line, body = read_request(sock)
            if not line:
                return
            method, target, _protocol = line.split(" ")
            self.requests.append((f"{method} {target}", body))
            path = target.split("?")[0]
            if path.startswith("/v1."):
                path = path[path.index("/", 1) :]
            answer = self.answers.get(f"{method} {path}", ("404 Not Found", {"message": "page not found"}))
            if path == "/_ping":
                reply(sock, b"OK", kind="text/plain", headers=self.headers)
            elif isinstance(answer, tuple):
                reply(sock, answer[1], status=answer[0])
            else:
                reply(sock, answer)


@pytest.fixture
def fake_engine() -> type[FakeEngine]:
    return FakeEngine


@pytest.fixture
def talking() -> Callable[..., Callable[[socket.socket], None]]:
    """Return a function that makes a handler which pings as an engine does, and then does something else."""

    def make(then: Callable[[socket.socket], None]) -> Handler:
        def handler(sock: socket.socket) -> None:
            line, _body = read_request(sock)
            if "/_ping" in line:
                reply(sock, b"OK", kind="text/plain")
                read_request(sock)
            then(sock)

        return handler

    return make


def connection_to(address: str, **params: object) -> Connection:
    """Return the connection that a task with these options has, in empty surroundings."""
    defaults = {name: argument.get("default") for name, argument in ENGINE_ARGUMENTS.items()}
    return resolve({**defaults, "timeout": 20, **params, "docker_host": address}, ClientEnvironment.empty())


@pytest.fixture(name="connection_to")
def connection_to_fixture() -> Callable[..., Connection]:
    return connection_to


@pytest.fixture
def engine_at() -> Iterator[Callable[..., Engine]]:
    """Return a function that opens an engine; all are closed with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda address, **params: stack.enter_context(Engine(connection_to(address, **params)))


@pytest.fixture
def worker_id(request: pytest.FixtureRequest) -> str:
    """Return which of the parallel processes this is; pytest-xdist has the same fixture, which may not be there."""
    return str(getattr(request.config, "workerinput", {}).get("workerid", "master"))


@pytest.fixture
def black_hole() -> Iterator[Callable[[str, str, pytest.MonkeyPatch], None]]:
    """Return a function that gives a name two addresses: one that never answers, then another one.

    Linux drops what comes to a socket whose backlog is full, as a firewall does (listen(2)).
    """
    with contextlib.ExitStack() as open_sockets:
        full = open_sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _number in range(2):
            waiting = open_sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        resolved = socket.getaddrinfo

        def resolve_name(name: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
            def getaddrinfo(host: str, port: int, **options: Any) -> list[tuple[object, ...]]:
                if host != name:
                    return list(resolved(host, port, **options))
                silent = resolved(*full.getsockname(), **options)
                return [*silent, *resolved(address, port, **options)]

            monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

        yield resolve_name
