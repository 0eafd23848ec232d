"""LangChain objects that note what is current in them, and one function to run them in any way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import version
from typing import Any

import pytest
from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.language_models import LLM, BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable

from callspan.langchain.versions import release
from support import current

WAYS = ("invoke", "ainvoke", "stream", "astream")
SYNC_WAYS = ("invoke", "stream")
ASYNC_WAYS = ("ainvoke", "astream")


def since(package: str, first: str) -> pytest.MarkDecorator:
    """A mark for a test of what came with a version of a package."""
    return pytest.mark.skipif(
        release(version(package)) < release(first), reason=f"came with {package} {first}"
    )


seen: list[str] = []
"""What was current in the bodies that ran, in their order; emptied before each test."""


def look() -> None:
    """Note what is current here."""
    seen.append(current())


class Model(BaseChatModel):
    """A chat model whose bodies note what is current: plain, streamed, sync and async."""

    answers: list[Any] = ["a b c"]  # noqa: RUF012  # pydantic copies it
    streams: bool = True
    fails: Any = None
    usage: dict[str, Any] | None = None
    calls: int = 0

    @property
    def _llm_type(self) -> str:
        return "fake"

    def _answer(self) -> AIMessage:
        if self.fails is not None:
            raise self.fails
        answer = self.answers[self.calls % len(self.answers)]
        self.calls += 1
        if isinstance(answer, AIMessage):
            return answer
        return AIMessage(answer, usage_metadata=self.usage)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        look()
        return ChatResult(generations=[ChatGeneration(message=self._answer())])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        look()
        await asyncio.sleep(0)
        look()
        return ChatResult(generations=[ChatGeneration(message=self._answer())])

    def _chunks(self) -> Iterator[ChatGenerationChunk]:
        answer = self._answer()
        words = str(answer.content).split(" ")
        for place, word in enumerate(words):
            last = place == len(words) - 1
            message = AIMessageChunk(
                word,
                usage_metadata=answer.usage_metadata if last else None,
                tool_call_chunks=[
                    {
                        "name": c["name"],
                        "args": str(c["args"]).replace("'", '"'),
                        "id": c["id"],
                        "index": i,
                    }
                    for i, c in enumerate(answer.tool_calls)
                ]
                if last
                else [],
            )
            yield ChatGenerationChunk(message=message)

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        if not self.streams:
            raise NotImplementedError
        for chunk in self._chunks():
            look()
            yield chunk
        look()

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._chunks():
            look()
            await asyncio.sleep(0)
            look()
            yield chunk
        look()

    def bind_tools(self, tools: Any, **kwargs: Any) -> Runnable[Any, Any]:
        return self.bind(tools=[getattr(tool, "name", tool) for tool in tools], **kwargs)


class TextModel(LLM):
    """A text model whose body notes what is current."""

    @property
    def _llm_type(self) -> str:
        return "fake-text"

    def _call(self, prompt: str, *args: Any, **kwargs: Any) -> str:
        look()
        return prompt.upper()


class Shelf(BaseRetriever):
    """A retriever whose bodies note what is current."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        look()
        return [
            Document(query, id="d1", metadata={"score": 0.5}),
            Document("two", metadata={"source": "s"}),
        ]

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        look()
        await asyncio.sleep(0)
        look()
        return [Document(query, id="d1", metadata={"score": 0.5})]


def run(way: str, runnable: Any, given: Any, config: Any = None, **kwargs: Any) -> Any:
    """Run it in one of its ways, and check that nothing is current that was not before.

    Returns:
        The output; of a stream, the list of its chunks.
    """
    if way.startswith("a"):
        return asyncio.run(arun(way, runnable, given, config, **kwargs))
    outside = current()
    if way == "invoke":
        output = runnable.invoke(given, config, **kwargs)
    elif way == "batch":
        output = runnable.batch([given] * 3, config, **kwargs)
    else:
        output = []
        for chunk in runnable.stream(given, config, **kwargs):
            assert current() == outside, "leak between chunks"
            output.append(chunk)
    assert current() == outside, "leak after the call"
    return output


async def arun(way: str, runnable: Any, given: Any, config: Any = None, **kwargs: Any) -> Any:
    """As `run`, in a loop that runs."""
    outside = current()
    if way == "ainvoke":
        output = await runnable.ainvoke(given, config, **kwargs)
    elif way == "abatch":
        output = await runnable.abatch([given] * 3, config, **kwargs)
    else:
        output = []
        if way == "astream_events":
            source = runnable.astream_events(given, config, version="v2", **kwargs)
        else:
            source = runnable.astream(given, config, **kwargs)
        async for chunk in source:
            assert current() == outside, "leak between chunks"
            output.append(chunk)
    assert current() == outside, "leak after the call"
    await asyncio.sleep(0)
    assert current() == outside, "late leak"
    return output
