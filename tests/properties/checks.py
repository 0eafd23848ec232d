"""What holds for every program: each check yields a sentence for everything that is wrong."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from callspan.callbacks import CallbackManager

from .interpreter import Interpreter
from .programs import TRACERS, Items
from .truth import RunTruth, SpanTruth, Truth, outcome_of
from .world import World

NUMBERED = ("callspan.run.attempt", "callspan.run.fallback", "callspan.run.cached")
_EVENTS = {"agent": "chain", "chat_model": "llm"}


def check(program: Items, *, is_async: bool, has_global: bool, same_result: bool = True) -> None:
    """Execute a program with and without tracing, and check everything.

    Args:
        program: What to execute.
        is_async: Whether it needs an event loop.
        has_global: Whether there is a global provider.
        same_result: Whether the result has to be the same, too: not where a task is cancelled
            after a number of turns, since handlers that wait take turns.
    """
    plain = Interpreter(World(has_global=False), traced=False)
    world = World(has_global=has_global)
    traced = Interpreter(world, traced=True)
    with _short_collections(), world.open():
        expected = plain.execute(program, is_async=is_async)
        result = traced.execute(program, is_async=is_async)
        traced.held.clear()
        # Ends that the garbage collector caused are sent with the next event.
        CallbackManager([]).on_chain_start({}, {})
        wrong = [*traced.wrong, *_spans(traced), *_events(traced), *_left(traced)]
    wrong += world.complaints
    if same_result and result != expected:
        wrong.append(f"the result is {result}, and without tracing {expected}")
    # Where a sibling's failure has cancelled an item, it may have come further in one of the two.
    for path in traced.outcomes.keys() & plain.outcomes.keys() if same_result else ():
        if traced.outcomes[path] != plain.outcomes[path]:
            wrong.append(
                f"the outcome at {path} is {traced.outcomes[path]}, "
                f"and without tracing {plain.outcomes[path]}"
            )
    assert not wrong, "\n".join(wrong)


@contextmanager
def _short_collections() -> Iterator[None]:
    """Programs call the garbage collector: keep what was there before out of its way."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _spans(execution: Interpreter) -> Iterator[str]:
    """The span tree of each provider is the tree of calls, and each span ends once."""
    truth = execution.truth
    ought = [(span, run) for run in truth.runs for span in run.spans.values()]
    ought += [(span, None) for span in truth.user_spans]
    label = execution.world.label
    for provider, log in execution.world.logs.items():
        found = {label(span): span for span in log.started}
        for name, times in Counter(map(label, log.started)).items():
            if times > 1:
                yield f"{name} has {times} spans in {provider}"
        for name, times in Counter(map(label, log.ended)).items():
            if times > 1:
                yield f"{name} ended {times} times in {provider}"
        lost = set(found) - set(map(label, log.ended))
        if lost:
            yield f"{', '.join(lost)} started in {provider} and never ended"
        for span, run in ought:
            if span.provider != provider:
                continue
            actual = found.pop(span.name, None)
            if actual is None:
                if run is None or run.entered:
                    yield f"{span.name} has no span in {provider}"
                continue
            yield from _parent(span, actual, execution.world)
            if run is not None:
                attributes = actual.attributes or {}
                outcome = attributes.get("callspan.run.outcome")
                allowed = _outcomes(run, provider, execution)
                if outcome not in allowed:
                    yield f"{span.name} in {provider} is {outcome}, not {allowed}"
                told = {key: attributes[key] for key in NUMBERED if key in attributes}
                if told != run.attributes:
                    yield f"{span.name} in {provider} has {told}, not {run.attributes}"
                yield from _tokens(run, attributes)
        if found:
            yield f"{', '.join(found)} should have no span in {provider}"


def _tokens(run: RunTruth, attributes: Any) -> Iterator[str]:
    """A model's tokens are on the span of the one run that they were spent for."""
    if run.kind in ("llm", "chat_model"):
        tokens = attributes.get("gen_ai.usage.input_tokens")
        if tokens != run.tokens:
            yield f"{run.name} has {tokens} tokens, not {run.tokens}"


def _left(execution: Interpreter) -> Iterator[str]:
    """Nothing is left of the runs in the registries."""
    for name in TRACERS:
        handler = execution.world.handlers[name]
        for run in execution.truth.runs:
            if run.run_id is not None and handler.get_span(run.run_id) is not None:
                yield f"{run.name} is still open in {name}"


def _parent(ought: SpanTruth, actual: ReadableSpan, world: World) -> Iterator[str]:
    parent = world.name_of(actual.parent)
    expected = None if ought.parent is None else ought.parent.name
    if parent != expected:
        yield f"{ought.name} in {ought.provider} has the parent {parent}, not {expected}"


