"""One span a run and provider: several providers' trees, several handlers' options."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Tracer

from callspan import OTelCallbackHandler, traced, use_config
from callspan.callbacks import CallbackManager
from support import SpanLog, logged_provider


@traced
def leaf() -> None:
    pass


@traced
def chain(text: str = "") -> None:
    leaf()


TREE = ["chain", "  leaf"]


def other(provider: TracerProvider, **options: Any) -> OTelCallbackHandler:
    return OTelCallbackHandler(tracer_provider=provider, **options)


def test_one_of_them_does_not_sample(spans: SpanLog) -> None:
    """One provider's sampler says nothing about the other's spans."""
    second, log = logged_provider(sampler=ALWAYS_OFF, resource=Resource({"k": "v"}))
    with use_config(callbacks=[other(second)]):
        chain()
    assert spans.tree() == TREE
    assert log.started == []


def test_children_of_a_run_that_is_not_around(
    spans: SpanLog, other_spans: SpanLog, other_provider: TracerProvider, tracer: Tracer
) -> None:
    """A child manager finds each provider's span of the parent, wherever it is used."""
    run = CallbackManager.configure([other(other_provider)]).on_chain_start({}, {}, name="run")
    child = run.get_child()
    run.on_chain_end({})
    with tracer.start_as_current_span("user"):
        child.on_chain_start({}, {}, name="late").on_chain_end({})
    for log in (spans, other_spans):
        assert log.parent_of("late") == "run"


def test_errors_and_outcomes_in_both(
    spans: SpanLog, other_spans: SpanLog, other_provider: TracerProvider
) -> None:
    """What happened is said on every provider's span, with that handler's consent."""
    handlers = [OTelCallbackHandler(), other(other_provider, capture_error_text=True)]

    @traced
    def body() -> None:
        raise ValueError("the text")

    with use_config(callbacks=handlers), pytest.raises(ValueError, match="the text"):
        body()
    assert spans.outcomes() == other_spans.outcomes() == {"body": "error"}
    assert spans.ended[0].status.description is None
    assert other_spans.ended[0].status.description == "the text"


def marked(mark: str, **options: Any) -> OTelCallbackHandler:
    """A handler of the global provider that shows in what it records who it was."""
    return OTelCallbackHandler(capture_content=True, redact=lambda key, value: mark, **options)


def marks(spans: SpanLog) -> dict[str, str | None]:
    """Whose options the span of each run shows."""
    return {
        span.attributes["callspan.run.name"]: span.attributes.get("input.value")
        for span in spans.started
    }


def test_the_innermost_at_run_time_wins(spans: SpanLog) -> None:
    """Who covers a part of the program decides for it: redaction nearest to the data."""
    with use_config(callbacks=[marked("outer"), marked("outer, second")]):
        with use_config(callbacks=[marked("inner")]):
            chain()
        leaf()
    assert spans.tree() == ["chain", "  leaf", "leaf"]
    assert [span.attributes["input.value"] for span in spans.started] == [
        '"inner"', '"inner"', '"outer, second"',
    ]  # fmt: skip


def test_run_time_before_constructor_before_implicit(spans: SpanLog) -> None:
    """The caller knows more than the object, and the object more than the process."""
    manager = CallbackManager.configure(None, [marked("own")])
    manager.on_chain_start({}, {"x": 1}, name="own")
    both = CallbackManager.configure([marked("run time")], [marked("own")])
    both.on_chain_start({}, {"x": 1}, name="both")
    CallbackManager.configure().on_chain_start({}, {"x": 1}, name="implicit")
    assert marks(spans) == {"own": '"own"', "both": '"run time"', "implicit": None}


def test_a_constructors_options_are_that_objects_alone(spans: SpanLog) -> None:
    """The runs below go back to what holds around them."""
    run = CallbackManager.configure(None, [marked("own")]).on_chain_start({}, {"x": 1}, name="run")
    with run.activate():
        chain("x")
    assert marks(spans) == {"run": '"own"', "chain": None, "leaf": None}
    assert spans.tree() == ["run", *("  " + line for line in TREE)]


def test_the_end_keeps_the_starts_options(spans: SpanLog) -> None:
    """One handler has a run from its start to its end, whoever joins meanwhile."""
    run = CallbackManager.configure([marked("start")]).on_chain_start({}, {"x": 1}, name="run")
    with use_config(callbacks=[marked("later")]), run.activate():
        run.on_text("text")
        run.on_chain_end({"y": 1})
    (span,) = spans.ended
    assert span.attributes["output.value"] == '"start"'
    assert span.events[0].attributes["callspan.event.data"] == '"start"'


def test_the_same_provider_by_name_and_as_the_global_one(
    spans: SpanLog, provider: TracerProvider
) -> None:
    """A provider that is given and is the global one as well makes one span."""
    with use_config(callbacks=[other(provider), OTelCallbackHandler()]):
        chain()
    assert spans.tree() == TREE


def test_a_handler_of_the_same_provider_hears_nothing_twice(spans: SpanLog, handler: Any) -> None:
    """Other handlers are no doubles of each other, however alike they are."""
    with use_config(callbacks=[OTelCallbackHandler(), handler, OTelCallbackHandler(), handler]):
        chain()
    assert handler.events.methods.count("on_chain_start") == 2
    assert spans.tree() == TREE
