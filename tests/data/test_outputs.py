"""What models and agents return."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from callspan.documents import Document
from callspan.messages import AIMessage, AIMessageChunk, HumanMessage
from callspan.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    Generation,
    GenerationChunk,
    LLMResult,
    RunInfo,
    merge_chat_generation_chunks,
)


def test_a_dumped_result_has_all_of_the_message() -> None:
    """Traces are written from dumps: the fields of the message's own class must be there."""
    message = AIMessage("", tool_calls=[{"name": "add", "args": {}, "id": "c1"}])
    dumped = json.loads(
        LLMResult(generations=[[ChatGeneration(message=message)]]).model_dump_json()
    )
    assert dumped["generations"][0][0]["message"]["tool_calls"][0]["name"] == "add"


def test_results_of_different_runs_are_equal() -> None:
    """Caches and tests compare what was answered, not who answered."""
    answers = [[Generation(text="x")]]
    results = [LLMResult(generations=answers, run=[RunInfo(run_id=uuid4())]) for _ in range(2)]
    assert results[0] == results[1]
    assert results[0] != LLMResult(generations=[[Generation(text="y")]])
    assert results[0] != "x"


def test_result_keeps_the_objects() -> None:
    """Handlers may change the answer in place, as langchain's do: no copies."""
    answer = ChatGeneration(message=AIMessage("x"))
    assert LLMResult(generations=[[answer]]).generations[0][0] is answer


def test_merging_a_stream_of_generations() -> None:
    """The end of every streamed model call goes through here, an empty stream too."""
    chunks = [ChatGenerationChunk(message=AIMessageChunk(content=text)) for text in "abc"]
    merged = merge_chat_generation_chunks(chunks)
    assert merged is not None
    assert merged.text == merged.message.content == "abc"
    assert merge_chat_generation_chunks(chunks[:1]) is chunks[0]
    assert merge_chat_generation_chunks([]) is None


@pytest.mark.parametrize(
    "chunk", [GenerationChunk(text="a"), ChatGenerationChunk(message=AIMessageChunk(content="a"))]
)
@pytest.mark.parametrize("other", ["x", ["x"], Generation(text="x")])
def test_only_chunks_can_be_added(chunk: Any, other: Any) -> None:
    """Adding a whole answer to a part of one is a mistake that must not pass silently."""
    with pytest.raises(TypeError, match="unsupported operand"):
        chunk + other


def test_a_chunk_needs_a_message_chunk() -> None:
    """A whole message in a stream could not be added to the next chunk."""
    with pytest.raises(ValueError, match="message"):
        ChatGenerationChunk(message=HumanMessage("x"))


def test_documents_print_what_a_prompt_should_hold() -> None:
    """Documents are put into prompts with str(): an id there would change the prompt."""
    assert str(Document("text", id="d1")) == "page_content='text'"
    assert str(Document("text", metadata={"n": 1})) == "page_content='text' metadata={'n': 1}"
