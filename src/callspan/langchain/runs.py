"""The runs of LangChain that are open, and in whose body a piece of code is.

A callback is told of a run in one frame, and the body runs in another: later, in another task or
thread, in steps. So which run is the innermost one is found out when somebody asks: from the
frames that drive the open runs, from LangChain's config variable, and from what was open where
the Context was copied.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from threading import get_ident
from types import CodeType, FrameType
from typing import Any, Final
from uuid import UUID
from weakref import ref

from opentelemetry.context import Context
from opentelemetry.trace import Span

from callspan.callbacks.ambient import with_place, with_scope
from callspan.langchain.internals import (
    STEP_OF_LOOP,
    TELLING,
    TRIES,
    awaits,
    config_run,
    pulled_stream,
    run_of,
    suspends,
    tries,
)
from callspan.langchain.scope import LangChainScope
from callspan.tracing.registry import Registry

_NO_CONFIG: Final = frozenset({"chat_model", "llm", "retriever"})


class LiveRun:
    """One open run: what its body sees, and who drives it.

    Args:
        run_id: The run.
        parent_run_id: The run that it is part of.
        kind: chain, chat_model, llm, tool or retriever.
        driver: The frame that is to run its body; it is not kept.
        around: The Context in which the run was started.
        innermost: The run in whose body it was started.

    Attributes:
        base: The Context whose values `around` has, but for what callspan puts into it.
        scope: What callspan's blocks inherit in its body; None until that was asked for.
        spans: Its span in each provider; the first one's is current in its body.
        dropped: Whether the last of these is not sampled, nor will be what is below it.
        open: Whether it has started, and not ended.
        expected: Whether it was made before its start; see `callspan.langchain.live.expect`.
        carried: Whether code that inherits a Context from its body is in its body too: not once
            the body is a generator that waits while its consumer goes on.
        plain: Whether a function drives it, which ends before anything else goes on.
        has_no_config: Whether LangChain's config variable is not set in the body.
        may_die: Whether it may end unheard, in which case its driver is gone from its strand.
        strand: The task or thread that it was started in.
        streams: Whether a first chunk has come.
        first_told: The providers that were told of the first token.
        tries: What it counts its children as, if it tries one after the other; None: not known.
        tried: How many those are so far.
        pulls: The generator of its chunks, by its id, if threads pull it.
        id_told: A reference to the id that LangChain told, which is to end the run.
        forget: What to do when it ends, so that its task does not report it as lost.
    """

    # Most runs leave these as they are here; a run is made for each start, and has to be cheap.
    scope: LangChainScope | None = None
    dropped = False
    open = True
    expected = False
    carried = True
    frame: int | None = None
    code: CodeType | None = None
    plain = False
    may_die = False
    streams = False
    first_told: tuple[Registry | None, ...] = ()
    tries: str | None = None
    tried = 0
    pulls: int | None = None
    id_told: ref[UUID] | None = None
    forget: Callable[[], object] | None = None
    _inside: Context | None = None

    def __init__(
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        kind: str,
        driver: FrameType | None,
        around: Context,
        innermost: LiveRun | None,
    ) -> None:
        self.run_id = run_id
        self.parent_run_id = parent_run_id
        self.kind = kind
        self.around = self.base = around
        self.spans: dict[Registry, Span] = {}
        self.innermost = innermost
        self.strand = strand()
        self.has_no_config = kind in _NO_CONFIG
        if driver is not None:
            if self.driven_by(driver) and kind == "chain":
                self.carried = False
            tries = TRIES.get(driver.f_code.co_filename)
            if tries is not None:
                self.tries = tries

    def starts_as(self, run_id: UUID, parent_run_id: UUID | None) -> None:
        """Note which run it is, if that was not known when it was made."""
        self.run_id, self.parent_run_id = run_id, parent_run_id
        self.open = True

    def driven_by(self, driver: FrameType) -> bool:
        """Note the frame that runs the body, by its id alone; return whether that may wait."""
        self.frame, self.code = id(driver), driver.f_code
        suspended = suspends(driver.f_code)
        self.plain = not (suspended or awaits(driver.f_code))
        self.may_die = not suspended and self.kind != "chain"
        return suspended

    def traced_in(self, registry: Registry, span: Span) -> None:
        """Note the span that the run has in a provider."""
        self.spans[registry] = span
        if not span.is_recording():
            self.dropped = registry.drops_below(span)

    def drops(self, registry: Registry) -> bool:
        """Whether what is started in the body has no span in a provider, since this has none."""
        return self.dropped and self.carried and len(self.spans) == 1 and registry in self.spans

    @property
    def inside(self) -> Context:
        """The Context as its body is to see it; few bodies ask for it."""
        if self._inside is None:
            if self.scope is None:
                self.scope = LangChainScope(self.run_id)
            inside = with_scope(self.scope, self.around)
            for registry in reversed(self.spans):
                inside = registry.with_span(self.run_id, self.spans[registry], inside)
            self._inside = inside
        return self._inside

    @property
    def is_passed_over(self) -> bool:
        """Whether LangChain takes this run's parent for the one of what starts in the body."""
        return self.has_no_config or self.tries == "fallback"


def strand() -> int:
    """The task that runs, or the thread where there is none."""
    if asyncio._get_running_loop() is not None:
        task = asyncio.current_task()
        if task is not None:
            return id(task)
    return get_ident()


