"""Scenarios in which other handlers go wrong, as far as no other file here has them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from inspect import signature
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from lc import WAYS, Model, Shelf, arun, look, run, seen
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.propagate import extract, inject
from opentelemetry.trace import StatusCode, Tracer
from typing_extensions import TypedDict

import callspan
from callspan.langchain import OTelCallbackHandler
from callspan.langchain.runs import open_runs
from support import SpanLog, current

try:
    from langchain.agents import create_agent
except ImportError:
    from langgraph.prebuilt import create_react_agent as create_agent

KNOWN = "ls_integration" in (create_agent(Model(), []).config or {}).get("metadata", {})
PRIVATE = "xyzzy"


@pytest.fixture
def in_threads() -> Iterator[None]:
    """Plain threads carry the context."""
    callspan.instrument_threads()
    yield
    callspan.uninstrument_threads()


def in_pool(pool: ThreadPoolExecutor, tracer: Tracer) -> None:
    def work(number: int) -> None:
        look()
        with tracer.start_as_current_span("work"):
            Model().invoke("x")
            look()

    with pool:
        list(pool.map(work, range(2)))


POOLED = ["outer", *["  work", "    Model"] * 2]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_a_plain_pool_in_a_body_with_instrumented_threads(
    way: str, is_async: bool, config: Any, spans: SpanLog, tracer: Tracer, in_threads: None
) -> None:
    """No peer manages that: a plain thread has no context at all."""
    _pool_in_a_body(ThreadPoolExecutor, way, is_async, config, spans, tracer)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_a_pool_of_callspans_in_a_body(
    way: str, is_async: bool, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """For those who do not want all threads changed."""
    _pool_in_a_body(callspan.ContextThreadPoolExecutor, way, is_async, config, spans, tracer)


def _pool_in_a_body(
    kind: Any, way: str, is_async: bool, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    async def abody(x: Any) -> Any:
        await asyncio.sleep(0)
        in_pool(kind(1), tracer)
        return x

    def body(x: Any) -> Any:
        in_pool(kind(1), tracer)
        return x

    with_both = is_async and way.startswith("a")
    run(way, RunnableLambda(body, abody if with_both else None, name="outer"), 1, config)
    assert spans.tree() == POOLED
    assert seen == ["outer", "Model", "work"] * 2


@pytest.mark.parametrize("way", WAYS)
def test_a_tools_error_has_status_and_exception(way: str, spans: SpanLog) -> None:
    """Also in a body that takes its time: the end may come from elsewhere."""

    @tool
    def breaks(x: int) -> int:
        """Break."""
        raise KeyError(PRIVATE)

    handler = OTelCallbackHandler(capture_error_text=True)
    with pytest.raises(KeyError):
        run(
            way,
            RunnableLambda(lambda x: x, name="first") | breaks,
            {"x": 1},
            {"callbacks": [handler]},
        )
    span = spans.named("breaks")
    assert span.status.status_code is StatusCode.ERROR
    (event,) = span.events
    assert event.name == "exception"
    assert (event.attributes or {})["exception.type"] == "KeyError"
    assert PRIVATE in str((event.attributes or {})["exception.message"])
    assert spans.named("RunnableSequence").status.status_code is StatusCode.ERROR
    assert spans.named("first").status.status_code is StatusCode.UNSET


@tool
def add(a: int, b: int) -> int:
    """Add."""
    look()
    return a + b


USAGE = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}


def adder(**options: Any) -> Any:
    """An agent that calls its tool twice."""
    calls = [{"name": "add", "args": {"a": 1, "b": i}, "id": f"c{i}"} for i in (1, 2)]
    answers = [
        AIMessage("", tool_calls=calls, usage_metadata=USAGE),
        AIMessage("done", usage_metadata=USAGE),
    ]
    return create_agent(Model(answers=answers), [add], name="adder", **options)


@pytest.mark.skipif(not KNOWN, reason="an older LangChain does not tell which graph is an agent")
@pytest.mark.parametrize("way", WAYS)
def test_an_agent_is_one_and_has_the_totals_of_its_models(
    way: str, config: Any, spans: SpanLog
) -> None:
    """As an agent of callspan's: dashboards of agents look for `invoke_agent`."""
    run(way, adder(), {"messages": [("user", "hi")]}, config)
    assert sorted(spans.tree()[1:]) == sorted(
        ["  model", "    Model", "  tools", "    add", "  tools", "    add", "  model", "    Model"]
    )
    found = dict(spans.named("adder").attributes or {})
    assert spans.named("adder").name == "invoke_agent adder"
    assert found["callspan.run.type"] == "agent"
    assert found["openinference.span.kind"] == "AGENT"
    assert found["gen_ai.operation.name"] == "invoke_agent"
    assert found["gen_ai.agent.name"] == "adder"
    assert found["gen_ai.usage.input_tokens"] == 20
    assert found["gen_ai.usage.output_tokens"] == 10
    types = [(span.attributes or {})["callspan.run.type"] for span in spans.started]
    assert types.count("agent") == 1
    assert set(seen) == {"Model", "add"}


