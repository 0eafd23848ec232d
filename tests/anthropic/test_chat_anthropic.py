"""What ChatAnthropic asks Anthropic's API, and what it makes of the answers."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from messages_api import MessagesAPI, Reply, asked, serving

from callspan import InputError
from callspan.anthropic import ChatAnthropic
from callspan.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from support import SpanLog

TEXT = {"type": "text", "text": "Let me look."}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}}
OTHER = {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}}
THOUGHT = {"type": "thinking", "thinking": "One plus two.", "signature": "c2lnbmVk"}


async def test_an_answer(api: MessagesAPI, model: ChatAnthropic, way: str) -> None:
    """All ways to ask lead to the same answer, with the tokens that it took."""
    answer = await asked(model, way)
    assert answer.content == "1 + 2 = 3"
    assert answer.id == "msg_01"
    assert answer.usage_metadata == {"input_tokens": 16, "output_tokens": 13, "total_tokens": 29}
    assert answer.response_metadata["model_name"] == "claude-haiku-4-5-20251001"
    assert answer.response_metadata["stop_reason"] == "end_turn"


def test_a_stream_comes_in_pieces(model: ChatAnthropic) -> None:
    """Whoever prints the chunks as they come sees strings, and the last chunk says so."""
    chunks = list(model.stream("Hello"))
    assert [chunk.content for chunk in chunks] == ["", "1 + ", "2 = ", "3", ""]
    assert [chunk.chunk_position for chunk in chunks][-2:] == [None, "last"]


async def test_usage_with_a_cache_and_thinking(
    api: MessagesAPI, model: ChatAnthropic, way: str
) -> None:
    """Anthropic's input tokens leave out the cached ones, everybody else's do not."""
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 20,
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 30},
        "service_tier": "standard",
    }
    reply = Reply(usage=usage)
    started, *between, delta, stopped = reply.streamed("m")
    started["message"]["usage"] |= {"output_tokens_details": None}
    # Totals come more than once, and the input may grow: a server tool's results are input too.
    early = {**delta, "usage": {"output_tokens": 7, "input_tokens": 4}}
    reply.events = [started, *between, early, {**delta, "usage": usage}, stopped]
    api.replies = [reply]
    answer = await asked(model, way)
    assert answer.usage_metadata == {
        "input_tokens": 130,
        "output_tokens": 50,
        "total_tokens": 180,
        "input_token_details": {"cache_read": 100, "cache_creation": 20},
        "output_token_details": {"reasoning": 30},
    }
    assert answer.response_metadata["stop_reason"] == "end_turn"


async def test_tool_calls(api: MessagesAPI, model: ChatAnthropic, way: str) -> None:
    """Calls are found where every provider's are, whole or put together from pieces."""
    api.replies = [Reply([TEXT, CALL, OTHER], stop_reason="tool_use")]
    tools = [{"name": "weather", "input_schema": {"type": "object"}}]
    answer = await asked(model, way, tools=tools)
    assert api.requests[0]["tools"] == tools
    assert answer.text == "Let me look."
    assert answer.tool_calls == [
        {"name": "weather", "args": {"city": "Rome"}, "id": "toolu_1", "type": "tool_call"},
        {"name": "now", "args": {}, "id": "toolu_2", "type": "tool_call"},
    ]


async def test_answers_go_back_as_they_came(
    api: MessagesAPI, model: ChatAnthropic, way: str
) -> None:
    """The API refuses a conversation whose thinking has lost its signature or its place."""
    api.replies = [Reply([THOUGHT, TEXT, CALL, OTHER])]
    answer = await asked(model, way)
    results = [
        ToolMessage("sunny", tool_call_id="toolu_1"),
        ToolMessage(["no", "clock"], tool_call_id="toolu_2", status="error"),
    ]
    model.invoke([HumanMessage("?"), answer, *results, HumanMessage("Go on.")])
    assert api.requests[1]["messages"] == [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": [THOUGHT, TEXT, CALL, OTHER]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"},
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "content": [{"type": "text", "text": "no"}, {"type": "text", "text": "clock"}],
                    "is_error": True,
                },
                {"type": "text", "text": "Go on."},
            ],
        },
    ]


