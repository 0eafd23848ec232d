"""Switching tracing off for a block of code."""

from __future__ import annotations

from typing import Final

from opentelemetry.context import (
    _SUPPRESS_INSTRUMENTATION_KEY,  # what suppress_instrumentation of OpenTelemetry sets
    Context,
    get_current,
)

from callspan.callbacks.activate import Activation

# Instrumentations set, and look for, the plain name as well.
_KEYS: Final = (_SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation")


def suppress_tracing() -> Activation[None]:
    """Make no spans inside a `with` block, neither callspan nor any instrumentation.

    Handlers other than OTelCallbackHandler are told as ever.
    """
    return Activation(None, lambda: Context({**get_current(), **dict.fromkeys(_KEYS, True)}))


def is_suppressed(context: Context) -> bool:
    """Whether somebody has switched tracing off in `context`."""
    return bool(context.get(_KEYS[0]) or context.get(_KEYS[1]))
