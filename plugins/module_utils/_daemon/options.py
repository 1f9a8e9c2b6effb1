# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""dockerd's command-line options: reading an argument list, and merging into it what was asked for.

The rules of the command line are those of the Go package pflag, which dockerd uses: ``--name value``,
``--name=value``, ``-n value`` and ``-nvalue`` are the same, and a switch takes its value only after ``=``.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._addresses import is_loopback, is_unspecified
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors

_SHORT_NAMES = {
    "D": "debug",
    "G": "group",
    "H": "host",
    "b": "bridge",
    "g": "graph",
    "h": "help",
    "l": "log-level",
    "p": "pidfile",
    "v": "version",
}

# Options without a value of their own (reference of the dockerd command line). An engine's own list, from its
# --help, takes precedence where it is known; this one serves to read what already stands in a file.
_SWITCHES = frozenset(
    {
        "debug",
        "experimental",
        "help",
        "icc",
        "init",
        "ip-forward",
        "ip-forward-no-drop",
        "ip-masq",
        "iptables",
        "ip6tables",
        "ipv6",
        "live-restore",
        "no-new-privileges",
        "raw-logs",
        "rootless",
        "selinux-enabled",
        "tls",
        "tlsverify",
        "userland-proxy",
        "validate",
        "version",
        "allow-direct-routing",
        "disable-legacy-registry",
        "api-enable-cors",
    }
)

# How daemon.json calls an option that can be given more than once (dockerd reference, "Daemon configuration file").
_FILE_NAMES = {
    "host": "hosts",
    "label": "labels",
    "dns-opt": "dns-opts",
    "exec-opt": "exec-opts",
    "storage-opt": "storage-opts",
    "log-opt": "log-opts",
    "registry-mirror": "registry-mirrors",
    "insecure-registry": "insecure-registries",
    "authorization-plugin": "authorization-plugins",
    "default-ulimit": "default-ulimits",
    "default-address-pool": "default-address-pools",
    "default-network-opt": "default-network-opts",
    "node-generic-resource": "node-generic-resources",
    "allow-nondistributable-artifacts": "allow-nondistributable-artifacts",
    "feature": "features",
    "cdi-spec-dir": "cdi-spec-dirs",
    "add-runtime": "runtimes",
}

_NAME = re.compile(r"[a-z][a-z0-9-]*\Z")

# Characters that systemd passes on as they are, in double quotes and when it splits the value into words, and that
# are not easily taken for shell syntax: no white space, quotes, backslash, '$', backtick, '#' or shell operators.
_SAFE = re.compile(r"[A-Za-z0-9_@%+=:,./*?\[\]{}~^!-]+\Z")

Value = t.Union[str, int, float, bool, t.Sequence[t.Any], t.Mapping[str, t.Any]]


@dataclass(frozen=True)
class Option:
    """One option as it stands on a command line: its long name, its value (None for a bare switch), its words."""

    name: str
    value: str | None
    words: tuple[str, ...]


@dataclass(frozen=True)
class ListenAddress:
    """A TCP address on which dockerd listens: host name or IP address (no brackets), and port."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether it is reached from the host alone."""
        return is_loopback(self.host)

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every address of the host, as ``0.0.0.0`` and ``::`` do."""
        return is_unspecified(self.host)


def file_name(option: str) -> str:
    """Return how daemon.json calls the option, such as ``hosts`` for ``host``."""
    return _FILE_NAMES.get(option, option)


def read_arguments(arguments: t.Sequence[str], where: str) -> list[Option]:
    """Return the options on a command line (without the program's name) in their order.

    ``where`` names the file or unit for messages. Raises DaemonError for a word that is no option, since dockerd
    accepts no arguments.
    """
    found: list[Option] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, value, known = _split_word(word)
        if not known:
            raise errors.stray_argument(where=where, word=word)
        words = [word]
        if value is None and name not in _SWITCHES:
            if not rest:
                raise errors.option_without_value(where=where, word=word)
            value = rest.pop(0)
            words.append(value)
        found.append(Option(name, value, tuple(words)))
    return found


def _split_word(word: str) -> tuple[str, str | None, bool]:
    """Return (long name, value or None, whether it is an option at all) of one word of a command line."""
    if word.startswith("--") and len(word) > 2:
        name, equals, value = word[2:].partition("=")
        return name, value if equals else None, bool(name)
    if word.startswith("-") and len(word) > 1:
        name = _SHORT_NAMES.get(word[1], word[1])
        value = word[2:]
        return name, (value[1:] if value.startswith("=") else value) or None, word[1] != "-"
    return "", None, False


def check_options(options: t.Mapping[str, Value]) -> dict[str, tuple[str, ...]]:
    """Return the wanted options as name -> command-line words, such as ``("--dns=8.8.8.8", "--dns=8.8.4.4")``.

    True gives ``--name``, False gives ``--name=false``, a list one word per item, a mapping one ``key=value`` per
    item. A switch that is not known here is written out, so that nobody takes the next word for its value. The form
    ``--name=value`` is the one that audit tools look for (CIS Docker Benchmark 2.7 and 3.9 to 3.14).
    Raises DaemonError for a name or value that cannot stand in an options file.
    """
    return {name: tuple(_words(name, value)) for name, value in options.items()}


def _words(name: str, value: Value) -> t.Iterator[str]:
    """Yield the command-line words of one wanted option."""
    if not _NAME.match(name):
        raise errors.bad_option_name(name=name)
    if isinstance(value, bool):
        yield f"--{name}" if value and name in _SWITCHES else f"--{name}={_scalar(name, value)}"
        return
    if isinstance(value, t.Mapping):
        items = [f"{key}={_scalar(name, item)}" for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        items = [_scalar(name, item) for item in value]
    else:
        items = [_scalar(name, value)]
    if not items:
        raise errors.option_without_items(name=name)
    for item in items:
        if name == "host":
            parse_host(item)
        elif name == "dns":
            _check_address(name, item)
        yield check_word(f"--{name}={item}")


def _scalar(name: str, value: t.Any) -> str:
    """Return one value as dockerd reads it. Raises DaemonError for anything that is not one plain value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)) and str(value) != "":
        return str(value)
    raise errors.bad_option_value(name=name, kind=type(value).__name__)