@pytest.mark.skipif(not KNOWN, reason="an older LangChain does not tell which graph is an agent")
@pytest.mark.parametrize("way", WAYS)
def test_an_agent_in_a_tool_of_an_agent(way: str, config: Any, spans: SpanLog) -> None:
    """Each is one, and has its own totals."""

    @tool
    def ask(question: str) -> str:
        """Ask the other."""
        return str(adder().invoke({"messages": [("user", question)]})["messages"][-1].content)

    call = {"name": "ask", "args": {"question": "?"}, "id": "c"}
    answers = [AIMessage("", tool_calls=[call], usage_metadata=USAGE), "done"]
    boss = create_agent(Model(name="boss model", answers=answers), [ask], name="boss")
    run(way, boss, {"messages": [("user", "hi")]}, config)
    assert spans.named("boss").name == "invoke_agent boss"
    assert spans.named("adder").name == "invoke_agent adder"
    assert spans.parent_of("adder") == "ask"
    assert (spans.named("adder").attributes or {})["gen_ai.usage.input_tokens"] == 20
    assert (spans.named("boss").attributes or {})["gen_ai.usage.input_tokens"] == 10


@pytest.mark.skipif(not KNOWN, reason="an older LangChain does not tell which graph is an agent")
def test_an_agent_in_one_of_its_own_name(config: Any, spans: SpanLog) -> None:
    """It inherits the same metadata."""

    @tool
    def ask(question: str) -> str:
        """Ask another one of the kind."""
        return str(adder().invoke({"messages": [("user", question)]})["messages"][-1].content)

    call = {"name": "ask", "args": {"question": "?"}, "id": "c"}
    answers = [AIMessage("", tool_calls=[call], usage_metadata=USAGE), "done"]
    outer = create_agent(Model(name="outer", answers=answers), [ask], name="adder")
    outer.invoke({"messages": [("user", "hi")]}, config)
    agents = [span for span in spans.started if span.name == "invoke_agent adder"]
    totals = [(span.attributes or {})["gen_ai.usage.input_tokens"] for span in agents]
    assert totals == [10, 20]


def test_a_graph_of_ones_own_is_a_workflow(config: Any, spans: SpanLog) -> None:
    """Nobody can tell that it is meant as an agent."""
    graph = StateGraph(dict)
    graph.add_node("n", lambda state: state)
    graph.add_edge(START, "n")
    graph.compile(name="mine").invoke({"x": 1}, config)
    assert [span.name for span in spans.started] == ["invoke_workflow mine", "n"]


@pytest.mark.parametrize("way", WAYS)
def test_opentelemetrys_suppression_is_honoured(way: str, config: Any, spans: SpanLog) -> None:
    """`suppress_instrumentation` sets this key; exporters do, so as not to trace themselves."""
    token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        chain = (
            RunnableLambda(lambda x: x) | Model() | RunnableLambda(lambda x: Shelf().invoke("q"))
        )
        run(way, chain, "x", config)
    finally:
        detach(token)
    assert spans.started == []
    assert len(open_runs) == 0


@pytest.mark.parametrize("way", WAYS)
def test_suppression_in_a_body_ends_with_it(way: str, config: Any, spans: SpanLog) -> None:
    """What is not to be traced is that one call."""

    def body(x: Any) -> Any:
        with callspan.suppress_tracing():
            Model(name="quiet").invoke("x")
        look()
        return Model().invoke("x")

    run(way, RunnableLambda(body, name="l"), 1, config)
    assert spans.tree() == ["l", "  Model"]
    assert seen == ["l", "l", "Model"]


@pytest.mark.parametrize("way", WAYS)
def test_a_trace_goes_in_and_out_of_a_tool(way: str, config: Any, spans: SpanLog) -> None:
    """The caller's trace id is what the service behind the tool gets."""
    sent: dict[str, str] = {}

    @tool
    def call(x: int) -> int:
        """Call a service."""
        inject(sent)
        return x

    came = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    token = attach(extract({"traceparent": came, "tracestate": "a=b", "baggage": "k=v"}))
    try:
        run(way, RunnableLambda(lambda x: x, name="first") | call, {"x": 1}, config)
    finally:
        detach(token)
    _, trace_id, span_id, _ = sent["traceparent"].split("-")
    assert trace_id == came.split("-")[1]
    assert span_id == f"{spans.named('call').context.span_id:016x}"
    assert sent["tracestate"] == "a=b"
    assert sent["baggage"] == "k=v"


@pytest.mark.parametrize("way", WAYS)
def test_with_content_off_an_agent_tells_nothing_of_it(way: str, spans: SpanLog) -> None:
    """Neither system prompt, nor tool definitions with it in, nor arguments or messages."""

    @tool
    def leak(x: str) -> str:
        """Say."""
        return x

    call = {"name": "leak", "args": {"x": PRIVATE}, "id": "c"}
    model = Model(answers=[AIMessage(PRIVATE, tool_calls=[call]), AIMessage(PRIVATE)])
    prompt = "system_prompt" if "system_prompt" in signature(create_agent).parameters else "prompt"
    agent = create_agent(model, [leak], name="agent", **{prompt: PRIVATE})
    for handler in (OTelCallbackHandler(), OTelCallbackHandler(conventions=["openinference"])):
        model.calls = 0
        run(way, agent, {"messages": [("user", PRIVATE)]}, {"callbacks": [handler]})
    assert len(spans.ended) > 10
    assert PRIVATE.encode() not in encode_spans(spans.ended).SerializeToString()


