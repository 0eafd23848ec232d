"""Threads that carry the context, once `instrument_threads` was called."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest
from opentelemetry.trace import Tracer

from callspan import (
    ContextThreadPoolExecutor,
    instrument_threads,
    traced,
    uninstrument_threads,
    use_config,
)
from support import SpanLog

PLACES = [(threading.Thread, "start"), (threading.Timer, "start"), (ThreadPoolExecutor, "submit")]
LABEL: ContextVar[Any] = ContextVar("LABEL", default=None)


def methods() -> list[Any]:
    return [vars(cls).get(name) for cls, name in PLACES]


@pytest.fixture
def instrumented() -> Iterator[None]:
    """Instrumented threads, for one test."""
    instrument_threads()
    yield
    uninstrument_threads()


@traced
def inner() -> None:
    """Do nothing, as a run."""


class Subclass(threading.Thread):
    """A thread whose work is its `run`, as the standard library's documentation shows."""

    def run(self) -> None:
        inner()


def in_subclass() -> None:
    thread = Subclass()
    thread.start()
    thread.join()


def in_thread(target: Callable[[], None] = inner) -> None:
    thread = threading.Thread(target=target)
    thread.start()
    thread.join()


def in_timer() -> None:
    timer = threading.Timer(0, inner)
    timer.start()
    timer.join()


def in_pool(kind: type[ThreadPoolExecutor] = ThreadPoolExecutor) -> None:
    with kind(1) as pool:
        pool.submit(inner).result()


def in_map() -> None:
    with ThreadPoolExecutor(1) as pool:
        list(pool.map(lambda _: inner(), [1]))


def in_context_pool() -> None:
    in_pool(ContextThreadPoolExecutor)


def in_executor_of_a_loop() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().run_in_executor(None, inner)

    asyncio.run(main())


def in_thread_of_a_thread() -> None:
    in_thread(in_thread)


WAYS = [
    in_thread,
    in_subclass,
    in_timer,
    in_pool,
    in_map,
    in_context_pool,
    in_executor_of_a_loop,
    in_thread_of_a_thread,
]


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize("way", WAYS)
def test_runs_in_threads_are_children(
    way: Callable[[], None], spans: SpanLog, handler: Any
) -> None:
    """Work that is handed to a thread belongs to the run that handed it over."""
    with use_config(callbacks=[handler]):
        traced(way, name="outer")()
    assert spans.tree() == ["outer", "  inner"]
    assert handler.events.methods.count("on_chain_start") == 2


def test_it_is_opt_in(spans: SpanLog) -> None:
    """Nothing of the program is replaced unless it asks for that."""
    traced(in_thread, name="outer")()
    assert spans.tree() == ["outer", "inner"]


def test_twice_and_back() -> None:
    """Libraries may each switch it on; whoever switches it off finds what was there before."""
    before = methods()
    instrument_threads()
    once = methods()
    instrument_threads()
    assert methods() == once
    assert once != before
    uninstrument_threads()
    assert methods() == before
    uninstrument_threads()
    assert methods() == before


@pytest.mark.usefixtures("instrumented")
def test_a_worker_has_the_context_of_each_call_and_none_between() -> None:
    """A pool outlives the request that used it first, whose handlers later ones must not hear."""
    at_start: list[Any] = []
    with ThreadPoolExecutor(1, initializer=lambda: at_start.append(LABEL.get())) as pool:
        LABEL.set("first")
        assert pool.submit(LABEL.get).result() == "first"
        LABEL.set("second")
        assert pool.submit(LABEL.get).result() == "second"
        pool.submit(LABEL.set, "changed by a call").result()
        assert LABEL.get() == "second"
        assert pool.submit(LABEL.get).result() == "second"
    assert at_start == [None]
    LABEL.set(None)


