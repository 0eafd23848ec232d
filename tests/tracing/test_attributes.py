"""What a run's span is called, and what is on it from the start."""

from __future__ import annotations

import json
import logging
from typing import Any
from uuid import UUID

import pytest
from opentelemetry import baggage
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from callspan.messages import AIMessage
from callspan.outputs import ChatGeneration, LLMResult
from callspan.tracing.attributes import (
    RunStart,
    at_start,
    labels,
    of_output,
)
from callspan.tracing.content import ContentGate

RUN_ID = UUID("12345678-1234-5678-1234-567812345678")
NOWHERE = Context()
GATE = ContentGate(capture_content=False)


def run(kind: str = "chain", name: str = "thing", **given: Any) -> RunStart:
    return RunStart(
        kind,
        name,
        RUN_ID,
        given.get("root", False),
        given.get("serialized", {}),
        given.get("inputs"),
        given.get("tags", []),
        given.get("metadata", {}),
        given.get("extra", {}),
    )


def model(params: dict[str, Any] | None = None, **given: Any) -> RunStart:
    kind = given.pop("kind", "chat_model")
    return run(kind, "ChatThing", extra={"invocation_params": params or {}}, **given)


@pytest.mark.parametrize(
    ("start", "name", "kind"),
    [
        (run(root=True), "invoke_workflow thing", SpanKind.INTERNAL),
        (run(), "thing", SpanKind.INTERNAL),
        (run(extra={"run_type": "prompt"}), "thing", SpanKind.INTERNAL),
        (run(root=True, extra={"run_type": "agent"}), "invoke_agent thing", SpanKind.INTERNAL),
        (run("tool"), "execute_tool thing", SpanKind.INTERNAL),
        (run("retriever"), "retrieval thing", SpanKind.CLIENT),
        (
            run("retriever", metadata={"data_source_id": "docs"}),
            "retrieval docs",
            SpanKind.CLIENT,
        ),
        (
            model({"model": "claude-x"}, metadata={"ls_provider": "anthropic"}),
            "chat claude-x",
            SpanKind.CLIENT,
        ),
        (
            model({"model": "m", "base_url": "http://localhost:11434"}, kind="llm"),
            "text_completion m",
            SpanKind.CLIENT,
        ),
        (model(metadata={"ls_model_name": "m"}), "chat m", SpanKind.INTERNAL),
        (model(metadata={"ls_provider": "fakelist"}), "chat ChatThing", SpanKind.INTERNAL),
    ],
)
def test_a_span_is_named_and_kinded_as_the_conventions_say(
    start: RunStart, name: str, kind: SpanKind
) -> None:
    """Backends group by span name, and draw services from CLIENT spans."""
    assert (start.thing.span_name, start.thing.span_kind) == (name, kind)


def test_a_nested_chain_has_its_own_attributes_and_no_operation() -> None:
    """A step is no operation of the GenAI conventions: only its kind is told."""
    assert at_start(run(extra={"run_type": "parser"}), NOWHERE, GATE) == {
        "callspan.run.id": str(RUN_ID),
        "callspan.run.name": "thing",
        "callspan.run.type": "parser",
        "openinference.span.kind": "CHAIN",
    }


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (
            run(root=True),
            {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": "thing"},
        ),
        (
            run(extra={"run_type": "agent"}),
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": "thing",
                "openinference.span.kind": "AGENT",
            },
        ),
        (
            run("tool", serialized={"description": "Adds."}, extra={"tool_call_id": "c1"}),
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "thing",
                "gen_ai.tool.type": "function",
                "gen_ai.tool.description": "Adds.",
                "gen_ai.tool.call.id": "c1",
                "openinference.span.kind": "TOOL",
            },
        ),
        (
            run("retriever", metadata={"data_source_id": "docs"}),
            {
                "gen_ai.operation.name": "retrieval",
                "gen_ai.data_source.id": "docs",
                "openinference.span.kind": "RETRIEVER",
            },
        ),
    ],
)
def test_samplers_see_what_a_run_is(start: RunStart, expected: dict[str, Any]) -> None:
    """A sampler decides at the start: the operation must be there by then."""
    attributes = at_start(start, NOWHERE, GATE)
    assert expected.items() <= attributes.items()


