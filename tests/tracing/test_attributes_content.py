"""What goes into a run and comes out of it, by the names of the conventions."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import langchain_core.documents
import langchain_core.messages as langchain
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context

import callspan.messages as own
from callspan.documents import Document
from callspan.outputs import ChatGeneration, Generation, LLMResult
from callspan.tracing.attributes import RunStart, at_start, labels, of_input, of_output, usage_of
from callspan.tracing.content import ContentGate

ON = ContentGate(capture_content=True)
OFF = ContentGate(capture_content=False)
PNG = "iVBORw0KGgoAAAANSUhEUg=="


def run(kind: str = "chain", **given: Any) -> RunStart:
    return RunStart(
        kind,
        "thing",
        UUID(int=1),
        given.get("root", False),
        given.get("serialized", {}),
        given.get("inputs"),
        given.get("tags", []),
        given.get("metadata", {}),
        given.get("extra", {}),
    )


def model(
    params: dict[str, Any] | None = None, kind: str = "chat_model", inputs: Any = None
) -> RunStart:
    return run(kind, inputs=inputs, extra={"invocation_params": params or {}})


def messages_in(*messages: Any) -> list[dict[str, Any]]:
    found = of_input(model(inputs=list(messages)), ON)
    result: list[dict[str, Any]] = json.loads(found["gen_ai.input.messages"])
    return result


def parts_of(content: Any) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = messages_in(SimpleNamespace(type="human", content=content))[0][
        "parts"
    ]
    return parts


def answer(message: Any, **output: Any) -> LLMResult:
    return LLMResult.model_construct(
        generations=[[ChatGeneration.model_construct(message=message)]], llm_output=output or None
    )


@pytest.mark.parametrize("library", [own, langchain])
def test_a_conversation_is_recorded_by_the_schema(library: Any) -> None:
    """Viewers show a conversation only if roles and parts are as the conventions say."""
    call = {"name": "add", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
    assert messages_in(
        library.SystemMessage("Be brief."),
        library.HumanMessage("1 + 2?", name="ann"),
        library.AIMessage("Let me see.", tool_calls=[call]),
        library.ToolMessage("3", tool_call_id="c1"),
        library.AIMessageChunk("3"),
    ) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": "1 + 2?"}], "name": "ann"},
        {
            "role": "assistant",
            "parts": [
                {"type": "text", "content": "Let me see."},
                {"type": "tool_call", "id": "c1", "name": "add", "arguments": {"a": 1}},
            ],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "3"}]},
        {"role": "assistant", "parts": [{"type": "text", "content": "3"}]},
    ]


@pytest.mark.parametrize(
    "message",
    ["hello", ("user", "hello"), ("human", "hello"), {"role": "user", "content": "hello"}],
)
def test_what_stands_for_a_message_is_one(message: Any) -> None:
    """Models take texts, pairs and dicts as well: handlers may be told of those."""
    assert messages_in(message) == [
        {"role": "user", "parts": [{"type": "text", "content": "hello"}]}
    ]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ("hello", {"type": "text", "content": "hello"}),
        ({"type": "text", "text": "a"}, {"type": "text", "content": "a"}),
        (
            {"type": "thinking", "thinking": "hm", "signature": "x"},
            {"type": "reasoning", "content": "hm"},
        ),
        (
            {"type": "reasoning", "summary": [{"text": "a"}, {"text": "b"}]},
            {"type": "reasoning", "content": "a\nb"},
        ),
        (
            {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}},
            {"type": "tool_call", "id": "1", "name": "f", "arguments": {"a": 1}},
        ),
        (
            {"type": "tool_result", "tool_use_id": "1", "content": "ok"},
            {"type": "tool_call_response", "id": "1", "response": "ok"},
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
            {
                "type": "uri",
                "modality": "image",
                "mime_type": None,
                "uri": "https://x.test/a.png",
            },
        ),
        (
            {"type": "image_url", "image_url": f"data:image/png;base64,{PNG}"},
            {
                "type": "blob",
                "modality": "image",
                "mime_type": "image/png",
                "content": "[image/png, 16 bytes]",
            },
        ),
        (
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": PNG},
            },
            {
                "type": "blob",
                "modality": "image",
                "mime_type": "image/png",
                "content": "[image/png, 16 bytes]",
            },
        ),
        (
            {"type": "image", "base64": PNG, "mime_type": "image/png"},
            {
                "type": "blob",
                "modality": "image",
                "mime_type": "image/png",
                "content": "[image/png, 16 bytes]",
            },
        ),
        (
            {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
            {
                "type": "blob",
                "modality": "audio",
                "mime_type": "audio/wav",
                "content": "[audio/wav, 16 bytes]",
            },
        ),
        (
            {"type": "file", "file": {"file_id": "f1"}},
            {"type": "file", "modality": "document", "mime_type": None, "file_id": "f1"},
        ),
        ({"type": "refusal", "refusal": "no"}, {"type": "refusal", "refusal": "no"}),
    ],
)
def test_blocks_of_every_provider_become_parts(block: Any, part: dict[str, Any]) -> None:
    """Each provider has its own blocks; encoded media would fill the trace store."""
    assert parts_of([block]) == [part]


def test_a_call_that_stands_in_blocks_too_is_recorded_once() -> None:
    """Anthropic's messages hold a call among the blocks and in `tool_calls`."""
    message = langchain.AIMessage(
        [{"type": "tool_use", "id": "1", "name": "f", "input": {}}],
        tool_calls=[{"name": "f", "args": {}, "id": "1"}],
    )
    assert [part["type"] for part in messages_in(message)[0]["parts"]] == ["tool_call"]


