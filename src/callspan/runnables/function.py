"""Functions as blocks: of a value, and of a stream."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from types import CoroutineType
from typing import Any, Concatenate, Final, TypeAlias, overload

from callspan.callbacks.drive import call
from callspan.callbacks.managers import CallbackManager
from callspan.callbacks.owned import Owned
from callspan.errors import AsyncOnlyError, ConfigurationError
from callspan.runnables.aside import in_thread
from callspan.runnables.base import Input, Output, Runnable
from callspan.runnables.block import Frame, StreamingBlock
from callspan.runnables.config import GIVEN, Config, checked
from callspan.runnables.io import ASYNC, IO, SYNC, Chunks, again, finish
from callspan.runnables.total import total_of

_Of: TypeAlias = "Callable[Concatenate[Input, ...], Output]"  # Python 3.10 takes no ... there
_AFunc: TypeAlias = Callable[..., Any] | None
_Later: TypeAlias = Awaitable[Output] | Iterator[Output] | AsyncIterator[Output]


class _Function:
    """A user's function, and what has to be known of it to call it."""

    def __init__(self, call: Callable[..., Any]) -> None:
        if not callable(call):
            raise ConfigurationError(f"RunnableLambda takes a function, not {type(call).__name__}")
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
        return {**frame.kwargs, **{name: GIVEN[name](run, frame.config) for name in self.wants}}


class RunnableLambda(StreamingBlock[Input, Output]):
    """A function as a block. `chain` is the same, to be put above a `def`.

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
        self, func: _Of[Input, _Later[Output]], afunc: _AFunc = None, name: str | None = None
    ) -> None: ...
    @overload
    def __init__(
        self, func: _Of[Input, Output], afunc: _AFunc = None, name: str | None = None
    ) -> None: ...
    def __init__(self, func: Any, afunc: _AFunc = None, name: str | None = None) -> None:
        given = _Function(func)
        self._sync = None if given.is_async else given
        self._async = given if afunc is None else _Function(afunc)
        if given.is_async and afunc is not None:
            raise ConfigurationError("func is async: give afunc beside a sync func only")
        called = getattr(func, "__name__", "<lambda>")
        self.name = name or (None if called == "<lambda>" else called)

    def invoke(self, input: Input, config: Config = None, **kwargs: Any) -> Output:
        """Return what the function returns.

        Raises:
            AsyncOnlyError: It is a coroutine function: use `ainvoke`.
        """
        function, config = self._function(SYNC), checked(config, kwargs)
        run = self._start(CallbackManager, input, config)
        return call(run, self._call, function, input, Frame(SYNC, run, config, kwargs))  # type: ignore[no-any-return]

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
            result = (await total_of(frame.io.pull(result))).value()
        if isinstance(result, CoroutineType) and frame.io is not SYNC:
            return await result
        if isinstance(result, Runnable):
            deeper = frame.one_deeper(self.get_name())
            return await frame.io.done(frame.io.invoke(result)(given, deeper))
        return result

    async def _stream(self, source: Chunks, frame: Frame) -> Chunks:
        given, function = (await total_of(source)).value(), self._function(frame.io)
        result = await self._result(function, given, frame)
        if isinstance(result, Runnable):
            result = frame.io.stream(result)(given, frame.one_deeper(self.get_name()))
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
        function = self._sync if io is SYNC else self._async
        if function is None:
            raise AsyncOnlyError(
                f"{self.get_name()} is async: use ainvoke, astream or abatch, "
                "or give RunnableLambda a sync function too"
            )
        return function


chain: Final = RunnableLambda


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
        return (await total_of(self._stream(again([given]), frame))).value()

    async def _stream(self, source: Chunks, frame: Frame) -> Chunks:
        function = self._async if frame.io is ASYNC else self._sync
        if function is None:
            kind = "async: use ainvoke, astream" if self._async else "sync: use invoke, stream"
            raise ConfigurationError(f"{self.name} is {kind}")
        async with Owned(frame.io.pull(function(frame.io.as_stream(source)))) as chunks:
            async for chunk in chunks:
                yield chunk