def test_a_request_is_told_with_its_parameters() -> None:
    """Temperature and limits explain an answer; OTLP wants each in the conventions' type."""
    params = {
        "model": "claude-x",
        "temperature": 1,
        "top_p": 0.9,
        "top_k": 40,
        "max_tokens": 100,
        "stop": "END",
        "frequency_penalty": 0,
        "presence_penalty": 0.5,
        "seed": 7,
        "n": 2,
        "stream": True,
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {}},
        "base_url": "https://user:pw@api.example.com/v1",
        "api_key": "abcd",
    }
    attributes = at_start(model(params, metadata={"ls_provider": "xai"}), NOWHERE, GATE)
    own = {"callspan.run.id", "callspan.run.name", "callspan.run.type", "openinference.span.kind"}
    assert {key: value for key, value in attributes.items() if key not in own} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "x_ai",
        "gen_ai.request.model": "claude-x",
        "gen_ai.request.temperature": 1.0,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.frequency_penalty": 0.0,
        "gen_ai.request.presence_penalty": 0.5,
        "gen_ai.request.seed": 7,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.stream": True,
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.output.type": "json",
        "server.address": "api.example.com",
        "server.port": 443,
    }
    assert type(attributes["gen_ai.request.temperature"]) is float


def test_what_a_call_says_wins_over_the_models_defaults() -> None:
    """A model's metadata hold what it was made with; the request is what counts."""
    start = model(
        {"temperature": 0.1}, metadata={"ls_temperature": 0.9, "ls_max_tokens": 5, "ls_stop": ["a"]}
    )
    attributes = at_start(start, NOWHERE, GATE)
    assert attributes["gen_ai.request.temperature"] == 0.1
    assert attributes["gen_ai.request.max_tokens"] == 5
    assert attributes["gen_ai.request.stop_sequences"] == ["a"]


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("http://localhost:11434/v1", ("localhost", 11434)),
        ("api.example.com", ("api.example.com", None)),
        ("http://[::1]:80", ("::1", 80)),
        ("https://user:hunter2@api.example.com/a@b", ("api.example.com", 443)),
        ("https://user:[secret]@api.example.com:8443", ("api.example.com", 8443)),
        ("http://[::1", (None, None)),
        ("http://host:99999", (None, None)),
    ],
)
def test_the_server_is_read_from_its_url(url: str, server: tuple[Any, Any]) -> None:
    """The address tells a proxy from the provider; a broken one is left out."""
    attributes = at_start(model(metadata={"base_url": url}), NOWHERE, GATE)
    assert (attributes.get("server.address"), attributes.get("server.port")) == server


