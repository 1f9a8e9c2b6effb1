# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Judge what was found of a fleet: each finding has a grade, a reason, and the command that mends it.

Nothing here asks anybody: engines were examined and files read before. ``critical`` means that somebody gets in who
must not, or that clients are refused now; ``warning`` that this will be so, or is one mistake away; ``unknown`` that it
could not be judged from here.
"""

from __future__ import annotations

import functools
import shlex
import typing as t
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._addresses import is_loopback
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import exposure
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.exposure import Exposure
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import certificates, keys, profiles
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.library import (
    ec,
    exceptions,
    rsa,
    x509,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.names import (
    certified_address,
    covers,
    split_names,
)

CRITICAL, WARNING, UNKNOWN, OK = GRADES = ("critical", "warning", "unknown", "ok")

# A CA is replaced in several steps, which touch each host and each client; so it is reported earlier than others.
_CA_WARNING_DAYS = 180

# The extended key usages by their identifiers (RFC 5280, section 4.2.1.12).
_USAGES = {"1.3.6.1.5.5.7.3.1": "server", "1.3.6.1.5.5.7.3.2": "client", "2.5.29.37.0": "any"}


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    ``host`` is the host's name in the inventory, ``client NAME`` or ``CA FILE``; ``check`` is a name for programs;
    ``address`` is empty if the finding is about none. ``remedy`` is a command, empty if nothing is to be done.
    """

    host: str
    grade: str
    check: str
    reason: str
    remedy: str = ""
    address: str = ""


@dataclass(frozen=True)
class Certificate:
    """A certificate that was judged. ``kind`` is ``server``, ``client`` or ``ca``; ``owner`` is as Finding.host.

    ``current`` is false for a client's older certificates, and for those of clients that are not wanted.
    """

    kind: str
    owner: str
    address: str
    content: x509.Certificate
    grade: str = OK
    current: bool = True


@dataclass(frozen=True)
class Trust:
    """A CA: where its certificates come from, they themselves, and every certificate that it issued.

    ``clients`` has the names of the clients that are still wanted, None if that is not known, and ``unlisted`` says why
    others are not. ``retired`` has the certificates of the CAs that it replaced.
    """

    name: str
    bundle: tuple[x509.Certificate, ...]
    issued: tuple[x509.Certificate, ...] = ()
    clients: frozenset[str] | None = None
    retired: tuple[x509.Certificate, ...] = ()
    unlisted: str = "it has no directory here any more"

    @functools.cached_property
    def servers(self) -> dict[x509.Name, list[x509.Certificate]]:
        """The certificates that were issued for others than clients, by their subjects, in the order of their dates."""
        found: dict[x509.Name, list[x509.Certificate]] = {}
        for one in sorted(self.issued, key=certificates.not_before):
            if not is_client(one):
                found.setdefault(one.subject, []).append(one)
        return found

    def with_list(self, clients: t.Iterable[str]) -> Trust:
        """Return the CA with these clients wanted, which are those that its hosts list."""
        unlisted = "no host of this audit lists it in docker_remote_api_clients"
        return replace(self, clients=frozenset(clients), unlisted=unlisted)


@dataclass(frozen=True)
class Host:
    """A host to judge: its name, the name or address by which clients reach it, its CA, and what its file holds.

    Commands name it by ``inventory`` (the words for ``-i``) and ``target`` (its name, if that is empty). ``fault`` is
    what is wrong with its settings, empty if nothing is.
    """

    name: str
    address: str
    trust: Trust | None = None
    on_disk: x509.Certificate | None = None
    inventory: str = "INVENTORY"
    target: str = ""
    fault: str = ""

    def playbook(self, name: str, *words: str) -> str:
        """Return the command that runs a playbook of the collection on this host."""
        return command(self.inventory, name, "-e", f"target={self.target or self.name}", *words)

    @property
    def look(self) -> str:
        """The command that tells what listens on this host."""
        return f"ansible -i {self.inventory} {shlex.quote(self.target or self.name)} -b -a 'ss -ltnp'"

    @property
    def settings(self) -> str:
        """The command that shows the variables of this host."""
        return f"ansible-inventory -i {self.inventory} --host {shlex.quote(self.name)}"


