# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Carry out an audit: open the CAs, examine all hosts at once, and have what was found judged.

A whole fleet is examined in threads of one process: a task on each host would cost a process for each of them.
"""

from __future__ import annotations

import glob
import os
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._addresses import (
    is_loopback,
    is_unspecified,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import (
    ENGINE_ARGUMENTS,
    PLAIN_PORT,
    TLS_PORT,
    ClientEnvironment,
    TlsOptions,
    resolve,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.exposure import (
    CLOSED,
    NO_ANSWER,
    Exposure,
    Visitor,
    examine,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.tls import make_context
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import read_file
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import certificates, errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.library import x509
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _audit, _authority, _issuing, _rotation

# Most of the time of an examination is spent waiting, up to seconds for each port that does not answer.
_THREADS = 64

Endpoint = tuple[str, int]


@dataclass(frozen=True)
class Ca:
    """What is known of a host's CA. Each part may be missing.

    ``authority`` can issue a client that the host's engine should let in; ``client`` is one whose files are there.
    ``path`` is its directory. ``warnings`` has what the user should know.
    """

    path: str | None = None
    trust: _audit.Trust | None = None
    authority: _authority.Authority | None = None
    client: Visitor | None = None
    warnings: tuple[str, ...] = ()

    def visitor(self) -> Visitor | None:
        """Return the client that the host's engine should let in, None if there is none."""
        return _client_of(self.authority) if self.authority else self.client


@dataclass(frozen=True)
class Job:
    """A host to audit: the addresses to examine there, and its CA.

    ``clients`` has the names of the clients that the host lists, None if it is not known whether it has such a list.
    """

    host: _audit.Host
    endpoints: tuple[Endpoint, ...]
    ca: Ca
    clients: frozenset[str] | None = None


@dataclass(frozen=True)
class Engine:
    """What was found at an address of a host, by the host's name."""

    host: str
    found: Exposure


@dataclass(frozen=True)
class Audit:
    """The outcome: findings (the worst first), certificates (those that end first come first), and engines."""

    time: datetime
    findings: tuple[_audit.Finding, ...]
    certificates: tuple[_audit.Certificate, ...]
    engines: tuple[Engine, ...]


# --- options -----------------------------------------------------------------------------------------------------


def endpoints_of(address: str) -> tuple[Endpoint, ...]:
    """Return the host and port of an address such as tcp://HOST:PORT. Without a port these are both of Docker's.

    Raises OptionError for text that is no TCP address.
    """
    defaults = {name: argument.get("default") for name, argument in ENGINE_ARGUMENTS.items()}
    found: dict[Endpoint, None] = {}
    for tls in (False, True):
        connection = resolve({**defaults, "docker_host": address, "tls": tls}, ClientEnvironment.empty())
        if connection.socket_path is not None:
            raise errors.bad_options(cause=f"{address} is a unix socket, and only TCP addresses can be audited")
        found[connection.host, connection.port] = None
    return tuple(found)


def endpoints_of_host(address: str, listen: t.Iterable[str]) -> tuple[Endpoint, ...]:
    """Return the addresses to examine of a host that clients reach by ``address``, and that should listen on others.

    These are Docker's two ports, and those of ``listen`` where they can be reached from elsewhere. Raises OptionError.
    """
    found: dict[Endpoint, None] = {(address, PLAIN_PORT): None, (address, TLS_PORT): None}
    for one in listen:
        for host, port in endpoints_of(one):
            if not is_loopback(host):
                found[address if is_unspecified(host) else host, port] = None
    return tuple(found)


# --- CAs ---------------------------------------------------------------------------------------------------------


def load_ca(source: _authority.AuthoritySource, cert_path: str | None, now: datetime) -> Ca:
    """Return what can be known of a CA from its directory or text, and from a client's directory.

    A CA without a key, or one that has expired, is judged as well; it only issues no client. Raises RemoteApiError for
    a wrong passphrase and for files that cannot be read.
    """
    client = client_in(cert_path) if cert_path else None
    name, content = _certificates_of(source, cert_path)
    bundle = certificates.load_bundle(content, name) if content is not None else ()
    issued, warnings = _read_ledger(source)
    if cert_path and client and client.certificate:
        own = certificates.load_bundle(read_file(client.certificate) or b"", client.certificate)[0]
        issued = issued if own in issued else (*issued, own)
    names = _client_names(source.path, cert_path)
    retired = _rotation.retired(source.path) if source.path else ()
    trust = _audit.Trust(name, bundle, issued, names, retired) if bundle or issued else None
    return Ca(source.path, trust, _open(source, bundle, now), client, warnings)


