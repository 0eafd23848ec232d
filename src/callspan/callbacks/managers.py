"""The callback managers: what starts runs, sync and async, and what a run's settings come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from opentelemetry.context import attach, get_current
from typing_extensions import Self

from callspan.callbacks.activate import leave
from callspan.callbacks.ambient import Scope, implicit_handlers, scope_of
from callspan.callbacks.base_manager import BaseCallbackManager
from callspan.callbacks.dispatch import atell, tell
from callspan.callbacks.events import (
    CHAIN_START,
    CHAT_MODEL_START,
    CUSTOM_EVENT,
    LLM_START,
    RETRIEVER_START,
    TOOL_START,
    Event,
)
from callspan.callbacks.handlers import BaseCallbackHandler
from callspan.callbacks.listeners import NOBODY, check_handlers
from callspan.callbacks.run import Run
from callspan.callbacks.run_managers import (
    AsyncCallbackManagerForChainRun,
    AsyncCallbackManagerForLLMRun,
    AsyncCallbackManagerForRetrieverRun,
    AsyncCallbackManagerForToolRun,
    AsyncParentRunManager,
    AsyncRunManager,
    CallbackManagerForChainRun,
    CallbackManagerForLLMRun,
    CallbackManagerForRetrieverRun,
    CallbackManagerForToolRun,
    ParentRunManager,
    RunManager,
)
from callspan.callbacks.stdout import StdOutCallbackHandler

if TYPE_CHECKING:
    from callspan.messages import BaseMessage

Callbacks = Sequence[BaseCallbackHandler] | BaseCallbackManager | None
"""What `callbacks` takes: handlers, a manager whose settings are used, or None."""

R = TypeVar("R", bound=RunManager)
A = TypeVar("A", bound=AsyncRunManager)


class _Manager(BaseCallbackManager):
    """What sync and async managers share: where a run's settings come from."""

    @classmethod
    def configure(
        cls,
        inheritable_callbacks: Callbacks = None,
        local_callbacks: Callbacks = None,
        verbose: bool = False,
        inheritable_tags: list[str] | None = None,
        local_tags: list[str] | None = None,
        inheritable_metadata: dict[str, Any] | None = None,
        local_metadata: dict[str, Any] | None = None,
        *,
        langsmith_inheritable_metadata: Mapping[str, Any] | None = None,
        langsmith_inheritable_tags: list[str] | None = None,
    ) -> Self:
        """Return a manager for a run that starts here.

        The handlers, tags and metadata of the run around this code are part of it, and that run
        is the parent. If `inheritable_callbacks` is a manager that names a parent run, that
        parent stays, and the run around this code has a say only if it is that same run.

        Args:
            inheritable_callbacks: Handlers passed at run time: they hear the run and all its
                descendants. Or a manager.
            local_callbacks: The handlers of the object that runs: they hear this run alone.
            verbose: Whether to print the run with a StdOutCallbackHandler.
            inheritable_tags: Tags of the run and its descendants.
            local_tags: Tags of this run alone.
            inheritable_metadata: Metadata of the run and its descendants.
            local_metadata: Metadata of this run alone.
            langsmith_inheritable_metadata: Read by LangSmith's own tracer alone.
            langsmith_inheritable_tags: Likewise.

        Raises:
            CallbackError: if the callbacks are neither handlers nor a manager.
            ConfigurationError: if tags are no list of strings, or metadata no dict.
        """
        manager = cls.for_run(
            inheritable_callbacks,
            local_callbacks,
            verbose,
            inheritable_tags,
            local_tags,
            inheritable_metadata,
            local_metadata,
        )
        return manager._copied(cls) if manager is inheritable_callbacks else manager

    @classmethod
    def for_run(
        cls,
        callbacks: Callbacks = None,
        local_callbacks: Callbacks = None,
        verbose: bool = False,
        tags: list[str] | None = None,
        local_tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        local_metadata: dict[str, Any] | None = None,
    ) -> Self:
        """As `configure`, for a caller that starts one run and changes nothing.

        Where there is nothing to add, a child's manager is returned as it was given.
        """
        manager = cls._starting_point(callbacks)
        implicit = None
        for find in implicit_handlers:
            handler = find(manager.inheritable_handlers)
            if handler is not None:
                implicit = [*(implicit or ()), handler]
        if not (
            local_callbacks
            or verbose
            or tags
            or local_tags
            or metadata
            or local_metadata
            or implicit
        ):
            return manager
        if manager is callbacks:
            manager = manager._copied(cls)
        if local_callbacks:
            local = (
                local_callbacks.handlers
                if isinstance(local_callbacks, BaseCallbackManager)
                else check_handlers(local_callbacks)
            )
            manager._join(local, inherit=False)
        if tags:
            manager.add_tags(tags)
        if local_tags:
            manager.add_tags(local_tags, inherit=False)
        if metadata:
            manager.add_metadata(metadata)
        if local_metadata:
            manager.add_metadata(local_metadata, inherit=False)
        if verbose and not any(isinstance(h, StdOutCallbackHandler) for h in manager.handlers):
            manager._join([StdOutCallbackHandler()], inherit=False)
        if implicit:
            manager.handlers = [*implicit, *manager.handlers]
            manager.inheritable_handlers = [*implicit, *manager.inheritable_handlers]
        return manager

    @classmethod
    def under(cls, run: Run, tag: str | None = None) -> Self:
        """Return a manager for children of an open run, with a `tag` for them alone."""
        manager = cls._of_scope(run.scope())
        manager._parent = run
        if tag is not None and tag not in manager.tags:
            manager.tags.append(tag)
        return manager

    @classmethod
    def _starting_point(cls, callbacks: Callbacks) -> Self:
        """The settings that were passed at run time and the ones around this code, together."""
        around = scope_of(get_current())
        if not isinstance(callbacks, BaseCallbackManager):
            manager = cls._of_scope(around or _NO_SCOPE)
            if callbacks:
                manager._join(check_handlers(callbacks), inherit=True)
            return manager
        parent = callbacks._parent
        is_child = parent is not None and around is not None and around is parent._scope
        if is_child and type(callbacks) is cls:
            return callbacks
        if is_child or around is None or callbacks.parent_run_id not in (None, around.run_id):
            return callbacks._copied(cls)
        return cls._of_scope(around).merge(callbacks)

    @classmethod
    def _of_scope(cls, scope: Scope) -> Self:
        # Copies: code written for LangChain appends to these, and the scope is shared.
        manager = cls.__new__(cls)
        manager.handlers = handlers = [*scope.handlers]
        manager.inheritable_handlers = [*handlers]
        manager.tags = [*scope.tags]
        manager.inheritable_tags = [*scope.tags]
        manager.metadata = {**scope.metadata}
        manager.inheritable_metadata = {**scope.metadata}
        manager.parent_run_id = scope.run_id
        manager._parent = None
        manager._known = (handlers, len(handlers), scope.listeners)
        return manager


