"""What goes wrong on the way to Anthropic's API and back."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from messages_api import KEY, Failure, MessagesAPI, Reply, asked

import anthropic
from callspan import CallspanError, ConfigurationError
from callspan.anthropic import ChatAnthropic
from support import SpanLog


def outcomes(spans: SpanLog) -> list[Any]:
    return list(spans.outcomes().values())


@pytest.mark.parametrize(
    ("failure", "error", "tries"),
    [
        (Failure(400, "invalid_request_error"), anthropic.BadRequestError, 1),
        (Failure(401, "authentication_error"), anthropic.AuthenticationError, 1),
        (Failure(429, "rate_limit_error"), anthropic.RateLimitError, 3),
        (Failure(500, "api_error"), anthropic.InternalServerError, 3),
        (Failure(529, "overloaded_error"), anthropic.InternalServerError, 3),
    ],
)
async def test_the_api_refuses(
    api: MessagesAPI,
    model: ChatAnthropic,
    handler: Any,
    spans: SpanLog,
    way: str,
    failure: Failure,
    error: type[Exception],
    tries: int,
) -> None:
    """Programs catch the SDK's errors: they come through, with the response that they carry."""
    api.replies = [failure] * tries
    with pytest.raises(error) as caught:
        await asked(model, way, config={"callbacks": [handler]})
    assert caught.value.status_code == failure.status
    assert caught.value.body == failure.body()
    assert len(api.requests) == tries
    ((_, (told,), _),) = [event for event in handler.events if event[0] == "on_llm_error"]
    assert told is caught.value
    assert outcomes(spans) == ["error"]
    assert spans.ended[0].attributes["error.type"] == f"anthropic.{type(told).__name__}"


async def test_a_failure_that_passes(
    api: MessagesAPI, model: ChatAnthropic, handler: Any, way: str
) -> None:
    """An overloaded API is asked again, within the same run."""
    api.replies = [Failure(500, "api_error"), Failure(529, "overloaded_error")]
    answer = await asked(model, way, config={"callbacks": [handler]})
    assert answer.text == "1 + 2 = 3"
    assert len(api.requests) == 3
    assert handler.events.methods.count("on_chat_model_start") == 1


async def test_no_retries(api: MessagesAPI, way: str) -> None:
    """Who retries elsewhere, with `with_retry` say, has to be able to switch the SDK's off."""
    api.replies = [Failure(500, "api_error")]
    with pytest.raises(anthropic.InternalServerError):
        await asked(ChatAnthropic(model="m", max_retries=0), way)
    assert len(api.requests) == 1


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_a_stream_that_is_cut(
    api: MessagesAPI, model: ChatAnthropic, handler: Any, spans: SpanLog, way: str
) -> None:
    """A lost connection is no end of an answer; what had come by then is told with the error."""
    api.replies = [Reply(until=5, then="cut")]
    with pytest.raises(Exception, match="peer closed connection") as caught:
        await asked(model, way, config={"callbacks": [handler]})
    assert not isinstance(caught.value, CallspanError)
    (told,) = handler.events.of("on_llm_error")
    (said,) = told["response"].generations[0]
    assert said.text == "1 + 2 = "
    assert said.message.usage_metadata["input_tokens"] == 16
    assert outcomes(spans) == ["error"]


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_a_server_that_falls_silent(api: MessagesAPI, spans: SpanLog, way: str) -> None:
    """Without a timeout of one's own a program waits for ten minutes."""
    api.replies = [Reply(until=5, then="wait")]
    with pytest.raises(Exception) as caught:  # noqa: PT011  # the HTTP client's own
        await asked(ChatAnthropic(model="m", timeout=0.1, max_retries=0), way)
    assert "Timeout" in type(caught.value).__name__
    assert await asyncio.to_thread(api.released.wait, 10)
    assert outcomes(spans) == ["error"]


