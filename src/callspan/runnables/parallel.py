"""Blocks side by side."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from callspan.runnables.base import Input, RunnableLike
from callspan.runnables.block import StreamingBlock
from callspan.runnables.calls import Call, merged, shared, together
from callspan.runnables.coerce import as_runnable
from callspan.runnables.config import RunnableConfig, child_config
from callspan.runnables.io import IO
from callspan.runnables.total import AddableDict


class RunnableParallel(StreamingBlock[Input, dict[str, Any]]):
    """Blocks that get the same input at the same time; the output is a dict of theirs.

    A stream yields `{key: chunk}` as each of them goes on. A dict in a sequence becomes one.

    Args:
        steps: The blocks, functions or dicts, by their keys in the output.
        name: The name of its runs; RunnableParallel and its keys where it is None.
        more: Further blocks by name.

    Raises:
        ConfigurationError: One of them is no block.
    """

    def __init__(
        self,
        steps: Mapping[str, RunnableLike[Any, Any]] | None = None,
        /,
        name: str | None = None,
        **more: RunnableLike[Any, Any],
    ) -> None:
        both = {**(steps or {}), **more}
        self.steps = {key: as_runnable(step) for key, step in both.items()}
        self.name = name

    def get_name(self) -> str:
        """Return the name of its runs."""
        return self.name or f"{type(self).__name__}<{','.join(self.steps)}>"

    async def _invoke(
        self, io: IO, given: Any, run: Any, config: RunnableConfig, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        calls = [
            Call(step, given, child_config(run, config, f"map:key:{key}"), {})
            for key, step in self.steps.items()
        ]
        outputs = await together(io, calls, config.get("max_concurrency"))
        return dict(zip(self.steps, outputs, strict=True))

    async def _stream(
        self,
        io: IO,
        source: AsyncIterator[Any],
        run: Any,
        config: RunnableConfig,
        kwargs: dict[str, Any],
    ) -> AsyncGenerator[AddableDict, None]:
        sources = shared(io, source, len(self.steps))
        streams = {
            key: io.transform(step)(one, child_config(run, config, f"map:key:{key}"))
            for (key, step), one in zip(self.steps.items(), sources, strict=True)
        }
        async with aclosing(merged(io, streams, config.get("max_concurrency"))) as chunks:
            async for key, chunk in chunks:
                yield AddableDict({key: chunk})