_NO_SCOPE = Scope(None, [], [], {}, NOBODY)


class CallbackManager(_Manager):
    """Starts sync runs: every `on_*_start` tells the handlers and returns the run's manager."""

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        run_id: UUID | None = None,
        **kwargs: Any,
    ) -> list[CallbackManagerForLLMRun]:
        """Start one run of a text model a prompt; the first one has `run_id`, if it is given."""
        return self._start_each(LLM_START, serialized, prompts, run_id, kwargs)

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        run_id: UUID | None = None,
        **kwargs: Any,
    ) -> list[CallbackManagerForLLMRun]:
        """Start one run of a chat model a conversation; the first one has `run_id`."""
        return self._start_each(CHAT_MODEL_START, serialized, messages, run_id, kwargs)

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: dict[str, Any] | Any,
        run_id: UUID | None = None,
        **kwargs: Any,
    ) -> CallbackManagerForChainRun:
        """Start a chain's run."""
        run = self._run(run_id)
        return self._start(
            CHAIN_START, CallbackManagerForChainRun.of(run), serialized, inputs, kwargs
        )

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        run_id: UUID | None = None,
        parent_run_id: UUID | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> CallbackManagerForToolRun:
        """Start a tool's run."""
        run = self._run(run_id, parent_run_id)
        return self._start(
            TOOL_START,
            CallbackManagerForToolRun.of(run),
            serialized,
            input_str,
            {"inputs": inputs, **kwargs},
        )

    def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        query: str,
        run_id: UUID | None = None,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> CallbackManagerForRetrieverRun:
        """Start a retriever's run."""
        run = self._run(run_id, parent_run_id)
        return self._start(
            RETRIEVER_START, CallbackManagerForRetrieverRun.of(run), serialized, query, kwargs
        )

    def on_custom_event(
        self, name: str, data: Any, run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """Tell of an event of the user's own; `data` has all there is to say.

        Raises:
            ValueError: if there are more keywords: they belong into `data`.
        """
        heard = self._listeners().of(CUSTOM_EVENT)
        told = self._custom_event(run_id, kwargs)
        if heard is not None:
            tell(heard, (name, data), told)

    def _start_each(
        self,
        event: Event,
        serialized: dict[str, Any],
        inputs: Sequence[Any],
        run_id: UUID | None,
        extra: dict[str, Any],
    ) -> list[CallbackManagerForLLMRun]:
        started: list[CallbackManagerForLLMRun] = []
        for one in inputs:
            run = self._run(run_id)
            run_id = None
            try:
                started.append(
                    self._start(event, CallbackManagerForLLMRun.of(run), serialized, [one], extra)
                )
            except BaseException as error:
                for manager in started:
                    with suppress(Exception):
                        manager.on_llm_error(error)
                raise
        return started

    def _start(
        self, event: Event, manager: R, serialized: Any, given: Any, extra: dict[str, Any]
    ) -> R:
        run = manager._run
        heard = run.listeners.of(event)
        if heard is None:
            return manager
        arguments, told = _start_arguments(serialized, given, extra, run)
        token = attach(run.parent_context) if run.parent_context is not None else None
        try:
            tell(heard, arguments, told)
        except BaseException as error:
            # Every handler that was told of a start is told of an end.
            with suppress(Exception):
                manager.close(manager.error_event, error, {})
            raise
        finally:
            if token is not None:
                leave(token)
        return manager


class AsyncCallbackManager(_Manager):
    """Starts async runs: every `on_*_start` is awaited and gives the run's manager."""

    @property
    def is_async(self) -> bool:
        """Whether the events of this manager are awaited: they are."""
        return True

    async def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        run_id: UUID | None = None,
        **kwargs: Any,
    ) -> list[AsyncCallbackManagerForLLMRun]:
        """Start one run of a text model a prompt; the first one has `run_id`, if it is given."""
        return await self._start_each(LLM_START, serialized, prompts, run_id, kwargs)

    async def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        run_id: UUID | None = None,
        **kwargs: Any,
    ) -> list[AsyncCallbackManagerForLLMRun]:
        """Start one run of a chat model a conversation; the first one has `run_id`."""
        return await self._start_each(CHAT_MODEL_START, serialized, messages, run_id, kwargs)

    async def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: dict[str, Any] | Any,
        run_id: UUID | None = None,
        **kwargs: Any,
    ) -> AsyncCallbackManagerForChainRun:
        """Start a chain's run."""
        run = self._run(run_id)
        return await self._start(
            CHAIN_START, AsyncCallbackManagerForChainRun.of(run), serialized, inputs, kwargs
        )

    async def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        run_id: UUID | None = None,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> AsyncCallbackManagerForToolRun:
        """Start a tool's run."""
        run = self._run(run_id, parent_run_id)
        return await self._start(
            TOOL_START, AsyncCallbackManagerForToolRun.of(run), serialized, input_str, kwargs
        )

    async def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        query: str,
        run_id: UUID | None = None,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> AsyncCallbackManagerForRetrieverRun:
        """Start a retriever's run."""
        run = self._run(run_id, parent_run_id)
        return await self._start(
            RETRIEVER_START, AsyncCallbackManagerForRetrieverRun.of(run), serialized, query, kwargs
        )

    async def on_custom_event(
        self, name: str, data: Any, run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """Tell of an event of the user's own; `data` has all there is to say.

        Raises:
            ValueError: if there are more keywords: they belong into `data`.
        """
        heard = self._listeners().of(CUSTOM_EVENT)
        told = self._custom_event(run_id, kwargs)
        if heard is not None:
            await atell(heard, (name, data), told)

    async def _start_each(
        self,
        event: Event,
        serialized: dict[str, Any],
        inputs: Sequence[Any],
        run_id: UUID | None,
        extra: dict[str, Any],
    ) -> list[AsyncCallbackManagerForLLMRun]:
        started: list[AsyncCallbackManagerForLLMRun] = []
        for one in inputs:
            run = self._run(run_id)
            run_id = None
            try:
                started.append(
                    await self._start(
                        event, AsyncCallbackManagerForLLMRun.of(run), serialized, [one], extra
                    )
                )
            except BaseException as error:
                for manager in started:
                    with suppress(Exception):
                        await manager.on_llm_error(error)
                raise
        return started

    async def _start(
        self, event: Event, manager: A, serialized: Any, given: Any, extra: dict[str, Any]
    ) -> A:
        run = manager._run
        heard = run.listeners.of(event)
        if heard is None:
            return manager
        arguments, told = _start_arguments(serialized, given, extra, run)
        token = attach(run.parent_context) if run.parent_context is not None else None
        try:
            await atell(heard, arguments, told)
        except BaseException as error:
            with suppress(Exception):
                await manager.close(manager.error_event, error, {})
            raise
        finally:
            if token is not None:
                leave(token)
        return manager


ParentRunManager._child_manager = CallbackManager
AsyncParentRunManager._child_manager = AsyncCallbackManager


def _start_arguments(
    serialized: Any, given: Any, extra: dict[str, Any], run: Run
) -> tuple[tuple[Any, Any], dict[str, Any]]:
    """What handlers are given at a start; `serialized` is a dict whoever starts the run."""
    if serialized is None:
        serialized = {"name": extra["name"]} if "name" in extra else {}
    elif type(serialized) is dict:  # a block's own, and handlers may change what they are told
        serialized = serialized.copy()
    return (serialized, given), run.told(extra, metadata=run.metadata)
