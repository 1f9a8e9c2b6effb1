# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Ask a registry which repositories, tags and images it has, by Docker's Registry API (OCI distribution spec)."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from urllib.parse import urljoin, urlsplit

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._addresses import is_loopback
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import Answer
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import (
    Params,
    TlsOptions,
    certified_name,
    require_absolute,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.images import (
    Credentials,
    ImageName,
    parse_image_name,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.registry_client import (
    Login,
    Origin,
    Registry,
)

# The options of a module that asks a registry.
REGISTRY_ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "registry": {"type": "str"},
    "image": {"type": "str"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "tls": {"type": "bool", "default": True},
    "allow_insecure": {"type": "bool", "default": False},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
    "tls_hostname": {"type": "str"},
    "timeout": {"type": "int", "default": 60},
}

# Docker Hub's API does not answer at the name that images have.
_HUB = "docker.io"
_HUB_NAMES = (_HUB, "index.docker.io")
_HUB_API = "registry-1.docker.io"

# A registry sends an old manifest, or none, to a client that does not name the kinds that it understands.
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json,"
    " application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)

# OCI distribution spec, "Pulling manifests". A digest is that of one of the algorithms in the OCI image spec.
_PART = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(f"{_PART}(?:/{_PART})*")
_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")

# No registry has more pages than this; one that lists more leads in a circle.
_MOST_PAGES = 100_000


def resolve_login(params: Params) -> Login:
    """Return how to reach the registry that a task's parameters name (keys as in REGISTRY_ARGUMENTS).

    Raises OptionError.
    """
    require_absolute(params)
    if params["timeout"] <= 0:
        raise errors.bad_timeout(seconds=params["timeout"])
    name, _image = _find_image(params)
    source = "registry" if params.get("registry") else "image"
    origin = _origin(_HUB_API if name in _HUB_NAMES else name, source, tls=params["tls"])
    credentials = Credentials(params["username"], params["password"] or "") if params.get("username") else None
    if credentials and not params["tls"] and not params["allow_insecure"] and not is_loopback(origin.host):
        raise errors.plain_password(host=origin.host)
    tls = TlsOptions(
        params["validate_certs"],
        params.get("ca_path"),
        params.get("client_cert"),
        params.get("client_key"),
        certified_name(params, origin.host),
    )
    return Login(origin, tls, credentials, params["timeout"])


def resolve_image(params: Params) -> ImageName | None:
    """Return the image that a task's parameters name, None if they name none. Raises OptionError.

    Its repository is the path in the registry.
    """
    return _find_image(params)[1]


def _find_image(params: Params) -> tuple[str, ImageName | None]:
    """Return the registry's name and the image, None if none was named. Raises OptionError.

    A registry that is given as an option may be another one's mirror, so the image's name is its repository as a whole,
    unless it begins with this very registry.
    """
    registry, name = params.get("registry"), params.get("image")
    if not name:
        return registry or _HUB, None
    image = parse_image_name(name)
    path = image.repository
    if not registry:
        registry = image.domain or _HUB
        path = path[len(image.domain) + 1 :] if image.domain else path
    elif path.startswith(f"{registry}/"):
        path = path[len(registry) + 1 :]
    if registry in _HUB_NAMES and "/" not in path:
        path = f"library/{path}"
    if not _REPOSITORY.fullmatch(path) or not _VERSION.fullmatch(image.version):
        raise errors.bad_image(image=name)
    return registry, ImageName(path, image.version)


def _origin(name: str, source: str, *, tls: bool) -> Origin:
    """Return the registry's origin. Raises OptionError, which does not show a password in a URL."""
    try:
        parts = urlsplit(f"//{name}")
        if parts.netloc != name or "@" in name or not re.fullmatch(r"[\w.:-]+", parts.hostname or ""):
            raise ValueError("it is more, or less, than a host with a port")
        return Origin.of_url(f"{'https' if tls else 'http'}://{name}")
    except ValueError as exc:
        raise errors.bad_registry(source=source, address=name.rpartition("@")[2]) from exc


def registry_info(registry: Registry, image: ImageName | None) -> dict[str, t.Any]:
    """Return ``repositories``, ``tags`` and ``digest``: of all that is listed, or of one image. Raises EngineError.

    Of an image that is not there, the lists are empty and the digest is None.
    """
    if image is None:
        return {"repositories": _catalog(registry), "tags": [], "digest": None}
    tags = _list(registry, f"/v2/{image.repository}/tags/list", "tags")
    digest = _digest(registry, image)
    found = tags is not None or digest is not None
    return {"repositories": [image.repository] if found else [], "tags": tags or [], "digest": digest}


def _catalog(registry: Registry) -> list[str]:
    """Return the names of all repositories. Raises EngineError."""
    try:
        names = _list(registry, "/v2/_catalog", "repositories")
    except errors.AnswerError as exc:
        if exc.status not in (403, 404, 405):
            raise
        error = errors.no_catalog(where=f"{exc.endpoint} at {registry.address}", status=exc.status, message=exc.message)
        raise error.with_answer(exc.status, exc.endpoint, exc.message) from exc
    return names or []


def _list(registry: Registry, target: str, key: str) -> list[str] | None:
    """Return a sorted list of names from all its pages, None if there is no such repository. Raises EngineError.

    Pages should be sorted already (OCI distribution spec), but Distribution does not sort tags. How long a page is, is
    left to the registry: each has its own limit, and some refuse more.
    """
    names: list[str] = []
    seen: set[str] = set()
    while target:
        answer = registry.request("GET", target)
        if answer.status == 404 and key == "tags" and _is_refusal(answer):
            return None
        if answer.status != 200:
            raise registry.refusal(answer)
        seen.add(target)
        names += _names(answer, key)
        target = _next_page(answer, target)
        if target in seen or len(seen) > _MOST_PAGES:
            raise answer.unlike_peer("its pages lead in a circle")
    return sorted(names)


def _names(answer: Answer, key: str) -> list[str]:
    """Return the list of names in an answer. A repository without tags has null (Distribution). Raises EngineError."""
    content = answer.json()
    names = (content.get(key) or []) if isinstance(content, dict) and key in content else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise answer.unlike_peer(f"the answer has no list of {key}")
    return names


def _next_page(answer: Answer, target: str) -> str:
    """Return path and query of the next page, empty if this was the last (RFC 8288; OCI distribution spec).

    A registry behind a proxy often does not know its own scheme and host, so those of the link do not count.
    """
    found = re.search(r'<([^>]*)>[^,]*;\s*rel="?next\b', answer.headers.get("link", ""))
    if not found:
        return ""
    parts = urlsplit(urljoin(target, found[1]))
    return f"{parts.path}?{parts.query}"


def _digest(registry: Registry, image: ImageName) -> str | None:
    """Return the digest of an image's manifest, or of its index; None if it is not there. Raises EngineError.

    It is the SHA-256 of the manifest's bytes. Registries should say it in a header, but need not (OCI spec).
    """
    target = f"/v2/{image.repository}/manifests/{image.version}"
    answer = registry.request("HEAD", target, _MANIFESTS)
    if answer.status == 200 and "docker-content-digest" not in answer.headers:
        answer = registry.request("GET", target, _MANIFESTS)
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise registry.refusal(answer)
    digest = answer.headers.get("docker-content-digest") or f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
    if not _VERSION.fullmatch(digest) or ":" not in digest:
        raise answer.unlike_peer(f"its header Docker-Content-Digest is no digest ({digest[:80]!r})")
    return digest


def _is_refusal(answer: Answer) -> bool:
    """Return whether a registry says this, and not a web server that knows of none."""
    try:
        return isinstance(json.loads(answer.body)["errors"], list)
    except (ValueError, KeyError, TypeError):
        return False


__all__ = ("REGISTRY_ARGUMENTS", "registry_info", "resolve_image", "resolve_login")
