"""Providers and processors that are odd or fail: the program goes on, and so do the other spans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from callspan import ConfigurationError, OTelCallbackHandler, traced, use_config
from callspan.callbacks import CallbackManager
from support import Forbidden, SpanLog, global_provider, logged_provider


@traced
def leaf(value: Any = 1) -> Any:
    return value


@traced
def chain(value: Any = 1) -> Any:
    return leaf(value)


@dataclass
class Unhashable(trace.TracerProvider):
    """As logfire's: a dataclass, so equal to others like it, and without a hash."""

    wrapped: TracerProvider

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        return self.wrapped.get_tracer(*args, **kwargs)


class Slots(trace.TracerProvider):
    """Takes no attribute and no weak reference."""

    __slots__ = ("wrapped",)

    def __init__(self, wrapped: TracerProvider) -> None:
        self.wrapped = wrapped

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        return self.wrapped.get_tracer(*args, **kwargs)


class Delegating(trace.TracerProvider):
    """Answers for everything with what it wraps."""

    def __init__(self, wrapped: TracerProvider) -> None:
        self.wrapped = wrapped
        wrapped.get_tracer("callspan")
        OTelCallbackHandler(tracer_provider=wrapped).stands_for()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        return self.wrapped.get_tracer(*args, **kwargs)


@pytest.mark.parametrize("kind", [Unhashable, Slots, Delegating])
@pytest.mark.parametrize("as_global", [False, True])
def test_odd_providers(kind: Any, as_global: bool) -> None:
    """A provider needs no more than `get_tracer`: other vendors' are no subclass of the SDK's."""
    provider, log = logged_provider()
    odd = kind(provider)
    with global_provider(odd if as_global else None):
        handlers = [] if as_global else [OTelCallbackHandler(tracer_provider=odd)]
        with use_config(callbacks=handlers):
            chain()
            chain()
    assert log.tree() == ["chain", "  leaf"] * 2
    assert log.open == []


def test_equal_providers() -> None:
    """Two providers that compare equal are two: each gets its own spans."""
    provider, log = logged_provider()
    handlers = [OTelCallbackHandler(tracer_provider=Unhashable(provider)) for _ in range(2)]
    with use_config(callbacks=handlers):
        leaf()
    assert log.tree() == ["leaf", "leaf"]


class Failing(SpanProcessor):
    """Raises for some spans, at their start or at their end."""

    def __init__(self, where: str, names: list[str]) -> None:
        self.where, self.names = where, names

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        if self.where == "start" and span.attributes["callspan.run.name"] in self.names:
            raise RuntimeError("in on_start")

    def on_end(self, span: ReadableSpan) -> None:
        if self.where == "end" and span.attributes["callspan.run.name"] in self.names:
            raise RuntimeError("in on_end")


@pytest.mark.parametrize("names", [["leaf"], ["chain"], ["leaf", "chain"]])
@pytest.mark.parametrize("where", ["start", "end"])
def test_a_processor_that_raises(where: str, names: list[str], caplog: Any) -> None:
    """The program's result is what it is, and the other runs' spans are whole."""
    provider, log = logged_provider()
    provider.add_span_processor(Failing(where, names))
    before = trace.get_current_span()
    with use_config(callbacks=[OTelCallbackHandler(tracer_provider=provider)]):
        assert chain(5) == 5
        assert trace.get_current_span() is before
    others = [name for name in ("leaf", "chain") if name not in names]
    assert [name for name in log.outcomes() if name not in names] == others
    assert f"in on_{where}" in caplog.text


def test_a_processor_that_raises_for_a_lost_child() -> None:
    """The bound, and a cancelled parent, end several spans at once: each must end."""
    provider, log = logged_provider()
    provider.add_span_processor(Failing("end", ["first", "model"]))
    manager = CallbackManager.configure(
        [OTelCallbackHandler(tracer_provider=provider, max_open_runs=2)]
    )
    for name in ("first", "second"):
        manager.on_chain_start({}, {}, name=name)
    run = manager.on_chain_start({}, {}, name="run")
    run.get_child().on_llm_start({}, ["p"], name="model")
    run.on_chain_error(KeyboardInterrupt())
    assert log.open == []
    assert log.outcomes() == {
        "first": "unfinished", "second": "unfinished", "model": "cancelled", "run": "cancelled",
    }  # fmt: skip


class Raising(trace.TracerProvider):
    """A provider that does not work at all."""

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        raise RuntimeError("no tracer today")


@pytest.mark.parametrize("as_global", [False, True])
def test_a_provider_that_raises(as_global: bool, caplog: Any) -> None:
    """Tracing that cannot work says so, once, and leaves the program alone."""
    odd = Raising()
    handlers = [] if as_global else [OTelCallbackHandler(tracer_provider=odd)]
    with global_provider(odd if as_global else None), use_config(callbacks=handlers):
        assert chain(5) == 5
        assert chain(6) == 6
    assert caplog.text.count("no tracer today") == 1


@pytest.mark.parametrize("wrong", ["provider", TracerProvider, object(), trace.get_tracer("t")])
def test_wrong_provider(wrong: Any) -> None:
    """What is no provider is refused where it is given, a class in place of an object too."""
    with pytest.raises(ConfigurationError, match="TracerProvider"):
        OTelCallbackHandler(tracer_provider=wrong)


def test_a_provider_that_was_shut_down(spans: SpanLog, forbidden: Forbidden) -> None:
    """Late runs of a program that stops have nowhere to go, and must not fail for it."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    run = CallbackManager.configure([OTelCallbackHandler(tracer_provider=provider)]).on_chain_start(
        {}, {}, name="run"
    )
    provider.shutdown()
    with run.activate():
        assert chain(5) == 5
    run.on_chain_end({})
    assert exporter.get_finished_spans() == ()
    assert spans.outcomes() == {"run": "ok", "chain": "ok", "leaf": "ok"}
    forbidden.take()
