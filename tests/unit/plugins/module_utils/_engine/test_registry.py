# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Registries, token servers and redirects, good and bad: what is asked, what is told to whom, and how it fails."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import typing as t
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import (
    AnswerError,
    BrokenAnswerError,
    EngineError,
    OptionError,
    TlsError,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.images import ImageName
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.registry import (
    REGISTRY_ARGUMENTS,
    registry_info,
    resolve_image,
    resolve_login,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.registry_client import (
    Registry,
    parse_challenges,
)

if t.TYPE_CHECKING:
    from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._engine.conftest import (
        Authority,
        Server,
    )

DIGEST = "sha256:" + "a" * 64
LOGIN = {"username": "ada", "password": "correct horse"}
BASIC = "Basic " + base64.b64encode(b"ada:correct horse").decode()
JSON = {"Content-Type": "application/json"}
UNKNOWN = {"errors": [{"code": "NAME_UNKNOWN", "message": "repository name not known to registry"}]}
UNAUTHORIZED = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}


@dataclass
class Request:
    """What a server was sent; the names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]


class Reply(t.NamedTuple):
    """What a server answers."""

    body: object = b""
    status: int = 200
    headers: dict[str, str] = {}


@dataclass
class Fake:
    """A server that answers each request with what a function returns for it, and notes them all."""

    answer: Callable[[Request], Reply]
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    def __call__(self, sock: socket.socket) -> None:
        """Serve a connection until its end."""
        while True:
            received = b""
            while b"\r\n\r\n" not in received:
                piece = sock.recv(65536)
                if not piece:
                    return
                received += piece
                if received.startswith(b"\x16"):  # a TLS handshake; any web server takes it for a bad request
                    sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    return
            first, *lines = received.decode().split("\r\n\r\n")[0].split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            method, target, _protocol = first.split(" ")
            request = Request(method, target, headers)
            self.requests.append(request)
            body, status, sent = self.answer(request)
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent = {**({} if isinstance(body, bytes) else JSON), **sent, "Content-Length": str(len(content))}
            head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
            sock.sendall(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + (b"" if request.method == "HEAD" else content))

    def heard(self, secret: str) -> bool:
        """Return whether a request told the server this."""
        return any(secret in request.target or secret in str(request.headers) for request in self.requests)


Start = Callable[..., Fake]


@pytest.fixture
def start(
    serve: Callable[..., Server], server_context: Callable[..., t.Any], authority: Authority, tmp_path: t.Any
) -> Start:
    """Return a function that starts a server, with TLS unless told otherwise."""
    folder = authority.issue("registry")

    def begin(answer: Callable[[Request], Reply], *, tls: bool = True, mutual: bool = False) -> Fake:
        fake = Fake(answer)
        server = serve(fake, context=server_context(folder, mutual=mutual) if tls else None)
        fake.url = server.address.replace("tcp", "https" if tls else "http")
        return fake

    return begin


def params_of(**params: t.Any) -> dict[str, t.Any]:
    """Return all of a module's parameters."""
    return {**{name: option.get("default") for name, option in REGISTRY_ARGUMENTS.items()}, "timeout": 3, **params}


@pytest.fixture
def ask(authority: Authority) -> Callable[..., dict[str, t.Any]]:
    """Return a function that asks a registry as the module does."""

    def info(fake: Fake, **params: t.Any) -> dict[str, t.Any]:
        address = urlsplit(fake.url)
        tls = address.scheme == "https"
        params = params_of(**{"registry": address.netloc, "tls": tls, "ca_path": str(authority.path), **params})
        with Registry(resolve_login(params)) as registry:
            return registry_info(registry, resolve_image(params))

    return info


def image_answer(request: Request) -> Reply:
    """Answer as a registry with the image app:1."""
    answers = {
        "GET /v2/app/tags/list": Reply({"name": "app", "tags": ["1", "2"]}),
        "HEAD /v2/app/manifests/1": Reply(headers={"Docker-Content-Digest": DIGEST}),
        "GET /v2/_catalog": Reply({"repositories": ["app"]}),
    }
    return answers.get(f"{request.method} {request.target}", Reply(UNKNOWN, 404))


def test_registry_whose_name_is_not_ascii(
    start: Start, ask: Callable[..., dict[str, t.Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = start(image_answer, tls=False)
    port = urlsplit(fake.url).port
    found = socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_words, **_more: found)
    assert ask(fake, registry=f"\u4f8b\u3048.jp:{port}", image="app:1")["digest"] == DIGEST
    assert {request.headers["host"] for request in fake.requests} == {f"xn--r8jz45g.jp:{port}"}


# --- what is asked for -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "origin", "path", "version"),
    [
        ({"image": "r.example.com/shop/web:1.2"}, "https://r.example.com", "shop/web", "1.2"),
        ({"image": "r.example.com:5000/web"}, "https://r.example.com:5000", "web", "latest"),
        ({"image": f"localhost/web:1@{DIGEST}"}, "https://localhost", "web", DIGEST),
        ({"image": "[::1]:5000/web:1", "registry": "[::1]:5000"}, "https://[::1]:5000", "web", "1"),
        ({"image": "busybox"}, "https://registry-1.docker.io", "library/busybox", "latest"),
        ({"image": "docker.io/busybox:1"}, "https://registry-1.docker.io", "library/busybox", "1"),
        ({"image": "grafana/grafana"}, "https://registry-1.docker.io", "grafana/grafana", "latest"),
        ({"image": "web:1", "registry": "cache:5000", "tls": False}, "http://cache:5000", "web", "1"),
        ({"image": "cache:5000/web:1", "registry": "cache:5000"}, "https://cache:5000", "web", "1"),
        ({"image": "web:1", "registry": "\u4f8b\u3048.jp:5000"}, "https://xn--r8jz45g.jp:5000", "web", "1"),
        ({"image": "docker.io/a/web:1", "registry": "cache"}, "https://cache", "docker.io/a/web", "1"),
    ],
)
def test_image_and_registry(options: dict[str, t.Any], origin: str, path: str, version: str) -> None:
    params = params_of(**options)
    assert str(resolve_login(params).origin) == origin
    assert resolve_image(params) == ImageName(path, version)


@pytest.mark.parametrize(
    "image", ["Web:1", "web:1:2", "web/../../_catalog", "web:a b", "web@sha256:12", "/web", "r.example.com/", "web?n=1"]
)
def test_bad_image(image: str) -> None:
    with pytest.raises(OptionError, match=r"^option image: '.*' is not the name of an image\. Write \["):
        resolve_login(params_of(registry="r.example.com", image=image))


@pytest.mark.parametrize(
    "name", ["https://r.example.com", "r.example.com/v2", "r.example.com:x", "a b", ":50", "a?b", "a..b"]
)
def test_bad_registry(name: str) -> None:
    with pytest.raises(OptionError, match="^option registry: '.*' is not the address of a registry"):
        resolve_login(params_of(registry=name))


def test_password_in_the_address_is_not_shown() -> None:
    with pytest.raises(OptionError) as caught:
        resolve_login(params_of(registry="ada:secret@r.example.com"))
    assert "secret" not in str(caught.value)


def test_password_without_tls() -> None:
    plain = {"tls": False, **LOGIN}
    with pytest.raises(OptionError, match=r"^option tls: without TLS the password would be sent to r\.example\.com"):
        resolve_login(params_of(registry="r.example.com", **plain))
    assert resolve_login(params_of(registry="r.example.com", allow_insecure=True, **plain)).credentials
    for host in ("localhost:5000", "127.0.0.9", "[::1]:5000"):
        assert resolve_login(params_of(registry=host, **plain)).credentials


# --- what is found -----------------------------------------------------------------------------------------------


def test_image(start: Start, ask: Callable[..., t.Any]) -> None:
    fake = start(image_answer)
    assert ask(fake, image="app:1") == {"repositories": ["app"], "tags": ["1", "2"], "digest": DIGEST}
    assert ask(fake, image="app:3") == {"repositories": ["app"], "tags": ["1", "2"], "digest": None}
    assert ask(fake, image="none:1") == {"repositories": [], "tags": [], "digest": None}
    assert ask(fake) == {"repositories": ["app"], "tags": [], "digest": None}
    head = next(request for request in fake.requests if request.method == "HEAD")
    for kind in (
        "vnd.oci.image.index.v1+json",
        "vnd.docker.distribution.manifest.list.v2+json",
        "vnd.oci.image.manifest.v1+json",
        "vnd.docker.distribution.manifest.v2+json",
    ):
        assert f"application/{kind}" in head.headers["accept"]
    assert head.headers["host"] == urlsplit(fake.url).netloc
    assert {request.method for request in fake.requests} == {"GET", "HEAD"}


def test_registry_that_does_not_say_the_digest(start: Start, ask: Callable[..., t.Any]) -> None:
    manifest = b'{"schemaVersion": 2}'

    def answer(request: Request) -> Reply:
        return Reply(manifest) if "/manifests/" in request.target else image_answer(request)

    assert ask(start(answer), image="app:1")["digest"] == f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def test_repository_without_tags(start: Start, ask: Callable[..., t.Any]) -> None:
    fake = start(
        lambda request: Reply({"name": "app", "tags": None}) if "tags" in request.target else Reply(UNKNOWN, 404)
    )
    assert ask(fake, image="app") == {"repositories": ["app"], "tags": [], "digest": None}


@pytest.mark.parametrize(
    "link", ['</v2/_catalog?last={}&n=2>; rel="next"', "<http://10.0.0.1/v2/_catalog?last={}>;rel=next"]
)
def test_pages(start: Start, ask: Callable[..., t.Any], link: str) -> None:
    names = [f"app{number}" for number in range(7)]

    def answer(request: Request) -> Reply:
        last = parse_qs(urlsplit(request.target).query).get("last", ["app-"])[0]
        page = [name for name in names if name > last][:2]
        more = {"Link": link.format(page[-1])} if page[-1] != names[-1] else {}
        return Reply({"repositories": page}, headers=more)

    fake = start(answer)
    assert ask(fake)["repositories"] == names
    assert len(fake.requests) == 4


def test_pages_that_lead_in_a_circle(start: Start, ask: Callable[..., t.Any]) -> None:
    fake = start(lambda _request: Reply({"repositories": ["a"]}, headers={"Link": '</v2/_catalog?last=a>; rel="next"'}))
    with pytest.raises(BrokenAnswerError, match="its pages lead in a circle"):
        ask(fake)
    assert len(fake.requests) == 2


# --- logging in --------------------------------------------------------------------------------------------------


def wanting(authorization: str, challenge: str) -> Callable[[Request], Reply]:
    """Return the answers of a registry that wants this header."""

    def answer(request: Request) -> Reply:
        if request.headers.get("authorization") == authorization:
            return image_answer(request)
        return Reply(UNAUTHORIZED, 401, {"WWW-Authenticate": challenge})

    return answer


def test_basic(start: Start, ask: Callable[..., t.Any]) -> None:
    fake = start(wanting(BASIC, 'Basic realm="Registry Realm"'))
    assert ask(fake, image="app:1", **LOGIN)["digest"] == DIGEST
    assert [request.headers.get("authorization") for request in fake.requests] == [None, BASIC, BASIC]


def test_password_is_sent_only_if_it_is_asked_for(start: Start, ask: Callable[..., t.Any]) -> None:
    fake = start(image_answer)
    assert ask(fake, image="app:1", **LOGIN)["digest"] == DIGEST
    assert not fake.heard(BASIC)


@pytest.mark.parametrize(
    ("login", "message"),
    [
        ({}, "the registry refuses this without a login: authentication required. Set username and password."),
        ({**LOGIN, "password": "no"}, "the registry refuses the user ada: authentication required. Check username and"),
    ],
)
def test_basic_refused(start: Start, ask: Callable[..., t.Any], login: dict[str, str], message: str) -> None:
    fake = start(wanting(BASIC, 'Basic realm="Registry Realm"'))
    with pytest.raises(AnswerError) as caught:
        ask(fake, image="app:1", **login)
    assert str(caught.value).startswith(f"GET /v2/app/tags/list at {fake.url}: {message}")
    assert (caught.value.status, caught.value.message) == (401, "authentication required")


@pytest.mark.parametrize("key", ["token", "access_token"])
@pytest.mark.parametrize("login", [LOGIN, {}], ids=["user", "anonymous"])
def test_token(start: Start, ask: Callable[..., t.Any], key: str, login: dict[str, str]) -> None:
    tokens = start(lambda _request: Reply({key: "abc"}))
    challenge = f'Bearer realm="{tokens.url}/auth?x=1",service="the registry",scope="repository:app:pull,push"'
    fake = start(wanting("Bearer abc", challenge))
    assert ask(fake, image="app:1", **login)["digest"] == DIGEST
    (request,) = tokens.requests
    query = {"x": ["1"], "service": ["the registry"], "scope": ["repository:app:pull,push"]}
    assert parse_qs(urlsplit(request.target).query) == query
    assert request.headers.get("authorization") == (BASIC if login else None)
    assert not fake.heard(BASIC)


def test_token_server_refuses(start: Start, ask: Callable[..., t.Any]) -> None:
    tokens = start(lambda _request: Reply({"errors": [{"message": "who are you?"}]}, 401))
    fake = start(wanting("Bearer abc", f'Bearer realm="{tokens.url}/auth"'))
    with pytest.raises(AnswerError) as caught:
        ask(fake, image="app:1", **LOGIN)
    expected = f"GET /auth at {tokens.url}: the token server refuses the user ada: who are you?. Check username"
    assert str(caught.value).startswith(expected)


def test_token_is_not_enough(start: Start, ask: Callable[..., t.Any]) -> None:
    tokens = start(lambda _request: Reply({"token": "other"}))
    fake = start(wanting("Bearer abc", f'Bearer realm="{tokens.url}/auth"'))
    with pytest.raises(AnswerError, match="the registry refuses this without a login: authentication required"):
        ask(fake, image="app:1")
    assert len(fake.requests) == 2


def test_password_goes_to_no_token_server_without_tls(start: Start, ask: Callable[..., t.Any]) -> None:
    tokens = start(lambda _request: Reply({"token": "abc"}), tls=False)
    fake = start(wanting("Bearer abc", f'Bearer realm="{tokens.url}/auth"'))
    with pytest.raises(TlsError, match=f"sends its clients to a token server without TLS .{tokens.url}/auth"):
        ask(fake, image="app:1", **LOGIN)
    assert tokens.requests == []


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (Reply({"tok": 1}), "the answer holds no token"),
        (Reply({"token": "a\r\nX: y"}), "the answer holds no token"),
        (Reply(b"<h1>Hello"), "the answer is nothing that names its type instead of JSON, beginning with 'Hello'"),
    ],
)
def test_no_token(start: Start, ask: Callable[..., t.Any], reply: Reply, cause: str) -> None:
    tokens = start(lambda _request: reply)
    fake = start(wanting("Bearer abc", f'Bearer realm="{tokens.url}/auth"'))
    with pytest.raises(BrokenAnswerError) as caught:
        ask(fake, image="app:1")
    remedy = "Check that the address is that of a Docker token server and that no proxy stands between."
    assert str(caught.value) == f"GET /auth at {tokens.url}: {cause}. {remedy}"


