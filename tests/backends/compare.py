"""What was sent, and what a backend has of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from .jaeger import Span


def sending(url: str, service: str) -> tuple[TracerProvider, InMemorySpanExporter]:
    """A provider that sends its spans to a URL, and keeps them."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": service}))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url)))
    return provider, kept


def tree(spans: Sequence[Span], parent_id: str | None = None) -> list[dict[str, object]]:
    """Name and children of each span, in the order in which they started."""
    level = [span for span in spans if span.parent_id == parent_id]
    level.sort(key=lambda span: span.start_ns)
    return [{span.name: tree(spans, span.span_id)} for span in level]


def assert_same(span: ReadableSpan, stored: Mapping[str, Span]) -> None:
    """Check that a span is stored as it was sent; `stored` is by id."""
    assert span.context is not None
    found = stored[f"{span.context.span_id:016x}"]
    assert found.name == span.name
    assert found.parent_id == (None if span.parent is None else f"{span.parent.span_id:016x}")
    assert found.kind is span.kind
    assert found.status is span.status.status_code
    assert dict(found.attributes) == {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in (span.attributes or {}).items()
    }
    assert (found.start_ns, found.end_ns) == (span.start_time, span.end_time)
    assert [event.name for event in found.events] == [event.name for event in span.events]
