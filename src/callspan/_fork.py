"""What a forked process has to begin anew."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import MethodType, TracebackType
from typing import ClassVar, Final
from weakref import WeakMethod

_methods: Final[dict[WeakMethod[Callable[[], object]], None]] = {}


def after_fork(call: Callable[[], object]) -> None:
    """Have `call` called in every forked child; a bound method as long as its object lives."""
    if isinstance(call, MethodType):
        _methods[WeakMethod(call, _forget)] = None
    elif hasattr(os, "register_at_fork"):  # Windows does not fork
        os.register_at_fork(after_in_child=call)


def _forget(method: WeakMethod[Callable[[], object]]) -> None:
    _methods.pop(method, None)


def _call_methods() -> None:
    for known in tuple(_methods):
        method = known()
        if method is not None:
            method()


after_fork(_call_methods)


class Lock:
    """A lock that is free in a forked child, whichever thread of the parent held it."""

    _kind: ClassVar[Callable[[], threading.Lock | threading.RLock]] = threading.Lock

    def __init__(self) -> None:
        self._begin_anew()
        after_fork(self._begin_anew)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()

    def _begin_anew(self) -> None:
        self._lock = type(self)._kind()


class RLock(Lock):
    """The same, for a thread that may hold it already."""

    _kind = threading.RLock