@pytest.mark.parametrize("way", WAYS)
def test_with_content_off_a_question_to_a_human_is_not_told(
    way: str, config: Any, spans: SpanLog
) -> None:
    """LangGraph puts question and answer into exceptions and commands."""

    class State(TypedDict, total=False):
        x: Any

    graph = StateGraph(State)
    graph.add_node("ask", lambda state: {"x": interrupt({"question": PRIVATE})})
    graph.add_edge(START, "ask")
    compiled = graph.compile(checkpointer=InMemorySaver())
    config = {**config, "configurable": {"thread_id": "t"}}
    run(way, compiled, {"x": PRIVATE}, config)
    run(way, compiled, Command(resume=PRIVATE), config)
    assert [span.name for span in spans.ended].count("ask") == 2
    assert PRIVATE.encode() not in encode_spans(spans.ended).SerializeToString()


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_batches_as_completed_are_siblings(
    way: str, config: Any, spans: SpanLog, tracer: Tracer
) -> None:
    """They end in any order, each in its own thread or task."""
    chain = RunnableLambda(lambda x: look() or x, name="first") | Model()

    async def all_async() -> None:
        async for _ in chain.abatch_as_completed(list("abcde"), config):
            assert current() == "user"

    with tracer.start_as_current_span("user"):
        if way == "invoke":
            for _ in chain.batch_as_completed(list("abcde"), config):
                assert current() == "user"
        else:
            asyncio.run(all_async())
        assert current() == "user"
    assert spans.tree() == ["user", *["  RunnableSequence", "    first", "    Model"] * 5]
    assert set(seen) == {"first", "Model"}


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_five_hundred_streams_left_open_stay_within_the_bound(way: str, spans: SpanLog) -> None:
    """Whoever keeps streams without pulling them keeps no more than so many runs."""
    config = {"callbacks": [OTelCallbackHandler(max_open_runs=50)]}
    kept: list[Any] = []

    async def leave_open() -> None:
        for _ in range(500):
            stream = Model().astream("x", config)
            await anext(stream)
            kept.append(stream)
        assert len(open_runs) <= 50
        for stream in kept:
            await stream.aclose()

    if way == "stream":
        for _ in range(500):
            stream = Model().stream("x", config)
            next(stream)
            kept.append(stream)
        assert len(open_runs) <= 50
        for stream in kept:
            stream.close()
    else:
        asyncio.run(leave_open())
    assert spans.open == []
    outcomes = [(span.attributes or {})["callspan.run.outcome"] for span in spans.ended]
    assert outcomes.count("unfinished") == 450
    assert outcomes.count("abandoned") == 50
    assert current() == "nothing"


async def test_two_hundred_agents_at_once_keep_their_traces(config: Any, spans: SpanLog) -> None:
    """A server's requests: graphs, models, tools, streams, all in one loop."""

    async def call(number: int) -> None:
        way = "astream" if number % 2 else "ainvoke"
        given = {"messages": [("user", str(number))]}
        await arun(way, adder(), given, {**config, "run_name": f"agent {number}"})

    await asyncio.gather(*(call(number) for number in range(200)))
    assert spans.open == []
    by_id = {span.context.span_id: span for span in spans.ended}
    traces: dict[int, list[Any]] = {}
    for span in spans.ended:
        traces.setdefault(span.context.trace_id, []).append(span)
    assert len(traces) == 200
    shape = ["Model", "Model", "add", "add"]
    for members in traces.values():
        (root,) = [span for span in members if span.parent is None]
        assert str((root.attributes or {})["callspan.run.name"]).startswith("agent ")
        names = sorted(str((span.attributes or {})["callspan.run.name"]) for span in members)
        assert [name for name in names if name in shape] == shape
        for span in members:
            if span is not root:
                assert by_id[span.parent.span_id].context.trace_id == root.context.trace_id
    assert set(seen) == {"Model", "add"}
    assert len(open_runs) == 0


def test_eight_threads_of_agents_keep_their_traces(config: Any, spans: SpanLog) -> None:
    """Sync servers; each thread has its own context and all share the handler."""

    def call(number: int) -> None:
        way = "stream" if number % 2 else "invoke"
        given = {"messages": [("user", str(number))]}
        run(way, adder(), given, {**config, "run_name": f"agent {number}"})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(80)))
    assert spans.open == []
    assert len({span.context.trace_id for span in spans.ended}) == 80
    assert sum(span.parent is None for span in spans.ended) == 80
    assert set(seen) == {"Model", "add"}
    assert len(open_runs) == 0
