"""A block that is tried again when it fails."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_none,
    wait_random,
)
from typing_extensions import TypedDict

from callspan.callbacks.ambient import numbered
from callspan.callbacks.options import check
from callspan.runnables.base import Input, Output, Runnable
from callspan.runnables.block import Frame
from callspan.runnables.tries import Tries, Try


class ExponentialJitterParams(TypedDict, total=False):
    """How long to wait before an attempt: `initial * exp_base ** failures + random(0, jitter)`.

    Attributes:
        initial: Seconds before the second attempt; 1 by default.
        max: The most seconds to wait; no limit by default.
        exp_base: What each further wait is multiplied by; 2 by default.
        jitter: The most seconds of chance to add; 1 by default.
    """

    initial: float
    max: float
    exp_base: float
    jitter: float


class RunnableRetry(Tries[Input, Output]):
    """A block that calls another again when it fails. Made by `with_retry`.

    Each attempt is a child run, with the tag `retry:attempt:2` and so on from the second one;
    `on_retry` tells of a failure before the wait that follows. A stream is tried again only as
    long as it has yielded nothing: what fails after its first chunk is raised, since the consumer
    has part of the output already. The items of a batch are tried again each on its own.

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

    def __init__(
        self,
        bound: Runnable[Input, Output],
        *,
        retry_exception_types: tuple[type[BaseException], ...] | Callable[[BaseException], bool] = (
            Exception,
        ),
        wait_exponential_jitter: bool = True,
        exponential_jitter_params: ExponentialJitterParams | None = None,
        max_attempt_number: int = 3,
    ) -> None:
        when: Any = retry_exception_types
        is_rule = callable(when) and not isinstance(when, type)
        check(
            {
                "retry_if_exception_type": () if is_rule else when,
                "exponential_jitter_params": exponential_jitter_params,
                "stop_after_attempt": max_attempt_number,
            }
        )
        # Whether to go on after a cancellation is not for a rule about failures to say.
        self._retry = (
            retry_if_exception(lambda error: isinstance(error, Exception) and when(error))
            if is_rule
            else retry_if_exception_type(when)
        )
        self.bound = bound
        self.max_attempt_number = max_attempt_number
        params = exponential_jitter_params or {}
        self._wait = _wait(**params) if wait_exponential_jitter else wait_none()

    def get_name(self) -> str:
        """Return the name of the other block's runs."""
        return self.bound.get_name()

    async def _tried(self, call: Try, given: Any, frame: Frame) -> Any:
        numbers = itertools.count(1)

        async def attempt() -> Any:
            number = next(numbers)
            child = frame.child(f"retry:attempt:{number}" if number > 1 else None)
            with numbered(frame.run.run_id, "attempt", number):
                return await call(self.bound, given, child)

        async def tell(state: RetryCallState) -> None:
            await frame.io.done(frame.run.on_retry(state))

        retrying = AsyncRetrying(
            sleep=frame.io.sleep,
            stop=stop_after_attempt(self.max_attempt_number),
            wait=self._wait,
            retry=self._retry,
            before_sleep=tell,
            reraise=True,
        )
        return await retrying(attempt)


def _wait(
    initial: float = 1,
    max: float = math.inf,  # noqa: A002  # tenacity's name
    exp_base: float = 2,
    jitter: float = 1,
) -> Callable[[RetryCallState], float]:
    # tenacity's own sum of these either warns of `initial` or does not know its new name.
    wait = wait_exponential(multiplier=initial, exp_base=exp_base, max=max) + wait_random(0, jitter)
    return lambda state: min(wait(state), max)
