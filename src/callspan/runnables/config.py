"""What a caller can say about one run: the config."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Sequence
from typing import Any, Final, cast
from uuid import UUID

from typing_extensions import TypedDict

from callspan.callbacks.base_manager import BaseCallbackManager
from callspan.callbacks.managers import Callbacks
from callspan.callbacks.options import check
from callspan.callbacks.run_managers import BaseRunManager
from callspan.errors import ConfigurationError

DEFAULT_RECURSION_LIMIT: Final = 25


class RunnableConfig(TypedDict, total=False):
    """What to do with one run; every key may be missing or None.

    Attributes:
        tags: Tags of the run and its descendants.
        metadata: Metadata of the run and its descendants.
        callbacks: Who hears the run and its descendants.
        run_name: The run's name, instead of the block's.
        max_concurrency: How many calls a batch or a parallel block makes at a time.
        recursion_limit: How many times functions may return a runnable that is then invoked.
        configurable: Values for functions that take the config.
        run_id: The run's id.
    """

    tags: list[str]
    metadata: dict[str, Any]
    callbacks: Callbacks
    run_name: str | None
    max_concurrency: int | None
    recursion_limit: int
    configurable: dict[str, Any]
    run_id: UUID | None


_KEYS: Final = RunnableConfig.__annotations__.keys()
_EMPTY: Final[RunnableConfig] = {}


def checked(config: RunnableConfig | dict[str, Any] | None) -> RunnableConfig:
    """Return the config, or an empty one, that is not to be changed.

    Raises:
        ConfigurationError: It is no dict, a key is misspelt, or a value is of the wrong type.
    """
    if not config:
        return _EMPTY
    if not isinstance(config, dict):
        raise ConfigurationError(
            f"config takes a dict such as {{'callbacks': [handler]}}, not {type(config).__name__}"
        )
    check(config)
    for key in config.keys() - _KEYS:
        for meant in difflib.get_close_matches(str(key), _KEYS, 1, 0.8):
            raise ConfigurationError(f"a config has no key {key!r}: {meant!r} is meant")
    return cast("RunnableConfig", config)


def ensure_config(config: RunnableConfig | None = None) -> RunnableConfig:
    """Return a copy of a config that has `tags`, `metadata`, `callbacks` and so on.

    Keys that are not a config's move into `configurable`.

    Raises:
        ConfigurationError: It is no dict, a key is misspelt, or a value is of the wrong type.
    """
    given: dict[str, Any] = {k: v for k, v in checked(config).items() if v is not None}
    known = {key: value for key, value in given.items() if key in _KEYS}
    unknown = {key: value for key, value in given.items() if key not in _KEYS}
    return cast(
        "RunnableConfig",
        {
            "callbacks": None,
            "recursion_limit": DEFAULT_RECURSION_LIMIT,
            **known,
            "tags": list(given.get("tags", ())),
            "metadata": dict(given.get("metadata", {})),
            "configurable": {**given.get("configurable", {}), **unknown},
        },
    )


def config_for_function(run: BaseRunManager, config: RunnableConfig) -> RunnableConfig:
    """Return the config that a function gets which asks for one: its calls are parts of its run."""
    whole = ensure_config(config)
    whole.pop("run_name", None)
    whole.pop("run_id", None)
    whole["callbacks"] = run.get_child()  # type: ignore[attr-defined]
    whole["tags"], whole["metadata"] = list(run.inheritable_tags), dict(run.inheritable_metadata)
    return whole


def config_list(
    config: RunnableConfig | Sequence[RunnableConfig] | None, length: int
) -> list[RunnableConfig]:
    """Return a config for each item of a batch.

    Args:
        config: One for all, or a list of them.
        length: How many items there are.

    Raises:
        ConfigurationError: There are more or fewer configs than items, or one is wrong.
    """
    if isinstance(config, Sequence):
        if len(config) != length:
            raise ConfigurationError(
                f"a batch takes one config, or one for each input: "
                f"got {len(config)} for {length} inputs"
            )
        return [checked(one) for one in config]
    first = checked(config)
    rest = first
    if length > 1 and first.get("run_id") is not None:
        message = "run_id is used for the first item of a batch only"
        warnings.warn(message, RuntimeWarning, stacklevel=4)
        rest = cast("RunnableConfig", {k: v for k, v in first.items() if k != "run_id"})
    return [rest if place else first for place in range(length)]


def merge_configs(*configs: RunnableConfig | dict[str, Any] | None) -> RunnableConfig:
    """Put configs together: tags, metadata, configurable and callbacks add up, other keys replace.

    Args:
        configs: Later ones win.
    """
    merged: dict[str, Any] = {}
    for config in configs:
        for key, value in checked(config).items():
            before = merged.get(key)
            if before is None or value is None:
                merged[key] = before if value is None else value
            elif key == "callbacks":
                merged[key] = _merged_callbacks(before, value)
            elif key == "tags":
                merged[key] = list(dict.fromkeys([*before, *value]))  # type: ignore[misc]
            elif key in ("metadata", "configurable"):
                merged[key] = {**before, **value}  # type: ignore[dict-item]
            else:
                merged[key] = value
    return cast("RunnableConfig", merged)


def _merged_callbacks(first: Any, second: Any) -> Any:
    if isinstance(first, BaseCallbackManager) and isinstance(second, BaseCallbackManager):
        return first.merge(second)
    manager, handlers = (
        (first, second) if isinstance(first, BaseCallbackManager) else (second, first)
    )
    if not isinstance(manager, BaseCallbackManager):
        return [*first, *second]
    manager = manager.copy()
    for handler in handlers:
        manager.add_handler(handler)
    return manager
