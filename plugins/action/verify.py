# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of the module verify: it tries an engine over the network and runs nothing on its host."""

from __future__ import annotations

import datetime
import os
import tempfile
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.verification import (
    VERIFY_ARGUMENTS,
    verify,
)


class ActionModule(ActionBase):
    """Runs the checks here, or the module on the host."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return the task's result."""
        task_vars = task_vars or {}
        result = super().run(tmp, task_vars)
        _validation, params = self.validate_argument_spec(argument_spec=VERIFY_ARGUMENTS)
        if params["run_on"] == "host":
            args = self._task.args
            result.update(self._execute_module("dockerfleet.remote_api.verify", args, task_vars=task_vars))
            return result
        host = str(task_vars.get("ansible_host") or task_vars.get("inventory_hostname") or "localhost")
        with tempfile.TemporaryDirectory(prefix="verify-") as folder:
            stranger = make_stranger(folder) if params["negative_checks"] else None
            result.update(verify(params, host, local=False, stranger=stranger))
        return result


def make_stranger(folder: str) -> tuple[str, str]:
    """Make a client certificate that no authority signed, valid for an hour, and return the paths of it and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a client of another authority")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    encoded_key = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for path, content in zip(paths, (certificate.public_bytes(serialization.Encoding.PEM), encoded_key), strict=True):
        with open(path, "wb") as stream:
            stream.write(content)
    return paths
