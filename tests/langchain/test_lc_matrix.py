"""Every kind of body, run in every way: its own span is current in it, and nowhere else.

Each body opens a span of the user's, calls another runnable in it, and looks around before, inside
and after. The caller does the same before the call, between chunks and afterwards.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from importlib.util import find_spec
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, GenerationChunk
from langchain_core.runnables import RunnableGenerator, RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from lc import Model, Shelf, TextModel, look, seen
from opentelemetry.trace import Tracer
from typing_extensions import TypedDict

from callspan import ContextThreadPoolExecutor
from support import SpanLog, current

leaf = RunnableLambda(lambda x: look() or x, name="leaf")


class Body:
    """What runs in a body, and what it must see."""

    sees = ("it", "work", "leaf", "work", "it")

    def __init__(self, tracer: Tracer, config: Any) -> None:
        self.tracer = tracer
        # LangChain hands nothing down into the body of a model or retriever that is called alone.
        self.leaf = leaf if config is None else leaf.with_config(config)

    def run(self) -> None:
        look()
        with self.tracer.start_as_current_span("work"):
            look()
            self.leaf.invoke(1)
            look()
        look()

    async def arun(self) -> None:
        look()
        with self.tracer.start_as_current_span("work"):
            await asyncio.sleep(0)
            look()
            await self.leaf.ainvoke(1)
            look()
        await asyncio.sleep(0)
        look()


def of_lambda(body: Body) -> tuple[Any, Any]:
    async def arun(x: Any) -> Any:
        await body.arun()
        return x

    return RunnableLambda(lambda x: body.run() or x, arun, name="it"), 1


def of_sync_lambda(body: Body) -> tuple[Any, Any]:
    return RunnableLambda(lambda x: body.run() or x, name="it"), 1


def of_generator(body: Body) -> tuple[Any, Any]:
    def run(chunks: Iterator[Any]) -> Iterator[Any]:
        for chunk in chunks:
            body.run()
            yield chunk
            body.run()
            yield chunk

    async def arun(chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for chunk in chunks:
            await body.arun()
            yield chunk
            await body.arun()
            yield chunk

    return RunnableGenerator(run, arun, name="it"), 1


def of_tool(body: Body) -> tuple[Any, Any]:
    def run(x: int) -> int:
        """Work."""
        body.run()
        return x

    async def arun(x: int) -> int:
        """Work."""
        await body.arun()
        return x

    made = tool("it")(run)
    made.coroutine = arun
    return made, {"x": 1}


def of_sync_tool(body: Body) -> tuple[Any, Any]:
    @tool("it")
    def run(x: int) -> int:
        """Work."""
        body.run()
        return x

    return run, {"x": 1}


class Plain(Model):
    """A chat model that does not stream."""

    body: Any = None

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        self.body.run()
        return ChatResult(generations=[ChatGeneration(message=AIMessage("a"))])

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        await self.body.arun()
        return ChatResult(generations=[ChatGeneration(message=AIMessage("a"))])

    _stream = Model.__mro__[1]._stream  # type: ignore[attr-defined]
    _astream = Model.__mro__[1]._astream  # type: ignore[attr-defined]


class Streaming(Plain):
    """A chat model that streams."""

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for word in "ab":
            self.body.run()
            yield ChatGenerationChunk(message=AIMessageChunk(word))
        self.body.run()

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        for word in "ab":
            await self.body.arun()
            yield ChatGenerationChunk(message=AIMessageChunk(word))
        await self.body.arun()


class SyncStreaming(Plain):
    """A chat model that has sync methods alone, which async calls run in threads."""

    _agenerate = Model.__mro__[1]._agenerate  # type: ignore[attr-defined]
    _stream = Streaming._stream


class Texts(TextModel):
    """A text model."""

    body: Any = None

    def _call(self, *args: Any, **kwargs: Any) -> str:
        self.body.run()
        return "a"

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[GenerationChunk]:
        for word in "ab":
            self.body.run()
            yield GenerationChunk(text=word)


class Finder(Shelf):
    """A retriever."""

    body: Any = None

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        self.body.run()
        return []

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        await self.body.arun()
        return []


class State(TypedDict, total=False):
    x: int


def of_node(body: Body) -> tuple[Any, Any]:
    runnable, _ = of_lambda(body)
    graph = StateGraph(State)
    graph.add_node("it", runnable)
    graph.add_edge(START, "it")
    return graph.compile(), {"x": 1}


def of_plain_node(body: Body) -> tuple[Any, Any]:
    graph = StateGraph(State)
    graph.add_node("it", lambda state: body.run() or {"x": 2})
    graph.add_edge(START, "it")
    return graph.compile(), {"x": 1}


def of_subgraph(body: Body) -> tuple[Any, Any]:
    inner, _ = of_node(body)
    graph = StateGraph(State)
    graph.add_node("sub", inner)
    graph.add_edge(START, "sub")
    return graph.compile(), {"x": 1}


KINDS: dict[str, Callable[[Body], tuple[Any, Any]]] = {
    "lambda": of_lambda,
    "sync_lambda": of_sync_lambda,
    "generator": of_generator,
    "tool": of_tool,
    "sync_tool": of_sync_tool,
    "model": lambda body: (Plain(name="it", body=body), "x"),
    "streaming_model": lambda body: (Streaming(name="it", body=body), "x"),
    "sync_model": lambda body: (SyncStreaming(name="it", body=body), "x"),
    "text_model": lambda body: (Texts(name="it", body=body), "x"),
    "retriever": lambda body: (Finder(name="it", body=body), "x"),
    "node": of_node,
    "plain_node": of_plain_node,
    "subgraph": of_subgraph,
}


class Caller:
    """What calls, in all the ways there are; it looks around for itself."""

    def __init__(self, runnable: Any, given: Any, config: Any, tracer: Tracer) -> None:
        self.runnable, self.given, self.config, self.tracer = runnable, given, config, tracer
        self.call = partial(runnable.invoke, given, config)
        self.acall = partial(runnable.ainvoke, given, config)

    def between(self) -> None:
        assert current() == "before"
        with self.tracer.start_as_current_span("between"):
            assert current() == "between"
        assert current() == "before"

    def in_thread(self) -> None:
        thread = threading.Thread(target=copy_context().run, args=(self.call,))
        thread.start()
        thread.join()

    def in_pool(self) -> None:
        with ContextThreadPoolExecutor() as pool:
            list(pool.map(lambda _: self.call(), range(3)))

    def stream(self) -> None:
        for _ in self.runnable.stream(self.given, self.config):
            self.between()

    def two_streams(self) -> None:
        streams = [self.runnable.stream(self.given, self.config) for _ in range(2)]
        while streams:
            for stream in list(streams):
                try:
                    next(stream)
                except StopIteration:
                    streams.remove(stream)
                self.between()

    def closed_stream(self) -> None:
        stream = self.runnable.stream(self.given, self.config)
        next(stream)
        self.between()
        stream.close()

    def open_stream(self) -> None:
        for _ in self.runnable.stream(self.given, self.config):
            self.between()
            break

    async def astream(self) -> None:
        async for _ in self.runnable.astream(self.given, self.config):
            self.between()
            await asyncio.sleep(0)
            self.between()

    async def two_astreams(self) -> None:
        streams = [self.runnable.astream(self.given, self.config) for _ in range(2)]
        while streams:
            for stream in list(streams):
                try:
                    await anext(stream)
                except StopAsyncIteration:
                    streams.remove(stream)
                self.between()

    async def closed_astream(self) -> None:
        stream = self.runnable.astream(self.given, self.config)
        await anext(stream)
        self.between()
        await stream.aclose()

    async def open_astream(self) -> None:
        async for _ in self.runnable.astream(self.given, self.config):
            self.between()
            break

    async def events(self) -> None:
        async for _ in self.runnable.astream_events(self.given, self.config, version="v2"):
            self.between()

    async def in_task(self) -> None:
        await asyncio.create_task(self.acall())

    async def gathered(self) -> None:
        await asyncio.gather(self.acall(), self.acall(), self.astream())

    async def with_timeout(self) -> None:
        await asyncio.wait_for(self.acall(), 30)

    async def to_thread(self) -> None:
        await asyncio.gather(asyncio.to_thread(self.call), asyncio.to_thread(self.call))

    async def in_executor(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, copy_context().run, self.call)

    async def cancelled(self) -> None:
        for steps in range(8):
            seen.clear()
            task = asyncio.create_task(self.acall())
            while not (seen or task.done()):  # until its body has begun
                await asyncio.wait([task], timeout=0.001)
            for _ in range(steps):
                await asyncio.sleep(0)
                self.between()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self.between()

    async def in_background(self) -> None:
        task = asyncio.create_task(self.acall())
        self.between()
        await asyncio.sleep(0)
        self.between()
        await task


def _sync_ways(caller: Caller) -> dict[str, Callable[[], Any]]:
    given, config = caller.given, caller.config
    return {
        "invoke": caller.call,
        "batch": lambda: caller.runnable.batch([given] * 3, config),
        "stream": caller.stream,
        "two_streams": caller.two_streams,
        "closed_stream": caller.closed_stream,
        "open_stream": caller.open_stream,
        "in_thread": caller.in_thread,
        "in_pool": caller.in_pool,
    }


def _async_ways(caller: Caller) -> dict[str, Callable[[], Awaitable[Any]]]:
    given, config = caller.given, caller.config
    return {
        "ainvoke": caller.acall,
        "abatch": lambda: caller.runnable.abatch([given] * 3, config),
        "astream": caller.astream,
        "two_astreams": caller.two_astreams,
        "closed_astream": caller.closed_astream,
        "open_astream": caller.open_astream,
        "events": caller.events,
        "in_task": caller.in_task,
        "gathered": caller.gathered,
        "with_timeout": caller.with_timeout,
        "to_thread": caller.to_thread,
        "in_executor": caller.in_executor,
        "cancelled": caller.cancelled,
        "in_background": caller.in_background,
    }


NOBODY: Any = Caller(leaf, 1, None, None)  # type: ignore[arg-type]


def wrapped(where: str, runnable: Any) -> Any:
    """The runnable alone, or as a step of a sequence, where its config comes from others."""
    if where == "alone":
        return runnable
    last = RunnableLambda(lambda x: x, name="last")
    return RunnableLambda(lambda x: x, name="first") | runnable | last


def check(spans: SpanLog, cancelled: bool = False) -> None:
    """Whatever was started has ended, and hangs where it belongs."""
    assert spans.open == []
    # What a thread calls whose model has been cancelled, LangChain counts as its chain's.
    of_leaf = ("work", None, "RunnableSequence") if cancelled else ("work", None)
    by_id = {span.context.span_id: span for span in spans.started}
    for span in spans.started:
        name = (span.attributes or {}).get("callspan.run.name", span.name)
        parent = by_id.get(span.parent.span_id) if span.parent else None
        above = parent and (parent.attributes or {}).get("callspan.run.name", parent.name)
        if name == "work":
            assert above == "it"
        elif name == "leaf":
            assert above in of_leaf
        elif name in ("between", "after"):
            assert above == "before"
        elif name == "it":
            assert above in ("before", "RunnableSequence", "LangGraph", "it")


@pytest.mark.parametrize("where", ["alone", "in_sequence"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", _sync_ways(NOBODY))
def test_sync_bodies(
    way: str, kind: str, where: str, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """One cell of the matrix."""
    handed = where == "in_sequence" and way not in ("batch", "abatch")
    bare = not handed and ("model" in kind or kind == "retriever")
    runnable, given = KINDS[kind](Body(tracer, config if bare else None))
    caller = Caller(wrapped(where, runnable), given, config, tracer)
    with tracer.start_as_current_span("before"):
        _sync_ways(caller)[way]()
        assert current() == "before"
        with tracer.start_as_current_span("after"):
            assert current() == "after"
    assert current() == "nothing"
    saw_all()
    check(spans)


def saw_all() -> None:
    """Each body saw what it had to see, to its end."""
    assert set(seen) == set(Body.sees)
    counts = Counter(seen)
    assert counts["it"] == counts["work"] == 2 * counts["leaf"]


@pytest.mark.parametrize("where", ["alone", "in_sequence"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", _async_ways(NOBODY))
def test_async_bodies(
    way: str, kind: str, where: str, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """One cell of the matrix."""
    _async_cell(asyncio.run, way, kind, where, config, spans, tracer)


@pytest.mark.skipif(find_spec("uvloop") is None, reason="no uvloop for this platform")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["ainvoke", "astream", "two_astreams", "gathered", "in_background"])
def test_async_bodies_under_uvloop(
    way: str, kind: str, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """Its steps have no frame in Python at which to stop looking for callers."""
    import uvloop

    _async_cell(uvloop.run, way, kind, "in_sequence", config, spans, tracer)


def _async_cell(
    run: Callable[[Coroutine[Any, Any, None]], None],
    way: str,
    kind: str,
    where: str,
    config: Any,
    spans: SpanLog,
    tracer: Tracer,
) -> None:
    handed = where == "in_sequence" and way not in ("batch", "abatch")
    bare = not handed and ("model" in kind or kind == "retriever")
    runnable, given = KINDS[kind](Body(tracer, config if bare else None))
    caller = Caller(wrapped(where, runnable), given, config, tracer)

    async def main() -> None:
        with tracer.start_as_current_span("before"):
            await _async_ways(caller)[way]()
            assert current() == "before"
            await asyncio.sleep(0)
            with tracer.start_as_current_span("after"):
                await asyncio.sleep(0)
                assert current() == "after"
            assert current() == "before"
        assert current() == "nothing"

    run(main())
    assert current() == "nothing"
    if way in (
        "open_astream",
        "cancelled",
    ):  # LangGraph may send no end: the next event finds that out
        gc.collect()
        leaf.invoke(1, config)
        seen.remove("leaf")
    if way == "cancelled":  # in the middle of a body, mostly
        assert "it" in seen
        assert set(seen) <= set(Body.sees)
    else:
        saw_all()
    check(spans, cancelled=way == "cancelled")
