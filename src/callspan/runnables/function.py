"""A function as a block."""

# ruff: noqa: A002  # `input` is what langchain_core's users write as a keyword
from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from types import CoroutineType
from typing import Any, overload

from callspan.callbacks.drive import call
from callspan.callbacks.managers import CallbackManager
from callspan.callbacks.owned import Owned
from callspan.errors import AsyncOnlyError, ConfigurationError
from callspan.runnables.aside import in_thread
from callspan.runnables.base import Input, Output, Runnable
from callspan.runnables.block import Frame, StreamingBlock
from callspan.runnables.config import (
    DEFAULT_RECURSION_LIMIT,
    RunnableConfig,
    checked,
    config_for_function,
)
from callspan.runnables.io import IO, SYNC, finish
from callspan.runnables.total import Total


class _Function:
    """A user's function, and what has to be known of it to call it."""

    __slots__ = ("call", "is_async", "streams", "wants")

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call
        # An object may be a coroutine function by its __call__.
        kinds = [call, type(call).__call__]
        gives_async = any(map(inspect.isasyncgenfunction, kinds))
        self.streams = gives_async or any(map(inspect.isgeneratorfunction, kinds))
        self.is_async = gives_async or any(map(inspect.iscoroutinefunction, kinds))
        try:
            parameters = set(inspect.signature(call).parameters)
        except (TypeError, ValueError):  # some builtins have no signature
            parameters = set()
        self.wants = parameters & {"config", "run_manager"}

    def extras(self, frame: Frame) -> dict[str, Any]:
        """The arguments beside the input."""
        if not self.wants:
            return frame.kwargs
        run = frame.run if frame.io is SYNC or self.is_async else frame.run.get_sync()
        asked = {"run_manager": run} if "run_manager" in self.wants else {}
        if "config" in self.wants:
            asked["config"] = config_for_function(run, frame.config)
        return {**frame.kwargs, **asked}


class RunnableLambda(StreamingBlock[Input, Output]):
    """A function as a block.

    The function takes the input, and `config` and `run_manager` if it has parameters of these
    names. If it is a generator, the block streams, and `invoke` returns the sum of the chunks. If
    it returns a block, that is invoked with the same input. If it returns a coroutine, the run ends
    with that: an async caller gets its result, a sync one has to await it.

    Args:
        func: A function, coroutine function, generator function or async generator function. An
            async caller has a sync one run in a thread.
        afunc: What async callers use instead, if `func` is sync.
        name: The name of its runs; the function's, or else RunnableLambda.

    Raises:
        ConfigurationError: One of them cannot be called, or both are async.
    """

    @overload
    def __init__(
        self,
        func: Callable[..., Awaitable[Output] | Iterator[Output] | AsyncIterator[Output]],
        afunc: Callable[..., Any] | None = None,
        name: str | None = None,
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
        for one in (func,) if afunc is None else (func, afunc):
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
            AsyncOnlyError: It is a coroutine function: use `ainvoke`.
        """
        function = self._function(SYNC)
        config = checked(config)
        run = self._start(CallbackManager, input, config)
        frame = Frame(SYNC, run, config, kwargs)
        return call(run, self._call, function, input, frame)  # type: ignore[no-any-return]

    # A level of nested runs takes four Python frames: invoke, call, this and the function. More
    # would take depth from programs that recurse.
    def _call(self, function: _Function, given: Any, frame: Frame) -> Any:
        result = function.call(given, **function.extras(frame))
        if function.streams or isinstance(result, Runnable):
            return finish(self._settled, function, result, given, frame)
        return result

    async def _invoke(self, given: Any, frame: Frame) -> Any:
        function = self._function(frame.io)
        result = await self._result(function, given, frame)
        return await self._settled(function, result, given, frame)

    async def _settled(self, function: _Function, result: Any, given: Any, frame: Frame) -> Any:
        """What the function's result stands for: the sum of chunks, a block's output, or itself."""
        if function.streams:
            total = Total()
            async with Owned(frame.io.pull(result)) as chunks:
                async for chunk in chunks:
                    total.add(chunk)
            result = total.value()
        if isinstance(result, CoroutineType) and frame.io is not SYNC:
            return await result
        if isinstance(result, Runnable):
            deeper = self._one_deeper(frame)
            return await frame.io.done(frame.io.invoke(result)(given, deeper))
        return result

    async def _stream(
        self, source: AsyncGenerator[Any, None], frame: Frame
    ) -> AsyncGenerator[Any, None]:
        total = Total()
        async for chunk in source:
            total.add(chunk)
        given, function = total.value(), self._function(frame.io)
        result = await self._result(function, given, frame)
        if isinstance(result, Runnable):
            result = frame.io.stream(result)(given, self._one_deeper(frame))
        elif not function.streams:
            yield await self._settled(function, result, given, frame)
            return
        async with Owned(frame.io.pull(result)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _result(self, function: _Function, given: Any, frame: Frame) -> Awaitable[Any]:
        bound = partial(function.call, given, **function.extras(frame))
        if frame.io is SYNC or function.streams:
            return SYNC.done(bound())
        return bound() if function.is_async else in_thread(bound)

    def _function(self, io: IO) -> _Function:
        function = self._sync if io is SYNC else self._async or self._sync
        if function is None:
            raise AsyncOnlyError(
                f"{self.get_name()} is async: use ainvoke, astream or abatch, "
                "or give RunnableLambda a sync function too"
            )
        return function

    def _one_deeper(self, frame: Frame) -> RunnableConfig:
        limit = frame.config.get("recursion_limit", DEFAULT_RECURSION_LIMIT)
        if limit <= 0:
            raise RecursionError(
                f"{self.get_name()} returned a runnable to be invoked more often in a row than the "
                "config's recursion_limit allows"
            )
        return {**frame.child(), "recursion_limit": limit - 1}


@overload
def chain(
    func: Callable[[Input], Awaitable[Output] | Iterator[Output] | AsyncIterator[Output]],
) -> RunnableLambda[Input, Output]: ...
@overload
def chain(func: Callable[[Input], Output]) -> RunnableLambda[Input, Output]: ...
def chain(func: Callable[..., Any]) -> RunnableLambda[Any, Any]:
    """Make a block of a function, named after it: `@chain` above a `def`; see RunnableLambda.

    Args:
        func: A function, coroutine function, generator function or async generator function.

    Raises:
        ConfigurationError: It cannot be called.
    """
    return RunnableLambda(func)