@pytest.mark.parametrize(
    "params",
    [
        {
            "temperature": "hot",
            "max_tokens": None,
            "top_k": 1.5,
            "stop": 3,
            "n": True,
            "seed": 1 << 80,
        },
        {"model": 5, "base_url": object(), "response_format": object, "stop": {}},
        {"stop": [object()], "response_format": {"type": ["x"]}},
        {5: 6},
    ],
)
def test_parameters_of_the_wrong_type_are_left_out(
    params: dict[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a model class puts among its parameters, the span is started."""
    attributes = at_start(model(params), NOWHERE, GATE)
    assert attributes["gen_ai.operation.name"] == "chat"
    assert "gen_ai.request.temperature" not in attributes
    assert "gen_ai.request.seed" not in attributes
    assert not caplog.records


def test_session_user_and_conversation_come_from_metadata() -> None:
    """These are what one looks for traces by."""
    metadata = {"session_id": "s", "user_id": 7, "thread_id": UUID(int=1)}
    attributes = at_start(run(metadata=metadata), NOWHERE, GATE)
    assert attributes["session.id"] == "s"
    assert attributes["user.id"] == "7"
    assert attributes["gen_ai.conversation.id"] == str(UUID(int=1))


def test_baggage_names_them_where_metadata_do_not() -> None:
    """A web frontend hands them on in baggage, across processes."""
    context = baggage.set_baggage("session.id", "s", Context())
    context = baggage.set_baggage("user_id", "b", context)
    attributes = at_start(run(metadata={"user_id": "m"}), context, GATE)
    assert (attributes["session.id"], attributes["user.id"]) == ("s", "m")


def test_no_conversation_is_made_up() -> None:
    """An invented id would make a conversation of every call."""
    assert (
        not {"session.id", "user.id", "gen_ai.conversation.id"}
        & at_start(run(), NOWHERE, GATE).keys()
    )


def test_what_is_returned_is_the_callers_to_change() -> None:
    """The dict is prebuilt for speed: one run must not see what was added to another's."""
    at_start(run(), NOWHERE, GATE)["extra"] = 1
    assert "extra" not in at_start(run(), NOWHERE, GATE)


def test_tags_are_the_users_alone() -> None:
    """Which step of a sequence ran is for handlers; on spans it would drown the user's tags."""
    tags = ["seq:step:1", "blue", "map:key:a", "graph:step:3", "retry:attempt:2"]
    assert labels(run(tags=tags), GATE) == {"callspan.tags": ["blue"], "callspan.run.attempt": 2}
    assert labels(run(tags=["seq:step:1"]), GATE) == {}


def test_metadata_have_an_attribute_each() -> None:
    """They can be filtered by; what is internal, or told elsewhere, stays away."""
    metadata = {"plan": "pro", "n": 3, "d": {"a": [1]}, "ls_provider": "x", "__pregel": 1}
    assert labels(run(metadata=metadata), GATE) == {
        "callspan.metadata.plan": "pro",
        "callspan.metadata.n": 3,
        "callspan.metadata.d": '{"a":[1]}',
    }


def test_at_most_32_keys_of_metadata_are_recorded() -> None:
    """The SDK drops the oldest of too many attributes: those that say what the run is."""
    metadata = {f"key{i}": i for i in range(100)}
    assert len(labels(run(metadata=metadata), GATE)) == 32


def test_labels_are_redacted_and_without_secrets() -> None:
    """Tags and metadata are recorded with content off, and hold people's data as content does."""
    gate = ContentGate(redact=lambda key, value: "R" if key.endswith("name") else value)
    metadata = {"name": "Ann", "api_key": "abcd", "note": "use sk-ant-api03-abcdef"}
    assert labels(run(metadata=metadata, tags=["password=abcdef"]), gate) == {
        "callspan.metadata.name": "R",
        "callspan.metadata.api_key": "[secret]",
        "callspan.metadata.note": "use [secret]",
        "callspan.tags": ["password=[secret]"],
    }


def test_names_that_cannot_be_encoded_are_mended() -> None:
    """One lone surrogate in a name would lose the exporter's whole batch."""
    start = run("tool", "t\ud800", serialized={"description": "d\udfff"})
    for value in [start.thing.span_name, *at_start(start, NOWHERE, GATE).values()]:
        value.encode()


def test_lists_of_texts_are_mended_too() -> None:
    """Why an answer ended, and where it was to end, come from a server and from a model."""
    start = model({"stop": ["a\ud800"]})
    message = AIMessage("x", response_metadata={"finish_reason": "stop\ud800"})
    result = LLMResult(generations=[[ChatGeneration(message=message)]])
    found = {**at_start(start, NOWHERE, GATE), **of_output(start, result, GATE)}
    for key in ("gen_ai.request.stop_sequences", "gen_ai.response.finish_reasons"):
        "".join(found[key]).encode()


def test_a_name_or_type_of_the_wrong_type_becomes_text() -> None:
    """Whatever a caller names a run with, attributes are text."""
    attributes = at_start(run(name=5, extra={"run_type": ["x"]}), NOWHERE, GATE)  # type: ignore[arg-type]
    assert (attributes["callspan.run.name"], attributes["callspan.run.type"]) == ("5", "chain")


def test_a_group_that_fails_is_left_out_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A broken piece of metadata costs its own attributes: never the span, nor a log a run."""

    class Bad(dict[str, Any]):
        def items(self) -> Any:
            raise RuntimeError("content in here")

        def __iter__(self) -> Any:
            raise RuntimeError("content in here")

    start = run(metadata=Bad(a=1), tags=["blue"])
    with caplog.at_level(logging.WARNING):
        assert labels(start, GATE) == {"callspan.tags": ["blue"]}
        labels(start, GATE)
    assert len(caplog.records) <= 1
    assert "content in here" not in caplog.text


def test_the_full_profile_of_openinference_is_there_for_who_asks() -> None:
    """Phoenix reads its own names: model, parameters, tool, tags and metadata as one."""
    start = model(
        {"model": "m", "temperature": 0.5, "api_key": "abcd", "messages": ["x"]},
        metadata={"ls_provider": "p", **{f"key{i}": i for i in range(20)}},
        tags=["blue", "seq:step:1"],
    )
    attributes = at_start(start, NOWHERE, GATE, openinference=True)
    assert attributes["llm.model_name"] == "m"
    assert attributes["llm.provider"] == "p"
    assert json.loads(attributes["llm.invocation_parameters"]) == {"temperature": 0.5}
    told = labels(start, GATE, openinference=True)
    assert json.loads(told["metadata"]) == {f"key{i}": i for i in range(20)}
    assert told["tag.tags"] == ["blue"]
    assert sum(key.startswith("callspan.metadata.") for key in told) == 8
    tool = run("tool", serialized={"description": "Adds."})
    assert at_start(tool, NOWHERE, GATE, openinference=True)["tool.description"] == "Adds."
