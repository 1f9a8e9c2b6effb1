# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Python without the library cryptography, or with an old one, is told from everything else that can go wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import errors, library

WITHOUT = """
import sys
sys.modules["cryptography"] = None
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import (
    argspec, certificates, deployment, errors, facts, inspection, keys, library, names, profiles, signing_request,
    store,
)
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority
try:
    library.require("/usr/bin/python3")
except errors.MissingLibraryError as problem:
    print(problem)
"""


def test_everything_can_be_imported_without_the_library() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("/usr/bin/python3: this Python cannot use the library cryptography, 3.3 or newer (")
    assert "Install the package python3-cryptography" in done.stdout


@pytest.mark.parametrize("version", ["2.8", "3.2.1"])
def test_an_old_library_is_refused(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(library, "FOUND", version)
    with pytest.raises(errors.MissingLibraryError, match=version):
        library.require(sys.executable)


@pytest.mark.parametrize("version", ["3.3", "3.3.2", "3.4.8", "38.0.4", "100.0.0.dev1"])
def test_a_newer_library_is_taken(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(library, "FOUND", version)
    library.require(sys.executable)
