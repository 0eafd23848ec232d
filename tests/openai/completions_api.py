"""A server on loopback that speaks the wire format of OpenAI's `POST /v1/chat/completions`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from support import vendor_api
from support.vendor_api import VendorAPI, asked

__all__ = ["KEY", "USAGE", "CompletionsAPI", "Failure", "Reply", "asked", "call", "serving"]

KEY = "sk-a-key-of-the-tests-1"
USAGE = {
    "prompt_tokens": 16,
    "completion_tokens": 13,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}


def call(place: int, name: str, arguments: str) -> dict[str, Any]:
    """A tool call as the API writes it."""
    function = {"name": name, "arguments": arguments}
    return {"id": f"call_{place}", "type": "function", "function": function}


@dataclass
class Reply:
    """An answer, which is sent as a whole or as a stream, as the request wants it.

    Attributes:
        content: The text, None where there is none.
        calls: The tool calls.
        finish_reason: Why the answer ended.
        usage: The token counts.
        more: Further fields of the message.
        repeats: Whether the parts of a streamed call all name it, as some servers do.
        events: The stream's events, where they are not those that follow from the rest.
        until: How many events a stream sends before it stops in the middle.
        then: What comes after these: `cut` closes the connection, `wait` keeps it open.
    """

    content: str | None = "1 + 2 = 3"
    calls: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str = "stop"
    usage: dict[str, Any] | None = field(default_factory=lambda: USAGE)
    more: dict[str, Any] = field(default_factory=dict)
    repeats: bool = False
    events: list[dict[str, Any]] | None = None
    until: int | None = None
    then: str = "end"
    status = 200

    def body(self, model: str) -> dict[str, Any]:
        """The reply as a whole."""
        message = {"role": "assistant", "content": self.content, "refusal": None, **self.more}
        if self.calls:
            message["tool_calls"] = self.calls
        choice = {"message": message, "finish_reason": self.finish_reason, "logprobs": None}
        return {**_head(model, "chat.completion", choice), "usage": self.usage}

    def streamed(self, model: str) -> list[dict[str, Any]]:
        """The events of the reply as a stream."""
        if self.events is not None:
            return self.events
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "", "refusal": None}]
        deltas += [{key: part} for key, text in self.more.items() for part in _pieces(text)]
        deltas += [{"content": part} for part in _pieces(self.content or "")]
        for index, one in enumerate(self.calls):
            deltas += [{"tool_calls": [part]} for part in self._parts(index, one)]
        choices = [{"delta": delta, "finish_reason": None} for delta in deltas]
        choices.append({"delta": {}, "finish_reason": self.finish_reason})
        events = [_head(model, "chat.completion.chunk", choice) for choice in choices]
        return [*events, {**events[-1], "choices": [], "usage": self.usage}]

    def _parts(self, index: int, one: dict[str, Any]) -> list[dict[str, Any]]:
        function = one["function"]
        parts = [{"arguments": part} for part in ("", *_pieces(function["arguments"]))]
        named = {"id": one["id"], "type": "function"}
        return [
            {"index": index, **named, "function": {**part, "name": function["name"]}}
            if self.repeats or not place
            else {"index": index, "function": part}
            for place, part in enumerate(parts)
        ]


def _head(model: str, kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-01",
        "object": kind,
        "created": 1_790_000_000,
        "model": f"{model}-2026-01-01",
        "system_fingerprint": "fp_01",
        "service_tier": "default",
        "choices": [{"index": 0, **choice}],
    }


def _pieces(text: str) -> list[str]:
    return [text[i : i + 4] for i in range(0, len(text), 4)]


@dataclass
class Failure:
    """An answer that is an error.

    Attributes:
        status: The HTTP status.
        kind: The API's type of error.
    """

    status: int
    kind: str = "server_error"

    def body(self, model: str = "") -> dict[str, Any]:
        """The answer's body."""
        return {"error": {"message": f"a {self.kind}", "type": self.kind, "code": None}}


class CompletionsAPI(VendorAPI):
    """The server: gives `replies` in turn, after the last one an ordinary reply."""

    path = "/v1/chat/completions"
    ordinary = Reply

    @property
    def url(self) -> str:
        """The base URL, with the path."""
        return f"{super().url}/v1"

    def encoded(self, event: dict[str, Any]) -> str:
        """An event as it is sent; after the token counts comes the mark of the end."""
        done = "data: [DONE]\n\n" if event.get("choices") == [] else ""
        return super().encoded(event) + done


def serving() -> AbstractContextManager[CompletionsAPI]:
    """A server for the block."""
    return vendor_api.serving(CompletionsAPI)
