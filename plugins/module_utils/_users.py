# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Root's work in the directories of a user: done with the rights of that user, who could lead root anywhere else."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError

# The group of a user whom the system does not know: that of nobody, which owns nothing.
_NO_GROUP = 65534
# How many links the kernel follows in a path (path_resolution(7)).
_MOST_LINKS = 40


class UserError(RemoteApiError):
    """Files of a user cannot be worked on."""


unknown_user = UserError.text(
    "option owner", "this machine has no user {name}", "Create that user first, or name another one."
)
not_root = UserError.text(
    "option owner", "only root can write into the store of another user, here {name}", "Set become to true."
)


def _find(owner: str | int) -> pwd.struct_passwd:
    """Return the user of a name or a number. A number need not be known. Raises UserError for an unknown name."""
    try:
        return pwd.getpwnam(owner) if isinstance(owner, str) else pwd.getpwuid(owner)
    except KeyError as exc:
        if isinstance(owner, str):
            raise unknown_user(name=owner) from exc
        return pwd.struct_passwd((str(owner), "x", owner, _NO_GROUP, "", "/", ""))


@contextlib.contextmanager
def acting_as(owner: str | int | None) -> t.Iterator[None]:
    """Run the block with the rights and home directory of a user (name or number; None: the current user's).

    Root has no business in a directory of a user, who could lead it anywhere else with a link. It needs no program for
    that, which minimal systems lack (sudo). All modules have to be loaded before: root's are not for others to read.
    Raises UserError.
    """
    user = None if owner is None else _find(owner)
    if user is None or user.pw_uid == os.geteuid():
        yield
        return
    if os.geteuid() != 0:
        raise not_root(name=owner)
    groups, gid, environ = os.getgroups(), os.getegid(), dict(os.environ)
    try:
        os.initgroups(user.pw_name, user.pw_gid)
        os.setegid(user.pw_gid)
        os.seteuid(user.pw_uid)
        os.environ["HOME"] = user.pw_dir
        os.environ.pop("DOCKER_CONFIG", None)
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)
        os.environ.clear()
        os.environ.update(environ)


def may_redirect(path: str, uid: int) -> bool:
    """Return whether the user could lead root elsewhere while it works on the path. Only root can tell.

    That is so if, on the way to the file, a directory or a link belongs to anybody but root, or the user may write to
    a directory. In one such as /tmp the latter holds for entries that are not root's (the sticky bit in inode(7)).
    What lies behind a directory of root's that the user may not enter is out of the user's reach.
    """
    if uid == 0 or os.geteuid() != 0:
        return False
    with acting_as(uid):
        return any(_leads_elsewhere(one, _MOST_LINKS) for one in (os.path.abspath(path), os.path.realpath(path)))


def _leads_elsewhere(path: str, links: int) -> bool:
    """Return may_redirect() for the user that this process acts as; at most so many ``links`` are followed."""
    way = [path]
    while way[0] != os.path.dirname(way[0]):
        way.insert(0, os.path.dirname(way[0]))
    for place, entry in zip(way, [*way[1:], ""]):
        try:
            found = os.lstat(place)
        except OSError:  # it is not there, or out of reach
            return False
        if found.st_uid != 0 and (entry or stat.S_ISLNK(found.st_mode)):
            return True
        if stat.S_ISLNK(found.st_mode):
            target = os.path.join(os.path.dirname(place), os.readlink(place))
            if not links or _leads_elsewhere(os.path.abspath(os.path.join(target, ".link")), links - 1):
                return True
            continue
        kept = not entry or (found.st_mode & stat.S_ISVTX and _is_roots(entry))
        if not kept and _may_write(place, found):
            return True
    return False


def _may_write(place: str, found: os.stat_result) -> bool:
    """Return whether the user that this process acts as may write to a directory of root's; ``found`` is its state.

    Up to glibc 2.32, access(2) with effective IDs looks at the real ones in fact. With an ACL, the group's bits are the
    most that it grants to anybody (acl(5)), so that it is taken to grant them to this user.
    """
    try:
        has_acl = "system.posix_acl_access" in os.listxattr(place)
    except (AttributeError, OSError):  # a system other than Linux, or a file system without such attributes
        has_acl = False
    in_group = found.st_gid in {os.getegid(), *os.getgroups()}
    return bool(found.st_mode & (stat.S_IWOTH | (stat.S_IWGRP if in_group or has_acl else 0)))


def _is_roots(path: str) -> bool:
    """Return whether there is something at the path, and it belongs to root."""
    try:
        return os.lstat(path).st_uid == 0
    except OSError:
        return False


def change_owner(descriptor: int, uid: int | None, gid: int | None) -> None:
    """Give an open file its owner and group (None: left alone). Raises OSError.

    While root acts as a user, a group that the user is not in takes root's rights again. They are used for a file or
    directory of the user's alone, which has no second name, so that the user cannot have another one be changed.
    """
    acting = os.geteuid()
    try:
        os.fchown(descriptor, -1 if uid is None else uid, -1 if gid is None else gid)
    except PermissionError:
        found = os.fstat(descriptor)
        plain = stat.S_ISDIR(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1)
        if os.getuid() != 0 or not plain or {found.st_uid, acting if uid is None else uid} != {acting}:
            raise
        os.seteuid(0)
        try:
            os.fchown(descriptor, -1, -1 if gid is None else gid)
        finally:
            os.seteuid(acting)


__all__ = ("UserError", "acting_as", "change_owner", "may_redirect", "not_root", "unknown_user")
