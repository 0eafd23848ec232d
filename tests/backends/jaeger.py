"""Jaeger, and the spans that its query API gives back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from opentelemetry.trace import SpanKind, StatusCode

from .service import Service, get, poll, running

CONFIG = Path(__file__).with_name("jaeger.yaml")
_OWN = "@jaeger@"
"""Prefix of what Jaeger itself notes on a span, say that it has not come whole yet."""


@dataclass(frozen=True)
class Event:
    """An event of a stored span."""

    name: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Span:
    """A span as Jaeger stores it.

    Attributes:
        span_id: 16 hexadecimal digits, as are `parent_id` and (32 of them) `trace_id`.
        parent_id: None for a root.
        start_ns: Nanoseconds since the epoch, as is `end_ns`.
        resource: Attributes of the process that sent the span.
        scope: Name of the tracer.
        links: Trace and span ids of the spans that it is linked to.
    """

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    kind: SpanKind
    status: StatusCode
    status_message: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    events: tuple[Event, ...]
    resource: Mapping[str, Any]
    scope: str
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Jaeger:
    """A running Jaeger, with its storage in memory."""

    service: Service

    @classmethod
    @contextmanager
    def start(cls, binary: Path, folder: Path) -> Iterator[Jaeger]:
        """Runs `binary` for as long as the block lasts, its log in `folder`."""
        with running(
            "jaeger",
            [str(binary), "--config", str(CONFIG)],
            addresses=[
                "JAEGER_OTLP_GRPC",
                "JAEGER_OTLP_HTTP",
                "JAEGER_QUERY_HTTP",
                "JAEGER_QUERY_GRPC",
                "JAEGER_HEALTH",
            ],
            health=("JAEGER_HEALTH", "/status"),
            folder=folder,
        ) as service:
            yield cls(service)

    @property
    def otlp_grpc(self) -> str:
        """URL that takes OTLP over gRPC."""
        return f"http://{self.service.addresses['JAEGER_OTLP_GRPC']}"

    @property
    def otlp_http(self) -> str:
        """URL that takes OTLP over HTTP, without the path of a signal."""
        return f"http://{self.service.addresses['JAEGER_OTLP_HTTP']}"

    @property
    def query_url(self) -> str:
        """URL of the query API."""
        return f"http://{self.service.addresses['JAEGER_QUERY_HTTP']}"

    def trace(self, trace_id: int, *, spans: int, timeout: float = 15.0) -> list[Span]:
        """The spans of a trace in the order of their starts, once there are enough of them.

        Args:
            trace_id: As in a SpanContext.
            spans: How many are waited for; what is returned may be more.
            timeout: Seconds to wait.

        Raises:
            TimeoutError: There were fewer to the end; the message names those that came.
        """
        found: list[Span] = []

        def probe() -> list[Span] | None:
            found[:] = self._stored(trace_id)
            return found if len(found) >= spans else None

        if poll(probe, timeout) is None:
            names = [span.name for span in found]
            raise TimeoutError(
                f"Jaeger has {len(found)} of {spans} spans of trace {trace_id:032x}: {names}"
            )
        return sorted(found, key=lambda span: span.start_ns)

    def _stored(self, trace_id: int) -> list[Span]:
        path = f"/api/v3/traces/{trace_id:032x}"
        status, body = get(self.service.addresses["JAEGER_QUERY_HTTP"], path)
        if status == HTTPStatus.NOT_FOUND:
            return []
        if status != HTTPStatus.OK:
            raise RuntimeError(f"Jaeger answered GET {path} with {status}: {body!r}")
        return [
            _span(span, resource["resource"], scope["scope"])
            for resource in json.loads(body)["result"]["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]


def _span(span: dict[str, Any], resource: dict[str, Any], scope: dict[str, Any]) -> Span:
    return Span(
        trace_id=span["traceId"],
        span_id=span["spanId"],
        parent_id=span.get("parentSpanId") or None,
        name=span["name"],
        kind=SpanKind(span["kind"] - 1),  # OTLP counts from 1
        status=StatusCode(span["status"].get("code", 0)),
        status_message=span["status"].get("message", ""),
        start_ns=int(span["startTimeUnixNano"]),
        end_ns=int(span["endTimeUnixNano"]),
        attributes=_attributes(span),
        events=tuple(Event(each["name"], _attributes(each)) for each in span.get("events", ())),
        resource=_attributes(resource),
        scope=scope.get("name", ""),
        links=tuple((each["traceId"], each["spanId"]) for each in span.get("links", ())),
    )


def _attributes(holder: dict[str, Any]) -> dict[str, Any]:
    return {
        item["key"]: _value(item["value"])
        for item in holder.get("attributes", ())
        if not item["key"].startswith(_OWN)
    }


def _value(value: dict[str, Any]) -> Any:
    """The Python value of an OTLP AnyValue in JSON; bytes stay in base64."""
    match value:
        case {"intValue": digits}:
            return int(digits)
        case {"arrayValue": array}:
            return [_value(each) for each in array.get("values", ())]
        case {"kvlistValue": pairs}:
            return {each["key"]: _value(each["value"]) for each in pairs.get("values", ())}
        case _:
            return next(iter(value.values()), None)
