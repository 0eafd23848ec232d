"""What a program may call its things, hostile as it is, does not cost it a trace or a secret."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.baggage import set_baggage
from opentelemetry.context import attach, detach
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from callspan import OTelCallbackHandler, dispatch_custom_event, use_config
from callspan.callbacks import CallbackManager
from callspan.runnables import RunnableLambda
from support import SpanLog

LONE = "\ud800"
KEY = "sk-ant-api03-abcdefgh12345678"


def spans_of(**options: Any) -> tuple[OTelCallbackHandler, SpanLog]:
    provider, spans = TracerProvider(shutdown_on_exit=False), SpanLog()
    provider.add_span_processor(spans)
    return OTelCallbackHandler(tracer_provider=provider, **options), spans


def sent(span: ReadableSpan) -> str:
    """A span as it is sent; encoding fails for what OTLP cannot say."""
    return str(encode_spans([span]))


def test_redact_sees_who_the_user_is() -> None:
    """Who hashes the user's id in metadata means the attribute that shows it as well."""

    def redact(key: str, value: Any) -> Any:
        return None if key == "session.id" else f"hash of {key}"

    handler, spans = spans_of(redact=redact)
    with use_config(callbacks=[handler], session_id="s", user_id="ada@example.org"):
        RunnableLambda(lambda x: x).invoke(1)
    attributes = spans.ended[0].attributes or {}
    assert attributes["user.id"] == "hash of user.id"
    assert "session.id" not in attributes
    assert "ada@example.org" not in sent(spans.ended[0])


@pytest.mark.parametrize("in_baggage", [True, False])
def test_a_secret_is_nobodys_name(in_baggage: bool) -> None:
    """API keys stand in for users in many a program, and are never recorded."""
    handler, spans = spans_of()
    token = attach(set_baggage("user_id", KEY) if in_baggage else set_baggage("a", "b"))
    try:
        metadata = {} if in_baggage else {"user_id": KEY}
        RunnableLambda(lambda x: x).invoke(1, {"callbacks": [handler], "metadata": metadata})
    finally:
        detach(token)
    assert (spans.ended[0].attributes or {})["user.id"] == "[secret]"
    assert KEY not in sent(spans.ended[0])


@pytest.mark.parametrize("name", [LONE, "e" * 100_000, KEY, 5, None])
def test_no_name_of_an_event_stops_a_batch(name: Any) -> None:
    """One name that OTLP cannot say costs all spans that are sent with it, of other runs too."""
    handler, spans = spans_of()

    def report(value: int) -> int:
        dispatch_custom_event(name, {"progress": value})
        return value

    RunnableLambda(report).invoke(1, {"callbacks": [handler]})
    (event,) = spans.ended[0].events
    assert type(event.name) is str
    assert len(event.name) <= 1024
    assert KEY not in sent(spans.ended[0])


def test_labels_that_cannot_be_sent_are_mended(caplog: pytest.LogCaptureFixture) -> None:
    """A label cut in the middle of a character is worth more than none, and than an error."""
    handler, spans = spans_of()
    manager = CallbackManager.configure([handler], inheritable_metadata={f"key{LONE}": 1})
    manager.on_chain_start({"name": "mended"}, {}, run_type=f"type{LONE}").on_chain_end(1)
    attributes = spans.ended[0].attributes or {}
    assert attributes["callspan.metadata.key\ufffd"] == 1
    assert attributes["callspan.run.type"] == "type\ufffd"
    sent(spans.ended[0])
    assert not caplog.records


def test_a_stack_through_a_strangely_named_file_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    """Python's names of files that are no UTF-8 have surrogates; the stack is needed anyway."""
    handler, spans = spans_of()

    def fail(value: int) -> float:
        return value / 0

    fail.__code__ = fail.__code__.replace(co_filename="/srv/caf\udce9.py")
    with pytest.raises(ZeroDivisionError):
        RunnableLambda(fail).invoke(1, {"callbacks": [handler]})
    assert "/srv/caf\ufffd.py" in sent(spans.ended[0])
    assert not caplog.records
