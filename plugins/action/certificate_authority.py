# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugin of certificate_authority: all of its work is done on the controller, in Ansible's own process."""

from __future__ import annotations

import sys
import typing as t
from dataclasses import replace
from datetime import UTC, datetime

from ansible.plugins.action import ActionBase
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import argspec, certificates, errors, library
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority, _deliveries, _issuing, _rotation
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._authority_options import (
    checked_options,
    path_here,
    resolve_clients,
)


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
                    options[name] = path_here(self._loader, options[name])
            resolve_clients(self._loader, options["clients"])
            if options["phase"]:
                for one in options["clients"]:
                    one["context"] = None  # the playbook secure sees to it, and knows the engine
            machines = (task_vars or {}).get("groups", {}).get("all", ())
            deliveries = _deliveries.take_deliveries(options, _deliveries.Surroundings(machines))
            delivered = [one["name"] for one in deliveries]
            return {**result, **self._ensure(options, delivered, datetime.now(UTC)), "deliveries": deliveries}
        except RemoteApiError as exc:
            return {**result, "failed": True, "msg": str(exc)}

    def _ensure(self, options: dict[str, t.Any], delivered: t.Iterable[str], now: datetime) -> dict[str, t.Any]:
        """Return the result for checked options; ``delivered`` are clients on other machines. Raises RemoteApiError."""
        rotated, foreseen = self._rotate(options, delivered, now) if options["phase"] else ({}, None)
        done = _issuing.ensure_authority(
            options, now, self._task.check_mode, foreseen=foreseen.authority if foreseen else None
        )
        if foreseen:
            done = replace(done, authority=foreseen.known)
        for warning in done.warnings:
            self._display.warning(warning)
        states = (rotated["rotation_before"], rotated["rotation"]) if rotated else None
        changed = done.changed or bool(states and states[0] != states[1])
        found = {"changed": changed, **_facts(done.authority), "clients": done.clients, **rotated}
        if changed and self._task.diff:
            found["diff"] = _diff(options, done, states)
        return found

    def _rotate(
        self, options: dict[str, t.Any], delivered: t.Iterable[str], now: datetime
    ) -> tuple[dict[str, t.Any], _rotation.Foreseen | None]:
        """Carry out the phase of replacing the CA; return what the result says of it, and in check mode the outcome.

        Raises RemoteApiError.
        """
        if options["ca_key"] is not None:
            raise errors.rotation_of_text(phase=options["phase"])
        spec = _authority.AuthoritySpec(options["common_name"], options["days"], options["key_type"])
        directory = _rotation.Directory(options["path"], options["passphrase"], options["ledger_dir"], spec)
        before, after = _rotation.carry_out(directory, options["phase"], now, self._task.check_mode)
        path = options["path"]
        reached = {*delivered, *(one["name"] for one in options["clients"]), *_issuing.client_folders(path)}
        elsewhere = _rotation.clients_elsewhere(directory, after, now)
        foreseen = _rotation.foresee(directory, before, after, now) if self._task.check_mode else None
        return {
            "rotation_before": before.state,
            "rotation": after.state,
            "clients_reached": [f"{path}: {name}" for name in sorted(reached)],
            "clients_elsewhere": [
                {"id": f"{path}: {name}", "text": text} for name, text in elsewhere.items() if name not in reached
            ],
            "host_moved": _rotation.has_moved_a_host(directory, after, now),
        }, foreseen


def _diff(options: dict[str, t.Any], done: _issuing.Ensured, states: tuple[str, str] | None) -> dict[str, t.Any]:
    """Return the diff: the public facts of the CA, how far its replacement is, and why clients get certificates."""
    facts = {name: value for name, value in _facts(done.authority).items() if name != "certificate"}
    if done.authority is None:
        facts = {name: options[name] for name in ("common_name", "days", "key_type")}
    header = options["path"] or "ca_certificate"
    issued = {one["name"]: one["reasons"] for one in done.clients if one["changed"]}
    before: dict[str, t.Any] = facts if done.existed else {}
    after = {**facts, "clients": issued} if issued else facts
    if states:
        before, after = {**before, "rotation": states[0]}, {**after, "rotation": states[1]}
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
