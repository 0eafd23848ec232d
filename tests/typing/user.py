"""A user's program: every public name of callspan, for `mypy --strict` to check.

It is not run. What callspan's types promise is stated with `assert_type`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence
from contextlib import aclosing, closing
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel
from typing_extensions import assert_type

import callspan
from callspan.agents import create_agent
from callspan.anthropic import ChatAnthropic
from callspan.caches import BaseCache, InMemoryCache, get_llm_cache, set_llm_cache
from callspan.callbacks import (
    AsyncCallbackHandler,
    AsyncCallbackManager,
    AsyncCallbackManagerForChainGroup,
    AsyncCallbackManagerForChainRun,
    AsyncCallbackManagerForLLMRun,
    AsyncCallbackManagerForRetrieverRun,
    AsyncCallbackManagerForToolRun,
    AsyncParentRunManager,
    AsyncRunManager,
    BaseCallbackHandler,
    BaseCallbackManager,
    BaseRunManager,
    CallbackManager,
    CallbackManagerForChainGroup,
    CallbackManagerForChainRun,
    CallbackManagerForLLMRun,
    CallbackManagerForRetrieverRun,
    CallbackManagerForToolRun,
    CallbackManagerMixin,
    Callbacks,
    ChainManagerMixin,
    ConsoleCallbackHandler,
    FileCallbackHandler,
    LLMManagerMixin,
    ParentRunManager,
    RetrieverManagerMixin,
    RunManager,
    RunManagerMixin,
    StdOutCallbackHandler,
    StreamingStdOutCallbackHandler,
    ToolManagerMixin,
    UsageMetadataCallbackHandler,
    adispatch_custom_event,
    atrace_as_chain_group,
    dispatch_custom_event,
    get_usage_metadata_callback,
    trace_as_chain_group,
)
from callspan.documents import Document
from callspan.langchain import LangChainInstrumentor, OTelCallbackHandler
from callspan.language_models import (
    BaseChatModel,
    BaseLLM,
    FakeListChatModel,
    FakeListLLM,
    GenericFakeChatModel,
    LanguageModelInput,
    tool_schema,
)
from callspan.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    BaseMessage,
    BaseMessageChunk,
    ChatPromptValue,
    HumanMessage,
    HumanMessageChunk,
    InputTokenDetails,
    InvalidToolCall,
    MessageLikeRepresentation,
    OutputTokenDetails,
    PromptValue,
    StringPromptValue,
    SystemMessage,
    SystemMessageChunk,
    ToolCall,
    ToolCallChunk,
    ToolMessage,
    ToolMessageChunk,
    UsageMetadata,
    add_usage,
    convert_to_messages,
    get_buffer_string,
    message_chunk_to_message,
    parse_partial_json,
)
from callspan.openai import ChatOpenAI
from callspan.output_parsers import JsonOutputParser, PydanticOutputParser, StrOutputParser
from callspan.outputs import (
    AgentAction,
    AgentFinish,
    ChatGeneration,
    ChatGenerationChunk,
    ChatResult,
    Generation,
    GenerationChunk,
    LLMResult,
    RunInfo,
    merge_chat_generation_chunks,
)
from callspan.prompts import ChatPromptTemplate, MessageLike, MessagesPlaceholder
from callspan.retrievers import BaseRetriever
from callspan.runnables import (
    Runnable,
    RunnableAssign,
    RunnableBinding,
    RunnableConfig,
    RunnableGenerator,
    RunnableLambda,
    RunnableLike,
    RunnableParallel,
    RunnablePassthrough,
    RunnableRetry,
    RunnableSequence,
    RunnableWithFallbacks,
    chain,
    ensure_config,
    merge_configs,
)
from callspan.tools import BaseTool, StructuredTool, ToolException, ToolInput, tool

# Handlers, with the annotations of LangChain's documentation


class LoggingHandler(BaseCallbackHandler):
    """Hears some events, with what it does not name in `kwargs`."""

    raise_error = True

    @property
    def ignore_retriever(self) -> bool:
        return True

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], **kwargs: Any
    ) -> None:
        print(serialized["name"], [message.text for message in messages[0]])

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        print([answer.text for answers in response.generations for answer in answers])

    def on_chain_start(
        self, serialized: dict[str, Any], inputs: dict[str, Any], **kwargs: Any
    ) -> None:
        print(serialized.get("name"), inputs)

    def on_chain_end(self, outputs: dict[str, Any], **kwargs: Any) -> None:
        print(outputs)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        print(run_id, error)


class AsyncLoggingHandler(AsyncCallbackHandler):
    """Hears events with all their arguments, and calls the method that it overrides."""

    run_inline = True

    async def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        await super().on_llm_start(serialized, prompts, run_id=run_id, tags=tags, **kwargs)

    async def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        print(token, chunk.text if chunk else "")

    async def on_retriever_end(
        self,
        documents: Sequence[Document],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        print([document.page_content for document in documents])


class ToolLog(ToolManagerMixin, RunManagerMixin):
    """A part of a handler, to be mixed into one."""

    def on_tool_end(
        self, output: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        print(output)

    def on_text(
        self, text: str, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        print(text)


class ToolLogHandler(ToolLog, BaseCallbackHandler):
    """A handler made of a part."""


def hears(what: object) -> list[str]:
    """Tell events apart by the classes that declare them."""
    parts = (
        LLMManagerMixin,
        ChainManagerMixin,
        ToolManagerMixin,
        RetrieverManagerMixin,
        CallbackManagerMixin,
        RunManagerMixin,
    )
    return [part.__name__ for part in parts if isinstance(what, part)]


def all_handlers(path: str) -> list[BaseCallbackHandler]:
    """Make one of each handler."""
    with FileCallbackHandler(path, mode="w", color="green") as file:
        return [
            LoggingHandler(),
            AsyncLoggingHandler(),
            ToolLogHandler(),
            StdOutCallbackHandler(color="blue"),
            StreamingStdOutCallbackHandler(),
            ConsoleCallbackHandler(),
            UsageMetadataCallbackHandler(),
            callspan.OTelCallbackHandler(capture_content=True, conventions=("gen_ai",)),
            file,
        ]


# Models, tools, prompts


class EchoModel(BaseChatModel):
    """A chat model of the user's own."""

    prefix: str = "> "

    @property
    def _llm_type(self) -> str:
        return "echo"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if run_manager is not None:
            run_manager.on_text("thinking")
        usage = UsageMetadata(
            input_tokens=3,
            output_tokens=2,
            total_tokens=5,
            input_token_details=InputTokenDetails(cache_read=1),
            output_token_details=OutputTokenDetails(reasoning=1),
        )
        message = AIMessage(self.prefix + messages[-1].text, usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=message)], llm_output={"n": 1})

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if run_manager is not None:
            await run_manager.on_text("thinking")
        return self._generate(messages, stop)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for word in messages[-1].text.split():
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages, stop):
            yield chunk


