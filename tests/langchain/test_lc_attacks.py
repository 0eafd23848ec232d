"""More hostile programs: what people do with LangChain's less common parts, and with asyncio's."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, suppress
from operator import itemgetter
from typing import Annotated, Any
from uuid import uuid4

import pytest
from langchain_core.callbacks.manager import trace_as_chain_group
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.messages import AIMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import (
    ConfigurableField,
    RunnableBranch,
    RunnableConfig,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt
from lc import ASYNC_WAYS, SYNC_WAYS, WAYS, Model, Shelf, look, run, seen
from opentelemetry.context import attach, detach
from opentelemetry.trace import Tracer, set_span_in_context
from typing_extensions import TypedDict

from callspan.langchain import LangChainInstrumentor
from support import SpanLog, current, global_provider, logged_provider


class State(TypedDict, total=False):
    x: Any
    done: Annotated[list[Any], lambda a, b: [*a, *b]]


def graph_of(*nodes: Any, saver: Any = None, **options: Any) -> Any:
    """A graph of (name, function) nodes, one after the other."""
    graph = StateGraph(State)
    before = START
    for name, function in nodes:
        graph.add_node(name, function, **options)
        graph.add_edge(before, name)
        before = name
    graph.add_edge(before, END)
    return graph.compile(checkpointer=saver)


@pytest.fixture
def work(tracer: Tracer) -> Any:
    """Opens a span of the user's, and looks around: outside, inside and outside."""

    def work(expected: str, *inside: Any) -> None:
        assert current() == expected
        with tracer.start_as_current_span("work"):
            assert current() == "work"
            for each in inside:
                each()
            assert current() == "work"
        assert current() == expected

    return work


@pytest.fixture
def awork(tracer: Tracer) -> Any:
    """As `work`, with awaits."""

    async def awork(expected: str, *inside: Any) -> None:
        assert current() == expected
        with tracer.start_as_current_span("work"):
            await asyncio.sleep(0)
            for each in inside:
                await each()
            assert current() == "work"
        await asyncio.sleep(0)
        assert current() == expected

    return awork


# Streams


