"""A block with arguments and a config of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any

from callspan.runnables.base import Input, Output, Runnable
from callspan.runnables.calls import Call, Items
from callspan.runnables.config import Config, RunnableConfig, merge_configs
from callspan.runnables.io import IO


class RunnableBinding(Runnable[Input, Output]):
    """A block that passes arguments and a config to another on every call. It is no run itself.

    Args:
        bound: The other block.
        kwargs: The arguments; those of a call win.
        config: The config; a call's own is added to it, and wins.
    """

    def __init__(
        self,
        bound: Runnable[Input, Output],
        kwargs: dict[str, Any] | None = None,
        config: Config = None,
    ) -> None:
        self.bound, self.kwargs, self.config = bound, kwargs or {}, config or {}
        if isinstance(bound, RunnableBinding):  # one is enough
            self.bound = bound.bound
            self.kwargs = {**bound.kwargs, **self.kwargs}
            self.config = merge_configs(bound.config, config)
        self.name = self.config.get("run_name") or bound.get_name()

    def with_retry(self, **kwargs: Any) -> RunnableBinding[Input, Output]:
        """Return the block with attempts that are runs within the one that this config is for."""
        return RunnableBinding(self.bound.with_retry(**kwargs), self.kwargs, self.config)

    def invoke(self, input: Input, config: Config = None, **kwargs: Any) -> Output:
        """Return the output for one input."""
        return self.bound.invoke(input, self._with(config), **{**self.kwargs, **kwargs})

    async def ainvoke(self, input: Input, config: Config = None, **kwargs: Any) -> Output:
        """As `invoke`, awaited."""
        return await self.bound.ainvoke(input, self._with(config), **{**self.kwargs, **kwargs})

    def stream(self, input: Input, config: Config = None, **kwargs: Any) -> Generator[Output]:
        """Yield the output for one input as it comes."""
        return self.bound.stream(input, self._with(config), **{**self.kwargs, **kwargs})

    def astream(self, input: Input, config: Config = None, **kwargs: Any) -> AsyncGenerator[Output]:
        """As `stream`, for `async for`."""
        return self.bound.astream(input, self._with(config), **{**self.kwargs, **kwargs})

    def transform(
        self, input: Iterator[Input], config: Config = None, **kwargs: Any
    ) -> Generator[Output]:
        """Yield the output for an input that comes in chunks."""
        return self.bound.transform(input, self._with(config), **{**self.kwargs, **kwargs})

    def atransform(
        self, input: AsyncIterator[Input], config: Config = None, **kwargs: Any
    ) -> AsyncGenerator[Output]:
        """As `transform`, of an async iterator."""
        return self.bound.atransform(input, self._with(config), **{**self.kwargs, **kwargs})

    async def _batched(
        self, io: IO, items: Items, return_exceptions: bool, kwargs: dict[str, Any]
    ) -> list[Any]:
        kwargs = {**self.kwargs, **kwargs}
        return await self.bound._batched(io, self._items(items), return_exceptions, kwargs)

    def _calls(self, io: IO, items: Items, kwargs: dict[str, Any]) -> tuple[list[Call], int | None]:
        return self.bound._calls(io, self._items(items), {**self.kwargs, **kwargs})

    def _items(self, items: Items) -> Items:
        return [(given, self._with(config)) for given, config in items]

    def _with(self, config: Config) -> RunnableConfig:
        return merge_configs(self.config, config) if config else self.config
