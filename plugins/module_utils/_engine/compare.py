# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Compare a container with its requested configuration.

Only what was asked for is compared. The engine fills in the rest, and it writes some of what it was told in another
way, which is no difference; the tables below say where.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

Path = tuple[str, ...]

# What the engine puts where nothing, or an empty value, was asked for. None stands for anything: it then is the
# daemon's configuration that decides (API reference, ContainerCreate; moby, daemon/container_unix_test and defaults).
_FILLED_IN: t.Mapping[Path, t.Container[t.Any] | None] = {
    ("Cmd",): None,
    ("Entrypoint",): None,
    ("Healthcheck", "Interval"): None,
    ("Healthcheck", "Retries"): None,
    ("Healthcheck", "StartInterval"): None,
    ("Healthcheck", "StartPeriod"): None,
    ("Healthcheck", "Test"): None,
    ("Healthcheck", "Timeout"): None,
    ("Hostname",): None,
    ("HostConfig", "CgroupnsMode"): ("host", "private"),
    ("HostConfig", "IpcMode"): ("private", "shareable"),
    ("HostConfig", "LogConfig"): None,
    ("HostConfig", "LogConfig", "Type"): None,
    ("HostConfig", "MemorySwap"): None,
    ("HostConfig", "NetworkMode"): ("bridge", "default"),
    ("HostConfig", "RestartPolicy"): ({"Name": "no", "MaximumRetryCount": 0}, {"Name": "", "MaximumRetryCount": 0}),
    ("HostConfig", "RestartPolicy", "Name"): ("no",),
    ("HostConfig", "Runtime"): None,
    ("HostConfig", "ShmSize"): (64 * 2**20,),
    ("User",): None,
    ("WorkingDir",): None,
}

# Pointers in Go's types: the engine tells 0 and false from what was not given, and does something else then.
_POINTERS = {("StopTimeout",), ("HostConfig", "Init"), ("HostConfig", "MemorySwappiness")}

# Dictionaries that users fill: what is in them besides what was asked for is a difference. In all others the engine has
# fields of its own.
_USER_MAPS = {
    ("ExposedPorts",),
    ("Labels",),
    ("Volumes",),
    ("HostConfig", "Annotations"),
    ("HostConfig", "PortBindings"),
    ("HostConfig", "StorageOpt"),
    ("HostConfig", "Sysctls"),
    ("HostConfig", "Tmpfs"),
}

# Lists whose order means something. The others are compared as sets.
_ORDERED = {
    ("Cmd",),
    ("Entrypoint",),
    ("OnBuild",),
    ("Shell",),
    ("Healthcheck", "Test"),
    ("HostConfig", "Dns"),
    ("HostConfig", "DnsSearch"),
}

# What is in here has to be there, even when nothing more is said of it.
_NETWORKS = ("NetworkingConfig", "EndpointsConfig")

# Limits that an engine drops, with a warning, when its kernel cannot keep them: the key of ``GET /info`` that says so.
_DROPPED_WITHOUT: t.Mapping[str, str] = {
    "CpuPeriod": "CpuCfsPeriod",
    "CpuQuota": "CpuCfsQuota",
    "CpuShares": "CPUShares",
    "CpusetCpus": "CPUSet",
    "CpusetMems": "CPUSet",
    "KernelMemory": "KernelMemory",
    "Memory": "MemoryLimit",
    "MemoryReservation": "MemoryLimit",
    "MemorySwap": "SwapLimit",
    "MemorySwappiness": "MemoryLimit",
    "NanoCpus": "CpuCfsQuota",
    "OomKillDisable": "OomKillDisable",
    "PidsLimit": "PidsLimit",
}


@dataclass(frozen=True)
class Difference:
    """Something that is not as it was asked for; ``path`` leads to it in the body of ``POST /containers/create``."""

    path: Path
    asked: t.Any
    actual: t.Any

    @property
    def may_be_dropped(self) -> bool:
        """Whether it is a limit that is not there, which can be the engine's doing. It stores MemorySwap as -1 then."""
        return (
            self.path[:1] == ("HostConfig",) and self.path[-1] in _DROPPED_WITHOUT and self.actual in (None, 0, "", -1)
        )

    def is_dropped(self, info: t.Mapping[str, t.Any]) -> bool:
        """Return whether it is a limit that an engine with this ``GET /info`` cannot keep, and so has dropped.

        Version 2 of cgroups has no MemorySwappiness (moby, pkg/sysinfo/cgroup2_linux.go).
        """
        if self.may_be_dropped and self.path[-1] == "MemorySwappiness" and info.get("CgroupVersion") == "2":
            return True
        return self.may_be_dropped and info.get(_DROPPED_WITHOUT[self.path[-1]]) is False


