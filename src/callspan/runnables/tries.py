"""What retries and fallbacks share: calls that are made until one of them succeeds."""

# ruff: noqa: A002  # `input` is what langchain_core's users write as a keyword
from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, TypeAlias

from callspan.callbacks.owned import Owned
from callspan.runnables.base import Input, Output
from callspan.runnables.block import Block, Frame
from callspan.runnables.config import RunnableConfig, checked
from callspan.runnables.io import ASYNC, IO, SYNC, drained
from callspan.runnables.total import Total

Try: TypeAlias = Callable[[Any, Any, RunnableConfig], Awaitable[Any]]
"""Calls a block with an input and a config; of a stream it takes the first chunk."""

_END: Any = object()


class Tries(Block[Input, Output]):
    """A block that calls others until one of them succeeds: `_tried` says which ones, and when.

    A stream has succeeded when its first chunk is there.
    """

    @abstractmethod
    async def _tried(self, call: Try, given: Any, frame: Frame) -> Any:
        """Return what the first call gives that does not fail."""

    async def _invoke(self, given: Any, frame: Frame) -> Any:
        async def call(block: Any, given: Any, config: RunnableConfig) -> Any:
            return await frame.io.done(frame.io.invoke(block)(given, config, **frame.kwargs))

        return await self._tried(call, given, frame)

    async def _stream(self, given: Any, frame: Frame) -> AsyncGenerator[Any, None]:
        async def call(block: Any, given: Any, config: RunnableConfig) -> tuple[Owned, Any]:
            output = frame.io.stream(block)(given, config, **frame.kwargs)
            chunks = Owned(frame.io.pull(output))
            return chunks, await anext(chunks, _END)

        chunks, first = await self._tried(call, given, frame)
        async with chunks as others:
            if first is not _END:
                yield first
                async for chunk in others:
                    yield chunk

    def stream(
        self, input: Input, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Generator[Output, None, None]:
        """Yield the output for one input as it comes; after its first chunk nothing is repeated."""
        return drained(self._streamed(SYNC, input, config, kwargs))

    def astream(
        self, input: Input, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncGenerator[Output, None]:
        """As `stream`, for `async for`."""
        return self._streamed(ASYNC, input, config, kwargs)

    async def _streamed(
        self, io: IO, given: Any, config: RunnableConfig | None, kwargs: dict[str, Any]
    ) -> AsyncGenerator[Output, None]:
        config, made = checked(config), Total()
        run = await io.done(self._start(io.manager, given, config))
        body = self._stream(given, Frame(io, run, config, kwargs))
        async with Owned(io.pull(io.in_run(run, body, made.add, made.value))) as chunks:
            async for chunk in chunks:
                yield chunk
