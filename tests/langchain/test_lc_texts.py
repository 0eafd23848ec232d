"""Async text models, whose starts LangChain tells in tasks and threads that are over at once."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import (
    AsyncCallbackHandler,
    AsyncCallbackManager,
    BaseCallbackHandler,
)
from langchain_core.outputs import LLMResult
from langchain_core.runnables import RunnableLambda
from lc import ASYNC_WAYS, TextModel, look, run, seen
from opentelemetry.trace import Tracer

import callspan
from callspan.langchain import LangChainInstrumentor, OTelCallbackHandler
from callspan.langchain.runs import open_runs
from support import SpanLog, current, logged_provider, recording


class Async(TextModel):
    """One with an async body of its own."""

    waits: Any = None
    fails: Any = None

    async def _acall(self, prompt: str, *args: Any, **kwargs: Any) -> str:
        look()
        await asyncio.sleep(0)
        if self.waits is not None:
            self.waits.set()
            await asyncio.Event().wait()
        if self.fails is not None:
            raise self.fails
        look()
        return prompt


@pytest.mark.parametrize("kind", [Async, TextModel])
@pytest.mark.parametrize("other", [None, BaseCallbackHandler, AsyncCallbackHandler])
@pytest.mark.parametrize("way", [*ASYNC_WAYS, "abatch", "astream_events"])
def test_its_span_is_current_beside_other_handlers(
    way: str, other: Any, kind: Any, otel: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """Where they are not called inline, LangChain tells of the start in a thread."""
    handlers = [otel]
    if other is not None:
        handlers.append(recording(other, is_async=other is AsyncCallbackHandler))
    model = kind(name="it")
    for runnable in (model, RunnableLambda(lambda x: x, name="first") | model):
        seen.clear()
        with tracer.start_as_current_span("before"):
            run(way, runnable, "x", {"callbacks": handlers})
        assert set(seen) == {"it"}
    assert set(spans.outcomes().values()) <= {"ok", None}
    assert spans.open == []


@pytest.mark.parametrize("in_chain", [True, False])
async def test_it_is_cancelled(in_chain: bool, config: Any, spans: SpanLog) -> None:
    """What follows in the same task is not part of it."""
    begun = asyncio.Event()
    model = Async(name="it", waits=begun)
    chain = RunnableLambda(lambda x: x, name="first") | model if in_chain else model
    task = asyncio.create_task(chain.ainvoke("x", config))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    begun.clear()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(Async(name="late", waits=begun).ainvoke("x", config), 0.05)
    assert current() == "nothing"
    await TextModel(name="next").ainvoke("x", config)
    gc.collect()
    await TextModel(name="last").ainvoke("x", config)
    assert spans.outcomes()["it"] == spans.outcomes()["late"] == "cancelled"
    assert spans.parent_of("next") is None
    assert seen[-2:] == ["next", "last"]


@pytest.mark.parametrize("way", ["ainvoke", "abatch"])
def test_it_fails(way: str, config: Any, spans: SpanLog) -> None:
    """As any other."""
    with pytest.raises(ValueError, match="no"):
        run(way, Async(name="it", fails=ValueError("no")), "x", config)
    assert current() == "nothing"
    assert set(spans.outcomes().values()) == {"error"}
    run("ainvoke", Async(name="next"), "x", config)
    assert spans.parent_of("next") is None


def test_an_answer_from_the_cache_has_no_run(config: Any, spans: SpanLog, tracer: Tracer) -> None:
    """LangChain tells of none; what was got ready for it is not current to anybody."""

    async def main() -> None:
        model = Async(name="it", cache=InMemoryCache())
        for _ in range(3):
            await model.ainvoke("x", config)
            assert current() == "nothing"
            with tracer.start_as_current_span("user"):
                await asyncio.to_thread(look)
        TextModel(name="sync").invoke("y", config)
        await TextModel(name="next").ainvoke("y", config)

    asyncio.run(main())
    assert spans.tree() == ["it", "user", "user", "user", "sync", "next"]
    assert seen == ["it", "it", "user", "user", "user", "sync", "next"]


async def test_a_run_that_is_started_by_hand_afterwards(
    config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """No text model's method configures its manager: it is not the run that was got ready for."""
    with tracer.start_as_current_span("before"):
        await TextModel(name="it").ainvoke("x", config)
    manager = AsyncCallbackManager.configure(config["callbacks"])
    (by_hand,) = await manager.on_llm_start({"name": "by hand"}, ["x"])
    await by_hand.on_llm_end(LLMResult(generations=[]))
    assert spans.tree() == ["before", "  it", "by hand"]


@pytest.mark.parametrize("way", [*ASYNC_WAYS, "abatch"])
def test_it_is_suppressed(way: str, config: Any, spans: SpanLog) -> None:
    """Nothing is started, and nothing stays."""
    with callspan.suppress_tracing():
        run(way, Async(), "x", config)
    assert spans.started == []
    assert set(seen) == {"nothing"}
    assert len(open_runs) == 0


@pytest.mark.parametrize("way", [*ASYNC_WAYS, "abatch"])
def test_the_instrumentors_handler_traces_it(way: str, spans: SpanLog) -> None:
    """It is not among the handlers of the call."""
    instrumentor = LangChainInstrumentor()
    instrumentor.instrument()
    try:
        run(way, Async(name="it"), "x")
    finally:
        instrumentor.uninstrument()
    assert set(seen) == {"it"}
    assert set(spans.outcomes().values()) == {"ok"}


async def test_many_at_once(config: Any, spans: SpanLog) -> None:
    """Each in a task of its own, and in one task one after the other."""

    class Named(Async):
        async def _acall(self, prompt: str, *args: Any, **kwargs: Any) -> str:
            for _ in range(3):
                assert current() == f"model {prompt}"
                await asyncio.sleep(0)
            return prompt

    async def call(number: int) -> None:
        for _ in range(2):
            model = Named(name=f"model {number}")
            await (RunnableLambda(lambda x: x) | model).ainvoke(str(number), config)
            assert current() == "nothing"

    await asyncio.gather(*(call(number) for number in range(50)))
    assert len({span.context.trace_id for span in spans.ended}) == 100
    assert spans.open == []


@pytest.mark.parametrize("way", [*ASYNC_WAYS, "abatch"])
def test_two_providers_have_it(way: str, spans: SpanLog) -> None:
    """The second handler adds its span to the run."""
    provider, other = logged_provider()
    handlers = [OTelCallbackHandler(tracer_provider=provider), OTelCallbackHandler()]
    run(way, Async(name="it"), "x", {"callbacks": handlers})
    assert spans.open == other.open == []
    assert len(spans.started) == len(other.started) > 0
    assert set(seen) == {"it"}
    provider.shutdown()
