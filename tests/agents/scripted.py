"""A model that answers from a script, and the tools that its answers call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import SkipValidation

from callspan.language_models import BaseChatModel
from callspan.messages import AIMessage, AIMessageChunk, BaseMessage, UsageMetadata
from callspan.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

USAGE: UsageMetadata = {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12}


class ScriptedModel(BaseChatModel):
    """Answers what the script has next; keeps what it was asked and which tools it was told of.

    Attributes:
        script: The answers in turn, or a function of the messages.
        asked: The messages of each call.
        told: The names of the tools.
    """

    script: SkipValidation[Any]
    asked: list[list[BaseMessage]] = []  # noqa: RUF012  # pydantic copies it
    told: list[str] = []  # noqa: RUF012

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        """Note the tools' names."""
        self.told.extend(tool.name for tool in tools)
        return self.bind(told=len(tools))

    def _next(self, messages: list[BaseMessage]) -> AIMessage:
        self.asked.append(messages)
        if isinstance(self.script, list):
            answer = self.script[len(self.asked) - 1]
        else:
            answer = self.script(messages)
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, AIMessage) else AIMessage(answer, usage_metadata=USAGE)

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next(messages))])

    async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        return self._generate(messages)

    def _stream(self, messages: Any, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        answer = self._next(messages)
        for word in re.split(r"(\s)", answer.text):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        rest = AIMessageChunk(
            content="",
            tool_calls=answer.tool_calls,
            invalid_tool_calls=answer.invalid_tool_calls,
            usage_metadata=answer.usage_metadata,
            chunk_position="last",
        )
        yield ChatGenerationChunk(message=rest)


def calls(*wanted: tuple[str, dict[str, Any]], said: str = "") -> AIMessage:
    """A model's message that asks for tools: `(name, arguments)` each."""
    made = [
        {"name": name, "args": args, "id": f"c{place}", "type": "tool_call"}
        for place, (name, args) in enumerate(wanted, 1)
    ]
    return AIMessage(said, tool_calls=made, usage_metadata=USAGE)


def model(*script: Any, **settings: Any) -> ScriptedModel:
    """A model that answers the script in turn."""
    return ScriptedModel(script=list(script), **settings)


def endless(message: Callable[[], AIMessage]) -> ScriptedModel:
    """A model that always answers the same."""
    return ScriptedModel(script=lambda _: message())
