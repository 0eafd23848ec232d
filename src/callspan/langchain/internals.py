"""What of LangChain, LangGraph and asyncio is read that they do not promise to keep.

Nothing is patched. Each name here has a test in tests/langchain/test_lc_canaries.py, which fails
when a new version has changed what it stands for.
"""

from __future__ import annotations

import asyncio.events
import os
import sys
from functools import lru_cache
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, Literal

import langchain_core.callbacks
import langchain_core.runnables.config
from langchain_core.runnables.config import var_child_runnable_config

Place = Literal["own", "dispatch", "callbacks", "library", "elsewhere"]

STEP_OF_LOOP: Final[CodeType] = asyncio.events.Handle._run.__code__
"""The frame in which an event loop runs a step of a task: what is above it is another's."""

ONE_CONTEXT: Final = sys.version_info >= (3, 11)
"""Whether all chunks of an async stream are pulled in one Context: tasks of Python 3.10 copy it."""

_OWN: Final = tuple(
    str(Path(__file__).parents[1] / name) + os.sep for name in ("langchain", "tracing")
)
_DISPATCH: Final = str(Path(__file__).parents[1] / "callbacks") + os.sep
_CALLBACKS: Final = str(Path(langchain_core.callbacks.__file__).parent) + os.sep
_LIBRARY: Final = str(Path(os.__file__).parent) + os.sep
_PACKAGES: Final = tuple(_LIBRARY + name for name in ("site-packages", "dist-packages"))
_CONFIG: Final = langchain_core.runnables.config.__file__
_TEXT_MODELS: Final = str(Path(langchain_core.__file__).parent / "language_models" / "llms.py")

_RETURNS_EARLY: Final = frozenset({"_start", "_astart", "<listcomp>", "<genexpr>"})
"""Functions that start a run for the function that calls them; the first two are LangGraph's."""
_WITH_RUN: Final = frozenset({"_generate_with_cache", "_agenerate_with_cache"})
"""Methods of a model that run the body of one of several runs, which `run_manager` tells."""
TELLING: Final = _WITH_RUN | {"wrapper"}
"""Functions whose frames may tell in whose body they are: see `run_of` and `pulled_stream`."""
TRIES: Final = {
    str(Path(_CONFIG).with_name("fallbacks.py")): "fallback",
    str(Path(_CONFIG).with_name("retry.py")): "attempt",
}
_SUSPENDS: Final = CO_GENERATOR | CO_ASYNC_GENERATOR


MADE_BY: Final = "ls_integration"
CREATE_AGENT: Final = "langchain_create_agent"
AGENT_NAME: Final = "lc_agent_name"
"""What the metadata of an agent of `create_agent` say, and those of all that it runs."""
THREAD: Final = "thread_id"
PLACE_IN_GRAPH: Final = "langgraph_checkpoint_ns"
"""The metadata of a graph's run: its checkpointer's thread, and which subgraph it is there."""


def config_run() -> int | None:
    """The run in whose body we are, as far as LangChain's config variable knows.

    It is set around the bodies of chains, tools and nodes, not of models and retrievers.
    """
    config = var_child_runnable_config.get()
    if config is None:
        return None
    run_id = getattr(config.get("callbacks"), "parent_run_id", None)
    return None if run_id is None else run_id.int


def config_callbacks() -> Any:
    """The callback manager that LangChain's config variable holds, if any."""
    config = var_child_runnable_config.get()
    callbacks = None if config is None else config.get("callbacks")
    return callbacks if hasattr(callbacks, "inheritable_handlers") else None


@lru_cache(maxsize=4096)
def place_of(filename: str) -> Place:
    """Whose code a file is, in the search for the frame that drives a run."""
    if filename.startswith(_OWN):
        return "own"
    if filename.startswith(_DISPATCH):
        return "dispatch"
    if filename.startswith(_CALLBACKS):
        return "callbacks"
    if filename.startswith(_LIBRARY) and not filename.startswith(_PACKAGES):
        return "library"
    return "elsewhere"