@pytest.mark.parametrize(
    ("challenge", "cause"),
    [
        ("Negotiate", r"it wants a login that is neither Basic nor Bearer \(Negotiate\)"),
        ('Bearer realm="/auth"', "its token server is '/auth', but it is no URL of HTTP or HTTPS"),
        ('Bearer realm="https://[x/auth"', "its token server is 'https://.x/auth', but "),
    ],
)
def test_bad_challenge(start: Start, ask: Callable[..., t.Any], challenge: str, cause: str) -> None:
    with pytest.raises(BrokenAnswerError, match=cause):
        ask(start(wanting("x", challenge)), image="app:1", **LOGIN)


@pytest.mark.parametrize(
    ("header", "meaning"),
    [
        ('Basic realm="a, b"', {"basic": {"realm": "a, b"}}),
        (
            'BEARER Realm="https://a/t", scope="r:a:pull,push"',
            {"bearer": {"realm": "https://a/t", "scope": "r:a:pull,push"}},
        ),
        (
            'Basic realm=x, Bearer realm="y",service=z',
            {"basic": {"realm": "x"}, "bearer": {"realm": "y", "service": "z"}},
        ),
        ('Bearer realm="y", Basic', {"bearer": {"realm": "y"}, "basic": {}}),
        ("Bearer realm=", {"bearer": {"realm": ""}}),
        ("", {}),
    ],
)
def test_challenges(header: str, meaning: dict[str, dict[str, str]]) -> None:
    assert parse_challenges(header) == meaning


