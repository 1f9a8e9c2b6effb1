# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""From the connection options of a task to one connection: which engine, over what, trusted how.

Precedence is that of the docker client: an option of the task, then C(DOCKER_HOST), then C(DOCKER_CONTEXT), then the
current context in the client's C(config.json), then the local socket (docker/cli, cli/command/cli.go).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import typing as t
from urllib.parse import urlsplit

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import (
    bad_address,
    bad_client_configuration,
    bad_context,
    bad_option,
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


class TlsOptions(t.NamedTuple):
    """What TLS is spoken with: paths of PEM files, and the name that the engine's certificate must carry.

    Without ``ca_path`` the system's authorities are trusted; with ``verify`` false, anything.
    """

    verify: bool
    ca_path: str | None
    client_cert: str | None
    client_key: str | None
    hostname: str


class Connection(t.NamedTuple):
    """One way to one engine. Either ``socket_path`` is set, or ``host`` and ``port`` are; ``timeout`` is in seconds."""

    address: str
    socket_path: str | None
    host: str
    port: int
    tls: TlsOptions | None
    api_version: str | None
    timeout: float


class Surroundings(t.NamedTuple):
    """What the docker client looks at besides its arguments: the environment, and its configuration directory."""

    environ: t.Mapping[str, str]
    config_dir: str | None

    @classmethod
    def of_process(cls) -> Surroundings:
        """Return those of the running process: C(DOCKER_CONFIG), else C(~/.docker)."""
        config_dir = os.environ.get("DOCKER_CONFIG") or os.path.join(os.path.expanduser("~"), ".docker")
        return cls(environ=os.environ, config_dir=config_dir)

    @classmethod
    def none(cls) -> Surroundings:
        """Return surroundings in which only the options of the task count."""
        return cls(environ={}, config_dir=None)


class _Files(t.NamedTuple):
    """PEM files for TLS, each None where there is none."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None


class _Target(t.NamedTuple):
    """The engine's address, and where it was found. ``files`` and ``verify`` are set by a docker context alone."""

    source: str
    address: str
    files: _Files | None = None
    verify: bool = True


def resolve(params: t.Mapping[str, t.Any], surroundings: Surroundings) -> Connection:
    """Return the connection that a task's parameters (keys as in ENGINE_ARGUMENTS) and its surroundings mean.

    Raises OptionError when they contradict each other or when a file that they name is not there.
    """
    target = _find_target(params, surroundings)
    if params["timeout"] <= 0:
        raise bad_option("timeout", f"{params['timeout']} is not a time", "Give a number of seconds above 0.")
    api_version = _pinned_version(params.get("api_version") or surroundings.environ.get("DOCKER_API_VERSION"))
    scheme, rest = _split_address(target)
    if scheme == "unix":
        return Connection(target.address, rest, "", 0, None, api_version, params["timeout"])
    host, port = _split_host(target, rest)
    wants_tls = _wants_tls(params, surroundings.environ, target, port)
    port = port or (TLS_PORT if wants_tls else PLAIN_PORT)
    tls = _tls_options(params, surroundings, target, host) if wants_tls else None
    shown_host = f"[{host}]" if ":" in host else host
    return Connection(f"tcp://{shown_host}:{port}", None, host, port, tls, api_version, params["timeout"])


def _pinned_version(version: str | None) -> str | None:
    """Return the API version to use, None when it is to be negotiated (``auto``).

    Raises OptionError when it is not written as MAJOR.MINOR, as in C(GET /v1.44/info).
    """
    if not version or version == "auto":
        return None
    if not re.fullmatch(r"[0-9]+\.[0-9]+", version):
        raise bad_option("api_version", f"{version!r} is no version", "Write it as MAJOR.MINOR, for example 1.44.")
    return version


def _find_target(params: t.Mapping[str, t.Any], surroundings: Surroundings) -> _Target:
    """Return the engine's address by the docker client's precedence."""
    if params.get("docker_host"):
        return _Target("docker_host", params["docker_host"])
    environ = surroundings.environ
    if environ.get("DOCKER_HOST"):
        return _Target("DOCKER_HOST", environ["DOCKER_HOST"])
    if surroundings.config_dir:
        name = environ.get("DOCKER_CONTEXT") or _current_context(surroundings.config_dir)
        if name and name != "default":
            return _read_context(surroundings.config_dir, name)
    return _Target("docker_host", DEFAULT_ADDRESS)


def _current_context(config_dir: str) -> str:
    """Return the name of the current docker context, empty when none was chosen.

    Raises OptionError when the client's configuration file is there and cannot be read.
    """
    path = os.path.join(config_dir, "config.json")
    try:
        content = _load_object(path)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as exc:
        raise bad_client_configuration(path, f"the docker client's configuration cannot be read ({exc})") from exc
    name = content.get("currentContext") or ""
    if not isinstance(name, str):
        raise bad_client_configuration(path, "currentContext is not a name")
    return name


def _load_object(path: str) -> dict[str, t.Any]:
    """Return the JSON object in a file. Raises OSError, or ValueError when there is none in it."""
    with open(path, encoding="utf-8") as stream:
        content = json.load(stream)
    if not isinstance(content, dict):
        raise ValueError("it holds no JSON object")
    return content


def _read_context(config_dir: str, name: str) -> _Target:
    """Return where a docker context leads.

    It is kept in folders named by the SHA-256 of its name (docker/cli, cli/context/store). Raises OptionError when it
    is not there or leads nowhere.
    """
    digest = hashlib.sha256(name.encode()).hexdigest()
    path = os.path.join(config_dir, "contexts", "meta", digest, "meta.json")
    try:
        endpoint = _load_object(path)["Endpoints"]["docker"]
        address, verify = endpoint["Host"], not endpoint.get("SkipTLSVerify")
    except FileNotFoundError as exc:
        raise bad_context(name, f"it does not exist ({path} is not there)") from exc
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise bad_context(name, f"{path} cannot be used ({type(exc).__name__}: {exc})") from exc
    folder = os.path.join(config_dir, "contexts", "tls", digest, "docker")
    return _Target(f"docker context {name!r}:", address, _files_in(folder), verify)


def _split_address(target: _Target) -> tuple[str, str]:
    """Return scheme (``unix`` or ``tcp``) and the rest of an address. An address without scheme is TCP.

    Raises OptionError for any other scheme.
    """
    address = target.address if "://" in target.address else f"tcp://{target.address}"
    scheme, rest = address.split("://", 1)
    if scheme == "unix" and not rest.startswith("/"):
        raise bad_address(target.source, target.address, "the path of a unix socket must begin with a slash")
    if scheme not in ("unix", "tcp"):
        raise bad_address(target.source, target.address, f"{scheme}:// is not supported")
    return scheme, rest


def _split_host(target: _Target, rest: str) -> tuple[str, int | None]:
    """Return host and port (None when it is not there) of the part of a TCP address behind ``tcp://``.

    Raises OptionError.
    """
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise bad_address(target.source, target.address, f"it is no address ({exc})") from exc
    if not host or port == 0 or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise bad_address(target.source, target.address, "it is no host with a port")
    return host, port


def _wants_tls(params: t.Mapping[str, t.Any], environ: t.Mapping[str, str], target: _Target, port: int | None) -> bool:
    """Return whether TLS is to be spoken to a TCP address.

    What the task says wins. Otherwise any certificate option, the docker client's variables, a context with an
    authority, or the port that is registered for TLS (2376) mean TLS: never plain HTTP by oversight.
    """
    if params.get("tls") is not None:
        return bool(params["tls"])
    if any(params.get(name) for name in ("ca_path", "client_cert", "client_key", "cert_path", "tls_hostname")):
        return True
    if target.files is not None:
        return target.files.ca is not None or port == TLS_PORT
    if any(environ.get(name) for name in ("DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH")):
        return True
    return port == TLS_PORT


def _tls_options(params: t.Mapping[str, t.Any], surroundings: Surroundings, target: _Target, host: str) -> TlsOptions:
    """Return what TLS is spoken with. Raises OptionError."""
    verify = params["validate_certs"] and target.verify
    files = _find_files(params, surroundings, target, verify)
    ca, cert, key = (params.get("ca_path") or files.ca, params.get("client_cert"), params.get("client_key"))
    if not cert and not key:
        cert, key = files.cert, files.key
    if bool(cert) != bool(key):
        missing = "client_key" if cert else "client_cert"
        raise bad_option(missing, f"it is missing beside {cert or key}", "A client certificate needs both files.")
    return TlsOptions(verify, ca, cert, key, params.get("tls_hostname") or host)


def _find_files(params: t.Mapping[str, t.Any], surroundings: Surroundings, target: _Target, verify: bool) -> _Files:
    """Return the PEM files of the directory that counts: the task's, the context's, the environment's, the default.

    Raises OptionError when one was named that holds no authority although one is needed.
    """
    named = params.get("cert_path")
    source = "cert_path"
    if not named and target.files is not None:
        return target.files
    if not named:
        named = surroundings.environ.get("DOCKER_CERT_PATH")
        source = "DOCKER_CERT_PATH"
    if not named:
        return _files_in(surroundings.config_dir) if surroundings.config_dir else _Files()
    if not os.path.isdir(named):
        raise bad_option(source, f"{named} is not a directory", "Name the one with ca.pem, cert.pem and key.pem.")
    files = _files_in(named)
    if verify and not files.ca and not params.get("ca_path"):
        raise bad_option(source, f"there is no ca.pem in {named}", "Put the authority's certificate there.")
    return files


def _files_in(folder: str) -> _Files:
    """Return those of ca.pem, cert.pem and key.pem that a folder holds."""
    paths = (os.path.join(folder, name) for name in ("ca.pem", "cert.pem", "key.pem"))
    ca, cert, key = (path if os.path.exists(path) else None for path in paths)
    return _Files(ca, cert, key)


__all__ = (
    "DEFAULT_ADDRESS",
    "ENGINE_ARGUMENTS",
    "PLAIN_PORT",
    "TLS_PORT",
    "Connection",
    "Surroundings",
    "TlsOptions",
    "resolve",
)
