"""What of LangChain's objects is on the spans: attributes, content, and nothing of it when off."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from lc import WAYS, Model, Shelf, TextModel, look, run, since
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from callspan.langchain import OTelCallbackHandler
from support import SpanLog

PRIVATE = "xyzzy"
USAGE = {
    "input_tokens": 10,
    "output_tokens": 5,
    "total_tokens": 15,
    "input_token_details": {"cache_read": 4, "cache_creation": 2},
    "output_token_details": {"reasoning": 3},
}


def attributes(spans: SpanLog, name: str) -> dict[str, Any]:
    return dict(spans.named(name).attributes or {})


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_retrievers_documents(way: str, spans: SpanLog) -> None:
    """With id and score."""
    run(way, Shelf(), "q", {"callbacks": [OTelCallbackHandler(capture_content=True)]})
    found = attributes(spans, "Shelf")
    assert found["gen_ai.retrieval.query.text"] == "q"
    first = json.loads(found["gen_ai.retrieval.documents"])[0]
    assert first["id"] == "d1"
    assert first["score"] == 0.5
    assert first["content"] == "q"


@pytest.mark.parametrize("way", WAYS)
def test_usage_with_cache_and_reasoning(way: str, config: Any, spans: SpanLog) -> None:
    """Of streams too."""
    run(way, RunnableLambda(lambda x: x) | Model(usage=USAGE), "x", config)
    found = attributes(spans, "Model")
    assert {key: value for key, value in found.items() if "usage" in key} == {
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.cache_write.input_tokens": 2,
        "gen_ai.usage.reasoning.output_tokens": 3,
    }


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_the_time_to_the_first_token(way: str, config: Any, spans: SpanLog) -> None:
    """What users of a chat feel."""
    run(way, Model(), "x", config)
    assert attributes(spans, "Model")["gen_ai.response.time_to_first_chunk"] > 0
    assert [event.name for event in spans.named("Model").events] == ["first_token"]


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_model_and_provider_come_from_the_providers_package(
    way: str, config: Any, spans: SpanLog
) -> None:
    """`langchain-openai` says it in its own way, as all packages do."""
    import httpx
    from langchain_openai import ChatOpenAI

    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-2024",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "hi"},
            }
        ],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 3,
            "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    }

    def respond(request: httpx.Request) -> httpx.Response:
        look()
        return httpx.Response(200, json=answer)

    transport = httpx.MockTransport(respond)
    model = ChatOpenAI(
        model="gpt-4o",
        api_key="k",
        base_url="http://llm.local:8080/v1",
        temperature=0.5,
        http_client=httpx.Client(transport=transport),
        http_async_client=httpx.AsyncClient(transport=transport),
    )
    run(way, model, "x", config)
    found = attributes(spans, "ChatOpenAI")
    assert spans.named("ChatOpenAI").name == "chat gpt-4o"
    assert found["gen_ai.provider.name"] == "openai"
    assert found["gen_ai.request.model"] == "gpt-4o"
    assert found["gen_ai.request.temperature"] == 0.5
    assert found["gen_ai.response.model"] == "gpt-4o-2024"
    assert found["gen_ai.response.id"] == "chatcmpl-1"
    assert list(found["gen_ai.response.finish_reasons"]) == ["stop"]
    assert found["gen_ai.usage.input_tokens"] == 9
    assert found["gen_ai.usage.cache_read.input_tokens"] == 4
    assert found["gen_ai.usage.reasoning.output_tokens"] == 2
    assert found["server.address"] == "llm.local"
    assert found["server.port"] == 8080


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_tools_arguments_and_its_answer(way: str, spans: SpanLog) -> None:
    """Called by a model, with the call's id."""

    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    call = {"name": "add", "args": {"a": 1, "b": 2}, "id": "c1", "type": "tool_call"}
    run(way, add, call, {"callbacks": [OTelCallbackHandler(capture_content=True)]})
    found = attributes(spans, "add")
    assert json.loads(found["gen_ai.tool.call.arguments"]) == {"a": 1, "b": 2}
    assert found["gen_ai.tool.call.result"] == "3"
    assert found["gen_ai.tool.call.id"] == "c1"
    assert found["gen_ai.tool.description"] == "Add two numbers."


@pytest.mark.parametrize("way", WAYS)
def test_a_streams_input_comes_with_its_end(way: str, spans: SpanLog) -> None:
    """At the start of a stream LangChain knows none."""
    chain = RunnableLambda(lambda x: x, name="first") | Model()
    run(way, chain, "hello", {"callbacks": [OTelCallbackHandler(capture_content=True)]})
    assert attributes(spans, "RunnableSequence")["input.value"] == "hello"
    assert attributes(spans, "first")["input.value"] == "hello"


