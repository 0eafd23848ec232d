"""Generators are activated step by step: the body is in its run, and its consumer is not."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import attach, detach, get_current
from opentelemetry.trace import Tracer

from callspan import InputError
from callspan.callbacks import CallbackManager, CallbackManagerForChainRun
from support import SpanLog, current


@pytest.fixture
def run(spans: SpanLog) -> Iterator[CallbackManagerForChainRun]:
    run = CallbackManager.configure().on_chain_start({}, {}, name="run")
    yield run
    run.on_chain_end({})
    assert spans.open == []


@pytest.mark.parametrize("wrong", [[1], len, 5])
def test_what_cannot_be_stepped(run: CallbackManagerForChainRun, wrong: Any) -> None:
    """A generator function that was not called is the likely mistake."""
    with pytest.raises(InputError, match="call a generator function"):
        run.step(wrong)
    with pytest.raises(InputError, match="go by step or astep"):
        run.astep(wrong)


def names() -> Iterator[str]:
    """What is current in each step."""
    for _ in range(3):
        yield current()


def test_each_step_is_in_the_run(run: CallbackManagerForChainRun) -> None:
    """What the body calls belongs to the run; what the consumer does between chunks does not."""
    before = get_current()
    for seen in run.step(names()):
        assert seen == "run"
        assert get_current() is before


def test_the_consumers_context_is_its_own(
    run: CallbackManagerForChainRun, tracer: Tracer, spans: SpanLog
) -> None:
    """Spans that the consumer has around a chunk are no parents of what the body does."""
    steps = run.step(body for body in names())
    for _ in range(3):
        with tracer.start_as_current_span("consumer") as span:
            assert next(steps) == "run"
            assert trace.get_current_span() is span
    assert {span.parent for span in spans.ended} == {None}


def test_a_users_span_across_yields(
    run: CallbackManagerForChainRun, tracer: Tracer, spans: SpanLog
) -> None:
    """A `with span` around a yield is current again in the next step, and only in the body."""

    def body() -> Iterator[str]:
        yield current()
        with tracer.start_as_current_span("user"):
            yield current()
            with tracer.start_as_current_span("inner"):
                yield current()
            yield current()
        yield current()

    before = get_current()
    seen = []
    for chunk in run.step(body()):
        assert get_current() is before
        seen.append(chunk)
    assert seen == ["run", "user", "inner", "user", "run"]
    assert spans.tree() == ["run", "  user", "    inner"]


def test_interleaved_streams(tracer: Tracer, spans: SpanLog) -> None:
    """Two streams pulled in turn, each with a span open: neither sees the other's."""

    def body(name: str) -> Iterator[str]:
        with tracer.start_as_current_span(name):
            for _ in range(3):
                yield current()

    runs = [CallbackManager.configure().on_chain_start({}, {}, name=f"run {n}") for n in "ab"]
    steps = [run.step(body(name)) for run, name in zip(runs, "ab", strict=True)]
    for _ in range(3):
        assert [next(step) for step in steps] == ["a", "b"]
    assert [list(step) for step in reversed(steps)] == [[], []]
    assert spans.parent_of("a") == "run a"
    assert spans.parent_of("b") == "run b"


def test_what_the_body_attaches_for_good(run: CallbackManagerForChainRun) -> None:
    """A body that attaches and never detaches cannot spoil the consumer's Context."""

    def body() -> Iterator[Any]:
        attach(baggage.set_baggage("k", "v"))
        yield baggage.get_baggage("k")
        yield baggage.get_baggage("k")

    before = get_current()
    for seen in run.step(body()):
        assert seen == "v"
        assert get_current() is before


def test_send_throw_and_return(run: CallbackManagerForChainRun) -> None:
    """The generator behaves as it would without the run, in both directions."""

    def body() -> Generator[Any, Any, str]:
        got = yield "first"
        try:
            yield got
        except KeyError as error:
            got = yield ("caught", error, current())
        return f"returned {got}"

    def outer() -> Generator[Any, Any, Any]:
        return (yield from run.step(body()))

    steps = outer()
    error = KeyError("k")
    assert next(steps) == "first"
    assert steps.send("sent") == "sent"
    assert steps.throw(error) == ("caught", error, "run")
    with pytest.raises(StopIteration) as stop:
        steps.send("last")
    assert stop.value.value == "returned last"


def test_errors_come_through(run: CallbackManagerForChainRun) -> None:
    """What the body raises, and what it does not catch, comes out as it is."""

    def raises() -> Iterator[int]:
        yield 1
        raise KeyError("k")

    steps = run.step(raises())
    assert next(steps) == 1
    with pytest.raises(KeyError, match="k"):
        next(steps)
    with pytest.raises(StopIteration):
        next(steps)
    steps = run.step(names())
    next(steps)
    with pytest.raises(ZeroDivisionError):
        steps.throw(ZeroDivisionError())  # type: ignore[attr-defined]


def test_steps_in_different_contexts(run: CallbackManagerForChainRun) -> None:
    """A stream that is handed on is pulled wherever its consumer is."""
    steps = run.step(names())
    assert next(steps) == "run"
    token = attach(baggage.set_baggage("k", "v"))
    assert next(steps) == "run"
    detach(token)
