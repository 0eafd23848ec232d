"""The SDK's clients of a model."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from callspan._fork import after_fork


class Clients:
    """Makes clients when they are first used, and keeps them, and so their connections.

    Connections of an async client belong to the event loop in which they were opened: each loop
    has a client of its own, which is closed with the loop. So has each forked process.

    Args:
        make: Makes a client of the options it is given as keywords.
        make_async: Makes an async one.
    """

    def __init__(self, make: Callable[..., Any], make_async: Callable[..., Any]) -> None:
        self._makers = make, make_async
        self._kept: dict[Any, Any] = {}
        after_fork(self._begin_anew)

    def __reduce__(self) -> tuple[Any, ...]:
        return Clients, self._makers  # connections can be neither copied nor pickled; models can

    def sync(self, options: Mapping[str, Any]) -> Any:
        """Return the client with these options."""
        key = _key(options)
        if key not in self._kept:
            self._kept[key] = client = self._makers[0](**options)
            weakref.finalize(self, client.close)  # in a cycle, its sockets might be collected first
        return self._kept[key]

    async def of_running_loop(self, options: Mapping[str, Any]) -> Any:
        """Return the async client with these options for the running event loop."""
        key = (asyncio.get_running_loop(), _key(options))
        if key not in self._kept:
            client = self._makers[1](**options)
            lasting = self._lasting(key, client)
            await anext(lasting)
            self._kept[key] = client, lasting
        return self._kept[key][0]

    def _begin_anew(self) -> None:
        # Both processes would write to the same sockets. Async clients stay with the parent's loop.
        self._kept = {key: kept for key, kept in self._kept.items() if isinstance(kept, tuple)}

    async def _lasting(self, key: Any, client: Any) -> AsyncGenerator[None, None]:
        # An event loop that is about to close closes the async generators that began in it.
        try:
            yield
        finally:
            self._kept.pop(key, None)
            await client.close()


def _key(options: Mapping[str, Any]) -> Any:
    return tuple(
        (name, tuple(value.items()) if isinstance(value, Mapping) else value)
        for name, value in options.items()
    )
