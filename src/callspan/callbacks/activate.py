"""Making a run's Context current in the frame where its body runs, and nowhere else.

A Context is never attached in one frame for another to detach, and never across a `yield`: a
generator is activated step by step, so that its consumer keeps the Context it had.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextvars import Token
from types import TracebackType
from typing import Any, Generic, TypeVar

from opentelemetry.context import Context, attach, detach, get_current

from callspan.callbacks.owned import aclose, begin
from callspan.errors import ConfigurationError

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
Keep = Callable[[Any], object]


def leave(token: Token[Context]) -> bool:
    """Undo `attach`; where the token belongs to another task or thread, there is nothing to undo.

    OpenTelemetry's own `detach` logs an error there. Return whether it belonged here.
    """
    try:
        token.var.reset(token)
    except (ValueError, RuntimeError):  # RuntimeError: its own thread has used it meanwhile
        return False
    except AttributeError:  # a context runtime that is not made of contextvars
        detach(token)
    return True


class Activation(Generic[T]):
    """A context manager that makes a Context current around a body, or decorates functions with it.

    Args:
        owner: What the `with` statement gives.
        context: Makes the Context, when the block is entered.
    """

    __slots__ = ("_context", "_owner", "_tokens")

    def __init__(self, owner: T, context: Callable[[], Context]) -> None:
        self._owner = owner
        self._context = context
        self._tokens: list[Token[Context]] = []

    def __enter__(self) -> T:
        self._tokens.append(attach(self._context()))
        return self._owner

    def __call__(self, function: F) -> F:
        """Decorate a function or coroutine function: each call has the Context around its body.

        Raises:
            ConfigurationError: if it is a generator, whose steps run in the code that reads it, or
                no function.
        """
        if not callable(function) or isinstance(function, type):
            raise ConfigurationError(f"this decorates functions and methods, not {function!r}")
        bare = inspect.isroutine(function) or isinstance(function, functools.partial)
        code: Any = function if bare else function.__call__  # type: ignore[operator]
        if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
            raise ConfigurationError(
                f"this cannot decorate {function!r}: a generator runs step by step in the code "
                "that reads it, which is to stand in the `with` block"
            )

        def called(*args: Any, **kwargs: Any) -> Any:
            with Activation(None, self._context):
                return function(*args, **kwargs)

        async def acalled(*args: Any, **kwargs: Any) -> Any:
            with Activation(None, self._context):
                return await function(*args, **kwargs)

        decorated: Any = acalled if inspect.iscoroutinefunction(code) else called
        return functools.wraps(function)(decorated)  # type: ignore[return-value]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Several tasks and threads may be inside the same one; each leaves with its own token. One
        # that is closed elsewhere than it was entered has none there, and takes nobody else's.
        for token in reversed(tuple(self._tokens)):
            if leave(token):
                self._tokens.remove(token)
                return


def step(
    context: Context,
    source: Iterator[T],
    keep: Keep | None = None,
    end: Callable[[BaseException | None], None] | None = None,
) -> Generator[T, Any, Any]:
    """Pull from `source` with `context` current in each step and the caller's between the steps.

    What the source itself has made current by the end of a step is current again in the next one.
    `send`, `throw`, `close` and the return value of a generator work through it.

    Args:
        context: The Context of the first step.
        source: A generator, or any iterator.
        keep: Called with each chunk.
        end: Called when the source is done, with what it raised, or None; if it raises then, with
            that error once more.
    """
    resume: Callable[..., T] = source.__next__
    arguments: tuple[Any, ...] = ()
    try:
        while True:
            token = attach(context)
            try:
                chunk = resume(*arguments)
            except StopIteration as stop:
                returned = stop.value
                break
            finally:
                context = get_current()
                leave(token)
            if keep is not None:
                keep(chunk)
            try:
                sent = yield chunk
            except BaseException as error:  # it is the source's to answer
                resume, arguments = _thrower(source, error), (error,)
            else:
                if sent is None:
                    resume, arguments = source.__next__, ()
                else:
                    resume, arguments = source.send, (sent,)  # type: ignore[attr-defined]
        if end is not None:
            end(None)
    except BaseException as error:
        if end is not None:
            end(error)
        raise
    return returned


async def astep(
    context: Context,
    source: AsyncIterator[T],
    keep: Keep | None = None,
    end: Callable[[BaseException | None], Awaitable[None]] | None = None,
) -> AsyncGenerator[T, Any]:
    """As `step`, of an async generator or iterator."""
    resume: Callable[..., Any] = functools.partial(begin, source)
    arguments: tuple[Any, ...] = ()
    try:
        while True:
            token = attach(context)
            try:
                chunk = await resume(*arguments)
            except StopAsyncIteration:
                break
            finally:
                context = get_current()
                leave(token)
            if keep is not None:
                keep(chunk)
            try:
                sent = yield chunk
            except BaseException as error:
                resume, arguments = _athrower(source, error), (error,)
            else:
                if sent is None:
                    resume, arguments = source.__anext__, ()
                else:
                    resume, arguments = source.asend, (sent,)  # type: ignore[attr-defined]
        if end is not None:
            await end(None)
    except BaseException as error:
        if end is not None:
            await end(error)
        raise


def _thrower(source: Any, error: BaseException) -> Callable[[BaseException], Any]:
    """How to hand an exception to `source`: as `yield from` does, which closes it to end it."""
    if hasattr(source, "throw") and not isinstance(error, GeneratorExit):
        return source.throw  # type: ignore[no-any-return]

    def close_and_raise(error: BaseException) -> Any:
        getattr(source, "close", _nothing)()
        raise error

    return close_and_raise


def _athrower(source: Any, error: BaseException) -> Callable[[BaseException], Any]:
    if hasattr(source, "athrow") and not isinstance(error, GeneratorExit):
        return source.athrow  # type: ignore[no-any-return]

    async def close_and_raise(error: BaseException) -> Any:
        await aclose(source)
        raise error

    return close_and_raise


def _nothing() -> None:
    """An iterator without a close method needs no closing."""