@dataclass(frozen=True)
class Judgement:
    """The findings and certificates of a host, a CA, or a CA's clients."""

    findings: tuple[Finding, ...] = ()
    certificates: tuple[Certificate, ...] = ()


# What is wrong: grade, check and reason.
Fault = tuple[str, str, str]


def command(inventory: str, playbook: str, *words: str) -> str:
    """Return the command that runs a playbook of the collection. ``inventory`` has its words for ``-i``."""
    quoted = " ".join(shlex.quote(word) for word in words)
    return f"ansible-playbook -i {inventory} dockerfleet.remote_api.{playbook} {quoted}".rstrip()


def days_left(certificate: x509.Certificate, now: datetime) -> int:
    """Return the whole days until the certificate ends, negative if it has ended."""
    return (certificates.not_after(certificate) - now) // timedelta(days=1)


def ends_within(certificate: x509.Certificate, days: int, now: datetime) -> bool:
    """Return whether the certificate has fewer days left, or has ended.

    One that was issued for no longer than that is measured by a third of its time, after which it is renewed.
    """
    end = certificates.not_after(certificate)
    lifetime, limit = end - certificates.not_before(certificate), timedelta(days=days)
    return end - now < (lifetime / 3 if lifetime <= limit else limit)


def usages(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return what the certificate's extended key usage allows: ``server``, ``client``, ``any``, or a dotted number.

    Without the extension everything is allowed, ``any`` (RFC 5280, section 4.2.1.12). Raises UnreadableError.
    """
    found = certificates.extension(certificate, x509.ExtendedKeyUsage)
    return ("any",) if found is None else tuple(_USAGES.get(one.dotted_string, one.dotted_string) for one in found)


def worst(grades: t.Iterable[str]) -> str:
    """Return the worst of the grades, ``ok`` if there is none."""
    return min(grades, key=GRADES.index, default=OK)


def is_client(content: x509.Certificate) -> bool:
    """Return whether a certificate was issued for clients."""
    try:
        return "client" in usages(content)
    except certificates.UnreadableError:
        return False


# --- certificates ------------------------------------------------------------------------------------------------


def _date_faults(certificate: x509.Certificate, warn_below: int, now: datetime) -> list[Fault]:
    """Return what is wrong with the certificate's dates."""
    end = certificates.iso(certificates.not_after(certificate))
    if now > certificates.not_after(certificate):
        return [(CRITICAL, "expired", f"it expired on {end}")]
    if now < certificates.not_before(certificate):
        start = certificates.iso(certificates.not_before(certificate))
        return [(CRITICAL, "not_yet_valid", f"it is not valid before {start}")]
    if ends_within(certificate, warn_below, now):
        days = days_left(certificate, now)
        return [(WARNING, "expires_soon", f"it expires in {days} {'day' if days == 1 else 'days'}, on {end}")]
    return []


def _strength_faults(certificate: x509.Certificate) -> list[Fault]:
    """Return what is wrong with the certificate's key and signature. Raises UnreadableError."""
    key = certificates.public_key(certificate)
    faults = []
    if isinstance(key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)):
        needed = 2048 if isinstance(key, rsa.RSAPublicKey) else 256
        if key.key_size < needed:
            faults.append((WARNING, "weak_key", f"its key is weak ({keys.type_of(key)})"))
    try:
        digest = certificate.signature_hash_algorithm
    except exceptions.UnsupportedAlgorithm:
        digest = None
    if digest is not None and digest.name in ("md5", "sha1") and certificate.issuer != certificate.subject:
        faults.append((WARNING, "weak_signature", f"it is signed with {digest.name.upper()}, which clients refuse"))
    return faults


