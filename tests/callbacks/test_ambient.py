"""Nested runs find their parent, handlers, tags and metadata through the OTel Context."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any
from uuid import UUID, uuid4

import pytest

from callspan import ContextThreadPoolExecutor, traced, use_config
from callspan.callbacks import (
    BaseCallbackHandler,
    CallbackManager,
    CallbackManagerForChainRun,
)
from support import recording


@traced
def leaf(value: Any = None) -> Any:
    return value


@traced
async def aleaf() -> None:
    pass


def starts(handler: Any) -> list[tuple[str, UUID | None]]:
    """Name and parent of every chain that the handler heard start."""
    return [(k["name"], k["parent_run_id"]) for k in handler.events.of("on_chain_start")]


def outer(handler: Any, **options: Any) -> CallbackManagerForChainRun:
    manager = CallbackManager.configure(
        [handler], None, False, ["t"], ["local"], {"k": 1}, {"local": 2}
    )  # fmt: skip
    return manager.on_chain_start({"name": "outer"}, {}, name="outer", **options)


def test_nested_in_an_activated_run(handler: Any) -> None:
    """What was passed at run time arrives below, and what is one object's own does not."""
    local = recording()
    run = outer(handler)
    with run.activate():
        inner = CallbackManager.configure(
            None, [local], False, ["u"], None, {"l": 3}
        ).on_chain_start({}, {}, name="inner")
        with inner.activate():
            leaf()
    leaf()
    assert starts(handler) == [("outer", None), ("inner", run.run_id), ("leaf", inner.run_id)]
    assert starts(local) == [("inner", run.run_id)]
    told = handler.events.of("on_chain_start")
    assert [one["tags"] for one in told] == [["t", "local"], ["t", "u"], ["t", "u"]]
    assert [one["metadata"] for one in told] == [
        {"k": 1, "local": 2}, {"k": 1, "l": 3}, {"k": 1, "l": 3},
    ]  # fmt: skip


WAYS: dict[str, Callable[[], Any]] = {
    "copy_context": lambda: copy_context().run(leaf),
    "thread with a copied context": lambda: run_in_thread(copy_context().run, leaf),
    "submit": lambda: pooled(lambda pool: pool.submit(leaf).result()),
    "map": lambda: pooled(lambda pool: list(pool.map(leaf, [1]))),
}
ASYNC_WAYS: dict[str, Callable[[], Any]] = {
    "await": aleaf,
    "task": lambda: asyncio.create_task(aleaf()),
    "gather": lambda: asyncio.gather(aleaf()),
    "to_thread": lambda: asyncio.to_thread(leaf),
    "sync": lambda: asyncio.sleep(0, leaf()),
    "executor": lambda: in_executor(),
    "call_soon": lambda: soon(),
}


def run_in_thread(*call: Any) -> None:
    thread = threading.Thread(target=call[0], args=call[1:])
    thread.start()
    thread.join()


def pooled(call: Callable[[ThreadPoolExecutor], Any]) -> None:
    with ContextThreadPoolExecutor(2) as pool:
        call(pool)


async def in_executor() -> None:
    with ContextThreadPoolExecutor(1) as pool:
        await asyncio.get_running_loop().run_in_executor(pool, leaf)


async def soon() -> None:
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(lambda: (leaf(), done.set()))
    await done.wait()


@pytest.mark.parametrize("way", WAYS)
def test_ways_into_nested_code(way: str, handler: Any) -> None:
    """Whatever propagates a Context propagates handlers and the parent run."""
    run = outer(handler)
    with run.activate():
        WAYS[way]()
    WAYS[way]()
    assert [parent for _, parent in starts(handler)] == [None, run.run_id]


@pytest.mark.parametrize("way", ASYNC_WAYS)
async def test_async_ways_into_nested_code(way: str, handler: Any) -> None:
    """Tasks and worker threads of asyncio too."""
    run = outer(handler)
    with run.activate():
        await ASYNC_WAYS[way]()
    await ASYNC_WAYS[way]()
    assert [parent for _, parent in starts(handler)] == [None, run.run_id]


async def test_a_task_that_outlives_the_block(handler: Any) -> None:
    """A background task belongs to the run that has started it, whenever it comes to run."""
    run = outer(handler)
    with run.activate():
        task = asyncio.create_task(aleaf())
    run.on_chain_end({})
    await task
    assert [parent for _, parent in starts(handler)] == [None, run.run_id]


async def test_concurrent_runs_do_not_mix() -> None:
    """Two requests in one loop, each with its handler: neither hears of the other's runs."""
    handlers = [recording() for _ in range(5)]
    meeting = asyncio.Event()

    @traced
    async def request(number: int) -> None:
        if number == 4:
            meeting.set()
        await meeting.wait()
        leaf(number)

    async def served(number: int) -> None:
        with use_config(callbacks=[handlers[number]]):
            await request(number)

    await asyncio.gather(*map(served, range(5)))
    for number, handler in enumerate(handlers):
        inputs = [args[1] for method, args, _ in handler.events if method == "on_chain_start"]
        assert inputs == [{"number": number}, {"value": number}]


def test_given_run_id_is_the_runs_alone(handler: Any) -> None:
    """A child that took its parent's id would be its own parent."""
    given = uuid4()
    run = outer(handler, run_id=given)
    with run.activate():
        leaf()
    (_, first), (_, second) = starts(handler)
    assert (first, second, run.run_id) == (None, given, given)
    assert handler.events.of("on_chain_start")[1]["run_id"] != given


def test_a_late_child(handler: Any) -> None:
    """A run may outlive its parent: a background task's runs still say whose they are."""
    run = outer(handler)
    context = copy_context()
    with run.activate():
        inside = copy_context()
    run.on_chain_end({})
    inside.run(leaf)
    context.run(leaf)
    assert [parent for _, parent in starts(handler)] == [None, run.run_id]


def test_no_handlers_at_all() -> None:
    """Without handlers and SDK the ids still travel, since a handler may join further down."""
    run = CallbackManager.configure().on_chain_start({}, {})
    with run.activate():
        assert CallbackManager.configure([BaseCallbackHandler()]).parent_run_id == run.run_id
    assert CallbackManager.configure().parent_run_id is None
