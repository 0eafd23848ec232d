"""Events of the user's own, sent from inside a run."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler as TheirHandler
from langchain_core.callbacks import dispatch_custom_event as their_dispatch
from langchain_core.runnables import RunnableLambda

from callspan import adispatch_custom_event, dispatch_custom_event, traced, use_config
from callspan.callbacks import AsyncCallbackHandler, CallbackManager
from support import SpanLog, recording


def test_as_langchain_sends_it(handler: Any) -> None:
    """Name and data by position, and the run's own id, tags and metadata by keyword."""

    @traced
    def body() -> None:
        dispatch_custom_event("mine", {"n": 1})

    with use_config(callbacks=[handler], tags=["t"], metadata={"k": 1}):
        body()
    theirs = recording(TheirHandler)
    RunnableLambda(lambda _: their_dispatch("mine", {"n": 1})).invoke(
        1, {"callbacks": [theirs], "tags": ["t"], "metadata": {"k": 1}}
    )
    for events in (handler.events, theirs.events):
        start, sent, _ = events
        assert sent[0] == "on_custom_event"
        assert sent[2].pop("run_id") == start[2]["run_id"]
    assert handler.events[1] == theirs.events[1]


async def test_async(handler: Any, spans: SpanLog) -> None:
    """An async handler is awaited in the task that sends the event."""
    other = recording(AsyncCallbackHandler, is_async=True)

    @traced
    async def body() -> None:
        await adispatch_custom_event("mine", [1])
        dispatch_custom_event("sync", [2])

    with use_config(callbacks=[handler, other]):
        await body()
    for one in (handler, other):
        assert [a for m, a, _ in one.events if m == "on_custom_event"] == [
            ("mine", [1]), ("sync", [2]),
        ]  # fmt: skip
    assert [event.name for event in spans.named("body").events] == ["mine", "sync"]


async def test_outside_of_a_run() -> None:
    """Outside there is no run that the event could belong to; the message says where to go."""
    with use_config(callbacks=[recording()]):
        with pytest.raises(RuntimeError, match="from inside a"):
            dispatch_custom_event("mine", None)
        with pytest.raises(RuntimeError, match="from inside a"):
            await adispatch_custom_event("mine", None)


def test_with_a_config(handler: Any) -> None:
    """Code in a plain thread has no run around it, and passes the config it was given."""
    run = CallbackManager.configure([handler]).on_chain_start({}, {})
    config = {"callbacks": run.get_child(), "tags": ["t"], "metadata": {"k": 1}}
    dispatch_custom_event("mine", 1, config=config)
    (told,) = handler.events.of("on_custom_event")
    assert told == {"run_id": run.run_id, "tags": ["t"], "metadata": {"k": 1}}


def test_from_inside_a_nested_run(handler: Any, spans: SpanLog) -> None:
    """The event is the innermost run's, where the code stands that sends it."""

    @traced
    def inner() -> None:
        dispatch_custom_event("mine", None)

    @traced
    def outer() -> None:
        inner()

    with use_config(callbacks=[handler]):
        outer()
    (told,) = handler.events.of("on_custom_event")
    assert told["run_id"] == handler.events.of("on_chain_start")[1]["run_id"]
    assert [len(spans.named(name).events) for name in ("outer", "inner")] == [0, 1]
