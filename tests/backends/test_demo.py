"""The demo's agent, through the project's own Collector config, back out of Jaeger."""

from __future__ import annotations

import json

from callspan import OTelCallbackHandler
from callspan.demo.extractive import ExtractiveChatModel
from callspan.demo.librarian import librarian

from .collector import Collector
from .compare import assert_same, sending, tree
from .jaeger import Jaeger

QUESTION = "Which list-like sequence is optimized for accesses near its endpoints?"


def test_the_demos_trace_is_in_jaeger_span_for_span(collector: Collector, jaeger: Jaeger) -> None:
    """What a user looks at in Jaeger is the run tree, with nothing lost between here and there."""
    provider, kept = sending(f"{collector.otlp_http}/v1/traces", "callspan-demo")
    handler = OTelCallbackHandler(tracer_provider=provider, capture_content=True)

    agent = librarian(ExtractiveChatModel())
    *_, state = agent.stream({"messages": [QUESTION]}, {"callbacks": [handler]})
    provider.shutdown()

    sent = kept.get_finished_spans()
    (trace_id,) = {span.context.trace_id for span in sent if span.context}
    stored = jaeger.trace(trace_id, spans=len(sent))

    attempt = {"retrieval DocumentationRetriever": []}
    assert tree(stored) == [
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
        assert_same(span, by_id)
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
