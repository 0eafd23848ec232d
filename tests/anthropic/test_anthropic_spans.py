"""What traces tell of a call of Anthropic's API."""

from __future__ import annotations

from typing import Any

import pytest
from messages_api import KEY, USAGE, MessagesAPI, Reply, asked
from opentelemetry import trace
from opentelemetry.trace import SpanKind

import anthropic
from callspan import ConfigurationError
from callspan.anthropic import ChatAnthropic
from callspan.outputs import LLMResult
from support import SpanLog


async def test_the_span_of_a_call(api: MessagesAPI, spans: SpanLog, way: str) -> None:
    """Dashboards ask by these names: who was asked for what, where, and what it took."""
    api.replies = [Reply(usage={**USAGE, "cache_read_input_tokens": 4}, stop_reason="max_tokens")]
    model = ChatAnthropic(
        model="claude-haiku-4-5", max_tokens=64, temperature=0.5, stop_sequences=["."]
    )
    await asked(model, way)
    (span,) = spans.ended  # and no second one: the SDK's would count the tokens twice
    assert (span.name, span.kind) == ("chat claude-haiku-4-5", SpanKind.CLIENT)
    wanted = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-haiku-4-5",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.stop_sequences": (".",),
        "gen_ai.response.id": "msg_01",
        "gen_ai.response.model": "claude-haiku-4-5-20251001",
        "gen_ai.response.finish_reasons": ("max_tokens",),
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 13,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "server.address": "127.0.0.1",
        "server.port": api.server_port,
        "callspan.run.outcome": "ok",
    }
    attributes = dict(span.attributes or {})
    assert {key: attributes.get(key) for key in wanted} == wanted
    assert (attributes.get("gen_ai.request.stream") is True) == ("stream" in way)
    assert KEY not in span.to_json()


class Assistant(ChatAnthropic):
    """A class of a user's own: it does not change who is asked."""


@pytest.mark.parametrize("base_url", [None, "https://example.test:8443"])
def test_the_server_where_the_environment_names_none(
    monkeypatch: pytest.MonkeyPatch, handler: Any, base_url: str | None
) -> None:
    """Without `ANTHROPIC_BASE_URL` the SDK asks Anthropic's own server, and handlers hear so."""
    for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    model = Assistant(model="m", base_url=base_url)
    with pytest.raises(ConfigurationError):  # nobody is asked without a key
        model.invoke("Hello", {"callbacks": [handler]})
    (start,) = handler.events.of("on_chat_model_start")
    params = start["invocation_params"]
    assert params["base_url"] == (base_url or "https://api.anthropic.com")
    assert params["_type"] == "anthropic-chat"
    assert start["metadata"]["ls_provider"] == "anthropic"


async def test_the_request_is_made_inside_the_span(
    model: ChatAnthropic, spans: SpanLog, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The spans of an instrumented HTTP client have to be the call's children."""
    current: list[int] = []
    for client in (anthropic.Anthropic, anthropic.AsyncAnthropic):

        def post(*args: Any, sent: Any = client.post, **kwargs: Any) -> Any:
            current.append(trace.get_current_span().get_span_context().span_id)
            return sent(*args, **kwargs)

        monkeypatch.setattr(client, "post", post)
    await asked(model, way)
    assert current == [spans.ended[0].context.span_id]


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_tokens_reach_handlers(
    api: MessagesAPI, model: ChatAnthropic, handler: Any, way: str
) -> None:
    """Handlers show an answer while it is written, and get it whole at the end."""
    await asked(model, way, config={"callbacks": [handler]})
    tokens = [args[0] for name, args, _ in handler.events if name == "on_llm_new_token"]
    assert "".join(tokens) == "1 + 2 = 3"
    ((_, (result,), _),) = [event for event in handler.events if event[0] == "on_llm_end"]
    assert isinstance(result, LLMResult)
    assert result.generations[0][0].text == "1 + 2 = 3"


async def test_what_is_known_of_an_answer(
    api: MessagesAPI, model: ChatAnthropic, handler: Any
) -> None:
    """`llm_output` is where handlers look for the model, the reason of the end and the usage."""
    model.invoke("Hello", {"callbacks": [handler]})
    await model.ainvoke("Hello", {"callbacks": [handler]})
    results = [args[0] for name, args, _ in handler.events if name == "on_llm_end"]
    assert [result.llm_output for result in results] == [
        {
            "id": "msg_01",
            "model": "claude-haiku-4-5-20251001",
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": USAGE,
        }
    ] * 2
