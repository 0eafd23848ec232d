"""Models that are told of tools."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from callspan import ConfigurationError
from callspan.language_models import (
    BaseChatModel,
    FakeListChatModel,
    GenericFakeChatModel,
    tool_schema,
)
from callspan.messages import AIMessage
from callspan.outputs import ChatGeneration, ChatResult
from callspan.tools import tool


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def fakes() -> list[Any]:
    return [FakeListChatModel(responses=["a"]), GenericFakeChatModel(messages=iter(["a"]))]


@pytest.mark.parametrize("model", fakes(), ids=lambda one: type(one).__name__)
async def test_fakes_are_told_as_a_vendor_would_be(model: Any, handler: Any) -> None:
    """An agent is tested with a fake: what it was offered is in the call's parameters."""
    bound = model.bind_tools([add], tool_choice="any", parallel=False)
    await bound.ainvoke("hi", {"callbacks": [handler]})
    (start,) = handler.events.of("on_chat_model_start")
    told = start["invocation_params"]
    assert told["tools"] == [tool_schema(add)]
    assert (told["tool_choice"], told["parallel"]) == ("any", False)


def test_what_is_no_tool_is_found_when_it_is_bound() -> None:
    """Not in the middle of an agent's work."""
    with pytest.raises(ConfigurationError, match="a tool is"):
        fakes()[0].bind_tools([3])


def test_a_model_without_tools_says_so() -> None:
    """As in langchain_core, whose callers catch NotImplementedError."""

    class Plain(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "plain"

        def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
            return ChatResult(generations=[ChatGeneration(message=AIMessage("x"))])

    with pytest.raises(NotImplementedError, match="Plain cannot call tools"):
        Plain().bind_tools([add])
    with pytest.raises(NotImplementedError, match="Plain cannot call tools"):
        Plain().with_structured_output({"title": "x", "type": "object"})


@pytest.mark.parametrize(
    "make",
    [
        lambda: FakeListChatModel(responses=[]),
        lambda: FakeListChatModel(responses=["a"], respones=["b"]),
        lambda: GenericFakeChatModel(messages=iter(["a"]), slep=1),
    ],
)
def test_fakes_refuse_what_they_would_stumble_over(make: Any) -> None:
    """An empty list was an IndexError in the first call; a misspelt setting had no effect."""
    with pytest.raises(ValidationError, match=r"at least 1 item|not permitted"):
        make()
