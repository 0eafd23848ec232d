"""Token totals on the spans of agents."""

from __future__ import annotations

from concurrent.futures import wait
from typing import Any

import pytest

from callspan import ContextThreadPoolExecutor, traced
from callspan.callbacks import CallbackManager
from callspan.language_models import GenericFakeChatModel
from callspan.messages import AIMessage
from callspan.runnables import RunnableLambda
from support import SpanLog


def ask(tokens: int) -> None:
    """Have a model use this many input tokens, and as many from a cache."""
    details = {"cache_read": tokens}
    usage: Any = {"input_tokens": tokens, "output_tokens": 1, "total_tokens": tokens + 1}
    answer = AIMessage("a", usage_metadata={**usage, "input_token_details": details})
    list(GenericFakeChatModel(messages=iter([answer])).stream("q"))


def usage(spans: SpanLog, name: str) -> dict[str, Any]:
    attributes = spans.named(name).attributes or {}
    return {key[13:]: value for key, value in attributes.items() if key.startswith("gen_ai.usage.")}


def test_models_below_an_agent_are_summed(spans: SpanLog) -> None:
    """What one question costs stands on one span, however deep the models are."""

    @traced(kind="agent")
    def agent() -> None:
        ask(1)
        RunnableLambda(lambda _: ask(10), name="part").invoke(None)

    agent()
    assert usage(spans, "agent") == {
        "input_tokens": 11,
        "output_tokens": 2,
        "cache_read.input_tokens": 11,
    }
    assert usage(spans, "part") == {}


def test_an_agent_within_another_keeps_its_own(spans: SpanLog) -> None:
    """The totals of all agents are those of all models."""

    @traced(kind="agent")
    def inner() -> None:
        ask(10)

    @traced(kind="agent")
    def outer() -> None:
        ask(1)
        inner()
        ask(2)

    outer()
    assert usage(spans, "outer")["input_tokens"] == 3
    assert usage(spans, "inner")["input_tokens"] == 10


def test_models_in_threads_are_counted_each_once(spans: SpanLog) -> None:
    """Tools that run at the same time ask models at the same time."""

    @traced(kind="agent")
    def agent() -> None:
        with ContextThreadPoolExecutor(4) as pool:
            wait([pool.submit(ask, 1) for _ in range(40)])

    agent()
    assert usage(spans, "agent")["input_tokens"] == 40


def test_an_agent_that_fails_has_cost_something(spans: SpanLog) -> None:
    """The expensive ones are often those that went wrong."""

    @traced(kind="agent")
    def agent() -> None:
        ask(5)
        raise KeyError

    with pytest.raises(KeyError):
        agent()
    assert usage(spans, "agent")["input_tokens"] == 5


def test_what_comes_after_the_end_changes_nothing(spans: SpanLog) -> None:
    """A span that was sent is what it is; a late model finds no agent that is open."""
    agent = CallbackManager.configure().on_chain_start({"name": "agent"}, {}, run_type="agent")
    (model,) = agent.get_child().on_chat_model_start({"name": "m"}, [[]])
    agent.on_chain_end({})
    with model.activate():
        ask(3)
    model.on_llm_error(KeyError())
    assert usage(spans, "agent") == {}
