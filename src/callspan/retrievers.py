"""Retrievers: from a query to documents."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from callspan.callbacks.run_managers import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from callspan.documents import Document
from callspan.runnables.aside import in_thread
from callspan.runnables.block import Ask, Component
from callspan.runnables.config import RunnableConfig
from callspan.runnables.io import IO, SYNC

__all__ = ["BaseRetriever"]


class BaseRetriever(Component[str, list[Document]]):
    """A retriever: a query in, documents out. Its fields are pydantic's.

    A class of one's own has `_get_relevant_documents`. Without `_aget_relevant_documents` async
    callers have it run in a thread. Further arguments of a call are passed on to them. A document's
    `id`, and a `score` among its metadata, are recorded as such.
    """

    _start_method: ClassVar[str] = "on_retriever_start"

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

    def _ask_of(self, given: str, config: RunnableConfig, kwargs: dict[str, Any]) -> Ask:
        metadata = {**(config.get("metadata") or {}), **self._get_ls_params()}
        return Ask(given, {**config, "metadata": metadata}, kwargs)

    def _answer_to(self, io: IO, ask: Ask, run: Any) -> Any:
        if io is SYNC:
            search = _search(self._get_relevant_documents, run)
        elif type(self)._aget_relevant_documents is not BaseRetriever._aget_relevant_documents:
            search = _search(self._aget_relevant_documents, run)
        else:
            search = partial(in_thread, _search(self._get_relevant_documents, run.get_sync()))
        return io.call(run, partial(search, ask.given, **ask.kwargs))


def _search(method: Callable[..., Any], run: Any) -> Callable[..., Any]:
    """A retriever's own method, with the run's manager if it asks for it."""
    asked = "run_manager" in inspect.signature(method).parameters
    return partial(method, run_manager=run) if asked else method
