"""Caches of what models answered, and their use, whose faults are never the caller's."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from pydantic_core import to_json
from typing_extensions import Self

from callspan._fork import Lock
from callspan._options import check
from callspan.errors import ConfigurationError
from callspan.messages import BaseMessage
from callspan.outputs import Generation
from callspan.runnables.aside import in_thread
from callspan.runnables.io import IO, SYNC

__all__ = ["BaseCache", "InMemoryCache", "get_llm_cache", "set_llm_cache"]

log = logging.getLogger("callspan")
_WARNED: set[tuple[str, str, type]] = set()


class BaseCache(ABC):
    """Keeps what models answered: a class of one's own has `lookup`, `update` and `clear`.

    Async callers have these run in a thread, unless the class has `alookup` and so on.
    """

    @abstractmethod
    def lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        """Return the answers to a prompt, best first, or None.

        Args:
            prompt: The prompt; of a chat model, the messages as JSON.
            llm_string: The model's class and settings, and the call's further arguments.
        """

    @abstractmethod
    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Keep the answers to a prompt; arguments as for `lookup`."""

    @abstractmethod
    def clear(self, **kwargs: Any) -> None:
        """Forget everything."""

    async def alookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        """As `lookup`, awaited."""
        return await in_thread(self.lookup, prompt, llm_string)

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """As `update`, awaited."""
        await in_thread(self.update, prompt, llm_string, return_val)

    async def aclear(self, **kwargs: Any) -> None:
        """As `clear`, awaited."""
        await in_thread(self.clear, **kwargs)


class InMemoryCache(BaseCache):
    """Keeps answers in this process.

    Args:
        maxsize: The most prompts to keep: beyond that the oldest are forgotten. None: all.

    Raises:
        ConfigurationError: `maxsize` is no positive number.
    """

    def __init__(self, *, maxsize: int | None = None) -> None:
        check({"maxsize": maxsize})
        self._maxsize = maxsize
        self._kept: dict[tuple[str, str], Sequence[Generation]] = {}
        self._lock = Lock()

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        """Return the answers to a prompt, or None."""
        return self._kept.get((prompt, llm_string))

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Keep the answers to a prompt."""
        with self._lock:
            self._kept[prompt, llm_string] = return_val
            if self._maxsize is not None and len(self._kept) > self._maxsize:
                del self._kept[next(iter(self._kept))]

    def clear(self, **kwargs: Any) -> None:
        """Forget everything."""
        self._kept = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # A copy of a model shares its cache, whose lock cannot be copied.
        return self

    async def alookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        """As `lookup`: it does not wait."""
        return self.lookup(prompt, llm_string)

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """As `update`: it does not wait."""
        self.update(prompt, llm_string, return_val)


_of_the_process: BaseCache | None = None


def set_llm_cache(value: BaseCache | None) -> None:
    """Set the cache of all models whose own `cache` is None or True; None: no cache.

    Raises:
        ConfigurationError: It is no cache.
    """
    global _of_the_process
    if value is not None and not isinstance(value, BaseCache):
        raise ConfigurationError(f"set_llm_cache takes a cache or None, not {value!r}")
    _of_the_process = value


def get_llm_cache() -> BaseCache | None:
    """Return the cache that `set_llm_cache` set."""
    return _of_the_process


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
