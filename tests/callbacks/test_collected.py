"""Runs that the garbage collector ends: they do end, but never inside somebody's lock."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from callspan import OTelCallbackHandler, traced, use_config
from callspan.callbacks import BaseCallbackHandler, CallbackManager
from callspan.callbacks.collector import send_waiting, waiting
from support import SpanLog, label, recording


@traced
def numbers() -> Iterator[int]:
    yield 1
    yield 2


def abandon(chunks: int = 1) -> None:
    """Leave a stream that has begun to the collector, which has to find it in a cycle."""
    stream = numbers()
    circle: list[Any] = [stream]
    circle.append(circle)
    for _ in range(chunks):
        next(stream)


@pytest.fixture(autouse=True)
def _collects_when_told() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    assert not waiting


def test_the_end_waits_for_the_next_event(spans: SpanLog, handler: Any) -> None:
    """Nothing is sent from inside the collector, and nothing is lost."""
    with use_config(callbacks=[handler]):
        abandon()
    gc.collect()
    assert spans.open == ["numbers"]
    assert handler.events.methods == ["on_chain_start"]
    run = CallbackManager.configure().on_chain_start({}, {}, name="next")
    assert handler.events.methods == ["on_chain_start", "on_chain_error"]
    assert isinstance(handler.events[-1][1][0], GeneratorExit)
    assert spans.outcomes() == {"numbers": "abandoned"}
    abandon()
    abandon()
    gc.collect()
    assert len(spans.ended) == 1
    run.on_chain_end({})
    assert [label(span) for span in spans.ended][1:] == ["numbers", "numbers", "next"]


@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_after_any_number_of_chunks(chunks: int, spans: SpanLog) -> None:
    """A stream that never began is no run; any other ends as abandoned."""
    abandon(chunks)
    gc.collect()
    send_waiting()
    assert spans.outcomes() == ({"numbers": "abandoned"} if chunks else {})
    assert spans.open == []


class Locked(SpanProcessor):
    """An exporter's queue, whose lock is held while the collector may run."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.ended: list[str] = []

    def on_end(self, span: ReadableSpan) -> None:
        assert self.lock.acquire(blocking=False), "deadlock"
        self.ended.append(span.name)
        self.lock.release()


def test_collected_inside_an_exporters_lock() -> None:
    """Python collects at any allocation: an end sent there and then would wait for ever."""
    provider, queue = TracerProvider(), Locked()
    provider.add_span_processor(queue)
    with use_config(callbacks=[OTelCallbackHandler(tracer_provider=provider)]):
        abandon()
    with queue.lock:
        gc.collect()
    assert queue.ended == []
    send_waiting()
    assert len(queue.ended) == 1


def test_collected_in_another_thread(spans: SpanLog) -> None:
    """The thread that collects puts the end off; any thread may send it."""
    abandon()
    thread = threading.Thread(target=gc.collect)
    thread.start()
    thread.join()
    assert spans.open == ["numbers"]
    send_waiting()
    assert spans.open == []


def test_other_threads_go_on_while_one_collects(spans: SpanLog) -> None:
    """Only what the collector itself causes waits: other threads' ends are sent at once."""
    collecting, ended = threading.Event(), threading.Event()
    outcomes: list[Any] = []

    class Slow:
        def __del__(self) -> None:
            collecting.set()
            ended.wait(30)

    def elsewhere() -> None:
        collecting.wait(30)
        CallbackManager.configure().on_chain_start({}, {}, name="other").on_chain_end({})
        outcomes.append(spans.outcomes())
        ended.set()

    slow = Slow()
    slow.itself = slow  # type: ignore[attr-defined]
    thread = threading.Thread(target=elsewhere)
    thread.start()
    del slow
    gc.collect()
    thread.join()
    assert outcomes == [{"other": "ok"}]


def test_dropped_without_a_cycle(spans: SpanLog) -> None:
    """A stream that goes out of scope is closed there and then, by no collector: so is its run."""
    stream = numbers()
    next(stream)
    del stream
    assert spans.outcomes() == {"numbers": "abandoned"}


def test_a_handler_that_raises_at_a_late_end(spans: SpanLog, caplog: Any) -> None:
    """The code that meets the late end has nothing to do with it, and must not see the error."""

    class Fails(BaseCallbackHandler):
        raise_error = True

        def on_chain_error(self, *args: Any, **kwargs: Any) -> None:
            raise ValueError("late")

    handler = recording()
    with use_config(callbacks=[Fails(), handler]):
        abandon()
        abandon()
    gc.collect()
    with caplog.at_level(logging.WARNING, "callspan"):
        CallbackManager.configure().on_chain_start({}, {}).on_chain_end({})
    assert handler.events.methods.count("on_chain_error") == 2
    assert "ValueError('late')" in caplog.text
    assert list(spans.outcomes().values()) == ["abandoned", "ok"]
