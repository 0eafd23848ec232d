"""Printing a model's tokens to standard output as they arrive."""

from __future__ import annotations

from typing import Any

from callspan.callbacks._print import write
from callspan.callbacks.handlers import BaseCallbackHandler


class StreamingStdOutCallbackHandler(BaseCallbackHandler):
    """Prints every token of a model that streams, at once and with nothing around it."""

    def on_llm_new_token(self, token: str | list[str | dict[str, Any]], **kwargs: Any) -> None:
        """Print `token`."""
        write(str(token))
