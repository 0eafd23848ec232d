"""LangChain and LangGraph, through the project's own Collector config, back out of Jaeger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from callspan.demo import local
from callspan.langchain import OTelCallbackHandler
from support import global_provider

from .collector import Collector
from .compare import assert_same, sending, tree
from .jaeger import Jaeger, Span

QUESTION = "What is 1 + 2?"


class Sent:
    """A provider whose spans go to Jaeger, and what Jaeger then has."""

    def __init__(
        self, provider: TracerProvider, kept: InMemorySpanExporter, jaeger: Jaeger
    ) -> None:
        self.provider, self._kept, self._jaeger = provider, kept, jaeger
        self.tracer = provider.get_tracer("user")
        self.handler = OTelCallbackHandler(capture_content=True)
        self.config: Any = {"callbacks": [self.handler]}

    def traces(self) -> list[list[Span]]:
        """The traces sent, in the order of their ends; each span is stored as it was sent."""
        assert self.provider.force_flush()
        sent: dict[int, list[ReadableSpan]] = {}
        for span in self._kept.get_finished_spans():
            assert span.context is not None
            sent.setdefault(span.context.trace_id, []).append(span)
        stored = []
        for trace_id, spans in sent.items():
            found = self._jaeger.trace(trace_id, spans=len(spans))
            assert len(found) == len(spans)
            by_id = {span.span_id: span for span in found}
            for span in spans:
                assert_same(span, by_id)
            stored.append(found)
        return stored


@pytest.fixture
def sent(collector: Collector, jaeger: Jaeger) -> Iterator[Sent]:
    provider, kept = sending(f"{collector.otlp_http}/v1/traces", "langchain")
    with global_provider(provider):
        yield Sent(provider, kept, jaeger)
    provider.shutdown()


class Script(GenericFakeChatModel):
    """Answers what it is told to, and takes tools."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Runnable[Any, Any]:
        return self


def shop(sent: Sent) -> Any:
    """A graph of a model with tools, one of which has to ask a human."""

    @tool
    def look_up(order: str) -> str:
        """Look an order up."""
        with sent.tracer.start_as_current_span("GET /orders", kind=SpanKind.CLIENT):
            return f"{order} \ud800 is late"

    @tool
    def refund(order: str) -> str:
        """Give the money back."""
        if not interrupt(f"Refund {order}?"):
            raise PermissionError(order)
        return "refunded"

    def call(name: str, number: int) -> Any:
        return {"name": name, "args": {"order": f"A{number}"}, "id": f"{name}-{number}"}

    script = [
        AIMessage("", tool_calls=[call("look_up", 1), call("look_up", 2)]),
        AIMessage("", tool_calls=[call("refund", 1)]),
        AIMessage("Done, the money is on its way."),
    ]
    model = Script(messages=iter(script))

    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    def more(state: MessagesState) -> str:
        return "tools" if state["messages"][-1].tool_calls else END  # type: ignore[union-attr]

    graph = StateGraph(MessagesState)
    graph.add_node("ask", ask)
    graph.add_node("tools", ToolNode([look_up, refund], handle_tool_errors=True))
    graph.add_edge(START, "ask")
    graph.add_conditional_edges("ask", more, ["tools", END])
    graph.add_edge("tools", "ask")
    return graph.compile(checkpointer=InMemorySaver(), name="shop")


LOOKED_UP: Any = {"execute_tool look_up": [{"GET /orders": []}]}
ASKED: Any = {"ask": [{"chat Script": []}, {"more": []}]}


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_a_graph_with_tools_and_a_human_is_in_jaeger_span_for_span(way: str, sent: Sent) -> None:
    """What a user looks at is the whole story: nothing lost or bent between here and there."""
    graph = shop(sent)
    config = {**sent.config, "configurable": {"thread_id": f"thread {way}"}}

    async def arun(given: Any) -> None:
        if way == "ainvoke":
            await graph.ainvoke(given, config)
        else:
            async for _ in graph.astream(given, config):
                pass

    def run(given: Any) -> None:
        if way.startswith("a"):
            asyncio.run(arun(given))
        elif way == "invoke":
            graph.invoke(given, config)
        else:
            list(graph.stream(given, config))

    run({"messages": [("user", "Where is \udfff A1?")]})
    run(Command(resume=True))

    first, second = sent.traces()
    ((top, below),) = tree(first)[0].items()
    assert top == "invoke_workflow shop"
    assert isinstance(below, list)
    steps = [next(iter(step)) for step in below]
    assert steps.count("ask") == 2
    assert ASKED in below
    found = [tool for step in below if "tools" in step for tool in step["tools"]]
    assert found.count(LOOKED_UP) == 2
    assert found.count({"execute_tool refund": []}) == 1
    assert tree(second) == [
        {"invoke_workflow shop": [{"tools": [{"execute_tool refund": []}]}, ASKED]}
    ]
    assert {span.status for span in [*first, *second]} == {StatusCode.UNSET}

    outcomes = {span.name: span.attributes.get("callspan.run.outcome") for span in first}
    assert outcomes["invoke_workflow shop"] == "interrupted"
    assert outcomes["execute_tool refund"] == "interrupted"
    (root,) = [span for span in second if span.parent_id is None]
    assert root.attributes["callspan.run.outcome"] == "ok"
    interrupted = next(span for span in first if span.parent_id is None)
    assert root.links == ((interrupted.trace_id, interrupted.span_id),)
    looked_up = next(span for span in first if span.name == "execute_tool look_up")
    assert "is late" in looked_up.attributes["gen_ai.tool.call.result"]


