"""The cache for models: a hit is a run that asks nobody and costs nothing."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from callspan import ConfigurationError, OTelCallbackHandler
from callspan.caches import BaseCache, InMemoryCache, get_llm_cache, set_llm_cache
from callspan.callbacks import get_usage_metadata_callback
from callspan.language_models import BaseChatModel, FakeListChatModel, FakeListLLM
from callspan.messages import AIMessage, HumanMessage
from callspan.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, Generation, LLMResult


class Counting(BaseChatModel):
    """A chat model whose answers tell them apart."""

    temperature: float = 0.0
    asked: int = 0

    @property
    def _llm_type(self) -> str:
        return "counting"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"temperature": self.temperature}

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        self.asked += 1
        usage = {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30}
        message = AIMessage(content=str(self.asked), usage_metadata=usage)
        output = {"model_name": "count-1", "token_usage": {"prompt_tokens": 10}}
        return ChatResult(generations=[ChatGeneration(message=message)], llm_output=output)


class CountingText(FakeListLLM):
    asked: list[list[str]]

    def _generate(self, prompts: list[str], *args: Any, **kwargs: Any) -> LLMResult:
        self.asked.append(prompts)
        result = super()._generate(prompts)
        result.llm_output = {"token_usage": {"prompt_tokens": 5, "completion_tokens": 6}}
        return result


@pytest.fixture
def process_cache() -> Iterator[InMemoryCache]:
    cache = InMemoryCache()
    set_llm_cache(cache)
    yield cache
    set_llm_cache(None)


async def test_the_same_question_is_asked_once() -> None:
    """Which is what a cache is for, whichever way the model is called."""
    model = Counting(cache=InMemoryCache())
    assert model.invoke("hi").content == "1"
    assert (await model.ainvoke([HumanMessage("hi", id="another")])).content == "1"
    assert model.generate(["hi", "hi"]).generations[1][0].text == "1"
    assert [part.content for part in model.stream("hi")] == ["1"]
    assert model.invoke("bye").content == "2"


def test_other_settings_are_another_question() -> None:
    """An answer at another temperature, or to other stops or tools, would be the wrong one."""
    cache = InMemoryCache()
    model = Counting(cache=cache)
    model.invoke("hi")
    model.invoke("hi", stop=["."])
    model.invoke("hi", tools=[{"name": "t"}])
    assert model.asked == 3
    assert Counting(cache=cache, temperature=1).invoke("hi").content == "1"
    assert model.invoke("hi").content == "1"


def test_models_that_do_not_say_what_identifies_them_differ_by_their_fields() -> None:
    """Two models of the user's share the cache of the process, and not their answers."""

    class Prefixed(Counting):
        prefix: str

        @property
        def _identifying_params(self) -> dict[str, Any]:
            return {}

        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
            message = AIMessage(content=self.prefix)
            return ChatResult(generations=[ChatGeneration(message=message)])

    cache = InMemoryCache()
    models = [Prefixed(prefix=prefix, cache=cache) for prefix in "ab"]
    assert [one.invoke("hi").content for one in models] == ["a", "b"]


def test_a_hit_is_a_run_that_says_so_and_uses_no_tokens(spans: Any) -> None:
    """The tokens were paid for once; a trace without the run would not show where time went."""
    model = Counting(cache=InMemoryCache())
    config: Any = {"callbacks": [OTelCallbackHandler(capture_content=True)]}
    with get_usage_metadata_callback() as used:
        first, second = model.invoke("hi", config), model.invoke("hi", config)
    asked, hit = spans.ended
    assert used.usage_metadata["count-1"]["total_tokens"] == 30
    assert "callspan.run.cached" not in asked.attributes
    assert hit.attributes["callspan.run.cached"] is True
    assert asked.attributes["gen_ai.usage.input_tokens"] == 10
    assert not [key for key in hit.attributes if key.startswith("gen_ai.usage")]
    for key in ("gen_ai.output.messages", "gen_ai.response.model", "callspan.run.outcome"):
        assert hit.attributes.get(key) == asked.attributes.get(key)
    assert second.response_metadata == {"model_name": "count-1"}
    assert first.id != second.id


def test_handlers_of_a_hit_hear_start_and_end(handler: Any) -> None:
    """A handler that counts runs must not lose those that were cheap."""
    model = Counting(cache=InMemoryCache())
    for _ in range(2):
        model.invoke("hi", {"callbacks": [handler]})
    assert handler.events.methods == ["on_chat_model_start", "on_llm_end"] * 2
    assert [one.get("cached") for one in handler.events.of("on_llm_end")] == [None, True]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_batch_of_prompts_asks_for_what_is_missing(is_async: bool, spans: Any) -> None:
    """One call with the new prompts; each answer goes to its own prompt and run."""
    model = CountingText(responses=list("xyz"), cache=InMemoryCache(), asked=[])
    config: Any = {"callbacks": [OTelCallbackHandler()]}
    assert model.invoke("b") == "x"
    batch = ["a", "b", "c"]
    answers = await model.abatch(batch, config) if is_async else model.batch(batch, config)
    assert answers == ["y", "x", "z"]
    assert model.asked == [["b"], ["a", "c"]]
    by_start = sorted(spans.ended[1:], key=lambda span: span.start_time)
    assert [s.attributes.get("callspan.run.cached") for s in by_start] == [None, True, None]
    tokens = [s.attributes.get("gen_ai.usage.input_tokens") for s in by_start]
    assert tokens == [5, None, None]
    assert model.batch(batch) == ["y", "x", "z"]
    assert len(model.asked) == 2


