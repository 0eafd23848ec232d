"""Sync code that an async caller needs done: in a thread, with the caller's context."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

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
