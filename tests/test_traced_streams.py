"""`@traced` generators: one run a stream, however it comes to its end."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry.context import get_current

from callspan import traced, use_config
from callspan.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from callspan.callbacks.collector import send_waiting
from support import SpanLog, current


@traced
def numbers(stop: int = 3) -> Iterator[str]:
    for _ in range(stop):
        yield current()


@traced
async def anumbers(stop: int = 3) -> AsyncIterator[str]:
    for _ in range(stop):
        await asyncio.sleep(0)
        yield current()


class Slow(AsyncCallbackHandler):
    """A handler that an ending run waits for."""

    async def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        await asyncio.sleep(0)


def last(handler: Any) -> tuple[str, Any]:
    method, (argument,), _ = handler.events[-1]
    return method, argument


def test_a_stream(spans: SpanLog, handler: Any) -> None:
    """The run starts with the first chunk, ends with the last, and reports them all."""
    with use_config(callbacks=[handler]):
        stream = numbers()
        assert handler.events == []
        assert list(stream) == ["numbers"] * 3
    assert last(handler) == ("on_chain_end", ["numbers"] * 3)
    assert spans.outcomes() == {"numbers": "ok"}


def test_an_endless_stream_takes_no_memory(handler: Any) -> None:
    """The end reports the first thousand chunks, however many there were."""
    with use_config(callbacks=[handler]):
        assert sum(1 for _ in numbers(1500)) == 1500
    assert len(last(handler)[1]) == 1000


@pytest.mark.parametrize("kind", ["llm", "tool", "retriever", "agent"])
def test_kinds(kind: Any, handler: Any) -> None:
    """A stream of any kind; an llm's chunks are put together to its answer."""

    @traced(kind=kind)
    def body(q: str) -> Iterator[str]:
        yield from ["a", "b"]

    with use_config(callbacks=[handler]):
        assert list(body("q")) == ["a", "b"]
    method, result = last(handler)
    assert method == f"on_{'chain' if kind == 'agent' else kind}_end"
    assert (result.generations[0][0].text == "ab") if kind == "llm" else (result == ["a", "b"])


def test_a_return_value(spans: SpanLog) -> None:
    """`yield from` gives what the generator returns, and `send` reaches it."""

    @traced
    def body() -> Generator[Any, Any, str]:
        return f"got {(yield 1)}"

    def outer() -> Generator[Any, Any, str]:
        return (yield from body())

    stream = outer()
    next(stream)
    with pytest.raises(StopIteration, match="got sent"):
        stream.send("sent")
    assert spans.outcomes() == {"body": "ok"}


WAYS: dict[str, Callable[[Any], None]] = {
    "closed": lambda stream: stream.close(),
    "dropped": lambda stream: None,
    "closed from another thread": lambda stream: in_thread(stream.close),
    "collected": lambda stream: [].append([stream]),
}


def in_thread(call: Callable[[], None]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


@pytest.mark.parametrize("chunks", [0, 1, 3])
@pytest.mark.parametrize("way", WAYS)
def test_given_up(way: str, chunks: int, spans: SpanLog, handler: Any) -> None:
    """A stream that nobody reads on is abandoned, no error; one that never began is no run."""

    def consume() -> None:
        stream = numbers()
        for _ in range(chunks):
            next(stream)
        WAYS[way](stream)

    before = get_current()
    with use_config(callbacks=[handler]):
        consume()
        gc.collect()
    send_waiting()
    assert get_current() is before
    assert spans.outcomes() == ({"numbers": "abandoned"} if chunks else {})
    assert handler.events.methods == (["on_chain_start", "on_chain_error"] if chunks else [])
    assert spans.open == []


async def aclosed(stream: Any) -> None:
    await stream.aclose()


async def aclosed_elsewhere(stream: Any) -> None:
    await asyncio.create_task(aclosed(stream))


async def dropped(stream: Any) -> None:
    pass


@pytest.mark.parametrize("chunks", [0, 1, 3])
@pytest.mark.parametrize("way", [aclosed, aclosed_elsewhere, dropped])
async def test_async_given_up(way: Any, chunks: int, spans: SpanLog) -> None:
    """The same of async streams, which are closed by whichever task the loop takes."""
    errors: list[BaseException] = []
    ended = asyncio.Event()

    class Ends(BaseCallbackHandler):
        run_inline = True

        def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
            errors.append(error)
            ended.set()

    async def consume() -> None:
        stream = anumbers()
        for _ in range(chunks):
            await stream.__anext__()
        await way(stream)

    before = get_current()
    with use_config(callbacks=[Ends()]):
        await consume()
    gc.collect()
    if chunks:
        await ended.wait()
    assert get_current() is before
    assert spans.outcomes() == ({"anumbers": "abandoned"} if chunks else {})
    assert [type(error) for error in errors] == ([GeneratorExit] if chunks else [])


@pytest.mark.parametrize("streams", [1, 20])
def test_left_open_when_the_loop_ends(streams: int, spans: SpanLog) -> None:
    """The loop closes what is still open as it shuts down: so end the runs.

    It closes all generators at the same time, and would complain of one within another that is
    still telling an async handler of its end.
    """
    kept: list[Any] = []

    async def main() -> None:
        for _ in range(streams):
            kept.append(anumbers())
            await kept[-1].__anext__()

    with use_config(callbacks=[Slow()]):
        asyncio.run(main())
    assert len(spans.ended) == streams
    assert spans.outcomes() == {"anumbers": "abandoned"}


async def test_a_body_that_takes_its_closing_calmly(spans: SpanLog) -> None:
    """A body may catch GeneratorExit and return: the stream was given up all the same."""

    @traced
    def body() -> Iterator[int]:
        with suppress(GeneratorExit):
            yield 1

    @traced
    async def abody() -> AsyncIterator[int]:
        with suppress(GeneratorExit):
            yield 1

    stream, astream = body(), abody()
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    await astream.__anext__()
    await astream.aclose()  # type: ignore[attr-defined]
    assert spans.outcomes() == {"body": "abandoned", "abody": "abandoned"}
