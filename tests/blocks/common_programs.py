"""Programs that run unchanged on callspan and on langchain_core."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

IN_ORDER: list[Any] = []
"""Programs that do one thing after the other."""
AT_THE_SAME_TIME: list[Any] = []
"""Programs whose parts run in threads or tasks."""

VALUES = {"mood": "kind", "text": "hi"}


def in_order(program: Any) -> Any:
    IN_ORDER.append(program)
    return program


def at_the_same_time(program: Any) -> Any:
    AT_THE_SAME_TIME.append(program)
    return program


def add_one(x: int) -> int:
    return x + 1


async def aadd_one(x: int) -> int:
    return x + 1


def words(x: str) -> Any:
    yield from ("a ", "b ", x)


async def awords(x: str) -> Any:
    for word in ("a ", "b ", x):
        yield word


def fail(x: Any) -> Any:
    raise KeyError(x)


def prompt(lib: Any) -> Any:
    return lib.ChatPromptTemplate.from_messages([("system", "be {mood}"), ("human", "{text}")])


def model(lib: Any, **kwargs: Any) -> Any:
    return lib.GenericFakeChatModel(messages=iter(["hello big world", "bye"]), **kwargs)


@in_order
def function(lib: Any, handler: Any) -> None:
    lib.RunnableLambda(add_one).invoke(1, {"callbacks": [handler]})


@in_order
def function_without_a_name(lib: Any, handler: Any) -> None:
    lib.RunnableLambda(lambda x: x).invoke(1, {"callbacks": [handler]})


@in_order
async def coroutine_function(lib: Any, handler: Any) -> None:
    await lib.RunnableLambda(aadd_one).ainvoke(1, {"callbacks": [handler]})


@in_order
async def sync_function_for_an_async_caller(lib: Any, handler: Any) -> None:
    await lib.RunnableLambda(add_one).ainvoke(1, {"callbacks": [handler]})


@in_order
def coroutine_function_for_a_sync_caller(lib: Any, handler: Any) -> None:
    lib.RunnableLambda(aadd_one).invoke(1, {"callbacks": [handler]})


@in_order
def config_with_everything(lib: Any, handler: Any) -> None:
    config = {"callbacks": [handler], "tags": ["t"], "metadata": {"k": 1}, "run_name": "named"}
    (lib.RunnableLambda(add_one) | add_one).invoke(1, config)


@in_order
def sequence_with_a_name(lib: Any, handler: Any) -> None:
    two = lib.RunnableSequence(lib.RunnableLambda(add_one), add_one, name="two")
    (two | add_one).invoke(1, {"callbacks": [handler]})


@in_order
def sequence_of_sequences(lib: Any, handler: Any) -> None:
    two = lib.RunnableLambda(add_one) | add_one
    (two | two).invoke(1, {"callbacks": [handler]})


@in_order
def sequence_that_fails(lib: Any, handler: Any) -> None:
    (lib.RunnableLambda(add_one) | fail | add_one).invoke(1, {"callbacks": [handler]})


@in_order
async def async_sequence_that_fails(lib: Any, handler: Any) -> None:
    await (lib.RunnableLambda(add_one) | fail).ainvoke(1, {"callbacks": [handler]})


@in_order
def nested_call(lib: Any, handler: Any) -> None:
    inner = lib.RunnableLambda(add_one)
    outer = lib.RunnableLambda(lambda x: inner.invoke(x))
    outer.invoke(1, {"callbacks": [handler], "metadata": {"k": 1}, "tags": ["out"]})


@in_order
def nested_call_with_the_config(lib: Any, handler: Any) -> None:
    inner = lib.RunnableLambda(add_one)

    def outer(x: int, config: Any) -> Any:
        return inner.invoke(x, {**config, "run_name": "in"})

    lib.RunnableLambda(outer).invoke(1, {"callbacks": [handler], "tags": ["out"]})


@in_order
def nested_call_with_the_run_manager(lib: Any, handler: Any) -> None:
    inner = lib.RunnableLambda(add_one)

    def outer(x: int, run_manager: Any) -> Any:
        run_manager.on_text("told")
        return inner.invoke(x, {"callbacks": run_manager.get_child("mine")})

    lib.RunnableLambda(outer).invoke(1, {"callbacks": [handler]})


@in_order
async def nested_async_call(lib: Any, handler: Any) -> None:
    inner = lib.RunnableLambda(aadd_one)

    async def outer(x: int) -> Any:
        return await inner.ainvoke(x)

    await lib.RunnableLambda(outer).ainvoke(1, {"callbacks": [handler], "tags": ["out"]})


@in_order
def function_that_returns_a_block(lib: Any, handler: Any) -> None:
    inner = lib.RunnableLambda(add_one)
    lib.RunnableLambda(lambda _: inner | inner).invoke(1, {"callbacks": [handler]})


@in_order
async def function_that_streams_a_block_it_returns(lib: Any, handler: Any) -> None:
    inner = lib.RunnableLambda(words)
    list(lib.RunnableLambda(lambda _: inner).stream("x", {"callbacks": [handler]}))


@in_order
def function_that_returns_itself(lib: Any, handler: Any) -> None:
    block = lib.RunnableLambda(lambda _: block)
    block.invoke(1, {"callbacks": [handler], "recursion_limit": 4})


@in_order
def generator_function(lib: Any, handler: Any) -> None:
    lib.RunnableLambda(words).invoke("x", {"callbacks": [handler]})


@in_order
def generator_function_streamed(lib: Any, handler: Any) -> None:
    list(lib.RunnableLambda(words).stream("x", {"callbacks": [handler]}))


@in_order
async def async_generator_function_streamed(lib: Any, handler: Any) -> None:
    block = lib.RunnableLambda(awords) | aadd_words
    async for _ in block.astream("x", {"callbacks": [handler]}):
        pass


async def aadd_words(x: str) -> str:
    return x + "!"


@in_order
def function_streamed(lib: Any, handler: Any) -> None:
    list((lib.RunnableLambda(words) | add_words).stream("x", {"callbacks": [handler]}))


def add_words(x: str) -> str:
    return x + "!"


def shouted(chunks: Any) -> Any:
    for chunk in chunks:
        yield chunk.upper()


async def ashouted(chunks: Any) -> Any:
    async for chunk in chunks:
        yield chunk.upper()


@in_order
def generator_of_a_stream(lib: Any, handler: Any) -> None:
    list((lib.RunnableLambda(words) | shouted).stream("x", {"callbacks": [handler]}))


@in_order
async def async_generator_of_a_stream(lib: Any, handler: Any) -> None:
    async for _ in (lib.RunnableLambda(awords) | ashouted).astream("x", {"callbacks": [handler]}):
        pass


@in_order
def stream_that_fails(lib: Any, handler: Any) -> None:
    list((lib.RunnableLambda(words) | fail).stream("x", {"callbacks": [handler]}))


@in_order
def stream_of_a_passthrough(lib: Any, handler: Any) -> None:
    chain = lib.RunnableLambda(words) | lib.RunnablePassthrough()
    list(chain.stream("x", {"callbacks": [handler]}))


@in_order
def transform(lib: Any, handler: Any) -> None:
    list(lib.RunnablePassthrough().transform(iter(["a", "b"]), {"callbacks": [handler]}))


@in_order
def prompt_and_model(lib: Any, handler: Any) -> None:
    (prompt(lib) | model(lib)).invoke(VALUES, {"callbacks": [handler], "tags": ["t"]})


@in_order
async def prompt_and_model_async(lib: Any, handler: Any) -> None:
    await (prompt(lib) | model(lib)).ainvoke(VALUES, {"callbacks": [handler], "tags": ["t"]})


@in_order
def prompt_model_and_parser_streamed(lib: Any, handler: Any) -> None:
    chain = prompt(lib) | model(lib) | lib.StrOutputParser()
    list(chain.stream(VALUES, {"callbacks": [handler]}))


@in_order
async def prompt_model_and_parser_streamed_async(lib: Any, handler: Any) -> None:
    chain = prompt(lib) | model(lib) | lib.StrOutputParser()
    async for _ in chain.astream(VALUES, {"callbacks": [handler]}):
        pass


@in_order
def prompt_model_and_parser(lib: Any, handler: Any) -> None:
    (prompt(lib) | model(lib) | lib.StrOutputParser()).invoke(VALUES, {"callbacks": [handler]})


@in_order
def prompt_without_a_variable(lib: Any, handler: Any) -> None:
    (prompt(lib) | model(lib)).invoke({"text": "hi"}, {"callbacks": [handler]})


@in_order
def model_with_settings_of_its_own(lib: Any, handler: Any) -> None:
    own = model(lib, callbacks=[handler], tags=["own"], metadata={"own": 1})
    (prompt(lib) | own).invoke(VALUES, {"tags": ["t"], "metadata": {"k": 1}})


@in_order
def model_with_a_name_and_stop(lib: Any, handler: Any) -> None:
    model(lib).invoke("hi", {"callbacks": [handler], "run_name": "mine"}, stop=["."])


@in_order
def model_with_bound_arguments(lib: Any, handler: Any) -> None:
    bound = model(lib).bind(stop=["."])
    (prompt(lib) | bound).invoke(VALUES, {"callbacks": [handler]})


@in_order
def model_streamed(lib: Any, handler: Any) -> None:
    list(model(lib).stream("hi", {"callbacks": [handler]}))


@in_order
def model_that_fails_in_a_stream(lib: Any, handler: Any) -> None:
    fake = lib.FakeListChatModel(responses=["abc"], error_on_chunk_number=1)
    list(fake.stream("hi", {"callbacks": [handler]}))


@in_order
def config_of_a_block(lib: Any, handler: Any) -> None:
    block = lib.RunnableLambda(add_one).with_config(tags=["own"], run_name="mine")
    (block | add_one).invoke(1, {"callbacks": [handler], "tags": ["t"], "metadata": {"k": 1}})


@in_order
def callbacks_of_a_block(lib: Any, handler: Any) -> None:
    inner = lib.RunnableLambda(add_one)
    block = lib.RunnableLambda(lambda x: inner.invoke(x)).with_config(callbacks=[handler])
    (block | add_one).invoke(1)


@in_order
def dict_with_one_key(lib: Any, handler: Any) -> None:
    (lib.RunnableLambda(add_one) | {"a": add_one}).invoke(1, {"callbacks": [handler]})


@in_order
def batch_of_one(lib: Any, handler: Any) -> None:
    lib.RunnableLambda(add_one).batch([1], {"callbacks": [handler], "tags": ["t"]})


def adder(lib: Any) -> Any:
    @lib.tool
    def add(a: int, b: int = 2) -> int:
        """Add two numbers."""
        return a + b

    return add


@in_order
def tool_given_a_dict(lib: Any, handler: Any) -> None:
    adder(lib).invoke({"a": 1}, {"callbacks": [handler], "tags": ["t"]})


@in_order
def tool_given_a_text(lib: Any, handler: Any) -> None:
    @lib.tool
    def shout(text: str) -> str:
        """Shout."""
        return text.upper()

    shout.invoke("hi", {"callbacks": [handler]})


@in_order
def tool_given_a_tool_call(lib: Any, handler: Any) -> None:
    call = {"name": "add", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
    adder(lib).invoke(call, {"callbacks": [handler]})


@in_order
async def tool_for_an_async_caller(lib: Any, handler: Any) -> None:
    await adder(lib).ainvoke({"a": 1, "b": 3}, {"callbacks": [handler]})


@in_order
def tool_that_fails(lib: Any, handler: Any) -> None:
    @lib.tool
    def broken(a: int) -> int:
        """Fail."""
        raise KeyError(a)

    broken.invoke({"a": 1}, {"callbacks": [handler]})


@in_order
def tool_that_calls_a_block(lib: Any, handler: Any) -> None:
    inner = lib.RunnableLambda(add_one)

    @lib.tool
    def nested(a: int) -> int:
        """Call a block."""
        return inner.invoke(a)

    lib.RunnableLambda(lambda x: nested.invoke({"a": x})).invoke(1, {"callbacks": [handler]})


@in_order
def tool_class(lib: Any, handler: Any) -> None:
    class Shout(lib.BaseTool):
        name: str = "shout"
        description: str = "Shout."

        def _run(self, text: str, run_manager: Any = None) -> str:
            run_manager.on_text("told")
            return text.upper()

    Shout(callbacks=[handler]).invoke({"text": "hi"})


@at_the_same_time
def parallel(lib: Any, handler: Any) -> None:
    lib.RunnableParallel(a=add_one, b=lambda x: x).invoke(1, {"callbacks": [handler]})


@at_the_same_time
async def parallel_async(lib: Any, handler: Any) -> None:
    chain = lib.RunnableLambda(add_one) | {"a": add_one, "b": {"c": aadd_one}}
    await chain.ainvoke(1, {"callbacks": [handler], "tags": ["t"]})


@at_the_same_time
def parallel_streamed(lib: Any, handler: Any) -> None:
    chain = lib.RunnableLambda(words) | {"a": lib.RunnablePassthrough(), "b": add_words}
    list(chain.stream("x", {"callbacks": [handler]}))


@at_the_same_time
async def parallel_streamed_async(lib: Any, handler: Any) -> None:
    chain = lib.RunnableLambda(awords) | {"a": lib.RunnablePassthrough(), "b": aadd_words}
    async for _ in chain.astream("x", {"callbacks": [handler]}):
        pass


@at_the_same_time
def assign(lib: Any, handler: Any) -> None:
    block = lib.RunnablePassthrough.assign(b=lambda d: d["a"] + 1, c=lambda d: d["a"])
    block.invoke({"a": 1}, {"callbacks": [handler]})


@at_the_same_time
def assign_streamed(lib: Any, handler: Any) -> None:
    block = lib.RunnablePassthrough.assign(b=lambda d: d["a"] + 1)
    list(block.stream({"a": 1}, {"callbacks": [handler]}))


@at_the_same_time
def assign_to_what_is_no_dict(lib: Any, handler: Any) -> None:
    lib.RunnablePassthrough.assign(b=add_one).invoke(1, {"callbacks": [handler]})


@at_the_same_time
def batch(lib: Any, handler: Any) -> None:
    chain = lib.RunnableLambda(add_one) | add_one
    chain.batch([1, 2, 3], {"callbacks": [handler], "max_concurrency": 2})


@at_the_same_time
async def batch_with_a_config_each(lib: Any, handler: Any) -> None:
    configs = [{"callbacks": [handler], "tags": [tag]} for tag in "ab"]
    await lib.RunnableLambda(add_one).abatch([1, 2], configs)


@at_the_same_time
def batch_with_an_exception(lib: Any, handler: Any) -> None:
    def odd(x: int) -> int:
        return x if x % 2 else fail(x)

    lib.RunnableLambda(odd).batch([1, 2, 3], {"callbacks": [handler]}, return_exceptions=True)


def searcher(lib: Any, **kwargs: Any) -> Any:
    class WordRetriever(lib.BaseRetriever):  # type: ignore[misc]
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> Any:
            run_manager.on_text(query)
            return [lib.Document(word) for word in query.split()]

    return WordRetriever(**kwargs)


@in_order
def retriever(lib: Any, handler: Any) -> None:
    searcher(lib, name="Retriever of Words").invoke("a b", {"callbacks": [handler]})


@in_order
async def retriever_with_settings_of_its_own(lib: Any, handler: Any) -> None:
    own = searcher(lib, tags=["own"], metadata={"mine": 1})
    await own.ainvoke("a", {"callbacks": [handler], "tags": ["t"], "metadata": {"k": 1}})


@in_order
def retriever_in_a_sequence(lib: Any, handler: Any) -> None:
    config = {"callbacks": [handler]}
    chain = lib.RunnableLambda(str.upper) | searcher(lib) | len
    chain.invoke("a b", config)
    list(chain.stream("a b", config))


@in_order
async def retriever_with_a_coroutine_that_fails(lib: Any, handler: Any) -> None:
    class Broken(lib.BaseRetriever):  # type: ignore[misc]
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> Any:
            raise NotImplementedError

        async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> Any:
            raise KeyError(query)

    await Broken().ainvoke("a", {"callbacks": [handler]})


@in_order
def retriever_that_calls_a_block(lib: Any, handler: Any) -> None:
    class Nested(lib.BaseRetriever):  # type: ignore[misc]
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> Any:
            inner = lib.RunnableLambda(add_one)
            inner.invoke(1, {"callbacks": run_manager.get_child("mine")})
            return []

    Nested().invoke("a", {"callbacks": [handler], "metadata": {"k": 1}})


def answering(lib: Any, *texts: str) -> Any:
    return lib.GenericFakeChatModel(messages=iter(texts))


@in_order
def json_parser(lib: Any, handler: Any) -> None:
    chain = answering(lib, '{"a": "b c"}', '{"a": "b c"}') | lib.JsonOutputParser()
    chain.invoke("x", {"callbacks": [handler]})
    list(chain.stream("x", {"callbacks": [handler]}))


@in_order
async def json_parser_async(lib: Any, handler: Any) -> None:
    parser = lib.JsonOutputParser(name="mine")
    await parser.ainvoke("```json\n[1]\n```", {"callbacks": [handler]})
    async for _ in (answering(lib, '{"a": "b c"}') | parser).astream("", {"callbacks": [handler]}):
        pass


@in_order
def json_parser_of_no_json(lib: Any, handler: Any) -> None:
    (answering(lib, "no json") | lib.JsonOutputParser()).invoke("x", {"callbacks": [handler]})


@in_order
async def pydantic_parser_of_another_object(lib: Any, handler: Any) -> None:
    class Answer(BaseModel):
        n: int

    parser = lib.PydanticOutputParser(pydantic_object=Answer)
    parser.invoke('{"n": 1}', {"callbacks": [handler]})
    await parser.ainvoke('{"m": 1}', {"callbacks": [handler]})


def failing_tool(lib: Any, **settings: Any) -> Any:
    def broken(a: int) -> int:
        raise lib.ToolException("no luck")

    return lib.StructuredTool.from_function(broken, description="Fail.", **settings)


@in_order
async def tool_with_an_error_that_is_handled(lib: Any, handler: Any) -> None:
    call = {"name": "broken", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
    failing_tool(lib, handle_tool_error=True).invoke(call, {"callbacks": [handler]})
    await failing_tool(lib, handle_tool_error="sorry").ainvoke({"a": 1}, {"callbacks": [handler]})


@in_order
async def tool_with_wrong_arguments_that_are_handled(lib: Any, handler: Any) -> None:
    made = failing_tool(lib, handle_validation_error=True, tags=["own"])
    made.invoke({"a": "x"}, {"callbacks": [handler]})
    await made.ainvoke({}, {"callbacks": [handler]})


@in_order
async def tool_with_an_error_that_is_not_handled(lib: Any, handler: Any) -> None:
    await failing_tool(lib).ainvoke({"a": 1}, {"callbacks": [handler]})


@in_order
def tool_with_wrong_arguments(lib: Any, handler: Any) -> None:
    failing_tool(lib, handle_tool_error=True).invoke({"a": "x"}, {"callbacks": [handler]})


@in_order
def tool_without_the_artifact(lib: Any, handler: Any) -> None:
    @lib.tool(response_format="content_and_artifact")  # type: ignore[untyped-decorator]
    def alone(a: int) -> Any:
        """Give no pair."""
        return a

    alone.invoke({"a": 1}, {"callbacks": [handler]})
