"""Messages as the GenAI conventions' JSON schemas have them: a role, and a list of parts.

Any object with a message's attributes will do, and what models take in place of one: a dict, a
`(role, text)` pair, a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from callspan.tracing.text import encoded_note

_ROLES: Final = {"human": "user", "ai": "assistant", "function": "tool"}
_TEXT: Final = frozenset({"text", "input_text", "output_text"})
_CALLS: Final = frozenset(
    {"tool_use", "tool_call", "tool_call_chunk", "function_call", "input_json_delta"}
)
_REASONING: Final = frozenset({"reasoning", "reasoning_content", "thinking"})
_MEDIA: Final = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "audio": "audio",
    "input_audio": "audio",
    "video": "video",
    "file": "document",
    "document": "document",
    "input_file": "document",
    "media": "document",
}

Part = dict[str, Any]


def message_of(message: Any) -> dict[str, Any]:
    """Return a message as the schema has it.

    Args:
        message: A message, of callspan or LangChain, or what stands for one.

    Returns:
        `role` and `parts`, and `name` if the message has one.
    """
    if isinstance(message, str):
        return {"role": "user", "parts": [_text(message)]}
    if isinstance(message, tuple | list) and len(message) == 2:
        return {"role": _role(str(message[0])), "parts": list(_parts_of(message[1]))}
    if isinstance(message, Mapping):
        return _message(message.get, str(message.get("role") or message.get("type") or "user"))

    def field(name: str) -> Any:
        return getattr(message, name, None)

    kind = field("type")
    return _message(field, str((field("role") if kind == "chat" else kind) or "user"))


def answer_of(answer: Any) -> dict[str, Any]:
    """Return one answer of a model, a generation, as an output message."""
    message = getattr(answer, "message", None)
    if message is None:
        return {"role": "assistant", "parts": [_text(answer.text)]}
    return message_of(message)


def instructions_of(params: Mapping[str, Any]) -> list[Part] | None:
    """Return the instructions that a request has apart from its messages, as a list of parts."""
    for key in ("system", "instructions", "system_instruction"):
        value = params.get(key)
        if value:
            return list(_parts_of(value))
    return None


def tools_of(params: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the tools that a model may call, as the schema has them."""
    tools = params.get("tools") or params.get("functions")
    return [_tool(tool) for tool in tools] if tools else None


def _message(field: Any, kind: str) -> dict[str, Any]:
    role = _role(kind)
    content = field("content")
    if role == "tool":
        parts: list[Part] = [_response(field("tool_call_id"), content)]
    else:
        more = field("additional_kwargs")
        thought = more.get("reasoning_content") if isinstance(more, Mapping) else None
        calls = [*(field("tool_calls") or ()), *(field("invalid_tool_calls") or ())]
        parts = [{"type": "reasoning", "content": thought}] if thought else []
        # Providers that put calls among the content blocks have them in `tool_calls` as well.
        parts += _parts_of(content, skipped=_CALLS if calls else frozenset())
        parts += map(_call, calls)
    name = field("name")
    return {"role": role, "parts": parts, **({"name": name} if name else {})}


def _role(kind: str) -> str:
    kind = kind.removesuffix("MessageChunk").lower()
    return _ROLES.get(kind, kind)


def _parts_of(content: Any, skipped: frozenset[str] = frozenset()) -> Iterable[Part]:
    if isinstance(content, str):
        if content:
            yield _text(content)
    elif isinstance(content, list | tuple):
        for block in content:
            if isinstance(block, Mapping):
                if block.get("type") not in skipped:
                    yield _part(block)
            else:
                yield _text(block)
    elif content is not None:
        yield _text(content)


def _part(block: Mapping[str, Any]) -> Part:
    kind = block.get("type")
    if kind in _TEXT:
        return _text(block.get("text"))
    if kind in _REASONING:
        return {"type": "reasoning", "content": _thought(block)}
    if kind in _CALLS:
        return _call(block)
    if kind == "tool_result":
        return _response(block.get("tool_use_id"), block.get("content"))
    if kind in _MEDIA:
        return _media(block, _MEDIA[kind])
    if "text" in block and kind is None:
        return _text(block["text"])
    return {"type": "unknown", **block}


def _text(value: Any) -> Part:
    return {"type": "text", "content": value}


def _thought(block: Mapping[str, Any]) -> Any:
    for key in ("reasoning", "thinking", "reasoning_content", "text", "content"):
        thought = block.get(key)
        if thought:
            return thought.get("text", thought) if isinstance(thought, Mapping) else thought
    summary = block.get("summary") or ()
    return "\n".join(str(part.get("text", "")) for part in summary if isinstance(part, Mapping))


def _call(call: Any) -> Part:
    function = call.get("function")
    called = function if isinstance(function, Mapping) else call
    arguments = next(
        (called[key] for key in ("args", "arguments", "input") if called.get(key) is not None), None
    )
    return {
        "type": "tool_call",
        "id": call.get("id") or call.get("call_id"),
        "name": called.get("name"),
        "arguments": arguments,
    }


def _response(call_id: Any, content: Any) -> Part:
    return {"type": "tool_call_response", "id": call_id, "response": content}


def _media(block: Mapping[str, Any], modality: str) -> Part:
    kind = block["type"]
    source = block.get("source") or block.get(kind)
    source = source if isinstance(source, Mapping) else {"url": source} if source else block
    mime = next(
        (
            found
            for key in ("mime_type", "media_type")
            if (found := source.get(key) or block.get(key))
        ),
        None,
    )
    if mime is None and kind == "input_audio" and source.get("format"):
        mime = f"audio/{source['format']}"
    part: Part = {"modality": modality, "mime_type": mime}
    url = source.get("url") or source.get("image_url") or source.get("file_url")
    data = next(
        (found for key in ("base64", "data", "file_data") if (found := source.get(key))), None
    )
    if isinstance(url, str) and url.startswith("data:"):
        url, data = None, url
    if isinstance(data, str):
        if data.startswith("data:"):
            head, _, data = data.partition(",")
            part["mime_type"] = mime = head[5:].partition(";")[0] or mime
        return {"type": "blob", **part, "content": encoded_note(data, mime)}
    if isinstance(data, bytes | bytearray):
        return {"type": "blob", **part, "content": f"[{mime or 'bytes'}, {len(data)} bytes]"}
    if url:
        return {"type": "uri", **part, "uri": url}
    file_id = source.get("file_id") or source.get("id")
    return {"type": "file", **part, "file_id": file_id} if file_id else {**block, "type": kind}


def _tool(tool: Any) -> dict[str, Any]:
    if not isinstance(tool, Mapping):
        return {"type": "function", "name": getattr(tool, "name", None) or type(tool).__name__}
    function = tool.get("function")
    said = function if isinstance(function, Mapping) else tool
    parameters = said.get("parameters") or said.get("input_schema")
    shown = {
        "type": tool.get("type") or "function",
        "name": said.get("name") or said.get("title"),
        "description": said.get("description"),
        "parameters": parameters,
    }
    return {key: value for key, value in shown.items() if value is not None}
