# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Every error text about names, keys and certificates, in one place. What is passed in is public, never a secret."""

from __future__ import annotations

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError


class TlsError(RemoteApiError):
    """A name, key or certificate cannot be used as it is."""


class MissingLibraryError(TlsError):
    """The Python library cryptography is not there, or too old. Everything else is still untouched."""


def missing_library(interpreter: str, cause: str) -> MissingLibraryError:
    """Return the error for a Python without the library."""
    return MissingLibraryError(
        interpreter,
        f"this Python cannot use the library cryptography, 3.3 or newer ({cause})",
        "Install the package python3-cryptography for it.",
    )


def old_library(interpreter: str, version: str) -> MissingLibraryError:
    """Return the error for a library that is older than what the code is written for."""
    return MissingLibraryError(
        interpreter,
        f"this Python has the library cryptography {version}, and 3.3 or newer is needed",
        "Install a newer package python3-cryptography for it.",
    )


def bad_name(name: str, cause: str) -> TlsError:
    """Return the error for a name that no certificate can carry, or that no client would accept in one."""
    return TlsError(
        f"names: {name!r}",
        f"this is no name for a certificate: {cause}",
        "Give a host name such as web1.example.com or *.example.com, or an address such as 192.0.2.1 or 2001:db8::1.",
    )


def no_names() -> TlsError:
    """Return the error for a server certificate without a single name."""
    return TlsError(
        "names",
        "a server's certificate needs at least one name, for clients look at nothing else",
        "List each host name and IP address under which clients reach the server.",
    )


def bad_common_name(name: str, cause: str) -> TlsError:
    """Return the error for a common name that X.509 does not allow (RFC 5280, appendix A.1)."""
    return TlsError(
        f"common_name: {name!r}", f"this is no common name: {cause}", "Give one of 1 to 64 printable characters."
    )


def no_common_name() -> TlsError:
    """Return the error for a certificate whose subject would be empty."""
    return TlsError(
        "common_name",
        "none is given, and none of the names has at most 64 characters to take its place",
        "Set common_name, for example to the client's or the host's name.",
    )


def bad_days(option: str, value: str, cause: str) -> TlsError:
    """Return the error for a number of days out of its bounds."""
    return TlsError(f"{option}: {value}", cause, "Give a number of days that makes sense for a certificate.")


def bad_bundle(subject: str, line: str, cause: str) -> TlsError:
    """Return the error for PEM text of which a part cannot be read, and where that part begins."""
    return TlsError(
        f"{subject}, line {line}",
        cause,
        "Put the whole certificate there, from its BEGIN to its END line, or take the broken part out.",
    )


def no_certificate(subject: str) -> TlsError:
    """Return the error for PEM text without any certificate."""
    return TlsError(
        subject, "it holds no certificate", "Put a certificate in PEM form there (it begins with BEGIN CERTIFICATE)."
    )


def unreadable_certificate(subject: str, cause: str) -> TlsError:
    """Return the error for a certificate whose inside does not follow X.509."""
    return TlsError(subject, f"the certificate cannot be read: {cause}", "Have it issued again, and put that there.")


def bad_request(subject: str, cause: str) -> TlsError:
    """Return the error for a signing request that must not be signed."""
    return TlsError(
        subject, f"its signing request cannot be accepted: {cause}", "Look at what runs on that host, then run again."
    )


def unusable_authority(subject: str, cause: str) -> TlsError:
    """Return the error for a certificate that cannot serve as that of an authority."""
    return TlsError(
        subject,
        f"this is no certificate of a usable authority: {cause}",
        "Give the certificate of an authority that may sign certificates for servers and clients.",
    )


def wrong_clock(now: str, bound: str) -> TlsError:
    """Return the error for a machine whose clock does not fit the authority's dates."""
    return TlsError(
        "clock",
        f"this machine's clock says {now}, and its authority is valid {bound}",
        "Set the clock of this machine, or make a new authority if the clock is right.",
    )


def foreign_certificate(subject: str) -> TlsError:
    """Return the error for a certificate whose key is not on this machine."""
    return TlsError(
        subject,
        "it fits neither the private key on this machine nor the one that waits for its certificate",
        "Run the module without O(certificate), have the signing request that it returns signed, and give that result.",
    )


def unfit_certificate(subject: str, cause: str) -> TlsError:
    """Return the error for a certificate that was offered and cannot do its work. Nothing was changed."""
    return TlsError(
        subject,
        f"it is not installed, for {cause}",
        "Have the signing request signed again with the right names, usage and dates, and give that result.",
    )


def no_authority_given(path: str) -> TlsError:
    """Return the error for a certificate that nothing can be checked against."""
    return TlsError(
        "ca_certificate",
        f"it is not given, and there is no {path} either, so that the certificate cannot be checked",
        "Set ca_certificate to the certificate (PEM) of the authority that issued the certificate.",
    )


def bad_place(path: str, cause: str) -> TlsError:
    """Return the error for a place where no key or certificate can be kept."""
    return TlsError(path, cause, "Move what is there out of the way, or name another place.")


def unknown_owner(option: str, name: str) -> TlsError:
    """Return the error for a user or group that this machine does not know."""
    return TlsError(
        f"{option}: {name}", "this machine knows none of that name", "Create it first, or name another one."
    )


def bad_swap(path: str, cause: str) -> TlsError:
    """Return the error for new files that could not be put in place. The old ones are back."""
    return TlsError(
        path,
        f"it cannot be replaced ({cause}); every file is as it was before",
        "Look whether it is immutable (lsattr) or its file system read-only or full, then run again.",
    )


def not_put_back(path: str, old: str, cause: str) -> TlsError:
    """Return the error for an old file that could not be put back either: the worst case, so it says where that is."""
    return TlsError(
        path,
        f"it was replaced, then another file could not be, and now it cannot be put back ({cause})",
        f"Move {old} to {path} by hand before the daemon is started again, then run again.",
    )


def locked(path: str, seconds: str) -> TlsError:
    """Return the error for a directory in which another run is at work."""
    return TlsError(
        path,
        f"another run has been changing the files in this directory for {seconds} seconds",
        "Wait until it has ended, then run again.",
    )


def controller_half_missing() -> TlsError:
    """Return the error for the module's half that was run without the action plugin's."""
    return TlsError(
        "ca_path",
        "only the action plugin on the controller can sign",
        "Call this as a task dockerfleet.remote_api.certificate, not in another way.",
    )


__all__ = (
    "MissingLibraryError",
    "TlsError",
    "bad_bundle",
    "bad_common_name",
    "bad_days",
    "bad_name",
    "bad_place",
    "bad_request",
    "bad_swap",
    "controller_half_missing",
    "foreign_certificate",
    "locked",
    "missing_library",
    "no_authority_given",
    "no_certificate",
    "no_common_name",
    "no_names",
    "not_put_back",
    "old_library",
    "unfit_certificate",
    "unknown_owner",
    "unreadable_certificate",
    "unusable_authority",
    "wrong_clock",
)
