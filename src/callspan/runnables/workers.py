"""Making calls at the same time: in threads for a sync caller, in tasks for an async one.

On leaving the `async with` block of either, calls that have not ended are cancelled as far as
they can be, and waited for: nothing goes on behind the caller's back.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from typing_extensions import Self

from callspan.callbacks.threads import ContextThreadPoolExecutor


class Threads(ContextThreadPoolExecutor):
    """Makes calls in threads: so many at a time, or as many as the machine is good for."""

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
    """Makes calls in tasks that await what is called: so many at a time, or all of them."""

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
