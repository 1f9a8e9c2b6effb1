# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""From the connection options of a task to one connection: which engine, and over what.

What only counts over the network (trusted how, too) is in :mod:`network`, which a task for the local socket does not
load: whatever a module loads, a host compiles anew in each task.

Precedence is that of the docker client: an option of the task, then C(DOCKER_HOST), then C(DOCKER_CONTEXT), then the
current context in the client's C(config.json), then the local socket (docker/cli, cli/command/cli.go).
"""

from __future__ import annotations

import json
import os
import re
import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.network import Files, TlsOptions

DEFAULT_ADDRESS = "unix:///var/run/docker.sock"

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


class Target(t.NamedTuple):
    """The engine's address, and where it was found. ``files`` and ``verify`` are set by a docker context alone."""

    source: str
    address: str
    files: Files | None = None
    verify: bool = True


def resolve(params: t.Mapping[str, t.Any], surroundings: Surroundings) -> Connection:
    """Return the connection that a task's parameters (keys as in ENGINE_ARGUMENTS) and its surroundings mean.

    Raises OptionError when they contradict each other or when a file that they name is not there.
    """
    target = _find_target(params, surroundings)
    if params["timeout"] <= 0:
        from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import bad_option

        raise bad_option("timeout", f"{params['timeout']} is not a time", "Give a number of seconds above 0.")
    api_version = _pinned_version(params.get("api_version") or surroundings.environ.get("DOCKER_API_VERSION"))
    scheme, rest = _split_address(target)
    if scheme == "unix":
        return Connection(target.address, rest, "", 0, None, api_version, params["timeout"])
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.network import over_network

    return over_network(params, surroundings, target, rest, api_version)


def _pinned_version(version: str | None) -> str | None:
    """Return the API version to use, None when it is to be negotiated (``auto``).

    Raises OptionError when it is not written as MAJOR.MINOR, as in C(GET /v1.44/info).
    """
    if not version or version == "auto":
        return None
    if not re.fullmatch(r"[0-9]+\.[0-9]+", version):
        from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import bad_option

        raise bad_option("api_version", f"{version!r} is no version", "Write it as MAJOR.MINOR, for example 1.44.")
    return version


def _find_target(params: t.Mapping[str, t.Any], surroundings: Surroundings) -> Target:
    """Return the engine's address by the docker client's precedence."""
    if params.get("docker_host"):
        return Target("docker_host", params["docker_host"])
    environ = surroundings.environ
    if environ.get("DOCKER_HOST"):
        return Target("DOCKER_HOST", environ["DOCKER_HOST"])
    if surroundings.config_dir:
        name = environ.get("DOCKER_CONTEXT") or _current_context(surroundings.config_dir)
        if name and name != "default":
            from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.network import read_context

            return read_context(surroundings.config_dir, name)
    return Target("docker_host", DEFAULT_ADDRESS)


def _current_context(config_dir: str) -> str:
    """Return the name of the current docker context, empty when none was chosen.

    Raises OptionError when the client's configuration file is there and cannot be read.
    """
    path = os.path.join(config_dir, "config.json")
    problem: Exception | None = None
    try:
        name = load_object(path).get("currentContext") or ""
        if isinstance(name, str):
            return name
        cause = "currentContext is not a name"
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as exc:
        cause, problem = f"the docker client's configuration cannot be read ({exc})", exc
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import bad_client_configuration

    raise bad_client_configuration(path, cause) from problem


def load_object(path: str) -> dict[str, t.Any]:
    """Return the JSON object in a file. Raises OSError, or ValueError when there is none in it."""
    with open(path, encoding="utf-8") as stream:
        content = json.load(stream)
    if not isinstance(content, dict):
        raise ValueError("it holds no JSON object")
    return content


def _split_address(target: Target) -> tuple[str, str]:
    """Return scheme (``unix`` or ``tcp``) and the rest of an address. An address without scheme is TCP.

    Raises OptionError for any other scheme.
    """
    address = target.address if "://" in target.address else f"tcp://{target.address}"
    scheme, rest = address.split("://", 1)
    if scheme == "unix" and not rest.startswith("/"):
        problem = "the path of a unix socket must begin with a slash"
    elif scheme not in ("unix", "tcp"):
        problem = f"{scheme}:// is not supported"
    else:
        return scheme, rest
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import bad_address

    raise bad_address(target.source, target.address, problem)


__all__ = (
    "DEFAULT_ADDRESS",
    "ENGINE_ARGUMENTS",
    "Connection",
    "Surroundings",
    "Target",
    "load_object",
    "resolve",
)