@pytest.fixture
def unanswered() -> Iterator[str]:
    """The address of a server that takes connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_an_answer_that_does_not_come(unanswered: str, spans: SpanLog, way: str) -> None:
    """How long a program waits is its own to say, and the SDK's error tells that it was that."""
    model = ChatAnthropic(model="m", base_url=unanswered, api_key=KEY, timeout=0.1, max_retries=0)
    with pytest.raises(anthropic.APITimeoutError):
        await asked(model, way)
    assert outcomes(spans) == ["error"]


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_tool_calls_that_are_cut(
    api: MessagesAPI, model: ChatAnthropic, handler: Any, way: str
) -> None:
    """Half a call must not be taken for one: nothing is returned, and handlers see the half."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}}
    api.replies = [Reply([call], until=5, then="cut")]
    with pytest.raises(Exception, match="peer closed connection"):
        await asked(model, way, config={"callbacks": [handler]})
    (told,) = handler.events.of("on_llm_error")
    (said,) = told["response"].generations[0]
    assert said.message.tool_call_chunks[0]["name"] == "weather"
    assert said.message.tool_call_chunks[0]["args"] == '{"city":'


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_an_error_within_a_stream(
    api: MessagesAPI, model: ChatAnthropic, spans: SpanLog, way: str
) -> None:
    """The API reports what fails after the status line as an event."""
    reply = Reply()
    api.replies = [
        Reply(events=[*reply.streamed("m")[:4], Failure(529, "overloaded_error").body()])
    ]
    with pytest.raises(anthropic.APIStatusError, match="overloaded_error"):
        await asked(model, way)
    assert outcomes(spans) == ["error"]


@pytest.fixture
def responses(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The streams that the SDK has opened: kept, so that no garbage collection closes them."""
    opened: list[Any] = []
    post, apost = anthropic.Anthropic.post, anthropic.AsyncAnthropic.post

    def keep(*args: Any, **kwargs: Any) -> Any:
        opened.append(post(*args, **kwargs))
        return opened[-1]

    async def akeep(*args: Any, **kwargs: Any) -> Any:
        opened.append(await apost(*args, **kwargs))
        return opened[-1]

    monkeypatch.setattr(anthropic.Anthropic, "post", keep)
    monkeypatch.setattr(anthropic.AsyncAnthropic, "post", akeep)
    return opened


@pytest.mark.parametrize("taken", [1, 2])
def test_an_abandoned_stream(
    api: MessagesAPI, model: ChatAnthropic, responses: list[Any], spans: SpanLog, taken: int
) -> None:
    """An open response holds a connection, and is paid for as long as it goes on."""
    api.replies = [Reply(until=5, then="wait")]
    stream = model.stream("Hello")
    for _ in range(taken):
        next(stream)
    assert not api.released.is_set()
    stream.close()
    assert responses[0].response.is_closed
    assert api.released.wait(10)
    assert outcomes(spans) == ["abandoned"]


@pytest.mark.parametrize("taken", [1, 2])
async def test_an_abandoned_async_stream(
    api: MessagesAPI, model: ChatAnthropic, responses: list[Any], spans: SpanLog, taken: int
) -> None:
    """As with a sync stream, in the event loop."""
    api.replies = [Reply(until=5, then="wait")]
    stream = model.astream("Hello")
    for _ in range(taken):
        await anext(stream)
    assert not api.released.is_set()
    await stream.aclose()
    assert responses[0].response.is_closed
    assert await asyncio.to_thread(api.released.wait, 10)
    assert outcomes(spans) == ["abandoned"]


async def test_a_cancelled_stream(api: MessagesAPI, model: ChatAnthropic, spans: SpanLog) -> None:
    """A request that nobody waits for any more is not to go on behind the program's back."""
    api.replies = [Reply(until=5, then="wait")]
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


def test_a_stream_that_nobody_closes(api: MessagesAPI, model: ChatAnthropic) -> None:
    """`break` is how most streams are abandoned."""
    api.replies = [Reply(until=5, then="wait")]
    for _ in model.stream("Hello"):
        break
    gc.collect()
    assert api.released.wait(10)


