"""Programs of functions, generators, sequences, parallel parts and prompts."""

from __future__ import annotations

from typing import Any

from oracle import program, program_at_once


def add_one(x: int) -> int:
    return x + 1


async def aadd_one(x: int) -> int:
    return x + 1


def fail(x: Any) -> Any:
    raise KeyError(x)


def words(x: str) -> Any:
    yield from ("a ", "b ", x)


async def awords(x: str) -> Any:
    for word in ("a ", "b ", x):
        yield word


def shouted(chunks: Any) -> Any:
    for chunk in chunks:
        yield chunk.upper()


async def ashouted(chunks: Any) -> Any:
    async for chunk in chunks:
        yield chunk.upper()


def exclaim(x: str) -> str:
    return x + "!"


def ablock(block: Any) -> Any:
    async def returns(_: Any) -> Any:
        return block

    return returns


# Functions


@program
async def function(lib: Any, caller: Any) -> Any:
    return await caller.invoke(lib.RunnableLambda(add_one), 1)


@program
async def function_without_a_name(lib: Any, caller: Any) -> Any:
    return await caller.invoke(lib.RunnableLambda(lambda x: x), 1)


@program
async def coroutine_function(lib: Any, caller: Any) -> Any:
    return await caller.invoke(lib.RunnableLambda(aadd_one), 1)


@program
async def function_for_either_caller(lib: Any, caller: Any) -> Any:
    return await caller.invoke(lib.RunnableLambda(add_one, aadd_one), 1)


@program
async def function_that_fails(lib: Any, caller: Any) -> Any:
    return await caller.invoke(lib.RunnableLambda(fail), 1)


@program
async def function_that_asks_for_its_config(lib: Any, caller: Any) -> Any:
    inner = lib.RunnableLambda(add_one)

    def outer(x: int, config: Any) -> Any:
        return inner.invoke(x, {**config, "run_name": "in"})

    return await caller.invoke(lib.RunnableLambda(outer), 1, tags=["out"], metadata={"k": 1})


@program
async def function_that_asks_for_its_run_manager(lib: Any, caller: Any) -> Any:
    inner = lib.RunnableLambda(add_one)

    def outer(x: int, run_manager: Any) -> Any:
        run_manager.on_text("told", color="red")
        return inner.invoke(x, {"callbacks": run_manager.get_child("mine")})

    return await caller.invoke(lib.RunnableLambda(outer), 1)


@program
async def nested_call(lib: Any, caller: Any) -> Any:
    inner = lib.RunnableLambda(add_one)
    outer = lib.RunnableLambda(lambda x: inner.invoke(x))
    return await caller.invoke(outer, 1, metadata={"k": 1}, tags=["out"])


@program
async def nested_call_of_a_coroutine(lib: Any, caller: Any) -> Any:
    inner = lib.RunnableLambda(add_one, aadd_one)

    async def outer(x: int) -> Any:
        return await inner.ainvoke(x, {"tags": ["in"]})

    return await caller.invoke(lib.RunnableLambda(inner.invoke, outer), 1, tags=["out"])


@program
async def function_that_returns_a_sequence(lib: Any, caller: Any) -> Any:
    inner = lib.RunnableLambda(add_one)
    return await caller.invoke(lib.RunnableLambda(lambda _: inner | inner), 1)


@program
async def function_that_returns_a_block_to_stream(lib: Any, caller: Any) -> Any:
    inner = lib.RunnableLambda(words, awords)
    return await caller.stream(lib.RunnableLambda(lambda _: inner, ablock(inner)), "x")


@program
async def function_that_returns_itself(lib: Any, caller: Any) -> Any:
    block = lib.RunnableLambda(lambda _: block)
    return await caller.invoke(block, 1, recursion_limit=4)


@program
async def decorated_function(lib: Any, caller: Any) -> Any:
    @lib.chain  # type: ignore[untyped-decorator]
    def outer(x: int, config: Any) -> Any:
        return lib.RunnableLambda(add_one, name="inner").invoke(x, config)

    return await caller.invoke(outer, 1, tags=["t"])


@program
async def decorated_generator(lib: Any, caller: Any) -> Any:
    outer = lib.chain(awords if caller.is_async else words)
    return await caller.stream(outer, "a")


# Generators


@program
async def generator_function(lib: Any, caller: Any) -> Any:
    return await caller.invoke(lib.RunnableLambda(words, awords), "x")


@program
async def generator_function_streamed(lib: Any, caller: Any) -> Any:
    return await caller.stream(lib.RunnableLambda(words, awords), "x")


@program
async def generator_of_a_stream(lib: Any, caller: Any) -> Any:
    chain = lib.RunnableLambda(words, awords) | lib.RunnableGenerator(shouted, ashouted)
    return await caller.stream(chain, "x")


@program
async def generator_in_a_sequence(lib: Any, caller: Any) -> Any:
    last = ashouted if caller.is_async else shouted
    return await caller.stream(lib.RunnableLambda(words, awords) | last, "x")


@program
async def generator_that_is_invoked(lib: Any, caller: Any) -> Any:
    return await caller.invoke(
        lib.RunnableLambda(exclaim) | lib.RunnableGenerator(shouted, ashouted), "x"
    )


@program
async def function_of_a_stream(lib: Any, caller: Any) -> Any:
    return await caller.stream(lib.RunnableLambda(words, awords) | exclaim, "x")


@program
async def stream_that_fails(lib: Any, caller: Any) -> Any:
    return await caller.stream(lib.RunnableLambda(words, awords) | fail, "x")


