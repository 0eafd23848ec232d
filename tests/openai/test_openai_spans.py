"""What traces tell of a call of OpenAI's API."""

from __future__ import annotations

from typing import Any

import pytest
from completions_api import KEY, USAGE, CompletionsAPI, Reply, asked
from opentelemetry import trace
from opentelemetry.trace import SpanKind

import openai
from callspan import ConfigurationError
from callspan.openai import ChatOpenAI
from callspan.outputs import LLMResult
from support import SpanLog


async def test_the_span_of_a_call(api: CompletionsAPI, spans: SpanLog, way: str) -> None:
    """Dashboards ask by these names: who was asked for what, where, and what it took."""
    usage = {
        **USAGE,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 8},
    }
    api.replies = [Reply(usage=usage, finish_reason="length")]
    model = ChatOpenAI(
        model="gpt-5-mini", max_completion_tokens=64, temperature=0.5, stop=["."], seed=7
    )
    await asked(model, way)
    (span,) = spans.ended
    assert (span.name, span.kind) == ("chat gpt-5-mini", SpanKind.CLIENT)
    wanted = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5-mini",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.stop_sequences": (".",),
        "gen_ai.request.seed": 7,
        "gen_ai.response.id": "chatcmpl-01",
        "gen_ai.response.model": "gpt-5-mini-2026-01-01",
        "gen_ai.response.finish_reasons": ("length",),
        "gen_ai.usage.input_tokens": 16,
        "gen_ai.usage.output_tokens": 13,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 8,
        "server.address": "127.0.0.1",
        "server.port": api.server_port,
        "callspan.run.outcome": "ok",
    }
    attributes = dict(span.attributes or {})
    assert {key: attributes.get(key) for key in wanted} == wanted
    assert (attributes.get("gen_ai.request.stream") is True) == ("stream" in way)
    assert KEY not in span.to_json()


class Assistant(ChatOpenAI):
    """A class of a user's own: it does not change who is asked."""


@pytest.mark.parametrize("base_url", [None, "https://example.test:8443/v1"])
def test_what_handlers_are_told_before_the_call(
    monkeypatch: pytest.MonkeyPatch, handler: Any, base_url: str | None
) -> None:
    """Without `OPENAI_BASE_URL` the SDK asks OpenAI's own server, and handlers hear so."""
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)
    model = Assistant(
        model="m", base_url=base_url, temperature=0, max_completion_tokens=9, stop=["END"]
    )
    with pytest.raises(ConfigurationError):  # nobody is asked without a key
        model.invoke("Hello", {"callbacks": [handler]})
    (start,) = handler.events.of("on_chat_model_start")
    params = start["invocation_params"]
    assert params["base_url"] == (base_url or "https://api.openai.com/v1")
    assert params["_type"] == "openai-chat"
    assert start["metadata"] == {
        "ls_provider": "openai",
        "ls_model_type": "chat",
        "ls_model_name": "m",
        "ls_temperature": 0,
        "ls_max_tokens": 9,
        "ls_stop": ["END"],
    }


async def test_the_request_is_made_inside_the_span(
    model: ChatOpenAI, spans: SpanLog, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The spans of an instrumented HTTP client have to be the call's children."""
    current: list[int] = []
    for client in (openai.OpenAI, openai.AsyncOpenAI):

        def post(*args: Any, sent: Any = client.post, **kwargs: Any) -> Any:
            current.append(trace.get_current_span().get_span_context().span_id)
            return sent(*args, **kwargs)

        monkeypatch.setattr(client, "post", post)
    await asked(model, way)
    assert current == [spans.ended[0].context.span_id]


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_tokens_reach_handlers(model: ChatOpenAI, handler: Any, way: str) -> None:
    """Handlers show an answer while it is written, and get it whole at the end."""
    await asked(model, way, config={"callbacks": [handler]})
    tokens = [args[0] for name, args, _ in handler.events if name == "on_llm_new_token"]
    assert "".join(tokens) == "1 + 2 = 3"
    ((_, (result,), _),) = [event for event in handler.events if event[0] == "on_llm_end"]
    assert isinstance(result, LLMResult)
    assert result.generations[0][0].text == "1 + 2 = 3"


async def test_what_is_known_of_an_answer(model: ChatOpenAI, handler: Any) -> None:
    """`llm_output` is where handlers look for the model and the usage."""
    model.invoke("Hello", {"callbacks": [handler]})
    await model.ainvoke("Hello", {"callbacks": [handler]})
    results = [args[0] for name, args, _ in handler.events if name == "on_llm_end"]
    assert [result.llm_output for result in results] == [
        {
            "id": "chatcmpl-01",
            "model_name": "gpt-5-mini-2026-01-01",
            "model_provider": "openai",
            "system_fingerprint": "fp_01",
            "service_tier": "default",
            "token_usage": USAGE,
        }
    ] * 2
