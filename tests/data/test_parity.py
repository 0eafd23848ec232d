"""The plain data beside langchain_core's own, value for value."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import langchain_core.agents
import langchain_core.documents
import langchain_core.messages
import langchain_core.outputs
import langchain_core.outputs.chat_generation
import langchain_core.prompt_values
import pytest

import callspan.documents
import callspan.messages
import callspan.outputs


def namespace(*modules: Any) -> SimpleNamespace:
    """Collect the names of modules, so that one expression can be built from either library."""
    return SimpleNamespace(**{name: getattr(m, name) for m in modules for name in dir(m)})


OURS = namespace(callspan.messages, callspan.outputs, callspan.documents)
THEIRS = namespace(
    langchain_core.messages,
    langchain_core.outputs,
    langchain_core.outputs.chat_generation,
    langchain_core.documents,
    langchain_core.prompt_values,
    langchain_core.agents,
)

CALL = {"name": "add", "args": {"a": 1}, "id": "c1"}
BAD_CALL = {"name": "add", "args": "{a", "id": "c2", "error": "no JSON"}
USAGE = {"input_tokens": 16, "output_tokens": 13, "total_tokens": 29}
BLOCKS = ["a", {"type": "text", "text": "b"}, {"type": "image", "url": "u"}]


def part(args: str | None, **first: Any) -> dict[str, Any]:
    return {"name": None, "id": None, "index": 0, "args": args, **first}


MESSAGES: dict[str, Callable[[Any], Any]] = {
    "human": lambda n: n.HumanMessage("What is 1 + 2?"),
    "human by keyword, all fields": lambda n: n.HumanMessage(
        content="hi", name="Ann", id=7, additional_kwargs={"k": 1}, response_metadata={"m": "x"}
    ),
    "human with blocks": lambda n: n.HumanMessage(BLOCKS),
    "human with an extra field": lambda n: n.HumanMessage("hi", mood="good"),
    "human chunk": lambda n: n.HumanMessageChunk(content="hi"),
    "system": lambda n: n.SystemMessage("be brief"),
    "system chunk": lambda n: n.SystemMessageChunk(content="be brief"),
    "answer": lambda n: n.AIMessage("1 + 2 = 3"),
    "answer with metadata": lambda n: n.AIMessage(
        "1 + 2 = 3", usage_metadata=USAGE, response_metadata={"model_name": "m"}, id="run-1"
    ),
    "answer with usage details": lambda n: n.AIMessage(
        "",
        usage_metadata={**USAGE, "input_token_details": {"cache_read": 3, "ephemeral_5m": 1}},
    ),
    "answer with a tool call": lambda n: n.AIMessage("let me see", tool_calls=[CALL]),
    "answer with an unreadable call": lambda n: n.AIMessage("", invalid_tool_calls=[BAD_CALL]),
    "answer with both": lambda n: n.AIMessage(
        BLOCKS, tool_calls=[CALL, {**CALL, "args": {}}], invalid_tool_calls=[BAD_CALL]
    ),
    "answer chunk": lambda n: n.AIMessageChunk(content="1 +", id="run-1", chunk_position="last"),
    "answer chunk with whole calls": lambda n: n.AIMessageChunk(
        content="", tool_calls=[CALL], invalid_tool_calls=[BAD_CALL]
    ),
    "answer chunk with a part of a call": lambda n: n.AIMessageChunk(
        content="", tool_call_chunks=[part('{"a": 1, "b": "x', name="add", id="c1")]
    ),
    "answer chunk with arguments that are no object": lambda n: n.AIMessageChunk(
        content="", tool_call_chunks=[part("[1]", name="add", id="c1"), part("]", index=1)]
    ),
    "tool": lambda n: n.ToolMessage("3", tool_call_id="c1"),
    "tool, all fields": lambda n: n.ToolMessage(
        content="3", tool_call_id="c1", name="add", artifact=[3], status="error", id="t1"
    ),
    "tool with other content": lambda n: n.ToolMessage({"sum": 3}, tool_call_id=1),
    "tool with a tuple": lambda n: n.ToolMessage((1, "a", {"type": "text"}), tool_call_id="c1"),
    "tool with an id that is no text": lambda n: n.ToolMessage("3", tool_call_id=UUID(int=1)),
    "tool chunk": lambda n: n.ToolMessageChunk(content="3", tool_call_id="c1"),
}

SUMS: dict[str, Callable[[Any], Any]] = {
    "text": lambda n: n.AIMessageChunk(content="a") + n.AIMessageChunk(content="b"),
    "several at once": lambda n: (
        n.AIMessageChunk(content="a") + [n.AIMessageChunk(content=text) for text in "bcd"]
    ),
    "text and blocks": lambda n: (
        n.AIMessageChunk(content="a") + n.AIMessageChunk(content=BLOCKS) + n.AIMessageChunk("c")
    ),
    "indexed blocks": lambda n: (
        n.AIMessageChunk(content=[{"type": "text", "text": "a", "index": 0}])
        + n.AIMessageChunk(content=[{"type": "text", "text": "b", "index": 0}])
        + n.AIMessageChunk(content=[{"type": "text", "text": "c", "index": 1}])
    ),
    "metadata": lambda n: (
        n.AIMessageChunk(
            content="", response_metadata={"a": "x", "n": 1, "d": {"k": [1]}, "z": None}
        )
        + n.AIMessageChunk(
            content="", response_metadata={"a": "y", "n": 2, "d": {"k": [2]}, "z": 3, "t": True}
        )
    ),
    "metadata that names": lambda n: (
        n.AIMessageChunk(content="", response_metadata={"id": "i", "created": 5, "t": True})
        + n.AIMessageChunk(content="", response_metadata={"id": "i", "created": 6, "t": True})
    ),
    "usage": lambda n: (
        n.AIMessageChunk(content="", usage_metadata=USAGE)
        + n.AIMessageChunk(content="x")
        + n.AIMessageChunk(
            content="", usage_metadata={**USAGE, "input_token_details": {"audio": 1}}
        )
    ),
    "ids: the provider's wins": lambda n: (
        n.AIMessageChunk(content="", id="lc_x")
        + [n.AIMessageChunk(content="", id=id_) for id_ in ("lc_run--1", "msg_1", "msg_2")]
    ),
    "ids: the run's wins": lambda n: (
        n.AIMessageChunk(content="", id="lc_x") + n.AIMessageChunk(content="", id="lc_run--1")
    ),
    "parts of two calls": lambda n: (
        n.AIMessageChunk(content="", tool_call_chunks=[part("", name="f", id="c1")])
        + n.AIMessageChunk(content="", tool_call_chunks=[part('{"a": ')])
        + n.AIMessageChunk(content="", tool_call_chunks=[part("", name="g", id="c2", index=1)])
        + n.AIMessageChunk(content="", tool_call_chunks=[part("1}")], chunk_position="last")
    ),
    "parts without an index": lambda n: (
        n.AIMessageChunk(content="", tool_call_chunks=[part("{}", name="f", index=None)])
        + n.AIMessageChunk(content="", tool_call_chunks=[part("{}", name="g", index=None)])
    ),
    "parts with one index and two ids": lambda n: (
        n.AIMessageChunk(content="", tool_call_chunks=[part("{}", name="f", id="c1")])
        + n.AIMessageChunk(content="", tool_call_chunks=[part("{}", name="g", id="c2")])
    ),
    "chunks of two kinds": lambda n: (
        n.HumanMessageChunk(content="a", id="h") + n.AIMessageChunk(content="b")
    ),
    "results of tools": lambda n: (
        n.ToolMessageChunk(content="a", tool_call_id="c1", artifact={"x": [1]})
        + n.ToolMessageChunk(content="b", tool_call_id="c1", artifact={"x": [2]}, status="error")
    ),
    "generations": lambda n: (
        n.GenerationChunk(text="a", generation_info={"x": "1"})
        + n.GenerationChunk(text="b", generation_info={"x": "2"})
    ),
    "chat generations": lambda n: n.merge_chat_generation_chunks(
        [
            n.ChatGenerationChunk(message=n.AIMessageChunk(content="a")),
            n.ChatGenerationChunk(
                message=n.AIMessageChunk(content="b"), generation_info={"finish_reason": "stop"}
            ),
        ]
    ),
}

OTHERS: dict[str, Callable[[Any], Any]] = {
    "chat prompt": lambda n: n.ChatPromptValue(messages=[n.HumanMessage("What is 1 + 2?")]),
    "string prompt": lambda n: n.StringPromptValue(text="hi"),
    "generation": lambda n: n.Generation(text="x", generation_info={"a": 1}),
    "chat generation": lambda n: n.ChatGeneration(message=n.AIMessage(BLOCKS), text="ignored"),
    "chat result": lambda n: n.ChatResult(generations=[n.ChatGeneration(message=n.AIMessage("x"))]),
    "llm result": lambda n: n.LLMResult(
        generations=[[n.ChatGeneration(message=n.AIMessage("x", usage_metadata=USAGE))], []],
        llm_output={"usage": USAGE},
    ),
    "llm result of a text model": lambda n: n.LLMResult(generations=[[n.Generation(text="x")]]),
    "action": lambda n: n.AgentAction("add", {"a": 1}, "thinking"),
    "finish": lambda n: n.AgentFinish({"output": 3}, log="done"),
    "document": lambda n: n.Document("text", metadata={"source": "s"}, id=3),
    "bare document": lambda n: n.Document(page_content="text"),
}

VALUES = MESSAGES | SUMS | OTHERS


@pytest.mark.parametrize("build", VALUES.values(), ids=VALUES)
def test_prints_as_langchain_does(build: Callable[[Any], Any]) -> None:
    """Logs, prompts and handlers' prints must not change when the import does."""
    ours, theirs = build(OURS), build(THEIRS)
    assert repr(ours) == repr(theirs)
    assert str(ours) == str(theirs)


