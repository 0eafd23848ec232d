"""What a forked process has to begin anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import MethodType
from weakref import WeakMethod


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
