"""How runs of LangChain end: errors, cancellations, streams given up, control flow of graphs."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from importlib.util import find_spec
from typing import Annotated, Any
from uuid import uuid4

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from lc import WAYS, Model, Shelf, look, run, seen
from opentelemetry.trace import StatusCode, Tracer
from typing_extensions import TypedDict

from callspan.langchain import OTelCallbackHandler
from support import SpanLog, current


class State(TypedDict, total=False):
    x: Any
    done: Annotated[list[Any], lambda a, b: [*a, *b]]


@pytest.mark.parametrize("way", WAYS)
def test_a_models_error_is_on_its_span_and_its_parents(way: str, spans: SpanLog) -> None:
    """Status, type and stack tell what went wrong, and where."""
    chain = RunnableLambda(lambda x: x, name="first") | Model(fails=ValueError("no luck"))
    config = {"callbacks": [OTelCallbackHandler(capture_error_text=True)]}
    with pytest.raises(ValueError, match="no luck"):
        run(way, chain, "x", config)
    assert spans.outcomes() == {"first": "ok", "Model": "error", "RunnableSequence": "error"}
    for name in ("Model", "RunnableSequence"):
        span = spans.named(name)
        assert span.status.status_code is StatusCode.ERROR
        (event,) = [event for event in span.events if event.name == "exception"]
        assert (event.attributes or {})["exception.message"] == "no luck"
        assert (span.attributes or {})["error.type"] == "ValueError"
    assert spans.named("first").status.status_code is StatusCode.UNSET
    assert current() == "nothing"


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_tools_error_is_on_its_span(way: str, config: Any, spans: SpanLog) -> None:
    """As of a model."""

    @tool
    def breaks(x: int) -> int:
        """Break."""
        raise KeyError(x)

    with pytest.raises(KeyError):
        run(way, breaks, {"x": 1}, config)
    assert spans.outcomes() == {"breaks": "error"}
    assert (spans.named("breaks").attributes or {})["error.type"] == "KeyError"


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_stream_that_is_closed_ends_its_runs(way: str, config: Any, spans: SpanLog) -> None:
    """LangChain tells that it was given up, in another task for an async one."""

    async def some() -> None:
        stream = Model().astream("x", config)
        async for _ in stream:
            break
        assert current() == "nothing"
        await stream.aclose()
        assert current() == "nothing"

    if way == "stream":
        stream = Model().stream("x", config)
        next(stream)
        stream.close()
    else:
        asyncio.run(some())
    assert spans.outcomes() == {"Model": "abandoned"}
    assert current() == "nothing"


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_stream_that_is_dropped_ends_its_runs(way: str, config: Any, spans: SpanLog) -> None:
    """Nobody closes streams; the collector, or the loop at its end, does."""
    chain = RunnableLambda(lambda x: x, name="first") | Model()

    async def some() -> None:
        async for _ in chain.astream("x", config):
            break
        assert current() == "nothing"

    if way == "stream":
        next(chain.stream("x", config))
    else:
        asyncio.run(some())
    gc.collect()
    assert spans.open == []
    assert current() == "nothing"


@pytest.mark.parametrize("in_chain", [True, False])
@pytest.mark.parametrize("what", ["model", "tool", "retriever", "lambda", "timeout"])
async def test_what_is_cancelled_ends_as_cancelled(
    what: str, in_chain: bool, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """LangChain sends no event for a cancelled model, tool or retriever."""
    begun = asyncio.Event()

    async def wait(*args: Any, **kwargs: Any) -> Any:
        begun.set()
        await asyncio.Event().wait()

    class Slow(Model):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            await wait()

    class SlowShelf(Shelf):
        async def _aget_relevant_documents(self, *args: Any, **kwargs: Any) -> Any:
            await wait()

    @tool
    async def slow(x: int) -> int:
        """Wait."""
        return await wait()

    runnable: Any = {
        "model": Slow(name="it"),
        "timeout": Slow(name="it"),
        "tool": slow,
        "retriever": SlowShelf(),
        "lambda": RunnableLambda(wait, name="it"),
    }[what]
    given: Any = {"x": 1} if what == "tool" else "x"
    if in_chain:
        runnable = RunnableLambda(lambda x: x, name="first") | runnable
    if what == "timeout":
        # In a task of its own, as a server's request is: from Python 3.12 on it makes none itself.
        request = asyncio.create_task(asyncio.wait_for(runnable.ainvoke(given, config), 0.5))
        with pytest.raises(asyncio.TimeoutError):
            await request
    else:
        task = asyncio.create_task(runnable.ainvoke(given, config))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    with tracer.start_as_current_span("after"):
        assert current() == "after"
    await asyncio.sleep(0)
    assert spans.open == []
    outcomes = spans.outcomes()
    assert outcomes.pop("after") is None
    assert outcomes.pop("first", "ok") == "ok"
    assert set(outcomes.values()) == {"cancelled"}
    assert spans.named("after").parent is None


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_attempts_are_numbered(way: str, config: Any, spans: SpanLog) -> None:
    """Which attempt failed, and which one did not."""
    tries: list[int] = []

    def flaky(x: Any) -> Any:
        tries.append(1)
        look()
        if len(tries) < 3:
            raise ValueError("again")
        return x

    runnable = RunnableLambda(flaky, name="flaky").with_retry(
        wait_exponential_jitter=False, stop_after_attempt=3
    )
    run(way, runnable, 1, config)
    attempts = [(span.attributes or {}).get("callspan.run.attempt") for span in spans.started]
    outcomes = [(span.attributes or {})["callspan.run.outcome"] for span in spans.started]
    assert outcomes[-3:] == ["error", "error", "ok"]
    assert attempts[-3:] == [1, 2, 3]
    assert seen == ["flaky"] * 3


@pytest.mark.parametrize("way", WAYS)
def test_fallbacks_are_part_of_their_run(way: str, config: Any, spans: SpanLog) -> None:
    """LangChain gives them no parent (#36072)."""
    runnable = Model(name="bad", fails=ValueError("no")).with_fallbacks([Model(name="good")])
    outer = RunnableLambda(lambda x: x, name="first") | runnable
    run(way, outer, "x", config)
    assert spans.outcomes()["bad"] == "error"
    assert spans.outcomes()["good"] == "ok"
    positions = [
        (spans.named(name).attributes or {})["callspan.run.fallback"] for name in ("bad", "good")
    ]
    assert positions == [0, 1]
    fallbacks = [line for line in spans.tree() if "Fallbacks" in line]
    assert fallbacks == ["  RunnableWithFallbacks"]
    assert {spans.parent_of(name) for name in ("bad", "good")} == {"RunnableWithFallbacks"}
    assert set(seen) <= {"good", "bad"}


def asking_graph(saver: Any) -> Any:
    def ask(state: State) -> State:
        look()
        answer = interrupt("sure?")
        return {"x": answer}

    graph = StateGraph(State)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    graph.add_edge("ask", END)
    return graph.compile(checkpointer=saver)


@pytest.mark.parametrize("way", WAYS)
def test_an_interrupt_is_no_error_and_its_resumption_is_linked(
    way: str, config: Any, spans: SpanLog
) -> None:
    """A question to a human and its answer are one story in two traces."""
    graph = asking_graph(InMemorySaver())
    with_thread = {**config, "configurable": {"thread_id": "t1"}}
    run(way, graph, {"x": 1}, with_thread)
    assert spans.outcomes() == {"ask": "interrupted", "LangGraph": "interrupted"}
    assert {span.status.status_code for span in spans.ended} == {StatusCode.UNSET}
    assert [event.name for span in spans.ended for event in span.events] == []
    interrupted = spans.named("LangGraph").context
    spans.clear()
    other = {**config, "configurable": {"thread_id": "t2"}}
    run(way, graph, {"x": 1}, other)
    assert not spans.named("LangGraph").links
    spans.clear()
    run(way, graph, Command(resume="yes"), with_thread)
    assert spans.outcomes() == {"ask": "ok", "LangGraph": "ok"}
    resumed = spans.named("LangGraph")
    assert [link.context for link in resumed.links] == [interrupted]
    spans.clear()
    run(way, graph, {"x": 2}, with_thread)
    assert not spans.named("LangGraph").links
    assert set(seen) == {"ask"}


@pytest.mark.skipif(find_spec("langgraph.callbacks") is None, reason="an older LangGraph")
def test_a_breakpoint_is_an_interrupt(config: Any, spans: SpanLog) -> None:
    """It raises nothing: only LangGraph's own callback tells of it."""
    graph = StateGraph(State)
    graph.add_node("a", lambda state: {"x": 2})
    graph.add_edge(START, "a")
    compiled = graph.compile(checkpointer=InMemorySaver(), interrupt_before=["a"])
    with_thread = {**config, "configurable": {"thread_id": "t1"}}
    compiled.invoke({"x": 1}, with_thread)
    assert spans.outcomes() == {"LangGraph": "interrupted"}
    interrupted = spans.named("LangGraph").context
    spans.clear()
    compiled.invoke(None, with_thread)
    assert [link.context for link in spans.named("LangGraph").links] == [interrupted]


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_kept_of_a_graph_that_asked_and_broke(
    way: str, config: Any, spans: SpanLog
) -> None:
    """It does not end as interrupted; nor does a later run, which only its id could betray."""
    breaks, asked = [True], threading.Event()

    class Told(BaseCallbackHandler):
        def on_chain_error(self, *args: Any, **kwargs: Any) -> None:
            asked.set()

    def ask(state: State) -> State:
        if breaks:
            interrupt("sure?")
        return {}

    def late(state: State) -> State:
        if breaks:
            asked.wait(10)
            raise ValueError
        return {}

    graph = StateGraph(State)
    for name, node in (("ask", ask), ("late", late)):
        graph.add_node(name, node)
        graph.add_edge(START, name)
    compiled = graph.compile(checkpointer=InMemorySaver())
    config = {"callbacks": [*config["callbacks"], Told()], "run_id": uuid4()}
    config["configurable"] = {"thread_id": "t1"}
    with pytest.raises(ValueError):  # noqa: PT011  # it has no text
        run(way, compiled, {"x": 1}, config)
    assert spans.outcomes() == {"ask": "interrupted", "late": "error", "LangGraph": "error"}
    breaks.clear()
    spans.clear()
    run(way, compiled, {"x": 1}, {**config, "configurable": {"thread_id": "t2"}})
    assert spans.outcomes() == {"ask": "ok", "late": "ok", "LangGraph": "ok"}


@pytest.mark.parametrize("way", WAYS)
def test_a_command_to_the_parent_graph_is_no_error(way: str, config: Any, spans: SpanLog) -> None:
    """LangGraph raises to leave the subgraph."""

    def leave(state: State) -> Command[Any]:
        return Command(goto="after", graph=Command.PARENT, update={"x": 2})

    inner = StateGraph(State)
    inner.add_node("leave", leave)
    inner.add_edge(START, "leave")
    graph = StateGraph(State)
    graph.add_node("sub", inner.compile())
    graph.add_node("after", lambda state: {"x": 3})
    graph.add_edge(START, "sub")
    run(way, graph.compile(), {"x": 1}, config)
    assert "error" not in spans.outcomes().values()
    assert {span.status.status_code for span in spans.ended} == {StatusCode.UNSET}
    assert spans.outcomes()["LangGraph"] in ("ok", "interrupted")


@pytest.mark.parametrize("way", WAYS)
def test_an_agent_with_two_tool_calls(way: str, config: Any, spans: SpanLog) -> None:
    """The most common program of all."""
    try:
        from langchain.agents import create_agent
    except ImportError:
        from langgraph.prebuilt import create_react_agent as create_agent

    @tool
    def add(a: int, b: int) -> int:
        """Add."""
        look()
        return a + b

    calls = [{"name": "add", "args": {"a": 1, "b": i}, "id": f"c{i}"} for i in (1, 2)]
    model = Model(answers=[AIMessage("", tool_calls=calls), "done"])
    run(way, create_agent(model, [add]), {"messages": [("user", "hi")]}, config)
    tools = [span for span in spans.ended if span.name == "execute_tool add"]
    assert sorted((span.attributes or {})["gen_ai.tool.call.id"] for span in tools) == ["c1", "c2"]
    assert spans.open == []
    assert set(spans.outcomes().values()) == {"ok"}
    assert seen.count("add") == 2
    assert set(seen) == {"add", "Model"}
    assert {span.context.trace_id for span in spans.ended} == {spans.ended[0].context.trace_id}


def test_a_bound_holds_runs_that_never_end(spans: SpanLog) -> None:
    """A bug in somebody's integration must not eat the memory."""
    from langchain_core.callbacks import CallbackManager

    from callspan.langchain.runs import open_runs

    handler = OTelCallbackHandler(max_open_runs=50)
    manager = CallbackManager.configure(inheritable_callbacks=[handler])

    managers: list[Any] = []

    def start() -> None:
        managers.extend(
            manager.on_chain_start(None, {}, name="lost", run_id=uuid4()) for _ in range(500)
        )

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert len(open_runs) <= 50
    assert len(spans.open) <= 50
    assert set(spans.outcomes().values()) == {"unfinished"}
    for one in managers:
        one.on_chain_end({})
    assert spans.open == []


@pytest.mark.filterwarnings("ignore")  # old versions silence them in a way that threads undo
@pytest.mark.parametrize("together", [1, 4])
def test_the_bound_holds_while_threads_start_and_end_runs(
    together: int, spans: SpanLog, caplog: pytest.LogCaptureFixture
) -> None:
    """Each forgets runs of the others: none may trip over that, or leave what nobody ends."""
    chain = RunnableLambda(lambda x: x) | Model()
    config: Any = {
        "callbacks": [OTelCallbackHandler(max_open_runs=2 * together)],
        "max_concurrency": 1,
    }

    def work() -> None:
        for _ in range(100 // together):
            chain.batch(["x"] * together, config)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert caplog.messages == []
    assert spans.open == []
    assert len(spans.ended) == 8 * 100 * 3
    roots = [span for span in spans.ended if span.name.endswith("RunnableSequence")]
    assert [span.parent for span in roots] == [None] * 800
