"""OpenAI's SDK: the clients of a model."""

from __future__ import annotations

from functools import partial
from typing import Any

from callspan._sdk.clients import Clients
from callspan.errors import ConfigurationError, MissingDependencyError

try:
    from openai import AsyncOpenAI, OpenAI, OpenAIError
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        f"ChatOpenAI needs OpenAI's SDK ({error}): pip install 'callspan[openai]'"
    ) from error


def clients() -> Clients:
    """Return what makes and keeps a model's clients; it raises ConfigurationError without a key."""
    return Clients(partial(_made, OpenAI), partial(_made, AsyncOpenAI))


def _made(cls: Any, **options: Any) -> Any:
    try:
        client = cls(**options)
    except OpenAIError as error:  # which lists ways to authenticate that callspan has no part in
        raise _no_key() from error
    if not client.api_key:
        raise _no_key()
    return client


def _no_key() -> ConfigurationError:
    return ConfigurationError(
        "there is no API key for OpenAI: set OPENAI_API_KEY, or give ChatOpenAI(api_key=...); "
        "a server of your own that wants none takes any text"
    )
