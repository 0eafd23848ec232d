"""Prompts."""

from __future__ import annotations

from typing import Any

import pytest

from callspan.errors import ConfigurationError, InputError, MissingVariableError
from callspan.messages import (
    AIMessage,
    ChatPromptValue,
    HumanMessage,
    SystemMessage,
)
from callspan.prompts import ChatPromptTemplate, MessagesPlaceholder


def test_a_template_becomes_a_message_of_the_user() -> None:
    """The shortest prompt there is, as the README shows it."""
    prompt = ChatPromptTemplate.from_template("What is 1 + {number}?")
    assert prompt.input_variables == ["number"]
    expected = ChatPromptValue(messages=[HumanMessage("What is 1 + 2?")])
    assert prompt.invoke({"number": "2"}) == expected
    assert prompt.invoke("2") == expected
    assert prompt.format_prompt(number=2) == expected
    assert prompt.format_messages(number=2) == expected.messages
    assert prompt.format(number=2) == "Human: What is 1 + 2?"


async def test_every_form_of_message_is_taken() -> None:
    """What langchain_core's users write in from_messages."""
    prompt = ChatPromptTemplate.from_messages(
        [
            ("system", "be {mood}"),
            SystemMessage("{as it is}"),
            MessagesPlaceholder("history"),
            ("placeholder", "{more}"),
            {"role": "assistant", "content": "{mood}?"},
            "{question}",
            ("user", [{"type": "text", "text": "see {question}"}, {"type": "image", "n": 1}]),
        ]
    )
    assert prompt.input_variables == ["history", "mood", "question"]
    values = {"mood": "kind", "history": [("ai", "{x}"), HumanMessage("hi")], "question": "why"}
    assert (await prompt.ainvoke(values)).to_messages() == [
        SystemMessage("be kind"),
        SystemMessage("{as it is}"),
        AIMessage("{x}"),
        HumanMessage("hi"),
        AIMessage("kind?"),
        HumanMessage("why"),
        HumanMessage([{"type": "text", "text": "see why"}, {"type": "image", "n": 1}]),
    ]


def test_placeholders_may_be_optional_and_take_the_last_messages() -> None:
    """A conversation begins without a history, and grows beyond what a model takes."""
    prompt = ChatPromptTemplate([MessagesPlaceholder("h", optional=True, n_messages=2)])
    assert prompt.invoke({}).to_messages() == []
    assert prompt.format(h=["a", "b", "c"]) == "Human: b\nHuman: c"


def test_formats_are_those_of_an_f_string() -> None:
    """Numbers in prompts are rounded, and braces of JSON examples written twice."""
    prompt = ChatPromptTemplate.from_template('{x:.{places}f} {x!r:>4} {{"a": {x}}}')
    assert prompt.format(x=1.26, places=1) == 'Human: 1.3 1.26 {"a": 1.26}'


def test_what_a_variable_holds_is_not_a_template() -> None:
    """A question with braces must neither fail nor read other variables."""
    prompt = ChatPromptTemplate.from_template("{question} {secret}")
    assert prompt.format(question="{secret}", secret="s") == "Human: {secret} s"  # noqa: S106


@pytest.mark.parametrize("template", ["{x.__class__}", "{x[0]}", "{}", "{0}", "{a b}", "{x:{y.z}}"])
def test_variables_have_plain_names(template: str) -> None:
    """A template from outside must not walk through the attributes of the program's objects."""
    with pytest.raises(InputError, match="is no variable"):
        ChatPromptTemplate.from_template(template)


def test_partial_fills_in_some_variables() -> None:
    """Dates and names are known before the question is; functions are asked each time."""
    days = iter(["monday", "tuesday"])
    prompt = ChatPromptTemplate.from_template(
        "{name}: {day}: {text}",
    )
    filled = prompt.partial(name="Ann", day=lambda: next(days))
    assert prompt.input_variables == ["day", "name", "text"]
    assert filled.input_variables == ["text"]
    assert filled.invoke("hi").to_string() == "Human: Ann: monday: hi"
    assert filled.format(text="ho", name="Bob") == "Human: Bob: tuesday: ho"


def test_a_missing_variable_is_named_with_what_there_is() -> None:
    """A typo is found by comparing the two lists, not by guessing."""
    prompt = ChatPromptTemplate.from_template("{number} {text}")
    with pytest.raises(MissingVariableError) as raised:
        prompt.invoke({"numbr": 1, "text": ""})
    assert str(raised.value) == (
        "ChatPromptTemplate is missing 'number': it takes 'number', 'text', and was given "
        "'numbr', 'text'. (Braces that are no variable are written twice: {{number}}.)"
    )
    assert isinstance(raised.value, KeyError)


BAD: list[tuple[Any, str]] = [
    ([("nobody", "x")], "unknown role 'nobody'"),
    ([("human", "{x")], "expected '}' before end of string in '{x'"),
    ([("human", "x}")], "Single '}' encountered"),
    ([3], "cannot make a message of 3"),
    (
        [("human", None)],
        "the template of a message is a text or a list of content blocks, not None",
    ),
    ("text", "a prompt takes a list of messages, not str"),
    (None, "a prompt takes a list of messages, not NoneType"),
    ([("placeholder", ["history"])], "a variable in braces, such as {history}, not ['history']"),
    ([("placeholder", "history")], "a variable in braces, such as {history}, not 'history'"),
]


@pytest.mark.parametrize(("messages", "message"), BAD)
def test_what_is_no_prompt_says_so(messages: Any, message: str) -> None:
    """The mistake is in the prompt's definition, and is found there."""
    with pytest.raises(InputError) as raised:
        ChatPromptTemplate.from_messages(messages)
    assert message in str(raised.value)


def test_a_placeholder_takes_a_name_and_some_messages() -> None:
    """The last 0 messages would be all of them."""
    with pytest.raises(ConfigurationError, match="n_messages takes a positive whole number, not 0"):
        MessagesPlaceholder("history", n_messages=0)
    with pytest.raises(ConfigurationError, match="variable_name takes a string, not 5"):
        MessagesPlaceholder(5)  # type: ignore[arg-type]


def test_values_that_do_not_fit_say_so() -> None:
    """The error names the template, since Python's own does not."""
    prompt = ChatPromptTemplate.from_template("{x:.2f}")
    with pytest.raises(InputError, match=r"'\{x:.2f\}' cannot be filled in: Unknown format code"):
        prompt.invoke("one")
    with pytest.raises(InputError, match="takes a dict with 'a', 'b', not str"):
        ChatPromptTemplate.from_template("{a} {b}").invoke("one")
    with pytest.raises(InputError, match="expected messages, got int"):
        ChatPromptTemplate([MessagesPlaceholder("h")]).invoke({"h": 3})


def test_a_prompts_run_is_of_type_prompt(handler: Any) -> None:
    """Tracers show prompts as such."""
    ChatPromptTemplate.from_template("{x}").invoke("1", {"callbacks": [handler]})
    (start,) = handler.events.of("on_chain_start")
    assert (start["name"], start["run_type"]) == ("ChatPromptTemplate", "prompt")
    assert repr(handler.events[-1][1][0]).startswith(
        "ChatPromptValue(messages=[HumanMessage(content='1'"
    )
