# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to agree across the whole repository, and what must never be in it."""

from __future__ import annotations

import ast
import pathlib
import re
import subprocess
import typing as t

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROLES = sorted(path.parent for path in ROOT.glob("roles/*/tasks"))
MODULES = sorted(path for path in ROOT.glob("plugins/modules/*.py") if path.name != "__init__.py")
SHARED_CODE = sorted(
    path
    for folder in ("module_utils", "plugin_utils")
    for path in ROOT.glob(f"plugins/{folder}/**/*.py")
    if path.stat().st_size
)
PRIVATE = SHARED_CODE + sorted(ROOT.glob("plugins/doc_fragments/*.py"))


def relative(path: pathlib.Path) -> str:
    """Return the path as seen from the root of the repository; it also names the test's case."""
    return path.relative_to(ROOT).as_posix()


def read_yaml(path: pathlib.Path) -> t.Any:
    """Return the content of a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def tracked_text() -> dict[str, str]:
    """Return the text of each file that git knows or would take, by its name; files that are no text are left out."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    texts = {}
    for name in filter(None, listing.split("\0")):
        path = ROOT / name
        if path.is_file():
            try:
                texts[name] = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
    return texts


def assigned_yaml(path: pathlib.Path, name: str) -> t.Any:
    """Return the YAML document that the Python file assigns to the name (DOCUMENTATION and its like)."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            targets = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if targets == [name]:
                return yaml.safe_load(str(node.value.value))
    raise AssertionError(f"{path} assigns nothing to {name}")


def readme_table(heading: str) -> dict[str, str]:
    """Return the first two columns of the README's table below the heading; a row of two names counts as two rows."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            names, second = (cell.strip() for cell in line.split("|")[1:3])
            for name in re.findall("`([^`]+)`", names):
                rows[name] = second
    return rows


def test_there_is_something_to_check() -> None:
    assert ROLES
    assert MODULES
    assert SHARED_CODE


@pytest.mark.parametrize("role", ROLES, ids=relative)
def test_role_defaults_are_those_of_its_argument_specs(role: pathlib.Path) -> None:
    defaults = read_yaml(role / "defaults" / "main.yml")
    options = read_yaml(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]

    documented = {name: option["default"] for name, option in options.items() if "default" in option}
    assert defaults == documented


@pytest.mark.parametrize("role", ROLES, ids=relative)
def test_role_variables_bear_its_name(role: pathlib.Path) -> None:
    options = read_yaml(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    assert [name for name in options if not name.startswith(f"{role.name}_")] == []


def test_readme_names_each_variable_of_the_role() -> None:
    options = read_yaml(ROOT / "roles/docker_remote_api/meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    told = {f"docker_remote_api_{name}" for name in readme_table("The role's variables")}
    assert told == set(options)


def test_readme_names_each_module() -> None:
    assert set(readme_table("The modules and plugins")) == {path.stem for path in MODULES}


def test_readme_leads_to_each_guide() -> None:
    linked = set(
        re.findall(r"/blob/main/docs/docsite/rst/(\w+\.rst)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    )
    assert linked == {path.name for path in ROOT.glob("docs/docsite/rst/*.rst")}


def test_each_action_plugin_has_its_documentation() -> None:
    actions = {path.stem for path in ROOT.glob("plugins/action/*.py")} - {"__init__"}
    assert actions <= {path.stem for path in MODULES}


def test_action_group_holds_the_modules_that_say_so() -> None:
    members = {
        path.stem
        for path in MODULES
        if "dockerfleet.remote_api._attributes.engine_group"
        in assigned_yaml(path, "DOCUMENTATION").get("extends_documentation_fragment", [])
    }
    assert set(read_yaml(ROOT / "meta/runtime.yml")["action_groups"]["engine"]) == members
    assert members


@pytest.mark.parametrize("module", MODULES, ids=relative)
def test_module_states_its_attributes(module: pathlib.Path) -> None:
    attributes = assigned_yaml(module, "DOCUMENTATION").get("attributes", {})
    assert {"check_mode", "diff_mode", "idempotent", "platform"} <= set(attributes)


@pytest.mark.parametrize("path", PRIVATE, ids=relative)
def test_shared_code_is_marked_as_private(path: pathlib.Path) -> None:
    inside = path.relative_to(ROOT / "plugins").parts[1]
    assert inside.startswith("_")
    assert "is PRIVATE to the collection" in path.read_text(encoding="utf-8")


def test_supported_ansible_core_is_told_the_same_everywhere() -> None:
    required = re.fullmatch(r">=(\d+\.\d+)\.0", read_yaml(ROOT / "meta/runtime.yml")["requires_ansible"])
    assert required
    assert f"| ansible-core | {required[1]} and later |" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"ansible-core == {required[1]}.*" in (ROOT / "tests/requirements/oldest.txt").read_text(encoding="utf-8")


def test_no_path_or_address_of_one_machine_is_in_the_repository() -> None:
    """The folder of a checkout, a version manager's Python, an index or a mirror: each works on one machine only."""
    wanted = re.compile(
        re.escape(str(ROOT))
        + r"\b|/Users/|\.pyenv/versions/\d|https?://[\w.-]*(?:pypi|npmjs|mirror)[\w./-]*|--(?:extra-)?index-url"
    )
    here = relative(pathlib.Path(__file__))
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in tracked_text().items()
        if name != here
        for number, line in enumerate(text.splitlines(), start=1)
        if wanted.search(line)
    ]
    assert found == []


def test_no_check_is_switched_off() -> None:
    """No ignore file for ansible-test, and no comment that silences a linter without saying why."""
    assert list(ROOT.glob("tests/sanity/ignore*.txt")) == []
    bare = re.compile(
        r"#\s*(?:noqa(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)?|type:\s*ignore(?:\[[\w,\s-]+\])?|nosec(?:\s+B\d+)?"
        r"|(?:pylint:|yamllint|shellcheck)\s*disable(?:[-\w]*=?[\w,\s:-]*)?)\s*$"
    )
    here = relative(pathlib.Path(__file__))
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in tracked_text().items()
        if name != here and not name.startswith("LICENSES/")
        for number, line in enumerate(text.splitlines(), start=1)
        if bare.search(line)
    ]
    assert found == []
