"""What models of the provider packages say of themselves, each package in its own way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManager
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, LLMResult
from lc import WAYS, Model, TextModel, run
from opentelemetry.trace import SpanKind

from callspan.langchain import OTelCallbackHandler
from support import SpanLog

USAGE = {
    "input_tokens": 16,
    "output_tokens": 5,
    "total_tokens": 21,
    "input_token_details": {"cache_read": 4, "cache_creation": 2},
    "output_token_details": {"reasoning": 3},
}

# What each package's model tells LangSmith, and what its messages then say.
PACKAGES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "langchain-openai": (
        "openai",
        "openai",
        {"model_name": "m-1", "finish_reason": "stop", "id": "r1"},
        {"gen_ai.response.finish_reasons": ("stop",), "gen_ai.response.id": "r1"},
    ),
    "langchain-openai, Responses API": (
        "openai",
        "openai",
        {"model_name": "m-1", "status": "completed", "id": "r1", "object": "response"},
        {"gen_ai.response.finish_reasons": ("completed",), "gen_ai.response.id": "r1"},
    ),
    "langchain-openai, Azure": (
        "azure",
        "azure.ai.openai",
        {"model_name": "m-1", "finish_reason": "length"},
        {"gen_ai.response.finish_reasons": ("length",)},
    ),
    "langchain-anthropic": (
        "anthropic",
        "anthropic",
        {"model": "m-1", "id": "r1", "stop_reason": "end_turn"},
        {"gen_ai.response.finish_reasons": ("end_turn",), "gen_ai.response.id": "r1"},
    ),
    "langchain-google-genai": (
        "google_genai",
        "gcp.gemini",
        {"model_name": "m-1", "finish_reason": "STOP", "safety_ratings": []},
        {"gen_ai.response.finish_reasons": ("STOP",)},
    ),
    "langchain-google-vertexai": (
        "google_vertexai",
        "gcp.vertex_ai",
        {"model_name": "m-1", "finish_reason": "STOP"},
        {"gen_ai.response.finish_reasons": ("STOP",)},
    ),
    "langchain-aws": (
        "amazon_bedrock",
        "aws.bedrock",
        {"model_name": "m-1", "stopReason": "tool_use", "ResponseMetadata": {"RequestId": "q"}},
        {"gen_ai.response.finish_reasons": ("tool_use",)},
    ),
    "langchain-ollama": (
        "ollama",
        "ollama",
        {"model": "m-1", "done": True, "done_reason": "stop", "model_name": "m-1"},
        {"gen_ai.response.finish_reasons": ("stop",)},
    ),
    "langchain-mistralai": (
        "mistral",
        "mistral_ai",
        {"model_name": "m-1", "finish_reason": "stop", "model": "m-1"},
        {"gen_ai.response.finish_reasons": ("stop",)},
    ),
    "langchain-groq": (
        "groq",
        "groq",
        {"model_name": "m-1", "finish_reason": "tool_calls"},
        {"gen_ai.response.finish_reasons": ("tool_calls",)},
    ),
}


class Packaged(Model):
    """A model as a provider package has it."""

    provider: str
    told: dict[str, Any]

    def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
        return {
            "ls_provider": self.provider,
            "ls_model_name": "m",
            "ls_model_type": "chat",
            "ls_temperature": 0.5,
            "ls_max_tokens": 50,
        }

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        message = AIMessage("a", response_metadata=self.told, usage_metadata=USAGE)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        return self._generate()

    def _stream(self, *args: Any, **kwargs: Any) -> Any:
        yield ChatGenerationChunk(message=AIMessageChunk("a"))
        last = AIMessageChunk("", response_metadata=self.told, usage_metadata=USAGE)
        yield ChatGenerationChunk(message=last)

    async def _astream(self, *args: Any, **kwargs: Any) -> Any:
        for chunk in self._stream():
            yield chunk


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("way", WAYS)
def test_each_provider_package(way: str, package: str, config: Any, spans: SpanLog) -> None:
    """One name for a provider, whatever its package calls it; reasons and ids wherever they are."""
    provider, known_as, told, wanted = PACKAGES[package]
    run(way, Packaged(name="it", provider=provider, told=told), "x", config)
    span = spans.named("it")
    assert span.name == "chat m"
    assert span.kind is SpanKind.CLIENT
    found = dict(span.attributes or {})
    wanted = {
        **wanted,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": known_as,
        "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.response.model": "m-1",
        "gen_ai.usage.input_tokens": 16,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.cache_write.input_tokens": 2,
        "gen_ai.usage.reasoning.output_tokens": 3,
    }
    assert {key: found.get(key) for key in wanted} == wanted
    assert ("gen_ai.response.time_to_first_chunk" in found) == ("stream" in way)


@pytest.mark.parametrize(
    "argument",
    [
        "base_url",
        "openai_api_base",
        "anthropic_api_url",
        "groq_api_base",
        "azure_endpoint",
        "endpoint",
    ],
)
def test_the_server_that_is_asked(argument: str, spans: SpanLog) -> None:
    """Each package has its own argument for it, which its models tell among how they were made."""
    made = {"lc": 1, "id": ["a", "M"], "name": "M", "kwargs": {argument: "http://llm.local:81/v1"}}
    manager = CallbackManager.configure([OTelCallbackHandler()])
    (started,) = manager.on_chat_model_start(made, [[]])
    started.on_llm_end(LLMResult(generations=[]))
    found = dict(spans.named("M").attributes or {})
    assert (found["server.address"], found["server.port"]) == ("llm.local", 81)


def test_models_in_this_process_are_no_clients(config: Any, spans: SpanLog) -> None:
    """A fake model asks no service; service maps are drawn from CLIENT spans."""
    FakeListChatModel(responses=["a"], name="it").invoke("x", config)
    assert spans.named("it").kind is SpanKind.INTERNAL


@pytest.mark.parametrize("way", WAYS)
def test_text_models_say_so_too(way: str, config: Any, spans: SpanLog) -> None:
    """They are told of by other events than chat models."""

    class OfCompany(TextModel):
        def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
            return {"ls_provider": "ibm", "ls_model_name": "m", "ls_model_type": "llm"}

    run(way, OfCompany(name="it"), "x", config)
    span = spans.named("it")
    assert span.name == "text_completion m"
    assert (span.attributes or {})["gen_ai.provider.name"] == "ibm.watsonx.ai"


USED = {
    "prompt_tokens": 9,
    "completion_tokens": 3,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_stream_of_langchain_openai(way: str, config: Any, spans: SpanLog) -> None:
    """The usage comes in a last chunk of its own, without content; the id it keeps to itself."""
    import httpx
    from langchain_openai import ChatOpenAI

    def chunk(**more: Any) -> str:
        whole = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m-1"} | more
        return f"data: {json.dumps(whole)}\n\n"

    def choice(**delta: Any) -> dict[str, Any]:
        return {"index": 0, "delta": delta, "finish_reason": None}

    body = (
        chunk(choices=[choice(role="assistant", content="")])
        + chunk(choices=[choice(content="hi")])
        + chunk(choices=[choice() | {"finish_reason": "stop"}])
        + chunk(choices=[], usage=USED)
        + "data: [DONE]\n\n"
    )

    def respond(request: httpx.Request) -> httpx.Response:
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, text=body, headers=headers)

    transport = httpx.MockTransport(respond)
    model = ChatOpenAI(
        model="m",
        api_key="k",
        base_url="http://llm.local:8080/v1",
        stream_usage=True,
        http_client=httpx.Client(transport=transport),
        http_async_client=httpx.AsyncClient(transport=transport),
    )
    run(way, model, "x", config)
    found = dict(spans.named("ChatOpenAI").attributes or {})
    wanted = {
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "m-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 9,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "server.address": "llm.local",
        "server.port": 8080,
    }
    assert {key: found.get(key) for key in wanted} == wanted
