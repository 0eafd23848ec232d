"""Tracing that is off, not there, or not recording: nothing is made, and nothing changes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import (
    _SUPPRESS_INSTRUMENTATION_KEY,
    Context,
    attach,
    detach,
    get_value,
    set_value,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
)

from callspan import OTelCallbackHandler, suppress_tracing, traced, use_config
from callspan.callbacks import CallbackManager
from support import SpanLog, global_provider, logged_provider

REMOTE = trace.SpanContext(7, 8, is_remote=True, trace_flags=trace.TraceFlags(1))
KEEP = {"remote_parent_not_sampled": ALWAYS_ON, "local_parent_not_sampled": ALWAYS_ON}
NOT_SAMPLED = trace.SpanContext(7, 8, is_remote=True, trace_flags=trace.TraceFlags(0))


@traced
def leaf() -> trace.Span:
    return trace.get_current_span()


@traced
def chain() -> tuple[trace.Span, trace.Span]:
    return trace.get_current_span(), leaf()


def test_suppress_tracing(spans: SpanLog, handler: Any) -> None:
    """No spans in the block, in every provider, and tasks and other handlers as ever."""
    other, log = logged_provider()
    with use_config(callbacks=[handler, OTelCallbackHandler(tracer_provider=other)]):
        with suppress_tracing():
            asyncio.run(asyncio.to_thread(chain))
            chain()
        leaf()
    assert spans.tree() == log.tree() == ["leaf"]
    assert handler.events.methods.count("on_chain_start") == 5


def test_suppressed_in_the_middle(spans: SpanLog) -> None:
    """Runs around the block have their spans, and the block's end switches tracing on again."""

    @traced
    def outer() -> None:
        with suppress_tracing():
            chain()
            assert trace.get_current_span() is spans.named("outer")
        leaf()

    outer()
    assert spans.tree() == ["outer", "  leaf"]


def test_a_run_that_ends_in_the_block(spans: SpanLog) -> None:
    """A span that was started before the block ends in it."""
    run = CallbackManager.configure().on_chain_start({}, {}, name="run")
    with suppress_tracing():
        run.on_chain_end({})
    assert spans.outcomes() == {"run": "ok"}