def driver_of(frame: FrameType | None) -> tuple[bool, FrameType | None]:
    """Find the frame that told a handler of a run, and is to run its body.

    Args:
        frame: Where the search begins: a frame of the handler.

    Returns:
        Whether it was LangChain that called; and the frame, None where nothing is known of it.
    """
    # First come this package's frames, and those of a subclass or a handler that passes events on.
    while frame is not None and (place := place_of(frame.f_code.co_filename)) != "callbacks":
        if place == "dispatch":  # callspan's own blocks call
            return False, None
        frame = frame.f_back
    told = frame is not None
    while frame is not None:
        place = place_of(frame.f_code.co_filename)
        if place == "library":
            return True, None
        if place == "elsewhere" and frame.f_code.co_name not in _RETURNS_EARLY:
            return True, frame
        frame = frame.f_back
    return told, None


def tries(frame: FrameType | None, run_frame: int | None) -> str:
    """What a run counts its children as, if it tries one after the other; else nothing.

    Args:
        frame: The frame that starts the first of them.
        run_frame: The frame that drives the run, by its id.
    """
    while frame is not None and frame.f_code is not STEP_OF_LOOP:
        if frame.f_code.co_filename in TRIES:
            return TRIES[frame.f_code.co_filename]
        if id(frame) == run_frame:
            break
        frame = frame.f_back
    return ""


def suspends(code: CodeType) -> bool:
    """Whether a frame of this code may wait while the code that pulls it goes on."""
    return bool(code.co_flags & _SUSPENDS)


def awaits(code: CodeType) -> bool:
    """Whether this code is a coroutine's."""
    return bool(code.co_flags & CO_COROUTINE)


def run_of(frame: FrameType) -> int | None:
    """The run whose body a frame runs, where it says so itself."""
    if frame.f_code.co_name not in _WITH_RUN:
        return None
    run_id = getattr(frame.f_locals.get("run_manager"), "run_id", None)
    return None if run_id is None else run_id.int


def pulled_stream(frame: FrameType) -> int | None:
    """The generator of a model's `_stream`, by its id, that LangChain pulls in a worker thread.

    That is a frame of `run_in_executor`; None for any other.
    """
    code = frame.f_code
    if code.co_name != "wrapper" or code.co_filename != _CONFIG:
        return None
    called, arguments = frame.f_locals.get("func"), frame.f_locals.get("args") or (None,)
    name = getattr(getattr(arguments[0], "gi_code", None), "co_name", None)
    return id(arguments[0]) if called is next and name == "_stream" else None


def starts_text_model(frame: FrameType) -> Any:
    """The manager whose `on_llm_start` asks who is told inline; None elsewhere."""
    name = frame.f_code.co_name
    if name == "<listcomp>" and frame.f_back is not None:
        frame = frame.f_back
        name = frame.f_code.co_name
    return frame.f_locals.get("self") if name == "on_llm_start" else None


def is_text_models(frame: FrameType) -> bool:
    """Whether a frame is a text model's method: the one that drives its run, if told of it."""
    return frame.f_code.co_filename == _TEXT_MODELS


def text_model(frame: FrameType) -> FrameType | None:
    """The method of a text model that configures a manager in order to start runs in other tasks.

    Args:
        frame: The frame that asks `configure`'s hooks.
    """
    caller = frame.f_back and frame.f_back.f_back
    if caller is None or not is_text_models(caller):
        return None
    if caller.f_code.co_name == "<listcomp>":
        caller = caller.f_back
    return caller if caller and caller.f_code.co_name in ("agenerate", "astream") else None


def configured(frame: FrameType) -> Any:
    """The manager that `configure` is about to return, when it asks its hooks."""
    return frame.f_locals.get("callback_manager")


def costs_nothing(message: Any) -> bool:
    """Whether a model's message came from a cache: LangChain then says that it cost nothing."""
    usage = getattr(message, "usage_metadata", None)
    return usage is not None and usage.get("total_cost") == 0


def graph_control_flow() -> tuple[type[BaseException], ...]:
    """LangGraph's exceptions that are no errors, if it is there."""
    errors = sys.modules.get("langgraph.errors")
    return () if errors is None else (errors.GraphBubbleUp,)


def is_interrupt(error: BaseException) -> bool:
    """Whether an exception is LangGraph's way to pause a graph: what raises it pauses."""
    return type(error).__name__ == "GraphInterrupt"
