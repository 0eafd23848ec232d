"""Programs of configs, batches, retries, fallbacks, groups, custom events and several handlers."""

from __future__ import annotations

from typing import Any

from oracle import program, program_at_once
from oracle_chains import add_one, awords, fail, words
from oracle_models import model

AT_ONCE: Any = {"wait_exponential_jitter": False}


def fails(*failures: int) -> Any:
    """A function that fails in these calls of it."""
    calls: list[Any] = []

    def failing(x: Any) -> Any:
        calls.append(x)
        if len(calls) in failures:
            raise ValueError(x)
        return x

    return failing


# Configs


@program
async def config_of_a_block(lib: Any, caller: Any) -> Any:
    block = lib.RunnableLambda(add_one).with_config(tags=["own"], run_name="mine")
    return await caller.invoke(block | add_one, 1, tags=["t"], metadata={"k": 1})


@program
async def configs_one_upon_the_other(lib: Any, caller: Any) -> Any:
    block = lib.RunnableLambda(add_one).with_config(tags=["replaced"], metadata={"replaced": 1})
    block = block.with_config({"tags": ["own"], "metadata": {"k": 2, "l": 2}})
    return await caller.invoke(block, 1, tags=["t"], metadata={"k": 3})


@program
async def config_with_handlers(lib: Any, caller: Any) -> Any:
    inner = lib.RunnableLambda(add_one)
    block = lib.RunnableLambda(lambda x: inner.invoke(x)).with_config(callbacks=[caller.handler])
    return await caller.plainly(block | add_one, 1)


@program
async def config_with_a_manager(lib: Any, caller: Any) -> Any:
    cls = lib.AsyncCallbackManager if caller.is_async else lib.CallbackManager
    manager = cls([caller.handler], inheritable_handlers=[], tags=["own"])
    block = lib.RunnableLambda(add_one) | add_one
    return await caller.invoke(block, 1, callbacks=manager)


@program
async def bound_arguments(lib: Any, caller: Any) -> Any:
    block = lib.RunnableLambda(lambda x, y: x + y).bind(y=2)
    return await caller.invoke(lib.RunnableLambda(add_one) | block, 1)


@program
async def passthrough_that_is_told(lib: Any, caller: Any) -> Any:
    return await caller.invoke(lib.RunnablePassthrough() | add_one, 1)


# Batches


@program
async def batch_of_one(lib: Any, caller: Any) -> Any:
    config = {"callbacks": [caller.handler], "tags": ["t"]}
    return await caller.batch(lib.RunnableLambda(add_one), [1], config)


@program_at_once
async def batch(lib: Any, caller: Any) -> Any:
    config = {"callbacks": [caller.handler], "max_concurrency": 2}
    return await caller.batch(lib.RunnableLambda(add_one), [1, 2, 3], config)


@program_at_once
async def batch_with_a_config_each(lib: Any, caller: Any) -> Any:
    configs = [{"callbacks": [caller.handler], "tags": [tag]} for tag in "ab"]
    return await caller.batch(lib.RunnableLambda(add_one), [1, 2], configs)


@program_at_once
async def batch_with_exceptions(lib: Any, caller: Any) -> Any:
    def odd(x: int) -> Any:
        return x if x % 2 else fail(x)

    return await caller.batch(lib.RunnableLambda(odd), [1, 2, 3], return_exceptions=True)


@program_at_once
async def batch_of_a_sequence(lib: Any, caller: Any) -> Any:
    return await caller.batch(lib.RunnableLambda(add_one) | add_one, [1, 2])


@program_at_once
async def batch_of_parallel_parts(lib: Any, caller: Any) -> Any:
    return await caller.batch(lib.RunnableParallel(a=add_one, b=str), [1, 2])


# Retries


@program
async def retried(lib: Any, caller: Any) -> Any:
    block = lib.RunnableLambda(fails(1, 2)).with_retry(**AT_ONCE)
    return await caller.invoke(block, 1, tags=["t"], metadata={"k": 1})


@program
async def retried_in_vain(lib: Any, caller: Any) -> Any:
    block = lib.RunnableLambda(fails(1, 2)).with_retry(stop_after_attempt=2, **AT_ONCE)
    return await caller.invoke(block, 1, run_name="mine")


@program
async def not_retried(lib: Any, caller: Any) -> Any:
    block = lib.RunnableLambda(fails(1)).with_retry(retry_if_exception_type=(KeyError,), **AT_ONCE)
    return await caller.invoke(block, 1)


@program
async def retried_in_a_sequence(lib: Any, caller: Any) -> Any:
    block = lib.RunnableLambda(fails()) | lib.RunnableLambda(fails(1)).with_retry(**AT_ONCE)
    return await caller.invoke(block, 1)


@program
async def retried_sequence(lib: Any, caller: Any) -> Any:
    block = (lib.RunnableLambda(fails()) | fails(1)).with_retry(**AT_ONCE)
    return await caller.invoke(block, 1)


@program
async def retried_with_a_config(lib: Any, caller: Any) -> Any:
    block = lib.RunnableLambda(fails(1)).with_config(tags=["own"], run_name="mine")
    return await caller.invoke(block.with_retry(**AT_ONCE).with_config(metadata={"k": 1}), 1)


