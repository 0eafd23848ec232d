"""Async generators, step by step: in the run inside, in the caller's Context outside."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import get_current
from opentelemetry.trace import Tracer

from callspan.callbacks import AsyncCallbackManager, AsyncCallbackManagerForChainRun
from support import SpanLog, current


async def start(name: str = "run") -> AsyncCallbackManagerForChainRun:
    return await AsyncCallbackManager.configure().on_chain_start({}, {}, name=name)


async def names(notes: list[str] | None = None) -> AsyncIterator[str]:
    """What is current in each step, before and after a suspension, and at the end."""
    try:
        for _ in range(3):
            before = current()
            await asyncio.sleep(0)
            yield before if before == current() else "differs"
    finally:
        if notes is not None:
            await asyncio.sleep(0)
            notes.append(current())


async def test_each_step_is_in_the_run(spans: SpanLog) -> None:
    """What the body awaits belongs to the run; what the consumer does between chunks does not."""
    run, before = await start(), get_current()
    async for seen in run.astep(names()):
        assert seen == "run"
        assert get_current() is before


async def test_a_users_span_across_yields(spans: SpanLog, tracer: Tracer) -> None:
    """A `with span` around a yield is the body's own, whatever the consumer has open."""
    run = await start()

    async def body() -> AsyncIterator[str]:
        with tracer.start_as_current_span("user"):
            yield current()
            await asyncio.sleep(0)
            yield current()
        yield current()

    seen = []
    steps = run.astep(body())
    for _ in range(3):
        with tracer.start_as_current_span("consumer") as span:
            seen.append(await steps.__anext__())
            assert trace.get_current_span() is span
    assert seen == ["user", "user", "run"]
    await steps.aclose()
    assert spans.parent_of("user") == "run"


async def test_streams_at_the_same_time(spans: SpanLog, tracer: Tracer) -> None:
    """Streams that are pulled by several tasks at once keep to themselves."""

    async def consume(name: str) -> list[str]:
        run = await start(name)

        async def body() -> AsyncIterator[str]:
            with tracer.start_as_current_span(f"user {name}"):
                for _ in range(3):
                    await asyncio.sleep(0)
                    yield current()

        return [seen async for seen in run.astep(body())]

    assert await asyncio.gather(*map(consume, "abc")) == [[f"user {name}"] * 3 for name in "abc"]
    assert [spans.parent_of(f"user {name}") for name in "abc"] == ["a", "b", "c"]


async def test_send_throw_and_errors(spans: SpanLog) -> None:
    """The generator behaves as it would without the run, in both directions."""

    async def body() -> Any:
        got = yield "first"
        try:
            yield got
        except KeyError as error:
            yield ("caught", error)
        raise ZeroDivisionError

    steps = (await start()).astep(body())
    error = KeyError("k")
    assert await steps.asend(None) == "first"
    assert await steps.asend("sent") == "sent"
    assert await steps.athrow(error) == ("caught", error)
    with pytest.raises(ZeroDivisionError):
        await steps.__anext__()
    with pytest.raises(StopAsyncIteration):
        await steps.__anext__()


async def in_a_task(call: Callable[[], Awaitable[None]]) -> None:
    async def body() -> None:
        await call()

    await asyncio.create_task(body())


async def nothing(steps: Any) -> None:
    pass


WAYS: dict[str, Callable[[Any], Awaitable[None]]] = {
    "closed": lambda steps: steps.aclose(),
    "closed from another task": lambda steps: in_a_task(steps.aclose),
    "dropped": nothing,
}


@pytest.mark.parametrize("chunks", [0, 1, 3])
@pytest.mark.parametrize("way", WAYS)
async def test_given_up(way: str, chunks: int, spans: SpanLog) -> None:
    """The body's clean-up is awaited in the run, unless the body never began."""
    run, before, notes = await start(), get_current(), []

    async def consume() -> None:
        steps = run.astep(names(notes))
        for _ in range(chunks):
            await steps.__anext__()
        await WAYS[way](steps)

    await consume()
    gc.collect()
    for _ in range(10):  # what the event loop does with a generator that was dropped
        await asyncio.sleep(0)
    assert notes == (["run"] if chunks else [])
    assert get_current() is before


async def test_cancelled_in_a_step(spans: SpanLog) -> None:
    """A step that is cancelled leaves its task in the Context that it came with."""
    run, waiting = await start(), asyncio.Event()

    async def body() -> AsyncIterator[None]:
        waiting.set()
        await asyncio.Event().wait()
        yield

    async def consume() -> bool:
        before = get_current()
        try:
            async for _ in run.astep(body()):
                pass
        except asyncio.CancelledError:
            return get_current() is before
        return False

    task = asyncio.create_task(consume())
    await waiting.wait()
    task.cancel()
    assert await task


async def test_pulled_by_a_task_a_chunk(spans: SpanLog) -> None:
    """Frameworks pull each chunk in a new task, with a Context of its own."""
    steps = (await start()).astep(names())
    seen = [await asyncio.ensure_future(steps.__anext__()) for _ in range(3)]
    assert seen == ["run"] * 3
    await steps.aclose()


async def test_plain_async_iterators(spans: SpanLog) -> None:
    """What a vendor's SDK streams is often no generator; it is closed where it can be."""

    class Plain:
        closed = False

        def __aiter__(self) -> Plain:
            return self

        async def __anext__(self) -> str:
            return current()

        async def aclose(self) -> None:
            self.closed = True

    run, source, kept = await start(), Plain(), []
    steps = run.astep(source, keep=kept.append)
    assert await steps.__anext__() == "run"
    with pytest.raises(KeyError):
        await steps.athrow(KeyError())
    assert source.closed
    assert kept == ["run"]
