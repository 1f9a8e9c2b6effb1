# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Turn a task's connection options into one connection: which engine, and how it is reached and trusted.

Precedence is that of the docker client: an option of the task, then DOCKER_HOST, then DOCKER_CONTEXT, then the current
context in the client's config.json, then the local socket (docker/cli, cli/command/cli.go).
"""

from __future__ import annotations

import os
import platform
import re
import typing as t
from dataclasses import dataclass
from urllib.parse import urlsplit

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.context_store import (
    DEFAULT_CONTEXT,
    PEM_NAMES,
    ContextStore,
    client_directory,
    current_name,
)

DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
PLAIN_PORT = 2375
TLS_PORT = 2376

# The connection options, for the argument specification of a module. Nothing has a default that could hide the
# environment or the docker context; the defaults are written in the documentation.
ENGINE_ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "docker_host": {"type": "str"},
    "tls": {"type": "bool"},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
    "cert_path": {"type": "path"},
    "tls_hostname": {"type": "str"},
    "api_version": {"type": "str"},
    "timeout": {"type": "int", "default": 60},
}

# The options that name files.
PATH_OPTIONS = ("ca_path", "client_cert", "client_key", "cert_path")

Params = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class TlsOptions:
    """The PEM files to speak TLS with, and the name that the engine's certificate must carry.

    Without ``ca_path`` the system's CAs are trusted; if ``verify`` is false, any certificate is. ``ca_pem`` (the CA's
    certificate) and ``client_pem`` (the client's certificate and its key) stand for files where there are none.
    """

    verify: bool
    ca_path: str | None
    client_cert: str | None
    client_key: str | None
    hostname: str
    ca_pem: str | None = None
    client_pem: bytes | None = None

    @property
    def ca_name(self) -> str | None:
        """Where the CA to trust comes from, for messages; None for the system's CAs."""
        return "ca_certificate" if self.ca_pem else self.ca_path

    @property
    def client_name(self) -> str | None:
        """Where the client's certificate comes from, for messages; None if there is none."""
        return "issued for this check" if self.client_pem else self.client_cert


@dataclass(frozen=True)
class Connection:
    """How to reach one engine: by ``socket_path``, or by ``host`` and ``port``. ``timeout`` is in seconds.

    ``address`` and ``peer`` are for messages. ``api_version`` is None if it is to be negotiated.
    """

    address: str
    socket_path: str | None
    host: str
    port: int
    tls: TlsOptions | None
    api_version: str | None
    timeout: float
    peer: errors.Peer = errors.ENGINE


@dataclass(frozen=True)
class ClientEnvironment:
    """What the docker client reads besides its arguments: environment variables and its configuration directory."""

    environ: t.Mapping[str, str]
    config_dir: str | None

    @classmethod
    def of_process(cls) -> ClientEnvironment:
        """Return the client environment of the running process."""
        return cls(os.environ, client_directory())

    @classmethod
    def empty(cls) -> ClientEnvironment:
        """Return an empty client environment, in which only the task's options count."""
        return cls({}, None)


@dataclass(frozen=True)
class _PemFiles:
    """The paths of a CA's certificate and a client's certificate and key, None for a missing one."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    @classmethod
    def in_directory(cls, directory: str) -> _PemFiles:
        """Return those of ca.pem, cert.pem and key.pem that are in the directory, be they links that lead nowhere."""
        paths = (os.path.join(directory, name) for name in PEM_NAMES)
        return cls(*(path if os.path.lexists(path) else None for path in paths))

    @classmethod
    def of_context(cls, directory: str) -> _PemFiles:
        """Return those in the directory of a context, none if it is not there. Raises OSError if it cannot be read.

        What cannot be seen must not be taken for a context without TLS.
        """
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            if any(
                os.path.islink(path) and not os.path.exists(path) for path in (directory, os.path.dirname(directory))
            ):
                raise
            return cls()
        return cls(*(os.path.join(directory, name) if name in names else None for name in PEM_NAMES))


@dataclass(frozen=True)
class _Endpoint:
    """An engine's address and the option it comes from. Only a docker context sets ``files`` and ``verify``."""

    source: str
    address: str
    files: _PemFiles | None = None
    verify: bool = True


def resolve(params: Params, environment: ClientEnvironment) -> Connection:
    """Return the connection for a task's parameters (keys as in ENGINE_ARGUMENTS) and the client's environment.

    Raises OptionError if they contradict each other, or name a file that is missing or by a relative path.
    """
    require_absolute(params)
    endpoint = _find_endpoint(params, environment)
    timeout = params["timeout"]
    if timeout <= 0:
        raise errors.bad_timeout(seconds=timeout)
    version = _pinned_version(params.get("api_version") or environment.environ.get("DOCKER_API_VERSION"))
    scheme, rest = _split_scheme(endpoint)
    if scheme == "unix":
        return Connection(endpoint.address, rest, "", 0, None, version, timeout)
    host, port = _split_host(endpoint, rest)
    wants_tls = _wants_tls(params, environment.environ, endpoint, port)
    port = port or (TLS_PORT if wants_tls else PLAIN_PORT)
    tls = _tls_options(params, environment, endpoint, host) if wants_tls else None
    return Connection(f"tcp://{bracketed(host)}:{port}", None, host, port, tls, version, timeout)


def require_absolute(params: Params, names: t.Iterable[str] = PATH_OPTIONS) -> None:
    """Raise OptionError if one of the options names a file by a relative path.

    On the controller such a path is made absolute before the module is sent off; on other machines it could only begin
    in the working directory. Those of the environment are the docker client's, for which they do begin there.
    """
    for name in names:
        path = params.get(name)
        if path and not os.path.isabs(path):
            raise errors.relative_path(name=name, path=path, machine=platform.node())


def parse_address(address: str, *, tls: bool) -> str:
    """Return an engine's address with its scheme and its port, as the docker client keeps it. Raises OptionError."""
    endpoint = _Endpoint("docker_host", address)
    scheme, rest = _split_scheme(endpoint)
    if scheme == "unix":
        return address
    host, port = _split_host(endpoint, rest)
    return f"tcp://{bracketed(host)}:{port or (TLS_PORT if tls else PLAIN_PORT)}"


def bracketed(host: str) -> str:
    """Return the host as part of an address: an IPv6 address stands in brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def _pinned_version(version: str | None) -> str | None:
    """Return the API version to speak, None if it is to be negotiated (``auto``).

    Raises OptionError unless it is written as MAJOR.MINOR, as in GET /v1.44/info.
    """
    if not version or version == "auto":
        return None
    if not re.fullmatch(r"[0-9]+\.[0-9]+", version):
        raise errors.bad_version(version=version)
    return version


# --- the address -------------------------------------------------------------------------------------------------


def _find_endpoint(params: Params, environment: ClientEnvironment) -> _Endpoint:
    """Return the engine's address by the docker client's precedence. Raises OptionError."""
    if params.get("docker_host"):
        return _Endpoint("docker_host", params["docker_host"])
    if environment.environ.get("DOCKER_HOST"):
        return _Endpoint("DOCKER_HOST", environment.environ["DOCKER_HOST"])
    if environment.config_dir:
        store = ContextStore(environment.config_dir)
        name = environment.environ.get("DOCKER_CONTEXT") or _current_context(store)
        if name and name != DEFAULT_CONTEXT:
            return _read_context(store, name)
    return _Endpoint("docker_host", DEFAULT_ADDRESS)


def _current_context(store: ContextStore) -> str:
    """Return the name of the current docker context, empty if none was chosen.

    Raises OptionError if the client's configuration file is there and cannot be read.
    """
    try:
        return current_name(store.config())
    except (OSError, ValueError) as exc:
        cause = f"the docker client's configuration cannot be read ({exc})"
        raise errors.bad_client_config(path=store.config_path, cause=cause) from exc


def _read_context(store: ContextStore, name: str) -> _Endpoint:
    """Return the endpoint of a docker context. Raises OptionError if there is no such context, or it has none."""
    path = store.meta_path(name)
    try:
        meta = store.meta(name)
        if meta is None:
            raise errors.bad_context(name=name, cause=f"it does not exist ({path} is not there)")
        endpoint = meta["Endpoints"]["docker"]
        address, verify = endpoint["Host"], not endpoint.get("SkipTLSVerify")
        is_socket = address.startswith("unix:")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        cause = f"{path} cannot be used ({type(exc).__name__}: {exc})"
        raise errors.bad_context(name=name, cause=cause) from exc
    directory = store.pem_directory(name)
    try:
        files = _PemFiles() if is_socket else _PemFiles.of_context(directory)
    except OSError as exc:
        cause = f"its certificates cannot be seen ({directory}: {exc.strerror})"
        raise errors.bad_context(name=name, cause=cause) from exc
    return _Endpoint(f"docker context {name!r}:", address, files, verify)


def _split_scheme(endpoint: _Endpoint) -> tuple[str, str]:
    """Return the scheme (``unix`` or ``tcp``) and the rest of the address. Without a scheme it is TCP.

    Raises OptionError for any other scheme.
    """
    address = endpoint.address if "://" in endpoint.address else f"tcp://{endpoint.address}"
    scheme, rest = address.split("://", 1)
    if scheme == "unix" and not rest.startswith("/"):
        raise _bad_address(endpoint, "the path of a unix socket must begin with a slash")
    if scheme not in ("unix", "tcp"):
        raise _bad_address(endpoint, f"{scheme}:// is not supported")
    return scheme, rest


def _split_host(endpoint: _Endpoint, rest: str) -> tuple[str, int | None]:
    """Return host and port (None if there is none) of the part of a TCP address after ``tcp://``.

    Raises OptionError.
    """
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise _bad_address(endpoint, f"it is no address ({exc})") from exc
    if not host or port == 0 or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise _bad_address(endpoint, "it is no host with a port")
    return host, port


def _bad_address(endpoint: _Endpoint, cause: str) -> errors.OptionError:
    """Return the error for an address that cannot be used."""
    return errors.bad_address(source=endpoint.source, address=endpoint.address, cause=cause)


# --- TLS ---------------------------------------------------------------------------------------------------------


def _wants_tls(params: Params, environ: t.Mapping[str, str], endpoint: _Endpoint, port: int | None) -> bool:
    """Return whether to speak TLS to a TCP address.

    The task's ``tls`` wins. Otherwise any certificate option, the docker client's variables, a context with any PEM
    file or one that skips verification, or the port that is registered for TLS (2376) mean TLS: never plain HTTP by
    oversight.
    """
    if params.get("tls") is not None:
        return bool(params["tls"])
    if any(params.get(name) for name in ("ca_path", "client_cert", "client_key", "cert_path", "tls_hostname")):
        return True
    if endpoint.files is not None:
        return endpoint.files != _PemFiles() or not endpoint.verify or port == TLS_PORT
    if any(environ.get(name) for name in ("DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH")):
        return True
    return port == TLS_PORT


def _tls_options(params: Params, environment: ClientEnvironment, endpoint: _Endpoint, host: str) -> TlsOptions:
    """Return the TLS options. Raises OptionError."""
    verify = params["validate_certs"] and endpoint.verify
    files = _find_files(params, environment, endpoint, verify)
    cert, key = params.get("client_cert"), params.get("client_key")
    if not cert and not key:
        cert, key = files.cert, files.key
    if bool(cert) != bool(key):
        raise errors.incomplete_client(missing="client_key" if cert else "client_cert", present=cert or key)
    return TlsOptions(verify, params.get("ca_path") or files.ca, cert, key, certified_name(params, host))


def certified_name(params: Params, host: str) -> str:
    """Return the name that the certificate of a host must carry. Raises OptionError for one that ssl cannot look for.

    It is looked for in IDNA's way of writing, which has no empty label and none of more than 63 characters (RFC 3490).
    """
    name = params.get("tls_hostname")
    if not name:
        return host
    try:
        valid = b"\0" not in name.encode("idna")
    except UnicodeError:
        valid = False
    if not valid:
        raise errors.bad_hostname(name=name)
    return str(name)


def _find_files(params: Params, environment: ClientEnvironment, endpoint: _Endpoint, verify: bool) -> _PemFiles:
    """Return the PEM files of the directory that counts: the task's, the context's, the environment's, the client's.

    Raises OptionError if a named directory is missing, or has no CA although one is needed.
    """
    source, directory = "cert_path", params.get("cert_path")
    if not directory and endpoint.files is not None:
        return endpoint.files
    if not directory:
        source, directory = "DOCKER_CERT_PATH", environment.environ.get("DOCKER_CERT_PATH")
    if not directory:
        return _PemFiles.in_directory(environment.config_dir) if environment.config_dir else _PemFiles()
    if not os.path.isdir(directory):
        raise errors.not_a_directory(source=source, path=directory)
    files = _PemFiles.in_directory(directory)
    if verify and not files.ca and not params.get("ca_path"):
        raise errors.no_ca_file(source=source, path=directory)
    return files


__all__ = (
    "DEFAULT_ADDRESS",
    "ENGINE_ARGUMENTS",
    "PATH_OPTIONS",
    "PLAIN_PORT",
    "TLS_PORT",
    "ClientEnvironment",
    "Connection",
    "TlsOptions",
    "bracketed",
    "certified_name",
    "parse_address",
    "require_absolute",
    "resolve",
)