class SearchArguments(BaseModel):
    """What `Search` is asked for."""

    query: str
    limit: int = 3


class Search(BaseTool):
    """A tool of the user's own, as a class."""

    name: str = "search"
    description: str = "Search the documentation."
    args_schema: type[BaseModel] | None = SearchArguments

    def _run(
        self, query: str, limit: int = 3, run_manager: CallbackManagerForToolRun | None = None
    ) -> list[str]:
        return [query] * limit

    async def _arun(
        self, query: str, limit: int = 3, run_manager: AsyncCallbackManagerForToolRun | None = None
    ) -> list[str]:
        return [query] * limit


@tool
def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


@tool("fetch_page", description="Fetch a page.", args_schema=SearchArguments)
async def fetch(query: str, limit: int, config: RunnableConfig) -> str:
    return query


def _divide(a: int, b: int) -> float:
    if not b:
        raise ToolException("b must not be 0")
    return a / b


def use_tools() -> None:
    """Call tools with arguments by name, with text, and with a model's call."""
    assert_type(multiply, StructuredTool)
    assert_type(fetch, StructuredTool)
    call = ToolCall(name="multiply", args={"a": 2, "b": 3}, id="call_1", type="tool_call")
    inputs: list[ToolInput] = [{"a": 2, "b": 3}, "2", call]
    for one in inputs:
        multiply.invoke(one, {"callbacks": [ToolLogHandler()]})
    divide = StructuredTool.from_function(
        _divide, description="Divide two numbers.", handle_tool_error=str, return_direct=True
    )
    assert_type(divide, StructuredTool)
    tools: list[BaseTool] = [Search(verbose=True), multiply, fetch, divide]
    print({each.name: each.args for each in tools}, [tool_schema(each) for each in tools])


