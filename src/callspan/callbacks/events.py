"""The table of events: what can happen to a run, and which handler method hears of it.

Handler base classes, managers and the dispatcher all read this table. Adding an event is adding a
row here and a documented no-op method in `handlers`.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Phase = Literal["start", "point", "end", "error"]


class Event(NamedTuple):
    """One row of the table."""

    place: int
    """Position in `EVENTS`; listeners are looked up by it."""
    method: str
    """The handler method that hears this event."""
    phase: Phase
    """A `start` opens a run, an `end` or `error` closes it, a `point` does neither."""
    ignore: str | None
    """The handler flag that switches the event off, if there is one."""


def _table(*rows: tuple[str, Phase, str | None]) -> tuple[Event, ...]:
    return tuple(Event(place, *row) for place, row in enumerate(rows))


EVENTS: Final = _table(
    ("on_llm_start", "start", "ignore_llm"),
    ("on_chat_model_start", "start", "ignore_chat_model"),
    ("on_llm_new_token", "point", "ignore_llm"),
    ("on_stream_event", "point", "ignore_llm"),
    ("on_llm_end", "end", "ignore_llm"),
    ("on_llm_error", "error", "ignore_llm"),
    ("on_chain_start", "start", "ignore_chain"),
    ("on_chain_end", "end", "ignore_chain"),
    ("on_chain_error", "error", "ignore_chain"),
    ("on_agent_action", "point", "ignore_agent"),
    ("on_agent_finish", "point", "ignore_agent"),
    ("on_tool_start", "start", "ignore_agent"),
    ("on_tool_end", "end", "ignore_agent"),
    ("on_tool_error", "error", "ignore_agent"),
    ("on_retriever_start", "start", "ignore_retriever"),
    ("on_retriever_end", "end", "ignore_retriever"),
    ("on_retriever_error", "error", "ignore_retriever"),
    ("on_text", "point", None),
    ("on_retry", "point", "ignore_retry"),
    ("on_custom_event", "point", "ignore_custom_event"),
)

(
    LLM_START,
    CHAT_MODEL_START,
    LLM_NEW_TOKEN,
    STREAM_EVENT,
    LLM_END,
    LLM_ERROR,
    CHAIN_START,
    CHAIN_END,
    CHAIN_ERROR,
    AGENT_ACTION,
    AGENT_FINISH,
    TOOL_START,
    TOOL_END,
    TOOL_ERROR,
    RETRIEVER_START,
    RETRIEVER_END,
    RETRIEVER_ERROR,
    TEXT,
    RETRY,
    CUSTOM_EVENT,
) = EVENTS

METHODS: Final = frozenset(event.method for event in EVENTS)