@pytest.mark.parametrize("way", WAYS)
def test_a_users_span_open_across_a_bodys_yields(
    way: str, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """It stays in the body, and does not get to the consumer."""

    def body(chunks: Iterator[Any]) -> Iterator[Any]:
        for _ in chunks:
            with tracer.start_as_current_span("work"):
                for number in range(3):
                    look()
                    yield number
                    look()
            look()

    async def abody(chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for _ in chunks:
            with tracer.start_as_current_span("work"):
                for number in range(3):
                    look()
                    yield number
                    await asyncio.sleep(0)
                    look()
            look()

    run(way, RunnableGenerator(body, abody, name="g"), 1, config)
    assert seen == ["work"] * 6 + ["g"]
    assert spans.tree() == ["g", "  work"]


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_streams_in_streams_with_spans_between(
    way: str, config: Any, spans: SpanLog, work: Any
) -> None:
    """Each layer pulls the next one, and traces between its chunks."""

    def layer(name: str, inner: Any) -> Any:
        def body(chunks: Iterator[Any]) -> Iterator[Any]:
            for chunk in chunks:
                for part in inner.stream(chunk):
                    work(name)
                    yield part
                work(name)

        async def abody(chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
            async for chunk in chunks:
                async for part in inner.astream(chunk):
                    work(name)
                    yield part
                work(name)

        return RunnableGenerator(body, abody, name=name)

    def last(chunks: Iterator[Any]) -> Iterator[Any]:
        for _ in chunks:
            yield from ("a", "b")
            work("last")

    async def alast(chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for _ in chunks:
            for part in ("a", "b"):
                yield part
            work("last")

    inner = RunnableGenerator(last, alast, name="last")
    run(way, layer("one", layer("two", layer("three", inner))), "x", config)
    tree = [line for line in spans.tree() if "work" not in line]
    assert tree == ["one", "  two", "    three", "      last"]


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_consumer_that_calls_others_between_chunks(
    way: str, config: Any, spans: SpanLog, work: Any, awork: Any
) -> None:
    """A body that streams a model, and asks another model between its chunks."""

    def body(x: Any) -> Any:
        for _ in Model(name="streamed").stream("x"):
            work("l", lambda: Model(name="asked").invoke("y"))
        return x

    async def abody(x: Any) -> Any:
        async for _ in Model(name="streamed").astream("x"):
            await awork("l", lambda: Model(name="asked").ainvoke("y"))
        return x

    run(way, RunnableLambda(body, abody, name="l"), 1, config)
    tree = spans.tree()
    assert tree[:2] == ["l", "  streamed"]
    assert tree[2:] == ["  work", "    asked"] * (len(tree) // 2 - 1)
    assert len(tree) >= 8
    assert set(seen) == {"streamed", "asked"}


def test_an_exception_thrown_into_a_stream(config: Any, spans: SpanLog) -> None:
    """`throw` closes it in the consumer's frame."""
    stream = (RunnableLambda(lambda x: x, name="first") | Model()).stream("x", config)
    next(stream)
    with pytest.raises(ZeroDivisionError):
        stream.throw(ZeroDivisionError())
    assert current() == "nothing"
    gc.collect()
    assert spans.open == []
    assert spans.outcomes()["RunnableSequence"] == "error"


def test_a_stream_closed_by_another_thread(config: Any, spans: SpanLog) -> None:
    """A server's worker threads do so."""
    stream = Model().stream("x", config)
    next(stream)
    thread = threading.Thread(target=stream.close)
    thread.start()
    thread.join()
    assert current() == "nothing"
    assert spans.outcomes() == {"Model": "abandoned"}
    Model(name="next").invoke("x", config)
    assert spans.parent_of("next") is None


async def test_streams_given_up_in_a_row(config: Any, spans: SpanLog, tracer: Tracer) -> None:
    """What they leave behind piles up in one task's context."""
    chain = RunnableLambda(lambda x: x, name="first") | Model()
    for number in range(20):
        with tracer.start_as_current_span(f"request {number}"):
            if number % 2:
                async with aclosing(chain.astream("x", config)) as stream:
                    async for _ in stream:
                        break
            else:
                async for _ in chain.astream("x", config):
                    break
            assert current() == f"request {number}"
        assert current() == "nothing"
    for _ in range(5):
        gc.collect()
        await asyncio.sleep(0)
    for span in spans.ended:
        if "RunnableSequence" in span.name:
            assert span.parent is not None
    names = {one.context.span_id: one.name for one in spans.started}
    tops = [span for span in spans.started if "RunnableSequence" in span.name]
    assert [names[top.parent.span_id] for top in tops if top.parent] == [
        f"request {number}" for number in range(20)
    ]


@pytest.mark.parametrize(
    "mode", ["values", "updates", "messages", "debug", ["messages", "updates"]]
)
@pytest.mark.parametrize("way", ["stream", "astream"])
def test_the_ways_in_which_a_graph_streams(
    way: str, mode: Any, config: Any, spans: SpanLog, work: Any, awork: Any
) -> None:
    """`messages` adds a handler of LangGraph's, and makes models stream in invoke."""

    def node(state: State) -> State:
        work("n", lambda: Model().invoke("x"))
        return {"x": 1}

    async def anode(state: State) -> State:
        await awork("n", lambda: Model().ainvoke("x"))
        return {"x": 1}

    compiled = graph_of(("n", anode if way == "astream" else node))
    run(way, compiled, {"x": 0}, config, stream_mode=mode)
    assert spans.tree() == ["LangGraph", "  n", "    work", "      Model"]
    assert set(seen) == {"Model"}


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_node_that_writes_to_the_stream(way: str, config: Any, spans: SpanLog, work: Any) -> None:
    """Custom chunks come out while the node is at work."""

    def node(state: State, *, writer: Any = None) -> State:
        from langgraph.config import get_stream_writer

        write = get_stream_writer()
        for number in range(3):
            work("n")
            write(number)
            work("n")
        return {"x": 1}

    run(way, graph_of(("n", node)), {"x": 0}, config, stream_mode="custom")
    assert spans.tree() == ["LangGraph", "  n", *["    work"] * 6]


# Less common runnables


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("way", WAYS)
def test_runnables_of_all_kinds_around_a_body(
    way: str, config: Any, spans: SpanLog, work: Any
) -> None:
    """Each hands its config down in its own way."""

    def body(x: Any) -> Any:
        work("body")
        look()
        return x

    inner = RunnableLambda(body, name="body")
    history = InMemoryChatMessageHistory()
    prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("user", "{q}")])
    runnables: list[tuple[Any, Any]] = [
        (RunnableBranch((lambda x: bool(x), inner), inner), 1),
        (RunnablePassthrough.assign(y=inner), {"x": 1}),
        (inner.map(), [1, 2]),
        (inner.bind(), 1),
        (inner.with_listeners(on_start=lambda r: None, on_end=lambda r: None), 1),
        (RunnableLambda(lambda x: inner, name="router"), 1),
        (RunnableParallel(a=inner, b=itemgetter("x")), {"x": 1}),
        (inner.pick("x") if hasattr(inner, "pick") else inner, {"x": 1}),
        (
            Model()
            .configurable_fields(answers=ConfigurableField("answers"))
            .with_config(configurable={"answers": ["b"]})
            | inner,
            "x",
        ),
        (
            RunnableWithMessageHistory(
                prompt | Model() | inner,
                lambda session_id: history,
                input_messages_key="q",
                history_messages_key="history",
            ).with_config(configurable={"session_id": "s"}),
            {"q": "?"},
        ),
    ]
    for runnable, given in runnables:
        seen.clear()
        run(way, runnable, given, config)
        assert "body" in seen
        assert set(seen) <= {"body", "Model"}
        assert spans.open == []


@pytest.mark.parametrize("way", WAYS)
def test_a_body_that_passes_its_config_on_in_a_plain_thread(
    way: str, config: Any, spans: SpanLog
) -> None:
    """LangChain's own way to keep the parent: it needs no context."""

    def body(x: Any, config: RunnableConfig) -> Any:
        inner = RunnableLambda(lambda x: look() or Model().invoke(x), name="inner")
        thread = threading.Thread(target=lambda: inner.invoke("x", config))
        thread.start()
        thread.join()
        look()
        return x

    run(way, RunnableLambda(body, name="outer"), 1, config)
    assert spans.tree() == ["outer", "  inner", "    Model"]
    assert seen == ["inner", "Model", "outer"]


@pytest.mark.parametrize("way", WAYS)
def test_a_tool_that_takes_its_config(way: str, config: Any, spans: SpanLog, work: Any) -> None:
    """And asks a model, a retriever and another tool with it."""

    @tool
    def inner(x: int) -> int:
        """Work."""
        work("inner")
        return x

    @tool
    def outer(x: int, config: RunnableConfig) -> int:
        """Work."""
        work("outer", lambda: Model().invoke("x", config))
        work("outer", lambda: Shelf().invoke("x", config), lambda: inner.invoke({"x": 1}, config))
        return x

    run(way, outer, {"x": 1}, config)
    tree = [line for line in spans.tree() if line.strip() != "work"]
    assert [line.strip() for line in tree] == ["outer", "Model", "Shelf", "inner"]
    assert {spans.parent_of(name) for name in ("Model", "Shelf", "inner")} <= {"work", "outer"}


def test_a_chain_group(spans: SpanLog, tracer: Tracer, work: Any) -> None:
    """Its `with` block is the caller's code; what is passed its manager is part of it."""
    instrumentor = LangChainInstrumentor()
    instrumentor.instrument()
    try:
        with tracer.start_as_current_span("user"):
            with trace_as_chain_group("group") as manager:
                RunnableLambda(lambda x: look() or x, name="inner").invoke(
                    1, {"callbacks": manager}
                )
                Model().invoke("x", {"callbacks": manager})
            work("user")
    finally:
        instrumentor.uninstrument()
    assert spans.tree() == ["user", "  group", "    inner", "    Model", "  work"]
    assert seen == ["inner", "Model"]


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_attempts_with_a_users_span_in_each(
    way: str, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """A model that fails twice: three models, each with its own request."""

    class Flaky(Model):
        def _answer(self) -> Any:
            with tracer.start_as_current_span("http"):
                look()
                self.calls += 1
                if self.calls < 3:
                    raise ConnectionError
            return AIMessage("a")

        _stream = Model.__mro__[1]._stream  # type: ignore[attr-defined]
        _astream = Model.__mro__[1]._astream  # type: ignore[attr-defined]

    model = Flaky(name="m").with_retry(wait_exponential_jitter=False, stop_after_attempt=3)
    run(way, RunnableLambda(lambda x: x, name="first") | model, "x", config)
    lines = [line.strip() for line in spans.tree()]
    assert lines[-6:] == ["m", "http"] * 3
    assert set(seen) == {"http", "m"}


@pytest.mark.parametrize("way", ["batch", "abatch"])
def test_batches_of_models_with_a_limit(way: str, config: Any, spans: SpanLog) -> None:
    """Threads and tasks that are used for several items in turn."""
    run(way, Model(), "x", {**config, "max_concurrency": 1})
    run(way, RunnableLambda(lambda x: x) | Model(), "x", {**config, "max_concurrency": 1})
    assert spans.tree() == [
        *["Model"] * 3,
        *["RunnableSequence", "  RunnableLambda", "  Model"] * 3,
    ]
    assert set(seen) == {"Model"}


# asyncio


@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_a_sibling_that_fails_in_a_gather(
    way: str, config: Any, spans: SpanLog, awork: Any
) -> None:
    """The other goes on, in the body that started both."""

    async def breaks(x: Any) -> Any:
        await asyncio.sleep(0)
        raise ValueError

    async def goes_on(x: Any) -> Any:
        for _ in range(5):
            await asyncio.sleep(0)
            await awork("goes on")
        return x

    async def body(x: Any) -> Any:
        jobs = [
            RunnableLambda(breaks, name="breaks").ainvoke(1),
            RunnableLambda(goes_on, name="goes on").ainvoke(1),
        ]
        first, second = await asyncio.gather(*jobs, return_exceptions=True)
        assert isinstance(first, ValueError)
        assert second == 1
        await awork("l")
        return x

    run(way, RunnableLambda(body, name="l"), 1, config)
    assert spans.parent_of("breaks") == spans.parent_of("goes on") == "l"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup came with Python 3.11")
@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_a_task_group_that_is_cancelled(way: str, config: Any, spans: SpanLog, awork: Any) -> None:
    """The one that fails has the others cancelled, models without an event."""

    class Slow(Model):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            await asyncio.Event().wait()

    async def breaks() -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        raise ValueError

    async def several() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(Slow(name="slow").ainvoke("x"))
            group.create_task(Slow(name="slow too").ainvoke("x"))
            group.create_task(breaks())

    async def body(x: Any) -> Any:
        with pytest.raises(Exception, match="unhandled errors"):
            await several()
        await awork("l", lambda: Model(name="later").ainvoke("x"))
        return x

    run(way, RunnableLambda(body, name="l"), 1, config)
    assert spans.outcomes()["slow"] == spans.outcomes()["slow too"] == "cancelled"
    assert spans.parent_of("later") == "work"
    assert spans.parent_of("slow") == spans.parent_of("slow too") == "l"
    assert spans.open == []


@pytest.mark.parametrize("what", ["cancel", "timeout", "first_completed"])
@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_a_model_given_up_in_a_body(
    way: str, what: str, config: Any, spans: SpanLog, awork: Any
) -> None:
    """What the body does next is part of the body, not of the model."""

    class Slow(Model):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            await asyncio.Event().wait()

        async def _astream(self, *args: Any, **kwargs: Any) -> Any:
            await asyncio.Event().wait()
            yield

    async def body(x: Any) -> Any:
        slow = Slow(name="slow")
        if what == "timeout":
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(slow.ainvoke("x"), 0.01)
        else:
            job = asyncio.create_task(slow.ainvoke("x"))
            if what == "first_completed":
                other = asyncio.create_task(Model(name="fast").ainvoke("x"))
                await asyncio.wait([job, other], return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            job.cancel()
            with suppress(asyncio.CancelledError):
                await job
        await awork("l", lambda: Model(name="later").ainvoke("x"))
        return x

    run(way, RunnableLambda(body, name="l"), 1, config)
    assert spans.outcomes()["slow"] == "cancelled"
    assert spans.parent_of("later") == "work"
    assert spans.parent_of("work") == "l"


async def test_a_shielded_model_outlives_its_cancelled_chain(
    config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """It ends by itself, in a task of its own, part of the body that started it."""
    gate = asyncio.Event()

    class Waits(Model):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            await gate.wait()
            with tracer.start_as_current_span("http"):
                look()
            return await super()._agenerate(*args, **kwargs)

    async def body(x: Any) -> Any:
        return await asyncio.shield(inner)

    inner: Any = None

    async def outer(x: Any) -> Any:
        nonlocal inner
        inner = asyncio.ensure_future(Waits(name="shielded").ainvoke("x"))
        return await body(x)

    task = asyncio.create_task(RunnableLambda(outer, name="l").ainvoke(1, config))
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    await inner
    assert spans.parent_of("shielded") == "l"
    assert spans.parent_of("http") == "shielded"
    assert spans.outcomes()["l"] == "cancelled"
    assert seen[0] == "http"
    assert current() == "nothing"


@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_callbacks_of_the_loop_in_a_body(way: str, config: Any, spans: SpanLog) -> None:
    """call_soon and done callbacks copy the context."""

    async def body(x: Any) -> Any:
        loop = asyncio.get_running_loop()
        loop.call_soon(look)
        asyncio.ensure_future(asyncio.sleep(0)).add_done_callback(lambda _: look())
        future = loop.create_future()
        future.add_done_callback(lambda _: look())
        future.set_result(None)
        for _ in range(4):
            await asyncio.sleep(0)
        return x

    run(way, RunnableLambda(body, name="l"), 1, config)
    assert seen == ["l"] * 3


async def test_a_worker_that_was_there_before(config: Any, spans: SpanLog, awork: Any) -> None:
    """One task that takes jobs from a queue, some of them put there by bodies of other runs."""
    queue: asyncio.Queue[Any] = asyncio.Queue()

    async def worker() -> None:
        while (number := await queue.get()) is not None:
            assert current() == "nothing"

            async def job(x: Any, number: int = number) -> Any:
                await awork(f"job {number}", lambda: Model(name=f"model {number}").ainvoke("x"))
                return x

            await RunnableLambda(job, name=f"job {number}").ainvoke(1, config)
            await awork("nothing")
            queue.task_done()

    async def body(x: int) -> Any:
        await queue.put(x)
        await queue.join()
        assert current() == "body"
        return x

    task = asyncio.create_task(worker())
    for number in range(3):
        await RunnableLambda(body, name="body").ainvoke(number, config)
    await queue.put(None)
    await task
    for number in range(3):
        assert spans.parent_of(f"job {number}") is None


async def test_tokens_of_the_users_own(config: Any, spans: SpanLog, tracer: Tracer) -> None:
    """Attach before a call and detach after it, though a live Context lies between."""
    outer = tracer.start_span("outer")
    token = attach(set_span_in_context(outer))
    await Model().ainvoke("x", config)
    inner = tracer.start_span("inner")
    second = attach(set_span_in_context(inner))
    async for _ in (RunnableLambda(lambda x: x) | Model(name="two")).astream("x", config):
        assert current() == "inner"
    detach(second)
    assert current() == "outer"
    detach(token)
    assert current() == "nothing"
    inner.end()
    outer.end()
    assert spans.parent_of("Model") == "outer"
    assert spans.parent_of("inner") == "outer"
    assert spans.parent_of("RunnableSequence") == "inner"


@pytest.mark.parametrize("way", WAYS)
def test_an_empty_context_in_a_body(way: str, config: Any, spans: SpanLog) -> None:
    """Whoever starts with a new one wants to be nobody's."""

    def inside() -> None:
        look()
        Model(name="apart").invoke("x", config)
        look()

    def body(x: Any) -> Any:
        contextvars.Context().run(inside)
        look()
        contextvars.copy_context().run(Model(name="part").invoke, "x")
        look()
        return x

    run(way, RunnableLambda(body, name="l"), 1, config)
    assert seen == ["nothing", "apart", "nothing", "l", "part", "l"]
    assert spans.parent_of("apart") is None
    assert spans.parent_of("part") == "l"


@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_sync_streams_in_async_bodies(way: str, config: Any, spans: SpanLog, awork: Any) -> None:
    """Blocking, but common; between its chunks other tasks run."""

    async def body(name: str) -> Any:
        for _ in Model(name=f"model of {name}").stream("x"):
            await awork(name)
        return name

    async def both(x: Any) -> Any:
        one, two = (RunnableLambda(body, name=name) for name in ("one", "two"))
        await asyncio.gather(one.ainvoke("one"), two.ainvoke("two"))
        return x

    run(way, RunnableLambda(both, name="l"), 1, config)
    for name in ("one", "two"):
        assert spans.parent_of(f"model of {name}") == name
        assert spans.parent_of(name) == "l"


@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_events_in_a_body(way: str, config: Any, spans: SpanLog, awork: Any) -> None:
    """astream_events inside a run: LangChain streams the model from a task of its own."""

    async def body(x: Any) -> Any:
        chain = RunnableLambda(lambda x: x, name="first") | Model()
        async for _ in chain.astream_events("x", version="v2"):
            await awork("l")
        return x

    run(way, RunnableLambda(body, name="l"), 1, config)
    tree = [line for line in spans.tree() if "work" not in line]
    assert tree == ["l", "  RunnableSequence", "    first", "    Model"]
    assert set(seen) == {"Model"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
async def test_a_log_stream(config: Any, spans: SpanLog, tracer: Tracer) -> None:
    """The oldest of LangChain's event streams."""
    chain = RunnableLambda(lambda x: look() or x, name="first") | Model()
    with tracer.start_as_current_span("user"):
        async for _ in chain.astream_log("x", config):
            assert current() == "user"
    assert spans.tree() == ["user", "  RunnableSequence", "    first", "    Model"]
    assert set(seen) == {"first", "Model"}


# LangGraph


@pytest.mark.parametrize("way", WAYS)
def test_the_functional_api(way: str, config: Any, spans: SpanLog, work: Any, awork: Any) -> None:
    """Tasks are futures: threads or asyncio tasks, started in the entry point's body."""
    if way in SYNC_WAYS:

        @task
        def double(x: int) -> int:
            work("double", lambda: Model().invoke("x"))
            return 2 * x

        @entrypoint()
        def flow(x: int) -> int:
            work("flow")
            futures = [double(x), double(x)]
            total = sum(future.result() for future in futures)
            work("flow")
            return total
    else:

        @task
        async def double(x: int) -> int:
            await awork("double", lambda: Model().ainvoke("x"))
            return 2 * x

        @entrypoint()
        async def flow(x: int) -> int:
            await awork("flow")
            total = sum(await asyncio.gather(double(x), double(x)))
            await awork("flow")
            return total

    run(way, flow, 1, config)
    assert set(seen) == {"Model"}
    names = [line.strip() for line in spans.tree()]
    assert names.count("double") == 2
    assert spans.open == []


@pytest.mark.parametrize("way", WAYS)
def test_many_sent_at_once(way: str, config: Any, spans: SpanLog, work: Any, awork: Any) -> None:
    """Ten of one node, each with a thread or task of its own."""

    def one(state: Any) -> State:
        work("one", lambda: Model().invoke("x"))
        return {"done": [1]}

    async def aone(state: Any) -> State:
        await awork("one", lambda: Model().ainvoke("x"), lambda: asyncio.to_thread(look))
        return {"done": [1]}

    graph = StateGraph(State)
    graph.add_node("one", one if way in SYNC_WAYS else aone)
    graph.add_conditional_edges(START, lambda state: [Send("one", {"x": i}) for i in range(10)])
    run(way, graph.compile(), {"x": 1, "done": []}, config)
    lines = [line.strip() for line in spans.tree() if line.startswith("  ")]
    assert lines.count("one") == lines.count("Model") == lines.count("work") == 10
    assert set(seen) <= {"Model", "work"}


@pytest.mark.parametrize("way", WAYS)
def test_a_question_in_a_tool_in_a_subgraph(way: str, config: Any, spans: SpanLog) -> None:
    """Everything around it is interrupted, down from the graph; the resumption is linked."""

    @tool
    def ask(x: int) -> str:
        """Ask."""
        look()
        return str(interrupt("sure?"))

    inner = graph_of(("inner", lambda state: {"x": ask.invoke({"x": 1})}))
    graph = graph_of(("outer", inner), saver=InMemorySaver())
    with_thread = {**config, "configurable": {"thread_id": str(uuid4())}}
    run(way, graph, {"x": 1}, with_thread)
    assert set(spans.outcomes().values()) == {"interrupted"}
    top = spans.started[0].context
    spans.clear()
    run(way, graph, Command(resume="yes"), with_thread)
    assert set(spans.outcomes().values()) == {"ok"}
    assert top in [link.context for link in spans.started[0].links]
    assert set(seen) == {"ask"}


@pytest.mark.parametrize("way", WAYS)
def test_two_questions_at_once(way: str, config: Any, spans: SpanLog) -> None:
    """Two nodes side by side ask; one answer for each."""
    graph = StateGraph(State)
    for name in ("a", "b"):
        graph.add_node(name, lambda state: {"done": [interrupt("sure?")]})
        graph.add_edge(START, name)
    compiled = graph.compile(checkpointer=InMemorySaver())
    with_thread = {**config, "configurable": {"thread_id": str(uuid4())}}
    run(way, compiled, {"x": 1, "done": []}, with_thread)
    assert set(spans.outcomes().values()) == {"interrupted"}
    assert spans.open == []
    spans.clear()
    asked = compiled.get_state(with_thread).interrupts
    answers = {getattr(one, "id", None) or one.interrupt_id: "yes" for one in asked}
    run(way, compiled, Command(resume=answers), with_thread)
    assert set(spans.outcomes().values()) == {"ok"}
    assert len(spans.started[0].links) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_node_that_is_tried_again(way: str, config: Any, spans: SpanLog, work: Any) -> None:
    """LangGraph tries a node again by itself, each time as a run."""
    tries: list[int] = []

    def node(state: State) -> State:
        tries.append(1)
        work("n")
        if len(tries) < 3:
            raise ConnectionError
        return {"x": 2}

    policy = RetryPolicy(initial_interval=0.0, jitter=False, retry_on=ConnectionError)
    run(way, graph_of(("n", node), retry_policy=policy), {"x": 1}, config)
    assert spans.tree() == ["LangGraph", *["  n", "    work"] * 3]
    outcomes = [(s.attributes or {}).get("callspan.run.outcome") for s in spans.started]
    assert outcomes == ["ok", "error", None, "error", None, "ok", None]


@pytest.mark.parametrize("way", WAYS)
def test_a_handoff(way: str, config: Any, spans: SpanLog, work: Any) -> None:
    """Agents that pass on to each other by Command, in subgraphs and out of them."""

    def first(state: State) -> Command[Any]:
        work("first")
        return Command(goto="second", graph=Command.PARENT, update={"x": 2})

    inner = StateGraph(State)
    inner.add_node("first", first)
    inner.add_edge(START, "first")
    graph = StateGraph(State)
    graph.add_node("sub", inner.compile())
    graph.add_node("second", lambda state: work("second") or Command(goto="third"))
    graph.add_node("third", lambda state: work("third") or {"x": 3})
    graph.add_edge(START, "sub")
    graph.add_edge("third", END)
    run(way, graph.compile(), {"x": 1}, config)
    assert "error" not in spans.outcomes().values()
    assert spans.parent_of("second") == spans.parent_of("third")
    assert spans.open == []


@pytest.mark.parametrize("way", WAYS)
def test_graphs_in_bodies_in_graphs(way: str, config: Any, spans: SpanLog, work: Any) -> None:
    """A node that calls another graph by itself, a tool in that, a chain in this."""

    @tool
    def deep(x: int) -> int:
        """Work."""
        chain = RunnableLambda(lambda x: work("step") or x, name="step") | Model()
        work("deep", lambda: chain.invoke("x"))
        return x

    inner = graph_of(("inner", lambda state: work("inner", lambda: deep.invoke({"x": 1})) or {}))
    graph = graph_of(("outer", lambda state: work("outer", lambda: inner.invoke({"x": 1})) or {}))
    run(way, graph, {"x": 1}, config)
    names = [line.strip() for line in spans.tree()]
    assert [name for name in names if name != "work"] == [
        *("LangGraph", "outer", "LangGraph", "inner", "deep", "RunnableSequence", "step", "Model")
    ]
    depth = [len(line) - len(line.lstrip()) for line in spans.tree()]
    assert max(depth) == 2 * 10


@pytest.mark.parametrize("way", WAYS)
def test_a_graph_that_breaks_in_one_of_two_branches(way: str, config: Any, spans: SpanLog) -> None:
    """The other is cancelled or goes on; neither stays open."""
    started = threading.Event()

    def slow(state: State) -> State:
        started.wait(5)
        look()
        return {}

    def breaks(state: State) -> State:
        started.set()
        raise ValueError("broken")

    graph = StateGraph(State)
    graph.add_node("slow", slow)
    graph.add_node("breaks", breaks)
    graph.add_edge(START, "slow")
    graph.add_edge(START, "breaks")
    with pytest.raises(ValueError, match="broken"):
        run(way, graph.compile(), {"x": 1}, config)
    assert current() == "nothing"
    assert spans.outcomes()["breaks"] == "error"
    assert spans.outcomes()["LangGraph"] == "error"


# Handlers


@pytest.mark.parametrize("way", WAYS)
def test_a_handler_on_an_inner_object_alone(
    way: str, otel: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """Nothing around it is traced, but the user's own spans are."""
    inner = RunnableLambda(lambda x: look() or Model().invoke("x"), name="inner")

    def body(x: Any) -> Any:
        with tracer.start_as_current_span("user"):
            inner.invoke(x, {"callbacks": [otel]})
            look()
        look()
        return x

    run(way, RunnableLambda(body, name="outer"), 1)
    assert spans.tree() == ["user", "  inner", "    Model"]
    assert seen == ["inner", "Model", "user", "nothing"]


@pytest.mark.parametrize("way", WAYS)
def test_the_instrumentor_is_switched_in_a_run(
    way: str, config: Any, spans: SpanLog, other_spans: SpanLog, other_provider: Any
) -> None:
    """Runs that are open end as they do; those that start later are not traced by it."""
    instrumentor = LangChainInstrumentor()
    instrumentor.instrument(tracer_provider=other_provider)
    try:

        def body(x: Any) -> Any:
            instrumentor.uninstrument()
            Model().invoke("x")
            look()
            return x

        run(way, RunnableLambda(body, name="outer"), 1, config)
    finally:
        instrumentor.uninstrument()
    assert spans.tree() == ["outer", "  Model"]
    assert other_spans.tree()[:1] == ["outer"]
    assert other_spans.open == []
    assert seen == ["Model", "outer"]


@pytest.mark.parametrize("way", WAYS)
def test_the_global_provider_is_replaced_in_a_run(way: str, config: Any, spans: SpanLog) -> None:
    """Tests do that, and servers that reload."""
    other, log = logged_provider()

    def body(x: Any) -> Any:
        look()
        with global_provider(other):
            Model().invoke("x")
        look()
        return x

    run(way, RunnableLambda(body, name="outer"), 1, config)
    assert spans.open == log.open == []
    assert spans.tree() == ["outer"]
    assert log.tree() == ["Model"]
    assert seen[0] == seen[-1] == "outer"
    other.shutdown()


@pytest.mark.parametrize("way", WAYS)
def test_a_run_id_that_is_used_again(way: str, config: Any, spans: SpanLog) -> None:
    """By mistake, in itself and afterwards."""
    run_id = uuid4()

    def body(x: Any) -> Any:
        Model(name="same").invoke("x", {**config, "run_id": run_id})
        return x

    for _ in range(2):
        run(way, RunnableLambda(body, name="l"), 1, {**config, "run_id": run_id})
    assert spans.open == []
    assert current() == "nothing"
    Model(name="next").invoke("x", config)
    assert spans.parent_of("next") is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration])
@pytest.mark.parametrize("kind", ["lambda", "tool", "model", "retriever", "node"])
def test_exceptions_that_are_none(
    kind: str, error: Any, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """Whatever a body raises, its run ends and the caller's span is current again."""

    def breaks(*args: Any, **kwargs: Any) -> Any:
        raise error

    class Breaks(Model):
        _generate = breaks

    class BreaksToo(Shelf):
        _get_relevant_documents = breaks

    def work(x: int) -> int:
        """Work."""
        return breaks()

    runnable, given = {
        "lambda": (RunnableLambda(breaks, name="it"), 1),
        "tool": (tool("it")(work), {"x": 1}),
        "model": (Breaks(name="it"), "x"),
        "retriever": (BreaksToo(name="it"), "x"),
        "node": (graph_of(("it", breaks)), {"x": 1}),
    }[kind]
    with tracer.start_as_current_span("user"):
        with pytest.raises(BaseException) as caught:  # noqa: PT011  # StopIteration gets wrapped
            (RunnableLambda(lambda x: x, name="first") | runnable).invoke(given, config)
        del caught
        assert current() == "user"
        Model(name="next").invoke("x", config)
        gc.collect()
        Model(name="last").invoke("x", config)
    assert spans.parent_of("next") == "user"
    assert spans.open == []
