"""Several calls at once: a batch, and results together, as they complete, or chunk by chunk."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

from callspan.errors import ConfigurationError, InputError
from callspan.runnables.config import RunnableConfig, checked
from callspan.runnables.io import IO, Chunks

Call: TypeAlias = Callable[[], Any]
"""A call with all its arguments; an async block's gives something to await."""

Configs: TypeAlias = RunnableConfig | Sequence[RunnableConfig] | None
"""What a batch takes: one config, or one for each input."""
Items: TypeAlias = list[tuple[Any, RunnableConfig]]
"""The inputs of a batch, each with its config."""

_END: Any = object()


def items_of(inputs: Any, config: Configs) -> Items:
    """Return each input of a batch with its config: the same, or one each from a list.

    Raises:
        InputError: The inputs are no list or the like.
        ConfigurationError: There are more or fewer configs than inputs, or one is wrong.
    """
    if not isinstance(inputs, Collection) or isinstance(inputs, str | Mapping):
        raise InputError(f"a batch takes a list of inputs, not {type(inputs).__name__}")
    length = len(inputs)
    if isinstance(config, Sequence):
        if len(config) != length:
            raise ConfigurationError(
                f"a batch takes one config, or one for each input: "
                f"got {len(config)} for {length} inputs"
            )
        return [(given, checked(one)) for given, one in zip(inputs, config, strict=True)]
    first = rest = checked(config)
    if length > 1 and first.get("run_id") is not None:
        message = "run_id is used for the first item of a batch only"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
        rest = {**first, "run_id": None}
    return [(given, rest if place else first) for place, given in enumerate(inputs)]


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
    kept = Exception if return_exceptions else ()
    alone, results = len(calls) == 1, []  # one that is alone needs no worker
    async with io.workers(limit) as workers:
        started: Any = calls if alone else [workers.submit(call) for call in calls]
        for one in started:
            try:
                if not alone:
                    await io.done(io.wait([one]))
                results.append(await io.done(one()) if alone else one.result())
            except kept as error:
                results.append(error)
    return results


async def as_completed(
    io: IO, calls: Sequence[Call], limit: int | None, return_exceptions: bool = False
) -> AsyncGenerator[tuple[int, Any]]:
    """Yield the position and the result of each call when it completes; see `together`."""
    kept = Exception if return_exceptions else ()
    async with io.workers(limit) as workers:
        waiting = {workers.submit(call): place for place, call in enumerate(calls)}
        while waiting:
            for future in await _first(io, waiting):
                try:
                    result = future.result()
                except kept as error:
                    result = error
                yield waiting.pop(future), result


async def merged(
    io: IO, streams: Mapping[str, Any], limit: int | None
) -> AsyncGenerator[tuple[str, Any]]:
    """Yield the chunks of several streams, each with its stream's key, as they come.

    The next chunk of a stream is asked for when its last one was taken.
    """
    try:
        async with io.workers(limit) as workers:
            waiting = {workers.submit(io.next, one, _END): key for key, one in streams.items()}
            while waiting:
                for future in await _first(io, waiting):
                    key, chunk = waiting.pop(future), future.result()
                    if chunk is not _END:
                        yield key, chunk
                        waiting[workers.submit(io.next, streams[key], _END)] = key
    finally:
        for stream in streams.values():
            await io.pull(stream).aclose()


async def _first(io: IO, waiting: Mapping[Any, Any]) -> list[Any]:
    """Wait until one of the calls ends, and return those that have, in their order."""
    done, _ = await io.done(io.wait(waiting, return_when="FIRST_COMPLETED"))
    return [one for one in waiting if one in done]


def shared(io: IO, source: AsyncIterator[Any], readers: int) -> list[Any]:
    """Return streams that each have all chunks of `source`, which is pulled when one needs it."""
    lock = io.lock()
    queues: list[deque[Any]] = [deque() for _ in range(readers)]

    async def reader(queue: deque[Any]) -> Chunks:
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
