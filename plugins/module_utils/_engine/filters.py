# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Filters, as people write them and as the engine reads them."""

from __future__ import annotations

import typing as t


def as_filters(filters: t.Mapping[str, t.Any] | None) -> dict[str, list[str]] | None:
    """Return filters as the engine reads them: each value a list of texts. None stays None.

    C({"status": "running", "label": ["a=b"], "dangling": True}) becomes
    C({"status": ["running"], "label": ["a=b"], "dangling": ["true"]}).
    """
    if not filters:
        return None
    return {
        name: [_text(value) for value in (values if isinstance(values, (list, tuple)) else [values])]
        for name, values in filters.items()
    }


def _text(value: object) -> str:
    """Return one value as text; booleans in lower case, as in Go."""
    return str(value).lower() if isinstance(value, bool) else str(value)


__all__ = ("as_filters",)
