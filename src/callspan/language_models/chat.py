"""The base class of chat models."""

# ruff: noqa: A002  # `input` is what langchain_core's users write as a keyword
from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence
from functools import cache, cached_property
from typing import Any, NamedTuple, TypeAlias

from callspan.callbacks.drive import acall, call
from callspan.callbacks.managers import AsyncCallbackManager, CallbackManager
from callspan.callbacks.owned import Owned
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
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Return the model's answer.

        Args:
            input: A prompt, a text of the user's, or messages.
            config: Handlers, tags and metadata of the run, its name and its id.
            kwargs: `stop`, a list of texts that end the answer where they occur, and what else
                the model takes.

        Raises:
            InputError: The input cannot be made into messages.
        """
        return _message(self._answer(_ask(input, config, kwargs)))

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """As `invoke`, awaited."""
        return _message(await self._aanswer(_ask(input, config, kwargs)))

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Generator[AIMessageChunk, None, None]:
        """Yield the model's answer as it comes; whole, if the model does not stream."""
        return drained(self._streamed(SYNC, input, config, kwargs))

    def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncGenerator[AIMessageChunk, None]:
        """As `stream`, for `async for`."""
        return self._streamed(ASYNC, input, config, kwargs)

    def generate(
        self, messages: Sequence[Any], stop: list[str] | None = None, **kwargs: Any
    ) -> LLMResult:
        """Return the answers to several conversations, one run each.

        Args:
            messages: The conversations.
            stop: Texts that end an answer where they occur.
            kwargs: `callbacks`, `tags`, `metadata`, `run_name` and `run_id` (of the first run)
                as in a config, and what else the model takes.
        """
        asks = _asks(messages, {**kwargs, "stop": stop})
        return self._together([self._answer(ask) for ask in asks])

    async def agenerate(
        self, messages: Sequence[Any], stop: list[str] | None = None, **kwargs: Any
    ) -> LLMResult:
        """As `generate`, at the same time."""
        asks = _asks(messages, {**kwargs, "stop": stop})
        async with Tasks(None) as tasks:
            started = [tasks.start(self._aanswer, ask) for ask in asks]
            return self._together([await tasks.result(one) for one in started])

    def _answer(self, ask: _Ask) -> tuple[Any, ChatResult]:
        """Ask the model; return the run manager and the answer."""
        (run,) = self._start(CallbackManager, ask)

        def body() -> ChatResult:
            return _complete(self._generate(ask.messages, run_manager=run, **ask.kwargs), run)

        return run, call(run, body, report=_as_llm_result)

    async def _aanswer(self, ask: _Ask) -> tuple[Any, ChatResult]:
        (run,) = await self._start(AsyncCallbackManager, ask)

        async def body() -> ChatResult:
            answer = await self._agenerate(ask.messages, run_manager=run, **ask.kwargs)
            return _complete(answer, run)

        return run, await acall(run, body, report=_as_llm_result)

    async def _streamed(
        self,
        io: IO,
        given: LanguageModelInput,
        config: RunnableConfig | None,
        kwargs: dict[str, Any],
    ) -> AsyncGenerator[AIMessageChunk, None]:
        cls, source = type(self), None
        if io is ASYNC and cls._astream is not BaseChatModel._astream:
            source = self._astream
        elif cls._stream is not BaseChatModel._stream:
            source = self._stream  # type: ignore[assignment]
        if source is None:
            yield await io.done(io.invoke(self)(given, config, **kwargs))
            return
        ask = _ask(given, config, kwargs)
        (run,) = await io.done(self._start(io.manager, ask))
        chunks: list[ChatGenerationChunk] = []
        whole: list[Any] = []

        async def body() -> AsyncGenerator[Any, None]:
            async with Owned(io.pull(source(ask.messages, **ask.kwargs))) as pulled:
                async for chunk in _to_the_end(pulled, run):
                    chunks.append(chunk)
                    await io.done(run.on_llm_new_token(chunk.message.content, chunk=chunk))
                    yield chunk.message
            whole.append(chunks[0] + chunks[1:])

        output = io.in_run(
            run,
            body(),
            None,
            lambda: LLMResult(generations=[whole]),
            lambda error: {} if error is None else {"response": _so_far(chunks)},
        )
        async with Owned(io.pull(output)) as downstream:
            async for message in downstream:
                yield message

    def _start(self, manager: Any, ask: _Ask) -> Any:
        """Start the run; return its manager in a list, or what gives that when awaited."""
        told = self._serialized
        own = {**(self.metadata or {}), **self._get_ls_params(**ask.kwargs)}
        return self._configured(manager, ask.config, own).on_chat_model_start(
            told,
            [ask.messages],
            ask.config.get("run_id"),
            name=ask.config.get("run_name") or told["name"],
            invocation_params={**self._identifying_params, "_type": self._llm_type, **ask.kwargs},
            options={"stop": ask.kwargs["stop"]},
            batch_size=ask.batch_size,
        )

    @cached_property
    def _serialized(self) -> dict[str, Any]:
        return serialized(self)

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        """Return what `generate` says of several answers together."""
        return {}

    def _together(self, answers: list[tuple[Any, ChatResult]]) -> LLMResult:
        return LLMResult(
            generations=[result.generations for _, result in answers],
            llm_output=self._combine_llm_outputs([result.llm_output for _, result in answers]),
            run=[RunInfo(run_id=run.run_id) for run, _ in answers],
        )


