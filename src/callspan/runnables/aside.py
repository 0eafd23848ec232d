"""Work beside the caller's own: sync code for an async one, and several calls at the same time.

Threads have the context of the caller.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import nullcontext
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from typing_extensions import Self

from callspan.callbacks.threads import ContextThreadPoolExecutor

T = TypeVar("T")
_END: Any = object()


async def in_thread(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Return what a function returns that may block."""
    return await asyncio.to_thread(_stopping_safely, partial(function, *args, **kwargs))


def _stopping_safely(function: Callable[[], T]) -> T:
    try:
        return function()
    except StopIteration as error:  # a future cannot hold one
        raise RuntimeError("the function raised StopIteration") from error


async def pulled_in_thread(source: Iterator[T]) -> AsyncGenerator[T, None]:
    """Yield the chunks of an iterator that may block.

    All its steps run in one context of their own, so that what the iterator makes current in one
    step still is in the next.
    """
    context, lock = copy_context(), threading.Lock()

    def step(function: Callable[..., Any], *args: Any) -> Any:
        with lock:
            return context.run(function, *args)

    loop = asyncio.get_running_loop()
    wait_for_end = True
    try:
        while True:
            chunk = await loop.run_in_executor(None, step, next, source, _END)
            if chunk is _END:
                return
            yield chunk
    except asyncio.CancelledError:
        wait_for_end = False  # the last step may take its time; closing waits for it, we do not
        raise
    finally:
        if hasattr(source, "close"):
            closing = loop.run_in_executor(None, step, source.close)
            if wait_for_end:
                await closing


class Threads(ContextThreadPoolExecutor):
    """Makes calls in threads: so many at a time, or as many as the machine is good for.

    On leaving the `async with` block, calls that have not ended are cancelled as far as they can
    be, and waited for: nothing goes on behind the caller's back.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.shutdown(wait=True, cancel_futures=True)


class ThreadLock(threading.Semaphore):
    """A lock between threads, for `async with`."""

    async def __aenter__(self) -> None:
        self.acquire()

    async def __aexit__(self, *error: object) -> None:
        self.release()


class Tasks:
    """As `Threads`, in tasks that await what is called: so many at a time, or all of them."""

    def __init__(self, limit: int | None) -> None:
        self._gate: Any = nullcontext() if limit is None else asyncio.Semaphore(limit)
        self._open: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def submit(self, function: Callable[..., Any], *args: Any) -> asyncio.Task[Any]:
        """Start a call."""

        async def gated() -> Any:
            async with self._gate:
                return await function(*args)

        task = asyncio.ensure_future(gated())
        self._open.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._open.discard(task)
        if not task.cancelled():
            task.exception()  # asyncio complains of exceptions that nobody looks at
