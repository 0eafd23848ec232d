"""The base class of chat models."""

# ruff: noqa: A002  # `input` is what langchain_core's users write as a keyword
from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any, ClassVar

from callspan.callbacks.ids import text_of
from callspan.callbacks.run_managers import CallbackManagerForLLMRun
from callspan.errors import InputError
from callspan.language_models.base import BaseLanguageModel, LanguageModelInput
from callspan.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_messages
from callspan.output_parsers import StructuredOutput
from callspan.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, LLMResult
from callspan.runnables import Runnable, RunnableParallel
from callspan.runnables.config import Config
from callspan.runnables.io import ASYNC, SYNC, drained, finish
from callspan.tools.schemas import tool_schema

_MADE_ID = "lc_run--"  # addition of chunks knows by it the ids that were made here
_USAGE_KEYS = {"token_usage", "usage", "usage_metadata"}


class BaseChatModel(BaseLanguageModel[AIMessage]):
    """A chat model: messages in, a message out. Its fields are pydantic's.

    A class of one's own has `_generate` and `_llm_type`, and if it streams `_stream`. Without
    `_agenerate` and `_astream` async callers have these run in a thread.

    Attributes:
        cache: Where answers are kept; None: the cache of the process, if there is one; True: that
            one, which there has to be; False: no cache. Streams use none.
    """

    _start_method: ClassVar[str] = "on_chat_model_start"
    _model_type: ClassVar[str] = "chat"

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
        return finish(self._generate_in_runs, SYNC, messages, {**kwargs, "stop": stop})

    async def agenerate(
        self, messages: Sequence[Any], stop: list[str] | None = None, **kwargs: Any
    ) -> LLMResult:
        """As `generate`, at the same time."""
        return await self._generate_in_runs(ASYNC, messages, {**kwargs, "stop": stop})

    def stream(
        self, input: LanguageModelInput, config: Config = None, **kwargs: Any
    ) -> Generator[AIMessageChunk]:
        """Yield the model's answer as it comes; whole, if the model does not stream."""
        return drained(self._streamed(SYNC, input, config, kwargs))

    def astream(
        self, input: LanguageModelInput, config: Config = None, **kwargs: Any
    ) -> AsyncGenerator[AIMessageChunk]:
        """As `stream`, for `async for`."""
        return self._streamed(ASYNC, input, config, kwargs)

    def bind_tools(
        self,
        tools: Sequence[Any],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model with tools that it may call.

        Args:
            tools: What `tool_schema` takes: tools, functions, pydantic classes, dicts.
            tool_choice: The name of the tool that it must call; "any" or True: one of them; "none":
                no one; "auto" or None: as it likes; or the vendor's own form.
            kwargs: What else the model takes.

        Raises:
            ConfigurationError: A tool is none, or there is no such choice.
            NotImplementedError: This model calls no tools.
        """
        return self.bind(**self._tool_arguments(tools, tool_choice), **kwargs)

    def _tool_arguments(
        self, tools: Sequence[Any], choice: str | bool | dict[str, Any] | None
    ) -> dict[str, Any]:
        """Return what a call says of tools, and of which of them to call, as its arguments."""
        raise NotImplementedError(
            f"{type(self).__name__} cannot call tools: it has no bind_tools of its own"
        )

    def with_structured_output(
        self, schema: Any, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Return the model with answers of a given structure: it has to call a tool of that form.

        Args:
            schema: A pydantic class, of which the answer is an instance; or a TypedDict class or
                JSON schema, for a dict.
            include_raw: Return `{"raw": message, "parsed": answer, "parsing_error": error}`
                instead, and raise nothing if the message holds no such answer.
            kwargs: What else `bind_tools` takes.

        Raises:
            ConfigurationError: There is no JSON schema of it.
            OutputParserError: When it is called, and the message holds no such answer.
            NotImplementedError: This model calls no tools.
        """
        name = tool_schema(schema)["name"]
        model = self.bind_tools([schema], tool_choice=name, **kwargs)
        source = RunnableParallel(raw=model) if include_raw else model
        return source | StructuredOutput(schema, name, include_raw=include_raw)

    def _prompt_of(self, given: Any) -> list[BaseMessage]:
        return convert_to_messages(given)

    def _answers_of(self, runs: list[Any], result: ChatResult) -> list[LLMResult]:
        generations = getattr(result, "generations", None)
        if not generations:
            raise InputError(
                "the model gave no answer: its _generate has to return a ChatResult with some"
            )
        output = result.llm_output
        _complete(generations, runs[0], output if len(generations) == 1 else None)
        return [LLMResult(generations=[generations], llm_output=output)]

    def _from_cache(self, kept: list[ChatGeneration], run: Any) -> list[ChatGeneration]:
        for generation in kept:
            message = generation.message
            if (message.id or "").startswith(_MADE_ID):
                message.id = None
            if isinstance(message, AIMessage):
                message.usage_metadata = None
            for key in _USAGE_KEYS & message.response_metadata.keys():
                del message.response_metadata[key]
        _complete(kept, run, None)
        return kept

    def _output_of(self, generation: ChatGeneration) -> Any:
        return generation.message

    async def _chunks_of(self, pulled: Any, run: Any) -> AsyncGenerator[ChatGenerationChunk, None]:
        """The chunks with ids, and an empty one at the end, if none says that it is the last."""
        chunk, made_id = None, f"{_MADE_ID}{run.run_id}"
        async for chunk in pulled:
            if chunk.message.id is None:
                chunk.message.id = made_id
            _add_metadata(chunk, None)
            yield chunk
        message = chunk and chunk.message
        if isinstance(message, AIMessageChunk) and not message.chunk_position:
            last = AIMessageChunk(content="", chunk_position="last", id=made_id)
            yield ChatGenerationChunk(message=last)


def _complete(generations: list[ChatGeneration], run: Any, output: dict[str, Any] | None) -> None:
    """Give answers their ids, and what the provider says about them."""
    for place, generation in enumerate(generations):
        if generation.message.id is None:
            generation.message.id = f"{_MADE_ID}{text_of(run.run_id)}-{place}"
        if output or generation.generation_info:
            _add_metadata(generation, output)


def _add_metadata(generation: ChatGeneration, output: dict[str, Any] | None) -> None:
    if output or generation.generation_info:
        info, message = generation.generation_info or {}, generation.message
        message.response_metadata = {**(output or {}), **info, **message.response_metadata}
