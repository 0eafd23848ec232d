"""Running a body inside its run: in its own frame, ended once, whatever happens.

Four drivers, for the four kinds of body: a function, a coroutine function, a generator and an
async generator. Everything in callspan that runs a body goes through one of them.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterator,
)
from types import CoroutineType
from typing import Any, TypeVar

from opentelemetry.context import attach

from callspan.callbacks.activate import Keep, astep, leave, step
from callspan.callbacks.run_managers import AsyncRunManager, RunManager

log = logging.getLogger("callspan")

T = TypeVar("T")
Report = Callable[[T], Any]
"""Makes what the end event says from what the body returned."""
Result = Callable[[], Any]
"""Gives what the end event of a stream says, once its last chunk is out."""
Extra = Callable[[BaseException | None], dict[str, Any]]
"""Gives the further keywords of the event that ends the run: with this error, or with None."""


def _no_more(error: BaseException | None) -> dict[str, Any]:
    return {}


def _with(extra: Extra, error: BaseException) -> dict[str, Any]:
    """What goes with the error that ends a run; nothing, rather than no end, if that fails."""
    try:
        return extra(error)
    except Exception as failed:
        log.warning("Error in what is told of a run that ends with %r: %r", type(error), failed)
        return {}


def call(
    run: RunManager,
    body: Callable[..., T],
    *args: Any,
    report: Report[T] | None = None,
    extra: Extra = _no_more,
) -> T:
    """Return what `body(*args)` returns; the run ends with it, or with what it raises.

    If that is a coroutine, the run ends with the coroutine.
    """
    try:
        token = attach(run._run.context())
        try:
            result = body(*args)
        finally:
            leave(token)
        if type(result) is CoroutineType:  # isinstance would ask a lazy object what it is
            return _in_run(run, result, report, extra)  # type: ignore[return-value, arg-type]
        told, more = result if report is None else report(result), extra(None)
    except BaseException as error:
        run.close(run.error_event, error, _with(extra, error))
        raise
    run.close(run.end_event, told, more)
    return result


class _Awaited(AsyncRunManager):
    """The async handle on a run that was started as a sync one."""

    def __init__(self, run: RunManager) -> None:
        self._run, self._sync = run._run, run
        self.end_event, self.error_event = run.end_event, run.error_event  # type: ignore[misc]

    def get_sync(self) -> RunManager:
        return self._sync


def _in_run(
    run: RunManager, made: CoroutineType[Any, Any, T], report: Report[T] | None, extra: Extra
) -> Coroutine[Any, Any, T]:
    """Return a coroutine that awaits one which the body made."""
    whole: Any = acall(_Awaited(run), lambda: made, report=report, extra=extra)
    whole.__name__, whole.__qualname__ = made.__name__, made.__qualname__
    # Of a coroutine that nobody awaits no line is run.
    forgotten = weakref.finalize(whole, run.close, run.error_event, GeneratorExit(), {})
    forgotten.atexit = False
    return whole  # type: ignore[no-any-return]


async def acall(
    run: AsyncRunManager,
    body: Callable[..., Awaitable[T]],
    *args: Any,
    report: Report[T] | None = None,
    extra: Extra = _no_more,
) -> T:
    """As `call`, of a coroutine function."""
    try:
        token = attach(run._run.context())
        try:
            result = await body(*args)
        finally:
            leave(token)
        told, more = result if report is None else report(result), extra(None)
    except GeneratorExit as error:
        # The coroutine is being closed, not awaited: nothing can be awaited here any more.
        run.get_sync().close(run.error_event, error, _with(extra, error))
        raise
    except BaseException as error:
        await run.close(run.error_event, error, _with(extra, error))
        raise
    await run.close(run.end_event, told, more)
    return result


def stream(
    run: RunManager, source: Iterator[T], keep: Keep | None, result: Result, extra: Extra = _no_more
) -> Generator[T, Any, Any]:
    """Yield what `source` yields, in the run, step by step; the run ends with `result()`."""

    def end(error: BaseException | None) -> None:
        if error is None:
            run.close(run.end_event, result(), extra(None))
        else:
            run.close(run.error_event, error, _with(extra, error))

    return step(run._run.context(), source, keep, end)


def astream(
    run: AsyncRunManager,
    source: AsyncIterator[T],
    keep: Keep | None,
    result: Result,
    extra: Extra = _no_more,
) -> AsyncGenerator[T, Any]:
    """As `stream`, of an async generator or iterator."""

    async def end(error: BaseException | None) -> None:
        if error is None:
            await run.close(run.end_event, result(), extra(None))
        else:
            await run.close(run.error_event, error, _with(extra, error))

    return astep(run._run.context(), source, keep, end)