@pytest.fixture
def model(local_model: local.Server) -> Any:
    import httpx
    from langchain_openai import ChatOpenAI

    # Its own clients keep connections for the next event loop, which cannot use them.
    limits = httpx.Limits(max_keepalive_connections=0)
    return ChatOpenAI(
        http_client=httpx.Client(limits=limits),
        http_async_client=httpx.AsyncClient(limits=limits),
        model=local_model.name,
        base_url=local_model.url,
        api_key="none",
        temperature=0,
        stream_usage=True,
    )


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
def test_a_real_model_through_langchain_openai(way: str, model: Any, sent: Sent) -> None:
    """Its own words and its own count of tokens are what Jaeger shows."""
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import ChatPromptTemplate

    chain = ChatPromptTemplate.from_template("What is 1 + {number}?") | model | StrOutputParser()

    async def arun() -> str:
        if way == "ainvoke":
            return str(await chain.ainvoke({"number": 2}, sent.config))
        return "".join([chunk async for chunk in chain.astream({"number": 2}, sent.config)])

    runs: dict[str, Callable[[], str]] = {
        "invoke": lambda: chain.invoke({"number": 2}, sent.config),
        "stream": lambda: "".join(chain.stream({"number": 2}, sent.config)),
    }
    answer = runs[way]() if way in runs else asyncio.run(arun())

    (stored,) = sent.traces()
    assert tree(stored) == [
        {
            "invoke_workflow RunnableSequence": [
                {"ChatPromptTemplate": []},
                {"chat smollm2": []},
                {"StrOutputParser": []},
            ]
        }
    ]
    (asked,) = [span for span in stored if span.name == "chat smollm2"]
    found = asked.attributes
    assert asked.kind is SpanKind.CLIENT
    (said,) = json.loads(found["gen_ai.output.messages"])
    assert said["parts"][0]["content"] == answer
    assert "3" in answer
    assert found["gen_ai.provider.name"] == "openai"
    assert found["gen_ai.response.model"] == "smollm2"
    assert found["gen_ai.response.finish_reasons"] == ["stop"]
    assert found["server.address"] == "127.0.0.1"
    assert [event.name for event in asked.events] == ["first_token"] * ("stream" in way)
    if "stream" not in way:  # the server counts no tokens of streams
        assert found["gen_ai.usage.input_tokens"] > len(QUESTION.split())
        assert found["gen_ai.usage.output_tokens"] >= len(answer.split())


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream"])
def test_a_graph_in_which_a_real_model_calls_a_tool(way: str, model: Any, sent: Sent) -> None:
    """Model, tool and the user's own span in it are one tree under the graph."""
    results: list[int] = []

    @tool
    def add_up(a: int, b: int) -> int:
        """Add two integers."""
        with sent.tracer.start_as_current_span("work"):
            results.append(a + b)
        return a + b

    able = model.bind_tools([add_up], tool_choice="add_up")
    graph = StateGraph(MessagesState)
    graph.add_node("ask", lambda state: {"messages": [able.invoke(state["messages"])]})
    graph.add_node("tools", ToolNode([add_up]))
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "tools")
    graph.add_edge("tools", END)
    compiled = graph.compile(name="adder")
    given = {"messages": [("user", QUESTION)]}
    if way == "invoke":
        compiled.invoke(given, sent.config)
    elif way == "stream":
        list(compiled.stream(given, sent.config))
    else:
        asyncio.run(compiled.ainvoke(given, sent.config))

    (stored,) = sent.traces()
    assert tree(stored) == [
        {
            "invoke_workflow adder": [
                {"ask": [{"chat smollm2": []}]},
                {"tools": [{"execute_tool add_up": [{"work": []}]}]},
            ]
        }
    ]
    called = next(span for span in stored if span.name == "execute_tool add_up")
    assert called.attributes["gen_ai.tool.call.result"] == str(results[0])
    assert sum(json.loads(called.attributes["gen_ai.tool.call.arguments"]).values()) == results[0]
    assert called.attributes["gen_ai.tool.call.id"]
