# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What users install: the tarball holds what serves them, nothing else, and works from an empty folder."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import tarfile
import typing as t

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLUGIN_FOLDERS = ("plugins", "roles", "playbooks", "meta")


class Installed(t.NamedTuple):
    """The built and installed collection: the names in its tarball, and the collections path it was installed into."""

    names: set[str]
    path: pathlib.Path

    def run(self, *command: str) -> str:
        """Return what a command prints with only this collections path; raises with its output when it fails."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment["ANSIBLE_COLLECTIONS_PATH"] = str(self.path)
        done = subprocess.run(
            command, env=environment, cwd=self.path, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the collection from this checkout and install it into an empty folder."""
    built, path = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("installed")
    subprocess.run(
        ["ansible-galaxy", "collection", "build", "--output-path", built, ROOT], check=True, capture_output=True
    )
    (tarball,) = built.glob("dockerfleet-remote_api-*.tar.gz")
    with tarfile.open(tarball) as archive:
        names = {member.name for member in archive.getmembers() if member.isfile()}
    collection = Installed(names, path)
    collection.run(
        "ansible-galaxy", "collection", "install", "--offline", "--collections-path", str(path), str(tarball)
    )
    return collection


def known_files(*folders: str) -> set[str]:
    """Return the files in these folders that git knows or would take, and that are there."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", *folders]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {name for name in listing.split("\0") if name and (ROOT / name).is_file()}


def test_tarball_holds_only_what_serves_a_user(installed: Installed) -> None:
    tops = {name.split("/", maxsplit=1)[0] for name in installed.names}
    assert tops == {
        "CHANGELOG.md",
        "COPYING",
        "FILES.json",
        "LICENSES",
        "MANIFEST.json",
        "README.md",
        "changelogs",
        "docs",
        "examples",
        *PLUGIN_FOLDERS,
    }
    assert {name for name in installed.names if name.startswith("changelogs/")} == {
        "changelogs/changelog.yaml",
        "changelogs/config.yaml",
    }


def test_tarball_holds_each_plugin_role_and_playbook(installed: Installed) -> None:
    shipped = {name for name in installed.names if name.startswith(tuple(f"{folder}/" for folder in PLUGIN_FOLDERS))}
    assert shipped == known_files(*PLUGIN_FOLDERS)


def test_installed_collection_documents_each_module_and_the_role(installed: Installed) -> None:
    modules = {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}
    told = json.loads(installed.run("ansible-doc", "--json", "--list", "--type", "module", "dockerfleet.remote_api"))
    assert set(told) == {f"dockerfleet.remote_api.{name}" for name in modules}

    roles = json.loads(installed.run("ansible-doc", "--json", "--list", "--type", "role", "dockerfleet.remote_api"))
    assert set(roles) == {"dockerfleet.remote_api.docker_remote_api"}


@pytest.mark.parametrize(("playbook", "task"), [("secure", "docker_remote_api"), ("audit", "Audit all hosts")])
def test_installed_playbook_is_found_by_its_name(installed: Installed, playbook: str, task: str) -> None:
    told = installed.run(
        "ansible-playbook",
        "--list-tasks",
        "--inventory",
        "docker1,",
        "--extra-vars",
        "target=all",
        f"dockerfleet.remote_api.{playbook}",
    )
    assert task in told
