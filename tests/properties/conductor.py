"""Who may go on in an asynchronous program, so that it does the same each time.

A task that blocks waits here. When nothing else can go on, the innermost cancellation goes ahead,
or, if there is none, the first blocked task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

_IDLE_TURNS = 100
"""After how many turns of the loop without progress nothing else can go on; callbacks that are
told aside take fewer."""


class CountingExecutor(ThreadPoolExecutor):
    """An executor that knows whether a call is under way whose end the loop has not heard of."""

    def __init__(self) -> None:
        super().__init__(max_workers=2)
        self.under_way: set[Future[Any]] = set()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        heard: Future[Any] = Future()
        self.under_way.add(heard)

        def call() -> None:
            try:
                if heard.set_running_or_notify_cancel():
                    try:
                        result = fn(*args, **kwargs)
                    except BaseException as error:
                        heard.set_exception(error)
                    else:
                        heard.set_result(result)
            finally:
                self.under_way.discard(heard)

        super().submit(call)
        return heard


class Conductor:
    """Lets the tasks of one program go on; made in the program's event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._executor = CountingExecutor()
        self._loop.set_default_executor(self._executor)
        self._progress = 0
        self._cancellations: dict[tuple[int, ...], asyncio.Future[None]] = {}
        self._blocked: dict[tuple[int, ...], asyncio.Future[None]] = {}

    def note_progress(self) -> None:
        """Say that something went on."""
        self._progress += 1

    async def block(self, path: tuple[int, ...]) -> None:
        """Wait until nothing else can go on, cancellations neither."""
        await self._wait(self._blocked, path)

    async def quiet(self, path: tuple[int, ...]) -> None:
        """Wait until nothing else can go on but what is blocked or further out."""
        await self._wait(self._cancellations, path)

    async def _wait(
        self, waiting: dict[tuple[int, ...], asyncio.Future[None]], path: tuple[int, ...]
    ) -> None:
        waiting[path] = self._loop.create_future()
        self.note_progress()
        try:
            await waiting[path]
        finally:
            del waiting[path]
            self.note_progress()

    async def conduct(self) -> None:
        """Go on until cancelled."""
        seen, idle = -1, 0
        while True:
            await asyncio.sleep(0)
            if self._executor.under_way or self._progress != seen:
                seen, idle = self._progress, 0
                continue
            idle += 1
            if idle > _IDLE_TURNS:
                idle = 0
                if self._cancellations:
                    next_one = self._cancellations[max(self._cancellations)]
                elif self._blocked:
                    next_one = self._blocked[min(self._blocked)]
                else:
                    continue
                if not next_one.done():
                    next_one.set_result(None)