def _ends(run: RunTruth, truth: Truth) -> list[BaseException | None]:
    """With which errors a run may have ended; None for a result."""
    ends = [run.error]
    if run.unsure:
        ends += [one.error for one in truth.runs if one.parent is run and one.ended is not None]
    return ends


def _outcomes(run: RunTruth, provider: str, execution: Interpreter) -> set[str]:
    """How a run's span may have ended: as its body did, or cancelled with its parent.

    A parent that ends cancelled closes its models, retrievers and tools that are still open. In
    the time between the end of a body and that of its span, both are right.
    """
    own = {"cancelled"}
    if run.ended is not None:
        own = {outcome_of(error) for error in _ends(run, execution.truth)} | (
            own if run.unsure else set()
        )
    parent = run.parent
    if parent is None or run.kind in ("chain", "agent") or provider not in parent.spans:
        return own
    above = _outcomes(parent, provider, execution)
    if "cancelled" not in above:
        return own
    closed = _when("end", provider, parent, execution)
    started = _when("start", provider, run, execution)
    if closed is None or started is None or started > closed:
        return own
    over = run.ended
    ended = _when("end", provider, run, execution)
    if above == {"cancelled"} and (over is None or over > closed):
        return above
    return own if ended is not None and ended > closed else own | {"cancelled"}


def _when(what: str, provider: str, run: RunTruth, execution: Interpreter) -> int | None:
    """When a run's span has started, or ended, on the timeline."""
    for moment, (happened, where, span) in enumerate(execution.world.timeline):
        if (happened, where) == (what, provider) and execution.world.label(span) == run.name:
            return moment
    return None


def _events(execution: Interpreter) -> Iterator[str]:
    """Each handler hears of its runs, and of no others: a start, then the end that happened."""
    truth, handlers = execution.truth, execution.world.recorders
    ids = {run.run_id: run for run in truth.runs if run.run_id is not None}
    entered = [run for run in truth.runs if run.entered]
    if len(ids) != len(entered):
        yield f"{len(entered)} runs have {len(ids)} ids"
    for who, handler in handlers.items():
        heard: dict[Any, list[Any]] = {}
        for event in handler.heard:
            heard.setdefault(event.run_id, []).append(event)
        for run in truth.runs:
            if who not in run.hears:
                continue
            events = heard.pop(run.run_id, None)
            if run.run_id is None:
                continue
            if events is None:
                yield f"{who} did not hear of {run.name}"
                continue
            kind = _EVENTS.get(run.kind, run.kind)
            ends = _ends(run, truth)
            methods = [event.method for event in events]
            start = "chat_model" if run.kind == "chat_model" else kind
            allowed = [f"on_{kind}_{'error' if error else 'end'}" for error in ends]
            if methods[:1] != [f"on_{start}_start"] or methods[1:] not in [
                [one] for one in allowed
            ]:
                yield f"{who} heard {methods} of {run.name}, which ended {run.outcome}"
                continue
            parent = run.parent.run_id if run.parent else None
            started, ended = events
            if {event.parent_run_id for event in events} != {parent}:
                yield f"{who} heard of another parent of {run.name}"
            if started.name != run.called:
                yield f"{who} heard of {started.name} instead of {run.name}"
            if started.tags != list(run.tags) or ended.tags != list(run.tags):
                yield f"{who} heard of tags {started.tags} of {run.name}, not {list(run.tags)}"
            if started.metadata != run.metadata:
                yield f"{who} heard of {started.metadata} of {run.name}, not {run.metadata}"
            if started.baggage != run.made.baggage:
                yield f"{who} heard of the start of {run.name} in another context"
            told = ended.argument if methods[1].endswith("_error") else None
            if not any(_same_error(error, told) for error in ends) and not (
                run.unsure and outcome_of(told) == "cancelled" and not told.args
            ):
                yield f"{who} heard of another error of {run.name}: {ended.argument!r}"
        # A run that was cancelled while its handlers were told of its start has no body.
        for events in heard.values():
            methods = [event.method.rsplit("_")[-1] for event in events]
            never_entered = any(
                event.name == run.called
                for event in events
                for run in truth.runs
                if not run.entered
            )
            if not never_entered or methods != ["start", "error"]:
                yield f"{who} heard of a run that it should not hear: {events}"


def _same_error(ought: BaseException | None, told: Any) -> bool:
    if isinstance(ought, GeneratorExit):  # each generator is closed with one of its own
        return isinstance(told, GeneratorExit)
    return told is ought
