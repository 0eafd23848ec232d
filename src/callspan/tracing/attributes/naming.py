"""What a run's span is called, and what kind of span it is."""

from __future__ import annotations

from opentelemetry.trace import SpanKind

from callspan.tracing.attributes import names
from callspan.tracing.attributes.request import data_source_of, model_of, provider_of, server_of
from callspan.tracing.attributes.run import RunStart


def span_name(start: RunStart) -> str:
    """Return the name of a run's span: its operation and what that is done to or with."""
    kind = start.kind
    if kind == "chain":
        if start.type == "agent":
            return f"{names.INVOKE_AGENT} {start.name}"
        return f"{names.INVOKE_WORKFLOW} {start.name}" if start.root else start.name
    if kind == "tool":
        return f"{names.EXECUTE_TOOL} {start.name}"
    if kind == "retriever":
        return f"{names.RETRIEVAL} {data_source_of(start) or start.name}"
    operation = names.CHAT if kind == "chat_model" else names.TEXT_COMPLETION
    return f"{operation} {model_of(start) or start.name}"


def span_kind(start: RunStart) -> SpanKind:
    """Return CLIENT for a call of a service, INTERNAL for what runs in this process."""
    kind = start.kind
    if kind == "retriever":
        return SpanKind.CLIENT
    if kind not in ("chat_model", "llm"):
        return SpanKind.INTERNAL
    provider = provider_of(start)
    remote = server_of(start) is not None or (provider is not None and "fake" not in provider)
    return SpanKind.CLIENT if remote else SpanKind.INTERNAL
