"""Driving a body: the run ends once, also if what its end is to say cannot be made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from callspan.callbacks import AsyncCallbackManager, CallbackManager
from callspan.callbacks.drive import acall, astream, call, stream
from support import SpanLog


def fail(*_: Any) -> Any:
    raise LookupError("nothing to tell")


def only_with_an_error(error: BaseException | None) -> dict[str, Any]:
    return fail() if error is None else {}


async def answer() -> int:
    return 1


async def answers() -> AsyncIterator[int]:
    yield 1


async def drive_async(way: str, told: dict[str, Any], handler: Any) -> None:
    run = await AsyncCallbackManager.configure([handler]).on_chain_start({}, {}, name="run")
    if way == "acall":
        await acall(run, answer, **told)
    else:
        async for _ in astream(run, answers(), None, told.pop("report", lambda: 1), **told):
            pass


def drive(way: str, told: dict[str, Any], handler: Any) -> None:
    if way.startswith("a"):
        asyncio.run(drive_async(way, told, handler))
        return
    run = CallbackManager.configure([handler]).on_chain_start({}, {}, name="run")
    if way == "call":
        call(run, lambda: 1, **told)
    else:
        list(stream(run, iter([1]), None, told.pop("report", lambda: 1), **told))


@pytest.mark.parametrize("told", [{"report": fail}, {"extra": only_with_an_error}, {"extra": fail}])
@pytest.mark.parametrize("way", ["call", "acall", "stream", "astream"])
def test_a_run_ends_that_cannot_say_what_came_out(
    way: str, told: dict[str, Any], spans: SpanLog, handler: Any
) -> None:
    """A run that stays open for a failed report is a span that is never sent."""
    with pytest.raises(LookupError, match="nothing to tell"):
        drive(way, dict(told), handler)
    assert handler.events.methods == ["on_chain_start", "on_chain_error"]
    assert isinstance(handler.events[-1][1][0], LookupError)
    assert (spans.open, spans.tree()) == ([], ["run"])
