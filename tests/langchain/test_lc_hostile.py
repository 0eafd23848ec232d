"""Programs that make it hard to say what is current: captured Contexts, late tasks, odd threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context as Variables
from contextvars import copy_context
from typing import Any

import pytest
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableLambda
from lc import WAYS, Model, Shelf, look, run, seen
from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

import callspan
from callspan.langchain import OTelCallbackHandler
from callspan.langchain.runs import open_runs
from support import SpanLog, current

v3 = pytest.mark.skipif(not hasattr(Model, "stream_events"), reason="an older LangChain")


@v3
@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_v3_events_of_a_model(config: Any, spans: SpanLog, tracer: Tracer) -> None:
    """They start the run in a helper that returns, and pull the body from a function."""
    with tracer.start_as_current_span("before"):
        stream = Model().stream_events("x", config, version="v3")
        for _ in stream:
            assert current() == "before"
            with tracer.start_as_current_span("between"):
                assert current() == "between"
    assert set(seen) == {"Model"}
    assert spans.parent_of("Model") == "before"
    assert spans.outcomes()["Model"] == "ok"


@v3
@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
async def test_v3_events_of_an_async_model(config: Any, spans: SpanLog, tracer: Tracer) -> None:
    """Their body runs in a task of its own."""
    with tracer.start_as_current_span("before"):
        stream = await Model().astream_events("x", config, version="v3")
        async for _ in stream:
            assert current() == "before"
            with tracer.start_as_current_span("between"):
                assert current() == "between"
    for _ in range(10):  # LangChain's own task reports the end
        await asyncio.sleep(0)
    assert set(seen) == {"Model"}
    assert spans.parent_of("Model") == "before"
    assert spans.outcomes()["Model"] == "ok"


@pytest.mark.parametrize("way", WAYS)
def test_a_context_captured_in_a_body_belongs_to_it(
    way: str, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """Also when its run is long over, and other runs are open."""
    captured: list[Variables] = []

    def late() -> None:
        with tracer.start_as_current_span("late"):
            assert current() == "late"

    run(way, RunnableLambda(lambda x: captured.append(copy_context()), name="l"), 1, config)
    stream = Model(name="other").stream("x", config)
    next(stream)
    captured[0].run(late)
    list(stream)
    assert spans.parent_of("late") == "l"


@pytest.mark.parametrize("streams", [True, False])
async def test_a_background_task_outlives_the_body_it_began_in(
    streams: bool, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """Its spans are part of the run that started it, and nothing else's."""
    gate = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    async def background() -> None:
        await gate.wait()
        with tracer.start_as_current_span("late"):
            await asyncio.sleep(0)
            assert current() == "late"
        await Model().ainvoke("x")

    async def body(x: Any) -> Any:
        tasks.append(asyncio.create_task(background()))
        return x

    runnable = RunnableLambda(body, name="l")
    if streams:
        async for _ in runnable.astream(1, config):
            pass
    else:
        await runnable.ainvoke(1, config)
    gate.set()
    await RunnableLambda(lambda x: look(), name="other").ainvoke(1, config)
    await tasks[0]
    assert spans.parent_of("late") == "l"
    assert spans.parent_of("Model") == "l"
    assert seen[0] == "other"


