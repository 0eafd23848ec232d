"""What ChatOpenAI asks OpenAI's API, and what it makes of the answers."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from completions_api import USAGE, CompletionsAPI, Failure, Reply, asked, call, serving
from pydantic import BaseModel

from callspan import ConfigurationError
from callspan.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from callspan.openai import ChatOpenAI
from callspan.tools import tool

WEATHER = call(1, "weather", '{"city": "Rome"}')
NOW = call(2, "now", "{}")
CALLS = [
    {"name": "weather", "args": {"city": "Rome"}, "id": "call_1", "type": "tool_call"},
    {"name": "now", "args": {}, "id": "call_2", "type": "tool_call"},
]


async def test_an_answer(model: ChatOpenAI, way: str) -> None:
    """All ways to ask lead to the same answer, with the tokens that it took."""
    answer = await asked(model, way)
    assert answer.content == "1 + 2 = 3"
    assert answer.usage_metadata == {"input_tokens": 16, "output_tokens": 13, "total_tokens": 29}
    told = {**answer.response_metadata}
    assert told.pop("token_usage", USAGE) == USAGE
    assert told == {
        "id": "chatcmpl-01",
        "model_name": "gpt-5-mini-2026-01-01",
        "model_provider": "openai",
        "finish_reason": "stop",
        "system_fingerprint": "fp_01",
        "service_tier": "default",
    }


def test_a_stream_comes_in_pieces(api: CompletionsAPI, model: ChatOpenAI) -> None:
    """Whoever prints the chunks as they come sees strings, and the last chunk says so."""
    chunks = list(model.stream("Hello"))
    assert [chunk.content for chunk in chunks] == ["", "1 + ", "2 = ", "3", "", "", ""]
    assert [chunk.chunk_position for chunk in chunks][-2:] == [None, "last"]
    assert api.requests[0]["stream_options"] == {"include_usage": True}


def test_stream_options_of_ones_own_win(api: CompletionsAPI, model: ChatOpenAI) -> None:
    """What a caller says of a request is sent as it is said."""
    own = {"include_usage": False, "include_obfuscation": False}
    list(model.stream("Hello", stream_options=own))
    assert api.requests[0]["stream_options"] == own


def test_a_server_that_knows_no_stream_options(api: CompletionsAPI) -> None:
    """Such a server refuses the request, and answers no question at all."""
    (*_, last) = ChatOpenAI(model="m", stream_usage=False).stream("Hello")
    assert "stream_options" not in api.requests[0]
    assert last.chunk_position == "last"


async def test_usage_with_a_cache_and_reasoning(
    api: CompletionsAPI, model: ChatOpenAI, way: str
) -> None:
    """Cached and reasoned tokens cost less and more than others."""
    usage = {
        "prompt_tokens": 130,
        "completion_tokens": 50,
        "total_tokens": 180,
        "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": None},
    }
    api.replies = [Reply(usage=usage)]
    answer = await asked(model, way)
    assert answer.usage_metadata == {
        "input_tokens": 130,
        "output_tokens": 50,
        "total_tokens": 180,
        "input_token_details": {"cache_read": 100, "cache_creation": 20},
        "output_token_details": {"reasoning": 30},
    }


async def test_a_server_that_counts_nothing(
    api: CompletionsAPI, model: ChatOpenAI, way: str
) -> None:
    """Small servers leave the token counts out, at least of streams."""
    api.replies = [Reply(usage=None)]
    answer = await asked(model, way)
    assert answer.text == "1 + 2 = 3"
    assert answer.usage_metadata is None


@pytest.mark.parametrize("repeats", [False, True])
async def test_tool_calls(api: CompletionsAPI, model: ChatOpenAI, way: str, repeats: bool) -> None:
    """Calls are found where every provider's are, whole or put together from pieces."""
    api.replies = [Reply(None, [WEATHER, NOW], "tool_calls", repeats=repeats)]
    answer = await asked(model, way)
    assert answer.content == ""
    assert answer.tool_calls == CALLS
    assert answer.response_metadata["finish_reason"] == "tool_calls"


