"""Programs written by hand against the managers: the events are langchain_core's, one for one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any
from uuid import UUID

import langchain_core.callbacks as langchain
import pytest

import callspan.callbacks as ours
from callspan.callbacks import AsyncCallbackManager, CallbackManager
from support import recording

GIVEN = UUID(int=99)
Program = Callable[[Any, Callable[[Any], Any]], Any]
PROGRAMS: list[Program] = []


def same(program: Program) -> Program:
    PROGRAMS.append(program)
    return program


@same
async def chains(manager: Any, wait: Any) -> None:
    run = await wait(manager.on_chain_start({"name": "c"}, {"q": 1}, name="c", run_type="prompt"))
    await wait(run.on_text("some", color="red", end="\n"))
    await wait(run.on_agent_action("action", extra=1))
    await wait(run.on_agent_finish("finish"))
    await wait(run.on_retry("state"))
    child = await wait(run.get_child("seq:step:1").on_chain_start({"name": "d"}, "in"))
    await wait(child.on_chain_error(error, extra=2))
    await wait(run.on_chain_end("out", inputs={"q": 1}))


@same
async def models(manager: Any, wait: Any) -> None:
    """The given id is the first prompt's alone; each has a run of its own."""
    runs = await wait(manager.on_llm_start({"name": "m"}, ["p", "q"], run_id=GIVEN, name="m"))
    assert runs[0].run_id == GIVEN != runs[1].run_id
    await wait(runs[0].on_llm_new_token("tok", chunk="chunk"))
    await wait(runs[0].on_llm_new_token("tok"))
    await wait(runs[0].on_llm_end("result", extra=1))
    await wait(runs[1].on_llm_error(error, response="partial"))


@same
async def chat_models(manager: Any, wait: Any) -> None:
    runs = await wait(
        manager.on_chat_model_start(
            {"name": "m"}, [["a"], ["b"]], GIVEN, invocation_params={"k": 1}, options={}
        )
    )
    await wait(runs[0].on_stream_event({"event": 1}))
    for run in runs:
        await wait(run.on_llm_end("result"))


@same
async def tools(manager: Any, wait: Any) -> None:
    run = await wait(
        manager.on_tool_start({"name": "t"}, "{'a': 1}", inputs={"a": 1}, color="green")
    )
    (model,) = await wait(run.get_child().on_llm_start({"name": "m"}, ["p"]))
    await wait(model.on_llm_end("result"))
    await wait(run.on_tool_end("out", color="green", name="t"))
    run = await wait(manager.on_tool_start({"name": "t"}, "in", GIVEN))
    await wait(run.on_tool_error(error, tool_call_id="id"))


@same
async def retrievers(manager: Any, wait: Any) -> None:
    run = await wait(manager.on_retriever_start({"name": "r"}, "query", run_id=GIVEN))
    await wait(run.on_retriever_end(["document"]))
    run = await wait(manager.on_retriever_start({"name": "r"}, "query", name="other"))
    await wait(run.get_child("t").on_custom_event("mine", {"k": 1}, run_id=GIVEN))
    await wait(run.on_retriever_error(error))


@same
async def custom_events(manager: Any, wait: Any) -> None:
    await wait(manager.on_custom_event("mine", [1]))
    await wait(manager.on_custom_event("mine", None, run_id=GIVEN))


error = ValueError("no")


async def heard(m: ModuleType, program: Program, *, is_async: bool) -> list[Any]:
    """What a handler hears of the program, with the run ids numbered as they come."""
    base = m.AsyncCallbackHandler if is_async else m.BaseCallbackHandler
    handler = recording(base, is_async=is_async)
    cls = m.AsyncCallbackManager if is_async else m.CallbackManager
    manager = cls.configure(
        [handler], None, False, ["t"], ["local"], {"k": 1}, {"l": 2}
    )  # fmt: skip

    async def wait(result: Any) -> Any:
        assert inspect.isawaitable(result) == is_async
        return await result if is_async else result

    await program(manager, wait)
    numbers: dict[UUID, int] = {}

    def known(value: Any) -> Any:
        return numbers.setdefault(value, len(numbers)) if isinstance(value, UUID) else value

    events = []
    for method, args, kwargs in handler.events:
        if "token" in kwargs:  # LangChain's sync managers pass it by its name
            args = (kwargs.pop("token"),)
        events.append((method, args, {key: known(value) for key, value in kwargs.items()}))
    return events


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
async def test_events(program: Program, is_async: bool) -> None:
    """Handlers written for LangChain get what they expect: order, arguments, keywords, ids."""
    expected = await heard(langchain, program, is_async=is_async)
    assert await heard(ours, program, is_async=is_async) == expected
    assert len(expected) >= 2


