# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The guard: a second process that finishes or undoes a change if the first one is killed in the middle of it."""

from __future__ import annotations

import contextlib
import os
import socket
import syslog
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError

_READY = b"ready"
_DONE = b"done"


@contextlib.contextmanager
def guarded(rescue: t.Callable[[], None]) -> t.Iterator[None]:
    """Start a guard process that calls ``rescue`` if this process does not leave the block in a normal way.

    Leaving the block by its end or with RemoteApiError is normal: the block has then cleaned up after itself.
    ``rescue`` raises RemoteApiError with what there is to tell. That, like any other error of the guard's, goes to the
    system's log, since nobody else is left to listen. Whatever locks this process holds (flock(2)) stay held until the
    rescue is over.
    Raises DaemonError when the process cannot be started; nothing in the block was done then.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            try:
                child = os.fork()
            except OSError as exc:
                raise errors.no_guard(why=exc.strerror or str(exc)) from exc
            if not child:
                ours.close()
                _stand_guard(theirs, rescue)
        try:
            if ours.recv(len(_READY)) != _READY:
                raise errors.no_guard(why="it ended at once")
            yield
        except RemoteApiError:
            _dismiss(ours)
            raise
        else:
            _dismiss(ours)
        finally:
            ours.close()
            with contextlib.suppress(ChildProcessError):  # where the caller of the module had SIGCHLD ignored
                os.waitpid(child, 0)


def _dismiss(guard: socket.socket) -> None:
    """Tell the guard that it is not needed, if it is still there."""
    with contextlib.suppress(BrokenPipeError):
        guard.send(_DONE)


def _stand_guard(guarded_process: socket.socket, rescue: t.Callable[[], None]) -> t.NoReturn:
    """Wait until the guarded process says that it is done or dies, which closes the connection; never returns.

    The guard leaves the session, so that what ends the connection to the host does not end it, and lets go of the
    standard streams, so that nobody waits for more to come out of them.
    """
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        guarded_process.send(_READY)
        if guarded_process.recv(len(_DONE)) != _DONE:
            rescue()
    except Exception as exc:
        syslog.syslog(syslog.LOG_ERR, f"{type(exc).__name__}: {exc}")
    finally:
        os._exit(0)  # never back into the code of the guarded process


__all__ = ("guarded",)
