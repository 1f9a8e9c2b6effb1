# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Run a module: open the engine or the registry, do the module's work, end with its result or its failure."""

from __future__ import annotations

import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import Engine
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import (
    ClientEnvironment,
    resolve,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import AnswerError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError

if t.TYPE_CHECKING:
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.registry_client import Registry

# Only types are checked against the registry's client: it imports requests, which takes a third of a task's time.
_Peer = t.TypeVar("_Peer", Engine, "Registry")


class Module(t.Protocol):
    """The part of AnsibleModule that is needed."""

    params: dict[str, t.Any]

    def exit_json(self, **kwargs: t.Any) -> t.NoReturn:
        """End with a result."""

    def fail_json(self, msg: str, **kwargs: t.Any) -> t.NoReturn:
        """End with a failure."""


def run_module(module: Module, work: t.Callable[[Engine], dict[str, t.Any]]) -> t.NoReturn:
    """End the module with what ``work`` returns for the engine that its parameters name.

    A RemoteApiError ends it with a failure, which tells whether the engine answered, and what.
    """
    run_with(module, "engine", lambda: Engine(resolve(module.params, ClientEnvironment.of_process())), work)


def run_with(
    module: Module, name: str, connect: t.Callable[[], _Peer], work: t.Callable[[_Peer], dict[str, t.Any]]
) -> t.NoReturn:
    """End the module with what ``work`` returns for the peer of this name that ``connect`` returns, as run_module()."""
    answered = False
    try:
        with connect() as peer:
            try:
                result = work(peer)
            finally:
                answered = peer.answered
    except AnswerError as exc:
        answer = {"status": exc.status, "endpoint": exc.endpoint, f"{name}_message": exc.message}
        module.fail_json(msg=str(exc), **{f"can_talk_to_{name}": answered}, **answer)
    except RemoteApiError as exc:
        module.fail_json(msg=str(exc), **{f"can_talk_to_{name}": answered})
    module.exit_json(**{f"can_talk_to_{name}": True}, **result)


__all__ = ("Module", "run_module", "run_with")
