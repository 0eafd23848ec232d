"""From the events of OpenAI's streams to message chunks."""

from __future__ import annotations

from itertools import count
from typing import Any

from callspan.messages import AIMessageChunk, ToolCallChunk
from callspan.openai.wire import about, extras_of, info_of, usage_of
from callspan.outputs import ChatGenerationChunk


class StreamReader:
    """Turns the events of one stream into chunks that add up to what `result_of` returns.

    Of several choices it reads the first. The token counts come in an event of their own.
    """

    def __init__(self) -> None:
        self._begun = False
        self._places = count()
        self._calls: dict[int, tuple[str | None, int]] = {}

    def read(self, event: Any) -> list[ChatGenerationChunk]:
        """Return what an event adds to the answer: one chunk, or none.

        Args:
            event: `openai.types.chat.ChatCompletionChunk`.
        """
        fields: dict[str, Any] = {}
        info: dict[str, Any] = {}
        if not self._begun:
            self._begun = True
            fields["response_metadata"] = about(event)
        if event.usage:
            fields["usage_metadata"] = usage_of(event.usage)
        for choice in event.choices or ():
            if choice.index == 0:
                fields |= self._added_by(choice.delta)
                info = info_of(choice)
        if not (fields or info):
            return []
        message = AIMessageChunk(**{"content": "", **fields})
        return [ChatGenerationChunk(message=message, generation_info=info or None)]

    def _added_by(self, delta: Any) -> dict[str, Any]:
        if delta is None:
            return {}
        added = {
            "content": delta.content,
            "additional_kwargs": extras_of(delta),
            "tool_call_chunks": [self._part(call) for call in delta.tool_calls or ()],
        }
        return {key: value for key, value in added.items() if value}

    def _part(self, call: Any) -> ToolCallChunk:
        # OpenAI names a call once. Some servers do so in every part, or give all calls one index.
        name, args, call_id = call.function.name, call.function.arguments, call.id
        known, place = self._calls.get(call.index, (None, None))
        if place is None or (call_id and call_id != known):
            place = next(self._places)
            self._calls[call.index] = call_id, place
        else:
            name = call_id = None
        return ToolCallChunk(name=name, args=args, id=call_id, index=place, type="tool_call_chunk")