# --- redirects ---------------------------------------------------------------------------------------------------


def test_redirect_to_another_server_takes_no_credentials_along(start: Start, ask: Callable[..., t.Any]) -> None:
    other = start(image_answer)

    def answer(request: Request) -> Reply:
        if request.headers.get("authorization") != BASIC:
            return Reply(UNAUTHORIZED, 401, {"WWW-Authenticate": "Basic realm=x"})
        return Reply(status=307, headers={"Location": f"{other.url}{request.target}"})

    fake = start(answer)
    assert ask(fake, image="app:1", **LOGIN)["digest"] == DIGEST
    assert fake.heard(BASIC)
    assert other.requests
    assert not any("authorization" in request.headers for request in other.requests)
    assert {request.headers["host"] for request in other.requests} == {urlsplit(other.url).netloc}


def test_redirect_within_the_registry_keeps_the_login(start: Start, ask: Callable[..., t.Any]) -> None:
    def answer(request: Request) -> Reply:
        if request.headers.get("authorization") != BASIC:
            return Reply(UNAUTHORIZED, 401, {"WWW-Authenticate": "Basic realm=x"})
        if request.target.startswith("/elsewhere"):
            return image_answer(Request(request.method, request.target.removeprefix("/elsewhere"), {}))
        return Reply(status=301, headers={"Location": f"/elsewhere{request.target}"})

    assert ask(start(answer), image="app:1", **LOGIN)["digest"] == DIGEST


