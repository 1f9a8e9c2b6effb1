# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Check a container's configuration against the keys of the Engine API, by its version."""

from __future__ import annotations

import difflib
import re
import typing as t
from dataclasses import dataclass, field

# The keys of the body of POST /containers/create, from the API's definitions 1.25 to 1.51 (api/docs in moby). A line
# has the path of an object (a dot for the body, an asterisk for each item of a list or mapping) and its keys, each with
# its type: text, number, bool, list, mapping, lt and mt for those of texts. @41-43 says: API 1.41 to 1.43. Earlier
# versions than 1.44 know an endpoint's MacAddress, and discard it (moby, handleMACAddressBC).
_DEFINITION = """
. ArgsEscaped:b AttachStderr:b AttachStdin:b AttachStdout:b Cmd:lt Domainname:t Entrypoint:lt Env:lt ExposedPorts:m
  Healthcheck:m HostConfig:m Hostname:t Image:t Labels:mt MacAddress:t NetworkDisabled:b NetworkingConfig:m
  OnBuild:lt OpenStdin:b Shell:lt StdinOnce:b StopSignal:t StopTimeout:n Tty:b User:t Volumes:m WorkingDir:t
Healthcheck Interval:n Retries:n StartInterval:n@44 StartPeriod:n@29 Test:lt Timeout:n
HostConfig Annotations:mt@43 AutoRemove:b Binds:lt BlkioDeviceReadBps:l BlkioDeviceReadIOps:l BlkioDeviceWriteBps:l
  BlkioDeviceWriteIOps:l BlkioWeight:n BlkioWeightDevice:l CapAdd:lt CapDrop:lt Cgroup:t CgroupParent:t
  CgroupnsMode:t@41 ConsoleSize:l ContainerIDFile:t CpuCount:n CpuPercent:n CpuPeriod:n CpuQuota:n
  CpuRealtimePeriod:n CpuRealtimeRuntime:n CpuShares:n CpusetCpus:t CpusetMems:t DeviceCgroupRules:lt@28
  DeviceRequests:l@40 Devices:l DiskQuota:n@-39 Dns:lt DnsOptions:lt DnsSearch:lt ExtraHosts:lt GroupAdd:lt
  IOMaximumBandwidth:n IOMaximumIOps:n Init:b IpcMode:t Isolation:t KernelMemory:n@-41 KernelMemoryTCP:n@40 Links:lt
  LogConfig:m MaskedPaths:lt@38 Memory:n MemoryReservation:n MemorySwap:n MemorySwappiness:n Mounts:l NanoCpus:n
  NetworkMode:t OomKillDisable:b OomScoreAdj:n PidMode:t PidsLimit:n PortBindings:m Privileged:b PublishAllPorts:b
  ReadonlyPaths:lt@38 ReadonlyRootfs:b RestartPolicy:m Runtime:t SecurityOpt:lt ShmSize:n StorageOpt:mt Sysctls:mt
  Tmpfs:mt UTSMode:t Ulimits:l UsernsMode:t VolumeDriver:t VolumesFrom:lt
HostConfig.BlkioDeviceReadBps.* Path:t Rate:n
HostConfig.BlkioDeviceReadIOps.* Path:t Rate:n
HostConfig.BlkioDeviceWriteBps.* Path:t Rate:n
HostConfig.BlkioDeviceWriteIOps.* Path:t Rate:n
HostConfig.BlkioWeightDevice.* Path:t Weight:n
HostConfig.DeviceRequests.* Capabilities:l@40 Count:n@40 DeviceIDs:lt@40 Driver:t@40 Options:mt@40
HostConfig.Devices.* CgroupPermissions:t PathInContainer:t PathOnHost:t
HostConfig.LogConfig Config:mt Type:t
HostConfig.Mounts.* BindOptions:m Consistency:t@29 ImageOptions:m@48 ReadOnly:b Source:t Target:t TmpfsOptions:m
  Type:t VolumeOptions:m
HostConfig.Mounts.*.BindOptions CreateMountpoint:b@42 NonRecursive:b@40 Propagation:t ReadOnlyForceRecursive:b@44
  ReadOnlyNonRecursive:b@44
HostConfig.Mounts.*.ImageOptions Subpath:t@48
HostConfig.Mounts.*.TmpfsOptions Mode:n Options:l@46 SizeBytes:n
HostConfig.Mounts.*.VolumeOptions DriverConfig:m Labels:mt NoCopy:b Subpath:t@45
HostConfig.Mounts.*.VolumeOptions.DriverConfig Name:t Options:mt
HostConfig.PortBindings.*.* HostIp:t HostPort:t
HostConfig.RestartPolicy MaximumRetryCount:n Name:t
HostConfig.Ulimits.* Hard:n Name:t Soft:n
NetworkingConfig EndpointsConfig:m
NetworkingConfig.EndpointsConfig.* Aliases:lt DNSNames:lt@44 DriverOpts:mt@32 EndpointID:t Gateway:t
  GlobalIPv6Address:t GlobalIPv6PrefixLen:n GwPriority:n@48 IPAMConfig:m IPAddress:t IPPrefixLen:n IPv6Gateway:t
  Links:lt MacAddress:t@44 NetworkID:t
NetworkingConfig.EndpointsConfig.*.IPAMConfig IPv4Address:t IPv6Address:t LinkLocalIPs:lt
"""

_NAMES = {"t": "text", "n": "a number", "b": "a boolean", "l": "a list", "m": "a mapping"}


@dataclass(frozen=True)
class _Key:
    """A key of the API: its spelling, its type as in _DEFINITION, and the minor versions that know it."""

    name: str
    kind: str
    since: int
    until: int


