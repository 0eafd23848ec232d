"""The names of `langchain_core.callbacks`: all there, and called the same way."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import langchain_core.callbacks as langchain
import pytest

import callspan.callbacks as ours
from callspan.callbacks.events import EVENTS
from support import parameters

FUNCTIONS = [name for name in langchain.__all__ if inspect.isfunction(getattr(langchain, name))]
CLASSES = [name for name in langchain.__all__ if inspect.isclass(getattr(langchain, name))]


def public_methods(cls: type) -> Iterator[str]:
    return (name for name in dir(cls) if name[0] != "_" and callable(getattr(cls, name)))


def test_all_names() -> None:
    """Code written for LangChain runs after changing the import, so no name may be missing."""
    assert len(langchain.__all__) == 34
    assert set(langchain.__all__) <= set(ours.__all__)


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_made_alike(name: str) -> None:
    """A constructor called as LangChain's is must not raise TypeError."""
    assert parameters(getattr(ours, name)) == parameters(getattr(langchain, name))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_called_alike(name: str) -> None:
    """A function called as LangChain's is must not raise TypeError."""
    assert parameters(getattr(ours, name)) == parameters(getattr(langchain, name))


@pytest.mark.parametrize("name", CLASSES)
def test_methods_are_called_alike(name: str) -> None:
    """Positional and keyword calls of every method must mean what they mean in LangChain.

    The exceptions are no-ops of handlers: our async ones have the signatures of the sync ones,
    where `tags` is one of the `**kwargs`, and StreamingStdOutCallbackHandler inherits the base
    class's, where LangChain's writes each of them again without the ids.
    """
    but: tuple[str, ...] = ()
    if name == "AsyncCallbackHandler":
        but = ("tags",)
    if name == "StreamingStdOutCallbackHandler":
        but = ("run_id", "parent_run_id", "tags", "metadata", "inputs")
    theirs = getattr(langchain, name)
    for method in public_methods(theirs):
        expected = parameters(getattr(theirs, method), *but)
        assert parameters(getattr(getattr(ours, name), method), *but) == expected, method


@pytest.mark.parametrize("name", CLASSES)
def test_what_is_awaited(name: str) -> None:
    """A method that LangChain's users await has to return something to await, and no other."""
    manager = getattr(ours, name)
    for method in public_methods(getattr(langchain, name)):
        theirs = getattr(getattr(langchain, name), method)
        awaited = inspect.iscoroutinefunction(getattr(manager, method)) or (
            # One line each, that returns the coroutine of `send` or `close`.
            "Awaited" in str(inspect.signature(getattr(manager, method)).return_annotation)
        )
        assert awaited == inspect.iscoroutinefunction(theirs), method


def test_table_is_the_handler() -> None:
    """An event without a method, or a method that no event calls, would be silently dead."""
    methods = {name for name in public_methods(ours.BaseCallbackHandler) if name.startswith("on_")}
    assert {event.method for event in EVENTS} == methods


def test_bases() -> None:
    """Checks with isinstance and issubclass answer as they do in LangChain."""
    for name in CLASSES:
        theirs = {base.__name__ for base in getattr(langchain, name).__mro__} & set(CLASSES)
        assert theirs <= {base.__name__ for base in getattr(ours, name).__mro__}, name