def test_instructions_and_tools_of_a_request_have_their_own_attributes() -> None:
    """Some providers take the system prompt apart from the messages; tools explain the calls."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    params = {
        "system": "Be brief.",
        "tools": [
            {
                "type": "function",
                "function": {"name": "f", "description": "F.", "parameters": schema},
            },
            {"name": "g", "input_schema": schema},
            {"type": "web_search_20250305", "name": "web_search"},
        ],
    }
    found = of_input(model(params, inputs=[]), ON)
    assert json.loads(found["gen_ai.system_instructions"]) == [
        {"type": "text", "content": "Be brief."}
    ]
    assert json.loads(found["gen_ai.tool.definitions"]) == [
        {"type": "function", "name": "f", "description": "F.", "parameters": schema},
        {"type": "function", "name": "g", "parameters": schema},
        {"type": "web_search_20250305", "name": "web_search"},
    ]


def test_a_text_models_prompt_and_answer_are_messages_too() -> None:
    """One place for viewers to look, whichever kind of model it was."""
    start = model(kind="llm", inputs="1 + 2?")
    found = of_input(start, ON)
    found |= of_output(start, LLMResult(generations=[[Generation(text="3")]]), ON)
    assert json.loads(found["gen_ai.input.messages"])[0]["parts"][0]["content"] == "1 + 2?"
    assert json.loads(found["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "3"}]}
    ]


@pytest.mark.parametrize(
    ("given_", "value", "mime", "arguments"),
    [
        ({"a": 1}, '{"a":1}', "application/json", '{"a":1}'),
        ('{"a": 1}', '{"a":1}', "application/json", '{"a":1}'),
        ("1 + 2", "1 + 2", "text/plain", "1 + 2"),
        ("{broken", "{broken", "text/plain", "{broken"),
    ],
)
def test_a_tools_arguments_are_an_object_where_they_can_be(
    given_: Any, value: str, mime: str, arguments: str
) -> None:
    """The conventions want arguments as an object; old callers give them as text."""
    assert of_input(run("tool", inputs=given_), ON) == {
        "input.value": value,
        "input.mime_type": mime,
        "gen_ai.tool.call.arguments": arguments,
    }


@pytest.mark.parametrize(
    ("result", "value", "mime"),
    [
        ("3", "3", "text/plain"),
        ({"n": 3}, '{"n":3}', "application/json"),
        (own.ToolMessage("3", tool_call_id="c", artifact=object()), "3", "text/plain"),
        (langchain.ToolMessage("3", tool_call_id="c"), "3", "text/plain"),
    ],
)
def test_a_tools_result_is_what_it_tells_the_model(result: Any, value: str, mime: str) -> None:
    """A tool called by a model returns a message: its content is the result."""
    assert of_output(run("tool"), result, ON) == {
        "output.value": value,
        "output.mime_type": mime,
        "gen_ai.tool.call.result": value,
    }


@pytest.mark.parametrize("library", [Document, langchain_core.documents.Document])
def test_retrieved_documents_are_listed_with_id_and_score(library: Any) -> None:
    """Which documents came back, and how near they were, is why one reads such a span."""
    documents = [library(page_content="text", id="d1", metadata={"score": 0.5, "source": "s"})]
    found = of_input(run("retriever", inputs="what?"), ON)
    found |= of_output(run("retriever"), documents, ON)
    assert found["gen_ai.retrieval.query.text"] == found["input.value"] == "what?"
    assert found["gen_ai.retrieval.documents"] == found["output.value"]
    assert json.loads(found["output.value"]) == [
        {"id": "d1", "score": 0.5, "content": "text", "metadata": {"score": 0.5, "source": "s"}}
    ]


def test_a_chains_values_are_text_or_json() -> None:
    """A chain takes and returns anything: plain strings are not quoted, all else is JSON."""
    assert of_input(run(inputs={"number": "2"}), ON) == {
        "input.value": '{"number":"2"}',
        "input.mime_type": "application/json",
    }
    assert of_output(run(), "3", ON) == {"output.value": "3", "output.mime_type": "text/plain"}


@pytest.mark.parametrize("kind", ["chain", "tool", "retriever"])
def test_nothing_of_an_output_is_told_while_content_is_off(kind: str) -> None:
    """Off means off, for every kind of run."""
    assert of_output(run(kind), [Document("text")], OFF) == {}


def test_a_response_is_told_with_content_off() -> None:
    """Model, id, reason and tokens are no content: costs are counted without prompts."""
    message = own.AIMessage(
        "3",
        id="msg_1",
        response_metadata={"model_name": "claude-x-2", "stop_reason": "end_turn"},
        usage_metadata={
            "input_tokens": 16,
            "output_tokens": 13,
            "total_tokens": 29,
            "input_token_details": {"cache_read": 4, "cache_creation": 2, "audio": 0},
            "output_token_details": {"reasoning": 5},
        },
    )
    assert of_output(model(), answer(message), OFF) == {
        "gen_ai.response.model": "claude-x-2",
        "gen_ai.response.id": "msg_1",
        "gen_ai.response.finish_reasons": ["end_turn"],
        "gen_ai.usage.input_tokens": 16,
        "gen_ai.usage.output_tokens": 13,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.cache_write.input_tokens": 2,
        "gen_ai.usage.reasoning.output_tokens": 5,
    }


def test_an_id_made_here_is_no_providers_id() -> None:
    """Support can look up a response by the provider's id, and by no other."""
    assert "gen_ai.response.id" not in of_output(
        model(), answer(own.AIMessage("3", id="lc_run--1-0")), OFF
    )


