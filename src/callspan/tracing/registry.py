"""The spans of one tracer provider: which run has which, whose child it is, that it ends once."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from time import perf_counter
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID
from weakref import WeakSet

from opentelemetry.context import Context, create_key
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    Span,
    SpanContext,
    TracerProvider,
    get_tracer_provider,
    set_span_in_context,
)

from callspan._fork import Lock, after_fork
from callspan._version import __version__
from callspan.callbacks.ambient import is_in_run, place_of
from callspan.tracing.attributes import RunStart, at_start, labels
from callspan.tracing.attributes.names import PLACES, SCHEMA_URL

SPANS_KEY: Final = create_key("callspan-spans")
(SPAN_KEY,) = set_span_in_context(INVALID_SPAN, Context())
_PARENT_BASED: Final = re.compile(
    r"ParentBased\{.*,remoteParentNotSampled:(?P<remote>\w+)"
    r",localParentSampled:\w+,localParentNotSampled:(?P<local>\w+)\}"
)
"""How a sampler describes itself that decides by the parent, and is in no other one's hands."""
_RECENT: Final = 1_000
"""How many finished runs a provider remembers at least, for children that start late."""


def global_provider() -> TracerProvider | None:
    """Return OpenTelemetry's global provider, if the environment does not name one in vain."""
    try:
        return get_tracer_provider()
    except Exception:  # OpenTelemetry has logged it; the program is not to hear of it
        return None


class Record:
    """One open run in one provider."""

    first_token = False
    interrupted = False
    """Whether it has paused for a human, though it will end as if it were complete."""
    used: Mapping[str, int] = MappingProxyType({})
    """What the models of an agent have used so far: token counts by attribute."""

    def __init__(
        self,
        handler: Any,
        start: RunStart,
        parent_run_id: UUID | None,
        span: Span,
        agent: Record | None,
    ) -> None:
        self.handler = handler
        self.start = start
        self.parent_run_id = parent_run_id
        self.span = span
        self.started = perf_counter()
        self.may_be_lost: set[int] = set()
        """Models, retrievers and tools that are open under this run."""
        self.agent = agent
        """The nearest agent that this run is a part of."""


class _Spans:
    """What a Context carries of the spans around it, one a provider.

    So a provider finds its nearest span even where it does not cover the run in between.
    """

    __slots__ = ("by_registry", "current", "run_id")

    def __init__(self, run_id: UUID, current: Registry, by_registry: dict[Registry, Span]) -> None:
        self.run_id = run_id
        self.current = current
        self.by_registry = by_registry


