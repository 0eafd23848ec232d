"""Adding up the chunks of a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from callspan.callbacks.owned import Owned
from callspan.messages import BaseMessageChunk


class AddableDict(dict[str, Any]):
    """A dict that is added to another one key by key."""

    def __add__(self, other: dict[str, Any]) -> AddableDict:
        """Return both, with the values of common keys added."""
        total = AddableDict(self)
        for key, value in other.items():
            before = total.get(key)
            total[key] = value if before is None else before if value is None else before + value
        return total

    def __radd__(self, other: dict[str, Any]) -> AddableDict:
        return AddableDict(other) + self


class Total:
    """The sum of a stream's chunks; the last chunk, where they cannot be added."""

    def __init__(self) -> None:
        self._chunks: list[Any] = []

    def add(self, chunk: Any) -> None:
        """Take one chunk in."""
        chunks = self._chunks
        chunks.append(chunk)
        # Texts and messages are added at the end, all at once; others may be many and large.
        if len(chunks) > 1 and not isinstance(chunk, str | BaseMessageChunk):
            chunks[:] = [_added(chunks)]

    @property
    def empty(self) -> bool:
        """Whether there was no chunk."""
        return not self._chunks

    def value(self) -> Any:
        """Return the sum; None if there was no chunk."""
        return _added(self._chunks) if self._chunks else None


async def total_of(source: AsyncIterator[Any]) -> Total:
    """Return the total of a whole stream, and close it."""
    total = Total()
    async with Owned(source) as chunks:
        async for chunk in chunks:
            total.add(chunk)
    return total


def _added(chunks: list[Any]) -> Any:
    first, *rest = chunks
    try:
        if isinstance(first, BaseMessageChunk) and rest:
            return first + rest
        if isinstance(first, str):
            return "".join(chunks)
        for chunk in rest:
            first = first + chunk
    except Exception:  # what + does is the chunk's affair: a stream need not be a sum
        return chunks[-1]
    return first
