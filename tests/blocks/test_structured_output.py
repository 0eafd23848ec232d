"""Models that answer in a structure."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from callspan import ConfigurationError, OutputParserError
from callspan.language_models import GenericFakeChatModel, tool_schema
from callspan.messages import AIMessage


class Joke(BaseModel):
    """A joke."""

    setup: str
    rating: int = 5


class JokeDict(TypedDict):
    """A joke."""

    setup: str


SCHEMA = {"title": "Joke", "type": "object", "properties": {"setup": {"type": "string"}}}


def call(name: str = "Joke", **args: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": "1", "type": "tool_call"}])


def model(*messages: Any) -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=iter(messages))


@pytest.mark.parametrize(
    ("schema", "answer", "parsed"),
    [
        (Joke, call(setup="knock"), Joke(setup="knock")),
        (JokeDict, call("JokeDict", setup="knock"), {"setup": "knock"}),
        (SCHEMA, call(setup="knock"), {"setup": "knock"}),
        (tool_schema(Joke), call(setup="knock"), {"setup": "knock"}),
    ],
    ids=["pydantic", "typed-dict", "json-schema", "openai"],
)
async def test_the_answer_has_the_form_of_the_schema(schema: Any, answer: Any, parsed: Any) -> None:
    """Whoever gives a class gets an instance, whoever gives a dict gets a dict."""
    structured = model(answer, answer, answer).with_structured_output(schema)
    assert structured.invoke("tell me one") == parsed
    assert await structured.ainvoke("tell me one") == parsed
    assert list(structured.stream("tell me one")) == [parsed]


def test_the_call_is_forced_and_parsed_in_one_trace(handler: Any) -> None:
    """A model that may answer in prose often does; and the parser's run shows what went wrong."""
    structured = model(call(setup="x")).with_structured_output(Joke, temperature=0)
    structured.invoke("hi", {"callbacks": [handler]})
    (start,) = handler.events.of("on_chat_model_start")
    told = start["invocation_params"]
    assert (told["tool_choice"], told["temperature"]) == ("Joke", 0)
    assert [one["name"] for one in told["tools"]] == ["Joke"]
    assert [one.get("run_type") for one in handler.events.of("on_chain_start")] == [None, "parser"]


BROKEN = AIMessage(
    "",
    invalid_tool_calls=[
        {
            "name": "Joke",
            "args": '{"setup',
            "id": "1",
            "error": "it ends early",
            "type": "invalid_tool_call",
        }
    ],
)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (AIMessage("prose"), "answered without the structure Joke"),
        (call("Other"), "answered without the structure Joke"),
        (call(rating=1), "no Joke: setup: Field required"),
        (BROKEN, "it ends early"),
    ],
    ids=["prose", "other", "incomplete", "broken"],
)
def test_an_answer_of_another_form_is_an_error(answer: Any, says: str) -> None:
    """None in its place would be an AttributeError somewhere else; `include_raw` keeps both."""
    structured = model(answer).with_structured_output(Joke)
    with pytest.raises(OutputParserError, match=says) as raised:
        structured.invoke("hi")
    assert "prose" not in str(raised.value)
    result = model(answer).with_structured_output(Joke, include_raw=True).invoke("hi")
    assert result["raw"].content == answer.content
    assert result["parsed"] is None
    assert says in str(result["parsing_error"])


def test_include_raw_gives_the_message_too() -> None:
    """Its usage and finish reason are there and nowhere else."""
    result = model(call(setup="x")).with_structured_output(Joke, include_raw=True).invoke("hi")
    assert result["parsed"] == Joke(setup="x")
    assert result["parsing_error"] is None
    assert result["raw"].tool_calls[0]["args"] == {"setup": "x"}


def test_what_is_no_schema_is_refused_at_once() -> None:
    """Not by the vendor, in a call that may be charged."""
    with pytest.raises(ConfigurationError, match="a tool is"):
        model().with_structured_output(int)
