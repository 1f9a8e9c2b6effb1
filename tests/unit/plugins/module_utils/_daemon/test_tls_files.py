# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The TLS files that the options name, made by openssl: which of them Docker's clients would accept."""

from __future__ import annotations

import pathlib

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.errors import DaemonError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import read_arguments
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.tls_files import (
    TlsFiles,
    check,
    from_options,
    missing,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import read_file
from ansible_collections.dockerfleet.remote_api.tests.integration import pki

UNSOUND = [
    ("ca", "server", "other-key", "server.pem: the key in .*other-key.pem does not belong to it"),
    ("other-ca", "server", "key", "server.pem: a client that trusts .*other-ca.pem refuses it"),
    ("ca", "expired", "key", "expired.pem: .*certificate has expired"),
    ("ca", "future", "key", "future.pem: .*certificate is not yet valid"),
    ("ca", "client", "key", "client.pem: .*purpose"),
    ("ca", "no-names", "key", "no-names.pem: it carries no subjectAltName"),
    ("ca", "truncated", "key", "truncated.pem with .*key.pem: certificate and key cannot be loaded"),
    ("ca", "empty", "key", "empty.pem with .*key.pem: certificate and key cannot be loaded"),
    ("empty", "server", "key", "empty.pem: 0 PEM blocks begin in it"),
    ("ca", "server", "encrypted-key", "encrypted-key.pem: the key is encrypted"),
    ("ca", "server", "ca", "server.pem with .*ca.pem: certificate and key cannot be loaded"),
    ("broken-bundle", "server", "key", "broken-bundle.pem: 2 PEM blocks begin in it and 1 of them"),
    ("garbled-bundle", "server", "key", "garbled-bundle.pem, certificate 2: the certificate cannot be read"),
    ("none", "server", "key", "none.pem: the options name this TLS file, and it is not there"),
    ("directory", "server", "key", "directory.pem: it cannot be read .Is a directory"),
    ("ca", "loop", "key", "loop.pem: it cannot be read .*symbolic links"),
    ("key", "server", "key", "key.pem: 1 PEM blocks begin in it and 0"),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("pki")
    for name, text in pki.make(tmp_path_factory.mktemp("work")).items():
        (folder / name).write_text(text, encoding="ascii")
    (folder / "bundle.pem").write_bytes((folder / "other-ca.pem").read_bytes() + (folder / "ca.pem").read_bytes())
    (folder / "directory.pem").mkdir()
    (folder / "loop.pem").symlink_to("loop.pem")
    return folder


def named(folder: pathlib.Path, ca: str, certificate: str, key: str) -> TlsFiles:
    return TlsFiles(*(str(folder / f"{name}.pem") for name in (ca, certificate, key)))


@pytest.mark.parametrize("ca", ["ca", "bundle"])
def test_sound_files_pass(folder: pathlib.Path, ca: str) -> None:
    check(named(folder, ca, "server", "key"), read_file)


def test_the_server_may_have_a_ca_of_its_own(folder: pathlib.Path) -> None:
    other = named(folder, "other-ca", "server", "key")
    check(other, read_file, (folder / "ca.pem").read_text())
    with pytest.raises(DaemonError, match="a client that trusts server_certificate, ca refuses it"):
        check(named(folder, "ca", "server", "key"), read_file, (folder / "other-ca.pem").read_text())
    with pytest.raises(DaemonError, match="^server_certificate, ca: 0 PEM blocks"):
        check(other, read_file, "")
    with pytest.raises(DaemonError, match="empty.pem: 0 PEM blocks"):
        check(named(folder, "empty", "server", "key"), read_file, (folder / "ca.pem").read_text())


@pytest.mark.parametrize(("ca", "certificate", "key", "says"), UNSOUND, ids=[f"{r[0]}-{r[1]}-{r[2]}" for r in UNSOUND])
def test_unsound_files_are_refused_by_name(
    folder: pathlib.Path, ca: str, certificate: str, key: str, says: str
) -> None:
    with pytest.raises(RemoteApiError, match=f"^{folder}/{says}"):
        check(named(folder, ca, certificate, key), read_file)


def test_missing_files_are_listed(folder: pathlib.Path) -> None:
    assert missing(named(folder, "none", "server", "nothing"), read_file) == [
        str(folder / "none.pem"),
        str(folder / "nothing.pem"),
    ]


def test_files_are_found_in_the_options() -> None:
    words = "--tlsverify=false --tlscacert /a --tlscert=/b --tlskey /c --tlscacert=/d"
    assert from_options(read_arguments(words.split(), "here"), "here", requested=True) == TlsFiles("/d", "/b", "/c")
    assert from_options(read_arguments(["--tls=false", "--tlscert=/b"], "x"), "here", requested=True) is None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--tls", "here: 'tls' without 'tlsverify'"),
        ("--tlsverify", "here: TLS is on but tlscacert, tlscert, tlskey is not set"),
        ("--tlsverify --tlscert=/b --tlskey=/c", "here: TLS is on but tlscacert is not set"),
    ],
)
def test_half_a_tls_is_refused_when_requested_and_left_alone_when_it_was_there(words: str, says: str) -> None:
    options = read_arguments(words.split(), "here")
    with pytest.raises(DaemonError, match=says):
        from_options(options, "here", requested=True)
    assert from_options(options, "here", requested=False) is None
