"""Any value as what JSON knows: within bounds, without secrets and encoded data, never raising."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import pathlib
import re
import types
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from callspan.tracing.secrets import MASK, is_secret_key, without_secrets

MAX_NODES: Final = 10_000
_MAX_DEPTH: Final = 48
_MAX_INT_BITS: Final = 1024
_MARGIN: Final = 1024
"""Characters looked at beyond a cut, so that a secret is not cut to where it has no shape."""

_PRINTED: Final = (
    dt.date,
    dt.time,
    dt.timedelta,
    uuid.UUID,
    decimal.Decimal,
    pathlib.PurePath,
)
_NAMED: Final = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.ModuleType,
)

_LONG: Final = 512
_BASE64: Final = re.compile(
    r"(?:data:(?P<mime>[\w.+-]{1,64}/[\w.+-]{1,64})(?:;[\w=.-]{1,64}){0,4};base64,"
    r"(?=[A-Za-z0-9+/_-]{64})|(?<![A-Za-z0-9+/_-])(?=[A-Za-z0-9+/_-]{512}))"
    r"(?P<data>[A-Za-z0-9+/_-]+={0,2})"
)
_LOOKS_ENCODED: Final = re.compile(r"(?=.{0,255}?[a-z])(?=.{0,255}?[A-Z])(?=.{0,255}?[0-9])")
_MAGIC: Final = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBERi0": "application/pdf",
    "SUQz": "audio/mpeg",
    "T2dnUw": "audio/ogg",
}


def plain(value: Any, limit: int) -> Any:
    """Return `value` as dicts, lists and scalars, with strings cut to `limit` characters.

    Args:
        value: Anything: circular, deep, huge, or not made to be read.
        limit: The most characters that a string is worth.
    """
    return _Walk(limit).show(value, 0)


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


def cut_note(size: int) -> str:
    """Return what ends a text that was cut: how many characters it had."""
    return f"… [cut: {size} characters]"


def encoded_note(data: str, mime: str | None = None) -> str:
    """Return what stands in the place of base64 `data`: its MIME type and its size in bytes."""
    if not mime:
        known = (name for start, name in _MAGIC.items() if data.startswith(start))
        mime = next(known, "base64")
    return f"[{mime}, {len(data) * 3 // 4 - data.count('=', -2)} bytes]"


class _Walk:
    """One pass over a value, which counts what it has shown."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.nodes = MAX_NODES
        self.room = 8 * limit
        self.path: set[int] = set()

    def show(self, value: Any, depth: int) -> Any:
        self.nodes -= 1
        kind = type(value)
        if kind is str:
            return self._string(value)
        if value is None or kind is bool or kind is float:
            return value
        if kind is int:
            bits = value.bit_length()
            return value if bits <= _MAX_INT_BITS else f"<int of {bits} bits>"
        if depth >= _MAX_DEPTH:
            return f"<{kind.__name__}: nested too deeply>"
        mark = id(value)
        if mark in self.path:
            return f"<{kind.__name__}: circular>"
        self.path.add(mark)
        try:
            return self._object(value, depth + 1)
        except Exception as error:
            return f"<{kind.__name__}: {type(error).__name__} when it was read>"
        finally:
            self.path.discard(mark)

    def _object(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            return self._pairs(value.items(), len(value), depth)
        if isinstance(value, list | tuple | set | frozenset | deque):
            if hasattr(value, "_asdict"):
                return self.show(value._asdict(), depth)
            return self._items(value, len(value), depth)
        if isinstance(value, enum.Enum):
            return self.show(value.value, depth)
        if isinstance(value, str):
            return self._string(str.__str__(value))
        if isinstance(value, float):
            return float.__float__(value)
        if isinstance(value, int):
            return self.show(int.__int__(value), depth)
        if isinstance(value, bytes | bytearray):
            return self._bytes(value)
        if isinstance(value, _NAMED):
            return self._string(_name_of(value))
        if hasattr(type(value), "get_secret_value"):
            return MASK
        if isinstance(value, BaseException):
            return self._string(f"{type(value).__name__}: {value}")
        if isinstance(value, _PRINTED):
            return self._string(str(value))
        fields = _fields_of(value)
        if fields is not None:
            return self._pairs(fields.items(), len(fields), depth)
        return self._string(repr(value))

    def _pairs(self, pairs: Iterable[tuple[Any, Any]], size: int, depth: int) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for key, value in pairs:
            if self.nodes <= 0:
                shown["…"] = f"[cut: {size - len(shown)} of {size} keys]"
                break
            name = key if type(key) is str else str(self.show(key, depth))
            secret = is_secret_key(name) and not isinstance(value, bool | int | float | None)
            name = name if _is_tame(name) else self._string(name)
            shown[name] = MASK if secret else self.show(value, depth)
        return shown

    def _items(self, items: Iterable[Any], size: int, depth: int) -> list[Any]:
        shown: list[Any] = []
        for item in items:
            if self.nodes <= 0:
                shown.append(f"[cut: {size - len(shown)} of {size} items]")
                break
            shown.append(self.show(item, depth))
        return shown

    def _bytes(self, value: bytes | bytearray) -> str:
        if len(value) <= self.limit:
            try:
                return self._string(value.decode())
            except UnicodeDecodeError:
                pass
        return f"[{len(value)} bytes]"

    def _string(self, text: str) -> str:
        most = self.limit if self.room > 0 else min(self.limit, 256)
        shown, whole = clean(text, most)
        if not whole or len(shown) > most:
            shown = shown[:most] + cut_note(len(text))
        self.room -= len(shown)
        return shown


def _is_tame(key: str) -> bool:
    """Whether a key is too short to hold a secret, and made of what every encoding knows."""
    return len(key) < 12 and key.isascii()


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


def _name_of(value: Any) -> str:
    name: str = getattr(value, "__qualname__", None) or value.__name__
    module = getattr(value, "__module__", None)
    return name if module in (None, "builtins") else f"{module}.{name}"


def _fields_of(value: Any) -> dict[str, Any] | None:
    """The fields of a pydantic model or a dataclass, read without running code of theirs."""
    kind = type(value)
    fields = getattr(kind, "model_fields", None)
    if isinstance(fields, dict):
        state = value.__dict__
        more = getattr(value, "__pydantic_extra__", None) or {}
        return {name: state[name] for name in fields if name in state} | more
    if dataclasses.is_dataclass(kind):
        names = (field.name for field in dataclasses.fields(kind))
        return {name: getattr(value, name) for name in names if hasattr(value, name)}
    return None
