# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The one place that imports the library cryptography, so that all else can be imported where it is missing.

Every caller's first step is :func:`require`; after it, the names below are what cryptography calls them.
"""

from __future__ import annotations

import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import errors

OLDEST = (3, 3)

IMPORT_ERROR = ""
FOUND = ""

try:
    import cryptography
    from cryptography import exceptions, x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

    FOUND = cryptography.__version__
except ImportError as exc:
    IMPORT_ERROR = str(exc)

    def __getattr__(name: str) -> t.Any:
        """Stand in for the missing names, so that other files can be imported and then call :func:`require`."""
        if name.startswith("_"):
            raise AttributeError(name)
        return None


def require(interpreter: str) -> None:
    """Raise MissingLibraryError unless cryptography 3.3 or newer could be imported by ``interpreter`` (a path)."""
    if not FOUND:
        raise errors.missing_library(interpreter=interpreter, cause=IMPORT_ERROR)
    if tuple(int(part) for part in FOUND.split(".")[:2]) < OLDEST:
        raise errors.old_library(interpreter=interpreter, version=FOUND)


__all__ = (
    "FOUND",
    "ExtendedKeyUsageOID",
    "ExtensionOID",
    "NameOID",
    "ec",
    "ed25519",
    "exceptions",
    "hashes",
    "padding",
    "require",
    "rsa",
    "serialization",
    "x509",
)
