"""The SDK's clients of a model."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
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
    has a client of its own.
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
        return self._get(Anthropic, None, options)

    def of_running_loop(self, options: Mapping[str, Any]) -> AsyncAnthropic:
        """Return the async client with these options for the running event loop.

        Raises:
            ConfigurationError: There is no API key.
        """
        return self._get(AsyncAnthropic, asyncio.get_running_loop(), options)

    def _get(
        self,
        cls: type[_Client],
        loop: asyncio.AbstractEventLoop | None,
        options: Mapping[str, Any],
    ) -> _Client:
        key = loop, *options.items()
        if key not in self._kept:
            client = _checked(cls(**options, **_without_spans(cls)))
            usable = {k: c for k, c in self._kept.items() if k[0] is None or not k[0].is_closed()}
            self._kept = {**usable, key: client}
            return client
        kept: _Client = self._kept[key]
        return kept


def _without_spans(cls: type[Any]) -> dict[str, Any]:
    """The option that keeps the SDK, if it can, from a second span beside the run's."""
    able = "open_telemetry" in inspect.signature(cls).parameters
    return {"open_telemetry": False} if able else {}


def _checked(client: _Client) -> _Client:
    headers = {name.lower() for name in client.default_headers}
    known = getattr(client, "credentials", None) is not None
    if not known and headers.isdisjoint({"authorization", "x-api-key"}):
        raise ConfigurationError(
            "there is no API key for Anthropic: set ANTHROPIC_API_KEY, or give "
            "ChatAnthropic(api_key=...)"
        )
    return client
