"""How the span of a run that was taken out of its registry ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from opentelemetry.trace import Status, StatusCode, TracerProvider

from callspan._fork import RLock
from callspan.tracing.attributes import of_output
from callspan.tracing.attributes.names import RUN_OUTCOME
from callspan.tracing.outcome import Outcome, record_error
from callspan.tracing.registry import Record, Registry, registry_of

_USAGE: Final = "gen_ai.usage."
_usage_lock = RLock()  # the garbage collector may end a run anywhere
_UNFINISHED: Final = Status(StatusCode.ERROR, "the run never ended")


def finish(
    record: Record, outcome: Outcome, result: Any = None, error: BaseException | None = None
) -> None:
    """End a run's span with its outcome, and what it returned or raised."""
    span, handler = record.span, record.handler
    try:
        if span.is_recording():
            attributes: dict[str, Any] = {}
            if result is not None:
                attributes = of_output(
                    record.start, result, handler.gate, openinference=handler.openinference
                )
            if attributes and record.agent is not None:
                _add_usage(record.agent, attributes)
            if record.used:
                attributes.update(record.used)
            if attributes:
                attributes[RUN_OUTCOME] = outcome
                span.set_attributes(attributes)
            else:  # the SDK takes one of them in half the time
                span.set_attribute(RUN_OUTCOME, outcome)
            if outcome == "error" and error is not None:
                record_error(span, error, handler.gate)
            elif outcome == "unfinished":
                span.set_status(_UNFINISHED)
    finally:
        span.end()


def _add_usage(agent: Record, attributes: dict[str, Any]) -> None:
    """Add the token counts of one model to those of the agent that asked it."""
    with _usage_lock:
        counts = {name: count for name, count in attributes.items() if name.startswith(_USAGE)}
        for name, count in agent.used.items():
            counts[name] = counts.get(name, 0) + count
        agent.used = counts


def finish_all(records: Iterable[Record], outcome: Outcome) -> None:
    """End several spans; a span processor that raises for one does not keep the others open."""
    failure: Exception | None = None
    for record in records:
        try:
            finish(record, outcome)
        except Exception as error:
            failure = error
    if failure is not None:
        raise failure


def lost_below(registry: Registry, record: Record) -> Iterator[Record]:
    """Take out the models, retrievers and tools still open under a run that was cancelled."""
    for child in registry.lost_children(record):
        if registry.close(child.start.run_id) is child:
            yield from lost_below(registry, child)
            yield child


def end_open_runs(provider: TracerProvider) -> None:
    """End every run that is still open in `provider` as unfinished; for its shutdown."""
    finish_all(registry_of(provider).over(0), "unfinished")
