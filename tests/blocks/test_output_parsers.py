"""Output parsers."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import langchain_core.output_parsers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from callspan import CallspanError, OTelCallbackHandler, OutputParserError
from callspan.errors import ConfigurationError, InputError
from callspan.language_models import FakeListChatModel
from callspan.messages import AIMessage
from callspan.output_parsers import JsonOutputParser, PydanticOutputParser, StrOutputParser
from callspan.runnables import RunnableLambda
from support import SpanLog

JSON: JsonOutputParser[Any] = JsonOutputParser()


class Joke(BaseModel):
    setup: str
    stars: int = Field(ge=1)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        ' \n{"a": 1}\n',
        '```json\n{"a": 1}\n```',
        '```\n{"a": 1}```',
        'Here it is:\n```json\n{"a": 1}\n```\nAnything else?',
        '{"a": 1} is the answer',
        '{"code": "```json\\n[1]\\n```"}',
        '```json\n{"code": "use ``` here"}\n``` Done.',
        '{"a": "two\nlines"}',
        '{"a": [1, 2',
        '{"a": {"b": "c',
        "[]",
        "null",
        "```json\n[1, 2]\n",
    ],
)
async def test_json_is_found_where_langchain_finds_it(text: str) -> None:
    """Models put fences and words around their JSON, and break off."""
    expected = langchain_core.output_parsers.JsonOutputParser().parse(text)
    assert JSON.parse(text) == expected
    assert JSON.invoke(AIMessage(text)) == await JSON.ainvoke(text) == expected
    assert list(JSON.transform(iter(text)))[-1] == expected


@given(VALUES, st.sampled_from(["{}", "```json\n{}\n```", "So:\n```\n{}```"]))
def test_a_stream_grows_to_the_value(value: Any, around: str) -> None:
    """However a text is cut, the last thing that comes is what it stands for, and nothing twice."""
    parts = list(JSON.transform(iter(around.replace("{}", json.dumps(value)))))
    assert parts[-1] == value == JSON.parse(around.replace("{}", json.dumps(value)))
    assert all(one != other for one, other in pairwise(parts))


async def test_objects_grow_as_in_langchain() -> None:
    """A user interface shows what there is of an answer."""
    text = '{"setup": "why", "of": ["a", "b"], "end": null}'
    theirs = langchain_core.output_parsers.JsonOutputParser()
    expected = list(theirs.transform(iter(text)))
    assert list(JSON.transform(iter(text))) == expected
    model = FakeListChatModel(responses=[text])
    assert [part async for part in (model | JSON).astream("x")] == expected
    assert expected[:4] == [{}, {"setup": ""}, {"setup": "w"}, {"setup": "wh"}]


@pytest.mark.parametrize("text", ["[1, [2, 3]]", '"text"', "123"])
def test_what_follows_gets_the_value_and_no_sum(text: str, handler: Any) -> None:
    """Lists, texts and numbers can be added, but a stream's values replace one another."""
    chain = FakeListChatModel(responses=[text]) | JSON | RunnableLambda(lambda value: [value])
    assert list(chain.stream("x", {"callbacks": [handler]})) == [[json.loads(text)]]
    ends = [args[0] for method, args, _ in handler.events if method == "on_chain_end"]
    assert ends[0] == json.loads(text)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("no json", "is no JSON: Expecting value"),
        ("", "is no JSON"),
        ('{"a": 1,, }', "is no JSON: .* line 1 column 9"),
        ("```json\nnothing\n```", "is no JSON: Expecting value"),
        ("[" * 100_000, "is no JSON: .*recursion"),
    ],
)
async def test_what_is_no_json_says_so(text: str, wrong: str, handler: Any) -> None:
    """The error tells what to do; the answer is at hand, for a prompt that asks to mend it."""
    for parse in (JSON.parse, JSON.invoke, lambda text: list(JSON.transform(iter([text])))):
        with pytest.raises(OutputParserError, match=wrong) as raised:
            parse(text)
        assert raised.value.llm_output == text
        assert "get_format_instructions" in str(raised.value)
        assert isinstance(raised.value, CallspanError)


@pytest.mark.parametrize("capture", [False, True])
def test_the_answer_stays_off_spans_without_content(spans: SpanLog, capture: bool) -> None:
    """An error must not carry content past the switch that is off."""
    handler = OTelCallbackHandler(capture_content=capture)
    for text in ("secret words", '{"setup": "secret words", "stars": 0}'):
        spans.clear()
        with pytest.raises(OutputParserError):
            PydanticOutputParser(Joke).invoke(text, {"callbacks": [handler]})
        (span,) = spans.ended
        told: Any = [span.attributes, *(event.attributes for event in span.events)]
        assert ("secret" in str([dict(one) for one in told])) is capture
        assert span.attributes is not None
        assert span.attributes["error.type"] == "callspan.errors.OutputParserError"


async def test_objects_of_a_model() -> None:
    """The rest of a program wants types, not dicts."""
    parser = PydanticOutputParser(pydantic_object=Joke)
    joke = Joke(setup="why", stars=3)
    assert parser.invoke(AIMessage(f"```json\n{joke.model_dump_json()}\n```")) == joke
    assert await parser.ainvoke(joke.model_dump_json()) == joke
    parts = list(parser.transform(iter('{"stars": 3, "setup": "why"}')))
    assert parts == [Joke(setup=text, stars=3) for text in ("", "w", "wh", "why")]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('{"setup": "a"}', "does not fit PydanticOutputParser: stars: Field required"),
        ('{"setup": 1, "stars": 0}', "setup: Input should be a valid string; stars: Input should"),
        ("[1]", "does not fit PydanticOutputParser: Input should be"),
    ],
)
def test_what_does_not_fit_the_model_is_named(text: str, wrong: str) -> None:
    """A model mends its answer when it is told which field was wrong."""
    parser = PydanticOutputParser(Joke)
    for parse in (parser.parse, lambda text: list(parser.transform(iter(text)))):
        with pytest.raises(OutputParserError, match=wrong) as raised:
            parse(text)
        assert raised.value.llm_output == text


def test_instructions_have_the_schema() -> None:
    """They go into prompts, whose braces are the prompt's own affair."""
    told = PydanticOutputParser(Joke).get_format_instructions()
    assert '"minimum": 1' in told
    assert JsonOutputParser(Joke).get_format_instructions() == told
    assert json.loads(told.splitlines()[1])["required"] == ["setup", "stars"]
    assert JSON.get_format_instructions() == "Return a JSON object."


def test_bad_input_is_named() -> None:
    """The mistakes are found where they are made."""
    for parser in (JSON, StrOutputParser()):
        with pytest.raises(InputError, match=rf"{parser.get_name()} takes a message or a text"):
            parser.invoke(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="takes a pydantic model, not 3"):
        PydanticOutputParser(pydantic_object=3)  # type: ignore[type-var]
