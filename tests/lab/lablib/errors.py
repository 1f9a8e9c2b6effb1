# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can stop the lab: every message names the subject, the cause and the remedy."""

from __future__ import annotations


class LabError(Exception):
    """Something the lab needs is missing or broken."""

    def __init__(self, subject: str, cause: str, remedy: str) -> None:
        """Build the message "SUBJECT: CAUSE. REMEDY" from its three parts."""
        super().__init__(f"{subject}: {cause}. {remedy}")


def not_root() -> LabError:
    """Return the error for a caller that may not mount, make bridges or boot machines."""
    return LabError("lab", "must run as root, because it mounts file systems and boots machines", "Run it with sudo")


def program_missing(program: str, package: str) -> LabError:
    """Return the error for a command that is not installed."""
    return LabError(program, "is not installed, and the lab needs it", f"Install it: apt-get install {package}")


def no_mirror(seen: list[str]) -> LabError:
    """Return the error for a machine whose apt knows no Debian mirror."""
    known = f"apt only knows the suites {', '.join(seen)}" if seen else "apt has no package source"
    return LabError(
        "/etc/apt",
        f"{known}, so there is no Debian mirror to make root file systems from",
        "Add one to /etc/apt/sources.list, such as: deb http://deb.debian.org/debian bookworm main",
    )


def build_failed(suite: str, mirror: str, tail: str) -> LabError:
    """Return the error for a root file system that mmdebstrap could not make."""
    return LabError(
        f"suite {suite}",
        f"mmdebstrap could not make its root file system from {mirror}: {tail}",
        "Check that the mirror can be reached and carries the suite, then run the command again",
    )


def boot_failed(name: str, cause: str, tail: str) -> LabError:
    """Return the error for a host that did not get ready; tail holds the console's last lines."""
    cause = f"{cause}. Its console ended with: {tail or '(nothing)'}"
    return LabError(f"host {name}", cause, "It was taken down again; boot it once more with lab up")


def unknown_host(name: str, known: list[str]) -> LabError:
    """Return the error for a name that is neither in hosts.toml nor running."""
    return LabError(
        f"host {name}",
        f"is not in the list (which has {', '.join(known)})",
        f"Give its suite and variant: lab up {name}=bookworm/docker-io",
    )


def unknown_suite(name: str, known: list[str]) -> LabError:
    """Return the error for a suite the lab does not know."""
    return LabError(f"suite {name}", "is none of the lab's", f"Name one of {', '.join(known)}")


def not_running(name: str) -> LabError:
    """Return the error for a command that needs a running host."""
    return LabError(f"host {name}", "is not running", f"Boot it: lab up {name}")


NAME_RULE = "1 to 30 lower case letters, digits and dashes"


def bad_name(text: str) -> LabError:
    """Return the error for a word that cannot name a host."""
    return LabError(f"host {text!r}", "is no name a host of the lab can have", f"Names are {NAME_RULE}")


def bad_host(text: str, suites: list[str], variants: list[str]) -> LabError:
    """Return the error for a host whose name, suite or variant is no good."""
    return LabError(
        text,
        "is no host the lab can boot",
        f"Write NAME=SUITE/VARIANT: a name of {NAME_RULE}, "
        f"a suite of {', '.join(suites)}, a variant of {', '.join(variants)}",
    )


def other_kind(name: str, runs: str, wanted: str) -> LabError:
    """Return the error for a host that runs already, as something else."""
    return LabError(f"host {name}", f"runs as {runs}, not as {wanted}", f"Take it down first: lab down {name}")


def still_alive(name: str, pids: list[int]) -> LabError:
    """Return the error for processes of a host that outlive SIGKILL."""
    return LabError(f"host {name}", f"processes {pids} do not end", "Look at them with ps, then run lab down again")


def command_failed(command: list[str], output: str) -> LabError:
    """Return the error for a helper command that failed."""
    return LabError(" ".join(command), f"failed: {output.strip() or 'without a word'}", "Run lab down, then lab up")


def bad_number(text: str) -> LabError:
    """Return the error for a number that moves the lab to no subnet."""
    return LabError("DOCKERFLEET_LAB", f"is {text!r}", "Set it to a number from 1 to 254, or not at all")


def no_address_left() -> LabError:
    """Return the error for a lab that has used its whole subnet."""
    return LabError("lab", "has no address left in its subnet", "Take down some hosts: lab down NAME")
