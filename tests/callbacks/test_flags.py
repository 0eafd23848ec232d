"""What a handler does not want to hear, and the text model it hears in place of a chat model."""

from __future__ import annotations

import asyncio
from types import ModuleType
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import langchain_core.callbacks as langchain
import langchain_core.messages as langchain_messages
import pytest

import callspan.callbacks as ours
import callspan.messages as our_messages
from callspan.callbacks import AsyncCallbackHandler, AsyncCallbackManager, CallbackManager
from support import METHODS, afire, fire, recording

FLAGS = [name for name in dir(ours.BaseCallbackHandler) if name.startswith("ignore_")]
MODULES = [(langchain, langchain_messages), (ours, our_messages)]


async def heard(m: ModuleType, handler: Any, method: str, is_async: bool) -> list[str]:
    if is_async:
        await afire(m.AsyncCallbackManager([handler]), method)
    else:
        fire(m.CallbackManager([handler]), method)
    methods: list[str] = handler.events.methods
    return methods


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("flag", FLAGS)
async def test_flags(flag: str, is_async: bool) -> None:
    """A flag must switch off the events that it switches off in LangChain, and no others."""
    for method in METHODS:
        expected = await heard(
            langchain, recording(langchain.BaseCallbackHandler, **{flag: True}), method, is_async
        )
        assert await heard(ours, recording(**{flag: True}), method, is_async) == expected, method


def test_all_flags_are_known() -> None:
    """LangChain's flags, and no more: one without effect would be worse than none."""
    assert [n for n in dir(langchain.BaseCallbackHandler) if n.startswith("ignore_")] == FLAGS


def conversation(messages: ModuleType) -> list[list[Any]]:
    return [[messages.SystemMessage("s"), messages.HumanMessage("h")]]


@pytest.mark.parametrize("kind", ["left out", "raises", "async", "async raises"])
@pytest.mark.parametrize("is_async", [False, True])
async def test_chat_models_for_handlers_of_text_models(kind: str, is_async: bool) -> None:
    """A handler from before chat models hears the conversation as one string."""
    got = []
    for m, messages in MODULES:
        events: list[Any] = []
        raised: dict[str, Any] = {}

        def on_llm_start(self: Any, *args: Any, to: list[Any] = events, **kwargs: Any) -> None:
            to.append((args, {k: v for k, v in kwargs.items() if k != "run_id"}))

        async def aon_llm_start(self: Any, *args: Any, tell: Any = on_llm_start, **kw: Any) -> None:
            tell(self, *args, **kw)

        def raises(self: Any, *args: Any, **kwargs: Any) -> None:
            raise NotImplementedError

        async def araises(self: Any, *args: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            raise NotImplementedError

        if "raises" in kind:
            raised = {"on_chat_model_start": araises if "async" in kind else raises}
        base = m.AsyncCallbackHandler if "async" in kind else m.BaseCallbackHandler
        start = aon_llm_start if "async" in kind else on_llm_start
        handler = type("Old", (base,), {"on_llm_start": start, **raised})()
        if is_async:
            manager = m.AsyncCallbackManager([handler])
            await manager.on_chat_model_start({"name": "m"}, conversation(messages), name="m")
        else:
            m.CallbackManager([handler]).on_chat_model_start(
                {"name": "m"}, conversation(messages), name="m"
            )
        got.append(events)
    assert got[0] == got[1]
    assert got[1][0][0] == ({"name": "m"}, ["System: s\nHuman: h"])


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_handler_of_neither_model(is_async: bool, caplog: Any) -> None:
    """A handler that hears only ends has no part in the fallback, and causes no warning."""

    class Ends(ours.BaseCallbackHandler):
        def __init__(self) -> None:
            self.events = recording().events

        def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
            self.events.append(("on_llm_end", args, kwargs))

    handler = Ends()
    assert await heard(ours, handler, "on_llm_end", is_async) == ["on_llm_end"]
    await heard(ours, handler, "on_chat_model_start", is_async)
    assert caplog.records == []


@pytest.mark.parametrize("flag", ["ignore_llm", "ignore_chat_model"])
def test_the_fallback_asks_both_flags(flag: str) -> None:
    """Who ignores either kind of model must not get it by way of the other."""
    handler = recording(**{flag: True})
    del type(handler).on_chat_model_start
    fire(CallbackManager([handler]), "on_chat_model_start")
    assert handler.events == []


async def test_mocks_are_handlers() -> None:
    """Tests of users' code pass mocks, whose methods belong to the object and not its class."""
    mock = MagicMock(spec=ours.BaseCallbackHandler, raise_error=False, run_inline=False)
    mock.configure_mock(**dict.fromkeys(FLAGS, False))
    amock = AsyncMock(spec=AsyncCallbackHandler, raise_error=False, run_inline=False)
    amock.configure_mock(**dict.fromkeys(FLAGS, False))
    CallbackManager([mock, amock]).on_chain_start({"name": "c"}, {"q": 1})
    await AsyncCallbackManager([mock, amock]).on_chain_start({"name": "c"}, {"q": 1})
    assert mock.on_chain_start.call_count == amock.on_chain_start.await_count == 2


def test_methods_set_on_the_handler_itself() -> None:
    """A method may be given to one handler alone, and taken into account like any other."""
    handler, told = ours.BaseCallbackHandler(), []
    handler.on_chain_start = lambda *args, **kwargs: told.append(args)  # type: ignore[method-assign]
    CallbackManager([handler]).on_chain_start({}, {})
    assert told == [({}, {})]
