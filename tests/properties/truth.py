"""The ground truth: which runs and spans a program makes, worked out from its text as it runs.

A `Place` is what ought to be around a piece of code. The interpreter hands it down from item to
item, never through the OpenTelemetry Context, so that what it says is independent of what
callspan does.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from dataclasses import dataclass, field, replace
from typing import Any

PROVIDER_OF = {"implicit": "G", "G": "G", "A": "A", "A2": "A", "B": "B"}
"""Which provider an OTelCallbackHandler makes spans in."""
ANYBODYS = "*"
"""The provider of a remote parent."""


@dataclass(eq=False)
class SpanTruth:
    """A span that ought to be there."""

    name: str
    provider: str
    parent: SpanTruth | None
    run: RunTruth | None = None


@dataclass(frozen=True, eq=False)
class Inherited:
    """What runs that start here inherit from the run around them."""

    run: RunTruth | None = None
    handlers: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Around:
    """The innermost span of a run in each provider, and the provider whose span is current."""

    innermost: dict[str, SpanTruth] = field(default_factory=dict)
    holder: str | None = None


@dataclass(frozen=True)
class Place:
    """Where in a program some code is, and what is around it."""

    path: tuple[int, ...] = ()
    is_async: bool = False
    managers: tuple[tuple[Any, RunTruth], ...] = ()
    """Managers of runs further out, for children that are started by hand."""
    inherited: Inherited = Inherited()
    span: SpanTruth | None = None
    around: Around = Around()
    suppressed: bool = False
    baggage: str | None = None
    """What the user's own key of the OpenTelemetry Context holds."""

    def at(self, index: int) -> Place:
        """The place of an item within the one that is here."""
        return replace(self, path=(*self.path, index))

    @property
    def name(self) -> str:
        return ".".join(map(str, self.path))

    def parent_in(self, provider: str) -> SpanTruth | None:
        """The parent of a run's span: the current span if it is theirs, or the innermost run's."""
        span, holder = self.span, self.around.holder
        if span is not None:
            if span.provider == provider:
                return span
            if span.provider == ANYBODYS and holder in (None, provider):
                return span
        return self.around.innermost.get(provider)

    def within_span(self, name: str, provider: str) -> Place:
        """The place within a user's span; its parent is the current one, whosever that is."""
        return replace(self, span=SpanTruth(name, provider, self.span))

    def configured(self, handlers: tuple[str, ...], name: str, *, inherit: bool) -> Place:
        """The place within `use_config`."""
        outer = self.inherited if inherit else Inherited(self.inherited.run)
        added = Inherited(
            outer.run,
            joined(outer.handlers, handlers),
            (*outer.tags, name),
            {**outer.metadata, "config": name},
        )
        return replace(self, inherited=added)


@dataclass(eq=False)
class RunTruth:
    """A run that ought to be there."""

    name: str
    kind: str
    parent: RunTruth | None
    hears: tuple[str, ...]
    tags: tuple[str, ...]
    metadata: dict[str, Any]
    before: Place
    """Where it starts."""
    made: Place
    """What its body would have around it there."""
    spans: dict[str, SpanTruth]
    called: str
    """The name that handlers hear, which it may share."""
    entered: bool = False
    ended: int | None = None
    """When its body was over."""
    outcome: str | None = None
    error: BaseException | None = None
    output: Any = None
    run_id: Any = None
    attributes: dict[str, Any] = field(default_factory=dict)
    """What its spans say of its place among others: the `NUMBERED` of `checks`."""
    tokens: int | None = None
    """How many it has spent."""
    unsure: bool = False
    """Whether it may as well have ended as one of its parts."""

    def inside(self, here: Place) -> Place:
        """The place of its body, activated `here`: what the run changes, over what is here."""
        changes = {
            part: getattr(self.made, part)
            for part in ("inherited", "span", "around")
            if getattr(self.made, part) is not getattr(self.before, part)
        }
        return replace(here, **changes)


