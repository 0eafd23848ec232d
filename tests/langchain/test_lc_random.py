"""Random programs of LangChain's objects and the user's own spans, in each other, in all ways."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from itertools import count
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableGenerator, RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from lc import Model, Shelf, TextModel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer
from typing_extensions import TypedDict

from callspan.langchain import LangChainInstrumentor
from callspan.langchain.runs import open_runs
from support import current, global_provider, label, logged_provider

KINDS = (
    "lambda generator tool model streaming_model text_model retriever node sequence stream_step"
).split()
SYNC = "invoke stream closed thread fails".split()
IN_TASKS = ("task", "pair", "to_thread", "timeout", "events")
ASYNC = "ainvoke astream aclosed task pair to_thread events fails timeout".split()


def programs(ways: list[str]) -> st.SearchStrategy[list[Any]]:
    """Lists of actions: ("span", actions) or (kind, way, actions)."""
    return st.recursive(
        st.just([]),
        lambda inner: st.lists(
            st.one_of(
                st.tuples(st.just("span"), inner),
                st.tuples(st.sampled_from(KINDS), st.sampled_from(ways), inner),
            ),
            min_size=1,
            max_size=3,
        ),
        max_leaves=8,
    )


class BrokenError(Exception):
    """What bodies raise that are to fail."""


class Chat(Model):
    """Runs its part of the program in its body, plain or between its chunks."""

    body: Any = None
    abody: Any = None

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        self.body()
        return ChatResult(generations=[ChatGeneration(message=AIMessage("a"))])

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        await self.abody()
        return ChatResult(generations=[ChatGeneration(message=AIMessage("a"))])

    _stream = Model.__mro__[1]._stream  # type: ignore[attr-defined]
    _astream = Model.__mro__[1]._astream  # type: ignore[attr-defined]


class Streaming(Chat):
    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        yield ChatGenerationChunk(message=AIMessageChunk("a"))
        self.body()
        yield ChatGenerationChunk(message=AIMessageChunk("b"))

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        yield ChatGenerationChunk(message=AIMessageChunk("a"))
        await self.abody()
        yield ChatGenerationChunk(message=AIMessageChunk("b"))


class Text(TextModel):
    body: Any = None
    abody: Any = None

    def _call(self, prompt: str, *args: Any, **kwargs: Any) -> str:
        self.body()
        return prompt

    async def _acall(self, prompt: str, *args: Any, **kwargs: Any) -> str:
        await self.abody()
        return prompt


class Finder(Shelf):
    body: Any = None
    abody: Any = None

    def _get_relevant_documents(self, *args: Any, **kwargs: Any) -> list[Any]:
        self.body()
        return []

    async def _aget_relevant_documents(self, *args: Any, **kwargs: Any) -> list[Any]:
        await self.abody()
        return []


class State(TypedDict, total=False):
    x: int


class Machine:
    """Runs a program, and knows what has to be current everywhere, and whose child each span is."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self.names = count()
        self.parents: dict[str, str] = {}

    def name(self, kind: str, here: str) -> str:
        name = f"{kind} {next(self.names)}"
        self.parents[name] = here
        return name

    def run(self, actions: Any, here: str, fails: bool = False) -> None:
        assert current() == here
        for kind, *rest in actions:
            if kind == "span":
                name = self.name("span", here)
                with self.tracer.start_as_current_span(name):
                    self.run(rest[0], name)
            else:
                self.call(kind, rest[0], rest[1], here)
            assert current() == here
        if fails:
            raise BrokenError

    async def arun(self, actions: Any, here: str, fails: bool = False) -> None:
        assert current() == here
        for kind, *rest in actions:
            if kind == "span":
                name = self.name("span", here)
                with self.tracer.start_as_current_span(name):
                    await asyncio.sleep(0)
                    await self.arun(rest[0], name)
            else:
                await self.acall(kind, rest[0], rest[1], here)
            assert current() == here
            await asyncio.sleep(0)
            assert current() == here
        if fails:
            raise BrokenError

    def made(self, kind: str, way: str, actions: Any, here: str) -> tuple[Any, Any, Any]:
        """A runnable whose body runs the actions, what to give it, and its config."""
        outer = self.name(kind, here)
        name, fails = outer, way == "fails"
        if kind == "node":
            name = node = self.name("node of graph", outer)
        if kind in ("node", "sequence", "stream_step"):
            name = self.name(f"body of {kind}", name)

        def body(*_: Any, **__: Any) -> Any:
            self.run(actions, name, fails)
            return {} if kind == "node" else "x"

        async def abody(*_: Any, **__: Any) -> Any:
            await self.arun(actions, name, fails)
            return {} if kind == "node" else "x"

        def generator(chunks: Iterator[Any]) -> Iterator[Any]:
            for _ in chunks:
                yield "a"
                body()
                yield "b"

        async def agenerator(chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
            async for _ in chunks:
                yield "a"
                await abody()
                yield "b"

        plain = RunnableLambda(body, abody, name=name)
        lazy = RunnableGenerator(generator, agenerator, name=name)
        config = {"run_name": outer}
        match kind:
            case "lambda":
                return plain, "x", config
            case "generator":
                return lazy, "x", config
            case "tool":
                made = tool(name, description="Work.")(lambda x: body())
                made.coroutine = abody
                return made, {"x": 1}, config
            case "node":
                graph = StateGraph(State)
                graph.add_node(node, plain)
                graph.add_edge(START, node)
                return graph.compile(), {"x": 1}, config
            case "sequence":
                return RunnableLambda(lambda x: x) | plain | (lambda x: x), "x", config
            case "stream_step":
                return Model(name="before") | lazy | RunnableLambda(lambda x: x), "x", config
        models = {"model": Chat, "streaming_model": Streaming, "text_model": Text}
        return models.get(kind, Finder)(name=name, body=body, abody=abody), "x", config

    def call(self, kind: str, way: str, actions: Any, here: str) -> None:
        if here.startswith("streaming_model") and way == "thread":
            way = "invoke"  # as below
        made, given_, config = self.made(kind, way, actions, here)
        if way == "invoke":
            made.invoke(given_, config)
        elif way == "thread":
            failed: list[BaseException] = []

            def inside() -> None:
                try:
                    made.invoke(given_, config)
                except BaseException as error:
                    failed.append(error)

            thread = threading.Thread(target=contextvars.copy_context().run, args=(inside,))
            thread.start()
            thread.join()
            assert failed == []
        elif way == "fails":
            with suppress(BrokenError):
                made.invoke(given_, config)
        else:
            stream = made.stream(given_, config)
            for _ in stream:
                assert current() == here
                with self.tracer.start_as_current_span(self.name("between", here)):
                    pass
                if way == "closed":
                    stream.close()
                    break

    async def acall(self, kind: str, way: str, actions: Any, here: str) -> None:
        if here.startswith("streaming_model") and way in IN_TASKS:
            way = "ainvoke"  # what is impossible: see test_lc_impossible.py
        made, given_, config = self.made(kind, way, actions, here)
        if way == "ainvoke":
            await made.ainvoke(given_, config)
        elif way == "task":
            await asyncio.create_task(made.ainvoke(given_, config))
        elif way == "to_thread":
            await asyncio.to_thread(made.invoke, given_, config)
        elif way == "timeout":
            await asyncio.wait_for(made.ainvoke(given_, config), 60)
        elif way == "fails":
            with suppress(BrokenError):
                await made.ainvoke(given_, config)
        elif way == "pair":
            other, given_too, config_too = self.made(kind, way, actions, here)
            await asyncio.gather(made.ainvoke(given_, config), other.ainvoke(given_too, config_too))
        else:
            if way == "events":
                stream = made.astream_events(given_, config, version="v2")
            else:
                stream = made.astream(given_, config)
            async with aclosing(stream):
                async for _ in stream:
                    assert current() == here
                    with self.tracer.start_as_current_span(self.name("between", here)):
                        await asyncio.sleep(0)
                    assert current() == here
                    if way == "aclosed":
                        break

    def check(self, started: list[Any]) -> None:
        """See that each span is the child of what was current where it was started."""
        names = {span.context.span_id: label(span) for span in started}
        for span in started:
            wanted = self.parents.get(label(span))
            if wanted is not None:
                found = names[span.parent.span_id] if span.parent else "nothing"
                assert found == wanted, label(span)


@contextmanager
def _traced(provider: TracerProvider) -> Iterator[None]:
    instrumentor = LangChainInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        with global_provider(provider):
            yield
            assert current() == "nothing"
            assert len(open_runs) == 0
    finally:
        instrumentor.uninstrument()
        provider.shutdown()


def _run(program: Any, is_async: bool) -> None:
    provider, log = logged_provider()
    machine = Machine(provider.get_tracer("user"))
    with _traced(provider):
        if is_async:
            asyncio.run(machine.arun(program, "nothing"))
        else:
            machine.run(program, "nothing")
        gc.collect()
        RunnableLambda(lambda x: x).invoke(1)  # ends what nobody told of
    machine.check(log.started)
    assert log.open == []


quick = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(programs(SYNC))
def test_random_programs(program: Any) -> None:
    """Whatever is put into whatever: what is current where, and who is whose child."""
    _run(program, is_async=False)


@quick
@given(programs(ASYNC))
def test_random_async_programs(program: Any) -> None:
    """As above, with tasks, threads and events."""
    _run(program, is_async=True)


@quick
@given(st.randoms(use_true_random=True))
def test_many_at_once_that_are_cancelled_anywhere(chance: Random) -> None:
    """Ids of frames come again soon, and no event tells of the cancelled: none takes another's."""
    provider, log = logged_provider()
    machine = Machine(provider.get_tracer("user"))

    async def given_up(work: Any) -> None:
        task = asyncio.create_task(work)
        for _ in range(chance.randrange(8)):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def slowly(here: str) -> None:
        for _ in range(chance.randrange(5)):
            assert current() == here
            await asyncio.sleep(0)
        await machine.arun([("span", [])], here)

    async def request() -> None:
        name = machine.name("request", "nothing")

        async def body(x: Any) -> Any:
            for kind in chance.choices([Chat, Text, Finder], k=4):
                part = machine.name(kind.__name__, name)
                call = kind(name=part, abody=partial(slowly, part)).ainvoke("x")
                await (given_up(call) if chance.random() < 0.6 else call)
                await machine.arun([("span", [])], name)
            return x

        call = RunnableLambda(body, name=name).ainvoke("x")
        await (given_up(call) if chance.random() < 0.3 else call)
        await machine.arun([("span", [])], "nothing")

    async def requests() -> None:
        await asyncio.gather(*(request() for _ in range(20)))

    with _traced(provider):
        asyncio.run(requests())
        gc.collect()
        RunnableLambda(lambda x: x).invoke(1)  # ends what nobody told of
    machine.check(log.started)
    assert log.open == []
    outcomes = {(span.attributes or {}).get("callspan.run.outcome") for span in log.ended}
    assert outcomes <= {"ok", "cancelled", None}
