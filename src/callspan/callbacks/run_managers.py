"""The run managers: the handle on one open run, with a typed method for every event it can send.

The methods are one line each. What they do is in two places: `RunManager` sends for sync runs and
`AsyncRunManager` for async ones, over the `Run` that both share.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from uuid import UUID

from typing_extensions import Self

from callspan.callbacks import activate
from callspan.callbacks.activate import Activation, Keep
from callspan.callbacks.dispatch import atell, atell_shielded, tell
from callspan.callbacks.events import (
    AGENT_ACTION,
    AGENT_FINISH,
    CHAIN_END,
    CHAIN_ERROR,
    LLM_END,
    LLM_ERROR,
    LLM_NEW_TOKEN,
    RETRIEVER_END,
    RETRIEVER_ERROR,
    RETRY,
    STREAM_EVENT,
    TEXT,
    TOOL_END,
    TOOL_ERROR,
    Event,
)
from callspan.callbacks.handlers import (
    BaseCallbackHandler,
    ChainManagerMixin,
    LLMManagerMixin,
    RetrieverManagerMixin,
    RunManagerMixin,
    ToolManagerMixin,
)
from callspan.callbacks.ids import new_run_id
from callspan.callbacks.listeners import Listeners
from callspan.callbacks.run import Run
from callspan.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callspan.callbacks.managers import AsyncCallbackManager, CallbackManager
    from callspan.documents import Document
    from callspan.outputs import (
        AgentAction,
        AgentFinish,
        ChatGenerationChunk,
        GenerationChunk,
        LLMResult,
    )

T = TypeVar("T")
Awaited = Coroutine[Any, Any, None]


class BaseRunManager(RunManagerMixin):
    """The handle on one open run: sends its events, and makes its Context current.

    Args:
        run_id: The run.
        handlers: Who hears of it.
        inheritable_handlers: Which of them hear of its children too.
        parent_run_id: The run it is part of.
        tags: Its tags.
        inheritable_tags: The tags of its children.
        metadata: Its metadata.
        inheritable_metadata: The metadata of its children.
    """

    end_event: ClassVar[Event]
    """The event that ends a run of this kind."""
    error_event: ClassVar[Event]
    """The event that ends it with an exception."""

    def __init__(
        self,
        *,
        run_id: UUID,
        handlers: list[BaseCallbackHandler],
        inheritable_handlers: list[BaseCallbackHandler],
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        inheritable_tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        inheritable_metadata: dict[str, Any] | None = None,
    ) -> None:
        self._run = Run(
            run_id,
            parent_run_id,
            handlers,
            inheritable_handlers,
            tags or [],
            inheritable_tags or [],
            metadata or {},
            inheritable_metadata or {},
            Listeners(handlers, inheritable_handlers),
        )

    @classmethod
    def of(cls, run: Run) -> Self:
        """Return a manager of this kind for an open run."""
        manager = cls.__new__(cls)
        manager._run = run
        return manager

    @classmethod
    def get_noop_manager(cls) -> Self:
        """Return a manager that nobody listens to."""
        return cls(run_id=new_run_id(), handlers=[], inheritable_handlers=[])

    @property
    def run_id(self) -> UUID:
        """The run."""
        return self._run.run_id

    @property
    def parent_run_id(self) -> UUID | None:
        """The run it is part of, if any."""
        return self._run.parent_run_id

    @property
    def handlers(self) -> list[Any]:
        """Who was passed to hear of the run."""
        return self._run.handlers

    @property
    def inheritable_handlers(self) -> list[Any]:
        """Which of them hear of its children too."""
        return self._run.inheritable_handlers

    @property
    def tags(self) -> list[str]:
        """Its tags."""
        return self._run.tags

    @property
    def inheritable_tags(self) -> list[str]:
        """The tags of its children."""
        return self._run.inheritable_tags

    @property
    def metadata(self) -> dict[str, Any]:
        """Its metadata."""
        return self._run.metadata

    @property
    def inheritable_metadata(self) -> dict[str, Any]:
        """The metadata of its children."""
        return self._run.inheritable_metadata

    def activate(self) -> Activation[Self]:
        """Make the run current around its body: `with run.activate(): body()`.

        In the block the run's span is the current span, and runs that start are its children.
        Write the block in the frame where the body runs, and keep `yield` out of it: generators
        go through `step`. It does not end the run.
        """
        return Activation(self, self._run.context)

    def step(self, source: Iterator[T], *, keep: Keep | None = None) -> Generator[T, Any, Any]:
        """Pull from a generator with the run current in each step, and not between the steps.

        `send`, `throw`, `close` and the return value work as they would without it. It does not
        end the run.

        Args:
            source: A generator, or any iterator.
            keep: Called with each chunk.

        Raises:
            InputError: if `source` is none of these: a generator function is called first.
        """
        _check_steps(source, Iterator)
        return activate.step(self._run.context(), source, keep)

    def astep(
        self, source: AsyncIterator[T], *, keep: Keep | None = None
    ) -> AsyncGenerator[T, Any]:
        """As `step`, for an async generator or iterator."""
        _check_steps(source, AsyncIterator)
        return activate.astep(self._run.context(), source, keep)


def _check_steps(source: Any, kind: type[Any]) -> None:
    if not isinstance(source, kind):
        raise InputError(
            f"this takes a generator or another {kind.__name__}, not {type(source).__name__}: "
            "call a generator function, iter() a list, and go by step or astep"
        )


class RunManager(BaseRunManager):
    """The handle on a sync run."""

    def on_text(self, text: str, **kwargs: Any) -> None:
        """Tell that the run has text to show."""
        self.send(TEXT, text, kwargs)

    def on_retry(self, retry_state: Any, **kwargs: Any) -> None:
        """Tell that the run is about to be tried again."""
        self.send(RETRY, retry_state, kwargs)

    def send(self, event: Event, argument: Any, extra: dict[str, Any]) -> None:
        """Tell the run's listeners of something that happened to it."""
        heard = self._run.listeners.of(event)
        if heard is not None:
            tell(heard, (argument,), self._run.told(extra))

    def close(self, event: Event, argument: Any, extra: dict[str, Any]) -> None:
        """End the run once; a second end is ignored."""
        heard = self._run.closing(event, argument, extra)
        if heard is not None:
            tell(heard, (argument,), self._run.told(extra))