class OpenRuns:
    """All the runs that are open, by id and by the frame that drives them.

    Attributes:
        mortal: Those that may end unheard, by id.
    """

    def __init__(self) -> None:
        self.mortal: set[int] = set()
        self._by_id: dict[int, LiveRun] = {}
        self._by_frame: dict[int, tuple[LiveRun, ...]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[LiveRun]:
        return iter(list(self._by_id.values()))

    def get(self, key: int | None) -> LiveRun | None:
        """Return an open run by the number of its id."""
        return None if key is None else self._by_id.get(key)

    def add(self, run: LiveRun, bound: int) -> None:
        """Register a run that starts, and forget the oldest beyond `bound`."""
        self._drive(run)
        self._by_id[run.run_id.int] = run  # from here on another thread may forget it
        while len(self._by_id) > bound:
            try:
                self.remove(next(iter(self._by_id)))
            except (RuntimeError, StopIteration):  # another thread was faster: look again
                continue

    def remove(self, key: int) -> LiveRun | None:
        """Take out a run that ends; None if it is not there."""
        run = self._by_id.get(key)
        if run is None:
            return None
        run.open = False  # before others find that it is not there
        if self._by_id.pop(key, None) is not run:
            return None
        run.expected, run.innermost, run.id_told = False, None, None
        self._release(run)
        if run.forget is not None:
            run.forget()
            run.forget = None
        return run

    def move(self, run: LiveRun, driver: FrameType) -> None:
        """Have another frame drive a run."""
        self._release(run)
        run.driven_by(driver)
        self._drive(run)

    def _drive(self, run: LiveRun) -> None:
        if run.frame is not None:
            self._by_frame[run.frame] = (*self._by_frame.get(run.frame, ()), run)
            if run.may_die:
                self.mortal.add(run.run_id.int)

    def _release(self, run: LiveRun) -> None:
        if run.frame is None:
            return
        self.mortal.discard(run.run_id.int)
        runs = self._by_frame.pop(run.frame, ())
        if runs == (run,):
            return
        while runs := tuple(one for one in runs if one.open and one is not run):
            self._by_frame[run.frame] = runs
            if all(one.open for one in runs):
                break
            runs = self._by_frame.pop(run.frame, ())  # another thread has ended one meanwhile

    def driven(self, frame: FrameType) -> LiveRun | None:
        """The newest open run that a frame drives."""
        for run in reversed(self._by_frame.get(id(frame), ())):
            if run.open and run.code is frame.f_code:
                return run
        return None

    def on_stack(self, run: LiveRun, frame: FrameType | None) -> bool:
        """Whether the frame that drives a run is among the callers of `frame`."""
        key = run.run_id.int
        while frame is not None:
            if (id(frame) == run.frame and frame.f_code is run.code) or run_of(frame) == key:
                return True
            frame = frame.f_back
        return False

    def innermost(self, context: Any, frame: FrameType | None) -> LiveRun | None:
        """The run in whose body the code of `frame` is; None if there is none.

        Args:
            context: The current Context.
            frame: The frame, whose callers are looked at.
        """
        if not self._by_id and not isinstance(context, Attached):
            return None
        by_frame = self._by_frame
        while frame is not None:
            code = frame.f_code
            if id(frame) in by_frame:
                run = self.driven(frame)
                if run is not None:
                    return run
            elif code.co_name in TELLING:
                run = self.get(run_of(frame))
                if run is not None:
                    return run
                pulled = pulled_stream(frame)
                if pulled is not None:
                    return self._pulled(pulled, context)
            elif code is STEP_OF_LOOP:
                break
            frame = frame.f_back
        # This is another task or thread than the one that runs the body: go by what it inherited.
        config, here = config_run(), strand()
        for run in _chain(context):
            if run.run_id.int == config:
                return run
            if run.open and run.carried and (run.frame is None or run.strand != here):
                return run
        while isinstance(context, Attached):
            context = context.under
        scope = LangChainScope.of(context)
        run = None if scope is None else self.get(scope.run_id.int)
        return run if run is not None and run.has_no_config else self.get(config)

    def placed(self, parent_run_id: UUID, context: Context, driver: FrameType | None) -> Context:
        """Return `context` for a child, with its number if its parent counts its children."""
        parent = self.get(parent_run_id.int)
        if parent is None or parent.kind != "chain":
            return context
        if parent.tries is None:
            parent.tries = tries(driver, parent.frame)
        if not parent.tries:
            return context
        parent.tried += 1
        number = parent.tried - (parent.tries == "fallback")
        return with_place(parent_run_id, parent.tries, number, context)

    def _pulled(self, generator: int, context: Any) -> LiveRun | None:
        """The model whose stream is pulled in a thread: at first the newest that is open here."""
        for run in self:
            if run.pulls == generator:
                return run
        for run in _chain(context):
            if run.open and run.kind in ("chat_model", "llm") and run.pulls is None:
                run.pulls = generator
                return run
        return None


def _chain(context: Any) -> Iterator[LiveRun]:
    """The runs whose live Contexts lie over one another here, the newest first."""
    while isinstance(context, Attached):
        yield context.run
        context = context.under


class Attached(Context):
    """A Context that was attached when a run started; see `callspan.langchain.live`."""

    __slots__ = ("base", "covered_in", "direct", "run", "under")
    run: LiveRun
    under: Context


open_runs: Final = OpenRuns()
