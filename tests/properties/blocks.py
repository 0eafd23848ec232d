"""Blocks made of others: with tracing callspan's, without it what they stand for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.context import get_current

from callspan.runnables import RunnableGenerator, RunnableParallel, RunnableSequence

from .block_programs import Composite, ProgramError
from .kinds import TOKENS, Calling, block_of, invoked, model_metadata
from .steps import Chunk, Steps, agenerate, drive, generate, pulled, real, signature
from .truth import Place, RunTruth

if TYPE_CHECKING:
    from .interpreter import Interpreter


_TAGS = {
    "sequence": lambda number: f"seq:step:{number + 1}",
    "parallel": lambda number: f"map:key:{number}",
    "retry": lambda number: f"retry:attempt:{number + 1}" if number else None,
}


def settings(item: Any, here: Place) -> dict[str, Any]:
    """What the config of an item's block says, for `Truth.start`."""
    return {
        "handlers": item.handlers,
        "tags": (f"block {here.name}",),
        "metadata": {"block": here.name},
    }


def config_of(interpreter: Interpreter, item: Any, here: Place, name: str | None) -> dict[str, Any]:
    """That config."""
    return {
        "callbacks": interpreter.handlers(item.handlers),
        "tags": [f"block {here.name}"],
        "metadata": {"block": here.name},
        "run_name": name,
        "max_concurrency": item.limit,
    }


async def composite(interpreter: Interpreter, item: Composite, here: Place) -> Any:
    """Call a block that is made of parts."""
    branches = [_Branch(interpreter, item, here.at(n), n) for n in range(len(item.inputs))]
    if item.via == "stream":
        return await _taken(interpreter, branches[0])
    try:
        outputs = await (_called if interpreter.traced else _plainly_called)(branches)
    except BaseException as error:
        for branch in branches:
            branch.over(error, unsure=len(branches) > 1)
        raise
    for branch, output in zip(branches, outputs, strict=True):
        branch.over(output if isinstance(output, BaseException) else None)
    return [signature(one) if isinstance(one, BaseException) else one for one in outputs]


async def _taken(interpreter: Interpreter, branch: _Branch) -> Any:
    """Take the chunks of a stream."""
    before, taken = get_current(), []
    try:
        async with aclosing(
            (_streamed if interpreter.traced else _plainly_streamed)(branch)
        ) as chunks:
            async for chunk in chunks:
                taken.append(chunk)
                interpreter.same_context(before, f"a chunk at {branch.given}")
                if branch.item.closes:
                    break
    except BaseException as error:
        branch.over(error)
        raise
    branch.over(GeneratorExit() if branch.item.closes else None)
    return [taken, branch.tails]