class Shelf(BaseRetriever):
    """A retriever of the user's own."""

    books: list[Document]

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return [one for one in self.books if query in one.page_content]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        await run_manager.on_text(query)
        return self.books


def use_agent(model: BaseChatModel) -> None:
    """Have a model use tools, and go on with the conversation."""
    agent = create_agent(
        model,
        [Search(), multiply, _divide],
        system_prompt="Be exact.",
        name="calculator",
        max_steps=5,
        callbacks=[ToolLogHandler()],
    )
    state = agent.invoke({"messages": [("user", "What is 2 * 3?")]})
    try:
        for step in agent.stream({"messages": [*state["messages"], HumanMessage("And 3 * 4?")]}):
            step["messages"][-1].pretty_print()
    except callspan.AgentStepsError as error:
        print(len(error.messages), "messages, and no answer")


def use_parsers(model: BaseChatModel) -> None:
    """Have a model answer in JSON, and in an object of one's own."""
    found = PydanticOutputParser(pydantic_object=SearchArguments)
    assert_type(found.parse('{"query": "a"}'), SearchArguments)
    assert_type(found.invoke(AIMessage("{}")).limit, int)
    asked = found.get_format_instructions()
    print(found.invoke(model.invoke(asked)), StrOutputParser().parse("a"))
    for part in (model | JsonOutputParser()).stream(asked):
        print(part)


def use_retriever() -> None:
    """Look something up, alone and in a chain."""
    shelf = Shelf(books=[Document("a book", id="1")], tags=["shelf"])
    assert_type(shelf.invoke("a"), list[Document])
    print((shelf | str | len).batch(["a", "b"]))


def models(name: str) -> list[BaseChatModel]:
    """Make one of each model."""
    return [
        EchoModel(prefix="", callbacks=[LoggingHandler()], tags=["echo"], metadata={"a": 1}),
        FakeListChatModel(responses=["yes", "no"], sleep=0.1),
        GenericFakeChatModel(messages=iter(["a text", AIMessage("a message")])),
        ChatAnthropic(model=name, api_key="key", temperature=0.5, max_tokens=100, timeout=10),
        ChatAnthropic(model=name, default_headers={"anthropic-beta": "files-api-2025-04-14"}),
        ChatOpenAI(model=name, api_key="key", seed=1, stop="END", model_kwargs={"logprobs": True}),
    ]


class EchoLLM(BaseLLM):
    """A text model as users write it."""

    @property
    def _llm_type(self) -> str:
        return "echo"

    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        return LLMResult(generations=[[Generation(text=one)] for one in prompts])

    def _stream(
        self, prompt: str, stop: list[str] | None = None, **kwargs: Any
    ) -> Iterator[GenerationChunk]:
        yield GenerationChunk(text=prompt)


class FileCache(BaseCache):
    """A cache of the user's own."""

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        return None

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        print(prompt, llm_string, return_val)

    def clear(self, **kwargs: Any) -> None: ...


async def text_models() -> None:
    """Ask text models, with a cache of their own and with the one of the process."""
    set_llm_cache(InMemoryCache(maxsize=10))
    assert_type(get_llm_cache(), BaseCache | None)
    for model in (EchoLLM(cache=FileCache()), FakeListLLM(responses=["a"], cache=True)):
        assert_type(model.invoke("hello"), str)
        assert_type(await model.abatch(["hello", "bye"]), list[str])
        for part in model.stream("hello", stop=["."]):
            assert_type(part, str)
        model.generate(["hello", "bye"], callbacks=[LoggingHandler()]).flatten()
    set_llm_cache(None)


def structures(model: BaseChatModel) -> None:
    """Give a model tools, and a structure to answer in."""
    assert_type(model.bind_tools([multiply, fetch]).invoke("2 * 3"), AIMessage)
    model.with_structured_output(SearchArguments, include_raw=True).invoke("find it")


