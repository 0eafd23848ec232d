"""Blocks one after the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

from callspan.errors import ConfigurationError
from callspan.runnables.base import Input, Other, Output, RunnableLike, as_runnable
from callspan.runnables.block import Frame, StreamingBlock

_NO_KWARGS: dict[str, Any] = {}


class RunnableSequence(StreamingBlock[Input, Output]):
    """Blocks one after the other: each gets the output of the one before. Made by `|`.

    Streams run through it: a block that works on chunks gets them as they come. Further arguments
    of a call go to the first block.

    Args:
        steps: Two or more blocks, functions or dicts. Sequences among them are taken apart.
        name: The name of its runs.

    Raises:
        ConfigurationError: There are fewer than two, or one is no block.
    """

    def __init__(self, *steps: RunnableLike[Any, Any], name: str | None = None) -> None:
        self.steps: list[Any] = []
        for step in steps:
            self.steps += step.steps if isinstance(step, RunnableSequence) else [as_runnable(step)]
        if len(self.steps) < 2:
            raise ConfigurationError(f"a sequence has two steps at least, not {len(self.steps)}")
        self.name = name
        self._tags = [f"seq:step:{place}" for place in range(1, len(self.steps) + 1)]

    def __or__(self, other: RunnableLike[Any, Other]) -> RunnableSequence[Input, Other]:
        return RunnableSequence(self, other, name=self.name)

    def __ror__(self, other: RunnableLike[Other, Any]) -> RunnableSequence[Other, Output]:
        return RunnableSequence(other, self, name=self.name)

    async def _invoke(self, given: Any, frame: Frame) -> Any:
        io, kwargs = frame.io, frame.kwargs
        for step, tag in zip(self.steps, self._tags, strict=True):
            given = await io.done(io.invoke(step)(given, frame.child(tag), **kwargs))
            kwargs = _NO_KWARGS
        return given

    async def _stream(self, source: AsyncGenerator[Any], frame: Frame) -> AsyncGenerator[Any]:
        io, kwargs = frame.io, frame.kwargs
        async with AsyncExitStack() as stages:
            stream = io.as_stream(source)
            for step, tag in zip(self.steps, self._tags, strict=True):
                stream = io.transform(step)(stream, frame.child(tag), **kwargs)
                stages.push_async_callback(io.pull(stream).aclose)
                kwargs = _NO_KWARGS
            async for chunk in io.pull(stream):
                yield chunk
