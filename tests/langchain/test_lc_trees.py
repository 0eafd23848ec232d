"""The tree of runs that LangChain makes is the tree of spans, whichever way it is run."""

from __future__ import annotations

import asyncio
import operator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel
from lc import ASYNC_WAYS, WAYS, Model, TextModel, look, run, seen
from opentelemetry.trace import Tracer

from support import SpanLog, current


def chain(**options: Any) -> Any:
    return ChatPromptTemplate.from_template("say {x}") | Model(**options) | StrOutputParser()


TREE = ["RunnableSequence", "  ChatPromptTemplate", "  Model", "  StrOutputParser"]


@pytest.mark.parametrize("way", WAYS)
def test_a_sequence_is_one_tree(way: str, config: Any, spans: SpanLog) -> None:
    """The first thing that everybody looks at."""
    output = run(way, chain(), {"x": 1}, config)
    assert "".join(output).replace(" ", "") == "abc"
    assert spans.tree() == TREE
    assert set(spans.outcomes().values()) == {"ok"}
    assert spans.open == []
    assert set(seen) == {"Model"}


@pytest.mark.parametrize("way", ["batch", "abatch"])
def test_a_batch_under_a_users_span_is_siblings(
    way: str, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """All starts come before the first end: plain attach nests each item in the one before."""

    async def abatch() -> None:
        await chain().abatch([{"x": i} for i in range(20)], config)

    with tracer.start_as_current_span("user"):
        if way == "batch":
            chain().batch([{"x": i} for i in range(20)], config)
        else:
            asyncio.run(abatch())
        assert current() == "user"
    assert spans.tree()[0] == "user"
    assert spans.tree()[1:] == ["  " + line for line in TREE] * 20
    assert set(seen) == {"Model"}


@pytest.mark.parametrize("way", WAYS)
def test_calls_in_a_row_are_traces_of_their_own(way: str, config: Any, spans: SpanLog) -> None:
    """A span left current by one call would make the next one its child."""

    async def calls() -> None:
        for _ in range(3):
            if way == "ainvoke":
                await chain().ainvoke({"x": 1}, config)
            else:
                async for _ in chain().astream({"x": 1}, config):
                    pass

    if way in ASYNC_WAYS:
        asyncio.run(calls())
    else:
        for _ in range(3):
            run(way, chain(), {"x": 1}, config)
    assert spans.tree() == TREE * 3
    assert len({span.context.trace_id for span in spans.ended}) == 3


def test_a_users_span_between_chunks_keeps_its_parent(
    config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """The consumer of a stream is not in the stream's run."""
    with tracer.start_as_current_span("outer"):
        for _ in chain().stream({"x": 1}, config):
            with tracer.start_as_current_span("between"):
                assert current() == "between"
    parents = {
        span.parent.span_id for span in spans.ended if span.name == "between" and span.parent
    }
    assert parents == {spans.named("outer").context.span_id}
    assert set(seen) == {"Model"}


async def test_a_users_span_between_async_chunks_keeps_its_parent(
    config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """As above, where each chunk may come from another task."""
    with tracer.start_as_current_span("outer"):
        async for _ in chain().astream({"x": 1}, config):
            with tracer.start_as_current_span("between"):
                await asyncio.sleep(0)
                assert current() == "between"
        assert current() == "outer"
    parents = {
        span.parent.span_id for span in spans.ended if span.name == "between" and span.parent
    }
    assert parents == {spans.named("outer").context.span_id}
    assert set(seen) == {"Model"}


def test_interleaved_streams_do_not_mix(config: Any, spans: SpanLog) -> None:
    """Two generators that are pulled in turn share one thread and its Context."""
    first = RunnableLambda(lambda x: x, name="first") | Model()
    second = RunnableLambda(lambda x: x, name="second") | Model()
    one, two = (
        runnable.with_config(run_name=name).stream("x", config)
        for runnable, name in ((first, "one"), (second, "two"))
    )
    for _ in range(4):
        next(one, None)
        assert current() == "nothing"
        next(two, None)
        assert current() == "nothing"
    list(one), list(two)
    assert spans.tree() == ["one", "  first", "  Model", "two", "  second", "  Model"]
    assert set(seen) == {"Model"}


async def test_interleaved_async_streams_do_not_mix(config: Any, spans: SpanLog) -> None:
    """As above."""
    streams = [
        (RunnableLambda(lambda x: x, name=f"step {name}") | Model())
        .with_config(run_name=name)
        .astream("x", config)
        for name in ("one", "two")
    ]
    for _ in range(4):
        for stream in streams:
            await anext(stream, None)
            assert current() == "nothing"
    for stream in streams:
        async for _ in stream:
            pass
    assert spans.tree() == ["one", "  step one", "  Model", "two", "  step two", "  Model"]
    assert set(seen) == {"Model"}


@pytest.mark.parametrize("way", WAYS)
def test_parallel_branches_are_siblings(way: str, config: Any, spans: SpanLog) -> None:
    """They run in threads or tasks at the same time."""
    branches = RunnableParallel(
        a=RunnableLambda(lambda x: look() or x, name="a"),
        b=RunnableLambda(lambda x: look() or x, name="b"),
    )
    run(way, branches, 1, config)
    assert spans.tree()[0].startswith("RunnableParallel")
    assert sorted(spans.tree()[1:]) == ["  a", "  b"]
    assert sorted(seen) == ["a", "b"]


@pytest.mark.parametrize("way", WAYS)
def test_what_a_lambda_calls_is_part_of_it(way: str, config: Any, spans: SpanLog) -> None:
    """LangChain hands its config down; the span has to follow."""
    inner = RunnableLambda(lambda x: look() or x, name="inner")

    def call(x: Any) -> Any:
        look()
        result = inner.invoke(x)
        look()
        return result

    run(way, RunnableLambda(call, name="outer"), 1, config)
    assert spans.tree() == ["outer", "  inner"]
    assert seen == ["outer", "inner", "outer"]


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_thread_with_a_copied_context_is_in_the_body(
    way: str, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """What runs in it is part of the body that started it."""

    def in_thread() -> None:
        look()
        with tracer.start_as_current_span("work"):
            look()

    def call(x: Any) -> Any:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda c: c.run(in_thread), [copy_context() for _ in range(3)]))
        return x

    run(way, RunnableLambda(call, name="outer"), 1, config)
    assert spans.tree() == ["outer", *["  work"] * 3]
    assert sorted(seen) == ["outer"] * 3 + ["work"] * 3


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
def test_tasks_in_a_body_are_in_it(way: str, config: Any, spans: SpanLog, tracer: Tracer) -> None:
    """gather, create_task and to_thread copy the Context, in which the run must be found."""

    async def work(x: Any) -> Any:
        await asyncio.sleep(0)
        look()
        with tracer.start_as_current_span("work"):
            await asyncio.sleep(0)
            look()
        return x

    async def call(x: Any) -> Any:
        await asyncio.gather(work(1), work(2))
        await asyncio.create_task(work(3))
        await asyncio.to_thread(look)
        return x

    run(way, RunnableLambda(call, name="outer"), 1, config)
    assert spans.tree() == ["outer", *["  work"] * 3]
    assert sorted(seen) == ["outer"] * 4 + ["work"] * 3


@pytest.mark.parametrize("way", ["generate", "agenerate"])
def test_a_text_model_with_two_prompts_is_two_spans(way: str, config: Any, spans: SpanLog) -> None:
    """A model may start several runs in one call."""
    model = TextModel()
    if way == "generate":
        model.generate(["p", "q"], callbacks=config["callbacks"])
    else:
        asyncio.run(model.agenerate(["p", "q"], callbacks=config["callbacks"]))
    assert seen == ["TextModel", "TextModel"]
    assert spans.tree() == ["TextModel", "TextModel"]
    assert set(spans.outcomes().values()) == {"ok"}


@pytest.mark.parametrize("way", ["generate", "agenerate"])
def test_each_prompt_of_a_chat_model_has_its_own_span_current(
    way: str, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """The runs of one call share the frame that drives them."""

    class Tracing(Model):
        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            with tracer.start_as_current_span(f"http {messages[0].content}"):
                return super()._generate(messages, *args, **kwargs)

        async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            with tracer.start_as_current_span(f"http {messages[0].content}"):
                return await super()._agenerate(messages, *args, **kwargs)

    from langchain_core.messages import HumanMessage

    batches = [[HumanMessage("one")], [HumanMessage("two")], [HumanMessage("three")]]
    if way == "generate":
        Tracing().generate(batches, callbacks=config["callbacks"])
    else:
        asyncio.run(Tracing().agenerate(batches, callbacks=config["callbacks"]))
    tree = spans.tree()
    assert operator.countOf(tree, "Tracing") == 3
    assert tree[::2] == ["Tracing"] * 3
    assert [line.strip() for line in tree[1::2]] == ["http one", "http two", "http three"]
