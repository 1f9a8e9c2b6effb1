# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""What it means when an answer is not what was asked for. Only loaded when that is so."""

from __future__ import annotations

import json
import re

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import Answer, Engine
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.error_kinds import (
    AnswerError,
    BrokenAnswerError,
    EngineError,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import (
    bad_api_version,
    bad_status,
    not_an_engine,
    one_line,
    sample,
    wants_tls,
)


def no_api_version(address: str) -> BrokenAnswerError:
    """Return the error for an answer to the first request that does not say which API is spoken."""
    return not_an_engine(address, "GET /_ping", "the answer has no header Api-Version, so this is no Docker engine")


def no_json(answer: Answer, broken: ValueError | None) -> BrokenAnswerError:
    """Return the error for an answer that is not JSON, or that is said to be and is broken."""
    if broken:
        detail = f"the answer is broken JSON ({broken})"
    else:
        kind = answer.headers.get("content-type") or "nothing that names its type"
        detail = f"the answer is {kind} instead of JSON"
    return not_an_engine(answer.address, answer.endpoint, detail + sample(answer.text))


def refusal(engine: Engine, answer: Answer) -> EngineError:
    """Return the error for an answer whose status is not accepted."""
    if 300 <= answer.status < 400 and "location" in answer.headers:
        detail = f"the answer is a redirect to {answer.headers['location'][:200]}, which no engine gives here"
        return not_an_engine(answer.address, answer.endpoint, detail)
    if answer.status == 400 and b"HTTP request to an HTTPS server" in answer.body:
        return wants_tls(answer.address)
    message = engine_message(answer)
    if answer.status == 400 and re.search(r"client version \S+ is too (old|new)", message):
        return _version_refusal(engine, answer.endpoint, message)
    return bad_status(answer.address, answer.endpoint, answer.status, message)


def _version_refusal(engine: Engine, endpoint: str, message: str) -> AnswerError:
    """Return the error for an API version that the engine does not speak, with the range that it does."""
    versions = engine.request("GET", "/version", versioned=False).json()
    lowest, highest = versions.get("MinAPIVersion", "?"), versions.get("ApiVersion", "?")
    return bad_api_version(engine.connection.address, endpoint, message, lowest, highest)


def engine_message(answer: Answer) -> str:
    """Return the engine's own words for an error, else what the answer holds, on one line."""
    if answer.is_json:
        try:
            content = json.loads(answer.body)
        except ValueError:
            content = None
        if isinstance(content, dict) and isinstance(content.get("message"), str):
            return str(content["message"]).strip().rstrip(".")
    return one_line(answer.text)


__all__ = ("engine_message", "no_api_version", "no_json", "refusal")
