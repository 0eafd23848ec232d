"""A run is current in its body's frame, and nowhere else."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import Tracer

from callspan import OTelCallbackHandler, use_config
from callspan.callbacks import (
    AsyncCallbackManager,
    CallbackManager,
    CallbackManagerForChainRun,
)
from support import SpanLog


def start(name: str = "run", *handlers: Any) -> CallbackManagerForChainRun:
    return CallbackManager.configure(list(handlers)).on_chain_start({}, {}, name=name)


def test_the_span_is_current_in_the_block(spans: SpanLog, tracer: Tracer) -> None:
    """The body's own spans are the run's children; after the block the caller's span is back."""
    with tracer.start_as_current_span("caller") as caller:
        run = start()
        assert trace.get_current_span() is caller
        with run.activate() as given:
            assert given is run
            assert trace.get_current_span() is spans.named("run")
            with tracer.start_as_current_span("body"):
                pass
        assert trace.get_current_span() is caller
        run.on_chain_end({})
        assert trace.get_current_span() is caller
    assert spans.tree() == ["caller", "  run", "    body"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, asyncio.CancelledError])
def test_an_exception_leaves_the_block(error: type[BaseException], spans: SpanLog) -> None:
    """The Context is restored whatever happens, and the run stays open for its own end."""
    run, before = start(), get_current()
    with pytest.raises(error), run.activate():
        raise error
    assert get_current() is before
    assert spans.open == ["run"]


def test_entered_twice(spans: SpanLog) -> None:
    """A body in several parts, and a part inside another, are all inside the run."""
    run = start()
    block = run.activate()
    for _ in range(2):
        with block, block, run.activate():
            assert trace.get_current_span() is spans.named("run")


def test_what_is_current_when_the_block_is_entered_stays(spans: SpanLog, tracer: Tracer) -> None:
    """The block adds the run to the Context; baggage set since the start is not lost."""
    run = start()
    token = attach(baggage.set_baggage("k", "v"))
    with tracer.start_as_current_span("between") as between:
        with run.activate():
            assert baggage.get_baggage("k") == "v"
            assert trace.get_current_span() is spans.named("run")
        assert trace.get_current_span() is between
    detach(token)


def test_in_another_thread(spans: SpanLog) -> None:
    """A handle that is given to a plain thread makes the run current there, and only there."""
    run = start()
    seen: list[Any] = []

    def body() -> None:
        with run.activate():
            seen.append(trace.get_current_span())
            start("child").on_chain_end({})
        seen.append(trace.get_current_span())

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [spans.named("run"), trace.INVALID_SPAN]
    assert spans.tree() == ["run", "  child"]


async def test_concurrent_tasks(spans: SpanLog, tracer: Tracer) -> None:
    """Blocks of several tasks are open at once and end in any order, each in its own Context."""
    entered = [asyncio.Event() for _ in range(4)]

    async def body(number: int) -> None:
        run = await AsyncCallbackManager.configure().on_chain_start({}, {}, name=f"run {number}")
        with run.activate():
            entered[number].set()
            await entered[(number + 1) % 4].wait()
            with tracer.start_as_current_span(f"body {number}"):
                await asyncio.sleep(0)
        await run.on_chain_end({})
        assert trace.get_current_span() is trace.INVALID_SPAN

    await asyncio.gather(*map(body, range(4)))
    for number in range(4):
        assert spans.parent_of(f"body {number}") == f"run {number}"
        assert spans.parent_of(f"run {number}") is None


def test_after_the_end(spans: SpanLog) -> None:
    """A block that is entered late has the span as parent still, and ends nothing again."""
    run = start()
    run.on_chain_end({})
    with run.activate():
        start("late").on_chain_end({})
    assert spans.tree() == ["run", "  late"]


def test_a_late_child_of_a_run_that_was_never_active(spans: SpanLog, tracer: Tracer) -> None:
    """The parent's span is known for a while after its end: the child must not be an orphan."""
    with tracer.start_as_current_span("caller"):
        run = start()
        child = run.get_child()
        run.on_chain_end({})
        child.on_chain_start({}, {}, name="late").on_chain_end({})
    assert spans.tree() == ["caller", "  run", "    late"]


class Setting:
    """A handler that puts something of its own into the run's Context."""

    def __init__(self, key: str, value: Any = "set") -> None:
        self.key, self.value = key, value
        self.saw: list[Any] = []

    def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        pass

    def run_context(self, run_id: Any, context: Context) -> Context:
        if isinstance(self.value, BaseException):
            raise self.value
        self.saw.append(context.get("key"))
        return baggage.set_baggage(self.key, self.value, context)


def test_any_handler_can_add_to_the_context(spans: SpanLog) -> None:
    """The seam that tracing uses is open: the first handler has the last word."""
    run = start("run", Setting("k", "first"), Setting("k", "second"), Setting("l"))
    with run.activate():
        assert baggage.get_all() == {"k": "first", "l": "set"}
        child = start("child")
        with child.activate():
            assert trace.get_current_span() is spans.named("child")
    assert baggage.get_all() == {}


def test_a_handler_that_cannot(caplog: Any, spans: SpanLog) -> None:
    """A handler that fails here is logged, and the others still have their Context."""
    run = start("run", Setting("k", ValueError("no")), Setting("l"))
    with run.activate():
        assert baggage.get_all() == {"l": "set"}
        assert trace.get_current_span() is spans.named("run")
    assert "Error in Setting.run_context: ValueError('no')" in caplog.messages


def test_without_an_sdk() -> None:
    """No span and no handler: the block still carries the run, and the span around it."""
    outside = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True))
    token = attach(trace.set_span_in_context(outside))
    run = start("run", OTelCallbackHandler())
    with run.activate(), use_config(tags=["t"]):
        assert trace.get_current_span() is outside
        assert CallbackManager.configure().parent_run_id == run.run_id
    detach(token)
