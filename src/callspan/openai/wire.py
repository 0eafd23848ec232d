"""Between callspan's messages and OpenAI's chat completions: requests and answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from callspan._sdk.tools import kind_of_choice
from callspan.errors import ConfigurationError
from callspan.messages import (
    AIMessage,
    BaseMessage,
    InputTokenDetails,
    InvalidToolCall,
    OutputTokenDetails,
    SystemMessage,
    ToolCall,
    ToolCallChunk,
    ToolMessage,
    UsageMetadata,
)
from callspan.messages.tool import read_tool_calls
from callspan.outputs import ChatGeneration, ChatResult
from callspan.tools.schemas import tool_schema

_ELSEWHERE = frozenset({"thinking", "redacted_thinking", "reasoning", "tool_use"})
"""Blocks of other providers' answers that the API does not take, or has in another place."""
_READ = {
    "audio_tokens": "audio",
    "cached_tokens": "cache_read",
    "cache_write_tokens": "cache_creation",
}
_WRITTEN = {"audio_tokens": "audio", "reasoning_tokens": "reasoning"}


def request_of(messages: Iterable[BaseMessage]) -> list[dict[str, Any]]:
    """Return the `messages` of a request.

    Content blocks are the API's own, or images as langchain and Anthropic write them.
    """
    return [_turn(message) for message in messages]


def _turn(message: BaseMessage) -> dict[str, Any]:
    content = message.content if isinstance(message.content, str) else _blocks(message.content)
    turn: dict[str, Any] = {"role": "user", "content": content}
    if message.name and not isinstance(message, ToolMessage):
        turn["name"] = message.name
    if isinstance(message, SystemMessage):
        turn["role"] = message.additional_kwargs.get("__openai_role__", "system")
    elif isinstance(message, ToolMessage):
        turn |= {"role": "tool", "tool_call_id": message.tool_call_id}
    elif isinstance(message, AIMessage):
        turn["role"] = "assistant"
        calls = [_call(call, json.dumps(call["args"])) for call in message.tool_calls]
        calls += [_call(call, call["args"] or "") for call in message.invalid_tool_calls]
        if calls:
            turn |= {"content": content or None, "tool_calls": calls}
    return turn


def _call(call: ToolCall | InvalidToolCall, arguments: str) -> dict[str, Any]:
    function = {"name": call["name"], "arguments": arguments}
    return {"type": "function", "id": call["id"], "function": function}


def _blocks(content: Sequence[Any]) -> list[dict[str, Any]]:
    blocks = [{"type": "text", "text": one} if isinstance(one, str) else one for one in content]
    return [_block(block) for block in blocks if block.get("type") not in _ELSEWHERE]


def _block(block: dict[str, Any]) -> dict[str, Any]:
    kind = block.get("type")
    if kind == "text":
        return {"type": "text", "text": block["text"]}
    if kind == "image" and (url := _image_url(block, block.get("source") or block)):
        return {"type": "image_url", "image_url": {"url": url}}
    return block


def _image_url(block: dict[str, Any], source: dict[str, Any]) -> str | None:
    data = source.get("base64") or source.get("data")
    if not data:
        return source.get("url")
    kind = source.get("mime_type") or source.get("media_type") or "image/png"
    return f"data:{kind};base64,{data}"


def tools_of(tools: Iterable[Any], choice: str | bool | dict[str, Any] | None) -> dict[str, Any]:
    """Return the `tools` of a request, and `tool_choice` where there is a choice.

    Args:
        tools: What `tool_schema` takes.
        choice: `auto`, `none`, `any` (or True, or `required`), the name of a tool, or the API's
            own form.

    Raises:
        ConfigurationError: It is the name of no tool, or a tool is none.
    """
    functions = [tool_schema(tool) for tool in tools]
    request: dict[str, Any] = {"tools": [{"type": "function", "function": f} for f in functions]}
    named = [function["name"] for function in functions]
    if isinstance(choice, dict):
        request["tool_choice"] = choice
    elif choice:
        kind = kind_of_choice(choice, named)
        one = {"type": "function", "function": {"name": choice}}
        request["tool_choice"] = {"tool": one, "any": "required"}.get(kind, kind)
    return request


def result_of(reply: Any) -> ChatResult:
    """Return the answers that a reply holds, and as `llm_output` what else is known of them.

    Args:
        reply: `openai.types.chat.ChatCompletion`.

    Raises:
        ConfigurationError: The reply is something else: the server has another API.
    """
    if not getattr(reply, "choices", None):
        raise ConfigurationError(
            "the server has answered without `choices`: base_url has to be that of an API like "
            f"OpenAI's, with its path, such as /v1; the answer was {repr(reply)[:200]}"
        )
    usage = usage_of(reply.usage) if reply.usage else None
    generations = [
        ChatGeneration(message=_message(choice.message, usage), generation_info=info_of(choice))
        for choice in reply.choices
    ]
    counts = {"token_usage": reply.usage.to_dict()} if reply.usage else {}
    return ChatResult(generations=generations, llm_output={**counts, **about(reply)})


def _message(message: Any, usage: UsageMetadata | None) -> AIMessage:
    chunks = [
        ToolCallChunk(name=call.function.name, args=call.function.arguments, id=call.id, index=None)
        for call in message.tool_calls or ()
    ]
    calls, invalid = read_tool_calls(chunks, whole=True)
    return AIMessage(
        content=message.content or "",
        additional_kwargs=extras_of(message),
        tool_calls=calls,
        invalid_tool_calls=invalid,
        usage_metadata=usage,
    )


def extras_of(message: Any) -> dict[str, str]:
    """Return what a message, or a part of one, says beside its content: a refusal, or reasoning."""
    return {
        key: value
        for key, value in message.to_dict(warnings=False).items()
        if value and isinstance(value, str) and key not in ("role", "content")
    }


def info_of(choice: Any) -> dict[str, Any]:
    """Return why a choice has ended, and the log probabilities of its tokens, where known."""
    sent = choice.to_dict(warnings=False)
    return {key: sent[key] for key in ("finish_reason", "logprobs") if sent.get(key) is not None}


def about(reply: Any) -> dict[str, Any]:
    """Return which response a reply, or a part of one, is, and who has given it."""
    told = {
        "id": reply.id,
        "model_name": reply.model,
        "system_fingerprint": reply.system_fingerprint,
        "service_tier": reply.service_tier,
    }
    known = {key: value for key, value in told.items() if value}
    return {**known, "model_provider": "openai"}


def usage_of(counts: Any) -> UsageMetadata:
    """Return token counts in callspan's form.

    Args:
        counts: `openai.types.CompletionUsage`.
    """
    sent = counts.to_dict(warnings=False)
    asked, made = sent.get("prompt_tokens") or 0, sent.get("completion_tokens") or 0
    total = sent.get("total_tokens") or asked + made
    usage = UsageMetadata(input_tokens=asked, output_tokens=made, total_tokens=total)
    read, written = sent.get("prompt_tokens_details"), sent.get("completion_tokens_details")
    if details := _details(read, _READ):
        usage["input_token_details"] = cast("InputTokenDetails", details)
    if details := _details(written, _WRITTEN):
        usage["output_token_details"] = cast("OutputTokenDetails", details)
    return usage


def _details(sent: dict[str, Any] | None, names: Mapping[str, str]) -> dict[str, int]:
    return {names[key]: count for key, count in (sent or {}).items() if key in names and count}
