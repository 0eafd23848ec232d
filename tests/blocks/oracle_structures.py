"""Programs of structured answers, and of JSON that is parsed as it comes."""

from __future__ import annotations

from typing import Any

from oracle import program, program_at_once
from oracle_models import model
from oracle_texts import bindable, calling
from oracle_tools import Numbers
from oracle_tries import AT_ONCE
from typing_extensions import TypedDict

SCHEMA = {
    "title": "Numbers",
    "description": "Numbers.",
    "type": "object",
    "properties": {"a": {"type": "integer"}},
}


class Pair(TypedDict):
    """Two numbers."""

    a: int
    b: int


# Structured answers


@program
async def structured_answer_as_a_dict(lib: Any, caller: Any) -> Any:
    own = bindable(lib, calling(lib, "Pair", a=1, b=2)).with_structured_output(Pair)
    return await caller.invoke(own, "hi")


@program
async def structured_answer_by_a_json_schema(lib: Any, caller: Any) -> Any:
    own = bindable(lib, calling(lib, "Numbers", a=1)).with_structured_output(SCHEMA)
    return await caller.invoke(own, "hi")


@program
async def structured_answer_that_does_not_fit(lib: Any, caller: Any) -> Any:
    own = bindable(lib, calling(lib, "Numbers", a="one")).with_structured_output(Numbers)
    return await caller.invoke(own, "hi")


@program
async def structured_answer_streamed(lib: Any, caller: Any) -> Any:
    chunks = [
        {"name": "Numbers", "args": "", "id": "1", "index": 0},
        {"name": None, "args": '{"a": 1,', "id": None, "index": 0},
        {"name": None, "args": ' "b": 2}', "id": None, "index": 0},
    ]

    class Streams(lib.BaseChatModel):  # type: ignore[misc]
        @property
        def _llm_type(self) -> str:
            return "streams"

        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            raise AssertionError("it streams")

        def _stream(self, *args: Any, **kwargs: Any) -> Any:
            for chunk in chunks:
                message = lib.AIMessageChunk(content="", tool_call_chunks=[chunk])
                yield lib.ChatGenerationChunk(message=message)

        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return self.bind()

    taken = await caller.stream(Streams().with_structured_output(Numbers), "hi")
    return taken[-1]


@program
async def structured_answer_with_a_config(lib: Any, caller: Any) -> Any:
    own = bindable(lib, calling(lib, "Numbers", a=1)).with_structured_output(Numbers)
    bound = own.with_config(tags=["own"], metadata={"own": 1}, run_name="mine")
    return await caller.invoke(bound, "hi", tags=["t"])


@program
async def structured_answer_tried_again(lib: Any, caller: Any) -> Any:
    answers = calling(lib, "Numbers", a="one"), calling(lib, "Numbers", a=1)
    own = bindable(lib, *answers).with_structured_output(Numbers)
    return await caller.invoke(own.with_retry(stop_after_attempt=2, **AT_ONCE), "hi")


@program_at_once
async def structured_answers(lib: Any, caller: Any) -> Any:
    answers = [calling(lib, "Numbers", a=1)] * 2
    own = bindable(lib, *answers).with_structured_output(Numbers)
    return await caller.batch(own, ["x", "y"])


# JSON as it comes


async def unless_it_fails(caller: Any, block: Any, given: Any) -> Any:
    try:
        return await caller.stream(block, given)
    except ValueError:
        return []


def reader(lib: Any, text: str) -> Any:
    return model(lib, text) | lib.JsonOutputParser()


@program
async def json_object_streamed(lib: Any, caller: Any) -> Any:
    text = '{"a": {"b": [1, 2 , "c d e"]}, "f": null, "g": true, "h": -1.5e3}'
    return await caller.stream(reader(lib, text), "x")


@program
async def json_list_streamed(lib: Any, caller: Any) -> Any:
    return await caller.stream(reader(lib, '[1, {"a": "b c"}, [ ], "d"]'), "x")


@program
async def json_in_a_fence_streamed(lib: Any, caller: Any) -> Any:
    return await caller.stream(reader(lib, '```json\n{"a": "b c", "d": 1}\n```'), "x")


@program
async def json_after_words_streamed(lib: Any, caller: Any) -> Any:
    return await caller.stream(reader(lib, 'Here it is: ```json\n{"a": "b c"}\n```'), "x")


@program
async def no_json_streamed(lib: Any, caller: Any) -> Any:
    return await unless_it_fails(caller, reader(lib, "no json here"), "x")


@program
async def json_with_escapes_streamed(lib: Any, caller: Any) -> Any:
    return await caller.stream(reader(lib, r'{"a": "b \"c\" \n d é 😀 e"}'), "x")


@program
async def json_that_breaks_off_streamed(lib: Any, caller: Any) -> Any:
    return await caller.stream(reader(lib, '{"a": [1, 2, {"b": "c d'), "x")


@program
async def json_that_breaks_off(lib: Any, caller: Any) -> Any:
    return await caller.invoke(reader(lib, '{"a": [1, 2, {"b": "c d'), "x")


@program
async def json_of_an_empty_answer_streamed(lib: Any, caller: Any) -> Any:
    return await unless_it_fails(
        caller, lib.FakeListLLM(responses=[""]) | lib.JsonOutputParser(), "x"
    )


@program
async def json_of_a_text_model_streamed(lib: Any, caller: Any) -> Any:
    own = lib.FakeListLLM(responses=['{"a": [1, 2]}'])
    return await caller.stream(own | lib.JsonOutputParser(), "x", tags=["t"])


@program
async def json_streamed_into_a_generator(lib: Any, caller: Any) -> Any:
    def keys(parts: Any) -> Any:
        for part in parts:
            yield ",".join(part)

    async def akeys(parts: Any) -> Any:
        async for part in parts:
            yield ",".join(part)

    last = lib.RunnableGenerator(keys, akeys)
    return await caller.stream(reader(lib, '{"a": "b c", "d": 1}') | last, "x")


@program
async def json_streamed_into_a_function(lib: Any, caller: Any) -> Any:
    chain = reader(lib, '{"a": "b c", "d": 1}') | (lambda found: sorted(found))
    return await caller.stream(chain, "x")


@program
async def json_parser_of_a_text_streamed(lib: Any, caller: Any) -> Any:
    return await caller.stream(lib.JsonOutputParser(), '{"a": 1}')


@program
async def pydantic_parser_streamed(lib: Any, caller: Any) -> Any:
    parser = lib.PydanticOutputParser(pydantic_object=Numbers)
    return (await caller.stream(model(lib, '{"a": 1, "b": 22}') | parser, "x"))[-1]


@program
async def pydantic_parser_of_another_object_streamed(lib: Any, caller: Any) -> Any:
    parser = lib.PydanticOutputParser(pydantic_object=Numbers)
    return await unless_it_fails(caller, model(lib, '{"c": 1}') | parser, "x")
