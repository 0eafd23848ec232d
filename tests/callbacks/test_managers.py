"""Managers beside langchain_core's: the same program gives the same settings."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any
from uuid import UUID

import langchain_core.callbacks as langchain
import pytest

import callspan.callbacks as ours
from callspan import ConfigurationError

PARENT = UUID(int=7)
Program = Callable[[ModuleType, type, Callable[[str], Any]], Any]
PROGRAMS: list[Program] = []


def same(program: Program) -> Program:
    PROGRAMS.append(program)
    return program


def settings(manager: Any) -> dict[str, Any]:
    """What a manager is made of; LangChain loses the order of tags, and keeps some twice."""
    names = [one.name for one in manager.handlers]
    return {
        "handlers": sorted(names),
        "inheritable_handlers": sorted(one.name for one in manager.inheritable_handlers),
        "parent_run_id": manager.parent_run_id,
        "tags": set(manager.tags),
        "inheritable_tags": set(manager.inheritable_tags),
        "metadata": manager.metadata,
        "inheritable_metadata": manager.inheritable_metadata,
    }


@same
def a_manager(m: ModuleType, cls: type, handler: Callable[[str], Any]) -> Any:
    """`CallbackManager([h])` does not hand h on to children."""
    return cls([handler("a")], tags=["t"], metadata={"k": 1})


@same
def a_full_manager(m: ModuleType, cls: type, handler: Callable[[str], Any]) -> Any:
    a = handler("a")
    return cls(
        [a, handler("b")], [a], PARENT, tags=["t", "u"], inheritable_tags=["u"],
        metadata={"k": 1, "l": 2}, inheritable_metadata={"l": 2},
    )  # fmt: skip


@same
def configured_by_lists(m: ModuleType, cls: Any, handler: Callable[[str], Any]) -> Any:
    """Run-time lists are inherited, the object's own are not."""
    return cls.configure(
        [handler("a")], [handler("b")], False, ["t"], ["u"], {"k": 1}, {"l": 2}
    )  # fmt: skip


@same
def configured_by_a_manager(m: ModuleType, cls: Any, handler: Callable[[str], Any]) -> Any:
    return cls.configure(a_full_manager(m, cls, handler), [handler("c")], False, ["v"], ["w"])


@same
def configured_by_managers(m: ModuleType, cls: Any, handler: Callable[[str], Any]) -> Any:
    local = cls([handler("c")], tags=["lost"], metadata={"lost": 1})
    return cls.configure(cls([handler("a")]), local)


@same
def configured_by_the_other_kind(m: ModuleType, cls: Any, handler: Callable[[str], Any]) -> Any:
    """A sync manager may be given to an async call, and the other way round."""
    other = m.AsyncCallbackManager if cls is m.CallbackManager else m.CallbackManager
    return cls.configure(a_full_manager(m, other, handler))


@same
def configured_with_nothing(m: ModuleType, cls: Any, handler: Callable[[str], Any]) -> Any:
    return cls.configure()


@same
def configured_with_metadata_twice(m: ModuleType, cls: Any, handler: Callable[[str], Any]) -> Any:
    manager = cls([], inheritable_metadata={"k": 1}, metadata={"k": 1, "l": 1})
    return cls.configure(manager, None, False, None, None, {"k": 2}, {"k": 3, "m": 4})


@same
def copied(m: ModuleType, cls: Any, handler: Callable[[str], Any]) -> Any:
    manager = a_full_manager(m, cls, handler)
    copy = manager.copy()
    copy.add_handler(handler("c"))
    copy.add_tags(["x"])
    copy.add_metadata({"x": 1})
    return manager, copy


@same
def merged(m: ModuleType, cls: Any, handler: Callable[[str], Any]) -> Any:
    """Both sides' settings; the left parent, and the right metadata, win."""
    left = a_full_manager(m, cls, handler)
    right = cls([handler("c")], [handler("d")], UUID(int=8), tags=["t", "v"], metadata={"k": 9})
    return left.merge(right), right.merge(left), cls([]).merge(right)


