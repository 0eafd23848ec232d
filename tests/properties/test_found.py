"""What random programs have found, each as a test of its own."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from callspan.callbacks import AsyncCallbackHandler, AsyncCallbackManager
from support import recording

PAIR = ["on_chain_start", "on_chain_error"]


async def test_cancelled_before_an_async_handler_begins_to_hear_of_the_start() -> None:
    """Who hears of an end has heard of the start: a handler keeps its books by it."""
    handler = recording(AsyncCallbackHandler, is_async=True)
    task = asyncio.create_task(AsyncCallbackManager([handler]).on_chain_start({}, {}))
    await asyncio.sleep(0)  # the handler's turn is next
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert handler.events.methods == PAIR


async def test_cancelled_before_there_is_a_thread_for_a_handler() -> None:
    """The same of a sync handler, whose thread cannot be cancelled and may start late."""
    handler, free = recording(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        asyncio.get_running_loop().set_default_executor(pool)
        pool.submit(free.wait)
        task = asyncio.create_task(AsyncCallbackManager([handler]).on_chain_start({}, {}))
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        free.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert handler.events.methods == PAIR
