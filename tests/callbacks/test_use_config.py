"""`use_config`: handlers, tags and metadata for all runs in a block."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry import trace

from callspan import ConfigurationError, traced, use_config
from callspan.callbacks import CallbackManager
from support import SpanLog, recording


@traced
def leaf() -> None:
    pass


@traced
async def aleaf() -> None:
    leaf()


def told(handler: Any) -> list[tuple[Any, Any]]:
    """Tags and metadata of every run that the handler heard start."""
    return [(one["tags"], one["metadata"]) for one in handler.events.of("on_chain_start")]


def test_all_arguments(handler: Any) -> None:
    """What is said once around the block holds for every run inside, at every depth."""
    with use_config(
        callbacks=[handler],
        tags=["t"],
        metadata={"k": 1, "user_id": "overruled"},
        session_id="s",
        user_id="u",
    ):
        asyncio.run(aleaf())
    leaf()
    metadata = {"k": 1, "session_id": "s", "user_id": "u"}
    assert told(handler) == [(["t"], metadata)] * 2


def test_no_arguments(handler: Any) -> None:
    """An empty block changes nothing."""
    with use_config(callbacks=[handler], tags=["t"]), use_config():
        leaf()
    assert told(handler) == [(["t"], {})]


def test_nested_blocks(handler: Any) -> None:
    """An inner block adds; the metadata nearest to the run win, and a tag is there once."""
    other = recording()
    with use_config(callbacks=[handler], tags=["t"], metadata={"k": 1, "l": 1}):
        with use_config(callbacks=[other, handler], tags=["u", "t"], metadata={"l": 2}):
            leaf()
        leaf()
    assert told(other) == [(["t", "u"], {"k": 1, "l": 2})]
    assert told(handler) == [(["t", "u"], {"k": 1, "l": 2}), (["t"], {"k": 1, "l": 1})]


def test_inherit_false_drops_all_but_the_parent(handler: Any) -> None:
    """A library may keep an application's handlers out, and its runs still have their place."""
    other = recording()
    run = CallbackManager.configure([handler], None, False, ["t"], None, {"k": 1}).on_chain_start(
        {}, {}
    )
    with run.activate():
        with use_config(callbacks=[other], tags=["u"], metadata={"l": 2}, inherit=False):
            leaf()
            with use_config(tags=["v"]):
                leaf()
        leaf()
    assert told(other) == [(["u"], {"l": 2}), (["u", "v"], {"l": 2})]
    assert told(handler) == [(["t"], {"k": 1})] * 2
    (parents,) = {one["parent_run_id"] for one in other.events.of("on_chain_start")}
    assert parents == run.run_id


def test_inherit_false_keeps_the_global_tracing(spans: SpanLog, handler: Any) -> None:
    """What the application has set up for the whole process is no handler to drop."""

    @traced
    def outer() -> None:
        with use_config(inherit=False):
            leaf()

    with use_config(callbacks=[handler]):
        outer()
    assert spans.tree() == ["outer", "  leaf"]
    assert len(told(handler)) == 1


async def test_tasks_of_a_block(handler: Any) -> None:
    """A task that was started in the block belongs to it; the block's end does not undo that."""
    with use_config(callbacks=[handler], tags=["t"]):
        task = asyncio.create_task(aleaf())
    await task
    await aleaf()
    assert told(handler) == [(["t"], {})] * 2


def test_the_block_keeps_the_current_span(spans: SpanLog) -> None:
    """A block says something about runs, and must not touch the user's spans around it."""
    with trace.get_tracer("test").start_as_current_span("mine") as span, use_config(tags=["t"]):
        assert trace.get_current_span() is span
        leaf()
    assert spans.tree() == ["mine", "  leaf"]


def test_an_exception_comes_through(handler: Any) -> None:
    """The block is no run: it neither swallows an exception nor tells of it."""
    with pytest.raises(KeyError), use_config(callbacks=[handler]):
        raise KeyError
    assert handler.events == []
    leaf()
    assert handler.events == []


@pytest.mark.parametrize(
    "wrong",
    [{"tags": "tag"}, {"tags": {"k": 1}}, {"tags": [1]}, {"metadata": ["k"]}, {"metadata": "k"}],
)
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    """One string for a list of tags would make a tag of every letter, in silence."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        use_config(**wrong)
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        traced(**wrong)


@pytest.mark.parametrize("wrong", ["no", 0, None])
def test_a_wrong_inherit(wrong: Any) -> None:
    """The text "no" is true, and would keep what it is meant to drop."""
    with pytest.raises(ConfigurationError, match="inherit takes True or False, not"):
        use_config(inherit=wrong)
