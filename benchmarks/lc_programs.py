"""The programs of LangChain and LangGraph that the benchmark runs; no model takes any time."""

from __future__ import annotations

from collections.abc import Callable
from operator import add
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import FakeChatModel, FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph

Config = dict[str, Any]
Program = Callable[[Config], Any]


class State(TypedDict):
    """What the graph's nodes hand on."""

    messages: Annotated[list[Any], add]


@tool
def search(query: str) -> str:
    """Look something up."""
    return query


def small_graph() -> Any:
    """Two nodes: one asks a model, one uses a tool."""
    graph = StateGraph(State)
    graph.add_node("ask", lambda state: {"messages": [model.invoke("hi")]})
    graph.add_node("use", lambda state: {"messages": [search.invoke({"query": "x"})]})
    for edge in ((START, "ask"), ("ask", "use"), ("use", END)):
        graph.add_edge(*edge)
    return graph.compile()


model = FakeChatModel()
chain = ChatPromptTemplate.from_template("What is 1 + {number}?") | model
stream = FakeListChatModel(responses=["x" * 100])
graph = small_graph()
given = {"number": "2"}


async def ask(config: Config) -> Any:
    """Ask the model in a coroutine."""
    return await chain.ainvoke(given, config)


PROGRAMS: dict[str, Program] = {
    "prompt | model, invoke": lambda config: chain.invoke(given, config),
    "prompt | model, ainvoke": ask,
    "a tool": lambda config: search.invoke({"query": "x"}, config),
    "a stream of 100 tokens": lambda config: [*stream.stream("hi", config)],
    "a graph of two nodes": lambda config: graph.invoke({"messages": []}, config),
}
