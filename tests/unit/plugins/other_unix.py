# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making this process look like one on macOS or a BSD: without /proc, and without what Python has on Linux alone.

The file imports nothing of the project, so that it can be a sitecustomize.py, which each Python runs first.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import sys
from typing import Any, Protocol

# By the documentation of Python, and what macOS and FreeBSD do not have of it. memfd_create is FreeBSD's as well.
MISSING: dict[str, tuple[str, ...]] = {
    "os": (
        *("getxattr", "setxattr", "listxattr", "removexattr", "pidfd_open", "eventfd", "splice", "copy_file_range"),
        *("unshare", "setns", "timerfd_create", "getrandom", "sched_setaffinity"),
        *("O_TMPFILE", "O_PATH", "O_DIRECT", "O_NOATIME", "O_LARGEFILE", "O_RSYNC", "MFD_CLOEXEC"),
    ),
    "socket": (
        *("SOCK_CLOEXEC", "SOCK_NONBLOCK", "SO_PEERCRED", "SO_BINDTODEVICE", "MSG_NOSIGNAL", "AF_NETLINK", "AF_VSOCK"),
        *("TCP_USER_TIMEOUT", "TCP_QUICKACK", "TCP_CORK", "TCP_DEFER_ACCEPT"),
    ),
    "fcntl": ("F_OFD_SETLK", "F_OFD_SETLKW", "F_ADD_SEALS", "F_GET_SEALS", "F_SETPIPE_SZ", "F_NOTIFY"),
    "signal": ("pidfd_send_signal", "SIGPWR", "SIGSTKFLT"),
    "select": ("epoll",),
    "time": ("CLOCK_BOOTTIME",),
}


class Patcher(Protocol):
    """What pytest.MonkeyPatch can do, as far as it is needed."""

    def setattr(self, target: Any, name: str, value: Any) -> None:
        """Give an object another attribute."""

    def delattr(self, target: Any, name: str, raising: bool) -> None:
        """Take an attribute away."""


class Lasting:
    """A patcher that takes nothing back."""

    def setattr(self, target: Any, name: str, value: Any) -> None:
        """Give an object another attribute."""
        setattr(target, name, value)

    def delattr(self, target: Any, name: str, raising: bool) -> None:
        """Take an attribute away, if it is there."""
        if raising or hasattr(target, name):
            delattr(target, name)


def become(patcher: Patcher) -> None:
    """Take away what Linux alone has."""
    for module, names in MISSING.items():
        __import__(module)
        for name in names:
            patcher.delattr(sys.modules[module], name, raising=False)
    for target, name in ((os, "stat"), (os, "lstat"), (os, "open"), (os, "listdir"), (os, "scandir"), (os, "readlink")):
        patcher.setattr(target, name, _without_proc(getattr(target, name)))
    patcher.setattr(ssl.SSLContext, "load_cert_chain", _method_without_proc(ssl.SSLContext.load_cert_chain))
    patcher.setattr(socket.socket, "setsockopt", _refused_when_closed(socket.socket.setsockopt))


def _refuse(path: Any) -> None:
    """Raise FileNotFoundError for a path below /proc."""
    if isinstance(path, str) and path.split("/")[:2] == ["", "proc"]:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _without_proc(function: Any) -> Any:
    """Return a function of paths as it is where there is no /proc."""

    def called(*args: Any, **keywords: Any) -> Any:
        _refuse(args[0] if args else None)
        return function(*args, **keywords)

    return called


def _method_without_proc(method: Any) -> Any:
    """Return a method of paths as it is where there is no /proc."""

    def called(this: Any, path: Any, *args: Any, **keywords: Any) -> Any:
        _refuse(path)
        return method(this, path, *args, **keywords)

    return called


def _refused_when_closed(method: Any) -> Any:
    """Return socket.setsockopt() as it is on macOS for a connection that the peer has closed: each may be one."""

    def called(this: Any, level: int, *args: Any) -> Any:
        if level == socket.IPPROTO_TCP:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return method(this, level, *args)

    return called


__all__ = ("MISSING", "Lasting", "become")
