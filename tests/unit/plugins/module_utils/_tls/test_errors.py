# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every error text of the certificates and of the authority names what is meant, why, and what to do."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import errors
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority_errors

FACTORIES = [
    value
    for module in (errors, _authority_errors)
    for value in vars(module).values()
    if inspect.isfunction(value) and value.__module__ == module.__name__
]


def test_all_are_found() -> None:
    assert len(FACTORIES) > 30


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda one: one.__name__)
def test_an_error_has_a_subject_a_cause_and_a_remedy(factory: Callable[..., RemoteApiError]) -> None:
    arguments = {name: f"<{name}>" for name in inspect.signature(factory).parameters}
    error = factory(**arguments)
    assert error.subject
    assert error.cause
    assert not error.cause.endswith(".")
    assert error.remedy.endswith((".", "name."))
    assert str(error) == f"{error.subject}: {error.cause}. {error.remedy}"
    assert "\n" not in str(error)
    for argument in arguments.values():
        assert argument in str(error)
