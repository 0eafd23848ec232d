"""Chat models: the base class that users subclass, and the fakes."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from opentelemetry import trace

from callspan.callbacks import CallbackManagerForLLMRun
from callspan.errors import CallbackError, InputError
from callspan.language_models import BaseChatModel, FakeListChatModel, GenericFakeChatModel
from callspan.language_models.fake import FakeListChatModelError
from callspan.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatPromptValue,
    HumanMessage,
    StringPromptValue,
)
from callspan.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from callspan.runnables import RunnableLambda
from support import recording


class Echo(BaseChatModel):
    """A model with fields, as users write them."""

    model: str = "echo-1"
    temperature: float = 0.5
    max_tokens: int | None = None
    prefix: str = ""

    @property
    def _llm_type(self) -> str:
        return "echo"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with trace.get_tracer("user").start_as_current_span("request"):
            text = self.prefix + messages[-1].text + kwargs.get("suffix", "")
        usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
        generation = ChatGeneration(
            message=AIMessage(content=text, usage_metadata=usage),
            generation_info={"finish_reason": "stop"},
        )
        return ChatResult(generations=[generation], llm_output={"model_name": self.model})


class Streaming(Echo):
    """A model that streams, and says how far it has come."""

    made: int = 0

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for word in messages[-1].text.split():
            self.made += 1
            yield ChatGenerationChunk(
                message=AIMessageChunk(content=word), generation_info={"n": self.made}
            )


class AsyncStreaming(Streaming):
    """A model with everything of its own for async callers."""

    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kw: Any
    ) -> ChatResult:
        await asyncio.sleep(0)
        return self._generate(messages, stop, **kw)

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages):
            await asyncio.sleep(0)
            yield chunk


INPUTS: list[Any] = [
    "hi",
    [HumanMessage("hi")],
    [("human", "hi")],
    HumanMessage("hi"),
    ChatPromptValue(messages=[HumanMessage("hi")]),
    StringPromptValue(text="hi"),
]


@pytest.mark.parametrize("given", INPUTS)
async def test_every_form_of_input_is_taken(given: Any) -> None:
    """Prompts, texts and messages in each form stand before models."""
    for model in (Echo(prefix=">"), AsyncStreaming(prefix=">")):
        assert model.invoke(given).content == ">hi"
        assert (await model.ainvoke(given)).content == ">hi"


def test_what_is_no_input_says_so(handler: Any) -> None:
    """Before any run starts."""
    with pytest.raises(InputError, match="expected messages, got int"):
        Echo().invoke(3, {"callbacks": [handler]})  # type: ignore[arg-type]
    assert handler.events == []


def test_handlers_are_told_what_was_called_and_how(handler: Any) -> None:
    """Model, provider and parameters are what a trace of a model is for."""
    Echo(max_tokens=9).invoke("hi", {"callbacks": [handler], "tags": ["t"]}, stop=["."], suffix="!")
    (start,) = handler.events.of("on_chat_model_start")
    assert handler.events[0][1] == (
        {"name": "Echo", "id": ["test_chat_models", "Echo"]},
        [[HumanMessage("hi")]],
    )
    assert start["invocation_params"] == {
        "model": "echo-1",
        "_type": "echo",
        "stop": ["."],
        "suffix": "!",
    }
    assert start["options"] == {"stop": ["."]}
    assert (start["batch_size"], start["tags"], start["name"]) == (1, ["t"], "Echo")
    assert start["metadata"] == {
        "ls_provider": "echo",
        "ls_model_type": "chat",
        "ls_model_name": "echo-1",
        "ls_temperature": 0.5,
        "ls_max_tokens": 9,
        "ls_stop": ["."],
    }


def test_a_calls_own_model_is_what_handlers_are_told(handler: Any) -> None:
    """`model.bind(model=...)` chooses another one for a call."""
    Echo().bind(model="echo-2", temperature=1).invoke("hi", {"callbacks": [handler]})
    (start,) = handler.events.of("on_chat_model_start")
    assert start["metadata"]["ls_model_name"] == "echo-2"
    assert start["metadata"]["ls_temperature"] == 1


def test_the_answer_has_an_id_and_what_the_provider_says(handler: Any) -> None:
    """Messages are told apart by their ids, and token counts and stop reasons read from them."""
    run_id = uuid.uuid4()
    answer = Echo().invoke("hi", {"callbacks": [handler], "run_id": run_id})
    assert answer.id == f"lc_run--{run_id}-0"
    assert answer.response_metadata == {"model_name": "echo-1", "finish_reason": "stop"}
    (response,) = handler.events[-1][1]
    assert response.generations[0][0].message is answer
    assert response.llm_output == {"model_name": "echo-1"}


def test_a_models_span_is_current_in_its_body(spans: Any) -> None:
    """The HTTP call's span belongs under the model's: that is what the bridge is for."""
    Echo().invoke("hi")
    assert spans.parent_of("request") == "Echo"


async def test_a_sync_model_runs_in_a_thread_with_the_context(spans: Any) -> None:
    """An async program neither blocks on it nor loses its place in the trace."""
    threads = []

    class Thread(Echo):
        def _generate(self, *args: Any, run_manager: Any = None, **kwargs: Any) -> ChatResult:
            threads.append((threading.current_thread(), type(run_manager)))
            return super()._generate(*args, run_manager=run_manager, **kwargs)

    await RunnableLambda(lambda _: "hi", name="first").pipe(Thread(name="model")).ainvoke(1)
    ((thread, kind),) = threads
    assert thread is not threading.current_thread()
    assert kind is CallbackManagerForLLMRun
    assert spans.parent_of("request") == "model"


def test_constructor_handlers_hear_the_model_alone(handler: Any) -> None:
    """They belong to the object; the chain around it is none of their business."""
    at_run_time = recording()
    model = Echo(callbacks=[handler], tags=["own"], metadata={"k": 1})
    (RunnableLambda(lambda x: x) | model).invoke("hi", {"callbacks": [at_run_time]})
    assert handler.events.methods == ["on_chat_model_start", "on_llm_end"]
    assert len(at_run_time.events) == 6
    (start,) = handler.events.of("on_chat_model_start")
    assert set(start["tags"]) == {"own", "seq:step:2"}
    assert start["metadata"]["k"] == 1


def test_handlers_that_are_none_are_found_when_the_model_is_made() -> None:
    """Not when it is first called, in production."""
    with pytest.raises(CallbackError, match="not the class"):
        Echo(callbacks=[type(recording())])
    with pytest.raises(CallbackError, match="takes a list of handlers"):
        Echo(callbacks=recording())


def test_verbose_prints(capsys: pytest.CaptureFixture[str]) -> None:
    """The quickest way to see what a chain does."""
    (RunnableLambda(lambda x: x) | Echo(verbose=True)).invoke("hi")
    Echo(verbose=False).invoke("hi")
    assert isinstance(capsys.readouterr().out, str)


@pytest.mark.parametrize("model", [Streaming(), AsyncStreaming()])
async def test_tokens_come_as_the_model_makes_them(model: Any, handler: Any) -> None:
    """Each is told to handlers, and given to the reader, before the next is made."""
    for is_async in (False, True):
        model.made, place = 0, 0
        handler.events.clear()
        config: Any = {"callbacks": [handler]}
        stream = (
            model.astream("a b c", config) if is_async else _aiter(model.stream("a b c", config))
        )
        async for chunk in stream:
            assert model.made == min(place + 1, 3)
            assert len(handler.events.of("on_llm_new_token")) == place + 1
            assert chunk.content == ("a", "b", "c", "")[place]
            place += 1
        assert handler.events.methods[1:-1] == ["on_llm_new_token"] * 4
        (response,) = handler.events[-1][1]
        assert response.generations[0][0].text == "abc"
        message = response.generations[0][0].message
        assert message.chunk_position == "last"
        assert message.id == f"lc_run--{handler.events[0][2]['run_id']}"
        assert handler.events.of("on_llm_new_token")[0]["chunk"].message.content == "a"


async def _aiter(chunks: Iterator[Any]) -> AsyncIterator[Any]:
    for chunk in chunks:
        yield chunk


async def test_a_model_that_does_not_stream_gives_its_answer_whole(handler: Any) -> None:
    """Programs stream whatever model they are given."""
    assert [m.content for m in Echo().stream("hi")] == ["hi"]
    assert [m.content async for m in Echo().astream("hi")] == ["hi"]


def test_a_broken_stream_tells_what_there_was(handler: Any) -> None:
    """Half an answer costs tokens too, and shows where it broke."""
    fake = FakeListChatModel(responses=["abc"], error_on_chunk_number=2)
    with pytest.raises(FakeListChatModelError) as raised:
        list(fake.stream("hi", {"callbacks": [handler]}))
    method, (error,), kwargs = handler.events[-1]
    assert (method, error) == ("on_llm_error", raised.value)
    assert kwargs["response"].generations[0][0].text == "ab"


def test_a_stream_without_chunks_is_an_error(handler: Any) -> None:
    """A provider that closes the connection at once has not answered."""
    with pytest.raises(InputError, match="without a chunk"):
        list(Streaming().stream("", {"callbacks": [handler]}))
    assert handler.events.methods == ["on_chat_model_start", "on_llm_error"]


async def test_chunks_that_do_not_add_up_end_the_run_with_the_error(handler: Any) -> None:
    """A provider's nonsense must not leave a run open."""

    class Odd(Streaming):
        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
            for value in (1, "one"):
                message = AIMessageChunk(content="x", additional_kwargs={"k": value})
                yield ChatGenerationChunk(message=message)

    with pytest.raises(TypeError):
        list(Odd().stream("x", {"callbacks": [handler]}))
    with pytest.raises(TypeError):
        _ = [m async for m in Odd().astream("x", {"callbacks": [handler]})]
    assert handler.events.methods.count("on_llm_error") == 2
    assert "on_llm_end" not in handler.events.methods


