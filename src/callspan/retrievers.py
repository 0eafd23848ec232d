"""Retrievers: from a query to documents."""

# ruff: noqa: A002  # `input` is what langchain_core's users write as a keyword
from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

from callspan.callbacks.drive import acall, call
from callspan.callbacks.managers import AsyncCallbackManager, CallbackManager
from callspan.callbacks.run_managers import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from callspan.documents import Document
from callspan.runnables.aside import in_thread
from callspan.runnables.block import serialized
from callspan.runnables.component import Component
from callspan.runnables.config import RunnableConfig, checked

__all__ = ["BaseRetriever"]


class BaseRetriever(Component[str, list[Document]]):
    """A retriever: a query in, documents out. Its fields are pydantic's.

    A class of one's own has `_get_relevant_documents`. Without `_aget_relevant_documents` async
    callers have it run in a thread. A document's `id`, and a `score` among its metadata, are
    recorded as such.
    """

    @abstractmethod
    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        """Return the documents for a query, best first.

        Args:
            query: What is looked for.
            run_manager: The handle on the run; a method without this parameter is not given it.
        """

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        """As `_get_relevant_documents`, awaited."""
        raise NotImplementedError

    def _get_ls_params(self) -> dict[str, Any]:
        """Return what tracers are told of a run and its descendants, as metadata."""
        name = self.get_name()
        short = name[9:] if name.startswith("Retriever") else name.removesuffix("Retriever")
        return {"ls_retriever_name": short.lower()}

    def invoke(
        self, input: str, config: RunnableConfig | None = None, **kwargs: Any
    ) -> list[Document]:
        """Return the documents for a query.

        Args:
            input: The query.
            config: Handlers, tags and metadata of the run, its name and its id.
            kwargs: What else the retriever's own method takes.
        """
        run = self._start(CallbackManager, input, checked(config))
        return call(run, partial(_search(self._get_relevant_documents, run), input, **kwargs))

    async def ainvoke(
        self, input: str, config: RunnableConfig | None = None, **kwargs: Any
    ) -> list[Document]:
        """As `invoke`, awaited."""
        run = await self._start(AsyncCallbackManager, input, checked(config))
        if type(self)._aget_relevant_documents is not BaseRetriever._aget_relevant_documents:
            search = _search(self._aget_relevant_documents, run)
        else:
            search = partial(in_thread, _search(self._get_relevant_documents, run.get_sync()))
        return await acall(run, partial(search, input, **kwargs))

    def _start(self, manager: Any, query: str, config: RunnableConfig) -> Any:
        told: RunnableConfig = {
            **config,
            "metadata": {**(config.get("metadata") or {}), **self._get_ls_params()},
        }
        return self._configured(manager, told, self.metadata).on_retriever_start(
            self._serialized,
            query,
            config.get("run_id"),
            name=config.get("run_name") or self.get_name(),
        )

    @cached_property
    def _serialized(self) -> dict[str, Any]:
        return serialized(self)


def _search(method: Callable[..., Any], run: Any) -> Callable[..., Any]:
    """A retriever's own method, with the run's manager if it asks for it."""
    asked = "run_manager" in inspect.signature(method).parameters
    return partial(method, run_manager=run) if asked else method
