# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The one family of errors that the cores raise and that the modules turn into messages."""

from __future__ import annotations


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


__all__ = ("RemoteApiError",)
