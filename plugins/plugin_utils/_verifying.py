# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""The checks of verify from the controller, with clients that the CA issues for them alone."""

from __future__ import annotations

import os
import ssl
import typing as t
from datetime import datetime

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.verification import Identities, verify
from ansible_collections.dockerfleet.remote_api.plugins.plugin_utils import _authority, _rotation

# To parse a certificate's time and to make a TLS context takes longest when it is first done in a process. This is run
# before Ansible forks a process for each host, so that these need not load the same again.
ssl.cert_time_to_seconds("Jan  1 00:00:00 1970 GMT")
ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def verify_from_here(
    params: t.Mapping[str, t.Any], host: str, now: datetime, opened: _authority.Authority | None = None
) -> dict[str, t.Any]:
    """Return the result of verify for the engine of a host, by its name or address.

    ``params`` are as in VERIFY_ARGUMENTS, with absolute paths. ``opened`` is the CA that they name, if it is open
    already: to open it takes as long as a handshake. Raises RemoteApiError if no client can be issued.
    """
    return verify(params, host, local=False, identities=make_identities(params, now, opened))


def make_identities(
    params: t.Mapping[str, t.Any], now: datetime, opened: _authority.Authority | None = None
) -> Identities:
    """Return the clients that are to try the engine.

    The CA, which may be open already, issues one that is to be let in, unless the options name one or there is no key.
    One that it replaces issues another that is to be refused, while its key is left for that. Raises RemoteApiError.
    """
    directory = params["ca_path"] if os.path.isdir(params["ca_path"] or "") else None
    authority, old, stranger = opened, None, None
    if authority is None and not params["client_cert"] and not params["cert_path"]:
        if params["ca_key"]:
            authority = _authority.open_authority_from_text(
                params["ca_certificate"] or "", params["ca_key"], params["ca_passphrase"], now
            )
        elif directory and params["ca_passphrase"]:
            authority = _authority.open_authority(directory, params["ca_passphrase"], now)
    if params["negative_checks"]:
        stranger = _client_of(_authority.ephemeral_authority(now), now)
        if directory and params["ca_passphrase"]:
            old = _rotation.old_authority(directory, params["ca_passphrase"], now)
    client, retired = (_client_of(one, now) if one else None for one in (authority, old))
    return Identities(client, stranger, retired)


def _client_of(authority: _authority.Authority, now: datetime) -> bytes:
    """Return the PEM text of a client certificate of five minutes and its key."""
    return b"".join(_authority.ephemeral_client(authority, now))


__all__ = ("make_identities", "verify_from_here")
