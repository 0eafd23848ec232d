"""Models, tools and retrievers of one's own: what they call their attributes is their affair."""

from __future__ import annotations

from typing import Any

import pytest

from callspan.documents import Document
from callspan.language_models import BaseChatModel, BaseLLM
from callspan.messages import AIMessage
from callspan.outputs import ChatGeneration, ChatResult, Generation, LLMResult
from callspan.retrievers import BaseRetriever
from callspan.tools import BaseTool


class _Settings:
    """The names that programs give to what a block of theirs keeps for itself."""

    _answer: str = "mine"
    _ask: str = "mine"
    _chunks: str = "mine"
    _message: str = "mine"
    _output: str = "mine"
    _prompt: str = "mine"
    _schema: str = "mine"
    _start: str = "mine"
    _tools: str = "mine"


class Chat(_Settings, BaseChatModel):
    @property
    def _llm_type(self) -> str:
        return "own"

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self._answer))])


class Text(_Settings, BaseLLM):
    @property
    def _llm_type(self) -> str:
        return "own"

    def _generate(self, prompts: Any, *args: Any, **kwargs: Any) -> LLMResult:
        return LLMResult(generations=[[Generation(text=self._prompt)] for _ in prompts])


class Tool(_Settings, BaseTool):
    name: str = "own"
    description: str = "Own."

    def _run(self, word: str) -> str:
        return self._schema


class Shelf(_Settings, BaseRetriever):
    def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        return [Document(self._start)]


@pytest.mark.parametrize("block", [Chat(), Text(), Tool(), Shelf()])
async def test_a_class_of_ones_own_may_use_common_names(block: Any) -> None:
    """A program that was written for langchain_core knows nothing of the names in here."""
    for output in (block.invoke("x"), await block.ainvoke("x"), *block.stream("x")):
        assert "mine" in str(output)
    for name, value in vars(_Settings).items():
        assert name.startswith("__") or getattr(block, name) == value


@pytest.mark.parametrize("block", [Chat(), Text(), Tool(), Shelf()])
def test_a_block_that_is_renamed_runs_under_its_new_name(block: Any, handler: Any) -> None:
    """Programs copy a model or a tool with `model_copy` to give it another name, or set `name`."""
    block.invoke("x")
    copied = block.model_copy(update={"name": "copied"})
    copied.invoke("x", {"callbacks": [handler]})
    copied.name = "renamed"
    copied.invoke("x", {"callbacks": [handler]})
    told = [
        (args[0]["name"], kwargs["name"])
        for method, args, kwargs in handler.events
        if method.endswith("_start")
    ]
    assert told == [("copied", "copied"), ("renamed", "renamed")]