def test_challenge_after_a_redirect_is_not_answered(start: Start, ask: Callable[..., t.Any]) -> None:
    """Whoever a registry redirects to could otherwise name a token server of his own."""
    tokens = start(lambda _request: Reply({"token": "abc"}))
    for challenge in ("Basic realm=x", f'Bearer realm="{tokens.url}/auth"'):
        other = start(wanting(BASIC, challenge))
        fake = start(lambda request, url=other.url: Reply(status=302, headers={"Location": f"{url}{request.target}"}))
        with pytest.raises(AnswerError, match="refuses the user ada"):
            ask(fake, image="app:1", **LOGIN)
        assert not other.heard(BASIC)
    assert tokens.requests == []


@pytest.mark.parametrize("name", ["ca_path", "client_cert", "client_key"])
def test_a_relative_path_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match=f"^option {name}: pki/a.pem is a relative path"):
        resolve_login(params_of(registry="localhost:1", **{name: "pki/a.pem"}))


@pytest.mark.parametrize(
    ("location", "cause"),
    [
        ("http://localhost:1/x", r"it redirects from HTTPS to plain HTTP \(http://localhost:1/x\)"),
        ("ftp://localhost/x", "it redirects to 'ftp://localhost/x', but it is no URL of HTTP or HTTPS"),
        ("/v2/again", "it redirects more than 5 times"),
    ],
)
def test_bad_redirect(start: Start, ask: Callable[..., t.Any], location: str, cause: str) -> None:
    fake = start(lambda _request: Reply(status=302, headers={"Location": location}))
    with pytest.raises(BrokenAnswerError, match=cause):
        ask(fake, image="app:1")
    assert len(fake.requests) <= 6


