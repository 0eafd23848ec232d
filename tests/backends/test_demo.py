"""The demo's agent, through the project's own Collector config, back out of Jaeger."""

from __future__ import annotations

import json
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from callspan import OTelCallbackHandler
from callspan.demo.extractive import ExtractiveChatModel
from callspan.demo.librarian import librarian

from .collector import Collector
from .jaeger import Jaeger, Span

QUESTION = "Which list-like sequence is optimized for accesses near its endpoints?"


def test_the_demos_trace_is_in_jaeger_span_for_span(collector: Collector, jaeger: Jaeger) -> None:
    """What a user looks at in Jaeger is the run tree, with nothing lost between here and there."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "callspan-demo"}))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(f"{collector.otlp_http}/v1/traces"))
    )
    handler = OTelCallbackHandler(tracer_provider=provider, capture_content=True)

    agent = librarian(ExtractiveChatModel())
    *_, state = agent.stream({"messages": [QUESTION]}, {"callbacks": [handler]})
    provider.shutdown()

    sent = kept.get_finished_spans()
    (trace_id,) = {span.context.trace_id for span in sent if span.context}
    stored = jaeger.trace(trace_id, spans=len(sent))

    attempt = {"retrieval DocumentationRetriever": []}
    assert _tree(stored, None) == [
        {
            "invoke_agent librarian": [
                {"chat extractive-demo": []},
                {"execute_tool search_docs": [{"DocumentationRetriever": [attempt, attempt]}]},
                {"chat extractive-demo": []},
                {"execute_tool signature": []},
                {"chat extractive-demo": []},
            ]
        }
    ]
    by_id = {span.span_id: span for span in stored}
    for span in sent:
        _assert_same(span, by_id)
    attempts = sorted(
        (span.attributes["callspan.run.attempt"], span.attributes["callspan.run.outcome"])
        for span in stored
        if span.name == "retrieval DocumentationRetriever"
    )
    assert attempts == [(1, "error"), (2, "ok")]
    shown = next(span for span in stored if span.name == "execute_tool signature")
    assert shown.attributes["error.type"] == "ValueError"
    agents = next(span for span in stored if span.name == "invoke_agent librarian")
    models = sorted(
        (span for span in stored if span.name == "chat extractive-demo"),
        key=lambda span: span.start_ns,
    )
    (said,) = json.loads(models[-1].attributes["gen_ai.output.messages"])
    assert said["parts"][0]["content"] == state["messages"][-1].text
    for count in ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"):
        assert agents.attributes[count] == sum(span.attributes[count] for span in models)
    assert [event.name for event in models[-1].events] == ["first_token"]
    assert [event.name for event in agents.events] == [
        "agent_action",
        "agent_action",
        "agent_finish",
    ]


def _tree(spans: Sequence[Span], parent_id: str | None) -> list[dict[str, object]]:
    """Name and children of each span, in the order in which they started."""
    level = [span for span in spans if span.parent_id == parent_id]
    level.sort(key=lambda span: span.start_ns)
    return [{span.name: _tree(spans, span.span_id)} for span in level]


def _assert_same(span: ReadableSpan, stored: dict[str, Span]) -> None:
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
