"""One way to break the code on purpose."""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """One way to break one file."""

    file: str
    """The file, below `src/callspan`."""
    breaks: str
    """What is broken then."""
    old: str
    """Text that is in the file once."""
    new: str
