# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each error has a subject, a cause and a remedy, is raised somewhere, and gets all the fields of its texts.

The source is read, not run: most errors are raised in places that few tests reach.
"""

from __future__ import annotations

import ast
import functools
import pathlib
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass

PLUGINS = pathlib.Path(__file__).resolve().parents[2] / "plugins"
PREFIX = "ansible_collections.dockerfleet.remote_api.plugins."
SOURCES = sorted(path.relative_to(PLUGINS).as_posix() for path in PLUGINS.rglob("*.py"))


@dataclass(frozen=True)
class Text:
    """One error: where it is defined, and its three format strings."""

    where: str
    subject: str
    cause: str
    remedy: str

    @property
    def fields(self) -> set[str]:
        """The names that its format strings have."""
        found = [
            name
            for part in (self.subject, self.cause, self.remedy)
            for _text, name, *_rest in string.Formatter().parse(part)
        ]
        return {re.split(r"[.\[]", name)[0] for name in found if name is not None}


@dataclass(frozen=True)
class Use:
    """One place where an error is made; ``fields`` is None where it is only named, for example in a table."""

    where: str
    error: tuple[str, str]
    fields: set[str] | None


@functools.cache
def tree(name: str) -> ast.Module:
    return ast.parse((PLUGINS / name).read_text(encoding="utf-8"))


def constant(node: ast.expr, names: dict[str, str]) -> str:
    """Return the text of an expression: a literal, a constant of the file, or an f-string of such."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.JoinedStr):
        return "".join(constant(part, names) for part in node.values)
    if isinstance(node, ast.FormattedValue) and node.conversion == -1 and node.format_spec is None:
        return constant(node.value, names)
    raise AssertionError(f"line {node.lineno}: it is no text that can be read here: {ast.unparse(node)}")


@functools.cache
def catalogue() -> dict[tuple[str, str], Text]:
    """Return each ``NAME = SomeError.text(SUBJECT, CAUSE, REMEDY)`` by its file and its name."""
    found = {}
    for name in SOURCES:
        constants: dict[str, str] = {}
        for node in tree(name).body:
            if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
                continue
            target, value = node.targets[0].id, node.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                constants[target] = value.value
            elif isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "text":
                parts = [constant(part, constants) for part in value.args]
                assert len(parts) == 3, f"{name}:{node.lineno} {target} has not three parts"
                assert (name, target) not in found, f"{name}:{node.lineno} {target} is defined twice"
                found[name, target] = Text(f"{name}:{node.lineno} {target}", *parts)
    return found


def bindings(name: str) -> dict[str, str]:
    """Return what the names stand for that a file imports from the collection: FILE, or FILE:NAME for a part of it."""
    found = {}
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PREFIX):
            folder = str(node.module).removeprefix(PREFIX).replace(".", "/")
            for alias in node.names:
                is_file = f"{folder}/{alias.name}.py" in SOURCES
                found[alias.asname or alias.name] = (
                    f"{folder}/{alias.name}.py" if is_file else f"{folder}.py:{alias.name}"
                )
    return found


def uses(name: str) -> Iterator[Use]:
    """Yield where a file makes or names an error, except where it defines it."""
    names = bindings(name)

    def error(node: ast.AST) -> tuple[str, str] | None:
        """Return the error that an expression means."""
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found = tuple(names.get(node.id, f"{name}:{node.id}").split(":"))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found = (names.get(node.value.id, ""), node.attr)
        else:
            return None
        return (found[0], found[1]) if len(found) == 2 and (found[0], found[1]) in catalogue() else None

    called = set()
    for node in ast.walk(tree(name)):
        meant = error(node.func) if isinstance(node, ast.Call) else None
        if isinstance(node, ast.Call) and meant:
            called.add(node.func)
            assert not node.args, f"{name}:{node.lineno} {meant[1]} takes its fields by name"
            yield Use(f"{name}:{node.lineno} {meant[1]}", meant, {str(word.arg) for word in node.keywords})
    for node in ast.walk(tree(name)):
        meant = error(node)
        if meant and node not in called and isinstance(node, ast.expr):
            yield Use(f"{name}:{node.lineno} {meant[1]}", meant, None)


def test_there_is_something_to_check() -> None:
    found = {name for name, _text in catalogue()}
    assert {f"module_utils/{package}/errors.py" for package in ("_daemon", "_engine", "_tls")} <= found


def test_causes_are_clauses() -> None:
    """They follow a colon and get a full stop behind them."""
    assert [text.where for text in catalogue().values() if not text.subject or not text.cause] == []
    assert [text.where for text in catalogue().values() if text.cause.endswith((".", "?", "!"))] == []


def test_remedies_are_sentences() -> None:
    pattern = re.compile(r"([A-Z{'\"].*[.?}])", re.DOTALL)
    assert [text.where for text in catalogue().values() if not pattern.fullmatch(text.remedy)] == []


def test_messages_have_one_line() -> None:
    texts = catalogue().values()
    assert [text.where for text in texts if "\n" in text.subject + text.cause + text.remedy] == []


def test_each_error_is_used() -> None:
    used = {use.error for name in SOURCES for use in uses(name)}
    assert [text.where for key, text in catalogue().items() if key not in used] == []


def test_each_error_gets_its_fields() -> None:
    """One that lacks a field would end in a KeyError instead of a message; one too many is never read."""
    wrong = [
        f"{use.where}: {sorted(use.fields ^ catalogue()[use.error].fields)}"
        for name in SOURCES
        for use in uses(name)
        if use.fields is not None and use.fields != catalogue()[use.error].fields
    ]
    assert wrong == []