class ParentRunManager(RunManager):
    """The handle on a sync run that can have children."""

    _child_manager: ClassVar[type[CallbackManager]]
    """What `get_child` returns; `managers`, which is built upon this module, says it."""

    def get_child(self, tag: str | None = None) -> CallbackManager:
        """Return a manager for children of this run, with a `tag` for them alone."""
        return self._child_manager.under(self._run, tag)


class AsyncRunManager(BaseRunManager, ABC):
    """The handle on an async run: its methods return what is to be awaited."""

    @abstractmethod
    def get_sync(self) -> RunManager:
        """Return the sync handle on the same run."""

    def on_text(self, text: str, **kwargs: Any) -> Awaited:
        """Tell that the run has text to show."""
        return self.send(TEXT, text, kwargs)

    def on_retry(self, retry_state: Any, **kwargs: Any) -> Awaited:
        """Tell that the run is about to be tried again."""
        return self.send(RETRY, retry_state, kwargs)

    async def send(self, event: Event, argument: Any, extra: dict[str, Any]) -> None:
        """Tell the run's listeners of something that happened to it."""
        heard = self._run.listeners.of(event)
        if heard is not None:
            await atell(heard, (argument,), self._run.told(extra))

    async def close(self, event: Event, argument: Any, extra: dict[str, Any]) -> None:
        """End the run once; everybody is told, even if the task is cancelled meanwhile."""
        heard = self._run.closing(event, argument, extra)
        if heard is not None:
            await atell_shielded(heard, (argument,), self._run.told(extra))


class AsyncParentRunManager(AsyncRunManager):
    """The handle on an async run that can have children."""

    _child_manager: ClassVar[type[AsyncCallbackManager]]
    """What `get_child` returns; `managers`, which is built upon this module, says it."""

    def get_child(self, tag: str | None = None) -> AsyncCallbackManager:
        """Return a manager for children of this run, with a `tag` for them alone."""
        return self._child_manager.under(self._run, tag)


class CallbackManagerForLLMRun(RunManager, LLMManagerMixin):
    """The handle on a text or chat model's run."""

    end_event, error_event = LLM_END, LLM_ERROR

    def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        **kwargs: Any,
    ) -> None:
        """Tell that the model produced `token`; `chunk` is the whole piece."""
        self.send(LLM_NEW_TOKEN, token, {"chunk": chunk, **kwargs})

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        """End the run with the model's answer."""
        self.close(LLM_END, response, kwargs)

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        """End the run with an exception."""
        self.close(LLM_ERROR, error, kwargs)

    def on_stream_event(self, event: Any, **kwargs: Any) -> None:
        """Tell of one structured event of a stream."""
        self.send(STREAM_EVENT, event, kwargs)


class AsyncCallbackManagerForLLMRun(AsyncRunManager, LLMManagerMixin):
    """The handle on a text or chat model's async run."""

    end_event, error_event = LLM_END, LLM_ERROR

    def get_sync(self) -> CallbackManagerForLLMRun:
        """Return the sync handle on the same run."""
        return CallbackManagerForLLMRun.of(self._run)

    def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        **kwargs: Any,
    ) -> Awaited:
        """Tell that the model produced `token`; `chunk` is the whole piece."""
        return self.send(LLM_NEW_TOKEN, token, {"chunk": chunk, **kwargs})

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> Awaited:
        """End the run with the model's answer."""
        return self.close(LLM_END, response, kwargs)

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> Awaited:
        """End the run with an exception."""
        return self.close(LLM_ERROR, error, kwargs)

    def on_stream_event(self, event: Any, **kwargs: Any) -> Awaited:
        """Tell of one structured event of a stream."""
        return self.send(STREAM_EVENT, event, kwargs)