async def test_a_changed_tool_call_goes_back_changed(
    api: MessagesAPI, model: ChatAnthropic, way: str
) -> None:
    """Who corrects a call's arguments, as people in the loop do, must not be ignored."""
    api.replies = [Reply([TEXT, CALL])]
    answer = await asked(model, way)
    answer.tool_calls[0]["args"] = {"city": "Oslo"}
    model.invoke([HumanMessage("?"), answer])
    content = api.requests[1]["messages"][1]["content"]
    assert content == [TEXT, {**CALL, "input": {"city": "Oslo"}}]


def test_messages_made_by_hand(api: MessagesAPI, model: ChatAnthropic) -> None:
    """Histories from elsewhere have their calls beside the content, and empty texts."""
    call = {"name": "weather", "args": {"city": "Rome"}, "id": "toolu_1"}
    model.invoke(
        [
            SystemMessage("Be kind."),
            SystemMessage("Be brief."),
            HumanMessage("Is it"),
            HumanMessage("warm?"),
            AIMessage("", tool_calls=[call]),
            ToolMessage("yes", tool_call_id="toolu_1"),
        ]
    )
    request = api.requests[0]
    assert request["system"] == "Be kind.\n\nBe brief."
    assert request["messages"][:2] == [
        {
            "role": "user",
            "content": [{"type": "text", "text": "Is it"}, {"type": "text", "text": "warm?"}],
        },
        {"role": "assistant", "content": [CALL]},
    ]


def test_system_blocks_stay_blocks(api: MessagesAPI, model: ChatAnthropic) -> None:
    """A mark for the cache on a block would be lost if the texts were joined."""
    cached = {"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}
    model.invoke([SystemMessage("Be kind."), SystemMessage([cached]), HumanMessage("?")])
    assert api.requests[0]["system"] == [{"type": "text", "text": "Be kind."}, cached]


async def test_parameters(api: MessagesAPI, way: str) -> None:
    """What the constructor is given goes into the request, and a call's own arguments win."""
    model = ChatAnthropic(
        model="claude-haiku-4-5",
        base_url=api.url,
        api_key="sk-other",
        max_tokens=5,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop_sequences=["."],
    )
    await asked(model, way)
    await asked(model, way, stop=["!"], temperature=0.0, model="claude-opus-4-5")
    first, second = (dict(request) for request in api.requests)
    for request in (first, second):
        request.pop("stream", None)
        del request["messages"]
    assert first == {
        "model": "claude-haiku-4-5",
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "stop_sequences": ["."],
    }
    assert second == first | {
        "stop_sequences": ["!"],
        "temperature": 0.0,
        "model": "claude-opus-4-5",
    }
    headers = api.headers[0]
    assert "sk-other" in headers.get("authorization", headers.get("x-api-key", ""))


async def test_a_stop_sequence_that_ended_the_answer(
    api: MessagesAPI, model: ChatAnthropic, way: str
) -> None:
    """Which text ended an answer is in no other place."""
    api.replies = [Reply(stop_reason="stop_sequence", stop_sequence="!")]
    answer = await asked(model, way, stop=["!"])
    assert api.requests[0]["stop_sequences"] == ["!"]
    assert answer.response_metadata["stop_reason"] == "stop_sequence"
    assert answer.response_metadata["stop_sequence"] == "!"


def test_copies(api: MessagesAPI, model: ChatAnthropic) -> None:
    """A model that has made a client can still be copied, pickled, and sent elsewhere."""
    model.invoke("Hello")
    with serving() as elsewhere:
        other = model.model_copy(update={"base_url": elsewhere.url})
        other.invoke("Hello")
        assert (len(api.requests), len(elsewhere.requests)) == (1, 1)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301
        assert twin.invoke("Hello").text == "1 + 2 = 3"


DATA = "iVBORw0KGgo="
OWN = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}