@pytest.mark.parametrize("given", [{}, {"name": "n"}])
def test_serialized_is_never_none(given: dict[str, str], handler: Any) -> None:
    """Handlers read `serialized["name"]`: LangChain's None makes them fail."""
    CallbackManager([handler]).on_chain_start(None, {}, **given)
    CallbackManager([handler]).on_tool_start(None, "", **given)
    CallbackManager([handler]).on_retriever_start(None, "", **given)
    assert [args[0] for _, args, _ in handler.events] == [given] * 3


@pytest.mark.parametrize("m", [langchain, ours])
async def test_custom_event_takes_no_keywords(m: ModuleType) -> None:
    """A keyword that nobody hands on would be lost in silence."""
    with pytest.raises(ValueError, match=r"custom event|keyword"):
        m.CallbackManager([m.BaseCallbackHandler()]).on_custom_event("e", 1, more=2)
    with pytest.raises(ValueError, match=r"custom event|keyword"):
        await m.AsyncCallbackManager([m.BaseCallbackHandler()]).on_custom_event("e", 1, more=2)


@pytest.mark.parametrize("start", ["on_tool_start", "on_retriever_start"])
def test_parent_of_a_call(start: str, handler: Any) -> None:
    """The parent that is named in the call counts; LangChain takes the argument and ignores it."""
    manager = CallbackManager([handler], parent_run_id=UUID(int=1))
    assert getattr(manager, start)({}, "in", parent_run_id=GIVEN).parent_run_id == GIVEN
    assert getattr(manager, start)({}, "in").parent_run_id == UUID(int=1)


@pytest.mark.parametrize("kind", ["LLM", "Chain", "Tool", "Retriever"])
async def test_noop_managers(kind: str) -> None:
    """Code that may have no callbacks calls a manager that nobody listens to."""
    end = f"on_{kind.lower()}_end"
    run = getattr(ours, f"CallbackManagerFor{kind}Run").get_noop_manager()
    getattr(run, end)("result")
    arun = getattr(ours, f"AsyncCallbackManagerFor{kind}Run").get_noop_manager()
    await getattr(arun, end)("result")
    assert run.run_id != arun.run_id
    assert run.handlers == arun.handlers == []


async def test_get_sync_is_the_same_run(handler: Any) -> None:
    """The sync handle given to code in a worker thread ends the run for the async one too."""
    run = await AsyncCallbackManager([handler]).on_chain_start({"name": "c"}, {})
    sync = run.get_sync()
    assert (sync.run_id, sync.handlers, type(sync)) == (
        run.run_id, run.handlers, ours.CallbackManagerForChainRun,
    )  # fmt: skip
    sync.on_chain_end("first")
    await run.on_chain_end("second")
    assert [args for method, args, _ in handler.events if method == "on_chain_end"] == [("first",)]


def test_run_manager_made_by_hand(handler: Any) -> None:
    """A run manager can be made without a manager, as LangChain's tests and users do."""
    run = ours.CallbackManagerForChainRun(
        run_id=GIVEN, handlers=[handler], inheritable_handlers=[], tags=["t"]
    )
    run.on_text("text")
    run.on_chain_end("out")
    assert handler.events.methods == ["on_text", "on_chain_end"]
    assert handler.events[0][2] == {"run_id": GIVEN, "parent_run_id": None, "tags": ["t"]}
    assert run.get_child().handlers == []
