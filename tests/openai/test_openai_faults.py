"""What goes wrong on the way to OpenAI's API and back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from typing import Any

import pytest
from completions_api import CompletionsAPI, Failure, Reply, asked

import openai
from callspan import ConfigurationError
from callspan.openai import ChatOpenAI
from support import SpanLog


def outcomes(spans: SpanLog) -> list[Any]:
    return list(spans.outcomes().values())


@pytest.mark.parametrize(
    ("status", "error", "tries"),
    [
        (400, openai.BadRequestError, 1),
        (401, openai.AuthenticationError, 1),
        (429, openai.RateLimitError, 3),
        (500, openai.InternalServerError, 3),
    ],
)
async def test_the_api_refuses(
    api: CompletionsAPI,
    model: ChatOpenAI,
    handler: Any,
    spans: SpanLog,
    way: str,
    status: int,
    error: type[Exception],
    tries: int,
) -> None:
    """Programs catch the SDK's errors: they come through, with the response that they carry."""
    api.replies = [Failure(status)] * tries
    with pytest.raises(error) as caught:
        await asked(model, way, config={"callbacks": [handler]})
    assert caught.value.status_code == status
    assert len(api.requests) == tries
    ((_, (told,), _),) = [event for event in handler.events if event[0] == "on_llm_error"]
    assert told is caught.value
    assert outcomes(spans) == ["error"]
    assert spans.ended[0].attributes["error.type"] == f"openai.{error.__name__}"


async def test_a_failure_that_passes(
    api: CompletionsAPI, model: ChatOpenAI, handler: Any, way: str
) -> None:
    """An overloaded API is asked again, within the same run."""
    api.replies = [Failure(500), Failure(503)]
    answer = await asked(model, way, config={"callbacks": [handler]})
    assert answer.text == "1 + 2 = 3"
    assert len(api.requests) == 3
    assert handler.events.methods.count("on_chat_model_start") == 1


async def test_no_retries(api: CompletionsAPI, way: str) -> None:
    """Who retries elsewhere, with `with_retry` say, has to be able to switch the SDK's off."""
    api.replies = [Failure(500)]
    with pytest.raises(openai.InternalServerError):
        await asked(ChatOpenAI(model="m", max_retries=0), way)
    assert len(api.requests) == 1


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_nobody_is_there(spans: SpanLog, way: str) -> None:
    """A server that is down is the SDK's error too, and tells which kind."""
    model = ChatOpenAI(model="m", base_url="http://127.0.0.1:9/v1", api_key="k", max_retries=0)
    with pytest.raises(openai.APIConnectionError):
        await asked(model, way)
    assert outcomes(spans) == ["error"]


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_a_stream_that_is_cut(
    api: CompletionsAPI, model: ChatOpenAI, handler: Any, spans: SpanLog, way: str
) -> None:
    """A lost connection is no end of an answer; what had come by then is told with the error."""
    api.replies = [Reply(until=3, then="cut")]
    with pytest.raises(Exception) as caught:  # noqa: PT011  # of the SDK, or its HTTP client
        await asked(model, way, config={"callbacks": [handler]})
    assert type(caught.value).__module__.startswith(("openai", "httpx"))
    (told,) = handler.events.of("on_llm_error")
    (said,) = told["response"].generations[0]
    assert said.text == "1 + 2 = "
    assert outcomes(spans) == ["error"]
    assert spans.ended[0].attributes["gen_ai.response.id"] == "chatcmpl-01"


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_a_server_that_falls_silent(api: CompletionsAPI, spans: SpanLog, way: str) -> None:
    """Without a timeout of one's own a program waits for ten minutes."""
    api.replies = [Reply(until=3, then="wait")]
    with pytest.raises(Exception) as caught:  # noqa: PT011  # of the SDK, or its HTTP client
        await asked(ChatOpenAI(model="m", timeout=0.1, max_retries=0), way)
    assert "Timeout" in type(caught.value).__name__
    assert await asyncio.to_thread(api.released.wait, 10)
    assert outcomes(spans) == ["error"]


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_an_error_within_a_stream(
    api: CompletionsAPI, model: ChatOpenAI, spans: SpanLog, way: str
) -> None:
    """Servers report what fails after the status line as an event."""
    api.replies = [Reply(events=[*Reply().streamed("m")[:3], Failure(500).body()])]
    with pytest.raises(openai.APIError, match="server_error"):
        await asked(model, way)
    assert outcomes(spans) == ["error"]


@pytest.mark.parametrize("taken", [1, 2])
def test_an_abandoned_stream(
    api: CompletionsAPI, model: ChatOpenAI, spans: SpanLog, taken: int
) -> None:
    """An open response holds a connection, and is paid for as long as it goes on."""
    api.replies = [Reply(until=3, then="wait")]
    stream = model.stream("Hello")
    for _ in range(taken):
        next(stream)
    assert not api.released.is_set()
    stream.close()
    assert api.released.wait(10)
    assert outcomes(spans) == ["abandoned"]


@pytest.mark.parametrize("taken", [1, 2])
async def test_an_abandoned_async_stream(
    api: CompletionsAPI, model: ChatOpenAI, spans: SpanLog, taken: int
) -> None:
    """As with a sync stream, in the event loop."""
    api.replies = [Reply(until=3, then="wait")]
    stream = model.astream("Hello")
    for _ in range(taken):
        await anext(stream)
    assert not api.released.is_set()
    await stream.aclose()
    assert await asyncio.to_thread(api.released.wait, 10)
    assert outcomes(spans) == ["abandoned"]


async def test_a_cancelled_stream(api: CompletionsAPI, model: ChatOpenAI, spans: SpanLog) -> None:
    """A request that nobody waits for any more is not to go on behind the program's back."""
    api.replies = [Reply(until=3, then="wait")]
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in model.astream("Hello"):
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(api.released.wait, 10)
    assert outcomes(spans) == ["cancelled"]


def test_one_model_in_several_event_loops(api: CompletionsAPI, model: ChatOpenAI) -> None:
    """Scripts and notebooks call `asyncio.run` again and again."""
    api.keep_alive = True

    async def twice() -> list[str]:
        return [(await model.ainvoke("Hello")).text, (await model.ainvoke("Hello")).text]

    assert [asyncio.run(twice()) for _ in range(2)] == [["1 + 2 = 3"] * 2] * 2
    assert api.connections == 2


@pytest.mark.parametrize("key", [None, ""])
async def test_no_key(
    api: CompletionsAPI, monkeypatch: pytest.MonkeyPatch, way: str, key: str | None
) -> None:
    """The SDK's own message names ways to authenticate that do not lead here."""
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_ADMIN_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        await asked(ChatOpenAI(model="m", api_key=key), way)
    assert api.requests == []


def test_no_sdk() -> None:
    """The error has to say what to install, and be an ImportError for who tries this import."""
    program = """
        import sys
        sys.modules["openai"] = None
        try:
            from callspan.openai import ChatOpenAI
        except ImportError as error:
            print(type(error).__name__, error)
    """
    run = [sys.executable, "-c", textwrap.dedent(program)]
    printed = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert printed.startswith("MissingDependencyError ")
    assert "pip install 'callspan[openai]'" in printed
