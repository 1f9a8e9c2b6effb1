# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugin of certificate_authority: all of its work is done on the controller, in Ansible's own process."""

from __future__ import annotations

import sys
import typing as t
from datetime import UTC, datetime

from ansible.plugins.action import ActionBase
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import argspec, certificates, errors, library
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority, _issuing
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._authority_options import checked_options


class ActionModule(ActionBase):
    """Makes sure of a CA and of its clients' certificates, without connecting to any host."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return the result that the module's documentation describes."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        try:
            library.require(sys.executable)
            options = checked_options(argspec.AUTHORITY, argspec.AUTHORITY_RULES, self._task.args)
            for name in ("path", "ledger_dir"):
                if options[name] is not None:
                    options[name] = self._loader.path_dwim(options[name])
            return {**result, **self._ensure(options, datetime.now(UTC))}
        except RemoteApiError as exc:
            return {**result, "failed": True, "msg": str(exc)}

    def _ensure(self, options: dict[str, t.Any], now: datetime) -> dict[str, t.Any]:
        """Return the result for checked options. Raises RemoteApiError."""
        path, check_mode = options["path"], self._task.check_mode
        clients = _issuing.clients_of(options)
        if clients and path is None:
            raise errors.no_clients_directory()
        done, warnings = _ensure_authority(options, now, check_mode)
        if clients and not check_mode:
            _authority.prepare_directory(path)
        results = []
        for client in clients:
            result, more = _issuing.ensure_client(client, path, done.authority, now, check_mode)
            results.append(result)
            warnings += more
        for warning in warnings:
            self._display.warning(warning)
        changed = done.changed or any(one["changed"] for one in results)
        found = {"changed": changed, **_facts(done.authority), "clients": results}
        if changed and self._task.diff:
            found["diff"] = _diff(options, done, results)
        return found


def _ensure_authority(
    options: dict[str, t.Any], now: datetime, check_mode: bool
) -> tuple[_authority.AuthorityResult, list[str]]:
    """Return the CA of the options, made if it is one of files and not there, and warnings. Raises RemoteApiError."""
    path, passphrase = options["path"], options["passphrase"]
    if options["ca_key"] is not None:
        subject = "ca_certificate"
        opened = _authority.open_authority_from_text(
            options["ca_certificate"], options["ca_key"], passphrase, now, options["ledger_dir"]
        )
        done = _authority.AuthorityResult(opened, existed=True, changed=False)
    else:
        subject = f"{path}/{_authority.CERTIFICATE_FILE}"
        spec = _authority.AuthoritySpec(options["common_name"], options["days"], options["key_type"])
        done = _authority.ensure(path, passphrase, spec, now, check_mode, options["ledger_dir"])
    return done, [] if done.authority is None else _authority.warnings(done.authority, subject)


def _diff(
    options: dict[str, t.Any], done: _authority.AuthorityResult, clients: list[dict[str, t.Any]]
) -> dict[str, t.Any]:
    """Return the diff: the public facts of the CA, and why clients' certificates are issued."""
    facts = {name: value for name, value in _facts(done.authority).items() if name != "certificate"}
    if done.authority is None:
        facts = {name: options[name] for name in ("common_name", "days", "key_type")}
    header = options["path"] or "ca_certificate"
    issued = {one["name"]: one["reasons"] for one in clients if one["changed"]}
    before: dict[str, t.Any] = facts if done.existed else {}
    after = {**facts, "clients": issued} if issued else facts
    return {"before_header": header, "after_header": header, "before": before, "after": after}


def _facts(authority: _authority.Authority | None) -> dict[str, t.Any]:
    """Return the public facts of the CA; each is None when it would only be made."""
    if authority is None:
        return {"certificate": None, "fingerprint_sha256": None, "not_after": None, "strict": None, "subject": None}
    return {
        "certificate": certificates.to_pem(authority.bundle),
        "fingerprint_sha256": certificates.fingerprint(authority.certificate),
        "not_after": certificates.iso(certificates.not_after(authority.certificate)),
        "strict": authority.strict,
        "subject": certificates.subject_of(authority.certificate),
    }
