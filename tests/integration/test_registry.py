# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""registry_info against Debian's docker-registry: with a password, with tokens, with client certificates.

The registries run on this machine. The module asks them from here and from hosts of the lab with the
Python and requests of each suite. What it says is compared with what curl and openssl say.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.engine_support import Pki, named, play
from ansible_collections.dockerfleet.remote_api.tests.integration.registry_support import hashed, registry_program
from ansible_collections.dockerfleet.remote_api.tests.integration.support import Ansible, Host, Lab, Run, run, wait_for

CONFIG = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/storage}}}}
http: {{addr: "0.0.0.0:{port}", secret: a{tls}}}
{auth}
"""
TLS = ", tls: {{certificate: {server}/cert.pem, key: {server}/key.pem{clients}}}"
CLIENTS = ", clientcas: [{server}/ca.pem]"
PASSWORD_AUTH = "auth: {{htpasswd: {{realm: lab, path: {folder}/users}}}}"
TOKEN_AUTH = (
    'auth: {{token: {{realm: "https://{address}:{tokens}/auth", service: "the registry", issuer: lab,'
    " rootcertbundle: {folder}/pki/tokens/cert.pem}}}}"
)
PASSWORD = "correct horse"
LOGIN = {"username": "ada", "password": PASSWORD}
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
# More than fit on one of the registry's pages, which have a hundred.
MANY = 230
HERE = "here"
HOSTS = {"reg-old": "bullseye", "reg-12": "bookworm", "reg-13": "trixie", "reg-new": "forky"}


@dataclass(frozen=True)
class World:
    """The registries' ports by their kinds, their files, and the machine's address as the hosts see it."""

    folder: Path
    address: str
    ports: dict[str, int]
    manifest: bytes
    index: bytes

    def curl(self, *words: str) -> str:
        """Return what curl prints for a registry with TLS."""
        return run("curl", "-sS", "--cacert", str(self.folder / "pki/ca.pem"), *words).stdout


@contextlib.contextmanager
def kept_ports(count: int) -> Iterator[list[int]]:
    """Give ports on which nothing listens, and which the kernel gives to nobody else meanwhile.

    A server that sets SO_REUSEADDR, as those of Go and Python do, can listen on such a port all the same (socket(7)).
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _one in range(count)]
        for one in sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("", 0))
        yield [int(one.getsockname()[1]) for one in sockets]


def make_token(folder: Path, access: list[dict[str, Any]]) -> str:
    """Return a JSON web token that the registry takes, signed by openssl (Distribution's documentation of JWT)."""
    now = int(time.time())
    (certificate,) = ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert((folder / "cert.pem").read_text())).partition(
        "-----END"
    )[:1]
    parts = (
        {"typ": "JWT", "alg": "RS256", "x5c": ["".join(certificate.splitlines()[1:])]},
        {
            "iss": "lab",
            "sub": "",
            "aud": "the registry",
            "exp": now + 300,
            "nbf": now - 10,
            "iat": now,
            "access": access,
        },
    )
    encoded = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    command = ["openssl", "dgst", "-sha256", "-sign", str(folder / "key.pem")]
    signature = subprocess.run(command, input=encoded.encode(), capture_output=True, check=True).stdout
    return f"{encoded}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def token_server(folder: Path, address: str, port: int) -> http.server.ThreadingHTTPServer:
    """Start a token server: ada may do everything, anybody may read what is not private/, others are refused."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            login = self.headers.get("Authorization")
            ada = login == "Basic " + base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
            if login and not ada:
                self.answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]})
                return
            query = parse_qs(urlsplit(self.path).query)
            assert query["service"] == ["the registry"]
            access = []
            for scope in query["scope"]:
                kind, name, actions = scope.split(":")
                if ada or (kind == "repository" and not name.startswith("private/")):
                    access.append({"type": kind, "name": name, "actions": actions.split(",")})
            self.answer(200, {"token": make_token(folder / "pki/tokens", access)})

        def answer(self, status: int, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            """Print nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pki/server/cert.pem", folder / "pki/server/key.pem")
    server = http.server.ThreadingHTTPServer((address, port), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def push(url: str, repository: str, folder: Path) -> tuple[bytes, bytes]:
    """Push an image under the tags 1 and 2, and an index of it as latest, by curl; return manifest and index."""

    def sha256(content: bytes) -> str:
        (folder / "content").write_bytes(content)
        return "sha256:" + run("openssl", "dgst", "-sha256", "-r", folder / "content").stdout.split()[0]

    def put(target: str, content: bytes, kind: str) -> None:
        (folder / "content").write_bytes(content)
        data = ("-H", f"Content-Type: {kind}", "--data-binary", f"@{folder / 'content'}")
        run("curl", "-sSf", "-X", "PUT", *data, target)

    config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{}}'
    head = run("curl", "-sSf", "-D", "-", "-X", "POST", f"{url}/v2/{repository}/blobs/uploads/").stdout
    (location,) = (line.split(" ", 1)[1].strip() for line in head.splitlines() if line.lower().startswith("location:"))
    put(f"{location}&digest={sha256(config)}", config, "application/octet-stream")
    described = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config)}
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {**described, "digest": sha256(config)},
            "layers": [],
        }
    ).encode()
    for tag in ("1", "2"):
        put(f"{url}/v2/{repository}/manifests/{tag}", manifest, MANIFEST_TYPE)
    platform = {"architecture": "amd64", "os": "linux"}
    entry = {"mediaType": MANIFEST_TYPE, "size": len(manifest), "digest": sha256(manifest), "platform": platform}
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]}).encode()
    put(f"{url}/v2/{repository}/manifests/latest", index, INDEX_TYPE)
    return manifest, index


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> dict[str, Host]:
    return lab.hosts({name: (suite, "docker-io") for name, suite in HOSTS.items()})