class Registry:
    """The runs of one provider that are open, and the span contexts of the last that were."""

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider
        self._tracer = provider.get_tracer("callspan", __version__, SCHEMA_URL)
        self._resource = getattr(provider, "resource", None)
        self._processor = getattr(self._tracer, "span_processor", None)
        sampler = getattr(provider, "sampler", None)
        described = "" if sampler is None else str(sampler.get_description())
        decides = _PARENT_BASED.fullmatch(described)
        self._drops_below_unsampled = [
            decides is not None and decides[parent] == "AlwaysOffSampler"
            for parent in ("local", "remote")
        ]
        self._open: OrderedDict[int, Record] = OrderedDict()
        # The runs that ended last, in two halves: when one is full, the other one is forgotten.
        self._recent: dict[int, SpanContext] = {}
        self._less_recent: dict[int, SpanContext] = {}
        # The runs that were open when this process was forked, which end in the parent alone.
        self._of_parent: dict[int, SpanContext] = {}

    @property
    def is_global(self) -> bool:
        """Whether this is the provider of the application as a whole."""
        return self.provider is global_provider()

    @property
    def open_runs(self) -> int:
        """How many runs are open."""
        return len(self._open)

    def open(
        self,
        handler: Any,
        start: RunStart,
        parent_run_id: UUID | None,
        context: Context,
    ) -> Record | None:
        """Start the span of a run; None if it has one: the first handler's claim holds."""
        key = start.run_id.int
        if key in self._open:
            return None
        attributes = at_start(start, context, handler.gate, openinference=handler.openinference)
        if start.tags or start.metadata:
            told = labels(start, handler.gate, openinference=handler.openinference)
            attributes.update(told)
        place = place_of(context, parent_run_id)
        if place is not None:
            attributes[PLACES[place[0]]] = place[1]
        span = self._tracer.start_span(
            start.thing.span_name,
            self._parent(parent_run_id, context),
            start.thing.span_kind,
            attributes,
        )
        parent = None if parent_run_id is None else self._open.get(parent_run_id.int)
        agent = parent if parent is None or parent.start.type == "agent" else parent.agent
        record = self._open[key] = Record(handler, start, parent_run_id, span, agent)
        if start.kind != "chain" and parent is not None:
            parent.may_be_lost.add(key)
        return record

    def would_drop(self, parent_run_id: UUID | None, context: Context) -> bool:
        """Whether a run that starts in `context` is part of a trace that is not sampled.

        Its span would be as empty as the current one, which so can stand for it.
        """
        span: Span | None = context.get(SPAN_KEY)  # type: ignore[assignment]
        if span is None or not self.drops_below(span):
            return False
        around: _Spans | None = context.get(SPANS_KEY)  # type: ignore[assignment]
        if parent_run_id is None or around is None:
            return around is None and (parent_run_id is None or is_in_run(context, parent_run_id))
        return (
            around.current is self
            and len(around.by_registry) == 1
            and is_in_run(context, parent_run_id)
        )

    def drops_below(self, span: Span) -> bool:
        """Whether the sampler drops what has `span` as parent, since that is not sampled."""
        if span.is_recording():
            return False
        above = span.get_span_context()
        drops = self._drops_below_unsampled[above.is_remote]
        return drops and above.is_valid and not above.trace_flags.sampled

    def get(self, run_id: UUID) -> Record | None:
        """Return the open run."""
        return self._open.get(run_id.int)

    def close(self, run_id: UUID) -> Record | None:
        """Take an open run out, to be ended by the caller; None if it has ended."""
        record = self._open.get(run_id.int)
        if record is not None:
            self._forget(record)  # first: a child may be starting in another thread
            record = self._open.pop(run_id.int, None)
        return record

    def over(self, bound: int) -> list[Record]:
        """Take out the oldest runs, as many as are open beyond `bound`."""
        records = []
        while len(self._open) > bound:
            try:
                _, record = self._open.popitem(last=False)
            except KeyError:  # another thread was faster
                break
            self._forget(record)
            records.append(record)
        return records

    def leave_to_parent(self) -> None:
        """Forget the open runs, in a forked child: both processes would export their spans."""
        left, self._open = self._open, OrderedDict()
        for key, record in left.items():
            own = record.span.get_span_context()
            self._of_parent[key] = SpanContext(
                own.trace_id, own.span_id, True, own.trace_flags, own.trace_state
            )

    def lost_children(self, record: Record) -> list[Record]:
        """Return the models, retrievers and tools still open under a run that was cancelled."""
        children = (self._open.get(key) for key in list(record.may_be_lost))
        return [child for child in children if child is not None]

    def span_context(self, run_id: UUID) -> SpanContext | None:
        """Return the span context of a run that is open or has ended not long ago."""
        record = self._open.get(run_id.int)
        return self._ended(run_id) if record is None else record.span.get_span_context()

    def run_context(self, run_id: UUID, context: Context) -> Context:
        """Return `context` as the run's body is to see it: with the run's span.

        With several providers, the current span is the global provider's, else the one of the
        handler that comes last here, which is the first that was passed.
        """
        record = self._open.get(run_id.int)
        if record is not None:
            span = record.span
        elif (ended := self._ended(run_id)) is not None:
            span = NonRecordingSpan(ended)
        else:
            return context
        return self.with_span(run_id, span, context)

    def with_span(self, run_id: UUID, span: Span, context: Context) -> Context:
        """Return `context` with the span that a run has in this provider; see `run_context`."""
        around: _Spans | None = context.get(SPANS_KEY)  # type: ignore[assignment]
        if around is None:
            return Context(
                {**context, SPAN_KEY: span, SPANS_KEY: _Spans(run_id, self, {self: span})}
            )
        spans = {**around.by_registry, self: span}
        if around.run_id.int == run_id.int and around.current.is_global:
            return Context({**context, SPANS_KEY: _Spans(run_id, around.current, spans)})
        return Context({**context, SPAN_KEY: span, SPANS_KEY: _Spans(run_id, self, spans)})

    def _parent(self, parent_run_id: UUID | None, context: Context) -> Context:
        """Return `context` with the span that is to be the parent.

        The Context's run is the parent run: the current span, which is the run's own or the
        user's inside it. Otherwise the parent run's span. Without a parent run, or with one that
        this provider never saw: the ambient span.
        """
        span: Span | None = context.get(SPAN_KEY)  # type: ignore[assignment]
        around: _Spans | None = context.get(SPANS_KEY)  # type: ignore[assignment]
        if around is None:
            if span is None and parent_run_id is None:
                return context
        elif (
            around.run_id is parent_run_id
            and span is around.by_registry.get(self)
            and not self._of_parent
        ):
            return context
        if parent_run_id is not None and not is_in_run(context, parent_run_id):
            found = self.span_context(parent_run_id)
            if found is not None:
                return set_span_in_context(NonRecordingSpan(found), context)
        current = INVALID_SPAN if span is None else span
        if self._of_parent and parent_run_id is not None:
            left = self._of_parent.get(parent_run_id.int)
            if left is not None and left.span_id == current.get_span_context().span_id:
                return set_span_in_context(NonRecordingSpan(left), context)
        if self._is_ours(current, around):
            return context
        own = INVALID_SPAN if around is None else around.by_registry.get(self, INVALID_SPAN)
        return set_span_in_context(own, context)

    def _is_ours(self, span: Span, around: _Spans | None) -> bool:
        """Whether this provider made `span`, as far as can be told.

        A recording span of the SDK has its provider's resource, which several providers may
        share, and its span processor, which is one provider's alone. Of other spans (a remote
        parent, one that is not sampled) those around the runs are everybody's, and those inside a
        run belong to the provider whose span is current there.
        """
        if around is not None:
            own = around.by_registry.get(self)
            if span is own:
                return True
            if any(span is other for other in around.by_registry.values()):
                return False
        resource = getattr(span, "resource", None)
        if resource is not None and self._resource is not None:
            # The SDK gives a provider a new resource in a forked child.
            now = getattr(self.provider, "resource", None)
            if resource is not self._resource and resource is not now:
                return False
            processor = getattr(span, "_span_processor", None)
            return processor is self._processor or processor is None or self._processor is None
        return around is None or around.current is self

    def _ended(self, run_id: UUID) -> SpanContext | None:
        key = run_id.int
        return self._recent.get(key) or self._less_recent.get(key) or self._of_parent.get(key)

    def _forget(self, record: Record) -> None:
        """Keep of a run that is no longer open where its late children belong."""
        if record.start.type == "agent":
            record.agent = None  # or a chain of agents, each started by the last, would be kept
        recent = self._recent
        recent[record.start.run_id.int] = record.span.get_span_context()
        if len(recent) > _RECENT:
            self._less_recent, self._recent = recent, {}
        if record.start.kind != "chain" and record.parent_run_id is not None:
            parent = self._open.get(record.parent_run_id.int)
            if parent is not None:
                parent.may_be_lost.discard(record.start.run_id.int)


_ATTRIBUTE: Final = "_callspan_registry"
_lock: Final = Lock()
_all: WeakSet[Registry] = WeakSet()
_kept: dict[int, Registry] = {}


def registry_of(provider: TracerProvider) -> Registry:
    """Return the one registry of `provider`.

    The provider has it, as an attribute: so it is gone with it, and providers that cannot be
    hashed, or are equal, have each their own.
    """
    registry = getattr(provider, _ATTRIBUTE, None)
    if isinstance(registry, Registry) and registry.provider is provider:
        return registry
    with _lock:
        registry = getattr(provider, _ATTRIBUTE, None) or _kept.get(id(provider))
        if not isinstance(registry, Registry) or registry.provider is not provider:
            registry = Registry(provider)
            _all.add(registry)
            try:
                setattr(provider, _ATTRIBUTE, registry)
            except AttributeError:  # an object with slots; few programs have more than one
                _kept[id(provider)] = registry
    return registry


def all_registries() -> list[Registry]:
    """Return every registry there is."""
    with _lock:
        return list(_all)


def _leave_open_runs_to_parent() -> None:
    for registry in all_registries():
        registry.leave_to_parent()


after_fork(_leave_open_runs_to_parent)