def _server_faults(certificate: x509.Certificate, host: Host) -> list[Fault]:
    """Return what is wrong with the names, usages and issuer of the host's certificate. Raises UnreadableError."""
    faults: list[Fault] = []
    have, allowed = certificates.names(certificate), usages(certificate)
    wanted = split_names([certified_address(host.address)])[0]
    if not have:
        faults.append((WARNING, "no_names", "it has no subjectAltName, so that clients refuse it"))
    elif not any(covers(have, one) for one in wanted):
        faults.append((WARNING, "name_missing", f"it does not carry the name {host.address}, only {', '.join(have)}"))
    if not {"server", "any"} & set(allowed):
        reason = "it is not for servers (extendedKeyUsage), so that clients refuse it"
        faults.append((CRITICAL, "not_for_servers", reason))
    if {"client", "any"} & set(allowed):
        reason = "it can be used as a client as well: whoever has this host's key gets into the other hosts"
        faults.append((WARNING, "usable_as_client", reason))
    return faults


def _trust_faults(certificate: x509.Certificate, host: Host) -> list[Fault]:
    """Return how the host's certificate does not fit its CA, its ledger and its file. Raises UnreadableError."""
    faults: list[Fault] = []
    trust = host.trust
    anchor = certificates.find_anchor([certificate], trust.bundle) if trust else None
    if trust and anchor is None and certificates.find_anchor([certificate], trust.retired):
        reason = f"it was issued by {certificates.issuer(certificate)}, which was replaced: its clients still get in"
        faults.append((WARNING, "retired_issuer", reason))
    elif trust and trust.bundle and anchor is None:
        reason = f"it was issued by {certificates.issuer(certificate)}, and not by the CA in {trust.name}"
        faults.append((WARNING, "wrong_issuer", reason))
    if anchor is not None and certificates.not_after(anchor) < certificates.not_after(certificate):
        end = certificates.iso(certificates.not_after(anchor))
        faults.append((WARNING, "ca_ends_first", f"its CA ends before it does, on {end}"))
    newer = None
    if host.on_disk is not None and host.on_disk != certificate:
        newer = (host.on_disk, "older_than_file", "it is not the one in the host's file")
    elif trust and (issued := _newer(certificate, trust)):
        newer = (issued, "older_than_issued", "a newer one was issued for this host")
    if newer:
        since = certificates.iso(certificates.not_before(newer[0]))
        faults.append((WARNING, newer[1], f"{newer[2]}, which is valid since {since}: the engine was not restarted"))
    return faults


def _newer(certificate: x509.Certificate, trust: Trust) -> x509.Certificate | None:
    """Return the certificate that the CA issued last for the same host, None if it is this one or it issued neither."""
    same = trust.servers.get(certificate.subject, [])
    if certificate not in same or certificates.not_before(same[-1]) <= certificates.not_before(certificate):
        return None
    return same[-1]


def _certificate_faults(
    host: Host, served: bytes, warn_below: int, now: datetime
) -> tuple[list[Fault], x509.Certificate | None]:
    """Return what is wrong with the certificate (DER) that a host serves, and the certificate if it can be read."""
    content = None
    faults: list[Fault] = []
    try:
        content = certificates.load_der(served)
        faults += _date_faults(content, warn_below, now)
        faults += _server_faults(content, host) + _strength_faults(content) + _trust_faults(content, host)
    except certificates.UnreadableError as exc:
        faults.append((WARNING, "unreadable", f"a part of it cannot be read: {exc}"))
    return faults, content


# --- hosts -------------------------------------------------------------------------------------------------------