@pytest.fixture(scope="module")
def world(hosts: dict[str, Host], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run four registries with one storage, and a token server."""
    folder = tmp_path_factory.mktemp("registry")
    (route,) = json.loads(run("ip", "-json", "route", "get", hosts["reg-old"].address).stdout)
    address = route["prefsrc"]
    pki = Pki.make(folder / "pki", "Registry CA")
    pki.issue("server", f"subjectAltName = DNS:localhost, IP:127.0.0.1, IP:{address}\n")
    (pki.folder / "tokens").mkdir()
    run(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9", "-subj", "/CN=Tokens"),
        *("-keyout", "tokens/key.pem", "-out", "tokens/cert.pem"),
        cwd=pki.folder,
    )
    (folder / "users").write_text(f"ada:{hashed(PASSWORD)}\n")
    kinds = {
        "plain": ("", ""),
        "plain_password": ("", PASSWORD_AUTH),
        "password": (TLS, PASSWORD_AUTH),
        "token": (TLS, TOKEN_AUTH),
        "mutual": (TLS, ""),
    }
    with contextlib.ExitStack() as stack:
        ports = dict(zip((*kinds, "tokens"), stack.enter_context(kept_ports(len(kinds) + 1)), strict=True))
        for kind, (tls, auth) in kinds.items():
            server = pki.folder / "server"
            clients = CLIENTS.format(server=server) if kind == "mutual" else ""
            values = {"folder": folder, "port": ports[kind], "address": address, "tokens": ports["tokens"]}
            parts = {"tls": tls.format(server=server, clients=clients), "auth": auth.format(**values)}
            (folder / f"{kind}.yml").write_text(CONFIG.format(**values, **parts))
            log = stack.enter_context((folder / f"{kind}.log").open("w"))
            command = [str(registry_program()), "serve", str(folder / f"{kind}.yml")]
            process = subprocess.Popen(command, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.kill)
        tokens = token_server(folder, address, ports["tokens"])
        stack.callback(tokens.server_close)
        stack.callback(tokens.shutdown)
        wait_for(lambda: all(listens(ports[kind]) for kind in kinds), "the registries")
        manifest, index = push(f"http://localhost:{ports['plain']}", "shop/web", folder)
        push(f"http://localhost:{ports['plain']}", "private/app", folder)
        for number in range(MANY):
            (folder / f"storage/docker/registry/v2/repositories/many/{number:03}/_layers").mkdir(parents=True)
        yield World(folder, address, ports, manifest, index)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def ask(name: str, **options: Any) -> dict[str, Any]:
    task = {"ca_path": "{{ files }}/ca.pem", "timeout": 20, **options}
    return {"name": name, "dockerfleet.remote_api.registry_info": task, "ignore_errors": True}


def story(ports: dict[str, int]) -> list[dict[str, Any]]:
    """Return the tasks, for a machine that knows ``address`` and the files of a client."""
    at = {kind: f"{{{{ address }}}}:{port}" for kind, port in ports.items()}
    plain = {"registry": at["plain"], "tls": False}
    return [
        ask("plain", **plain, image="shop/web:1"),
        ask("all", **plain),
        {**ask("checked", **plain, image="shop/web:2"), "check_mode": True},
        ask("password", image=f"{at['password']}/shop/web:1", **LOGIN),
        ask("password, index", image=f"{at['password']}/shop/web", **LOGIN),
        ask("password, all", registry=at["password"], **LOGIN),
        ask("password, no tag", image=f"{at['password']}/shop/web:none", **LOGIN),
        ask("password, no repository", image=f"{at['password']}/none", **LOGIN),
        ask("no password", image=f"{at['password']}/shop/web:1"),
        ask("wrong password", image=f"{at['password']}/shop/web:1", username="ada", password="wrong battery"),
        ask("token", image=f"{at['token']}/shop/web:1"),
        ask("token, private", image=f"{at['token']}/private/app:1"),
        ask("token, private, user", image=f"{at['token']}/private/app:1", **LOGIN),
        ask("token, all", registry=at["token"]),
        ask("token, all, user", registry=at["token"], **LOGIN),
        ask("token, wrong password", image=f"{at['token']}/shop/web:1", username="ada", password="wrong battery"),
        ask("no client", image=f"{at['mutual']}/shop/web:1"),
        ask(
            "client",
            image=f"{at['mutual']}/shop/web:1",
            client_cert="{{ files }}/cert.pem",
            client_key="{{ files }}/key.pem",
        ),
        ask("plain password", registry=at["plain_password"], tls=False, **LOGIN),
        ask("plain password, allowed", registry=at["plain_password"], tls=False, allow_insecure=True, **LOGIN),
        ask("system's authorities", image=f"{at['password']}/shop/web:1", ca_path=None, **LOGIN),
        ask("not validated", image=f"{at['token']}/shop/web:1", ca_path=None, validate_certs=False, **LOGIN),
        ask("TLS wanted", registry=at["password"], tls=False),
        ask("plain HTTP", registry=at["plain"]),
        ask("nobody", registry="{{ address }}:1"),
        ask("nothing asked"),
    ]


@pytest.fixture(scope="module")
def done(hosts: dict[str, Host], world: World, module_ansible: Ansible) -> Run:
    pki = world.folder / "pki"
    for host in hosts.values():
        for name in ("ca.pem", "cert.pem", "key.pem"):
            host.write(f"/etc/client/{name}", (pki / "admin" / name).read_text())
    here = {"address": "127.0.0.1", "files": str(pki / "admin"), "ansible_connection": "local"}
    there = {"address": world.address, "files": "/etc/client"}
    machines = {HERE: {**here, "ansible_python_interpreter": sys.executable}}
    machines |= {host.name: there for host in hosts.values()}
    tasks = story(world.ports)
    done = module_ansible.playbook(play(tasks), list(hosts.values()), "-vvv", "--diff", host_variables=machines)
    assert done.rc == 0, done.output
    assert "Traceback" not in done.output
    return done


@pytest.fixture(params=[HERE, *HOSTS])
def told(request: pytest.FixtureRequest, done: Run, hosts: dict[str, Host]) -> dict[str, Any]:
    """Return the results of one machine by the tasks' names."""
    return named(done.of(HERE if request.param == HERE else hosts[request.param]))


def openssl_digest(world: World, content: bytes) -> str:
    (world.folder / "content").write_bytes(content)
    return "sha256:" + run("openssl", "dgst", "-sha256", "-r", world.folder / "content").stdout.split()[0]


def test_image_in_a_registry(told: dict[str, Any], world: World) -> None:
    digest = openssl_digest(world, world.manifest)
    for name in ("plain", "password", "token", "client", "not validated", "checked"):
        result = told[name]
        assert result["digest"] == digest, (name, result)
        assert (result["repositories"], result["changed"]) == (["shop/web"], False), name
        assert result["tags"] == ["1", "2", "latest"], name
    url = f"https://{world.address}:{world.ports['password']}/v2/shop/web"
    login = ("-u", f"ada:{PASSWORD}")
    assert sorted(json.loads(world.curl(*login, f"{url}/tags/list"))["tags"]) == told["password"]["tags"]
    head = world.curl(*login, "-I", "-H", f"Accept: {MANIFEST_TYPE}", f"{url}/manifests/1")
    assert f"docker-content-digest: {told['password']['digest']}" in head.lower()


def test_index_of_several_platforms(told: dict[str, Any], world: World) -> None:
    assert told["password, index"]["digest"] == openssl_digest(world, world.index)


def test_what_is_not_there(told: dict[str, Any]) -> None:
    assert told["password, no tag"]["digest"] is None
    assert told["password, no tag"]["tags"] == ["1", "2", "latest"]
    missing = told["password, no repository"]
    assert (missing["repositories"], missing["tags"], missing["digest"]) == ([], [], None)


def test_all_pages_of_the_catalog(told: dict[str, Any], world: World) -> None:
    url = f"https://{world.address}:{world.ports['password']}/v2/_catalog"
    everything = json.loads(world.curl("-u", f"ada:{PASSWORD}", f"{url}?n=1000"))["repositories"]
    assert len(everything) == MANY + 2
    for name in ("all", "password, all", "token, all, user"):
        assert told[name]["repositories"] == everything, name


def test_without_a_password(told: dict[str, Any]) -> None:
    assert "the registry refuses this without a login: authentication required." in told["no password"]["msg"]
    assert (told["no password"]["status"], told["no password"]["can_talk_to_registry"]) == (401, True)
    assert "the registry refuses the user ada: authentication required. Check" in told["wrong password"]["msg"]


def test_tokens(told: dict[str, Any], world: World) -> None:
    assert told["token, private, user"]["digest"] == openssl_digest(world, world.manifest)
    for name in ("token, private", "token, all"):
        assert "the registry refuses this without a login: authentication required." in told[name]["msg"], name
    expected = f"GET /auth at https://{world.address}:{world.ports['tokens']}: the token server refuses the user ada:"
    assert told["token, wrong password"]["msg"].startswith(f"{expected} incorrect username or password. Check")


def test_client_certificates(told: dict[str, Any]) -> None:
    assert "the registry wants a client certificate, and none was given. Set client_cert" in told["no client"]["msg"]
    assert told["no client"]["can_talk_to_registry"] is False


def test_password_without_tls(done: Run, hosts: dict[str, Host], world: World) -> None:
    """To this machine itself it may be sent, to another only if that is allowed."""
    log = (world.folder / "plain_password.log").read_text().splitlines()
    assert named(done.of(HERE))["plain password"]["repositories"]
    for host in hosts.values():
        told = named(done.of(host))
        message = f"option tls: without TLS the password would be sent to {world.address} unencrypted. Set tls to true"
        assert told["plain password"]["msg"].startswith(message)
        assert told["plain password, allowed"]["repositories"]
        # What was not allowed did not reach the registry: each list takes one refused request and three pages.
        assert len([line for line in log if line.startswith(f"{host.address} - - ")]) == 4


def test_what_answers_is_told_apart(told: dict[str, Any]) -> None:
    assert (
        "the registry's certificate (server) was signed by Registry CA, not by one of the system's CAs. Set ca_path"
        in (told["system's authorities"]["msg"])
    )
    assert "this port speaks TLS, not plain HTTP. Set tls to true" in told["TLS wanted"]["msg"]
    assert "this port speaks plain HTTP, not TLS. Use the port" in told["plain HTTP"]["msg"]
    assert "the connection was refused, so nothing listens there. Check that the registry runs" in told["nobody"]["msg"]
    assert told["nobody"]["can_talk_to_registry"] is False
    assert told["nothing asked"]["msg"] == "one of the following is required: registry, image"


def test_no_password_is_shown(done: Run) -> None:
    for secret in (PASSWORD, "wrong battery"):
        assert secret not in done.output
        assert base64.b64encode(f"ada:{secret}".encode()).decode() not in done.output