@pytest.mark.parametrize(
    ("block", "sent"),
    [
        (OWN, OWN),
        ({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}}, OWN),
        ({"type": "image_url", "image_url": f"data:image/png;base64,{DATA}"}, OWN),
        ({"type": "image", "base64": DATA, "mime_type": "image/png"}, OWN),
        (
            {"type": "image", "source_type": "base64", "data": DATA, "mime_type": "image/png"},
            OWN,
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://example.test/a.png"}},
            {"type": "image", "source": {"type": "url", "url": "https://example.test/a.png"}},
        ),
        (
            {
                "type": "image",
                "url": "https://example.test/a.png",
                "cache_control": {"type": "ephemeral"},
            },
            {
                "type": "image",
                "source": {"type": "url", "url": "https://example.test/a.png"},
                "cache_control": {"type": "ephemeral"},
            },
        ),
    ],
)
def test_images(
    api: MessagesAPI, model: ChatAnthropic, block: dict[str, Any], sent: dict[str, Any]
) -> None:
    """A picture is written down once, and any provider's model can be asked about it."""
    model.invoke([HumanMessage(["What is this?", block])])
    (turn,) = api.requests[0]["messages"]
    assert turn["content"] == [{"type": "text", "text": "What is this?"}, sent]


@pytest.mark.parametrize(
    "block",
    [{"type": "image"}, {"type": "image_url", "image_url": {"url": "data:image/png,raw"}}],
)
def test_images_that_are_none(model: ChatAnthropic, block: dict[str, Any]) -> None:
    """The API would say that a field is missing which nobody has written."""
    with pytest.raises(InputError, match="image"):
        model.invoke([HumanMessage([block])])


async def test_headers(api: MessagesAPI, way: str) -> None:
    """Gateways, and features in beta, are asked by headers; they may be keys, and are not shown."""
    headers = {"anthropic-beta": "files-api", "x-gateway-key": "hunter2"}
    model = ChatAnthropic(model="m", default_headers=headers)
    await asked(model, way)
    assert {name: api.headers[0].get(name) for name in headers} == headers
    other = model.model_copy(update={"default_headers": {"x-gateway-key": "other"}})
    await asked(other, way)
    assert api.headers[1]["x-gateway-key"] == "other"
    assert "hunter2" not in f"{model!r} {model} {model.model_dump()} {model.model_dump_json()}"


def test_the_password_of_an_address_is_nowhere(
    api: MessagesAPI, handler: Any, spans: SpanLog
) -> None:
    """Gateways are addressed with a password, and a model's repr ends up in logs."""
    url = api.url.replace("://", "://user:hunter2@")
    model = ChatAnthropic(model="m", base_url=url)
    model.invoke("Hello", {"callbacks": [handler]})
    able = model.bind_tools([]).with_config(tags=["a"])
    shown = [repr(model), str(model), repr(able), repr(model.model_dump()), model.model_dump_json()]
    shown += [repr(list(handler.events)), spans.ended[0].to_json()]
    assert "hunter2" not in "".join(shown)
    assert spans.ended[0].attributes["server.address"] == "127.0.0.1"
    assert spans.ended[0].attributes["server.port"] == api.server_port
    with pytest.raises(ValueError, match="modle") as caught:
        ChatAnthropic(modle="m", base_url=url)
    assert "hunter2" not in f"{caught.value!r} {caught.value}"


def test_the_key_is_nowhere(api: MessagesAPI, handler: Any) -> None:
    """A key in a log is a key to change."""
    key = "sk-ant-secret"
    model = ChatAnthropic(model="claude-haiku-4-5", api_key=key)
    model.invoke("Hello", {"callbacks": [handler]})
    shown = [repr(model), str(model), repr(model.model_dump()), model.model_dump_json()]
    assert key not in "".join([*shown, repr(list(handler.events))])
    with pytest.raises(ValueError, match="modle") as caught:
        ChatAnthropic(modle="claude-haiku-4-5", api_key=key)
    assert key not in f"{caught.value!r} {caught.value}"
