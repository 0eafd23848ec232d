"""Programs of text models, of caches, and of models that are told of tools and structures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oracle import program, program_at_once
from oracle_chains import add_one
from oracle_models import scripted
from oracle_tools import Numbers, adder

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def upper(lib: Any, **settings: Any) -> Any:
    """A text model that shouts, and streams words."""

    class Upper(lib.BaseLLM):  # type: ignore[misc]
        asked: Any = None

        @property
        def _llm_type(self) -> str:
            return "upper"

        @property
        def _identifying_params(self) -> dict[str, Any]:
            return {"language": "upper"}

        def _generate(
            self, prompts: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> Any:
            if self.asked is not None:
                self.asked.append(prompts)
            if "fail" in prompts:
                raise KeyError("fail")
            answers = [[lib.Generation(text=one.upper())] for one in prompts]
            return lib.LLMResult(generations=answers, llm_output={"token_usage": USAGE})

        def _stream(
            self, prompt: str, stop: Any = None, run_manager: Any = None, **kwargs: Any
        ) -> Any:
            for word in prompt.split():
                chunk = lib.GenerationChunk(text=word)
                if run_manager:  # langchain_core leaves it to the model
                    run_manager.on_llm_new_token(word, chunk=chunk)
                yield chunk
                if word == "fail":
                    raise KeyError("fail")

    return Upper(**settings)


# Text models


@program
async def text_model(lib: Any, caller: Any) -> Any:
    return await caller.invoke(upper(lib), "hi", tags=["t"], metadata={"k": 1}, run_name="mine")


@program
async def text_model_given_messages(lib: Any, caller: Any) -> Any:
    return await caller.invoke(upper(lib), [lib.SystemMessage("s"), ("human", "h")])


@program
async def text_model_in_a_sequence(lib: Any, caller: Any) -> Any:
    template = lib.ChatPromptTemplate.from_template("say {x}")
    chain = template | upper(lib, tags=["own"]).bind(stop=["."]) | lib.StrOutputParser()
    return await caller.invoke(chain, {"x": 1})


@program
async def text_model_of_a_list(lib: Any, caller: Any) -> Any:
    return await caller.invoke(lib.FakeListLLM(responses=["a", "b"]), "hi")


@program
async def text_batch(lib: Any, caller: Any) -> Any:
    own = upper(lib, asked=[])
    return [await caller.batch(own, ["a", "b", "c"]), own.asked]


@program
async def text_batch_in_twos(lib: Any, caller: Any) -> Any:
    own = upper(lib, asked=[])
    config = {"callbacks": [caller.handler], "max_concurrency": 2}
    return [await caller.batch(own, ["a", "b", "c"], config), own.asked]


@program
async def text_batch_with_a_config_each(lib: Any, caller: Any) -> Any:
    each = {"callbacks": [caller.handler]}
    configs = [{**each, "tags": ["x"]}, {**each, "metadata": {"k": 1}}]
    return await caller.batch(upper(lib), ["a", "b"], configs)


@program
async def text_batch_with_settings_of_its_own(lib: Any, caller: Any) -> Any:
    own = upper(lib, callbacks=[caller.handler], tags=["own"], metadata={"own": 1})
    return await caller.batch(own, ["a", "b"], {"tags": ["t"], "metadata": {"k": 1}})


@program
async def text_batch_with_further_arguments(lib: Any, caller: Any) -> Any:
    own = upper(lib, asked=[])
    return [await caller.batch(own.bind(stop=["."]), ["a", "b"]), own.asked]


@program
async def text_batch_with_a_config_of_its_own(lib: Any, caller: Any) -> Any:
    own = upper(lib, asked=[])
    bound = own.with_config(tags=["own"], max_concurrency=2)
    return [await caller.batch(bound, ["a", "b", "c"]), own.asked]


@program
async def text_batch_of_messages(lib: Any, caller: Any) -> Any:
    return await caller.batch(upper(lib), [[("human", "a")], "b"])


@program
async def text_model_tried_again(lib: Any, caller: Any) -> Any:
    own = upper(lib).with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    return await caller.invoke(own, "fail")


@program
async def text_model_with_a_fallback(lib: Any, caller: Any) -> Any:
    own = upper(lib).with_fallbacks([lib.FakeListLLM(responses=["a"])])
    return await caller.invoke(own, "fail", tags=["t"])


@program
async def several_prompts_of_which_one_fails(lib: Any, caller: Any) -> Any:
    options = {"callbacks": [caller.handler], "run_name": "mine"}
    if caller.is_async:
        return await upper(lib).agenerate(["a", "fail"], **options)
    return upper(lib).generate(["a", "fail"], **options)


@program
async def text_batch_that_fails(lib: Any, caller: Any) -> Any:
    return await caller.batch(upper(lib), ["a", "fail"])


@program
async def text_batch_with_exceptions(lib: Any, caller: Any) -> Any:
    return await caller.batch(upper(lib), ["a", "fail"], return_exceptions=True)


@program
async def several_prompts(lib: Any, caller: Any) -> Any:
    options = {"callbacks": [caller.handler], "tags": ["t"], "metadata": {"k": 1}, "stop": ["."]}
    if caller.is_async:
        return await upper(lib).agenerate(["a", "b"], **options)
    return upper(lib).generate(["a", "b"], **options)


@program
async def text_model_streamed(lib: Any, caller: Any) -> Any:
    return await caller.stream(upper(lib), "some words")


@program
async def text_model_that_fails_in_its_stream(lib: Any, caller: Any) -> Any:
    return await caller.stream(upper(lib), "some fail")


@program
async def text_model_with_nothing_to_stream(lib: Any, caller: Any) -> Any:
    return await caller.stream(upper(lib), "")


@program
async def handler_beside_an_inline_one(lib: Any, caller: Any) -> Any:
    handlers = [caller.handler, caller.another("beside")]
    return await caller.invoke(upper(lib), "hi", callbacks=handlers)


# Caches


@program
async def cached_chat_model(lib: Any, caller: Any) -> Any:
    own = scripted(lib, cache=lib.InMemoryCache())
    return [(await caller.invoke(own, given)).content for given in ("a", "a", "b")]


@program_at_once
async def cached_conversations(lib: Any, caller: Any) -> Any:
    own = scripted(lib, cache=lib.InMemoryCache())
    await caller.invoke(own, "a")
    return [answer.content for answer in await caller.batch(own, ["a", "b"])]


@program
async def cached_text_model(lib: Any, caller: Any) -> Any:
    own = upper(lib, asked=[], cache=lib.InMemoryCache())
    return [await caller.invoke(own, "a"), await caller.invoke(own, "a"), own.asked]


@program
async def cached_text_batch(lib: Any, caller: Any) -> Any:
    own = upper(lib, asked=[], cache=lib.InMemoryCache())
    await caller.batch(own, ["a", "b"])
    return [await caller.batch(own, ["b", "c", "a"]), own.asked]


@program
async def cached_failure(lib: Any, caller: Any) -> Any:
    own = upper(lib, asked=[], cache=lib.InMemoryCache())
    return [await caller.batch(own, ["fail"], return_exceptions=True) for _ in range(2)]


@program
async def cache_of_the_process(lib: Any, caller: Any) -> Any:
    lib.set_llm_cache(lib.InMemoryCache())
    try:
        models = upper(lib, asked=[]), upper(lib, asked=[], cache=True), upper(lib, asked=[])
        models[-1].cache = False
        return [(await caller.invoke(one, "a"), one.asked) for one in models]
    finally:
        lib.set_llm_cache(None)


@program
async def cached_for_another_stop(lib: Any, caller: Any) -> Any:
    own = upper(lib, asked=[], cache=lib.InMemoryCache())
    bound = [own, own.bind(stop=["."]), own, own.bind(stop=["."])]
    return [[await caller.invoke(one, "a") for one in bound], own.asked]


@program
async def cached_prompts(lib: Any, caller: Any) -> Any:
    own = upper(lib, asked=[], cache=lib.InMemoryCache())
    await caller.invoke(own, "b")
    options = {"callbacks": [caller.handler], "tags": ["t"]}
    if caller.is_async:
        result = await own.agenerate(["a", "b", "c"], **options)
    else:
        result = own.generate(["a", "b", "c"], **options)
    return [result.generations, own.asked]


@program
async def cached_model_streamed(lib: Any, caller: Any) -> Any:
    own = upper(lib, asked=[], cache=lib.InMemoryCache())
    await caller.invoke(own, "a b")
    return [await caller.stream(own, "a b"), own.asked]


@program
async def cached_chat_model_streamed(lib: Any, caller: Any) -> Any:
    own = scripted(lib, cache=lib.InMemoryCache())
    await caller.stream(own, "a")
    return (await caller.invoke(own, "a")).content


@program
async def cached_model_in_a_sequence(lib: Any, caller: Any) -> Any:
    own = scripted(lib, cache=lib.InMemoryCache(), tags=["own"], metadata={"own": 1})
    chain = lib.ChatPromptTemplate.from_template("{x}") | own | lib.StrOutputParser()
    return [await caller.invoke(chain, {"x": 1}, tags=["t"]) for _ in range(2)]


# Tools and structures


def bindable(lib: Any, *answers: Any) -> Any:
    class Bindable(lib.GenericFakeChatModel):  # type: ignore[misc]
        def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
            return self.bind(tools=[one.name for one in tools if hasattr(one, "name")])

    return Bindable(messages=iter(answers))


def calling(lib: Any, name: str, **args: Any) -> Any:
    call = {"name": name, "args": args, "id": "1", "type": "tool_call"}
    return lib.AIMessage(content="", tool_calls=[call])


@program
async def model_with_tools(lib: Any, caller: Any) -> Any:
    own = bindable(lib, calling(lib, "add", a=1)).bind_tools([adder(lib)])
    chain = own | (lambda message: message.tool_calls[0]) | adder(lib)
    return await caller.invoke(chain, "1 + 2?")


@program
async def structured_answer(lib: Any, caller: Any) -> Any:
    own = bindable(lib, calling(lib, "Numbers", a=1)).with_structured_output(Numbers)
    return await caller.invoke(own, "hi")


@program
async def structured_answer_in_a_sequence(lib: Any, caller: Any) -> Any:
    own = bindable(lib, calling(lib, "Numbers", a=1)).with_structured_output(Numbers)
    return await caller.invoke(own | (lambda numbers: numbers.a) | add_one, "hi", tags=["t"])
