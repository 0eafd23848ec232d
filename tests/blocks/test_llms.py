"""Text models: one call of the model for a batch of prompts, and a run for each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from pydantic import ValidationError

from callspan import InputError, OTelCallbackHandler
from callspan.callbacks import BaseCallbackHandler
from callspan.language_models import BaseLLM, FakeListLLM
from callspan.messages import HumanMessage, SystemMessage
from callspan.outputs import Generation, GenerationChunk, LLMResult
from support import current, recording

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


class Upper(BaseLLM):
    """A model that shouts; `asked` are the calls of `_generate`."""

    asked: list[list[str]]

    @property
    def _llm_type(self) -> str:
        return "upper"

    def _generate(self, prompts: list[str], *args: Any, **kwargs: Any) -> LLMResult:
        self.asked.append(list(prompts))
        if "fail" in prompts:
            raise KeyError("fail")
        answers = [[Generation(text=one.upper())] for one in prompts]
        return LLMResult(generations=answers, llm_output={"token_usage": USAGE})

    def _stream(self, prompt: str, *args: Any, **kwargs: Any) -> Iterator[GenerationChunk]:
        for word in prompt.split():
            yield GenerationChunk(text=word)
            if word == "fail":
                raise KeyError("fail")


@pytest.mark.parametrize("broken", ["start", "body"])
def test_every_run_that_starts_ends(broken: str) -> None:
    """A prompt whose start a handler refuses must not leave the runs before it open for ever."""

    class Refusing(BaseCallbackHandler):
        raise_error = True
        run_inline = True

        def on_llm_start(self, serialized: Any, prompts: list[str], **kwargs: Any) -> None:
            if prompts == ["c"]:
                raise KeyError(prompts[0])

    handler, refusing = recording(run_inline=True), Refusing()
    prompts = ["a", "b", "c" if broken == "start" else "fail"]
    configs = [{"callbacks": [handler, refusing]} for _ in prompts]
    with pytest.raises(KeyError):
        Upper(asked=[]).batch(prompts, configs)
    started = [event["run_id"] for event in handler.events.of("on_llm_start")]
    ended = [event["run_id"] for event in handler.events.of("on_llm_error")]
    assert len(started) == 3
    assert sorted(started) == sorted(ended)


def test_spans_have_each_its_prompt_and_the_usage_once(spans: Any) -> None:
    """Three spans with the whole batch's tokens on each would add up to three times the bill."""
    handler = OTelCallbackHandler(capture_content=True)
    Upper(asked=[], name="upper").batch(["a", "b"], {"callbacks": [handler]})
    first, second = sorted(spans.ended, key=lambda span: span.start_time)
    assert "callspan.run.cached" not in first.attributes
    assert {span.attributes["callspan.run.type"] for span in spans.ended} == {"llm"}
    assert first.attributes["gen_ai.usage.input_tokens"] == 3
    assert "gen_ai.usage.input_tokens" not in second.attributes
    for span, prompt in ((first, "a"), (second, "b")):
        assert f'"content":"{prompt}"' in span.attributes["gen_ai.input.messages"]
        assert f'"content":"{prompt.upper()}"' in span.attributes["gen_ai.output.messages"]
        assert span.parent is None


def test_spans_have_no_prompts_unless_asked_for(spans: Any) -> None:
    """Prompts are the users' own words."""
    Upper(asked=[]).invoke("a secret", {"callbacks": [OTelCallbackHandler()]})
    assert "secret" not in str([dict(span.attributes) for span in spans.ended]).lower()


def test_the_first_prompts_run_is_current_while_the_model_works(spans: Any) -> None:
    """The request's own span belongs below a run, and nothing stays current after it."""
    seen: list[str] = []

    class Looking(FakeListLLM):
        def _generate(self, prompts: list[str], *args: Any, **kwargs: Any) -> LLMResult:
            seen.append(current())
            return super()._generate(prompts)

    configs = [{"callbacks": [OTelCallbackHandler()], "run_name": name} for name in "ab"]
    Looking(responses=["x"]).batch(["1", "2"], configs)
    assert seen == ["a"]
    assert not trace.get_current_span().get_span_context().is_valid


def test_prompts_come_in_every_form() -> None:
    """A prompt template makes messages; a text model takes them as text."""
    model = Upper(asked=[])
    assert model.invoke([SystemMessage("s"), HumanMessage("h")]) == "SYSTEM: S\nHUMAN: H"


def test_an_answer_too_few_is_an_error(handler: Any) -> None:
    """Answers that went to the wrong prompts would be worse."""

    class Short(FakeListLLM):
        def _generate(self, prompts: list[str], *args: Any, **kwargs: Any) -> LLMResult:
            return super()._generate(prompts[1:])

    with pytest.raises(InputError, match="1 answers to 2 prompts"):
        Short(responses=["x"]).batch(["1", "2"], {"callbacks": [handler]})
    assert len(handler.events.of("on_llm_error")) == 2


def test_a_prompt_without_an_answer_is_an_error(handler: Any) -> None:
    """Its run would end as if all were well, and the program with an IndexError."""

    class Silent(FakeListLLM):
        def _generate(self, prompts: list[str], *args: Any, **kwargs: Any) -> LLMResult:
            return LLMResult(generations=[[] for _ in prompts])

    with pytest.raises(InputError, match="0 answers to 1 prompts"):
        Silent(responses=["x"]).invoke("1", {"callbacks": [handler]})
    assert handler.events.methods == ["on_llm_start", "on_llm_error"]


async def test_an_async_model_is_awaited() -> None:
    """A model's own async code is what async callers get."""

    class Async(FakeListLLM):
        async def _agenerate(self, prompts: list[str], *args: Any, **kwargs: Any) -> LLMResult:
            return LLMResult(generations=[[Generation(text="async")] for _ in prompts])

        async def _astream(self, prompt: str, **kwargs: Any) -> AsyncIterator[GenerationChunk]:
            yield GenerationChunk(text="astream")

    model = Async(responses=["sync"])
    assert [model.invoke("x"), await model.ainvoke("x")] == ["sync", "async"]
    assert [part async for part in model.astream("x")] == ["astream"]


def test_fake_answers_in_turn() -> None:
    """A test that uses it states the answers in order, over a batch too."""
    model = FakeListLLM(responses=["a", "b"])
    assert model.batch(["1", "2", "3"]) == ["a", "b", "a"]
    assert list(model.stream("4")) == ["b"]


@pytest.mark.parametrize("wrong", [{"responses": []}, {"responses": ["a"], "respones": ["b"]}])
def test_fake_refuses_what_it_would_stumble_over(wrong: Any) -> None:
    """A test with a misspelt setting would test something else."""
    with pytest.raises(ValidationError, match=r"at least 1 item|not permitted"):
        FakeListLLM(**wrong)
