"""Making calls at the same time: in threads for a sync caller, in tasks for an async one.

On leaving the `async with` block of either, calls that have not ended are cancelled as far as
they can be, and waited for: nothing goes on behind the caller's back.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

from typing_extensions import Self

from callspan.callbacks.threads import ContextThreadPoolExecutor


class Threads:
    """Makes calls in threads, in copies of the current context.

    Args:
        limit: How many calls are made at a time; as many as the machine is good for, if None.
    """

    def __init__(self, limit: int | None) -> None:
        self._pool = ContextThreadPoolExecutor(limit)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def start(self, function: Callable[..., Any], *args: Any) -> Any:
        """Start a call and return its future."""
        return self._pool.submit(function, *args)

    async def first(self, futures: Iterable[Any]) -> set[Any]:
        """Wait until one of the calls ends, and return those that have."""
        return concurrent.futures.wait(futures, return_when="FIRST_COMPLETED").done

    async def result(self, future: Any) -> Any:
        """Wait until a call ends, and return its result."""
        return future.result()


class Tasks:
    """As `Threads`, with tasks that await what is called."""

    def __init__(self, limit: int | None) -> None:
        self._gate: Any = nullcontext() if limit is None else asyncio.Semaphore(limit)
        self._open: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def start(self, function: Callable[..., Any], *args: Any) -> Any:
        """Start a call and return its future."""

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

    async def first(self, futures: Iterable[Any]) -> set[Any]:
        """Wait until one of the calls ends, and return those that have."""
        return (await asyncio.wait(list(futures), return_when="FIRST_COMPLETED"))[0]

    async def result(self, future: Any) -> Any:
        """Wait until a call ends, and return its result."""
        return await future


class ThreadLock:
    """A lock between threads, for `async with`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    async def __aenter__(self) -> None:
        self._lock.acquire()

    async def __aexit__(self, *error: object) -> None:
        self._lock.release()
