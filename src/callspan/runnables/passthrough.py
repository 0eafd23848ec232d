"""Passing the input on, with more beside it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from callspan.callbacks.owned import Owned
from callspan.errors import InputError
from callspan.runnables.base import Other, RunnableLike
from callspan.runnables.block import Frame, StreamingBlock
from callspan.runnables.parallel import RunnableParallel
from callspan.runnables.total import AddableDict


class RunnablePassthrough(StreamingBlock[Other, Other]):
    """A block whose output is its input."""

    @classmethod
    def assign(cls, **steps: RunnableLike[dict[str, Any], Any]) -> RunnableAssign:
        """Return a block that adds to a dict.

        Args:
            steps: What to add: blocks or functions of the dict, by the keys of their outputs.
        """
        return RunnableAssign(RunnableParallel(steps))

    async def _invoke(self, given: Any, frame: Frame) -> Any:
        return given

    async def _stream(
        self, source: AsyncGenerator[Any, None], frame: Frame
    ) -> AsyncGenerator[Any, None]:
        async for chunk in source:
            yield chunk


class RunnableAssign(StreamingBlock[dict[str, Any], dict[str, Any]]):
    """A block that adds the outputs of others to its input, a dict.

    Args:
        mapper: The others, by key.
    """

    def __init__(self, mapper: RunnableParallel[dict[str, Any]]) -> None:
        self.mapper = mapper

    def get_name(self) -> str:
        """Return the name of its runs."""
        return self.name or f"{type(self).__name__}<{','.join(self.mapper.steps)}>"

    async def _invoke(self, given: Any, frame: Frame) -> dict[str, Any]:
        given = _dict(given)
        return {**given, **await frame.io.done(frame.io.invoke(self.mapper)(given, frame.child()))}

    async def _stream(
        self, source: AsyncGenerator[Any, None], frame: Frame
    ) -> AsyncGenerator[AddableDict, None]:
        taken: list[Any] = []
        async for chunk in source:
            taken.append(chunk)
            kept = {k: v for k, v in _dict(chunk).items() if k not in self.mapper.steps}
            if kept:
                yield AddableDict(kept)

        async def again() -> AsyncGenerator[Any, None]:
            for chunk in taken:
                yield chunk

        io = frame.io
        mapped = io.transform(self.mapper)(io.as_stream(again()), frame.child())
        async with Owned(io.pull(mapped)) as chunks:
            async for chunk in chunks:
                yield chunk


def _dict(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise InputError(
            f"RunnablePassthrough.assign adds to a dict, but its input is {type(given).__name__}"
        )
    return given
