# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every error text names a subject, a cause and a remedy, on one line."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.error_kinds import EngineError

SAMPLES = {
    "str": "sample",
    "int": 7,
    "float": 1.5,
    "bool": True,
    "t.Sequence[tuple[str, str, str]]": [("a", "b", "Do c.")],
}
HELPERS = {"one_line", "sample"}
FACTORIES = {
    name: getattr(errors, name) for name in set(errors.__all__) - HELPERS if not inspect.isclass(getattr(errors, name))
}


@pytest.mark.parametrize("factory", [FACTORIES[name] for name in sorted(FACTORIES)], ids=sorted(FACTORIES))
def test_error_text(factory: Callable[..., EngineError]) -> None:
    arguments: dict[str, Any] = {
        name: "Do this sample." if name == "remedy" else SAMPLES[parameter.annotation]
        for name, parameter in inspect.signature(factory).parameters.items()
    }
    error = factory(**arguments)
    assert isinstance(error, EngineError)
    assert error.subject
    assert not error.subject.endswith((".", ":"))
    assert error.cause
    assert not error.cause.endswith(".")
    assert re.match(r"[A-Z].*\.$", error.remedy)
    text = str(error)
    assert text == f"{error.subject}: {error.cause}. {error.remedy}"
    assert "\n" not in text
    for name, parameter in inspect.signature(factory).parameters.items():
        if parameter.annotation == "str" and name not in ("address", "endpoint"):
            assert "sample" in text


def test_all_errors_of_the_package_are_listed() -> None:
    made = {
        name
        for name, value in vars(errors).items()
        if inspect.isfunction(value) and value.__module__ == errors.__name__ and not name.startswith("_")
    }
    assert made == set(FACTORIES) | HELPERS
