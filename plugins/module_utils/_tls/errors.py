# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Every error text about names, keys, certificates and the CA. What is passed in is public, never a secret."""

from __future__ import annotations

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError


class TlsError(RemoteApiError):
    """A name, key, certificate or CA cannot be used as it is. Nothing was changed."""


class MissingLibraryError(TlsError):
    """The Python library cryptography is missing or too old. Nothing was changed."""


class ForeignAuthorityError(TlsError):
    """The host trusts a CA that is not the caller's. Nothing was changed."""


class OutOfDateError(TlsError):
    """The CA has expired, or is not valid yet. Nothing was changed."""


_RESTORE = "Restore it from a backup; it is left as it is."
_ENCRYPT = "openssl pkcs8 -topk8 -v2 aes-256-cbc -in {path} -out {path}.encrypted; then put that file in its place."

# The library.
missing_library = MissingLibraryError.text(
    "{interpreter}",
    "this Python cannot use the library cryptography, 3.3 or newer ({cause})",
    "Install the package python3-cryptography for it.",
)
old_library = MissingLibraryError.text(
    "{interpreter}",
    "this Python has the library cryptography {version}, and 3.3 or newer is needed",
    "Install a newer package python3-cryptography for it.",
)

# What is asked for.
bad_options = TlsError.text("options", "{cause}", "See the module's documentation, and correct the task.")
path_in_collection = TlsError.text(
    "{path}",
    "this path is relative, and would begin in the installed collection, which its next upgrade removes",
    "Give an absolute path; inventory_dir is the directory of the inventory.",
)
bad_name = TlsError.text(
    "names: {name!r}",
    "this is no name for a certificate: {cause}",
    "Give a host name such as web1.example.com or *.example.com, or an address such as 192.0.2.1 or 2001:db8::1.",
)
no_names = TlsError.text(
    "names",
    "a server's certificate needs at least one name, for clients look at nothing else",
    "List each host name and IP address under which clients reach the server.",
)
bad_common_name = TlsError.text(
    "common_name: {name!r}",
    "this is no common name: {cause}",
    "Give one of printable characters, 1 to 64 bytes in UTF-8.",
)
no_common_name = TlsError.text(
    "common_name",
    "none is given, and none of the names has at most 64 characters to take its place",
    "Set common_name, for example to the client's or the host's name.",
)
bad_validity = TlsError.text("{option}: {value}", "{cause}", "Give a validity period that is in range.")
bad_client = TlsError.text("clients: {name!r}", "{cause}", "Name each client once, as in [{{name: admin, days: 90}}].")
unknown_machine = TlsError.text(
    "clients: {name!r}, host: {host!r}",
    "the inventory has no such host",
    "Add the client's machine to the inventory, or leave out host for a client on the controller.",
)
machine_needed = TlsError.text(
    "clients: {name!r}, {option}",
    "files on the controller belong to the user who runs Ansible",
    "Name the client's machine as host, or leave out {option}.",
)
owner_without_home = TlsError.text(
    "clients: {name!r}, owner: {owner}",
    "a numeric user ID is not enough to find a home directory or to write a context",
    "Give the owner's name, or else a directory and no context.",
)
bad_context = TlsError.text(
    "clients: {name!r}, context",
    "{cause}",
    "Write it as in {{name: production, docker_host: tcp://docker1.example.com:2376}}; its name alone is enough where "
    "the play has one host.",
)
bad_subject = TlsError.text(
    "subject",
    "{cause}",
    "Write it as in {{O: Example, OU: [Operations, Docker]}}; common_name is an option of its own.",
)
unknown_owner = TlsError.text(
    "{option}: {name}", "it does not exist on this machine", "Create it first, or name another one."
)
bad_passphrase = TlsError.text(
    "{option}", "{cause}", "Set it to a text of 1 to 1023 bytes, best from Ansible Vault or a secret store."
)
controller_half_missing = TlsError.text(
    "{option}",
    "only the action plugin on the controller can do that",
    "Call this as a task dockerfleet.remote_api.certificate, not in another way.",
)

# PEM text and certificates.
bad_bundle = TlsError.text(
    "{subject}, line {line}",
    "{cause}",
    "Put the whole certificate there, from its BEGIN to its END line, or take the broken part out.",
)
no_certificate = TlsError.text(
    "{subject}", "it holds no certificate", "Put a certificate in PEM form there (it begins with BEGIN CERTIFICATE)."
)
unreadable_certificate = TlsError.text(
    "{subject}", "the certificate cannot be read: {cause}", "Have it issued again, and put that there."
)
bad_request = TlsError.text(
    "{host}", "its signing request cannot be accepted: {cause}", "Look at what runs on that host, then run again."
)
unusable_authority = TlsError.text(
    "{subject}",
    "this CA cannot be used: {cause}",
    "Give the certificate of a CA that may sign certificates for servers and clients.",
)
wrong_clock = TlsError.text(
    "clock",
    "this machine's clock says {now}, and its CA is valid {bound}",
    "Set the clock of this machine, or make a new CA if the clock is right.",
)

