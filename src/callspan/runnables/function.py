# ruff: noqa: A002  # `input` is what langchain_core's users write as a keyword
"""A function as a block."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, overload

from callspan.callbacks.drive import call
from callspan.callbacks.managers import CallbackManager
from callspan.errors import ConfigurationError
from callspan.runnables.aside import in_thread
from callspan.runnables.base import Input, Output, Runnable
from callspan.runnables.block import StreamingBlock
from callspan.runnables.config import (
    DEFAULT_RECURSION_LIMIT,
    RunnableConfig,
    checked,
    child_config,
    config_for_function,
)
from callspan.runnables.io import IO, SYNC, finish
from callspan.runnables.total import Total


class _Function:
    """A user's function, and what has to be known of it to call it."""

    __slots__ = ("call", "is_async", "streams", "wants")

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call
        kinds = [call, getattr(call, "__call__", None)]  # noqa: B004  # an object may be a coroutine function
        gives_async = any(map(inspect.isasyncgenfunction, kinds))
        self.streams = gives_async or any(map(inspect.isgeneratorfunction, kinds))
        self.is_async = gives_async or any(map(inspect.iscoroutinefunction, kinds))
        try:
            parameters = inspect.signature(call).parameters.keys()
        except (TypeError, ValueError):  # some builtins have no signature
            parameters = {}.keys()
        self.wants = parameters & {"config", "run_manager"}

    def extras(self, run: Any, config: RunnableConfig, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments beside the input."""
        if not self.wants:
            return kwargs
        given = dict(kwargs)
        if "config" in self.wants:
            given["config"] = config_for_function(run, config)
        if "run_manager" in self.wants:
            given["run_manager"] = run
        return given


class RunnableLambda(StreamingBlock[Input, Output]):
    """A function as a block.

    The function takes the input, and `config` and `run_manager` if it has parameters of these
    names. If it is a generator, the block streams, and `invoke` returns the sum of the chunks. If
    it returns a block, that is invoked with the same input.

    Args:
        func: A function, coroutine function, generator function or async generator function. An
            async caller has a sync one run in a thread.
        afunc: What async callers use instead, if `func` is sync.
        name: The name of its runs; the function's, or else RunnableLambda.

    Raises:
        ConfigurationError: `func` cannot be called, or both are async.
    """

    @overload
    def __init__(
        self,
        func: Callable[..., AsyncIterator[Output]],
        afunc: None = None,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self, func: Callable[..., Awaitable[Output]], afunc: None = None, name: str | None = None
    ) -> None: ...
    @overload
    def __init__(
        self,
        func: Callable[..., Output],
        afunc: Callable[..., Any] | None = None,
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        func: Callable[..., Any],
        afunc: Callable[..., Any] | None = None,
        name: str | None = None,
    ) -> None:
        for one in (func, afunc) if afunc is not None else (func,):
            if not callable(one):
                raise ConfigurationError(
                    f"RunnableLambda takes a function, not {type(one).__name__}"
                )
        self._sync: _Function | None = _Function(func)
        self._async = None if afunc is None else _Function(afunc)
        if self._sync.is_async:
            if afunc is not None:
                raise ConfigurationError("func is async: give afunc beside a sync func only")
            self._sync, self._async = None, self._sync
        called = getattr(func, "__name__", "<lambda>")
        self.name = name or (None if called == "<lambda>" else called)

    def invoke(self, input: Input, config: RunnableConfig | None = None, **kwargs: Any) -> Output:
        """Return what the function returns.

        Raises:
            ConfigurationError: It is a coroutine function: use `ainvoke`.
        """
        function = self._function(SYNC)
        config = checked(config)
        run = self._start(CallbackManager, input, config)
        return call(run, self._call, function, input, run, config, kwargs)  # type: ignore[no-any-return]

    # invoke, call, _call and the function: the frames of one level of nested runs. More of them
    # would take depth from programs that recurse.
    def _call(
        self,
        function: _Function,
        given: Any,
        run: Any,
        config: RunnableConfig,
        kwargs: dict[str, Any],
    ) -> Any:
        result = function.call(given, **function.extras(run, config, kwargs))
        if function.streams or isinstance(result, Runnable):
            return finish(self._settled, SYNC, function, result, given, run, config)
        return result

    async def _invoke(
        self, io: IO, given: Any, run: Any, config: RunnableConfig, kwargs: dict[str, Any]
    ) -> Any:
        function, result = await self._called(io, given, run, config, kwargs)
        return await self._settled(io, function, result, given, run, config)

    async def _stream(
        self,
        io: IO,
        source: AsyncIterator[Any],
        run: Any,
        config: RunnableConfig,
        kwargs: dict[str, Any],
    ) -> AsyncGenerator[Any, None]:
        total = Total()
        async for chunk in source:
            total.add(chunk)
        given = total.value()
        function, result = await self._called(io, given, run, config, kwargs)
        if isinstance(result, Runnable):
            result = io.stream(result)(given, self._one_deeper(given, run, config))
        elif not function.streams:
            yield result
            return
        async with aclosing(io.pull(result)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _called(
        self, io: IO, given: Any, run: Any, config: RunnableConfig, kwargs: dict[str, Any]
    ) -> tuple[_Function, Any]:
        """The function that is for this caller, and what it returned."""
        function = self._function(io)
        if io is not SYNC and not function.is_async:
            run = run.get_sync()
        bound = partial(function.call, given, **function.extras(run, config, kwargs))
        if io is SYNC or function.streams:
            return function, bound()
        return function, await (bound() if function.is_async else in_thread(bound))

    async def _settled(
        self,
        io: IO,
        function: _Function,
        result: Any,
        given: Any,
        run: Any,
        config: RunnableConfig,
    ) -> Any:
        """What the function's result stands for: the sum of chunks, a block's output, or itself."""
        if function.streams:
            total = Total()
            async with aclosing(io.pull(result)) as chunks:
                async for chunk in chunks:
                    total.add(chunk)
            result = total.value()
        if isinstance(result, Runnable):
            deeper = self._one_deeper(given, run, config)
            return await io.done(io.invoke(result)(given, deeper))
        return result

    def _one_deeper(self, given: Any, run: Any, config: RunnableConfig) -> RunnableConfig:
        limit = config.get("recursion_limit", DEFAULT_RECURSION_LIMIT)
        if limit <= 0:
            raise RecursionError(
                f"{self.get_name()} keeps returning runnables: the config's recursion_limit is "
                f"reached at input {given!r}"
            )
        return {**child_config(run, config), "recursion_limit": limit - 1}

    def _function(self, io: IO) -> _Function:
        function = self._sync if io is SYNC else self._async or self._sync
        if function is None:
            raise ConfigurationError(
                f"{self.get_name()} is async: use ainvoke, astream or abatch, "
                "or give RunnableLambda a sync function too"
            )
        return function
