"""What a handler, or code with a manager, changes in place stays with that run."""

from __future__ import annotations

from typing import Any

import pytest

from callspan import traced, use_config
from callspan.callbacks import AsyncCallbackManager, BaseCallbackHandler, CallbackManager
from callspan.runnables import RunnableLambda


class Meddler(BaseCallbackHandler):
    """Writes into what it is given, as handlers in the wild do."""

    def __init__(self) -> None:
        self.seen: list[tuple[list[str], dict[str, Any]]] = []

    def on_chain_start(self, *args: Any, tags: Any, metadata: Any, **kwargs: Any) -> None:
        self.seen.append((list(tags), dict(metadata)))
        tags.append("mine")
        metadata["mine"] = 1

    def on_chain_end(self, *args: Any, tags: Any, **kwargs: Any) -> None:
        tags.append("mine at the end")


@traced
def leaf() -> None:
    pass


@traced
def chain() -> None:
    leaf()
    leaf()


def test_meddling_at_a_root() -> None:
    """The empty tags of one program's part must not become everybody's: requests would mix."""
    meddler = Meddler()
    for _ in range(2):
        CallbackManager.configure(None, [meddler]).on_chain_start({}, {}).on_chain_end({})
        chain()
    assert meddler.seen == [([], {})] * 2
    manager = CallbackManager.configure()
    assert (manager.tags, manager.metadata) == ([], {})


def test_meddling_in_a_tree() -> None:
    """A sibling or child must not get tags that nobody gave it."""
    meddler = Meddler()
    with use_config(callbacks=[meddler], tags=["t"], metadata={"k": 1}):
        chain()
    assert meddler.seen == [(["t"], {"k": 1})] * 3


@pytest.mark.parametrize("cls", [CallbackManager, AsyncCallbackManager])
def test_appending_to_a_configured_manager(cls: Any, handler: Any) -> None:
    """Code written for LangChain appends to a manager's lists: that is its own manager's alone."""
    for manager in (cls.configure(), cls.configure([BaseCallbackHandler()])):
        manager.handlers.append(handler)
        manager.inheritable_handlers.append(handler)
        manager.tags.append("t")
        manager.inheritable_tags.append("t")
        manager.metadata["k"] = 1
        manager.inheritable_metadata["k"] = 1
    after = cls.configure()
    assert (after.handlers, after.tags, after.metadata) == ([], [], {})
    assert (after.inheritable_handlers, after.inheritable_tags, after.inheritable_metadata) == (
        [], [], {},
    )  # fmt: skip


def test_appending_to_a_child_manager(handler: Any) -> None:
    """A handler added for one child must not hear its siblings, nor its children."""
    run = CallbackManager.configure([BaseCallbackHandler()]).on_chain_start({}, {})
    child = run.get_child()
    child.handlers.append(handler)
    one = child.on_chain_start({}, {})
    assert handler.events.methods == ["on_chain_start"]
    one.get_child().on_chain_start({}, {})
    run.get_child().on_chain_start({}, {})
    with run.activate():
        leaf()
    assert handler.events.methods == ["on_chain_start"]


def test_appending_after_a_start(handler: Any) -> None:
    """A manager is used for several runs: what is added later hears the later ones."""
    manager = CallbackManager([BaseCallbackHandler()])
    first = manager.on_chain_start({}, {})
    manager.handlers.append(handler)
    second = manager.on_chain_start({}, {})
    first.on_chain_end(1)
    second.on_chain_end(2)
    assert [args for method, args, _ in handler.events if method == "on_chain_end"] == [(2,)]


def test_manager_changed_during_a_run(handler: Any) -> None:
    """A run's children inherit what was there at its start, whatever its manager becomes."""
    manager = CallbackManager([handler], [handler], inheritable_tags=["t"])
    run = manager.on_chain_start({}, {})
    manager.remove_handler(handler)
    manager.remove_tags(["t"])
    run.get_child().on_chain_start({}, {})
    run.on_chain_end({})
    assert handler.events.methods == ["on_chain_start", "on_chain_start", "on_chain_end"]
    assert handler.events.of("on_chain_start")[1]["tags"] == ["t"]


def test_what_is_written_into_serialized_stays_with_that_run(handler: Any) -> None:
    """Blocks and functions keep it for all their runs, which would lose their name for good."""

    class Thief(BaseCallbackHandler):
        def on_chain_start(self, serialized: Any, *args: Any, **kwargs: Any) -> None:
            serialized.clear()

    block = RunnableLambda(lambda x: x, name="block")
    for _ in range(2):
        block.invoke(1, {"callbacks": [Thief()]})
        with use_config(callbacks=[Thief()]):
            leaf()
    block.invoke(1, {"callbacks": [handler]})
    with use_config(callbacks=[handler]):
        leaf()
    starts = [args[0]["name"] for method, args, _ in handler.events if method == "on_chain_start"]
    assert starts == ["block", "leaf"]
