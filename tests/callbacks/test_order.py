"""In which order handlers are told, where they run, and that each is told once."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from typing import Any

import pytest

from callspan.callbacks import (
    AsyncCallbackHandler,
    AsyncCallbackManager,
    BaseCallbackHandler,
    CallbackManager,
)
from support import METHODS, afire, fire, recording

var: ContextVar[str] = ContextVar("var", default="unset")


class Noting(BaseCallbackHandler):
    """Notes its name and the thread it is told in."""

    def __init__(self, name: str, notes: list[Any], *, run_inline: bool = False) -> None:
        self.name, self.notes, self.run_inline = name, notes, run_inline

    def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        self.notes.append((self.name, threading.get_ident()))


class AsyncNoting(Noting):
    async def on_chain_start(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        super().on_chain_start()


def test_sync_order() -> None:
    """Sync runs tell their handlers as registered, in the caller's thread, async ones too."""
    notes: list[Any] = []
    handlers = [Noting("a", notes), AsyncNoting("b", notes), Noting("c", notes, run_inline=True)]
    CallbackManager(handlers).on_chain_start({}, {})
    assert [name for name, _ in notes] == ["a", "b", "c"]
    assert notes[0][1] == notes[2][1] == threading.get_ident()


async def test_inline_handlers_come_first_and_in_order() -> None:
    """An inline handler may rely on the one before it, and does not silence the others."""
    notes: list[Any] = []
    handlers = [
        Noting("other", notes),
        Noting("a", notes, run_inline=True),
        AsyncNoting("async other", notes),
        AsyncNoting("b", notes, run_inline=True),
    ]
    await AsyncCallbackManager(handlers).on_chain_start({}, {})
    names = [name for name, _ in notes]
    assert names[:2] == ["a", "b"]
    assert set(names[2:]) == {"other", "async other"}
    here = threading.get_ident()
    assert {name: ident == here for name, ident in notes} == {
        "a": True, "b": True, "async other": True, "other": False,
    }  # fmt: skip


async def test_others_are_told_concurrently() -> None:
    """A handler that waits for another one's work must not wait for ever."""
    first, second = asyncio.Event(), asyncio.Event()

    class Meets(AsyncCallbackHandler):
        def __init__(self, mine: asyncio.Event, other: asyncio.Event) -> None:
            self.mine, self.other = mine, other

        async def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            self.mine.set()
            await self.other.wait()

    await AsyncCallbackManager([Meets(first, second), Meets(second, first)]).on_chain_start({}, {})
    assert first.is_set()
    assert second.is_set()


async def test_a_sync_handler_does_not_block_the_loop() -> None:
    """A handler that blocks in its worker thread must let the event loop go on."""
    loop, going = asyncio.get_running_loop(), threading.Event()

    class Blocks(BaseCallbackHandler):
        def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            loop.call_soon_threadsafe(going.set)
            assert going.wait(30)

    await AsyncCallbackManager([Blocks()]).on_chain_start({}, {})
    assert going.is_set()


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
async def test_context_of_a_handler(is_async: bool, inline: bool) -> None:
    """Handlers see the caller's context variables, wherever they run."""

    class Sees(BaseCallbackHandler):
        run_inline = inline
        seen = ""

        def on_chain_start(self, *args: Any, **kwargs: Any) -> Any:
            if is_async:
                return self.later()
            self.seen = var.get()
            return None

        async def later(self) -> None:
            self.seen = var.get()

    handler = Sees()
    token = var.set("set")
    await AsyncCallbackManager([handler]).on_chain_start({}, {})
    assert handler.seen == "set"
    handler.seen = ""
    CallbackManager([handler]).on_chain_start({}, {})
    assert handler.seen == "set"
    var.reset(token)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("is_async", [False, True])
async def test_every_event_reaches_every_kind_of_handler(method: str, is_async: bool) -> None:
    """No row of the table may be dead, for any kind of handler in either kind of run."""
    handlers = [
        recording(),
        recording(run_inline=True),
        recording(AsyncCallbackHandler, is_async=True),
        recording(AsyncCallbackHandler, is_async=True, run_inline=True),
    ]
    if is_async:
        await afire(AsyncCallbackManager(handlers), method)
    else:
        fire(CallbackManager(handlers), method)
    assert [one.events.methods.count(method) for one in handlers] == [1, 1, 1, 1]


@pytest.mark.parametrize("method", METHODS)
async def test_a_handler_that_came_twice_is_told_once(method: str, handler: Any) -> None:
    """Two ways to a handler are one handler: it would count tokens twice."""
    manager = [handler, handler], [handler, handler]
    fire(CallbackManager.configure(*manager), method)
    await afire(AsyncCallbackManager.configure(*manager), method)
    assert handler.events.methods.count(method) == 2
