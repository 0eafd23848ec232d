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
        name: The name of its runs; the function's if it is None.
    """

    def __init__(
        self,
        transform: Callable[[Iterator[Input]], Iterator[Output]]
        | Callable[[AsyncIterator[Input]], AsyncIterator[Output]],
        name: str | None = None,
    ) -> None:
        self._function: Any = transform
        self._is_async = inspect.isasyncgenfunction(transform)
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
        if self._is_async is not (frame.io is ASYNC):
            kind, method = (
                ("async", "ainvoke, astream") if self._is_async else ("sync", "invoke, stream")
            )
            raise ConfigurationError(f"{self.name} is {kind}: use {method}")
        output = self._function(frame.io.as_stream(source))
        async with Owned(frame.io.pull(output)) as chunks:
            async for chunk in chunks:
                yield chunk
