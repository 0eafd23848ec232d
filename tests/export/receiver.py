"""OTLP receivers that speak the real protocols, and programs that send to them."""

from __future__ import annotations

import gzip
import json
import os
import socket
import ssl
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

Answer = Callable[[int], tuple[int, dict[str, str]]]
"""From the number of a request, counted from 0, to a status and headers."""


@dataclass
class Request:
    """What a receiver was sent in one piece."""

    path: str
    peer: str
    headers: dict[str, str]
    message: ExportTraceServiceRequest


@dataclass
class Receiver:
    """A receiver of spans.

    Attributes:
        endpoint: Its base URL.
        requests: What it was sent.
    """

    endpoint: str
    requests: list[Request] = field(default_factory=list)

    @property
    def spans(self) -> list[Any]:
        """All spans received."""
        return [
            span
            for request in self.requests
            for resource in request.message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def names(self) -> list[str]:
        """The names of all spans received."""
        return [span.name for span in self.spans]

    @property
    def resource(self) -> dict[str, str]:
        """The text attributes of the first resource."""
        attributes = self.requests[0].message.resource_spans[0].resource.attributes
        return {one.key: one.value.string_value for one in attributes}


@contextmanager
def http_receiver(
    answer: Answer = lambda _number: (200, {}), tls: Path | None = None
) -> Iterator[Receiver]:
    """Run an OTLP/HTTP receiver on a free port for as long as the block lasts.

    Args:
        answer: How it answers.
        tls: A file with its certificate and key, if it speaks TLS.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # keeps connections open, as real receivers do

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            message = ExportTraceServiceRequest.FromString(body)
            number = len(receiver.requests)
            peer = str(self.client_address)
            receiver.requests.append(Request(self.path, peer, headers, message))
            status, extra = answer(number)
            self.send_response(status)
            for name, value in {"content-length": "0", **extra}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        receiver = Receiver(f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}")
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def grpc_receiver(tls: Path | None = None) -> Iterator[Receiver]:
    """Run an OTLP/gRPC receiver on a free port for as long as the block lasts."""

    class Servicer(TraceServiceServicer):  # type: ignore[misc]
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
            headers = dict(context.invocation_metadata())
            receiver.requests.append(Request("", context.peer(), headers, request))
            return ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(Servicer(), server)
    if tls:
        both = tls.read_bytes()
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(both, both)]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    receiver = Receiver(f"http{'s' if tls else ''}://127.0.0.1:{port}")
    server.start()
    try:
        yield receiver
    finally:
        server.stop(None).wait()


@contextmanager
def silent_receiver() -> Iterator[str]:
    """Listen, and never answer; gives the base URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def closed_endpoint() -> str:
    """A base URL where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@dataclass
class Outcome:
    """How a program ended."""

    stdout: str
    stderr: str

    @property
    def told(self) -> Any:
        """What the program passed to `tell`, as the last thing it did."""
        return json.loads(self.stdout.splitlines()[-1])


_PRELUDE = """
import json, sys
import callspan
from callspan.errors import ConfigurationError
from callspan.export import configure

def tell(value):
    print(json.dumps(value), flush=True)

@callspan.traced
def step(value=None):
    return value() if callable(value) else value
"""


def program(code: str, env: Mapping[str, str] | None = None, **arguments: Any) -> Outcome:
    """Run a program in a process of its own, since OpenTelemetry has one provider a process.

    Args:
        code: What it does; it has `configure`, `tell(value)`, a traced function `step`, and
            `arguments`.
        env: Its OTEL_* variables; it inherits none.
        arguments: What it is given.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    path = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error::ResourceWarning",
            "-c",
            "\n".join(
                [
                    _PRELUDE,
                    f"arguments = {arguments!r}",
                    textwrap.dedent(code),
                ]
            ),
        ],
        env={**inherited, "PYTHONPATH": os.pathsep.join(path), **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Outcome(done.stdout, done.stderr)
