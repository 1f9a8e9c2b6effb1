# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Every error text about the authority, in one place. None of them ever has the passphrase in it."""

from __future__ import annotations

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError

_ENCRYPT = "openssl pkcs8 -topk8 -v2 aes-256-cbc -in {path} -out {path}.encrypted"


class AuthorityError(RemoteApiError):
    """The authority cannot be made, or what is there cannot be used. Nothing was overwritten."""


def bad_options(cause: str) -> AuthorityError:
    """Return the error for options that the task cannot have."""
    return AuthorityError("options", cause, "Look into the module's documentation, and correct the task.")


def bad_passphrase(cause: str) -> AuthorityError:
    """Return the error for a passphrase that can encrypt nothing."""
    return AuthorityError(
        "passphrase", cause, "Set it to a text of 1 to 1023 bytes, best from Ansible Vault or a secret store."
    )


def wrong_passphrase(path: str) -> AuthorityError:
    """Return the error for a passphrase that does not open the key."""
    return AuthorityError(
        path,
        "the passphrase does not open this key (or the file is damaged)",
        "Give the passphrase with which it was encrypted, or restore the file from a backup.",
    )


def not_encrypted(path: str) -> AuthorityError:
    """Return the error for an authority's key that everybody who finds it could use."""
    return AuthorityError(
        path,
        "this private key is not encrypted",
        f"Encrypt it with the passphrase: {_ENCRYPT.format(path=path)}; then put that file in its place.",
    )


def unreadable_key(path: str, cause: str) -> AuthorityError:
    """Return the error for a file that is no key."""
    return AuthorityError(
        path, f"it cannot be read as a private key ({cause})", "Restore it from a backup; it is left as it is."
    )


def unknown_encryption(path: str) -> AuthorityError:
    """Return the error for a key whose encryption the library does not know (any more)."""
    return AuthorityError(
        path,
        "it is encrypted in a way that the Python library cryptography does not read",
        f"Encrypt it anew with the same passphrase: {_ENCRYPT.format(path=path)}; then put that file in its place.",
    )


def weak_key(path: str, key_type: str) -> AuthorityError:
    """Return the error for a key that today's clients or engines do not accept."""
    return AuthorityError(
        path,
        f"a key of type {key_type} cannot be an authority's, for clients or engines would refuse it",
        "Use an RSA key of 2048 bits or more, an ECDSA key on P-256, P-384 or P-521, or an Ed25519 key.",
    )


def foreign_key(key_path: str, certificate_path: str) -> AuthorityError:
    """Return the error for a key without its certificate."""
    return AuthorityError(
        key_path,
        f"this key belongs to none of the certificates in {certificate_path}",
        "Put the key and its own certificate there; both are left as they are.",
    )


def half_missing(missing: str, present: str) -> AuthorityError:
    """Return the error for one of the two files alone."""
    return AuthorityError(
        missing,
        f"it is missing, while {present} is there",
        "Restore it from a backup, or move the other one away if a new authority is what you want.",
    )


def not_there(path: str) -> AuthorityError:
    """Return the error for signing without an authority."""
    return AuthorityError(
        path, "there is no authority", "Run dockerfleet.remote_api.certificate_authority with this path first."
    )


def not_a_directory(path: str) -> AuthorityError:
    """Return the error for a place that something else takes."""
    return AuthorityError(path, "this is not a directory", "Name another place for the authority, or move that away.")


def not_made(path: str, cause: str) -> AuthorityError:
    """Return the error for an authority whose files the operating system refuses."""
    return AuthorityError(
        path, f"the authority cannot be kept there ({cause})", "Name a place to which the controller's user may write."
    )


def unusable(path: str, cause: str) -> AuthorityError:
    """Return the error for a certificate that cannot be that of this authority."""
    return AuthorityError(
        path,
        f"its certificate cannot be used for signing: {cause}",
        "Put a usable certificate for the same key there, or make a new authority in another place.",
    )


def out_of_date(path: str, cause: str) -> AuthorityError:
    """Return the error for an authority whose certificate is not valid now."""
    return AuthorityError(
        path,
        cause,
        "If the controller's clock is right, make a new authority in another place and roll it out before the old one.",
    )


__all__ = (
    "AuthorityError",
    "bad_options",
    "bad_passphrase",
    "foreign_key",
    "half_missing",
    "not_a_directory",
    "not_encrypted",
    "not_made",
    "not_there",
    "out_of_date",
    "unknown_encryption",
    "unreadable_key",
    "unusable",
    "weak_key",
    "wrong_passphrase",
)