def judge_host(host: Host, exposures: t.Sequence[Exposure], warn_below: int, now: datetime) -> Judgement:
    """Judge a host by what was found at its ports. A certificate that is served at several ports is judged once."""
    served: dict[bytes, Certificate] = {}
    all_faults: list[tuple[str, Fault]] = []
    for one in exposures:
        faults = _access_faults(one) + _told_faults(one, exposures)
        if one.certificate is not None and one.certificate not in served:
            judged, content = _certificate_faults(host, one.certificate, warn_below, now)
            faults += [(grade, check, f"the engine's certificate: {reason}") for grade, check, reason in judged]
            if content is not None:
                grade = worst(fault[0] for fault in judged)
                served[one.certificate] = Certificate("server", host.name, one.address, content, grade)
        all_faults += [(one.address, fault) for fault in faults]
    findings = _with_remedies(host, all_faults)
    reached = [one for one in exposures if one.access not in (exposure.CLOSED, exposure.NO_ANSWER)]
    if not reached:
        closed = ", ".join(str(one.port) for one in exposures if one.access == exposure.CLOSED)
        parts = [f"nothing listens on port {closed}"] if closed else []
        parts += dict.fromkeys(one.detail for one in exposures if one.access == exposure.NO_ANSWER)
        findings.append(Finding(host.name, UNKNOWN, "not_reached", f"no engine answers: {'; '.join(parts)}", host.look))
    if host.fault:
        reason = f"it was judged without its settings, as one cannot be used: {host.fault}"
        findings.append(Finding(host.name, UNKNOWN, "bad_settings", reason, host.settings))
    if not findings:
        access = ", ".join(f"{one.address} takes trusted clients only" for one in reached)
        left = min((days_left(one.content, now) for one in served.values()), default=None)
        findings.append(Finding(host.name, OK, "ok", access if left is None else f"{access}; {left} days left"))
    return Judgement(tuple(findings), tuple(served.values()))


def _with_remedies(host: Host, faults: t.Sequence[tuple[str, Fault]]) -> list[Finding]:
    """Return the findings for what is wrong at the addresses of a host, each with the command that mends it."""
    foreign = any(check == "wrong_issuer" for _address, (_grade, check, _reason) in faults)
    # Where another CA is in use, the role changes nothing unless it is told what to do about that.
    secure = host.playbook("secure", *(("-e", "docker_remote_api_on_foreign_authority=trust") if foreign else ()))
    remedies = {
        "not_an_engine": host.look,
        "ca_ends_first": command(host.inventory, "rotate_authority"),
        "certificate_not_seen": host.playbook("audit", "-e", "docker_remote_api_audit_cert_path=DIRECTORY"),
    }
    return [
        Finding(host.name, grade, check, reason, remedies.get(check, secure), address)
        for address, (grade, check, reason) in faults
    ]


def _access_faults(found: Exposure) -> list[Fault]:
    """Return what is wrong with who gets in at a port."""
    faults: list[Fault] = []
    everybody = "whoever reaches the port is root on the host"
    local = is_loopback(found.host)
    if found.access == exposure.PLAIN and local:
        faults.append((WARNING, "plain", "the engine answers without TLS: each user of this machine is root on it"))
    elif found.access == exposure.PLAIN:
        faults.append((CRITICAL, "plain", f"the engine answers everybody, without TLS: {everybody}"))
    elif found.access == exposure.TLS:
        faults.append((CRITICAL, "no_client_certificate", f"the engine asks for no client's certificate: {everybody}"))
    elif found.access == exposure.ANY_CERTIFICATE:
        reason = f"the engine takes clients with a certificate of any CA: {everybody}"
        faults.append((CRITICAL, "any_client_certificate", reason))
    elif found.access == exposure.OTHER:
        faults.append((WARNING, "not_an_engine", f"something that is no engine listens: {found.detail}"))
    elif found.access == exposure.MUTUAL_TLS and found.certificate is None:
        reason = "its certificate cannot be seen without a client's, as the engine speaks TLS 1.2 at most"
        faults.append((UNKNOWN, "certificate_not_seen", reason))
    if found.admitted is False:
        reason = f"the engine refuses a client of its CA: {found.detail}"
        faults.append((WARNING, "client_refused", reason))
    return faults


def _told_faults(found: Exposure, exposures: t.Iterable[Exposure]) -> list[Fault]:
    """Return of which open addresses the engine itself warns, besides those that were found open."""
    found_open = {str(one.port) for one in exposures if one.access in (exposure.PLAIN, exposure.TLS)}
    faults: list[Fault] = []
    for address in exposure.open_addresses(found.info):
        host, _colon, port = address.split("://", 1)[1].rpartition(":")
        local = is_loopback(host.strip("[]"))
        if port not in found_open:
            reason = (
                f"the engine itself warns that {address} is open to {'the users of its host' if local else 'everybody'}"
            )
            faults.append((WARNING if local else CRITICAL, "engine_warns", reason))
    return faults


