"""Carrying the context into worker threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, copy_context
from functools import partial, wraps
from threading import Thread, Timer
from typing import Any, Final, TypeVar

from typing_extensions import ParamSpec

from callspan._fork import Lock

P = ParamSpec("P")
T = TypeVar("T")

_lock: Final = Lock()
_patches: Final[list[_Patch]] = []


class ContextThreadPoolExecutor(ThreadPoolExecutor):
    """A ThreadPoolExecutor whose calls run in a copy of the context they were submitted in.

    So runs that start in a worker thread are children of the run that submitted the call, and
    hear the same handlers. Every context variable travels, not OpenTelemetry's alone.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Schedule `fn(*args, **kwargs)` in a copy of this context."""
        return super().submit(partial(copy_context().run, fn, *args, **kwargs))


def instrument_threads() -> None:
    """Have threads run in a copy of the context in which they were started.

    From now on this holds for every `threading.Thread` and `threading.Timer`, and for every call
    given to a `concurrent.futures.ThreadPoolExecutor`, and so for `loop.run_in_executor`: runs
    that start there are children of the run around the start, and hear the same handlers. Every
    context variable travels. A second call does nothing.
    """
    with _lock:
        if not _patches:
            # Other instrumentations may have left Timer a `start` of its own.
            starting = [cls for cls in (Thread, Timer) if "start" in vars(cls)]
            _patches.extend(_Patch(cls, "start", _start) for cls in starting)
            _patches.append(_Patch(ThreadPoolExecutor, "submit", _submit))


def uninstrument_threads() -> None:
    """Undo `instrument_threads`; threads and calls that are on their way keep their context."""
    with _lock:
        while _patches:
            _patches.pop().undo()


class _Patch:
    """A method that is replaced by one that calls `by(original, *args, **kwargs)`.

    If somebody else has replaced the method since, it cannot be put back without undoing that as
    well: it then stays, and does no more than the original.
    """

    def __init__(self, cls: type, name: str, by: Callable[..., Any]) -> None:
        self._cls, self._name = cls, name
        self._found = vars(cls)[name]
        self._active = True
        original = getattr(cls, name)

        @wraps(original)
        def method(*args: Any, **kwargs: Any) -> Any:
            return by(original, *args, **kwargs) if self._active else original(*args, **kwargs)

        self._method = method
        setattr(cls, name, method)

    def undo(self) -> None:
        self._active = False
        if vars(self._cls).get(self._name) is self._method:
            setattr(self._cls, self._name, self._found)


class _Carried:
    """Stands for a thread's `run` until it is called: what it is, subclasses say themselves."""

    def __init__(self, thread: Thread) -> None:
        self._attributes = vars(thread)
        self._before = self._attributes.get("run")
        self._run = thread.run
        self._context = copy_context()
        self._attributes["run"] = self

    def __call__(self) -> None:
        self.leave()
        self._context.run(self._run)

    def leave(self) -> None:
        if self._attributes.get("run") is self:
            if self._before is None:
                del self._attributes["run"]
            else:
                self._attributes["run"] = self._before


def _start(start: Callable[[Thread], None], thread: Thread) -> None:
    carried = _Carried(thread)
    try:
        start(thread)
    except BaseException:
        carried.leave()
        raise


def _submit(
    submit: Callable[..., Future[T]],
    pool: ThreadPoolExecutor,
    call: Callable[..., T],
    /,
    *args: Any,
    **kwargs: Any,
) -> Future[T]:
    # A worker that has to be started for it outlives the call: it gets none of this context.
    return Context().run(submit, pool, copy_context().run, call, *args, **kwargs)