def test_finish_reasons_stand_in_the_order_of_the_answers() -> None:
    """A reason missing in the middle would shift the others to the wrong answers."""
    result = LLMResult(
        generations=[
            [
                Generation(text="a", generation_info={"finish_reason": "stop"}),
                Generation(text="b"),
                Generation(text="c", generation_info={"finish_reason": "length"}),
            ]
        ]
    )
    found = of_output(model(kind="llm"), result, OFF)
    assert found["gen_ai.response.finish_reasons"] == ["stop", "error", "length"]


OPENAI = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": None},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
ANTHROPIC = {
    "input_tokens": 10,
    "cache_read_input_tokens": 20,
    "cache_creation_input_tokens": 30,
    "output_tokens": 5,
}


def counts(
    into: int, out: int, total: int, cached: dict[str, int], made: dict[str, int]
) -> dict[str, Any]:
    return {
        "input_tokens": into,
        "output_tokens": out,
        "total_tokens": total,
        "input_token_details": cached,
        "output_token_details": made,
    }


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"token_usage": OPENAI}, counts(10, 5, 15, {"cache_read": 4}, {"reasoning": 2})),
        (
            {"usage": ANTHROPIC},
            counts(60, 5, 65, {"cache_read": 20, "cache_creation": 30}, {}),
        ),
        (
            {"token_usage": SimpleNamespace(**OPENAI)},
            counts(10, 5, 15, {"cache_read": 4}, {"reasoning": 2}),
        ),
        ({"token_usage": {}, "usage": {"input_tokens": 1}}, counts(1, 0, 1, {}, {})),
    ],
)
def test_usage_is_read_in_each_providers_spelling(
    output: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Input tokens include the cached ones, though Anthropic counts those apart."""
    result = LLMResult.model_construct(
        generations=[[Generation(text="a")]], llm_output=output, run=None
    )
    assert usage_of(result) == expected
    message = own.AIMessage("a").model_copy(update={"response_metadata": output})
    assert usage_of(answer(message)) == expected


def test_nothing_is_counted_twice() -> None:
    """Providers repeat one request's usage on each choice, and LangChain in `llm_output`."""
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    message = own.AIMessage("a", usage_metadata=usage, response_metadata={"token_usage": OPENAI})
    choices = [ChatGeneration(message=message), ChatGeneration(message=message)]
    result = LLMResult(generations=[choices], llm_output={"token_usage": OPENAI, "usage": usage})
    assert usage_of(result) == counts(10, 5, 15, {}, {})


def test_writes_to_a_cache_are_counted_once_however_they_are_split() -> None:
    """Anthropic tells writes by lifetime, and mostly their sum as well."""

    def written(**details: int) -> Any:
        usage = {"input_tokens": 9, "output_tokens": 1, "input_token_details": details}
        message = own.AIMessage("a").model_copy(update={"usage_metadata": usage})
        return usage_of(answer(message))["input_token_details"]["cache_creation"]  # type: ignore[index]

    assert written(ephemeral_5m_input_tokens=3, ephemeral_1h_input_tokens=4) == 7
    assert written(cache_creation=7, ephemeral_5m_input_tokens=3, ephemeral_1h_input_tokens=4) == 7


def test_prompts_of_one_result_are_summed() -> None:
    """A result for two prompts took the tokens of both."""
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    one = [ChatGeneration(message=own.AIMessage("a", usage_metadata=usage))]
    assert usage_of(LLMResult(generations=[one, one])) == counts(20, 10, 30, {}, {})


def test_no_usage_is_none_and_not_zero() -> None:
    """Zero tokens would be summed up as a free call."""
    assert usage_of(answer(own.AIMessage("a"))) is None
    assert usage_of(LLMResult(generations=[])) is None


def test_openinference_gets_fields_and_counts() -> None:
    """Phoenix reads messages field by field, and its own names for tokens."""
    call = {"name": "add", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
    usage = {"input_tokens": 16, "output_tokens": 13, "total_tokens": 29}
    start = model({"tools": [{"name": "add"}]}, inputs=[own.HumanMessage("1 + 2?")])
    found = of_input(start, ON, openinference=True)
    result = answer(own.AIMessage("", tool_calls=[call], usage_metadata=usage))
    found |= of_output(start, result, ON, openinference=True)
    expected = {
        "input.mime_type": "application/json",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": "1 + 2?",
        "llm.tools.0.tool.json_schema": '{"type":"function","name":"add"}',
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "add",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"a":1}',
        "llm.token_count.prompt": 16,
        "llm.token_count.completion": 13,
        "llm.token_count.total": 29,
    }
    assert expected.items() <= found.items()
    assert found["input.value"] == found["gen_ai.input.messages"]
    documents = of_output(
        run("retriever"), [Document("t", id="d", metadata={"score": 0.5})], ON, openinference=True
    )
    assert documents["retrieval.documents.0.document.content"] == "t"
    assert documents["retrieval.documents.0.document.score"] == 0.5
    assert documents["retrieval.documents.0.document.metadata"] == '{"score":0.5}'


def test_the_newest_messages_are_kept_field_by_field() -> None:
    """There is a bound for fields; the last messages are what the answer is to."""
    start = model(inputs=[own.HumanMessage(f"m{i}") for i in range(100)])
    found = of_input(start, ON, openinference=True)
    fields = [key for key in found if key.startswith("llm.input_messages.")]
    assert found["llm.input_messages.8.message.content"] == "m99"
    assert len(fields) == 18


@pytest.mark.parametrize("kind", ["chat_model", "tool", "retriever", "chain"])
def test_the_fullest_span_stays_below_the_sdks_limit(kind: str) -> None:
    """Beyond 128 attributes the SDK drops the oldest, which say what the run is."""
    names = (
        "model temperature top_p top_k max_tokens stop frequency_penalty presence_penalty seed n "
        "stream reasoning_effort response_format base_url system"
    )
    params: dict[str, Any] = dict.fromkeys(names.split(), 2)
    params |= {"tools": [{"name": f"t{i}"} for i in range(50)], "base_url": "http://h"}
    call = {"name": "f", "args": {}, "id": "1"}
    message = own.AIMessage("a", name="n", tool_calls=[call] * 9, id="m")
    documents = [Document("d", id="i", metadata={"score": 1}) for _ in range(200)]
    start = run(
        kind,
        root=True,
        inputs={"chat_model": [own.HumanMessage("q")] * 200}.get(kind, {"a": 1}),
        tags=["blue", "retry:attempt:2"],
        metadata={"session_id": "s", "user_id": "u", "thread_id": "t", "ls_provider": "p"}
        | {f"key{i}": i for i in range(200)},
        extra={"invocation_params": params, "tool_call_id": "1"},
        serialized={"description": "d"},
    )
    found = at_start(start, Context(), OFF, openinference=True)
    found |= labels(start, ON, openinference=True)
    found |= of_input(start, ON, openinference=True)
    result = {"chat_model": answer(message), "retriever": documents}.get(kind, message)
    found |= of_output(start, result, ON, openinference=True)
    assert len(found) < 90  # the handler adds outcome, error, time to first chunk, cache and such


malformed: Any = st.recursive(
    st.none() | st.integers() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["type", "text", "source", "id", "function"]), inner)
        | st.builds(
            SimpleNamespace,
            type=inner,
            content=inner,
            tool_calls=inner,
            usage_metadata=inner,
            response_metadata=inner,
            message=inner,
            generations=inner,
            llm_output=inner,
            text=inner,
            page_content=inner,
            metadata=inner,
        )
    ),
    max_leaves=20,
)


@given(st.sampled_from(["chain", "chat_model", "llm", "tool", "retriever"]), malformed, malformed)
def test_no_input_or_result_is_so_malformed_that_it_raises(
    kind: str, inputs: Any, result: Any
) -> None:
    """Handlers are told whatever a model class returns: a span must not die of it."""
    start = run(
        kind, inputs=inputs, extra={"invocation_params": {"tools": inputs, "system": inputs}}
    )
    for openinference in (False, True):
        found = at_start(start, Context(), OFF, openinference=openinference)
        found |= of_input(start, ON, openinference=openinference)
        found |= of_output(start, result, ON, openinference=openinference)
        for value in found.values():
            assert isinstance(value, str | bool | int | float | list)
