"""Tools of ChatAnthropic: what the API is told of them, and their results."""

from __future__ import annotations

from typing import Any

import pytest
from messages_api import MessagesAPI, Reply, asked
from pydantic import BaseModel

from callspan import ConfigurationError
from callspan.anthropic import ChatAnthropic
from callspan.messages import AIMessage, HumanMessage, InvalidToolCall, ToolMessage
from callspan.tools import tool
from support import SpanLog

CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}}
OTHER = {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}}


@tool
def weather(city: str) -> str:
    """Say what the weather is."""
    return f"sunny in {city}"


WEATHER = {
    "name": "weather",
    "description": "Say what the weather is.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, None),
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("any", {"type": "any"}),
        (True, {"type": "any"}),
        ("weather", {"type": "tool", "name": "weather"}),
        (
            {"type": "auto", "disable_parallel_tool_use": True},
            {"type": "auto", "disable_parallel_tool_use": True},
        ),
    ],
)
async def test_tools(
    api: MessagesAPI, model: ChatAnthropic, way: str, choice: Any, sent: Any
) -> None:
    """A program chooses tools in the same words for each provider."""
    api.replies = [Reply([CALL, OTHER], stop_reason="tool_use")]
    able = model.bind_tools([weather], tool_choice=choice, temperature=0.0)
    answer = await asked(able, way)
    assert answer.tool_calls == [
        {"name": "weather", "args": {"city": "Rome"}, "id": "toolu_1", "type": "tool_call"},
        {"name": "now", "args": {}, "id": "toolu_2", "type": "tool_call"},
    ]
    assert answer.response_metadata["stop_reason"] == "tool_use"
    (request,) = api.requests
    assert request["tools"] == [WEATHER]
    assert request.get("tool_choice") == sent
    assert request["temperature"] == 0.0


def test_tools_of_every_form(api: MessagesAPI, model: ChatAnthropic) -> None:
    """Tools written for the API or for OpenAI's can be used as they are; so can the server's."""

    class Ask(BaseModel):
        """Ask a person."""

        question: str

    own = {**WEATHER, "cache_control": {"type": "ephemeral"}}
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 1}
    function = {"name": "f", "parameters": {"type": "object", "properties": {}}, "strict": True}
    given = [own, search, Ask, {"type": "function", "function": function}]
    model.bind_tools(given, tool_choice="web_search").invoke("Hello")
    (request,) = api.requests
    assert request["tool_choice"] == {"type": "tool", "name": "web_search"}
    assert request["tools"][:2] == [own, search]
    assert request["tools"][2:] == [
        {
            "name": "Ask",
            "description": "Ask a person.",
            "input_schema": {
                "type": "object",
                "properties": {"question": {"type": "string"}},
                "required": ["question"],
            },
        },
        {"name": "f", "description": "", "input_schema": function["parameters"], "strict": True},
    ]


def test_a_choice_of_no_tool(model: ChatAnthropic) -> None:
    """The API's own refusal comes late, and does not list the tools."""
    with pytest.raises(ConfigurationError, match=r"one of the tools \(weather\), not 'wether'"):
        model.bind_tools([weather], tool_choice="wether")
    with pytest.raises(ConfigurationError, match="not 5"):
        model.bind_tools([5])


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_calls_come_in_pieces(model: ChatAnthropic, api: MessagesAPI, way: str) -> None:
    """Who shows a long argument while it is written reads the pieces of each call."""
    api.replies = [Reply([CALL, OTHER], stop_reason="tool_use")]
    if way == "stream":
        chunks = list(model.stream("Hello"))
    else:
        chunks = [chunk async for chunk in model.astream("Hello")]
    parts = [part for chunk in chunks for part in chunk.tool_call_chunks]
    assert [(part["index"], part["name"], part["id"]) for part in parts if part["name"]] == [
        (0, "weather", "toolu_1"),
        (1, "now", "toolu_2"),
    ]
    written = [part["args"] for part in parts if part["index"] == 0]
    assert "".join(filter(None, written)) == '{"city": "Rome"}'
    assert len(written) > 2


async def test_results(api: MessagesAPI, model: ChatAnthropic, way: str) -> None:
    """The API refuses results that do not follow their calls at once, all in one message."""
    api.replies = [Reply([CALL, OTHER], stop_reason="tool_use"), Reply()]
    able = model.bind_tools([weather])
    question = HumanMessage("?")
    answer = await asked(able, way, [question])
    picture = {"type": "image", "url": "https://example.test/map.png"}
    results = [
        weather.invoke(answer.tool_calls[0]),
        ToolMessage([picture], tool_call_id="toolu_2", status="error"),
    ]
    last = await asked(able, way, [question, answer, *results])
    assert last.text == "1 + 2 = 3"
    assert api.requests[1]["messages"] == [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": [CALL, OTHER]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny in Rome"},
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "content": [
                        {"type": "image", "source": {"type": "url", "url": picture["url"]}}
                    ],
                    "is_error": True,
                },
            ],
        },
    ]


def test_a_call_that_could_not_be_read(api: MessagesAPI, model: ChatAnthropic) -> None:
    """Its answer, which tells the model so, refers to it: without it the API refuses both."""
    broken = InvalidToolCall(name="weather", args="{'city'", id="call_1", error="no JSON")
    model.invoke(
        [
            HumanMessage("?"),
            AIMessage("", invalid_tool_calls=[broken]),
            ToolMessage("Write JSON.", tool_call_id="call_1", status="error"),
        ]
    )
    _, call, result = api.requests[0]["messages"]
    assert call["content"] == [{"type": "tool_use", "id": "call_1", "name": "weather", "input": {}}]
    assert result["content"][0]["tool_use_id"] == "call_1"


async def test_structured_output(api: MessagesAPI, model: ChatAnthropic) -> None:
    """A program that wants data gets an object of its class, whichever the provider."""

    class City(BaseModel):
        """A city."""

        name: str

    use = {"type": "tool_use", "id": "toolu_1", "name": "City", "input": {"name": "Rome"}}
    api.replies = [Reply([use]), Reply([use])]
    able = model.with_structured_output(City)
    assert able.invoke("?") == await able.ainvoke("?") == City(name="Rome")
    assert api.requests[0]["tool_choice"] == {"type": "tool", "name": "City"}


async def test_the_span_of_a_call_with_tools(
    api: MessagesAPI, model: ChatAnthropic, spans: SpanLog, way: str
) -> None:
    """Why a model stopped tells loops that go on from those that are done."""
    api.replies = [Reply([CALL], stop_reason="tool_use")]
    await asked(model.bind_tools([weather], tool_choice="any"), way)
    (span,) = spans.ended
    attributes = dict(span.attributes or {})
    assert attributes["gen_ai.response.finish_reasons"] == ("tool_use",)
    assert "Rome" not in span.to_json()
