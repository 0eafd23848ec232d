"""`use_config` and `suppress_tracing` as decorators."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from callspan import ConfigurationError, suppress_tracing, traced, use_config
from support import SpanLog


@traced
def leaf() -> None:
    pass


def tags_told(handler: Any) -> list[Any]:
    return [one["tags"] for one in handler.events.of("on_chain_start")]


def test_a_function_has_the_settings_at_each_call(handler: Any) -> None:
    """It recurses and is called again; outside of its body nothing stays."""

    @use_config(callbacks=[handler], tags=["t"])
    def count(n: int) -> int:
        """Counts."""
        leaf()
        return n and 1 + count(n - 1)

    assert [count(2), count(0)] == [2, 0]
    leaf()
    assert tags_told(handler) == [["t"]] * 4
    assert count.__doc__ == "Counts."


async def test_coroutine_functions_keep_the_settings_across_their_awaits(handler: Any) -> None:
    """A decorator that leaves when the coroutine is made would do nothing, in silence."""

    @use_config(callbacks=[handler], tags=["t"])
    async def once(n: int) -> int:
        await asyncio.sleep(0)
        leaf()
        return n

    class Object:
        async def __call__(self) -> None:
            leaf()

    assert asyncio.iscoroutinefunction(once)
    assert await asyncio.gather(*map(once, range(3))) == [0, 1, 2]
    leaf()
    await use_config(callbacks=[handler], tags=["t"])(Object())()
    assert tags_told(handler) == [["t"]] * 4


def test_suppressed(spans: SpanLog) -> None:
    """It stands above @traced, and on methods."""

    class Silent:
        @suppress_tracing()
        @traced
        def method(self) -> None:
            leaf()

    Silent().method()
    assert not spans.ended


def numbers() -> Iterator[int]:
    yield 1


async def anumbers() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("wrong", [numbers, anumbers, functools.partial(numbers), dict, 5])
def test_what_it_cannot_decorate(wrong: Any) -> None:
    """The steps of a generator run in its reader's Context: the settings would not hold there."""
    with pytest.raises(ConfigurationError, match="decorate"):
        use_config(tags=["t"])(wrong)
