"""with_retry: attempts, what tells of them, and when there are no more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tenacity import RetryCallState

from callspan.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from callspan.errors import ConfigurationError
from callspan.runnables import Runnable, RunnableLambda
from callspan.tracing import OTelCallbackHandler
from support import recording

AT_ONCE: Any = {"wait_exponential_jitter": False}


class Shaky:
    """A function that fails as often as it is told to before it works, for each input."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = failures
        self.calls: dict[Any, int] = {}

    def __call__(self, x: Any) -> Any:
        number = self.calls[x] = self.calls.get(x, 0) + 1
        if number <= len(self.failures):
            raise self.failures[number - 1]
        return x


def shaky(*failures: BaseException) -> RunnableLambda[Any, Any]:
    return RunnableLambda(Shaky(*failures), name="shaky")


async def every_call(block: Runnable[Any, Any], config: Any) -> list[Any]:
    """The output of each kind of call, for an input of its own."""
    return [
        block.invoke(1, config),
        await block.ainvoke(2, config),
        *block.stream(3, config),
        *[chunk async for chunk in block.astream(4, config)],
        *block.batch([5], config),
        *await block.abatch([6], config),
        *block.transform(iter([7]), config),
    ]


async def test_every_kind_of_call_is_tried_again(spans: Any, provider: Any) -> None:
    """Who adds with_retry() means all calls; each attempt is to be seen with its number."""
    block = shaky(ValueError("one"), KeyError("two")).with_retry(**AT_ONCE)
    handler = OTelCallbackHandler(tracer_provider=provider)
    assert await every_call(block, {"callbacks": [handler]}) == [1, 2, 3, 4, 5, 6, 7]
    roots = [span for span in spans.ended if span.parent is None]
    assert len(roots) == 7
    for root in roots:
        children = [
            one
            for one in spans.started
            if one.parent and one.parent.span_id == root.context.span_id
        ]
        told = [
            (s.attributes["callspan.run.attempt"], s.attributes["callspan.run.outcome"])
            for s in children
        ]
        assert told == [(1, "error"), (2, "error"), (3, "ok")]
        assert root.attributes["callspan.run.outcome"] == "ok"
        assert "callspan.run.attempt" not in root.attributes
        events = [(one.name, dict(one.attributes)) for one in root.events]
        assert events == [
            ("retry", {"callspan.run.attempt": 1, "error.type": "ValueError"}),
            ("retry", {"callspan.run.attempt": 2, "error.type": "KeyError"}),
        ]


async def test_the_last_failure_is_raised(spans: Any, provider: Any) -> None:
    """The program handles the error itself, not one about retries."""
    last = OSError("last")
    block = shaky(ValueError(), KeyError(), last).with_retry(**AT_ONCE)
    config: Any = {"callbacks": [OTelCallbackHandler(tracer_provider=provider)]}
    with pytest.raises(OSError, match="last") as caught:
        block.invoke(1, config)
    assert caught.value is last
    with pytest.raises(OSError, match="last"):
        await block.ainvoke(2, config)
    with pytest.raises(OSError, match="last"):
        list(block.stream(3, config))
    assert block.batch([4], config, return_exceptions=True) == [last]
    roots = [span for span in spans.ended if span.parent is None]
    assert [one.attributes["callspan.run.outcome"] for one in roots] == ["error"] * 4
    assert [[e.name for e in one.events if e.name == "retry"] for one in roots] == [
        ["retry"] * 2
    ] * 4


@pytest.mark.parametrize("which", [(TimeoutError,), lambda error: isinstance(error, TimeoutError)])
async def test_other_exceptions_are_raised_at_once(which: Any) -> None:
    """A wrong argument does not get better by trying it again."""
    wrong = Shaky(TimeoutError(), ValueError("wrong"))
    block = RunnableLambda(wrong).with_retry(retry_if_exception_type=which, **AT_ONCE)
    with pytest.raises(ValueError, match="wrong"):
        block.invoke(1)
    with pytest.raises(ValueError, match="wrong"):
        await block.ainvoke(2)
    assert wrong.calls == {1: 2, 2: 2}


async def test_a_cancellation_is_no_failure() -> None:
    """A task that is cancelled ends, even under a rule that would try everything again."""
    attempts: list[int] = []

    async def cancelled(x: int) -> None:
        attempts.append(x)
        raise asyncio.CancelledError

    block = RunnableLambda(cancelled).with_retry(retry_if_exception_type=lambda _: True, **AT_ONCE)
    with pytest.raises(asyncio.CancelledError):
        await block.ainvoke(1)
    assert attempts == [1]


async def test_a_stream_is_not_tried_again_after_its_first_chunk() -> None:
    """The consumer has seen the beginning: it would come twice."""
    begun: list[str] = []

    def breaks(x: str) -> Iterator[str]:
        begun.append(x)
        if len(begun) % 2:
            raise ConnectionError("before the first chunk")
        yield x
        raise ConnectionError("in the middle")

    block = RunnableLambda(breaks).with_retry(**AT_ONCE)
    stream, astream = block.stream("sync"), block.astream("async")
    assert (next(stream), await anext(astream)) == ("sync", "async")
    with pytest.raises(ConnectionError, match="in the middle"):
        next(stream)
    with pytest.raises(ConnectionError, match="in the middle"):
        await anext(astream)
    assert begun == ["sync", "sync", "async", "async"]


