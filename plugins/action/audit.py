# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugin of audit: one task on the controller examines a whole fleet, and runs nothing on its hosts."""

from __future__ import annotations

import os
import shlex
import stat
import sys
import typing as t
from dataclasses import replace
from datetime import UTC, datetime

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._client_spec import CLIENTS
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.exposure import AUDIT_ARGUMENTS
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import write_atomically
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import errors, library
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _audit, _audit_report, _auditing
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._authority import AuthoritySource
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._authority_options import (
    checked_options,
    parse_lists,
    path_here,
)

_PREFIX = "docker_remote_api_"
_DIRECTORY = ".docker_remote_api"
_PATHS = ("ca_path", "ledger_dir", "cert_path")

# Prometheus' node exporter is another user; who else reads which hosts are open is for their owner to say.
_MODES = {"json": 0o600, "html": 0o600, "prometheus": 0o644}


class ActionModule(ActionBase):
    """Audits hosts of the inventory, and addresses, without connecting to any host as Ansible does."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    _options: dict[str, t.Any]
    _task_vars: dict[str, t.Any]
    _cas: dict[tuple[t.Any, ...], _auditing.Ca | RemoteApiError]

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return the result that the module's documentation describes."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        try:
            library.require(sys.executable)
            self._options = checked_options(AUDIT_ARGUMENTS, {}, parse_lists(AUDIT_ARGUMENTS, self._task.args))
            self._task_vars, self._cas = task_vars or {}, {}
            return {**result, **self._audit(datetime.now(UTC))}
        except RemoteApiError as exc:
            return {**result, "failed": True, "msg": str(exc)}

    def _audit(self, now: datetime) -> dict[str, t.Any]:
        """Return the result of the audit, after writing and showing it. Raises RemoteApiError."""
        options = self._options
        self._check_options()
        jobs = self._jobs(now)
        opened = [ca for ca in self._cas.values() if isinstance(ca, _auditing.Ca)]
        for warning in dict.fromkeys(one for ca in opened for one in ca.warnings):
            self._display.warning(warning)
        found = _auditing.audit(jobs, self._inventory, options["warn_below_days"], options["timeout"], now)
        lines = _audit_report.to_lines(found)
        if options["show"]:
            self._display.display("\n".join(lines))
        alarm = _auditing.alarm(found, options["fail_below_days"])
        written = [] if self._task.check_mode else self._write(found)
        return {"changed": False, **_audit_report.to_dict(found), "table": lines, "alarm": alarm, "written": written}

    def _check_options(self) -> None:
        """Make the paths in the options absolute. Raises RemoteApiError for what would end an audit half-way."""
        options, formats = self._options, self._options["formats"]
        for name in _PATHS:
            options[name] = options[name] and path_here(self._loader, options[name])
        if options["cert_path"]:
            _auditing.client_in(options["cert_path"])
        if not (options["hosts"] or options["addresses"]):
            raise errors.bad_options(cause="neither hosts nor addresses are given")
        if options["timeout"] <= 0:
            raise errors.bad_options(cause=f"timeout is {options['timeout']}, and must be above 0")
        for name, path in formats.items():
            formats[name] = path and path_here(self._loader, path)
            if path and not os.path.isdir(os.path.dirname(formats[name])):
                raise errors.bad_place(path=path, cause="its directory is not there")

    @property
    def _inventory(self) -> str:
        """What the commands in the findings name as the inventory: the one of this run."""
        sources = self._task_vars.get("ansible_inventory_sources") or ["INVENTORY"]
        return " -i ".join(shlex.quote(str(one)) for one in sources)

    def _jobs(self, now: datetime) -> list[_auditing.Job]:
        """Return what is to be audited: the hosts by their variables, then the addresses. Raises RemoteApiError."""
        jobs = {name: self._job_of_host(name, now) for name in self._options["hosts"]}
        for address in self._options["addresses"]:
            for host, port in _auditing.endpoints_of(address):
                job = jobs.get(host) or self._job_of_address(host, now)
                jobs[host] = replace(job, endpoints=tuple(dict.fromkeys((*job.endpoints, (host, port)))))
        return list(jobs.values())

    def _job_of_address(self, address: str, now: datetime) -> _auditing.Job:
        """Return the job for a host that is not in the inventory, still without endpoints. Raises RemoteApiError."""
        ca = self._ca({}, self._options["ca_path"], now)
        host = _audit.Host(address, address, ca.trust, None, f"{shlex.quote(address)},", "all")
        return _auditing.Job(host, (), ca)

    def _job_of_host(self, name: str, now: datetime) -> _auditing.Job:
        """Return what is to be audited of a host of the inventory. Raises RemoteApiError if it has no such host.

        What is wrong with the host's settings is a finding, and does not end the audit of the others.
        """
        hostvars = self._task_vars["hostvars"]
        if name not in hostvars:
            raise errors.bad_options(cause=f"hosts: the inventory has no host {name!r}")
        variables = hostvars[name]
        address, ca, clients = name, _auditing.Ca(), None
        try:
            address = str(variables.get("ansible_host") or name)
            directory = variables.get("inventory_dir")
            beside = os.getcwd() if directory in (None, "None") else str(directory)
            ca = self._ca(variables, self._options["ca_path"] or os.path.join(beside, _DIRECTORY), now)
            clients = self._clients_of(variables)
            listen = _variable(variables, "listen", AUDIT_ARGUMENTS["addresses"])
            endpoints = _auditing.endpoints_of_host(address, listen)
            host = _audit.Host(name, address, _auditing.trust_of(ca, name), inventory=self._inventory)
        except (RemoteApiError, AnsibleError) as exc:
            endpoints = _auditing.endpoints_of_host(address, ())
            host = _audit.Host(name, address, inventory=self._inventory, fault=" ".join(str(exc).split()))
        if on_disk := self._options["on_disk"].get(name):
            host = _auditing.with_disk(host, str(on_disk))
        return _auditing.Job(host, endpoints, ca, clients)

    def _clients_of(self, variables: t.Mapping[str, t.Any]) -> frozenset[str] | None:
        """Return the names of the clients that a host lists, by default those of the role.

        None in an audit with the folder of a single client, which is the only one that is known then. Raises as
        _variable() does.
        """
        if self._options["cert_path"]:
            return None
        is_text = variables.get(f"{_PREFIX}ca_key") or self._options["ca_key"]
        spec = {**CLIENTS, "default": [] if is_text else [{"name": "admin"}]}
        return frozenset(one["name"] for one in _variable(variables, "clients", spec))

    def _ca(self, variables: t.Mapping[str, t.Any], directory: str | None, now: datetime) -> _auditing.Ca:
        """Return the CA that the variables of a host name, or else the options.

        Raises RemoteApiError, and AnsibleError for a template that cannot be rendered.
        """

        def named(variable: str, option: str, default: str | None = None) -> str | None:
            value = variables.get(f"{_PREFIX}{variable}") or self._options[option] or default
            return None if value is None else str(value)

        key_text, ledger = named("ca_key", "ca_key"), named("ledger_dir", "ledger_dir")
        # What is in a folder beside the inventory belongs to another CA then.
        path = None if key_text else named("pki_dir", "ca_path", directory)
        source = AuthoritySource(
            path=path and path_here(self._loader, path),
            passphrase=named("ca_passphrase", "ca_passphrase"),
            certificate=named("ca_certificate", "ca_certificate"),
            key=key_text,
            ledger_dir=ledger and path_here(self._loader, ledger),
        )
        key = (source.path, source.passphrase, source.certificate, source.key, source.ledger_dir)
        if key not in self._cas:
            # A passphrase is slow to try, so a CA that cannot be opened is not tried for each of its hosts.
            try:
                self._cas[key] = _auditing.load_ca(source, self._options["cert_path"], now)
            except RemoteApiError as exc:
                self._cas[key] = exc
        found = self._cas[key]
        if isinstance(found, RemoteApiError):
            raise found
        return found

    def _write(self, found: _auditing.Audit) -> list[str]:
        """Write the reports that are asked for; a file that is there keeps its mode. Raises RemoteApiError."""
        written = []
        for name, path in self._options["formats"].items():
            if path:
                mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.isfile(path) else _MODES[name]
                write_atomically(path, _audit_report.FORMATS[name](found).encode(), mode=mode)
                written.append(path)
        return written


def _variable(variables: t.Mapping[str, t.Any], name: str, spec: dict[str, t.Any]) -> t.Any:
    """Return a variable of the role, in the type of the argument spec, or the default there if it is not defined.

    Raises RemoteApiError, and AnsibleError for a template that cannot be rendered.
    """
    name = f"{_PREFIX}{name}"
    if name not in variables:
        return spec["default"]
    return checked_options({name: spec}, {}, parse_lists({name: spec}, {name: variables[name]}))[name]