def ask(model: BaseChatModel) -> str:
    """Ask a model in each of the ways it takes."""
    pair: MessageLikeRepresentation = ("user", "hello")
    ways: list[LanguageModelInput] = [
        "hello",
        [HumanMessage("hello"), pair, {"role": "user", "content": "hello"}],
        [SystemMessage("Be short."), HumanMessage(content=[{"type": "text", "text": "hello"}])],
        StringPromptValue(text="hello"),
        ChatPromptValue(messages=[HumanMessage("hello")]),
    ]
    for way in ways:
        assert_type(model.invoke(way, stop=["."]), AIMessage)
    with closing(model.stream("hello")) as chunks:
        total: AIMessageChunk | None = None
        for chunk in chunks:
            assert_type(chunk, AIMessageChunk)
            total = chunk if total is None else total + chunk
    assert_type(model.batch(["a", "b"], {"max_concurrency": 1}), list[AIMessage])
    result = model.generate([[HumanMessage("hello")]], callbacks=[LoggingHandler()])
    assert_type(result, LLMResult)
    runs: list[RunInfo] = result.run or []
    print(runs, [one.generations for one in result.flatten()])
    return total.text if total else ""


async def ask_async(model: BaseChatModel) -> None:
    """Ask a model from async code."""
    assert_type(await model.ainvoke("hello"), AIMessage)
    async with aclosing(model.astream([HumanMessage("hello")])) as chunks:
        async for chunk in chunks:
            assert_type(chunk, AIMessageChunk)
    async for place, answer in model.abatch_as_completed(["a", "b"]):
        assert_type(place, int)
        assert_type(answer, AIMessage)
    assert_type(await model.agenerate([[HumanMessage("hello")]]), LLMResult)


# Messages and outputs


class Conversation(BaseModel):
    """Messages in a pydantic model of the user's own."""

    messages: list[AnyMessage]


def use_messages() -> None:
    """Write, add and convert messages."""
    call = ToolCall(name="search", args={}, id="1")
    broken = InvalidToolCall(name="search", args="{", id="2", error="not JSON")
    answer = AIMessage("", tool_calls=[call], invalid_tool_calls=[broken])
    for one in answer.tool_calls:
        assert_type(one, ToolCall)
    result = ToolMessage("found", tool_call_id="1", artifact={"n": 1})
    history = convert_to_messages(["hello", ("ai", "hi"), answer, result])
    assert_type(history, list[BaseMessage])
    assert_type(get_buffer_string(history, human_prefix="User"), str)
    assert_type(add_usage(None, answer.usage_metadata), UsageMetadata)
    print(Conversation(messages=[answer, result]).model_dump_json(), parse_partial_json('{"a": '))

    piece = ToolCallChunk(name="search", args='{"q"', id="1", index=0)
    parts: list[BaseMessageChunk] = [
        AIMessageChunk(content="a", tool_call_chunks=[piece]) + AIMessageChunk(content="b"),
        HumanMessageChunk(content="a") + HumanMessageChunk(content="b"),
        SystemMessageChunk(content="a") + SystemMessageChunk(content="b"),
        ToolMessageChunk(content="a", tool_call_id="1"),
    ]
    assert_type([message_chunk_to_message(part) for part in parts], list[BaseMessage])


def use_outputs() -> None:
    """Write what models and agents return."""
    text = GenerationChunk(text="a", generation_info={"n": 1}) + GenerationChunk(text="b")
    assert_type(text, GenerationChunk)
    chunks = [ChatGenerationChunk(message=AIMessageChunk(content=one)) for one in "ab"]
    assert_type(merge_chat_generation_chunks(chunks), ChatGenerationChunk | None)
    answers = [Generation(text="a"), ChatGeneration(message=AIMessage("a")), text]
    print(LLMResult(generations=[answers], run=[RunInfo(run_id=uuid4())]))
    print(AgentAction("search", {"q": "a"}, "log"), AgentFinish({"output": "a"}, "log"))


# Chains


def first_words(chunks: Iterator[str]) -> Iterator[str]:
    """Pass on the first word of each chunk."""
    for chunk in chunks:
        yield chunk.split()[0]


async def shout(text: str) -> str:
    """Write in capitals, from async code."""
    return text.upper()


def retrieve(question: str, config: RunnableConfig) -> list[Document]:
    """Find documents."""
    return [Document(question, metadata={"source": "a"}, id="1"), Document(page_content="b")]


def prompts() -> list[ChatPromptTemplate]:
    """Write prompts."""
    messages: list[MessageLike] = [
        SystemMessage("Be short."),
        ("system", "You are {who}."),
        MessagesPlaceholder("history", optional=True, n_messages=4),
        "{question}",
        {"role": "user", "content": "{question}"},
    ]
    whole = ChatPromptTemplate.from_messages(messages)
    assert_type(whole, ChatPromptTemplate)
    assert_type(whole.invoke({"who": "a poet", "question": "Why?"}), PromptValue)
    assert_type(whole.format_prompt(who="a poet", question="Why?"), ChatPromptValue)
    literal = ChatPromptTemplate([("system", "You are {who}."), ("human", "{question}")])
    return [whole.partial(who="a poet"), literal, ChatPromptTemplate.from_template("1 + {n}?")]


