"""What a run's span is called, and what kind of span it is."""

from __future__ import annotations

from opentelemetry.trace import SpanKind

from callspan.tracing.attributes import names
from callspan.tracing.attributes.request import data_source_of, request_of
from callspan.tracing.attributes.run import RunStart


def span_name(start: RunStart) -> str:
    """Return the name of a run's span: its operation and what that is done to or with."""
    kind, known = start.kind, None
    if kind == "retriever":
        known = data_source_of(start)
    elif kind in ("chat_model", "llm"):
        known = request_of(start).model
    thing = start.thing
    return f"{thing.attributes[names.OPERATION_NAME]} {known}" if known else thing.span_name


def span_kind(start: RunStart) -> SpanKind:
    """Return CLIENT for a call of a service, INTERNAL for what runs in this process."""
    if start.kind in ("chat_model", "llm"):
        request = request_of(start)
        provider = request.provider
        if request.server is not None or (provider is not None and "fake" not in provider):
            return SpanKind.CLIENT
    return start.thing.span_kind
