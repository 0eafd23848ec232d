"""What every block can do."""

# ruff: noqa: A002  # `input` is what langchain_core's users write as a keyword
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias

from typing_extensions import TypeVar

from callspan.callbacks.owned import Owned
from callspan.errors import InputError
from callspan.runnables.aside import in_thread
from callspan.runnables.calls import Call, as_completed, together
from callspan.runnables.config import RunnableConfig, config_list, merge_configs
from callspan.runnables.io import ASYNC, IO, SYNC, Stream, drained, finish
from callspan.runnables.total import Total

if TYPE_CHECKING:
    from callspan.runnables.binding import RunnableBinding
    from callspan.runnables.fallbacks import RunnableWithFallbacks
    from callspan.runnables.retry import ExponentialJitterParams
    from callspan.runnables.sequence import RunnableSequence

Input = TypeVar("Input", contravariant=True, default=Any)
Output = TypeVar("Output", covariant=True, default=Any)
Other = TypeVar("Other", default=Any)
Configs: TypeAlias = RunnableConfig | Sequence[RunnableConfig] | None
"""What a batch takes: one config, or one for each input."""


class Runnable(ABC, Generic[Input, Output]):
    """A block: something that is invoked with an input, and may be put together with others.

    A class of one's own needs `invoke`; the rest follows from it. `first | second` makes a
    sequence, also of functions and of dicts, whose values run in parallel.

    Attributes:
        name: The name of its runs; the class's where there is none.
    """

    name: str | None

    @abstractmethod
    def invoke(self, input: Input, config: RunnableConfig | None = None, **kwargs: Any) -> Output:
        """Return the output for one input.

        Args:
            input: The input.
            config: Handlers, tags and metadata of the run, its name and its id.
            kwargs: Further arguments, where the block takes some.
        """

    async def ainvoke(
        self, input: Input, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Output:
        """As `invoke`, awaited; in a thread, if the block has no better way."""
        return await in_thread(self.invoke, input, config, **kwargs)

    def stream(
        self, input: Input, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Generator[Output, None, None]:
        """Yield the output for one input as it comes; all at once, if the block cannot do better.

        Close the iterator if it is abandoned, or the run ends only when it is garbage.
        """
        yield self.invoke(input, config, **kwargs)

    async def astream(
        self, input: Input, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncGenerator[Output, None]:
        """As `stream`, for `async for`."""
        yield await self.ainvoke(input, config, **kwargs)

    def transform(
        self, input: Iterator[Input], config: RunnableConfig | None = None, **kwargs: Any
    ) -> Generator[Output, None, None]:
        """Yield the output for an input that comes in chunks.

        A block that cannot work on chunks waits for the last one, and takes their sum.
        """
        return drained(self._transformed(SYNC, input, config, kwargs))

    def atransform(
        self, input: AsyncIterator[Input], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncGenerator[Output, None]:
        """As `transform`, of an async iterator."""
        return self._transformed(ASYNC, input, config, kwargs)

    async def _transformed(
        self, io: IO, source: Stream, config: RunnableConfig | None, kwargs: dict[str, Any]
    ) -> AsyncGenerator[Output, None]:
        total = Total()
        async for chunk in io.pull(source):
            total.add(chunk)
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
        calls, limit = self._calls(SYNC, inputs, config, kwargs)
        return finish(together, SYNC, calls, limit, return_exceptions)

    async def abatch(
        self,
        inputs: Sequence[Input],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Output]:
        """As `batch`, in tasks."""
        calls, limit = self._calls(ASYNC, inputs, config, kwargs)
        return await together(ASYNC, calls, limit, return_exceptions)

    def batch_as_completed(
        self,
        inputs: Sequence[Input],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> Generator[tuple[int, Output], None, None]:
        """Yield `(position, output)` for several inputs as they complete; else as `batch`."""
        calls, limit = self._calls(SYNC, inputs, config, kwargs)
        return drained(as_completed(SYNC, calls, limit, return_exceptions))

    def abatch_as_completed(
        self,
        inputs: Sequence[Input],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> AsyncGenerator[tuple[int, Output], None]:
        """As `batch_as_completed`, in tasks."""
        calls, limit = self._calls(ASYNC, inputs, config, kwargs)
        return as_completed(ASYNC, calls, limit, return_exceptions)

    def _calls(
        self, io: IO, inputs: Sequence[Any], config: Configs, kwargs: dict[str, Any]
    ) -> tuple[list[Call], int | None]:
        if not isinstance(inputs, Collection):
            raise InputError(f"a batch takes a list of inputs, not {type(inputs).__name__}")
        configs = config_list(config, len(inputs))
        limit = configs[0].get("max_concurrency") if configs else None
        invoke, pairs = io.invoke(self), zip(inputs, configs, strict=True)
        return [partial(invoke, given, one, **kwargs) for given, one in pairs], limit

    def __or__(self, other: RunnableLike[Any, Other]) -> RunnableSequence[Input, Other]:
        return self.pipe(other)

    def __ror__(self, other: RunnableLike[Other, Any]) -> RunnableSequence[Other, Output]:
        from callspan.runnables.sequence import RunnableSequence

        return RunnableSequence(other, self)

    def pipe(
        self, *others: RunnableLike[Any, Any], name: str | None = None
    ) -> RunnableSequence[Input, Any]:
        """Return a sequence of this block and others: `self | other | ...`.

        Args:
            others: Blocks, functions, dicts.
            name: The sequence's name.
        """
        from callspan.runnables.sequence import RunnableSequence

        return RunnableSequence(self, *others, name=name)

    def bind(self, **kwargs: Any) -> RunnableBinding[Input, Output]:
        """Return this block with arguments that are passed on every call."""
        from callspan.runnables.binding import RunnableBinding

        return RunnableBinding(self, kwargs=kwargs)

    def with_config(
        self, config: RunnableConfig | None = None, **kwargs: Any
    ) -> RunnableBinding[Input, Output]:
        """Return this block with a config that is used on every call, beside the call's own.

        Args:
            config: The config.
            kwargs: Keys of a config: `with_config(tags=["x"])`.
        """
        from callspan.runnables.binding import RunnableBinding

        return RunnableBinding(self, config=merge_configs(config, kwargs))

    def with_retry(
        self,
        *,
        retry_if_exception_type: tuple[type[BaseException], ...]
        | Callable[[BaseException], bool] = (Exception,),
        wait_exponential_jitter: bool = True,
        exponential_jitter_params: ExponentialJitterParams | None = None,
        stop_after_attempt: int = 3,
    ) -> Runnable[Input, Output]:
        """Return this block, tried again when it fails; a stream, until its first chunk.

        Args:
            retry_if_exception_type: After which exceptions to try again, or a function that tells
                of one; all others are raised at once.
            wait_exponential_jitter: Whether to wait before the next attempt: ever longer, and by
                some chance, so that the clients of a service do not come back all at once.
            exponential_jitter_params: How long, in seconds: `initial` (1), `exp_base` (2),
                `jitter` (1) and `max`.
            stop_after_attempt: How many attempts to make; the last one's exception is raised.

        Raises:
            ConfigurationError: One of these is of the wrong type or out of range.
        """
        from callspan.runnables.retry import RunnableRetry

        return RunnableRetry(
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
    ) -> RunnableWithFallbacks[Input, Output]:
        """Return this block with others that are called when it fails; see RunnableWithFallbacks.

        Args:
            fallbacks: What to call, one after the other, until one succeeds.
            exceptions_to_handle: After which exceptions to go on; all others are raised at once.
            exception_key: Where in its input, a dict, a fallback finds the exception before it.

        Raises:
            ConfigurationError: One of these is of the wrong type.
        """
        from callspan.runnables.fallbacks import RunnableWithFallbacks

        return RunnableWithFallbacks(
            self,
            fallbacks,
            exceptions_to_handle=exceptions_to_handle,
            exception_key=exception_key,
        )

    def get_name(self) -> str:
        """Return the name of its runs."""
        return getattr(self, "name", None) or type(self).__name__


class _Foreign(Protocol[Output]):
    """A runnable of another library."""

    def invoke(self, input: Any, /) -> Output: ...


RunnableLike: TypeAlias = (
    Runnable[Input, Output]
    | _Foreign[Output]
    | Callable[[Input], Output]
    | Callable[[Input], AsyncIterator[Output]]
    | Callable[..., Any]
    | Mapping[str, Any]
)
"""What can stand in a sequence: a block, a function, a dict of such things to run in parallel.

A runnable of another library, such as langchain_core, is a block too.
"""
