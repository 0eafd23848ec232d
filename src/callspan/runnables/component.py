"""What models, tools and retrievers share: handlers, tags and metadata of their own."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from callspan.callbacks.base_manager import own_handlers
from callspan.callbacks.managers import AsyncCallbackManager, CallbackManager
from callspan.runnables.base import Input, Output, Runnable
from callspan.runnables.config import Config, RunnableConfig, checked
from callspan.runnables.io import ASYNC, IO, SYNC


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
