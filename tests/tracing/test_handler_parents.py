"""Whose child a run's span is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import Context as Variables
from typing import Any
from uuid import uuid4

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler, SamplingResult
from opentelemetry.trace import Tracer

from callspan import OTelCallbackHandler, suppress_tracing, traced, use_config
from callspan.callbacks import CallbackManager, CallbackManagerForChainRun
from support import SpanLog


def start(name: str, manager: Any = None, **options: Any) -> CallbackManagerForChainRun:
    manager = manager or CallbackManager.configure()
    return manager.on_chain_start({}, {}, name=name, **options)  # type: ignore[no-any-return]


def elsewhere(call: Callable[[], Any]) -> Any:
    """Call in a thread that has no Context of ours."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: Variables().run(lambda: results.append(call())))
    thread.start()
    thread.join()
    return results[0]


def test_no_parent_at_all(spans: SpanLog) -> None:
    """A run of its own begins a trace of its own."""
    for name in "ab":
        start(name).on_chain_end({})
    first, second = spans.ended
    assert first.parent is second.parent is None
    assert first.context.trace_id != second.context.trace_id


def test_the_ambient_span(spans: SpanLog, tracer: Tracer) -> None:
    """A run in an HTTP server's span belongs to that request."""
    with tracer.start_as_current_span("server"):
        run = start("run")
        with run.activate():
            start("child")
    assert spans.tree() == ["server", "  run", "    child"]


def test_a_remote_parent(spans: SpanLog) -> None:
    """A trace that came in with a traceparent header goes on."""
    remote = trace.SpanContext(7, 8, is_remote=True, trace_flags=trace.TraceFlags(1))
    token = attach(trace.set_span_in_context(trace.NonRecordingSpan(remote)))
    run = start("run")
    with run.activate():
        start("child")
    detach(token)
    assert spans.named("run").parent == remote
    assert spans.parent_of("child") == "run"
    assert {span.context.trace_id for span in spans.started} == {7}


def test_the_users_span_inside_the_parent_run(spans: SpanLog, tracer: Tracer) -> None:
    """What the body calls inside a span of its own is that span's child."""
    run = start("run")
    with run.activate():
        with tracer.start_as_current_span("user"), use_config(tags=["t"]):
            start("in user")
        start("in run")
    assert spans.tree() == ["run", "  user", "    in user", "  in run"]


def test_a_parent_that_is_not_around(spans: SpanLog, tracer: Tracer) -> None:
    """A child manager names its parent wherever it is used, whatever span is current there."""
    run = start("run")
    child = run.get_child()
    with tracer.start_as_current_span("user"):
        start("in user", child)
        other = start("other")
        with other.activate():
            start("in other", child)
    elsewhere(lambda: start("in thread", child))
    for name in ("in user", "in other", "in thread"):
        assert spans.parent_of(name) == "run"


def test_a_parent_that_is_known_by_its_id_alone(spans: SpanLog, tracer: Tracer) -> None:
    """A framework may pass on no more than the parent's run id, open or ended."""
    run = start("run")
    manager = CallbackManager.configure(CallbackManager([], parent_run_id=run.run_id))
    with tracer.start_as_current_span("user"):
        start("first", manager)
        run.on_chain_end({})
        start("second", manager)
    assert spans.parent_of("first") == spans.parent_of("second") == "run"


def test_a_parent_that_nobody_knows(spans: SpanLog, tracer: Tracer) -> None:
    """An id from another tracing system has no span: what is around is the best there is."""
    manager = CallbackManager.configure(CallbackManager([], parent_run_id=uuid4()))
    start("alone", manager)
    with tracer.start_as_current_span("user"):
        start("in user", manager)
    assert spans.tree() == ["alone", "user", "  in user"]


def test_a_parent_that_has_no_span(spans: SpanLog) -> None:
    """Runs below one that was not traced belong to the nearest that was."""
    run = start("run")
    with run.activate():
        with suppress_tracing():
            hidden = start("hidden")
        with hidden.activate():
            start("below")
    assert spans.tree() == ["run", "  below"]


def test_only_the_handler_of_one_object(spans: SpanLog, other_provider: TracerProvider) -> None:
    """A constructor's handler sees its own run alone, as a root of that provider's."""
    handler = OTelCallbackHandler(tracer_provider=other_provider)
    run = start("run", CallbackManager.configure(None, [handler]))
    with run.activate():
        start("child")
    assert spans.tree() == ["run", "  child"]


def test_many_generations_and_siblings(spans: SpanLog) -> None:
    """Recursion and repetition: the tree is the tree of calls."""

    @traced(name="node")
    def node(depth: int) -> None:
        for _ in range(depth):
            node(depth - 1)

    node(3)

    def lines(depth: int, level: int = 0) -> list[str]:
        below = [line for _ in range(depth) for line in lines(depth - 1, level + 1)]
        return ["  " * level + "node", *below]

    assert spans.tree() == lines(3)


class Asking(Sampler):
    """Notes what a sampler gets to see."""

    def __init__(self) -> None:
        self.asked: list[tuple[Context | None, str, Any]] = []

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        links: Sequence[Any] | None = None,
        trace_state: Any = None,
    ) -> SamplingResult:
        self.asked.append((parent_context, name, dict(attributes or {})))
        return ALWAYS_ON.should_sample(parent_context, trace_id, name, kind, attributes, links)

    def get_description(self) -> str:
        return "asking"


@pytest.mark.parametrize("from_elsewhere", [False, True])
def test_what_a_sampler_sees(from_elsewhere: bool) -> None:
    """Samplers decide by the Context with its baggage, and by attributes given at the start."""
    sampler = Asking()
    handler = OTelCallbackHandler(tracer_provider=TracerProvider(sampler=sampler))
    run = start("run", CallbackManager.configure([handler]))
    token = attach(baggage.set_baggage("k", "v"))
    if from_elsewhere:
        start("child", run.get_child())
    else:
        with run.activate():
            start("child")
    detach(token)
    context, _, attributes = sampler.asked[1]
    assert baggage.get_baggage("k", context) == "v"
    assert trace.get_current_span(context).get_span_context() == handler.get_span_context(
        run.run_id
    )
    assert attributes["callspan.run.name"] == "child"
    assert attributes["callspan.run.id"]
