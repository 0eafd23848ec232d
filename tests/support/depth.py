"""Running as deep as a program can that nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_tracer() -> Iterator[None]:
    """Take coverage's tracer off: in coroutines it takes stack of its own."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)
