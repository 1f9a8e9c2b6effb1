# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugin of remote_api: the controller's half, which signs the CSR that the host's half answers with."""

from __future__ import annotations

import sys
import typing as t
from datetime import UTC, datetime, timedelta

from ansible_collections.dockerfleet.remote_api.plugins.module_utils import _remote_api_options
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import bracketed
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.verification import VERIFY_ARGUMENTS
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import read_file
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import (
    certificates,
    facts,
    library,
    names,
    profiles,
)
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority, _deliveries, _issuing, _rotation
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._action import HostAction, address_of_host
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._authority_options import (
    checked_options,
    parse_lists,
    path_here,
    resolve_clients,
)
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils._verifying import verify_from_here

_MODULE = "dockerfleet.remote_api.remote_api"
# What only the controller may know or needs to know.
_CONTROLLER_ONLY = frozenset({"ca_path", "ca_passphrase", "ca_key", "ledger_dir"})
_ALWAYS = ("localhost", "127.0.0.1")
# Parts of the result that the controller decides on. A host that is not what it seems to be gets no say in them: the
# role's next tasks issue certificates and write files by them.
_CONTROLLERS_RESULTS = ("checks", "clients", "deliveries", "settled")


class ActionModule(HostAction):
    """Sees to the CA and the clients, runs the module on the host, and once more if a certificate has to be signed.

    All of it is one task, since each task costs the controller a process for each host.
    """

    _options: dict[str, t.Any]
    _listen: tuple[str, ...]
    _task_vars: dict[str, t.Any]
    _address: str  # the name or IP address by which the controller calls the host
    _trusted = ""  # what the host's clients verify it with (PEM)
    _opened: _authority.Authority | None = None

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return the result that the module's documentation describes."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        try:
            arguments = parse_lists(_remote_api_options.ARGUMENT_SPEC, self._task.args)
            self._options = checked_options(_remote_api_options.ARGUMENT_SPEC, _remote_api_options.RULES, arguments)
            self._listen = _remote_api_options.check_options(self._options)
            self._task_vars = task_vars or {}
            self._address = address_of_host(self, self._task_vars)
            sent = {name: value for name, value in arguments.items() if name not in _CONTROLLER_ONLY}
            secured = _remote_api_options.needs_certificate(self._options)
            done = self._with_certificate(sent) if secured else self._run_module(sent)
            return {**result, **self._settled(self._verified(done))}
        except RemoteApiError as exc:
            return {**result, "failed": True, "msg": str(exc)}

    @property
    def _only_look(self) -> bool:
        """Whether nothing is to be changed on the host."""
        return bool(self._task.check_mode or self._options["plan_only"])

    def _renew_before_days(self) -> int:
        """Return how many days before its end the host's certificate is renewed, its share of the spread included.

        Raises RemoteApiError if that can be as much as the certificate's days.
        """
        names_of_days = ("certificate_days", "renew_before_days", "renew_spread_days")
        days, before, spread = (int(self._options[name]) for name in names_of_days)
        profiles.validity(days, None, before)
        if not 0 <= spread < days - before:
            raise _remote_api_options.bad_spread(spread=spread, most=days - before - 1)
        return before + _issuing.share_of_spread(self._host, spread)

    def _with_certificate(self, sent: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the result for a host that speaks TLS, after seeing to the CA and the clients on the controller."""
        library.require(sys.executable)
        sent["names"] = self._server_names()
        sent["renew_before_days"] = self._renew_before_days()
        asked = {*names.split_names([self._certified_address])[0], *self._options["names"]}
        sent["required_names"] = [name for name in sent["names"] if name in asked]
        now = datetime.now(UTC)
        self._find_authority()
        deliveries = self._take_deliveries()
        served = self._server_ca(sent)
        host = self._host
        ensured = self._ensure_authority(now, [(_issuing.SERVERS, host, served)] if served else [])
        self._opened = ensured.authority
        changed = ensured.changed and not (ensured.authority is None and not self._task.check_mode)
        if self._options["ca_path"] is not None:
            sent["foreign_certificates"] = self._noted(_issuing.FOREIGN)
            sent["retired_certificates"] = certificates.to_pem(_rotation.retired(self._options["ca_path"]))
        authority = ensured.authority and ensured.authority.signs_for("server")
        if authority:
            sent["ca_certificate"] = certificates.to_pem(authority.bundle)
        done = self._on_host(sent, authority, now)
        if done.get("foreign_authority"):
            done["msg"] += f" Our CA is that of {self._options['ca_path'] or 'ca_certificate'}."
        elif not done.get("failed"):
            foreign = self._accepted(done.get("foreign_certificates", ""))
            self._trusted = sent.get("ca_certificate", "") + foreign + served
            notes = self._notes(foreign, served, done)
            if notes and self._options["plan_only"] and not self._task.check_mode:
                done["due"] = True  # such as after a run that was killed before it remembered
            elif notes:
                later = self._ensure_authority(now, notes)
                changed, ensured = True, ensured if ensured.changed else later
        changed = done.get("changed", False) or changed
        return {**done, "changed": changed, "clients": ensured.clients, "deliveries": deliveries}

    def _server_ca(self, sent: dict[str, t.Any]) -> str:
        """Return the CA (PEM) of a certificate that somebody else issues, and send it in place of its path, if any.

        Raises RemoteApiError.
        """
        given = self._options["server_certificate"]
        if given is None:
            return ""
        path = path_here(self._loader, given["ca"])
        content = read_file(path)
        if content is None:
            raise _remote_api_options.no_server_ca(path=path)
        text = certificates.to_pem(certificates.load_bundle(content, path))
        sent["server_certificate"] = {**given, "ca": text}
        return text

    def _noted(self, folder: str) -> str:
        """Return the CAs (PEM) that are remembered for the host."""
        return _issuing.noted(self._options["ca_path"], folder, self._host)

    def _accepted(self, foreign: str) -> str:
        """Return the CAs (PEM) besides ours that the host says it trusts. From now on, clients trust them as well.

        A host has no say in that: someone who is root on it could have it name a CA of his own, and with that pass for
        every other host. Raises RemoteApiError for a CA that the policy does not allow.
        """
        policy = self._options["on_foreign_authority"]
        named = certificates.load_bundle(foreign.encode(), self._host) if foreign else ()
        given = self._options["foreign_certificates"] or ""
        known = given if self._options["ca_path"] is None else self._noted(_issuing.FOREIGN)
        allowed = certificates.load_bundle(known.encode(), self._host) if known and policy != "replace" else ()
        unknown = certificates.without(named, allowed)
        if unknown and policy != "trust":
            raise _remote_api_options.unasked_authority(
                host=self._host, theirs=certificates.describe(unknown), policy=policy
            )
        if unknown:
            self._display.warning(f"{self._host}: clients trust its CA, {certificates.describe(unknown)}, from now on.")
        return foreign

    def _notes(self, foreign: str, served: str, done: dict[str, t.Any]) -> list[_issuing.Note]:
        """Return what is to be remembered of the host by now, if that differs from what is.

        A CA is forgotten after the restart alone: until then the host serves a certificate of it.
        """
        if self._options["ca_path"] is None:
            return []
        found = [(_issuing.FOREIGN, self._host, foreign), (_issuing.SERVERS, self._host, served)]
        return [one for one in found if self._noted(one[0]) != one[2] and (one[2] or not done.get("restart_due"))]

    @property
    def _host(self) -> str:
        """The host's name in the inventory."""
        return str(self._task_vars.get("inventory_hostname"))

    @property
    def _certified_address(self) -> str:
        """The address as certificates have it: without the dot that ends an absolute name, or an IPv6 zone."""
        return names.certified_address(self._address)

    def _on_host(
        self, sent: dict[str, t.Any], authority: _authority.Authority | None, now: datetime
    ) -> dict[str, t.Any]:
        """Return the host's result: one round trip, or two if its certificate is due. Raises RemoteApiError."""
        options = self._options
        lifetime = timedelta(days=options["certificate_days"])
        wanted = profiles.profile("server", None, sent["names"], options["key_type"])
        first = self._run_module(sent)
        if first.get("missing_library") and options["install_dependencies"]:
            if self._only_look:
                return {"changed": bool(self._task.check_mode), "due": True, "reasons": [first["msg"]]}
            installed = self.install_library(self._task_vars)
            if installed.get("failed"):
                return installed
            first = self._run_module(sent)
        csr = first.pop("csr", None)
        if first.get("failed") or (authority and not first["reasons"]):
            return first
        if self._only_look or authority is None:
            return _predict(first, wanted, authority, now + lifetime, self._task.check_mode)
        signed = _authority.sign_request(authority, str(csr), wanted, lifetime, now, self._host)
        if signed.warning:
            self._display.warning(signed.warning)
        second = self._run_module({**sent, "certificate": signed.pem})
        second.pop("csr", None)
        return second if second.get("failed") else {**second, "reasons": first["reasons"]}

    def _server_names(self) -> list[str]:
        """Return the names in the certificate: those of the inventory, the addresses listened on, and those asked for.

        An inventory's name that is no DNS name is left out, with a warning. Raises RemoteApiError.
        """
        usable, left_out = names.split_names([self._host, self._certified_address])
        if left_out:
            self._display.warning(f"{left_out[0]}: this name is no DNS name, so it is not in the host's certificate.")
        return list(
            dict.fromkeys([*usable, *_remote_api_options.listen_hosts(self._listen), *_ALWAYS, *self._options["names"]])
        )

    def _find_authority(self) -> None:
        """Make the path of the CA's directory absolute. Raises RemoteApiError if no CA is named at all."""
        options = self._options
        if options["ca_path"] is None and options["ca_key"] is None:
            raise _remote_api_options.no_authority()
        for name in ("ca_path", "ledger_dir"):
            options[name] = options[name] and path_here(self._loader, options[name])
        resolve_clients(self._loader, options["clients"])

    def _authority_options(self) -> dict[str, t.Any]:
        """Return the options about the CA and its clients, by the names that certificate_authority has for them."""
        options = self._options
        named = {"path": "ca_path", "passphrase": "ca_passphrase", "common_name": "ca_common_name", "days": "ca_days"}
        same = ("ca_certificate", "ca_key", "key_type", "clients", "renew_before_days", "ledger_dir")
        wanted = {name: options[mine] for name, mine in named.items()} | {name: options[name] for name in same}
        wanted.update(client_days=options["client_days"] or options["certificate_days"])
        return wanted

    def _take_deliveries(self) -> list[dict[str, t.Any]]:
        """Return what the role is to do on clients' machines, and leave in the options the controller's clients.

        Raises RemoteApiError.
        """
        alone = len(self._task_vars.get("ansible_play_hosts_all") or ()) == 1
        port = _remote_api_options.listen_port(self._listen)
        wanted = self._authority_options()
        machines = self._task_vars.get("groups", {}).get("all", ())
        engine = f"tcp://{bracketed(self._address)}:{port}" if alone else None
        deliveries = _deliveries.take_deliveries(wanted, _deliveries.Surroundings(machines, engine))
        self._options["clients"] = wanted["clients"]
        return deliveries

    def _ensure_authority(self, now: datetime, notes: t.Sequence[_issuing.Note] = ()) -> _issuing.Ensured:
        """Make sure of the CA and the clients on the controller. Raises RemoteApiError.

        A look makes no CA: where a host trusts another one, a path with a mistake in it would get one.
        """
        options = self._options
        look = self._task.check_mode or (
            options["plan_only"] and options["ca_path"] and not _authority.exists(options["ca_path"])
        )
        done = _issuing.ensure_authority(self._authority_options(), now, look, notes)
        listed = [one["name"] for one in options["clients"]]
        unnamed = _issuing.unnamed_clients(options["ca_path"], listed, now) if options["ca_path"] else ()
        for warning in (*done.warnings, *unnamed):
            self._display.warning(warning)
        return done

    def _is_due(self, done: dict[str, t.Any]) -> bool:
        """Return whether something is left to do on the host."""
        return bool(done.get("restart_due") or (self._only_look and done.get("due")))

    def _settled(self, done: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the result, which says whether the host is as it is asked for by now."""
        return done if done.get("failed") else {**done, "settled": not self._is_due(done)}

    def _verified(self, done: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the result with what verify found. Nothing is verified while something is due on the host."""
        options = self._options
        if options["verify_from"] == "none" or done.get("failed") or self._is_due(done):
            return done
        arguments = {"listen": list(self._listen), "tls": options["tls"], "run_on": options["verify_from"]}
        if options["state"] == "absent":
            arguments.update(state="absent", tls=False)
        elif options["tls"]:
            wanted = () if options["verify_from"] == "host" else ("ca_path", "ca_passphrase", "ca_key")
            arguments.update({name: options[name] for name in wanted if options[name] is not None})
            arguments["ca_certificate"] = self._trusted
            if self._certified_address != self._address:
                arguments["tls_hostname"] = self._certified_address
            if options["verify_from"] == "host" and not done.get("managed", True):
                arguments["tls_hostname"] = self._address  # somebody else's certificate need not have 127.0.0.1
        verified = self._verify(arguments)
        result = {**done, "checks": verified.get("checks", [])}
        return {**result, "failed": True, "msg": verified["msg"]} if verified.get("failed") else result

    def _verify(self, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the result of verify. Its action is not run: to load it in each host's process took a sixth of all."""
        if arguments["run_on"] == "host":
            name = "dockerfleet.remote_api.verify"
            found: dict[str, t.Any] = self._execute_module(name, arguments, task_vars=self._task_vars)
            return found
        try:
            params = checked_options(VERIFY_ARGUMENTS, {}, arguments)
            return verify_from_here(params, self._address, datetime.now(UTC), self._opened)
        except RemoteApiError as problem:
            return {"failed": True, "msg": str(problem)}

    def _run_module(self, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the result of the module on the host: one round trip."""
        result: dict[str, t.Any] = self._execute_module(
            module_name=_MODULE, module_args=arguments, task_vars=self._task_vars
        )
        return {name: value for name, value in result.items() if name not in _CONTROLLERS_RESULTS}


def _predict(
    first: dict[str, t.Any],
    wanted: profiles.Profile,
    authority: _authority.Authority | None,
    end: datetime,
    changed: bool,
) -> dict[str, t.Any]:
    """Return the result of a look, as if a certificate that ends at ``end``, or with its CA, had been issued."""
    ends = [end, certificates.not_after(authority.certificate)] if authority else [end]
    if not first["managed"]:
        return {**first, "changed": changed, "due": True}
    reasons = first["reasons"] or ["it is to be issued by a CA that is still to be made"]
    predicted = facts.predicted(wanted, min(ends))
    return {**first, **predicted, "changed": changed, "due": True, "issued": True, "reasons": reasons}
