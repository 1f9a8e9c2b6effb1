# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""What the host of an address means: this machine alone, every address of a machine, or any other one."""

from __future__ import annotations

import ipaddress
import socket
import typing as t

_IpAddress = t.Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


def is_loopback(host: str) -> bool:
    """Return whether the name or IP address (without brackets) leads to the machine itself."""
    address = _ip_address(host)
    return host.rstrip(".").lower() == "localhost" if address is None else address.is_loopback


def is_unspecified(host: str) -> bool:
    """Return whether the IP address (without brackets) stands for every address of a machine: 0.0.0.0 or ``::``."""
    address = _ip_address(host)
    return address is not None and address.is_unspecified


def _ip_address(host: str) -> _IpAddress | None:
    """Return the IP address, of an IPv4-mapped one (RFC 4291, 2.5.5.2) the IPv4 address; None for a name.

    An IPv4 address may have fewer parts, as in 127.1, since the resolver takes such a one, too (inet_aton(3)).
    """
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, ValueError):
            return None
    return (found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None) or found


__all__ = ("is_loopback", "is_unspecified")
