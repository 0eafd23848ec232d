"""What is no handler, and a handler with a misspelt method: the mistake is named."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

import langchain_core.callbacks as langchain
import pytest

from callspan import CallbackError, CallspanError, use_config
from callspan.callbacks import (
    AsyncCallbackManager,
    BaseCallbackHandler,
    CallbackManager,
    StdOutCallbackHandler,
)


class Handler(BaseCallbackHandler):
    def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        pass


WRONG: dict[str, tuple[Any, str]] = {
    "a handler": (Handler(), r"pass \[Handler\(...\)\]"),
    "a handler class": (Handler, "list of handlers"),
    "a string": ("stdout", "not str"),
    "a dict": ({"callbacks": []}, "not dict"),
    "a class in a list": ([StdOutCallbackHandler], r"StdOutCallbackHandler\(\), not the class"),
    "a string in a list": ([Handler(), "stdout"], "str is no callback handler"),
    "None in a list": ([None], "NoneType is no callback handler"),
    "a run manager": (CallbackManager([]).on_chain_start({}, {}), r"its get_child\(\)"),
    "an object": ([object()], "object is no callback handler"),
    "a list in a list": ([[Handler()]], "list is no callback handler"),
    "a manager in a list": ([CallbackManager([])], "pass a manager itself"),
    "a run manager in a list": (
        [CallbackManager([]).on_chain_start({}, {})],
        r"ForChainRun is no callback handler: .* get_child\(\)",
    ),
}
PLACES: dict[str, Callable[[Any], Any]] = {
    "CallbackManager": lambda wrong: CallbackManager(wrong),
    "inheritable": lambda wrong: CallbackManager([], wrong),
    "configure": lambda wrong: CallbackManager.configure(wrong),
    "configure, async": lambda wrong: AsyncCallbackManager.configure(wrong),
    "configure, local": lambda wrong: CallbackManager.configure(None, wrong),
    "set_handlers": lambda wrong: CallbackManager([]).set_handlers(wrong),
    "use_config": lambda wrong: use_config(callbacks=wrong),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("place", PLACES)
def test_wrong_callbacks(what: str, place: str) -> None:
    """The mistake shows where it is made, not as an AttributeError at some later event."""
    wrong, message = WRONG[what]
    with pytest.raises(CallbackError, match=message) as raised:
        PLACES[place](wrong)
    assert isinstance(raised.value, CallspanError)
    assert isinstance(raised.value, TypeError)


def test_a_manager_where_a_list_is_taken() -> None:
    """Managers go to `configure`; elsewhere the message names the list that is meant."""
    for place in (CallbackManager, lambda wrong: use_config(callbacks=wrong)):
        with pytest.raises(CallbackError, match="pass its inheritable_handlers"):
            place(CallbackManager([]))


@pytest.mark.parametrize("wrong", [Handler, "stdout", None, [Handler()]])
@pytest.mark.parametrize("method", ["add_handler", "set_handler"])
def test_one_wrong_handler(method: str, wrong: Any) -> None:
    """A manager that was asked to take something else stays as it was."""
    handler = Handler()
    manager = CallbackManager([handler])
    with pytest.raises(CallbackError, match=r"handler|instances"):
        getattr(manager, method)(wrong)
    assert manager.handlers == [handler]


def test_a_handler_needs_no_base_class() -> None:
    """Anything with a method of the table is a handler, LangChain's handlers among them."""
    told: list[str] = []

    class Duck:
        def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            told.append("duck")

        async def on_chain_end(self, *args: Any, **kwargs: Any) -> None:
            told.append("duck end")

    class LangChains(langchain.BaseCallbackHandler):
        def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            told.append("langchain")

    handlers: list[Any] = [Duck(), LangChains(), langchain.StdOutCallbackHandler()]
    run = CallbackManager.configure(handlers).on_chain_start({"name": "c"}, {})
    run.on_chain_end({})
    assert told == ["duck", "langchain", "duck end"]


def test_misspelt_method(caplog: Any) -> None:
    """A method that is never called would be silence; it is named once, however often used."""

    class Misspelt(Handler):
        def on_chain_started(self) -> None:
            pass

        def on_chat_model_end(self) -> None:
            pass

        def on_something_else(self) -> None:
            pass

    class Below(Misspelt):
        pass

    with caplog.at_level(logging.WARNING, "callspan"):
        for _ in range(2):
            CallbackManager([Misspelt(), Misspelt()]).on_chain_start({}, {}).on_chain_end({})
    (message,) = caplog.messages
    assert message == (
        "Misspelt.on_chain_started is no callback event and is never called; "
        "did you mean on_chain_start?"
    )


def test_handlers_that_are_right_cause_no_warning(caplog: Any) -> None:
    """Helper methods and the methods of LangGraph's handlers are no misspellings."""

    class Right(Handler):
        def on_interrupt(self) -> None:
            pass

        def on_resume(self) -> None:
            pass

        def on_message(self) -> None:
            pass

        def log_chain_start(self) -> None:
            pass

    CallbackManager([Right(), langchain.StdOutCallbackHandler()])
    CallbackManager([Right()]).on_chain_start({}, {})
    assert caplog.messages == []


def test_handlers_that_cannot_be_compared_or_hashed_or_printed() -> None:
    """Handlers are told apart by identity alone, so they need no more than their methods."""

    class Stubborn(Handler):
        told = 0

        def refuse(self, *args: Any) -> Any:
            raise TypeError("no")

        __eq__ = __repr__ = __str__ = __bool__ = __len__ = refuse  # type: ignore[assignment]
        __hash__ = None  # type: ignore[assignment]

        def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            self.told += 1
            raise ValueError

    one, two = Stubborn(), Stubborn()
    manager = CallbackManager.configure([one, two, one], [two])
    manager.add_handler(one)
    with use_config(callbacks=[one]):
        CallbackManager.configure(manager.merge(manager)).on_chain_start({}, {}, UUID(int=1))
    manager.remove_handler(two)
    assert (one.told, two.told) == (1, 1)
    assert all(handler is one for handler in manager.handlers)
