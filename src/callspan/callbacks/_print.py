"""What the handlers that print share: ANSI colours, and which events have a text to show."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

from callspan.callbacks.handlers import BaseCallbackHandler
from callspan.errors import ConfigurationError

if TYPE_CHECKING:
    from callspan.outputs import AgentAction, AgentFinish

COLORS: Final = {
    "blue": "36;1",
    "yellow": "33;1",
    "pink": "38;5;200",
    "green": "32;1",
    "red": "31;1",
}
"""The SGR parameters of each colour, the same ones as langchain_core's."""


def colored(text: str, color: str | None) -> str:
    """Return `text` bold, italic and in `color`; as it is where `color` is None."""
    if not color:
        return text
    return f"\033[{COLORS[check_color(color)]}m\033[1;3m{text}\033[0m"


def bold(text: str) -> str:
    """Return `text` in bold."""
    return f"\033[1m{text}\033[0m"


def check_color(color: str) -> str:
    """Return `color`.

    Raises:
        ConfigurationError: if there is no such colour.
    """
    if color not in COLORS:
        raise ConfigurationError(f"no color {color!r}: choose one of {', '.join(COLORS)}")
    return color


def write(text: str, stream: TextIO | None = None) -> None:
    """Write `text` in one piece, so that threads do not mix their lines, and flush it.

    Args:
        text: What the stream's encoding has no character for is written as an escape.
        stream: Standard output unless given, as it is at the moment of the call.
    """
    stream = stream or sys.stdout
    if stream is None:  # a process without a console
        return
    try:
        stream.write(text)
    except UnicodeEncodeError as error:
        stream.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))
    stream.flush()


class PrintingHandler(BaseCallbackHandler):
    """Shows the events of chains, tools and agents that have a text to show.

    Args:
        color: The colour of texts whose event names none.

    Raises:
        ConfigurationError: if there is no such colour.
    """

    colors_observations = True
    """Whether what tools return is shown in the handler's colour."""

    def __init__(self, color: str | None = None) -> None:
        self.color = color and check_color(color)

    def _write(self, text: str) -> None:
        """Write `text` to where this handler prints."""
        raise NotImplementedError

    def _heading(self, text: str) -> str:
        """Return `text` as a chain's start and end are shown."""
        return text

    def on_chain_start(
        self, serialized: dict[str, Any], inputs: dict[str, Any], **kwargs: Any
    ) -> None:
        """Print that a chain starts, with its name."""
        name = kwargs.get("name") or run_name(serialized) or "<unknown>"
        self._write(f"\n\n{self._heading(f'> Entering new {name} chain...')}\n")

    def on_chain_end(self, outputs: dict[str, Any], **kwargs: Any) -> None:
        """Print that a chain has finished."""
        self._write(f"\n{self._heading('> Finished chain.')}\n")

    def on_agent_action(self, action: AgentAction, color: str | None = None, **kwargs: Any) -> None:
        """Print what the agent said as it decided on a tool."""
        self._write(colored(action.log, color or self.color))

    def on_agent_finish(self, finish: AgentFinish, color: str | None = None, **kwargs: Any) -> None:
        """Print what the agent said as it finished."""
        self._write(f"{colored(finish.log, color or self.color)}\n")

    def on_tool_end(
        self,
        output: Any,
        color: str | None = None,
        observation_prefix: str | None = None,
        llm_prefix: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Print what the tool returned, between the two prefixes where they are given."""
        before = "" if observation_prefix is None else f"\n{observation_prefix}"
        after = "" if llm_prefix is None else f"\n{llm_prefix}"
        color = (color or self.color) if self.colors_observations else None
        self._write(f"{before}{colored(str(output), color)}{after}")

    def on_text(self, text: str, color: str | None = None, end: str = "", **kwargs: Any) -> None:
        """Print `text`, and `end` after it."""
        self._write(f"{colored(text, color or self.color)}{end}")


def run_name(serialized: dict[str, Any] | None) -> Any:
    """Return the name in what describes an object that runs; None where there is none."""
    if not serialized:
        return None
    return serialized.get("name") or (serialized.get("id") or [None])[-1]
