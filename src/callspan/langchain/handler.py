"""OTelCallbackHandler as LangChain and LangGraph take it; what is current is found by asking."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from functools import partial
from types import FrameType
from typing import Any
from uuid import UUID
from weakref import ref

from opentelemetry.context import Context, attach, get_current

from callspan import tracing
from callspan.callbacks import collector
from callspan.callbacks.ambient import scope_of
from callspan.callbacks.ids import copy_of
from callspan.langchain.graph import (
    GraphHandler,
    Interrupts,
    is_agent,
    is_control_flow,
    resumes,
)
from callspan.langchain.internals import (
    MADE_BY,
    config_run,
    costs_nothing,
    driver_of,
    is_interrupt,
    is_text_models,
    starts_text_model,
    suspends,
)
from callspan.langchain.live import LiveContext, expected, is_top, put_away, surroundings
from callspan.langchain.runs import LiveRun, open_runs, strand
from callspan.tracing.attributes import names
from callspan.tracing.ending import finish_all, lost_below
from callspan.tracing.outcome import Outcome
from callspan.tracing.registry import Record


class OTelCallbackHandler(tracing.OTelCallbackHandler, GraphHandler):
    """Makes a span of every run of LangChain and LangGraph it hears of.

    Pass it as a callback in the config of a call, or to the constructor of one object. In the body
    of a run its span is the current one: what HTTP clients and the user's own code trace there is
    part of it. Arguments, attributes and options are those of `callspan.OTelCallbackHandler`; in
    callspan's own blocks it does what that one does.
    """

    _known_interrupts: tuple[object, Interrupts] | None = None

    @property
    def run_inline(self) -> bool:  # type: ignore[override]
        """Whether async runs call this handler in their own task: they do.

        But for the start of a text model, if there are handlers that are not called inline:
        LangChain then would not tell those of it.
        """
        manager = starts_text_model(sys._getframe(1))
        return manager is None or all(
            isinstance(one, OTelCallbackHandler) or one.run_inline for one in manager.handlers
        )

    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """End the span of a model, and note whether its answer came from a cache."""
        record = self._record(run_id) if _is_cached(response) else None
        if record is not None:
            record.span.set_attribute(names.RUN_CACHED, True)
        super().on_llm_end(response, run_id=run_id, **kwargs)

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """End the span of a tool; older versions tell the call's id only now, in the message."""
        call_id = getattr(output, "tool_call_id", None)
        record = self._record(run_id) if isinstance(call_id, str) else None
        if record is not None:
            record.span.set_attribute(names.TOOL_CALL_ID, call_id)
        super().on_tool_end(output, run_id=run_id, **kwargs)

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note when the first token came, and whether a generator sent it."""
        run, known = open_runs.get(run_id.int), self._known
        if run is not None and known is not None:
            if known[1] in run.first_told:
                return
            run.first_told = (*run.first_told, known[1])
        super().on_llm_new_token(token, run_id=run_id, **kwargs)
        _note_chunk(run_id, sys._getframe(1))

    def on_stream_event(self, event: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note when the first content came, and whether a generator sent it."""
        if isinstance(event, dict) and event.get("event") == "content-block-delta":
            super().on_llm_new_token("", run_id=run_id)
        _note_chunk(run_id, sys._getframe(1))

    def on_interrupt(self, event: Any) -> None:
        """Note that a graph paused: its run will end as interrupted."""
        record = None if event.run_id is None else self._record(event.run_id)
        if record is not None:
            record.interrupted = True

    def on_resume(self, event: Any) -> None:
        """Link the run that resumes a graph to the one that was interrupted."""
        record = None if event.run_id is None else self._record(event.run_id)
        if record is not None:
            self._interrupts.link(record)

    @property
    def _interrupts(self) -> Interrupts:
        known = self._known_interrupts
        if known is None or known[0] is not self._known:
            registry = self._last_registry()
            self._known_interrupts = known = (self._known, Interrupts.of(registry))
        return known[1]

    def _start(
        self,
        kind: str,
        serialized: dict[str, Any] | None,
        inputs: Any,
        run_id: UUID,
        parent_run_id: UUID | None,
        tags: list[str] | None,
        metadata: dict[str, Any] | None,
        extra: dict[str, Any],
        context: Context | None = None,
    ) -> Record | None:
        by_langchain, driver = driver_of(sys._getframe(2))
        if not by_langchain:
            return super()._start(
                kind, serialized, inputs, run_id, parent_run_id, tags, metadata, extra, context
            )
        told, run = run_id, open_runs.get(run_id.int)
        current = get_current()
        if open_runs.mortal or collector.waiting:
            frame = driver
            if run is None and driver is not None and extra.get("batch_size") == 1:
                frame = driver.f_back  # other runs of its frame are of one that had its id before
            _bury(current, frame)
        registry = self._registry()
        if registry is None or (run is not None and registry in run.spans):
            return None
        first = None
        if run is None:
            above = None if parent_run_id is None else open_runs.get(parent_run_id.int)
            if above is not None and above.drops(registry) and is_top(above, current):
                return None
            run_id = copy_of(told)
            under, around, innermost = surroundings(current, driver)
            if kind == "llm" and not (driver is not None and is_text_models(driver)):
                first = expected(current)
            if first is not None:
                driver, around, innermost = None, first.around, first.innermost
        else:
            run_id, around, innermost = run.run_id, run.around, run.innermost
        parent_run_id = self._parent(parent_run_id, around, innermost)
        if run is None and parent_run_id is not None:
            around = open_runs.placed(parent_run_id, around, driver)
        if kind == "chain" and metadata and MADE_BY in metadata:
            parent = None if parent_run_id is None else registry.get(parent_run_id)
            if is_agent(extra.get("name"), metadata, parent):
                extra = {**extra, "run_type": "agent"}
        record = super()._start(
            kind, serialized, inputs, run_id, parent_run_id, tags, metadata, extra, around
        )
        if record is None and (innermost is None or innermost.carried):
            return None  # the span around it, which is current already, stands for its own
        if run is None:
            if first is None or first.open:
                run = LiveRun(run_id, parent_run_id, kind, driver, around, innermost)
                attach(LiveContext(run, under, innermost))
            else:
                run = first
                run.starts_as(run_id, parent_run_id)
            open_runs.add(run, self._max_open_runs)
            _watch(run, told)
        if record is not None:
            run.traced_in(registry, record.span)
            if kind == "chain" and resumes(inputs):
                self._interrupts.link(record)
        return record

    def _parent(
        self, parent_run_id: UUID | None, around: Context, innermost: LiveRun | None
    ) -> UUID | None:
        """The parent of a run: LangChain's, where that is right and was heard of.

        LangChain passes over models, retrievers and fallbacks, whose bodies start other runs, and
        callspan's own runs; and it names parents that only LangSmith has seen.
        """
        if parent_run_id is not None:
            if innermost is not None and innermost.run_id.int == parent_run_id.int:
                return innermost.run_id
            if (
                innermost is not None
                and innermost.is_passed_over
                and (innermost.parent_run_id == parent_run_id or config_run() == parent_run_id.int)
            ):
                return innermost.run_id
            parent = open_runs.get(parent_run_id.int)
            if parent is not None:
                return parent.run_id
            if self.get_span_context(parent_run_id) is not None:
                return parent_run_id
        scope = scope_of(around)
        if scope is None or scope.run_id is None or self.get_span_context(scope.run_id) is None:
            return None
        return scope.run_id

    def _end(self, run_id: UUID, result: Any, error: BaseException | None = None) -> None:
        if open_runs.remove(run_id.int) is None:
            super()._end(run_id, result, error)
            return
        current = put_away()  # span processors are called outside of the run
        super()._end(run_id, result, error)
        if open_runs.mortal or collector.waiting:
            _bury(current, sys._getframe(1))

    def _outcome(self, record: Record, error: BaseException | None) -> Outcome:
        if error is None:
            return "interrupted" if self._interrupts.ended(record) else "ok"
        if is_control_flow(error):
            parent = record.parent_run_id if is_interrupt(error) else None
            graph = None if parent is None else self._record(parent)
            if graph is not None:
                graph.interrupted = True
            return "interrupted"
        return super()._outcome(record, error)


