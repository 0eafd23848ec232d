"""What a forked process has to begin anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from weakref import WeakMethod


def after_fork(method: Callable[[], None]) -> None:
    """Have a bound method called in every forked child, as long as its object lives."""
    if not hasattr(os, "register_at_fork"):  # Windows does not fork
        return
    known = WeakMethod(method)

    def call() -> None:
        found = known()
        if found is not None:
            found()

    os.register_at_fork(after_in_child=call)