@program
async def stream_that_fails_after_a_chunk(lib: Any, caller: Any) -> Any:
    def broken(x: str) -> Any:
        yield x
        raise KeyError(x)

    async def abroken(x: str) -> Any:
        yield x
        raise KeyError(x)

    chain = lib.RunnableLambda(broken, abroken) | lib.RunnablePassthrough()
    return await caller.stream(chain, "x")


@program
async def stream_through_a_passthrough(lib: Any, caller: Any) -> Any:
    return await caller.stream(lib.RunnableLambda(words, awords) | lib.RunnablePassthrough(), "x")


@program
async def stream_that_is_closed(lib: Any, caller: Any) -> Any:
    config = {"callbacks": [caller.handler]}
    if caller.is_async:
        chunks = lib.RunnableLambda(awords).astream("x", config)
        first = await anext(chunks)
        await chunks.aclose()
    else:
        chunks = lib.RunnableLambda(words).stream("x", config)
        first = next(chunks)
        chunks.close()
    return first


@program
async def transform(lib: Any, caller: Any) -> Any:
    config = {"callbacks": [caller.handler]}
    if caller.is_async:
        chunks = lib.RunnablePassthrough().atransform(awords("x"), config)
        return [chunk async for chunk in chunks]
    return list(lib.RunnablePassthrough().transform(words("x"), config))


# Sequences


@program
async def config_with_everything(lib: Any, caller: Any) -> Any:
    chain = lib.RunnableLambda(add_one) | add_one
    return await caller.invoke(chain, 1, tags=["t"], metadata={"k": 1}, run_name="named")


@program
async def sequence_with_a_name(lib: Any, caller: Any) -> Any:
    two = lib.RunnableSequence(lib.RunnableLambda(add_one), add_one, name="two")
    return await caller.invoke(two | add_one, 1)


@program
async def sequence_of_sequences(lib: Any, caller: Any) -> Any:
    two = lib.RunnableLambda(add_one) | add_one
    return await caller.invoke(two | two, 1)


@program
async def sequence_within_a_function(lib: Any, caller: Any) -> Any:
    two = lib.RunnableLambda(add_one) | add_one
    return await caller.invoke(lib.RunnableLambda(two.invoke) | add_one, 1, tags=["t"])


@program
async def sequence_that_fails(lib: Any, caller: Any) -> Any:
    return await caller.invoke(lib.RunnableLambda(add_one) | fail | add_one, 1)


@program
async def dict_with_one_key(lib: Any, caller: Any) -> Any:
    return await caller.invoke(lib.RunnableLambda(add_one) | {"a": add_one}, 1)


# Parts at the same time


@program_at_once
async def parallel(lib: Any, caller: Any) -> Any:
    return await caller.invoke(lib.RunnableParallel(a=add_one, name=lambda x: x), 1)


@program_at_once
async def parallel_in_parallel(lib: Any, caller: Any) -> Any:
    block = lib.RunnableLambda(add_one, aadd_one)
    chain = block | {"a": add_one, "b": {"c": block, "d": block | block}}
    return await caller.invoke(chain, 1, tags=["t"], metadata={"k": 1})


@program_at_once
async def parallel_streamed(lib: Any, caller: Any) -> Any:
    chain = lib.RunnableLambda(words, awords) | {"a": lib.RunnablePassthrough(), "b": exclaim}
    return sorted(map(repr, await caller.stream(chain, "x")))


@program_at_once
async def assign(lib: Any, caller: Any) -> Any:
    block = lib.RunnablePassthrough.assign(b=lambda d: d["a"] + 1, c=lambda d: d["a"])
    return await caller.invoke(block, {"a": 1})


@program_at_once
async def assign_streamed(lib: Any, caller: Any) -> Any:
    block = lib.RunnablePassthrough.assign(b=lambda d: d["a"] + 1)
    return await caller.stream(block, {"a": 1})


@program_at_once
async def assign_to_what_is_no_dict(lib: Any, caller: Any) -> Any:
    return await caller.invoke(lib.RunnablePassthrough.assign(b=add_one), 1)


# Prompts


@program
async def prompt(lib: Any, caller: Any) -> Any:
    template = lib.ChatPromptTemplate.from_messages([("system", "be {mood}"), ("human", "{text}")])
    return await caller.invoke(template, {"mood": "kind", "text": "hi"}, tags=["t"])


@program
async def prompt_with_a_placeholder(lib: Any, caller: Any) -> Any:
    placeholder = lib.MessagesPlaceholder("history", optional=True)
    template = lib.ChatPromptTemplate.from_messages([placeholder, ("human", "{text}")])
    await caller.invoke(template, {"text": "hi"})
    history = [lib.HumanMessage("a"), lib.AIMessage("b"), ("human", "c")]
    return await caller.invoke(template, {"history": history, "text": "hi"})


@program
async def prompt_with_a_part_filled_in(lib: Any, caller: Any) -> Any:
    template = lib.ChatPromptTemplate.from_messages([("system", "be {mood}"), ("human", "{text}")])
    return await caller.invoke(template.partial(mood="kind"), "hi")


@program
async def prompt_without_a_variable(lib: Any, caller: Any) -> Any:
    template = lib.ChatPromptTemplate.from_template("{a} {b}")
    return await caller.invoke(template | exclaim, {"a": 1})


@program
async def prompt_streamed(lib: Any, caller: Any) -> Any:
    template = lib.ChatPromptTemplate.from_template("{a}")
    return await caller.stream(lib.RunnableLambda(lambda a: {"a": a}) | template, 1)
