"""Programs of tools, retrievers and output parsers."""

from __future__ import annotations

import asyncio
from typing import Any

from oracle import program
from oracle_models import model
from pydantic import BaseModel

CALL = {"name": "add", "args": {"a": 1, "b": 3}, "id": "c1", "type": "tool_call"}


def adder(lib: Any, **settings: Any) -> Any:
    def add(a: int, b: int = 2) -> int:
        """Add two numbers."""
        return a + b

    async def aadd(a: int, b: int = 2) -> int:
        return a + b

    return lib.StructuredTool.from_function(add, aadd, **settings)


def broken(lib: Any, **settings: Any) -> Any:
    def fails(a: int) -> int:
        raise lib.ToolException("no luck")

    return lib.StructuredTool.from_function(fails, description="Fail.", **settings)


class Numbers(BaseModel):
    a: int
    b: int = 5


# Tools


@program
async def tool_given_a_dict(lib: Any, caller: Any) -> Any:
    return await caller.invoke(adder(lib), {"a": 1}, tags=["t"], metadata={"k": 1})


@program
async def tool_given_a_text(lib: Any, caller: Any) -> Any:
    @lib.tool  # type: ignore[untyped-decorator]
    def shout(text: str) -> str:
        """Shout."""
        return text.upper()

    return await caller.invoke(shout, "hi")


@program
async def tool_given_a_tool_call(lib: Any, caller: Any) -> Any:
    return await caller.invoke(adder(lib), CALL)


@program
async def tool_with_settings_of_its_own(lib: Any, caller: Any) -> Any:
    own = adder(lib, name="sum", tags=["own"], metadata={"own": 1}, callbacks=[caller.handler])
    return await caller.plainly(own, {"a": 1}, {"tags": ["t"], "run_name": "named"})


@program
async def tool_with_a_schema(lib: Any, caller: Any) -> Any:
    return await caller.invoke(adder(lib, args_schema=Numbers), {"a": "1"})


@program
async def tool_class(lib: Any, caller: Any) -> Any:
    class Shout(lib.BaseTool):  # type: ignore[misc]
        name: str = "shout"
        description: str = "Shout."

        def _run(self, text: str, run_manager: Any = None) -> str:
            run_manager.on_text("told")
            return text.upper()

    return await caller.invoke(Shout(), {"text": "hi"})


@program
async def tool_that_calls_a_block(lib: Any, caller: Any) -> Any:
    inner = lib.RunnableLambda(lambda x: x + 1)

    @lib.tool  # type: ignore[untyped-decorator]
    def nested(a: int) -> Any:
        """Call a block."""
        return inner.invoke(a)

    return await caller.invoke(nested, {"a": 1}, tags=["t"], metadata={"k": 1})


@program
async def tool_in_a_sequence(lib: Any, caller: Any) -> Any:
    chain = lib.RunnableLambda(lambda x: {"a": x}) | adder(lib) | str
    return [await caller.invoke(chain, 1), await caller.stream(chain, 2)]


@program
async def tools_called_by_a_model(lib: Any, caller: Any) -> Any:
    said = lib.AIMessage(content="", tool_calls=[CALL, {**CALL, "id": "c2", "args": {"a": 2}}])
    answer = await caller.invoke(model(lib, said), "1 + 3?")
    return [await caller.invoke(adder(lib), call) for call in answer.tool_calls]


@program
async def tool_that_fails(lib: Any, caller: Any) -> Any:
    @lib.tool  # type: ignore[untyped-decorator]
    def failing(a: int) -> int:
        """Fail."""
        raise KeyError(a)

    return await caller.invoke(failing, {**CALL, "args": {"a": 1}})


@program
async def tool_with_an_error_that_is_handled(lib: Any, caller: Any) -> Any:
    call = {**CALL, "args": {"a": 1}}
    for how in (True, "sorry", lambda error: f"{error}!"):
        await caller.invoke(broken(lib, handle_tool_error=how), call)
    return await caller.invoke(broken(lib, handle_tool_error=True), {"a": 1})


@program
async def tool_with_an_error_that_is_not_handled(lib: Any, caller: Any) -> Any:
    return await caller.invoke(broken(lib), {"a": 1})


@program
async def tool_with_wrong_arguments(lib: Any, caller: Any) -> Any:
    return await caller.invoke(broken(lib, handle_tool_error=True), {"a": "x"})


