"""The base class of chat models."""

# ruff: noqa: A002  # `input` is what langchain_core's users write as a keyword
from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from functools import cache, cached_property
from typing import Any, TypeAlias
from uuid import UUID

from callspan.callbacks.drive import acall, call
from callspan.callbacks.managers import AsyncCallbackManager, CallbackManager, Callbacks
from callspan.callbacks.run_managers import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from callspan.errors import InputError
from callspan.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    MessageLikeRepresentation,
    PromptValue,
    convert_to_messages,
)
from callspan.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    ChatResult,
    LLMResult,
    RunInfo,
    merge_chat_generation_chunks,
)
from callspan.runnables.aside import in_thread
from callspan.runnables.block import serialized
from callspan.runnables.component import Component
from callspan.runnables.config import RunnableConfig, checked
from callspan.runnables.io import ASYNC, IO, SYNC, drained
from callspan.runnables.workers import Tasks

LanguageModelInput: TypeAlias = PromptValue | str | Sequence[MessageLikeRepresentation]
"""What a model takes: a prompt, a text of the user's, or messages."""


class BaseChatModel(Component[LanguageModelInput, AIMessage]):
    """A chat model: messages in, a message out. Its fields are pydantic's.

    A class of one's own has `_generate` and `_llm_type`, and if it streams `_stream`. Without
    `_agenerate` and `_astream` async callers have these run in a thread.
    """

    @abstractmethod
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """Return the model's answers.

        Args:
            messages: The conversation.
            stop: Texts that end the answer where they occur.
            run_manager: The handle on the run.
            kwargs: Further arguments of the call.
        """

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """As `_generate`, awaited."""
        sync = None if run_manager is None else run_manager.get_sync()
        return await in_thread(self._generate, messages, stop=stop, run_manager=sync, **kwargs)

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        """Yield the model's answer in chunks; arguments as for `_generate`."""
        raise NotImplementedError

    def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        """As `_stream`, for `async for`."""
        raise NotImplementedError

    @property
    @abstractmethod
    def _llm_type(self) -> str:
        """The kind of model, for handlers."""

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """The parameters that a call is made with, for handlers."""
        return {}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        """Return what tracers are told of a call, as metadata: provider, model, parameters."""
        params: dict[str, Any] = {"ls_provider": _provider(type(self)), "ls_model_type": "chat"}
        fields = self.__dict__
        for key, name, kind in _LS_PARAMS:
            value = kwargs[name] if name in kwargs else fields.get(name)
            if value is not None and key not in params and isinstance(value, kind):
                params[key] = value
        if stop:
            params["ls_stop"] = stop
        return params

    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Return the model's answer.

        Args:
            input: A prompt, a text of the user's, or messages.
            config: Handlers, tags and metadata of the run, its name and its id.
            stop: Texts that end the answer where they occur.
            kwargs: Further arguments for the model.

        Raises:
            InputError: The input cannot be made into messages.
        """
        _, result = self._answer(convert_to_messages(input), checked(config), stop, 1, kwargs)
        return result.generations[0].message  # type: ignore[return-value]

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """As `invoke`, awaited."""
        messages = convert_to_messages(input)
        _, result = await self._aanswer(messages, checked(config), stop, 1, kwargs)
        return result.generations[0].message  # type: ignore[return-value]

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Yield the model's answer as it comes; whole, if the model does not stream."""
        return drained(self._streamed(SYNC, input, config, stop, kwargs))

    def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[AIMessageChunk, None]:
        """As `stream`, for `async for`."""
        return self._streamed(ASYNC, input, config, stop, kwargs)

    def generate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        *,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        run_name: str | None = None,
        run_id: UUID | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Return the answers to several conversations, one run each.

        Args:
            messages: The conversations.
            stop: Texts that end an answer where they occur.
            callbacks: Who hears the runs.
            tags: Their tags.
            metadata: Their metadata.
            run_name: Their name.
            run_id: The id of the first.
            kwargs: Further arguments for the model.
        """
        configs = _configs(len(messages), callbacks, tags, metadata, run_name, run_id)
        answers = [
            self._answer(convert_to_messages(one), config, stop, len(messages), kwargs)
            for one, config in zip(messages, configs, strict=True)
        ]
        return self._combined(answers)

    async def agenerate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        *,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        run_name: str | None = None,
        run_id: UUID | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """As `generate`, at the same time."""
        configs = _configs(len(messages), callbacks, tags, metadata, run_name, run_id)
        async with Tasks(None) as tasks:
            started = [
                tasks.start(
                    self._aanswer, convert_to_messages(one), config, stop, len(messages), kwargs
                )
                for one, config in zip(messages, configs, strict=True)
            ]
            return self._combined([await tasks.result(one) for one in started])

    def _answer(
        self,
        messages: list[BaseMessage],
        config: RunnableConfig,
        stop: list[str] | None,
        batch_size: int,
        kwargs: dict[str, Any],
    ) -> tuple[Any, ChatResult]:
        (run,) = self._start(CallbackManager, messages, config, stop, batch_size, kwargs)

        def body() -> ChatResult:
            return _completed(self._generate(messages, stop=stop, run_manager=run, **kwargs), run)

        return run, call(run, body, report=_as_llm_result)

    async def _aanswer(
        self,
        messages: list[BaseMessage],
        config: RunnableConfig,
        stop: list[str] | None,
        batch_size: int,
        kwargs: dict[str, Any],
    ) -> tuple[Any, ChatResult]:
        started = self._start(AsyncCallbackManager, messages, config, stop, batch_size, kwargs)
        (run,) = await started

        async def body() -> ChatResult:
            result = await self._agenerate(messages, stop=stop, run_manager=run, **kwargs)
            return _completed(result, run)

        return run, await acall(run, body, report=_as_llm_result)

    async def _streamed(
        self,
        io: IO,
        given: LanguageModelInput,
        config: RunnableConfig | None,
        stop: list[str] | None,
        kwargs: dict[str, Any],
    ) -> AsyncGenerator[AIMessageChunk, None]:
        source: Any = None
        if io is ASYNC and type(self)._astream is not BaseChatModel._astream:
            source = self._astream
        elif type(self)._stream is not BaseChatModel._stream:
            source = self._stream
        if source is None:
            yield await io.done(io.invoke(self)(given, config, stop=stop, **kwargs))
            return
        messages = convert_to_messages(given)
        chunks: list[ChatGenerationChunk] = []
        whole: list[ChatGenerationChunk] = []
        (run,) = await io.done(self._start(io.manager, messages, checked(config), stop, 1, kwargs))

        async def body() -> AsyncGenerator[AIMessageChunk, None]:
            async with aclosing(io.pull(source(messages, stop=stop, **kwargs))) as pulled:
                async for chunk in _to_the_end(pulled, run):
                    chunks.append(chunk)
                    await io.done(run.on_llm_new_token(chunk.message.content, chunk=chunk))
                    yield chunk.message  # type: ignore[misc]
            whole.append(chunks[0] + chunks[1:])

        output = io.in_run(
            run,
            body(),
            None,
            lambda: LLMResult(generations=[whole]),
            lambda error: {} if error is None else {"response": _so_far(chunks)},
        )
        async with aclosing(io.pull(output)) as downstream:
            async for message in downstream:
                yield message

    def _start(
        self,
        manager: Any,
        messages: list[BaseMessage],
        config: RunnableConfig,
        stop: list[str] | None,
        batch_size: int,
        kwargs: dict[str, Any],
    ) -> Any:
        own = {**(self.metadata or {}), **self._get_ls_params(stop=stop, **kwargs)}
        return self._configured(manager, config, own).on_chat_model_start(
            self._serialized,
            [messages],
            config.get("run_id"),
            name=config.get("run_name") or self.get_name(),
            invocation_params={
                **self._identifying_params,
                "_type": self._llm_type,
                "stop": stop,
                **kwargs,
            },
            options={"stop": stop},
            batch_size=batch_size,
        )

    @cached_property
    def _serialized(self) -> dict[str, Any]:
        return serialized(self)

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        """Return what `generate` says of several answers together."""
        return {}

    def _combined(self, answers: list[tuple[Any, ChatResult]]) -> LLMResult:
        return LLMResult(
            generations=[result.generations for _, result in answers],
            llm_output=self._combine_llm_outputs([result.llm_output for _, result in answers]),
            run=[RunInfo(run_id=run.run_id) for run, _ in answers],
        )


_LS_PARAMS: tuple[tuple[str, str, Any], ...] = (
    ("ls_model_name", "model", str),
    ("ls_model_name", "model_name", str),
    ("ls_temperature", "temperature", (int, float)),
    ("ls_max_tokens", "max_tokens", int),
)


@cache
def _provider(cls: type) -> str:
    name = cls.__name__
    return (name[4:] if name.startswith("Chat") else name.removesuffix("Chat")).lower()


def _configs(
    length: int,
    callbacks: Callbacks,
    tags: list[str] | None,
    metadata: dict[str, Any] | None,
    run_name: str | None,
    run_id: UUID | None,
) -> list[RunnableConfig]:
    """The config of each of several conversations; the first has the id."""
    config = {"callbacks": callbacks, "tags": tags, "metadata": metadata, "run_name": run_name}
    return [checked({**config, "run_id": None if place else run_id}) for place in range(length)]


def _completed(result: ChatResult, run: Any) -> ChatResult:
    """The model's answers, with ids, and with what the provider says about them."""
    outputs = [result.llm_output] if len(result.generations) == 1 and result.llm_output else []
    for place, generation in enumerate(result.generations):
        message = generation.message
        if message.id is None:
            message.id = f"{_message_id(run)}-{place}"
        _add_metadata(generation, outputs)
    return result


