"""Caches of what models answered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from typing_extensions import Self

from callspan._fork import Lock
from callspan.callbacks.options import check
from callspan.errors import ConfigurationError
from callspan.outputs import Generation
from callspan.runnables.aside import in_thread

__all__ = ["BaseCache", "InMemoryCache", "get_llm_cache", "set_llm_cache"]


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