def joined(some: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    """Both in order, each once."""
    return tuple(dict.fromkeys((*some, *more)))


def outcome_of(error: BaseException | None) -> str:
    if error is None:
        return "ok"
    cancelled = (asyncio.CancelledError, concurrent.futures.CancelledError)
    if isinstance(error, (*cancelled, KeyboardInterrupt, SystemExit)):
        return "cancelled"
    return "abandoned" if isinstance(error, GeneratorExit) else "error"


class Truth:
    """Everything that ought to be there after a program.

    Args:
        has_global: Whether there is a global provider.
        timeline: When what happened; spans of the SDK note their starts and ends there too.
    """

    def __init__(self, *, has_global: bool, timeline: list[tuple[str, str, Any]]) -> None:
        self.has_global = has_global
        self.timeline = timeline
        self.runs: list[RunTruth] = []
        self.user_spans: list[SpanTruth] = []

    def user_span(self, place: Place, provider: str) -> Place:
        inner = place.within_span(f"user {place.name}", provider)
        assert inner.span is not None
        self.user_spans.append(inner.span)
        return inner

    def start(
        self,
        here: Place,
        kind: str,
        *,
        handlers: tuple[str, ...] = (),
        local: tuple[str, ...] = (),
        metadata: dict[str, Any] | None = None,
        local_metadata: dict[str, Any] | None = None,
        tags: tuple[str, ...] = (),
        local_tags: tuple[str, ...] = (),
        parent: RunTruth | None = None,
        direct: bool = False,
    ) -> RunTruth:
        """Note the start of a run.

        Args:
            here: Where it starts.
            kind: Its kind.
            handlers: Those passed at run time.
            local: Those of the object.
            metadata: The object's metadata, for descendants too.
            local_metadata: Its metadata for this run alone.
            tags: The object's tags, for descendants too.
            local_tags: Its tags for this run alone.
            parent: The run whose child manager is used; None for the run around.
            direct: Whether that manager starts it, without `configure`.
        """
        start = here
        settings = here.inherited
        if parent is not None:
            theirs = parent.made.inherited
            if here.inherited.run is not parent:
                start = parent.inside(here)
                settings = theirs
            elif direct:
                settings = theirs
            else:
                settings = Inherited(
                    parent,
                    joined(settings.handlers, theirs.handlers),
                    joined(settings.tags, theirs.tags),
                    {**settings.metadata, **theirs.metadata},
                )
        inheritable = joined(settings.handlers, handlers)
        hears = joined(inheritable, local)
        if not direct and self.has_global and not here.suppressed and "implicit" not in inheritable:
            inheritable, hears = ("implicit", *inheritable), ("implicit", *hears)
        all_metadata = {**settings.metadata, **(metadata or {})}
        run = RunTruth(
            name=f"{kind} {here.name}",
            kind=kind,
            parent=settings.run,
            hears=tuple(h for h in hears if h not in PROVIDER_OF),
            tags=(*settings.tags, *tags, *local_tags),
            metadata={**all_metadata, **(local_metadata or {})},
            before=here,
            made=start,
            spans={},
            called=f"{kind} {here.name}",
        )
        if not start.suppressed:
            for handler in hears:
                provider = PROVIDER_OF.get(handler)
                if provider is not None and (provider != "G" or self.has_global):
                    run.spans.setdefault(
                        provider, SpanTruth(run.name, provider, start.parent_in(provider), run)
                    )
        run.made = replace(
            start,
            inherited=Inherited(run, inheritable, (*settings.tags, *tags), all_metadata),
        )
        if run.spans:
            holder = "G" if "G" in run.spans else next(iter(run.spans))
            run.made = replace(
                run.made,
                span=run.spans[holder],
                around=Around({**start.around.innermost, **run.spans}, holder),
            )
        self.runs.append(run)
        return run

    def end(self, run: RunTruth, error: BaseException | None, output: Any = None) -> None:
        """Note the end of a run's body."""
        self.timeline.append(("body over", "", run.name))
        run.ended = len(self.timeline)
        run.outcome, run.error, run.output = outcome_of(error), error, output
