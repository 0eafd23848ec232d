"""A generator function of a stream as a block."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any

from callspan.callbacks.owned import Owned
from callspan.errors import ConfigurationError
from callspan.runnables.base import Input, Output
from callspan.runnables.block import Frame, StreamingBlock
from callspan.runnables.io import ASYNC
from callspan.runnables.total import Total


class RunnableGenerator(StreamingBlock[Input, Output]):
    """A generator function that is given a stream, as a block; a generator in a sequence is one.

    (RunnableLambda gives a generator function a value, when all of it is there.)

    Args:
        transform: A generator function that takes an iterator, or an async one of an async
            iterator.
        atransform: An async one beside a sync `transform`, for async callers.
        name: The name of its runs; the function's if it is None.
    """

    def __init__(
        self,
        transform: Callable[[Iterator[Input]], Iterator[Output]]
        | Callable[[AsyncIterator[Input]], AsyncIterator[Output]],
        atransform: Callable[[AsyncIterator[Input]], AsyncIterator[Output]] | None = None,
        *,
        name: str | None = None,
    ) -> None:
        is_async = inspect.isasyncgenfunction(transform)
        self._sync: Any = None if is_async else transform
        self._async: Any = transform if is_async else atransform
        self.name = name or transform.__name__

    async def _invoke(self, given: Any, frame: Frame) -> Any:
        async def once() -> AsyncGenerator[Any, None]:
            yield given

        total = Total()
        async with Owned(self._stream(once(), frame)) as chunks:
            async for chunk in chunks:
                total.add(chunk)
        return total.value()

    async def _stream(
        self, source: AsyncGenerator[Any, None], frame: Frame
    ) -> AsyncGenerator[Any, None]:
        function = self._async if frame.io is ASYNC else self._sync
        if function is None:
            kind, method = (
                ("async", "ainvoke, astream") if self._async else ("sync", "invoke, stream")
            )
            raise ConfigurationError(f"{self.name} is {kind}: use {method}")
        output = function(frame.io.as_stream(source))
        async with Owned(frame.io.pull(output)) as chunks:
            async for chunk in chunks:
                yield chunk
