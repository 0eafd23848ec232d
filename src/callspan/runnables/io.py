"""Two ways to perform what a block does, so that its logic is written once.

A block that is made of others says what it does as an `async def` against an `IO`. For an async
caller `ASYNC` awaits. For a sync caller `SYNC` does each thing at once, so that the coroutine
never suspends: `finish` and `drained` run it as a plain function and a plain generator.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from types import ModuleType
from typing import Any, Final, TypeAlias, TypeVar

from callspan.callbacks.drive import acall, astream, call, stream
from callspan.callbacks.managers import AsyncCallbackManager, CallbackManager
from callspan.callbacks.owned import Owned
from callspan.runnables.aside import Tasks, ThreadLock, Threads, pulled_in_thread

T = TypeVar("T")
Chunks: TypeAlias = AsyncGenerator[Any, None]
"""A stream within a block, whose logic is written once."""


def finish(function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
    """Return the result of a coroutine function that never suspends: one written against `SYNC`."""
    try:
        function(*args).send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    except RuntimeError as error:
        # What Python makes of a StopIteration in a coroutine; the program is to see its own.
        if isinstance(error.__cause__, StopIteration) and "coroutine raised" in str(error):
            raise error.__cause__ from None
        raise
    raise RuntimeError(f"{function.__qualname__} waits for something, although it runs sync")


def drained(source: AsyncGenerator[T]) -> Generator[T]:
    """Yield what an async generator yields that never suspends: one written against `SYNC`."""
    resume: Callable[..., Any] = source.__anext__
    arguments: tuple[Any, ...] = ()
    while True:
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)  # an event loop that runs here must not adopt it
        try:
            resume(*arguments).send(None)
        except StopIteration as stop:
            chunk = stop.value
        except StopAsyncIteration:
            return
        finally:
            sys.set_asyncgen_hooks(*hooks)
        try:
            yield chunk
        except BaseException as error:  # it is the source's to answer
            # The garbage collector may have closed it before its consumer.
            if source.ag_frame is None:  # type: ignore[attr-defined]
                raise
            resume, arguments = source.athrow, (error,)
        else:
            resume, arguments = source.__anext__, ()


class _Pulled:
    """An iterator as an async iterator that never suspends."""

    def __init__(self, source: Any) -> None:
        self._source = iter(source)

    def __aiter__(self) -> _Pulled:
        return self

    async def __anext__(self) -> Any:
        for chunk in self._source:
            return chunk
        raise StopAsyncIteration

    async def aclose(self) -> None:
        if hasattr(self._source, "close"):
            self._source.close()


def _as_async(source: Any) -> Any:
    """Any iterator as an async iterator."""
    if hasattr(source, "__anext__"):
        return source
    return aiter(source) if hasattr(source, "__aiter__") else pulled_in_thread(source)


async def again(chunks: Iterable[T]) -> AsyncGenerator[T]:
    """Yield chunks that are there already."""
    for chunk in chunks:
        yield chunk


async def _at_once(result: T) -> T:
    return result


async def _awaited(result: Awaitable[T]) -> T:
    return await result


async def _then(make: Callable[[Any], T], function: Callable[[], Awaitable[Any]]) -> T:
    return make(await function())


def _owned_transform(block: Any) -> Callable[..., Owned]:
    return lambda *args, **kwargs: Owned(block.atransform(*args, **kwargs))


@dataclass(frozen=True)
class IO:
    """How a block calls others, pulls from streams and does things at the same time.

    A stream is an iterator for a sync caller, and an async iterator for an async one.
    """

    manager: Any = AsyncCallbackManager
    """What starts runs."""
    done: Callable[[Any], Coroutine[Any, Any, Any]] = _awaited
    """Give the result of a call that async code awaits."""
    call: Callable[..., Any] = acall
    """Call a function in the run that ends with it; `done` gives its result."""
    then: Callable[..., Any] = _then
    """Give what the first function makes of what the second one returns."""
    function: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda function: function
    """Return a coroutine function that is written against this, as `call` takes it."""
    invoke: Callable[[Any], Callable[..., Any]] = attrgetter("ainvoke")
    """Return a block's `invoke`; `done` gives its result."""
    stream: Callable[[Any], Callable[..., Any]] = attrgetter("astream")
    """Return a block's `stream`."""
    transform: Callable[[Any], Callable[..., Any]] = _owned_transform
    """Return a block's `transform`; its caller closes what that gives."""
    in_run: Callable[..., Any] = astream
    """Stream what an async generator yields, in the run that ends with it."""
    next: Callable[..., Any] = anext
    """`next`, or `anext`: with a default."""
    pull: Callable[[Any], Any] = _as_async
    """Return a stream as an async iterator, for an `Owned` to close."""
    as_stream: Callable[[AsyncGenerator[Any]], Any] = lambda source: source
    """Return what an async generator yields as a stream for other blocks."""
    clock: ModuleType = asyncio
    """Has `sleep`, which waits for so many seconds when it is `done`."""
    lock: Callable[[], Any] = asyncio.Lock
    """Return a lock for `async with`, between calls that are made at the same time."""
    workers: Callable[[int | None], Any] = Tasks
    """Return what makes several calls at the same time."""
    wait: Callable[..., Any] = asyncio.wait
    """Wait for such calls; `done` gives those that have ended, and the others."""


ASYNC: Final = IO()
SYNC: Final = IO(
    manager=CallbackManager,
    done=_at_once,
    call=call,
    then=lambda make, function: make(function()),
    function=lambda function: partial(finish, function),
    invoke=attrgetter("invoke"),
    stream=attrgetter("stream"),
    transform=attrgetter("transform"),
    in_run=lambda run, body, *args: stream(run, drained(body), *args),
    next=next,
    pull=_Pulled,
    as_stream=drained,
    clock=time,
    lock=ThreadLock,
    workers=Threads,
    wait=concurrent.futures.wait,
)