# The files of a key and its certificate.
foreign_certificate = TlsError.text(
    "{subject}",
    "it fits neither the private key on this machine nor the one that waits for its certificate",
    "Run the module without the option certificate, have the CSR that it returns signed, and give that result.",
)
unfit_certificate = TlsError.text(
    "{subject}",
    "it is not installed, for {cause}",
    "Have the signing request signed again with the right names, usage and dates, and give that result.",
)
no_authority_given = TlsError.text(
    "ca_certificate",
    "it is not given, and there is no {path} either, so that the certificate cannot be checked",
    "Set ca_certificate to the certificate (PEM) of the CA that issued the certificate.",
)
foreign_authority = ForeignAuthorityError.text(
    "{path}",
    "this host already trusts {theirs}, and our CA is {ours}, so its clients would be locked out",
    "Is pki_dir (ca_path) the right one? If it is, on_foreign_authority says what becomes of the other CA: trust adds "
    "ours and cuts off no client; replace trusts ours alone, and refuses the other's clients.",
)
unused_authority = ForeignAuthorityError.text(
    "{path}",
    "our CA has its place there, and the file holds {theirs}, which is not ours and which the daemon does not use",
    "Move the file away, name another directory, or have it overwritten with on_foreign_authority set to replace.",
)
lacking_names = TlsError.text(
    "{path}",
    "somebody else's certificate stays in place there, and it lacks the names {names}",
    "Have its CA issue one with these names, or leave them out of the names that are asked for.",
)
bad_place = TlsError.text("{path}", "{cause}", "Move what is there out of the way, or name another place.")
locked = TlsError.text(
    "{path}", "another run has been at work in this directory for {seconds} s", "Wait for its end, then run again."
)
bad_swap = TlsError.text(
    "{path}",
    "it cannot be replaced ({cause}); every file is as it was before",
    "Look whether it is immutable (lsattr) or its file system read-only or full, then run again.",
)
not_put_back = TlsError.text(
    "{path}",
    "it was replaced, then another file could not be, and now it cannot be put back ({cause})",
    "Move {old} to {path} by hand before the daemon is started again, then run again.",
)

# The CA on the controller.
not_there = TlsError.text(
    "{path}", "there is no CA", "Run dockerfleet.remote_api.certificate_authority with this path first."
)
half_missing = TlsError.text(
    "{missing}",
    "it is missing, while {present} is there",
    "Restore it from a backup, or move the other one away if a new CA is what you want.",
)
not_made = TlsError.text(
    "{path}", "the CA cannot be kept there ({cause})", "Name a directory to which the controller's user may write."
)
wrong_passphrase = TlsError.text(
    "{path}",
    "the passphrase does not open this key (or the file is damaged)",
    "Give the passphrase with which it was encrypted, or restore the file from a backup.",
)
not_encrypted = TlsError.text(
    "{path}", "this private key is not encrypted", f"Encrypt it with the passphrase: {_ENCRYPT}"
)
unknown_encryption = TlsError.text(
    "{path}",
    "it is encrypted in a way that the Python library cryptography does not read",
    f"Encrypt it anew with the same passphrase: {_ENCRYPT}",
)
unreadable_key = TlsError.text("{path}", "it cannot be read as a private key ({cause})", _RESTORE)
weak_key = TlsError.text(
    "{path}",
    "a key of type {key_type} cannot be a CA's, for clients or engines would refuse it",
    "Use an RSA key of 2048 bits or more, an ECDSA key on P-256, P-384 or P-521, or an Ed25519 key.",
)
foreign_key = TlsError.text(
    "{key}", "this key belongs to no certificate in {certificate}", "Put the key and its own certificate there."
)
unusable = TlsError.text(
    "{path}",
    "this CA cannot sign: {cause}",
    "Put a usable certificate for the same key there, or make a new CA in another place.",
)
out_of_date = OutOfDateError.text(
    "{path}",
    "{cause}",
    "If the controller's clock is right, replace it: the playbook rotate_authority does so with phase=now.",
)
place_of_authority = TlsError.text(
    "{path}",
    "no issued key or certificate can be kept there, among the files of the CA in {authority} itself",
    "Name a directory of its own, such as {authority}/clients/NAME.",
)
no_clients_directory = TlsError.text(
    "clients", "there is no directory for them, as the CA is given as text", "Set path, or give no clients."
)

# The replacement of a CA.
rotation_of_text = TlsError.text(
    "phase, {phase}",
    "the CA is given as text, and how far its replacement is can be kept in the files of a directory alone",
    "Change ca_certificate and ca_key by hand, in the steps that the guide to replacing a CA lists.",
)
no_rotation = TlsError.text(
    "{path}", "no CA is being replaced here, so there is nothing to {phase}", "Begin with the phase start, or with now."
)
rotation_too_early = TlsError.text(
    "{path}",
    "it is too early for {phase}: the {state} are still being moved to the new CA",
    "Run the playbook rotate_authority without a phase first, until it says that nobody is missing.",
)
old_authority_needed = TlsError.text(
    "{path}",
    "it is too early for {phase}, as these have no certificate of the new CA yet: {names}",
    "Run the playbook rotate_authority without a phase for a host that was away, issue a client's certificate anew, or "
    "wait for its end. Remove the named file of a machine or client that is gone.",
)
