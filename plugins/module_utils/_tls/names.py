# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Names for certificates: host names and IP addresses, in the one spelling that is compared and signed."""

from __future__ import annotations

import ipaddress
import re
import typing as t
import unicodedata

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import errors

# RFC 1034, section 3.5, and the underscore, which inventories use and which Go and OpenSSL accept in a certificate.
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\Z")
_LONGEST_NAME = 253
# RFC 5280, appendix A.1: ub-common-name. It counts characters, and the library cryptography the bytes of their UTF-8.
_LONGEST_COMMON_NAME = 64


def _to_ascii(name: str) -> str:
    """Return the name in lower case, with labels in other scripts as A-labels (RFC 5891).

    Python's own codec follows the older IDNA of 2003, which maps some letters to others. A name on which the two
    disagree does not survive the way back, and is refused. Raises TlsError.
    """
    if name.isascii():
        return name.lower()
    wanted = unicodedata.normalize("NFC", name).lower()
    try:
        encoded = name.encode("idna")
        same = encoded.decode("idna") == wanted
    except UnicodeError as exc:
        raise errors.bad_name(name=name, cause=f"it cannot be written in ASCII ({exc})") from exc
    if not same:
        raise errors.bad_name(name=name, cause="its ASCII form is not certain; write that form (it begins with xn--)")
    return encoded.decode("ascii").lower()


def _as_address(name: str) -> str | None:
    """Return the IP address in its shortest spelling, or None when the name is none. Raises TlsError."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    if "%" in name:
        raise errors.bad_name(name=name, cause="a certificate cannot carry the zone of an address (the part after '%')")
    return str(address)


def _fault_of_host(name: str) -> str:
    """Return why no client would accept the (lower case, ASCII) host name, or an empty string when it is fine."""
    if name.endswith("."):
        return "it ends with a dot (some engines do not start with such a certificate)"
    if len(name) > _LONGEST_NAME:
        return f"it has {len(name)} characters, and {_LONGEST_NAME} is the limit"
    labels = name.split(".")
    if labels[0] == "*":
        # RFC 9525, section 6.3; OpenSSL accepts no wildcard right below a top-level domain.
        if len(labels) < 3:
            return "a wildcard needs at least two labels after it"
        labels = labels[1:]
    if "*" in "".join(labels):
        return "a wildcard stands only for the whole first label"
    for label in labels:
        if not _LABEL.match(label):
            return f"the label {label!r} is empty, longer than 63 characters, or has a character that none may have"
    if labels[-1].isdigit():
        return "it looks like an IP address, but is none"
    return ""


def normal_name(name: str) -> str:
    """Return the name as certificates carry it: a host name in lower case and ASCII, or an IP address.

    Raises TlsError, naming what is wrong, for anything else (RFC 5280, section 4.2.1.6).
    """
    if name != name.strip() or not name:
        raise errors.bad_name(name=name, cause="it is empty, or has white space around it")
    address = _as_address(name)
    if address is not None:
        return address
    host = _to_ascii(name)
    fault = _fault_of_host(host)
    if fault:
        raise errors.bad_name(name=name, cause=fault)
    return host


def split_names(names: t.Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split names into those that a certificate can carry, in their normal spelling, and the others as they are given.

    It is for names that nobody chose for a certificate, such as an inventory's. Each name is returned once.
    """
    usable, left_out = [], []
    for name in names:
        try:
            usable.append(normal_name(name))
        except errors.TlsError:
            left_out.append(name)
    return tuple(dict.fromkeys(usable)), tuple(dict.fromkeys(left_out))


def normal_names(names: t.Iterable[str]) -> tuple[str, ...]:
    """Return the names in their normal spelling and in their order, each of them once. Raises TlsError."""
    return tuple(dict.fromkeys(normal_name(name) for name in names))


def certified_address(address: str) -> str:
    """Return an address as certificates have it: without the dot that ends an absolute name, or an IPv6 zone."""
    return address.partition("%")[0].rstrip(".")


def is_address(name: str) -> bool:
    """Return whether the normal name is an IP address and not a host name."""
    return _as_address(name) is not None


def covers(have: t.Iterable[str], name: str) -> bool:
    """Return whether one of the names that a certificate has stands for ``name``, by itself or by a wildcard."""
    wildcard = "" if is_address(name) else "*." + name.partition(".")[2]
    return any(one in (name, wildcard) for one in have)


def choose_common_name(wanted: str | None, names: t.Sequence[str]) -> str:
    """Return the common name: the one wanted, else the first of the names that is short enough. Raises TlsError."""
    if wanted is None:
        short = [name for name in names if len(name) <= _LONGEST_COMMON_NAME]
        if not short:
            raise errors.no_common_name()
        return short[0]
    if not wanted.strip():
        raise errors.bad_common_name(name=wanted, cause="it is empty")
    if not wanted.isprintable():
        raise errors.bad_common_name(name=wanted, cause="it has a character that cannot be printed")
    size = len(wanted.encode())
    if size > _LONGEST_COMMON_NAME:
        raise errors.bad_common_name(
            name=wanted, cause=f"it has {size} bytes in UTF-8, and {_LONGEST_COMMON_NAME} is the limit"
        )
    return wanted


__all__ = (
    "certified_address",
    "choose_common_name",
    "covers",
    "is_address",
    "normal_name",
    "normal_names",
    "split_names",
)
