"""A block with others to take its place when it fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from callspan.callbacks.ambient import numbered
from callspan.callbacks.options import check
from callspan.errors import ConfigurationError, InputError
from callspan.runnables.base import Input, Output, Runnable, RunnableLike
from callspan.runnables.block import Frame
from callspan.runnables.coerce import as_runnable
from callspan.runnables.config import RunnableConfig
from callspan.runnables.tries import Tries, Try


class RunnableWithFallbacks(Tries[Input, Output]):
    """A block that calls another, and the next one if that fails. Made by `with_fallbacks`.

    Each call is a child run. A stream falls back only as long as it has yielded nothing: what
    fails after its first chunk is raised.

    Args:
        runnable: The block to call first.
        fallbacks: What to call if it fails, one after the other.
        exceptions_to_handle: After which exceptions to go on; all others are raised at once. If
            all the blocks fail, the first exception is raised.
        exception_key: Where in its input, a dict, a fallback finds the exception before it.

    Raises:
        ConfigurationError: One of these is of the wrong type.
    """

    def __init__(
        self,
        runnable: Runnable[Input, Output],
        fallbacks: Sequence[RunnableLike[Input, Output]],
        *,
        exceptions_to_handle: tuple[type[BaseException], ...] = (Exception,),
        exception_key: str | None = None,
    ) -> None:
        if not isinstance(fallbacks, list | tuple):
            raise ConfigurationError(
                f"with_fallbacks takes a list of blocks, not {type(fallbacks).__name__}"
            )
        check({"exceptions_to_handle": exceptions_to_handle, "exception_key": exception_key})
        self.runnable = runnable
        self.fallbacks = [as_runnable(one) for one in fallbacks]
        self.exceptions_to_handle = exceptions_to_handle
        self.exception_key = exception_key

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
