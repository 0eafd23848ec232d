"""Anthropic's SDK: the clients of a model."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

from callspan._sdk.clients import Clients
from callspan.errors import ConfigurationError, MissingDependencyError

try:
    from anthropic import Anthropic, AsyncAnthropic
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        f"ChatAnthropic needs Anthropic's SDK ({error}): pip install 'callspan[anthropic]'"
    ) from error


def clients() -> Clients:
    """Return what makes and keeps a model's clients; it raises ConfigurationError without a key."""
    return Clients(partial(_made, Anthropic), partial(_made, AsyncAnthropic))


def _made(cls: Any, **options: Any) -> Any:
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
