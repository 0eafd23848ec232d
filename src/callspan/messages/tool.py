"""Tool calls, whole and in parts, and the message that answers one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field
from pydantic_core import from_json
from typing_extensions import NotRequired, TypedDict

from callspan.errors import MergeError
from callspan.messages.base import BaseMessage, BaseMessageChunk
from callspan.messages.merge import Content, merge_artifacts

_Optional = Annotated[str | None, Field(default=None)]


class ToolCall(TypedDict):
    """A model's request to call a tool.

    Attributes:
        name: The tool's name.
        args: The arguments by name.
        id: What the answer refers to in `ToolMessage.tool_call_id`.
    """

    name: str
    args: dict[str, Any]
    id: _Optional
    type: NotRequired[Annotated[Literal["tool_call"], Field(default="tool_call")]]


class InvalidToolCall(TypedDict):
    """A request to call a tool whose arguments cannot be read.

    Attributes:
        name: The tool's name, if known.
        args: The arguments as the model wrote them.
        id: The call's id, if known.
        error: What is wrong.
    """

    type: NotRequired[Annotated[Literal["invalid_tool_call"], Field(default="invalid_tool_call")]]
    id: _Optional
    name: _Optional
    args: _Optional
    error: _Optional


class ToolCallChunk(TypedDict):
    """A part of a tool call, as a stream yields it.

    Attributes:
        name: The tool's name; None in all parts but the first.
        args: A piece of the arguments' JSON.
        id: The call's id; None in all parts but the first.
        index: Which call of the message this is a part of. Parts without an index stay apart.
    """

    name: _Optional
    args: _Optional
    id: _Optional
    index: Annotated[int | None, Field(default=None)]
    type: NotRequired[Annotated[Literal["tool_call_chunk"], Field(default="tool_call_chunk")]]


def parse_partial_json(text: str) -> Any:
    """Read JSON that may end anywhere.

    Args:
        text: JSON, or the beginning of it.

    Returns:
        The value as far as it is known: an open string ends where the text ends; a key without a
        value, and a number or literal that is not finished, are left out.

    Raises:
        ValueError: No continuation of the text is JSON.
        RecursionError: The text is nested too deeply.
    """
    try:
        return from_json(text)
    except ValueError as error:
        # Partial parsing would also end at a mistake, and leave out what follows it.
        if str(error).startswith("EOF while parsing"):
            return from_json(text, allow_partial="trailing-strings")
    # Models write line breaks into strings, which only this parser takes.
    return json.loads(text, strict=False)


def read_tool_calls(
    chunks: Sequence[ToolCallChunk], *, whole: bool = False
) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    """Read what is there so far of streamed tool calls.

    Args:
        chunks: The parts, those of one call already merged.
        whole: Whether nothing more will come: arguments that are not finished are invalid then.

    Returns:
        The calls whose arguments are an object, finished or not, and the others.
    """
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for chunk in chunks:
        name, text, call_id = chunk["name"], chunk["args"], chunk["id"]
        wrong = "the arguments are no object"
        try:
            args = json.loads(text or "{}", strict=False) if whole else _so_far(text)
        except (ValueError, RecursionError) as error:
            args, wrong = None, f"the arguments are no JSON: {error}"
        if isinstance(args, dict):
            calls.append(ToolCall(name=name or "", args=args, id=call_id, type="tool_call"))
        else:
            known = InvalidToolCall(
                name=name, args=text, id=call_id, error=wrong if whole else None
            )
            invalid.append({**known, "type": "invalid_tool_call"})
    return calls, invalid


def _so_far(text: str | None) -> Any:
    return parse_partial_json(text) if text else {}


def _as_content(value: object) -> object:
    if isinstance(value, list | tuple):
        return [item if isinstance(item, str | dict) else str(item) for item in value]
    return value if isinstance(value, str) else str(value)


def _as_id(value: object) -> object:
    return str(value) if isinstance(value, UUID | int | float) else value


class ToolMessage(BaseMessage):
    """The result of a tool call, for the model.

    Attributes:
        content: The result; anything but text, blocks and lists of them becomes text.
        tool_call_id: The `id` of the tool call that this answers.
        artifact: The result in full, not sent to the model.
        status: `error` if the tool failed.
    """

    content: Annotated[Content, BeforeValidator(_as_content)]
    additional_kwargs: dict[Any, Any] = Field(default_factory=dict, repr=False)
    response_metadata: dict[Any, Any] = Field(default_factory=dict, repr=False)
    type: Literal["tool"] = "tool"
    tool_call_id: Annotated[str, BeforeValidator(_as_id)]
    artifact: Any = None
    status: Literal["success", "error"] = "success"

    if TYPE_CHECKING:  # type checkers look for a model's own __init__, not for an inherited one

        def __init__(self, content: Content | None = None, **kwargs: Any) -> None: ...


class ToolMessageChunk(ToolMessage, BaseMessageChunk):
    """A part of a `ToolMessage`."""

    type: Literal["ToolMessageChunk"] = "ToolMessageChunk"  # type: ignore[assignment]

    def _merged(self, chunks: Sequence[BaseMessageChunk]) -> dict[str, Any]:
        artifact, status = self.artifact, self.status
        for chunk in chunks[1:]:
            if not isinstance(chunk, ToolMessageChunk) or chunk.tool_call_id != self.tool_call_id:
                raise MergeError("chunks of answers to different tool calls cannot be added")
            artifact = merge_artifacts(artifact, chunk.artifact)
            status = "error" if chunk.status == "error" else status
        return {
            **super()._merged(chunks),
            "tool_call_id": self.tool_call_id,
            "artifact": artifact,
            "status": status,
        }
