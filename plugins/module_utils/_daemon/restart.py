# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Why the running daemon has to be restarted: what the process shows is compared with the plan, not remembered."""

from __future__ import annotations

import ssl
import time
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.endpoint import presented_certificate
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.model import Plan
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.process import Process
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.tls_files import TlsFiles
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._files import read_state
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._pem import find_certificates
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import ServiceState

_PROBE_LIMIT = 5.0


def restart_reasons(plan: Plan, state: ServiceState) -> list[str]:
    """Return why the daemon has to be restarted, empty if it need not be. Raises FilesError."""
    if plan.running is None or not state.is_running:
        return [f"the service is not running (it is {state.active})"]
    found = []
    if plan.running.argv[1:] != tuple(plan.argv[1:]):
        found.append("it runs with other arguments")
    if plan.conflicts:
        found.append("keys were taken out of daemon.json")
    if plan.tls:
        found += _tls_reasons(plan, plan.tls, plan.running)
    return found


def _tls_reasons(plan: Plan, files: TlsFiles, running: Process) -> t.Iterator[str]:
    """Yield which TLS files the daemon has not read as they will be: it reads them at its start only.

    The certificate that it presents is compared with the file. What cannot be seen from outside, such as the CA
    certificates that it trusts, is judged by the file's time of change.
    """
    replaced = [path for path in files.paths() if _is_replaced(plan, path)]
    yield from (f"{path} is replaced" for path in replaced)
    presented = None if replaced else _presented(plan)
    unseen: tuple[str, ...] = files.paths()
    if presented is not None:
        unseen = (files.ca, files.key)
        if presented != expected_certificate(plan):
            yield f"it presents another certificate than the one in {files.certificate}"
    for path in unseen:
        if path not in replaced and _is_newer(path, running):
            yield f"{path} is newer than the running daemon"


def _is_replaced(plan: Plan, path: str) -> bool:
    """Return whether the plan changes the bytes of the file."""
    change = plan.change_of(path)
    return change is not None and (change.before is None or change.before.content != change.after)


def _presented(plan: Plan) -> bytes | None:
    """Return the certificate (DER) that the running daemon presents; None if it cannot be seen."""
    if not plan.before.uses_tls:
        return None
    for address in plan.before.listen:
        try:
            return presented_certificate(address, _PROBE_LIMIT)
        except OSError:
            continue
    return None


def expected_certificate(plan: Plan) -> bytes | None:
    """Return the certificate (DER) that the daemon presents after the plan; None without one that can be read."""
    blocks = find_certificates((plan.content_of(plan.tls.certificate) or b"") if plan.tls else b"")
    try:
        return ssl.PEM_cert_to_DER_cert(blocks[0].text.decode("ascii", "replace")) if blocks else None
    except ValueError:
        return None


def _is_newer(path: str, running: Process) -> bool:
    """Return whether the file was changed after the daemon's start.

    A time that is still to come says nothing: the clock was wrong, or the file was copied with its time. It would ask
    for a restart in every run.
    """
    found = read_state(path)
    return found is not None and running.started_ns < found.mtime_ns <= time.time_ns()


__all__ = ("expected_certificate", "restart_reasons")
