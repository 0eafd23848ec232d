"""What LangChain, LangGraph and asyncio do not promise, and callspan reads: one test for each.

A failure here says what a new version has changed, before a wrong parent in some trace does.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from importlib.metadata import version
from types import FrameType
from typing import Any
from uuid import UUID
from weakref import ref

import pytest
from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackHandler, CallbackManager
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk
from langchain_core.runnables import RunnableGenerator, RunnableLambda
from langchain_core.tools import tool
from langchain_core.tracers.context import register_configure_hook
from langgraph.graph import START, StateGraph
from langgraph.types import Command
from lc import Model, Shelf, TextModel, run, since
from typing_extensions import TypedDict

from callspan.langchain import internals


def frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


class Drivers(BaseCallbackHandler):
    """Notes by what it is told of each start."""

    run_inline = True

    def __init__(self) -> None:
        self.found: dict[str, tuple[bool, str | None]] = {}

    def note(self, name: str) -> None:
        told, driver = internals.driver_of(sys._getframe(1))
        self.found[name] = (told, None if driver is None else driver.f_code.co_name)

    def on_chain_start(self, *args: Any, name: str = "", **kwargs: Any) -> None:
        self.note(name)

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.note("model")

    def on_llm_start(self, *args: Any, **kwargs: Any) -> None:
        self.note("text")

    def on_tool_start(self, *args: Any, **kwargs: Any) -> None:
        self.note("tool")

    def on_retriever_start(self, *args: Any, **kwargs: Any) -> None:
        self.note("retriever")


@pytest.fixture
def drivers(monkeypatch: pytest.MonkeyPatch) -> Drivers:
    internals.place_of.cache_clear()
    monkeypatch.setattr(internals, "_OWN", (*internals._OWN, __file__))
    yield Drivers()
    internals.place_of.cache_clear()


@tool
def work(x: int) -> int:
    """Work."""
    return x


@tool
async def awork(x: int) -> int:
    """Work."""
    return x


def through(chunks: Iterator[Any]) -> Iterator[Any]:
    yield from chunks


LAMBDA = RunnableLambda(lambda x: x, name="l")


class State(TypedDict, total=False):
    x: int


def graph() -> Any:
    built = StateGraph(State)
    built.add_node("node", lambda state: {"x": 1})
    built.add_edge(START, "node")
    return built.compile()


@pytest.mark.parametrize(
    ("way", "runnable", "given", "name", "driver"),
    [
        ("invoke", LAMBDA, 1, "l", "_call_with_config"),
        ("ainvoke", LAMBDA, 1, "l", "_acall_with_config"),
        ("stream", LAMBDA, 1, "l", "_transform_stream_with_config"),
        ("astream", LAMBDA, 1, "l", "_atransform_stream_with_config"),
        ("invoke", Model(), "x", "model", "generate"),
        ("ainvoke", Model(), "x", "model", "agenerate"),
        ("stream", Model(), "x", "model", "stream"),
        ("astream", Model(), "x", "model", "astream"),
        ("invoke", TextModel(), "x", "text", "generate"),
        ("ainvoke", TextModel(), "x", "text", None),
        ("invoke", work, {"x": 1}, "tool", "run"),
        ("ainvoke", awork, {"x": 1}, "tool", "arun"),
        ("invoke", Shelf(), "x", "retriever", "invoke"),
        ("ainvoke", Shelf(), "x", "retriever", "ainvoke"),
        ("invoke", graph(), {"x": 1}, "LangGraph", "stream"),
        ("astream", graph(), {"x": 1}, "LangGraph", "astream"),
        ("invoke", graph(), {"x": 1}, "node", "invoke"),
        ("ainvoke", graph(), {"x": 1}, "node", "ainvoke"),
    ],
)  # fmt: skip
def test_the_frame_that_starts_a_run_runs_its_body(
    way: str, runnable: Any, given: Any, name: str, driver: str | None, drivers: Drivers
) -> None:
    """It calls through langchain_core/callbacks; helpers and comprehensions are passed over."""
    run(way, runnable, given, {"callbacks": [drivers]})
    told, found = drivers.found[name]
    assert told
    assert found == driver


def test_a_batch_of_a_sequence_starts_in_one_frame(drivers: Drivers) -> None:
    """Its comprehension is passed over: the runs are siblings."""
    sequence = (RunnableLambda(lambda x: x) | Model()).with_config(run_name="s")
    sequence.batch(["x", "y"], {"callbacks": [drivers]})
    assert drivers.found["s"] == (True, "batch")


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_the_config_variable_names_the_run(way: str) -> None:
    """In the bodies of chains, tools and nodes, as `callbacks.parent_run_id`."""
    found: list[Any] = []

    class Ids(BaseCallbackHandler):
        run_inline = True

        def on_chain_start(self, *args: Any, run_id: Any, **kwargs: Any) -> None:
            found.append(run_id.int)

    def body(x: Any) -> Any:
        found.append(internals.config_run())
        assert internals.config_callbacks().inheritable_handlers
        return x

    handler = Ids()
    run(way, RunnableLambda(body), 1, {"callbacks": [handler]})
    assert len(found) == 2
    assert found[0] == found[1]
    assert internals.config_run() is None


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_models_body_is_run_with_its_run_manager(way: str) -> None:
    """`_generate_with_cache` and its async twin have it as `run_manager`."""
    found: list[Any] = []

    class Looking(Model):
        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            found.append([run for one in frames(sys._getframe()) if (run := internals.run_of(one))])
            return super()._generate(*args, **kwargs)

        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            found.append([run for one in frames(sys._getframe()) if (run := internals.run_of(one))])
            return await super()._agenerate(*args, **kwargs)

    run(way, Looking(), "x", {"callbacks": [Drivers()]})
    assert len(found[0]) == 1


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("counts", ["attempt", "fallback"])
def test_retries_and_fallbacks_are_known_by_their_files(counts: str, way: str) -> None:
    """Nothing else tells that a run tries one child after the other."""
    found: list[str] = []

    class Counts(BaseCallbackHandler):
        run_inline = True

        def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            found.append(internals.tries(sys._getframe(1), None))

    runnable = LAMBDA.with_retry() if counts == "attempt" else LAMBDA.with_fallbacks([LAMBDA])
    run(way, runnable, 1, {"callbacks": [Counts()]})
    assert counts in found
    assert {*found} <= {counts, ""}
    found.clear()
    run(way, LAMBDA, 1, {"callbacks": [Counts()]})
    assert found == [""]


@pytest.mark.parametrize(("runnable", "given"), [(Model(), "x"), (RunnableGenerator(through), "x")])
def test_a_stream_holds_the_id_that_it_told_and_nobody_else_does(runnable: Any, given: Any) -> None:
    """So a stream that is gone without an end is known by its id's end."""
    ids: list[ref[UUID]] = []

    class Ids(BaseCallbackHandler):
        run_inline = True

        def on_chain_start(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:
            ids.append(ref(run_id))

        def on_chat_model_start(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:
            ids.append(ref(run_id))

    stream = runnable.stream(given, {"callbacks": [Ids()]})
    next(stream)
    gc.collect()
    assert [one() is None for one in ids] == [False]
    stream.close()
    del stream
    gc.collect()
    assert [one() is None for one in ids] == [True]


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_model_says_how_many_prompts_it_starts_with(way: str) -> None:
    """With `batch_size` of 1 a frame has no siblings to spare."""
    found: list[int] = []

    class Sizes(BaseCallbackHandler):
        run_inline = True

        def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            found.append(kwargs["batch_size"])

    run(way, Model(), "x", {"callbacks": [Sizes()]})
    Model().generate([[HumanMessage("x")]] * 2, callbacks=[Sizes()])
    assert found == [1, 2, 2]


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_graphs_metadata_name_its_thread_and_place(way: str) -> None:
    """By these a resumption finds what was interrupted."""
    found: list[Any] = []

    class Threads(BaseCallbackHandler):
        run_inline = True

        def on_chain_start(self, *args: Any, metadata: Any, **kwargs: Any) -> None:
            keys = (internals.THREAD, internals.PLACE_IN_GRAPH)
            found.append(tuple(metadata.get(key, "").split(":")[0] for key in keys))

    config = {"callbacks": [Threads()], "configurable": {"thread_id": "t1"}}
    run(way, graph(), {"x": 1}, config)
    assert found == [("t1", ""), ("t1", "node")]


def test_a_sync_stream_is_pulled_by_run_in_executor() -> None:
    """Its frame is `wrapper`, with `func` and `args`; the generator is the method `_stream`."""
    found: list[Any] = []

    class Looking(FakeListChatModel):
        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
            for chunk in super()._stream(*args, **kwargs):
                pulled = [internals.pulled_stream(one) for one in frames(sys._getframe())]
                found.append([one for one in pulled if one is not None])
                yield chunk

        _astream = Model.__mro__[1]._astream  # type: ignore[attr-defined]

    run("astream", Looking(responses=["ab"]), "x", {"callbacks": [Drivers()]})
    assert len(found[0]) == 1
    assert found[0] == found[1]


def test_the_chunks_of_an_async_stream_are_pulled_in_one_context() -> None:
    """What a body attaches in one step is there in the next; not so on Python 3.10."""
    variable: ContextVar[bool] = ContextVar("variable", default=False)
    found: list[bool] = []

    async def body(chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
        for step in range(2):
            found.append(variable.get())
            variable.set(True)
            yield step

    run("astream", RunnableGenerator(body), 1, {"callbacks": [Drivers()]})
    assert found == [False, internals.ONE_CONTEXT]


async def test_the_loop_runs_steps_in_handle_run() -> None:
    """Frames above it are another task's."""
    code = [one.f_code for one in frames(sys._getframe())]
    assert internals.STEP_OF_LOOP in code


@pytest.mark.parametrize("cls", [CallbackManager, AsyncCallbackManager])
def test_configure_asks_its_hooks_with_the_manager_at_hand(cls: Any) -> None:
    """As the local `callback_manager`, which it then returns."""
    found: list[Any] = []

    class Asked:
        def get(self) -> None:
            found.append(internals.configured(sys._getframe(1)))

    hook: Any = Asked()
    register_configure_hook(hook, inheritable=True)
    manager = cls.configure()
    hook.__class__ = type("Deaf", (), {"get": lambda self: None})
    assert found == [manager]


async def test_a_text_models_start_asks_who_is_inline_in_its_own_frame() -> None:
    """`AsyncCallbackManager.on_llm_start` asks each handler, in comprehensions."""
    found: list[Any] = []

    class Asked(BaseCallbackHandler):
        @property
        def run_inline(self) -> bool:  # type: ignore[override]
            found.append(internals.starts_text_model(sys._getframe(1)))
            return True

    manager = AsyncCallbackManager([Asked()])
    await manager.on_llm_start({}, ["x"])
    assert found[:2] == [manager, manager]


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
def test_a_text_models_own_method_configures_its_manager(way: str) -> None:
    """Asked in `agenerate` and `astream`, before a task of its own starts the run."""
    found: list[Any] = []

    class Asked:
        def get(self) -> None:
            model = internals.text_model(sys._getframe(1))
            found.append(model and model.f_code.co_name)

    class Streams(TextModel):
        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[GenerationChunk]:
            yield GenerationChunk(text="a")

    hook: Any = Asked()
    register_configure_hook(hook, inheritable=True)
    run(way, Streams(), "x", {"callbacks": [BaseCallbackHandler()]})
    assert found == [{"ainvoke": "agenerate", "astream": "astream"}[way]]
    found.clear()
    run("invoke", Streams(), "x", {"callbacks": [BaseCallbackHandler()]})
    run(way, Model(), "x", {"callbacks": [BaseCallbackHandler()]})
    hook.__class__ = type("Deaf", (), {"get": lambda self: None})
    assert set(found) == {None}


def test_langgraphs_control_flow_has_one_base() -> None:
    """What it raises to pause or to leave a graph is a GraphBubbleUp."""
    from langgraph.errors import GraphInterrupt, ParentCommand

    assert issubclass(GraphInterrupt, internals.graph_control_flow())
    assert issubclass(ParentCommand, internals.graph_control_flow())
    assert internals.is_interrupt(GraphInterrupt())
    assert not internals.is_interrupt(ParentCommand(Command()))


@since("langchain-core", "0.3.73")
def test_a_cached_answer_says_that_it_cost_nothing() -> None:
    """`total_cost` of 0 in the message's usage is the only sign of it."""
    from langchain_core.caches import InMemoryCache

    model = Model(cache=InMemoryCache())
    first, second = model.invoke("x"), model.invoke("x")
    assert not internals.costs_nothing(first)
    assert internals.costs_nothing(second)


def test_ends_of_async_chains_come_from_other_tasks() -> None:
    """That is why the live Context may be left behind, and must be right then."""
    found: list[Any] = []

    class Tasks(BaseCallbackHandler):
        run_inline = True

        def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            found.append(asyncio.current_task())

        def on_chain_end(self, *args: Any, **kwargs: Any) -> None:
            found.append(asyncio.current_task())

    run("ainvoke", RunnableLambda(lambda x: x), 1, {"callbacks": [Tasks()]})
    assert found[0] is not found[1]


LANGCHAIN = tuple(map(int, version("langchain").split(".")[:2]))


@pytest.mark.skipif(LANGCHAIN < (1, 4), reason="an older LangChain may not tell")
@pytest.mark.parametrize("name", [None, "mine"])
def test_an_agent_says_in_its_metadata_that_it_is_one(name: str | None) -> None:
    """`ls_integration` and `lc_agent_name`, which all its parts inherit."""
    from langchain.agents import create_agent

    metadata = create_agent(Model(), [], name=name).config["metadata"]
    assert metadata[internals.MADE_BY] == internals.CREATE_AGENT
    assert metadata.get(internals.AGENT_NAME) == name