def test_client_certificate_is_for_the_registry_alone(
    start: Start, ask: Callable[..., t.Any], authority: Authority
) -> None:
    client = authority.issue("client", server=False)
    files = {"client_cert": f"{client}/cert.pem", "client_key": f"{client}/key.pem"}
    other = start(image_answer, mutual=True)
    assert ask(other, image="app:1", **files)["digest"] == DIGEST
    fake = start(lambda request: Reply(status=307, headers={"Location": f"{other.url}{request.target}"}), mutual=True)
    with pytest.raises(TlsError, match="the registry wants a client certificate, and none was given. Set client_cert"):
        ask(fake, image="app:1", **files)


# --- what is no registry -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (
            Reply(b"<h1>Not Found</h1>", 404),
            "the registry answered with status 404: Not Found. Look at the registry's log",
        ),
        (Reply({"errors": [{"code": "BROKEN"}]}, 500), "the registry answered with status 500: BROKEN. Look at"),
        (
            Reply({"errors": [{"message": "denied"}]}, 403),
            "the registry refuses this without a login: denied. Set username",
        ),
        (Reply({"name": "app"}), "the answer has no list of tags. Check that the address is that of a Docker registry"),
        (Reply({"tags": [1]}), "the answer has no list of tags. Check"),
        (Reply(b"Welcome", headers={"Content-Type": "text/html"}), "the answer is text/html instead of JSON"),
    ],
)
def test_no_registry(start: Start, ask: Callable[..., t.Any], reply: Reply, message: str) -> None:
    fake = start(lambda _request: reply)
    with pytest.raises(EngineError) as caught:
        ask(fake, image="app:1")
    assert str(caught.value).startswith(f"GET /v2/app/tags/list at {fake.url}: {message}")