def weather(city: str) -> str:
    """Say what the weather is."""
    return f"sunny in {city}"


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, None),
        ("auto", "auto"),
        ("none", "none"),
        ("any", "required"),
        (True, "required"),
        ("weather", {"type": "function", "function": {"name": "weather"}}),
    ],
)
async def test_tools(
    api: CompletionsAPI, model: ChatOpenAI, way: str, choice: Any, sent: Any
) -> None:
    """A program chooses tools in the same words for each provider."""
    api.replies = [Reply(None, [WEATHER, NOW], "tool_calls")]
    able = model.bind_tools([tool(weather)], tool_choice=choice, parallel_tool_calls=True)
    answer = await asked(able, way)
    assert answer.tool_calls == CALLS
    (request,) = api.requests
    assert request["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "Say what the weather is.",
                "parameters": {
                    "type": "object",
                    "properties": {"city": {"type": "string"}},
                    "required": ["city"],
                },
            },
        }
    ]
    assert request.get("tool_choice") == sent
    assert request["parallel_tool_calls"] is True


class Weather(BaseModel):
    """The weather of a place."""

    city: str
    days: int = 1


async def test_structured_output(api: CompletionsAPI, model: ChatOpenAI, way: str) -> None:
    """An answer that a program goes on with is an object, and no text to be parsed."""
    api.replies = [Reply(None, [call(1, "Weather", '{"city": "Rome"}')], "tool_calls")]
    structured = model.with_structured_output(Weather)
    ask = getattr(structured, way)
    given = [ask("?")] if way == "invoke" else [await ask("?")] if way == "ainvoke" else ask("?")
    answers = [one async for one in given] if way == "astream" else list(given)
    assert answers[-1] == Weather(city="Rome")
    sent = api.requests[0]["tool_choice"]
    assert sent == {"type": "function", "function": {"name": "Weather"}}


def test_a_choice_of_no_tool(model: ChatOpenAI) -> None:
    """The API's own refusal comes late, and does not list the tools."""
    with pytest.raises(ConfigurationError, match=r"one of the tools \(weather\), not 'wether'"):
        model.bind_tools([weather], tool_choice="wether")


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_parallel_calls_at_one_index(
    api: CompletionsAPI, model: ChatOpenAI, way: str
) -> None:
    """Some servers send each call whole and give all the same index: they are still two."""
    reply = Reply(None, [WEATHER, NOW], "tool_calls")
    events = reply.streamed("m")
    for event in events:
        for choice in event["choices"]:
            for part in choice["delta"].get("tool_calls", ()):
                part["index"] = 0
    api.replies = [Reply(events=events)]
    assert (await asked(model, way)).tool_calls == CALLS


@pytest.mark.parametrize("arguments", ['{"city": Rome}', '["Rome"]'])
async def test_arguments_that_cannot_be_read(
    api: CompletionsAPI, model: ChatOpenAI, way: str, arguments: str
) -> None:
    """Models make mistakes: they are handed on, to be shown to the model, and not raised."""
    api.replies = [Reply(None, [call(1, "weather", arguments)], "tool_calls")]
    answer = await asked(model, way)
    assert answer.tool_calls == []
    (wrong,) = answer.invalid_tool_calls
    assert (wrong["name"], wrong["args"], wrong["id"]) == ("weather", arguments, "call_1")
    model.invoke([HumanMessage("?"), answer, ToolMessage("no", tool_call_id="call_1")])
    assert api.requests[1]["messages"][1]["tool_calls"] == [call(1, "weather", arguments)]


def test_a_call_that_is_cut_off(api: CompletionsAPI, model: ChatOpenAI) -> None:
    """Arguments that the token limit has cut must not be taken for the whole ones."""
    api.replies = [Reply(None, [call(1, "remove", '{"path": "/tmp')], "length")]
    answer = model.invoke("?")
    assert answer.tool_calls == []
    assert answer.invalid_tool_calls[0]["args"] == '{"path": "/tmp'


