# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests on real hosts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.support import CHECKOUT, Ansible, Lab


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Give the lab; the hosts that the tests booted are taken down at the end, whatever happened."""
    the_lab = Lab()
    try:
        yield the_lab
    finally:
        the_lab.down()


@pytest.fixture(scope="session")
def collections_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give the path on which Ansible finds the collection: what the environment says, or this checkout."""
    if inherited := os.environ.get("ANSIBLE_COLLECTIONS_PATH"):
        return inherited
    tree = tmp_path_factory.mktemp("collections")
    (tree / "ansible_collections/dockerfleet").mkdir(parents=True)
    (tree / "ansible_collections/dockerfleet/remote_api").symlink_to(CHECKOUT)
    return str(tree)


@pytest.fixture
def ansible(tmp_path: Path, collections_path: str) -> Ansible:
    """Give a runner of playbooks with an empty directory of its own."""
    return Ansible(tmp_path, collections_path)


@pytest.fixture(scope="module")
def module_ansible(tmp_path_factory: pytest.TempPathFactory, collections_path: str) -> Ansible:
    """Give a runner of playbooks that the tests of one file share."""
    return Ansible(tmp_path_factory.mktemp("ansible"), collections_path)