class _Branch:
    """What a block does for one of its inputs: its run, and its parts.

    Args:
        interpreter: Executes their bodies.
        item: The block.
        here: Where it is called.
        number: Which input it is.
    """

    def __init__(self, interpreter: Interpreter, item: Composite, here: Place, number: int) -> None:
        self.item = item
        self.given = [number]
        self.parts = item.inputs[number]
        self.tails: list[Any] = []
        """What parts that stream have returned."""
        self._interpreter = interpreter
        self._truth = interpreter.truth
        self._here = here
        self._next = 0
        self.run: RunTruth | None = None
        self._inner = here
        if item.how != "alone":
            self.run = self._truth.start(here, "chain", **settings(item, here))
            self._inner = self.run.inside(here)

    @property
    def config(self) -> dict[str, Any]:
        name = None if self.run is None else self.run.name
        return config_of(self._interpreter, self.item, self._here, name)

    def next(self) -> int:
        """The number of the part of a retry that is tried now."""
        self._next += 1
        return self._next - 1

    def over(self, error: BaseException | None, *, unsure: bool = False) -> None:
        """Note how the block's run has ended, if it is one; `unsure`: or as a part of it did."""
        if self.run is not None:
            # What comes while handlers are told of the end, the caller alone sees.
            late = isinstance(error, asyncio.CancelledError) and not error.args
            self.run.unsure = unsure or late
            self._truth.end(self.run, error)

    def _started(self, number: int) -> tuple[RunTruth, Place]:
        """The run of a part that is about to start, and the place within."""
        how, part, own = self.item.how, self.parts[number], dict[str, Any]()
        if self.run is not None:
            self._interpreter.look(self.run, self._inner)
            tag = _TAGS[how](number) if how in _TAGS else None
            own["local_tags"] = (tag,) if tag else ()
        else:
            own = settings(self.item, self._here)
        place = self._inner.at(number)
        if part.kind == "retriever":
            name = {"ls_retriever_name": f"retriever {place.name}"}
            own["metadata"] = {**own.get("metadata", {}), **name}
        child = self._truth.start(place, part.kind, local_metadata=model_metadata(part.kind), **own)
        if how == "retry":
            child.attributes["callspan.run.attempt"] = number + 1
        if how == "fallbacks":
            child.attributes["callspan.run.fallback"] = number
        return child, child.inside(place)

    async def call(self, number: int, given: Any, config: Any = None) -> Any:
        """Do a part; its output is its input with the result of its body."""
        part, is_async = self.parts[number], self.item.is_async
        child, inside = self._started(number)
        is_kept = part.kept and part.kind in ("llm", "chat_model")
        results: list[Any] = []

        async def body() -> None:
            results.append(await self._interpreter.body(part.body, child, inside))
            if part.kind in ("llm", "chat_model"):
                child.tokens = TOKENS

        def looked_up() -> bool:
            if is_kept:
                self._interpreter.look(child, inside)
                self._truth.end(child, None)
                child.attributes["callspan.run.cached"] = True
                results.append("kept")
            return is_kept

        if self._interpreter.traced:
            block, argument = block_of(
                part.kind, child.name, body, is_async=is_async, looked_up=looked_up
            )
            await invoked(block, argument, config, is_async=is_async)
        elif not looked_up():
            await body()
        return [*given, *results]

    def stream(self, number: int, given: Any) -> tuple[str, Steps]:
        """The name of a part's run, and what it does: yield its output, and go on to the tail."""
        child, inside = self._started(number)
        return child.name, self._steps(self.parts[number].body, given, child, inside)

    def _steps(self, items: Any, given: Any, child: RunTruth, inside: Place) -> Steps:
        self._interpreter.look(child, inside)
        try:
            result = yield from self._interpreter.steps(items, inside.at(0))
            yield Chunk([*given, result])
            self.tails.append((yield from self._interpreter.steps(self.item.tail, inside.at(1))))
        except BaseException as error:
            self._truth.end(child, real(error))
            raise
        self._truth.end(child, None)


# With tracing


def _block(branches: Sequence[_Branch]) -> Any:
    """The block itself; the first item of an input says which one it is."""
    item = branches[0].item

    def part(number: int | None) -> Calling:
        def chosen(given: Any) -> tuple[_Branch, int]:
            branch = branches[given[0]]
            return branch, branch.next() if number is None else number

        async def call(given: Any, config: Any) -> Any:
            branch, place = chosen(given)
            return await branch.call(place, given, config)

        def stream(given: Any, config: Any) -> Any:
            branch, place = chosen(given)
            name, steps = branch.stream(place, given)
            return RunnableGenerator(
                lambda _: generate(steps), lambda _: agenerate(steps), name=name
            )

        return Calling(call, stream)

    parts = [part(number) for number in range(len(item.inputs[0]))]
    match item.how:
        case "sequence":
            return RunnableSequence(*parts)
        case "parallel":
            return RunnableParallel({str(place): one for place, one in enumerate(parts)})
        case "retry":
            return part(None).with_retry(
                retry_if_exception_type=(ProgramError,),
                wait_exponential_jitter=False,
                stop_after_attempt=len(parts),
            )
        case "fallbacks":
            return parts[0].with_fallbacks(parts[1:], exceptions_to_handle=(ProgramError,))
    return parts[0]


