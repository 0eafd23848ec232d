"""Telling the listeners of an event: order, errors, worker threads and shielding, in one place.

`tell` serves sync runs and `atell` async ones; what counts as a failure is decided once, in
`_verdict`, for both.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from contextvars import copy_context
from functools import partial
from inspect import iscoroutine
from typing import Any, TypeVar

from callspan.callbacks.listeners import Heard, Listener, flag

log = logging.getLogger("callspan")

T = TypeVar("T")


def tell(heard: Heard, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Tell every listener, in order; a coroutine is run to its end in a thread of its own.

    Raises:
        BaseException: what a handler with `raise_error` raised, or anything that is no
            Exception, after every listener was told.
    """
    failure: BaseException | None = None
    for listener in heard.all:
        try:
            result = listener.call(*args, **kwargs)
            if result is not None and iscoroutine(result):
                _run_in_thread(result)
        except BaseException as error:  # the verdict decides what goes on
            failure = _verdict(listener, error, failure)
    if failure is not None:
        raise failure


async def atell(heard: Heard, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Tell inline listeners in order, in this task, and then the others concurrently."""
    failure: BaseException | None = None
    for listener in heard.inline:
        try:
            result = listener.call(*args, **kwargs)
            if result is not None and iscoroutine(result):
                await result
        except BaseException as error:
            failure = _verdict(listener, error, failure)
    if heard.others:
        telling = [
            asyncio.ensure_future(_tell_aside(listener, args, kwargs)) for listener in heard.others
        ]
        try:
            await asyncio.wait(telling)
        except asyncio.CancelledError:
            # By now each has begun, as it would not have with asyncio.gather: who is told of the
            # run's end has been told of its start.
            for one in telling:
                one.cancel()
            await _to_the_end(asyncio.gather(*telling, return_exceptions=True))
            raise
        for listener, one in zip(heard.others, telling, strict=True):
            outcome = asyncio.CancelledError() if one.cancelled() else one.exception()
            if outcome is not None:
                failure = _verdict(listener, outcome, failure)
    if failure is not None:
        raise failure


async def atell_shielded(heard: Heard, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """As `atell`, but a cancellation waits until everybody was told."""
    if heard.never_awaits:
        return await atell(heard, args, kwargs)
    return await _to_the_end(asyncio.ensure_future(atell(heard, args, kwargs)))


async def _to_the_end(telling: asyncio.Future[T]) -> T:
    """Wait for `telling` however often this task is cancelled, and be cancelled then."""
    cancelled: asyncio.CancelledError | None = None
    while not telling.done():
        try:
            await asyncio.wait([telling])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not telling.cancelled() and telling.exception() is not None:
            raise cancelled from telling.exception()
        raise cancelled
    return telling.result()


async def _tell_aside(listener: Listener, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if listener.is_async:
        result = listener.call(*args, **kwargs)
    else:
        told = partial(copy_context().run, _stopping_safely, listener, args, kwargs)
        # A thread cannot be cancelled, and what it tells would overtake what comes after.
        result = await _to_the_end(asyncio.get_running_loop().run_in_executor(None, told))
    if iscoroutine(result):
        await result


def _stopping_safely(listener: Listener, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return listener.call(*args, **kwargs)
    except StopIteration as error:  # a future cannot hold one: the run would wait for ever
        raise RuntimeError("the handler raised StopIteration") from error


def _verdict(
    listener: Listener, error: BaseException, failure: BaseException | None
) -> BaseException | None:
    """What the program gets to see, of this error and the failure so far.

    An Exception is logged, and stays with the handler unless it has `raise_error`. Whatever is no
    Exception (KeyboardInterrupt, a cancellation) is not the handler's to keep, and comes first.
    """
    if not isinstance(error, Exception):
        return error if failure is None or isinstance(failure, Exception) else failure
    handler = listener.handler
    log.warning(
        "Error in %s.%s callback: %r",
        type(handler).__name__,
        listener.event.method,
        error,
        exc_info=log.isEnabledFor(logging.DEBUG),
    )
    if failure is None and flag(handler, "raise_error", if_broken=False):
        return error
    return failure


def _run_in_thread(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run an async handler's coroutine for a sync run.

    In a thread even where no event loop runs here: asyncio.run would leave this thread without
    the event loop that was set for it.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(_to_the_last_task(coroutine))
        except BaseException as error:  # raised again in the caller's thread
            raised.append(error)

    thread = threading.Thread(target=copy_context().run, args=(run,), name="callspan-handler")
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


async def _to_the_last_task(coroutine: Coroutine[Any, Any, Any]) -> None:
    try:
        await coroutine
    finally:
        started = asyncio.all_tasks() - {asyncio.current_task()}
        if started:
            await asyncio.wait(started)
