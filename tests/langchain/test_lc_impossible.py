"""What cannot be right, and what to do there: the table of docs/langchain.md, entry by entry.

An entry that is found to work after all fails here, and is to be taken out of the table.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableGenerator, RunnableLambda
from lc import Model, look, run, seen
from opentelemetry.context import attach, detach, get_current
from opentelemetry.trace import Tracer, get_current_span, set_span_in_context, use_span

import callspan
from support import SpanLog, current


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_threads_without_a_context(way: str, config: Any, spans: SpanLog) -> None:
    """Nothing tells there who started them; three ways to have it told."""

    def body(x: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(look).result()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(contextvars.copy_context().run, look).result()
        with callspan.ContextThreadPoolExecutor(1) as pool:
            pool.submit(look).result()
        callspan.instrument_threads()
        try:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(look).result()
        finally:
            callspan.uninstrument_threads()
        return x

    run(way, RunnableLambda(body, name="l"), 1, config)
    assert seen == ["nothing", "l", "l", "l"]


def test_opentelemetrys_context_alone_in_a_thread(
    config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """In a generator's body it does not tell the body from its consumer; the span does."""

    def attached(context: Any) -> None:
        token = attach(context)
        look()
        detach(token)

    def body(chunks: Iterator[Any]) -> Iterator[Any]:
        for chunk in chunks:
            for context in (get_current(), set_span_in_context(get_current_span())):
                thread = threading.Thread(target=attached, args=(context,))
                thread.start()
                thread.join()
            yield chunk

    with tracer.start_as_current_span("before"):
        list(RunnableGenerator(body, name="g").stream("x", config))
    assert seen == ["before", "g"]


class Streams(Model):
    """Has something done elsewhere after its first chunk."""

    elsewhere: Any = None

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        yield ChatGenerationChunk(message=AIMessageChunk("a"))
        thread = threading.Thread(target=contextvars.copy_context().run, args=(look,))
        thread.start()
        thread.join()
        with use_span(get_current_span()):
            thread = threading.Thread(target=contextvars.copy_context().run, args=(look,))
        thread.start()
        thread.join()

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        async def work() -> None:
            look()

        yield ChatGenerationChunk(message=AIMessageChunk("a"))
        await asyncio.create_task(work())
        with use_span(get_current_span()):
            await asyncio.create_task(work())
            await asyncio.to_thread(look)


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_tasks_and_threads_of_a_model_after_its_first_chunk(
    way: str, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """They look as if its consumer had started them, which waits for the model meanwhile."""
    with tracer.start_as_current_span("before"):
        run(way, Streams(name="it"), "x", config)
    assert seen[:2] == ["before", "it"]
    assert set(seen[1:]) == {"it"}


async def test_chunks_pulled_in_contexts_of_others(config: Any, spans: SpanLog) -> None:
    """A framework that pulls each chunk in a new context; a copy of one is enough."""
    empty = contextvars.Context
    for new_context, sees in ((empty, "nothing"), (contextvars.copy_context, "Model")):
        seen.clear()
        stream = Model().astream("x", config)
        context = new_context()
        loop = asyncio.get_running_loop()
        if new_context is empty:
            done = False
            while not done:
                future: asyncio.Future[bool] = loop.create_future()

                async def pull(future: asyncio.Future[bool] = future, stream: Any = stream) -> None:
                    future.set_result(await anext(stream, None) is None)

                empty().run(asyncio.ensure_future, pull())
                done = await future
        else:
            async for _ in stream:
                pass
        assert context is not None
        assert set(seen) <= {sees, "Model"}
        assert sees in seen
    assert current() == "nothing"


def test_a_users_span_around_a_later_chunk_of_a_model(
    config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """It covers the model's, which was there before it; one around the whole stream does not."""
    stream = Model().stream("x", config)
    next(stream)
    with tracer.start_as_current_span("later"):
        next(stream)
    assert seen == ["Model", "later"]
    list(stream)
    seen.clear()
    with tracer.start_as_current_span("whole"):
        list(Model(name="other").stream("x", config))
    assert set(seen) == {"other"}


@pytest.mark.parametrize("closes", [True, False])
def test_a_chains_sync_stream_that_is_closed(closes: bool, config: Any, spans: SpanLog) -> None:
    """LangChain reports it as complete; only of models does it tell that they were given up."""
    stream = (Model() | RunnableLambda(lambda x: x, name="last")).stream("x", config)
    next(stream)
    if closes:
        stream.close()
    else:
        list(stream)
    assert spans.outcomes()["RunnableSequence"] == "ok"
