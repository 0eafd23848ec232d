"""Driving the steps of a program: one generator of steps, in each of the four kinds of function.

Steps are what the interpreter's generators yield: a coroutine, to be awaited here, or a Chunk, to
be yielded by the function whose body they are.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, NamedTuple

Steps = Generator[Any, Any, Any]


class Chunk(NamedTuple):
    """A value that a generator yields."""

    value: Any


class Closed(BaseException):
    """Stands for GeneratorExit in the steps of a body.

    On GeneratorExit itself `yield from` closes the generator that it delegates to, which could not
    take the further steps of its cleanup then.
    """

    def __init__(self, exit_: GeneratorExit) -> None:
        self.exit = exit_


def real(error: BaseException) -> BaseException:
    """What `error` stands for."""
    return error.exit if isinstance(error, Closed) else error


def _stand_in(error: BaseException) -> BaseException:
    return Closed(error) if isinstance(error, GeneratorExit) else error


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("the sync part of a program has waited")


async def finish(steps: Steps) -> Any:
    """Take all the steps of a body that yields nothing."""
    resume: Callable[[Any], Any] = steps.send
    argument: Any = None
    while True:
        try:
            coroutine = resume(argument)
        except StopIteration as stop:
            return stop.value
        try:
            resume, argument = steps.send, await coroutine
        except BaseException as error:  # it is the body's to answer
            resume, argument = steps.throw, error


def generate(steps: Steps) -> Generator[Any, Any, Any]:
    """Take the steps of a generator's body."""
    resume: Callable[[Any], Any] = steps.send
    argument: Any = None
    while True:
        closed = None
        try:
            one = resume(argument)
        except StopIteration as stop:
            return stop.value
        except Closed as error:
            closed = error.exit
        if closed is not None:
            raise closed
        try:
            argument = (yield one.value) if isinstance(one, Chunk) else drive(one)
            resume = steps.send
        except BaseException as error:
            resume, argument = steps.throw, _stand_in(error)


async def agenerate(steps: Steps) -> AsyncGenerator[Any, Any]:
    """Take the steps of an async generator's body."""
    resume: Callable[[Any], Any] = steps.send
    argument: Any = None
    while True:
        closed = None
        try:
            one = resume(argument)
        except StopIteration:
            return
        except Closed as error:
            closed = error.exit
        if closed is not None:
            raise closed
        try:
            argument = (yield one.value) if isinstance(one, Chunk) else await one
            resume = steps.send
        except BaseException as error:
            resume, argument = steps.throw, _stand_in(error)


async def pulled(chunks: Generator[Any, Any, Any]) -> AsyncGenerator[Any, None]:
    """A generator for those who take chunks of both kinds."""
    try:
        for chunk in chunks:
            yield chunk
    finally:
        chunks.close()


def in_thread(function: Callable[[], Any]) -> Any:
    """Call `function` in a plain thread, which has none of the contexts of this one."""
    outcome: list[Callable[[], Any]] = []
    thread = threading.Thread(target=lambda: outcome.append(captured(function)))
    thread.start()
    thread.join()
    return outcome[0]()


def captured(function: Callable[[], Any]) -> Callable[[], Any]:
    """Call `function`; the result is a function that returns or raises what it did."""
    try:
        result = function()
    except BaseException as error:
        raised = error
    else:
        return lambda: result

    def again() -> Any:
        raise raised

    return again


def signature(error: BaseException | None) -> Any:
    """What is to be the same of an error with and without tracing: the whole chain of it."""
    if error is None:
        return None
    error = real(error)
    cause = signature(error.__cause__)
    context = signature(error.__context__)
    return (type(error).__name__, error.args, cause, context)
