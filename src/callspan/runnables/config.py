"""What a caller can say about one run: the config."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast
from uuid import UUID

from typing_extensions import TypedDict

from callspan._options import check
from callspan.callbacks.base_manager import BaseCallbackManager, merge_callbacks
from callspan.callbacks.managers import Callbacks
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


Config: TypeAlias = RunnableConfig | None


class ExponentialJitterParams(TypedDict, total=False):
    """How long to wait before an attempt: `initial * exp_base ** failures + random(0, jitter)`.

    Attributes:
        initial: Seconds before the second attempt; 1 by default.
        max: The most seconds to wait; no limit by default.
        exp_base: What each further wait is multiplied by; 2 by default.
        jitter: The most seconds of chance to add; 1 by default.
    """

    initial: float
    max: float
    exp_base: float
    jitter: float


RetryIf: TypeAlias = tuple[type[BaseException], ...] | Callable[[BaseException], bool]
"""Exceptions after which to try again, or a function that tells of one."""

_KEYS: Final = RunnableConfig.__annotations__.keys()
_EMPTY: Final[RunnableConfig] = {}


def checked(
    config: RunnableConfig | dict[str, Any] | None, kwargs: dict[str, Any] | None = None
) -> RunnableConfig:
    """Return the config, or an empty one, that is not to be changed.

    Args:
        config: The config of a call.
        kwargs: The call's further arguments, among which nobody would hear of callbacks.

    Raises:
        ConfigurationError: It is no dict, a key is misspelt, or a value is of the wrong type; or
            callbacks were given beside it.
    """
    if kwargs and "callbacks" in kwargs:
        raise ConfigurationError(
            "callbacks are part of the config: invoke(input, {'callbacks': [handler]})"
        )
    if not config:
        return _EMPTY
    if not isinstance(config, dict):
        raise ConfigurationError(
            f"config takes a dict such as {{'callbacks': [handler]}}, not {type(config).__name__}"
        )
    if len(config) == 1 and isinstance(config.get("callbacks"), BaseCallbackManager):
        return cast("RunnableConfig", config)  # what a block passes to its parts
    check(config)
    for key in config.keys() - _KEYS:
        for meant in difflib.get_close_matches(str(key), _KEYS, 1, 0.8):
            raise ConfigurationError(f"a config has no key {key!r}: {meant!r} is meant")
    return cast("RunnableConfig", config)


def ensure_config(config: Config = None) -> RunnableConfig:
    """Return a copy of a config that has `tags`, `metadata`, `callbacks` and so on.

    Keys that are not a config's move into `configurable`.

    Raises:
        ConfigurationError: It is no dict, a key is misspelt, or a value is of the wrong type.
    """
    adding_up: Any = {"tags": [], "metadata": {}, "configurable": {}}
    given: Any = merge_configs(adding_up, config)
    whole = {"callbacks": None, "recursion_limit": DEFAULT_RECURSION_LIMIT, **given}
    for key in whole.keys() - _KEYS:
        whole["configurable"][key] = whole.pop(key)
    return cast("RunnableConfig", whole)


def config_for_function(run: BaseRunManager, config: RunnableConfig) -> RunnableConfig:
    """Return the config that a function gets which asks for one: its calls are parts of its run."""
    whole = ensure_config(config)
    whole.pop("run_name", None)
    whole.pop("run_id", None)
    whole["callbacks"] = run.get_child()  # type: ignore[attr-defined]
    whole["tags"], whole["metadata"] = list(run.inheritable_tags), dict(run.inheritable_metadata)
    return whole


GIVEN: Final[dict[str, Callable[[Any, RunnableConfig], Any]]] = {
    "run_manager": lambda run, config: run,
    "callbacks": lambda run, config: run.get_child(),
    "config": config_for_function,
}
"""What functions are given by the names of their parameters, of their run and its config."""


def merge_configs(*configs: RunnableConfig | dict[str, Any] | None) -> RunnableConfig:
    """Put configs together: tags, metadata, configurable and callbacks add up.

    Args:
        configs: Of other keys, later ones win.
    """
    merged: dict[str, Any] = {}
    for config in configs:
        for key, value in checked(config).items():
            if value is not None:
                add = _ADD.get(key) if key in merged else None
                merged[key] = add(merged[key], value) if add else value
    return cast("RunnableConfig", merged)


_ADD: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "callbacks": merge_callbacks,
    "tags": lambda first, second: list(dict.fromkeys([*first, *second])),
    "metadata": lambda first, second: {**first, **second},
    "configurable": lambda first, second: {**first, **second},
}