async def test_a_closed_stream_closes_the_models(handler: Any) -> None:
    """The connection to the provider is given back."""
    closed = []

    class Closing(AsyncStreaming):
        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
            try:
                yield from super()._stream(*args, **kwargs)
            finally:
                closed.append("sync")

        async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
            try:
                yield ChatGenerationChunk(message=AIMessageChunk(content="a"))
            finally:
                closed.append("async")

    stream: Any = Closing().stream("a b", {"callbacks": [handler]})
    next(stream)
    stream.close()
    astream = Closing().astream("a b", {"callbacks": [handler]})
    await anext(astream)
    await astream.aclose()
    assert closed == ["sync", "async"]
    assert [type(args[0]) for m, args, _ in handler.events if m == "on_llm_error"] == [
        GeneratorExit,
        GeneratorExit,
    ]


async def test_generate_is_a_run_for_each_conversation(handler: Any) -> None:
    """Each has its own time, tokens and outcome."""
    run_id = uuid.uuid4()
    conversations: list[Any] = [[HumanMessage("a")], [HumanMessage("b")]]
    result = Echo().generate(conversations, callbacks=[handler], run_id=run_id, tags=["t"])
    assert [answers[0].text for answers in result.generations] == ["a", "b"]
    assert [info.run_id for info in result.run or []] == [
        kw["run_id"] for kw in handler.events.of("on_chat_model_start")
    ]
    assert (result.run or [])[0].run_id == run_id
    assert [kw["batch_size"] for kw in handler.events.of("on_chat_model_start")] == [2, 2]

    handler.events.clear()
    answers = await Echo().agenerate(conversations, callbacks=[handler], run_name="n")
    assert [one[0].text for one in answers.generations] == ["a", "b"]
    assert [kw["name"] for kw in handler.events.of("on_chat_model_start")] == ["n", "n"]


