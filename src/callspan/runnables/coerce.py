"""Making blocks of what stands beside a `|`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from callspan.errors import ConfigurationError
from callspan.runnables.base import Runnable


def as_runnable(value: Any) -> Any:
    """Return a block: the value itself, or one made of a function or a dict.

    Another library's runnable is used as it is, if it has all the methods.

    Raises:
        ConfigurationError: It is none of these.
    """
    from callspan.runnables.function import RunnableLambda
    from callspan.runnables.generator import RunnableGenerator
    from callspan.runnables.parallel import RunnableParallel

    if isinstance(value, Runnable):
        return value
    if hasattr(value, "invoke"):
        whole = all(hasattr(value, name) for name in ("ainvoke", "transform", "atransform"))
        return value if whole else RunnableLambda(value.invoke, name=type(value).__name__)
    if isinstance(value, Mapping):
        return RunnableParallel(value)
    if inspect.isgeneratorfunction(value) or inspect.isasyncgenfunction(value):
        return RunnableGenerator(value)
    if callable(value):
        return RunnableLambda(value)
    raise ConfigurationError(
        f"a sequence is made of runnables, functions and dicts of them, not {type(value).__name__}"
    )
