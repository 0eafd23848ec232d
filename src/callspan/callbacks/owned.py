"""Async generators within others, each of which is closed by the one that it is in.

An event loop that shuts down closes all the generators that it has heard of at the same time, and
complains of one that somebody is closing already. It does not hear of those that are owned.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from types import AsyncGeneratorType, TracebackType
from typing import Any, TypeVar

T = TypeVar("T")


def begin(source: AsyncIterator[T]) -> Awaitable[T]:
    """Return the first step of an iterator that the caller will close."""
    return _unheard(source, source.__anext__)


async def aclose(source: AsyncIterator[Any]) -> None:
    """Close an async generator, or an iterator that can be.

    Not one that somebody is closing already: it may have been begun before it was owned.
    """
    if hasattr(source, "aclose") and not getattr(source, "ag_running", False):
        await _unheard(source, source.aclose)


def _unheard(source: AsyncIterator[Any], step: Callable[[], Awaitable[T]]) -> Awaitable[T]:
    """Take what may be a generator's first step without the event loop hearing of it."""
    if not isinstance(source, AsyncGeneratorType):
        return step()
    hook = sys.get_asyncgen_hooks().firstiter
    sys.set_asyncgen_hooks(firstiter=None)
    try:
        return step()
    finally:
        sys.set_asyncgen_hooks(firstiter=hook)


class Owned:
    """An async generator that this owner closes, and nobody else.

    As a context manager it gives what to iterate over, and closes it in the end.

    Args:
        source: One that was not begun yet; or an async iterator with `aclose`.
    """

    __slots__ = ("_begun", "_source")

    def __init__(self, source: Any) -> None:
        self._source = source
        self._begun = False

    def __aiter__(self) -> Owned:
        return self

    def __anext__(self) -> Awaitable[Any]:
        return self.asend(None)

    def asend(self, value: Any) -> Awaitable[Any]:
        """As the generator's own; its first step is taken without the event loop's knowledge."""
        if self._begun:
            return self._source.asend(value)  # type: ignore[no-any-return]
        self._begun = True
        return begin(self._source)

    def athrow(self, error: BaseException) -> Awaitable[Any]:
        """As the generator's own."""
        return self._source.athrow(error)  # type: ignore[no-any-return]

    def aclose(self) -> Awaitable[None]:
        """Close the generator."""
        return aclose(self._source)

    async def __aenter__(self) -> AsyncIterator[Any]:
        return self if isinstance(self._source, AsyncGeneratorType) else self._source

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await aclose(self._source)
