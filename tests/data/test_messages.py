"""Messages and what is made into them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from callspan.errors import InputError
from callspan.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    BaseMessage,
    ChatPromptValue,
    HumanMessage,
    StringPromptValue,
    SystemMessage,
    ToolMessage,
    add_usage,
    convert_to_messages,
    get_buffer_string,
)

counts = st.integers(0, 10**6)
details = st.dictionaries(st.sampled_from(["audio", "cache_read", "reasoning", "own"]), counts)
usages = st.none() | st.fixed_dictionaries(
    {"input_tokens": counts, "output_tokens": counts, "total_tokens": counts},
    optional={"input_token_details": details, "output_token_details": details},
)


@given(usages, usages, usages)
def test_usage_adds_up_in_any_order(a: Any, b: Any, c: Any) -> None:
    """Totals over batches and streams must not depend on who finished first."""
    assert add_usage(add_usage(a, b), c) == add_usage(a, add_usage(b, c))
    assert add_usage(a, b) == add_usage(b, a)
    total = sum(usage["total_tokens"] for usage in (a, b, c) if usage)
    assert add_usage(add_usage(a, b), c)["total_tokens"] == total


@given(usages, usages)
def test_adding_usage_changes_no_argument(a: Any, b: Any) -> None:
    """The counts are those of messages that the user still holds."""
    before = json.dumps([a, b])
    add_usage(a, b)
    assert json.dumps([a, b]) == before


def test_usage_that_is_no_count_is_named() -> None:
    """A provider that sends something else must be found by the key."""
    with pytest.raises(InputError, match="'total_tokens'"):
        add_usage({"total_tokens": 1}, {"total_tokens": "many"})  # type: ignore[typeddict-item]


@pytest.mark.parametrize("likes", ["hi", HumanMessage("hi"), {"role": "user", "content": "hi"}])
def test_one_message_needs_no_list(likes: Any) -> None:
    """Strings, dicts and messages are iterable: taken as lists, they would turn into nonsense."""
    assert convert_to_messages(likes) == [HumanMessage("hi")]


def test_prompt_values_give_their_messages() -> None:
    """Models are given prompts and messages alike."""
    messages = [SystemMessage("be brief"), HumanMessage("hi")]
    prompt = ChatPromptValue(messages=messages)
    assert convert_to_messages(prompt) == messages == prompt.to_messages()
    assert prompt.to_messages() is not prompt.messages
    assert prompt.to_string() == "System: be brief\nHuman: hi"
    assert convert_to_messages(StringPromptValue(text="hi")) == [HumanMessage("hi")]
    assert StringPromptValue(text="hi").to_string() == "hi"


def test_a_dumped_message_can_be_read_back() -> None:
    """Conversations are stored as JSON; a reader must find usage and tool calls again."""
    messages = [
        HumanMessage("hi", name="Ann"),
        AIMessage(
            "let me see",
            tool_calls=[{"name": "add", "args": {"a": 1}, "id": "c1"}],
            usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
            response_metadata={"model_name": "m"},
        ),
        ToolMessage("3", tool_call_id="c1", status="error", artifact=[3]),
    ]
    dumped = json.loads(json.dumps([message.model_dump() for message in messages]))
    assert convert_to_messages(dumped) == messages
    assert TypeAdapter(list[AnyMessage]).validate_python(dumped) == messages


def test_fields_take_any_message() -> None:
    """Users' state models hold conversations, chunks among them."""

    class State(BaseModel):
        messages: list[AnyMessage]

    chunk = AIMessageChunk(content="hi")
    state = State(messages=[HumanMessage("hi"), chunk])
    assert state.messages[1] is chunk
    assert State.model_validate_json(state.model_dump_json()) == state
    with pytest.raises(ValidationError):
        State.model_validate({"messages": [{"type": "human"}]})


@pytest.mark.parametrize(
    ("likes", "says"),
    [
        (7, "give a list"),
        ([7], "cannot make a message of a int"),
        ([("human", "hi", "ho")], "cannot make a message of a tuple"),
        ([{"role": "user"}], "needs role and content"),
        ([{"content": "hi"}], "needs role and content"),
        ([("robot", "hi")], "unknown role 'robot': use one of human, user"),
        ([(["robot"], "hi")], "unknown role"),
        (
            [
                {
                    "role": "ai",
                    "content": "",
                    "tool_calls": [{"id": "c", "function": {"name": "add", "arguments": "{a"}}],
                }
            ],
            "arguments of the call of 'add'",
        ),
    ],
)
def test_what_is_no_message_is_told_so(likes: Any, says: str) -> None:
    """The message must say what to write instead."""
    with pytest.raises(InputError, match=says):
        convert_to_messages(likes)


def test_own_kind_of_message_has_no_prefix() -> None:
    """Guessing a speaker would change a prompt silently."""
    with pytest.raises(InputError, match="BaseMessage has no prefix"):
        get_buffer_string([BaseMessage("hi", type="robot")])


def test_prefixes_can_be_chosen() -> None:
    """Text models are trained on one pair of names or another."""
    talk = [
        SystemMessage("s"),
        HumanMessage("q"),
        AIMessage("a"),
        ToolMessage("r", tool_call_id="1"),
    ]
    text = get_buffer_string(
        talk, "U", "M", system_prefix="S", tool_prefix="T", message_separator=" | "
    )
    assert text == "S: s | U: q | M: a | T: r"


def test_messages_own_their_containers() -> None:
    """Two messages made of the same dict must not write into each other."""
    shared = {"k": 1}
    one, other = HumanMessage("a", additional_kwargs=shared), HumanMessage("b")
    one.additional_kwargs["k"] = 2
    other.additional_kwargs["k"] = 3
    assert shared == {"k": 1}
    assert HumanMessage("c").additional_kwargs == {}


def test_pretty_print_shows_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    """It is what people call at a prompt."""
    HumanMessage("hi").pretty_print()
    assert capsys.readouterr().out == f"{'=' * 32} Human Message {'=' * 33}\n\nhi\n"


@pytest.mark.parametrize("content", [None, 7, [7]])
def test_content_is_text_or_blocks(content: Any) -> None:
    """A wrong content must fail where it is written, not in a provider's SDK."""
    with pytest.raises(ValidationError, match="content"):
        HumanMessage(content)
