"""What a program runs in: providers that log their spans, handlers that record, loggers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

from opentelemetry.context import Context, get_value
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanContext

from callspan import OTelCallbackHandler
from callspan.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from support import global_provider, label


class Heard(NamedTuple):
    """One event that a handler heard."""

    method: str
    run_id: UUID
    parent_run_id: UUID | None
    name: str | None
    tags: list[str] | None
    metadata: dict[str, Any] | None
    argument: Any
    baggage: Any


class _Recording:
    def __init__(self) -> None:
        self.heard: list[Heard] = []

    def record(self, method: str, argument: Any, told: dict[str, Any]) -> None:
        self.heard.append(
            Heard(
                method,
                told["run_id"],
                told.get("parent_run_id"),
                told.get("name"),
                told.get("tags"),
                told.get("metadata"),
                argument,
                get_value("baggage"),
            )
        )


METHODS = [
    *(f"on_{kind}_start" for kind in ("chain", "tool", "retriever", "llm", "chat_model")),
    *(
        f"on_{kind}_{end}"
        for kind in ("chain", "tool", "retriever", "llm")
        for end in ("end", "error")
    ),
]


def _recorder(name: str, base: type, **attributes: Any) -> Any:
    """A handler class with a recording method for each start and each end."""

    def method(event: str) -> Any:
        def told(self: Any, *args: Any, **kwargs: Any) -> None:
            self.record(event, args[-1], kwargs)
            if name == "raising":
                raise ValueError("a handler's own failure")

        async def atold(self: Any, *args: Any, **kwargs: Any) -> None:
            if event.endswith("_start"):  # a cancellation may cut it short, once it has begun
                told(self, *args, **kwargs)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if not event.endswith("_start"):
                told(self, *args, **kwargs)

        return atold if base is AsyncCallbackHandler else told

    return type(name, (_Recording, base), {**{m: method(m) for m in METHODS}, **attributes})


_RECORDERS = {
    "inline": _recorder("inline", BaseCallbackHandler, run_inline=True),
    "aside": _recorder("aside", BaseCallbackHandler),
    "async": _recorder("async", AsyncCallbackHandler),
    "awaited": _recorder("awaited", AsyncCallbackHandler, run_inline=True),
    "raising": _recorder("raising", BaseCallbackHandler, run_inline=True),
}


class _Log(SpanProcessor):
    """Keeps a provider's spans from their start, and notes on the timeline when they end."""

    def __init__(self, provider: str, timeline: list[tuple[str, str, Any]]) -> None:
        self.provider = provider
        self.timeline = timeline
        self.started: list[Span] = []
        self.ended: list[ReadableSpan] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.started.append(span)
        self.timeline.append(("start", self.provider, span))

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)
        self.timeline.append(("end", self.provider, span))


class _Complaints(logging.Handler):
    """What was logged by anybody whose complaints count."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        message = f"{record.name}: {record.getMessage()} {error!r}"
        if "a handler's own failure" not in message:
            self.messages.append(message)


class World:
    """Everything around one execution of a program.

    Args:
        has_global: Whether provider G is the global one; else there is none.
    """

    def __init__(self, *, has_global: bool) -> None:
        self.has_global = has_global
        self.timeline: list[tuple[str, str, Any]] = []
        self.logs = {name: _Log(name, self.timeline) for name in "GAB"}
        self.providers: dict[str, TracerProvider] = {}
        for name, log in self.logs.items():
            resource = Resource({"service.name": name})
            self.providers[name] = TracerProvider(resource=resource, shutdown_on_exit=False)
            self.providers[name].add_span_processor(log)
        self.tracers = {name: one.get_tracer("user") for name, one in self.providers.items()}
        self.recorders: dict[str, Any] = {name: kind() for name, kind in _RECORDERS.items()}
        self.handlers: dict[str, Any] = {
            **self.recorders,
            "G": OTelCallbackHandler(),
            "A": OTelCallbackHandler(tracer_provider=self.providers["A"]),
            "A2": OTelCallbackHandler(tracer_provider=self.providers["A"]),
            "B": OTelCallbackHandler(tracer_provider=self.providers["B"]),
        }
        self.complaints: list[str] = []
        self.names: dict[str, str] = {}
        """The names in the truth of runs that have to share one, by their ids."""

    def label(self, span: ReadableSpan) -> str:
        """The name in the truth of the run, or of the user's span, that a span is for."""
        run_id = (span.attributes or {}).get("callspan.run.id")
        return self.names.get(str(run_id)) or label(span)

    def name_of(self, span: SpanContext | None) -> str | None:
        """The run, or the name of the user's span, that a span context belongs to."""
        if span is None or not span.is_valid:
            return None
        if span.is_remote:
            return "remote"
        names = {
            one.context.span_id: self.label(one)
            for log in self.logs.values()
            for one in log.started
        }
        return names.get(span.span_id, "?")

    @contextmanager
    def open(self) -> Iterator[None]:
        """Set the global provider, and listen to what is logged."""
        complaints = _Complaints()
        loggers = [logging.getLogger(name) for name in ("opentelemetry", "asyncio", "callspan")]
        propagate = [logger.propagate for logger in loggers]
        for logger in loggers:
            logger.addHandler(complaints)
            logger.propagate = False
        try:
            with global_provider(self.providers["G"] if self.has_global else None):
                yield
        finally:
            for logger, before in zip(loggers, propagate, strict=True):
                logger.removeHandler(complaints)
                logger.propagate = before
            self.complaints = complaints.messages
