"""From the events of Anthropic's streams to message chunks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from callspan.anthropic.wire import block_of, counts_of, usage_of
from callspan.messages import AIMessageChunk, ToolCallChunk, parse_partial_json
from callspan.outputs import ChatGenerationChunk

Fields: TypeAlias = dict[str, Any]
"""Fields of a message chunk."""

_PIECEWISE: Final = ("text", "thinking")


class StreamReader:
    """Turns the events of one stream into chunks that add up to what `result_of` returns.

    Text is content of type `str` while there is nothing but text; once another block has been
    opened, all content is blocks with an `index`. Text and thinking come piece by piece, and so do
    the arguments of tool calls in `tool_call_chunks`. Every other block comes when it is whole.
    """

    def __init__(self) -> None:
        self._plain = True
        self._block: dict[str, Any] = {}
        self._json = ""
        self._counts: dict[str, Any] = {}
        self._end: dict[str, Any] = {}

    def read(self, event: Any) -> list[ChatGenerationChunk]:
        """Return what an event adds to the answer: one chunk, or none.

        Args:
            event: One of `anthropic.types.RawMessageStreamEvent`.
        """
        fields = self._added_by(event)
        if not fields:
            return []
        return [ChatGenerationChunk(message=AIMessageChunk(**{"content": "", **fields}))]

    def _added_by(self, event: Any) -> Fields:
        match event.type:
            case "message_start":
                return self._start(event.message)
            case "content_block_start":
                block = {**block_of(event.content_block), "index": event.index}
                return self._open(block)
            case "content_block_delta":
                return self._extend(block_of(event.delta))
            case "content_block_stop":
                return self._close()
            case "message_delta":
                # There may be several, each with totals: only the last one counts.
                self._end = {
                    "usage_metadata": usage_of(_growth(self._counts, counts_of(event.usage))),
                    "response_metadata": {
                        "stop_reason": event.delta.stop_reason,
                        "stop_sequence": event.delta.stop_sequence,
                    },
                }
            case "message_stop":
                return {**self._end, "chunk_position": "last"}
        return {}

    def _start(self, message: Any) -> Fields:
        self._counts = counts_of(message.usage)
        return {
            "id": message.id,
            "usage_metadata": usage_of(self._counts),
            "response_metadata": {
                "id": message.id,
                "model": message.model,
                "model_name": message.model,
                "model_provider": "anthropic",
            },
        }

    def _open(self, block: dict[str, Any]) -> Fields:
        self._block, self._json = block, ""
        # A text that may be cited has a list of citations, empty as yet.
        self._plain = self._plain and block["type"] == "text" and "citations" not in block
        if self._plain:
            return {"content": block["text"]} if block["text"] else {}
        if block["type"] == "tool_use":
            return self._call_part("", block["name"], block["id"])
        return {"content": [block]} if block["type"] in _PIECEWISE else {}

    def _extend(self, delta: dict[str, Any]) -> Fields:
        kind = delta.pop("type")
        if kind == "input_json_delta":
            self._json += delta["partial_json"]
            called = self._block["type"] == "tool_use"
            return self._call_part(delta["partial_json"]) if called else {}
        if kind == "text_delta" and self._plain:
            return {"content": delta["text"]}
        if kind == "citations_delta":
            delta = {"citations": [delta["citation"]]}
        part = {"type": self._block["type"], **delta, "index": self._block["index"]}
        return {"content": [part]}

    def _close(self) -> Fields:
        if self._block["type"] in _PIECEWISE:
            return {}
        if self._json:
            self._block["input"] = _arguments(self._json)
        return {"content": [self._block]}

    def _call_part(self, args: str, name: str | None = None, call_id: str | None = None) -> Fields:
        index = self._block["index"]
        part = ToolCallChunk(name=name, args=args, id=call_id, index=index, type="tool_call_chunk")
        return {"tool_call_chunks": [part]}


def _arguments(text: str) -> dict[str, Any]:
    """The arguments of a call; none if they are no JSON, which the API does not rule out."""
    try:
        args = parse_partial_json(text)
    except (ValueError, RecursionError):
        return {}
    return args if isinstance(args, dict) else {}


def _growth(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What token counts have grown by: the API sends totals, and chunks are added up."""
    grown: dict[str, Any] = {}
    for key, count in after.items():
        if isinstance(count, dict):
            grown[key] = _growth(before.get(key, {}), count)
        elif isinstance(count, int):
            grown[key] = count - before.get(key, 0)
    return grown
