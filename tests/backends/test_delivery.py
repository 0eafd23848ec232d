"""Spans of the plain OpenTelemetry SDK, through the Collector, back out of Jaeger."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.util.types import AnyValue

from .collector import Collector
from .jaeger import Event, Jaeger

EXPORTERS: dict[str, Callable[[Collector], SpanExporter]] = {
    "grpc": lambda collector: GrpcExporter(collector.otlp_grpc),
    "http": lambda collector: HttpExporter(f"{collector.otlp_http}/v1/traces"),
}


@pytest.mark.parametrize("protocol", EXPORTERS)
def test_a_trace_comes_back_as_it_was_sent(
    protocol: str, collector: Collector, jaeger: Jaeger
) -> None:
    """Every later test of a delivery reads Jaeger, so nothing may be lost or bent on that way."""
    provider = TracerProvider(resource=Resource({"service.name": f"delivery-{protocol}"}))
    provider.add_span_processor(BatchSpanProcessor(EXPORTERS[protocol](collector)))
    tracer = provider.get_tracer("tests")
    attributes: dict[str, AnyValue] = {
        "text": "1 + 2 = 3",
        "count": 3,
        "ratio": 0.5,
        "on": True,
        "list": ["a", "b"],
    }
    with (
        tracer.start_as_current_span("parent", attributes=attributes) as sent,
        tracer.start_as_current_span("child", kind=SpanKind.CLIENT) as sent_child,
    ):
        sent_child.add_event("first_token", {"index": 0})
        sent_child.set_status(Status(StatusCode.ERROR, "overloaded"))
    provider.shutdown()

    context = sent.get_span_context()
    parent, child = jaeger.trace(context.trace_id, spans=2)

    assert (parent.name, child.name) == ("parent", "child")
    assert parent.span_id == f"{context.span_id:016x}"
    assert parent.parent_id is None
    assert child.parent_id == parent.span_id
    assert parent.attributes == attributes
    assert parent.start_ns <= child.start_ns <= child.end_ns <= parent.end_ns
    assert parent.resource["service.name"] == f"delivery-{protocol}"
    assert parent.scope == "tests"
    assert parent.status is StatusCode.UNSET
    assert child.kind is SpanKind.CLIENT
    assert (child.status, child.status_message) == (StatusCode.ERROR, "overloaded")
    assert child.events == (Event("first_token", {"index": 0}),)


def test_missing_spans_are_named(collector: Collector, jaeger: Jaeger) -> None:
    """A trace with holes must fail its test, saying what did arrive."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(EXPORTERS["grpc"](collector)))
    with provider.get_tracer("tests").start_as_current_span("alone") as sent:
        pass
    provider.shutdown()

    trace_id = sent.get_span_context().trace_id
    jaeger.trace(trace_id, spans=1)
    with pytest.raises(TimeoutError, match=r"1 of 2 spans of trace .*: \['alone'\]"):
        jaeger.trace(trace_id, spans=2, timeout=0)