def differences(
    asked: t.Mapping[str, t.Any], container: t.Mapping[str, t.Any], image: t.Mapping[str, t.Any] | None
) -> list[Difference]:
    """Return how a container differs from what was asked for, the image aside.

    :param asked: a body for ``POST /containers/create``.
    :param container: what ``GET /containers/ID/json`` says.
    :param image: what ``GET /images/ID/json`` says of the image that the container was made from, None if it is gone.
        The engine adds its variables, labels, ports and volumes to those of the container.
    """
    config = {name: value for name, value in asked.items() if name != "Image"}
    networking = config.pop("NetworkingConfig", None)
    image_config = (image or {}).get("Config") or {}
    host_config = _without_own_labels(config.get("HostConfig"), container.get("HostConfig") or {})
    actual = {**(container.get("Config") or {}), "HostConfig": host_config}
    found = _compare_structs((), config, actual, image_config)
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    found += _compare(("NetworkingConfig",), networking, {"EndpointsConfig": networks}, None)
    if (container.get("State") or {}).get("Running"):
        return found
    # A network gets its MAC address back when the container is started (moby, cleanOperationalData).
    return [one for one in found if one.path[:2] != _NETWORKS or one.path[-1] != "MacAddress" or one.actual]


def _without_own_labels(asked: t.Any, actual: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    """Return a container's HostConfig without the SELinux labels that the engine adds if none is asked for.

    A container that is privileged, or shares namespaces, gets them (moby, daemon/create.go, generateSecurityOpt).
    """
    options = asked.get("SecurityOpt") if isinstance(asked, dict) else None
    shared = any(re.match("host$|container:", actual.get(mode) or "") for mode in ("IpcMode", "PidMode"))
    labelled = isinstance(options, list) and any(str(one).startswith("label=") for one in options)
    if labelled or not (shared or actual.get("Privileged")):
        return actual
    present = actual.get("SecurityOpt") or []
    return {**actual, "SecurityOpt": [one for one in present if not one.startswith("label=")]}


def _compare_structs(
    path: Path, asked: t.Mapping[str, t.Any], actual: t.Mapping[str, t.Any], image: t.Mapping[str, t.Any]
) -> list[Difference]:
    """Return the differences within a dictionary whose keys the API knows. Go reads them in any case of letters."""
    spelled = {name.lower(): name for name in actual}
    found: list[Difference] = []
    for name, value in asked.items():
        key = spelled.get(name.lower(), name)
        found += _compare((*path, key), value, actual.get(key), image.get(key))
    return found


def _compare(path: Path, asked: t.Any, actual: t.Any, image: t.Any) -> list[Difference]:
    """Return the differences of one value; ``image`` is what the image says for it."""
    if path[:2] == _NETWORKS and len(path) == 3 and actual is None:
        return [Difference(path, asked, actual)]
    if asked is None or _is_filled_in(path, asked, actual):
        return []
    if _is_user_map(path, asked) and _is_user_map(path, actual or type(asked)()):
        if _same_map(path, asked, actual, image):
            return []
        return [Difference(path, asked, _without_image(path, asked, actual, image))]
    if isinstance(asked, dict) and isinstance(actual, dict):
        return _compare_structs(path, asked, actual, {})
    return [] if _same_value(path, asked, actual) else [Difference(path, asked, actual)]


def _is_filled_in(path: Path, asked: t.Any, actual: t.Any) -> bool:
    """Return whether no value was requested, and the present value is the engine's default for that."""
    if not _is_empty(path, asked) or (path not in _FILLED_IN and not _is_empty(path, actual)):
        return False
    if _is_empty(path, actual):
        return True
    if asked == [""]:  # this asks for no entry point, where an empty list asks for the image's
        return False
    values = _FILLED_IN[path]
    return values is None or actual in values


def _is_empty(path: Path, value: t.Any) -> bool:
    """Return whether the engine cannot tell a value from one that was not given. An entry point of [""] is none."""
    if path in _POINTERS:
        return value is None
    return value in (None, "", 0, False) or value in ([], {}, [""])


def _is_user_map(path: Path, value: t.Any) -> bool:
    """Return whether a value is a dictionary that users fill, or the list of variables."""
    if path == ("Env",):
        return isinstance(value, list) and all(isinstance(line, str) for line in value)
    return path in _USER_MAPS and isinstance(value, dict)


def _same_map(path: Path, asked: t.Any, actual: t.Any, image: t.Any) -> bool:
    """Return whether a dictionary that users fill, or the list of variables, is what was asked for.

    What the image adds may be there besides.
    """
    wanted, present, added = (_as_map(path, value) for value in (asked, actual, image))
    if any(
        name not in present or not _same_value((*path, name), value, present[name]) for name, value in wanted.items()
    ):
        return False
    return all(name in wanted or added.get(name, value) == value and name in added for name, value in present.items())


def _without_image(path: Path, asked: t.Any, actual: t.Any, image: t.Any) -> t.Any:
    """Return what is there without what only the image has added, to be shown."""
    wanted, added = _as_map(path, asked), _as_map(path, image)
    present = {
        name: value
        for name, value in _as_map(path, actual).items()
        if name in wanted or added.get(name, object()) != value
    }
    return list(present.values()) if path == ("Env",) else present


def _as_map(path: Path, value: t.Any) -> dict[str, t.Any]:
    """Return a dictionary that users fill in one way of writing: variables by name, ports with their protocol.

    Engines from 29 on store a port without bindings as one with any port of the host (moby, handlePortBindingsBC).
    """
    if path == ("Env",):
        return {line.partition("=")[0]: line for line in value or []}
    if path not in (("ExposedPorts",), ("HostConfig", "PortBindings")):
        return dict(value or {})
    ports = {name if "/" in name else f"{name}/tcp": content for name, content in (value or {}).items()}
    if path == ("ExposedPorts",):
        return ports
    return {name: bindings or [{"HostIp": "", "HostPort": ""}] for name, bindings in ports.items()}


def _same_value(path: Path, asked: t.Any, actual: t.Any) -> bool:
    """Return whether two values say the same."""
    if _is_empty(path, asked) and _is_empty(path, actual):
        return True
    if isinstance(asked, (list, tuple)) or isinstance(actual, (list, tuple)):
        return _same_list(path, asked, actual)
    if isinstance(asked, dict) and isinstance(actual, dict):
        return not _compare_structs(path, asked, actual, {})
    return bool(_plain(path, asked) == _plain(path, actual))


def _same_list(path: Path, asked: t.Any, actual: t.Any) -> bool:
    """Return whether two lists say the same. A single text is a list of one (strslice in moby)."""
    wanted = list(asked) if isinstance(asked, (list, tuple)) else [asked]
    present = list(actual) if isinstance(actual, (list, tuple)) else [] if actual is None else [actual]
    if path[-1] in ("Aliases", "DNSNames", "Ulimits"):  # the engine adds the container's ID, and its default limits
        return all(any(_same_value((*path, ""), one, other) for other in present) for one in wanted)
    if len(wanted) != len(present):
        return False
    if path in _ORDERED:
        return all(_same_value((*path, ""), one, other) for one, other in zip(wanted, present))  # Python 3.9
    left = list(present)
    for one in wanted:
        index = next((place for place, other in enumerate(left) if _same_value((*path, ""), one, other)), None)
        if index is None:
            return False
        del left[index]
    return True


def _plain(path: Path, value: t.Any) -> t.Any:
    """Return a single value in one way of writing, where the engine may write it in another."""
    if path[-1] == "MacAddress" and isinstance(value, str):
        return re.sub("[:.-]", "", value.lower())
    where = path[1:2] if path[:1] == ("HostConfig",) else ()
    if where in (("CapAdd",), ("CapDrop",)) and isinstance(value, str):
        name = value.upper()
        return name[4:] if name.startswith("CAP_") else name
    if where == ("NetworkMode",) and value == "default":
        return "bridge"
    if where == ("PidsLimit",) and isinstance(value, int) and value <= 0:  # no limit (ContainerCreate)
        return None
    if where == ("MemorySwappiness",) and value == -1:  # the kernel's own
        return None
    if where == ("Links",) and isinstance(value, str):  # asked db:alias, answered /db:/web/alias
        target, _colon, alias = value.partition(":")
        return target.strip("/"), (alias or target).rsplit("/", 1)[-1]
    return value


def as_diff(found: t.Iterable[Difference]) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """Return what is and what was asked for, each by its path (``HostConfig.Memory``), to be shown side by side."""
    listed = list(found)
    before = {".".join(one.path): one.actual for one in listed}
    after = {".".join(one.path): one.asked for one in listed}
    return before, after


__all__ = ("Difference", "as_diff", "differences")
