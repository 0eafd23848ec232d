"""with_fallbacks: who takes over, what is raised when nobody can, and what a span says of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from callspan.errors import ConfigurationError, InputError
from callspan.runnables import RunnableLambda
from callspan.tracing import OTelCallbackHandler


def fails(error: BaseException, name: str = "fails") -> RunnableLambda[Any, Any]:
    def failing(x: Any) -> Any:
        raise error

    return RunnableLambda(failing, name=name)


def same(x: Any) -> Any:
    return x


async def test_every_kind_of_call_falls_back(spans: Any, provider: Any) -> None:
    """All calls are meant; a trace shows who was called, in which order, and who answered."""
    block = fails(ValueError()).with_fallbacks([fails(KeyError(), "too"), same, same])
    config: Any = {"callbacks": [OTelCallbackHandler(tracer_provider=provider)]}
    assert block.invoke(1, config) == 1
    assert await block.ainvoke(2, config) == 2
    assert list(block.stream(3, config)) == [3]
    assert [chunk async for chunk in block.astream(4, config)] == [4]
    assert block.batch([5, 6], config) == [5, 6]
    assert await block.abatch([7, 8], config) == [7, 8]
    assert list(block.transform(iter([9]), config)) == [9]
    roots = [span for span in spans.ended if span.parent is None]
    assert len(roots) == 9
    for root in roots:
        told = [
            [one.attributes[f"callspan.run.{key}"] for key in ("name", "fallback", "outcome")]
            for one in spans.started
            if one.parent and one.parent.span_id == root.context.span_id
        ]
        assert told == [["fails", 0, "error"], ["too", 1, "error"], ["same", 2, "ok"]]
        assert root.attributes["callspan.run.outcome"] == "ok"
        assert "callspan.run.fallback" not in root.attributes


async def test_the_first_error_is_raised_when_all_fail() -> None:
    """It says what is wrong with the block that was to be used."""
    first = ValueError("first")
    block = fails(first).with_fallbacks([fails(KeyError("second"))])
    with pytest.raises(ValueError, match="first") as caught:
        block.invoke(1)
    assert caught.value is first
    with pytest.raises(ValueError, match="first"):
        await block.ainvoke(1)
    with pytest.raises(ValueError, match="first"):
        list(block.stream(1))
    with pytest.raises(ValueError, match="first"):
        block.batch([1, 2])
    assert await block.abatch([1, 2], return_exceptions=True) == [first, first]
    with pytest.raises(ValueError, match="first"):
        fails(first).with_fallbacks([]).invoke(1)


def test_other_exceptions_are_raised_at_once() -> None:
    """A mistake in the program is not for a cheaper model to answer."""
    called: list[int] = []
    for error in (KeyError("other"), KeyboardInterrupt("other")):
        block = fails(error).with_fallbacks([called.append], exceptions_to_handle=(ValueError,))
        with pytest.raises(type(error), match="other"):
            block.invoke(1)
        with pytest.raises(type(error), match="other"):
            next(block.stream(1))
    assert called == []


async def test_a_fallback_finds_the_error_before_it_in_its_input() -> None:
    """A model that is told what was wrong can do better; the caller's dict stays as it was."""
    first, second = ValueError("first"), KeyError("second")
    block = fails(first).with_fallbacks([fails(second), same], exception_key="error")
    given = {"a": 1}
    assert block.invoke(given) == {"a": 1, "error": second}
    assert await block.ainvoke(given) == {"a": 1, "error": second}
    assert list(block.stream(given)) == [{"a": 1, "error": second}]
    assert block.batch([given]) == [{"a": 1, "error": second}]
    assert given == {"a": 1}
    with pytest.raises(InputError, match="exception_key='error' adds to the input, which has to"):
        block.invoke(1)


async def test_a_stream_falls_back_before_its_first_chunk_alone() -> None:
    """The consumer has seen the beginning of one answer: the end of another does not fit."""

    def breaks(x: str) -> Iterator[str]:
        yield x
        raise ConnectionError("in the middle")

    block = fails(ValueError()).with_fallbacks([RunnableLambda(breaks), same])
    stream, astream = block.stream("a"), block.astream("a")
    assert (next(stream), await anext(astream)) == ("a", "a")
    with pytest.raises(ConnectionError, match="in the middle"):
        next(stream)
    with pytest.raises(ConnectionError, match="in the middle"):
        await anext(astream)


async def test_an_abandoned_stream_is_closed(handler: Any) -> None:
    """The source is closed with its consumer, and every run ends."""
    closed: list[str] = []

    def words(x: str) -> Iterator[str]:
        try:
            yield from (x, x)
        finally:
            closed.append(x)

    block = RunnableLambda(words).with_fallbacks([same])
    stream = block.stream("sync", {"callbacks": [handler]})
    next(stream)
    stream.close()
    astream = block.astream("async", {"callbacks": [handler]})
    await anext(astream)
    await astream.aclose()
    assert closed == ["sync", "async"]
    assert handler.events.methods == (["on_chain_start"] * 2 + ["on_chain_error"] * 2) * 2


@pytest.mark.parametrize(
    ("fallbacks", "options", "message"),
    [
        (same, {}, "with_fallbacks takes a list of blocks, not <function"),
        ([3], {}, "made of runnables, functions and dicts of them, not int"),
        ([], {"exceptions_to_handle": ValueError}, "exceptions_to_handle takes a tuple of exc"),
        ([], {"exceptions_to_handle": ("ValueError",)}, "exceptions_to_handle takes a tuple of"),
        ([], {"exception_key": 3}, "exception_key takes a string, not 3"),
    ],
)
def test_wrong_options_are_named(fallbacks: Any, options: Any, message: str) -> None:
    """When the block is made, not when the first failure comes in production."""
    with pytest.raises(ConfigurationError, match=message):
        RunnableLambda(same).with_fallbacks(fallbacks, **options)
