"""A server on loopback that stands for a vendor's API, and the ways to ask a model about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import reduce
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import add
from threading import Event, Thread
from typing import Any, ClassVar, Protocol

from callspan.messages import AIMessage


class VendorReply(Protocol):
    """An answer, which is sent as a whole or as a stream, as the request wants it.

    Attributes:
        status: The HTTP status.
        until: How many events a stream sends before it stops in the middle.
        then: What comes after these: `cut` closes the connection, `wait` keeps it open.
    """

    status: int
    until: int | None
    then: str

    def body(self, model: str) -> dict[str, Any]:
        """The reply as a whole."""

    def streamed(self, model: str) -> list[dict[str, Any]]:
        """The events of the reply as a stream."""


class VendorAPI(ThreadingHTTPServer):
    """The server: gives `replies` in turn, after the last one an ordinary reply.

    Attributes:
        replies: What is answered next.
        requests: The bodies of the requests so far.
        headers: The headers of the requests so far, by names in lower case.
        keep_alive: Whether connections stay open after an answer.
        connections: How many connections were opened.
        released: Set once a client has closed the connection of a reply that waits.
    """

    path: ClassVar[str]
    ordinary: ClassVar[type[Any]]
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies: list[Any] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.keep_alive = False
        self.connections = 0
        self.released = Event()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.server_port}"

    def encoded(self, event: dict[str, Any]) -> str:
        """An event as it is sent."""
        return f"data: {json.dumps(event)}\n\n"

    def get_request(self) -> Any:
        """Count a connection."""
        self.connections += 1
        return super().get_request()


class _Handler(BaseHTTPRequestHandler):
    server: VendorAPI
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        assert self.path == self.server.path
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append(request)
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        reply = self.server.replies.pop(0) if self.server.replies else self.server.ordinary()
        self.close_connection = not self.server.keep_alive
        if request.get("stream") and reply.status == 200:
            self._send_events(reply, reply.streamed(request["model"]))
        else:
            self._send_json(reply.status, reply.body(request["model"]))

    def _send_json(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self._send_head(status, "application/json", "Content-Length", str(len(data)))
        self.wfile.write(data)

    def _send_events(self, reply: VendorReply, events: list[dict[str, Any]]) -> None:
        self._send_head(200, "text/event-stream", "Transfer-Encoding", "chunked")
        with suppress(ConnectionError):  # the client may close its end at any time
            for event in events[: reply.until]:
                self._send_chunk(self.server.encoded(event).encode())
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
def serving(api: Any) -> Iterator[Any]:
    """The server `api()`, for the block."""
    with api() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