class Kept:
    """Something that a context can hold on to."""


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_kept_once_the_thread_is_done(
    fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program may keep its threads and pools: not so what was around when they began."""

    def fail() -> None:
        raise LookupError

    monkeypatch.setattr(threading, "excepthook", lambda _args: None)
    gc.disable()
    try:
        kept = Kept()
        known = weakref.ref(kept)
        token = LABEL.set(kept)
        thread = threading.Thread(target=fail if fails else None)
        thread.start()
        thread.join()
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(fail if fails else int)
            LABEL.reset(token)
            del kept, token
            pool.submit(int).result()  # by now the worker has let go of the first call
            if fails:  # the frames of a traceback hold what was theirs
                assert future.exception() is not None
                future.exception().with_traceback(None)  # type: ignore[union-attr]
            assert known() is None
    finally:
        gc.enable()
    assert "run" not in vars(thread)


@pytest.mark.usefixtures("instrumented")
def test_errors_are_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs look at the exception and its thread in `excepthook`, and at a future's."""
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args[1:4:2]))
    error = LookupError("mine")

    def fail() -> None:
        raise error

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert told == [(error, thread)]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(fail).exception() is error
        with pytest.raises(TypeError, match="'int' object is not callable"):
            pool.submit(5).result()  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(fail)


@pytest.mark.usefixtures("instrumented")
def test_threads_that_cannot_start() -> None:
    """What threading says of a mistake is what the program has to see, and no trace is left."""

    class Forgetful(threading.Thread):
        def __init__(self) -> None:
            """Forget to call the base class's."""

    forgetful, done = Forgetful(), threading.Thread()
    done.start()
    done.join()
    for thread, message in [(forgetful, "not called"), (done, "only be started once")]:
        with pytest.raises(RuntimeError, match=message):
            thread.start()
        assert "run" not in vars(thread)


@pytest.mark.usefixtures("instrumented")
def test_a_run_of_the_thread_s_own_is_put_back() -> None:
    """Mocks replace `run` on the object; afterwards they have to be found there again."""
    thread, found = threading.Thread(), []

    def run() -> None:
        found.append(LABEL.get())

    thread.run = run  # type: ignore[method-assign]
    LABEL.set("here")
    thread.start()
    thread.join()
    LABEL.set(None)
    assert found == ["here"]
    assert thread.run is run


def test_a_later_patch_of_somebody_else_s_stays(spans: SpanLog) -> None:
    """Putting the method back would undo theirs as well: ours has to stay, and do nothing."""
    before, heard = threading.Thread.start, []
    instrument_threads()
    ours = threading.Thread.start

    def theirs(thread: threading.Thread) -> None:
        heard.append(thread)
        ours(thread)

    threading.Thread.start = theirs  # type: ignore[method-assign]
    try:
        uninstrument_threads()
        assert threading.Thread.start is theirs
        traced(in_thread, name="without")()
        instrument_threads()
        traced(in_thread, name="with")()
        uninstrument_threads()
        assert threading.Thread.start is theirs
    finally:
        threading.Thread.start = before  # type: ignore[method-assign]
    assert len(heard) == 2
    assert spans.tree() == ["without", "inner", "with", "  inner"]


class TestBesideOpenTelemetrys:
    """opentelemetry-instrumentation-threading patches the same methods, with the same purpose.

    It is not among the packages for development, whose OpenTelemetry it would hold back.
    """

    @pytest.fixture
    def theirs(self) -> Iterator[Any]:
        threading_ = pytest.importorskip("opentelemetry.instrumentation.threading")
        before = methods()
        theirs = threading_.ThreadingInstrumentor()
        yield theirs
        for (cls, name), method in zip(PLACES, before, strict=True):
            if method is not None:
                setattr(cls, name, method)
            elif name in vars(cls):
                delattr(cls, name)

    @pytest.mark.parametrize("first", ["ours", "theirs"])
    @pytest.mark.parametrize("way", WAYS)
    def test_both(
        self, theirs: Any, first: str, way: Callable[[], None], spans: SpanLog, tracer: Tracer
    ) -> None:
        """Platforms instrument what they can: neither may undo what the other does."""
        if first == "ours":
            instrument_threads()
        theirs.instrument()
        instrument_threads()
        found = traced(lambda: way(), name="outer")
        with tracer.start_as_current_span("server"):
            found()
        assert spans.tree() == ["server", "  outer", "    inner"]
        if first == "ours":
            theirs.uninstrument()
            uninstrument_threads()
        else:
            uninstrument_threads()
            theirs.uninstrument()
        spans.clear()
        found()
        carried = way is in_context_pool
        assert spans.tree() == ["outer", "  inner" if carried else "inner"]
        instrument_threads()
        spans.clear()
        found()
        uninstrument_threads()
        assert spans.tree() == ["outer", "  inner"]
