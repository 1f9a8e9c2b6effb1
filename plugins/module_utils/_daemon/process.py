# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""What the kernel says of running processes and of the ports that they hold (proc(5))."""

from __future__ import annotations

import glob
import itertools
import os
import socket
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import ListenAddress

_LISTEN = "0A"
_UNSPECIFIED = (b"\0" * 4, b"\0" * 16)
_MAPPED = b"\0" * 10 + b"\xff\xff"


@dataclass(frozen=True)
class Process:
    """A running process: its argument list, and when it started (nanoseconds since 1970, to within 10 ms)."""

    pid: int
    argv: tuple[str, ...]
    started_ns: int


def read_process(pid: int) -> Process | None:
    """Return the process, or None when there is none with this number."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            arguments = stream.read().split(b"\0")[:-1]
        with open(f"/proc/{pid}/stat", "rb") as stream:
            ticks = int(stream.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None
    # Counted from boot: a clock that was set since then moves both sides of a comparison with a file's time.
    since_boot = ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    booted = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return Process(pid, tuple(item.decode("utf-8", "surrogateescape") for item in arguments), booted + since_boot)


def check_addresses(addresses: t.Sequence[ListenAddress], pid: int) -> None:
    """Raise DaemonError when an address is not this host's, or its port is held by another process than ``pid``."""
    if not addresses:
        return
    listening = _listening()
    planned: list[tuple[ListenAddress, bytes]] = []
    for address in addresses:
        for family, packed in _resolve(address):
            _check_on_host(address, family, packed)
            _check_overlap(address, packed, planned)
            planned.append((address, packed))
            inodes = [inode for port, held, inode in listening if port == address.port and _is_same(packed, held)]
            holder = _holder(inodes, pid)
            if holder:
                raise errors.port_taken(address=f"tcp://{_text(address)}", holder=holder)


def _check_overlap(address: ListenAddress, packed: bytes, planned: t.Sequence[tuple[ListenAddress, bytes]]) -> None:
    """Raise DaemonError when the daemon itself listens on the IP address already, by another of its addresses."""
    for other, taken in planned:
        if other is not address and other.port == address.port and _is_same(packed, taken):
            raise errors.addresses_overlap(address=f"tcp://{_text(address)}", other=f"tcp://{_text(other)}")


def _is_same(packed: bytes, other: bytes) -> bool:
    """Return whether no two sockets can listen on these packed IP addresses with the same port.

    A wildcard takes both families: Go listens on ``[::]`` for ``0.0.0.0`` too, if the host has IPv6 (package net).
    """
    return packed == other or packed in _UNSPECIFIED or other in _UNSPECIFIED


def check_held(addresses: t.Sequence[ListenAddress], held: t.Sequence[ListenAddress], holder: str) -> None:
    """Raise DaemonError when an address is one of those that systemd holds for the daemon, by the unit ``holder``."""
    for address in addresses:
        for other in held:
            pairs = itertools.product(_resolve(address), _resolve(other))
            if other.port == address.port and any(_is_same(one[1], two[1]) for one, two in pairs):
                raise errors.held_by_socket(
                    socket=holder, other=f"tcp://{_text(other)}", address=f"tcp://{_text(address)}"
                )


def _text(address: ListenAddress) -> str:
    """Return the address as it stands in a URL."""
    return f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"


def _resolve(address: ListenAddress) -> list[tuple[socket.AddressFamily, bytes]]:
    """Return family and packed IP addresses for the host of the address. Raises DaemonError when there are none."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise errors.address_unknown(address=f"tcp://{_text(address)}", why=str(exc)) from exc
    packed = [_plain(socket.inet_pton(entry[0], str(entry[4][0]).partition("%")[0])) for entry in found]
    return [(socket.AF_INET if len(one) == 4 else socket.AF_INET6, one) for one in packed]


def _plain(packed: bytes) -> bytes:
    """Return the packed IP address, of an IPv4-mapped IPv6 one (RFC 4291, 2.5.5.2) the IPv4 address.

    For Go and the kernel ``::ffff:10.0.0.5`` and ``10.0.0.5`` are the same address to listen on.
    """
    return packed[12:] if len(packed) == 16 and packed.startswith(_MAPPED) else packed


def _check_on_host(address: ListenAddress, family: socket.AddressFamily, packed: bytes) -> None:
    """Raise DaemonError unless a socket can be bound to the IP address (to a free port, for a moment)."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((socket.inet_ntop(family, packed), 0))
    except OSError as exc:
        raise errors.address_absent(address=f"tcp://{_text(address)}", why=exc.strerror or str(exc)) from exc


def _listening() -> list[tuple[int, bytes, str]]:
    """Return (port, packed IP address, inode of the socket) of each listening TCP socket."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as stream:
                rows = [row.split() for row in stream.read().splitlines()[1:]]
        except OSError:
            continue
        for row in rows:
            host, separator, port = row[1].partition(":")
            if row[3] == _LISTEN:
                found.append((int(port, 16), _packed(host), row[9]))
    return found


def _packed(text: str) -> bytes:
    """Return the packed IP address that the kernel prints as 32-bit words in the machine's byte order."""
    words = [bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8)]
    return _plain(b"".join(words))


def _holder(inodes: t.Sequence[str], allowed: int) -> str:
    """Return name and number of a process that holds one of the sockets; nothing when it is the allowed one's too."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    holders: dict[str, set[int]] = {inode: set() for inode in wanted}
    for link in glob.iglob("/proc/[0-9]*/fd/*") if wanted else ():
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target in wanted:
            holders[target].add(int(link.split("/")[2]))
    others = [pids for pids in holders.values() if pids and allowed not in pids]
    return _process_name(min(others[0])) if others else ""


def _process_name(pid: int) -> str:
    """Return a process's name and number for a message."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as stream:
            return f"{stream.read().strip()} (process {pid})"
    except OSError:
        return f"process {pid}"


__all__ = ("Process", "check_addresses", "check_held", "read_process")
