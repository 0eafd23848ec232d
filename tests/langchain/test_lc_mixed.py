"""callspan's blocks and LangChain's objects in one tree, in both directions; the instrumentor."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableLambda as TheirLambda
from lc import WAYS, Model, TextModel, look, run, seen
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

import callspan
from callspan.callbacks import BaseCallbackHandler as OwnHandler
from callspan.langchain import LangChainInstrumentor, OTelCallbackHandler
from callspan.runnables import RunnableLambda
from support import SpanLog, current, recording


def ours(x: Any) -> Any:
    look()
    return x


@pytest.mark.parametrize("way", WAYS)
def test_a_langchain_object_stands_in_a_callspan_sequence(way: str, spans: SpanLog) -> None:
    """The model package is LangChain's, the rest callspan's."""
    chain = RunnableLambda(ours, name="ours") | Model() | RunnableLambda(ours, name="last")
    run(way, chain, "x", {"callbacks": [callspan.OTelCallbackHandler()]})
    assert spans.tree() == ["RunnableSequence", "  ours", "  Model", "  last"]
    assert set(seen) == {"ours", "Model", "last"}
    assert spans.open == []


@pytest.mark.parametrize("way", WAYS)
def test_a_langchain_call_in_a_callspan_run_is_part_of_it(
    way: str, spans: SpanLog, tracer: Tracer
) -> None:
    """No argument is passed on."""

    def outer(x: Any) -> Any:
        look()
        with tracer.start_as_current_span("user"):
            TheirLambda(lambda x: look() or Model().invoke(x), name="theirs").invoke(x)
            assert current() == "user"
        look()
        return x

    run(way, RunnableLambda(outer, name="outer"), "x", {})
    assert spans.tree() == ["outer", "  user", "    theirs", "      Model"]
    assert seen == ["outer", "theirs", "Model", "outer"]
    names = {span.name for span in spans.ended}
    assert names == {"invoke_workflow outer", "user", "theirs", "chat Model"}


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
def test_an_async_langchain_call_in_a_callspan_run_is_part_of_it(way: str, spans: SpanLog) -> None:
    """LangChain ends its runs in other tasks."""

    async def outer(x: Any) -> Any:
        look()
        await TheirLambda(lambda x: look() or x, name="one").ainvoke(x)
        look()
        await asyncio.gather(Model().ainvoke("x"), Model().ainvoke("x"))
        look()
        async for _ in Model().astream(x):
            look()
        look()
        return x

    run(way, RunnableLambda(outer, name="outer"), "x", {})
    assert spans.tree() == ["outer", "  one", "  Model", "  Model", "  Model"]
    assert {name for name in seen if name != "Model"} == {"outer", "one"}
    assert seen[0] == seen[2] == seen[-1] == "outer"


@pytest.mark.parametrize("way", WAYS)
def test_a_callspan_block_in_a_langchain_run_is_part_of_it(
    way: str, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """And what LangChain does in it again, below it."""

    def inner(x: Any) -> Any:
        look()
        Model().invoke(x)
        look()
        return x

    def outer(x: Any) -> Any:
        look()
        with tracer.start_as_current_span("user"):
            RunnableLambda(inner, name="inner").invoke(x)
            assert current() == "user"
        look()
        return x

    run(way, TheirLambda(outer, name="outer"), "x", config)
    assert spans.tree() == ["outer", "  user", "    inner", "      Model"]
    assert seen == ["outer", "inner", "Model", "inner", "outer"]


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
def test_async_as_well(way: str, config: Any, spans: SpanLog) -> None:
    """Both libraries make tasks."""

    async def inner(x: Any) -> Any:
        look()
        await Model().ainvoke(x)
        look()
        return x

    async def outer(x: Any) -> Any:
        look()
        await RunnableLambda(inner, name="inner").ainvoke(x)
        look()
        async for _ in RunnableLambda(inner, name="inner").astream(x):
            look()
        return x

    run(way, TheirLambda(outer, name="outer"), "x", config)
    assert spans.tree() == ["outer", *["  inner", "    Model"] * 2]
    asked = ["inner", "Model", "Model", "inner", "outer"]
    assert seen == ["outer", *asked, *asked]


@pytest.mark.parametrize("way", WAYS)
def test_traced_functions_in_tools_are_part_of_them(way: str, config: Any, spans: SpanLog) -> None:
    """The decorator is for the code in between."""

    @callspan.traced
    def helper() -> None:
        look()

    run(way, TheirLambda(lambda x: helper() or x, name="outer"), "x", config)
    assert spans.tree() == ["outer", f"  {helper.__qualname__}"] or spans.tree() == [
        "outer",
        "  helper",
    ]


@pytest.mark.parametrize("way", WAYS)
def test_the_outer_handlers_hear_the_inner_runs(way: str, config: Any, spans: SpanLog) -> None:
    """Request-time handlers reach all descendants, whoever makes them."""
    own, theirs = recording(OwnHandler), recording(BaseCallbackHandler)

    def outer(x: Any) -> Any:
        TheirLambda(lambda x: x, name="theirs").invoke(x)
        return x

    run(way, RunnableLambda(outer, name="ours"), 1, {"callbacks": [own, theirs]})
    for handler in (own, theirs):
        first, second = handler.events.of("on_chain_start")
        assert second["parent_run_id"] == first["run_id"]
        assert len(handler.events.of("on_chain_end")) == 2

    def other(x: Any) -> Any:
        RunnableLambda(lambda x: x, name="ours").invoke(x)
        return x

    own.events.clear()
    theirs.events.clear()
    handlers = [*config["callbacks"], own, theirs]
    run(way, TheirLambda(other, name="theirs"), 1, {"callbacks": handlers})
    for handler in (own, theirs):
        first, second = handler.events.of("on_chain_start")
        assert second["parent_run_id"] == first["run_id"]
        assert len(handler.events.of("on_chain_end")) == 2


@pytest.fixture
def instrumented(spans: SpanLog) -> Iterator[LangChainInstrumentor]:
    instrumentor = LangChainInstrumentor()
    instrumentor.instrument()
    yield instrumentor
    instrumentor.uninstrument()


@pytest.mark.parametrize("way", WAYS)
def test_the_instrumentor_traces_every_run(
    way: str, instrumented: LangChainInstrumentor, spans: SpanLog, tracer: Tracer
) -> None:
    """Without a change to the program."""
    with tracer.start_as_current_span("user"):
        run(way, TheirLambda(lambda x: look() or Model().invoke(x), name="l"), "x")
    assert spans.tree() == ["user", "  l", "    Model"]
    assert seen == ["l", "Model"]


@pytest.mark.parametrize("way", WAYS)
def test_the_instrumentor_and_a_handler_give_one_span(
    way: str, instrumented: LangChainInstrumentor, config: Any, spans: SpanLog
) -> None:
    """Counting twice is what users complain about."""
    run(way, TheirLambda(lambda x: Model().invoke(x), name="l"), "x", config)
    run(way, Model(callbacks=config["callbacks"]), "x")
    assert spans.tree() == ["l", "  Model", "Model"]


def test_instrument_twice_is_safe_and_uninstrument_leaves_nothing(
    instrumented: LangChainInstrumentor, spans: SpanLog, caplog: pytest.LogCaptureFixture
) -> None:
    """Agents and programs both switch it on."""
    LangChainInstrumentor().instrument(skip_dep_check=True)
    assert "instrumented already" in caplog.text
    Model().invoke("x")
    assert spans.tree() == ["Model"]
    LangChainInstrumentor().uninstrument()
    assert not instrumented.is_instrumented_by_opentelemetry
    Model().invoke("x")
    TextModel().invoke("x")
    assert spans.tree() == ["Model"]
    LangChainInstrumentor().uninstrument()


def test_the_instrumentor_takes_a_handlers_arguments(
    spans: SpanLog, other_spans: SpanLog, other_provider: TracerProvider
) -> None:
    """Where spans go, and what is recorded."""
    LangChainInstrumentor().instrument(tracer_provider=other_provider, capture_content=True)
    try:
        TheirLambda(lambda x: x, name="l").invoke("in")
    finally:
        LangChainInstrumentor().uninstrument()
    assert spans.started == []
    assert (other_spans.named("l").attributes or {})["input.value"] == "in"


def test_the_entry_point_is_the_instrumentor() -> None:
    """`opentelemetry-instrument` finds it by this name."""
    from importlib.metadata import entry_points

    (found,) = entry_points(group="opentelemetry_instrumentor", name="callspan_langchain")
    assert found.load() is LangChainInstrumentor


@pytest.mark.parametrize("way", WAYS)
def test_the_langchain_handler_serves_callspans_blocks_too(way: str, spans: SpanLog) -> None:
    """One handler for a program of both."""
    inner = TheirLambda(lambda x: look() or x, name="theirs")
    outer = RunnableLambda(lambda x: look() or inner.invoke(x), name="ours")
    run(way, outer, "x", {"callbacks": [OTelCallbackHandler()]})
    assert spans.tree() == ["ours", "  theirs"]
    assert seen == ["ours", "theirs"]
