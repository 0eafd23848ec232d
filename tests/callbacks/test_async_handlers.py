"""Async handlers: in sync runs with and without an event loop, and when the task is cancelled."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from opentelemetry.context import get_current

from callspan import traced, use_config
from callspan.callbacks import AsyncCallbackHandler, AsyncCallbackManager, CallbackManager
from callspan.callbacks.events import EVENTS
from support import FIRED, afire, fire, recording

ENDS = [event.method for event in EVENTS if event.phase in ("end", "error")]


class Slow(AsyncCallbackHandler):
    """Starts what it is told, and finishes it when it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.done: list[str] = []

    async def wait(self, what: str) -> None:
        self.begun.set()
        await self.go.wait()
        self.done.append(what)


for end in ENDS:

    async def told(self: Slow, *args: Any, what: str = end, **kwargs: Any) -> None:
        await self.wait(what)

    setattr(Slow, end, told)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("cancels", [1, 3])
@pytest.mark.parametrize("run_inline", [True, False])
async def test_end_events_are_shielded(end: str, cancels: int, run_inline: bool) -> None:
    """A cancelled request must still close its runs, and the cancellation must come out."""
    slow, inline = Slow(), recording(run_inline=True)
    slow.run_inline = run_inline
    task = asyncio.create_task(afire(AsyncCallbackManager([slow, inline]), end))
    await slow.begun.wait()
    for _ in range(cancels):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    slow.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert slow.done == [end]
    assert inline.events.methods == [FIRED[end][0], end]


@pytest.mark.parametrize("cancels", [1, 3])
async def test_cancelled_body(cancels: int) -> None:
    """The end of a body that was cancelled is told whole, once, as that cancellation."""
    slow, started = Slow(), asyncio.Event()

    @traced
    async def body() -> None:
        started.set()
        await asyncio.Event().wait()

    async def run() -> None:
        with use_config(callbacks=[slow]):
            await body()

    task = asyncio.create_task(run())
    await started.wait()
    for _ in range(cancels):
        task.cancel()
        await slow.begun.wait()
        await asyncio.sleep(0)
    slow.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert slow.done == ["on_chain_error"]


async def test_a_timeout_stays_a_timeout() -> None:
    """`wait_for` counts on the cancellation that it sends coming back out of the task."""
    slow = Slow()

    @traced
    async def body() -> None:
        await asyncio.Event().wait()

    async def run() -> None:
        with use_config(callbacks=[slow]):
            await body()

    async def let_go() -> None:
        await slow.begun.wait()
        slow.go.set()

    letting = asyncio.create_task(let_go())
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(run(), 0.01)
    await letting
    assert slow.done == ["on_chain_error"]


async def test_a_cancellation_and_a_handler_that_raises() -> None:
    """The cancellation wins, and the handler's failure is its cause: neither may be lost."""

    class Fails(Slow):
        raise_error = True

        async def wait(self, what: str) -> None:
            await super().wait(what)
            raise ValueError("of the handler")

    async def run() -> BaseException | None:
        with pytest.raises(asyncio.CancelledError) as raised:
            await afire(AsyncCallbackManager([fails]), "on_chain_end")
        return raised.value.__cause__

    fails = Fails()
    task = asyncio.create_task(run())
    await fails.begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    fails.go.set()
    assert isinstance(await task, ValueError)


async def test_cancelled_while_told_of_a_start() -> None:
    """Who was told of a start hears the end, even if the task dies between the two."""

    class SlowStart(AsyncCallbackHandler):
        def __init__(self) -> None:
            self.begun = asyncio.Event()
            self.ends: list[BaseException] = []

        async def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            self.begun.set()
            await asyncio.Event().wait()

        async def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:  # type: ignore[override]
            self.ends.append(error)

    for inline in (False, True):
        slow, other = SlowStart(), recording()
        slow.run_inline = inline
        manager = AsyncCallbackManager([slow, other])
        task = asyncio.create_task(manager.on_chain_start({}, {}))
        await slow.begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [type(error) for error in slow.ends] == [asyncio.CancelledError]
        assert other.events.methods == ["on_chain_start", "on_chain_error"]


class Patient(AsyncCallbackHandler):
    """Needs a working event loop to record anything."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        await asyncio.get_running_loop().run_in_executor(None, self.done.append, "start")

    async def on_chain_end(self, *args: Any, **kwargs: Any) -> None:
        async def later() -> None:
            await asyncio.sleep(0)
            self.done.append("end")

        self.task = asyncio.create_task(later())


def test_async_handler_in_a_sync_run() -> None:
    """The coroutine runs to its end before the program goes on, tasks it has started too."""
    patient = Patient()
    fire(CallbackManager([patient]), "on_chain_end")
    assert patient.done == ["start", "end"]
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


async def test_async_handler_in_a_sync_run_inside_a_loop() -> None:
    """Sync code below an event loop cannot await it, so the handler gets a loop of its own."""
    patient, before = Patient(), threading.active_count()
    fire(CallbackManager([patient]), "on_chain_end")
    assert patient.done == ["start", "end"]
    assert threading.active_count() <= before + 1  # the loop's own executor has a thread


def test_the_threads_own_event_loop_stays() -> None:
    """Programs that have set an event loop for their thread must find it again."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        fire(CallbackManager([Patient()]), "on_chain_end")
        assert asyncio.get_event_loop() is loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def test_context_in_the_shielded_end() -> None:
    """An async handler of an end sees the Context that the code which ended the run has."""

    class Sees(AsyncCallbackHandler):
        seen: Any = None

        async def on_chain_end(self, *args: Any, **kwargs: Any) -> None:
            self.seen = get_current()

    sees = Sees()
    run = await AsyncCallbackManager([sees]).on_chain_start({}, {})
    with run.activate():
        inside = get_current()
        await run.on_chain_end({})
    assert sees.seen is inside
