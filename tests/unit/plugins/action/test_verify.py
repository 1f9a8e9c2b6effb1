# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client certificate of another authority, with which verify knocks, judged by openssl."""

from __future__ import annotations

import pathlib
import subprocess

from ansible_collections.dockerfleet.remote_api.plugins.action.verify import make_stranger


def test_stranger_has_a_certificate_of_its_own(tmp_path: pathlib.Path) -> None:
    certificate, key = make_stranger(str(tmp_path))

    def openssl(*words: str) -> str:
        return subprocess.run(["openssl", *words], capture_output=True, text=True, check=True).stdout

    assert openssl("verify", "-purpose", "sslclient", "-CAfile", certificate, certificate).endswith(": OK\n")
    assert openssl("x509", "-in", certificate, "-noout", "-pubkey") == openssl("pkey", "-in", key, "-pubout")
    openssl("x509", "-in", certificate, "-noout", "-checkend", "1800")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cert.pem", "key.pem"]
