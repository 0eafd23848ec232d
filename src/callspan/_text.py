"""Values and mistakes, told in a few words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError


def as_text(value: Any, convert: Callable[[Any], str] = str) -> str:
    """Return `convert(value)`; its class, where a value cannot be printed: that is no failure."""
    try:
        return convert(value)
    except Exception:
        return f"<{type(value).__name__} that cannot be printed>"


def describe(error: ValidationError) -> str:
    """Return what is wrong and where, without the values themselves."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    parts = ((".".join(map(str, one["loc"])), one["msg"]) for one in details)
    return "; ".join(": ".join(filter(None, part)) for part in parts)
