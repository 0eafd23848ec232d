"""What a run costs, as ratios measured side by side: `make bench`.

Every ratio compares two programs that take turns in the same process, so that a change of the
machine's speed meets both. Times are CPU time; the figure is the median of the rounds' ratios.
"""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler as LangChainHandler
from langchain_core.callbacks import CallbackManager as LangChainManager
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    use_span,
)

import callspan
from callspan.callbacks import BaseCallbackHandler, CallbackManager
from callspan.language_models import FakeListChatModel
from callspan.prompts import ChatPromptTemplate

RUNS = 3
"""The runs of one call of the chain."""
ROUNDS = 15
SECONDS_A_ROUND = 0.15

prompt = ChatPromptTemplate.from_template("What is 1 + {number}?")
model = FakeListChatModel(responses=["3"])
chain = prompt | model
given = {"number": "2"}


def compare(name: str, program: Callable[[], Any], other: Callable[[], Any]) -> tuple[float, float]:
    """Print and return the microseconds that each of two programs takes, a call."""
    calls = max(10, int(SECONDS_A_ROUND / _seconds(other, 20)))
    pairs = [(_seconds(program, calls), _seconds(other, calls)) for _ in range(ROUNDS)]
    ratio = statistics.median(one / two for one, two in pairs)
    took, other_took = (statistics.median(column) * 1e6 for column in zip(*pairs, strict=True))
    print(f"{name:<66} {took:8.2f} µs / {other_took:8.2f} µs = {ratio:5.2f}")
    return took, other_took


def _seconds(program: Callable[[], Any], calls: int) -> float:
    gc.collect()
    start = time.thread_time()
    for _ in range(calls):
        program()
    return (time.thread_time() - start) / calls


AT_END = ("callspan.run.outcome", "gen_ai.usage.", "gen_ai.response.")
"""How the names of the attributes begin that are known only when a run ends."""


def by_hand(provider: TracerProvider) -> Callable[[], Any]:
    """The same prompt and model as plain methods, in three spans with the same attributes."""
    tracer = provider.get_tracer("by-hand")
    spans = [
        (
            span.name,
            span.kind,
            {k: v for k, v in span.attributes.items() if not k.startswith(AT_END)},
            {k: v for k, v in span.attributes.items() if k.startswith(AT_END)},
        )
        for span in recorded_spans()
    ]

    def traced(spans: Any, body: Callable[[], Any]) -> Any:
        name, kind, at_start, at_end = spans
        span = tracer.start_span(name, kind=kind, attributes=at_start)
        with use_span(span, end_on_exit=True):
            result = body()
            span.set_attributes(at_end)
        return result

    root, asked, answered = spans

    def chain_by_hand() -> Any:
        messages = traced(asked, lambda: prompt.format_messages(**given))
        result = traced(answered, lambda: model._generate(messages))
        return result.generations[0].message

    return lambda: traced(root, chain_by_hand)


def recorded_spans() -> Any:
    """The spans that callspan makes of the chain, in the order in which they start."""
    exporter = InMemorySpanExporter()
    watched = TracerProvider()
    watched.add_span_processor(SimpleSpanProcessor(exporter))
    handler = callspan.OTelCallbackHandler(tracer_provider=watched)
    chain.invoke(given, {"callbacks": [handler]})
    return sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0)


class Quiet(BaseCallbackHandler):
    """Hears chains, and does nothing."""

    def on_chain_start(self, *args: Any, **kwargs: Any) -> None: ...
    def on_chain_end(self, *args: Any, **kwargs: Any) -> None: ...


class LangChainQuiet(LangChainHandler):
    """The same, for langchain-core."""

    def on_chain_start(self, *args: Any, **kwargs: Any) -> None: ...
    def on_chain_end(self, *args: Any, **kwargs: Any) -> None: ...


def start_and_end(manager: Any) -> Callable[[], Any]:
    """One run of a manager that has one handler."""

    def program() -> None:
        manager.on_chain_start({"name": "chain"}, {}).on_chain_end({})

    return program


def suppressed(program: Callable[[], Any]) -> Callable[[], Any]:
    """The same program with tracing off."""

    def run() -> None:
        with callspan.suppress_tracing():
            program()

    return run


def inside(span: Span, program: Callable[[], Any]) -> Callable[[], Any]:
    """The same program with another span around it."""

    def run() -> None:
        with use_span(span):
            program()

    return run


def memory_after(runs: int, program: Callable[[], Any]) -> int:
    """Return the bytes that many runs leave behind, beyond those that as many runs left before."""
    tracemalloc.start()  # before both: a provider's last 1,000 runs take each other's place
    for _ in range(runs):
        program()
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(runs):
        program()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return after - before


def main() -> None:
    """Print every figure."""

    def plain() -> None:
        chain.invoke(given)

    # No SDK is set up yet: these come first, since a global provider cannot be taken back.
    compare("no SDK / suppressed, prompt | fake model (3 runs)", plain, suppressed(plain))

    compare(
        "manager start+end with one handler, callspan / langchain-core",
        start_and_end(CallbackManager.configure([Quiet()])),
        start_and_end(LangChainManager.configure([LangChainQuiet()])),
    )
    run = CallbackManager.configure([Quiet()]).on_chain_start({"name": "chain"}, {})
    print(
        f"{'an event that nobody hears':<66} "
        f"{_seconds(lambda: run.on_text('text'), 200_000) * 1e6:8.2f} µs"
    )

    provider = TracerProvider()
    trace.set_tracer_provider(provider)
    compare("traced / by hand, prompt | fake model", plain, by_hand(provider))
    compare("traced / suppressed", plain, suppressed(plain))

    sampled_out = inside(NonRecordingSpan(SpanContext(1, 1, is_remote=True)), plain)
    took, other = compare("in an unsampled trace / suppressed", sampled_out, suppressed(plain))
    print(f"{'  above suppressed, a run':<66} {(took - other) / RUNS:8.2f} µs")

    print(
        f"{'memory that 10,000 runs leave behind':<66} {memory_after(3_337, plain) / 1024:8.1f} KiB"
    )


if __name__ == "__main__":
    main()
