# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TLS between the client and servers with real certificates: what works, and in which words the rest fails."""

from __future__ import annotations

import datetime
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import typing as t
from collections.abc import Callable

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import Engine
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import (
    EngineError,
    OptionError,
    TlsError,
)

if t.TYPE_CHECKING:
    from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._engine.conftest import (
        Authority,
        FakeEngine,
        Server,
    )

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@pytest.fixture(params=[True, False], ids=["tls1.3", "tls1.2"])
def newest(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def mutual_engine(
    serve: Callable[..., Server],
    fake_engine: type[FakeEngine],
    server_context: Callable[..., ssl.SSLContext],
    authority: Authority,
    newest: bool,
) -> Server:
    """An engine that demands a client certificate of its authority."""
    context = server_context(authority.issue("engine"), mutual=True, newest=newest)
    return serve(fake_engine({"GET /info": {"Name": "fake", "ServerVersion": "0"}}), context=context)


def test_client_with_its_certificate_gets_an_answer(
    mutual_engine: Server, authority: Authority, engine_at: Callable[..., Engine]
) -> None:
    engine = engine_at(mutual_engine.address, cert_path=str(authority.issue("admin", server=False)))
    assert engine.get_json("/info")["Name"] == "fake"
    assert engine.get_json("/info")["Name"] == "fake"
    assert mutual_engine.connections == 1


def test_environment_has_no_say(
    mutual_engine: Server,
    authority: Authority,
    engine_at: Callable[..., Engine],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, str(empty))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:1")
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))

    engine = engine_at(mutual_engine.address, cert_path=str(authority.issue("admin", server=False)))
    assert engine.get_json("/info")["Name"] == "fake"


def test_engine_wants_a_client_certificate(
    mutual_engine: Server, authority: Authority, engine_at: Callable[..., Engine]
) -> None:
    engine = engine_at(mutual_engine.address, ca_path=str(authority.path))
    with pytest.raises(TlsError, match="the engine wants a client certificate, and none was given"):
        engine.get_json("/info")
    assert not engine.answered


def test_client_certificate_of_another_authority(
    mutual_engine: Server, authority: Authority, other_authority: Authority, engine_at: Callable[..., Engine]
) -> None:
    folder = other_authority.issue("admin", server=False)
    with pytest.raises(EngineError) as caught:
        engine_at(mutual_engine.address, ca_path=str(authority.path), cert_path=str(folder)).get_json("/info")
    assert re.search(
        rf"the engine refuses the client certificate {folder}/cert.pem(: .*CA|. Look at the engine's journal)",
        str(caught.value),
    )


