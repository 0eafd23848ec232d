"""Chain groups: several calls, made one after the other, as one run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

from callspan._options import check
from callspan.callbacks.handlers import BaseCallbackHandler
from callspan.callbacks.managers import AsyncCallbackManager, CallbackManager
from callspan.callbacks.run_managers import (
    AsyncCallbackManagerForChainRun,
    CallbackManagerForChainRun,
)


class CallbackManagerForChainGroup(CallbackManager):
    """The manager of a chain group: pass it as `callbacks` to what belongs to the group.

    Args:
        handlers: Who hears the runs of the group.
        inheritable_handlers: Who hears their descendants too.
        parent_run_id: The group's run.
        parent_run_manager: The handle on the group's run.
        kwargs: Tags and metadata, as for `CallbackManager`.
    """

    def __init__(
        self,
        handlers: list[BaseCallbackHandler],
        inheritable_handlers: list[BaseCallbackHandler] | None = None,
        parent_run_id: UUID | None = None,
        *,
        parent_run_manager: CallbackManagerForChainRun,
        **kwargs: Any,
    ) -> None:
        super().__init__(handlers, inheritable_handlers, parent_run_id, **kwargs)
        self.parent_run_manager = parent_run_manager
        self.ended = False

    def on_chain_end(self, outputs: dict[str, Any] | Any, **kwargs: Any) -> None:
        """End the group's run with its outputs."""
        self.ended = True
        self.parent_run_manager.on_chain_end(outputs, **kwargs)

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        """End the group's run with an exception."""
        self.ended = True
        self.parent_run_manager.on_chain_error(error, **kwargs)


class AsyncCallbackManagerForChainGroup(AsyncCallbackManager):
    """The async manager of a chain group; its arguments are those of the sync one."""

    def __init__(
        self,
        handlers: list[BaseCallbackHandler],
        inheritable_handlers: list[BaseCallbackHandler] | None = None,
        parent_run_id: UUID | None = None,
        *,
        parent_run_manager: AsyncCallbackManagerForChainRun,
        **kwargs: Any,
    ) -> None:
        super().__init__(handlers, inheritable_handlers, parent_run_id, **kwargs)
        self.parent_run_manager = parent_run_manager
        self.ended = False

    async def on_chain_end(self, outputs: dict[str, Any] | Any, **kwargs: Any) -> None:
        """End the group's run with its outputs."""
        self.ended = True
        await self.parent_run_manager.on_chain_end(outputs, **kwargs)

    async def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        """End the group's run with an exception."""
        self.ended = True
        await self.parent_run_manager.on_chain_error(error, **kwargs)


@contextmanager
def trace_as_chain_group(
    group_name: str,
    callback_manager: CallbackManager | None = None,
    *,
    inputs: dict[str, Any] | None = None,
    project_name: str | None = None,  # LangSmith's, as are the next two
    address: Any = None,
    example_id: str | UUID | None = None,
    run_id: UUID | None = None,
    tags: list[str] | None = None,
    metadata: dict[str, Any] | None = None,
) -> Iterator[CallbackManagerForChainGroup]:
    """Make one run of the calls in a `with` block.

    The group's run is current in the block, so calls belong to it whether or not they are given
    the manager as `callbacks`. It ends with the block, with empty outputs, unless the block has
    called `manager.on_chain_end(outputs)`.

    Args:
        group_name: The run's name.
        callback_manager: Whose handlers, tags, metadata and parent run the group has.
        inputs: The run's inputs.
        project_name: LangSmith's; without effect, and so are the next two.
        address: Without effect.
        example_id: Without effect.
        run_id: The run's id.
        tags: Tags of the run and its descendants.
        metadata: Metadata of the run and its descendants.

    Raises:
        CallbackError: if `callback_manager` is no callback manager, and no list of handlers.
        ConfigurationError: if `group_name` is no string, `run_id` no UUID, `tags` no list of
            strings, or `metadata` no dict.
    """
    check({"group_name": group_name})
    settings = CallbackManager.configure(
        callback_manager, inheritable_tags=tags, inheritable_metadata=metadata
    )
    run = settings.on_chain_start(
        {"name": group_name}, inputs or {}, run_id=run_id, name=group_name
    )
    group = CallbackManagerForChainGroup.under(run._run)
    group.parent_run_manager, group.ended = run, False
    try:
        with run.activate():
            yield group
    except BaseException as error:
        run.on_chain_error(error)
        raise
    if not group.ended:
        run.on_chain_end({})


@asynccontextmanager
async def atrace_as_chain_group(
    group_name: str,
    callback_manager: AsyncCallbackManager | None = None,
    *,
    inputs: dict[str, Any] | None = None,
    project_name: str | None = None,
    address: Any = None,
    example_id: str | UUID | None = None,
    run_id: UUID | None = None,
    tags: list[str] | None = None,
    metadata: dict[str, Any] | None = None,
) -> AsyncIterator[AsyncCallbackManagerForChainGroup]:
    """Make one run of the calls in an `async with` block; see `trace_as_chain_group`."""
    check({"group_name": group_name})
    settings = AsyncCallbackManager.configure(
        callback_manager, inheritable_tags=tags, inheritable_metadata=metadata
    )
    run = await settings.on_chain_start(
        {"name": group_name}, inputs or {}, run_id=run_id, name=group_name
    )
    group = AsyncCallbackManagerForChainGroup.under(run._run)
    group.parent_run_manager, group.ended = run, False
    try:
        with run.activate():
            yield group
    except BaseException as error:
        await run.on_chain_error(error)
        raise
    if not group.ended:
        await run.on_chain_end({})
