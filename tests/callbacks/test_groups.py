"""Chain groups and events of the user's own, beside langchain_core's."""

from __future__ import annotations

from types import ModuleType
from typing import Any
from uuid import UUID

import langchain_core.callbacks as langchain
import langchain_core.callbacks.manager as langchain_groups
import pytest

import callspan
import callspan.callbacks as ours
from callspan import (
    ConfigurationError,
    atrace_as_chain_group,
    trace_as_chain_group,
    traced,
    use_config,
)
from support import SpanLog, parameters, recording

MODULES = [(langchain, langchain_groups), (ours, ours)]
GIVEN = UUID(int=3)


@traced
def leaf() -> None:
    pass


def program(m: ModuleType, groups: ModuleType, **options: Any) -> Any:
    """A group whose manager is passed on, as LangChain's users write it."""
    handler = recording(m.BaseCallbackHandler)
    with groups.trace_as_chain_group(
        "group",
        m.CallbackManager([], [handler]) if m is langchain else None,
        inputs={"q": 1},
        run_id=GIVEN,
        tags=["t"],
        metadata={"k": 1},
    ) as manager:
        manager.add_handler(handler)
        run = m.CallbackManager.configure(manager).on_chain_start({"name": "c"}, 1, name="c")
        run.on_chain_end(2)
        if "outputs" in options:
            manager.on_chain_end(options["outputs"])
        if "error" in options:
            manager.on_chain_error(options["error"])
        if "escapes" in options:
            raise options["escapes"]
    return handler


@pytest.mark.parametrize("end", [{}, {"outputs": "out"}, {"error": KeyError("k")}])
def test_a_group_is_a_run(end: dict[str, Any], spans: SpanLog) -> None:
    """The calls of a group have one parent, which ends once, with what the block says."""
    handler = recording()
    with use_config(callbacks=[handler]):
        program(ours, ours, **end)
    parents = [one["parent_run_id"] for one in handler.events.of("on_chain_start")]
    assert parents == [None, GIVEN]
    last_method, last_arguments, told = handler.events[-1]
    expected = {"outputs": "on_chain_end", "error": "on_chain_error"}
    assert last_method == expected.get(next(iter(end), "outputs"))
    assert last_arguments == (next(iter(end.values()), {}),)
    assert told["run_id"] == GIVEN
    assert len(handler.events) == 4
    assert spans.tree() == ["group", "  c"]


def test_settings_of_a_group() -> None:
    """Name, inputs, tags and metadata are handed on as LangChain's group hands them on."""
    events = [program(*modules).events for modules in MODULES]
    theirs, mine = ([e for e in one if e[2]["run_id"] != GIVEN] for one in events)
    for one in (theirs, mine):
        for _, _, told in one:
            told["run_id"] = None
    assert mine == theirs
    assert mine[0][2]["tags"] == ["t"]


def test_an_exception_ends_the_group(handler: Any, spans: SpanLog) -> None:
    """The exception comes out; it ends the group, unless the block has ended it before."""
    error = KeyError("k")
    for end in ({}, {"outputs": "out"}):
        with pytest.raises(KeyError), use_config(callbacks=[handler]):
            program(ours, ours, escapes=error, **end)
    ends = [(m, a) for m, a, told in handler.events if told["run_id"] == GIVEN and "start" not in m]
    assert ends == [("on_chain_error", (error,)), ("on_chain_end", ("out",))]
    assert spans.open == []


def test_a_group_is_around_its_block(handler: Any, spans: SpanLog) -> None:
    """Calls belong to the group whether or not they are given its manager."""
    with use_config(callbacks=[handler]), trace_as_chain_group("group") as manager:
        leaf()
        assert manager.parent_run_id == manager.parent_run_manager.run_id
    leaf()
    assert spans.tree() == ["group", "  leaf", "leaf"]
    assert handler.events.of("on_chain_start")[1]["parent_run_id"] == manager.parent_run_id


async def test_an_async_group(handler: Any, spans: SpanLog) -> None:
    """The async twin: the same run, its ends awaited."""
    with use_config(callbacks=[handler]):
        async with atrace_as_chain_group("group", inputs={"q": 1}, tags=["t"]) as manager:
            leaf()
            await manager.on_chain_end("out")
        with pytest.raises(KeyError):
            async with atrace_as_chain_group("failing") as manager:
                raise KeyError
        async with atrace_as_chain_group("ended") as manager:
            await manager.on_chain_error(KeyError("k"))
    assert spans.tree() == ["group", "  leaf", "failing", "ended"]
    assert spans.outcomes() == {"leaf": "ok", "group": "ok", "failing": "error", "ended": "error"}
    assert isinstance(manager, ours.AsyncCallbackManagerForChainGroup)


def test_a_group_keeps_its_parent(handler: Any, spans: SpanLog) -> None:
    """`callback_manager=` names the group's parent and handlers; LangChain ignores it."""
    run = ours.CallbackManager.configure([handler]).on_chain_start({"name": "outer"}, {})
    with trace_as_chain_group("group", run.get_child("tag")):
        leaf()
    run.on_chain_end({})
    assert spans.tree() == ["outer", "  group", "    leaf"]
    (told,) = [one for one in handler.events.of("on_chain_start") if one.get("name") == "group"]
    assert (told["parent_run_id"], told["tags"]) == (run.run_id, ["tag"])


@pytest.mark.parametrize("modules", MODULES)
def test_copies_of_a_groups_manager(modules: tuple[ModuleType, ModuleType]) -> None:
    """A copy or a merge can still end the group."""
    m, groups = modules
    with groups.trace_as_chain_group("group") as manager:
        for one in (manager.copy(), manager.merge(m.CallbackManager([], tags=["u"]))):
            assert type(one) is type(manager)
            assert one.parent_run_manager is manager.parent_run_manager
            assert one.parent_run_id == manager.parent_run_id


@pytest.mark.parametrize("name", ["trace_as_chain_group", "atrace_as_chain_group"])
def test_called_alike(name: str) -> None:
    """Keyword arguments of LangChain's users, LangSmith's among them, must not raise."""
    expected = parameters(getattr(langchain_groups, name))
    assert parameters(getattr(callspan, name)) == expected


@pytest.mark.parametrize("name", [5, None, ["group"]])
async def test_a_group_needs_a_name(name: Any) -> None:
    """What is passed by mistake in the name's place would be the name of a span."""
    with pytest.raises(ConfigurationError, match="group_name takes a string"):
        trace_as_chain_group(name).__enter__()
    with pytest.raises(ConfigurationError, match="group_name takes a string"):
        await atrace_as_chain_group(name).__aenter__()
