"""Functions as blocks."""

from __future__ import annotations

import asyncio
import functools
import operator
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from opentelemetry import trace

from callspan.callbacks import AsyncCallbackManager, CallbackManager
from callspan.errors import ConfigurationError
from callspan.runnables import Runnable, RunnableConfig, RunnableLambda
from support import without_tracer


def count(n: int) -> Iterator[str]:
    yield from map(str, range(n))


async def acount(n: int) -> AsyncIterator[str]:
    for i in range(n):
        yield str(i)


async def double(x: int) -> int:
    return 2 * x


class Doubler:
    async def __call__(self, x: int) -> int:
        return 2 * x


@pytest.mark.parametrize("function", [double, Doubler(), functools.partial(double)])
async def test_every_form_of_coroutine_function_is_awaited(function: Any) -> None:
    """A coroutine that is returned instead of awaited is a silent bug in the user's chain."""
    assert await RunnableLambda(function).ainvoke(2) == 4


@pytest.mark.parametrize("function", [operator.itemgetter("a"), lambda d: d["a"], dict.popitem])
def test_callables_without_a_signature_or_name_are_functions_too(function: Any) -> None:
    """Itemgetter and C functions are what people put into chains."""
    assert RunnableLambda(function).invoke({"a": 1}) in (1, ("a", 1))


async def test_a_sync_function_may_return_a_coroutine(handler: Any) -> None:
    """A lambda around a coroutine function is a coroutine function to whoever awaits it."""
    config: RunnableConfig = {"callbacks": [handler]}
    block = RunnableLambda(lambda x: double(x + 1), name="outer")
    assert await block.ainvoke(1, config) == 4
    assert await (block | block).ainvoke(1, config) == 10
    assert [chunk async for chunk in block.astream(1, config)] == [4]
    handler.events.clear()
    made = block.invoke(1, config)
    assert handler.events.methods == ["on_chain_start"]
    assert await made == 4
    assert handler.events.methods == ["on_chain_start", "on_chain_end"]
    assert [args for name, args, _ in handler.events if name == "on_chain_end"] == [(4,)]


async def test_a_sync_function_does_not_block_the_event_loop() -> None:
    """An async program stands still when a sync function waits in its loop's thread."""
    released = threading.Event()

    def wait(x: int) -> int:
        assert released.wait(20)
        return x

    async def release() -> None:
        released.set()

    result, _ = await asyncio.gather(RunnableLambda(wait).ainvoke(1), release())
    assert result == 1


async def test_a_sync_function_in_a_thread_has_the_runs_context(spans: Any) -> None:
    """Spans that it starts belong to its run, although another thread starts them."""

    def work(x: int) -> int:
        with trace.get_tracer("user").start_as_current_span("inside"):
            return x

    await RunnableLambda(work).ainvoke(1)
    assert spans.parent_of("inside") == "work"


async def test_async_callers_use_afunc() -> None:
    """Two implementations are given so that each kind of caller has its own."""
    block = RunnableLambda(lambda x: ("sync", x), afunc=double)
    assert block.invoke(2) == ("sync", 2)
    assert await block.ainvoke(2) == 4


def test_config_and_run_manager_are_given_to_who_asks() -> None:
    """A function that passes its config on keeps tags, metadata and handlers below it."""
    asked: dict[str, Any] = {}

    def ask(x: int, config: RunnableConfig, run_manager: Any) -> int:
        asked.update(config, run=run_manager.run_id)
        return x

    given = {"tags": ["t"], "metadata": {"k": 1}, "configurable": {"c": 2}, "mine": 3}
    RunnableLambda(ask).invoke(1, {**given, "max_concurrency": 5, "run_name": "n"})
    assert asked["tags"] == ["t"]
    assert asked["metadata"] == {"k": 1}
    assert asked["configurable"] == {"c": 2, "mine": 3}
    assert asked["max_concurrency"] == 5
    assert asked["callbacks"].parent_run_id == asked["run"]
    assert "run_name" not in asked


async def test_the_managers_are_of_the_functions_kind() -> None:
    """A sync function cannot await what an async manager returns, nor the other way round."""
    kinds: list[type] = []

    def sync(x: int, config: RunnableConfig) -> int:
        kinds.append(type(config["callbacks"]))
        return x

    async def asynchronous(x: int, config: RunnableConfig) -> int:
        return sync(x, config)

    await RunnableLambda(sync).ainvoke(1)
    await RunnableLambda(asynchronous).ainvoke(1)
    assert kinds == [CallbackManager, AsyncCallbackManager]