KEYS = [_SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation"]
"""What OpenTelemetry's `suppress_instrumentation` sets and looks for, the older plain key too."""


@pytest.mark.parametrize("key", KEYS, ids=["key", "plain name"])
def test_suppression_by_others(key: str, spans: SpanLog) -> None:
    """OpenTelemetry's own switch is honoured, wherever it was set."""
    token = attach(set_value(key, True))
    chain()
    detach(token)
    assert spans.started == []


@pytest.mark.parametrize("key", KEYS, ids=["key", "plain name"])
def test_others_see_our_suppression(key: str) -> None:
    """HTTP instrumentations are silent in the block too."""
    with suppress_tracing():
        assert get_value(key) is True
    assert get_value(key) is None


@pytest.mark.parametrize("ambient", [None, REMOTE])
@pytest.mark.parametrize("kind", ["no SDK", "no-op", "proxy"])
def test_no_sdk(kind: str, ambient: Any) -> None:
    """Without an SDK the current span is the one around the program, and stays it."""
    provider: Any = {"no SDK": None, "no-op": trace.NoOpTracerProvider(), "proxy": None}[kind]
    with global_provider(provider):
        around = trace.INVALID_SPAN if ambient is None else trace.NonRecordingSpan(ambient)
        token = attach(trace.set_span_in_context(around))
        handler = OTelCallbackHandler(
            tracer_provider=trace.get_tracer_provider() if kind == "proxy" else provider
        )
        with use_config(callbacks=[handler]):
            assert chain() == (around, around)
        detach(token)


def test_a_proxy_is_the_provider_it_stands_for(handler: Any) -> None:
    """A provider taken before the SDK was set up works from when it is, and gives one span."""
    early = OTelCallbackHandler(tracer_provider=trace.get_tracer_provider())
    with use_config(callbacks=[early, OTelCallbackHandler()]):
        chain()
        provider, log = logged_provider()
        with global_provider(provider):
            chain()
    assert log.tree() == ["chain", "  leaf"]


@pytest.mark.parametrize("parent", [REMOTE, NOT_SAMPLED])
def test_sdk_disabled(parent: Any, monkeypatch: Any) -> None:
    """OTEL_SDK_DISABLED makes no spans, and a trace that came in goes on to who is called."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    provider, log = logged_provider()
    with global_provider(provider):
        token = attach(trace.set_span_in_context(trace.NonRecordingSpan(parent)))
        assert [span.get_span_context() for span in chain()] == [parent] * 2
        detach(token)
        assert {span.get_span_context().is_valid for span in chain()} == {False}
    assert log.started == []


@pytest.mark.parametrize("with_parent", [False, True])
def test_not_sampled(with_parent: bool) -> None:
    """An unsampled trace makes no records, and its id and its decision still travel on."""
    provider, log = logged_provider(sampler=ParentBased(ALWAYS_OFF))
    handler = OTelCallbackHandler(tracer_provider=provider, capture_content=True)
    ambient = trace.NonRecordingSpan(NOT_SAMPLED) if with_parent else trace.INVALID_SPAN
    token = attach(trace.set_span_in_context(ambient))
    with use_config(callbacks=[handler]):
        contexts = [span.get_span_context() for span in chain()]
    detach(token)
    assert log.started == []
    assert len({context.trace_id for context in contexts}) == 1
    assert all(context.is_valid and not context.trace_flags.sampled for context in contexts)
    if with_parent:
        assert contexts[0].trace_id == 7


@pytest.mark.parametrize("remote", [False, True])
def test_a_sampled_trace_within_one_that_is_not(spans: SpanLog, remote: bool) -> None:
    """The program's own trace, begun inside a request that is not sampled, is not lost with it."""

    @traced
    def outer() -> None:
        leaf()
        with trace.get_tracer("user").start_as_current_span("own", context=Context()):
            leaf()
        outer_started.append(trace.get_current_span().get_span_context())

    outer_started: list[trace.SpanContext] = []
    ambient = trace.SpanContext(7, 8, is_remote=remote)
    with trace.use_span(trace.NonRecordingSpan(ambient)):
        outer()
    assert outer_started == [ambient]
    assert spans.tree() == ["own", "  leaf"]


class RecordAll(Sampler):
    """Records what another sampler drops, for the span processors alone."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        result = self._sampler.should_sample(*args, **kwargs)
        return SamplingResult(Decision.RECORD_ONLY, result.attributes, result.trace_state)

    def get_description(self) -> str:
        return f"RecordAll{{{self._sampler.get_description()}}}"


@pytest.mark.parametrize("sampler", [RecordAll(DEFAULT_ON), ParentBased(DEFAULT_ON, **KEEP)])
@pytest.mark.parametrize("remote", [False, True])
def test_a_sampler_that_keeps_what_others_drop_is_asked(sampler: Sampler, remote: bool) -> None:
    """Whoever measures all spans, sampled or not, gets those of runs too."""
    provider, log = logged_provider(sampler=sampler)
    ambient = trace.NonRecordingSpan(trace.SpanContext(7, 8, is_remote=remote))
    with global_provider(provider), trace.use_span(ambient):
        chain()
    assert len(log.started) == 2


def test_children_of_an_unsampled_run_are_unsampled() -> None:
    """The root's decision holds for the whole tree: no trace may begin in its middle."""
    provider, log = logged_provider(sampler=ParentBased(ALWAYS_OFF))
    with use_config(callbacks=[OTelCallbackHandler(tracer_provider=provider)]):
        run = CallbackManager.configure().on_chain_start({}, {}, name="run")
        child = run.get_child()
        run.on_chain_end({})
        late = child.on_chain_start({}, {}, name="late")
        with late.activate():
            assert trace.get_current_span().get_span_context().is_valid
    assert log.started == []


def test_redact_is_not_asked_for_nothing() -> None:
    """What does not record costs nothing: no content is looked at."""

    def redact(key: str, value: Any) -> Any:
        raise AssertionError

    provider = TracerProvider(sampler=ALWAYS_OFF)
    handler = OTelCallbackHandler(tracer_provider=provider, capture_content=True, redact=redact)
    with use_config(callbacks=[handler]):
        chain()


def test_a_program_without_the_sdk_set_up() -> None:
    """Importing and running callspan sets up nothing global by itself."""
    code = (
        "import callspan, opentelemetry.trace as t\n"
        "print(callspan.traced(lambda: 5)(), type(t.get_tracer_provider()).__name__)"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["5", "ProxyTracerProvider"]
    assert done.stderr == ""