def trust_of(ca: Ca, host: str) -> _audit.Trust | None:
    """Return whom clients of this host trust: its CA, and those that the CA's directory remembers for the host.

    These are the CA of a certificate that somebody else keeps up to date there, and one that was there before.
    Raises RemoteApiError.
    """
    if ca.trust is None or ca.path is None:
        return ca.trust
    kinds = (_issuing.SERVERS, _issuing.FOREIGN)
    texts = {f"{ca.path}/{kind}, {host}": _issuing.noted(ca.path, kind, host) for kind in kinds}
    more = [one for name, text in texts.items() if text for one in certificates.load_bundle(text.encode(), name)]
    return replace(ca.trust, bundle=(*ca.trust.bundle, *more))


def _certificates_of(source: _authority.AuthoritySource, cert_path: str | None) -> tuple[str, bytes | None]:
    """Return where the CA's certificates come from, and their PEM text, None if there are none."""
    if source.key is not None:
        return "ca_certificate", (source.certificate or "").encode()
    places = [os.path.join(one, _authority.CERTIFICATE_FILE) for one in (source.path, cert_path) if one]
    for place in places:
        content = read_file(place)
        if content is not None:
            return place, content
    return places[0] if places else "", None


def _open(
    source: _authority.AuthoritySource, bundle: t.Sequence[x509.Certificate], now: datetime
) -> _authority.Authority | None:
    """Return the CA, ready to issue a client, None if it has no key here or is out of date. Raises RemoteApiError.

    While a CA is being replaced, the one that signs may have expired before the other one.
    """
    in_date = any(certificates.not_before(one) <= now <= certificates.not_after(one) for one in bundle)
    has_key = source.key is not None or (
        source.passphrase is not None and os.path.exists(os.path.join(source.path or "", _authority.KEY_FILE))
    )
    try:
        return source.open(now) if in_date and has_key else None
    except errors.OutOfDateError:
        return None


def client_in(cert_path: str) -> Visitor:
    """Return the client in a directory with cert.pem and key.pem. Raises RemoteApiError if it cannot be used."""
    client = Visitor(os.path.join(cert_path, "cert.pem"), os.path.join(cert_path, "key.pem"))
    make_context(TlsOptions(False, None, client.certificate, client.key, ""))
    return client


def _client_names(path: str | None, cert_path: str | None) -> frozenset[str] | None:
    """Return the names of the clients that have a directory, None if nothing is known of them."""
    folder = os.path.join(path or "", _issuing.CLIENTS)
    if cert_path or not path or not os.path.isdir(folder):
        return None
    return frozenset(os.listdir(folder))


def _read_ledger(source: _authority.AuthoritySource) -> tuple[tuple[x509.Certificate, ...], tuple[str, ...]]:
    """Return each certificate in the ledger, and a warning for each file that holds none or cannot be read."""
    folder = source.ledger_dir or (source.path and os.path.join(source.path, _authority.LEDGER))
    found: list[x509.Certificate] = []
    warnings = []
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*.pem"))) if folder else ():
        try:
            found.append(certificates.load_bundle(read_file(path) or b"", path)[0])
        except RemoteApiError as exc:
            warnings.append(f"{exc} It was left out of the audit.")
    return tuple(found), tuple(warnings)


def _client_of(authority: _authority.Authority) -> Visitor:
    """Return a client of five minutes. Each host gets its own, as the audit of a large fleet may take longer."""
    return Visitor(pem=b"".join(_authority.ephemeral_client(authority, datetime.now(UTC))))


# --- the audit ---------------------------------------------------------------------------------------------------


