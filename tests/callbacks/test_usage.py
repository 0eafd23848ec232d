"""Token sums: UsageMetadataCallbackHandler and get_usage_metadata_callback."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from contextlib import suppress
from typing import Any

import langchain_core.callbacks as langchain
import langchain_core.messages as langchain_messages
import langchain_core.outputs as langchain_outputs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callspan.callbacks import (
    AsyncCallbackManager,
    CallbackManager,
    UsageMetadataCallbackHandler,
    get_usage_metadata_callback,
)
from callspan.callbacks.threads import ContextThreadPoolExecutor
from callspan.messages import AIMessage, HumanMessage, UsageMetadata
from callspan.outputs import ChatGeneration, Generation, LLMResult

ONE = UsageMetadata(input_tokens=3, output_tokens=2, total_tokens=5)


def answer(model: str | None = "m", usage: UsageMetadata | None = ONE) -> LLMResult:
    """What a chat model's run ends with."""
    response = {} if model is None else {"model_name": model}
    message = AIMessage("hi", usage_metadata=usage, response_metadata=response)
    return LLMResult(generations=[[ChatGeneration(message=message)]])


def ask(result: LLMResult | None = None) -> None:
    """One run of a chat model, that hears nobody but who is around."""
    (run,) = CallbackManager.configure().on_chat_model_start(
        {"name": "model"}, [[HumanMessage("?")]]
    )
    run.on_llm_end(result or answer())


async def aask() -> None:
    """As `ask`, async."""
    manager = AsyncCallbackManager.configure()
    (run,) = await manager.on_chat_model_start({"name": "model"}, [[HumanMessage("?")]])
    await run.on_llm_end(answer())


counts = st.integers(0, 10_000)
usages = st.builds(
    lambda given, taken, details: {
        "input_tokens": given,
        "output_tokens": taken,
        "total_tokens": given + taken,
        **details,
    },
    counts,
    counts,
    st.fixed_dictionaries(
        {},
        optional={
            "input_token_details": st.fixed_dictionaries(
                {}, optional={"cache_read": counts, "audio": counts}
            ),
            "output_token_details": st.fixed_dictionaries({}, optional={"reasoning": counts}),
        },
    ),
)


@given(calls=st.lists(st.tuples(st.sampled_from(["a", "b", "", None]), st.none() | usages)))
def test_sums_are_langchains(calls: list[tuple[str | None, Any]]) -> None:
    """Bills are made from these sums: they must not change with the import."""
    ours, theirs = UsageMetadataCallbackHandler(), langchain.UsageMetadataCallbackHandler()
    for model, usage in calls:
        ours.on_llm_end(answer(model, usage))
        message = langchain_messages.AIMessage(
            "hi", usage_metadata=usage, response_metadata={"model_name": model}
        )
        generation = langchain_outputs.ChatGeneration(message=message)
        theirs.on_llm_end(langchain_outputs.LLMResult(generations=[[generation]]))
    assert ours.usage_metadata == theirs.usage_metadata
    assert repr(ours) == str(ours.usage_metadata)


@pytest.mark.parametrize(
    "result",
    [
        LLMResult(generations=[]),
        LLMResult(generations=[[]]),
        LLMResult(generations=[[Generation(text="text model")]]),
        LLMResult(generations=[[ChatGeneration(message=HumanMessage("no answer"))]]),
        answer(model=None),
        answer(usage=None),
    ],
)
def test_an_answer_without_usage_counts_nothing(
    result: LLMResult, caplog: pytest.LogCaptureFixture
) -> None:
    """Text models, fake models and empty results are common, and no cause for a warning."""
    with get_usage_metadata_callback() as usage:
        ask(result)
    assert usage.usage_metadata == {}
    assert not caplog.records


def test_an_answer_keeps_its_own_counts() -> None:
    """The first answer's counts must not grow into the sum of all."""
    first = answer()
    with get_usage_metadata_callback() as usage:
        ask(first)
        ask()
    assert first == answer()
    assert usage.usage_metadata["m"]["total_tokens"] == 10


def test_threads_lose_no_count() -> None:
    """A batch runs its models in threads; a lost update is a wrong bill."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with get_usage_metadata_callback() as usage, ContextThreadPoolExecutor(8) as pool:
            for _ in range(400):
                pool.submit(ask)
    finally:
        sys.setswitchinterval(interval)
    assert usage.usage_metadata == {
        "m": {"input_tokens": 1200, "output_tokens": 800, "total_tokens": 2000}
    }


def test_runs_of_the_block_count_and_no_others() -> None:
    """Counting the calls after the block too was a bug of langchain's (#38989)."""
    ask()
    with get_usage_metadata_callback(name="mine") as usage:
        chain = CallbackManager.configure().on_chain_start({"name": "chain"}, {})
        with chain.activate():
            ask()
        chain.on_chain_end({})
    ask()
    with suppress(ZeroDivisionError), get_usage_metadata_callback() as failed:
        ask()
        raise ZeroDivisionError
    ask()
    assert usage.usage_metadata == failed.usage_metadata == {"m": ONE}


def test_blocks_nest() -> None:
    """A library that counts its own calls must not take them from its caller's count."""
    with get_usage_metadata_callback() as outer:
        ask()
        with get_usage_metadata_callback() as inner:
            ask()
    assert inner.usage_metadata == {"m": ONE}
    assert outer.usage_metadata["m"]["total_tokens"] == 10


async def test_concurrent_tasks_count_their_own() -> None:
    """A server counts each request; requests overlap."""

    async def request(calls: int) -> int:
        with get_usage_metadata_callback() as usage:
            for _ in range(calls):
                await aask()
                await asyncio.to_thread(ask)
        return usage.usage_metadata["m"]["total_tokens"]

    assert tuple(await asyncio.gather(request(2), request(3))) == (20, 30)


def test_nothing_is_left_behind() -> None:
    """A block a request must not leave a hook a request behind (langchain-ai/langchain#32300)."""
    handlers = []
    for _ in range(5):
        with get_usage_metadata_callback() as usage:
            ask()
        handlers.append(weakref.ref(usage))
        del usage
    gc.collect()
    assert [ref() for ref in handlers] == [None] * 5
    chain = CallbackManager.configure()
    assert chain.handlers == []
