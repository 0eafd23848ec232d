"""Any value as what JSON knows: within bounds, without secrets, never raising."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import pathlib
import types
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import chain, islice
from typing import Any, Final

from callspan.tracing.secrets import MASK, is_secret_key
from callspan.tracing.text import CutText, clean

MAX_NODES: Final = 10_000
_MAX_ITEMS: Final = 2_000
_MAX_DEPTH: Final = 48
_MAX_INT_BITS: Final = 1024
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


def plain(value: Any, limit: int) -> Any:
    """Return `value` as dicts, lists and scalars, with strings cut to `limit` characters.

    Args:
        value: Anything: circular, deep, huge, or not made to be read.
        limit: The most characters that a string is worth.
    """
    return _Walk(limit).show(value, 0)


MORE: Final = "…"
"""The key of the note in a dict that keys are missing from."""


class Missing(str):
    """A note that stands for items that were left out of a container.

    Attributes:
        lost: How many they are.
    """

    __slots__ = ("lost",)
    lost: int

    @classmethod
    def of(cls, lost: int, size: int, what: str) -> Missing:
        """Return the note for `lost` of the `size` keys or items of a container."""
        note = cls(f"[cut: {lost} of {size} {what}]")
        note.lost = lost
        return note


class _Walk:
    """One pass over a value, which counts what it has shown."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.nodes = MAX_NODES
        self.room = 4 * limit
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
            if isinstance(value, tuple) and _is_secret_pair(value):
                return [self.show(value[0], depth), MASK]
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
        seen = 0
        for key, value in islice(pairs, min(size, _MAX_ITEMS)):
            if self.nodes <= 0:
                break
            seen += 1
            name = key if type(key) is str else str(self.show(key, depth))
            secret = is_secret_key(name) and not isinstance(value, bool | int | float | None)
            name = name if _is_tame(name) else self._string(name)
            shown[name] = MASK if secret else self.show(value, depth)
        if seen < size:
            shown[MORE] = Missing.of(size - seen, size, "keys")
        return shown

    def _items(self, items: Iterable[Any], size: int, depth: int) -> list[Any]:
        shown: list[Any] = []
        tail: Iterable[Any] = ()
        if size > _MAX_ITEMS and isinstance(items, list | tuple):
            half = _MAX_ITEMS // 2
            items, tail = items[:half], items[-half:]
        for item in chain(islice(items, min(size, _MAX_ITEMS)), tail):
            if self.nodes <= 0:
                break
            shown.append(self.show(item, depth))
        if len(shown) < size:
            where = _MAX_ITEMS // 2 if tail else len(shown)
            shown.insert(where, Missing.of(size - len(shown), size, "items"))
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
            shown = CutText.of(shown[:most], len(text))
        self.room -= len(shown)
        return shown


def _is_secret_pair(value: tuple[Any, ...]) -> bool:
    """Whether this is a header or the like, `(name, value)`, and the name is one of a secret."""
    if len(value) != 2:
        return False
    name, secret = value
    name = name.decode("latin-1") if isinstance(name, bytes) else name
    return isinstance(name, str) and isinstance(secret, str | bytes) and is_secret_key(name)


def _is_tame(key: str) -> bool:
    """Whether a key is too short to hold a secret, and made of what every encoding knows."""
    return len(key) < 12 and key.isascii()


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
