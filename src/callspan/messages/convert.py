"""From what users write to messages, and from chunks to messages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import Field

from callspan.errors import InputError
from callspan.messages.ai import AIMessage, AIMessageChunk
from callspan.messages.base import (
    BaseMessage,
    BaseMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    SystemMessage,
    SystemMessageChunk,
)
from callspan.messages.merge import Content
from callspan.messages.prompt_values import PromptValue
from callspan.messages.tool import ToolMessage, ToolMessageChunk, read_tool_calls

AnyMessage = Annotated[
    AIMessage
    | HumanMessage
    | SystemMessage
    | ToolMessage
    | AIMessageChunk
    | HumanMessageChunk
    | SystemMessageChunk
    | ToolMessageChunk,
    Field(discriminator="type"),
]
"""Any of the message classes, for fields of pydantic models: `type` says which."""

MessageLikeRepresentation: TypeAlias = (
    BaseMessage | str | tuple[str, Content] | list[str] | dict[str, Any]
)
"""What `convert_to_messages` takes as a message."""

_ROLES: dict[str, type[BaseMessage]] = {
    "human": HumanMessage,
    "user": HumanMessage,
    "ai": AIMessage,
    "assistant": AIMessage,
    "system": SystemMessage,
    "developer": SystemMessage,
    "tool": ToolMessage,
}


def convert_to_messages(
    messages: Iterable[MessageLikeRepresentation] | MessageLikeRepresentation | PromptValue,
) -> list[BaseMessage]:
    """Turn what stands for a conversation into messages.

    Args:
        messages: A prompt value, or one or more of: a message; text, which is the user's; a pair
            `(role, content)`; a dict with `role` (or `type`) and `content`, where tool calls may
            be written as OpenAI does. Roles are human, user, ai, assistant, system, developer and
            tool. (A pair alone is two texts: put it into a list.)

    Raises:
        InputError: Something in it is none of these, or has no known role.
    """
    if isinstance(messages, PromptValue):
        return messages.to_messages()
    if isinstance(messages, BaseMessage | str | dict):
        return [_to_message(messages)]
    if not isinstance(messages, Iterable):
        raise InputError(f"expected messages, got {type(messages).__name__}: give a list of them")
    return [_to_message(message) for message in messages]


def _to_message(value: object) -> BaseMessage:
    if isinstance(value, BaseMessage):
        return value
    if isinstance(value, str):
        return HumanMessage(value)
    if isinstance(value, Mapping):
        return _from_fields(value)
    if isinstance(value, list | tuple) and len(value) == 2:
        return _from_fields({"role": value[0], "content": value[1]})
    raise InputError(
        f"cannot make a message of a {type(value).__name__}: "
        "give a message, a string, a (role, content) pair or a dict with role and content"
    )


def _from_fields(values: Mapping[str, Any]) -> BaseMessage:
    given = dict(values)
    role = given.pop("role", None) or given.pop("type", None)
    if role is None or "content" not in given:
        raise InputError(f"a message needs role and content, got the keys {sorted(values)}")
    cls = _ROLES.get(role) if isinstance(role, str) else None
    if cls is None:
        raise InputError(f"unknown role {role!r}: use one of {', '.join(_ROLES)}")
    fields: dict[str, Any] = {"content": given.pop("content") or ""}
    fields |= {key: given.pop(key) for key in list(given) if key in cls.model_fields}
    if given or role == "developer":
        developer = {"__openai_role__": "developer"} if role == "developer" else {}
        fields["additional_kwargs"] = {**given, **fields.get("additional_kwargs", {}), **developer}
    if fields.get("tool_calls"):
        fields["tool_calls"] = [_tool_call(call) for call in fields["tool_calls"]]
    return cls(**fields)


def _tool_call(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """The tool call, if it is written as OpenAI does in this library's form."""
    if "function" not in call:
        return call
    name, args = call["function"]["name"], call["function"]["arguments"]
    try:
        args = json.loads(args, strict=False) if isinstance(args, str) else args
    except json.JSONDecodeError as error:
        raise InputError(f"the arguments of the call of {name!r} are no JSON: {error}") from error
    return {"name": name, "args": args, "id": call["id"]}


def message_chunk_to_message(chunk: BaseMessage) -> BaseMessage:
    """Turn a chunk, usually a sum of chunks, into the message that it is a part of.

    Args:
        chunk: A chunk; any other message is returned as it is.

    Returns:
        A message of the first class above the chunk's that is no chunk.
    """
    if not isinstance(chunk, BaseMessageChunk):
        return chunk
    whole: type[BaseMessage] = next(
        base
        for base in type(chunk).__mro__
        if issubclass(base, BaseMessage) and not issubclass(base, BaseMessageChunk)
    )
    names = whole.model_fields.keys() - {"type"}
    return whole(**{name: value for name, value in chunk.__dict__.items() if name in names})


def whole_message(total: BaseMessage) -> BaseMessage:
    """Return the message that all the chunks of a stream add up to.

    Args:
        total: The sum of the chunks. Of a stream that was cut short, a call with half an argument
            is among the message's `invalid_tool_calls`.
    """
    message = message_chunk_to_message(total)
    if isinstance(total, AIMessageChunk) and isinstance(message, AIMessage):
        message.tool_calls, message.invalid_tool_calls = read_tool_calls(
            total.tool_call_chunks, whole=True
        )
    return message
