"""Carrying the context into worker threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from typing_extensions import ParamSpec

P = ParamSpec("P")
T = TypeVar("T")


class ContextThreadPoolExecutor(ThreadPoolExecutor):
    """A ThreadPoolExecutor whose calls run in a copy of the context they were submitted in.

    So runs that start in a worker thread are children of the run that submitted the call, and
    hear the same handlers. Every context variable travels, not OpenTelemetry's alone.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Schedule `fn(*args, **kwargs)` in a copy of this context."""
        return super().submit(partial(copy_context().run, fn, *args, **kwargs))

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Iterator[T]:
        """Map as `ThreadPoolExecutor.map` does; each call has a copy of this context."""
        context = copy_context()

        def one(*args: Any) -> T:
            return context.copy().run(fn, *args)

        return super().map(one, *iterables, timeout=timeout, **kwargs)
