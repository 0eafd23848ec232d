"""Values and texts, cut to a number of bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pydantic_core

from callspan.tracing.plain import MAX_NODES, MORE, Missing, plain
from callspan.tracing.text import CutText, clean, cut_note

_SHORTEST = 32
"""Characters below which a string is not cut for the others' sake."""


def to_json(value: Any, limit: int) -> str | None:
    """Return JSON that shows `value` as well as `limit` bytes can.

    Args:
        value: Anything: circular, deep, huge, or not made for JSON.
        limit: The most bytes of UTF-8.

    Returns:
        Valid JSON; None if the limit is too low for any. Long strings are cut first, then the
        middle of long lists; each place says what is missing.
    """
    try:
        shown = plain(value, limit)
        encoded = _encoded(shown)
        if len(encoded) > limit:
            encoded = _fitted(shown, len(encoded), limit)
    except Exception as error:
        encoded = _encoded(f"<cannot be shown: {type(error).__name__}>")
    return encoded.decode() if len(encoded) <= limit else None


def cut_text(text: str, limit: int) -> str | None:
    """Return `text` without secrets and encoded data, cut to `limit` bytes of UTF-8.

    Args:
        text: Any text.
        limit: The most bytes of UTF-8.

    Returns:
        The text; None if the limit is too low to say even that it was cut.
    """
    shown, whole = clean(text, limit)
    encoded = shown.encode()
    if whole and len(encoded) <= limit:
        return shown
    note = cut_note(len(text))
    room = limit - len(note.encode())
    return None if room < 0 else _first_bytes(encoded, room) + note


def _encoded(value: Any) -> bytes:
    return pydantic_core.to_json(value, inf_nan_mode="strings")


def _first_bytes(encoded: bytes, size: int) -> str:
    return encoded[:size].decode(errors="ignore")


def _fitted(value: Any, size: int, limit: int) -> bytes:
    """JSON of a plain value, which is `size` bytes, in no more than `limit`."""
    lengths: list[int] = []
    _measure(value, lengths)
    for share in (1.0, 0.8, 0.5, 0.2):
        most = _level(lengths, int((limit - size + sum(lengths)) * share))
        if most < _SHORTEST:
            break
        encoded = _encoded(_shortened(value, most, MAX_NODES))
        if len(encoded) <= limit:
            return encoded
    for items in (512, 128, 32, 8, 2):
        encoded = _encoded(_shortened(value, 2 * _SHORTEST, items))
        if len(encoded) <= limit:
            return encoded
    return _encoded(f"[cut: {size} bytes]")


def _measure(value: Any, lengths: list[int]) -> None:
    """Collect how many bytes each string of a plain value has."""
    if isinstance(value, str):
        lengths.append(len(value) if value.isascii() else len(value.encode()))
    elif isinstance(value, dict):
        for item in value.values():
            _measure(item, lengths)
    elif isinstance(value, list):
        for item in value:
            _measure(item, lengths)


def _level(lengths: list[int], total: int) -> int:
    """The cap under which `lengths` add up to `total`, with room for what a cut says."""
    ordered = sorted(lengths)
    for position, length in enumerate(ordered):
        remaining = len(ordered) - position
        if length * remaining > total:
            return total // remaining - len(cut_note(length))
        total -= length
    return total


def _shortened(value: Any, most: int, items: int) -> Any:
    """Cut strings to `most` bytes, and containers to `items` by leaving out their middle."""
    if isinstance(value, str):
        if len(value) * 4 <= most or len(encoded := value.encode()) <= most:
            return value
        size = value.size if isinstance(value, CutText) else len(value)
        return CutText.of(_first_bytes(encoded, most), size)
    if isinstance(value, dict):
        kept = _ends([key for key in value if key != MORE], items)
        shown = {key: _shortened(value[key], most, items) for key in kept}
        if len(kept) < len(value):
            shown[MORE] = _missing(value.values(), shown.values(), "keys")
        return shown
    if isinstance(value, list):
        kept = _ends(value, items)
        shown_ = [_shortened(item, most, items) for item in kept]
        if len(kept) < len(value):
            shown_.insert((items + 1) // 2, _missing(value, kept, "items"))
        return shown_
    return value


def _ends(items: list[Any], most: int) -> list[Any]:
    """The first and the last of `items`."""
    left = len(items) - most
    return items if left <= 0 else items[: most - most // 2] + items[len(items) - most // 2 :]


def _missing(all_: Iterable[Any], kept: Iterable[Any], what: str) -> Missing:
    size = sum(map(_count, all_))
    return Missing.of(size - sum(map(_count, kept)), size, what)


def _count(item: Any) -> int:
    return item.lost if isinstance(item, Missing) else 1