@program
async def tool_with_wrong_arguments_that_are_handled(lib: Any, caller: Any) -> Any:
    handled = broken(lib, handle_validation_error="wrong", tags=["own"])
    return [await caller.invoke(handled, {"a": "x"}), await caller.invoke(handled, CALL)]


@program
async def tool_with_an_artifact(lib: Any, caller: Any) -> Any:
    @lib.tool(response_format="content_and_artifact")  # type: ignore[untyped-decorator]
    def pair(a: int) -> Any:
        """Give a pair."""
        return f"{a} rows", [a]

    return [await caller.invoke(pair, given) for given in ({"a": 1}, {**CALL, "args": {"a": 1}})]


@program
async def tool_without_the_artifact(lib: Any, caller: Any) -> Any:
    @lib.tool(response_format="content_and_artifact")  # type: ignore[untyped-decorator]
    def alone(a: int) -> Any:
        """Give no pair."""
        return a

    return await caller.invoke(alone, {"a": 1})


@program
async def tool_that_is_cancelled(lib: Any, caller: Any) -> Any:
    async def waits(a: int) -> None:
        task.cancel()
        await asyncio.sleep(0)

    def cancelled(a: int) -> None:
        raise asyncio.CancelledError

    own = lib.StructuredTool.from_function(cancelled, waits, description="Wait.")
    task = asyncio.ensure_future(caller.invoke(own, {"a": 1}))
    return await task


# Retrievers


def searcher(lib: Any, **settings: Any) -> Any:
    class WordRetriever(lib.BaseRetriever):  # type: ignore[misc]
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> Any:
            run_manager.on_text(query)
            return [lib.Document(word, metadata={"n": 1}) for word in query.split()]

    return WordRetriever(**settings)


@program
async def retriever(lib: Any, caller: Any) -> Any:
    return await caller.invoke(searcher(lib), "a b", run_name="named")


@program
async def retriever_with_settings_of_its_own(lib: Any, caller: Any) -> Any:
    own = searcher(lib, name="Retriever of Words", tags=["own"], metadata={"mine": 1})
    return await caller.invoke(own, "a", tags=["t"], metadata={"k": 1})


@program
async def retriever_in_a_sequence(lib: Any, caller: Any) -> Any:
    chain = lib.RunnableLambda(str.upper) | searcher(lib) | len
    return [await caller.invoke(chain, "a b"), await caller.stream(chain, "a b")]


@program
async def retriever_that_fails(lib: Any, caller: Any) -> Any:
    class Broken(lib.BaseRetriever):  # type: ignore[misc]
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> Any:
            raise KeyError(query)

        async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> Any:
            raise ValueError(query)

    return await caller.invoke(Broken(), "a")


@program
async def retriever_that_calls_a_block(lib: Any, caller: Any) -> Any:
    class Nested(lib.BaseRetriever):  # type: ignore[misc]
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> Any:
            inner = lib.RunnableLambda(lambda x: x)
            inner.invoke(1, {"callbacks": run_manager.get_child("mine")})
            return []

    return await caller.invoke(Nested(), "a", metadata={"k": 1})


# Output parsers


@program
async def text_parser(lib: Any, caller: Any) -> Any:
    parser = lib.StrOutputParser()
    return [await caller.invoke(parser, given) for given in ("a", lib.AIMessage("b"))]


@program
async def json_parser(lib: Any, caller: Any) -> Any:
    parser = lib.JsonOutputParser(name="mine")
    await caller.invoke(parser, "```json\n[1]\n```")
    return await caller.invoke(model(lib, '{"a": "b c"}') | parser, "x")


@program
async def json_parser_streamed(lib: Any, caller: Any) -> Any:
    return await caller.stream(model(lib, '{"a": "b c"}') | lib.JsonOutputParser(), "x")


@program
async def json_parser_of_no_json(lib: Any, caller: Any) -> Any:
    return await caller.invoke(model(lib, "no json") | lib.JsonOutputParser(), "x")


@program
async def pydantic_parser(lib: Any, caller: Any) -> Any:
    parser = lib.PydanticOutputParser(pydantic_object=Numbers)
    return await caller.invoke(model(lib, '{"a": 1}') | parser, "x")


@program
async def pydantic_parser_of_another_object(lib: Any, caller: Any) -> Any:
    parser = lib.PydanticOutputParser(pydantic_object=Numbers)
    return await caller.invoke(parser, '{"c": 1}')
