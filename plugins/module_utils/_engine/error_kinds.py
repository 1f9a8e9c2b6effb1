# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The kinds of errors of the connection to an engine. Their texts are in :mod:`errors`.

Whatever needs no text imports the kinds from here, and the texts where it raises: most tasks go well, and a host
compiles in each task anew what a module loads, for which the texts take longer than any other file.

``reached`` of an error says whether an engine (or what stands in its place) answered at all, which is what
C(can_talk_to_engine) of the modules returns.
"""

from __future__ import annotations

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError


class EngineError(RemoteApiError):
    """Something went wrong on the way to an engine, or at the engine.

    :param reached: whether something answered over HTTP.
    """

    def __init__(self, subject: str, cause: str, remedy: str, *, reached: bool = False) -> None:
        super().__init__(subject, cause, remedy)
        self.reached = reached


class OptionError(EngineError):
    """An option, a variable of the environment or a file that one of them names cannot be used."""


class UnreachableError(EngineError):
    """Nothing could be connected to."""


class TimedOutError(EngineError):
    """The time given by the option O(timeout) is over.

    :param phase: what was being done.
    """

    def __init__(self, subject: str, cause: str, remedy: str, *, phase: str, reached: bool) -> None:
        super().__init__(subject, cause, remedy, reached=reached)
        self.phase = phase


class TlsError(EngineError):
    """The two sides do not agree on TLS."""


class PlainHttpError(TlsError):
    """TLS was spoken to a port that speaks plain HTTP."""


class BrokenAnswerError(EngineError):
    """Something answered, but not as an engine does."""


class AnswerError(EngineError):
    """The engine answered with a status that was not asked for.

    :param status: the HTTP status.
    :param endpoint: method and path of the request.
    :param message: the engine's own words, empty when it gave none.
    """

    def __init__(
        self, subject: str, cause: str, remedy: str, *, status: int, endpoint: str, message: str, reached: bool = True
    ) -> None:
        super().__init__(subject, cause, remedy, reached=reached)
        self.status = status
        self.endpoint = endpoint
        self.message = message


class MissingLibraryError(EngineError):
    """The Python that runs this has no C(requests)."""


__all__ = (
    "AnswerError",
    "BrokenAnswerError",
    "EngineError",
    "MissingLibraryError",
    "OptionError",
    "PlainHttpError",
    "TimedOutError",
    "TlsError",
    "UnreachableError",
)
