"""An answer that comes in pieces is the answer that comes as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages_api import KEY, MessagesAPI, Reply, serving

from callspan.anthropic import ChatAnthropic
from callspan.messages import HumanMessage

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
VALUES = st.none() | st.booleans() | st.integers() | TEXTS | st.lists(TEXTS, max_size=2)
INPUTS = st.dictionaries(TEXTS, VALUES, max_size=3)
CITATION = {
    "type": "char_location",
    "cited_text": "so it is",
    "document_index": 0,
    "document_title": "Facts",
    "start_char_index": 0,
    "end_char_index": 8,
}
BLOCKS = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, TEXTS),
    st.builds(lambda text: {"type": "text", "text": text, "citations": [CITATION] * 2}, TEXTS),
    st.builds(
        lambda text, signed: {"type": "thinking", "thinking": text, "signature": signed},
        TEXTS,
        TEXTS,
    ),
    st.builds(lambda data: {"type": "redacted_thinking", "data": data}, TEXTS),
    st.builds(lambda args: {"type": "tool_use", "name": "search", "input": args}, INPUTS),
    st.builds(
        lambda args: {"type": "server_tool_use", "name": "web_search", "input": args}, INPUTS
    ),
    st.just({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}),
)


@pytest.fixture(scope="module")
def server() -> Iterator[MessagesAPI]:
    with serving() as server:
        server.keep_alive = True
        yield server


@pytest.fixture(scope="module")
def steady_model(server: MessagesAPI) -> ChatAnthropic:
    return ChatAnthropic(model="m", base_url=server.url, api_key=KEY)


@settings(max_examples=100, deadline=None)
@given(blocks=st.lists(BLOCKS, max_size=5))
def test_stream_and_whole(
    server: MessagesAPI, steady_model: ChatAnthropic, blocks: list[dict[str, Any]]
) -> None:
    """Whoever switches to streaming gets the same text and calls, and the API the same history."""
    content = [
        {**block, "id": f"toolu_{place}"} if "input" in block else block
        for place, block in enumerate(blocks)
    ]
    server.replies = [Reply(content), Reply(content)]
    whole = steady_model.invoke("?")
    first, *rest = steady_model.stream("?")
    streamed = first + rest
    assert streamed.text == whole.text
    assert streamed.tool_calls == whole.tool_calls
    assert streamed.usage_metadata == whole.usage_metadata
    for answer in (whole, streamed):
        steady_model.invoke([HumanMessage("?"), answer])
        assert _joined(server.requests[-1]["messages"][1]["content"]) == _joined(content)


def _joined(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Content blocks with neighbouring texts as one: a string tells no more."""
    if isinstance(content, str):
        content = [{"type": "text", "text": content}] if content else []
    joined: list[dict[str, Any]] = []
    for block in content:
        if joined and joined[-1].keys() == block.keys() == {"type", "text"}:
            joined[-1]["text"] += block["text"]
        else:
            joined.append({**block})
    return joined
