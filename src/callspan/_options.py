"""What the arguments take that are checked by name: tags, metadata, names, limits, exceptions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from callspan._model import is_model
from callspan.errors import ConfigurationError


def _is(*types: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, types)


def _positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)


def _exceptions(value: Any) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(one, type) and issubclass(one, BaseException) for one in value
    )


def _jitter(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and value.keys() <= {"initial", "max", "exp_base", "jitter"}
        and all(isinstance(one, int | float) and one >= 0 for one in value.values())
    )


_COUNT: Final = "a positive whole number"
_ERRORS: Final = "a tuple of exception classes such as (TimeoutError,)"
_TAKES: Final[dict[str, tuple[str, Callable[[Any], bool]]]] = {
    "tags": ("a list of strings", _texts),
    "metadata": ("a dict", _is(Mapping)),
    "configurable": ("a dict", _is(Mapping)),
    "run_name": ("a string", _is(str)),
    "run_id": ("a UUID, such as uuid4() returns", _is(UUID)),
    "parent_run_id": ("the UUID of a run", _is(UUID)),
    "group_name": ("a string", _is(str)),
    "max_concurrency": (_COUNT, _positive),
    "recursion_limit": ("a whole number", _is(int)),
    "max_steps": (_COUNT, _positive),
    "n_messages": (_COUNT, _positive),
    "maxsize": (_COUNT, _positive),
    "stop_after_attempt": (_COUNT, _positive),
    "retry_if_exception_type": (_ERRORS, _exceptions),
    "exponential_jitter_params": (
        "a dict of numbers by the names initial, max, exp_base, jitter",
        _jitter,
    ),
    "variable_name": ("a string", _is(str)),
    "RunnableParallel": ("a dict of blocks by key", _is(Mapping)),
    "pydantic_object": ("a pydantic model", is_model),
    "with_fallbacks": ("a list of blocks", _is(list, tuple)),
    "exceptions_to_handle": (_ERRORS, _exceptions),
    "exception_key": ("a string", _is(str)),
    "inherit": ("True or False", _is(bool)),
}
_NEEDED: Final = (
    "group_name",
    "max_steps",
    "variable_name",
    "with_fallbacks",
    "stop_after_attempt",
    "retry_if_exception_type",
    "exceptions_to_handle",
    "inherit",
)


def check(options: Mapping[str, Any]) -> None:
    """Check the options that stand in the table above; None will do for most of them.

    Raises:
        ConfigurationError: One of them is of the wrong type, or out of range.
    """
    for name, value in options.items():
        if name in _TAKES and (value is not None or name in _NEEDED):
            what, fits = _TAKES[name]
            if not fits(value):
                raise ConfigurationError(f"{name} takes {what}, not {value!r}")
