"""Between callspan's messages and Anthropic's Messages API: requests, answers, stream events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from callspan.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    InputTokenDetails,
    SystemMessage,
    ToolCall,
    ToolCallChunk,
    ToolMessage,
    UsageMetadata,
)


def request_of(messages: Sequence[BaseMessage]) -> dict[str, Any]:
    """Return the `system` and `messages` of a request.

    Neighbours of the same role become one message: the results of parallel tool calls have to
    stand together.
    """
    system: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    for message in messages:
        if isinstance(message, SystemMessage):
            system += _blocks(message.content)
            continue
        role = "assistant" if isinstance(message, AIMessage) else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] = [*_blocks(turns[-1]["content"]), *_blocks(_content(message))]
        else:
            turns.append({"role": role, "content": _content(message)})
    if not system:
        return {"messages": turns}
    texts = [block["text"] for block in system if set(block) == {"type", "text"}]
    plain = len(texts) == len(system)
    return {"system": "\n\n".join(texts) if plain else system, "messages": turns}


def _content(message: BaseMessage) -> str | list[Any]:
    if isinstance(message, ToolMessage):
        result = {
            "type": "tool_result",
            "tool_use_id": message.tool_call_id,
            "content": message.content,
        }
        return [result | ({"is_error": True} if message.status == "error" else {})]
    if isinstance(message, AIMessage) and message.tool_calls:
        said = [block for block in _blocks(message.content) if block.get("type") != "tool_use"]
        return [
            *said,
            *(
                {"type": "tool_use", "id": call["id"], "name": call["name"], "input": call["args"]}
                for call in message.tool_calls
            ),
        ]
    return message.content


def _blocks(content: str | list[Any]) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [{"type": "text", "text": one} if isinstance(one, str) else one for one in content]


def answer_of(reply: Any) -> tuple[AIMessage, dict[str, Any]]:
    """Return the message that a reply holds, and what else is known of it.

    Args:
        reply: `anthropic.types.Message`.
    """
    blocks = [block.model_dump(exclude_none=True) for block in reply.content]
    about = {
        "id": reply.id,
        "model": reply.model,
        "stop_reason": reply.stop_reason,
        "stop_sequence": reply.stop_sequence,
        "usage": reply.usage.model_dump(exclude_none=True),
    }
    message = AIMessage(
        content=_text_or_blocks(blocks),
        tool_calls=[
            ToolCall(name=block["name"], args=block["input"], id=block["id"], type="tool_call")
            for block in blocks
            if block["type"] == "tool_use"
        ],
        id=reply.id,
        usage_metadata=_usage(reply.usage, reply.usage.output_tokens),
        response_metadata={**about, "model_name": reply.model, "model_provider": "anthropic"},
    )
    return message, about


def _text_or_blocks(blocks: list[dict[str, Any]]) -> str | list[Any]:
    if all(block["type"] == "text" for block in blocks):
        return "".join(block["text"] for block in blocks)
    return blocks


def _usage(usage: Any, output_tokens: int) -> UsageMetadata:
    """Count as everybody else does: Anthropic leaves cached tokens out of the input tokens."""
    read = usage.cache_read_input_tokens or 0
    written = usage.cache_creation_input_tokens or 0
    asked = (usage.input_tokens or 0) + read + written
    counted = UsageMetadata(
        input_tokens=asked, output_tokens=output_tokens, total_tokens=asked + output_tokens
    )
    if read or written:
        counted["input_token_details"] = InputTokenDetails(cache_read=read, cache_creation=written)
    return counted


class StreamReader:
    """Turns the events of one stream into message chunks."""

    def __init__(self) -> None:
        self._asked: Any = None

    def read(self, event: Any) -> Iterable[AIMessageChunk]:
        """Return what an event adds to the answer: a chunk or nothing.

        Args:
            event: One of `anthropic.types.RawMessageStreamEvent`.
        """
        if event.type == "message_start":
            self._asked = event.message.usage
            about = {
                "model": event.message.model,
                "model_name": event.message.model,
                "model_provider": "anthropic",
            }
            yield AIMessageChunk(
                content="", id=event.message.id, response_metadata={"id": event.message.id, **about}
            )
        elif event.type == "content_block_start" and event.content_block.type == "tool_use":
            block = event.content_block
            yield _tool_chunk(event.index, "", name=block.name, call_id=block.id)
        elif event.type == "content_block_delta":
            yield from _delta(event.index, event.delta)
        elif event.type == "message_delta":
            yield AIMessageChunk(
                content="",
                usage_metadata=_usage(self._asked, event.usage.output_tokens),
                response_metadata={
                    "stop_reason": event.delta.stop_reason,
                    "stop_sequence": event.delta.stop_sequence,
                },
                chunk_position="last",
            )


def _delta(index: int, delta: Any) -> Iterable[AIMessageChunk]:
    if delta.type == "text_delta":
        yield AIMessageChunk(content=delta.text)
    elif delta.type == "input_json_delta":
        yield _tool_chunk(index, delta.partial_json)
    elif delta.type == "thinking_delta":
        thought = {"type": "thinking", "thinking": delta.thinking, "index": index}
        yield AIMessageChunk(content=[thought])


def _tool_chunk(
    index: int, args: str, *, name: str | None = None, call_id: str | None = None
) -> AIMessageChunk:
    part = ToolCallChunk(name=name, args=args, id=call_id, index=index, type="tool_call_chunk")
    return AIMessageChunk(content="", tool_call_chunks=[part])
