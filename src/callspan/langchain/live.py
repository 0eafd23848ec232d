"""The live Context: which answers, when it is asked, what the body sees that asks.

LangChain tells a handler of a run in a frame that is not the body's, and of its end often in
another task. A Context that is attached at the start so outlives the run, and is current where
the body is not: between the chunks of a stream, after the call. The live Context is right there
too. It holds no span. Whoever asks it for the current span gets the one that is current in the
frame that asks:

- in the body of a run, that run's span;
- within a span of the user's own there, the user's;
- anywhere else, what was current before.

It is attached over the current Context, and put away when its run has ended.
"""

from __future__ import annotations

import sys
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from types import FrameType
from typing import Any, Final
from uuid import UUID

from opentelemetry.context import Context, attach, get_current

from callspan.callbacks.ambient import SCOPE_KEY
from callspan.langchain.internals import ONE_CONTEXT, config_run
from callspan.langchain.runs import Attached, LiveRun, open_runs
from callspan.tracing.registry import SPAN_KEY, SPANS_KEY

_LIVE: Final = frozenset((SPAN_KEY, SPANS_KEY, SCOPE_KEY))
_NOT_KNOWN: Final = UUID(int=0)


class LiveContext(Attached):
    """The Context at the start of a run, but for the span, which is looked up when it is used.

    Args:
        run: The run that starts.
        under: The Context that is current.
        innermost: The run in whose body it starts.

    Attributes:
        base: The first ordinary Context under this one: the user's, or callspan's.
        covered_in: The run in whose body `base` was covered by a live Context.
        direct: Whether nothing lies between the run and the one in whose body it starts.
    """

    __slots__ = ()
    base: Context
    covered_in: LiveRun | None
    direct: bool

    def __init__(self, run: LiveRun, under: Context, innermost: LiveRun | None) -> None:
        self.run = run
        self.under = under
        if isinstance(under, LiveContext):
            self.base, self.covered_in = under.base, under.covered_in
            self.direct = under.run is innermost
        else:
            self.base, self.covered_in = under, innermost
            self.direct = True
        run.base = self.base

    def answer(self, frame: FrameType) -> Context:
        """Return the ordinary Context whose span is current for the code of `frame`."""
        return self._in(self.innermost(frame))

    def innermost(self, frame: FrameType) -> LiveRun | None:
        """Return the run in whose body the code of `frame` is."""
        run = self.run
        told = run.carried or ONE_CONTEXT  # else the Contexts of deeper runs may be lost
        if run.open and self.direct and (run.plain or (told and run.run_id.int == config_run())):
            return run
        return open_runs.innermost(self, frame)

    def ordinary(self, run: LiveRun | None) -> Context:
        """Return an ordinary Context with this one's values, and the span in the body of `run`."""
        answer = self._in(run)
        if run is None or answer is self.base or run.base is self.base:
            return answer
        kept = {key: value for key, value in self.base.items() if key not in _LIVE}
        return Context({**kept, **{key: answer[key] for key in _LIVE if key in answer}})

    def _in(self, run: LiveRun | None) -> Context:
        """What is current in the body of `run`: `base`, if that was made there."""
        if run is None or self.covered_in is run:
            return self.base
        if run.scope is not None and self.base.get(SCOPE_KEY) is run.scope:
            return self.base
        return run.inside

    # What a mapping can be asked. The dict that this is has nothing in it.

    def _as_asked(self) -> Context:
        return self.ordinary(self.innermost(sys._getframe(2)))

    def get(self, key: str, default: Any = None) -> Any:
        """As a dict's own."""
        found = self.answer(sys._getframe(1)) if key in _LIVE else self.base
        return found.get(key, default)

    def __getitem__(self, key: str) -> Any:
        return (self.answer(sys._getframe(1)) if key in _LIVE else self.base)[key]

    def __contains__(self, key: object) -> bool:
        return key in (self.answer(sys._getframe(1)) if key in _LIVE else self.base)

    def __iter__(self) -> Iterator[str]:
        return iter(self._as_asked())

    def __len__(self) -> int:
        return len(self._as_asked())

    def __eq__(self, other: object) -> bool:
        return self is other or self._as_asked() == other

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._as_asked())

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        """As a dict's own."""
        return self._as_asked().keys()

    def values(self) -> ValuesView[object]:  # type: ignore[override]
        """As a dict's own."""
        return self._as_asked().values()

    def items(self) -> ItemsView[str, object]:  # type: ignore[override]
        """As a dict's own."""
        return self._as_asked().items()

    def copy(self) -> dict[str, object]:
        """As a dict's own: what is made of it (`set_value` does) is an ordinary Context."""
        return {**self.ordinary(self.innermost(sys._getframe(1)))}


def surroundings(
    current: Context, driver: FrameType | None
) -> tuple[Context, Context, LiveRun | None]:
    """Find out what a run starts in.

    Args:
        current: The current Context.
        driver: The frame that is to run the body; None where that is not known.

    Returns:
        The Context to attach a live one over; an ordinary Context, with the span that is current
        there; and the run in whose body that is.
    """
    if isinstance(current, LiveContext) and not current.run.open:
        current = _without_ended(current)
    # The frame itself may have started others just so: the runs of a batch are siblings.
    above = None if driver is None else driver.f_back
    if not isinstance(current, LiveContext):
        return current, current, open_runs.innermost(current, above)
    is_open = current.run.open  # asked before the rest: another thread may forget the run meanwhile
    if above is None or current.run.frame == id(driver):
        innermost = open_runs.innermost(current, above)
    else:
        innermost = current.innermost(above)
    context = current.ordinary(innermost)
    # Not over an ended run's: or a chain of background tasks would keep every run.
    return current if is_open else context, context, innermost


def is_top(run: LiveRun, current: Context) -> bool:
    """Whether nothing was made current since a run has started."""
    return isinstance(current, LiveContext) and current.run is run


def expect(driver: FrameType) -> None:
    """Get ready for the run of a text model, whose start is told in a task or thread of its own.

    What is attached there is lost, so the live Context is attached beforehand.

    Args:
        driver: The frame that is to run the body.
    """
    under, around, innermost = surroundings(get_current(), driver)
    run = LiveRun(_NOT_KNOWN, None, "llm", driver, around, innermost)
    run.open, run.expected = False, True
    attach(LiveContext(run, under, innermost))


def expected(context: Context) -> LiveRun | None:
    """Return the run of a text model for which this has got ready here, or its first one."""
    run = context.run if isinstance(context, LiveContext) else None
    return run if run is not None and run.expected else None


def put_away() -> Context:
    """Take the live Contexts of ended runs away, as far as they lie on top here.

    Returns:
        The Context that is current now.
    """
    current = get_current()
    left = _without_ended(current)
    if left is not current:
        attach(left)
    return left


def _without_ended(context: Context) -> Context:
    config = config_run()
    while isinstance(context, LiveContext) and not context.run.open:
        if context.run.run_id.int == config:  # a task that outlives the body it began in
            break
        context = context.under
    return context
