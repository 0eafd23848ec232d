"""Runs that end twice, late or never, and what is left of them in memory."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import StatusCode

from callspan import ConfigurationError, OTelCallbackHandler, traced, use_config
from callspan.callbacks import CallbackManager
from callspan.tracing.ending import end_open_runs
from support import SpanLog, global_provider, logged_provider


def test_ended_twice(spans: SpanLog, caplog: Any) -> None:
    """The first end counts; the second is a bug of the caller's, worth a line in a debug log."""
    run = CallbackManager.configure().on_chain_start({}, {}, name="run")
    run.on_chain_end({})
    with caplog.at_level("DEBUG", "callspan"):
        run.on_chain_error(ValueError())
        run.on_chain_end({})
    assert spans.outcomes() == {"run": "ok"}
    assert "has ended already: on_chain_error is ignored" in caplog.text


def test_never_started(spans: SpanLog) -> None:
    """An event of a run that the handler never saw start has no span to go to."""
    handler = OTelCallbackHandler()
    handler.on_chain_end({}, run_id=UUID(int=1))
    handler.on_text("text", run_id=UUID(int=1))
    assert handler.get_span(UUID(int=1)) is handler.get_span_context(UUID(int=1)) is None
    assert spans.started == []


def test_the_bound(spans: SpanLog) -> None:
    """Runs that nobody ends must not fill the memory: the oldest are closed, and say why."""
    handler = OTelCallbackHandler(max_open_runs=2)
    manager = CallbackManager.configure([handler])
    runs = [manager.on_chain_start({}, {}, name=name) for name in "abcd"]
    assert spans.outcomes() == {"a": "unfinished", "b": "unfinished"}
    assert {span.status.status_code for span in spans.ended} == {StatusCode.ERROR}
    assert spans.ended[0].status.description == "the run never ended"
    for run in runs:
        run.on_text("late")
        run.on_chain_end({})
    assert spans.outcomes() == {"a": "unfinished", "b": "unfinished", "c": "ok", "d": "ok"}
    assert len(spans.ended) == 4


def test_a_child_of_a_run_that_was_given_up(spans: SpanLog) -> None:
    """The place in the tree is known for longer than the run is open."""
    handler = OTelCallbackHandler(max_open_runs=1)
    run = CallbackManager.configure([handler]).on_chain_start({}, {}, name="run")
    with run.activate():
        child = CallbackManager.configure().on_chain_start({}, {}, name="child")
        assert spans.outcomes() == {"run": "unfinished"}
        with child.activate():
            CallbackManager.configure().on_chain_start({}, {}, name="grandchild")
    assert spans.tree() == ["run", "  child", "    grandchild"]


def test_shutdown_ends_what_is_open(spans: SpanLog, other_spans: SpanLog) -> None:
    """What still runs when the program stops is exported too, as unfinished."""
    other = OTelCallbackHandler(tracer_provider=other_spans.provider)
    run = CallbackManager.configure([other]).on_chain_start({}, {}, name="run")
    assert spans.provider is not None
    end_open_runs(spans.provider)
    assert spans.outcomes() == {"run": "unfinished"}
    run.on_chain_end({})
    assert spans.outcomes() == {"run": "unfinished"}
    assert other_spans.outcomes() == {"run": "ok"}


def test_many_threads(spans: SpanLog) -> None:
    """Runs of all threads share one registry: each gets its span, and ends once."""
    manager = CallbackManager.configure()

    def work(run: Any) -> None:
        for _ in range(50):
            run.get_child().on_chain_start({}, {}).on_chain_end({})
        run.on_chain_end({})

    runs = [manager.on_chain_start({}, {}, name=f"run {n}") for n in range(4)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, runs * 2))
    assert spans.open == []
    assert len(spans.ended) == 4 + 4 * 2 * 50


@pytest.mark.parametrize("bound", [0, -1, 1.5, "10", None, True])
def test_wrong_bound(bound: Any) -> None:
    """A bound that cannot be kept is refused where it is given."""
    with pytest.raises(ConfigurationError, match="max_open_runs"):
        OTelCallbackHandler(max_open_runs=bound)


class Payload:
    """Something big that goes in and comes out."""


@traced
def body(payload: Payload, depth: int = 2) -> Payload:
    return body(payload, depth - 1) if depth else payload


@pytest.mark.parametrize("capture", [False, True])
def test_10_000_runs_leave_nothing_behind(capture: bool) -> None:
    """A server runs for months: no run may keep its inputs, outputs, span or exception."""
    provider = TracerProvider()
    payloads: list[weakref.ref[Payload]] = []
    with use_config(
        callbacks=[OTelCallbackHandler(tracer_provider=provider, capture_content=capture)]
    ):
        for _ in range(20):
            payload = Payload()
            payloads.append(weakref.ref(payload))
            body(payload)
        del payload
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(3_333):
            body(Payload())
        gc.collect()
        # The contexts of the last 1,000 runs stay, so that late children find their parent.
        assert len(gc.get_objects()) - before < 5_000
    assert [ref() for ref in payloads] == [None] * 20


async def test_a_chain_of_background_tasks() -> None:
    """A task that is started by the one before it must not hold on to all that came before."""
    spans: list[weakref.ref[trace.Span]] = []
    done = asyncio.Event()

    @traced
    async def step(left: int) -> None:
        spans.append(weakref.ref(trace.get_current_span()))
        if left:
            tasks.append(asyncio.create_task(step(left - 1)))
            await asyncio.sleep(0)
        else:
            gc.collect()
            done.set()

    tasks: deque[asyncio.Task[None]] = deque(maxlen=2)
    with use_config(callbacks=[OTelCallbackHandler(tracer_provider=TracerProvider())]):
        tasks.append(asyncio.create_task(step(100)))
    await done.wait()
    assert [ref() for ref in spans[:-3]] == [None] * 98


def test_a_provider_can_go(spans: SpanLog) -> None:
    """Tests and notebooks make one provider after the other; none may be kept alive."""
    gone = []
    for _ in range(3):
        provider, _log = logged_provider()
        with global_provider(provider):
            body(Payload())
        body(Payload())
        handler = OTelCallbackHandler(tracer_provider=provider)
        with use_config(callbacks=[handler]):
            body(Payload())
        gone.append(weakref.ref(provider))
        provider.shutdown()
        del provider, handler, _log
    body(Payload())
    gc.collect()
    assert [ref() for ref in gone] == [None] * 3
