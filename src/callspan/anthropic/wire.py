"""Between callspan's messages and Anthropic's Messages API: requests and answers.

Content blocks are the API's own, in both directions; requests may have others' images too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from callspan._sdk.tools import kind_of_choice
from callspan.errors import ConfigurationError, InputError
from callspan.messages import (
    AIMessage,
    BaseMessage,
    InputTokenDetails,
    OutputTokenDetails,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UsageMetadata,
)
from callspan.outputs import ChatGeneration, ChatResult
from callspan.tools.schemas import tool_schema


def request_of(messages: Iterable[BaseMessage]) -> dict[str, Any]:
    """Return the `messages` of a request, and `system` where there are system messages.

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
        content = _content(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] = [*_blocks(turns[-1]["content"]), *_blocks(content)]
        else:
            turns.append({"role": role, "content": content})
    if not system:
        return {"messages": turns}
    if all(block.keys() == {"type", "text"} for block in system):
        return {"system": "\n\n".join(block["text"] for block in system), "messages": turns}
    return {"system": system, "messages": turns}


def _content(message: BaseMessage) -> str | list[Any]:
    content = message.content if isinstance(message.content, str) else _blocks(message.content)
    if isinstance(message, ToolMessage):
        result = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": content}
        return [result | ({"is_error": True} if message.status == "error" else {})]
    if not isinstance(message, AIMessage):
        return content
    # A call whose arguments could not be read may have an answer, which refers to it.
    unread = [{**call, "args": {}} for call in message.invalid_tool_calls]
    calls = [*message.tool_calls, *unread]
    if not calls:
        return content
    # The API has sent the calls among the blocks; `tool_calls` is what users read and change.
    blocks = _blocks(content)
    placed = {block.get("id"): block for block in blocks if block.get("type") == "tool_use"}
    for call in calls:
        use = {"type": "tool_use", "id": call["id"], "name": call["name"], "input": call["args"]}
        if call["id"] in placed:
            placed[call["id"]].update(use)
        else:
            blocks.append(use)
    return blocks


def _blocks(content: str | Sequence[Any]) -> list[dict[str, Any]]:
    """Content as the API takes it: no empty texts, nor the positions of streamed blocks."""
    blocks = [
        {"type": "text", "text": block} if isinstance(block, str) else block
        for block in ([content] if isinstance(content, str) else content)
    ]
    return [
        _block({key: value for key, value in block.items() if key != "index"})
        for block in blocks
        if block.get("type") != "text" or block.get("text")
    ]


def _block(block: dict[str, Any]) -> dict[str, Any]:
    """A block as the API has it: images as OpenAI and langchain write them become its own."""
    kind = block.get("type")
    if kind == "image_url":
        told = block["image_url"]
        source = _source(told["url"] if isinstance(told, Mapping) else told)
    elif kind == "image" and "source" not in block:
        data = block.get("base64") or block.get("data")
        source = _data(block.get("mime_type"), data) if data else _source(block.get("url"))
    else:
        return block
    marked = {key: block[key] for key in ("cache_control",) if key in block}
    return {"type": "image", "source": source, **marked}


def _source(url: Any) -> dict[str, Any]:
    if not isinstance(url, str):
        raise InputError("an image has a `url`, or its data as `base64` with a `mime_type`")
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    head, separator, data = url.removeprefix("data:").partition(";base64,")
    if not separator:
        raise InputError("an image's data URL begins like data:image/png;base64,")
    return _data(head, data)


def _data(kind: str | None, data: str) -> dict[str, Any]:
    return {"type": "base64", "media_type": kind or "image/png", "data": data}


def tools_of(tools: Iterable[Any], choice: str | bool | dict[str, Any] | None) -> dict[str, Any]:
    """Return the `tools` of a request, and `tool_choice` where there is a choice.

    Args:
        tools: What `tool_schema` takes, or dicts as the API has them: tools that run on its server
            have a `type` of their own.
        choice: What `kind_of_choice` takes, or the API's own form.

    Raises:
        ConfigurationError: The choice is the name of no tool, or a tool is none.
    """
    told = [_tool(tool) for tool in tools]
    if not choice:
        return {"tools": told}
    if isinstance(choice, dict):
        return {"tools": told, "tool_choice": choice}
    kind = kind_of_choice(choice, [tool["name"] for tool in told if "name" in tool])
    name = {"name": choice} if kind == "tool" else {}
    return {"tools": told, "tool_choice": {"type": kind, **name}}


def _tool(tool: Any) -> dict[str, Any]:
    if isinstance(tool, Mapping) and (
        "input_schema" in tool or tool.get("type") not in (None, "function", "object")
    ):
        return {**tool}
    schema = tool_schema(tool)
    return {"input_schema": schema.pop("parameters"), **schema}


def result_of(reply: Any) -> ChatResult:
    """Return the answer that a reply holds, and as `llm_output` what else is known of it.

    Args:
        reply: `anthropic.types.Message`.

    Raises:
        ConfigurationError: The reply is something else: the server has another API.
    """
    if not isinstance(getattr(reply, "content", None), list):
        raise ConfigurationError(
            "the server has answered without `content`: base_url has to be that of an API like "
            f"Anthropic's, without /v1; the answer was {repr(reply)[:200]}"
        )
    blocks = [block_of(block) for block in reply.content]
    usage = counts_of(reply.usage)
    message = AIMessage(
        content=_text_or_blocks(blocks),
        tool_calls=[
            ToolCall(name=block["name"], args=block["input"], id=block["id"], type="tool_call")
            for block in blocks
            if block["type"] == "tool_use"
        ],
        id=reply.id,
        usage_metadata=usage_of(usage),
        response_metadata={"model_name": reply.model, "model_provider": "anthropic"},
    )
    about = {
        "id": reply.id,
        "model": reply.model,
        "stop_reason": reply.stop_reason,
        "stop_sequence": reply.stop_sequence,
        "usage": usage,
    }
    return ChatResult(generations=[ChatGeneration(message=message)], llm_output=about)


def block_of(block: Any) -> dict[str, Any]:
    """Return a content block as the API has sent it, less what is null."""
    sent = block.to_dict(warnings=False)
    return {key: value for key, value in sent.items() if value is not None}


def _text_or_blocks(blocks: list[dict[str, Any]]) -> str | list[Any]:
    if all(block["type"] == "text" and not block.get("citations") for block in blocks):
        return "".join(block["text"] for block in blocks)
    return blocks


def counts_of(usage: Any) -> dict[str, Any]:
    """Return the token counts that the API has sent, the ones that everybody looks for first."""
    sent = block_of(usage) if usage else {}  # not every server of this API counts
    first = ("input_tokens", "output_tokens")
    return {key: sent[key] for key in first if key in sent} | sent


def usage_of(counts: Mapping[str, Any]) -> UsageMetadata | None:
    """Return token counts in callspan's form: Anthropic leaves cached tokens out of the input."""
    if not counts:
        return None
    read = counts.get("cache_read_input_tokens", 0)
    written = counts.get("cache_creation_input_tokens", 0)
    asked = counts.get("input_tokens", 0) + read + written
    made = counts.get("output_tokens", 0)
    usage = UsageMetadata(input_tokens=asked, output_tokens=made, total_tokens=asked + made)
    if read or written:
        usage["input_token_details"] = InputTokenDetails(cache_read=read, cache_creation=written)
    thought = counts.get("output_tokens_details", {}).get("thinking_tokens")
    if thought:
        usage["output_token_details"] = OutputTokenDetails(reasoning=thought)
    return usage