def chains(model: BaseChatModel) -> None:
    """Put blocks together, and call the chains in all ways."""
    prompt = ChatPromptTemplate.from_template("What is 1 + {number}?")
    config: RunnableConfig = {
        "callbacks": [LoggingHandler(), AsyncLoggingHandler()],
        "tags": ["a"],
        "metadata": {"session_id": "42"},
        "run_name": "sum",
        "run_id": uuid4(),
    }
    assert_type((prompt | model).invoke({"number": "2"}, config=config), AIMessage)

    chain = prompt | model | StrOutputParser()
    assert_type(chain, RunnableSequence[Any, str])
    assert_type(chain.invoke({"number": "2"}, config), str)
    assert_type(chain.batch([{"number": "2"}, {"number": "3"}], config), list[str])
    for place, answer in chain.batch_as_completed([{"number": "2"}], return_exceptions=True):
        print(place + 1, answer.strip())
    with closing(chain.stream({"number": "2"})) as words:
        for word in words:
            assert_type(word, str)

    named = chain.with_config(run_name="named", tags=["b"]).bind(stop=["."])
    assert_type(named, RunnableBinding[Any, str])
    assert_type(named.invoke({"number": "2"}), str)
    assert_type(merge_configs(config, {"tags": ["b"]}), RunnableConfig)
    assert_type(ensure_config(config), RunnableConfig)


def more_chains(model: BaseChatModel) -> None:
    """Put functions and dicts into chains."""
    context: RunnableLike[str, list[Document]] = retrieve
    answer = (
        {"context": context, "question": RunnablePassthrough()}
        | ChatPromptTemplate.from_template("{context} {question}")
        | model
        | StrOutputParser()
        | RunnableGenerator(first_words)
    )
    assert_type(answer.invoke("Why?"), str)

    assert_type(Double() | Foreign(), RunnableSequence[str, int])
    length = RunnableLambda(len, name="length")
    assert_type(length.invoke("four"), int)
    capitals = RunnableLambda(shout)
    both = RunnableParallel(length=length, capitals=capitals)
    assert_type(both.invoke("four"), dict[str, Any])
    assign = RunnablePassthrough.assign(total=lambda given: given["length"] + 1)
    assert_type(assign, RunnableAssign)
    block: Runnable[str, dict[str, Any]] = both | assign
    print(block.invoke("four"), (lambda text: text * 2) | length)


@chain
def exclaim(text: str) -> str:
    return text + "!"


@chain
async def aexclaim(text: str) -> str:
    return text + "!"


def chains_that_may_fail() -> None:
    """Try again, and fall back."""
    assert_type(exclaim, RunnableLambda[str, str])
    assert_type(aexclaim, RunnableLambda[str, str])
    retried = exclaim.with_retry(
        retry_if_exception_type=(TimeoutError,),
        exponential_jitter_params={"initial": 0.5, "max": 10},
        stop_after_attempt=2,
    )
    assert_type(retried.invoke("a"), str)
    assert_type(RunnableRetry(Double()).invoke("a"), str)
    safe = retried.with_fallbacks([Double(), aexclaim], exceptions_to_handle=(OSError,))
    assert_type(safe, RunnableWithFallbacks[str, str])
    assert_type((safe | Foreign()).batch(["a"]), list[int])


async def async_chains(chain: Runnable[str, str], callbacks: Callbacks) -> None:
    """Call a chain from async code."""
    assert_type(await chain.ainvoke("a", {"callbacks": callbacks}), str)
    handlers = [AsyncLoggingHandler()]
    assert_type(await chain.ainvoke("a", {"callbacks": handlers}), str)
    assert_type(await chain.abatch(["a", "b"]), list[str])
    async with aclosing(chain.astream("a")) as chunks:
        async for chunk in chunks:
            assert_type(chunk, str)


class Foreign:
    """A block that is no `Runnable`, such as one of another library."""

    def invoke(self, given: str, config: Any = None) -> int:
        return len(given)


