"""Blocks side by side."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import Any

from callspan.callbacks.owned import Owned
from callspan.errors import ConfigurationError
from callspan.runnables.base import Input, RunnableLike
from callspan.runnables.block import Frame, StreamingBlock
from callspan.runnables.calls import merged, shared, together
from callspan.runnables.coerce import as_runnable
from callspan.runnables.total import AddableDict


class RunnableParallel(StreamingBlock[Input, dict[str, Any]]):
    """Blocks that get the same input at the same time; the output is a dict of theirs.

    A stream yields `{key: chunk}` as each of them goes on. A dict in a sequence becomes one.

    Args:
        steps: The blocks, functions or dicts, by their keys in the output.
        name: The name of its runs; RunnableParallel and its keys where it is None.
        more: Further blocks by name.

    Raises:
        ConfigurationError: They are no dict, or one of them is no block.
    """

    def __init__(
        self,
        steps: Mapping[str, RunnableLike[Any, Any]] | None = None,
        /,
        name: str | None = None,
        **more: RunnableLike[Any, Any],
    ) -> None:
        if not isinstance(steps, Mapping | None):
            raise ConfigurationError(
                f"RunnableParallel takes a dict of blocks by key, not {type(steps).__name__}"
            )
        both = {**(steps or {}), **more}
        self.steps = {key: as_runnable(step) for key, step in both.items()}
        self.name = name

    def get_name(self) -> str:
        """Return the name of its runs."""
        return self.name or f"{type(self).__name__}<{','.join(self.steps)}>"

    async def _invoke(self, given: Any, frame: Frame) -> dict[str, Any]:
        calls = [
            partial(frame.io.invoke(step), given, frame.child(f"map:key:{key}"))
            for key, step in self.steps.items()
        ]
        outputs = await together(frame.io, calls, frame.config.get("max_concurrency"))
        return dict(zip(self.steps, outputs, strict=True))

    async def _stream(
        self, source: AsyncGenerator[Any, None], frame: Frame
    ) -> AsyncGenerator[AddableDict, None]:
        sources = shared(frame.io, source, len(self.steps))
        streams = {
            key: frame.io.transform(step)(one, frame.child(f"map:key:{key}"))
            for (key, step), one in zip(self.steps.items(), sources, strict=True)
        }
        limit = frame.config.get("max_concurrency")
        async with Owned(merged(frame.io, streams, limit)) as chunks:
            async for key, chunk in chunks:
                yield AddableDict({key: chunk})