@pytest.mark.parametrize("status", [403, 404, 405])
def test_registry_that_lists_nothing(start: Start, ask: Callable[..., t.Any], status: int) -> None:
    fake = start(lambda _request: Reply({"errors": [{"code": "UNSUPPORTED"}]}, status))
    with pytest.raises(AnswerError, match=rf"not list its repositories \(status {status}: UNSUPPORTED\)\. Set image"):
        ask(fake)


def test_digest_that_is_none(start: Start, ask: Callable[..., t.Any]) -> None:
    def answer(request: Request) -> Reply:
        return Reply(headers={"Docker-Content-Digest": "1"}) if request.method == "HEAD" else image_answer(request)

    with pytest.raises(BrokenAnswerError, match="its header Docker-Content-Digest is no digest .'1'"):
        ask(start(answer), image="app:1")


def test_wrong_scheme(start: Start, ask: Callable[..., t.Any]) -> None:
    with pytest.raises(TlsError, match="this port speaks plain HTTP, not TLS. Use the port on which the registry"):
        ask(start(image_answer, tls=False), tls=True)
    with pytest.raises(TlsError, match="this port speaks TLS, not plain HTTP. Set tls to true, which is the default"):
        ask(start(lambda _request: Reply(b"Client sent an HTTP request to an HTTPS server.\n", 400), tls=False))


def test_unknown_authority_and_name(start: Start, ask: Callable[..., t.Any], other_authority: Authority) -> None:
    fake = start(image_answer)
    with pytest.raises(
        TlsError, match=r"the registry's certificate \(registry\) was signed by Our CA, .* Set ca_path to"
    ):
        ask(fake, ca_path=str(other_authority.path), **LOGIN)
    with pytest.raises(TlsError, match="does not carry the name other; .* Use one of its names in registry, or set"):
        ask(fake, tls_hostname="other")
    assert ask(fake, ca_path=None, validate_certs=False, image="app:1")["digest"] == DIGEST


def test_environment_has_no_say(start: Start, ask: Callable[..., t.Any], monkeypatch: t.Any, tmp_path: t.Any) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login a password b\n")
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(netrc))
    monkeypatch.setenv("NETRC", str(netrc))
    fake = start(image_answer)
    assert ask(fake, image="app:1")["digest"] == DIGEST
    assert not any("authorization" in request.headers for request in fake.requests)
