"""Several inputs at the same time."""

from __future__ import annotations

import asyncio
import gc
import threading
import uuid
from typing import Any

import pytest
from opentelemetry import trace

from callspan.errors import ConfigurationError, InputError
from callspan.language_models import FakeListLLM
from callspan.outputs import LLMResult
from callspan.runnables import RunnableLambda, RunnableParallel, RunnablePassthrough


class Crowd:
    """A function that ends only when so many calls of it are inside at the same time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.barrier = threading.Barrier(size, timeout=20)
        self.inside = self.most = 0
        self.all_in = asyncio.Event()
        self.lock = threading.Lock()

    def enter(self, by: int) -> None:
        with self.lock:
            self.inside += by
            self.most = max(self.most, self.inside)

    def sync(self, x: int) -> int:
        self.enter(1)
        self.barrier.wait()
        self.enter(-1)
        return x

    async def asynchronous(self, x: int) -> int:
        self.enter(1)
        if self.inside == self.size:
            self.all_in.set()
        await asyncio.wait_for(self.all_in.wait(), 20)
        await asyncio.sleep(0)
        self.enter(-1)
        return x


def test_a_batch_runs_at_the_same_time_and_keeps_the_order() -> None:
    """Four calls that take a second take one second, and the answers match the questions."""
    assert RunnableLambda(Crowd(4).sync).batch([1, 2, 3, 4]) == [1, 2, 3, 4]


async def test_an_async_batch_runs_at_the_same_time_and_keeps_the_order() -> None:
    """The same for tasks."""
    assert await RunnableLambda(Crowd(4).asynchronous).abatch([1, 2, 3, 4]) == [1, 2, 3, 4]


async def test_max_concurrency_is_the_limit() -> None:
    """It is there to keep within a provider's rate: one call too many is an error."""
    sync, asynchronous = Crowd(2), Crowd(2)
    config: Any = {"max_concurrency": 2}
    assert RunnableLambda(sync.sync).batch([1, 2, 3, 4], config) == [1, 2, 3, 4]
    inputs = [1, 2, 3, 4]
    assert await RunnableLambda(asynchronous.asynchronous).abatch(inputs, config) == inputs
    assert (sync.most, asynchronous.most) == (2, 2)


async def test_results_come_as_they_complete() -> None:
    """A fast answer need not wait for a slow one before it."""
    first_taken = threading.Event()

    def slow_one(x: int) -> int:
        if x == 0:
            assert first_taken.wait(20)
        return x

    block = RunnableLambda(slow_one)
    results = block.batch_as_completed([0, 1])
    assert next(results) == (1, 1)
    first_taken.set()
    assert list(results) == [(0, 0)]

    first_taken.clear()
    aresults = block.abatch_as_completed([0, 1])
    assert await anext(aresults) == (1, 1)
    first_taken.set()
    assert [r async for r in aresults] == [(0, 0)]


def odd(x: int) -> int:
    if x % 2 == 0:
        raise KeyError(x)
    return x


async def aodd(x: int) -> int:
    return odd(x)


async def test_exceptions_can_be_returned() -> None:
    """One bad document out of a thousand must not lose the others."""
    block = RunnableLambda(odd, afunc=aodd)
    results = block.batch([1, 2, 3], return_exceptions=True)
    aresults = await block.abatch([1, 2, 3], return_exceptions=True)
    completed = dict(block.batch_as_completed([1, 2, 3], return_exceptions=True))
    acompleted = {
        k: v async for k, v in block.abatch_as_completed([1, 2, 3], return_exceptions=True)
    }
    for one in (results, aresults, completed, acompleted):
        assert (one[0], one[2]) == (1, 3)
        assert isinstance(one[1], KeyError)


async def test_the_first_exception_in_the_inputs_order_is_raised() -> None:
    """Which error the program sees does not depend on the speed of threads."""
    block = RunnableLambda(odd, afunc=aodd)
    for _ in range(20):
        with pytest.raises(KeyError, match="2"):
            block.batch([1, 2, 4, 6])
        with pytest.raises(KeyError, match="2"):
            await block.abatch([1, 2, 4, 6])
    gc.collect()  # asyncio logs, of an exception that nobody looked at, when its task is garbage