def _check_address(name: str, value: str) -> None:
    """Raise DaemonError unless the value is an IP address, as dockerd demands of ``--dns``."""
    try:
        ipaddress.ip_address(value)
    except ValueError as exc:
        raise errors.not_an_address(name=name, value=value) from exc


def check_word(word: str) -> str:
    """Return the word if it can stand in an options file as it is. Raises DaemonError otherwise."""
    if not _SAFE.match(word):
        raise errors.word_not_safe(word=word)
    return word


def parse_host(value: str, *, written_out: bool = True) -> ListenAddress | None:
    """Return the TCP address that ``--host=value`` means, or None for a local one (unix, fd). Raises DaemonError.

    Address and port have to be ``written_out``. Otherwise what is missing is what dockerd takes: localhost, and 2375
    even with TLS (ParseTCPAddr() in moby's opts/hosts.go).
    """
    scheme, separator, rest = value.partition("://")
    if not separator:
        scheme, rest = "tcp", value
    if scheme in ("unix", "fd"):
        return None
    if scheme != "tcp":
        raise errors.unknown_scheme(value=value)
    match = re.match(r"(?:\[([0-9A-Fa-f:.%A-Za-z]+)\]|([A-Za-z0-9_.-]*))(?::([0-9]*))?/?\Z", rest)
    if not match or (written_out and not (match.group(3) and (match.group(1) or match.group(2)))):
        raise errors.no_address_and_port(value=value)
    port = int(match.group(3) or 2375)
    if not 1 <= port <= 65535:
        raise errors.port_out_of_range(value=value)
    if match.group(1):
        _check_address("host", match.group(1).partition("%")[0])
    elif re.match(r"[0-9.]+\Z", match.group(2)):
        _check_address("host", match.group(2))
    return ListenAddress(match.group(1) or match.group(2) or "localhost", port)


def is_local(address: str) -> bool:
    """Return whether what ``--host`` or ``hosts`` names is not reached over the network (unix or fd)."""
    return address.partition("://")[0] in ("unix", "fd")


def is_local_host(option: Option) -> bool:
    """Return whether the option is a ``--host`` that is not reached over the network."""
    return option.name == "host" and is_local(option.value or "")


def merge(
    present: t.Sequence[Option],
    wanted: t.Mapping[str, tuple[str, ...]],
    *,
    remove: t.Collection[str] = (),
    exclusive: bool = False,
) -> tuple[str, ...]:
    """Return the words of the options after the change: what was there, with what is wanted in its place.

    A wanted option stands where its first occurrence stood, the others follow at the end. What has the wanted value
    already keeps its spelling, so that no restart is due for it. Options that are neither wanted nor to be removed
    stay word for word, unless ``exclusive``. Of ``host``, only the TCP addresses are replaced: a local socket that is
    there stays.
    """
    words: list[str] = []
    done: set[str] = set()
    as_wanted = {name for name, items in wanted.items() if wanted_values(items) == _replaced_values(present, name)}
    for option in present:
        if is_local_host(option) and not exclusive and "host" not in remove:
            words.extend(option.words)
        elif option.name in as_wanted:
            done.add(option.name)
            words.extend(option.words)
        elif option.name in wanted:
            if option.name not in done:
                done.add(option.name)
                words.extend(wanted[option.name])
        elif option.name not in remove and not exclusive:
            words.extend(option.words)
    for name, items in wanted.items():
        if name not in done:
            words.extend(items)
    # The same socket cannot be opened twice.
    return tuple(word for n, word in enumerate(words) if not (word.startswith("--host=") and word in words[:n]))


def wanted_values(words: t.Sequence[str]) -> list[str]:
    """Return the values in words of the form ``--name=value``; ``true`` for a bare ``--name``."""
    return [word.partition("=")[2] if "=" in word else "true" for word in words]


def _replaced_values(present: t.Sequence[Option], name: str) -> list[str]:
    """Return the values of the option that a wanted one would replace: all but local sockets."""
    return values([option for option in present if not is_local_host(option)], name)


def values(options: t.Sequence[Option], name: str) -> list[str]:
    """Return all values given for the option, in order; ``true`` for a bare switch."""
    return ["true" if option.value is None else option.value for option in options if option.name == name]


def last_value(options: t.Sequence[Option], name: str) -> str | None:
    """Return the value that counts for an option that can be given once: the last one, or None."""
    found = values(options, name)
    return found[-1] if found else None


def is_on(options: t.Sequence[Option], name: str) -> bool:
    """Return whether the switch is on; what is not false counts as on, as for Go's strconv.ParseBool."""
    value = last_value(options, name)
    return value is not None and value not in ("0", "f", "F", "false", "FALSE", "False")


__all__ = (
    "ListenAddress",
    "Option",
    "Value",
    "check_options",
    "check_word",
    "file_name",
    "is_local",
    "is_local_host",
    "is_on",
    "last_value",
    "merge",
    "parse_host",
    "read_arguments",
    "values",
    "wanted_values",
)
