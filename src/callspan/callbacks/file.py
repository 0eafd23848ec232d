"""Printing the progress of chains, tools and agents to a file."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import TextIO, cast

from typing_extensions import Self

from callspan.callbacks._print import PrintingHandler, write
from callspan.errors import ConfigurationError


class FileCallbackHandler(PrintingHandler):
    """Writes what `StdOutCallbackHandler` prints to a file; chains' names and tools' output plain.

    Use it as a context manager, or `close` it at the end.

    Args:
        filename: The file, UTF-8. It is opened at once.
        mode: How to open it: `a` to append, `w` to overwrite, `x` if it must be new.
        color: The colour of texts whose event names none, tools' output aside; written as ANSI
            escapes. Blue, yellow, pink, green or red.

    Raises:
        ConfigurationError: if there is no such colour, or the mode does not allow to write text.
        OSError: if the file cannot be opened.
    """

    colors_observations = False

    def __init__(
        self, filename: str | os.PathLike[str], mode: str = "a", color: str | None = None
    ) -> None:
        super().__init__(color)
        self.filename = filename
        self.mode = mode
        if "b" in mode or not set("awx+") & set(mode):
            raise ConfigurationError(f"mode {mode!r} writes no text: choose 'a', 'w' or 'x'")
        self.file = cast("TextIO", Path(filename).open(mode, encoding="utf-8"))  # noqa: SIM115

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "file"):  # the constructor may have raised
            self.close()

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self.file.close()

    def _write(self, text: str) -> None:
        if self.file.closed:
            raise RuntimeError(
                f"File is not open: {self.filename} was closed. Use the handler inside its with "
                "block, or close it after the last run."
            )
        write(text, self.file)
