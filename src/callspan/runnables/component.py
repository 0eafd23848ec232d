"""What models, tools and retrievers share: handlers, tags and metadata of their own."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from callspan.callbacks.base_manager import BaseCallbackManager
from callspan.callbacks.listeners import check_handlers
from callspan.runnables.base import Input, Output, Runnable
from callspan.runnables.config import RunnableConfig


def own_handlers(callbacks: Any) -> Any:
    """Return the handlers, or the callback manager, that a block is to have of its own, checked."""
    if callbacks is None or isinstance(callbacks, BaseCallbackManager):
        return callbacks
    return check_handlers(callbacks)


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

    def _configured(
        self, manager: Any, config: RunnableConfig, metadata: dict[str, Any] | None
    ) -> Any:
        """A callback manager for one run, with the config's settings and the block's own."""
        return manager.for_run(
            config.get("callbacks"),
            self.callbacks,
            self.verbose,
            config.get("tags"),
            self.tags,
            config.get("metadata"),
            metadata,
        )
