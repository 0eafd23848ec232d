"""An answer that comes in pieces is the answer that comes as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from completions_api import KEY, CompletionsAPI, Reply, call, serving
from hypothesis import given, settings
from hypothesis import strategies as st

from callspan.messages import HumanMessage
from callspan.openai import ChatOpenAI

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
VALUES = st.none() | st.booleans() | st.integers() | TEXTS | st.lists(TEXTS, max_size=2)
CALLED = st.dictionaries(TEXTS, VALUES, max_size=3).map(json.dumps) | st.just("")


@pytest.fixture(scope="module")
def server() -> Iterator[CompletionsAPI]:
    with serving() as server:
        server.keep_alive = True
        yield server


@pytest.fixture(scope="module")
def steady_model(server: CompletionsAPI) -> ChatOpenAI:
    return ChatOpenAI(model="m", base_url=server.url, api_key=KEY)


@settings(max_examples=100, deadline=None)
@given(
    text=st.none() | TEXTS,
    called=st.lists(CALLED, max_size=3),
    more=st.dictionaries(st.sampled_from(["refusal", "reasoning_content"]), TEXTS),
    repeats=st.booleans(),
)
def test_stream_and_whole(
    server: CompletionsAPI,
    steady_model: ChatOpenAI,
    text: str | None,
    called: list[str],
    more: dict[str, Any],
    repeats: bool,
) -> None:
    """Whoever switches to streaming gets the same answer, and the API the same history."""
    calls = [call(place, "search", arguments) for place, arguments in enumerate(called)]
    server.replies = [Reply(text, calls, more=more, repeats=repeats) for _ in range(2)]
    whole = steady_model.invoke("?")
    first, *rest = steady_model.stream("?")
    streamed = first + rest
    names = ["content", "tool_calls", "invalid_tool_calls", "additional_kwargs", "usage_metadata"]
    assert {name: getattr(streamed, name) for name in names} == {
        name: getattr(whole, name) for name in names
    }
    told = {**whole.response_metadata}
    del told["token_usage"]
    assert streamed.response_metadata == told
    for answer in (whole, streamed):
        steady_model.invoke([HumanMessage("?"), answer])
    first_sent, second_sent = (request["messages"] for request in server.requests[-2:])
    assert first_sent == second_sent
