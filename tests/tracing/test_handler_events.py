"""What happens to a run between start and end, on its span."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from tenacity import Future, RetryCallState, Retrying

from callspan import (
    ConfigurationError,
    OTelCallbackHandler,
    dispatch_custom_event,
    suppress_tracing,
    traced,
)
from callspan.callbacks import CallbackManager
from callspan.outputs import AgentAction, AgentFinish
from support import SpanLog, global_provider, logged_provider

FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"


def events(spans: SpanLog) -> list[tuple[str, dict[str, Any]]]:
    (span,) = spans.started
    return [(event.name, dict(event.attributes or {})) for event in span.events]


def start(name: str = "run", **options: Any) -> Any:
    handler = OTelCallbackHandler(**options)
    return CallbackManager.configure([handler]).on_chain_start({}, {}, name=name)


def test_first_token(spans: SpanLog) -> None:
    """The time to the first token is what users of a stream feel: only the first one counts."""
    (run,) = CallbackManager.configure().on_llm_start({}, ["p"], name="model")
    span = spans.named("model")
    assert FIRST_CHUNK not in span.attributes
    run.on_llm_new_token("a")
    first = span.attributes[FIRST_CHUNK]
    run.on_llm_new_token("b")
    assert span.attributes[FIRST_CHUNK] == first > 0
    assert span.attributes["gen_ai.request.stream"] is True
    assert events(spans) == [("first_token", {})]


def send_all(run: Any) -> None:
    run.on_text("the text")
    run.on_agent_action(AgentAction(tool="search", tool_input={"q": 1}, log=""))
    run.on_agent_finish(AgentFinish(return_values={"output": "done"}, log=""))
    with run.activate():
        dispatch_custom_event("mine", {"n": [1]})
        dispatch_custom_event("empty", None)


def test_without_content(spans: SpanLog) -> None:
    """That something happened is no content; what was said is."""
    send_all(start())
    assert events(spans) == [
        ("text", {}),
        ("agent_action", {"gen_ai.tool.name": "search"}),
        ("agent_finish", {}),
        ("mine", {}),
        ("empty", {}),
    ]


def test_with_content(spans: SpanLog) -> None:
    """With consent the events carry what was said, as JSON."""
    send_all(start(capture_content=True))
    data = {name: attributes.get("callspan.event.data") for name, attributes in events(spans)}
    assert {name: one and json.loads(one) for name, one in data.items()} == {
        "text": "the text",
        "agent_action": {"q": 1},
        "agent_finish": {"output": "done"},
        "mine": {"n": [1]},
        "empty": None,
    }


@pytest.mark.parametrize("redacted", [None, "[gone]"])
def test_redacted(redacted: str | None, spans: SpanLog, forbidden: Any) -> None:
    """What `redact` takes away is away, and leaves no half-empty attribute behind."""
    seen: list[str] = []

    def redact(key: str, value: Any) -> Any:
        seen.append(key)
        return redacted if key == "callspan.event.data" else value

    send_all(start(capture_content=True, redact=redact))
    assert seen.count("callspan.event.data") == 4
    kept = [one["callspan.event.data"] for _, one in events(spans) if "callspan.event.data" in one]
    assert kept == ([] if redacted is None else ['"[gone]"'] * 4)


def test_retry(spans: SpanLog) -> None:
    """A retry names the attempt that failed and its error's type, and no message."""
    state = RetryCallState(Retrying(), None, (), {})
    run = start(capture_content=True)
    run.on_retry(state)
    failed = Future(1)
    failed.set_exception(ValueError("secret"))
    state.outcome, state.attempt_number = failed, 2
    run.on_retry(state)
    succeeded = Future(3)
    succeeded.set_result("a result that is to be tried again")
    state.outcome, state.attempt_number = succeeded, 3
    run.on_retry(state)
    assert events(spans) == [
        ("retry", {"callspan.run.attempt": 1}),
        ("retry", {"callspan.run.attempt": 2, "error.type": "ValueError"}),
        ("retry", {"callspan.run.attempt": 3}),
    ]


def test_a_redact_that_is_traced_itself(spans: SpanLog) -> None:
    """Its own runs would be redacted, and theirs: two for each, as deep as Python goes."""

    @traced
    def redact(key: str, value: Any) -> Any:
        return "[gone]"

    handler = OTelCallbackHandler(capture_content=True, redact=redact)
    run = CallbackManager.configure([handler]).on_chain_start({}, {"x": 1}, name="run")
    with run.activate():
        run.on_chain_end("out")
    (span,) = spans.ended
    assert (span.attributes["input.value"], span.attributes["output.value"]) == (
        '"[gone]"',
        "[gone]",
    )


