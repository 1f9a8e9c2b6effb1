# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that is killed between two operations on files."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any


def killed(change: Callable[[], Any], at: int) -> bool:
    """Make the change in a process that is killed before its file operation of this number; return whether it was."""
    child = os.fork()
    if child == 0:
        done = 0

        def counting(operation: Callable[..., Any]) -> Callable[..., Any]:
            def count(*arguments: Any, **more: Any) -> Any:
                nonlocal done
                if done == at:
                    os._exit(9)
                done += 1
                return operation(*arguments, **more)

            return count

        # Each write ends with a rename, and each removal is an unlink.
        for name in ("replace", "unlink", "mkdir", "rmdir"):
            setattr(os, name, counting(getattr(os, name)))
        try:
            change()
        except BaseException:  # a test that fails in here must not go on as a second one
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code == 9
