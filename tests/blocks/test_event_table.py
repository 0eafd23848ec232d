"""Every event of the table comes from a block, to handlers of every kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from callspan import adispatch_custom_event, dispatch_custom_event
from callspan.agents import create_agent
from callspan.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from callspan.callbacks.events import EVENTS, METHODS
from callspan.documents import Document
from callspan.language_models import BaseChatModel, FakeListLLM, GenericFakeChatModel
from callspan.messages import AIMessage
from callspan.output_parsers import StrOutputParser
from callspan.outputs import ChatGeneration, ChatResult
from callspan.prompts import ChatPromptTemplate
from callspan.retrievers import BaseRetriever
from callspan.runnables import RunnableGenerator, RunnableLambda
from callspan.tools import tool
from support import Events, recording

PHASES = {event.method: event.phase for event in EVENTS}
STARTS = {
    "on_llm_end": ("on_llm_start", "on_chat_model_start"),
    "on_llm_error": ("on_llm_start", "on_chat_model_start"),
}


class Words(BaseRetriever):
    """Finds the words of a query, after a first failure."""

    failures: int = 1

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("no index")
        return [Document(word) for word in query.split()]


class Structured(BaseChatModel):
    """A model over an API whose answers come with events of their own."""

    @property
    def _llm_type(self) -> str:
        return "structured"

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        kwargs["run_manager"].on_stream_event({"event": "message-start"})
        return ChatResult(generations=[ChatGeneration(message=AIMessage("a"))])

    async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        await kwargs["run_manager"].on_stream_event({"event": "message-start"})
        return ChatResult(generations=[ChatGeneration(message=AIMessage("a"))])


def application() -> Any:
    """An agent with tools, one of which searches; then blocks for the rest of the table."""
    words = Words().with_retry(wait_exponential_jitter=False)

    @tool
    def search(query: str) -> str:
        """Search."""
        return " ".join(found.page_content for found in words.invoke(query))

    @tool
    def broken(query: str) -> str:
        """Fail."""
        raise KeyError(query)

    calls = [
        {"name": name, "args": {"query": "a b"}, "id": name, "type": "tool_call"}
        for name in ("search", "broken")
    ]
    script = iter([AIMessage("", tool_calls=calls), AIMessage("found a b")])
    agent = create_agent(GenericFakeChatModel(messages=script), [search, broken])

    def last(states: Iterator[Any]) -> Iterator[Any]:
        *_, state = states
        yield {"text": state["messages"][-1].text}

    async def alast(states: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for state in states:
            answer = state["messages"][-1].text
        yield {"text": answer}

    def tell(text: str, run_manager: Any) -> str:
        run_manager.on_text(f"so far: {text}")
        dispatch_custom_event("progress", {"text": text})
        return text

    async def atell(text: str, run_manager: Any) -> str:
        await run_manager.on_text(f"so far: {text}")
        await adispatch_custom_event("progress", {"text": text})
        return text

    exhausted = GenericFakeChatModel(messages=iter([3]))  # type: ignore[list-item]
    return (
        agent
        | RunnableGenerator(last, alast)
        | ChatPromptTemplate.from_template("shorten {text}")
        | FakeListLLM(responses=["a, b"])
        | RunnableLambda(tell, atell)
        | exhausted.with_fallbacks([Structured()])
        | StrOutputParser()
        | (RunnableLambda(int) | str).with_fallbacks([RunnableLambda(str.upper)])
    )


def handlers() -> dict[str, Any]:
    """A handler of each kind: sync and async, told inline and not."""
    return {
        f"{kind} {place}": recording(base, is_async=kind == "async", run_inline=place == "inline")
        for kind, base in (("sync", BaseCallbackHandler), ("async", AsyncCallbackHandler))
        for place in ("inline", "aside")
    }


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_every_event_comes_from_a_block(is_async: bool) -> None:
    """An event that no block sends would be a promise of the table that nobody keeps."""
    hearing = handlers()
    config: Any = {"callbacks": list(hearing.values())}
    given = {"messages": [("human", "a b?")]}
    if is_async:
        chunks = [chunk async for chunk in application().astream(given, config)]
    else:
        chunks = list(application().stream(given, config))
    assert "".join(chunks) == "A"
    heard = {name: handler.events for name, handler in hearing.items()}
    for name, events in heard.items():
        assert set(events.methods) == METHODS, name
        assert _unpaired(events) == [], name
    assert len({frozenset(Counter(events.methods).items()) for events in heard.values()}) == 1


def _unpaired(events: Events) -> list[str]:
    """What is wrong with the order: points and ends of runs that are not open, runs left open."""
    wrong, opened = [], dict[Any, str]()
    for method, _, kwargs in events:
        run = kwargs["run_id"]
        if PHASES[method] == "start":
            opened[run] = method
            continue
        started = opened.get(run) if PHASES[method] == "point" else opened.pop(run, None)
        kind = method.rsplit("_", 1)[0]
        if started is None:
            wrong.append(f"{method} of no open run")
        elif PHASES[method] != "point" and started not in STARTS.get(method, (f"{kind}_start",)):
            wrong.append(f"{method} of a run that came with {started}")
    return [*wrong, *opened.values()]