def test_a_failing_conversation_leaves_no_run_open(handler: Any) -> None:
    """Each start has its end."""

    class Failing(Echo):
        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
            if messages[-1].text == "b":
                raise KeyError("b")
            return super()._generate(messages, *args, **kwargs)

    with pytest.raises(KeyError):
        Failing().generate([["a"], ["b"], ["c"]], callbacks=[handler])  # type: ignore[list-item]
    assert handler.events.methods == [
        "on_chat_model_start",
        "on_llm_end",
        "on_chat_model_start",
        "on_llm_error",
    ]


@pytest.mark.parametrize("nonsense", [None, "text", ChatResult(generations=[])])
def test_a_model_that_answers_nonsense_ends_its_run(nonsense: Any, handler: Any) -> None:
    """A bug in a model's code is an error of its run, and says where to look for it."""

    class Wrong(Echo):
        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            return nonsense

    with pytest.raises(InputError, match="its _generate has to return a ChatResult"):
        Wrong().invoke("hi", {"callbacks": [handler]})
    assert handler.events.methods == ["on_chat_model_start", "on_llm_error"]


def test_fakes_answer_in_turn() -> None:
    """Tests of users' chains need answers that they know."""
    fake = FakeListChatModel(responses=["one", "two"])
    assert [fake.invoke("x").content for _ in range(3)] == ["one", "two", "one"]
    assert [m.content for m in fake.batch(["x", "x"])] == ["two", "one"]
    assert "".join(str(m.content) for m in fake.stream("x")) == "two"
    generic = GenericFakeChatModel(messages=iter([AIMessage("a"), "b"]))
    assert [generic.invoke("x").content, generic.invoke("x").content] == ["a", "b"]
    with pytest.raises(StopIteration):
        generic.invoke("x")


def test_the_chunks_of_a_fake_add_up_to_its_message() -> None:
    """Agents that stream see tool calls and usage as with a real model."""
    call = {"name": "add", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    for text in ("", "two words"):
        message = AIMessage(content=text, tool_calls=[call], usage_metadata=usage, id="m")
        chunks = list(GenericFakeChatModel(messages=iter([message])).stream("x"))
        whole: Any = chunks[0] + chunks[1:]
        assert (whole.content, whole.id, whole.usage_metadata) == (text, "m", usage)
        assert whole.tool_calls == message.tool_calls
