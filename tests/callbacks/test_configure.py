"""What `configure` makes of handlers and managers that are given inside a run."""

from __future__ import annotations

from typing import Any

from callspan import use_config
from callspan.callbacks import AsyncCallbackManager, CallbackManager, CallbackManagerForChainRun
from support import recording


def outer(handler: Any) -> CallbackManagerForChainRun:
    manager = CallbackManager.configure([handler], None, False, ["t"], None, {"k": 1})
    return manager.on_chain_start({}, {})


async def test_a_manager_that_names_a_parent_keeps_it(handler: Any) -> None:
    """Who says which run is the parent means it, wherever the code happens to run."""
    other = recording()
    child = outer(other).get_child()
    run = outer(handler)
    with run.activate():
        for cls in (CallbackManager, AsyncCallbackManager):
            configured = cls.configure(child)  # type: ignore[attr-defined]
            assert configured.parent_run_id == child.parent_run_id
            assert configured.handlers == [other]
        configured = CallbackManager.configure(run.get_child("tag"), [other])
        assert configured.parent_run_id == run.run_id
        assert configured.handlers == [handler, other]
        assert configured.tags == ["t", "tag"]
        configured = CallbackManager.configure(CallbackManager([other], parent_run_id=run.run_id))
        assert configured.handlers == [handler, other]


async def test_a_manager_without_a_parent_joins_the_run_around(handler: Any) -> None:
    """A manager made by hand is callbacks for a nested call like any list."""
    other = recording()
    run = outer(handler)
    with run.activate():
        manager = CallbackManager([other], tags=["mine"], metadata={"k": 2})
        configured = AsyncCallbackManager.configure(manager)
    assert configured.parent_run_id == run.run_id
    assert configured.handlers == [handler, other]
    assert configured.inheritable_handlers == [handler]
    assert configured.tags == ["t", "mine"]
    assert (configured.metadata, configured.inheritable_metadata) == ({"k": 2}, {"k": 1})
    manager = CallbackManager([other], inheritable_metadata={"k": 3})
    with run.activate():
        configured = AsyncCallbackManager.configure(manager)
    assert (configured.metadata, configured.inheritable_metadata) == ({"k": 1}, {"k": 3})


def test_use_config_between_a_run_and_its_child_manager(handler: Any) -> None:
    """Both count: what the block adds, and the child manager's own tag."""
    other = recording()
    run = outer(handler)
    with run.activate(), use_config(callbacks=[other], tags=["block"]):
        configured = CallbackManager.configure(run.get_child("tag"))
    assert configured.handlers == [handler, other]
    assert configured.tags == ["t", "block", "tag"]


def test_same_handler_by_several_ways(handler: Any) -> None:
    """Ambient, passed again, and the object's own: the handler is told of the run once."""
    run = outer(handler)
    with run.activate(), use_config(callbacks=[handler]):
        manager = CallbackManager.configure([handler, handler], [handler])
        manager.on_chain_start({}, {}, name="inner").on_chain_end({})
    assert handler.events.methods == ["on_chain_start", "on_chain_start", "on_chain_end"]
