# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugin of certificate_authority: all of its work is done on the controller."""

from __future__ import annotations

import sys
import typing as t
from datetime import UTC, datetime

from ansible.plugins.action import ActionBase
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import argspec, certificates, library
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._authority_options import checked_options


class ActionModule(ActionBase):
    """Makes sure of an authority, without connecting to any host."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return the result that the module's documentation describes."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        try:
            library.require(sys.executable)
            return {**result, **self._establish(checked_options(argspec.AUTHORITY, {}, self._task.args))}
        except RemoteApiError as problem:
            return {**result, "failed": True, "msg": str(problem)}

    def _establish(self, options: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the result for checked options. Raises RemoteApiError."""
        now = datetime.now(UTC)
        path = self._loader.path_dwim(options["path"])
        settings = _authority.Settings(options["common_name"], options["days"], options["key_type"])
        done = _authority.establish(path, options["passphrase"], settings, now, self._task.check_mode)
        for warning in done.warnings:
            self._display.warning(warning)
        facts = _facts(done.authority)
        result = {"changed": done.changed, **facts}
        if done.changed and self._task.diff:
            header = f"{path}/{_authority.CERTIFICATE_FILE}"
            after = {name: value for name, value in facts.items() if name != "certificate"}
            before: dict[str, t.Any] = after if done.kept else {}
            if done.authority is None:
                after = {"common_name": settings.common_name, "days": settings.days, "key_type": settings.key_type}
            result["diff"] = {"before_header": header, "after_header": header, "before": before, "after": after}
        return result


def _facts(authority: _authority.Authority | None) -> dict[str, t.Any]:
    """Return the public facts of the authority; each is None when it would only be made."""
    if authority is None:
        return {"certificate": None, "fingerprint_sha256": None, "not_after": None, "strict": None, "subject": None}
    return {
        "certificate": certificates.to_pem(authority.bundle),
        "fingerprint_sha256": certificates.fingerprint(authority.certificate),
        "not_after": certificates.iso(certificates.not_after(authority.certificate)),
        "strict": authority.strict,
        "subject": certificates.subject_of(authority.certificate),
    }