async def test_a_refusal_and_reasoning(api: CompletionsAPI, model: ChatOpenAI, way: str) -> None:
    """What a model says beside its answer is not lost."""
    api.replies = [Reply(None, more={"refusal": "I must not.", "reasoning_content": "It asks."})]
    answer = await asked(model, way)
    assert answer.content == ""
    assert answer.additional_kwargs == {"refusal": "I must not.", "reasoning_content": "It asks."}


async def test_log_probabilities(api: CompletionsAPI, model: ChatOpenAI, way: str) -> None:
    """Classifiers read how sure the model is."""
    reply = Reply("3")
    sure = {"token": "3", "logprob": -0.1, "bytes": [51], "top_logprobs": []}
    events = reply.streamed("m")
    events[1]["choices"][0]["logprobs"] = {"content": [sure], "refusal": None}
    body = reply.body("m")
    body["choices"][0]["logprobs"] = {"content": [sure], "refusal": None}
    reply.events, reply.body = events, lambda _: body  # type: ignore[method-assign]
    api.replies = [reply]
    answer = await asked(model, way, logprobs=True)
    assert api.requests[0]["logprobs"] is True
    assert answer.response_metadata["logprobs"]["content"] == [sure]


def test_several_choices(api: CompletionsAPI, model: ChatOpenAI) -> None:
    """`n` answers are all there, and their usage is that of the one request."""
    reply = Reply()
    body = reply.body("m")
    second = {**body["choices"][0], "index": 1, "message": {"role": "assistant", "content": "3"}}
    body["choices"].append(second)
    reply.body = lambda _: body  # type: ignore[method-assign]
    api.replies = [reply]
    result = model.generate([[HumanMessage("?")]], n=2)
    assert [answer.text for answer in result.generations[0]] == ["1 + 2 = 3", "3"]


async def test_streamed_choices(api: CompletionsAPI, model: ChatOpenAI) -> None:
    """A stream of several choices would be a jumble; it is the first one."""
    events = Reply().streamed("m")
    other = {"index": 1, "delta": {"content": "noise"}, "finish_reason": None}
    events.insert(2, {**events[1], "choices": [other]})
    api.replies = [Reply(events=events)]
    assert (await asked(model, "stream")).text == "1 + 2 = 3"


def test_a_conversation(api: CompletionsAPI, model: ChatOpenAI) -> None:
    """The API refuses calls without their results, and results without their calls."""
    model.invoke(
        [
            SystemMessage("Be kind."),
            ("developer", "Be brief."),
            HumanMessage("Is it warm?", name="Ann"),
            AIMessage("", tool_calls=CALLS),
            ToolMessage("yes", tool_call_id="call_1", name="weather"),
            ToolMessage(["no", "clock"], tool_call_id="call_2", status="error"),
            AIMessage("It is."),
            HumanMessage("Thanks."),
        ]
    )
    assert api.requests[0]["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Is it warm?", "name": "Ann"},
        {"role": "assistant", "content": None, "tool_calls": [WEATHER, NOW]},
        {"role": "tool", "content": "yes", "tool_call_id": "call_1"},
        {
            "role": "tool",
            "content": [{"type": "text", "text": "no"}, {"type": "text", "text": "clock"}],
            "tool_call_id": "call_2",
        },
        {"role": "assistant", "content": "It is."},
        {"role": "user", "content": "Thanks."},
    ]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "image", "base64": "aGk=", "mime_type": "image/png"},
        {"type": "image", "source_type": "base64", "data": "aGk=", "mime_type": "image/png"},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "aGk="},
        },
    ],
)
def test_images(api: CompletionsAPI, model: ChatOpenAI, block: dict[str, Any]) -> None:
    """An image is one, whether it is written as OpenAI, langchain or Anthropic does."""
    model.invoke([HumanMessage(["What is this?", block])])
    assert api.requests[0]["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
    ]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": "https://example.test/a.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
    ],
)
def test_the_apis_own_blocks(api: CompletionsAPI, model: ChatOpenAI, block: dict[str, Any]) -> None:
    """What is written for the API goes there as it is."""
    model.invoke([HumanMessage([block])])
    assert api.requests[0]["messages"][0]["content"] == [block]


