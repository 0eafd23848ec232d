"""Models that answer what they are told to, for tests."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

from callspan.language_models.chat import BaseChatModel
from callspan.language_models.llm import BaseLLM
from callspan.messages import AIMessage, AIMessageChunk
from callspan.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, Generation, LLMResult
from callspan.runnables.calls import Call
from callspan.tools.schemas import tool_schema

_NOT_LAST: Final = {"content", "type", "id", "invalid_tool_calls"}


class FakeListChatModelError(Exception):
    """What `FakeListChatModel` raises where it is told to."""


class _InTurn(BaseModel):
    """Answers the texts of a list in turn; a misspelt setting is an error."""

    model_config = ConfigDict(extra="forbid")

    responses: list[str] = Field(min_length=1)
    sleep: float | None = None
    i: int = 0

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"responses": self.responses}

    def _next(self) -> str:
        if self.sleep:
            time.sleep(self.sleep)
        response = self.responses[self.i]
        self.i = (self.i + 1) % len(self.responses)
        return response


class FakeListLLM(_InTurn, BaseLLM):
    """A text model that answers the texts of a list in turn.

    Attributes:
        responses: The texts; after the last one comes the first again.
        sleep: Seconds before each answer.
        i: Which text is next.
    """

    _llm_type: ClassVar[str] = "fake-list"

    def _generate(self, prompts: list[str], *args: Any, **kwargs: Any) -> LLMResult:
        return LLMResult(generations=[[Generation(text=self._next())] for _ in prompts])


class _FakeChatModel(BaseChatModel):
    model_config = ConfigDict(extra="forbid")

    def _tool_arguments(self, tools: Sequence[Any], choice: Any) -> dict[str, Any]:
        return {"tools": [tool_schema(one) for one in tools], "tool_choice": choice}


class FakeListChatModel(_InTurn, _FakeChatModel):
    """Answers the texts of a list in turn, in a batch too; streams character by character.

    Attributes:
        responses: The texts; after the last one comes the first again.
        sleep: Seconds before each answer, and before each chunk of a stream.
        i: Which text is next.
        error_on_chunk_number: Which chunk of a stream, from 0, raises an error instead.
    """

    error_on_chunk_number: int | None = None

    _llm_type: ClassVar[str] = "fake-list-chat-model"

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self._next()))])

    def _stream(self, messages: Any, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for place, chunk in enumerate(_chunks([*self._next()])):
            if self.sleep:
                time.sleep(self.sleep)
            if place == self.error_on_chunk_number:
                raise FakeListChatModelError
            yield chunk

    def _calls(self, *args: Any) -> tuple[list[Call], int | None]:
        # One at a time, or the answers would go to the wrong inputs.
        return super()._calls(*args)[0], 1


class GenericFakeChatModel(_FakeChatModel):
    """Answers what an iterator gives; streams word by word.

    Attributes:
        messages: The answers: messages or texts. Its StopIteration, at the end, is the caller's.
    """

    messages: Annotated[Iterator[AIMessage | str], SkipValidation]

    _llm_type: ClassVar[str] = "generic-fake-chat-model"

    def _next(self) -> AIMessage:
        message = next(self.messages)
        return AIMessage(message) if isinstance(message, str) else message

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next())])

    async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        return self._generate(messages)  # there is nothing to wait for

    def _stream(self, messages: Any, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        message = self._next()
        words = re.split(r"(\s)", message.text) if message.text else []
        # What is beside the text comes with the last chunk: the chunks add up to the message.
        rest = {key: value for key, value in message if value and key not in _NOT_LAST}
        if rest and not message.text:
            words = [""]
        yield from _chunks(words, message.id, **rest)


def _chunks(
    texts: list[str], message_id: str | None = None, **rest: Any
) -> Iterator[ChatGenerationChunk]:
    """The chunks of an answer; the last one has the rest of it."""
    for place, text in enumerate(texts, 1):
        more = {**rest, "chunk_position": "last"} if place == len(texts) else {}
        yield ChatGenerationChunk(message=AIMessageChunk(content=text, id=message_id, **more))