class Double(Runnable[str, str]):
    """A block of the user's own."""

    def invoke(self, input: str, config: RunnableConfig | None = None, **kwargs: Any) -> str:
        return input * 2


# Functions of the user's own


@callspan.traced
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@callspan.traced(kind="retriever", name="find", tags=["a"], metadata={"b": 1})
async def find(query: str) -> list[Document]:
    """Find documents."""
    return [Document(query)]


@callspan.traced(kind="agent")
def count(to: int) -> Generator[int, str, bool]:
    """Count, as a generator."""
    yield from range(to)
    return True


@callspan.traced(kind="llm")
async def write(prompt: str) -> AsyncGenerator[str, None]:
    """Write word by word, as an async generator."""
    for word in prompt.split():
        yield word


class Service:
    """A class whose method is a run."""

    @callspan.traced(kind="tool")
    def look_up(self, term: str) -> str:
        """Look a term up."""
        return term


async def use_traced() -> None:
    """Call the functions: their types are what they were."""
    assert_type(add(1, b=2), int)
    assert_type(await find("a"), list[Document])
    assert_type(count(3), Generator[int, str, bool])
    assert_type(write("a b"), AsyncGenerator[str, None])
    assert_type(Service().look_up("a"), str)


# Frameworks of the user's own


def raw_managers(callbacks: Callbacks, query: str) -> list[str]:
    """Start and end runs by hand."""
    manager = CallbackManager.configure(callbacks, verbose=True, inheritable_tags=["a"])
    chain: CallbackManagerForChainRun = manager.on_chain_start({"name": "app"}, {"query": query})
    found: list[str] = []
    with chain.activate() as current:
        assert_type(current, CallbackManagerForChainRun)
        search: CallbackManagerForRetrieverRun = chain.get_child().on_retriever_start(
            {"name": "search"}, query
        )
        search.on_retriever_end([Document(query)])
        look: CallbackManagerForToolRun = chain.get_child("b").on_tool_start(
            {"name": "look"}, query, inputs={"query": query}
        )
        try:
            with look.activate():
                found = [query]
        except BaseException as error:
            look.on_tool_error(error)
            raise
        look.on_tool_end(found)
        (model,) = chain.get_child().on_chat_model_start({"name": "m"}, [[HumanMessage(query)]])
        assert_type(model, CallbackManagerForLLMRun)
        with closing(model.step(iter(["a", "b"]))) as tokens:
            for token in tokens:
                model.on_llm_new_token(assert_type(token, str))
        model.on_llm_end(LLMResult(generations=[[Generation(text="ab")]]))
        chain.on_agent_finish(AgentFinish({"output": found}, ""))
    chain.on_chain_end({"found": found})
    return found


async def tokens() -> AsyncIterator[str]:
    """Give tokens."""
    yield "a"


async def async_raw_managers(callbacks: Callbacks, query: str) -> None:
    """Start and end runs by hand, in async code."""
    manager = AsyncCallbackManager.configure(callbacks)
    chain: AsyncCallbackManagerForChainRun = await manager.on_chain_start({"name": "app"}, query)
    with chain.activate():
        search: AsyncCallbackManagerForRetrieverRun = await chain.get_child().on_retriever_start(
            {"name": "search"}, query
        )
        await search.on_retriever_error(TimeoutError())
        look: AsyncCallbackManagerForToolRun = await chain.get_child().on_tool_start(
            {"name": "look"}, query
        )
        await asyncio.gather(look.on_text("looking"), look.on_tool_end("found"))
        (model,) = await chain.get_child().on_llm_start({"name": "m"}, [query])
        assert_type(model, AsyncCallbackManagerForLLMRun)
        async with aclosing(model.astep(tokens())) as stream:
            async for token in stream:
                await model.on_llm_new_token(assert_type(token, str))
        assert_type(model.get_sync(), CallbackManagerForLLMRun)
        await model.on_llm_end(LLMResult(generations=[[Generation(text="ab")]]))
    await chain.on_chain_end("found")


def any_manager(manager: BaseCallbackManager, run: BaseRunManager) -> list[UUID]:
    """Take managers of any kind."""
    manager.add_handler(LoggingHandler(), inherit=False)
    manager.add_tags(["a"])
    manager.add_metadata({"a": 1})
    if isinstance(run, ParentRunManager):
        assert_type(run.get_child(), CallbackManager)
    elif isinstance(run, AsyncParentRunManager):
        assert_type(run.get_child(), AsyncCallbackManager)
    elif isinstance(run, RunManager):
        run.on_retry(None)
    elif isinstance(run, AsyncRunManager):
        assert_type(run.get_sync(), RunManager)
    return [run.run_id] if run.parent_run_id is None else [run.run_id, run.parent_run_id]


