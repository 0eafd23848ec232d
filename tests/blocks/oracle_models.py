"""Programs of chat models."""

from __future__ import annotations

import asyncio
from typing import Any

from oracle import program, program_at_once


def model(lib: Any, *answers: Any, **settings: Any) -> Any:
    return lib.GenericFakeChatModel(messages=iter(answers or ("hello big world",)), **settings)


def prompt(lib: Any) -> Any:
    return lib.ChatPromptTemplate.from_messages([("system", "be kind"), ("human", "{text}")])


def answer(lib: Any) -> Any:
    """A message with all that a model may say."""
    return lib.AIMessage(
        content="three",
        tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "c1", "type": "tool_call"}],
        usage_metadata={"input_tokens": 5, "output_tokens": 3, "total_tokens": 8},
        response_metadata={"model_name": "m-1", "finish_reason": "tool_calls"},
        id="given",
    )


def scripted(lib: Any, *, fails_after: int | None = None, **fields: Any) -> Any:
    """A model of the user's own."""

    class Scripted(lib.BaseChatModel):  # type: ignore[misc]
        model: str = "m-1"
        temperature: float = 0.5

        @property
        def _llm_type(self) -> str:
            return "scripted"

        @property
        def _identifying_params(self) -> dict[str, Any]:
            return {"model": self.model}

        def _generate(
            self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> Any:
            if fails_after is not None:
                raise KeyError("no answer")
            message = lib.AIMessage(f"{len(messages)} messages, {kwargs.get('k')}")
            generation = lib.ChatGeneration(message=message, generation_info={"reason": "stop"})
            return lib.ChatResult(generations=[generation], llm_output={"id": "r1"})

        def _stream(
            self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> Any:
            for place, text in enumerate(("a ", "b")):
                if place == fails_after:
                    raise KeyError(text)
                yield lib.ChatGenerationChunk(message=lib.AIMessageChunk(content=text))

    return Scripted(**fields)


@program
async def model_given_a_text(lib: Any, caller: Any) -> Any:
    return await caller.invoke(model(lib), "hi", run_name="mine", tags=["t"], metadata={"k": 1})


@program
async def model_given_messages(lib: Any, caller: Any) -> Any:
    messages = [lib.SystemMessage("s"), ("human", "h"), {"role": "assistant", "content": "a"}]
    return await caller.invoke(model(lib), messages)


@program
async def model_given_what_is_no_message(lib: Any, caller: Any) -> Any:
    return await caller.invoke(model(lib), 3)


@program
async def model_with_a_full_answer(lib: Any, caller: Any) -> Any:
    return await caller.invoke(model(lib, answer(lib)), "hi")


@program
async def model_streamed(lib: Any, caller: Any) -> Any:
    return await caller.stream(model(lib), "hi")


@program
async def model_of_ones_own(lib: Any, caller: Any) -> Any:
    return await caller.invoke(scripted(lib), "hi")


@program
async def model_of_ones_own_streamed(lib: Any, caller: Any) -> Any:
    return await caller.stream(scripted(lib), "hi")


@program
async def model_that_fails(lib: Any, caller: Any) -> Any:
    return await caller.invoke(scripted(lib, fails_after=0), "hi")


@program
async def model_that_fails_before_its_stream(lib: Any, caller: Any) -> Any:
    return await caller.stream(scripted(lib, fails_after=0), "hi")


@program
async def model_that_fails_in_its_stream(lib: Any, caller: Any) -> Any:
    return await caller.stream(scripted(lib, fails_after=1), "hi")


@program
async def model_with_settings_of_its_own(lib: Any, caller: Any) -> Any:
    own = model(lib, callbacks=[caller.handler], tags=["own"], metadata={"own": 1})
    chain = prompt(lib) | own
    return await caller.plainly(chain, {"text": "hi"}, {"tags": ["t"], "metadata": {"k": 1}})


@program
async def model_with_stop(lib: Any, caller: Any) -> Any:
    config = {"callbacks": [caller.handler]}
    if caller.is_async:
        return await scripted(lib).ainvoke("hi", config, stop=["."], k=1)
    return scripted(lib).invoke("hi", config, stop=["."], k=1)


@program
async def model_with_bound_arguments(lib: Any, caller: Any) -> Any:
    return await caller.invoke(prompt(lib) | scripted(lib).bind(stop=["."], k=2), {"text": "hi"})


@program
async def model_with_a_config(lib: Any, caller: Any) -> Any:
    bound = scripted(lib).with_config(tags=["own"], run_name="mine", metadata={"own": 1})
    return await caller.invoke(prompt(lib) | bound, {"text": "hi"}, tags=["t"])


@program
async def prompt_and_model(lib: Any, caller: Any) -> Any:
    return await caller.invoke(prompt(lib) | model(lib), {"text": "hi"}, tags=["t"])


@program
async def prompt_model_and_parser(lib: Any, caller: Any) -> Any:
    chain = prompt(lib) | model(lib) | lib.StrOutputParser()
    return await caller.invoke(chain, {"text": "hi"})


@program
async def prompt_model_and_parser_streamed(lib: Any, caller: Any) -> Any:
    chain = prompt(lib) | model(lib) | lib.StrOutputParser()
    return await caller.stream(chain, {"text": "hi"})


@program_at_once
async def batch_of_questions(lib: Any, caller: Any) -> Any:
    return await caller.batch(scripted(lib), ["a", "b", "c"])


@program
async def batch_of_a_list(lib: Any, caller: Any) -> Any:
    return await caller.batch(lib.FakeListChatModel(responses=["a", "b"]), ["x", "y", "z"])


@program
async def list_streamed_until_it_fails(lib: Any, caller: Any) -> Any:
    fake = lib.FakeListChatModel(responses=["abc"], error_on_chunk_number=1)
    return await caller.stream(fake, "hi")


@program_at_once
async def several_conversations(lib: Any, caller: Any) -> Any:
    conversations = [[lib.HumanMessage("a")], [lib.SystemMessage("s"), lib.HumanMessage("b")]]
    options = {"callbacks": [caller.handler], "tags": ["t"], "metadata": {"k": 1}, "stop": ["."]}
    if caller.is_async:
        return await scripted(lib).agenerate(conversations, **options)
    return scripted(lib).generate(conversations, **options)


@program
async def model_that_is_cancelled(lib: Any, caller: Any) -> Any:
    class Waits(lib.BaseChatModel):  # type: ignore[misc]
        @property
        def _llm_type(self) -> str:
            return "waits"

        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            raise asyncio.CancelledError

        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            task.cancel()
            await asyncio.sleep(0)

    task = asyncio.ensure_future(caller.invoke(prompt(lib) | Waits(), {"text": "hi"}))
    return await task
