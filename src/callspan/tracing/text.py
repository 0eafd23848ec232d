"""Texts as they may be recorded: without secrets and encoded data, cut, and fit to be sent."""

from __future__ import annotations

import re
from typing import Final

from callspan.tracing.secrets import without_secrets

_MARGIN: Final = 1024
"""Characters looked at beyond a cut, so that a secret is not cut to where it has no shape."""

_LONG: Final = 512
_BASE64: Final = re.compile(
    r"(?:data:(?P<mime>[\w.+-]{1,64}/[\w.+-]{1,64})(?:;[\w=.-]{1,64}){0,4};base64,"
    r"(?=[A-Za-z0-9+/_-]{64})|(?<![A-Za-z0-9+/_-])(?=[A-Za-z0-9+/_-]{512}))"
    r"(?P<data>[A-Za-z0-9+/_-]+={0,2})"
)
_LOOKS_ENCODED: Final = re.compile(r"(?=.{0,255}?[a-z])(?=.{0,255}?[A-Z])(?=.{0,255}?[0-9])")
_MAGIC: Final = {
    "iVBORw0KGg": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "JVBERi0": "application/pdf",
    "SUQz": "audio/mpeg",
    "T2dnUw": "audio/ogg",
}


def clean(text: str, most: int) -> tuple[str, bool]:
    """Return `text` without secrets, encoded data and surrogates.

    Args:
        text: Any text.
        most: How many characters of it will be used; further on it is not looked at.

    Returns:
        The text, or the beginning of it, which may be longer than `most`; and whether it is all.
    """
    room = most + _MARGIN
    whole = True
    if len(text) >= _LONG or ";base64," in text:
        text, whole = _without_encoded(text, room)
    text = without_secrets(text)
    return well_formed(text), whole


def well_formed(text: str) -> str:
    """Return `text` with surrogates paired or replaced: lone ones cannot be sent."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class CutText(str):
    """The beginning of a text, and a note that it was cut.

    Attributes:
        size: How many characters the whole text had.
    """

    __slots__ = ("size",)
    size: int

    @classmethod
    def of(cls, beginning: str, size: int) -> CutText:
        """Return the beginning of a text of `size` characters."""
        text = cls(beginning + cut_note(size))
        text.size = size
        return text


def cut_note(size: int) -> str:
    """Return what ends a text that was cut: how many characters it had."""
    return f"… [cut: {size} characters]"


def encoded_note(data: str, mime: str | None = None) -> str:
    """Return what stands in the place of base64 `data`: its MIME type and its size in bytes."""
    if not mime:
        known = (name for start, name in _MAGIC.items() if data.startswith(start))
        mime = next(known, "base64")
    return f"[{mime}, {len(data) * 3 // 4 - data.count('=', -2)} bytes]"


def _without_encoded(text: str, room: int) -> tuple[str, bool]:
    """Replace encoded data, until `room` characters are left; tell whether that was all."""
    start = text[:room]
    if ";base64," not in start and all(len(word) < _LONG for word in start.split()):
        return start, len(start) == len(text)
    pieces: list[str] = []
    position = 0
    while room > 0 and position < len(text):
        found = _BASE64.search(text, position, position + room)
        if found is None:
            pieces.append(text[position : position + room])
            position += room
            break
        pieces.append(text[position : found.start()])
        # Data that is longer than the room is worth only its note: look at all of it.
        data = _BASE64.match(text, found.start()) or found
        encoded = data["mime"] or _LOOKS_ENCODED.match(data["data"])
        pieces.append(encoded_note(data["data"], data["mime"]) if encoded else data[0][:room])
        room -= found.start() - position + len(pieces[-1])
        position = data.end()
    return "".join(pieces), position >= len(text)
