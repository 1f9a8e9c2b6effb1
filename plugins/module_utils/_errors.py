# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The one family of errors that the cores raise and that the modules turn into messages."""

from __future__ import annotations

import typing as t

_Kind = t.TypeVar("_Kind", bound="RemoteApiError")


class RemoteApiError(Exception):
    """Something that the user has to know, in three parts.

    :param subject: the file (with its line, where there is one), unit, address or option that is meant.
    :param cause: what is wrong with it, without a full stop at the end.
    :param remedy: what to do about it, one or more full sentences.
    """

    def __init__(self, subject: str, cause: str, remedy: str) -> None:
        super().__init__(subject, cause, remedy)
        self.subject = subject
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        """Return the whole message on one line: ``SUBJECT: CAUSE. REMEDY``."""
        return f"{self.subject}: {self.cause.rstrip('.')}. {self.remedy}"

    @classmethod
    def text(cls: type[_Kind], subject: str, cause: str, remedy: str) -> t.Callable[..., _Kind]:
        """Return a function that makes an error of this kind from the three texts.

        The texts are format strings (str.format()); the function takes their fields as keyword arguments. Each package
        keeps its texts in its ``errors.py``, one name for each, so that they can be read in one place.
        """

        def make(**fields: object) -> _Kind:
            return cls(*(part.format(**fields) for part in (subject, cause, remedy)))

        return make


__all__ = ("RemoteApiError",)