# --- CAs and clients ---------------------------------------------------------------------------------------------


def judge_authority(trust: Trust, inventory: str, now: datetime) -> Judgement:
    """Judge a CA by its certificates."""
    findings: list[Finding] = []
    judged: list[Certificate] = []
    owner = f"CA {trust.name}"
    for content in trust.bundle:
        faults = _date_faults(content, _CA_WARNING_DAYS, now)
        try:
            faults += _strength_faults(content)
            if not profiles.is_strict(content):
                reason = "Python 3.13 and others refuse it, since it has no keyUsage or another part is missing"
                faults.append((WARNING, "not_strict", reason))
        except (certificates.UnreadableError, ValueError) as exc:
            faults.append((WARNING, "unreadable", f"a part of it cannot be read: {exc}"))
        rotate = command(inventory, "rotate_authority")
        subject = certificates.subject_of(content)
        findings += [
            Finding(owner, grade, f"ca_{check}", f"{subject}: {reason}", rotate) for grade, check, reason in faults
        ]
        judged.append(Certificate("ca", owner, "", content, worst(fault[0] for fault in faults)))
    if not findings and judged:
        left = min(days_left(one.content, now) for one in judged)
        findings.append(Finding(owner, OK, "ok", f"{left} days left"))
    return Judgement(tuple(findings), tuple(judged))


def judge_clients(trust: Trust, inventory: str, warn_below: int, now: datetime) -> Judgement:
    """Judge the clients of a CA by its ledger: the last certificate of each, and older ones that still open engines.

    A client that is not wanted is left out once its certificate has ended.
    """
    by_name: dict[str, list[x509.Certificate]] = {}
    for content in trust.issued:
        if is_client(content) and not certificates.find_anchor([content], trust.retired):
            by_name.setdefault(certificates.common_name(content), []).append(content)
    findings: list[Finding] = []
    judged: list[Certificate] = []
    for name, contents in sorted(by_name.items()):
        wanted = trust.clients is None or name in trust.clients
        last, *older = sorted(contents, key=certificates.not_after, reverse=True)
        owner = f"client {name}"
        older = [one for one in older if certificates.not_after(one) > now]
        if wanted or certificates.not_after(last) > now:
            unwanted = "" if wanted else trust.unlisted
            found = _judge_client(owner, last, unwanted, command(inventory, "secure"), warn_below, now)
            findings.append(replace(found, reason=f"{found.reason}{_still_valid(older)}"))
            judged.append(Certificate("client", owner, "", last, found.grade, wanted))
            judged += [Certificate("client", owner, "", one, current=False) for one in older]
    return Judgement(tuple(findings), tuple(judged))


def _judge_client(
    owner: str, last: x509.Certificate, unwanted: str, renew: str, warn_below: int, now: datetime
) -> Finding:
    """Return the finding for a client's last certificate. ``unwanted`` says why it is not wanted, empty if it is."""
    end = certificates.iso(certificates.not_after(last))
    if unwanted:
        return Finding(owner, OK, "not_listed", f"{unwanted}, and it gets in until {end}")
    for _grade, check, reason in _date_faults(last, warn_below, now):
        # Only this client is kept out, and no engine; one for a working day ends every day.
        return Finding(owner, WARNING, check, reason, renew)
    return Finding(owner, OK, "ok", f"{days_left(last, now)} days left")


def _still_valid(older: t.Sequence[x509.Certificate]) -> str:
    """Return what to add for older certificates that still open engines, empty if there is none."""
    if not older:
        return ""
    end = certificates.iso(max(certificates.not_after(one) for one in older))
    return f"; {len(older)} older {'one gets' if len(older) == 1 else 'ones get'} in until {end}"


__all__ = (
    "CRITICAL",
    "GRADES",
    "OK",
    "UNKNOWN",
    "WARNING",
    "Certificate",
    "Finding",
    "Host",
    "Judgement",
    "Trust",
    "command",
    "days_left",
    "ends_within",
    "is_client",
    "judge_authority",
    "judge_clients",
    "judge_host",
    "usages",
    "worst",
)