def groups(chain: Runnable[str, str]) -> str:
    """Make several calls one run."""
    with trace_as_chain_group("group", inputs={"a": 1}, tags=["a"]) as group:
        assert_type(group, CallbackManagerForChainGroup)
        answer = chain.invoke("a", {"callbacks": group})
        group.on_chain_end({"answer": answer})
    with callspan.trace_as_chain_group("again", CallbackManager([LoggingHandler()])):
        return chain.invoke(answer)


async def async_groups(chain: Runnable[str, str]) -> None:
    """Make several calls one run, in async code."""
    async with atrace_as_chain_group("group") as group:
        assert_type(group, AsyncCallbackManagerForChainGroup)
        await group.on_chain_end({"answer": await chain.ainvoke("a", {"callbacks": group})})
    async with callspan.atrace_as_chain_group("again", run_id=uuid4()):
        await callspan.adispatch_custom_event("step", {"n": 1})
        await adispatch_custom_event("step", "two")


# Tracing


def withhold(key: str, value: Any) -> Any:
    """Withhold what belongs to users."""
    return None if key.startswith("user") else value


def program(chain: Runnable[str, str]) -> bool:
    """Trace a whole program."""
    with callspan.configure(
        "my-service",
        endpoint="http://localhost:4318",
        headers={"authorization": "token"},
        resource_attributes={"deployment.environment.name": "test"},
        redact=withhold,
        console=True,
        instrument_threads=True,
    ) as tracing:
        assert_type(tracing, callspan.Tracing)
        handler = callspan.OTelCallbackHandler(tracer_provider=tracing.tracer_provider)
        with callspan.use_config(callbacks=[handler], session_id="42", user_id="ada"):
            chain.invoke("a")
            callspan.dispatch_custom_event("done", {"n": 1})
            dispatch_custom_event("done", None)
        with callspan.suppress_tracing():
            chain.invoke("b")
        assert_type(callspan.use_config(tags=["t"])(len)("b"), int)
        with callspan.ContextThreadPoolExecutor(max_workers=2) as pool:
            assert_type(pool.submit(chain.invoke, "c").result(), str)
            assert_type(list(pool.map(chain.invoke, ["d", "e"])), list[str])
        callspan.instrument_threads()
        callspan.uninstrument_threads()
        with get_usage_metadata_callback() as usage:
            chain.invoke("f")
            assert_type(usage.usage_metadata, dict[str, UsageMetadata])
        span = tracing.handler.get_span(uuid4())
        print(callspan.__version__, span and span.is_recording(), tracing.stats().exported)
        return tracing.force_flush(timeout_millis=1_000)


def trace_langchain() -> None:
    """Trace LangChain's runs: one call, one object, or all of them."""
    handler = OTelCallbackHandler(capture_content=True, max_open_runs=100)
    model = FakeListChatModel(responses=["a"], callbacks=[handler])
    model.invoke("x", {"callbacks": [handler]})
    print(handler.get_span(uuid4()), handler.run_inline)
    instrumentor = LangChainInstrumentor()
    instrumentor.instrument(capture_content=False)
    assert_type(instrumentor.is_instrumented_by_opentelemetry, bool)
    instrumentor.uninstrument()


def explain(error: callspan.CallspanError) -> str:
    """Tell errors apart."""
    kinds: list[tuple[type[callspan.CallspanError], str]] = [
        (callspan.MissingVariableError, "the prompt lacks a variable"),
        (callspan.ToolInputError, "the model called a tool wrongly"),
        (callspan.OutputParserError, "the model answered something else"),
        (callspan.AgentStepsError, "the agent goes round in circles"),
        (callspan.MergeError, "chunks do not fit together"),
        (callspan.InputError, "the input cannot be used"),
        (callspan.AsyncOnlyError, "use await"),
        (callspan.ConfigurationError, "an option is wrong"),
        (callspan.CallbackError, "this is no handler"),
        (callspan.MissingDependencyError, "install the extra"),
    ]
    return next((said for kind, said in kinds if isinstance(error, kind)), "something else")
