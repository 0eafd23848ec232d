"""What is current in the bodies of tools, models, nodes and retrievers, and what leaves them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pytest
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from lc import ASYNC_WAYS, WAYS, Model, Shelf, TextModel, look, run, seen
from opentelemetry import baggage
from opentelemetry.context import attach, detach
from opentelemetry.propagate import extract, inject
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import Tracer, get_current_span
from typing_extensions import TypedDict

from callspan.langchain import OTelCallbackHandler
from support import SpanLog, current


class State(TypedDict, total=False):
    x: int
    done: Annotated[list[Any], lambda a, b: [*a, *b]]


# Neither LangChain nor LangGraph runs a coroutine function in a sync call.
BODIES = [(way, False) for way in WAYS] + [(way, True) for way in ASYNC_WAYS]


@pytest.mark.parametrize(("way", "is_async"), BODIES)
def test_a_users_span_in_a_tool_is_part_of_it(
    way: str, is_async: bool, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """An HTTP client's span must not end up beside the tool that sent the request."""

    def work(x: int) -> int:
        """Work."""
        look()
        with tracer.start_as_current_span("http"):
            look()
        return x

    async def awork(x: int) -> int:
        """Work."""
        look()
        with tracer.start_as_current_span("http"):
            await asyncio.sleep(0)
            look()
        return x

    run(way, tool("work")(awork if is_async else work), {"x": 1}, config)
    assert spans.tree() == ["work", "  http"]
    assert seen == ["work", "http"]


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_a_users_span_in_a_model_is_part_of_it(
    way: str, streams: bool, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """LangChain's own config says nothing of a model's body; the HTTP call is there."""

    class Http(Model):
        def _answer(self) -> Any:
            with tracer.start_as_current_span("http"):
                look()
            return super()._answer()

    model = Http()
    run(way, RunnableLambda(lambda x: x, name="first") | model, "x", config)
    assert spans.tree() == ["RunnableSequence", "  first", "  Http", "    http"]
    assert set(seen) == {"Http", "http"}


@pytest.mark.parametrize("way", WAYS)
def test_a_users_span_in_a_retriever_is_part_of_it(way: str, config: Any, spans: SpanLog) -> None:
    """As of a model."""
    run(way, Shelf(), "q", config)
    assert spans.tree() == ["Shelf"]
    assert set(seen) == {"Shelf"}


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_a_text_model_has_its_span_current(way: str, config: Any, spans: SpanLog) -> None:
    """As of a chat model."""
    run(way, TextModel(), "q", config)
    assert seen == ["TextModel"]


@pytest.mark.parametrize(("way", "is_async"), BODIES)
def test_a_users_span_in_a_node_is_part_of_it(
    way: str, is_async: bool, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """Nodes are what people write; a span in one that hangs on the graph hides where it was."""

    def node(state: State) -> State:
        look()
        with tracer.start_as_current_span("work"):
            Model().invoke("x")
        look()
        return {"x": 2}

    async def anode(state: State) -> State:
        look()
        with tracer.start_as_current_span("work"):
            await Model().ainvoke("x")
        look()
        return {"x": 2}

    graph = StateGraph(State)
    graph.add_node("node", anode if is_async else node)
    graph.add_edge(START, "node")
    graph.add_edge("node", END)
    run(way, graph.compile(), {"x": 1}, config)
    assert spans.tree() == ["LangGraph", "  node", "    work", "      Model"]
    assert set(seen) == {"node", "Model"}
    assert seen[0] == seen[-1] == "node"


@pytest.mark.parametrize("way", WAYS)
def test_parallel_nodes_sent_nodes_and_subgraphs_have_their_own(
    way: str, config: Any, spans: SpanLog
) -> None:
    """They run side by side in threads or tasks."""

    def node(state: State) -> State:
        look()
        return {"done": [current()]}

    inner = StateGraph(State)
    inner.add_node("inner", node)
    inner.add_edge(START, "inner")
    graph = StateGraph(State)
    graph.add_node("a", node)
    graph.add_node("b", node)
    graph.add_node("sub", inner.compile())
    graph.add_conditional_edges(START, lambda s: [Send("a", {}), Send("a", {}), Send("b", {})])
    graph.add_edge("a", "sub")
    graph.add_edge("b", "sub")
    run(way, graph.compile(), {"x": 1, "done": []}, config)
    assert sorted(seen) == ["a", "a", "b", "inner"]
    tree = spans.tree()
    assert tree[0] == "LangGraph"
    assert sorted(line for line in tree if line in ("  a", "  b")) == ["  a", "  a", "  b"]
    assert spans.parent_of("inner") == "LangGraph" or spans.parent_of("inner") == "sub"
    assert spans.open == []


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_tool_that_injects_sends_its_own_span(way: str, config: Any, spans: SpanLog) -> None:
    """The service that a tool calls continues the trace below the tool."""
    carrier: dict[str, str] = {}

    @tool
    def call(x: int) -> int:
        """Call a service."""
        inject(carrier)
        return x

    run(way, call, {"x": 1}, config)
    span = spans.named("call")
    assert carrier["traceparent"].split("-")[1:3] == [
        f"{span.context.trace_id:032x}",
        f"{span.context.span_id:016x}",
    ]


@pytest.mark.parametrize("way", WAYS)
def test_a_remote_parent_is_the_parent(way: str, config: Any, spans: SpanLog) -> None:
    """A service's run belongs to the trace of its caller."""
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    token = attach(extract({"traceparent": traceparent}))
    try:
        run(way, RunnableLambda(lambda x: look() or x, name="l"), 1, config)
    finally:
        detach(token)
    span = spans.named("l")
    assert f"{span.context.trace_id:032x}" == traceparent.split("-")[1]
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == traceparent.split("-")[2]
    assert seen == ["l"]


@pytest.mark.parametrize("way", WAYS)
def test_the_current_span_is_the_real_one(way: str, config: Any, spans: SpanLog) -> None:
    """What a user sets on it must be on the run's span: no proxy stands between."""

    def body(x: Any) -> Any:
        span = get_current_span()
        assert span is spans.started[-1]
        span.set_attribute("mine", 1)
        return x

    run(way, RunnableLambda(body, name="l"), 1, config)
    assert (spans.named("l").attributes or {})["mine"] == 1


@pytest.mark.parametrize("way", WAYS)
def test_baggage_goes_in_and_through(way: str, config: Any, spans: SpanLog) -> None:
    """Session and user come with baggage; the body sets and sees its own."""
    found: list[Any] = []

    def body(x: Any) -> Any:
        found.append(baggage.get_baggage("session_id"))
        token = attach(baggage.set_baggage("inner", "1"))
        found.append(baggage.get_baggage("inner"))
        assert current() == "l"
        Model().invoke("x")
        detach(token)
        found.append(baggage.get_baggage("inner"))
        return x

    token = attach(baggage.set_baggage("session_id", "s1"))
    try:
        run(way, RunnableLambda(body, name="l"), 1, config)
    finally:
        detach(token)
    assert found == ["s1", "1", None]
    assert spans.tree() == ["l", "  Model"]
    assert {(span.attributes or {})["session.id"] for span in spans.ended} == {"s1"}


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_runs_started_in_a_models_body_are_part_of_it(
    way: str, config: Any, spans: SpanLog
) -> None:
    """LangChain gives them the model's parent; a model that asks another one is its parent."""

    class Router(Model):
        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            Model(name="inner").invoke("x")
            look()
            return super()._generate(*args, **kwargs)

        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            await Model(name="inner").ainvoke("x")
            look()
            return await super()._agenerate(*args, **kwargs)

    run(way, RunnableLambda(lambda x: x, name="first") | Router(), "x", config)
    assert spans.tree() == ["RunnableSequence", "  first", "  Router", "    inner"]
    assert seen[-1] == "Router"


@pytest.mark.parametrize("way", WAYS)
def test_a_span_processor_is_called_outside_of_the_run_that_ends(way: str) -> None:
    """What an exporter traces of its own must not become a child of a span that has ended."""
    around: dict[str, Any] = {}

    class Watch(SpanProcessor):
        def on_end(self, span: Any) -> None:
            around[span.name] = get_current_span().get_span_context(), span.get_span_context()

    provider = TracerProvider()
    provider.add_span_processor(Watch())
    chain = RunnableLambda(lambda x: x, name="first") | Model()
    run(way, chain, "x", {"callbacks": [OTelCallbackHandler(tracer_provider=provider)]})
    assert len(around) == 3
    assert all(current != ended for current, ended in around.values())
    assert not around["invoke_workflow RunnableSequence"][0].is_valid
    provider.shutdown()