async def _called(branches: Sequence[_Branch]) -> list[Any]:
    block, item = _block(branches), branches[0].item
    inputs: Any = [branch.given for branch in branches]
    configs: Any = [branch.config for branch in branches]
    if item.via == "invoke":
        return [await invoked(block, inputs[0], configs[0], is_async=item.is_async)]
    if item.via == "batch":
        batch = block.abatch if item.is_async else block.batch
        outputs = batch(inputs, configs, return_exceptions=item.returns)
        return await outputs if item.is_async else outputs
    if not item.is_async:
        completed = list(block.batch_as_completed(inputs, configs, return_exceptions=item.returns))
    else:
        stream = block.abatch_as_completed(inputs, configs, return_exceptions=item.returns)
        async with aclosing(stream) as pairs:
            completed = [pair async for pair in pairs]
    return [output for _, output in sorted(completed, key=lambda pair: pair[0])]


def _streamed(branch: _Branch) -> AsyncGenerator[Any, None]:
    block = _block([branch])
    if branch.item.is_async:
        return block.astream(branch.given, branch.config)
    return pulled(block.stream(branch.given, branch.config))


# Without


async def _plainly_called(branches: Sequence[_Branch]) -> list[Any]:
    item = branches[0].item
    calls = [partial(_plainly, branch) for branch in branches]
    if item.via == "as completed":
        return await together(calls, item.is_async, returns=item.returns, alone=False)
    return await together(calls, item.is_async, returns=item.returns)


async def _plainly(branch: _Branch) -> Any:
    given, numbers = branch.given, range(len(branch.parts))
    match branch.item.how:
        case "sequence":
            for number in numbers:
                given = await branch.call(number, given)
            return given
        case "parallel":
            calls = [partial(branch.call, number, given) for number in numbers]
            outputs = await together(calls, branch.item.is_async)
            return {str(number): output for number, output in enumerate(outputs)}
        case "retry" | "fallbacks":
            return await _tried(branch, partial(branch.call, given=given))
    return await branch.call(0, given)


async def _plainly_streamed(branch: _Branch) -> AsyncGenerator[Any, None]:
    async def call(number: int, given: Any) -> Any:
        _, steps = branch.stream(number, given)
        chunks = agenerate(steps)
        return chunks, await anext(chunks)

    given, last = branch.given, len(branch.parts) - 1
    if branch.item.how == "sequence":
        for number in range(last):
            before, given = await call(number, given)
            async for _ in before:
                pass
        chunks, chunk = await call(last, given)
    else:
        chunks, chunk = await _tried(branch, partial(call, given=given))
    async with aclosing(chunks):
        yield chunk
        async for chunk in chunks:
            yield chunk


async def _tried(branch: _Branch, call: Callable[[int], Any]) -> Any:
    failures = []
    for number in range(len(branch.parts)):
        try:
            return await call(number)
        except ProgramError as error:
            failures.append(error)
    raise failures[-1 if branch.item.how == "retry" else 0]


async def together(
    calls: Sequence[Callable[[], Any]], is_async: bool, *, returns: bool = False, alone: bool = True
) -> list[Any]:
    """Make calls at the same time; return their results, or raise the first exception of one.

    Args:
        calls: What to call.
        is_async: Whether they may wait.
        returns: Whether to return exceptions.
        alone: Whether a single one has no context of its own.
    """
    results, tasks = [], []
    if alone and len(calls) == 1:
        outcomes: list[Any] = list(calls)
    elif is_async:
        tasks = [asyncio.ensure_future(call()) for call in calls]
        outcomes = [partial(_same, task) for task in tasks]
    else:
        outcomes = [partial(_in_context, call) for call in calls]
    try:
        for outcome in outcomes:
            try:
                results.append(await outcome())
            except Exception as error:
                if not returns:
                    raise
                results.append(error)
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)
    return results


async def _same(task: Any) -> Any:
    return await task


async def _in_context(call: Callable[[], Any]) -> Any:
    return copy_context().run(lambda: drive(call()))
