# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""What it means when HTTP fails: the errors of :mod:`local_http`, of http.client, and of those that wrap them."""

from __future__ import annotations

import http.client
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.error_kinds import EngineError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import (
    cut_off,
    not_an_engine,
    one_line,
    sample,
    wants_tls,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.local_http import (
    NotHttpError,
    TooLargeError,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.sockets import Watch


def explain_http(exc: BaseException, watch: Watch, endpoint: str) -> EngineError:
    """Return in plain words what an error of HTTP means; ``endpoint`` is method and path of the request."""
    address, causes = watch.connection.address, list(_causes(exc))
    for cause in causes:
        if isinstance(cause, (TooLargeError, http.client.LineTooLong)) or "more than 100 headers" in str(cause):
            return not_an_engine(address, endpoint, "the headers of the answer are too large")
        if isinstance(cause, http.client.RemoteDisconnected):
            return cut_off(address, watch.phase, "without any answer", reached=watch.reached)
        if isinstance(cause, (NotHttpError, http.client.BadStatusLine)):
            line = str(cause)
            if line.startswith("\x15\x03"):  # a TLS alert (RFC 8446, 5.1)
                return wants_tls(address)
            return not_an_engine(address, endpoint, f"the answer is not HTTP{sample(line)}")
    return cut_off(address, watch.phase, one_line(str(causes[-1])), reached=watch.reached)


def _causes(exc: BaseException) -> t.Iterator[BaseException]:
    """Yield an exception and all those that it wraps, outermost first."""
    seen = [exc]
    for current in seen:
        yield current
        inner = [*current.args, getattr(current, "reason", None), current.__cause__, current.__context__]
        seen.extend(one for one in inner if isinstance(one, BaseException) and one not in seen)


__all__ = ("explain_http",)
