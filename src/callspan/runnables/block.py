"""Blocks whose calls are runs: with logic that is written once, or with settings of their own."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from callspan.callbacks.base_manager import own_handlers
from callspan.callbacks.drive import acall, call
from callspan.callbacks.managers import AsyncCallbackManager, CallbackManager
from callspan.callbacks.owned import Owned
from callspan.runnables.base import Input, Output, Runnable
from callspan.runnables.config import DEFAULT_RECURSION_LIMIT, Config, RunnableConfig, checked
from callspan.runnables.io import ASYNC, IO, SYNC, Chunks, finish
from callspan.runnables.total import Total

_NONE: Any = object()
_FOR_CHILDREN: Final = ("max_concurrency", "recursion_limit", "configurable")


@dataclass(slots=True)
class Frame:
    """One call of a block: how to perform it, its run, its config and further arguments."""

    io: IO
    run: Any
    config: RunnableConfig
    kwargs: dict[str, Any]

    def child(self, tag: str | None = None) -> RunnableConfig:
        """Return the config for a part of the block, with a tag for the part alone."""
        child: RunnableConfig = {"callbacks": self.run.get_child(tag)}
        for key in _FOR_CHILDREN if self.config else ():
            if key in self.config:
                child[key] = self.config[key]
        return child

    def one_deeper(self, name: str) -> RunnableConfig:
        """Return the config for a block that a function of this name returned, to be invoked.

        Raises:
            RecursionError: That has happened as often in a row as it may.
        """
        limit = self.config.get("recursion_limit", DEFAULT_RECURSION_LIMIT)
        if limit <= 0:
            raise RecursionError(
                f"{name} returned a runnable to be invoked more often in a row than the config's "
                "recursion_limit allows"
            )
        return {**self.child(), "recursion_limit": limit - 1}


class Block(Runnable[Input, Output]):
    """A block that is a chain run: `_invoke` is its logic, for sync and async callers."""

    name: str | None = None
    run_type: ClassVar[str | None] = None
    callbacks: Any = None
    """Its own handlers, or a callback manager, if it can have some."""

    @abstractmethod
    async def _invoke(self, given: Any, frame: Frame) -> Any:
        """Return the output for one input."""

    def invoke(self, input: Input, config: Config = None, **kwargs: Any) -> Output:
        """Return the output for one input."""
        config = checked(config, kwargs)
        run = self._start(CallbackManager, input, config)
        return call(run, finish, self._invoke, input, Frame(SYNC, run, config, kwargs))  # type: ignore[no-any-return]

    async def ainvoke(self, input: Input, config: Config = None, **kwargs: Any) -> Output:
        """As `invoke`, awaited."""
        config = checked(config, kwargs)
        run = await self._start(AsyncCallbackManager, input, config)
        return await acall(run, self._invoke, input, Frame(ASYNC, run, config, kwargs))

    async def _opened(self, io: IO, given: Any, config: Config, kwargs: dict[str, Any]) -> Frame:
        """Start the run of a stream."""
        config = checked(config, kwargs)
        return Frame(io, await io.done(self._start(io.manager, given, config)), config, kwargs)

    def _start(self, manager: Any, given: Any, config: RunnableConfig) -> Any:
        """Start a run; return its manager, for an async callback manager something to await."""
        settings = manager.for_run(
            config.get("callbacks"),
            self.callbacks,
            tags=config.get("tags"),
            metadata=config.get("metadata"),
        )
        told, run_id = self._serialized, config.get("run_id")
        name = config.get("run_name") or told["name"]
        return settings.on_chain_start(told, given, run_id, name=name, run_type=self.run_type)


class StreamingBlock(Block[Input, Output]):
    """A block that works on chunks: `_stream` is its logic."""

    @abstractmethod
    def _stream(self, source: Chunks, frame: Frame) -> Chunks:
        """Yield the output for a stream of input."""

    def _streamed(self, io: IO, given: Any, config: Config, kwargs: dict[str, Any]) -> Chunks:
        return self._transformed(io, SYNC.pull([given]), config, kwargs)

    async def _transformed(
        self, io: IO, source: Any, config: Config, kwargs: dict[str, Any]
    ) -> Chunks:
        taken, made = Total(), Total()
        # Whatever is upstream starts its run before this block does.
        first = await anext(source, _NONE)

        async def chunks() -> Chunks:
            if first is not _NONE:
                taken.add(first)
                yield first
                async for chunk in source:
                    taken.add(chunk)
                    yield chunk

        frame, given = await self._opened(io, {"input": ""}, config, kwargs), chunks()
        body, told = self._stream(given, frame), lambda _: {"inputs": taken.value()}
        output = io.in_run(frame.run, body, made.add, made.value, told)
        async with Owned(given), Owned(io.pull(output)) as downstream:
            async for chunk in downstream:
                yield chunk


@dataclass(slots=True)
class Ask:
    """One call, checked: the input, and what goes with it."""

    given: Any
    config: RunnableConfig
    kwargs: dict[str, Any]
    cache: Any = None
    """Where a model keeps its answers."""
    call_id: str | None = None
    """The id of the tool call that a tool answers."""


class Component(BaseModel, Runnable[Input, Output]):
    """A block with settings: a model, tool or retriever. Its own handlers hear its own runs alone.

    Attributes:
        name: The name of its runs.
        callbacks: Its own handlers, or a callback manager.
        tags: Its own tags.
        metadata: Its own metadata.
        verbose: Whether to print its runs.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())

    name: str | None = None
    callbacks: Annotated[Any, AfterValidator(own_handlers)] = Field(
        default=None, exclude=True, repr=False
    )
    tags: list[str] | None = Field(default=None, exclude=True, repr=False)
    metadata: dict[str, Any] | None = Field(default=None, exclude=True, repr=False)
    verbose: bool = Field(default=False, exclude=True, repr=False)

    _start_method: ClassVar[str]

    def invoke(self, input: Input, config: Config = None, **kwargs: Any) -> Output:
        """Return the output for one input.

        Args:
            input: The input.
            config: Handlers, tags and metadata of the run, its name and its id.
            kwargs: Further arguments, where it takes some; see the class.
        """
        ask = self._ask_of(input, checked(config, kwargs), kwargs)
        return self._answer_to(SYNC, ask, self._start_run(CallbackManager, ask))  # type: ignore[no-any-return]

    async def ainvoke(self, input: Input, config: Config = None, **kwargs: Any) -> Output:
        """As `invoke`, awaited."""
        ask = self._ask_of(input, checked(config, kwargs), kwargs)
        return await self._answer_to(ASYNC, ask, await self._start_run(AsyncCallbackManager, ask))  # type: ignore[no-any-return]

    @abstractmethod
    def _ask_of(self, given: Any, config: RunnableConfig, kwargs: dict[str, Any]) -> Ask:
        """Check a call, before there is a run."""

    @abstractmethod
    def _answer_to(self, io: IO, ask: Ask, run: Any) -> Any:
        """Return the output, or what gives it when awaited; the run ends with it."""

    def _told_of(self, ask: Ask) -> tuple[Any, dict[str, Any]]:
        """Return what the start event says of a call: the input, and further keywords."""
        return ask.given, {}

    def _own_metadata(self, ask: Ask) -> dict[str, Any] | None:
        """Return the metadata of this run alone."""
        return self.metadata

    def _start_run(self, manager: Any, ask: Ask, **more: Any) -> Any:
        """Start a run with the config's settings and the block's own."""
        config, serialized = ask.config, self._serialized
        configured = manager.for_run(
            config.get("callbacks"),
            self.callbacks,
            self.verbose,
            config.get("tags"),
            self.tags,
            config.get("metadata"),
            self._own_metadata(ask),
        )
        start, name = getattr(configured, self._start_method), config.get("run_name")
        given, told = self._told_of(ask)
        keywords = {"name": name or serialized["name"], **told, **more}
        return start(serialized, given, config.get("run_id"), **keywords)
