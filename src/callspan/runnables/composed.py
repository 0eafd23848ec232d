"""Blocks made of others: one after the other, side by side, or beside their own input."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Protocol, TypeAlias

from callspan._options import check
from callspan.callbacks.owned import Owned
from callspan.errors import ConfigurationError, InputError
from callspan.runnables.base import Input, Other, Output, Runnable
from callspan.runnables.block import Frame, StreamingBlock
from callspan.runnables.calls import merged, shared, together
from callspan.runnables.function import RunnableGenerator, RunnableLambda
from callspan.runnables.io import Chunks, again
from callspan.runnables.total import AddableDict


class _Foreign(Protocol[Output]):
    """A runnable of another library."""

    def invoke(self, input: Any, /) -> Output: ...


RunnableLike: TypeAlias = (
    Runnable[Input, Output]
    | _Foreign[Output]
    | Callable[[Input], Output]
    | Callable[[Input], AsyncIterator[Output]]
    | Callable[..., Any]
    | Mapping[str, Any]
)
"""What can stand in a sequence: a block, a function, a dict of such things to run in parallel.

A runnable of another library, such as langchain_core, is a block too.
"""


def as_runnable(value: Any) -> Any:
    """Return a block: the value itself, or one made of a function or a dict.

    Another library's runnable is used as it is, if it has all the methods.

    Raises:
        ConfigurationError: It is none of these.
    """
    if isinstance(value, Runnable):
        return value
    if hasattr(value, "invoke"):
        whole = all(hasattr(value, name) for name in ("ainvoke", "transform", "atransform"))
        return value if whole else RunnableLambda(value.invoke, name=type(value).__name__)
    if isinstance(value, Mapping):
        return RunnableParallel(value)
    if inspect.isgeneratorfunction(value) or inspect.isasyncgenfunction(value):
        return RunnableGenerator(value)
    if callable(value):
        return RunnableLambda(value)
    raise ConfigurationError(
        f"a sequence is made of runnables, functions and dicts of them, not {type(value).__name__}"
    )


_NO_KWARGS: dict[str, Any] = {}


class RunnableSequence(StreamingBlock[Input, Output]):
    """Blocks one after the other: each gets the output of the one before. Made by `|`.

    Streams run through it: a block that works on chunks gets them as they come. Further arguments
    of a call go to the first block.

    Args:
        steps: Two or more blocks, functions or dicts. Sequences among them are taken apart.
        name: The name of its runs.

    Raises:
        ConfigurationError: There are fewer than two, or one is no block.
    """

    def __init__(self, *steps: RunnableLike[Any, Any], name: str | None = None) -> None:
        self.steps: list[Any] = []
        for step in steps:
            self.steps += step.steps if isinstance(step, RunnableSequence) else [as_runnable(step)]
        if len(self.steps) < 2:
            raise ConfigurationError(f"a sequence has two steps at least, not {len(self.steps)}")
        self.name = name
        self._tags = [f"seq:step:{place}" for place in range(1, len(self.steps) + 1)]

    def __or__(self, other: RunnableLike[Any, Other]) -> RunnableSequence[Input, Other]:
        return RunnableSequence(self, other, name=self.name)

    def __ror__(self, other: RunnableLike[Other, Any]) -> RunnableSequence[Other, Output]:
        return RunnableSequence(other, self, name=self.name)

    async def _invoke(self, given: Any, frame: Frame) -> Any:
        io, kwargs = frame.io, frame.kwargs
        for step, tag in zip(self.steps, self._tags, strict=True):
            given = await io.done(io.invoke(step)(given, frame.child(tag), **kwargs))
            kwargs = _NO_KWARGS
        return given

    async def _stream(self, source: Chunks, frame: Frame) -> Chunks:
        io, kwargs = frame.io, frame.kwargs
        async with AsyncExitStack() as stages:
            stream = io.as_stream(source)
            for step, tag in zip(self.steps, self._tags, strict=True):
                stream = io.transform(step)(stream, frame.child(tag), **kwargs)
                stages.push_async_callback(io.pull(stream).aclose)
                kwargs = _NO_KWARGS
            async for chunk in io.pull(stream):
                yield chunk


class RunnableParallel(StreamingBlock[Input, dict[str, Any]]):
    """Blocks that get the same input at the same time; the output is a dict of theirs.

    A stream yields `{key: chunk}` as each of them goes on. A dict in a sequence becomes one.

    Args:
        steps: The blocks, functions or dicts, by their keys in the output.
        more: Further blocks by name.

    Raises:
        ConfigurationError: They are no dict, or one of them is no block.
    """

    def __init__(
        self,
        steps: Mapping[str, RunnableLike[Any, Any]] | None = None,
        /,
        **more: RunnableLike[Any, Any],
    ) -> None:
        check({"RunnableParallel": steps})
        both = {**(steps or {}), **more}
        self.steps = {key: as_runnable(step) for key, step in both.items()}
        self.name = f"{type(self).__name__}<{','.join(map(str, self.steps))}>"

    async def _invoke(self, given: Any, frame: Frame) -> dict[str, Any]:
        calls = [
            partial(frame.io.invoke(step), given, frame.child(f"map:key:{key}"))
            for key, step in self.steps.items()
        ]
        outputs = await together(frame.io, calls, frame.config.get("max_concurrency"))
        return dict(zip(self.steps, outputs, strict=True))

    async def _stream(self, source: Chunks, frame: Frame) -> Chunks:
        sources = shared(frame.io, source, len(self.steps))
        streams = {
            key: frame.io.transform(step)(one, frame.child(f"map:key:{key}"))
            for (key, step), one in zip(self.steps.items(), sources, strict=True)
        }
        limit = frame.config.get("max_concurrency")
        async with Owned(merged(frame.io, streams, limit)) as chunks:
            async for key, chunk in chunks:
                yield AddableDict({key: chunk})


class RunnablePassthrough(StreamingBlock[Other, Other]):
    """A block whose output is its input."""

    @classmethod
    def assign(cls, **steps: RunnableLike[dict[str, Any], Any]) -> RunnableAssign:
        """Return a block that adds to a dict.

        Args:
            steps: What to add: blocks or functions of the dict, by the keys of their outputs.
        """
        return RunnableAssign(RunnableParallel(steps))

    async def _invoke(self, given: Any, frame: Frame) -> Any:
        return given

    def _stream(self, source: Chunks, frame: Frame) -> Chunks:
        return source


class RunnableAssign(StreamingBlock[dict[str, Any], dict[str, Any]]):
    """A block that adds the outputs of others to its input, a dict.

    Args:
        mapper: The others, by key.
    """

    def __init__(self, mapper: RunnableParallel[dict[str, Any]]) -> None:
        self.mapper = mapper
        self.name = f"{type(self).__name__}<{','.join(map(str, mapper.steps))}>"

    async def _invoke(self, given: Any, frame: Frame) -> dict[str, Any]:
        given = _dict(given)
        return {**given, **await frame.io.done(frame.io.invoke(self.mapper)(given, frame.child()))}

    async def _stream(self, source: Chunks, frame: Frame) -> Chunks:
        taken: list[Any] = []
        async for chunk in source:
            taken.append(chunk)
            kept = {k: v for k, v in _dict(chunk).items() if k not in self.mapper.steps}
            if kept:
                yield AddableDict(kept)
        source = frame.io.as_stream(again(taken))
        mapped = frame.io.transform(self.mapper)(source, frame.child())
        async with Owned(frame.io.pull(mapped)) as chunks:
            async for chunk in chunks:
                yield chunk


def _dict(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise InputError(
            f"RunnablePassthrough.assign adds to a dict, but its input is {type(given).__name__}"
        )
    return given