async def test_nothing_goes_on_behind_a_failed_batch(handler: Any) -> None:
    """The other calls are cancelled, and have ended when the error comes out."""
    never = asyncio.Event()

    async def wait_or_fail(x: int) -> None:
        if x == 0:
            await asyncio.sleep(0)
            raise KeyError(x)
        await never.wait()

    with pytest.raises(KeyError):
        await RunnableLambda(wait_or_fail).abatch([0, 1, 2], {"callbacks": [handler]})
    errors = [type(args[0]) for m, args, _ in handler.events if m == "on_chain_error"]
    assert sorted(errors, key=str) == sorted(
        [KeyError, asyncio.CancelledError, asyncio.CancelledError], key=str
    )
    assert len(asyncio.all_tasks()) == 1


async def test_an_abandoned_batch_is_stopped() -> None:
    """A caller that has what it wants closes the iterator; the rest is cancelled."""
    cancelled = []

    async def wait(x: int) -> int:
        if x:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(x)
                raise
        return x

    results = RunnableLambda(wait).abatch_as_completed([0, 1, 2])
    assert await anext(results) == (0, 0)
    await results.aclose()
    assert sorted(cancelled) == [1, 2]


def test_each_item_is_a_run_of_its_own(handler: Any) -> None:
    """Items are siblings: one trace each, or all under the run around them."""
    block = RunnableLambda(odd)
    configs: Any = [{"callbacks": [handler], "tags": [tag], "run_name": tag} for tag in "ab"]
    block.batch([1, 3], configs)
    starts = handler.events.of("on_chain_start")
    assert sorted((kw["name"], kw["tags"]) for kw in starts) == [("a", ["a"]), ("b", ["b"])]
    assert [kw["parent_run_id"] for kw in starts] == [None, None]

    handler.events.clear()
    outer = RunnableLambda(lambda xs: block.batch(xs), name="outer")
    outer.invoke([1, 3], {"callbacks": [handler]})
    first, *items = handler.events.of("on_chain_start")
    assert [kw["parent_run_id"] for kw in items] == [first["run_id"]] * 2


def test_items_in_threads_have_their_runs_context(spans: Any) -> None:
    """A span that an item's function starts belongs to that item."""

    def work(x: int) -> int:
        with trace.get_tracer("user").start_as_current_span(f"inside {x}"):
            return x

    block = RunnableLambda(work)
    block.batch([1, 2], [{"run_name": "one"}, {"run_name": "two"}])
    assert spans.parent_of("inside 1") == "one"
    assert spans.parent_of("inside 2") == "two"


def test_a_run_id_is_the_first_items() -> None:
    """Two runs with one id would be one run to every tracer."""
    seen = []
    block = RunnableLambda(lambda x, run_manager: seen.append(run_manager.run_id))
    run_id = uuid.uuid4()
    with pytest.warns(RuntimeWarning, match="first item"):
        block.batch([1, 2], {"run_id": run_id, "max_concurrency": 1})
    assert seen[0] == run_id != seen[1]


