"""Text models: one call of the model for a batch of prompts, and a run for each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from both import CALLSPAN, LANGCHAIN, heard
from langchain_core.language_models import BaseLLM as LangChainLLM
from langchain_core.outputs import Generation as LangChainGeneration
from langchain_core.outputs import GenerationChunk as LangChainChunk
from langchain_core.outputs import LLMResult as LangChainResult
from opentelemetry import trace
from pydantic import ValidationError

from callspan import InputError, OTelCallbackHandler
from callspan.callbacks import BaseCallbackHandler
from callspan.language_models import BaseLLM, FakeListLLM
from callspan.messages import HumanMessage, SystemMessage
from callspan.outputs import Generation, GenerationChunk, LLMResult
from support import current, recording

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def _model(base: Any, result: Any, generation: Any, chunk: Any, **methods: Any) -> Any:
    """The same model for callspan and for langchain_core; `asked` are the calls of `_generate`."""

    def generate(
        self: Any, prompts: list[str], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Any:
        self.asked.append(list(prompts))
        if "fail" in prompts:
            raise KeyError("fail")
        answers = [[generation(text=one.upper())] for one in prompts]
        return result(generations=answers, llm_output={"token_usage": USAGE})

    def stream(
        self: Any, prompt: str, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[Any]:
        for word in prompt.split():
            part = chunk(text=word)
            if run_manager:  # langchain_core leaves it to the model
                run_manager.on_llm_new_token(word, chunk=part)
            yield part
            if word == "fail":
                raise KeyError("fail")

    body = {
        "__annotations__": {"asked": list},
        "__module__": __name__,
        "asked": [],
        "_generate": generate,
        "_stream": stream,
        "_llm_type": property(lambda self: "upper"),
        **methods,
    }
    return type("UpperLLM", (base,), body)


Upper = _model(BaseLLM, LLMResult, Generation, GenerationChunk)
LIBRARIES = {
    CALLSPAN.package: Upper,
    LANGCHAIN.package: _model(LangChainLLM, LangChainResult, LangChainGeneration, LangChainChunk),
}


def one(model: Any, config: Any) -> Any:
    return model.invoke("hi", config, stop=["."])


async def one_async(model: Any, config: Any) -> Any:
    return await model.ainvoke("hi", config)


def several(model: Any, config: Any) -> Any:
    return model.batch(["a", "b", "c"], config)


async def several_async(model: Any, config: Any) -> Any:
    return await model.abatch(["a", "b", "c"], config)


def in_twos(model: Any, config: Any) -> Any:
    return model.batch(["a", "b", "c"], {**config, "max_concurrency": 2})


def config_each(model: Any, config: Any) -> Any:
    return model.batch(["a", "b"], [{**config, "tags": ["x"]}, {**config, "metadata": {"k": 1}}])


def failing(model: Any, config: Any) -> Any:
    return model.batch(["a", "fail"], config)


def failing_kept(model: Any, config: Any) -> Any:
    outputs = model.batch(["a", "fail"], config, return_exceptions=True)
    return [type(each).__name__ for each in outputs]


def generated(model: Any, config: Any) -> Any:
    result = model.generate(["a", "b"], tags=["t"], metadata={}, **config)
    return [answers[0].text for answers in result.generations], result.llm_output, len(result.run)


def streamed(model: Any, config: Any) -> Any:
    return list(model.stream("some words", config))


async def streamed_async(model: Any, config: Any) -> Any:
    return [part async for part in model.astream("some words", config)]


def stream_failing(model: Any, config: Any) -> Any:
    return list(model.stream("some fail", config))


def stream_empty(model: Any, config: Any) -> Any:
    return list(model.stream("", config))


PROGRAMS = [
    one,
    one_async,
    several,
    several_async,
    in_twos,
    config_each,
    failing,
    failing_kept,
    generated,
    streamed,
    streamed_async,
    stream_failing,
    stream_empty,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
async def test_events_are_langchains(program: Any) -> None:
    """A handler written for langchain_core counts on one run a prompt, in this order."""
    results: list[Any] = []

    async def on(library: Any, handler: Any) -> None:
        model = LIBRARIES[library.package](asked=[])
        result = program(model, {"callbacks": [handler]})
        results.append((await result if hasattr(result, "__await__") else result, model.asked))

    ours, theirs = await heard(CALLSPAN, on), await heard(LANGCHAIN, on)
    assert ours == theirs
    assert not results or results[0] == results[1]


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
