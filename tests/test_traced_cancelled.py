"""`@traced` bodies that are cancelled or interrupted: no failures, and nothing left open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from callspan import traced
from support import SpanLog


async def test_cancelled_in_each_kind_of_body(spans: SpanLog) -> None:
    """A cancelled body is cancelled, not failed, whatever kind of function it is in."""
    waiting = asyncio.Event()

    async def wait() -> None:
        waiting.set()
        await asyncio.Event().wait()

    @traced
    async def coroutine() -> None:
        await wait()

    @traced
    async def stream() -> AsyncIterator[int]:
        yield 1
        await wait()

    @traced(kind="tool")
    async def closes() -> None:
        async with aclosing(stream()) as chunks:  # type: ignore[type-var]
            async for _ in chunks:
                pass

    for body in (coroutine, closes):
        waiting.clear()
        task = asyncio.create_task(body())
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert spans.outcomes() == dict.fromkeys(["coroutine", "stream", "closes"], "cancelled")
    assert {span.status.status_code.name for span in spans.ended} == {"UNSET"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupted(error: type[BaseException], spans: SpanLog) -> None:
    """Ctrl-C is the user's wish, no failure of the program; it comes out as it is."""

    @traced
    def body() -> None:
        raise error

    @traced
    def stream() -> Iterator[int]:
        yield 1
        body()

    with pytest.raises(error):
        list(stream())
    assert spans.outcomes() == {"body": "cancelled", "stream": "cancelled"}
