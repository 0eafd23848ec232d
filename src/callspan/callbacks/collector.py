"""Ends that the garbage collector causes, kept until it is safe to send them.

The collector may close an abandoned generator at any allocation, inside an exporter's lock as
well. A handler told there and then can deadlock on that lock, so such an end waits here until
the next start or end of a run, flush or shutdown.
"""

from __future__ import annotations

import gc
import logging
from collections import deque
from collections.abc import Callable
from threading import get_ident
from typing import Any

from callspan._fork import after_fork

log = logging.getLogger("callspan")

_collecting: set[int] = set()
waiting: deque[Callable[[], object]] = deque()
"""The ends that wait; empty nearly always, and asked at every start and end of a run."""


def _watch(phase: str, _info: dict[str, Any]) -> None:
    (_collecting.add if phase == "start" else _collecting.discard)(get_ident())


gc.callbacks.append(_watch)


def _begin_anew() -> None:
    waiting.clear()
    _collecting.intersection_update({get_ident()})  # the parent's other threads are not here


after_fork(_begin_anew)


def is_collecting() -> bool:
    """Whether the garbage collector is what runs this code."""
    return bool(_collecting) and get_ident() in _collecting


def put_off(send: Callable[[], object]) -> None:
    """Have `send` called by the next `send_waiting`."""
    waiting.append(send)


def send_waiting() -> None:
    """Send every end that was put off; callers keep this out of the collector."""
    while waiting and not is_collecting():
        try:
            send = waiting.popleft()
        except IndexError:  # another thread was faster
            return
        try:
            send()
        except Exception as error:  # the code it belongs to is long gone
            log.warning("Error in a callback that was put off: %r", error)
