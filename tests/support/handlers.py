"""Handlers that record, and every event of the table, to be sent by hand."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from callspan.callbacks import BaseCallbackHandler
from callspan.callbacks.events import EVENTS

METHODS = [event.method for event in EVENTS]


class Events(list[tuple[str, tuple[Any, ...], dict[str, Any]]]):
    """What a recording handler heard: method, positional arguments and keywords of each event."""

    @property
    def methods(self) -> list[str]:
        return [method for method, _, _ in self]

    def of(self, method: str) -> list[dict[str, Any]]:
        """The keywords of every event that went to `method`."""
        return [kwargs for name, _, kwargs in self if name == method]


def recording(
    base: type = BaseCallbackHandler, *, is_async: bool = False, **attributes: Any
) -> Any:
    """A handler that records every event in `events`.

    Args:
        base: The base class: callspan's or langchain_core's, sync or async.
        is_async: Whether its methods are coroutine functions.
        attributes: Class attributes such as `run_inline` or `ignore_llm`.
    """

    def method(name: str) -> Any:
        def told(self: Any, *args: Any, **kwargs: Any) -> None:
            self.events.append((name, args, kwargs))

        async def atold(self: Any, *args: Any, **kwargs: Any) -> None:
            told(self, *args, **kwargs)

        return atold if is_async else told

    methods = {name: method(name) for name in METHODS}
    handler = type("Recording", (base,), {**methods, **attributes})()
    handler.events = Events()
    return handler


def parameters(function: Callable[..., Any], *but: str) -> list[tuple[str, str, bool]]:
    """Name, kind and whether there is a default, of each parameter of a function."""
    return [
        (one.name, one.kind.name, one.default is not one.empty)
        for one in inspect.signature(function).parameters.values()
        if one.name not in but
    ]


FIRED: dict[str, tuple[str, tuple[Any, ...]]] = {
    "on_llm_start": ("on_llm_start", ({"name": "m"}, ["prompt"])),
    "on_chat_model_start": ("on_chat_model_start", ({"name": "m"}, [[]])),
    "on_llm_new_token": ("on_llm_start", ("token",)),
    "on_stream_event": ("on_chat_model_start", ({},)),
    "on_llm_end": ("on_llm_start", ("response",)),
    "on_llm_error": ("on_chat_model_start", (ValueError("body"),)),
    "on_chain_start": ("on_chain_start", ({"name": "c"}, {})),
    "on_chain_end": ("on_chain_start", ("outputs",)),
    "on_chain_error": ("on_chain_start", (ValueError("body"),)),
    "on_agent_action": ("on_chain_start", ("action",)),
    "on_agent_finish": ("on_chain_start", ("finish",)),
    "on_tool_start": ("on_tool_start", ({"name": "t"}, "input")),
    "on_tool_end": ("on_tool_start", ("output",)),
    "on_tool_error": ("on_tool_start", (ValueError("body"),)),
    "on_retriever_start": ("on_retriever_start", ({"name": "r"}, "query")),
    "on_retriever_end": ("on_retriever_start", ([],)),
    "on_retriever_error": ("on_retriever_start", (ValueError("body"),)),
    "on_text": ("on_tool_start", ("text",)),
    "on_retry": ("on_retriever_start", ("state",)),
    "on_custom_event": ("", ("name", "data")),
}
"""How each event comes about: the start of its run, and its own arguments."""


async def afire(manager: Any, method: str) -> None:
    """Send one event through a manager, after the start of its run; what it raises, it raises."""
    start, arguments = FIRED[method]
    target = manager
    if start not in ("", method):
        target = await _settled(getattr(manager, start)(*FIRED[start][1]))
        target = target[0] if isinstance(target, list) else target
    await _settled(getattr(target, method)(*arguments))


def fire(manager: Any, method: str) -> None:
    """As `afire`, of a sync manager, which never waits; there need be no event loop."""
    with suppress(StopIteration):
        afire(manager, method).send(None)


async def _settled(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result