def hostile() -> list[Any]:
    circle: dict[str, Any] = {}
    circle["self"] = circle

    class Bad:
        def __repr__(self) -> str:
            raise ValueError("no repr")

    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    return [circle, {"bad": Bad()}, {"deep": deep}, {"x": "\ud800 lone"}]


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_values_that_are_hard_to_show(way: str, place: int, spans: SpanLog) -> None:
    """A span with a poor value is better than none, and it can be sent."""
    given = hostile()[place]
    handler = OTelCallbackHandler(capture_content=True)
    run(way, RunnableLambda(lambda x: 1, name="l"), given, {"callbacks": [handler]})
    assert spans.outcomes() == {"l": "ok"}
    assert json.loads(attributes(spans, "l")["input.value"])
    assert encode_spans(spans.ended).SerializeToString()


def test_a_huge_value_is_cut(spans: SpanLog) -> None:
    """Five megabytes in one attribute break collectors."""
    handler = OTelCallbackHandler(capture_content=True)
    RunnableLambda(lambda x: x, name="l").invoke({"x": "y" * 5_000_000}, {"callbacks": [handler]})
    value = attributes(spans, "l")["input.value"]
    assert len(value.encode()) <= 65536
    assert json.loads(value)


def test_an_image_is_shrunk(spans: SpanLog) -> None:
    """Base64 says nothing to anybody."""
    url = "data:image/png;base64," + "iVBORw0KGg" + "A" * 4000
    message = HumanMessage([{"type": "image_url", "image_url": {"url": url}}])
    handler = OTelCallbackHandler(capture_content=True)
    Model().invoke([message], {"callbacks": [handler]})
    value = attributes(spans, "Model")["gen_ai.input.messages"]
    assert "AAAA" not in value
    assert "image/png" in value


@pytest.mark.parametrize("way", WAYS)
def test_with_content_off_nothing_of_it_leaves(way: str, spans: SpanLog) -> None:
    """Not the prompt, the answer, arguments, documents or the text of an exception."""

    @tool
    def leak(x: str) -> str:
        """Say."""
        raise ValueError(x)

    def body(x: Any) -> Any:
        Model(answers=[AIMessage(PRIVATE)]).invoke(PRIVATE)
        TextModel().invoke(PRIVATE)
        Shelf().invoke(PRIVATE)
        leak.invoke({"x": PRIVATE})

    with pytest.raises(ValueError, match=PRIVATE):
        run(way, RunnableLambda(body, name="l"), PRIVATE, {"callbacks": [OTelCallbackHandler()]})
    assert len(spans.ended) == 5
    assert PRIVATE.encode() not in encode_spans(spans.ended).SerializeToString()


@since("langchain-core", "0.3.73")
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_an_answer_from_the_cache_is_marked(way: str, config: Any, spans: SpanLog) -> None:
    """It cost nothing."""
    model = Model(cache=InMemoryCache())
    run(way, model, "x", config)
    assert "callspan.run.cached" not in attributes(spans, "Model")
    spans.clear()
    run(way, model, "x", config)
    assert attributes(spans, "Model")["callspan.run.cached"] is True


def test_tags_metadata_session_and_thread(config: Any, spans: SpanLog) -> None:
    """On every span, under standard keys; what steps add for themselves is left out."""
    chain = RunnableLambda(lambda x: x, name="first") | Model()
    chain.invoke(
        "x",
        {**config, "tags": ["mine"],
         "metadata": {"user_id": "u1", "session_id": "s1", "thread_id": "t1", "shop": 7}},
    )  # fmt: skip
    for name in ("RunnableSequence", "first", "Model"):
        found = attributes(spans, name)
        assert found["callspan.tags"] == ("mine",)
        assert found["callspan.metadata.shop"] == 7
        assert found["user.id"] == "u1"
        assert found["session.id"] == "s1"
        assert found["gen_ai.conversation.id"] == "t1"
        assert "callspan.metadata.lc_versions" not in found


async def test_ten_thousand_runs_leave_nothing(config: Any, spans: SpanLog) -> None:
    """A service runs for weeks."""
    from callspan.langchain.runs import open_runs

    body = RunnableLambda(lambda x: x, name="l")
    for _ in range(100):
        await asyncio.gather(*(body.ainvoke(1, config) for _ in range(100)))
        spans.clear()
    assert len(open_runs) == 0
    assert open_runs._by_frame == {}
