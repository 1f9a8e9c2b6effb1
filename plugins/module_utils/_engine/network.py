# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Connections over TCP, and docker contexts, which mostly lead to one. Only loaded when they are meant."""

from __future__ import annotations

import hashlib
import os
import typing as t
from urllib.parse import urlsplit

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import (
    bad_address,
    bad_context,
    bad_option,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.options import (
    Connection,
    Surroundings,
    Target,
    load_object,
)

PLAIN_PORT = 2375
TLS_PORT = 2376


class TlsOptions(t.NamedTuple):
    """What TLS is spoken with: paths of PEM files, and the name that the engine's certificate must carry.

    Without ``ca_path`` the system's authorities are trusted; with ``verify`` false, anything.
    """

    verify: bool
    ca_path: str | None
    client_cert: str | None
    client_key: str | None
    hostname: str


class Files(t.NamedTuple):
    """PEM files for TLS, each None where there is none."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None


def over_network(
    params: t.Mapping[str, t.Any], surroundings: Surroundings, target: Target, rest: str, api_version: str | None
) -> Connection:
    """Return the connection over TCP that is meant. See :func:`resolve`.

    :param rest: the target's address without its scheme. Raises OptionError.
    """
    host, port = _split_host(target, rest)
    wants_tls = _wants_tls(params, surroundings.environ, target, port)
    port = port or (TLS_PORT if wants_tls else PLAIN_PORT)
    tls = _tls_options(params, surroundings, target, host) if wants_tls else None
    shown_host = f"[{host}]" if ":" in host else host
    return Connection(f"tcp://{shown_host}:{port}", None, host, port, tls, api_version, params["timeout"])


def read_context(config_dir: str, name: str) -> Target:
    """Return where a docker context leads.

    It is kept in folders named by the SHA-256 of its name (docker/cli, cli/context/store). Raises OptionError when it
    is not there or leads nowhere.
    """
    digest = hashlib.sha256(name.encode()).hexdigest()
    path = os.path.join(config_dir, "contexts", "meta", digest, "meta.json")
    try:
        endpoint = load_object(path)["Endpoints"]["docker"]
        address, verify = endpoint["Host"], not endpoint.get("SkipTLSVerify")
    except FileNotFoundError as exc:
        raise bad_context(name, f"it does not exist ({path} is not there)") from exc
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise bad_context(name, f"{path} cannot be used ({type(exc).__name__}: {exc})") from exc
    folder = os.path.join(config_dir, "contexts", "tls", digest, "docker")
    return Target(f"docker context {name!r}:", address, _files_in(folder), verify)


def _split_host(target: Target, rest: str) -> tuple[str, int | None]:
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


def _wants_tls(params: t.Mapping[str, t.Any], environ: t.Mapping[str, str], target: Target, port: int | None) -> bool:
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


def _tls_options(params: t.Mapping[str, t.Any], surroundings: Surroundings, target: Target, host: str) -> TlsOptions:
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


def _find_files(params: t.Mapping[str, t.Any], surroundings: Surroundings, target: Target, verify: bool) -> Files:
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
        return _files_in(surroundings.config_dir) if surroundings.config_dir else Files()
    if not os.path.isdir(named):
        raise bad_option(source, f"{named} is not a directory", "Name the one with ca.pem, cert.pem and key.pem.")
    files = _files_in(named)
    if verify and not files.ca and not params.get("ca_path"):
        raise bad_option(source, f"there is no ca.pem in {named}", "Put the authority's certificate there.")
    return files


def _files_in(folder: str) -> Files:
    """Return those of ca.pem, cert.pem and key.pem that a folder holds."""
    paths = (os.path.join(folder, name) for name in ("ca.pem", "cert.pem", "key.pem"))
    ca, cert, key = (path if os.path.exists(path) else None for path in paths)
    return Files(ca, cert, key)


__all__ = ("PLAIN_PORT", "TLS_PORT", "Files", "TlsOptions", "over_network", "read_context")
