"""Streams of a program: the generator that a stream is, and the consumer who takes its chunks."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Generator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from . import programs as p
from .steps import Steps, agenerate, drive, finish, generate, in_thread, real
from .truth import Place, RunTruth

if TYPE_CHECKING:
    from .interpreter import Interpreter

DONE: Final = object()
"""What a consumer takes after the last chunk."""
WILD: Final = ("drop", "cycle", "hold")
"""Ends of a stream that happen out of the consumer's sight."""


class Consumer:
    """One stream, and who consumes it.

    Args:
        interpreter: Executes what the stream's body and its consumer do.
        item: The stream.
        place: Where it is consumed.
    """

    def __init__(self, interpreter: Interpreter, item: p.Stream, place: Place) -> None:
        self.results: list[Any] = []
        self._interpreter = interpreter
        self._truth = interpreter.truth
        self._item = item
        self._place = place
        self._pulls = iter(enumerate(item.pulls, start=1))
        self._here = place
        self._run: RunTruth | None = None
        self._generator: Any = self._stream()

    # The stream

    def _stream(self) -> Any:
        item = self._item
        if item.how == "by hand":
            return self._aby_hand() if item.is_async else self._by_hand()
        function = partial(agenerate if item.is_async else generate, self._body())
        return self._interpreter.decorated(function, item.kind, self._place)()

    def _body(self) -> Steps:
        """The stream's own steps; its run has started where the first chunk was taken."""
        run, item = self._run, self._item
        assert run is not None
        inner = run.inside(self._here).at(0)
        self._interpreter.look(run, inner)
        try:
            result = yield from self._interpreter.steps(item.body, inner, wild=item.last in WILD)
        except BaseException as error:
            if item.how == "traced":
                self._truth.end(run, real(error))
            raise
        if item.how == "traced":
            self._truth.end(run, None)
        return result

    def _by_hand(self) -> Generator[Any, Any, Any]:
        handle = drive(self._interpreter.begin(self._item, self._run, self._here))
        try:
            result = yield from handle.step(generate(self._body()))
        except BaseException as error:
            self._truth.end(handle.run, error)
            drive(handle.fail(error))
            raise
        self._truth.end(handle.run, None, result)
        drive(handle.end(result))
        return result

    async def _aby_hand(self) -> AsyncGenerator[Any, Any]:
        handle = await self._interpreter.begin(self._item, self._run, self._here)
        chunks = handle.astep(agenerate(self._body()))
        try:
            try:
                async for chunk in chunks:
                    yield chunk
            finally:
                await chunks.aclose()
        except BaseException as error:
            self._truth.end(handle.run, error)
            await handle.fail(error)
            raise
        self._truth.end(handle.run, None)
        await handle.end(None)

    # The consumer

    async def consume(self) -> Any:
        """Take all the turns."""
        while await self.turn():
            pass
        return self.results

    async def turn(self) -> bool:
        """Take the next chunk, or do the last thing; returns whether there is more to do."""
        try:
            index, pull = next(self._pulls, (0, None))
            if pull is None:
                await self._last()
                return False
            if await self._pull(pull, self._place.at(index)) is DONE:
                return False
            after = self._interpreter.steps(pull.after, self._place.at(index).at(0))
            self.results.append(await finish(after))
        except BaseException:
            await self.close()
            raise
        return True

    async def close(self) -> None:
        """Close the stream, here and now."""
        generator, self._generator = self._generator, None
        if generator is not None:
            self._interpreter.note_progress()
            await (generator.aclose() if self._item.is_async else _closed(generator))

    async def take(self, pull: p.Pull) -> Any:
        """Take a chunk, or DONE."""
        return await self._pull(pull, self._place.at(1))

    async def _pull(self, pull: p.Pull, place: Place) -> Any:
        if not pull.in_span:
            return await self._resume(pull.what, place)
        with self._interpreter.block(p.Within("span G", ()), place) as inner:
            return await self._resume(pull.what, inner)

    async def _resume(self, what: str, place: Place) -> Any:
        generator, is_async = self._generator, self._item.is_async
        sent = len(self.results) if what == "send" else None
        if self._run is None:
            if what == "throw":  # into a generator that has not begun: its body is never entered
                what, sent = "throw", None
            else:
                sent = None
                self._here = replace(place, path=self._place.path, is_async=is_async)
                self._run = self._interpreter.start(self._item, self._here)
        if what == "throw":
            resume = partial(
                generator.athrow if is_async else generator.throw,
                self._interpreter.error("error", place),
            )
        else:
            resume = partial(generator.asend if is_async else generator.send, sent)
        try:
            chunk = await resume() if is_async else resume()
        except StopIteration as stop:
            self._generator = None
            self.results.append(("returned", stop.value))
            return DONE
        except StopAsyncIteration:
            self._generator = None
            return DONE
        self.results.append(chunk)
        return chunk

    async def _last(self) -> None:
        match self._item.last:
            case "exhaust":
                while await self._resume("next", self._place.at(98)) is not DONE:
                    pass
            case "close":
                await self.close()
            case "close in a thread":
                generator, self._generator = self._generator, None
                in_thread(generator.close)
            case "close in a task":
                await asyncio.create_task(self.close())
            case "drop":
                self._generator = None
            case "hold":
                self._interpreter.held.append(self._generator)
                self._generator = None
            case "cycle":
                cycle = [self._generator]
                cycle.append(cycle)
                self._generator = None
                del cycle
                gc.collect()


async def _closed(generator: Generator[Any, Any, Any]) -> None:
    generator.close()
