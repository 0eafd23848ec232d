"""Blocks that call others until a call succeeds: retries and fallbacks."""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeAlias

import tenacity

from callspan._options import check
from callspan.callbacks.ambient import numbered
from callspan.callbacks.owned import Owned
from callspan.errors import InputError
from callspan.runnables.base import Input, Output, Runnable
from callspan.runnables.block import Block, Frame
from callspan.runnables.composed import RunnableLike, as_runnable
from callspan.runnables.config import Config, ExponentialJitterParams, RetryIf, RunnableConfig
from callspan.runnables.io import IO, Chunks
from callspan.runnables.total import Total

Try: TypeAlias = Callable[[Any, Any, RunnableConfig], Awaitable[Any]]
"""Calls a block with an input and a config; of a stream it takes the first chunk."""

_END: Any = object()


class Tries(Block[Input, Output]):
    """A block that calls others until one of them succeeds: `_tried` says which ones, and when.

    A stream has succeeded when its first chunk is there: what fails later is raised, since the
    consumer has part of the output already.
    """

    @abstractmethod
    async def _tried(self, call: Try, given: Any, frame: Frame) -> Any:
        """Return what the first call gives that does not fail."""

    async def _invoke(self, given: Any, frame: Frame) -> Any:
        async def call(block: Any, given: Any, config: RunnableConfig) -> Any:
            return await frame.io.done(frame.io.invoke(block)(given, config, **frame.kwargs))

        return await self._tried(call, given, frame)

    async def _stream(self, given: Any, frame: Frame) -> Chunks:
        async def call(block: Any, given: Any, config: RunnableConfig) -> tuple[Owned, Any]:
            output = frame.io.stream(block)(given, config, **frame.kwargs)
            chunks = Owned(frame.io.pull(output))
            return chunks, await anext(chunks, _END)

        chunks, first = await self._tried(call, given, frame)
        async with chunks as others:
            if first is not _END:
                yield first
                async for chunk in others:
                    yield chunk

    async def _streamed(self, io: IO, given: Any, config: Config, kwargs: dict[str, Any]) -> Chunks:
        frame, made = await self._opened(io, given, config, kwargs), Total()
        output = io.in_run(frame.run, self._stream(given, frame), made.add, made.value)
        async with Owned(io.pull(output)) as chunks:
            async for chunk in chunks:
                yield chunk


@dataclass(eq=False)
class RunnableRetry(Tries[Input, Output]):
    """A block that calls another again when it fails. Made by `with_retry`.

    Each attempt is a child run, with the tag `retry:attempt:2` and so on from the second one;
    `on_retry` tells of a failure before the wait that follows. A stream is tried again only as
    long as it has yielded nothing. The items of a batch are tried again each on its own.

    Args:
        bound: The other block.
        retry_exception_types: After which exceptions to try again, or a function that tells of
            one; all others are raised at once.
        wait_exponential_jitter: Whether to wait between attempts.
        exponential_jitter_params: How long.
        max_attempt_number: How many attempts to make; the last one's exception is raised.

    Raises:
        ConfigurationError: One of these is of the wrong type, or there would be no attempt.
    """

    bound: Runnable[Input, Output]
    _: KW_ONLY
    retry_exception_types: RetryIf = (Exception,)
    wait_exponential_jitter: bool = True
    exponential_jitter_params: ExponentialJitterParams | None = None
    max_attempt_number: int = 3

    def __post_init__(self) -> None:
        when: Any = self.retry_exception_types
        is_rule = callable(when) and not isinstance(when, type)
        # Whether to go on after a cancellation is not for a rule about failures to say.
        kinds = (Exception,) if is_rule else when
        check({"retry_if_exception_type": kinds, "stop_after_attempt": self.max_attempt_number})
        check({"exponential_jitter_params": self.exponential_jitter_params})
        self._retry = tenacity.retry_if_exception(
            lambda error: isinstance(error, kinds) and (not is_rule or when(error))
        )
        self.name = self.bound.get_name()
        params = self.exponential_jitter_params or {}
        self._wait = _wait(**params) if self.wait_exponential_jitter else tenacity.wait_none()

    async def _tried(self, call: Try, given: Any, frame: Frame) -> Any:
        io, numbers = frame.io, itertools.count(1)

        async def attempt() -> Any:
            number = next(numbers)
            child = frame.child(f"retry:attempt:{number}" if number > 1 else None)
            with numbered(frame.run.run_id, "attempt", number):
                return await call(self.bound, given, child)

        async def tell(state: tenacity.RetryCallState) -> None:
            await io.done(frame.run.on_retry(state))

        retrying = tenacity.AsyncRetrying(
            sleep=lambda seconds: io.done(io.clock.sleep(seconds)),
            stop=tenacity.stop_after_attempt(self.max_attempt_number),
            wait=self._wait,
            retry=self._retry,
            before_sleep=tell,
            reraise=True,
        )
        return await retrying(attempt)


def _wait(
    initial: float = 1, max: float = math.inf, exp_base: float = 2, jitter: float = 1
) -> Callable[[tenacity.RetryCallState], float]:
    # tenacity's own sum of these either warns of `initial` or does not know its new name.
    wait = tenacity.wait_exponential(initial, max, exp_base) + tenacity.wait_random(0, jitter)
    return lambda state: min(wait(state), max)


@dataclass(eq=False)
class RunnableWithFallbacks(Tries[Input, Output]):
    """A block that calls another, and the next one if that fails. Made by `with_fallbacks`.

    Each call is a child run. A stream falls back only as long as it has yielded nothing.

    Args:
        runnable: The block to call first.
        fallbacks: What to call if it fails, one after the other.
        exceptions_to_handle: After which exceptions to go on; all others are raised at once. If
            all the blocks fail, the first exception is raised.
        exception_key: Where in its input, a dict, a fallback finds the exception before it.

    Raises:
        ConfigurationError: One of these is of the wrong type.
    """

    runnable: Runnable[Input, Output]
    fallbacks: Sequence[RunnableLike[Input, Output]]
    exceptions_to_handle: tuple[type[BaseException], ...] = (Exception,)
    exception_key: str | None = None

    def __post_init__(self) -> None:
        check({"with_fallbacks": self.fallbacks, **vars(self)})
        self.fallbacks = [as_runnable(one) for one in self.fallbacks]

    def _start(self, manager: Any, given: Any, config: RunnableConfig) -> Any:
        if self.exception_key is not None and not isinstance(given, dict):
            raise InputError(
                f"exception_key={self.exception_key!r} adds to the input, which has to be a dict, "
                f"not {type(given).__name__}"
            )
        return super()._start(manager, given, config)

    async def _tried(self, call: Try, given: Any, frame: Frame) -> Any:
        failures: list[BaseException] = []
        for position, block in enumerate([self.runnable, *self.fallbacks]):
            if failures and self.exception_key is not None:
                given = {**given, self.exception_key: failures[-1]}
            try:
                with numbered(frame.run.run_id, "fallback", position):
                    return await call(block, given, frame.child())
            except self.exceptions_to_handle as error:
                failures.append(error)
        raise failures[0]