def test_bad_batches_say_what_is_wrong() -> None:
    """A limit of nothing would wait for ever; configs that do not match are a mistake."""
    block = RunnableLambda(odd)
    with pytest.raises(ConfigurationError, match="got 1 for 2 inputs"):
        block.batch([1, 3], [{}])
    with pytest.raises(ConfigurationError, match="positive whole number, not 0"):
        block.batch([1, 3], {"max_concurrency": 0})
    with pytest.raises(ConfigurationError, match="positive whole number, not 'a'"):
        block.batch([1, 3], {"max_concurrency": "a"})  # type: ignore[typeddict-item]
    with pytest.raises(InputError, match="a batch takes a list of inputs, not int"):
        block.batch(5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a batch takes a list of inputs, not generator"):
        block.batch_as_completed(one for one in [1])  # type: ignore[arg-type]
    for wrong in ("text", {"k": 1}):
        with pytest.raises(InputError, match="takes a list of inputs, not"):
            block.batch(wrong)  # type: ignore[arg-type]
    assert block.batch([]) == []
    assert list(block.batch_as_completed([])) == []


async def test_a_parallel_block_runs_its_parts_at_the_same_time() -> None:
    """Two retrievals take the time of one."""
    crowd = Crowd(3)
    block = RunnableParallel(a=crowd.sync, b=crowd.sync, c={"d": crowd.sync})
    assert block.invoke(1) == {"a": 1, "b": 1, "c": {"d": 1}}
    acrowd = Crowd(2)
    ablock = RunnableParallel(a=acrowd.asynchronous, b=acrowd.asynchronous)
    assert await ablock.ainvoke(1) == {"a": 1, "b": 1}


async def test_a_parallel_stream_runs_its_parts_at_the_same_time() -> None:
    """A slow branch does not hold up a fast one."""
    crowd, acrowd = Crowd(2), Crowd(2)
    assert len(list(RunnableParallel(a=crowd.sync, b=crowd.sync).stream(1))) == 2
    ablock = RunnableParallel(a=acrowd.asynchronous, b=acrowd.asynchronous)
    assert len([c async for c in ablock.astream(1)]) == 2


async def test_a_parallel_block_keeps_to_max_concurrency() -> None:
    """The limit counts for every kind of doing things at the same time."""
    crowd = Crowd(1)
    config: Any = {"max_concurrency": 1}
    block = RunnableParallel(a=crowd.sync, b=crowd.sync, c=crowd.sync)
    assert block.invoke(1, config) == {"a": 1, "b": 1, "c": 1}
    assert len(list(block.stream(1, config))) == 3
    assert crowd.most == 1


async def test_a_failing_part_ends_the_others(handler: Any) -> None:
    """A parallel block that fails leaves no run open."""

    async def wait(_: int) -> None:
        await asyncio.Event().wait()

    block = RunnableParallel(bad=aodd, waits=wait)
    with pytest.raises(KeyError):
        await block.ainvoke(2, {"callbacks": [handler]})
    assert sorted(handler.events.methods) == ["on_chain_error"] * 3 + ["on_chain_start"] * 3
    handler.events.clear()
    with pytest.raises(KeyError):
        _ = [c async for c in block.astream(2, {"callbacks": [handler]})]
    assert sorted(handler.events.methods) == ["on_chain_error"] * 3 + ["on_chain_start"] * 3


def test_a_key_need_not_be_text() -> None:
    """A dict of blocks by number, an id say, is a block like others."""
    block = RunnableLambda(odd) | {5: odd, "a": odd}
    assert block.invoke(1) == {5: 1, "a": 1}


def test_parallel_blocks_are_made_of_dicts_and_keywords() -> None:
    """Each form that langchain_core's users write."""
    assert RunnableParallel({"a": odd}, name=odd).invoke(1) == {"a": 1, "name": 1}
    with pytest.raises(ConfigurationError, match="RunnableParallel takes a dict of blocks by key"):
        RunnableParallel([odd])  # type: ignore[arg-type]
    assert (RunnableLambda(odd) | {"a": odd}).invoke(1) == {"a": 1}
    assert ({"a": odd} | RunnableLambda(lambda d: d["a"])).invoke(1) == 1


def test_assign_adds_to_the_input_and_replaces() -> None:
    """What is assigned wins over what was there."""
    block = RunnablePassthrough.assign(a=lambda d: d["b"] + 1)
    assert block.invoke({"a": 0, "b": 1}) == {"a": 2, "b": 1}
    with pytest.raises(ValueError, match="adds to a dict, but its input is int"):
        block.invoke(1)  # type: ignore[arg-type]


class _Asked(FakeListLLM):
    asked: Any

    def _generate(self, prompts: list[str], *args: Any, **kwargs: Any) -> LLMResult:
        self.asked.append(prompts)
        return super()._generate(prompts, *args, **kwargs)


@pytest.mark.parametrize("kwargs", [{}, {"max_concurrency": 2}], ids=["bare", "limited"])
def test_a_bound_model_is_asked_once_for_a_batch(kwargs: Any) -> None:
    """A model asked once for each prompt of a batch costs as many requests."""
    model = _Asked(responses=["a"], asked=[])
    model.bind(stop=["."]).with_config(tags=["t"], **kwargs).batch(["x", "y", "z"])
    assert model.asked == ([["x", "y"], ["z"]] if kwargs else [["x", "y", "z"]])


def test_the_limit_of_a_bound_config_is_kept() -> None:
    """Whoever sets max_concurrency once, for all calls, does so to spare a service."""
    crowd = Crowd(2)
    block = RunnableLambda(crowd.sync).with_config(max_concurrency=2)
    assert block.batch([1, 2, 3, 4]) == [1, 2, 3, 4]
    completed = block.batch_as_completed([1, 2, 3, 4])
    assert sorted(completed) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert crowd.most == 2
