# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Checking a task's options on the controller, before anything is sent anywhere.

ActionBase.validate_argument_spec is not used, as Ansible shows the lines of the playbook around the options that it
complains about, and a passphrase may stand there.
"""

from __future__ import annotations

import os
import typing as t

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError
from ansible.parsing.dataloader import DataLoader
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import errors

# The directory of the collection's own playbooks, such as dockerfleet.remote_api.secure.
_PLAYBOOKS = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", "playbooks"))


def checked_options(
    spec: dict[str, dict[str, t.Any]], rules: dict[str, t.Any], options: t.Mapping[str, t.Any]
) -> dict[str, t.Any]:
    """Return the options in the types of the argument spec, with its defaults. Raises TlsError.

    Text may stand for a list, see parse_lists().
    """
    checked = ArgumentSpecValidator(spec, **rules).validate(parse_lists(spec, options))
    found = checked.errors.errors
    if found:
        words = ["unsupported: " + one.msg if isinstance(one, UnsupportedError) else one.msg for one in found]
        raise errors.bad_options(cause="; ".join(words))
    validated: dict[str, t.Any] = checked.validated_parameters
    return validated


def parse_lists(spec: dict[str, dict[str, t.Any]], options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the options with text such as ``["a", "b"]`` parsed if the argument spec has a list there.

    What ``-e NAME=VALUE`` sets is always text. Ansible parses it for a dict by itself, but splits it at its commas for
    a list. Text that cannot be parsed stays as it is.
    """
    parsed = dict(options)
    for name, value in options.items():
        if spec.get(name, {}).get("type") == "list" and isinstance(value, str) and value.lstrip().startswith("["):
            try:
                parsed[name] = yaml.safe_load(value)
            except yaml.YAMLError:
                continue
    return parsed


def path_here(loader: DataLoader, path: str) -> str:
    """Return a path on the controller made absolute. A relative one begins where Ansible's own do: at the playbook.

    Raises TlsError if that is in this collection, whose next upgrade removes what lies there.
    """
    if not path.startswith(("/", "~")) and os.path.realpath(loader.get_basedir()) == _PLAYBOOKS:
        raise errors.path_in_collection(path=path)
    return str(loader.path_dwim(path))


def resolve_clients(loader: DataLoader, clients: t.Iterable[dict[str, t.Any]]) -> None:
    """Make the directories of clients on the controller absolute, in place. Raises TlsError as path_here() does."""
    for one in clients:
        if one["directory"] and one["host"] is None:
            one["directory"] = path_here(loader, os.path.expandvars(one["directory"]))


__all__ = ("checked_options", "parse_lists", "path_here", "resolve_clients")
