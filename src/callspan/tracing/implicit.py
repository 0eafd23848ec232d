"""The handler that hears every run of the program, as long as there is an SDK to export to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from opentelemetry.context import get_current

from callspan.callbacks.ambient import register_implicit_handler
from callspan.tracing.handler import OTelCallbackHandler


class Implicit:
    """Which handler that is: `configure` sets its own."""

    def __init__(self) -> None:
        self.handler = OTelCallbackHandler()
        self.handler.implicit = True

    def find(self, present: Sequence[Any]) -> OTelCallbackHandler | None:
        """Return the handler, unless it is present or there is nothing to trace to."""
        handler = self.handler
        for one in present:
            if one is handler:
                return None
        return handler if handler.would_trace(get_current()) else None


implicit: Final = Implicit()
register_implicit_handler(implicit.find)