def _is_cached(response: Any) -> bool:
    for answers in getattr(response, "generations", ()):
        for answer in answers:
            if costs_nothing(getattr(answer, "message", None)):
                return True
    return False


def _note_chunk(run_id: UUID, frame: FrameType) -> None:
    """See from the first chunk whether the body is a generator, which waits between the chunks."""
    run = open_runs.get(run_id.int)
    if run is None or run.streams:
        return
    run.streams = True
    if open_runs.on_stack(run, frame):
        run.carried = run.code is None or not suspends(run.code)
        return
    _, driver = driver_of(frame)
    if driver is not None and suspends(driver.f_code):
        run.carried = False
        open_runs.move(run, driver)


def _watch(run: LiveRun, told: UUID) -> None:
    """See to it that a run ends of which LangChain sends no end.

    Of a cancelled model, retriever or tool it sends none: the task tells when it is done. Of a
    stream left open there may be none: nobody has the id any more that LangChain told.
    """
    run.id_told = ref(told, partial(_id_gone, run))
    if run.may_die and not run.plain and run.strand == strand():
        task = asyncio.current_task()
        if task is not None:
            done = partial(_task_done, run)
            task.add_done_callback(done)
            run.forget = partial(task.remove_done_callback, done)


def _task_done(run: LiveRun, _task: Any) -> None:
    _lost(run)


def _id_gone(run: LiveRun, _id: Any) -> None:
    collector.put_off(partial(_lost, run))  # the garbage collector may be what calls


def _bury(context: Context, frame: FrameType | None) -> None:
    """End the runs that were cancelled unheard: those of this task that are not on its stack."""
    if collector.waiting:
        collector.send_waiting()
    here = None
    while isinstance(context, LiveContext):
        run = context.run
        if run.may_die and run.open:
            here = here or strand()
            if run.strand == here and not open_runs.on_stack(run, frame):
                _lost(run)
        context = context.under


def _lost(run: LiveRun) -> None:
    if open_runs.remove(run.run_id.int) is not None:
        suspended = run.code is not None and suspends(run.code)
        finish_all(_records(run), "abandoned" if suspended else "cancelled")


def _records(run: LiveRun) -> Iterator[Record]:
    for registry in run.spans:
        record = registry.close(run.run_id)
        if record is not None:
            yield from lost_below(registry, record)
            yield record