def test_connection_that_is_reset_before_the_alert_is_read(
    mutual_engine: Server, authority: Authority, engine_at: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = authority.issue("admin", server=False)

    def reset(*_arguments: object) -> t.NoReturn:
        raise ConnectionResetError(104, "Connection reset by peer")

    for name in ("recv", "recv_into", "read"):
        monkeypatch.setattr(ssl.SSLSocket, name, reset)
    expected = "Connection reset by peer; perhaps because the engine refuses the client certificate"
    with pytest.raises(EngineError, match=f"{expected} {folder}/cert.pem"):
        engine_at(mutual_engine.address, cert_path=str(folder)).get_json("/info")


def test_expired_client_certificate(
    mutual_engine: Server, authority: Authority, engine_at: Callable[..., Engine]
) -> None:
    folder = authority.issue("admin", server=False, not_after=NOW - DAY)
    with pytest.raises(EngineError) as caught:
        engine_at(mutual_engine.address, cert_path=str(folder)).get_json("/info")
    said = rf"the engine refuses the client certificate {folder}/cert.pem"
    assert re.search(rf"{said}(: it has expired|. Look at the engine's journal)", str(caught.value))


def test_server_certificate_used_by_a_client(
    mutual_engine: Server, authority: Authority, engine_at: Callable[..., Engine]
) -> None:
    folder = authority.issue("admin", server=True)
    with pytest.raises(EngineError) as caught:
        engine_at(mutual_engine.address, cert_path=str(folder)).get_json("/info")
    assert re.search(
        rf"the engine refuses the client certificate {folder}/cert.pem(: |. Look at the engine's journal)",
        str(caught.value),
    )


@pytest.fixture
def tls_server(
    serve: Callable[..., Server],
    fake_engine: type[FakeEngine],
    server_context: Callable[..., ssl.SSLContext],
    newest: bool,
) -> Callable[[pathlib.Path], Server]:
    """Return a function that starts an engine with the certificate in a folder."""
    return lambda folder: serve(
        fake_engine({"GET /info": {"Name": "fake"}}), context=server_context(folder, newest=newest)
    )


def failure(engine_at: Callable[..., Engine], server: Server, **params: t.Any) -> str:
    """Return the message with which a connection fails."""
    engine = engine_at(server.address, **params)
    with pytest.raises(TlsError) as caught:
        engine.get_json("/info")
    assert "\n" not in str(caught.value)
    assert not engine.answered
    return str(caught.value)


def test_expired_engine_certificate(
    tls_server: Callable[[pathlib.Path], Server], authority: Authority, engine_at: Callable[..., Engine]
) -> None:
    end = NOW - DAY
    server = tls_server(authority.issue("engine1", not_after=end))
    message = failure(engine_at, server, ca_path=str(authority.path))
    assert f"the engine's certificate (engine1) expired on {end:%Y-%m-%d %H:%M:%S} UTC" in message


def test_engine_certificate_of_the_future(
    tls_server: Callable[[pathlib.Path], Server], authority: Authority, engine_at: Callable[..., Engine]
) -> None:
    start = NOW + DAY
    server = tls_server(authority.issue("engine1", not_before=start))
    message = failure(engine_at, server, ca_path=str(authority.path))
    assert f"the engine's certificate (engine1) is not valid before {start:%Y-%m-%d %H:%M:%S} UTC" in message
    assert "clocks" in message


def test_expired_authority(
    tls_server: Callable[[pathlib.Path], Server],
    make_authority: Callable[..., Authority],
    engine_at: Callable[..., Engine],
) -> None:
    end = NOW - DAY
    authority = make_authority("old", "Old CA", not_after=end)
    server = tls_server(authority.issue("engine1"))
    message = failure(engine_at, server, ca_path=str(authority.path))
    expected = f"the CA's certificate (Old CA) in {authority.path} expired on {end:%Y-%m-%d %H:%M:%S} UTC"
    assert expected in message


@pytest.mark.parametrize(
    ("names", "addresses", "carried"),
    [
        (("docker.example.com", "docker"), ("192.0.2.1",), "docker.example.com, docker, 192.0.2.1"),
        ((), (), r"no name at all \(no subjectAltName\)"),
    ],
)
def test_engine_certificate_with_other_names(
    tls_server: Callable[[pathlib.Path], Server],
    authority: Authority,
    engine_at: Callable[..., Engine],
    names: tuple[str, ...],
    addresses: tuple[str, ...],
    carried: str,
) -> None:
    server = tls_server(authority.issue("127.0.0.1", names=names, addresses=addresses))
    message = failure(engine_at, server, ca_path=str(authority.path))
    assert re.search(rf"\(127\.0\.0\.1\) does not carry the name 127\.0\.0\.1; it carries {carried}\. ", message)


def test_engine_certificate_with_the_name_of_a_directory(
    tls_server: Callable[[pathlib.Path], Server], authority: Authority, engine_at: Callable[..., Engine]
) -> None:
    server = tls_server(authority.issue("engine1", names=("docker",), addresses=(), directory="Rack 7"))
    assert "it carries docker, Rack 7. " in failure(engine_at, server, ca_path=str(authority.path))


def test_name_can_be_given(
    tls_server: Callable[[pathlib.Path], Server], authority: Authority, engine_at: Callable[..., Engine]
) -> None:
    server = tls_server(authority.issue("engine1", names=("docker.example.com",), addresses=()))
    engine = engine_at(server.address, ca_path=str(authority.path), tls_hostname="docker.example.com")
    assert engine.get_json("/info") == {"Name": "fake"}
    message = failure(engine_at, server, ca_path=str(authority.path), tls_hostname="docker.example.org")
    assert "does not carry the name docker.example.org; it carries docker.example.com" in message


def test_engine_certificate_of_another_authority(
    tls_server: Callable[[pathlib.Path], Server],
    authority: Authority,
    other_authority: Authority,
    engine_at: Callable[..., Engine],
) -> None:
    server = tls_server(other_authority.issue("engine1"))
    message = failure(engine_at, server, ca_path=str(authority.path))
    assert f"(engine1) was signed by Other CA, not by the CA in {authority.path} (Our CA)" in message


def test_authority_of_the_same_name(
    tls_server: Callable[[pathlib.Path], Server],
    authority: Authority,
    make_authority: Callable[..., Authority],
    engine_at: Callable[..., Engine],
) -> None:
    server = tls_server(make_authority("older", "Our CA").issue("engine1"))
    message = failure(engine_at, server, ca_path=str(authority.path))
    assert "was signed by another CA with the same name (Our CA), not by the CA in" in message


def test_system_authorities_are_not_enough_for_an_own_one(
    tls_server: Callable[[pathlib.Path], Server], authority: Authority, engine_at: Callable[..., Engine]
) -> None:
    server = tls_server(authority.issue("engine1"))
    message = failure(engine_at, server, tls=True)
    assert "was signed by Our CA, not by one of the system's CAs" in message


def test_self_signed_engine_certificate(
    tls_server: Callable[[pathlib.Path], Server],
    authority: Authority,
    make_authority: Callable[..., Authority],
    engine_at: Callable[..., Engine],
) -> None:
    server = tls_server(make_authority("self", "engine1").issue("engine1"))
    assert "is self-signed and not signed by" in failure(engine_at, server, ca_path=str(authority.path))


def test_engine_certificate_made_for_clients(
    tls_server: Callable[[pathlib.Path], Server], authority: Authority, engine_at: Callable[..., Engine]
) -> None:
    server = tls_server(authority.issue("engine1", server=False))
    message = failure(engine_at, server, ca_path=str(authority.path))
    assert "is not made for servers: its extendedKeyUsage lacks serverAuth" in message


def test_nothing_is_checked_when_told_so(
    tls_server: Callable[[pathlib.Path], Server],
    other_authority: Authority,
    authority: Authority,
    engine_at: Callable[..., Engine],
) -> None:
    server = tls_server(other_authority.issue("engine1", names=(), addresses=(), not_after=NOW - DAY))
    engine = engine_at(server.address, ca_path=str(authority.path), validate_certs=False)
    assert engine.get_json("/info") == {"Name": "fake"}


def test_authority_made_by_hand(
    tmp_path: pathlib.Path, tls_server: Callable[[pathlib.Path], Server], engine_at: Callable[..., Engine]
) -> None:
    """openssl req -new -x509 writes no keyUsage, which the strict check of Python 3.13 would refuse."""
    config = tmp_path / "req.cnf"
    config.write_text("[req]\ndistinguished_name = dn\nx509_extensions = ca\n[dn]\n[ca]\nbasicConstraints = CA:TRUE\n")

    def run(*words: str) -> None:
        subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)

    run("openssl", "genrsa", "-out", "ca-key.pem", "2048")
    run(
        *("openssl", "req", "-new", "-x509", "-days", "9", "-key", "ca-key.pem", "-out", "ca.pem"),
        *("-subj", "/CN=By hand", "-config", "req.cnf"),
    )
    run("openssl", "genrsa", "-out", "key.pem", "2048")
    run("openssl", "req", "-new", "-key", "key.pem", "-out", "csr.pem", "-subj", "/CN=engine", "-config", "req.cnf")
    (tmp_path / "ext.cnf").write_text("subjectAltName = IP:127.0.0.1\n")
    run(
        *("openssl", "x509", "-req", "-days", "9", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca-key.pem"),
        *("-set_serial", "1", "-extfile", "ext.cnf", "-out", "cert.pem"),
    )
    engine = engine_at(tls_server(tmp_path).address, ca_path=str(tmp_path / "ca.pem"))
    assert engine.get_json("/info") == {"Name": "fake"}


def test_port_speaks_plain_http(
    serve: Callable[..., Server], fake_engine: type[FakeEngine], authority: Authority, engine_at: Callable[..., Engine]
) -> None:
    def handler(sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    message = failure(engine_at, serve(handler), ca_path=str(authority.path))
    assert "this port speaks plain HTTP, not TLS" in message


@pytest.mark.parametrize(
    "answer",
    [
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
    ],
    ids=["a TLS alert", "Go's net/http"],
)
def test_port_speaks_tls(serve: Callable[..., Server], engine_at: Callable[..., Engine], answer: bytes) -> None:
    server = serve(lambda sock: sock.recv(65536) and sock.sendall(answer))
    assert "this port speaks TLS, not plain HTTP" in failure(engine_at, server, tls=False)


def test_server_that_says_nothing(
    serve: Callable[..., Server], authority: Authority, engine_at: Callable[..., Engine]
) -> None:
    server = serve(lambda sock: sock.recv(1) and sock.recv(100000) and sock.recv(1))
    with pytest.raises(EngineError, match="timed out after 1 seconds while agreeing on TLS"):
        engine_at(server.address, ca_path=str(authority.path), timeout=1).get_json("/info")


def test_server_that_closes_at_once(
    serve: Callable[..., Server], authority: Authority, engine_at: Callable[..., Engine]
) -> None:
    with pytest.raises(EngineError, match="the connection was closed while agreeing on TLS"):
        engine_at(serve(lambda sock: None).address, ca_path=str(authority.path)).get_json("/info")


def file_error(engine_at: Callable[..., Engine], **params: t.Any) -> str:
    """Return the message with which a file is refused before anything is connected to."""
    with pytest.raises(OptionError) as caught:
        engine_at("tcp://127.0.0.1:1", **params).get_json("/info")
    return str(caught.value)


def test_files_that_cannot_be_used(
    authority: Authority, other_authority: Authority, engine_at: Callable[..., Engine], tmp_path: pathlib.Path
) -> None:
    admin, other = (one.issue("admin", server=False) for one in (authority, other_authority))
    cert, key = str(admin / "cert.pem"), str(admin / "key.pem")
    text = tmp_path / "text.pem"
    text.write_text("hello")
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nabcd\n-----END CERTIFICATE-----\n")
    encrypted = tmp_path / "encrypted.pem"
    subprocess.run(
        ["openssl", "ec", "-in", key, "-aes128", "-passout", "pass:secret", "-out", encrypted],
        check=True,
        capture_output=True,
    )

    assert file_error(engine_at, ca_path=str(tmp_path / "no")).startswith(f"{tmp_path}/no: it cannot be read (No such")
    assert file_error(engine_at, ca_path=str(tmp_path)).startswith(f"{tmp_path}: it cannot be read (Is a dir")
    assert f"{text}: it is no PEM file" in file_error(engine_at, ca_path=str(text))
    assert f"{broken}: it holds no readable certificate" in file_error(engine_at, ca_path=str(broken))
    other_key = str(other / "key.pem")
    message = file_error(engine_at, client_cert=cert, client_key=other_key)
    assert f"{other_key}: the key does not belong to {cert}" in message
    assert f"{encrypted}: the key is encrypted" in file_error(engine_at, client_cert=cert, client_key=str(encrypted))
    assert f"{key}: it cannot be read" in file_error(engine_at, client_cert=str(broken), client_key=key)
    assert socket.gethostname() in message


def test_intermediate_authority_is_trusted_as_it_is(
    make_authority: Callable[..., Authority],
    tls_server: Callable[[pathlib.Path], Server],
    engine_at: Callable[..., Engine],
    tmp_path: pathlib.Path,
) -> None:
    """As with Go, a certificate in the file is trusted without the one that signed it."""
    assert shutil.which("openssl")
    root = make_authority("root", "Root CA")
    folder = tmp_path / "chain"
    folder.mkdir()
    (folder / "ext.cnf").write_text("basicConstraints = critical,CA:TRUE\n")
    (folder / "leaf.cnf").write_text("subjectAltName = IP:127.0.0.1\n")
    (folder / "req.cnf").write_text("[req]\ndistinguished_name = dn\n[dn]\n")
    (folder / "root-key.pem").write_bytes(
        root.key.private_bytes(*_pem_without_passphrase()),
    )

    def issue(name: str, issuer: pathlib.Path, issuer_key: pathlib.Path, extensions: str) -> None:
        for words in (
            ["genrsa", "-out", f"{name}-key.pem", "2048"],
            ["req", "-new", "-key", f"{name}-key.pem", "-out", "csr.pem", "-subj", f"/CN={name}", "-config", "req.cnf"],
            ["x509", "-req", "-days", "9", "-in", "csr.pem", "-CA", str(issuer), "-CAkey", str(issuer_key)]
            + ["-set_serial", "7", "-extfile", extensions, "-out", f"{name}.pem"],
        ):
            subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    issue("middle", root.path, folder / "root-key.pem", "ext.cnf")
    issue("engine", folder / "middle.pem", folder / "middle-key.pem", "leaf.cnf")
    os.rename(folder / "engine.pem", folder / "cert.pem")
    os.rename(folder / "engine-key.pem", folder / "key.pem")
    engine = engine_at(tls_server(folder).address, ca_path=str(folder / "middle.pem"))
    assert engine.get_json("/info") == {"Name": "fake"}


def _pem_without_passphrase() -> tuple[t.Any, ...]:
    from cryptography.hazmat.primitives import serialization

    return (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