class _Ask(NamedTuple):
    """One question to a model; `stop` is among the further arguments."""

    messages: list[BaseMessage]
    config: RunnableConfig
    kwargs: dict[str, Any]
    batch_size: int


def _ask(given: Any, config: Any, kwargs: dict[str, Any], batch_size: int = 1) -> _Ask:
    kwargs = {"stop": None, **kwargs}
    return _Ask(convert_to_messages(given), checked(config), kwargs, batch_size)


def _asks(conversations: Sequence[Any], kwargs: dict[str, Any]) -> list[_Ask]:
    keys = kwargs.keys() & {"callbacks", "tags", "metadata", "run_name", "run_id"}
    config = {key: kwargs.pop(key) for key in keys}
    rest, size = {**config, "run_id": None}, len(conversations)
    return [
        _ask(one, rest if place else config, kwargs, size)
        for place, one in enumerate(conversations)
    ]


def _message(answer: tuple[Any, ChatResult]) -> AIMessage:
    return answer[1].generations[0].message  # type: ignore[return-value]


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


def _complete(result: ChatResult, run: Any) -> ChatResult:
    """The model's answers, with ids, and with what the provider says about them."""
    outputs = [result.llm_output] if len(result.generations) == 1 and result.llm_output else []
    for place, generation in enumerate(result.generations):
        message = generation.message
        if message.id is None:
            message.id = f"{_id(run)}-{place}"
        _add_metadata(generation, outputs)
    return result


def _id(run: Any) -> str:
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
            chunk.message.id = _id(run)
        _add_metadata(chunk, [])
        yield chunk
    if chunk is None:
        raise InputError("the model's stream ended without a chunk")
    if isinstance(chunk.message, AIMessageChunk) and not chunk.message.chunk_position:
        last = AIMessageChunk(content="", chunk_position="last", id=_id(run))
        yield ChatGenerationChunk(message=last)


def _as_llm_result(result: ChatResult) -> LLMResult:
    return LLMResult(generations=[result.generations], llm_output=result.llm_output)


def _so_far(chunks: list[ChatGenerationChunk]) -> LLMResult:
    """What there is of an answer that broke off."""
    try:
        whole = merge_chat_generation_chunks(chunks)
    except Exception:  # chunks that cannot be added may be why it broke off
        whole = None
    return LLMResult(generations=[[whole]] if whole else [])
