# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the options of the module certificate mean."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import argspec
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.deployment import CertificateSpec

PATHS = {"key_path": "/k", "certificate_path": "/c", "ca_certificate_path": "/a"}


def spec(**given: Any) -> CertificateSpec:
    """Return the spec for options as Ansible would hand them over."""
    wanted = {"usage": "server", "names": ["web1"], **given}
    checked = ArgumentSpecValidator(argspec.CERTIFICATE, **argspec.CERTIFICATE_RULES).validate(wanted)
    assert not checked.error_messages
    return argspec.certificate_spec(checked.validated_parameters)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"directory": "etc/docker-tls"}, "directory, etc/docker-tls"),
        ({"directory": "."}, r"directory, \."),
        *(({**PATHS, name: "tls/x"}, f"{name}, tls/x") for name in PATHS),
    ],
)
def test_a_relative_path_is_refused(given: dict[str, str], says: str) -> None:
    with pytest.raises(RemoteApiError, match=f"^{says}: this path on the host is relative"):
        spec(**given)


def test_a_path_is_expanded_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ci")
    assert spec(directory="~/tls").paths.key == "/home/ci/tls/server-key.pem"
    assert spec(**{**PATHS, "key_path": "$HOME/k"}).paths.all == ("/home/ci/k", "/c", "/a")
