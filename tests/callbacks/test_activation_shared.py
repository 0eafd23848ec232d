"""One context manager object, entered by several tasks."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

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


def test_a_block_closed_elsewhere_takes_nobody_elses_place() -> None:
    """A framework may close a block in a third context; those inside still have to get out."""
    shared = use_config(tags=["shared"])
    first, second, third = (copy_context() for _ in range(3))
    before = get_current()
    for context in (first, second):
        context.run(shared.__enter__)
        assert context.run(get_current) is not before
    third.run(shared.__exit__, None, None, None)
    for context in (second, first):
        context.run(shared.__exit__, None, None, None)
        assert context.run(get_current) is before


def test_a_shared_block_in_many_threads() -> None:
    """Threads that leave at the same time must not take each other's tokens, or stumble."""
    shared = use_config(tags=["shared"])

    def go_in_and_out(_: int) -> bool:
        before = get_current()
        for _ in range(200):
            with shared:
                pass
        return get_current() is before

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(go_in_and_out, range(16)))
    finally:
        sys.setswitchinterval(interval)
