"""Several calls at once, whose results come together, as they complete, or chunk by chunk."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from callspan.runnables.io import IO, Stream

Call: TypeAlias = Callable[[], Any]
"""A call with all its arguments; an async block's gives something to await."""

_END: Any = object()


async def together(
    io: IO, calls: Sequence[Call], limit: int | None, return_exceptions: bool = False
) -> list[Any]:
    """Return the results of calls, in their order.

    Args:
        io: How to make them.
        calls: The calls.
        limit: How many to make at a time.
        return_exceptions: Return an exception in the place of a result, instead of raising the
            first one, which cancels the other calls.
    """
    results: list[Any] = []
    alone = len(calls) == 1  # needs no worker
    async with io.workers(limit) as workers:
        started = list(calls) if alone else [workers.start(call) for call in calls]
        for one in started:
            try:
                results.append(await (io.done(one()) if alone else workers.result(one)))
            except Exception as error:
                if not return_exceptions:
                    raise
                results.append(error)
    return results


async def as_completed(
    io: IO, calls: Sequence[Call], limit: int | None, return_exceptions: bool = False
) -> AsyncGenerator[tuple[int, Any], None]:
    """Yield the position and the result of each call when it completes; see `together`."""
    async with io.workers(limit) as workers:
        waiting = {workers.start(call): place for place, call in enumerate(calls)}
        while waiting:
            done = await workers.first(waiting)
            for future in [one for one in waiting if one in done]:
                try:
                    result = await workers.result(future)
                except Exception as error:
                    if not return_exceptions:
                        raise
                    result = error
                yield waiting.pop(future), result


async def merged(
    io: IO, streams: Mapping[str, Stream], limit: int | None
) -> AsyncGenerator[tuple[str, Any], None]:
    """Yield the chunks of several streams, each with its stream's key, as they come.

    The next chunk of a stream is asked for when its last one was taken.
    """
    try:
        async with io.workers(limit) as workers:
            waiting = {workers.start(io.next, one, _END): key for key, one in streams.items()}
            while waiting:
                done = await workers.first(waiting)
                for future in [one for one in waiting if one in done]:
                    key = waiting.pop(future)
                    chunk = await workers.result(future)
                    if chunk is not _END:
                        yield key, chunk
                        waiting[workers.start(io.next, streams[key], _END)] = key
    finally:
        for stream in streams.values():
            await io.pull(stream).aclose()


def shared(io: IO, source: AsyncIterator[Any], readers: int) -> list[Stream]:
    """Return streams that each have all chunks of `source`, which is pulled when one needs it."""
    lock = io.lock()
    queues: list[deque[Any]] = [deque() for _ in range(readers)]

    async def reader(queue: deque[Any]) -> AsyncGenerator[Any, None]:
        while True:
            if not queue:
                async with lock:
                    if not queue:  # another reader may have pulled while this one waited
                        chunk = await anext(source, _END)
                        for one in queues:
                            one.append(chunk)
            chunk = queue.popleft()
            if chunk is _END:
                return
            yield chunk

    return [io.as_stream(reader(queue)) for queue in queues]
