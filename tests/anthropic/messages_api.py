"""A server on loopback that speaks the wire format of Anthropic's `POST /v1/messages`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from support import vendor_api
from support.vendor_api import VendorAPI, asked

__all__ = ["KEY", "USAGE", "Failure", "MessagesAPI", "Reply", "asked", "serving"]

KEY = "sk-ant-a-key-of-the-tests"
USAGE = {
    "input_tokens": 16,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 13,
    "service_tier": "standard",
}


@dataclass
class Reply:
    """An answer, which is sent as a whole or as a stream, as the request wants it.

    Attributes:
        content: The content blocks.
        stop_reason: Why the answer ended.
        stop_sequence: The stop sequence that ended it.
        usage: What the reply as a whole says; a stream says it in its two parts.
        events: The stream's events, where they are not those that follow from the rest.
        until: How many events a stream sends before it stops in the middle.
        then: What comes after these: `cut` closes the connection, `wait` keeps it open.
    """

    content: list[dict[str, Any]] = field(
        default_factory=lambda: [{"type": "text", "text": "1 + 2 = 3"}]
    )
    stop_reason: str = "end_turn"
    stop_sequence: str | None = None
    usage: dict[str, Any] = field(default_factory=lambda: USAGE)
    events: list[dict[str, Any]] | None = None
    until: int | None = None
    then: str = "end"

    status = 200

    def body(self, model: str) -> dict[str, Any]:
        """The reply as a whole."""
        return {
            "id": "msg_01",
            "type": "message",
            "role": "assistant",
            "model": f"{model}-20251001",
            "content": self.content,
            "stop_reason": self.stop_reason,
            "stop_sequence": self.stop_sequence,
            "usage": self.usage,
        }

    def streamed(self, model: str) -> list[dict[str, Any]]:
        """The events of the reply as a stream."""
        if self.events is not None:
            return self.events
        begun = {"content": [], "stop_reason": None, "usage": {**self.usage, "output_tokens": 1}}
        ended = {"stop_reason": self.stop_reason, "stop_sequence": self.stop_sequence}
        return [
            {"type": "message_start", "message": {**self.body(model), **begun}},
            {"type": "ping"},
            *(event for i, block in enumerate(self.content) for event in _block_events(i, block)),
            {
                "type": "message_delta",
                "delta": ended,
                "usage": {"output_tokens": self.usage["output_tokens"]},
            },
            {"type": "message_stop"},
        ]


def _block_events(index: int, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    begun, deltas = {**block}, []
    if block["type"] == "text":
        begun["text"] = ""
        deltas = [{"type": "text_delta", "text": part} for part in _pieces(block["text"])]
        if "citations" in block:
            begun["citations"] = []
            deltas += [{"type": "citations_delta", "citation": one} for one in block["citations"]]
    elif block["type"] == "thinking":
        begun |= {"thinking": "", "signature": ""}
        deltas = [
            *({"type": "thinking_delta", "thinking": part} for part in _pieces(block["thinking"])),
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    elif "input" in block:
        begun["input"] = {}
        text = json.dumps(block["input"]) if block["input"] else ""
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in _pieces(text)]
    yield {"type": "content_block_start", "index": index, "content_block": begun}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _pieces(text: str) -> list[str]:
    return [text[i : i + 4] for i in range(0, len(text), 4)] or [""]


@dataclass
class Failure:
    """An answer that is an error.

    Attributes:
        status: The HTTP status.
        kind: The API's type of error.
    """

    status: int
    kind: str

    def body(self, model: str = "") -> dict[str, Any]:
        """The answer's body."""
        return {"type": "error", "error": {"type": self.kind, "message": f"a {self.kind}"}}


class MessagesAPI(VendorAPI):
    """The server: gives `replies` in turn, after the last one an ordinary reply."""

    path = "/v1/messages"
    ordinary = Reply

    def encoded(self, event: dict[str, Any]) -> str:
        """An event as it is sent, with its name."""
        return f"event: {event['type']}\n{super().encoded(event)}"


def serving() -> AbstractContextManager[MessagesAPI]:
    """A server for the block."""
    return vendor_api.serving(MessagesAPI)
