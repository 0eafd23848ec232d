"""Waiting no longer than one wants to for calls that keep to no timeout of their own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread

from callspan._fork import after_fork

log = logging.getLogger("callspan")


class _Call:
    __slots__ = ("done", "job", "result")

    def __init__(self, job: Callable[[], bool]) -> None:
        self.job = job
        self.done = Event()
        self.result = False

    def run(self) -> None:
        try:
            self.result = self.job()
        except Exception as error:  # of a span processor: the thread has to live on
            log.warning("A span processor failed: %r", error)
        finally:
            self.done.set()


class BoundedCalls:
    """Runs calls one after the other in a thread of its own, which dies with the process.

    The thread is there from the beginning, since none can be started while Python exits.
    """

    def __init__(self) -> None:
        self._start()
        after_fork(self._start)

    def call(self, job: Callable[[], bool], timeout_millis: float) -> bool | None:
        """Return what `job` returns, False if it raises; None once the time is over.

        The job then goes on by itself, and later ones wait for it.

        Args:
            job: What to run.
            timeout_millis: How long to wait for it, in milliseconds.
        """
        call = _Call(job)
        self._calls.put(call)
        return call.result if call.done.wait(timeout_millis / 1000) else None

    def _start(self) -> None:
        self._calls: SimpleQueue[_Call] = SimpleQueue()
        Thread(target=_work, args=(self._calls,), name="callspan-delivery", daemon=True).start()


def _work(calls: SimpleQueue[_Call]) -> None:
    while True:
        calls.get().run()
