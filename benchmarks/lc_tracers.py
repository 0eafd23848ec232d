"""The tracers that the benchmark compares, each with an exporter that drops what it is given.

A tracer is switched on for a `with` block, which gives the config of the program's calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Any, Final

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.tracers import context as langchain_hooks
from langgraph.pregel import Pregel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from benchmarks.lc_programs import Config
from benchmarks.minimal import Minimal, NoOp
from callspan.langchain import LangChainInstrumentor, OTelCallbackHandler


class Null(SpanExporter):
    """Drops what it is given."""

    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def provider(exporter: SpanExporter | None = None, **options: Any) -> TracerProvider:
    """A provider that sends each span at its end."""
    made = TracerProvider(**options)
    made.add_span_processor(SimpleSpanProcessor(exporter or Null()))
    return made


@contextmanager
def untraced(*handlers: Any) -> Iterator[Config]:
    """LangChain as if callspan had never been imported, with other handlers, if any."""
    hooks = langchain_hooks._configure_hooks
    kept = hooks[:]
    hooks[:] = [hook for hook in kept if type(hook[0]).__module__ != "callspan.langchain.hook"]
    try:
        yield {"callbacks": [*handlers]} if handlers else {}
    finally:
        hooks[:] = kept


@contextmanager
def handled(handler: Any) -> Iterator[Config]:
    """A handler of callspan's, passed at request time."""
    yield {"callbacks": [handler]}


@contextmanager
def instrumented() -> Iterator[Config]:
    """Switch on callspan's instrumentor, which finds the runs itself."""
    instrumentor = LangChainInstrumentor()
    instrumentor.instrument(tracer_provider=PROVIDER)
    try:
        yield {}
    finally:
        instrumentor.uninstrument()


@contextmanager
def as_imported() -> Iterator[Config]:
    """LangChain with callspan imported, but not used."""
    yield {}


class Peer:
    """An instrumentor that patches; its own `uninstrument` may leave its patches where they are."""

    PATCHED = ((BaseCallbackManager, "__init__"), (Pregel, "stream"), (Pregel, "astream"))

    def __init__(self, instrumentor: Any) -> None:
        self._found = [getattr(*place) for place in self.PATCHED]
        instrumentor.instrument(tracer_provider=PROVIDER)
        self._patches = [getattr(*place) for place in self.PATCHED]
        self._patch(self._found)

    @contextmanager
    def __call__(self) -> Iterator[Config]:
        with untraced() as config:
            self._patch(self._patches)
            try:
                yield config
            finally:
                self._patch(self._found)

    def _patch(self, methods: list[Any]) -> None:
        for (owner, name), method in zip(self.PATCHED, methods, strict=True):
            setattr(owner, name, method)


PROVIDER = provider()
UNSAMPLED = provider(sampler=ParentBased(ALWAYS_OFF))
OURS = OTelCallbackHandler(tracer_provider=PROVIDER)
Tracer = Callable[[], AbstractContextManager[Config]]
TRACERS: dict[str, Tracer] = {
    "untraced": untraced,
    "no-op": lambda: untraced(NoOp()),
    "minimal": lambda: untraced(Minimal(PROVIDER)),
    "callspan": lambda: handled(OURS),
    "instrumentor": instrumented,
    "with content": lambda: handled(
        OTelCallbackHandler(tracer_provider=PROVIDER, capture_content=True)
    ),
    "unsampled": lambda: handled(OTelCallbackHandler(tracer_provider=UNSAMPLED)),
    "imported": as_imported,
}
PEERS: Final = {
    "OpenInference": ("openinference.instrumentation.langchain", "LangChainInstrumentor"),
    "OpenLLMetry": ("opentelemetry.instrumentation.langchain", "LangchainInstrumentor"),
}


def add_peers() -> None:
    """Have those of the others take part that are installed."""
    for name, (module, cls) in PEERS.items():
        try:
            instrumentor = getattr(import_module(module), cls)()
        except ImportError:
            continue
        TRACERS[name] = Peer(instrumentor)
