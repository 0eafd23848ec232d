"""One context manager object, entered by several tasks."""

from __future__ import annotations

import asyncio

from opentelemetry.context import get_current

from callspan import use_config
from callspan.callbacks import CallbackManager


async def test_a_shared_block_leaves_each_task_as_it_was() -> None:
    """A use_config kept in a variable may be open in two tasks at once; neither may leak."""
    shared = use_config(tags=["shared"])
    first_is_in, second_is_in = asyncio.Event(), asyncio.Event()

    async def first() -> bool:
        before = get_current()
        with shared:
            first_is_in.set()
            await second_is_in.wait()
        return get_current() is before

    async def second() -> bool:
        before = get_current()
        await first_is_in.wait()
        with shared:
            second_is_in.set()
            await asyncio.sleep(0)
            assert CallbackManager.configure().tags == ["shared"]
        return get_current() is before

    assert await asyncio.gather(first(), second()) == [True, True]
