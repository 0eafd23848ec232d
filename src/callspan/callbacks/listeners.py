"""Who hears which event, worked out once a set of handlers and event."""

from __future__ import annotations

import difflib
import inspect
import logging
from collections.abc import Callable, Coroutine, Sequence
from inspect import iscoroutine
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from callspan._fork import Lock
from callspan.callbacks.events import CHAT_MODEL_START, EVENTS, LLM_START, METHODS, Event
from callspan.callbacks.handlers import AsyncCallbackHandler, BaseCallbackHandler
from callspan.errors import CallbackError
from callspan.messages import get_buffer_string

log = logging.getLogger("callspan")

_NO_OPS: Final = frozenset(
    getattr(base, event.method)
    for base in (BaseCallbackHandler, AsyncCallbackHandler)
    for event in EVENTS
)


_UNASKED: Final[Any] = object()


class Listener(NamedTuple):
    """One handler's ear for one event."""

    call: Callable[..., Any]
    handler: Any
    event: Event
    is_async: bool


class Heard:
    """The listeners of one event: all in their order; for async runs, inline ones and the rest."""

    __slots__ = ("all", "inline", "never_awaits", "others")

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self.all = listeners
        inline: list[Listener] = []
        others: list[Listener] = []
        never_awaits = True
        for one in listeners:
            if flag(one.handler, "run_inline", if_broken=False):
                inline.append(one)
                never_awaits = never_awaits and not one.is_async
            else:
                others.append(one)
        self.inline = inline
        self.others = others
        self.never_awaits = never_awaits and not others


class Listeners:
    """The handlers that a run tells, and for each event those that hear it.

    Args:
        handlers: All handlers of the run, outermost first, the run's own last. One that came
            several ways is told once.
        inheritable: Those of them that were passed at run time.
    """

    __slots__ = ("_heard", "handlers", "with_context")

    def __init__(self, handlers: Sequence[Any], inheritable: Sequence[Any] = ()) -> None:
        self.handlers = _nearest(handlers, inheritable)
        self.with_context = tuple(h for h in self.handlers if hasattr(type(h), "run_context"))
        self._heard: list[Any] = [_UNASKED] * len(EVENTS)

    def of(self, event: Event) -> Heard | None:
        """Who hears `event`; None when nobody does."""
        heard: Heard | None = self._heard[event.place]
        if heard is _UNASKED:
            found = [one for one in (_listener(h, event) for h in self.handlers) if one]
            heard = self._heard[event.place] = Heard(found) if found else None
        return heard


def listeners_of(handlers: Sequence[Any], inheritable: Sequence[Any]) -> Listeners:
    """Return the listeners of a set of handlers.

    A handler that declares `own_listeners` never changes what it hears, and keeps the listeners of
    the set that it makes up alone: with `configure()` that is the set of most programs.
    """
    if len(handlers) != 1 or not hasattr(type(handlers[0]), "own_listeners"):
        return Listeners(handlers, inheritable)
    (handler,) = handlers
    if handler.own_listeners is None:
        handler.own_listeners = Listeners(handlers, inheritable)
    return handler.own_listeners  # type: ignore[no-any-return]


def check_handlers(callbacks: Any) -> list[Any]:
    """Return `callbacks` as a list of handlers.

    Raises:
        CallbackError: if it is no list, or holds something that is no handler.
    """
    if not isinstance(callbacks, list | tuple):
        if _is_handler(callbacks):
            raise CallbackError(
                f"callbacks takes a list of handlers: pass [{type(callbacks).__name__}(...)], "
                "not the handler itself"
            )
        if _is_manager(callbacks):
            raise CallbackError(
                f"callbacks takes a list here, not a {type(callbacks).__name__}: pass its "
                "inheritable_handlers, or of a run its get_child() where a manager is taken"
            )
        raise CallbackError(
            "callbacks takes a list of handlers or a callback manager, "
            f"not {type(callbacks).__name__}"
        )
    for handler in callbacks:
        if isinstance(handler, type):
            raise CallbackError(
                f"callbacks takes instances: pass {handler.__name__}(), not the class"
            )
        if not _is_handler(handler):
            advice = (
                "pass a manager itself as callbacks, not in a list, and of a run its get_child()"
                if _is_manager(handler)
                else "subclass callspan.callbacks.BaseCallbackHandler and write the on_* methods "
                "to hear"
            )
            raise CallbackError(f"{type(handler).__name__} is no callback handler: {advice}")
    return list(callbacks)


def _is_handler(value: Any) -> bool:
    if isinstance(value, type):
        return False
    if isinstance(value, BaseCallbackHandler):
        return True
    return not _is_manager(value) and bool(_facts(type(value)).hears)


