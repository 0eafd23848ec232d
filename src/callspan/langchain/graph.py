"""What LangGraph adds: agents, control flow that is no error, graphs that pause and are resumed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

from langchain_core.callbacks import BaseCallbackHandler
from opentelemetry.trace import SpanContext

from callspan.langchain.internals import (
    AGENT_NAME,
    CREATE_AGENT,
    MADE_BY,
    PLACE_IN_GRAPH,
    THREAD,
    graph_control_flow,
)
from callspan.tracing.registry import Record, Registry

try:
    from langgraph.callbacks import GraphCallbackHandler as GraphHandler
except ImportError:  # no LangGraph, or one that does not tell of interrupts
    GraphHandler = BaseCallbackHandler  # type: ignore[assignment,misc]

__all__ = ["GraphHandler", "Interrupts", "is_agent", "is_control_flow", "resumes"]

_REMEMBERED: Final = 10_000
"""How many interrupted threads a provider remembers."""

Key = tuple[str, str]


def is_agent(name: str | None, metadata: Mapping[str, Any], parent: Record | None) -> bool:
    """Whether a chain is a graph that `create_agent` has made, and not a part of one.

    Args:
        name: The chain's name.
        metadata: Its metadata; the parts of an agent inherit those by which it is known.
        parent: Its parent run.
    """
    made_by, agent = metadata.get(MADE_BY), metadata.get(AGENT_NAME)
    if made_by != CREATE_AGENT:
        return False
    above: Mapping[str, Any] = {} if parent is None else parent.start.metadata
    return name == agent or (above.get(MADE_BY), above.get(AGENT_NAME)) != (made_by, agent)


def resumes(inputs: Any) -> bool:
    """Whether a run's input says that it resumes a graph."""
    return inputs is None or getattr(inputs, "resume", None) is not None


def is_control_flow(error: BaseException) -> bool:
    """Whether an exception is LangGraph's way to pause a graph or to leave a subgraph."""
    return isinstance(error, graph_control_flow())


class Interrupts:
    """The graphs of one provider that were interrupted, by their checkpointer's thread."""

    def __init__(self) -> None:
        self._interrupted: OrderedDict[Key, SpanContext] = OrderedDict()

    @classmethod
    def of(cls, registry: Registry | None) -> Interrupts:
        """Return the one that belongs to a provider's registry."""
        if registry is None:
            return cls()
        found = _by_registry.get(registry)
        if found is None:
            found = _by_registry.setdefault(registry, cls())
        return found

    def ended(self, record: Record) -> bool:
        """Tell whether a run that ends was interrupted, and remember its thread if it was."""
        if not record.interrupted and not self._interrupted:
            return False
        thread = _thread(record)
        if thread is not None:
            if not record.interrupted:
                self._forget(thread, record)
            else:
                self._interrupted[thread] = record.span.get_span_context()
                self._interrupted.move_to_end(thread)
                if len(self._interrupted) > _REMEMBERED:
                    self._interrupted.popitem(last=False)
        return record.interrupted

    def link(self, record: Record) -> None:
        """Link a run to the interrupted one of the same thread."""
        thread = _thread(record) if self._interrupted else None
        interrupted = None if thread is None else self._interrupted.get(thread)
        if interrupted is not None and not _is_linked(record, interrupted):
            record.span.add_link(interrupted)

    def _forget(self, thread: Key, record: Record) -> None:
        if _is_linked(record, self._interrupted.get(thread)):
            self._interrupted.pop(thread, None)


_by_registry: Final[WeakKeyDictionary[Registry, Interrupts]] = WeakKeyDictionary()


def _is_linked(record: Record, context: SpanContext | None) -> bool:
    return any(link.context == context for link in getattr(record.span, "links", ()))


def _thread(record: Record) -> Key | None:
    metadata = record.start.metadata
    thread = metadata.get(THREAD)
    if thread is None:
        return None
    return str(thread), str(metadata.get(PLACE_IN_GRAPH, ""))
