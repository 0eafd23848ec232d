"""Several providers at once: each has a tree of its own, made from the tree of runs."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from callspan import OTelCallbackHandler, traced, use_config
from callspan.callbacks import CallbackManager
from support import SpanLog, current, logged_provider


@traced
def leaf() -> None:
    pass


@traced
def chain() -> None:
    leaf()
    leaf()


TREE = ["chain", "  leaf", "  leaf"]


def other(provider: TracerProvider, **options: Any) -> OTelCallbackHandler:
    return OTelCallbackHandler(tracer_provider=provider, **options)


def trace_ids(log: SpanLog) -> set[int]:
    return {span.context.trace_id for span in log.started}


@pytest.mark.parametrize("first", [True, False])
def test_two_trees(
    first: bool, spans: SpanLog, other_spans: SpanLog, other_provider: TracerProvider
) -> None:
    """Two backends get the whole tree each, with ids of their own."""
    handlers = [other(other_provider), OTelCallbackHandler()]
    with use_config(callbacks=handlers if first else handlers[::-1]):
        chain()
    assert spans.tree() == other_spans.tree() == TREE
    assert trace_ids(spans).isdisjoint(trace_ids(other_spans))
    assert spans.open == other_spans.open == []


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_which_span_is_current(
    first: bool, named: bool, spans: SpanLog, other_provider: TracerProvider
) -> None:
    """The application's own libraries trace to the global provider: that span is current."""
    seen: list[trace.Span] = []

    @traced
    def body() -> None:
        seen.append(trace.get_current_span())

    handlers = [other(other_provider), *([OTelCallbackHandler()] if named else [])]
    with use_config(callbacks=handlers if first else handlers[::-1]):
        body()
    assert seen == [spans.named("body")]


def test_which_span_is_current_in_a_run_started_by_hand(
    spans: SpanLog, other_provider: TracerProvider
) -> None:
    """A manager's handlers are told in the order given: whose span is current stays the same."""
    run = CallbackManager([other(other_provider), OTelCallbackHandler()]).on_chain_start({}, {})
    with run.activate():
        assert trace.get_current_span() is spans.started[0]
    run.on_chain_end({})


def test_without_a_global_provider_the_first_is_current(other_spans: SpanLog) -> None:
    """Between several providers of the user's own, the one passed first has its span current."""
    third, log = logged_provider()
    body = traced(trace.get_current_span)
    with use_config(callbacks=[other(other_spans.provider), other(third)]):
        assert body() is other_spans.started[-1]
    with use_config(callbacks=[other(third), other(other_spans.provider)]):
        assert body() is log.started[-1]


def test_the_users_spans(
    spans: SpanLog, tracer: Tracer, other_spans: SpanLog, other_provider: TracerProvider
) -> None:
    """A user's span is part of its own provider's tree, and the other tree goes past it."""

    @traced
    def body() -> None:
        with tracer.start_as_current_span("user"):
            leaf()

    with tracer.start_as_current_span("server"), use_config(callbacks=[other(other_provider)]):
        body()
    assert spans.tree() == ["server", "  body", "    user", "      leaf"]
    assert other_spans.tree() == ["body", "  leaf"]


def test_a_users_span_of_the_other_provider(
    spans: SpanLog, other_spans: SpanLog, other_provider: TracerProvider
) -> None:
    """The same the other way round: a span of the second provider is a parent in it alone."""
    tracer = other_provider.get_tracer("user")
    with tracer.start_as_current_span("server"), use_config(callbacks=[other(other_provider)]):
        chain()
    assert spans.tree() == TREE
    assert other_spans.tree() == ["server", *("  " + line for line in TREE)]


def test_a_run_in_the_middle_that_one_does_not_cover(
    spans: SpanLog, other_spans: SpanLog, other_provider: TracerProvider
) -> None:
    """A provider's next run below belongs to its nearest run above."""

    @traced
    def outer() -> None:
        with use_config(inherit=False):
            middle()

    @traced
    def middle() -> None:
        with use_config(callbacks=[handler]):
            leaf()

    handler = other(other_provider)
    with use_config(callbacks=[handler]):
        outer()
    assert spans.tree() == ["outer", "  middle", "    leaf"]
    assert other_spans.tree() == ["outer", "  leaf"]


def test_a_child_from_elsewhere_that_another_provider_hears(
    spans: SpanLog, other_spans: SpanLog, other_provider: TracerProvider
) -> None:
    """A worker thread has no Context: the nearest run that a provider knows is above the parent."""
    handler = other(other_provider)
    top = CallbackManager.configure(None, [handler]).on_chain_start({}, {}, name="top")
    with top.activate():
        middle = CallbackManager.configure().on_chain_start({}, {}, name="middle")

    def work() -> None:
        child = CallbackManager.configure(middle.get_child(), [handler])
        child.on_chain_start({}, {}, name="child").on_chain_end({})

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    for run in (middle, top):
        run.on_chain_end({})
    assert spans.tree() == ["top", "  middle", "    child"]
    assert other_spans.tree() == ["top", "  child"]


def test_one_object_alone(
    spans: SpanLog, other_spans: SpanLog, other_provider: TracerProvider
) -> None:
    """A constructor's handler is of that object's runs; what is below is not current in it."""
    with use_config(inherit=True):
        run = CallbackManager.configure(None, [other(other_provider)]).on_chain_start(
            {}, {}, name="run"
        )
        with run.activate():
            assert current() == "run"
            chain()
        run.on_chain_end({})
    assert spans.tree() == ["run", *("  " + line for line in TREE)]
    assert other_spans.tree() == ["run"]


def test_a_remote_parent(
    spans: SpanLog, other_spans: SpanLog, other_provider: TracerProvider
) -> None:
    """A parent from elsewhere is nobody's in particular: the trace goes on in each provider."""
    remote = trace.SpanContext(7, 8, is_remote=True, trace_flags=trace.TraceFlags(1))
    token = attach(trace.set_span_in_context(trace.NonRecordingSpan(remote)))
    with use_config(callbacks=[other(other_provider)]):
        chain()
    detach(token)
    for log in (spans, other_spans):
        assert log.tree() == TREE
        assert trace_ids(log) == {7}
        assert log.named("chain").parent == remote


def test_a_remote_parent_inside_a_run(
    spans: SpanLog, other_spans: SpanLog, other_provider: TracerProvider
) -> None:
    """It belongs to the provider whose span was current there; the other one's tree stays whole."""
    remote = trace.SpanContext(7, 8, is_remote=True, trace_flags=trace.TraceFlags(1))

    @traced
    def body() -> None:
        with trace.use_span(trace.NonRecordingSpan(remote)):
            leaf()

    with use_config(callbacks=[other(other_provider)]):
        body()
    assert spans.named("leaf").parent == remote
    assert other_spans.tree() == ["body", "  leaf"]


def test_one_resource_for_both(spans: SpanLog, tracer: Tracer) -> None:
    """Providers often share a Resource, and are told apart all the same."""
    assert spans.provider is not None
    second, log = logged_provider(resource=spans.provider.resource)

    @traced
    def body() -> None:
        with tracer.start_as_current_span("user"):
            leaf()

    with tracer.start_as_current_span("server"), use_config(callbacks=[other(second)]):
        body()
    assert spans.tree() == ["server", "  body", "    user", "      leaf"]
    assert log.tree() == ["body", "  leaf"]