async def test_a_task_made_between_chunks_is_the_callers(
    config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """The stream is open there, but not running."""

    async def work(name: str) -> None:
        await asyncio.sleep(0)
        with tracer.start_as_current_span(name):
            await asyncio.sleep(0)
        await asyncio.to_thread(look)

    chain = RunnableLambda(lambda x: x, name="first") | Model()
    with tracer.start_as_current_span("before"):
        for number, stream in enumerate([Model().astream("x", config), chain.astream("x", config)]):
            place = 0
            async for _ in stream:
                seen.clear()
                await asyncio.create_task(work(f"task {number}.{place}"))
                assert seen == ["before"]
                place += 1
    for span in spans.ended:
        if span.name.startswith("task"):
            assert spans.parent_of(span.name) == "before"


def test_a_thread_made_between_chunks_is_the_callers(
    config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """As above."""
    with tracer.start_as_current_span("before"):
        for _ in (RunnableLambda(lambda x: x, name="first") | Model()).stream("x", config):
            seen.clear()
            thread = threading.Thread(target=copy_context().run, args=(look,))
            thread.start()
            thread.join()
            assert seen == ["before"]


async def test_after_a_timeout_the_next_call_is_a_sibling(
    config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """The model that timed out is not around it."""

    class Slow(Model):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            await asyncio.Event().wait()

    async def body(x: Any) -> Any:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(Slow().ainvoke("x"), 0.01)
        look()
        with tracer.start_as_current_span("work"):
            await asyncio.gather(Model().ainvoke("x"), asyncio.to_thread(look))
        look()

    await RunnableLambda(body, name="l").ainvoke(1, config)
    assert spans.tree() == ["l", "  Slow", "  work", "    Model"]
    assert spans.outcomes()["Slow"] == "cancelled"
    assert seen == ["l", "Model", "work", "Model", "l"] or sorted(seen) == sorted(
        ["l", "work", "Model", "Model", "l"]
    )


async def test_a_manual_cancellation_in_the_same_task(
    config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """A coroutine that is thrown into by hand leaves no event; its task goes on.

    The next one's frame may get its place in memory, and with that its id.
    """

    class Slow(Model):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            await asyncio.Event().wait()

    coroutine = Slow().ainvoke("x", config)
    coroutine.send(None)
    with pytest.raises(asyncio.CancelledError):
        coroutine.throw(asyncio.CancelledError())
    assert current() == "nothing"
    await Model().ainvoke("x", config)
    assert spans.tree() == ["Slow", "Model"]
    assert spans.outcomes() == {"Slow": "cancelled", "Model": "ok"}


def test_an_event_loop_in_a_body(config: Any, spans: SpanLog, tracer: Tracer) -> None:
    """Sync code that runs async code by itself."""

    async def main() -> None:
        look()
        await Model().ainvoke("x")
        with tracer.start_as_current_span("work"):
            await asyncio.gather(Model(name="other").ainvoke("x"), asyncio.sleep(0))
        look()

    RunnableLambda(lambda x: asyncio.run(main()), name="l").invoke(1, config)
    assert spans.tree() == ["l", "  Model", "  work", "    other"]
    assert seen[0] == seen[-1] == "l"


@pytest.mark.parametrize("way", WAYS)
def test_recursion(way: str, config: Any, spans: SpanLog) -> None:
    """The same object in itself: frames have the same code, and ids that come again."""

    def body(x: int) -> int:
        look()
        assert current() == f"l{x}"
        result = runnable.with_config(run_name=f"l{x - 1}").invoke(x - 1) if x else 0
        assert current() == f"l{x}"
        return result

    runnable = RunnableLambda(body)
    run(way, runnable.with_config(run_name="l5"), 5, config)
    assert spans.tree() == ["  " * depth + f"l{5 - depth}" for depth in range(6)]


@pytest.mark.parametrize("way", WAYS)
def test_batches_in_bodies(way: str, config: Any, spans: SpanLog) -> None:
    """Sync and async ones, and `map`."""
    inner = RunnableLambda(lambda x: look() or x, name="inner") | Model()

    def body(x: Any) -> Any:
        look()
        inner.batch(["a", "b", "c"])
        look()
        inner.map().invoke(["d", "e"])
        look()
        return x

    run(way, RunnableLambda(body, name="l"), 1, config)
    tree = spans.tree()
    assert tree[:1] == ["l"]
    assert tree[1:10] == ["  RunnableSequence", "    inner", "    Model"] * 3
    assert seen.count("l") == 3
    assert set(seen) == {"l", "inner", "Model"}
    assert sum(line.strip() == "RunnableSequence" for line in tree) == 5


@pytest.mark.parametrize("way", WAYS)
def test_a_users_span_left_open_in_a_body_stays_there(
    way: str, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """An attach without a detach is a mistake; what comes after must not pay for it."""

    def body(x: Any) -> Any:
        span = tracer.start_span("left")
        otel_context.attach(callspan_set(span))
        look()
        Model().invoke("x")
        span.end()
        return x

    from opentelemetry.trace import set_span_in_context as callspan_set

    run(way, RunnableLambda(body, name="l"), 1, config)
    assert spans.tree() == ["l", "  left", "    Model"]
    assert current() == "nothing"


def test_a_users_span_around_some_chunks(config: Any, spans: SpanLog, tracer: Tracer) -> None:
    """It is opened and closed while the stream goes on."""
    stream = (RunnableLambda(lambda x: x, name="first") | Model()).stream("x", config)
    with tracer.start_as_current_span("one"):
        next(stream)
        assert current() == "one"
    assert current() == "nothing"
    with tracer.start_as_current_span("two"):
        next(stream)
        assert current() == "two"
        list(stream)
        assert current() == "two"
    assert current() == "nothing"
    assert set(seen) == {"Model"}
    assert spans.parent_of("Model") == "RunnableSequence"
    assert spans.parent_of("RunnableSequence") == "one"


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_interleaved_streams_with_two_providers(
    way: str, spans: SpanLog, other_spans: SpanLog, other_provider: TracerProvider
) -> None:
    """Each provider has both trees."""
    handlers = [OTelCallbackHandler(), OTelCallbackHandler(tracer_provider=other_provider)]

    def streams(method: str) -> list[Any]:
        return [
            getattr((RunnableLambda(lambda x: x, name="f") | Model()), method)(
                "x", {"callbacks": handlers, "run_name": name}
            )
            for name in ("one", "two")
        ]

    async def all_async() -> None:
        one, two = streams("astream")
        for _ in range(5):
            await anext(one, None)
            await anext(two, None)
            assert current() == "nothing"

    if way == "stream":
        one, two = streams("stream")
        for _ in range(5):
            next(one, None)
            next(two, None)
            assert current() == "nothing"
    else:
        asyncio.run(all_async())
    for log in (spans, other_spans):
        assert log.tree() == ["one", "  f", "  Model", "two", "  f", "  Model"]
        assert log.open == []


@pytest.mark.parametrize("way", WAYS)
def test_a_handler_passed_inside_a_body_has_its_own_tree(
    way: str, config: Any, spans: SpanLog, other_spans: SpanLog, other_provider: TracerProvider
) -> None:
    """LangChain then forgets the handlers and the parent around it."""
    other = OTelCallbackHandler(tracer_provider=other_provider)

    def body(x: Any) -> Any:
        Model().invoke("x", {"callbacks": [other]})
        look()
        return x

    run(way, RunnableLambda(body, name="l"), 1, config)
    assert spans.tree() == ["l"]
    assert other_spans.tree() == ["Model"]
    assert seen[-1] == "l"


@pytest.mark.parametrize("way", WAYS)
def test_the_same_handler_passed_inside_a_body_keeps_the_parent(
    way: str, config: Any, spans: SpanLog
) -> None:
    """LangChain says there is none."""
    run(way, RunnableLambda(lambda x: Model().invoke("x", config), name="l"), 1, config)
    assert spans.tree() == ["l", "  Model"]


def test_a_generator_that_is_pulled_by_several_threads(config: Any, spans: SpanLog) -> None:
    """Frameworks hand a stream to whichever worker is free."""
    stream = (RunnableLambda(lambda x: x, name="first") | Model(answers=["a b c d e"])).stream(
        "x", config
    )
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
        for pool in (one, two, one, two):
            pool.submit(next, stream).result()
            assert pool.submit(current).result() == "nothing"
    list(stream)
    assert spans.tree() == ["RunnableSequence", "  first", "  Model"]
    assert spans.open == []


def test_a_keyboard_interrupt_in_a_retriever(config: Any, spans: SpanLog) -> None:
    """LangChain sends no error for it."""

    class Interrupted(Shelf):
        def _get_relevant_documents(self, *args: Any, **kwargs: Any) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Interrupted().invoke("q", config)
    Model().invoke("x", config)
    assert spans.tree() == ["Interrupted", "Model"]
    assert spans.outcomes() == {"Interrupted": "cancelled", "Model": "ok"}


def test_threads_without_a_context_are_nobodys(config: Any, spans: SpanLog) -> None:
    """No code of ours runs there; `instrument_threads` and our executor carry the Context."""

    def body(x: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(look).result()
        with callspan.ContextThreadPoolExecutor(1) as pool:
            pool.submit(look).result()
        return x

    RunnableLambda(body, name="l").invoke(1, config)
    assert seen == ["nothing", "l"]


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
def test_threads_of_a_models_body_are_in_it(way: str, config: Any, spans: SpanLog) -> None:
    """Vendors' SDKs use some."""

    class Threads(Model):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            await asyncio.to_thread(look)
            await asyncio.gather(asyncio.to_thread(look), asyncio.create_task(alook()))
            return await super()._agenerate(*args, **kwargs)

        async def _astream(self, *args: Any, **kwargs: Any) -> Any:
            await asyncio.to_thread(look)
            async for chunk in super()._astream(*args, **kwargs):
                yield chunk

    async def alook() -> None:
        await asyncio.sleep(0)
        look()

    run(way, RunnableLambda(lambda x: x, name="first") | Threads(), "x", config)
    assert set(seen) == {"Threads"}


def test_a_stream_in_a_stream(config: Any, spans: SpanLog, tracer: Tracer) -> None:
    """A body that streams another model, with a span of the user's across its own yields."""

    def body(chunks: Iterator[Any]) -> Iterator[Any]:
        for _ in chunks:
            for chunk in Model(name="inner").stream("y"):
                with tracer.start_as_current_span("work"):
                    look()
                yield chunk.content

    from langchain_core.runnables import RunnableGenerator

    for _ in RunnableGenerator(body, name="outer").stream("x", config):
        assert current() == "nothing"
    assert spans.tree()[:2] == ["outer", "  inner"]
    assert set(spans.tree()[2:]) == {"  work"}
    assert set(seen) == {"inner", "work"}


def test_a_model_that_streams_in_invoke(config: Any, spans: SpanLog, tracer: Tracer) -> None:
    """LangChain does so for a streaming handler; the generator is then pulled by a function."""

    class Http(Model):
        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
            for chunk in super()._stream(*args, **kwargs):
                with tracer.start_as_current_span("http"):
                    thread = threading.Thread(target=copy_context().run, args=(look,))
                    thread.start()
                    thread.join()
                yield chunk

    async def main() -> None:
        chain = RunnableLambda(lambda x: Http().invoke(x), name="l")
        async for _ in chain.astream_events("x", config, version="v2"):
            assert current() == "nothing"

    asyncio.run(main())
    assert set(seen) == {"Http", "http"}
    assert spans.tree()[:2] == ["l", "  Http"]
    assert set(spans.tree()[2:]) == {"    http"}
    assert len(open_runs) == 0
