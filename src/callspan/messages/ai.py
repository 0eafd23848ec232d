"""The messages of a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from callspan.messages.base import BaseMessage, BaseMessageChunk, first_value
from callspan.messages.merge import Content, merge_lists
from callspan.messages.tool import InvalidToolCall, ToolCall, ToolCallChunk, read_tool_calls
from callspan.messages.usage import UsageMetadata, add_usage


class AIMessage(BaseMessage):
    """A model's answer.

    Attributes:
        tool_calls: The tools that the model wants called.
        invalid_tool_calls: Requests to call a tool whose arguments cannot be read.
        usage_metadata: The tokens that the answer took.
    """

    type: Literal["ai"] = "ai"
    tool_calls: list[ToolCall] = Field(default_factory=list)
    invalid_tool_calls: list[InvalidToolCall] = Field(default_factory=list)
    usage_metadata: UsageMetadata | None = None

    if TYPE_CHECKING:  # type checkers look for a model's own __init__, not for an inherited one

        def __init__(self, content: Content | None = None, **kwargs: Any) -> None: ...

    def pretty_repr(self, html: bool = False) -> str:
        """Return the message and its tool calls under a title line.

        Args:
            html: Print the title bold, with a terminal's escape sequences.
        """
        lines = [super().pretty_repr(html=html).strip()]
        if self.tool_calls:
            lines.append("Tool Calls:")
        for call in self.tool_calls:
            lines += _call_lines(call)
            lines += [f"    {name}: {value}" for name, value in call["args"].items()]
        if self.invalid_tool_calls:
            lines.append("Invalid Tool Calls:")
        for invalid in self.invalid_tool_calls:
            lines += _call_lines(invalid, invalid["error"])
            lines += [f"    {invalid['args']}"] if invalid["args"] is not None else []
        return "\n".join(lines)


def _call_lines(call: ToolCall | InvalidToolCall, error: str | None = None) -> list[str]:
    head = [f"  {call['name']} ({call['id']})", f" Call ID: {call['id']}"]
    return [*head, *([f"  Error: {error}"] if error else []), "  Args:"]


class AIMessageChunk(AIMessage, BaseMessageChunk):
    """A part of an `AIMessage`.

    `tool_calls` and `invalid_tool_calls` are read from `tool_call_chunks` as far as these go;
    given without chunks, they are turned into chunks.

    Attributes:
        tool_call_chunks: Parts of tool calls; `+` merges those with the same index.
        chunk_position: `last` on the last chunk of a stream.
    """

    type: Literal["AIMessageChunk"] = "AIMessageChunk"  # type: ignore[assignment]
    tool_call_chunks: list[ToolCallChunk] = Field(default_factory=list)
    chunk_position: Literal["last"] | None = None

    merges: ClassVar[dict[str, Callable[..., Any]]] = {
        **BaseMessageChunk.merges,
        "tool_call_chunks": merge_lists,
        "usage_metadata": lambda *usages: reduce(add_usage, usages),
        "chunk_position": first_value,
    }

    @model_validator(mode="after")
    def _match_calls_and_chunks(self) -> Self:
        if self.tool_call_chunks:
            self.tool_calls, self.invalid_tool_calls = read_tool_calls(self.tool_call_chunks)
        elif self.tool_calls or self.invalid_tool_calls:
            self.tool_call_chunks = [
                *(_whole_chunk(call, json.dumps(call["args"])) for call in self.tool_calls),
                *(_whole_chunk(call, call["args"]) for call in self.invalid_tool_calls),
            ]
        return self


def _whole_chunk(call: ToolCall | InvalidToolCall, args: str | None) -> ToolCallChunk:
    return ToolCallChunk(
        name=call["name"], args=args, id=call["id"], index=None, type="tool_call_chunk"
    )
