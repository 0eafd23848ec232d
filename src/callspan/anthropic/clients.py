"""The SDK's clients of a model."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, TypeVar

from callspan.errors import ConfigurationError, MissingDependencyError

try:
    from anthropic import Anthropic, AsyncAnthropic
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        f"ChatAnthropic needs Anthropic's SDK ({error}): pip install callspan[anthropic]"
    ) from error

_Client = TypeVar("_Client", Anthropic, AsyncAnthropic)


class Clients:
    """Makes clients when they are first used, and keeps them, and so their connections.

    Connections of an async client belong to the event loop in which they were opened: each loop
    has a client of its own, which is closed with the loop.
    """

    def __init__(self) -> None:
        self._kept: dict[Any, Any] = {}

    def __reduce__(self) -> tuple[type[Clients], tuple[()]]:
        return Clients, ()  # connections can be neither copied nor pickled; models can

    def sync(self, options: Mapping[str, Any]) -> Anthropic:
        """Return the client with these options.

        Raises:
            ConfigurationError: There is no API key.
        """
        key = tuple(options.items())
        if key not in self._kept:
            self._kept[key] = client = _made(Anthropic, options)
            weakref.finalize(self, client.close)  # in a cycle, its sockets might be collected first
        return self._kept[key]  # type: ignore[no-any-return]

    async def of_running_loop(self, options: Mapping[str, Any]) -> AsyncAnthropic:
        """Return the async client with these options for the running event loop.

        Raises:
            ConfigurationError: There is no API key.
        """
        key = (asyncio.get_running_loop(), *options.items())
        if key not in self._kept:
            client = _made(AsyncAnthropic, options)
            lasting = self._lasting(key, client)
            await anext(lasting)
            self._kept[key] = client, lasting
        return self._kept[key][0]  # type: ignore[no-any-return]

    async def _lasting(self, key: Any, client: AsyncAnthropic) -> AsyncGenerator[None, None]:
        # An event loop that is about to close closes the async generators that began in it.
        try:
            yield
        finally:
            self._kept.pop(key, None)
            await client.close()


def _made(cls: Callable[..., _Client], options: Mapping[str, Any]) -> _Client:
    # An SDK that makes spans itself is kept from it: the run's span stands for the call.
    able = "open_telemetry" in inspect.signature(cls).parameters
    client = cls(**options, **({"open_telemetry": False} if able else {}))
    headers = {name.lower() for name in client.default_headers}
    others = getattr(client, "credentials", None)
    if others is None and headers.isdisjoint({"authorization", "x-api-key"}):
        raise ConfigurationError(
            "there is no API key for Anthropic: set ANTHROPIC_API_KEY, or give "
            "ChatAnthropic(api_key=...)"
        )
    return client