def audit(jobs: t.Sequence[Job], inventory: str, warn_below: int, timeout: float, now: datetime) -> Audit:
    """Audit the hosts, their CAs and the clients of these.

    :param inventory: what the commands in the findings name as the inventory.
    :param warn_below: certificates with fewer days left get a warning.
    :param timeout: how long each exchange with an engine may take, in seconds.
    Raises OptionError if the files of a client cannot be used.
    """
    nobody = _authority.ephemeral_authority(now)
    pairs = [(job, endpoint) for job in jobs for endpoint in job.endpoints]

    def examine_one(pair: tuple[Job, Endpoint]) -> Exposure:
        job, (host, port) = pair
        return examine(host, port, _client_of(nobody), job.ca.visitor(), timeout)

    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        exposures = list(pool.map(examine_one, pairs))
    by_host: dict[str, list[Exposure]] = {}
    for (job, _endpoint), found in zip(pairs, exposures, strict=True):
        by_host.setdefault(job.host.name, []).append(found)
    judged = [_audit.judge_host(job.host, by_host[job.host.name], warn_below, now) for job in jobs]
    for trust in _trusts(jobs):
        judged.append(_audit.judge_authority(trust, inventory, now))
        judged.append(_audit.judge_clients(trust, inventory, warn_below, now))
    engines = [Engine(job.host.name, one) for job in jobs for one in _worth_telling(by_host[job.host.name])]
    return gather(judged, engines, now)


def _trusts(jobs: t.Iterable[Job]) -> list[_audit.Trust]:
    """Return each CA once. Its clients are those that its hosts list; if no list is known, those that were found."""
    found: dict[int, _audit.Trust] = {}
    # By the certificates: hosts may name the same CA in several ways, for instance with and without a passphrase.
    listed: dict[tuple[x509.Certificate, ...], set[str]] = {}
    for job in jobs:
        if job.ca.trust is not None:
            found[id(job.ca.trust)] = job.ca.trust
            if job.clients is not None:
                listed.setdefault(job.ca.trust.bundle, set()).update(job.clients)
    return [one.with_list(listed[one.bundle]) if one.bundle in listed else one for one in found.values()]


def _worth_telling(exposures: t.Sequence[Exposure]) -> t.Sequence[Exposure]:
    """Return what was found at the open ports of a host, or at the last of all if none is."""
    return [one for one in exposures if one.access not in (CLOSED, NO_ANSWER)] or exposures[-1:]


def gather(judged: t.Sequence[_audit.Judgement], engines: t.Iterable[Engine], now: datetime) -> Audit:
    """Return the audit that the judgements make up."""
    findings = [one for judgement in judged for one in judgement.findings]
    served = [one for judgement in judged for one in judgement.certificates]
    return Audit(
        now,
        tuple(sorted(findings, key=lambda one: _audit.GRADES.index(one.grade))),
        tuple(sorted(served, key=lambda one: certificates.not_after(one.content))),
        tuple(engines),
    )


def alarm(found: Audit, fail_below: int | None) -> str:
    """Return why a scheduler should be told, empty if it should not.

    That is for critical findings and certificates with fewer days left, unless ``fail_below`` is None, and for hosts
    with settings that cannot be used: with a wrong passphrase, much of what would be critical is not found.
    """
    parts = []
    critical = dict.fromkeys(one.host for one in found.findings if one.grade == _audit.CRITICAL)
    if critical and fail_below is not None:
        parts.append(f"Critical: {_listed(critical)}.")
    ending = dict.fromkeys(
        one.owner
        for one in found.certificates
        if one.current and fail_below is not None and _audit.ends_within(one.content, fail_below, found.time)
    )
    if ending:
        parts.append(f"A certificate with fewer than {fail_below} days left: {_listed(ending)}.")
    if unusable := {one.host: one.reason for one in found.findings if one.check == "bad_settings"}:
        parts.append(f"Judged without settings: {_listed(unusable)}. The first: {next(iter(unusable.values()))}")
    return " ".join(parts)


def _listed(names: t.Collection[str]) -> str:
    """Return the names on one line, at most ten of them."""
    shown = list(names)[:10]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def with_disk(host: _audit.Host, content: str) -> _audit.Host:
    """Return the host with the certificate (PEM) that its file holds; as it is if the text holds none.

    Ansible decodes files with surrogateescape, so the text may have what no encoding takes. It is in no certificate.
    """
    try:
        return replace(host, on_disk=certificates.load_bundle(content.encode(errors="replace"), host.name)[0])
    except errors.TlsError:
        return host


__all__ = (
    "Audit",
    "Ca",
    "Endpoint",
    "Engine",
    "Job",
    "alarm",
    "audit",
    "client_in",
    "endpoints_of",
    "endpoints_of_host",
    "gather",
    "load_ca",
    "trust_of",
    "with_disk",
)