def test_further_arguments_reach_the_function() -> None:
    """`bind` and keyword arguments of a call are for the function."""
    assert RunnableLambda(lambda x, y=0: x + y).invoke(1, y=2) == 3


async def test_generators_stream_and_their_chunks_add_up() -> None:
    """The same function serves a streaming and a plain caller."""
    assert list(RunnableLambda(count).stream(3)) == ["0", "1", "2"]
    assert RunnableLambda(count).invoke(3) == "012"
    assert [c async for c in RunnableLambda(acount).astream(3)] == ["0", "1", "2"]
    assert await RunnableLambda(acount).ainvoke(3) == "012"


async def test_a_sync_generator_streams_for_an_async_caller() -> None:
    """A chain need not be written twice because a web server calls it."""
    assert [c async for c in RunnableLambda(count).astream(3)] == ["0", "1", "2"]
    assert await RunnableLambda(count).ainvoke(3) == "012"


def test_chunks_that_cannot_be_added_leave_the_last_one() -> None:
    """A stream need not be a sum, and invoking it must not fail for that."""

    def mixed(_: int) -> Iterator[Any]:
        yield from ({"a": 1}, {"b": 2})

    assert RunnableLambda(mixed).invoke(1) == {"b": 2}


def test_a_block_that_is_returned_is_invoked() -> None:
    """Routing is a function that returns the chain to take."""
    route = RunnableLambda(lambda x: RunnableLambda(count) if x < 5 else (lambda y: y))
    assert route.invoke(3) == "012"
    assert list(route.stream(2)) == ["0", "1"]


def test_endless_routing_is_stopped() -> None:
    """A function that keeps returning blocks ends with an error that names the limit."""
    calls = []

    def again(x: int) -> Runnable[int, int]:
        calls.append(x)
        return block

    block: RunnableLambda[int, Any] = RunnableLambda(again)
    with pytest.raises(RecursionError, match="again returned a runnable"):
        block.invoke(1)
    assert len(calls) == 26


@pytest.mark.parametrize("handlers", [0, 1])
def test_200_nested_runs_fit_into_the_default_recursion_limit(handlers: int, handler: Any) -> None:
    """Recursive programs have the depth that Python gives them, not a fifth of it."""
    block: Any = RunnableLambda(lambda x: x)
    for _ in range(200):
        block = RunnableLambda(lambda x, inner=block: inner.invoke(x))
    assert block.invoke("deep", {"callbacks": [handler][:handlers]}) == "deep"
    assert len(handler.events) == 402 * handlers


async def test_200_nested_async_runs_too() -> None:
    """Awaiting is nesting, too."""

    async def same(x: Any) -> Any:
        return x

    def nested(inner: Any) -> Any:
        async def call(x: Any) -> Any:
            return await inner.ainvoke(x)

        return RunnableLambda(call)

    block: Any = RunnableLambda(same)
    for _ in range(200):
        block = nested(block)
    with without_tracer():
        assert await block.ainvoke("deep") == "deep"


class _OwnError(BaseException):
    pass


@pytest.mark.parametrize(
    "error", [KeyError("k"), StopIteration(3), _OwnError(), KeyboardInterrupt()]
)
def test_exceptions_are_the_programs_own(error: BaseException, handler: Any) -> None:
    """Tracing changes no program: the very exception comes out, also through a sequence."""

    def fail(_: Any) -> Any:
        raise error

    block = RunnableLambda(fail)
    for one in (block, block | block, RunnableLambda(lambda x: x) | block):
        with pytest.raises(type(error)) as raised:
            one.invoke(1, {"callbacks": [handler]})
        assert raised.value is error
    assert handler.events[-1][:2] == ("on_chain_error", (error,))


async def test_a_stop_iteration_in_a_thread_becomes_a_runtime_error() -> None:
    """A future cannot hold one: without care the caller would wait for ever."""
    with pytest.raises(RuntimeError, match="StopIteration"):
        await RunnableLambda(lambda it: next(it)).ainvoke(iter(()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RunnableLambda(3), "takes a function, not int"),  # type: ignore[call-overload]
        (lambda: RunnableLambda(print, afunc=3), "takes a function, not int"),  # type: ignore[call-overload]
        (lambda: RunnableLambda(double, afunc=double), "beside a sync func only"),
        (lambda: RunnableLambda(double).invoke(1), "use ainvoke"),
        (lambda: list(RunnableLambda(acount).stream(1)), "use ainvoke, astream or abatch"),
    ],
)
def test_what_cannot_work_says_what_to_do(make: Any, message: str) -> None:
    """A wrong function is found where it is given, or called, with the way out."""
    with pytest.raises(ConfigurationError, match=message):
        make()