def test_a_tools_name_that_a_model_made_up_can_be_sent(spans: SpanLog) -> None:
    """Models write what they like there, at any length; one surrogate would lose the event."""
    start().on_agent_action(AgentAction(tool="\ud800" + "x" * 10_000, tool_input={}, log=""))
    ((_, attributes),) = events(spans)
    assert len(attributes["gen_ai.tool.name"].encode()) <= 1024


def test_get_span(spans: SpanLog) -> None:
    """A user sets attributes of their own on the open run's span, and finds its trace later."""
    handler = OTelCallbackHandler()
    run = CallbackManager.configure([handler]).on_chain_start({}, {}, name="run")
    span = handler.get_span(run.run_id)
    assert span is spans.started[0]
    assert handler.get_span_context(run.run_id) == span.get_span_context()
    run.on_chain_end({})
    assert handler.get_span(run.run_id) is None
    assert handler.get_span_context(run.run_id) == span.get_span_context()
    assert handler.get_span(uuid4()) is handler.get_span_context(uuid4()) is None


@pytest.mark.parametrize("run_id", ["7c9e6679-7425-40de-944b-e07fc1f90ae7", 5, None])
def test_get_span_of_what_is_no_id(run_id: Any, spans: SpanLog) -> None:
    """An id that went through JSON is a text: it is to be said, not to be a run never heard of."""
    for method in (OTelCallbackHandler().get_span, OTelCallbackHandler().get_span_context):
        with pytest.raises(ConfigurationError, match="run_id takes a UUID"):
            method(run_id)


def test_span_contexts_are_kept_for_a_while() -> None:
    """The memory of ended runs is bounded: the latest thousand are known, and few more."""
    handler = OTelCallbackHandler(tracer_provider=TracerProvider())
    manager = CallbackManager.configure([handler])
    ids: list[UUID] = []
    for _ in range(2_002):
        run = manager.on_chain_start({}, {})
        run.on_chain_end({})
        ids.append(run.run_id)
    known = [handler.get_span_context(run_id) is not None for run_id in ids]
    assert known[-1_000:] == [True] * 1_000
    assert known[0] is False


def test_without_a_span() -> None:
    """No SDK, or tracing switched off: the questions have an answer, and the events no effect."""
    run = start()
    send_all(run)
    assert OTelCallbackHandler().get_span(run.run_id) is None
    provider, log = logged_provider()
    handler = OTelCallbackHandler(tracer_provider=provider)
    with suppress_tracing():
        run = CallbackManager.configure([handler]).on_chain_start({}, {})
        send_all(run)
    assert handler.get_span(run.run_id) is handler.get_span_context(run.run_id) is None
    assert log.started == []


def test_events_of_two_handlers(spans: SpanLog, other_spans: SpanLog) -> None:
    """Each provider's span has each event once."""
    send_all(start(tracer_provider=other_spans.provider))
    assert events(spans) == events(other_spans)
    assert len(events(spans)) == 5


def test_a_handler_without_sdk_beside_one_with(other_spans: SpanLog) -> None:
    """The handler of the missing global provider must not write onto the other one's span."""
    handlers = [
        OTelCallbackHandler(),
        OTelCallbackHandler(tracer_provider=other_spans.provider),
    ]
    run = CallbackManager.configure(handlers).on_chain_start({}, {}, name="run")
    send_all(run)
    run.on_chain_end({})
    assert len(events(other_spans)) == 5
    assert handlers[0].get_span_context(run.run_id) is None


def test_user_and_run_events_on_the_same_span(spans: SpanLog) -> None:
    """In the body `get_current_span()` is the run's own, for whatever OpenTelemetry offers."""

    @traced
    def body() -> None:
        trace.get_current_span().add_event("user")
        trace.get_current_span().set_attribute("user.key", 1)

    body()
    assert events(spans) == [("user", {})]
    assert spans.ended[0].attributes["user.key"] == 1


def test_a_run_that_outlives_its_provider(spans: SpanLog) -> None:
    """The global provider is replaced while a run is open: its own span gets its events and end."""
    run = start()
    provider, log = logged_provider()
    with global_provider(provider):
        send_all(run)
        with run.activate():
            traced(lambda: None, name="child")()
        run.on_chain_end({})
    assert len(spans.ended[0].events) == 5
    assert spans.outcomes() == {"run": "ok"}
    assert log.outcomes() == {"child": "ok"}
