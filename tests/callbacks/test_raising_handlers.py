"""Handlers that raise: what the log says, what the program sees, and who is still told."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from callspan import traced, use_config
from callspan.callbacks import (
    AsyncCallbackHandler,
    AsyncCallbackManager,
    BaseCallbackHandler,
    CallbackManager,
)
from support import METHODS, Events, afire, fire, recording

ENDS = {
    f"on_{kind}_start": {f"on_{end}_end", f"on_{end}_error"}
    for kind, end in [
        ("llm", "llm"), ("chat_model", "llm"), ("chain", "chain"), ("tool", "tool"),
        ("retriever", "retriever"),
    ]
}  # fmt: skip


class Fault(BaseException):
    """As KeyboardInterrupt, which would take pytest's event loop along."""


def raising(method: str, error: BaseException, **options: Any) -> BaseCallbackHandler:
    """A handler that raises in one event, after recording it."""
    is_async = options.pop("is_async", False)
    base = AsyncCallbackHandler if is_async else BaseCallbackHandler
    handler = recording(base, is_async=is_async, **options)

    def told(self: Any, *args: Any, **kwargs: Any) -> None:
        self.events.append((method, args, kwargs))
        raise error

    async def atold(self: Any, *args: Any, **kwargs: Any) -> None:
        told(self, *args, **kwargs)

    cls = type("Raising", (type(handler),), {method: atold if is_async else told})
    made: BaseCallbackHandler = cls()
    made.events = Events()  # type: ignore[attr-defined]
    return made


async def send(is_async: bool, handlers: list[Any], method: str) -> None:
    if is_async:
        await afire(AsyncCallbackManager(handlers), method)
    else:
        fire(CallbackManager(handlers), method)


def all_kinds(test: Any) -> Any:
    """In every event, sync and async runs, sync and async handlers, inline and not."""
    for name in ("inline", "async_handler", "async_run"):
        test = pytest.mark.parametrize(name, [False, True])(test)
    return pytest.mark.parametrize("method", METHODS)(test)


@all_kinds
async def test_an_exception_stays_with_the_handler(
    method: str, async_run: bool, async_handler: bool, inline: bool, caplog: Any
) -> None:
    """A broken handler must not break the program, and the log must say which it was."""
    before, after = recording(), recording()
    error = ValueError("of the handler")
    bad = raising(method, error, is_async=async_handler, run_inline=inline)
    with caplog.at_level(logging.WARNING, "callspan"):
        await send(async_run, [before, bad, after], method)
    assert before.events.methods[-1] == after.events.methods[-1] == method
    (message,) = [r.getMessage() for r in caplog.records if r.name == "callspan"]
    assert message == f"Error in Raising.{method} callback: {error!r}"


@all_kinds
async def test_raise_error(method: str, async_run: bool, async_handler: bool, inline: bool) -> None:
    """With `raise_error` the program sees it, but only after every handler was told."""
    before, after = recording(), recording()
    error = ValueError("of the handler")
    bad = raising(
        method, error, is_async=async_handler, run_inline=inline, raise_error=True
    )  # fmt: skip
    with pytest.raises(ValueError, match="of the handler") as raised:
        await send(async_run, [before, bad, after], method)
    assert raised.value is error
    for one in (before, after):
        assert one.events.methods.count(method) == 1


@all_kinds
async def test_what_is_no_exception_comes_through(
    method: str, async_run: bool, async_handler: bool, inline: bool
) -> None:
    """A KeyboardInterrupt in a handler is not the handler's, so it must reach the program."""
    before, after = recording(), recording()
    bad = raising(method, Fault(), is_async=async_handler, run_inline=inline)
    with pytest.raises(Fault):
        await send(async_run, [before, bad, after], method)
    for one in (before, after):
        assert one.events.methods.count(method) == 1


@pytest.mark.parametrize("error", [ValueError("of the handler"), Fault()])
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("start", ENDS)
async def test_told_of_a_start_told_of_an_end(start: str, is_async: bool, error: Any) -> None:
    """A start that fails has no run manager, so nobody else could ever end that run."""
    bad = raising(start, error, raise_error=True)
    handlers = [recording(), bad, recording(AsyncCallbackHandler, is_async=True)]
    with pytest.raises(type(error)):
        await send(is_async, handlers, start)
    for handler in handlers:
        (end,) = handler.events.methods[1:]
        assert end in ENDS[start]
        assert handler.events[1][1] == (error,)


@pytest.mark.parametrize("start", ["on_llm_start", "on_chat_model_start"])
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_failed_start_ends_those_before_it(start: str, is_async: bool) -> None:
    """The runs of the first prompts are open when a later one fails, with no handle on them."""

    class FailsAtTheThird(BaseCallbackHandler):
        raise_error = True
        count = 0

        def on_llm_start(self, *args: Any, **kwargs: Any) -> None:
            self.count += 1
            if self.count == 3:
                raise ValueError("third")

        on_chat_model_start = on_llm_start

    handler = recording()
    given = ["p"] * 4 if start == "on_llm_start" else [[]] * 4
    handlers = [handler, FailsAtTheThird()]
    if is_async:
        with pytest.raises(ValueError, match="third"):
            await getattr(AsyncCallbackManager(handlers), start)({}, given)
    else:
        with pytest.raises(ValueError, match="third"):
            getattr(CallbackManager(handlers), start)({}, given)
    ids = [kwargs["run_id"] for kwargs in handler.events.of(start)]
    assert {kwargs["run_id"] for kwargs in handler.events.of("on_llm_error")} == set(ids)
    assert len(ids) == 3


@pytest.mark.parametrize("is_async", [False, True])
async def test_the_first_to_raise_is_seen(is_async: bool) -> None:
    """Of several failures the program sees the first; but what is no Exception comes first."""
    first = raising("on_text", ValueError("first"), raise_error=True, run_inline=True)
    second = raising("on_text", ValueError("second"), raise_error=True, run_inline=True)
    with pytest.raises(ValueError, match="first"):
        await send(is_async, [first, second], "on_text")
    with pytest.raises(Fault):
        await send(is_async, [first, raising("on_text", Fault()), second], "on_text")


def test_the_programs_own_error_is_kept_in_sight() -> None:
    """When a handler fails at an error event, the body's error must not get lost."""
    bad = raising("on_chain_error", ValueError("of the handler"), raise_error=True)

    @traced
    def body() -> None:
        raise KeyError("of the body")

    with use_config(callbacks=[bad]), pytest.raises(ValueError, match="of the handler") as raised:
        body()
    assert isinstance(raised.value.__context__, KeyError)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_handler_that_cannot_say_what_it_ignores(is_async: bool, caplog: Any) -> None:
    """A flag is the handler's code too: an exception there must not break the program."""

    class Broken(BaseCallbackHandler):
        ignore_chain = property(lambda self: 1 / 0)  # type: ignore[assignment]

        def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            raise AssertionError

    class Undecided(BaseCallbackHandler):
        raise_error = property(lambda self: 1 / 0)  # type: ignore[assignment]

        def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            raise KeyError

    handler = recording()
    await send(is_async, [Broken(), Undecided(), handler], "on_chain_end")
    assert handler.events.methods == ["on_chain_start", "on_chain_end"]
    assert "Error in Broken" in caplog.text