class CallbackManagerForChainRun(ParentRunManager, ChainManagerMixin):
    """The handle on a chain's run."""

    end_event, error_event = CHAIN_END, CHAIN_ERROR

    def on_chain_end(self, outputs: dict[str, Any] | Any, **kwargs: Any) -> None:
        """End the run with what the chain returned."""
        self.close(CHAIN_END, outputs, kwargs)

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        """End the run with an exception."""
        self.close(CHAIN_ERROR, error, kwargs)

    def on_agent_action(self, action: AgentAction, **kwargs: Any) -> None:
        """Tell that the agent decided to call a tool."""
        self.send(AGENT_ACTION, action, kwargs)

    def on_agent_finish(self, finish: AgentFinish, **kwargs: Any) -> None:
        """Tell that the agent has its answer."""
        self.send(AGENT_FINISH, finish, kwargs)


class AsyncCallbackManagerForChainRun(AsyncParentRunManager, ChainManagerMixin):
    """The handle on a chain's async run."""

    end_event, error_event = CHAIN_END, CHAIN_ERROR

    def get_sync(self) -> CallbackManagerForChainRun:
        """Return the sync handle on the same run."""
        return CallbackManagerForChainRun.of(self._run)

    def on_chain_end(self, outputs: dict[str, Any] | Any, **kwargs: Any) -> Awaited:
        """End the run with what the chain returned."""
        return self.close(CHAIN_END, outputs, kwargs)

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> Awaited:
        """End the run with an exception."""
        return self.close(CHAIN_ERROR, error, kwargs)

    def on_agent_action(self, action: AgentAction, **kwargs: Any) -> Awaited:
        """Tell that the agent decided to call a tool."""
        return self.send(AGENT_ACTION, action, kwargs)

    def on_agent_finish(self, finish: AgentFinish, **kwargs: Any) -> Awaited:
        """Tell that the agent has its answer."""
        return self.send(AGENT_FINISH, finish, kwargs)


class CallbackManagerForToolRun(ParentRunManager, ToolManagerMixin):
    """The handle on a tool's run."""

    end_event, error_event = TOOL_END, TOOL_ERROR

    def on_tool_end(self, output: Any, **kwargs: Any) -> None:
        """End the run with what the tool returned."""
        self.close(TOOL_END, output, kwargs)

    def on_tool_error(self, error: BaseException, **kwargs: Any) -> None:
        """End the run with an exception."""
        self.close(TOOL_ERROR, error, kwargs)


class AsyncCallbackManagerForToolRun(AsyncParentRunManager, ToolManagerMixin):
    """The handle on a tool's async run."""

    end_event, error_event = TOOL_END, TOOL_ERROR

    def get_sync(self) -> CallbackManagerForToolRun:
        """Return the sync handle on the same run."""
        return CallbackManagerForToolRun.of(self._run)

    def on_tool_end(self, output: Any, **kwargs: Any) -> Awaited:
        """End the run with what the tool returned."""
        return self.close(TOOL_END, output, kwargs)

    def on_tool_error(self, error: BaseException, **kwargs: Any) -> Awaited:
        """End the run with an exception."""
        return self.close(TOOL_ERROR, error, kwargs)


class CallbackManagerForRetrieverRun(ParentRunManager, RetrieverManagerMixin):
    """The handle on a retriever's run."""

    end_event, error_event = RETRIEVER_END, RETRIEVER_ERROR

    def on_retriever_end(self, documents: Sequence[Document], **kwargs: Any) -> None:
        """End the run with the documents found."""
        self.close(RETRIEVER_END, documents, kwargs)

    def on_retriever_error(self, error: BaseException, **kwargs: Any) -> None:
        """End the run with an exception."""
        self.close(RETRIEVER_ERROR, error, kwargs)


class AsyncCallbackManagerForRetrieverRun(AsyncParentRunManager, RetrieverManagerMixin):
    """The handle on a retriever's async run."""

    end_event, error_event = RETRIEVER_END, RETRIEVER_ERROR

    def get_sync(self) -> CallbackManagerForRetrieverRun:
        """Return the sync handle on the same run."""
        return CallbackManagerForRetrieverRun.of(self._run)

    def on_retriever_end(self, documents: Sequence[Document], **kwargs: Any) -> Awaited:
        """End the run with the documents found."""
        return self.close(RETRIEVER_END, documents, kwargs)

    def on_retriever_error(self, error: BaseException, **kwargs: Any) -> Awaited:
        """End the run with an exception."""
        return self.close(RETRIEVER_ERROR, error, kwargs)
