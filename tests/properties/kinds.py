"""A block of each kind that does what a body says, and how blocks are called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pydantic import SkipValidation

from callspan.caches import BaseCache
from callspan.language_models import BaseChatModel, BaseLLM
from callspan.messages import AIMessage
from callspan.outputs import ChatGeneration, ChatResult, Generation, LLMResult
from callspan.retrievers import BaseRetriever
from callspan.runnables import Runnable, RunnableLambda
from callspan.tools import StructuredTool

from .steps import drive

Body = Callable[[], Awaitable[Any]]

TOKENS = 3
"""How many tokens an answer takes that is not from the cache."""


def either(is_async: bool, coroutine: Callable[..., Any]) -> Any:
    """A function for a caller of this kind."""

    async def acall(*args: Any) -> Any:
        return await coroutine(*args)

    def call(*args: Any) -> Any:
        return drive(coroutine(*args))

    return acall if is_async else call


async def invoked(block: Any, given: Any, config: Any, *, is_async: bool) -> Any:
    """What a block gives to a caller of this kind."""
    return await block.ainvoke(given, config) if is_async else block.invoke(given, config)


class Calling(Runnable[Any, Any]):
    """A block that is no run itself.

    Args:
        call: A coroutine function that does what it does, of an input and a config.
        stream: Gives the stream of another block, if it streams.
    """

    def __init__(self, call: Callable[..., Any], stream: Callable[..., Any] | None = None) -> None:
        self._call = call
        self._opened = stream

    def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002
        return drive(self._call(input, config))

    async def ainvoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002
        return await self._call(input, config)

    def stream(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002
        if self._opened is None:
            return super().stream(input, config, **kwargs)
        return self._opened(input, config).stream(input, config)

    def astream(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002
        if self._opened is None:
            return super().astream(input, config, **kwargs)
        return self._opened(input, config).astream(input, config)

    def bind_tools(self, tools: Any) -> Any:
        return self


class Cache(BaseCache):
    """A cache that has the answers to some prompts, and keeps no others.

    Args:
        has: Whether it has the answer to a prompt, which is its text, or that of a message.
    """

    def __init__(self, has: Callable[[str], bool], answer: Generation) -> None:
        self._has = has
        self._answer = answer

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        return [self._answer] if self._has(prompt) else None

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        pass

    def clear(self, **kwargs: Any) -> None:
        pass

    async def alookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        return self.lookup(prompt, llm_string)

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        pass


class Writer(BaseLLM):
    """A text model that answers when a body is over."""

    body: SkipValidation[Any]
    """A coroutine function of the prompts."""

    @property
    def _llm_type(self) -> str:
        return "text"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"text": True}

    def _generate(self, prompts: list[str], *args: Any, **kwargs: Any) -> LLMResult:
        drive(self.body(prompts))
        return self._result(prompts)

    async def _agenerate(self, prompts: list[str], *args: Any, **kwargs: Any) -> LLMResult:
        await self.body(prompts)
        return self._result(prompts)

    def _result(self, prompts: list[str]) -> LLMResult:
        answers = [[Generation(text=f"answer {prompt}")] for prompt in prompts]
        usage = {"prompt_tokens": TOKENS, "completion_tokens": 1}
        return LLMResult(generations=answers, llm_output={"token_usage": usage})


class Talker(BaseChatModel):
    """A chat model that answers, with calls of tools perhaps, when a body is over."""

    body: SkipValidation[Any]
    calls: tuple[Any, ...] = ()

    @property
    def _llm_type(self) -> str:
        return "chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"chat": True}

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        drive(self.body())
        return self._result()

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        await self.body()
        return self._result()

    def _result(self) -> ChatResult:
        usage = {"input_tokens": TOKENS, "output_tokens": 1, "total_tokens": TOKENS + 1}
        answer = AIMessage("answer", tool_calls=list(self.calls), usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=answer)])


class Finder(BaseRetriever):
    """A retriever that finds nothing when a body is over."""

    body: SkipValidation[Any]

    def _get_relevant_documents(self, query: str) -> Any:
        drive(self.body())
        return []

    async def _aget_relevant_documents(self, query: str) -> Any:
        await self.body()
        return []


def model_metadata(kind: str) -> dict[str, Any]:
    """What a model tells of itself, as metadata of its own runs."""
    providers = {"llm": ("writer", "llm"), "chat_model": ("talker", "chat")}
    if kind not in providers:
        return {}
    provider, model = providers[kind]
    return {"ls_provider": provider, "ls_model_type": model}


def block_of(
    kind: str, name: str, body: Body, *, is_async: bool, looked_up: Callable[[], bool]
) -> tuple[Any, Any]:
    """A block of a kind, and what to invoke it with.

    Args:
        kind: The kind of its runs.
        name: Their name.
        body: What it does.
        is_async: Whether its caller is.
        looked_up: Of a model: whether the cache has the answer.
    """

    async def call(*args: Any) -> Any:
        return await body()

    function = either(is_async, call)
    match kind:
        case "chain":
            return RunnableLambda(function, name=name), None
        case "llm":
            cache = Cache(lambda _: looked_up(), Generation(text="kept"))
            return Writer(name=name, body=call, cache=cache), "prompt"
        case "chat_model":
            kept = ChatGeneration(message=AIMessage("kept"))
            return Talker(name=name, body=body, cache=Cache(lambda _: looked_up(), kept)), "prompt"
        case "tool":
            return tool_of(name, body, is_async=is_async), {}
    return Finder(name=name, body=body), "query"


def tool_of(name: str, body: Body, *, is_async: bool) -> StructuredTool:
    """A tool that does what a body says."""

    async def coroutine() -> Any:
        return await body()

    def function() -> Any:
        return drive(body())

    return StructuredTool.from_function(
        coroutine if is_async else function, name=name, description="a tool"
    )
