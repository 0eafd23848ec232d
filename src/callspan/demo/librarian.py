"""The demo's agent: it looks things up in the standard library's documentation."""

from __future__ import annotations

import inspect
import pydoc
from collections.abc import Mapping
from typing import Any

from pydantic import PrivateAttr

from callspan.agents import create_agent
from callspan.demo.corpus import IndexNotReadyError, Library
from callspan.documents import Document
from callspan.language_models import BaseChatModel
from callspan.retrievers import BaseRetriever
from callspan.runnables import Runnable
from callspan.tools import ToolException, tool

_ROLE = (
    "You answer questions about Python's standard library in one sentence. Search the "
    "documentation first, then look at the signature of the function that you are going to name."
)


class DocumentationRetriever(BaseRetriever):
    """Finds passages of the documentation; while the index is being built it raises."""

    limit: int = 4
    _library: Library = PrivateAttr(default_factory=Library)

    def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        return [
            Document(page_content=passage.text[:600], id=passage.name, metadata={"score": score})
            for passage, score in self._library.search(query, self.limit)
        ]


@tool
def signature(name: str) -> str:
    """Show how a function or class is called, by its full name, such as heapq.nlargest."""
    found = pydoc.locate(name)
    if found is None:
        raise ToolException(f"there is no {name}: ask for a name that the search has found")
    return f"{name}{inspect.signature(found)}"  # type: ignore[arg-type]  # or it raises


def librarian(model: BaseChatModel) -> Runnable[Mapping[str, Any], dict[str, Any]]:
    """Return an agent that answers questions with a model, and has an index of its own."""
    # The first search comes before the index is ready, and is made again.
    retriever = DocumentationRetriever().with_retry(
        retry_if_exception_type=(IndexNotReadyError,),
        exponential_jitter_params={"initial": 0.05, "jitter": 0.05},
    )

    @tool
    def search_docs(query: str) -> str:
        """Search the documentation of the standard library for passages that fit a query."""
        return "\n".join(f"[{found.id}] {found.page_content}" for found in retriever.invoke(query))

    return create_agent(model, [search_docs, signature], system_prompt=_ROLE, name="librarian")
