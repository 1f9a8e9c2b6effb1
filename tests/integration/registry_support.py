# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian's docker-registry, and passwords as it wants them."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

from ansible_collections.dockerfleet.remote_api.tests.integration.support import run


def registry_program() -> Path:
    """Return Debian's docker-registry as this machine's own apt has it; a host of the lab reaches no mirror.

    The package would start a registry on this machine, so it is only unpacked, into the cache.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "dockerfleet-remote-api/registry"
    cache.mkdir(parents=True, exist_ok=True)
    found = cache / "root/usr/bin/docker-registry"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes run tests
        if not found.exists():
            # Moved there as a whole, so that what a killed run has unpacked is never taken for the program.
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                run("apt-get", "-o", "APT::Sandbox::User=root", "-qq", "download", "docker-registry", cwd=Path(folder))
                (package,) = Path(folder).glob("*.deb")
                run("dpkg-deb", "-x", package, Path(folder, "root"))
                Path(folder, "root").rename(cache / "root")
    return found


def hashed(password: str) -> str:
    """Return the bcrypt hash of a password, as in a file of htpasswd's; the registry takes no other."""
    return run("perl", "-e", f'print crypt("{password}", q($2b$05$abcdefghijklmnopqrstuu))').stdout


__all__ = ("hashed", "registry_program")