def _is_manager(value: Any) -> bool:
    """Whether this is a manager or a run manager, whose methods have the names of a handler's."""
    return hasattr(value, "inheritable_handlers")


def _nearest(handlers: Sequence[Any], inheritable: Sequence[Any]) -> tuple[Any, ...]:
    """Each handler once, and of several that stand for one another the one nearest to the run.

    Nearest is the innermost one passed at run time, then the object's own, then an implicit one.
    It takes the place of the first, so that it is told as early as any of them would be.
    """
    if len(handlers) < 2:
        return tuple(handlers)
    chosen: dict[int, tuple[int, Any]] = {}
    at_run_time = {id(handler): place for place, handler in enumerate(inheritable, start=2)}
    for handler in handlers:
        shares = hasattr(type(handler), "stands_for")
        key = id(handler.stands_for() if shares else handler)
        rank = 0 if shares and handler.implicit else at_run_time.get(id(handler), 1)
        if key not in chosen or rank > chosen[key][0]:
            chosen[key] = (rank, handler)
    return tuple(handler for _, handler in chosen.values())


class _Facts(NamedTuple):
    """What is known of a handler's class: finding it out is slow, so it is done once."""

    hears: frozenset[str]
    coroutines: frozenset[str]


_FACTS: WeakKeyDictionary[type, _Facts] = WeakKeyDictionary()
_FACTS_LOCK = Lock()


def _facts(cls: type) -> _Facts:
    facts = _FACTS.get(cls)
    if facts is None:
        methods = {name: getattr(cls, name, None) for name in METHODS}
        facts = _Facts(
            hears=frozenset(n for n, m in methods.items() if callable(m) and m not in _NO_OPS),
            coroutines=frozenset(n for n, m in methods.items() if inspect.iscoroutinefunction(m)),
        )
        with _FACTS_LOCK:
            if cls not in _FACTS:
                _warn_of_near_misses(cls, facts)
                _FACTS[cls] = facts
    return facts


def _warn_of_near_misses(cls: type, facts: _Facts) -> None:
    if not facts.hears and not issubclass(cls, BaseCallbackHandler):
        return
    for name in dir(cls):
        if name.startswith("on_") and name not in METHODS:
            meant = difflib.get_close_matches(name, METHODS, 1, 0.85)
            if meant:
                log.warning(
                    "%s.%s is no callback event and is never called; did you mean %s?",
                    cls.__name__,
                    name,
                    meant[0],
                )


def _listener(handler: Any, event: Event) -> Listener | None:
    if event.ignore is not None and flag(handler, event.ignore, if_broken=True):
        return None
    call = _ear(handler, event.method)
    text = _ear(handler, LLM_START.method) if event is CHAT_MODEL_START else None
    coroutines = _facts(type(handler)).coroutines
    # A method is known by its class; what is set on the handler itself, a mock say, is asked.
    is_async = event.method in coroutines or (
        not hasattr(call, "__func__") and inspect.iscoroutinefunction(call)
    )
    if text is not None and not flag(handler, "ignore_llm", if_broken=True):
        call = _with_text_fallback(call, text)
        is_async = is_async or LLM_START.method in coroutines
    return None if call is None else Listener(call, handler, event, is_async)


def flag(handler: Any, name: str, *, if_broken: bool) -> bool:
    """Return an attribute of a handler, which may be a property that raises."""
    try:
        return bool(getattr(handler, name, False))
    except Exception as error:
        log.warning("Error in %s.%s: %r", type(handler).__name__, name, error)
        return if_broken


def _ear(handler: Any, method: str) -> Callable[..., Any] | None:
    call = getattr(handler, method, None)
    return call if callable(call) and getattr(call, "__func__", None) not in _NO_OPS else None


def _with_text_fallback(
    chat: Callable[..., Any] | None, text: Callable[..., Any]
) -> Callable[..., Any]:
    """Tell a handler that does not know chat models of a text model that starts."""

    def as_text(serialized: Any, messages: Any, **kwargs: Any) -> Any:
        return text(serialized, [get_buffer_string(one) for one in messages], **kwargs)

    if chat is None:
        return as_text

    async def finish(coroutine: Coroutine[Any, Any, Any], args: Any, kwargs: Any) -> None:
        try:
            await coroutine
        except NotImplementedError:
            result = as_text(*args, **kwargs)
            if iscoroutine(result):
                await result

    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            result = chat(*args, **kwargs)
        except NotImplementedError:
            return as_text(*args, **kwargs)
        return finish(result, args, kwargs) if iscoroutine(result) else result

    return told


NOBODY: Final = Listeners(())
"""For a run without handlers."""