@program
async def retried_with_arguments(lib: Any, caller: Any) -> Any:
    failing = fails(1)
    block = lib.RunnableLambda(lambda x, y: failing(x + y)).bind(y=2)
    return await caller.invoke(block.with_retry(**AT_ONCE), 1)


@program_at_once
async def retried_batch(lib: Any, caller: Any) -> Any:
    failing = {1: fails(1, 2, 3), 2: fails(1), 3: fails()}
    block = lib.RunnableLambda(lambda x: failing[x](x)).with_retry(**AT_ONCE)
    return await caller.batch(block, [1, 2, 3], return_exceptions=True)


# Fallbacks


def or_else(lib: Any, first: Any, *others: Any, **options: Any) -> Any:
    fallbacks = [lib.RunnableLambda(one) for one in others]
    return lib.RunnableLambda(first).with_fallbacks(fallbacks, **options)


@program
async def fallback_that_is_not_needed(lib: Any, caller: Any) -> Any:
    return await caller.invoke(or_else(lib, add_one, fail), 1)


@program
async def fallback(lib: Any, caller: Any) -> Any:
    return await caller.invoke(or_else(lib, fail, add_one), 1)


@program
async def fallback_after_fallback(lib: Any, caller: Any) -> Any:
    return await caller.invoke(or_else(lib, fail, fails(1), add_one), 1)


@program
async def fallbacks_that_all_fail(lib: Any, caller: Any) -> Any:
    return await caller.invoke(or_else(lib, fail, fails(1)), 1)


@program
async def fallback_for_another_error(lib: Any, caller: Any) -> Any:
    return await caller.invoke(or_else(lib, fail, add_one, exceptions_to_handle=(OSError,)), 1)


@program
async def fallback_that_is_told_the_error(lib: Any, caller: Any) -> Any:
    block = or_else(lib, fail, lambda x: type(x["error"]).__name__, exception_key="error")
    return await caller.invoke(block, {"x": 1})


@program
async def fallback_streamed(lib: Any, caller: Any) -> Any:
    return await caller.stream(or_else(lib, fail, add_one), 1)


@program
async def fallback_of_a_model(lib: Any, caller: Any) -> Any:
    broken = lib.FakeListChatModel(responses=["a"]).with_config(run_name="broken") | fail
    return await caller.invoke(broken.with_fallbacks([model(lib)]), "hi")


# Groups and custom events


@program
async def group(lib: Any, caller: Any) -> Any:
    block = lib.RunnableLambda(add_one)
    if caller.is_async:
        async with lib.atrace_as_chain_group("group", inputs={"x": 1}, tags=["g"]) as manager:
            manager.add_handler(caller.handler)
            result = await block.ainvoke(1, {"callbacks": manager, "tags": ["t"]})
            await manager.on_chain_end({"y": result})
        return result
    with lib.trace_as_chain_group("group", inputs={"x": 1}, tags=["g"]) as manager:
        manager.add_handler(caller.handler)
        result = block.invoke(1, {"callbacks": manager, "tags": ["t"]})
        manager.on_chain_end({"y": result})
    return result


@program
async def custom_events(lib: Any, caller: Any) -> Any:
    def told(x: int) -> int:
        lib.dispatch_custom_event("mine", {"x": x})
        return x

    async def atold(x: int) -> int:
        await lib.adispatch_custom_event("mine", {"x": x})
        return x

    block = lib.RunnableLambda(told, atold)
    return await caller.invoke(block | add_one, 1, tags=["t"], metadata={"k": 1})


# Several handlers


@program
async def two_handlers(lib: Any, caller: Any) -> Any:
    handlers = [caller.handler, caller.another("second", run_inline=True)]
    return await caller.invoke(lib.RunnableLambda(add_one) | add_one, 1, callbacks=handlers)


@program
async def handler_that_ignores_chains(lib: Any, caller: Any) -> Any:
    deaf = caller.another("deaf", run_inline=True, ignore_chain=True)
    chain = lib.RunnableLambda(add_one) | str | model(lib)
    return await caller.invoke(chain, 1, callbacks=[caller.handler, deaf])


@program
async def handler_by_two_ways(lib: Any, caller: Any) -> Any:
    own = model(lib, callbacks=[caller.handler])
    return await caller.invoke(own, "hi", callbacks=[caller.handler, caller.handler])


@program
async def handlers_of_a_nested_call(lib: Any, caller: Any) -> Any:
    own = caller.another("nested", run_inline=True)
    inner = lib.RunnableLambda(add_one)
    outer = lib.RunnableLambda(lambda x: inner.invoke(x, {"callbacks": [own]}))
    return await caller.invoke(outer, 1, tags=["t"])


@program
async def handler_that_fails(lib: Any, caller: Any) -> Any:
    raising = caller.another("raising", run_inline=True, raise_error=True)

    def raises(*args: Any, **kwargs: Any) -> None:
        raise KeyError("handler")

    raising.on_chain_start = raises
    handlers = [raising, caller.another("after")]
    return await caller.invoke(lib.RunnableLambda(add_one), 1, callbacks=handlers)


@program
async def stream_with_a_config(lib: Any, caller: Any) -> Any:
    block = lib.RunnableLambda(words, awords).with_config(tags=["own"], run_name="mine")
    return await caller.stream(block, "x", metadata={"k": 1})