def test_what_callers_do_to_an_answer_is_theirs() -> None:
    """A chain that edits the message it gets must not edit everybody's."""
    model = Counting(cache=InMemoryCache())
    for _ in range(3):
        answer = model.invoke("hi")
        assert answer.content == "1"
        assert "x" not in answer.additional_kwargs
        answer.content = "changed"
        answer.additional_kwargs["x"] = 1


def test_streams_ask_the_model() -> None:
    """As in langchain_core: an answer from a cache does not come in chunks."""

    class Streaming(Counting):
        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
            raise KeyError("asked")

    model = Streaming(cache=InMemoryCache())
    model.invoke("hi")
    with pytest.raises(KeyError, match="asked"):
        list(model.stream("hi"))


def test_the_cache_of_the_process_is_for_models_that_do_not_refuse_it(
    process_cache: InMemoryCache,
) -> None:
    """None: it is used where it is; True: it has to be there; False: never; one's own: that."""
    assert get_llm_cache() is process_cache
    for own, answer in ((None, "a"), (True, "a"), (False, "b"), (InMemoryCache(), "b")):
        FakeListChatModel(responses=["a", "b"]).invoke("hi")
        model = FakeListChatModel(responses=["a", "b"], i=1, cache=own)
        assert model.invoke("hi").content == answer


def test_a_cache_that_is_wanted_and_not_there_is_an_error(handler: Any) -> None:
    """Without it every call would be paid for, in silence; no run starts that could not end."""
    with pytest.raises(ConfigurationError, match="set_llm_cache"):
        Counting(cache=True).invoke("hi", {"callbacks": [handler]})
    assert handler.events == []
    with pytest.raises(ValidationError, match="BaseCache"):
        Counting(cache={})


class Broken(BaseCache):
    """A cache whose server is away."""

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        raise ConnectionError("no cache server")

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        raise ConnectionError("no cache server")

    def clear(self, **kwargs: Any) -> None:
        raise ConnectionError("no cache server")


async def test_a_broken_cache_is_a_warning_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """A cache is there to help; its log lines, one a call, would not."""
    model = Counting(cache=Broken())
    with caplog.at_level(logging.WARNING, "callspan"):
        assert [model.invoke("hi").content for _ in range(2)] == ["1", "2"]
        assert (await model.ainvoke("hi")).content == "3"
    assert len(caplog.messages) == 2
    assert all("no cache server" in one for one in caplog.messages)


@pytest.mark.parametrize("found", ["text", [3], [Generation(text="a text model's")], []])
def test_what_a_cache_should_not_hold_is_no_answer(found: Any) -> None:
    """Entries of another version, or program, are like none."""

    class Holding(Broken):
        def lookup(self, *args: Any) -> Any:
            return found

    assert Counting(cache=Holding()).invoke("hi").content == "1"


async def test_a_cache_of_ones_own_is_awaited_by_async_callers() -> None:
    """A cache over the network must not block the event loop."""
    kept: dict[Any, Any] = {}

    class Own(Broken):
        async def alookup(self, prompt: str, llm_string: str) -> Any:
            return kept.get((prompt, llm_string))

        async def aupdate(self, prompt: str, llm_string: str, return_val: Any) -> None:
            kept[prompt, llm_string] = return_val

    model = Counting(cache=Own())
    assert [(await model.ainvoke("hi")).content for _ in range(2)] == ["1", "1"]


@given(st.integers(1, 4), st.lists(st.tuples(st.integers(0, 5), st.booleans())))
def test_in_memory_cache_keeps_the_newest(maxsize: int, steps: list[tuple[int, bool]]) -> None:
    """A process that runs for months must not keep all its prompts."""
    cache, model = InMemoryCache(maxsize=maxsize), dict[str, str]()
    for key, writes in ((str(number), writes) for number, writes in steps):
        if writes:
            cache.update(key, "m", [Generation(text=key)])
            model[key] = key
            if len(model) > maxsize:
                del model[next(iter(model))]
        found = cache.lookup(key, "m")
        assert (found[0].text if found else None) == model.get(key)
    cache.clear()
    assert all(cache.lookup(key, "m") is None for key in model)


async def test_in_memory_cache_refuses_no_room() -> None:
    """With no room it would keep nothing, or fail at the first answer."""
    with pytest.raises(ConfigurationError, match="positive whole number, not 0"):
        InMemoryCache(maxsize=0)
    with pytest.raises(ConfigurationError, match="maxsize takes a positive whole number, not '5'"):
        InMemoryCache(maxsize="5")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="takes a cache or None, not 5"):
        set_llm_cache(5)  # type: ignore[arg-type]
    cache = InMemoryCache()
    await cache.aupdate("p", "m", [Generation(text="x")])
    await cache.aclear()
    assert await cache.alookup("p", "m") is None


def test_a_copied_model_shares_its_cache() -> None:
    """Settings are copied in many programs, and the copy is not to pay for the same answer."""
    one = FakeListChatModel(responses=["a", "b"], cache=InMemoryCache())
    assert one.invoke("q").text == "a"
    for other in (copy.deepcopy(one), one.model_copy(deep=True)):
        assert other.invoke("q").text == "a"