@same
def changed(m: ModuleType, cls: Any, handler: Callable[[str], Any]) -> Any:
    a, b, c = map(handler, "abc")
    manager = cls([a])
    manager.add_handler(a)
    manager.add_handler(b)
    manager.add_handler(c, inherit=False)
    manager.remove_handler(b)
    manager.add_tags(["t", "u", "t"])
    manager.add_tags(["v"], inherit=False)
    manager.add_tags(["t"])
    manager.remove_tags(["u"])
    manager.add_metadata({"k": 1, "l": 2})
    manager.add_metadata({"m": 3}, inherit=False)
    manager.remove_metadata(["l"])
    return manager


@same
def set_anew(m: ModuleType, cls: Any, handler: Callable[[str], Any]) -> Any:
    managers = [a_full_manager(m, cls, handler) for _ in range(3)]
    managers[0].set_handler(handler("c"))
    managers[1].set_handlers([handler("c"), handler("d")], inherit=False)
    managers[2].set_handlers([])
    return tuple(managers)


@same
def removed_where_absent(m: ModuleType, cls: Any, handler: Callable[[str], Any]) -> Any:
    manager = a_full_manager(m, cls, handler)
    manager.remove_handler(handler("z"))
    manager.remove_tags(["z"])
    return manager


def run(module: ModuleType, cls: Any, program: Program) -> Any:
    made: dict[str, Any] = {}

    def handler(name: str) -> Any:
        if name not in made:
            made[name] = type("H", (module.BaseCallbackHandler,), {"name": name})()
        return made[name]

    result = program(module, cls, handler)
    return [settings(one) for one in (result if isinstance(result, tuple) else (result,))]


@pytest.mark.parametrize("cls", ["CallbackManager", "AsyncCallbackManager"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_settings(program: Program, cls: str) -> None:
    """What hears a run, and what its children inherit, is as LangChain's users know it."""
    expected = run(langchain, getattr(langchain, cls), program)
    assert run(ours, getattr(ours, cls), program) == expected


def test_merge_keeps_the_order() -> None:
    """Handlers are told as registered, so merging must not shuffle them as LangChain's does."""
    handlers = [ours.BaseCallbackHandler() for _ in range(20)]
    merged = ours.CallbackManager(handlers[:10]).merge(ours.CallbackManager(handlers[5:]))
    assert merged.handlers == handlers


def test_handlers_are_told_apart_by_identity() -> None:
    """Two handlers that compare equal are two handlers: each has its own state."""

    class Equal(ours.BaseCallbackHandler):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    first, second = Equal(), Equal()
    manager = ours.CallbackManager([first])
    manager.add_handler(second)
    assert manager.merge(ours.CallbackManager([second])).handlers == [first, second]
    manager.remove_handler(first)
    assert manager.handlers[0] is second


@pytest.mark.parametrize("cls", ["CallbackManager", "AsyncCallbackManager"])
def test_is_async(cls: str) -> None:
    """Code that has either manager asks it which it is."""
    assert getattr(ours, cls)([]).is_async == getattr(langchain, cls)([]).is_async


def test_verbose_prints_once() -> None:
    """`verbose` adds the printing handler for this run alone, unless there is one."""
    manager = ours.CallbackManager.configure(verbose=True)
    assert [type(one).__name__ for one in manager.handlers] == ["StdOutCallbackHandler"]
    assert manager.inheritable_handlers == []
    assert len(ours.CallbackManager.configure(manager, verbose=True).handlers) == 1


@pytest.mark.parametrize("name", ["CallbackManager", "AsyncCallbackManager"])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda cls: cls([], parent_run_id="abc"), "parent_run_id takes"),
        (lambda cls: cls([], tags="tag"), "tags takes"),
        (lambda cls: cls([], inheritable_metadata=["k"]), "metadata takes"),
        (lambda cls: cls.configure(inheritable_tags="tag"), "tags takes"),
        (lambda cls: cls.configure(local_metadata=["k"]), "metadata takes"),
        (lambda cls: cls([]).add_tags("tag"), "tags takes"),
        (lambda cls: cls([]).on_chain_start({}, {}, run_id="abc"), "run_id takes"),
        (lambda cls: cls([]).on_llm_start({}, ["p"], run_id=5), "run_id takes"),
        (lambda cls: cls([]).on_tool_start({}, "", parent_run_id="abc"), "parent_run_id takes"),
    ],
)
async def test_wrong_arguments(name: str, wrong: Callable[[Any], Any], message: str) -> None:
    """A run with an id that is none loses its span, and a text for tags is a tag a letter."""
    with pytest.raises(ConfigurationError, match=message):
        await wrong(getattr(ours, name))