def _message_id(run: Any) -> str:
    return f"lc_run--{run.run_id}"  # addition of chunks knows ids that were made here by the prefix


def _add_metadata(generation: ChatGeneration, outputs: list[dict[str, Any]]) -> None:
    message, info = generation.message, generation.generation_info
    if info or outputs:
        known: dict[str, Any] = {}
        for more in (*outputs, info or {}, message.response_metadata):
            known.update(more)
        message.response_metadata = known


async def _to_the_end(pulled: Any, run: Any) -> AsyncGenerator[ChatGenerationChunk, None]:
    """A model's chunks with ids, and an empty one at the end, if none says that it is the last."""
    chunk: ChatGenerationChunk | None = None
    async for chunk in pulled:
        if chunk.message.id is None:
            chunk.message.id = _message_id(run)
        _add_metadata(chunk, [])
        yield chunk
    if chunk is None:
        raise InputError("the model's stream ended without a chunk")
    if isinstance(chunk.message, AIMessageChunk) and not chunk.message.chunk_position:
        last = AIMessageChunk(content="", chunk_position="last", id=_message_id(run))
        yield ChatGenerationChunk(message=last)


def _as_llm_result(result: ChatResult) -> LLMResult:
    # Built without validation: its parts are valid, and it is built on every call.
    return LLMResult.model_construct(generations=[result.generations], llm_output=result.llm_output)  # type: ignore[list-item]


def _so_far(chunks: list[ChatGenerationChunk]) -> LLMResult:
    """What there is of an answer that broke off."""
    try:
        whole = merge_chat_generation_chunks(chunks)
    except Exception:  # chunks that cannot be added may be why it broke off
        whole = None
    return LLMResult(generations=[[whole]] if whole else [])
