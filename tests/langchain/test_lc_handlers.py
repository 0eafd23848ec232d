"""Several handlers, several providers, sampling, suppression, and what is left behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
    CallbackManager,
    adispatch_custom_event,
    dispatch_custom_event,
)
from langchain_core.runnables import RunnableLambda
from lc import WAYS, Model, TextModel, look, run, seen
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import NonRecordingSpan, Tracer, get_current_span, use_span

import callspan
from callspan.langchain import OTelCallbackHandler
from callspan.langchain.runs import open_runs
from support import SpanLog, current, logged_provider, recording


def nested() -> Any:
    return RunnableLambda(lambda x: look() or Model().invoke(x), name="outer")


TREE = ["outer", "  Model"]


@pytest.mark.parametrize("way", WAYS)
def test_the_same_handler_twice_gives_one_span(way: str, otel: Any, spans: SpanLog) -> None:
    """It comes by config and by bind in larger programs."""
    run(way, nested().with_config(callbacks=[otel]), "x", {"callbacks": [otel, otel]})
    assert spans.tree() == TREE
    assert seen == ["outer", "Model"]


@pytest.mark.parametrize("way", WAYS)
def test_two_handlers_of_one_provider_give_one_span(way: str, spans: SpanLog) -> None:
    """One is the user's and the other the instrumentor's, say."""
    run(way, nested(), "x", {"callbacks": [OTelCallbackHandler(), OTelCallbackHandler()]})
    assert spans.tree() == TREE
    assert spans.open == []


@pytest.mark.parametrize("way", WAYS)
def test_a_constructors_handler_and_the_configs_give_one_span(
    way: str, otel: Any, spans: SpanLog
) -> None:
    """A model may be set up with the handler that the call is made with as well."""
    run(way, Model(callbacks=[otel]), "x", {"callbacks": [otel]})
    assert spans.tree() == ["Model"]


@pytest.mark.parametrize("way", WAYS)
def test_a_constructors_handler_traces_that_object_alone(
    way: str, otel: Any, spans: SpanLog
) -> None:
    """As LangChain has it."""
    chain = RunnableLambda(lambda x: x, name="first") | Model(callbacks=[otel])
    run(way, chain, "x")
    assert spans.tree() == ["Model"]
    assert set(seen) == {"Model"}


@pytest.mark.parametrize("way", WAYS)
def test_two_providers_have_their_own_trees(
    way: str, spans: SpanLog, other_spans: SpanLog, other_provider: TracerProvider, tracer: Tracer
) -> None:
    """A team's own backend beside the company's."""
    handlers = [OTelCallbackHandler(tracer_provider=other_provider), OTelCallbackHandler()]
    with tracer.start_as_current_span("user"):
        run(way, nested(), "x", {"callbacks": handlers})
    assert spans.tree() == ["user", "  outer", "    Model"]
    assert other_spans.tree() == TREE
    assert other_spans.named("outer").parent is None
    assert spans.open == other_spans.open == []
    assert get_current_span() is not None


@pytest.mark.parametrize("way", WAYS)
def test_the_current_span_is_the_global_providers(
    way: str, spans: SpanLog, other_provider: TracerProvider
) -> None:
    """Other instrumentations use the global one."""
    found: list[Any] = []
    handlers = [OTelCallbackHandler(tracer_provider=other_provider), OTelCallbackHandler()]
    body = RunnableLambda(lambda x: found.append(get_current_span()), name="l")
    run(way, body, "x", {"callbacks": handlers})
    run(way, body, "x", {"callbacks": handlers[::-1]})
    assert found == [span for span in spans.started if span.name.endswith("l")]


@pytest.mark.parametrize("way", WAYS)
def test_an_unsampled_parent_exports_nothing(way: str, otel: Any, spans: SpanLog) -> None:
    """A caller that dropped its trace is not to find pieces of it."""
    from opentelemetry.trace import SpanContext, TraceFlags

    dropped = NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(0)))
    with use_span(dropped):
        run(way, nested(), "x", {"callbacks": [otel]})
    assert spans.ended == []
    assert len(open_runs) == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_sampler_that_drops_leaves_nothing(way: str) -> None:
    """Spans that do not record are propagated all the same."""
    provider, log = logged_provider(sampler=ParentBased(ALWAYS_OFF))
    found: list[Any] = []

    def body(x: Any) -> Any:
        found.append(get_current_span().get_span_context())
        return x

    inner = RunnableLambda(body, name="inner")
    chain = RunnableLambda(lambda x: x, name="first") | inner
    run(way, chain, "x", {"callbacks": [OTelCallbackHandler(tracer_provider=provider)]})
    assert log.started == []
    assert found[0].is_valid
    assert not found[0].trace_flags.sampled
    provider.shutdown()


@pytest.mark.parametrize("way", WAYS)
def test_suppression_is_honoured(way: str, config: Any, spans: SpanLog) -> None:
    """Whoever switches tracing off means this as well."""
    with callspan.suppress_tracing():
        run(way, nested(), "x", config)
    assert spans.started == []


@pytest.mark.parametrize("way", WAYS)
def test_custom_events_are_on_the_span(way: str, spans: SpanLog) -> None:
    """No peer records them."""

    def body(x: Any) -> Any:
        dispatch_custom_event("progress", {"percent": 50})
        return x

    async def abody(x: Any) -> Any:
        await adispatch_custom_event("progress", {"percent": 50})
        return x

    runnable = RunnableLambda(body, abody, name="l")
    run(way, runnable, 1, {"callbacks": [OTelCallbackHandler(capture_content=True)]})
    (event,) = spans.named("l").events
    assert event.name == "progress"
    assert (event.attributes or {})["callspan.event.data"] == '{"percent":50}'


@pytest.mark.parametrize("kind", ["sync", "async", "inline"])
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_other_handlers_hear_of_text_models(way: str, kind: str, otel: Any) -> None:
    """LangChain does not tell them of a start once one handler is inline (#39633)."""
    base: Any = AsyncCallbackHandler if kind == "async" else BaseCallbackHandler
    other = recording(base, is_async=kind == "async", run_inline=kind == "inline")
    for handlers in ([otel, other], [other, otel]):
        other.events.clear()
        run(way, TextModel(), "x", {"callbacks": handlers})
        assert other.events.methods == ["on_llm_start", "on_llm_end"]


class OfOnesOwn(OTelCallbackHandler):
    """A subclass as users write them."""

    def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        super().on_chain_start(*args, **kwargs)
        span = self.get_span(kwargs["run_id"])
        assert span is not None
        span.set_attribute("mine", True)

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        super().on_chat_model_start(*args, **kwargs)

    def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:
        super().on_llm_new_token(*args, **kwargs)


class PassesOn(BaseCallbackHandler):
    """A handler that hands what it hears of to another."""

    run_inline = True

    def __init__(self, other: Any) -> None:
        self.on_chain_start = other.on_chain_start
        self.on_chain_end = other.on_chain_end

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.on_chain_start.__self__.on_chat_model_start(*args, **kwargs)

    def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        self.on_chain_start.__self__.on_llm_end(*args, **kwargs)


@pytest.mark.parametrize("kind", ["subclass", "passes on"])
@pytest.mark.parametrize("way", WAYS)
def test_code_between_langchain_and_the_handler(way: str, kind: str, spans: SpanLog) -> None:
    """Whoever adds attributes of their own in a subclass keeps the current span in the bodies."""
    handler = OfOnesOwn() if kind == "subclass" else PassesOn(OTelCallbackHandler())
    run(way, nested(), "x", {"callbacks": [handler]})
    assert spans.tree() == TREE
    assert seen == ["outer", "Model"]
    assert ("mine" in spans.named("outer").attributes) == (kind == "subclass")
    assert current() == "nothing"


def test_a_parent_that_was_never_seen_is_none(otel: Any, spans: SpanLog) -> None:
    """LangSmith's own runs are parents that no handler hears of."""
    manager = CallbackManager([otel], [otel], parent_run_id=uuid.uuid4())
    RunnableLambda(lambda x: look() or x, name="l").invoke(1, {"callbacks": manager})
    assert spans.tree() == ["l"]
    assert spans.named("l").parent is None
    assert spans.named("l").name == "invoke_workflow l"
    assert seen == ["l"]


async def test_many_calls_at_once_keep_their_traces(config: Any, spans: SpanLog) -> None:
    """A server's requests share one loop."""

    async def call(number: int) -> None:
        async def body(x: Any) -> Any:
            await asyncio.sleep(0)
            assert current() == f"outer {number}"
            await Model(name=f"model {number}").ainvoke("x")
            assert current() == f"outer {number}"

        await RunnableLambda(body, name=f"outer {number}").ainvoke("x", config)
        assert current() == "nothing"

    await asyncio.gather(*(call(number) for number in range(200)))
    assert len({span.context.trace_id for span in spans.ended}) == 200
    for number in range(200):
        assert spans.parent_of(f"model {number}") == f"outer {number}"


def test_threads_keep_their_traces(config: Any, spans: SpanLog) -> None:
    """Eight of them call at the same time."""

    def call(number: int) -> None:
        def body(x: Any) -> Any:
            assert current() == f"outer {number}"
            Model(name=f"model {number}").invoke("x")
            assert current() == f"outer {number}"

        RunnableLambda(body, name=f"outer {number}").invoke("x", config)
        assert current() == "nothing"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(200)))
    assert len({span.context.trace_id for span in spans.ended}) == 200
    for number in range(200):
        assert spans.parent_of(f"model {number}") == f"outer {number}"


async def test_nothing_is_kept_of_runs_that_ended(config: Any, spans: SpanLog) -> None:
    """Contexts that outlive runs must not hold them, one behind the other."""
    from callspan.langchain.runs import LiveRun

    async def link(number: int) -> Any:
        if number == 0:
            return None

        async def body(x: Any) -> Any:
            return asyncio.create_task(link(number - 1))

        return await RunnableLambda(body, name="l").ainvoke("x", config)

    task = await link(100)
    while task is not None:
        task = await task
    for _ in range(50):
        await Model().ainvoke("x", config)
    gc.collect()
    assert sum(isinstance(one, LiveRun) for one in gc.get_objects()) < 10


def test_the_plain_handler_says_which_one_to_use(
    caplog: pytest.LogCaptureFixture, spans: SpanLog
) -> None:
    """It makes spans, but nothing is current in the bodies."""
    with caplog.at_level(logging.WARNING, "callspan"):
        for _ in range(2):
            nested().invoke("x", {"callbacks": [callspan.OTelCallbackHandler()]})
    said = [r.getMessage() for r in caplog.records if "callspan.langchain" in r.getMessage()]
    assert len(said) <= 1
    assert spans.tree()[:2] == TREE