async def test_an_abandoned_stream_is_closed(handler: Any) -> None:
    """The source is closed with its consumer, and every run ends."""
    closed: list[str] = []

    def words(x: str) -> Iterator[str]:
        try:
            yield from (x, x)
        finally:
            closed.append(x)

    block = RunnableLambda(words).with_retry(**AT_ONCE)
    stream = block.stream("sync", {"callbacks": [handler]})
    next(stream)
    stream.close()
    astream = block.astream("async", {"callbacks": [handler]})
    await anext(astream)
    await astream.aclose()
    assert closed == ["sync", "async"]
    assert handler.events.methods == (["on_chain_start"] * 2 + ["on_chain_error"] * 2) * 2


def test_a_stream_of_nothing_is_a_success() -> None:
    """No chunk is what the block had to say."""
    begun: list[int] = []

    def nothing(x: int) -> Iterator[int]:
        begun.append(x)
        yield from ()

    assert list(RunnableLambda(nothing).with_retry(**AT_ONCE).stream(1)) == []
    assert begun == [1]


def test_a_batch_tries_again_what_failed_alone() -> None:
    """What has an answer is not paid for twice."""
    shaken = Shaky(ValueError())
    shaken.calls = {"good": 1}
    assert RunnableLambda(shaken).with_retry(**AT_ONCE).batch(["good", "bad"]) == ["good", "bad"]
    assert shaken.calls == {"good": 2, "bad": 2}


@pytest.mark.parametrize("is_async", [False, True])
async def test_handlers_hear_of_each_retry(is_async: bool) -> None:
    """Between the attempts, of the run that goes on: whoever shows progress needs to know."""
    base: Any = AsyncCallbackHandler if is_async else BaseCallbackHandler
    handler = recording(base, is_async=is_async, run_inline=True)
    block = shaky(ValueError("one")).with_retry(**AT_ONCE)
    block.invoke(1, {"callbacks": [handler]})
    await block.ainvoke(2, {"callbacks": [handler]})
    once = ["on_chain_start", "on_chain_start", "on_chain_error", "on_retry"]
    assert handler.events.methods == [*once, "on_chain_start", "on_chain_end", "on_chain_end"] * 2
    runs = [
        one["run_id"] for one in handler.events.of("on_chain_start") if not one["parent_run_id"]
    ]
    assert [one["run_id"] for one in handler.events.of("on_retry")] == runs


def test_a_retry_tells_what_failed() -> None:
    """Handlers written for langchain_core read tenacity's state."""
    told: list[Any] = []

    class Handler(BaseCallbackHandler):
        def on_retry(self, retry_state: Any, **kwargs: Any) -> None:
            state: RetryCallState = retry_state
            assert state.outcome is not None
            told.append((state.attempt_number, state.outcome.exception(), state.upcoming_sleep))

    one, two = ValueError("one"), KeyError("two")
    shaky(one, two).with_retry(**AT_ONCE).invoke(1, {"callbacks": [Handler()]})
    assert told == [(1, one, 0), (2, two, 0)]


async def test_waits_grow_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that is down is asked ever less often, though not never."""
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    params: Any = {"initial": 1, "exp_base": 3, "max": 5, "jitter": 0}
    block = shaky(*[ValueError()] * 3).with_retry(
        stop_after_attempt=4, exponential_jitter_params=params
    )
    block.invoke(1)
    assert waits == [1, 3, 5]
    waits.clear()
    shaky(ValueError(), ValueError()).with_retry().invoke(1)
    first, second = waits
    assert 1 <= first <= 2 <= second <= 3
    nothing: Any = {"initial": 0, "jitter": 0}
    assert await shaky(ValueError()).with_retry(exponential_jitter_params=nothing).ainvoke(1) == 1


def test_a_fallbacks_attempts_are_the_fallbacks(spans: Any, provider: Any) -> None:
    """A number belongs to the run it was given to, and not to what runs inside."""
    inner = shaky(ValueError("first")).with_fallbacks([RunnableLambda(lambda x: x, name="second")])
    flaky = RunnableLambda(inner.invoke, name="whole").with_retry(**AT_ONCE)
    flaky.invoke(1, {"callbacks": [OTelCallbackHandler(tracer_provider=provider)]})
    numbers = {
        span.attributes["callspan.run.name"]: [
            span.attributes.get(f"callspan.run.{kind}") for kind in ("attempt", "fallback")
        ]
        for span in spans.ended
        if span.parent
    }
    assert numbers == {
        "whole": [1, None],
        "RunnableWithFallbacks": [None, None],
        "shaky": [None, 0],
        "second": [None, 1],
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stop_after_attempt": 0}, "stop_after_attempt takes a positive whole number, not 0"),
        ({"stop_after_attempt": "3"}, "positive whole number, not '3'"),
        ({"stop_after_attempt": None}, "positive whole number, not None"),
        ({"retry_if_exception_type": ValueError}, "takes a tuple of exception classes such as"),
        ({"retry_if_exception_type": (3,)}, "takes a tuple of exception classes such as"),
        ({"exponential_jitter_params": {"inital": 1}}, "initial, max, exp_base, jitter, not"),
        ({"exponential_jitter_params": {"initial": "1"}}, "takes a dict of numbers"),
        ({"exponential_jitter_params": 3}, "takes a dict of numbers"),
    ],
)
def test_wrong_options_are_named(options: Any, message: str) -> None:
    """When the block is made, not when the first failure comes in production."""
    with pytest.raises(ConfigurationError, match=message):
        shaky().with_retry(**options)