@pytest.mark.parametrize("build", [*MESSAGES.values(), *SUMS.values()], ids=[*MESSAGES, *SUMS])
def test_fields_are_langchains(build: Callable[[Any], Any]) -> None:
    """Code that reads fields or dumps a message must find the same names and values."""
    ours = build(OURS).model_dump()
    theirs = build(THEIRS).model_dump()
    if isinstance(theirs.get("message"), dict):  # theirs leaves a subclass's fields out here
        theirs["message"] = ours["message"] | theirs["message"]
    assert ours == theirs


@pytest.mark.parametrize("build", MESSAGES.values(), ids=MESSAGES)
def test_texts_are_langchains(build: Callable[[Any], Any]) -> None:
    """Prompts for text models and what people see in a terminal come from these."""
    ours, theirs = build(OURS), build(THEIRS)
    assert ours.text == theirs.text
    assert ours.pretty_repr() == theirs.pretty_repr()
    assert ours.pretty_repr(html=True) == theirs.pretty_repr(html=True)
    assert OURS.get_buffer_string([ours, ours]) == THEIRS.get_buffer_string([theirs, theirs])
    assert repr(OURS.message_chunk_to_message(ours)) == repr(
        THEIRS.message_chunk_to_message(theirs)
    )


@pytest.mark.parametrize(
    "likes",
    [
        ["hi", ("system", "be brief"), ["ai", "ok"], ("assistant", BLOCKS)],
        [{"role": "user", "content": "hi", "name": "Ann", "id": "m1"}],
        [{"type": "human", "content": None, "seed": 1, "additional_kwargs": {"k": 2}}],
        [{"role": "developer", "content": "be brief"}],
        [{"role": "assistant", "content": None, "tool_calls": [CALL]}],
        [
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"id": "c1", "function": {"name": "add", "arguments": '{"a": "x\ny"}'}},
                    {"id": "c2", "function": {"name": "add", "arguments": {}}},
                ],
            }
        ],
        [{"role": "tool", "content": "3", "tool_call_id": "c1", "status": "error", "artifact": 3}],
        (),
    ],
    ids=["short forms", "user", "more keys", "developer", "calls", "openai", "tool", "none"],
)
def test_conversion_is_langchains(likes: Any) -> None:
    """What users write as messages is the same in both libraries."""
    ours = [repr(message) for message in OURS.convert_to_messages(likes)]
    assert ours == [repr(message) for message in THEIRS.convert_to_messages(likes)]


def test_flattening_is_langchains() -> None:
    """Handlers that count tokens run over flattened results."""

    def flat(n: Any) -> list[str]:
        answers = [[n.Generation(text="a"), n.Generation(text="b")], [n.Generation(text="c")]]
        result = n.LLMResult(generations=answers, llm_output={"token_usage": {"total": 3}, "m": 1})
        return [
            repr(part) for part in (*result.flatten(), *n.LLMResult(generations=answers).flatten())
        ]

    assert flat(OURS) == flat(THEIRS)
