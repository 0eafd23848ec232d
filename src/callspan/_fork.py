"""What a forked process has to begin anew."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import MethodType, TracebackType
from weakref import WeakMethod


class Lock:
    """A lock that is free in a forked child, whichever thread of the parent held it."""

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
        self._lock = threading.Lock()


def after_fork(call: Callable[[], object]) -> None:
    """Have `call` called in every forked child; a bound method as long as its object lives."""
    if not hasattr(os, "register_at_fork"):  # Windows does not fork
        return
    os.register_at_fork(after_in_child=_weakly(call) if isinstance(call, MethodType) else call)


def _weakly(method: Callable[[], object]) -> Callable[[], object]:
    known = WeakMethod(method)

    def call() -> None:
        found = known()
        if found is not None:
            found()

    return call
