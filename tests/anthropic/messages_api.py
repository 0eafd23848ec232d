"""A server on loopback that speaks the wire format of Anthropic's `POST /v1/messages`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import reduce
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import add
from threading import Event, Thread
from typing import Any

from callspan.messages import AIMessage

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

    def message(self, model: str) -> dict[str, Any]:
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
            {"type": "message_start", "message": {**self.message(model), **begun}},
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

    @property
    def body(self) -> dict[str, Any]:
        """The answer's body."""
        return {"type": "error", "error": {"type": self.kind, "message": f"a {self.kind}"}}


class MessagesAPI(ThreadingHTTPServer):
    """The server: gives `replies` in turn, after the last one an ordinary reply.

    Attributes:
        replies: What is answered next.
        requests: The bodies of the requests so far.
        headers: The headers of the requests so far, by names in lower case.
        connections: How many connections were opened.
        released: Set once a client has closed the connection of a reply that waits.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies: list[Reply | Failure] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.keep_alive = False
        self.connections = 0
        self.released = Event()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.server_port}"

    def get_request(self) -> Any:
        """Count a connection."""
        self.connections += 1
        return super().get_request()


class _Handler(BaseHTTPRequestHandler):
    server: MessagesAPI
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        assert self.path == "/v1/messages"
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append(request)
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        reply = self.server.replies.pop(0) if self.server.replies else Reply()
        self.close_connection = not self.server.keep_alive
        if isinstance(reply, Failure):
            self._send_json(reply.status, reply.body)
        elif request.get("stream"):
            self._send_events(reply, reply.streamed(request["model"]))
        else:
            self._send_json(200, reply.message(request["model"]))

    def _send_json(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self._send_head(status, "application/json", "Content-Length", str(len(data)))
        self.wfile.write(data)

    def _send_events(self, reply: Reply, events: list[dict[str, Any]]) -> None:
        self._send_head(200, "text/event-stream", "Transfer-Encoding", "chunked")
        with suppress(ConnectionError):  # the client may close its end at any time
            for event in events[: reply.until]:
                sent = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
                self._send_chunk(sent.encode())
            if reply.then == "wait":
                self.connection.recv(1)  # returns once the client has closed its end
        if reply.then == "wait":
            self.server.released.set()
        if reply.then == "end":
            self._send_chunk(b"")
        else:
            self.close_connection = True

    def _send_head(self, status: int, kind: str, *length: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header(*length)
        self.send_header("retry-after-ms", "1")
        self.send_header("Connection", "close" if self.close_connection else "keep-alive")
        self.end_headers()

    def _send_chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


async def asked(model: Any, way: str, given: Any = "Hello", /, **kwargs: Any) -> AIMessage:
    """What a model answers that is asked in this way; the chunks of a stream are added up."""
    ask = getattr(model, way)
    if way == "ainvoke":
        return await ask(given, **kwargs)
    if way == "stream":
        return reduce(add, ask(given, **kwargs))
    if way == "astream":
        return reduce(add, [chunk async for chunk in ask(given, **kwargs)])
    return ask(given, **kwargs)


@contextmanager
def serving() -> Iterator[MessagesAPI]:
    """A server for the block."""
    with MessagesAPI() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
