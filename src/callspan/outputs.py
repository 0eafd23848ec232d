"""What models and agents return to whoever runs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, SerializeAsAny, model_validator
from typing_extensions import Self

from callspan._model import DataModel
from callspan.messages import BaseMessage, BaseMessageChunk
from callspan.messages.merge import merge_dicts

__all__ = [
    "AgentAction",
    "AgentFinish",
    "ChatGeneration",
    "ChatGenerationChunk",
    "ChatResult",
    "Generation",
    "GenerationChunk",
    "LLMResult",
    "RunInfo",
    "merge_chat_generation_chunks",
]


class Generation(DataModel):
    """One answer of a text model.

    Attributes:
        text: The answer.
        generation_info: What the provider says about it, such as why it ended.
    """

    text: str
    generation_info: dict[str, Any] | None = None
    type: Literal["Generation"] = "Generation"


class GenerationChunk(Generation):
    """A part of a `Generation`; parts are put together with `+`."""

    def __add__(self, other: GenerationChunk | list[GenerationChunk]) -> GenerationChunk:
        """Append one chunk, or a list of chunks at once: texts are joined, infos merged."""
        others = other if isinstance(other, list) else [other]
        if not all(isinstance(chunk, GenerationChunk) for chunk in others):
            return NotImplemented
        chunks = [self, *others]
        return GenerationChunk(
            text="".join(chunk.text for chunk in chunks), generation_info=_merged_info(chunks)
        )


class ChatGeneration(Generation):
    """One answer of a chat model.

    Attributes:
        text: The message's text; set from it.
        message: The answer.
    """

    text: str = ""
    message: SerializeAsAny[BaseMessage]
    type: Literal["ChatGeneration"] = "ChatGeneration"  # type: ignore[assignment]

    @model_validator(mode="after")
    def _set_text(self) -> Self:
        self.text = self.message.text
        return self


class ChatGenerationChunk(ChatGeneration):
    """A part of a `ChatGeneration`; parts are put together with `+`."""

    message: SerializeAsAny[BaseMessageChunk]
    type: Literal["ChatGenerationChunk"] = "ChatGenerationChunk"  # type: ignore[assignment]

    def __add__(
        self, other: ChatGenerationChunk | list[ChatGenerationChunk]
    ) -> ChatGenerationChunk:
        """Append one chunk, or a list of chunks at once: messages are added, infos merged."""
        others = other if isinstance(other, list) else [other]
        if not all(isinstance(chunk, ChatGenerationChunk) for chunk in others):
            return NotImplemented
        return ChatGenerationChunk(
            message=self.message + [chunk.message for chunk in others],
            generation_info=_merged_info([self, *others]),
        )


def merge_chat_generation_chunks(chunks: list[ChatGenerationChunk]) -> ChatGenerationChunk | None:
    """Put the chunks of a stream together.

    Args:
        chunks: The chunks in order.

    Returns:
        Their sum; None if there are none.
    """
    return chunks[0] + chunks[1:] if len(chunks) > 1 else next(iter(chunks), None)


def _merged_info(chunks: Sequence[Generation]) -> dict[str, Any] | None:
    return merge_dicts({}, *(chunk.generation_info or {} for chunk in chunks)) or None


class ChatResult(BaseModel):
    """What a chat model returns for one prompt.

    Attributes:
        generations: The answers, best first.
        llm_output: What the provider says about the call.
    """

    generations: list[ChatGeneration]
    llm_output: dict[str, Any] | None = None


class RunInfo(BaseModel):
    """Which run made a result.

    Attributes:
        run_id: The run's id.
    """

    run_id: UUID


class LLMResult(BaseModel):
    """What a model returns for one or more prompts; the outcome that handlers are told.

    Attributes:
        generations: For each prompt its answers, best first.
        llm_output: What the provider says about the call.
        run: For each prompt the run that answered it.
    """

    generations: list[list[Generation | ChatGeneration | GenerationChunk | ChatGenerationChunk]]
    llm_output: dict[str, Any] | None = None
    run: list[RunInfo] | None = None
    type: Literal["LLMResult"] = "LLMResult"

    def flatten(self) -> list[LLMResult]:
        """Split the result into one for each prompt.

        Returns:
            A result a prompt. Token usage in `llm_output` stays with the first, so that a sum over
            all counts it once.
        """
        rest = None if self.llm_output is None else {**self.llm_output, "token_usage": {}}
        return [
            LLMResult(generations=[answers], llm_output=rest if position else self.llm_output)
            for position, answers in enumerate(self.generations)
        ]

    def __eq__(self, other: object) -> bool:
        """Compare answers and provider output; which run made them does not matter."""
        if not isinstance(other, LLMResult):
            return NotImplemented
        return self.generations == other.generations and self.llm_output == other.llm_output

    __hash__ = None  # type: ignore[assignment]


class AgentAction(DataModel):
    """An agent's decision to call a tool.

    Attributes:
        tool: The tool's name.
        tool_input: What the tool is given: text, or arguments by name.
        log: What the model said with it.
    """

    tool: str
    tool_input: str | dict[Any, Any]
    log: str
    type: Literal["AgentAction"] = "AgentAction"

    def __init__(
        self, tool: str, tool_input: str | dict[Any, Any], log: str, **kwargs: Any
    ) -> None:
        super().__init__(tool=tool, tool_input=tool_input, log=log, **kwargs)


class AgentFinish(DataModel):
    """An agent's decision that it is done.

    Attributes:
        return_values: The agent's output by name.
        log: What the model said with it.
    """

    return_values: dict[Any, Any]
    log: str
    type: Literal["AgentFinish"] = "AgentFinish"

    def __init__(self, return_values: dict[Any, Any], log: str, **kwargs: Any) -> None:
        super().__init__(return_values=return_values, log=log, **kwargs)
