# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Options that several modules share: the clients of a CA, and the types of keys. Needs no library."""

from __future__ import annotations

import typing as t

KEY_TYPES = ("ecdsa_p256", "ecdsa_p384", "ed25519", "rsa_2048", "rsa_3072", "rsa_4096")

CLIENTS: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "name": {"type": "str", "required": True},
        "days": {"type": "int"},
        "hours": {"type": "int"},
        "key_type": {"type": "str", "choices": list(KEY_TYPES)},
        "subject": {"type": "dict"},
        # No path: that of a client with a host is on that machine, and ~ means a home there.
        "directory": {"type": "str"},
        "host": {"type": "str"},
        "owner": {"type": "str"},
        "group": {"type": "str"},
        "context": {"type": "raw"},
    },
    "mutually_exclusive": [["days", "hours"]],
}

__all__ = ("CLIENTS", "KEY_TYPES")
