"""`@traced` with what is wrong, awkward or deep: the program sees what it would without."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from callspan import ConfigurationError, OTelCallbackHandler, traced, use_config
from support import SpanLog, current, without_tracer

KINDS = ["chain", "agent", "tool", "retriever", "llm"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "model"}, "chain, agent, tool, retriever, llm"),
        ({"kind": ["tool"]}, "chain, agent, tool, retriever, llm"),
        ({"name": 5}, "name takes a string, not 5"),
        ({"fn": 1}, "functions and methods"),
        ({"fn": object}, "functions and methods"),
        ({"fn": property(lambda self: 1)}, "functions and methods"),
        ({"fn": classmethod(object)}, "functions and methods"),
    ],
)
def test_wrong_arguments(wrong: dict[str, Any], message: str) -> None:
    """A decorator that is used wrongly says so where it stands, not at the first call."""
    with pytest.raises(ConfigurationError, match=message):
        traced(**wrong)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_wrong_call(is_async: bool, spans: SpanLog, handler: Any) -> None:
    """The caller gets Python's own TypeError, and the run shows it."""

    @traced
    def body(a: int) -> int:
        return a

    @traced
    async def abody(a: int) -> int:
        return a

    with use_config(callbacks=[handler]), pytest.raises(TypeError, match="body"):
        asyncio.run(abody(1, b=2)) if is_async else body(1, b=2)  # type: ignore[call-arg, func-returns-value]
    assert handler.events.methods == ["on_chain_start", "on_chain_error"]
    assert list(spans.outcomes().values()) == ["error"]


class Awkward:
    """Refuses everything that tracing might want of a value."""

    def refuse(self, *args: Any) -> Any:
        raise RuntimeError("refused")

    __eq__ = __repr__ = __str__ = __bool__ = __len__ = __iter__ = refuse  # type: ignore[assignment]
    __deepcopy__ = __copy__ = __reduce__ = __reduce_ex__ = __format__ = refuse  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("kind", KINDS)
def test_awkward_values(kind: Any, spans: SpanLog, handler: Any) -> None:
    """What goes in and out is the very object, whatever it allows to be done with it."""
    awkward = Awkward()

    @traced(kind=kind)
    def body(value: Awkward) -> Awkward:
        assert value is awkward
        return value

    with use_config(callbacks=[handler]):
        assert body(awkward) is awkward
    assert len(handler.events) == 2
    assert spans.outcomes() == {"body": "ok"}


@traced
def function(n: int) -> int:
    return function(n - 1) if n else 0


@traced
async def coroutine(n: int) -> int:
    return await coroutine(n - 1) if n else 0


@traced
def generator(n: int) -> Iterator[int]:
    yield n
    if n:
        yield from generator(n - 1)


@traced
async def agenerator(n: int) -> AsyncIterator[int]:
    yield n
    if n:
        async for chunk in agenerator(n - 1):
            yield chunk


async def consume(stream: AsyncIterator[int]) -> list[int]:
    return [chunk async for chunk in stream]


@pytest.mark.parametrize(
    "call",
    [
        lambda: function(199),
        lambda: asyncio.run(coroutine(199)),
        lambda: list(generator(199)),
        lambda: asyncio.run(consume(agenerator(199))),
    ],
    ids=["function", "coroutine", "generator", "agenerator"],
)
def test_nested_200_deep(call: Any, spans: SpanLog) -> None:
    """A recursive program must not meet Python's limit because it is traced."""
    assert sys.getrecursionlimit() == 1000
    with without_tracer():
        call()
    tree = spans.tree()
    assert len(tree) == 200
    assert [len(line) - len(line.lstrip()) for line in tree] == [2 * n for n in range(200)]
    assert set(spans.outcomes().values()) == {"ok"}


class Callable:
    async def __call__(self, x: int) -> str:
        return f"{current()} {x}"


class CallableStream:
    def __call__(self, x: int) -> Iterator[str]:
        yield f"{current()} {x}"


def test_objects_that_can_be_called(spans: SpanLog) -> None:
    """The run of such an object covers its work, not the making of a coroutine."""
    assert asyncio.run(traced(Callable())(1)) == "Callable 1"
    assert list(traced(CallableStream())(1)) == ["CallableStream 1"]
    assert spans.outcomes() == {"Callable": "ok", "CallableStream": "ok"}


def test_builtins_without_a_signature(handler: Any) -> None:
    """Functions written in C do not always tell the names of their arguments."""
    with use_config(callbacks=[handler]):
        assert traced(min)(2, 1) == 1
    assert handler.events[0][1][1] == {"args": (2, 1)}


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_listens(kind: Any) -> None:
    """Without handlers and SDK the function does what it does."""
    assert traced(lambda x: x, kind=kind)(1) == 1


def test_a_lazy_result_stays_lazy(spans: SpanLog) -> None:
    """Proxies such as Django's SimpleLazyObject do their work when they are asked for a class."""

    class Lazy:
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError("evaluated")

    lazy = Lazy()
    assert traced(lambda: lazy)() is lazy
    assert [dict(span.attributes or {})["callspan.run.outcome"] for span in spans.ended] == ["ok"]


def test_a_models_result_is_not_iterated_over(spans: SpanLog) -> None:
    """A list that fetches its rows when they are asked for is not to fetch them for a trace."""

    class Rows(list[Any]):
        def __iter__(self) -> Any:
            raise RuntimeError("fetched")

    rows = Rows()
    assert traced(kind="llm")(lambda: rows)() is rows
    assert [span.attributes["callspan.run.outcome"] for span in spans.ended] == ["ok"]


@pytest.mark.parametrize("conventions", [("gen_ai",), ("gen_ai", "openinference")])
def test_what_a_retriever_function_finds_is_the_programs_to_consume(
    conventions: Any, spans: SpanLog
) -> None:
    """A cursor or a generator that a trace has read to its end is empty, or never ends."""
    handler = OTelCallbackHandler(capture_content=True, conventions=conventions)
    search = traced(kind="retriever")(lambda query: iter(["a", "b"]))
    with use_config(callbacks=[handler]):
        assert list(search("q")) == ["a", "b"]
    (span,) = spans.ended
    assert "iterator" in span.attributes["output.value"]
