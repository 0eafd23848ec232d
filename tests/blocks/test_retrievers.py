"""Retrievers."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from callspan import OTelCallbackHandler
from callspan.documents import Document
from callspan.retrievers import BaseRetriever
from callspan.runnables import RunnableLambda
from support import SpanLog, current, recording


class Words(BaseRetriever):
    """Finds the words of the query."""

    most: int = 2

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        run_manager.on_text(f"{current()} {threading.current_thread().name}")
        words = query.split()[: self.most]
        return [Document(word, id=word, metadata={"score": 0.5}) for word in words]


async def test_documents_come_whichever_way_it_is_called() -> None:
    """A retriever is a block: alone, in batches, in streams, and in sequences."""
    found = [Document("a", id="a", metadata={"score": 0.5})]
    words = Words(most=1)
    assert words.invoke("a b") == await words.ainvoke("a b") == found
    assert words.batch(["a", "a b"]) == await words.abatch(["a", "a b"]) == [found, found]
    assert list(words.stream("a")) == [found]
    assert [chunk async for chunk in words.astream("a")] == [found]
    assert (str.strip | words | len).invoke(" a ") == 1  # type: ignore[operator]


async def test_a_run_and_its_span_are_around_the_search(spans: SpanLog, handler: Any) -> None:
    """What a search does belongs to it, also in the thread that an async caller has it run in."""
    words = Words(name="words", callbacks=[handler], tags=["own"], metadata={"k": 1})
    await RunnableLambda(words.ainvoke, name="outer").ainvoke("a")
    assert handler.events.methods == ["on_retriever_start", "on_text", "on_retriever_end"]
    start, text = handler.events[0][2], handler.events[1][1][0]
    assert (start["tags"], start["metadata"]["k"]) == (["own"], 1)
    assert text.startswith("words ")
    assert not text.endswith(threading.current_thread().name)
    assert spans.tree() == ["outer", "  words"]


def test_documents_are_recorded_with_id_and_score(spans: SpanLog) -> None:
    """Who looks for a wrong answer looks first at what was found, and how sure it was."""
    handler = OTelCallbackHandler(capture_content=True)
    source = {"data_source_id": "shelf"}
    Words(name="words").invoke("a b c", {"callbacks": [handler], "metadata": source})
    attributes: Any = spans.named("words").attributes
    assert spans.named("words").name == "retrieval shelf"
    assert attributes["gen_ai.retrieval.query.text"] == "a b c"
    assert [(one["id"], one["score"]) for one in json.loads(attributes["output.value"])] == [
        ("a", 0.5),
        ("b", 0.5),
    ]


class Interrupted(BaseException):
    """What no `except Exception` catches."""


@pytest.mark.parametrize("error", [KeyError("k"), Interrupted()])
async def test_errors_end_the_run(error: BaseException, spans: SpanLog, handler: Any) -> None:
    """Whatever is raised, the caller gets that very object and the run has its one end."""

    class Broken(BaseRetriever):
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            raise error

        async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> Any:
            raise error

    with pytest.raises(type(error)) as raised:
        Broken().invoke("a", {"callbacks": [handler]})
    assert raised.value is error
    with pytest.raises(type(error)):
        await Broken().ainvoke("a", {"callbacks": [handler]})
    assert handler.events.methods == ["on_retriever_start", "on_retriever_error"] * 2
    assert spans.open == []
    kind = type(error).__name__
    assert {str(span.attributes["error.type"]).split(".")[-1] for span in spans.ended} == {kind}


async def test_methods_take_what_they_ask_for() -> None:
    """Retrievers written for langchain_core lack the run manager, or take more arguments."""

    class Plain(BaseRetriever):
        def _get_relevant_documents(self, query: str, k: int = 1) -> Any:  # type: ignore[override]
            return [Document(query)] * k

    assert len(Plain().invoke("a")) == 1
    assert len(Plain().invoke("a", k=3)) == len(await Plain().ainvoke("a", k=3)) == 3
    with pytest.raises(TypeError, match="unknown"):
        Plain().invoke("a", unknown=3)


async def test_parts_of_a_search_are_told_whose_they_are() -> None:
    """Run-time handlers hear the parts of a search; the retriever's own hear the search alone."""
    own, passed = recording(), recording()

    class Nested(BaseRetriever):
        async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> Any:
            return await RunnableLambda(lambda _: []).ainvoke(query)

        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> Any:
            raise NotImplementedError

    await Nested(callbacks=[own]).ainvoke("a", {"callbacks": [passed]})
    assert own.events.methods == ["on_retriever_start", "on_retriever_end"]
    search, part = passed.events.of("on_retriever_start") + passed.events.of("on_chain_start")
    assert part["parent_run_id"] == search["run_id"]
    assert part["metadata"]["ls_retriever_name"] == "nested"
