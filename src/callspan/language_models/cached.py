"""Looking a model's answers up in a cache, whose faults are never the caller's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from pydantic_core import to_json

from callspan.caches import BaseCache, get_llm_cache
from callspan.errors import ConfigurationError
from callspan.messages import BaseMessage
from callspan.outputs import Generation
from callspan.runnables.io import IO, SYNC

log = logging.getLogger("callspan")
_WARNED: set[tuple[str, str, type]] = set()


def cache_of(own: BaseCache | bool | None) -> BaseCache | None:
    """Return the cache that a model uses whose field `cache` is `own`.

    Raises:
        ConfigurationError: The model wants the cache of the process, and there is none.
    """
    if isinstance(own, BaseCache):
        return own
    found = None if own is False else get_llm_cache()
    if own and found is None:
        raise ConfigurationError(
            "cache=True uses the cache of the process, and there is none: call "
            "set_llm_cache(InMemoryCache()), or pass a cache to the model"
        )
    return found


def settings_of(model: Any, kwargs: dict[str, Any]) -> str:
    """Return what the answers of a model depend on beside the prompt."""
    cls = type(model)
    # A class that does not say what identifies a call may differ in any of its fields.
    params = model._identifying_params or model.model_dump(warnings=False)
    settings = [f"{cls.__module__}.{cls.__qualname__}", *sorted({**params, **kwargs}.items())]
    return _as_json(settings)


def as_text(prompt: str | list[BaseMessage]) -> str:
    """Return a prompt as a cache knows it."""
    if isinstance(prompt, str):
        return prompt
    return _as_json([message.model_dump(exclude={"id"}, warnings=False) for message in prompt])


def _as_json(value: Any) -> str:
    """A part of a key: what JSON has no form for, as Python shows it."""
    return to_json(value, bytes_mode="base64", fallback=repr).decode()


async def look_up(
    io: IO, cache: BaseCache, key: tuple[str, str], own: Callable[[list[Any]], list[Any]]
) -> list[Any] | None:
    """Return copies of the answers to a prompt, changed by `own`; None if there are none."""
    try:
        found = await io.done((cache.lookup if io is SYNC else cache.alookup)(*key))
        return own(_copies(found)) if found else None
    except Exception as error:
        _warn_once(cache, "lookup", error)
        return None


async def update(
    io: IO, cache: BaseCache, key: tuple[str, str], answers: Sequence[Generation]
) -> None:
    """Keep the answers to a prompt as they are now."""
    try:
        await io.done((cache.update if io is SYNC else cache.aupdate)(*key, _copies(answers)))
    except Exception as error:
        _warn_once(cache, "update", error)


def _copies(answers: Sequence[Generation]) -> list[Generation]:
    return [one.model_copy(deep=True) for one in answers]


def _warn_once(cache: BaseCache, operation: str, error: Exception) -> None:
    fault = (type(cache).__name__, operation, type(error))
    if fault not in _WARNED:
        _WARNED.add(fault)
        log.warning("%s.%s fails, models do without: %r", fault[0], operation, error)
