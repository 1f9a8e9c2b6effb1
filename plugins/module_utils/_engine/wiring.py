# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""What every module of the Engine API does around its own work."""

from __future__ import annotations

import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import Engine
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.error_kinds import AnswerError, EngineError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.options import Surroundings, resolve
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError


class Module(t.Protocol):
    """What is needed of an AnsibleModule."""

    params: dict[str, t.Any]

    def exit_json(self, **kwargs: t.Any) -> t.NoReturn:
        """End with a result."""

    def fail_json(self, msg: str, **kwargs: t.Any) -> t.NoReturn:
        """End with a failure."""


def failure(exc: RemoteApiError) -> dict[str, t.Any]:
    """Return what a failed module returns: the message, whether the engine was reached, its answer if it gave one."""
    result: dict[str, t.Any] = {"msg": str(exc)}
    if isinstance(exc, EngineError):
        result["can_talk_to_engine"] = exc.reached
    if isinstance(exc, AnswerError):
        result.update(status=exc.status, endpoint=exc.endpoint, engine_message=exc.message)
    return result


def run(module: Module, work: t.Callable[[Engine], dict[str, t.Any]]) -> t.NoReturn:
    """Do a module's work with the engine that its parameters mean, and end the module with what it returns.

    An EngineError ends it with a failure.
    """
    try:
        with Engine(resolve(module.params, Surroundings.of_process())) as engine:
            result = work(engine)
    except RemoteApiError as exc:
        module.fail_json(**failure(exc))
    module.exit_json(can_talk_to_engine=True, **result)


__all__ = ("Module", "failure", "run")
