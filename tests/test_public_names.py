"""The public names: what each module offers, documented, and typed for users."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

USER = Path(__file__).parent / "typing" / "user.py"
MODULES = [
    "callspan",
    "callspan.agents",
    "callspan.anthropic",
    "callspan.caches",
    "callspan.callbacks",
    "callspan.documents",
    "callspan.langchain",
    "callspan.language_models",
    "callspan.messages",
    "callspan.openai",
    "callspan.output_parsers",
    "callspan.outputs",
    "callspan.prompts",
    "callspan.retrievers",
    "callspan.runnables",
    "callspan.tools",
]
NAMES = [(module, name) for module in MODULES for name in importlib.import_module(module).__all__]


def used_by_the_user() -> set[tuple[str, str]]:
    """The names that the user's file takes from each module and then uses."""
    tree = ast.parse(USER.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    imported = {
        alias.name: one.module
        for one in nodes
        if isinstance(one, ast.ImportFrom) and one.module
        for alias in one.names
    }
    loaded = {one.id for one in nodes if isinstance(one, ast.Name)}
    attributes = {
        (one.value.id, one.attr)
        for one in nodes
        if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name)
    }
    return attributes | {(module, name) for name, module in imported.items() if name in loaded}


def own_docstring(value: Any) -> str | None:
    return vars(value).get("__doc__") if isinstance(value, type) else value.__doc__


def methods(cls: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that are written in a class."""
    for name, value in vars(cls).items():
        function = getattr(value, "__func__", getattr(value, "fget", value))
        if name[0] != "_" and isinstance(function, FunctionType):
            yield name, function


def classes(module: ModuleType) -> Iterator[type]:
    """The public classes, and the ones of callspan's that they inherit methods from."""
    found = [getattr(module, name) for name in module.__all__]
    lineages = [one.__mro__ for one in found if isinstance(one, type)]
    return (
        one for one in dict.fromkeys(sum(lineages, ())) if one.__module__.startswith("callspan")
    )


def test_every_public_module_is_here() -> None:
    """A module that is missing from the list is not checked at all."""
    package = Path(importlib.import_module("callspan").__file__ or "").parent
    internal = {"decorator", "demo", "errors", "export", "tracing"}
    paths = [path for path in package.glob("*") if path.suffix in ("", ".py")]
    found = {path.stem for path in paths if path.name[0] not in "_."}
    assert found - internal == {module.removeprefix("callspan.") for module in MODULES[1:]}


@pytest.mark.parametrize("module", MODULES)
def test_names_are_there_once_and_in_order(module: str) -> None:
    """`from module import *` fails on a name that is not there."""
    offered = importlib.import_module(module).__all__
    assert all(hasattr(importlib.import_module(module), name) for name in offered)
    assert len(set(offered)) == len(offered)


def test_every_error_is_offered() -> None:
    """An error that cannot be imported from callspan cannot be caught by name."""
    errors = vars(importlib.import_module("callspan.errors"))
    names = {name for name, value in errors.items() if isinstance(value, type)}
    assert names <= set(importlib.import_module("callspan").__all__)


def test_user_uses_every_name() -> None:
    """A name that the file for mypy lacks may have types that nobody can use."""
    assert set(NAMES) - used_by_the_user() == set()


@pytest.mark.parametrize(("module", "name"), NAMES, ids=lambda part: str(part))
def test_name_has_a_docstring(module: str, name: str) -> None:
    """`help(name)` is where a user looks first; an inherited text describes something else."""
    value = getattr(importlib.import_module(module), name)
    if isinstance(value, type | FunctionType):
        assert own_docstring(value)


@pytest.mark.parametrize("module", MODULES)
def test_methods_have_docstrings(module: str) -> None:
    """A public method without a text, its own or of the one it overrides, is a riddle."""
    silent = [
        f"{cls.__name__}.{name}"
        for cls in classes(importlib.import_module(module))
        for name, function in methods(cls)
        if not function.__doc__
        and not any(getattr(getattr(base, name, None), "__doc__", None) for base in cls.__mro__[1:])
    ]
    assert silent == []
