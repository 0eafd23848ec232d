"""Switching tracing off for a block of code."""

from __future__ import annotations

from typing import Final

from opentelemetry.context import (
    _SUPPRESS_INSTRUMENTATION_KEY,  # what suppress_instrumentation of OpenTelemetry sets
    Context,
    get_current,
)

from callspan.callbacks.activate import Activation

_KEY: Final = _SUPPRESS_INSTRUMENTATION_KEY
_PLAIN_KEY: Final = "suppress_instrumentation"
"""Instrumentations set, and look for, the plain name as well."""


def suppress_tracing() -> Activation[None]:
    """Make no spans inside a `with` block, neither callspan nor any instrumentation.

    Handlers other than OTelCallbackHandler are told as ever. It also decorates functions and
    coroutine functions, but no generators.
    """
    return Activation(None, lambda: Context({**get_current(), _KEY: True, _PLAIN_KEY: True}))


def is_suppressed(context: Context) -> bool:
    """Whether somebody has switched tracing off in `context`."""
    return bool(context.get(_KEY) or context.get(_PLAIN_KEY))
