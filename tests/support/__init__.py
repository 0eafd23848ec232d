"""What the tests share."""

from .depth import without_tracer
from .handlers import FIRED, METHODS, Events, afire, fire, parameters, recording
from .spans import (
    Forbidden,
    SpanLog,
    current,
    global_provider,
    label,
    logged_provider,
    set_global_provider,
)

__all__ = [
    "FIRED",
    "METHODS",
    "Events",
    "Forbidden",
    "SpanLog",
    "afire",
    "current",
    "fire",
    "global_provider",
    "label",
    "logged_provider",
    "parameters",
    "recording",
    "set_global_provider",
    "without_tracer",
]
