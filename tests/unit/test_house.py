# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of the code: who may import whom, and what each function has to be. Only the source is read."""

from __future__ import annotations

import ast
import functools
import graphlib
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import pytest

PLUGINS = pathlib.Path(__file__).resolve().parents[2] / "plugins"
PREFIX = "ansible_collections.dockerfleet.remote_api.plugins"
SOURCES = sorted(path.relative_to(PLUGINS).as_posix() for path in PLUGINS.rglob("*.py") if path.stat().st_size)
PACKAGES = ("_daemon", "_engine", "_tls")
# They join two packages to one plan, so they stand above them.
JOINT = ("module_utils/_remote_api.py", "module_utils/_remote_api_options.py")
# ActionBase.validate_argument_spec would show lines of the playbook, which may hold a passphrase.
# HostAction is what two action plugins have in common.
MAY_IMPORT_ANSIBLE = {"plugin_utils/_action.py", "plugin_utils/_authority_options.py"}
LONGEST_FUNCTION = 50

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Import(NamedTuple):
    """One file's import of another: both by their paths below plugins/, and the line in which it stands."""

    importer: str
    imported: str
    line: int


@functools.cache
def tree(name: str) -> ast.Module:
    return ast.parse((PLUGINS / name).read_text(encoding="utf-8"))


def resolve(dotted: str) -> str | None:
    """Return the file that the name of a module or of something in one means; None for another project's."""
    if not dotted.startswith(PREFIX + "."):
        return None
    path = dotted.removeprefix(PREFIX + ".").replace(".", "/")
    for candidate in (f"{path}.py", f"{path.rpartition('/')[0]}.py"):
        if candidate in SOURCES:
            return candidate
    raise AssertionError(f"{dotted} is no file of the collection")


def imports(name: str) -> Iterator[tuple[str, int]]:
    """Yield the dotted name of all that a file imports, wherever in the file: a type that is only annotated counts."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}:{node.lineno} imports by a relative name"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


@functools.cache
def imports_within() -> list[Import]:
    """Return each import of one file of the collection by another."""
    found = []
    for name in SOURCES:
        for dotted, line in imports(name):
            imported = resolve(dotted)
            if imported:
                found.append(Import(name, imported, line))
    return found


def room(name: str) -> str:
    """Return the part of the house to which a file belongs."""
    kind, *inside = pathlib.PurePath(name).parts
    if kind == "module_utils" and inside[0] in PACKAGES:
        return inside[0]
    if kind == "module_utils":
        return "joint" if name in JOINT else "floor"
    return kind


def may_import(importer: str, imported: str) -> bool:
    """Return whether the one part of the house may import the other."""
    below: dict[str, tuple[str, ...]] = {
        "floor": ("floor",),
        **{package: ("floor", package) for package in PACKAGES},
        "joint": ("floor", "_daemon", "_tls", "joint"),
        "plugin_utils": ("floor", *PACKAGES, "joint", "plugin_utils"),
        "modules": ("floor", *PACKAGES, "joint"),
        "action": ("floor", *PACKAGES, "joint", "plugin_utils"),
        "doc_fragments": (),
    }
    return imported in below[importer]


def definitions(name: str) -> Iterator[tuple[Definition, bool]]:
    """Yield each function and class of a file, and whether it stands inside a function."""

    def visit(node: ast.AST, inside: bool) -> Iterator[tuple[Definition, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Definition):
                yield child, inside
            yield from visit(child, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    yield from visit(tree(name), False)


def test_there_is_something_to_check() -> None:
    rooms = {room(name) for name in SOURCES}
    assert {*PACKAGES, "floor", "joint", "plugin_utils", "modules", "action"} <= rooms
    assert {(room(one.importer), room(one.imported)) for one in imports_within()} >= {
        *((package, "floor") for package in PACKAGES),
        *((package, package) for package in PACKAGES),
        ("joint", "_daemon"),
        ("joint", "_tls"),
    }


def test_no_package_imports_another_and_nothing_imports_upwards() -> None:
    wrong = [one for one in imports_within() if not may_import(room(one.importer), room(one.imported))]
    assert wrong == []


def test_no_files_import_each_other_in_a_circle() -> None:
    """At load time, inside functions, or for types alone: a reader would have to understand them all at once."""
    graph: dict[str, set[str]] = {}
    for one in imports_within():
        graph.setdefault(one.importer, set()).add(one.imported)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as exc:
        pytest.fail(f"a circle: {' <- '.join(exc.args[1])}")


def test_cores_know_nothing_of_ansible() -> None:
    """They take and return values, so that tests, modules and action plugins can use them alike."""
    knowing = {
        name
        for name in SOURCES
        if room(name) not in ("modules", "action")
        for dotted, _node in imports(name)
        if dotted.partition(".")[0] == "ansible"
    }
    assert knowing == MAY_IMPORT_ANSIBLE


def test_functions_are_short() -> None:
    """From ``def`` to the last line, with the docstring."""
    long = [
        f"{name}:{node.lineno} {node.name} has {lines} lines"
        for name in SOURCES
        for node, _documented in definitions(name)
        if not isinstance(node, ast.ClassDef) and (lines := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    ]
    assert long == []


def test_functions_and_classes_say_what_they_do() -> None:
    """Except what Python itself names, and functions inside functions, which their surroundings explain."""
    silent = [
        f"{name}:{node.lineno} {node.name}"
        for name in SOURCES
        for node, inside in definitions(name)
        if not inside and not ast.get_docstring(node) and not (node.name.startswith("__") and node.name.endswith("__"))
    ]
    assert silent == []


def test_imports_inside_functions_say_what_they_save() -> None:
    """In a comment, at most two lines above: what is imported at the top needs no reason."""
    unexplained = []
    for name in SOURCES:
        lines = (PLUGINS / name).read_text(encoding="utf-8").splitlines()
        for outer, _documented in definitions(name):
            for node in ast.walk(outer) if not isinstance(outer, ast.ClassDef) else ():
                if isinstance(node, ast.Import | ast.ImportFrom):
                    above = lines[max(node.lineno - 3, 0) : node.lineno - 1]
                    if not any(line.lstrip().startswith("#") for line in above):
                        unexplained.append(f"{name}:{node.lineno} {lines[node.lineno - 1].strip()}")
    assert unexplained == []
