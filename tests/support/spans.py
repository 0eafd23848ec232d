"""Providers with a log of their spans, and what OpenTelemetry may not complain about."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import INVALID_SPAN_ID
from opentelemetry.util._once import Once


class SpanLog(SpanProcessor):
    """Keeps every span of a provider, from its start: an exporter never shows a lost one."""

    def __init__(self) -> None:
        self.started: list[Span] = []
        self.ended: list[ReadableSpan] = []
        self.provider: TracerProvider | None = None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.started.append(span)

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)

    @property
    def open(self) -> list[str]:
        """The names of the spans that were started and have not ended."""
        ended = {span.context.span_id for span in self.ended}
        return [label(span) for span in self.started if span.context.span_id not in ended]

    def named(self, name: str) -> ReadableSpan:
        """The one span that was started for the run (or by the user) of this name."""
        (span,) = [span for span in self.started if label(span) == name]
        return span

    def parent_of(self, name: str) -> str | None:
        """The name of a span's parent: None for a root, "?" for a parent from elsewhere."""
        span = self.named(name)
        if span.parent is None:
            return None
        names = {one.context.span_id: label(one) for one in self.started}
        return names.get(span.parent.span_id, "?")

    def tree(self) -> list[str]:
        """The names of all spans in the order of their starts, children indented by two."""
        known = {span.context.span_id for span in self.started}
        below: dict[int, list[Span]] = {}
        for span in self.started:
            parent = INVALID_SPAN_ID if span.parent is None else span.parent.span_id
            below.setdefault(parent if parent in known else INVALID_SPAN_ID, []).append(span)

        def lines(parent: int, depth: int) -> Iterator[str]:
            for span in below.get(parent, []):
                yield "  " * depth + label(span)
                yield from lines(span.context.span_id, depth + 1)

        return list(lines(INVALID_SPAN_ID, 0))

    def outcomes(self) -> dict[str, Any]:
        """How the runs ended, by their names."""
        return {label(span): span.attributes.get("callspan.run.outcome") for span in self.ended}

    def clear(self) -> None:
        self.started.clear()
        self.ended.clear()


def label(span: ReadableSpan) -> str:
    """The name of the run that a span is for; the span's own if a user started it."""
    return str((span.attributes or {}).get("callspan.run.name", span.name))


def current() -> str:
    """The name of the run, or of the user's span, that is current here."""
    span = trace.get_current_span()
    return label(span) if isinstance(span, ReadableSpan) else "nothing"


def logged_provider(**options: Any) -> tuple[TracerProvider, SpanLog]:
    """A provider of the SDK, and the log of its spans."""
    provider, log = TracerProvider(**options), SpanLog()
    provider.add_span_processor(log)
    log.provider = provider
    return provider, log


def set_global_provider(provider: trace.TracerProvider | None) -> None:
    """Make `provider` the global one, whatever was before; None leaves the API's proxy."""
    trace._TRACER_PROVIDER_SET_ONCE = Once()
    trace._TRACER_PROVIDER = None
    if provider is not None:
        trace.set_tracer_provider(provider)


@contextmanager
def global_provider(provider: trace.TracerProvider | None) -> Iterator[None]:
    """`set_global_provider` for a block."""
    once, before = trace._TRACER_PROVIDER_SET_ONCE, trace._TRACER_PROVIDER
    set_global_provider(provider)
    try:
        yield
    finally:
        trace._TRACER_PROVIDER_SET_ONCE, trace._TRACER_PROVIDER = once, before


class Forbidden(logging.Handler):
    """Collects what OpenTelemetry and asyncio complain about.

    Not through `caplog`, whose records are empty by the time a fixture is torn down.
    """

    LOGGERS = ("opentelemetry", "asyncio")

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(f"{record.name}: {record.getMessage()}")

    def take(self) -> list[str]:
        """Return the messages so far, for a test that expects them."""
        taken, self.messages = self.messages, []
        return taken
