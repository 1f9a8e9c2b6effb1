# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every error of the room says what is meant, what is wrong and what to do; all of them are made here."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError

FACTORIES = [
    item
    for name, item in vars(errors).items()
    if inspect.isfunction(item) and item.__module__ == errors.__name__ and not name.startswith("_")
]
PROBLEM = errors.masked_service("docker.service")
ARGUMENTS: dict[str, Any] = {
    "str": "VALUE",
    "int": 7,
    "float": 30.0,
    "bool": True,
    "object": None,
    "OSError": OSError(13, "Permission denied"),
    "RemoteApiError": PROBLEM,
    "t.Sequence[str]": ["FIRST", "SECOND"],
    "t.Sequence[tuple[str, str, str]]": [("KEY", "FLAG", "FILE")],
    "t.Sequence[RemoteApiError]": [PROBLEM],
}


def made(factory: Any) -> RemoteApiError:
    """Return the error with a value of its type for each parameter."""
    parameters = inspect.signature(factory).parameters
    values = {name: ARGUMENTS[str(parameter.annotation)] for name, parameter in parameters.items()}
    error: RemoteApiError = factory(**values)
    return error


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: factory.__name__)
def test_an_error_names_subject_cause_and_remedy(factory: Any) -> None:
    error = made(factory)
    assert isinstance(error, errors.DaemonError)
    assert error.subject
    assert len(error.cause.split()) >= 3, "the cause is a sentence"
    assert not error.cause.endswith(".")
    assert len(error.remedy.split()) >= 3, "the remedy is a sentence"
    assert re.search(r"[.?]$", error.remedy), "the remedy is a whole sentence"
    assert re.match(r"[A-Z]", error.remedy)
    assert "\n" not in str(error)
    assert str(error).startswith(f"{error.subject}: ")


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: factory.__name__)
def test_what_an_error_is_told_is_in_it(factory: Any) -> None:
    parameters = inspect.signature(factory).parameters.values()
    if any(parameter.annotation == "str" for parameter in parameters):
        assert "VALUE" in str(made(factory))


def test_all_errors_are_made_there() -> None:
    assert len(FACTORIES) > 50


def test_what_was_put_back_is_said() -> None:
    undone = errors.rolled_back(PROBLEM, ["/etc/a", "/etc/b"], ["broken"], restarted=True)
    assert isinstance(undone, errors.RolledBackError)
    assert "(the daemon's journal: broken)" in undone.cause
    assert undone.remedy.endswith("Put back: /etc/a, /etc/b. The daemon was started again as before, and answers.")
    untouched = errors.rolled_back(PROBLEM, [], [], restarted=False)
    assert untouched.remedy.endswith("Every file is as it was. The daemon was not restarted.")


def test_a_daemon_that_is_down_is_said_first() -> None:
    down = errors.not_rolled_back("docker.service", PROBLEM, [PROBLEM], "/j", [], answers=False)
    assert isinstance(down, errors.NotRolledBackError)
    assert str(down).startswith("DOCKER IS DOWN ON THIS HOST: docker.service: ")
    assert "/j" in down.remedy
    up = errors.not_rolled_back("docker.service", PROBLEM, [PROBLEM], "/j", [], answers=True)
    assert str(up).startswith("NOT EVERYTHING WAS PUT BACK ON THIS HOST: ")


def test_a_close_name_is_proposed() -> None:
    assert "Did you mean tlsverify?" in str(errors.unknown_flag("tlsverfy", "dockerd", ["tls", "tlsverify"]))
    assert "Did you mean" not in str(errors.unknown_flag("zzz", "dockerd", ["tls"]))