def test_one_model_in_several_event_loops(api: MessagesAPI, model: ChatAnthropic) -> None:
    """Scripts and notebooks call `asyncio.run` again and again; no loop is kept beyond its time."""
    api.keep_alive = True
    loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()

    async def twice() -> list[str]:
        loops.add(asyncio.get_running_loop())
        return [(await model.ainvoke("Hello")).text, (await model.ainvoke("Hello")).text]

    answers = [asyncio.run(twice()) for _ in range(3)]
    assert answers == [["1 + 2 = 3"] * 2] * 3
    assert api.connections == 3
    gc.collect()
    assert len(loops) == 0


def test_one_model_in_event_loops_side_by_side(api: MessagesAPI, model: ChatAnthropic) -> None:
    """A server with a loop a thread uses one model in all of them, with their own connections."""
    api.keep_alive = True
    loops = [asyncio.new_event_loop() for _ in range(2)]
    for loop in loops * 2:
        assert loop.run_until_complete(model.ainvoke("Hello")).text == "1 + 2 = 3"
    for loop in loops:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    assert api.connections == 2


async def test_no_key(
    api: MessagesAPI, monkeypatch: pytest.MonkeyPatch, model: ChatAnthropic, way: str
) -> None:
    """The SDK's own message does not say where a key is looked for."""
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY"):
        await asked(model, way)
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY"):
        await asked(ChatAnthropic(model="m", api_key=""), way)
    assert api.requests == []


def test_no_sdk() -> None:
    """The error has to say what to install, and be an ImportError for who tries this import."""
    program = """
        import sys
        sys.modules["anthropic"] = None
        try:
            from callspan.anthropic import ChatAnthropic
        except ImportError as error:
            print(type(error).__name__, error)
    """
    run = [sys.executable, "-c", textwrap.dedent(program)]
    printed = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert printed.startswith("MissingDependencyError ")
    assert "pip install 'callspan[anthropic]'" in printed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_process_has_connections_of_its_own(api: MessagesAPI) -> None:
    """Servers load and try a model before they fork: two processes on one socket mix answers up."""
    api.keep_alive = True
    program = """
        import os
        from callspan.anthropic import ChatAnthropic
        model = ChatAnthropic(model="m")
        assert model.invoke("Hello").text == model.invoke("Hello").text
        child = os.fork()
        if child:
            assert os.waitpid(child, 0)[1] == 0
        assert model.invoke("Hello").text == "1 + 2 = 3"
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)
    assert (len(api.requests), api.connections) == (4, 2)


class Sent(Reply):
    """A reply with other fields than the API's."""

    def __init__(self, **fields: Any) -> None:
        super().__init__()
        self.fields = fields

    def body(self, model: str) -> dict[str, Any]:
        return {**super().body(model), **self.fields}


async def test_a_server_with_another_api_is_named(
    api: MessagesAPI, model: ChatAnthropic, spans: SpanLog
) -> None:
    """The address of a server of OpenAI's kind answers too, and Python's error would not help."""
    api.replies = [Sent(content=None, choices=[]), Sent(content="text")]
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="base_url has to be that of an API like"):
            await model.ainvoke("q")
    assert [span.attributes["callspan.run.outcome"] for span in spans.ended] == ["error"] * 2


def test_a_server_that_does_not_count(api: MessagesAPI, model: ChatAnthropic) -> None:
    """Servers that imitate the API leave the usage out: that is no reason to lose the answer."""
    begun, *rest = Reply().streamed("m")
    begun["message"]["usage"] = None
    api.replies = [Sent(usage=None), Reply(events=[begun, *rest])]
    answer = model.invoke("q")
    assert (answer.text, answer.usage_metadata) == ("1 + 2 = 3", None)
    assert "".join(chunk.text for chunk in model.stream("q")) == "1 + 2 = 3"
