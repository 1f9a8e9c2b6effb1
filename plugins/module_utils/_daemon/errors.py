# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Every error text about the daemon's options, its unit and its service, in one place."""

from __future__ import annotations

import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError


class DaemonError(RemoteApiError):
    """The daemon cannot be configured as asked, or did not take its new configuration."""


def no_systemd() -> DaemonError:
    """Return the error for a host whose init is something else (sd_booted(3))."""
    return DaemonError(
        "systemd",
        "it does not run this host (there is no /run/systemd/system)",
        "The Docker service can be managed only on hosts that systemd booted: take this host out of the play.",
    )


def no_service(service: str) -> DaemonError:
    """Return the error for a host where systemd does not know the unit."""
    return DaemonError(
        service,
        "systemd knows no such unit on this host",
        "Install Docker Engine first (docker.io or docker-ce), or name the service under which it runs.",
    )


def masked_service(service: str) -> DaemonError:
    """Return the error for a unit that systemd is told not to start."""
    return DaemonError(
        service, "the unit is masked, so that it cannot be started", f"Run 'systemctl unmask {service}' and run again."
    )


def command_too_slow(argv: t.Sequence[str], timeout: float) -> DaemonError:
    """Return the error for a command that did not end within ``timeout`` seconds."""
    return DaemonError(
        " ".join(argv),
        f"it did not end within {timeout:.0f} seconds",
        "Run it by hand on the host to see what it waits for, then run again.",
    )


def command_not_run(argv: t.Sequence[str], problem: OSError) -> DaemonError:
    """Return the error for a program that the operating system would not start."""
    return DaemonError(
        argv[0], f"it cannot be run ({problem.strerror})", "Install it, or run as root, for example with 'become: true'."
    )