def _read_definition() -> dict[str, dict[str, _Key]]:
    """Return the keys of each object by its path, and by their names in lower case: Go reads them in any case."""
    objects: dict[str, dict[str, _Key]] = {}
    for path, *words in (line.split() for line in _DEFINITION.replace("\n  ", " ").strip().splitlines()):
        for word in words:
            name, _colon, rest = word.partition(":")
            kind, _at, versions = rest.partition("@")
            since, _dash, until = versions.partition("-")
            key = _Key(name, kind, int(since or 0), int(until or 999))
            objects.setdefault(path.lstrip("."), {})[name.lower()] = key
    return objects


_OBJECTS = _read_definition()


@dataclass
class CheckedConfig:
    """A body for ``POST /containers/create`` whose single values have the API's types.

    ``compared`` is the body with the API's own spelling of its keys, and without those that the engine ignores, each of
    which has a warning.
    """

    body: dict[str, t.Any]
    compared: dict[str, t.Any]
    warnings: list[str] = field(default_factory=list)


def check_config(config: t.Mapping[str, t.Any], version: str) -> CheckedConfig:
    """Return the configuration as the API of this version takes it, and warnings about what it does not."""
    checker = _Checker(version)
    body, compared = checker.check_object("", "", config)
    return CheckedConfig(body, compared, checker.warnings)


class _Checker:
    """Checks values, and collects warnings. ``where`` is a value's path as it was written, ``path`` as in _OBJECTS."""

    def __init__(self, version: str) -> None:
        self.warnings: list[str] = []
        self._version = version
        self._minor = int(version.split(".")[1])

    def check_object(
        self, where: str, path: str, value: t.Mapping[str, t.Any]
    ) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        """Return the object to send, and what is to be compared of it."""
        sent: dict[str, t.Any] = {}
        compared: dict[str, t.Any] = {}
        for name, one in value.items():
            inner = f"{where}.{name}".lstrip(".")
            key = _OBJECTS[path].get(str(name).lower())
            sent[name] = one
            if key is None:
                self._warn(inner, f"is no key of API {self._version}, which ignores it.{_suggestion(path, str(name))}")
            elif not key.since <= self._minor <= key.until:
                known = f"up to 1.{key.until}" if self._minor > key.until else f"from 1.{key.since} on"
                self._warn(inner, f"is known to the API {known}; {self._version}, which is spoken here, ignores it.")
            else:
                sent[name], compared[key.name] = self._check(inner, f"{path}.{key.name}".lstrip("."), key.kind, one)
        return sent, compared

    def _check(self, where: str, path: str, kind: str, value: t.Any) -> tuple[t.Any, t.Any]:
        """Return the value to send, and what is to be compared of it."""
        if value is None or (kind == "lt" and isinstance(value, str)):
            return value, value
        if kind[0] not in "lm":
            converted = self._convert(where, kind, value)
            return converted, converted
        if isinstance(value, dict) and kind[0] == "m":
            if path in _OBJECTS:
                return self.check_object(where, path, value)
            items = {name: self._check_item(f"{where}.{name}", path, kind, one) for name, one in value.items()}
            return {name: both[0] for name, both in items.items()}, {name: both[1] for name, both in items.items()}
        if isinstance(value, list) and kind[0] == "l":
            listed = [self._check_item(f"{where}[{number}]", path, kind, one) for number, one in enumerate(value)]
            return [both[0] for both in listed], [both[1] for both in listed]
        self._warn_type(where, kind, value)
        return value, value

    def _check_item(self, where: str, path: str, kind: str, value: t.Any) -> tuple[t.Any, t.Any]:
        """Return an item of a list or mapping to send, and what is to be compared of it."""
        if kind.endswith("t"):
            return self._check(where, path, "t", value)
        path += ".*"
        if path in _OBJECTS and isinstance(value, dict):
            return self.check_object(where, path, value)
        if f"{path}.*" in _OBJECTS and isinstance(value, list):
            return self._check(where, path, "l", value)
        return value, value

    def _convert(self, where: str, kind: str, value: t.Any) -> t.Any:
        """Return a single value in the API's type if nothing is lost by that, else warn and return it as it is."""
        number = isinstance(value, int) and not isinstance(value, bool)
        text = value if isinstance(value, str) else ""
        if kind == "t" and number:
            return str(value)
        if kind == "n" and re.fullmatch("-?[0-9]+", text):
            return int(text)
        if kind == "b" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if not {"t": isinstance(value, str), "n": number, "b": isinstance(value, bool)}[kind]:
            self._warn_type(where, kind, value)
        return value

    def _warn_type(self, where: str, kind: str, value: t.Any) -> None:
        """Warn of a value of another type than the API takes. The value may be a secret, so it is not shown."""
        self._warn(where, f"must be {_NAMES[kind[0]]}, and its type is {type(value).__name__}; engines may refuse it.")

    def _warn(self, where: str, text: str) -> None:
        """Add a warning about a value."""
        self.warnings.append(f"config: {where} {text}")


def _suggestion(path: str, name: str) -> str:
    """Suggest the key that was meant: the same name in another object, or the most similar name in this one."""
    for other, keys in _OBJECTS.items():
        if name.lower() in keys and "*" not in other:
            return f" Did you mean {other}.{keys[name.lower()].name}?".replace(" .", " ")
    found = difflib.get_close_matches(name.lower(), _OBJECTS[path], 1)
    return f" Did you mean {_OBJECTS[path][found[0]].name}?" if found else ""


__all__ = ("CheckedConfig", "check_config")
