"""chain: a function above which it stands is a block."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from callspan.errors import ConfigurationError
from callspan.runnables import RunnableLambda, chain
from callspan.tracing import OTelCallbackHandler


@chain
def double(x: int) -> int:
    return 2 * x


@chain
async def adouble(x: int) -> int:
    return 2 * x


@chain
def words(x: str) -> Iterator[str]:
    yield from (x, "!")


@chain
async def awords(x: str) -> AsyncIterator[str]:
    for word in (x, "!"):
        yield word


async def test_every_form_of_function_is_a_block() -> None:
    """It is invoked, streamed, batched and put into sequences as any other."""
    assert (double.invoke(1), await adouble.ainvoke(1)) == (2, 2)
    assert (double | double).invoke(1) == 4
    assert double.batch([1, 2]) == [2, 4]
    assert list(words.stream("a")) == ["a", "!"]
    assert [chunk async for chunk in awords.astream("a")] == ["a", "!"]
    assert isinstance(double, RunnableLambda)


def test_the_run_is_named_after_the_function(spans: Any, provider: Any) -> None:
    """So that the trace shows what the program calls it, and what was called inside."""

    @chain
    def whole(x: int) -> int:
        return double.invoke(x) + 1

    assert whole.invoke(1, {"callbacks": [OTelCallbackHandler(tracer_provider=provider)]}) == 3
    assert spans.tree() == ["whole", "  double"]
    assert spans.outcomes() == {"whole": "ok", "double": "ok"}


def test_what_cannot_be_called_is_named() -> None:
    """The mistake is where the decorator stands."""
    with pytest.raises(ConfigurationError, match="takes a function, not int"):
        chain(3)  # type: ignore[call-overload]
