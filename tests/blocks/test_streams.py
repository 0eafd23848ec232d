"""Streams through blocks: as they come, in the right context, closed in time."""

# ruff: noqa: A002
from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import pytest
from opentelemetry import trace

from callspan import OTelCallbackHandler
from callspan.callbacks import AsyncCallbackHandler
from callspan.errors import ConfigurationError
from callspan.language_models import FakeListChatModel, GenericFakeChatModel
from callspan.output_parsers import StrOutputParser
from callspan.prompts import ChatPromptTemplate
from callspan.runnables import (
    Runnable,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from support import SpanLog


def user() -> trace.Tracer:
    return trace.get_tracer("user")  # of the provider that is the global one now


class Slow(AsyncCallbackHandler):
    """A handler of starts and ends that an ending run waits for."""

    def __init__(self) -> None:
        self.started: list[UUID] = []
        self.ended: list[UUID] = []

    async def on_chain_start(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:
        self.started.append(run_id)

    async def on_chat_model_start(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:
        self.started.append(run_id)

    async def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        self.ended.append(run_id)

    async def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        self.ended.append(run_id)

    async def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        self.ended.append(run_id)


class Source:
    """A generator function, sync or async, that says how far it has come."""

    def __init__(self, length: int = 4) -> None:
        self.made = 0
        self.closed = 0
        self.length = length

    def sync(self, _: Any) -> Iterator[str]:
        try:
            for i in range(self.length):
                self.made += 1
                yield f"{i} "
        finally:
            self.closed += 1

    async def asynchronous(self, _: Any) -> AsyncIterator[str]:
        for chunk in self.sync(_):
            await asyncio.sleep(0)
            yield chunk


PASSING: list[Any] = [
    lambda block: block,
    lambda block: block | RunnablePassthrough() | StrOutputParser(),
    lambda block: RunnableLambda(lambda x: x) | block | StrOutputParser(),
    lambda block: RunnableLambda(lambda _: block),
    lambda block: block.with_config(tags=["t"]),
    lambda block: (block | StrOutputParser()) | (RunnablePassthrough() | StrOutputParser()),
]
"""Blocks through which the chunks of another come one by one."""


@pytest.mark.parametrize("around", PASSING)
def test_each_chunk_comes_before_the_next_is_made(around: Any) -> None:
    """A stream that is collected on the way is no stream: the reader waits for the last word."""
    source = Source()
    for place, chunk in enumerate(around(RunnableLambda(source.sync)).stream("x")):
        assert (chunk, source.made) == (f"{place} ", place + 1)
    assert source.made == source.closed * 4 == 4


@pytest.mark.parametrize("around", PASSING)
async def test_each_chunk_comes_before_the_next_is_made_async(around: Any) -> None:
    """The same for async callers."""
    source = Source()
    place = 0
    async for chunk in around(RunnableLambda(source.asynchronous)).astream("x"):
        assert (chunk, source.made) == (f"{place} ", place + 1)
        place += 1
    assert source.made == source.closed * 4 == 4


def test_a_models_tokens_come_one_by_one_through_a_chain() -> None:
    """What people stream is `prompt | model | parser`."""
    model = GenericFakeChatModel(messages=iter(["one two three"]))
    chain = ChatPromptTemplate.from_template("{x}") | model | StrOutputParser()
    assert list(chain.stream({"x": 1})) == ["one", " ", "two", " ", "three"]


def test_a_parallel_block_streams_each_key_as_it_comes() -> None:
    """Two answers are shown side by side while they grow."""
    first, second = Source(2), Source(3)
    block = RunnableParallel(a=RunnableLambda(first.sync), b=RunnableLambda(second.sync))
    chunks = list(block.stream("x"))
    assert [c["a"] for c in chunks if "a" in c] == ["0 ", "1 "]
    assert [c["b"] for c in chunks if "b" in c] == ["0 ", "1 ", "2 "]
    assert sum(chunks[1:], chunks[0]) == {"a": "0 1 ", "b": "0 1 2 "}


async def test_the_branches_of_a_parallel_block_share_one_stream() -> None:
    """The input is made once, and every branch gets its chunks as they come."""
    for stream in (_drained, _adrained):
        source = Source(3)
        chain = RunnableLambda(source.sync) | {"a": RunnablePassthrough(), "b": StrOutputParser()}
        chunks = await stream(chain)
        assert source.made == 3
        for key in "ab":
            assert [c[key] for c in chunks if key in c] == ["0 ", "1 ", "2 "]


async def _drained(chain: Runnable[Any, Any]) -> list[Any]:
    return list(chain.stream("x"))


async def _adrained(chain: Runnable[Any, Any]) -> list[Any]:
    return [chunk async for chunk in chain.astream("x")]


def test_assign_streams_the_input_first() -> None:
    """The sources of an answer are there before the answer is."""
    source = Source(2)
    block = RunnablePassthrough.assign(answer=RunnableLambda(source.sync))
    stream = block.stream({"question": "q", "answer": "old"})
    assert next(stream) == {"question": "q"}
    assert source.made == 0
    assert list(stream) == [{"answer": "0 "}, {"answer": "1 "}]


async def test_a_generator_in_a_sequence_works_on_chunks() -> None:
    """Post-processing a model's stream is a generator that goes through it."""

    def upper(chunks: Iterator[str]) -> Iterator[str]:
        for chunk in chunks:
            yield chunk.upper()

    async def aupper(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
        async for chunk in chunks:
            yield chunk.upper()

    source = Source(2)
    stream = (RunnableLambda(source.sync, name="words") | upper).stream("x")
    assert (next(stream), source.made, list(stream)) == ("0 ", 1, ["1 "])
    chain = RunnableLambda(source.asynchronous) | aupper
    assert [c async for c in chain.astream("x")] == ["0 ", "1 "]
    assert (RunnableLambda(str) | upper).invoke("a") == "A"
    assert await (RunnableLambda(str) | aupper).ainvoke("a") == "A"
    with pytest.raises(ConfigurationError, match="aupper is async: use ainvoke"):
        (RunnableLambda(str) | aupper).invoke("a")


def test_transform_takes_a_stream() -> None:
    """Blocks can be fed by any iterator; those that cannot work on chunks take the sum."""
    assert list(StrOutputParser().transform(iter(["a", "b"]))) == ["a", "b"]
    assert list(RunnableLambda(len).transform(iter(["a", "bc"]))) == [3]
    prompt = ChatPromptTemplate.from_template("{x}")
    assert [p.to_string() for p in prompt.transform(iter(["a", "bc"]))] == ["Human: abc"]
    assert list(prompt.transform(iter(()))) == []


async def test_atransform_takes_an_async_iterator_without_aclose() -> None:
    """An async iterator need not be a generator."""

    class Two:
        def __init__(self) -> None:
            self.left = ["a", "b"]

        def __aiter__(self) -> Two:
            return self

        async def __anext__(self) -> str:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

    assert [c async for c in StrOutputParser().atransform(Two())] == ["a", "b"]


def chain_of(source: Source, *, is_async: bool = False) -> Runnable[Any, str]:
    body: Any = source.asynchronous if is_async else source.sync
    return RunnableLambda(body, name="source") | RunnablePassthrough() | StrOutputParser()


@pytest.mark.parametrize("taken", [1, 2])
def test_a_closed_stream_ends_every_run_at_once(taken: int, handler: Any) -> None:
    """A reader that goes away must not leave runs open, nor a source that keeps on working."""
    source = Source()
    stream: Any = chain_of(source).stream("x", {"callbacks": [handler]})
    for _ in range(taken):
        next(stream)
    stream.close()
    assert source.closed == 1
    assert handler.events.methods == ["on_chain_start"] * 4 + ["on_chain_error"] * 4
    ended = [kwargs["run_id"] for kwargs in handler.events.of("on_chain_error")]
    started = [kwargs["run_id"] for kwargs in handler.events.of("on_chain_start")]
    assert ended[-1] == started[0]  # the parts before the whole


async def test_a_closed_async_stream_ends_every_run_in_the_same_task(handler: Any) -> None:
    """Ends that come later, from the event loop's clean-up, are in the wrong task and context."""
    source = Source()
    stream = chain_of(source, is_async=True).astream("x", {"callbacks": [handler]})
    await anext(stream)
    await stream.aclose()
    assert source.closed == 1
    assert handler.events.methods == ["on_chain_start"] * 4 + ["on_chain_error"] * 4


def test_a_stream_that_was_never_begun_has_no_runs(handler: Any) -> None:
    """Making an iterator is not using it."""
    chain_of(Source()).stream("x", {"callbacks": [handler]})
    gc.collect()
    assert handler.events == []


def test_what_is_left_of_a_stream_is_closed_when_the_last_block_stops_early(handler: Any) -> None:
    """`take the first chunk` must not leave the source running."""
    source = Source()
    chain = RunnableLambda(source.sync) | RunnablePassthrough() | _First()
    assert list(chain.stream("x", {"callbacks": [handler]})) == ["0 "]
    assert source.closed == 1
    assert handler.events.methods[3:] == ["on_chain_error"] * 2 + ["on_chain_end"]


class _First(Runnable[Any, Any]):
    def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        return input

    def transform(self, input: Iterator[Any], config: Any = None, **kwargs: Any) -> Iterator[Any]:
        yield next(input)


async def test_a_failing_stream_ends_every_run_with_the_error(handler: Any) -> None:
    """The error is the program's own, and every run on its way has it."""

    def fail(x: str) -> Iterator[str]:
        yield x
        raise KeyError(x)

    chain = RunnableLambda(fail) | RunnablePassthrough()
    for stream in (_drained, _adrained):
        handler.events.clear()
        with pytest.raises(KeyError):
            await stream(chain.with_config(callbacks=[handler]))
        assert handler.events.methods == ["on_chain_start"] * 3 + ["on_chain_error"] * 3


def test_the_readers_context_is_its_own_between_chunks(spans: Any) -> None:
    """The reader's spans are not parts of the stream that it reads."""
    inside = []

    def body(x: str) -> Iterator[str]:
        with user().start_as_current_span("held"):  # across the yields
            for chunk in ("a", "b"):
                user().start_span(f"inside {chunk}").end()
                inside.append(chunk)
                yield chunk

    before = trace.get_current_span()
    for chunk in (RunnableLambda(body) | RunnablePassthrough()).stream("x"):
        assert trace.get_current_span() is before
        user().start_span(f"outside {chunk}").end()
    assert inside == ["a", "b"]
    assert spans.parent_of("outside a") is spans.parent_of("outside b") is None
    assert spans.parent_of("inside a") == spans.parent_of("inside b") == "held"
    assert spans.parent_of("held") == "body"


async def test_a_sync_generators_context_is_kept_in_its_threads(spans: Any) -> None:
    """It is pulled by many threads of a pool, and holds a span across its chunks all the same."""

    def body(x: str) -> Iterator[str]:
        with user().start_as_current_span("held"):
            for chunk in ("a", "b"):
                user().start_span(f"inside {chunk}").end()
                yield chunk

    chunks = [c async for c in (RunnableLambda(body) | RunnablePassthrough()).astream("x")]
    assert chunks == ["a", "b"]
    assert spans.parent_of("inside a") == spans.parent_of("inside b") == "held"
    assert spans.parent_of("held") == "body"
    assert spans.open == []


async def test_an_abandoned_sync_generator_is_closed_in_its_own_context(spans: Any) -> None:
    """Leaving its spans in another context logs errors, and leaves the wrong span current."""
    closed = []

    def body(x: str) -> Iterator[str]:
        try:
            with user().start_as_current_span("held"):
                yield from ("a", "b")
        finally:
            closed.append(x)

    stream = (RunnableLambda(body) | RunnablePassthrough()).astream("x")
    assert await anext(stream) == "a"
    await stream.aclose()
    assert closed == ["x"]
    assert spans.open == []


async def test_a_closed_parallel_stream_ends_its_branches_at_once(handler: Any) -> None:
    """Not when the garbage collector or the event loop gets round to it."""
    source = Source()
    block = RunnableParallel(a=source.asynchronous, b=source.asynchronous)
    chain = RunnableLambda(str) | {"c": RunnableLambda(source.asynchronous)} | block
    for one in (chain, block):
        handler.events.clear()
        stream = one.astream("x", {"callbacks": [handler]})
        await anext(stream)
        await stream.aclose()
        started = [kwargs["run_id"] for kwargs in handler.events.of("on_chain_start")]
        ended = [kwargs["run_id"] for m, _, kwargs in handler.events if not m.endswith("start")]
        assert sorted(started) == sorted(ended)


def test_the_event_loop_does_not_adopt_a_sync_stream() -> None:
    """A sync stream that is open when a loop ends can still be read, and closed, afterwards."""
    kept: list[Iterator[str]] = []
    source = Source()

    async def begin() -> None:
        kept.append(chain_of(source).stream("x"))
        assert next(kept[0]) == "0 "

    asyncio.run(begin())
    assert source.closed == 0
    assert list(kept[0]) == ["1 ", "2 ", "3 "]


def test_streams_that_are_open_when_a_loop_ends() -> None:
    """The loop closes them all at the same time; their parts must be closed by them alone."""
    kept: list[Any] = []
    source, slow = Source(), Slow()

    async def begin() -> None:
        block = RunnableParallel(a=source.asynchronous, b=source.asynchronous)
        chain = RunnableLambda(source.asynchronous) | RunnablePassthrough() | block
        model = FakeListChatModel(responses=["a b"])
        for one in [chain, block, model, RunnablePassthrough() | model] * 5:
            kept.append(one.astream("x", {"callbacks": [slow]}))
            await anext(kept[-1])

    asyncio.run(begin())
    assert sorted(slow.started) == sorted(slow.ended)


async def test_a_cancelled_stream_ends_its_runs_with_the_cancellation(handler: Any) -> None:
    """A client that disconnects cancels: every run must end, as cancelled."""
    waiting = asyncio.Event()

    async def forever(x: str) -> AsyncIterator[str]:
        yield x
        waiting.set()
        await asyncio.Event().wait()

    async def read() -> None:
        chain = RunnableLambda(forever) | RunnablePassthrough()
        async for _ in chain.astream("x", {"callbacks": [handler]}):
            pass

    task = asyncio.create_task(read())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    ends = handler.events.methods[3:]
    assert ends == ["on_chain_error"] * 3
    for _, args, _ in handler.events[3:]:
        assert isinstance(args[0], asyncio.CancelledError | GeneratorExit)


def test_the_input_of_a_stream_comes_with_its_end(handler: Any) -> None:
    """It is not known when the run starts: it comes in chunks, too."""
    list(chain_of(Source(2)).stream("x", {"callbacks": [handler]}))
    assert all(args[1] == {"input": ""} for m, args, _ in handler.events if m == "on_chain_start")
    inputs = [kwargs["inputs"] for kwargs in handler.events.of("on_chain_end")]
    assert sorted(inputs) == ["0 1 ", "0 1 ", "x", "x"]


def test_the_input_of_a_stream_is_on_its_span_however_it_ends(spans: SpanLog) -> None:
    """Who looks at a trace of streams wants to see the question, of one that failed above all."""

    def fail(chunks: Iterator[Any]) -> Iterator[Any]:
        yield from chunks
        raise LookupError

    listening = {"callbacks": [OTelCallbackHandler(capture_content=True)]}
    list(RunnableLambda(Source(2).sync, name="works").stream("x", listening))
    with pytest.raises(LookupError):
        list(RunnableGenerator(fail, name="fails").stream({"q": "y"}, listening))
    silent = {"callbacks": [OTelCallbackHandler(capture_content=False)]}
    list(RunnableLambda(Source(2).sync, name="secret").stream("z", silent))
    works, fails, secret = (
        (spans.named(name).attributes or {}) for name in ("works", "fails", "secret")
    )
    assert (works["input.value"], works["input.mime_type"]) == ("x", "text/plain")
    assert fails["input.value"] == '{"q":"y"}'
    assert "input.value" not in secret


def test_a_block_that_does_not_stream_gives_its_output_whole() -> None:
    """Every block can stand in a stream."""

    class Own(Runnable[Any, str]):
        def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> str:
            return f"{input}!"

    assert list(Own().stream("a")) == ["a!"]
    assert list((RunnableLambda(Source(2).sync) | Own()).stream("x")) == ["0 1 !"]
    fake = FakeListChatModel(responses=["ab"])
    assert list((fake | StrOutputParser() | Own()).stream("x")) == ["ab!"]