def test_an_image_at_a_url(api: CompletionsAPI, model: ChatOpenAI) -> None:
    """The server fetches it: callspan does not."""
    model.invoke([HumanMessage([{"type": "image", "url": "https://example.test/a.png"}])])
    assert api.requests[0]["messages"][0]["content"] == [
        {"type": "image_url", "image_url": {"url": "https://example.test/a.png"}}
    ]


def test_an_answer_of_another_provider(api: CompletionsAPI, model: ChatOpenAI) -> None:
    """A fallback from another provider goes on with a conversation that began there."""
    answer = AIMessage(
        [
            {"type": "thinking", "thinking": "Look.", "signature": "c2lnbmVk", "index": 0},
            {"type": "text", "text": "Let me look.", "index": 1, "citations": []},
            {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Rome"}},
        ],
        tool_calls=CALLS[:1],
    )
    model.invoke([HumanMessage("?"), answer, ToolMessage("sunny", tool_call_id="call_1")])
    assert api.requests[0]["messages"][1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "Let me look."}],
        "tool_calls": [WEATHER],
    }


async def test_parameters(api: CompletionsAPI, way: str) -> None:
    """What the constructor is given goes into the request, and a call's own arguments win."""
    settings: dict[str, Any] = {
        "model": "gpt-5-mini",
        "max_tokens": 5,
        "max_completion_tokens": 6,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["."],
        "seed": 7,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "reasoning_effort": "low",
    }
    model = ChatOpenAI(
        **settings,
        base_url=api.url,
        api_key="sk-other",
        organization="org-1",
        model_kwargs={"logit_bias": {"50256": -100}},
    )
    await asked(model, way)
    await asked(model, way, stop=["!"], temperature=0.0, model="gpt-5")
    first, second = (dict(request) for request in api.requests)
    for request in (first, second):
        request.pop("stream", None)
        request.pop("stream_options", None)
        del request["messages"]
    assert first == {**settings, "logit_bias": {"50256": -100}}
    assert second == first | {"stop": ["!"], "temperature": 0.0, "model": "gpt-5"}
    assert api.headers[0]["authorization"] == "Bearer sk-other"
    assert api.headers[0]["openai-organization"] == "org-1"


async def test_what_is_no_completion(api: CompletionsAPI, model: ChatOpenAI) -> None:
    """A wrong base_url often leads to a server that answers anything with 200."""
    page = Failure(200)
    api.replies = [page]
    with pytest.raises(ConfigurationError, match="base_url has to be"):
        model.invoke("Hello")


def test_copies(api: CompletionsAPI, model: ChatOpenAI) -> None:
    """A model that has made a client can still be copied, pickled, and sent elsewhere."""
    model.invoke("Hello")
    with serving() as elsewhere:
        other = model.model_copy(update={"base_url": elsewhere.url})
        other.invoke("Hello")
        assert (len(api.requests), len(elsewhere.requests)) == (1, 1)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301
        assert twin.invoke("Hello").text == "1 + 2 = 3"


def test_secrets_are_nowhere(api: CompletionsAPI, handler: Any, spans: Any) -> None:
    """A key in a log is a key to change, and so is a password in a URL."""
    url = api.url.replace("://", "://user:p4ssw0rd@")
    model = ChatOpenAI(model="gpt-5-mini", api_key="sk-secret", base_url=url)
    model.invoke("Hello", {"callbacks": [handler]})
    shown = [repr(model), str(model), repr(model.model_dump()), model.model_dump_json()]
    everything = "".join([*shown, repr(list(handler.events)), spans.ended[0].to_json()])
    assert "sk-secret" not in everything
    assert "p4ssw0rd" not in everything
    with pytest.raises(ValueError, match="modle") as caught:
        ChatOpenAI(modle="gpt-5-mini", api_key="sk-secret")  # type: ignore[call-arg]
    assert "sk-secret" not in f"{caught.value!r} {caught.value}"
