"""Printing the progress of chains, tools and agents to standard output."""

from __future__ import annotations

from callspan.callbacks._print import PrintingHandler, bold, write


class StdOutCallbackHandler(PrintingHandler):
    """Prints chains as they start and end, what agents say and what tools return.

    The output has ANSI colours, to a terminal and to a pipe alike.

    Args:
        color: The colour of texts whose event names none: blue, yellow, pink, green or red.

    Raises:
        ConfigurationError: if there is no such colour.
    """

    def _write(self, text: str) -> None:
        write(text)

    def _heading(self, text: str) -> str:
        return bold(text)
