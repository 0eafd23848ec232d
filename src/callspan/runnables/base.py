"""What every block can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from callspan import runnables
from callspan.callbacks.owned import Owned
from callspan.runnables.aside import in_thread
from callspan.runnables.calls import Call, Configs, Items, as_completed, items_of, together
from callspan.runnables.config import Config, ExponentialJitterParams, RetryIf, merge_configs
from callspan.runnables.io import ASYNC, IO, SYNC, Chunks, drained, finish
from callspan.runnables.total import total_of

if TYPE_CHECKING:
    from callspan.runnables.composed import RunnableLike

Input = TypeVar("Input", contravariant=True, default=Any)
Output = TypeVar("Output", covariant=True, default=Any)
Other = TypeVar("Other", default=Any)


class Runnable(ABC, Generic[Input, Output]):
    """A block: something that is invoked with an input, and may be put together with others.

    A class of one's own needs `invoke`; the rest follows from it. `first | second` makes a
    sequence, also of functions and of dicts, whose values run in parallel.

    Attributes:
        name: The name of its runs; the class's where there is none.
    """

    name: str | None

    @abstractmethod
    def invoke(self, input: Input, config: Config = None, **kwargs: Any) -> Output:
        """Return the output for one input.

        Args:
            input: The input.
            config: Handlers, tags and metadata of the run, its name and its id.
            kwargs: Further arguments, where the block takes some.
        """

    async def ainvoke(self, input: Input, config: Config = None, **kwargs: Any) -> Output:
        """As `invoke`, awaited; in a thread, if the block has no better way."""
        return await in_thread(self.invoke, input, config, **kwargs)

    def stream(self, input: Input, config: Config = None, **kwargs: Any) -> Generator[Output]:
        """Yield the output for one input as it comes; all at once, if the block cannot do better.

        Close the iterator if it is abandoned, or the run ends only when it is garbage.
        """
        return drained(self._streamed(SYNC, input, config, kwargs))

    def astream(self, input: Input, config: Config = None, **kwargs: Any) -> AsyncGenerator[Output]:
        """As `stream`, for `async for`."""
        return self._streamed(ASYNC, input, config, kwargs)

    async def _streamed(self, io: IO, given: Any, config: Config, kwargs: dict[str, Any]) -> Chunks:
        yield await io.done(io.invoke(self)(given, config, **kwargs))

    def transform(
        self, input: Iterator[Input], config: Config = None, **kwargs: Any
    ) -> Generator[Output]:
        """Yield the output for an input that comes in chunks.

        A block that cannot work on chunks waits for the last one, and takes their sum.
        """
        return drained(self._transformed(SYNC, SYNC.pull(input), config, kwargs))

    def atransform(
        self, input: AsyncIterator[Input], config: Config = None, **kwargs: Any
    ) -> AsyncGenerator[Output]:
        """As `transform`, of an async iterator."""
        return self._transformed(ASYNC, ASYNC.pull(input), config, kwargs)

    async def _transformed(
        self, io: IO, source: Any, config: Config, kwargs: dict[str, Any]
    ) -> Chunks:
        total = await total_of(source)
        if not total.empty:
            output = io.stream(self)(total.value(), config, **kwargs)
            async with Owned(io.pull(output)) as chunks:
                async for chunk in chunks:
                    yield chunk

    def batch(
        self,
        inputs: Sequence[Input],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Output]:
        """Return the outputs for several inputs, in their order; they run in threads.

        Args:
            inputs: The inputs.
            config: One config, or one for each input. `max_concurrency` limits the threads.
            return_exceptions: Return an exception in the place of an output, instead of raising
                the first one.
            kwargs: As for `invoke`.
        """
        return finish(self._batched, SYNC, items_of(inputs, config), return_exceptions, kwargs)

    async def abatch(
        self,
        inputs: Sequence[Input],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Output]:
        """As `batch`, in tasks."""
        return await self._batched(ASYNC, items_of(inputs, config), return_exceptions, kwargs)

    async def _batched(
        self, io: IO, items: Items, return_exceptions: bool, kwargs: dict[str, Any]
    ) -> list[Any]:
        return await together(io, *self._calls(io, items, kwargs), return_exceptions)

    def batch_as_completed(
        self,
        inputs: Sequence[Input],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> Generator[tuple[int, Output]]:
        """Yield `(position, output)` for several inputs as they complete; else as `batch`."""
        calls = self._calls(SYNC, items_of(inputs, config), kwargs)
        return drained(as_completed(SYNC, *calls, return_exceptions))

    def abatch_as_completed(
        self,
        inputs: Sequence[Input],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> AsyncGenerator[tuple[int, Output]]:
        """As `batch_as_completed`, in tasks."""
        calls = self._calls(ASYNC, items_of(inputs, config), kwargs)
        return as_completed(ASYNC, *calls, return_exceptions)

    def _calls(self, io: IO, items: Items, kwargs: dict[str, Any]) -> tuple[list[Call], int | None]:
        invoke, limit = io.invoke(self), items[0][1].get("max_concurrency") if items else None
        return [partial(invoke, given, config, **kwargs) for given, config in items], limit

    def __or__(self, other: RunnableLike[Any, Other]) -> runnables.RunnableSequence[Input, Other]:
        return runnables.RunnableSequence(self, other)

    def __ror__(self, other: RunnableLike[Other, Any]) -> runnables.RunnableSequence[Other, Output]:
        return runnables.RunnableSequence(other, self)

    def pipe(
        self, *others: RunnableLike[Any, Any], name: str | None = None
    ) -> runnables.RunnableSequence[Input, Any]:
        """Return a sequence with a name of this block and others: `self | other | ...`."""
        return runnables.RunnableSequence(self, *others, name=name)

    def bind(self, **kwargs: Any) -> runnables.RunnableBinding[Input, Output]:
        """Return this block with arguments that are passed on every call."""
        return runnables.RunnableBinding(self, kwargs)

    def with_config(
        self, config: Config = None, **kwargs: Any
    ) -> runnables.RunnableBinding[Input, Output]:
        """Return this block with a config that is used on every call, beside the call's own.

        Args:
            config: The config.
            kwargs: Keys of a config: `with_config(tags=["x"])`.
        """
        return runnables.RunnableBinding(self, config=merge_configs(config, kwargs))

    def with_retry(
        self,
        *,
        retry_if_exception_type: RetryIf = (Exception,),
        wait_exponential_jitter: bool = True,
        exponential_jitter_params: ExponentialJitterParams | None = None,
        stop_after_attempt: int = 3,
    ) -> Runnable[Input, Output]:
        """Return this block, tried again when it fails; see RunnableRetry.

        Args:
            retry_if_exception_type: After which exceptions to try again, or a function that tells
                of one; all others are raised at once.
            wait_exponential_jitter: Whether to wait before the next attempt: ever longer, and by
                some chance, so that the clients of a service do not come back all at once.
            exponential_jitter_params: How long.
            stop_after_attempt: How many attempts to make; the last one's exception is raised.

        Raises:
            ConfigurationError: One of these is of the wrong type or out of range.
        """
        return runnables.RunnableRetry(
            self,
            retry_exception_types=retry_if_exception_type,
            wait_exponential_jitter=wait_exponential_jitter,
            exponential_jitter_params=exponential_jitter_params,
            max_attempt_number=stop_after_attempt,
        )

    def with_fallbacks(
        self,
        fallbacks: Sequence[RunnableLike[Input, Output]],
        *,
        exceptions_to_handle: tuple[type[BaseException], ...] = (Exception,),
        exception_key: str | None = None,
    ) -> runnables.RunnableWithFallbacks[Input, Output]:
        """Return this block with others that are called when it fails; see RunnableWithFallbacks.

        Args:
            fallbacks: What to call, one after the other, until one succeeds.
            exceptions_to_handle: After which exceptions to go on; all others are raised at once.
            exception_key: Where in its input, a dict, a fallback finds the exception before it.

        Raises:
            ConfigurationError: One of these is of the wrong type.
        """
        return runnables.RunnableWithFallbacks(self, fallbacks, exceptions_to_handle, exception_key)

    def get_name(self) -> str:
        """Return the name of its runs."""
        return getattr(self, "name", None) or type(self).__name__

    @property
    def _serialized(self) -> dict[str, Any]:
        """What handlers are told of a block: its name, and where its class is."""
        name = self.get_name()
        known: dict[str, Any] | None = self.__dict__.get("_serialized")
        if known is None or known["name"] != name:  # a block, and a copy of it, can be renamed
            cls = type(self)
            known = {"name": name, "id": [*cls.__module__.split("."), cls.__qualname__]}
            self.__dict__["_serialized"] = known
        return known
