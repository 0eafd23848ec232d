"""Which tools a model is to call, in the words that all vendors' models take."""

from __future__ import annotations

from collections.abc import Sequence

from callspan.errors import ConfigurationError


def kind_of_choice(choice: str | bool, named: Sequence[str]) -> str:
    """Return what a choice asks for: `tool` (the one of this name), `any`, `auto` or `none`.

    Args:
        choice: `auto`, `none`, `any` (or True, or `required`), or the name of a tool.
        named: The names of the tools.

    Raises:
        ConfigurationError: It is none of these.
    """
    if choice in named:
        return "tool"
    if choice in (True, "any", "required"):
        return "any"
    if choice in ("auto", "none"):
        return str(choice)
    raise ConfigurationError(
        f"tool_choice has to be 'auto', 'none', 'any' or the name of one of the tools "
        f"({', '.join(named)}), not {choice!r}"
    )
