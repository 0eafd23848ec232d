"""What a handler can hear: the base classes, every method a documented no-op."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from callspan.callbacks.events import EVENTS

if TYPE_CHECKING:
    from callspan.documents import Document
    from callspan.messages import BaseMessage
    from callspan.outputs import (
        AgentAction,
        AgentFinish,
        ChatGenerationChunk,
        GenerationChunk,
        LLMResult,
    )


class LLMManagerMixin:
    """What happens to a run of a text or chat model after its start."""

    def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A streaming model produced `token`; `chunk` is the whole piece it came in."""

    def on_llm_end(
        self,
        response: LLMResult,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """The model answered."""

    def on_llm_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """The model failed, was cancelled or its stream was given up; see `type(error)`."""

    def on_stream_event(
        self,
        event: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A model that streams structured events sent one."""


class ChainManagerMixin:
    """What happens to a chain's or an agent's run after its start."""

    def on_chain_end(
        self,
        outputs: dict[str, Any],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> Any:
        """The chain returned `outputs` (whatever it returns, often no dict)."""

    def on_chain_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> Any:
        """The chain failed, was cancelled or its stream was given up."""

    def on_agent_action(
        self,
        action: AgentAction,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> Any:
        """An agent decided to call a tool."""

    def on_agent_finish(
        self,
        finish: AgentFinish,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> Any:
        """An agent has its answer."""


class ToolManagerMixin:
    """What happens to a tool's run after its start."""

    def on_tool_end(
        self, output: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        """The tool returned `output`."""

    def on_tool_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> Any:
        """The tool failed or was cancelled."""


class RetrieverManagerMixin:
    """What happens to a retriever's run after its start."""

    def on_retriever_end(
        self,
        documents: Sequence[Document],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> Any:
        """The retriever found `documents`."""

    def on_retriever_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> Any:
        """The retriever failed or was cancelled."""


class CallbackManagerMixin:
    """The starts of runs, one method a kind of run.

    Every start gives `serialized` (a dict that describes the object that runs, with its `name`),
    the run's `tags` and `metadata`, and as a keyword the run's `name`.
    """

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A text model starts on one prompt (a list of one)."""

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A chat model starts on one conversation (a list of one list of messages).

        A handler that leaves this out, or raises NotImplementedError here, hears `on_llm_start`
        instead, with the conversation as one string.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement on_chat_model_start")

    def on_retriever_start(
        self,
        serialized: dict[str, Any],
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A retriever starts on `query`."""

    def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: dict[str, Any],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A chain, prompt, parser, function or agent starts on `inputs` (often no dict)."""

    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A tool starts; `inputs` has its arguments by name, `input_str` the same as text."""


class RunManagerMixin:
    """What can happen to a run of any kind."""

    def on_text(
        self, text: str, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        """The run has some text to show."""

    def on_retry(
        self, retry_state: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> Any:
        """The run is about to be tried again; `retry_state` is tenacity's RetryCallState."""

    def on_custom_event(
        self,
        name: str,
        data: Any,
        *,
        run_id: UUID,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """The code that runs sent an event of its own, with `dispatch_custom_event`."""


class BaseCallbackHandler(
    LLMManagerMixin,
    ChainManagerMixin,
    ToolManagerMixin,
    RetrieverManagerMixin,
    CallbackManagerMixin,
    RunManagerMixin,
):
    """Hears what happens to runs: subclass it and write the methods you want to hear.

    Every method gets `run_id` and `parent_run_id` as keywords, and most get `tags`; take
    `**kwargs` for the ones you do not name. A method may be a coroutine function. What a method
    raises is logged and goes no further, unless `raise_error` is set.
    """

    raise_error: bool = False
    """Whether what a method raises reaches the program, after every other handler was told."""

    run_inline: bool = False
    """Whether async runs call this handler in their own task, in order, before the others.
    The others are told concurrently, sync methods among them in a worker thread."""

    @property
    def ignore_llm(self) -> bool:
        """Whether to skip the events of text models, and tokens, ends and errors of chat models."""
        return False

    @property
    def ignore_retry(self) -> bool:
        """Whether to skip `on_retry`."""
        return False

    @property
    def ignore_chain(self) -> bool:
        """Whether to skip the events of chains."""
        return False

    @property
    def ignore_agent(self) -> bool:
        """Whether to skip the events of agents and tools."""
        return False

    @property
    def ignore_retriever(self) -> bool:
        """Whether to skip the events of retrievers."""
        return False

    @property
    def ignore_chat_model(self) -> bool:
        """Whether to skip `on_chat_model_start`."""
        return False

    @property
    def ignore_custom_event(self) -> bool:
        """Whether to skip `on_custom_event`."""
        return False


class AsyncCallbackHandler(BaseCallbackHandler):
    """A handler whose methods are coroutine functions, by the same names and signatures."""


def _async_no_op(method: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, None]]:
    @functools.wraps(method)
    async def no_op(self: Any, *args: Any, **kwargs: Any) -> None:
        method(self, *args, **kwargs)

    no_op.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    # Mocks, for one, look through a wrapper, and would take this for a sync method.
    del no_op.__wrapped__
    return no_op


for _event in EVENTS:
    setattr(
        AsyncCallbackHandler,
        _event.method,
        _async_no_op(getattr(BaseCallbackHandler, _event.method)),
    )
