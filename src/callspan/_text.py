"""Showing any value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def as_text(value: Any, convert: Callable[[Any], str] = str) -> str:
    """Return `convert(value)`; its class, where a value cannot be printed: that is no failure."""
    try:
        return convert(value)
    except Exception:
        return f"<{type(value).__name__} that cannot be printed>"
